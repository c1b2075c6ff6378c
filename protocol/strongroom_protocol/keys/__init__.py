"""Secrets and everything derived from them. A relay never imports this package."""
