"""Encodings: deterministic CBOR, COSE signatures, padding, the Merkle log."""
