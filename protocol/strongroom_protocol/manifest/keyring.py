"""The keyring: who may read and write, one version of it (spec chapter 04). How one follows another: `succession`.

A relay checks it too, so that a device key alone cannot take over or brick an account; therefore nothing here
opens a wrap or a seal.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

from strongroom_protocol.errors import Failure, UntrustedDataError
from strongroom_protocol.limits import LIMITS, Limits
from strongroom_protocol.manifest.account import GenesisCore, require_account
from strongroom_protocol.manifest.head import Head
from strongroom_protocol.wire import cbor, cose
from strongroom_protocol.wire.parse import SMALL_MAX, Fields, bad, blob, fixed

T = TypeVar("T")

KEM_KEY_BYTES = 1216
WRAP_MIN, WRAP_MAX = 1168, 1424


def device_id(sign_key: bytes, kem_key: bytes) -> bytes:
    """16 bytes that name a device; made of its keys, so an id can never be given to other keys."""
    return hashlib.sha256(b"strongroom/v1/device-id" + sign_key + kem_key).digest()[:16]


def recipient_id(kem_key: bytes) -> bytes:
    """SHA-256 of a KEM public key: how a wrap names whom it is for."""
    return hashlib.sha256(kem_key).digest()


@dataclass(frozen=True, slots=True)
class Device:
    sign_key: bytes
    kem_key: bytes
    added: int

    @property
    def id(self) -> bytes:
        return device_id(self.sign_key, self.kem_key)

    def to_cbor(self) -> dict[int, Any]:
        return {1: self.id, 2: self.sign_key, 3: self.kem_key, 4: self.added}

    @classmethod
    def parse(cls, value: Any) -> Device:
        fields = Fields(value, "device")
        claimed = fields.fixed(1, 16)
        device = cls(fields.fixed(2), fields.fixed(3, KEM_KEY_BYTES), fields.version(4))
        fields.done()
        if claimed != device.id:  # spec: KR-1
            raise UntrustedDataError(Failure.KEYRING, "device id is not made of its keys", subject="keyring")
        return device


@dataclass(frozen=True, slots=True)
class Epoch:
    """Number, check value of the epoch secret, and the previous secret sealed under this one (None for epoch 1)."""

    number: int
    check: bytes
    sealed_previous: bytes | None

    def to_cbor(self) -> dict[int, Any]:
        return {1: self.number, 2: self.check, 3: self.sealed_previous}

    @classmethod
    def parse(cls, value: Any) -> Epoch:
        fields = Fields(value, "epoch")
        epoch = cls(
            fields.uint(1, SMALL_MAX, 1),
            fields.fixed(2),
            fields.optional(3, lambda sealed: fixed(sealed, 48, "epoch")),
        )
        fields.done()
        return epoch


@dataclass(frozen=True, slots=True)
class Cut:
    """The last head that is valid under the previous keyring."""

    version: int
    hash: bytes


@dataclass(frozen=True, slots=True)
class Discard:
    """Writer sequences `first` to `last` of a device: what was written under them is no part of the history (undo)."""

    device: bytes
    first: int
    last: int

    def covers(self, device: bytes, sequence: int) -> bool:
        return device == self.device and self.first <= sequence <= self.last

    def to_cbor(self) -> dict[int, Any]:
        return {1: self.device, 2: self.first, 3: self.last}

    @classmethod
    def parse(cls, value: Any) -> Discard:
        fields = Fields(value, "discard")
        discard = cls(fields.fixed(1, 16), fields.version(2), fields.version(3))
        fields.done()
        if discard.last < discard.first:  # spec: KR-25
            raise UntrustedDataError(Failure.KEYRING, "a discarded range ends before it begins", subject="keyring")
        return discard


@dataclass(frozen=True, slots=True)
class Keyring:
    """One version of the keyring. `message` are the exact COSE_Sign1 bytes, `hash` their SHA-256."""

    account: bytes
    version: int
    previous: bytes | None
    time: int
    root_key: bytes
    root_kem_key: bytes
    devices: tuple[Device, ...]
    revoked: dict[bytes, int]
    epochs: tuple[Epoch, ...]
    wraps: dict[bytes, bytes]
    receipt_key: bytes
    slots_hash: bytes
    cut: Cut | None
    private: bytes
    handover: bytes | None
    core: GenesisCore | None
    discards: tuple[Discard, ...] = ()
    message: bytes = b""

    @property
    def hash(self) -> bytes:
        return hashlib.sha256(self.message).digest()

    @property
    def epoch(self) -> int:
        """The current epoch's number."""
        return self.epochs[-1].number

    def device(self, ident: bytes) -> Device | None:
        return next((device for device in self.devices if device.id == ident), None)

    def sign(self, signer: cose.Signer) -> Keyring:
        """This keyring signed by its root key."""
        message = cose.sign(cose.Context.KEYRING, cbor.encode(self.to_cbor()), self.root_key, signer)
        return parse_keyring(message, account=self.account)

    def to_cbor(self) -> dict[int, Any]:
        return {
            1: 1, 2: self.account, 3: self.version, 4: self.previous, 5: self.time, 6: self.root_key,
            7: self.root_kem_key, 8: [device.to_cbor() for device in self.devices],
            9: [{1: ident, 2: version} for ident, version in self.revoked.items()],
            10: [epoch.to_cbor() for epoch in self.epochs],
            11: [{1: ident, 2: wrap} for ident, wrap in self.wraps.items()],
            12: self.receipt_key, 13: self.slots_hash,
            14: None if self.cut is None else {1: self.cut.version, 2: self.cut.hash},
            15: self.private, 16: self.handover, 17: None if self.core is None else self.core.to_cbor(),
            18: [discard.to_cbor() for discard in self.discards],
        }  # fmt: skip


