"""Signed structures that a relay checks too: keyring, head, receipt."""
