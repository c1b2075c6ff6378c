"""Structures of the storage engine. A relay never imports this package."""
