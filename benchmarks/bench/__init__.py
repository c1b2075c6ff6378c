"""Strongroom beside its peers, on the same data in the same run: rows, subjects, and what is asked of them."""
