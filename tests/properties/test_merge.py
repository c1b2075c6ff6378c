"""Merging is a join (chapter 10): no order, grouping or repetition of rows changes the history."""

from __future__ import annotations

from itertools import permutations
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from strongroom_protocol.limits import LIMITS
from strongroom_protocol.rows.clock import ceiling, tick
from strongroom_protocol.rows.merge import History, Message, Order, facts, fold
from strongroom_protocol.rows.model import HLC_MAX, DeleteKind, Op, Origin, Row

CHAT = "chat"
NOW = 1_700_000_000_000
TIME = 1_600_000_000_000
ORDER = Order(NOW)
DAY = 24 * 3600 * 1000


def at(number: int, device: int = 0, ms: int = NOW) -> Origin:
    return Origin(ms << 16, bytes((device,)) * 16, 1, number)


def put(text: str, number: int, **columns: Any) -> Row:
    return Row(Op.PUT, TIME, 0, "m", "ann", text=text, origin=at(number))._replace(**columns)


def edit(text: str, number: int, **columns: Any) -> Row:
    return put(text, number, op=Op.EDIT, detail={1: NOW + number}, **columns)


def delete(kind: DeleteKind, number: int) -> Row:
    return Row(Op.DELETE, TIME, 0, "m", kind=kind, origin=at(number))


def react(emoji: str, kind: int, number: int, *, when: int | None = None, person: str = "bob") -> Row:
    detail = None if when is None else {1: when}
    return Row(Op.REACT, TIME, 0, "m", person, kind, emoji, detail=detail, origin=at(number))


def only(rows: list[Row], order: Order = ORDER) -> Message:
    """The one message of rows, the same whatever their order of arrival."""
    found = [History(CHAT, some).messages(order) for some in permutations(rows[:5])] or [[]]
    assert all(messages == found[0] for messages in found)
    (message,) = History(CHAT, rows).messages(order)
    return message


def texts(message: Message) -> list[str | None]:
    return [row.text for row in message.versions]


@st.composite
def histories(draw: st.DrawFn) -> list[Row]:
    """Rows of a few messages by a few devices, origins distinct."""
    rows = []
    for number in range(draw(st.integers(0, 12))):
        op = draw(st.sampled_from((Op.PUT, Op.PUT, Op.EDIT, Op.DELETE, Op.REACT, Op.CONVERSATION, Op.MEMBER)))
        rows.append(
            Row(
                op,
                TIME + draw(st.integers(0, 2)),
                draw(st.integers(0, 1)) if op == Op.PUT else 0,
                draw(st.sampled_from(("m", "n"))) if op != Op.PUT or draw(st.booleans()) else None,
                draw(st.sampled_from((None, "ann", "bob"))),
                draw(st.integers(0, 1)),
                draw(st.sampled_from(("a", "b", "👍"))),
                detail={1: draw(st.sampled_from((0, NOW, NOW + 9 * DAY)))} if op in (Op.EDIT, Op.REACT) else None,
                origin=Origin(
                    draw(st.sampled_from((NOW, NOW + 1, NOW + 2 * DAY, NOW + 3 * DAY))) << 16,
                    bytes((draw(st.integers(0, 1)),)) * 16,
                    1,
                    number,
                ),
            )
        )
    return rows


def everything(history: History) -> object:
    return history.messages(ORDER), [history.facts(op, ORDER) for op in (Op.CONVERSATION, Op.MEMBER)]


@given(histories(), st.randoms(use_true_random=False))
@settings(max_examples=150, deadline=None)
def test_merging_is_commutative_and_idempotent(rows: list[Row], rng: object) -> None:
    other = [*rows, *rows[::2]]
    rng.shuffle(other)  # type: ignore[attr-defined]
    assert everything(History(CHAT, rows)) == everything(History(CHAT, other))


