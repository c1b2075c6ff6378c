"""The head: the small signed header of one version of an account's history (spec chapter 09)."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from strongroom_protocol.errors import Failure, UntrustedDataError
from strongroom_protocol.limits import LIMITS, Limits
from strongroom_protocol.manifest.account import require_account
from strongroom_protocol.wire import cbor, cose
from strongroom_protocol.wire.parse import SIZE_MAX, SMALL_MAX, Fields, array, bad, fixed


@dataclass(frozen=True, slots=True)
class Delta:
    """The objects a head adds and drops, in clear: all that a blind relay needs to keep the right bytes."""

    adds: tuple[bytes, ...] = ()
    drops: tuple[bytes, ...] = ()

    @classmethod
    def of(cls, adds: Iterable[bytes], drops: Iterable[bytes]) -> Delta:
        added, dropped = set(adds), set(drops)
        return cls(tuple(sorted(added - dropped)), tuple(sorted(dropped - added)))

    def to_cbor(self) -> list[Any]:
        return [list(self.adds), list(self.drops)]

    def hash(self) -> bytes:
        return hashlib.sha256(b"strongroom/v1/delta" + cbor.encode(self.to_cbor())).digest()

    @classmethod
    def parse(cls, value: Any, limits: Limits = LIMITS) -> Delta:
        """Sorted, without duplicates, disjoint; anything else is SCHEMA."""
        parts = array(value, "delta", minimum=2, maximum=2)
        adds, drops = (
            tuple(fixed(name, 32, "delta") for name in array(part, "delta", maximum=limits.delta_names))
            for part in parts
        )
        if list(adds) != sorted(set(adds)) or list(drops) != sorted(set(drops)):  # spec: HEAD-9
            raise bad("delta", "names are not sorted and distinct")
        if not set(adds).isdisjoint(drops):  # spec: HEAD-10
            raise bad("delta", "a name is both added and dropped")
        return cls(adds, drops)


@dataclass(frozen=True, slots=True)
class Head:
    """One version of an account's history. `message` are the exact COSE_Sign1 bytes, `hash` their SHA-256."""

    account: bytes
    version: int
    previous: bytes | None
    keyring_version: int
    keyring_hash: bytes
    epoch: int
    device: bytes
    sequence: int
    body: bytes
    body_size: int
    log_root: bytes
    delta_hash: bytes
    time: int
    signer: bytes
    message: bytes

    @property
    def hash(self) -> bytes:
        return hashlib.sha256(self.message).digest()


def sign_head(
    *,
    account: bytes,
    version: int,
    previous: bytes | None,
    keyring_version: int,
    keyring_hash: bytes,
    epoch: int,
    device: bytes,
    sequence: int,
    body: bytes,
    body_size: int,
    log_root: bytes,
    delta: Delta,
    time: int,
    key: bytes,
    signer: cose.Signer,
) -> Head:
    """Make and sign a head with the device's key. Times in milliseconds, sizes in bytes."""
    payload = {
        1: 1, 2: account, 3: version, 4: previous, 5: keyring_version, 6: keyring_hash, 7: epoch, 8: device,
        9: sequence, 10: body, 11: body_size, 12: log_root, 13: delta.hash(), 14: time,
    }  # fmt: skip
    return parse_head(cose.sign(cose.Context.HEAD, cbor.encode(payload), key, signer), account=account)


def parse_head(message: bytes, *, account: bytes, limits: Limits = LIMITS) -> Head:
    """Verify the signature, then parse. Whether `signer` may write is the keyring's to say (`check_writer`)."""
    signed = cose.verify(cose.Context.HEAD, message, maximum=limits.head_bytes, limits=limits)
    fields = Fields(cbor.decode(signed.payload, limits=limits, subject="head"), "head")
    fields.format()
    head = Head(
        account=fields.fixed(2),
        version=fields.version(3),
        previous=fields.optional(4, lambda value: fixed(value, 32, "head")),
        keyring_version=fields.version(5),
        keyring_hash=fields.fixed(6),
        epoch=fields.uint(7, SMALL_MAX, 1),
        device=fields.fixed(8, 16),
        sequence=fields.version(9),
        body=fields.fixed(10),
        body_size=fields.uint(11, SIZE_MAX, 1),
        log_root=fields.fixed(12),
        delta_hash=fields.fixed(13),
        time=fields.time(14),
        signer=signed.key,
        message=message,
    )
    fields.done()
    require_account(head.account, account, "head")
    if (head.previous is None) != (head.version == 1):  # spec: HEAD-1
        raise bad("head", "only version 1 has no previous head")
    return head


def check_follows(head: Head, previous: Head) -> None:
    """`head` is the direct successor of `previous`: what a relay and every device require of a new head."""
    if head.version != previous.version + 1 or head.previous != previous.hash:  # spec: HEAD-2
        raise UntrustedDataError(Failure.CHAIN, "does not follow the previous head", subject="head")
    if head.keyring_version < previous.keyring_version:  # spec: HEAD-3
        raise UntrustedDataError(Failure.KEYRING, "names an older keyring than its predecessor", subject="head")
    if head.epoch < previous.epoch:  # spec: HEAD-4
        raise UntrustedDataError(Failure.EPOCH, "names an older epoch than its predecessor", subject="head")


def check_delta(head: Head, delta: Delta) -> None:
    """The delta is the one the head's signature covers."""
    if delta.hash() != head.delta_hash:  # spec: HEAD-5
        raise UntrustedDataError(Failure.DELTA, "delta is not the signed one", subject="head")
