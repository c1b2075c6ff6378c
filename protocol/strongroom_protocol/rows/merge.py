"""Merging is a join: rows in any order, any number of times, give one history (spec chapter 10).

A message is its time and its id, and every operation on it carries both. So rows in order of time can be folded
as a stream, one instant after the other, and a window of time can be read alone. What comes out is a function of
the set of rows and of `now_ms`; nothing is decided by the order of arrival.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import groupby
from operator import attrgetter
from typing import Any

from strongroom_protocol.limits import LIMITS, Limits
from strongroom_protocol.rows.clock import ceiling
from strongroom_protocol.rows.detail import AT
from strongroom_protocol.rows.ids import message_id
from strongroom_protocol.rows.model import DeleteKind, Op, Origin, Row
from strongroom_protocol.rows.table import sort_key
from strongroom_protocol.wire import cbor

_by_time = attrgetter("time")


@dataclass(frozen=True, slots=True)
class Message:
    """One message as all its operations leave it."""

    id: str
    time: int  # ms
    versions: tuple[Row, ...]  # the message and its edits, oldest first; none when erased or never seen
    deletion: Row | None
    reactions: tuple[Row, ...]  # those that stand, in the order of (person, emoji)

    @property
    def current(self) -> Row | None:
        """The newest version, or None."""
        return self.versions[-1] if self.versions else None


class Order:
    """The order of operations as seen at `now_ms`: the time of the head whose state is read.

    Every device that reads one head takes the same `now_ms` from it, and so the same order.
    """

    def __init__(self, now_ms: int, *, limits: Limits = LIMITS) -> None:
        self._clock = ceiling(now_ms, limits=limits)
        self._time = now_ms + limits.clock_ahead_ms

    @property
    def latest(self) -> int:
        """The latest time (ms) that counts: a day after that of the head."""
        return self._time

    def operation(self, row: Row) -> Origin:
        """The place of a row: a clock too far ahead counts as the ceiling."""
        origin = row.origin
        if origin.hlc > self._clock:  # spec: MERGE-3
            return origin._replace(hlc=self._clock)
        return origin

    def register(self, row: Row) -> tuple[int, Origin]:
        """The place of a value in its register: when it came about, where that is known, then operation order."""
        happened = row.time if row.op >= Op.CONVERSATION else (row.detail or {}).get(AT, 0)
        return (min(happened, self._time), self.operation(row))  # spec: MERGE-4


def fold(conversation: str, rows: Iterable[Row], order: Order) -> Iterator[Message]:
    """The messages of rows that come in order of time, in conversation order. Memory: one instant's rows.

    Messages of one time come by the sequence of their first version, then by id.
    """
    for time, group in groupby((row for row in rows if row.op <= Op.REACT), _by_time):
        instant = list(group)
        if len(instant) == 1 and instant[0].op == Op.PUT:
            yield Message(message_id(conversation, instant[0]), time, (instant[0],), None, ())
            continue
        about: dict[str, dict[Origin, Row]] = {}
        for row in instant:
            about.setdefault(message_id(conversation, row), {})[row.origin] = row  # spec: MERGE-1
        found = [_message(name, time, list(of.values()), order) for name, of in about.items()]
        shown = [message for message in found if message.versions or message.deletion]
        yield from sorted(shown, key=_place)


def facts(rows: Iterable[Row], op: Op, order: Order) -> list[Row]:
    """The CONVERSATION, MEMBER or SOURCE rows without repetitions, in register order.

    The last one of a subject (there is one conversation; a member is its `sender`) is the one that holds.
    """
    return _distinct((row for row in rows if row.op == op), order.register, _fact)


class History:
    """Rows of one conversation in memory, gathered in any order."""

    def __init__(self, conversation: str, rows: Iterable[Row] = ()) -> None:
        self.conversation = conversation
        self._rows: dict[Origin, Row] = {}
        self.add(rows)

    def add(self, rows: Iterable[Row]) -> None:
        """File rows; one filed before changes nothing."""
        for row in rows:
            self._rows[row.origin] = row

    def join(self, other: History) -> History:
        """A history with the rows of both."""
        return History(self.conversation, (*self._rows.values(), *other._rows.values()))

    def rows(self) -> list[Row]:
        """Every row filed, in frame order."""
        return sorted(self._rows.values(), key=sort_key)

    def messages(self, order: Order) -> list[Message]:
        """The messages, in conversation order."""
        return list(fold(self.conversation, self.rows(), order))

    def facts(self, op: Op, order: Order) -> list[Row]:
        """See `facts`."""
        return facts(self._rows.values(), op, order)


def _place(message: Message) -> tuple[int, str]:
    return (message.versions[0].seq if message.versions else 0, message.id)  # spec: MERGE-5


def _message(name: str, time: int, rows: list[Row], order: Order) -> Message:
    deletions = sorted((row for row in rows if row.op == Op.DELETE), key=order.operation)
    deletion = min(deletions, key=_leniency, default=None)  # spec: MERGE-6
    if deletion is not None and deletion.kind == DeleteKind.ERASE:  # spec: MERGE-7
        return Message(name, time, (), deletion, ())
    versions = _versions([row for row in rows if row.op <= Op.EDIT], order)
    if not versions:
        return Message(name, time, (), deletion, ())
    registers: dict[tuple[str, str], Row] = {}
    for row in sorted((row for row in rows if row.op == Op.REACT), key=order.register):
        registers[row.sender or "", row.text or ""] = row  # spec: MERGE-8
    standing = tuple(row for _, row in sorted(registers.items()) if row.kind)
    return Message(name, time, tuple(versions), deletion, standing)


def _leniency(row: Row) -> bool:
    return row.kind != DeleteKind.ERASE


def _versions(rows: list[Row], order: Order) -> list[Row]:
    """The first PUT in operation order, then what differs from every version before it."""
    puts = [row for row in rows if row.op == Op.PUT]
    if not puts:  # spec: MERGE-9
        return []
    base = min(puts, key=order.operation)  # spec: MERGE-2
    return [base, *_distinct((row for row in rows if row is not base), order.operation, _content, base)]


def _distinct(
    rows: Iterable[Row], place: Callable[[Row], Any], content: Callable[[Row], bytes], *before: Row
) -> list[Row]:
    seen = {content(row) for row in before}
    kept: list[Row] = []
    for row in sorted(rows, key=place):
        key = content(row)
        if key not in seen:  # spec: MERGE-10
            seen.add(key)
            kept.append(row)
    return kept


def _content(row: Row) -> bytes:
    """What makes a version: all but the row's place in the history; an edit of unknown time is like a PUT."""
    detail = dict(row.detail or {})
    if not detail.get(AT):
        detail.pop(AT, None)
    return cbor.encode([row.sender, int(row.kind), row.text, row.raw, int(row.flags), detail])


def _fact(row: Row) -> bytes:
    return cbor.encode([row.time, row.sender, int(row.kind), row.text, row.raw, int(row.flags), row.detail])
