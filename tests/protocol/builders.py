"""Deterministic accounts to test with: devices, slots, keyring chains, heads, receipts, epochs and sealed objects.

Nothing here is random but the encapsulations inside wraps; the same names give the same keys in every run.
"""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from strongroom_protocol.errors import Failure, UntrustedDataError
from strongroom_protocol.keys.epochs import EpochKeys, make_epoch, wrap_epoch
from strongroom_protocol.keys.hpke import KemKey
from strongroom_protocol.keys.root import Root
from strongroom_protocol.keys.secrets import EpochSecret, KemSeed, RootSecret, SigningSeed, UnlockSecret
from strongroom_protocol.keys.signing import SignKey
from strongroom_protocol.keys.slots import Unlock, make_slot
from strongroom_protocol.manifest.account import GenesisCore
from strongroom_protocol.manifest.head import Delta, Head, sign_head
from strongroom_protocol.manifest.keyring import Cut, Device, Epoch, Keyring, recipient_id
from strongroom_protocol.manifest.slots import Kdf, SlotKind, SlotSet
from strongroom_protocol.manifest.succession import handover_payload
from strongroom_protocol.seal.objects import ObjectType, object_name, seal_object
from strongroom_protocol.wire import cbor, cose, merkle


def random_bytes(label: str, count: int = 32) -> bytes:
    """`count` bytes of SHA-256 in counter mode under `label`."""
    blocks = (hashlib.sha256(f"{label}/{number}".encode()).digest() for number in range(-(-count // 32)))
    return b"".join(blocks)[:count]


def refused(call: Callable[..., object], *given: Any, **named: Any) -> Failure:
    """The class of failure with which `call` refuses what it is given."""
    with pytest.raises(UntrustedDataError) as caught:
        call(*given, **named)
    return caught.value.failure


@dataclass(frozen=True, slots=True)
class Person:
    """A device with its private keys."""

    sign: SignKey
    kem: KemKey
    device: Device

    @property
    def id(self) -> bytes:
        return self.device.id


@functools.cache
def person(label: str, added: int = 1) -> Person:
    """The device called `label`, as added in keyring version `added`."""
    sign = SignKey(SigningSeed(random_bytes(f"{label} sign")))
    kem = KemKey(KemSeed(random_bytes(f"{label} kem", 96)))
    return Person(sign, kem, Device(sign.public, kem.public, added))


@functools.cache
def root(label: str = "root") -> Root:
    """The root secret called `label` and its keys."""
    return Root(RootSecret(random_bytes(label)))


@functools.cache
def receipt_key(label: str = "relay") -> SignKey:
    """The key a relay signs receipts with."""
    return SignKey(SigningSeed(random_bytes(f"{label} receipts")))


@functools.cache
def core(label: str = "account", owner: str = "root") -> GenesisCore:
    """The genesis core of the account called `label`."""
    return GenesisCore(root(owner).sign.public, receipt_key().public, random_bytes(label))


ACCOUNT = core().account_id()
OTHER_ACCOUNT = core("other account").account_id()
WRITER = person("ann").id


@functools.cache
def epochs(count: int = 3, label: str = "epoch", account: bytes = ACCOUNT) -> tuple[tuple[EpochSecret, Epoch], ...]:
    """Secrets and public parts of epochs 1..count."""
    made: list[tuple[EpochSecret, Epoch]] = []
    for number in range(1, count + 1):
        previous = made[-1][0] if made else None
        made.append(make_epoch(number, random_bytes(f"{label} {number}"), previous, account))
    return tuple(made)


@functools.cache
def epoch_keys(number: int = 1, account: bytes = ACCOUNT) -> EpochKeys:
    """Keys of one epoch of one account."""
    return EpochKeys(account, number, epochs(number, account=account)[-1][0])


def opening(*numbers: int, account: bytes = ACCOUNT) -> dict[int, EpochKeys]:
    """What a reader of these epochs holds."""
    return {number: epoch_keys(number, account) for number in numbers or (1,)}


@functools.cache
def unlock(label: str = "code", kind: SlotKind = SlotKind.RECOVERY) -> Unlock:
    """The keys of a slot whose unlock secret is random: nothing is stretched."""
    return Unlock(kind, UnlockSecret(random_bytes(label)))


SALT = random_bytes("login salt")


def slot_set(*openers: Unlock, account: bytes = ACCOUNT, owner: str = "root", version: int = 1) -> SlotSet:
    """A slot set that each of `openers` opens."""
    kdf = Kdf.preset()
    slots = tuple(
        make_slot(opener, root(owner).secret, account=account, salt=SALT, kdf=kdf, label=f"slot {number}")
        for number, opener in enumerate(openers)
    )
    return SlotSet(account, version, SALT, kdf, random_bytes("blind"), slots)


def wraps_for(secret: EpochSecret, number: int, owner: Root, people: Iterable[Person]) -> dict[bytes, bytes]:
    """The epoch's secret wrapped to the root and to every device."""
    keys = [owner.kem.public, *(one.kem.public for one in people)]
    return {recipient_id(key): wrap_epoch(secret, key, account=ACCOUNT, number=number) for key in keys}


@functools.cache
def first_keyring(*names: str) -> Keyring:
    """Version 1 with the devices `names` (default: ann), unsigned."""
    people = [person(name) for name in names or ("ann",)]
    secret, epoch = epochs(1)[0]
    return Keyring(
        account=ACCOUNT, version=1, previous=None, time=1000, root_key=root().sign.public,
        root_kem_key=root().kem.public, devices=tuple(one.device for one in people), revoked={}, epochs=(epoch,),
        wraps=wraps_for(secret, 1, root(), people), receipt_key=receipt_key().public,
        slots_hash=random_bytes("slots"), cut=None, private=b"sealed", handover=None, core=core(),
    )  # fmt: skip


def signed(keyring: Keyring, owner: str = "root") -> Keyring:
    """The keyring signed by a root, without any check."""
    return replace(keyring, message=keyring_message(keyring, owner))


def keyring_message(keyring: Keyring, owner: str = "root") -> bytes:
    """The bytes of a keyring (as it is, right or wrong) signed by the root called `owner`."""
    return raw_keyring(keyring.to_cbor(), owner)


def raw_keyring(payload: Any, owner: str = "root") -> bytes:
    """A signed message with any payload."""
    key = root(owner).sign
    return cose.sign(cose.Context.KEYRING, cbor.encode(payload), key.public, key.sign)


CUT = Cut(1, random_bytes("cut"))


@functools.cache
def with_device() -> Keyring:
    """Version 2: bob joins ann; the same epoch and root."""
    old = signed(first_keyring())
    people = [person("ann"), person("bob", 2)]
    return replace(
        old, version=2, previous=old.hash, time=2000, devices=tuple(one.device for one in people),
        wraps=wraps_for(epochs(1)[0][0], 1, root(), people), cut=CUT, core=None, message=b"",
    )  # fmt: skip


@functools.cache
def after_revocation() -> Keyring:
    """Version 3: bob is revoked; a new epoch, a new root, and the old root's word for it."""
    old = signed(with_device())
    new_root = root("root 2")
    bare = replace(
        old, version=3, previous=old.hash, time=3000, root_key=new_root.sign.public, root_kem_key=new_root.kem.public,
        devices=(person("ann").device,), revoked={person("bob", 2).id: 3},
        epochs=tuple(epoch for _, epoch in epochs(2)), cut=Cut(2, random_bytes("cut 2")),
        wraps=wraps_for(epochs(2)[1][0], 2, new_root, [person("ann")]), message=b"",
    )  # fmt: skip
    return replace(bare, handover=handover(bare))


def handover(new: Keyring, owner: str = "root", payload: bytes | None = None) -> bytes:
    """The word of the root called `owner` for the root of `new`."""
    key = root(owner).sign
    said = handover_payload(new) if payload is None else payload
    return cose.sign(cose.Context.ROOT_HANDOVER, said, key.public, key.sign)


@functools.cache
def chain() -> tuple[Keyring, Keyring, Keyring]:
    """Genesis, a device more, a device less."""
    return signed(first_keyring()), signed(with_device()), signed(after_revocation(), "root 2")


@dataclass
class History:
    """Heads that follow each other, with their log."""

    label: str = "history"
    heads: list[Head] = field(default_factory=list)
    peaks: list[tuple[bytes, ...]] = field(default_factory=lambda: [()])

    def add(self, keyring: Keyring, writer: str = "ann", **other: Any) -> Head:
        """One head more under `keyring`; `other` replaces fields."""
        number = len(self.heads) + 1
        given: dict[str, Any] = {
            "account": ACCOUNT, "version": number, "previous": self.heads[-1].hash if self.heads else None,
            "keyring_version": keyring.version, "keyring_hash": keyring.hash, "epoch": keyring.epoch,
            "device": person(writer).id, "sequence": number, "body": random_bytes(f"{self.label} {number}"),
            "body_size": 400, "log_root": merkle.root_of(self.peaks[-1]), "delta": Delta(), "time": 1000 * number,
            "key": person(writer).sign.public, "signer": person(writer).sign.sign,
        }  # fmt: skip
        made = sign_head(**{**given, **other})
        self.heads.append(made)
        self.peaks.append(merkle.append(number - 1, self.peaks[-1], made.hash))
        return made

    def leaves(self, size: int) -> list[bytes]:
        """Leaf hashes of the first `size` heads."""
        return [merkle.leaf_hash(head.hash) for head in self.heads[:size]]

    def consistency(self, pinned: int, version: int) -> list[bytes]:
        """From the log that ends with head `pinned` to the log of all heads before `version`."""
        return merkle.consistency_proof(pinned, self.leaves(version - 1))

    def inclusion(self, cut: int, version: int) -> list[bytes]:
        """That head `cut` is in the log of all heads before `version`."""
        return merkle.inclusion_path(cut - 1, self.leaves(version - 1))


def history(count: int, keyring: Keyring | None = None, label: str = "history") -> History:
    """`count` heads by ann."""
    made = History(label)
    for _ in range(count):
        made.add(keyring or chain()[0])
    return made


def head_fields(head: Head) -> dict[int, Any]:
    """The payload of a head, to be changed and signed again."""
    decoded = cbor.decode(cbor.decode(head.message)[2])
    assert type(decoded) is dict
    return decoded


def raw_head(payload: Mapping[int, Any], writer: str = "ann") -> bytes:
    """A signed message with any payload."""
    key = person(writer).sign
    return cose.sign(cose.Context.HEAD, cbor.encode(dict(payload)), key.public, key.sign)


def sealed(
    content: bytes = b"content", kind: ObjectType = ObjectType.BODY, epoch: int = 1, account: bytes = ACCOUNT,
    sequence: int = 1, randomness: bytes = bytes(32), writer: bytes = WRITER,
) -> tuple[bytes, bytes]:  # fmt: skip
    """(name, bytes) of an object of one chunk."""
    data = seal_object(
        epoch_keys(epoch, account), kind, content, writer=writer, sequence=sequence, randomness=randomness
    )
    return object_name(data), data
