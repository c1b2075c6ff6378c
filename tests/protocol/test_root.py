"""The engine root: runs and directory (chapter 08)."""

from __future__ import annotations

import itertools
from dataclasses import replace
from typing import Any

import pytest

from protocol.builders import random_bytes, refused
from protocol.test_cbor import by_hand
from strongroom_protocol.engine.refs import Mirrored, ObjectRef
from strongroom_protocol.engine.root import EngineRoot, Run
from strongroom_protocol.errors import Failure
from strongroom_protocol.limits import LIMITS


def ref(label: str, size: int = 400) -> ObjectRef:
    return ObjectRef(random_bytes(label), size)


def run(number: int, level: int = 0) -> Run:
    index = Mirrored(ref(f"top {number}"), ref(f"mirror {number}"))
    return Run(number, level, index, rows=1000, frames=12, size=50_000)


def run_by_hand(number: int, level: int = 0) -> dict[int, Any]:
    index = [[random_bytes(f"top {number}"), 400], [random_bytes(f"mirror {number}"), 400]]
    return {1: number, 2: level, 3: index, 4: 1000, 5: 12, 6: 50_000}


ROOT = EngineRoot((run(9), run(8, 1), run(3, 2)), ref("hot"), 14)
HOT = [random_bytes("hot"), 400]
FIELDS: dict[int, Any] = {1: 1, 2: [run_by_hand(9), run_by_hand(8, 1), run_by_hand(3, 2)], 3: HOT, 4: 14}


def changed(**other: Any) -> Failure:
    return refused(EngineRoot.parse, by_hand({**FIELDS, **{int(key[1:]): value for key, value in other.items()}}))


def run_changed(**other: Any) -> Failure:
    return changed(_2=[{**run_by_hand(9), **{int(key[1:]): value for key, value in other.items()}}])


def test_roots_come_back_and_are_what_the_chapter_says() -> None:
    assert ROOT.encode() == by_hand(FIELDS)
    assert EngineRoot.parse(by_hand(FIELDS)) == ROOT
    assert EngineRoot.parse(EngineRoot().encode()) == EngineRoot()
    assert EngineRoot().encode() == by_hand({1: 1, 2: [], 3: None, 4: 1})


@pytest.mark.spec("ENG-2")
def test_runs_are_listed_once_and_newest_first() -> None:
    for numbers in itertools.product((1, 2, 3), repeat=3):
        listed = by_hand({**FIELDS, 2: [run_by_hand(number) for number in numbers]})
        if numbers == (3, 2, 1):
            assert [found.number for found in EngineRoot.parse(listed).runs] == [3, 2, 1]
        else:
            assert refused(EngineRoot.parse, listed) is Failure.SCHEMA


def test_runs_are_bounded() -> None:
    many = [run_by_hand(number) for number in range(65, 0, -1)]
    assert len(EngineRoot.parse(by_hand({**FIELDS, 2: many[1:]})).runs) == LIMITS.runs == 64
    assert changed(_2=many) is Failure.SCHEMA
    two = replace(LIMITS, runs=2)
    assert refused(EngineRoot.parse, by_hand(FIELDS), two) is Failure.SCHEMA


@pytest.mark.parametrize(
    ("field", "values"),
    [
        (1, [0, None]), (2, [None, {}, [None], [[]]]), (4, [0, None, 2**53]), (5, [None, 0]),
        (3, [[], {}, HOT[:1], [*HOT, 0], [bytes(31), 4], [bytes(32), 0], [None, 4], {1: HOT, 2: []}]),
    ],
)  # fmt: skip
def test_another_shape_is_refused(field: int, values: list[Any]) -> None:
    for value in values:
        assert changed(**{f"_{field}": value}) is Failure.SCHEMA, value


@pytest.mark.parametrize(
    ("field", "values"),
    [
        (1, [0, None, 2**53]), (2, [-1, 17, None]), (3, [None, [], [HOT], [HOT] * 3, HOT, [None, None]]),
        (4, [-1, 2**32]), (5, [-1, 2**32]), (6, [-1, 2**40 + 1, None]), (7, [None, 0]),
    ],
)  # fmt: skip
def test_another_shape_of_a_run_is_refused(field: int, values: list[Any]) -> None:
    for value in values:
        assert run_changed(**{f"_{field}": value}) is Failure.SCHEMA, value


def test_every_field_is_required_and_a_newer_format_asks_for_an_upgrade() -> None:
    for key in FIELDS:
        assert refused(EngineRoot.parse, by_hand({k: v for k, v in FIELDS.items() if k != key})) is Failure.SCHEMA
    for key in range(1, 7):
        short = {k: v for k, v in run_by_hand(9).items() if k != key}
        assert changed(_2=[short]) is Failure.SCHEMA
    assert changed(_1=2) is Failure.NEWER_FORMAT
