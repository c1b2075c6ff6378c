"""Forgetting: what FORGET rows say, and what is left of frames (spec chapter 10)."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from strongroom_protocol.errors import Failure, UntrustedDataError
from strongroom_protocol.rows.detail import ATTACHMENTS, check_row
from strongroom_protocol.rows.forget import Forgotten, Mark, marks_of, pruned
from strongroom_protocol.rows.model import Detail, Op, Origin, Row
from strongroom_protocol.rows.table import Frame, sort_key

LATEST = 1_000
MARKS = st.lists(st.tuples(st.integers(0, 2), st.integers(0, LATEST + 3)), max_size=6)


def forget(mark: Mark, place: int = 0, *, clock: int | None = None) -> Row:
    """A FORGET row; its clock is that of its time, unless given (ms)."""
    kind, time = mark
    origin = Origin((time if clock is None else clock) << 16, bytes(16), 1, place)
    return Row(Op.FORGET, time, kind=kind, origin=origin)


def frame(*rows: Row) -> Frame:
    return Frame.from_rows("chat", sorted(rows, key=sort_key))


@pytest.mark.spec("FORGET-1")
def test_attack_a_device_cannot_hide_what_is_still_to_be_written() -> None:
    assert marks_of(frame(forget((2, 2**48 - 1), clock=700))) == ((2, 700),)
    assert marks_of(frame(forget((0, 5), clock=700))) == ((0, 5),)
    assert marks_of(frame(Row(Op.PUT, 9))) == ()


@pytest.mark.spec("FORGET-2")
def test_what_lies_ahead_of_the_head_counts_for_nothing() -> None:
    assert Forgotten.of([(0, LATEST + 1), (0, 3)], LATEST) == Forgotten(3, 3, -1)
    assert Forgotten.of([(2, LATEST)], LATEST) == Forgotten(LATEST, LATEST, LATEST)


@pytest.mark.spec("FORGET-3")
def test_rows_up_to_the_time_are_hidden_and_no_others() -> None:
    rows = [Row(op, time) for op in Op if op != Op.FORGET for time in (4, 5, 6)]
    every = frame(*rows, forget((0, 5)), forget((1, 9)))
    left = Forgotten.of([(0, 5)], LATEST).shown(every)
    assert left is not None
    assert sorted(zip(left.op, left.time, strict=True)) == sorted(
        (row.op, row.time) for row in rows if row.op > Op.REACT or row.time == 6
    )
    left = Forgotten.of([(2, 5)], LATEST).shown(every)
    assert left is not None
    assert set(left.time) == {6}
    assert Forgotten.of([(2, 9)], LATEST).shown(every) is None


def attached(name: str) -> Detail:
    return {ATTACHMENTS: [{4: name, 1: b"hash", 22: b"descriptor"}, {4: "elsewhere", 7: "expired"}]}


@pytest.mark.spec("FORGET-4")
def test_bytes_of_files_go_and_the_message_says_so() -> None:
    rows = [
        Row(Op.PUT, 5, text="old", detail=attached("a") | {9_999: {22: b"of a newer version"}}),
        Row(Op.EDIT, 5, id="x", text="edited", detail=attached("b") | {1: 6}),
        Row(Op.PUT, 6, text="new", detail=attached("c")),
    ]
    left = Forgotten.of([(1, 5)], LATEST).shown(frame(*rows))
    assert left is not None
    gone: list[Detail] = [{4: "a", 1: b"hash", 7: "removed"}, {4: "elsewhere", 7: "expired"}]
    assert left.detail[0] == {ATTACHMENTS: gone, 9_999: {}}
    assert left.detail[1] == {ATTACHMENTS: [gone[0] | {4: "b"}, gone[1]], 1: 6}
    assert left.detail[2] == attached("c")
    assert left.text == ["old", "edited", "new"]
    assert Forgotten.of([(1, 5)], LATEST).touches(frame(*rows))
    assert not Forgotten.of([(1, 5)], LATEST).touches(left)


@pytest.mark.spec("FORGET-6")
@given(MARKS, st.integers(0, 6))
def test_what_a_merge_keeps_says_the_same_at_any_time(marks: list[Mark], cut: int) -> None:
    """Whatever frames the rows lie in, and whatever was merged before."""
    rows = [forget(mark, place) for place, mark in enumerate(marks)]
    parts = [frame(*part) for part in (rows[:cut], rows[cut:]) if part]
    kept: list[Mark] = []
    for part in parts:
        left = Forgotten.of(marks, LATEST).kept(part, marks, LATEST)
        kept += [] if left is None else marks_of(left)
    for latest in (0, LATEST, LATEST + 1, LATEST + 3):
        if latest >= LATEST:
            assert Forgotten.of(kept, latest) == Forgotten.of(marks, latest)
    assert set(kept) == {*pruned(marks, LATEST)}
    assert pruned(pruned(marks, LATEST), LATEST) == pruned(marks, LATEST)


@given(MARKS, MARKS)
def test_forgetting_is_a_join(one: list[Mark], other: list[Mark]) -> None:
    both = Forgotten.of([*one, *other], LATEST)
    assert both == Forgotten.of([*pruned(one, LATEST), *pruned(other, LATEST)][::-1], LATEST)
    first, second = Forgotten.of(one, LATEST), Forgotten.of(other, LATEST)
    assert both == Forgotten(
        *map(max, (first.messages, first.files, first.facts), (second.messages, second.files, second.facts))
    )


@pytest.mark.spec("OP-4")
def test_a_kind_of_forgetting_that_is_not_known_is_refused() -> None:
    check_row(Row(Op.FORGET, 1, kind=2))
    with pytest.raises(UntrustedDataError) as caught:
        check_row(Row(Op.FORGET, 1, kind=3))
    assert caught.value.failure is Failure.SCHEMA
