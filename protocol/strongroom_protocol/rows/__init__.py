"""The message model, operations and their columns. A relay never imports this package."""
