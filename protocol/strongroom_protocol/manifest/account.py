"""The genesis core and the account id made of it (spec chapter 04)."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any

from strongroom_protocol.errors import Failure, UntrustedDataError
from strongroom_protocol.wire import cbor
from strongroom_protocol.wire.parse import Fields

_LABEL = b"strongroom/v1/account-id"


@dataclass(frozen=True, slots=True)
class GenesisCore:
    """What an account id commits to: first root signing key, relay receipt key, 32 random bytes."""

    root_key: bytes
    receipt_key: bytes
    randomness: bytes

    def account_id(self) -> bytes:
        """SHA-256(label || deterministic CBOR of the core), 32 bytes."""
        return hashlib.sha256(_LABEL + cbor.encode(self.to_cbor())).digest()

    def to_cbor(self) -> dict[int, Any]:
        return {1: 1, 2: self.root_key, 3: self.receipt_key, 4: self.randomness}

    @classmethod
    def parse(cls, value: Any, subject: str = "genesis core") -> GenesisCore:
        fields = Fields(value, subject)
        fields.format()
        core = cls(fields.fixed(2), fields.fixed(3), fields.fixed(4))
        fields.done()
        return core


def require_account(account: bytes, expected: bytes, subject: str) -> None:
    """A structure belongs to the account it was asked for, or ACCOUNT is raised."""
    if account != expected:  # spec: ACC-1
        raise UntrustedDataError(Failure.ACCOUNT, "belongs to another account", subject=subject)
