"""What a relay does, without HTTP."""
