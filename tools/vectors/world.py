"""One small account that all vectors share: two devices, three keyrings, a few heads. Everything comes from labels."""

from __future__ import annotations

from functools import cache
from typing import Any

from strongroom_protocol.keys.epochs import EpochKeys, make_epoch, wrap_epoch
from strongroom_protocol.keys.hpke import KemKey
from strongroom_protocol.keys.private import KeyEvent, KeyringPrivate
from strongroom_protocol.keys.root import Root
from strongroom_protocol.keys.secrets import EpochSecret, KemSeed, RootSecret, SigningSeed
from strongroom_protocol.keys.signing import SignKey
from strongroom_protocol.manifest.account import GenesisCore
from strongroom_protocol.manifest.head import Delta, Head, parse_head
from strongroom_protocol.manifest.keyring import Device, Keyring, parse_keyring, recipient_id
from strongroom_protocol.wire import cbor, cose, merkle
from vectors.case import stream
from vectors.recorded import recorded

TIME = 1_700_000_000_000


class Dev:
    """A device: both key pairs and its entry in a keyring."""

    def __init__(self, name: str, added: int) -> None:
        self.sign = SignKey(SigningSeed(stream(f"{name} sign")))
        self.kem_seed = stream(f"{name} kem", 96)
        self.kem = KemKey(KemSeed(self.kem_seed))
        self.entry = Device(self.sign.public, self.kem.public, added)
        self.id = self.entry.id


ROOT = Root(RootSecret(stream("root secret")))
ROOT_2 = Root(RootSecret(stream("second root secret")))
A, B, STRANGER = Dev("device a", 1), Dev("device b", 2), Dev("stranger", 2)
RELAY = SignKey(SigningSeed(stream("relay receipt key")))
CORE = GenesisCore(ROOT.sign.public, RELAY.public, stream("genesis"))
ACCOUNT = CORE.account_id()
OTHER_ACCOUNT = stream("other account")

SECRET_1, EPOCH_1 = make_epoch(1, stream("epoch 1"), None, ACCOUNT)
SECRET_2, EPOCH_2 = make_epoch(2, stream("epoch 2"), SECRET_1, ACCOUNT)
KEYS_1 = EpochKeys(ACCOUNT, 1, SECRET_1)
KEYS_2 = EpochKeys(ACCOUNT, 2, SECRET_2)


def wraps(secret: EpochSecret, number: int, root: Root, *devices: Dev) -> dict[bytes, bytes]:
    """The epoch secret to the root and the devices, recorded."""
    readers = [("root", root.kem.public), *((device.id.hex(), device.kem.public) for device in devices)]
    return {
        recipient_id(key): recorded(
            f"epoch {number} to {name} {recipient_id(key).hex()[:8]}",
            lambda key=key: wrap_epoch(secret, key, account=ACCOUNT, number=number),  # type: ignore[misc]
        )
        for name, key in readers
    }


@cache
def keyring_1() -> Keyring:
    private = KeyringPrivate().with_events(KeyEvent(1, TIME, "account created", A.id), names={A.id: "laptop"})
    return Keyring(
        account=ACCOUNT, version=1, previous=None, time=TIME, root_key=ROOT.sign.public,
        root_kem_key=ROOT.kem.public, devices=(A.entry,), revoked={}, epochs=(EPOCH_1,),
        wraps=wraps(SECRET_1, 1, ROOT, A), receipt_key=RELAY.public, slots_hash=stream("slots hash"), cut=None,
        private=private.seal(KEYS_1, writer=A.id, sequence=1, randomness=stream("private 1")), handover=None, core=CORE,
    ).sign(ROOT.sign.sign)  # fmt: skip


def changed(keyring: Keyring, root: Root = ROOT, **fields: Any) -> bytes:
    """COSE_Sign1 bytes of a keyring with other fields (`f3=…`), honestly signed; None in `drop` removes a field."""
    payload = keyring.to_cbor()
    apply(payload, fields)
    return cose.sign(cose.Context.KEYRING, cbor.encode(payload), root.sign.public, root.sign.sign)


class Drop:
    """Marks a field to leave out."""


