"""Ed25519 key pairs of the client side (RFC 8032, PyNaCl)."""

from __future__ import annotations

from nacl.signing import SigningKey

from strongroom_protocol.keys.secrets import SigningSeed


class SignKey:
    """A signing key pair made from its seed; `public` is 32 bytes."""

    __slots__ = ("_key", "public")

    def __init__(self, seed: SigningSeed) -> None:
        self._key = SigningKey(seed.reveal())
        self.public = bytes(self._key.verify_key)

    def sign(self, message: bytes) -> bytes:
        """64 bytes of signature over `message`; callers go through `wire.cose`, which adds the context."""
        return self._key.sign(message).signature