def parse_keyring(message: bytes, *, account: bytes, limits: Limits = LIMITS) -> Keyring:
    """Verify the root's signature, then parse and check everything that one keyring alone can be checked for."""
    signed = cose.verify(cose.Context.KEYRING, message, maximum=limits.keyring_bytes, limits=limits)
    fields = Fields(cbor.decode(signed.payload, limits=limits, subject="keyring"), "keyring")
    fields.format()
    keyring = Keyring(
        account=fields.fixed(2),
        version=fields.version(3),
        previous=fields.optional(4, lambda value: fixed(value, 32, "keyring")),
        time=fields.time(5),
        root_key=fields.fixed(6),
        root_kem_key=fields.fixed(7, KEM_KEY_BYTES),
        devices=tuple(map(Device.parse, fields.array(8, minimum=1, maximum=limits.devices))),
        revoked=_pairs(fields.array(9, maximum=4096), lambda f: (f.fixed(1, 16), f.version(2))),
        epochs=tuple(map(Epoch.parse, fields.array(10, minimum=1, maximum=4096))),
        wraps=_pairs(
            fields.array(11, minimum=2, maximum=limits.devices + 1),
            lambda f: (f.fixed(1), f.blob(2, WRAP_MAX, WRAP_MIN)),
        ),
        receipt_key=fields.fixed(12),
        slots_hash=fields.fixed(13),
        cut=fields.optional(14, _parse_cut),
        private=fields.blob(15, 65_536),
        handover=fields.optional(16, lambda value: blob(value, 4096, "keyring")),
        core=fields.optional(17, GenesisCore.parse),
        discards=tuple(map(Discard.parse, fields.array(18, maximum=limits.discards))),
        message=message,
    )
    fields.done()
    require_account(keyring.account, account, "keyring")
    if signed.key != keyring.root_key:  # spec: KR-2
        raise UntrustedDataError(Failure.SIGNER, "not signed by the root key it names", subject="keyring")
    _check_alone(keyring)
    return keyring


