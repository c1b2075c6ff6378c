"""Devices that were never added, or were removed, with a relay that helps them."""

from __future__ import annotations

from nacl.signing import SigningKey

from strongroom_conformance.insider import forged_head, forged_keyring, ghost, peaks_of
from strongroom_conformance.scenario import HEAD, KEYRING, MISFIT, Scene, refusal, scenario
from strongroom_conformance.world import REMOVED, append
from strongroom_protocol.manifest.head import Head, parse_head
from strongroom_protocol.manifest.keyring import Keyring, parse_keyring
from strongroom_protocol.relay_api.messages import HeadResponse, encode_keyrings
from strongroom_protocol.wire import cbor, merkle

APPEND = append("m9")
ONLY_READING = ("GET head", "GET heads", "GET keyring")
REFUSED = refusal(only=ONLY_READING)
KEPT = refusal(only=ONLY_READING, requests=MISFIT, messages=REMOVED)


def _ghost_head(name: str, command: tuple[str, ...], does: str) -> None:
    @scenario(name, 56, does=does, command=command, expected=REFUSED)
    def attack(scene: Scene) -> None:
        heads = scene.heads()
        keyring = scene.world.insider("ally").keyring
        _show(scene, forged_head(heads[-1], keyring, ghost(), _leaves(heads)), heads)


_ghost_head("ghost-head", ("restore",), "a head by a device that nobody added")
_ghost_head("ghost-head-while-writing", APPEND, "a head by a device that nobody added, to a device that writes")


def _ghost_keyring(name: str, *attacks: int, signer: SigningKey | None, command: tuple[str, ...], does: str) -> None:
    @scenario(name, *attacks, does=does, command=command, expected=REFUSED)
    def attack(scene: Scene) -> None:
        heads, old = scene.heads(), scene.world.insider("ally").keyring
        message = forged_keyring(old, ghost(), signer)
        receipt = scene.receipt(message, chain=KEYRING, version=old.version + 1, previous=old.hash)
        _continue(scene, [(message, receipt)])
        named = _named(message, old)
        _show(scene, forged_head(heads[-1], old, ghost(), _leaves(heads), **named), heads)


OWN = SigningKey(bytes([9]) * 32)
_ghost_keyring(
    "ghost-keyring",
    56,
    6,
    signer=None,
    command=("restore",),
    does="a keyring with one device more, signed by that device",
)
_ghost_keyring(
    "ghost-keyring-by-a-root", 56, 5, 6, signer=OWN, command=("restore",),
    does="a keyring with one device more, signed by a root key of the relay's own",
)  # fmt: skip
_ghost_keyring(
    "ghost-keyring-while-writing", 56, 6, signer=OWN, command=APPEND,
    does="the same to a device that writes: nothing may be sealed for the ghost",
)  # fmt: skip


def _substituted(name: str, *attacks: int, does: str, wrap: bool) -> None:
    @scenario(name, *attacks, does=does, stage="behind", expected=refusal(only=ONLY_READING))
    def attack(scene: Scene) -> None:
        chain = [tuple(map(bytes.fromhex, pair)) for pair in scene.history()["keyrings"]]
        last = parse_keyring(chain[-1][0], account=scene.account)
        part = next(iter(last.wraps.values())) if wrap else last.devices[0].kem_key
        found = _bytes_of(part)
        at = chain[-1][0].index(found) + len(found) // 2
        changed = bytearray(chain[-1][0])
        changed[at] ^= 1
        body = encode_keyrings([*((a, b) for a, b in chain[:-1]), (bytes(changed), chain[-1][1])])
        scene.lie("GET keyring", "answer", body=body.hex(), instead=True, times=1)


_substituted("device-key-replaced", 6, wrap=False, does="another public key for a listed device")
_substituted("epoch-wrap-replaced", 5, wrap=True, does="another sealed epoch key for a listed device")


def _removed(name: str, *attacks: int, old: bool, command: tuple[str, ...], does: str) -> None:
    expected = REFUSED if command == APPEND else KEPT

    @scenario(name, *attacks, does=does, stage="removed", command=command, expected=expected)
    def attack(scene: Scene) -> None:
        heads, thief = scene.heads(), scene.world.insider("thief")
        keyring = thief.keyring if old else scene.world.insider("ally").keyring
        _show(scene, forged_head(heads[-1], keyring, thief.keys, _leaves(heads)), heads)