@given(histories(), st.integers(0, 12), st.integers(0, 12))
@settings(max_examples=150, deadline=None)
def test_merging_is_associative(rows: list[Row], first: int, second: int) -> None:
    low, high = sorted((first, second))
    a, b, c = (History(CHAT, part) for part in (rows[:low], rows[low:high], rows[high:]))
    assert everything(a.join(b).join(c)) == everything(a.join(b.join(c))) == everything(History(CHAT, rows))
    assert everything(a.join(a)) == everything(a)


@given(histories())
@settings(max_examples=100, deadline=None)
def test_folding_a_window_gives_the_messages_of_that_window(rows: list[Row]) -> None:
    history = History(CHAT, rows)
    window = [row for row in history.rows() if row.time == TIME + 1]
    assert list(fold(CHAT, window, ORDER)) == [m for m in history.messages(ORDER) if m.time == TIME + 1]


@given(histories())
@settings(max_examples=100, deadline=None)
def test_importing_again_what_was_merged_changes_nothing_that_shows(rows: list[Row]) -> None:
    history = History(CHAT, rows)
    # An export hands versions over in the order in which they show, and an import stamps them in that order.
    shown = sorted(history.rows(), key=ORDER.operation)
    later = [row._replace(origin=at(1000 + place, 9, NOW + 5)) for place, row in enumerate(shown)]
    puts = [row for row in later if row.op == Op.PUT]
    again = history.join(History(CHAT, puts))
    assert [texts(message) for message in again.messages(ORDER)] == [
        texts(message) for message in history.messages(ORDER)
    ]


@pytest.mark.spec("MERGE-1")
def test_a_row_that_comes_twice_counts_once() -> None:
    rows = [put("a", 1), put("a", 1), edit("b", 2), edit("b", 2)]
    assert list(fold(CHAT, rows, ORDER)) == list(fold(CHAT, rows[::2], ORDER))
    derived = [put("a", 1, id=None), put("a", 2, id=None, ordinal=1)]
    assert len(History(CHAT, derived).messages(ORDER)) == 2
    assert len(History(CHAT, [put("a", 1), put("a", 2, time=TIME + 1)]).messages(ORDER)) == 2


@pytest.mark.spec("MERGE-2")
def test_the_first_put_in_operation_order_is_the_message() -> None:
    assert texts(only([put("late", 2), put("early", 1)])) == ["early", "late"]
    by_device = [put("b", 1, origin=at(1, device=2)), put("a", 1, origin=at(1, device=1))]
    assert texts(only(by_device)) == ["a", "b"]


@pytest.mark.spec("MERGE-3")
def test_a_clock_a_year_ahead_counts_as_a_day_ahead() -> None:
    far = edit("far", 1, origin=at(1, device=1, ms=NOW + 365 * DAY))
    near = edit("near", 2, origin=at(2, device=2, ms=NOW + 2 * DAY))
    honest = edit("honest", 3, origin=at(3))
    # Both far clocks count as the same instant: the device decides between them.
    assert texts(only([put("a", 0), far, near, honest])) == ["a", "honest", "far", "near"]
    later = Order(NOW + 400 * DAY)
    assert texts(only([put("a", 0), far, near, honest], later)) == ["a", "honest", "near", "far"]


@pytest.mark.spec("MERGE-4")
def test_a_register_goes_by_when_it_came_about_then_by_operation_order() -> None:
    live_removal = react("👍", 0, 1, when=NOW)
    old_import = react("👍", 1, 2)
    assert only([put("a", 0), live_removal, old_import]).reactions == ()
    assert only([put("a", 0), react("👍", 0, 1), old_import]).reactions == (old_import,)
    far = react("👍", 0, 3, when=NOW + 900 * DAY)
    also_far = react("👍", 1, 4, when=NOW + 800 * DAY)
    assert only([put("a", 0), far, also_far]).reactions == (also_far,)