def _check_alone(keyring: Keyring) -> None:
    first = keyring.version == 1
    if (keyring.previous is None, keyring.core is not None, keyring.cut is None) != (
        first,
        first,
        first,
    ):  # spec: KR-3
        raise bad("keyring", "version 1, and only it, has a core and neither predecessor nor cut")
    core = keyring.core
    if core is not None and (
        core.account_id(),
        core.root_key,
        core.receipt_key,
    ) != (keyring.account, keyring.root_key, keyring.receipt_key):  # spec: KR-4
        raise UntrustedDataError(Failure.ACCOUNT, "core does not make this account", subject="keyring")
    fresh = not keyring.revoked and not keyring.discards and all(device.added == 1 for device in keyring.devices)
    if first and not fresh:  # spec: KR-26
        raise UntrustedDataError(Failure.KEYRING, "the first version has a past", subject="keyring")
    idents = {device.id for device in keyring.devices}
    if len(idents) != len(keyring.devices) or not idents.isdisjoint(keyring.revoked):  # spec: KR-5
        raise UntrustedDataError(Failure.KEYRING, "a device is listed twice or both in and out", subject="keyring")
    signers = {device.sign_key for device in keyring.devices}
    recipients = {keyring.root_kem_key} | {device.kem_key for device in keyring.devices}
    if len(signers) != len(keyring.devices) or len(recipients) != len(keyring.devices) + 1:  # spec: KR-28
        raise UntrustedDataError(Failure.KEYRING, "two devices with one key", subject="keyring")
    readers = {recipient_id(keyring.root_kem_key)} | {recipient_id(device.kem_key) for device in keyring.devices}
    if set(keyring.wraps) != readers:  # spec: KR-6
        raise UntrustedDataError(Failure.KEYRING, "wraps are not for exactly the readers", subject="keyring")
    if not {discard.device for discard in keyring.discards} <= idents | set(keyring.revoked):  # spec: KR-27
        raise UntrustedDataError(Failure.KEYRING, "discards what a stranger wrote", subject="keyring")
    for number, epoch in enumerate(keyring.epochs, 1):
        if epoch.number != number or (epoch.sealed_previous is None) != (number == 1):  # spec: KR-7
            raise UntrustedDataError(Failure.EPOCH, "epochs are not a gapless chain", subject="keyring")


def check_writer(head: Head, keyring: Keyring) -> None:
    """The head was made under exactly this keyring by one of its devices."""
    if (head.keyring_version, head.keyring_hash) != (keyring.version, keyring.hash):  # spec: HEAD-6
        raise UntrustedDataError(Failure.KEYRING, "head names another keyring", subject="head")
    device = keyring.device(head.device)
    if device is None or device.sign_key != head.signer:  # spec: HEAD-7
        raise UntrustedDataError(Failure.SIGNER, "not signed by a device of the keyring", subject="head")
    if head.epoch != keyring.epoch:  # spec: HEAD-8
        raise UntrustedDataError(Failure.EPOCH, "head is not under the keyring's epoch", subject="head")


def check_cut(head: Head, keyring: Keyring) -> None:
    """The first head under a new keyring stands directly on the cut that the keyring names."""
    if keyring.cut is not None and (head.version, head.previous) != (
        keyring.cut.version + 1,
        keyring.cut.hash,
    ):  # spec: KR-18
        raise UntrustedDataError(Failure.CUT, "head does not stand on the keyring's cut", subject="head")


def _parse_cut(value: Any) -> Cut:
    fields = Fields(value, "cut")
    cut = Cut(fields.version(1), fields.fixed(2))
    fields.done()
    return cut


def _pairs(items: list[Any], parse: Callable[[Fields], tuple[bytes, T]]) -> dict[bytes, T]:
    found: dict[bytes, T] = {}
    for item in items:
        fields = Fields(item, "keyring")
        key, value = parse(fields)
        fields.done()
        if key in found:  # spec: KR-19
            raise UntrustedDataError(Failure.KEYRING, "an entry is listed twice", subject="keyring")
        found[key] = value
    return found
