"""Bodies and request signatures of the relay API."""
