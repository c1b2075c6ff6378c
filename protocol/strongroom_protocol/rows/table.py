"""A frame in memory: the rows of one conversation as one list per column (spec chapter 07)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, fields
from itertools import compress, count
from operator import eq, le

from strongroom_protocol.errors import InvalidArgument
from strongroom_protocol.rows.model import UNSTAMPED, Detail, Origin, Row


@dataclass(slots=True)
class Frame:
    """Rows of one conversation; every list has one entry per row. Times in ms, see `model.Row`."""

    conversation: str
    op: list[int]
    time: list[int]
    seq: list[int]
    id: list[str | None]
    sender: list[str | None]
    kind: list[int]
    text: list[str | None]
    raw: list[bytes | None]
    flags: list[int]
    ordinal: list[int]
    detail: list[Detail | None]
    hlc: list[int]
    device: list[bytes]
    batch: list[int]
    index: list[int]

    @classmethod
    def from_rows(cls, conversation: str, rows: Sequence[Row]) -> Frame:
        """A frame of at least one row, in the order given. Raises InvalidArgument when there is none."""
        if not rows:
            raise InvalidArgument("a frame has at least one row")
        *columns, origins = (list(column) for column in zip(*rows, strict=True))
        return cls(conversation, *columns, *(list(column) for column in zip(*origins, strict=True)))

    def __len__(self) -> int:
        return len(self.op)

    def row(self, index: int) -> Row:
        """One row."""
        return Row(
            self.op[index],
            self.time[index],
            self.seq[index],
            self.id[index],
            self.sender[index],
            self.kind[index],
            self.text[index],
            self.raw[index],
            self.flags[index],
            self.ordinal[index],
            self.detail[index],
            Origin(self.hlc[index], self.device[index], self.batch[index], self.index[index]),
        )

    def rows(self) -> Iterator[Row]:
        """All rows, in order."""
        origins = map(Origin, self.hlc, self.device, self.batch, self.index)
        return map(
            Row,
            self.op,
            self.time,
            self.seq,
            self.id,
            self.sender,
            self.kind,
            self.text,
            self.raw,
            self.flags,
            self.ordinal,
            self.detail,
            origins,
        )

    def stamp(self, hlc: int, device: bytes, batch: int, first_index: int = 0) -> None:
        """Give every row its origin: one clock, device and batch, indices counting up from `first_index`."""
        rows = len(self)
        self.hlc = [hlc] * rows
        self.device = [device] * rows
        self.batch = [batch] * rows
        self.index = list(range(first_index, first_index + rows))

    def take(self, places: Iterable[int]) -> Frame:
        """The rows at these places, in that order."""
        chosen = list(places)
        return Frame(self.conversation, *([getattr(self, name)[place] for place in chosen] for name in _COLUMNS))

    def slice(self, start: int, stop: int) -> Frame:
        """The rows from `start` up to `stop`."""
        return Frame(self.conversation, *(getattr(self, name)[start:stop] for name in _COLUMNS))

    def is_sorted(self) -> bool:
        """Whether every row comes after the one before it in the order of `sort_key`, with none twice."""
        later = self.time[1:]
        if not all(map(le, self.time, later)):
            return False
        # Only rows of one time are compared in all that orders them: few rows, but in few frames none.
        ties = list(compress(count(), map(eq, self.time, later)))
        rest = (self.seq, self.hlc, self.device, self.batch, self.index)
        return all([column[at] for column in rest] < [column[at + 1] for column in rest] for at in ties)

    def is_rising(self) -> bool:
        """Whether no row is earlier than the one before it by time and sequence, whatever the origins."""
        later = self.time[1:]
        if not all(map(le, self.time, later)):
            return False
        ties = compress(count(), map(eq, self.time, later)) if any(self.seq) else ()
        return all(self.seq[at] <= self.seq[at + 1] for at in ties)

    def sorted(self) -> Frame:
        """The rows in frame order: by time, sequence, then operation order."""
        if self.is_sorted():
            return self
        keys = list(self._keys())
        return self.take(sorted(range(len(keys)), key=keys.__getitem__))

    def _keys(self) -> Iterator[tuple[int, int, int, bytes, int, int]]:
        return zip(self.time, self.seq, self.hlc, self.device, self.batch, self.index, strict=True)


def sort_key(row: Row) -> tuple[int, int, Origin]:
    """The order of rows within a frame and within a run."""
    return (row.time, row.seq, row.origin)


def unstamped(conversation: str, rows: Sequence[Row]) -> Frame:
    """A frame of rows that have no origin yet, by time, sequence and the order given; `stamp` it to commit."""
    ordered = sorted(rows, key=lambda row: (row.time, row.seq))
    frame = Frame.from_rows(conversation, ordered)
    frame.stamp(*UNSTAMPED)
    return frame


_COLUMNS = tuple(column.name for column in fields(Frame))[1:]