_removed(
    "removed-device-writes",
    61,
    old=False,
    command=("restore",),
    does="a head by a removed device, under the new keyring",
)
_removed(
    "removed-device-writes-as-before", 61, 47, old=True, command=("restore",),
    does="a head by a removed device, under the keyring that still had it",
)  # fmt: skip
_removed(
    "removed-device-writes-to-a-writer", 61, old=False, command=APPEND,
    does="a head by a removed device, to a device that writes",
)  # fmt: skip


@scenario(
    "removed-device-back-dated", 47, does="heads by a removed device from before its removal on, ahead of the newest",
    stage="removed", expected=KEPT,
)  # fmt: skip
def _back_dated(scene: Scene) -> None:
    heads, thief = scene.heads(), scene.world.insider("thief")
    removal = next(place for place, head in enumerate(heads) if head.keyring_version > thief.keyring.version)
    newest = heads[-1].version
    heads = heads[:removal]
    while heads[-1].version <= newest:
        message = forged_head(heads[-1], thief.keyring, thief.keys, _leaves(heads))
        heads.append(parse_head(message, account=scene.account))
    _show(scene, heads[-1].message, heads[:-1], since=newest)


@scenario(
    "removed-device-makes-a-keyring", 61, 56, does="a keyring by a removed device that lists it again", stage="removed",
    expected=KEPT,
)  # fmt: skip
def _lists_itself(scene: Scene) -> None:
    heads, thief, old = scene.heads(), scene.world.insider("thief"), scene.world.insider("ally").keyring
    message = forged_keyring(old, thief.keys)
    receipt = scene.receipt(message, chain=KEYRING, version=old.version + 1, previous=old.hash)
    _continue(scene, [(message, receipt)])
    _show(scene, forged_head(heads[-1], old, thief.keys, _leaves(heads), **_named(message, old)), heads)


def _suppressed(name: str, command: tuple[str, ...], does: str) -> None:
    expected = KEPT if command == ("restore",) else refusal(requests=MISFIT)

    @scenario(name, 62, 36, does=does, stage="removed", command=command, expected=expected)
    def attack(scene: Scene) -> None:
        scene.world.control.ask("reset", name="family")
        scene.lie("GET head", "honest")


_suppressed("removal-suppressed", ("restore",), "the state before a removal, to a device that knows of it")
_suppressed("removal-suppressed-while-writing", APPEND, "the same to a device that writes")


@scenario(
    "removal-suppressed-and-written-on", 62, 61, does="no removal, and a head by the removed device after the newest",
    stage="removed", expected=KEPT,
)  # fmt: skip
def _written_on(scene: Scene) -> None:
    heads, thief = scene.heads(), scene.world.insider("thief")
    chain = [tuple(map(bytes.fromhex, pair)) for pair in scene.history()["keyrings"]][: thief.keyring.version]
    scene.lie("GET keyring", "answer", body=encode_keyrings([(a, b) for a, b in chain]).hex(), instead=True)
    _show(scene, forged_head(heads[-1], thief.keyring, thief.keys, _leaves(heads)), heads)


def _leaves(heads: list[Head]) -> list[bytes]:
    return [head.hash for head in heads]


def _named(message: bytes, old: Keyring) -> dict[str, object]:
    """The fields by which a head names a keyring after `old`."""
    import hashlib

    return {"f5": old.version + 1, "f6": hashlib.sha256(message).digest()}


def _show(scene: Scene, message: bytes, heads: list[Head], *, since: int = 0) -> None:
    """As the newest head after these, with receipt, log and proof as they should be."""
    past, leaves = heads[-1], _leaves(heads)
    receipt = scene.receipt(message, chain=HEAD, version=past.version + 1, previous=past.hash)
    known = (since or past.version) - 1
    proof = tuple(merkle.consistency_proof(min(known, len(leaves)), leaves))
    scene.show(HeadResponse(message, receipt, peaks_of(leaves), proof))


def _continue(scene: Scene, more: list[tuple[bytes, bytes]]) -> None:
    """The keyring chain goes on with these, once."""
    newest = [tuple(map(bytes.fromhex, pair)) for pair in scene.history()["keyrings"]][-1:]
    body = encode_keyrings([*((a, b) for a, b in newest), *more])
    scene.lie("GET keyring", "answer", body=body.hex(), instead=True, times=1)
    scene.lie("GET keyring", "answer", body=cbor.encode([]).hex(), instead=True)


def _bytes_of(value: object) -> bytes:
    """The bytes of a wrap, whatever holds them."""
    if isinstance(value, bytes):
        return value
    return max((part for part in vars(value).values() if isinstance(part, bytes)), key=len)
