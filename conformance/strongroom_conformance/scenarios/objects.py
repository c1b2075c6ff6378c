"""Objects that are not there, not whole, or not those that were asked for."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from strongroom_conformance.client import Outcome
from strongroom_conformance.scenario import (
    INCOMPLETE,
    OK,
    UNTRUSTED,
    After,
    Attack,
    Expected,
    Scene,
    refusal,
    scenario,
)
from strongroom_conformance.world import FAMILY, STORY, append

READING = 10
"""Requests after the lie: the account is small, and read in few rounds."""

DAMAGED = Expected(frozenset({INCOMPLETE}), pin="any", requests=READING, subset=FAMILY, least=len(FAMILY) - 1)
"""What is damaged is left out and named; everything else is there."""

FOUND = Expected(frozenset({UNTRUSTED}), requests=READING)
"""`verify` says so."""

UNREADABLE = Expected(frozenset({INCOMPLETE, UNTRUSTED}), pin="any", requests=READING, subset=FAMILY)
"""Too much is damaged for anything to be promised, but that nothing strange is shown."""

UNSEEN = Expected(frozenset({OK, INCOMPLETE}), pin="any", requests=READING, subset=FAMILY, least=len(FAMILY) - 1)

Change = Callable[[bytes, list[bytes]], bytes | None]
"""What is served for an object: of its bytes, and those of all others."""


def _to_guest(
    name: str, *attacks: int, does: str, expected: Expected, after: After | None = None
) -> Callable[[Attack], Attack]:
    """To `restore`, on a new device that has nothing yet."""
    return scenario(
        name, *attacks, does=does, stage="guest", vault="guest", command=("restore", "--messages"), expected=expected,
        after=after,
    )  # fmt: skip


def _to_verify(name: str, *attacks: int, does: str) -> Callable[[Attack], Attack]:
    """To `verify`, on a device that has everything."""
    return scenario(name, *attacks, does=does, command=("verify",), expected=FOUND)


def _data(scene: Scene) -> dict[str, bytes]:
    """All objects but bodies, by name."""
    bodies = {head.body.hex() for head in scene.heads()}
    return {name: data for name, data in sorted(scene.objects().items()) if name not in bodies}


def _serve(scene: Scene, instead: Mapping[str, bytes | None]) -> None:
    newest = scene.heads()[-1].body.hex()
    given = {name: None if data is None else data.hex() for name, data in instead.items()}
    scene.lie("*", "objects", objects=given, body=newest)


def _one(change: Change) -> Attack:
    """One object of messages is another."""

    def attack(scene: Scene) -> None:
        (chosen, data), *others = sorted(_data(scene).items())
        _serve(scene, {chosen: change(data, [other for _, other in others])})

    return attack


def _flipped(at: int) -> Attack:
    def change(data: bytes, others: list[bytes]) -> bytes:
        changed = bytearray(data)
        changed[at] ^= 1
        return bytes(changed)

    return _one(change)


def _offline(scene: Scene, outcome: Outcome) -> list[str]:
    shown = scene.world.must("status", "--messages", vault="guest").said.get("messages", [])
    if len(shown) < DAMAGED.least:
        return [f"shows {len(shown)} of {len(FAMILY)} messages without the network, of which one was missing"]
    return []


WITHHELD = _one(lambda data, others: None)
SWAPPED = _one(lambda data, others: others[0])
_to_guest("object-withheld", 43, does="one object is not there", expected=DAMAGED)(WITHHELD)
_to_guest(
    "object-withheld-then-offline", 43, does="one object is not there; then the network is gone", expected=DAMAGED,
    after=_offline,
)(WITHHELD)  # fmt: skip
_to_verify("object-withheld-from-verify", 43, 44, does="one object is not there")(WITHHELD)
_to_guest("object-version-bit", 18, 30, does="a bit in an object's first byte", expected=DAMAGED)(_flipped(0))
_to_guest("object-header-bit", 18, does="a bit in an object's header", expected=DAMAGED)(_flipped(20))
_to_guest("object-bit", 18, does="a bit in the middle of an object", expected=DAMAGED)(_flipped(150))
_to_guest("object-last-bit", 18, does="a bit in an object's last byte", expected=DAMAGED)(_flipped(-1))
_to_verify("object-bit-in-verify", 18, does="a bit in an object")(_flipped(100))
_to_guest("object-truncated", 19, does="an object without its last byte", expected=DAMAGED)(
    _one(lambda data, others: data[:-1])
)
_to_guest("object-halved", 19, does="half of an object", expected=DAMAGED)(
    _one(lambda data, others: data[: len(data) // 2])
)
_to_guest("object-empty", 19, does="nothing of an object", expected=DAMAGED)(_one(lambda data, others: b""))
_to_guest(
    "object-extended", 19, does="an object and one more byte, which a reader of ranges never sees", expected=UNSEEN
)(_one(lambda data, others: data + b"\0"))
_to_guest("object-swapped", 21, does="another object's bytes", expected=DAMAGED)(SWAPPED)
_to_verify("object-swapped-in-verify", 21, does="another object's bytes")(SWAPPED)


@_to_guest("objects-rotated", 21, does="every object's bytes under another one's name", expected=UNREADABLE)
def _rotated(scene: Scene) -> None:
    found = _data(scene)
    names = sorted(found)
    _serve(scene, {name: found[names[place - 1]] for place, name in enumerate(names)})


@_to_guest("objects-withheld", 43, does="none of the objects of messages is there", expected=UNREADABLE)
def _none(scene: Scene) -> None:
    _serve(scene, dict.fromkeys(_data(scene)))


@_to_guest("body-withheld", 43, does="the newest head without its body", expected=UNREADABLE)
def _no_body(scene: Scene) -> None:
    _serve(scene, {scene.heads()[-1].body.hex(): None})


@_to_guest("body-of-another-version", 37, does="an earlier body under the newest head", expected=UNREADABLE)
def _old_body(scene: Scene) -> None:
    heads = scene.heads()
    _serve(scene, {heads[-1].body.hex(): scene.objects()[heads[-2].body.hex()]})


@_to_guest("object-as-body", 22, does="an object of messages as the newest body", expected=UNREADABLE)
def _object_as_body(scene: Scene) -> None:
    _serve(scene, {scene.heads()[-1].body.hex(): next(iter(_data(scene).values()))})


@_to_guest("body-as-object", 22, does="the newest body as an object of messages", expected=DAMAGED)
def _body_as_object(scene: Scene) -> None:
    _serve(scene, {next(iter(_data(scene))): scene.objects()[scene.heads()[-1].body.hex()]})


@_to_verify("acknowledged-and-dropped", 44, does="it takes a commit and keeps nothing of it")
def _dropped(scene: Scene) -> None:
    before = set(scene.objects())
    scene.world.must(*append("m4"), text="dropped")
    scene.world.remember()
    _serve(scene, dict.fromkeys(set(_data(scene)) - before))


def _pieces(name: str, how: str, does: str) -> None:
    expected = Expected(frozenset({INCOMPLETE, UNTRUSTED}), pin="any", requests=READING, subset=FAMILY)
    _to_guest(name, 52, 92, does=does, expected=expected)(
        lambda scene: scene.lie("POST objects/read", "pieces", how=how)
    )


_pieces("pieces-none", "none", "an answer to a read with nothing in it")
_pieces("pieces-more", "more", "one piece more than asked for")
_pieces("pieces-longer", "longer", "every piece one byte longer than asked for")

LEFT = [message for message in FAMILY if message != STORY[1]]


@scenario(
    "deleted-served-again", 51, 36, does="the state before a deletion", stage="deleted",
    expected=refusal(messages=LEFT),
)  # fmt: skip
def _resurrected(scene: Scene) -> None:
    scene.world.control.ask("reset", name="family")
    scene.lie("GET head", "honest")


@scenario(
    "deleted-written-again", 51, does="nothing; another device writes the deleted message once more", stage="deleted",
    expected=Expected(frozenset({OK}), pin="any", requests=READING, messages=LEFT),
)  # fmt: skip
def _replayed(scene: Scene) -> None:
    scene.world.another(STORY[1])
    scene.lie("GET head", "honest")
