"""One class per kind of secret: redacted when printed, compared in constant time, never pickled.

`reveal()` is the one way to the bytes, so every use of a secret can be found by searching for that word. Python
cannot wipe memory; what that means for a thief of a running device is said in the threat model.
"""

from __future__ import annotations

import hmac
from typing import ClassVar, NoReturn

from strongroom_protocol.errors import InvalidArgument


class Secret:
    """Base of all secrets. `size` is the length in bytes, None for variable length."""

    __slots__ = ("_bytes",)
    size: ClassVar[int | None] = None

    def __init__(self, value: bytes) -> None:
        if self.size is not None and len(value) != self.size:
            raise InvalidArgument(f"{type(self).__name__} must be {self.size} bytes")
        self._bytes = bytes(value)

    def reveal(self) -> bytes:
        """The secret bytes."""
        return self._bytes

    def __repr__(self) -> str:
        return f"<{type(self).__name__} redacted>"

    def __eq__(self, other: object) -> bool:
        return type(other) is type(self) and hmac.compare_digest(self._bytes, other._bytes)

    def __hash__(self) -> NoReturn:
        raise TypeError("secrets are not hashable")

    def __reduce__(self) -> NoReturn:
        raise TypeError("secrets are not pickled")


class Passphrase(Secret):
    """A normalised passphrase in UTF-8 (`names.passphrase`)."""


class RecoveryCode(Secret):
    """The 160 bits of a recovery code."""

    size = 20


class UnlockSecret(Secret):
    """What a slot's keys come from: a stretched passphrase, a recovery code, or both (chapter 04)."""

    size = 32


class RootSecret(Secret):
    """R: whoever has it may change who reads and writes."""

    size = 32


class EpochSecret(Secret):
    """En: opens everything sealed in epoch n and, through the chain, before."""

    size = 32


class SigningSeed(Secret):
    """An Ed25519 seed (RFC 8032)."""

    size = 32


class KemSeed(Secret):
    """64 bytes of ML-KEM-768 seed (FIPS 203 d || z) and 32 bytes of X25519 private key."""

    size = 96
