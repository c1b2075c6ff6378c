"""Wraps to a recipient: HPKE base mode (RFC 9180), hybrid KEM ML-KEM-768 + X25519, ChaCha20-Poly1305 (chapter 03).

Recording a wrap today is no use to a quantum computer later: opening it needs both halves broken.
"""

from __future__ import annotations

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hpke
from cryptography.hazmat.primitives.asymmetric.mlkem import MLKEM768PrivateKey, MLKEM768PublicKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey

from strongroom_protocol.errors import Failure, UntrustedDataError
from strongroom_protocol.keys.secrets import KemSeed

_SUITE = hpke.Suite(hpke.KEM.MLKEM768_X25519, hpke.KDF.HKDF_SHA256, hpke.AEAD.CHACHA20_POLY1305)
_MLKEM_PUBLIC = 1184


class KemKey:
    """A hybrid key pair made from its seed; `public` is the 1,216 bytes others wrap to."""

    __slots__ = ("_private", "public")

    def __init__(self, seed: KemSeed) -> None:
        raw = seed.reveal()
        mlkem = MLKEM768PrivateKey.from_seed_bytes(raw[:64])
        x25519 = X25519PrivateKey.from_private_bytes(raw[64:])
        self._private = hpke.MLKEM768X25519PrivateKey(mlkem, x25519)
        self.public = mlkem.public_key().public_bytes_raw() + x25519.public_key().public_bytes_raw()

    def open(self, wrap: bytes, *, info: bytes, subject: str) -> bytes:
        """The plaintext of a wrap made to this key with this `info`, or WRAP is raised."""
        try:
            return _SUITE.decrypt(wrap, self._private, info)
        except (InvalidTag, ValueError) as error:
            raise UntrustedDataError(Failure.WRAP, "wrap does not open", subject=subject) from error


def wrap(public: bytes, plaintext: bytes, *, info: bytes) -> bytes:
    """HPKE `enc || ciphertext` of `plaintext` to a 1,216-byte public key. Randomised."""
    try:
        recipient = hpke.MLKEM768X25519PublicKey(
            MLKEM768PublicKey.from_public_bytes(public[:_MLKEM_PUBLIC]),
            X25519PublicKey.from_public_bytes(public[_MLKEM_PUBLIC:]),
        )
        return _SUITE.encrypt(plaintext, recipient, info)
    except ValueError as error:
        raise UntrustedDataError(Failure.WRAP, "not a usable public key", subject="recipient") from error
