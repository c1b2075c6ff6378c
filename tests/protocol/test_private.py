"""The sealed part of a keyring: device names and key events (chapter 04)."""

from __future__ import annotations

from typing import Any

import pytest

from protocol.builders import ACCOUNT, OTHER_ACCOUNT, WRITER, epoch_keys, opening, person, refused, sealed
from protocol.test_cbor import by_hand
from strongroom_protocol.errors import Failure
from strongroom_protocol.keys.private import EVENTS, KeyEvent, KeyringPrivate
from strongroom_protocol.seal.objects import ObjectType

ANN, BOB = person("ann").id, person("bob").id
ADDED = KeyEvent(1, 1000, "device added", ANN)


def private() -> KeyringPrivate:
    made = KeyringPrivate(slots={bytes(32): "paper in the safe"}).with_events(ADDED, names={ANN: "Ann's laptop"})
    made = made.with_events(KeyEvent(2, 2000, "device added", BOB), names={BOB: "电话"})
    return made.with_events(KeyEvent(3, 3000, "recovery code made", None))


def seal(made: KeyringPrivate, epoch: int = 1) -> bytes:
    return made.seal(epoch_keys(epoch), writer=WRITER, sequence=1, randomness=bytes(32))


def opened(content: Any) -> Failure:
    _, data = sealed(by_hand(content), ObjectType.KEYRING_PRIVATE)
    return refused(KeyringPrivate.open, data, opening(), ACCOUNT)


def test_names_and_events_come_back() -> None:
    made = private()
    assert KeyringPrivate.open(seal(made), opening(), ACCOUNT) == made
    assert dict(made.names) == {ANN: "Ann's laptop", BOB: "电话"}
    assert [event.version for event in made.events] == [1, 2, 3]
    assert KeyringPrivate.open(seal(KeyringPrivate()), opening(), ACCOUNT) == KeyringPrivate()


def test_adding_changes_a_copy() -> None:
    made = KeyringPrivate()
    made.with_events(ADDED, names={ANN: "x"})
    assert made == KeyringPrivate()


def test_names_are_not_in_clear_and_do_not_show_in_the_size() -> None:
    assert b"laptop" not in seal(private())
    names = ["a", "a much longer name of a device"]
    assert len({len(seal(KeyringPrivate().with_events(ADDED, names={ANN: name}))) for name in names}) == 1


def test_what_is_kept_is_bounded() -> None:
    full = KeyringPrivate(events=(KeyEvent(1, 1, "x", None),) * EVENTS)
    made = full.with_events(KeyEvent(9, 9, "new", BOB), names={BOB: "x" * 500})
    assert len(made.events) == EVENTS
    assert made.events[-1].what == "new"
    assert KeyringPrivate.open(seal(made), opening(), ACCOUNT).names[BOB] == "x" * 128


@pytest.mark.parametrize("name", ["电" * 128, "🔑" * 200, "é" * 128])
def test_a_long_name_of_any_script_can_be_opened_again(name: str) -> None:
    made = KeyringPrivate().with_events(ADDED, names={ANN: name})
    assert KeyringPrivate.open(seal(made), opening(), ACCOUNT) == made
    assert name.startswith(made.names[ANN])


def test_only_the_epochs_readers_of_this_account_open_it() -> None:
    data = seal(private(), 2)
    assert refused(KeyringPrivate.open, data, opening(1), ACCOUNT) is Failure.EPOCH
    assert refused(KeyringPrivate.open, data, opening(2), OTHER_ACCOUNT) is Failure.EPOCH
    _, other = sealed(by_hand({1: 1, 2: {}, 3: [], 4: {}}), ObjectType.BODY)
    assert refused(KeyringPrivate.open, other, opening(), ACCOUNT) is Failure.CONTEXT
    assert refused(KeyringPrivate.open, b"", opening(), ACCOUNT) is Failure.CONTEXT


EMPTY: dict[int, Any] = {1: 1, 2: {}, 3: [], 4: {}}
EVENT = {1: 1, 2: 1000, 3: "device added", 4: ANN}


@pytest.mark.parametrize(
    "content",
    [
        [], {**EMPTY, 1: 0}, {**EMPTY, 2: []}, {**EMPTY, 2: {b"": "x"}}, {**EMPTY, 2: {ANN: b"x"}},
        {**EMPTY, 2: {ANN: "x" * 129}}, {**EMPTY, 3: {}}, {**EMPTY, 5: 0}, {1: 1, 2: {}, 4: {}}, {1: 1, 2: {}, 3: []},
        {**EMPTY, 3: [EVENT] * (EVENTS + 1)}, {**EMPTY, 3: [{**EVENT, 1: 0}]}, {**EMPTY, 3: [{**EVENT, 2: -1}]},
        {**EMPTY, 3: [{**EVENT, 3: ""}]}, {**EMPTY, 3: [{**EVENT, 3: "x" * 65}]}, {**EMPTY, 3: [None]},
        {**EMPTY, 3: [{**EVENT, 4: b""}]}, {**EMPTY, 3: [{**EVENT, 5: 0}]}, {**EMPTY, 3: [{1: 1}]},
        {**EMPTY, 4: []}, {**EMPTY, 4: {ANN: "x"}}, {**EMPTY, 4: {bytes(32): "x" * 65}},
    ],
)  # fmt: skip
def test_another_shape_is_refused(content: Any) -> None:
    assert opened(content) is Failure.SCHEMA


def test_a_newer_format_asks_for_an_upgrade() -> None:
    assert opened({**EMPTY, 1: 2}) is Failure.NEWER_FORMAT


def test_many_changes_of_keys_never_outgrow_a_keyring() -> None:
    """5,000 devices with the longest names come and go: the newest events and the names of those listed are kept."""
    made, listed = KeyringPrivate(), [bytes((0, 1, n)) + bytes(13) for n in range(64)]
    for ident in listed:
        made = made.with_events(KeyEvent(1, 1, "device added", ident), names={ident: "x" * 200}, listed=listed)
    for number in range(5_000):
        ident = number.to_bytes(16, "big")
        event = KeyEvent(2 + number, number, "w" * 64, ident)
        made = made.with_events(event, names={ident: "y" * 200}, listed=listed)
        if number % 500 == 499:
            assert len(seal(made)) <= 64 * 1024
            assert made.events[-1] == event
            assert len(made.events) > 100
            assert {made.names[ident] for ident in listed} == {"x" * 128}
    assert KeyringPrivate.open(seal(made), opening(), ACCOUNT) == made
