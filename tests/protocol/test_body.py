"""The head's body: engine root, tail, what each device has seen and written (chapter 09)."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from protocol.builders import person, random_bytes, refused
from protocol.test_cbor import by_hand
from strongroom_protocol.engine.body import Body, TailEntry
from strongroom_protocol.engine.refs import Mirrored, ObjectRef
from strongroom_protocol.errors import Failure
from strongroom_protocol.limits import LIMITS

ANN, BOB = person("ann").id, person("bob").id
ROOT, MIRROR = random_bytes("root"), random_bytes("mirror")


def entry(number: int, device: bytes = ANN) -> TailEntry:
    return TailEntry(ObjectRef(random_bytes(f"batch {number}"), 300 + number), device, number, 5)


BODY = Body(
    Mirrored(ObjectRef(ROOT, 500), ObjectRef(MIRROR, 512)), (entry(1), entry(2, BOB), entry(2)),
    {ANN: 3}, {ANN: 2, BOB: 2},
)  # fmt: skip
FIELDS: dict[int, Any] = {
    1: 1,
    2: [[ROOT, 500], [MIRROR, 512]],
    3: [[random_bytes("batch 1"), 301, ANN, 1, 5], [random_bytes("batch 2"), 302, BOB, 2, 5],
        [random_bytes("batch 2"), 302, ANN, 2, 5]],
    4: {ANN: 3},
    5: {ANN: 2, BOB: 2},
}  # fmt: skip


def changed(**other: Any) -> Failure:
    """How the body fails with other values, by number of field."""
    return refused(Body.parse, by_hand({**FIELDS, **{int(key[1:]): value for key, value in other.items()}}))


def test_bodies_come_back_and_are_what_the_chapter_says() -> None:
    assert BODY.encode() == by_hand(FIELDS)
    assert Body.parse(by_hand(FIELDS)) == BODY
    assert Body.parse(Body().encode()) == Body()
    assert Body().encode() == by_hand({1: 1, 2: None, 3: [], 4: {}, 5: {}})


@pytest.mark.spec("BODY-1")
def test_a_body_over_the_limit_is_refused_before_it_is_decoded() -> None:
    assert refused(Body.parse, b"\xff" * (64 * 1024 + 1)) is Failure.LIMIT
    assert refused(Body.parse, by_hand({**FIELDS, 4: {bytes((n >> 8, n & 255)) * 8: 1 for n in range(4000)}})) is (
        Failure.LIMIT
    )
    size = len(BODY.encode())
    assert Body.parse(BODY.encode(), replace(LIMITS, body_bytes=size)) == BODY
    assert refused(Body.parse, BODY.encode(), replace(LIMITS, body_bytes=size - 1)) is Failure.LIMIT


@pytest.mark.spec("BODY-2")
def test_a_batch_is_listed_once() -> None:
    first = FIELDS[3][0]
    assert changed(_3=[first, first]) is Failure.SCHEMA
    # The same origin under another object: two contents for one (device, sequence).
    assert changed(_3=[first, [bytes(32), 900, *first[2:]]]) is Failure.SCHEMA
    assert changed(_3=[*FIELDS[3], [bytes(32), 900, BOB, 2, 1]]) is Failure.SCHEMA


def test_a_full_tail_is_accepted_and_one_batch_more_is_not() -> None:
    full = [list(entry(number).to_cbor()) for number in range(1, 34)]
    assert len(Body.parse(by_hand({**FIELDS, 3: full[:32]})).tail) == 32
    assert changed(_3=full) is Failure.SCHEMA


GOOD = FIELDS[3][0]


@pytest.mark.parametrize(
    ("field", "values"),
    [
        (1, [0, None]),
        (2, [[], [[ROOT, 500]], [[ROOT, 500]] * 3, [ROOT, MIRROR], [[ROOT, 0], [MIRROR, 1]],
             [[ROOT, 2**26 + 1], [MIRROR, 1]], [[b"", 5], [MIRROR, 5]], b"", 0]),
        (3, [None, {}, [GOOD[:4]], [[*GOOD, 0]], [[b"", *GOOD[1:]]], [[GOOD[0], 0, *GOOD[2:]]],
             [[*GOOD[:2], b"", *GOOD[3:]]], [[*GOOD[:3], 0, 5]], [[*GOOD[:3], 2**53, 5]], [[*GOOD[:4], -1]],
             [[*GOOD[:4], 2**32]]]),
        (4, [None, [], {b"": 1}, {ANN: 0}, {ANN: -1}, {ANN: 2**53}, {1: 1}, {"x": 1}]),
        (5, [None, [], {b"": 1}, {ANN: 0}, {ANN: None}, {ANN: 2**53}]),
        (6, [None, 0]),
    ],
)  # fmt: skip
def test_another_shape_is_refused(field: int, values: list[Any]) -> None:
    for value in values:
        assert changed(**{f"_{field}": value}) is Failure.SCHEMA, value


def test_every_field_is_required_and_a_newer_format_asks_for_an_upgrade() -> None:
    for key in FIELDS:
        assert refused(Body.parse, by_hand({k: v for k, v in FIELDS.items() if k != key})) is Failure.SCHEMA
    assert changed(_1=2) is Failure.NEWER_FORMAT
