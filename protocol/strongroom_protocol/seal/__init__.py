"""Sealed objects and media streams. A relay never imports this package."""
