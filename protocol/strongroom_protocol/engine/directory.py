"""Directory rows: what a chat list shows of one conversation (spec chapter 08).

Rows lie uncompressed beside each other, so no title or preview can influence the size of another's. A page names each
segment once; the frames of its rows refer to that table.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from strongroom_protocol.engine.refs import FrameRef, forgets, small
from strongroom_protocol.errors import Failure, UntrustedDataError
from strongroom_protocol.limits import LIMITS, Limits
from strongroom_protocol.rows.model import HLC_MAX, INDEX_MAX, VERSION_MAX, Origin
from strongroom_protocol.wire import cbor
from strongroom_protocol.wire.parse import SIZE_MAX, TIME_MAX, Fields, array, fixed, uint

NEWEST_FRAMES = 16
PAGE_ROWS = 4096
NEWEST_ROWS = 64
"""Frames are listed until they hold so many rows: enough for a screen of 50 messages and some edits."""
PREVIEW_CHARS = 80


@dataclass(frozen=True, slots=True)
class DirectoryRow:
    """Key and id of a conversation, title, kind, newest time (ms), preview and its sender, rows, newest frames.

    Every frame whose last row is later than `floor` (ms; -1: every frame there is) is among `frames`. `named` is the
    time and origin of the row that title and kind are from; None when there was none. `forgets` is what FORGET rows of
    the conversation say: kinds and times.
    """

    key: bytes
    conversation: str
    title: str
    kind: int
    newest: int
    preview: str
    sender: str
    rows: int
    frames: tuple[FrameRef, ...]
    floor: int = -1
    named: tuple[int, Origin] | None = None
    forgets: tuple[tuple[int, int], ...] = ()

    def to_cbor(self, segments: dict[bytes, int]) -> dict[int, Any]:
        """`segments` gives a segment's number in the page's table and takes up new ones."""
        frames = [
            [
                frame.first,
                frame.last,
                frame.rows,
                segments.setdefault(frame.segment, len(segments)),
                frame.chunk.to_cbor(),
            ]
            for frame in self.frames
        ]
        row: dict[int, Any] = {
            1: self.key,
            2: self.conversation,
            3: self.title,
            4: self.kind,
            5: self.newest,
            6: self.preview,
            7: self.sender,
            8: self.rows,
            9: frames,
            10: self.floor,
            11: None if self.named is None else [self.named[0], *self.named[1]],
        }
        return row | {12: [list(mark) for mark in self.forgets]} if self.forgets else row

    @classmethod
    def parse(cls, value: Any, segments: list[bytes], limits: Limits = LIMITS) -> DirectoryRow:
        fields = Fields(value, "directory")
        row = cls(
            fields.fixed(1, 16),
            fields.text(2, limits.id_bytes, 1),
            fields.text(3, limits.id_bytes),
            small(fields.take(4), "directory"),
            fields.time(5),
            fields.text(6, limits.id_bytes),
            fields.text(7, limits.id_bytes),
            fields.uint(8, SIZE_MAX),
            tuple(_frame(frame, segments) for frame in fields.array(9, maximum=NEWEST_FRAMES)),
            fields.uint(10, TIME_MAX, -1),
            fields.optional(11, _named),
            fields.absent_or(12, lambda item: forgets(item, "directory"), ()),
        )
        fields.done()
        return row


def encode_rows(rows: Iterable[DirectoryRow]) -> bytes:
    """A cold page: format, table of segment names, rows."""
    segments, encoded = rows_to_cbor(rows)
    return cbor.encode({1: 1, 2: segments, 3: encoded})


def parse_rows(content: bytes, limits: Limits = LIMITS) -> tuple[DirectoryRow, ...]:
    """The rows of a cold page."""
    fields = Fields(cbor.decode(content, limits=limits, subject="directory"), "directory")
    fields.format()
    rows = rows_from_cbor(fields, limits)
    fields.done()
    return rows


def rows_to_cbor(rows: Iterable[DirectoryRow]) -> tuple[list[bytes], list[Any]]:
    """Fields 2 and 3 of a page: names of segments, rows."""
    segments: dict[bytes, int] = {}
    encoded = [row.to_cbor(segments) for row in rows]
    return list(segments), encoded


def rows_from_cbor(fields: Fields, limits: Limits) -> tuple[DirectoryRow, ...]:
    """The rows of a page whose fields 2 and 3 are still to be read."""
    segments = [fixed(name, 32, "directory") for name in fields.array(2, maximum=65_536)]
    return tuple(DirectoryRow.parse(item, segments, limits) for item in fields.array(3, maximum=PAGE_ROWS))


def _named(value: Any) -> tuple[int, Origin]:
    time, clock, device, batch, position = array(value, "directory", minimum=5, maximum=5)
    origin = Origin(
        uint(clock, HLC_MAX, "directory"), fixed(device, 16, "directory"), uint(batch, VERSION_MAX, "directory"),
        uint(position, INDEX_MAX, "directory"),
    )  # fmt: skip
    return uint(time, TIME_MAX, "directory"), origin


def _frame(value: Any, segments: list[bytes]) -> FrameRef:
    first, last, rows, segment, chunk = array(value, "directory", minimum=5, maximum=5)
    number = small(segment, "directory")
    if number >= len(segments):  # spec: ENG-9
        raise UntrustedDataError(Failure.SCHEMA, "frame in a segment that is not listed", subject="directory")
    return FrameRef.parse([first, last, rows, segments[number], chunk], "directory")
