"""Taking what was erased out of rows that are written anew (spec chapters 08 and 10).

A message with a tombstone of kind ERASE keeps that tombstone and loses every other row. The tombstone stays for good:
it is what keeps an old export, imported again, from bringing the message back.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from strongroom_protocol.rows.ids import message_id
from strongroom_protocol.rows.model import DeleteKind, Op, Row
from strongroom_protocol.rows.table import Frame

Message = tuple[int, str]
"""A message: its time and id."""


@dataclass(slots=True)
class Erasures:
    """The erasing tombstones of one conversation, of whatever frames were shown to it."""

    rows: dict[Message, list[Row]] = field(default_factory=dict)

    def learn(self, frame: Frame) -> list[Message]:
        """Take up the tombstones of a frame; the messages they erase."""
        found = []
        for place, op in enumerate(frame.op):
            if op == Op.DELETE and frame.kind[place] == DeleteKind.ERASE:
                row = frame.row(place)
                message = (row.time, message_id(frame.conversation, row))
                self.rows.setdefault(message, []).append(row)
                found.append(message)
        return found

    def times(self) -> list[int]:
        """The times of erased messages, each once, in order."""
        return sorted({time for time, _ in self.rows})

    def covers(self, conversation: str, row: Row) -> bool:
        """Whether a row, other than a tombstone, is about an erased message."""
        if row.op > Op.REACT or _is_tombstone(row):
            return False
        return (row.time, message_id(conversation, row)) in self.rows

    def hit(self, frame: Frame) -> set[Message]:
        """The erased messages of which the frame holds more than tombstones."""
        return {message for message, row in self._about(frame) if not _is_tombstone(row)}

    def kept(self, frame: Frame, *, without: Iterable[Message] = (), more: Iterable[Message] = ()) -> Frame | None:
        """The rows of a frame that stay, in frame order; None when there are none.

        The tombstones of `without` go to another frame; those of `more` come to this one.
        """
        away, here = set(without), set(more)
        about = {row.origin: message for message, row in self._about(frame)}
        rows = []
        for row in frame.rows():
            message = about.get(row.origin)
            if message is None or (_is_tombstone(row) and message not in away | here and self._wins(message, row)):
                rows.append(row)
        rows += [row for message in sorted(here) for row in self.winners(message)]
        return Frame.from_rows(frame.conversation, rows).sorted() if rows else None

    def winners(self, message: Message) -> list[Row]:
        """The tombstones of a message that some reader can show.

        That is the lowest in the order of operations (chapter 10), which for clocks far ahead depends on when one
        reads: below the ceiling the lowest origin counts; where the clocks of all are over it, the lowest device,
        batch and position. These are one row unless two devices erased the same message.
        """
        rows = self.rows[message]
        first = min(rows, key=lambda row: row.origin)
        other = min(rows, key=lambda row: row.origin[1:])
        return [first] if first.origin == other.origin else [first, other]

    def _wins(self, message: Message, row: Row) -> bool:
        return any(row.origin == winner.origin for winner in self.winners(message))

    def _about(self, frame: Frame) -> Iterable[tuple[Message, Row]]:
        times = set(self.times())
        for place, op in enumerate(frame.op):
            if op <= Op.REACT and frame.time[place] in times:
                row = frame.row(place)
                message = (row.time, message_id(frame.conversation, row))
                if message in self.rows:
                    yield message, row


def _is_tombstone(row: Row) -> bool:
    return row.op == Op.DELETE and row.kind == DeleteKind.ERASE