@pytest.mark.spec("MERGE-5")
def test_messages_of_one_time_go_by_sequence_then_id() -> None:
    rows = [put("a", 1, id="z", seq=1), put("b", 2, id="b", seq=2), put("c", 3, id="a", seq=2)]
    assert [message.id for message in History(CHAT, rows).messages(ORDER)] == ["z", "a", "b"]


@pytest.mark.spec("MERGE-6")
def test_of_several_tombstones_an_erasure_counts_first_then_the_earliest() -> None:
    recalled, removed = delete(DeleteKind.BY_SENDER, 2), delete(DeleteKind.BY_ADMIN, 1)
    assert only([put("a", 0), recalled, removed]).deletion == removed
    erased = delete(DeleteKind.ERASE, 3)
    assert only([put("a", 0), recalled, removed, erased]).deletion == erased


@pytest.mark.spec("MERGE-7")
def test_an_erasure_outranks_every_edit_whenever_they_arrive() -> None:
    erased = delete(DeleteKind.ERASE, 1)
    message = only([put("a", 0), erased, edit("later", 9), react("👍", 1, 10)])
    assert (message.versions, message.deletion, message.reactions) == ((), erased, ())
    assert only([erased]) == message
    assert texts(only([put("a", 5), delete(DeleteKind.BY_SENDER, 1)])) == ["a"]


@pytest.mark.spec("MERGE-8")
def test_a_reaction_is_a_register_of_person_and_emoji() -> None:
    rows = [put("a", 0), react("👍", 1, 1), react("👍", 0, 2), react("👍", 1, 3), react("❤", 1, 4)]
    standing = only(rows).reactions
    assert [(row.sender, row.text) for row in standing] == [("bob", "❤"), ("bob", "👍")]
    assert standing[1] == rows[3]
    others = [put("a", 0), react("👍", 1, 1), react("👍", 1, 2, person="eve"), react("👍", 0, 3)]
    assert only(others).reactions == (others[2],)


@pytest.mark.spec("MERGE-9")
def test_edits_and_reactions_wait_for_their_message() -> None:
    waiting = [edit("b", 1), react("👍", 1, 2)]
    assert History(CHAT, waiting).messages(ORDER) == []
    assert texts(only([*waiting, put("a", 3)])) == ["a", "b"]
    recalled = delete(DeleteKind.BY_SENDER, 4)
    assert only([recalled]).current is None


@pytest.mark.spec("MERGE-10")
def test_a_version_that_was_there_before_adds_nothing() -> None:
    assert texts(only([put("a", 1), put("b", 2), put("a", 3)])) == ["a", "b"]
    back = [put("a", 1), edit("b", 2), edit("a", 3)]
    assert texts(only(back)) == ["a", "b", "a"]
    titles = [Row(Op.CONVERSATION, 5, text=text, origin=at(place)) for place, text in enumerate("ABA")]
    assert [row.text for row in facts(titles, Op.CONVERSATION, ORDER)] == ["A", "B"]
    renamed = [Row(Op.CONVERSATION, time, text=text, origin=at(time)) for time, text in ((9, "new"), (3, "old"))]
    assert [row.text for row in facts(renamed, Op.CONVERSATION, ORDER)] == ["old", "new"]


@pytest.mark.spec("MERGE-11")
def test_a_clock_far_ahead_drags_nobody_along() -> None:
    assert tick((NOW + 365 * DAY) << 16, NOW) == ceiling(NOW) + 1
    assert ceiling(NOW) == ((NOW + LIMITS.clock_ahead_ms) << 16) + 0xFFFF


@pytest.mark.spec("MERGE-12")
def test_clocks_rise() -> None:
    assert tick(0, NOW) == NOW << 16
    assert tick(NOW << 16, NOW) == (NOW << 16) + 1
    assert tick(NOW << 16, NOW - 5000) == (NOW << 16) + 1
    assert tick(NOW << 16, NOW + 1) == (NOW + 1) << 16
    assert tick(HLC_MAX, 2**48) == HLC_MAX