def apply(payload: dict[int, Any], fields: dict[str, Any]) -> None:
    for name, value in fields.items():
        if value is Drop:
            del payload[int(name[1:])]
        else:
            payload[int(name[1:])] = value


@cache
def keyring_2(**fields: Any) -> Keyring:
    """Device B joins; same epoch, same root."""
    return parse_keyring(keyring_2_bytes(), account=ACCOUNT)


def keyring_2_bytes(root: Root = ROOT, **fields: Any) -> bytes:
    first = keyring_1()
    base = {
        "f3": 2, "f4": first.hash, "f5": TIME + 1, "f8": [A.entry.to_cbor(), B.entry.to_cbor()],
        "f11": [{1: key, 2: wrap} for key, wrap in wraps(SECRET_1, 1, ROOT, A, B).items()],
        "f14": {1: 1, 2: head_1().hash}, "f17": None,
    }  # fmt: skip
    return changed(first, root, **(base | fields))


def keyring_3_bytes(**fields: Any) -> bytes:
    """Device A is revoked: new root, new epoch, a handover by the old root."""
    second = keyring_2()
    handover = cbor.encode({1: ACCOUNT, 2: 3, 3: second.hash, 4: ROOT_2.sign.public, 5: ROOT_2.kem.public})
    base = {
        "f3": 3, "f4": second.hash, "f5": TIME + 2, "f6": ROOT_2.sign.public, "f7": ROOT_2.kem.public,
        "f8": [B.entry.to_cbor()], "f9": [{1: A.id, 2: 3}], "f10": [EPOCH_1.to_cbor(), EPOCH_2.to_cbor()],
        "f11": [{1: key, 2: wrap} for key, wrap in wraps(SECRET_2, 2, ROOT_2, B).items()],
        "f14": {1: 2, 2: head_2().hash},
        "f16": cose.sign(cose.Context.ROOT_HANDOVER, handover, ROOT.sign.public, ROOT.sign.sign),
    }  # fmt: skip
    return changed(second, ROOT_2, **(base | fields))


@cache
def keyring_3() -> Keyring:
    return parse_keyring(keyring_3_bytes(), account=ACCOUNT)


def head_payload(
    version: int, previous: Head | None, keyring: Keyring, device: Dev, log: list[bytes]
) -> dict[int, Any]:
    return {
        1: 1, 2: ACCOUNT, 3: version, 4: previous.hash if previous else None, 5: keyring.version, 6: keyring.hash,
        7: keyring.epoch, 8: device.id, 9: version, 10: stream(f"body {version}"), 11: 400,
        12: merkle.tree_root([merkle.leaf_hash(entry) for entry in log]), 13: DELTA.hash(), 14: TIME + version,
    }  # fmt: skip


DELTA = Delta.of([stream("added"), stream("added too")], [stream("dropped")])


def sign_payload(payload: dict[int, Any], device: Dev) -> bytes:
    return cose.sign(cose.Context.HEAD, cbor.encode(payload), device.sign.public, device.sign.sign)


def head_bytes(payload: dict[int, Any], device: Dev = A, **fields: Any) -> bytes:
    """A head with other fields, honestly signed."""
    mine = dict(payload)
    apply(mine, fields)
    return sign_payload(mine, device)


@cache
def head_1() -> Head:
    return parse_head(sign_payload(head_payload(1, None, keyring_1(), A, []), A), account=ACCOUNT)


def payload_2() -> dict[int, Any]:
    return head_payload(2, head_1(), keyring_2(), B, [head_1().hash])


@cache
def head_2() -> Head:
    """The first head under keyring 2."""
    return parse_head(sign_payload(payload_2(), B), account=ACCOUNT)


def payload_3() -> dict[int, Any]:
    return head_payload(3, head_2(), keyring_3(), B, [head_1().hash, head_2().hash])


@cache
def head_3() -> Head:
    """The first head under keyring 3, on its cut."""
    return parse_head(sign_payload(payload_3(), B), account=ACCOUNT)


def payload_4() -> dict[int, Any]:
    return head_payload(4, head_3(), keyring_3(), B, [head_1().hash, head_2().hash, head_3().hash])


@cache
def head_4() -> Head:
    return parse_head(sign_payload(payload_4(), B), account=ACCOUNT)
