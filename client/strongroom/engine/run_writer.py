"""Writing a run: frames into segments, entries into the index (spec chapter 08).

Frames arrive in order of (conversation key, time). A frame that is not changed is referenced where it lies.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from strongroom.engine.sealer import Sealer
from strongroom_protocol.engine.index import PAGE_FRAMES, Entry, Fence, IndexTop, encode_page
from strongroom_protocol.engine.refs import FrameRef, Mirrored, ObjectRef
from strongroom_protocol.engine.root import Run
from strongroom_protocol.limits import LIMITS
from strongroom_protocol.rows.frame import encode_frame
from strongroom_protocol.rows.model import Op
from strongroom_protocol.rows.table import Frame
from strongroom_protocol.seal.objects import ObjectType
from strongroom_protocol.wire import cbor

_OPERATIONS = (Op.EDIT, Op.DELETE, Op.REACT)
FRAME_TEXT_BYTES = 2 * 1024 * 1024
"""Plaintext after which a frame ends early: a reader of one message never fetches more than about that."""


@dataclass(slots=True)
class RunWriter:
    """Collects one run; `finish()` seals the index. Memory: one segment and the entries."""

    sealer: Sealer
    number: int
    level: int
    entries: list[Entry] = field(default_factory=list)
    _segments: dict[bytes, ObjectRef] = field(default_factory=dict)
    _pending: list[tuple[bytes, Frame, bytes]] = field(default_factory=list)
    _bytes: int = 0

    def add(self, key: bytes, frame: Frame) -> None:
        """Rows of one conversation in frame order, later than what was added for it before; split into frames."""
        for part in split(frame):
            framed = encode_frame(part.conversation, part)
            if self._pending and self._bytes + len(framed) > LIMITS.segment_bytes:
                self._flush()
            self._pending.append((key, part, framed))
            self._bytes += len(framed)

    def refer(self, key: bytes, frame: FrameRef, segment: ObjectRef) -> None:
        """A frame of an earlier run that this run takes over as it is."""
        self._segments[segment.name] = segment
        self.entries.append((key, frame))

    def finish(self) -> Run:
        """Seal what is left and the index; the run to put into the engine root."""
        self._flush()
        self.entries.sort(key=lambda entry: (entry[0], entry[1].first))
        return Run(
            self.number,
            self.level,
            Mirrored(self._index(), self._index()),
            sum(frame.rows for _, frame in self.entries),
            len(self.entries),
            sum(frame.chunk.length for _, frame in self.entries),
        )

    @property
    def segments(self) -> tuple[ObjectRef, ...]:
        """The segments that the run refers to, new and taken over."""
        return tuple(self._segments.values())

    def _flush(self) -> None:
        if not self._pending:
            return
        segment, refs = self.sealer.chunks(ObjectType.SEGMENT, [framed for _, _, framed in self._pending])
        self._segments[segment.name] = segment
        for (key, frame, _), chunk in zip(self._pending, refs, strict=True):
            self.entries.append((key, FrameRef(frame.time[0], frame.time[-1], len(frame), segment.name, chunk)))
        self._pending.clear()
        self._bytes = 0

    def _index(self) -> ObjectRef:
        numbers = {name: number for number, name in enumerate(self._segments)}
        pages = [self.entries[at : at + PAGE_FRAMES] for at in range(0, len(self.entries), PAGE_FRAMES)]
        held, chunks = self.sealer.chunks(ObjectType.INDEX_PAGES, [encode_page(page, numbers) for page in pages])
        fences = tuple(Fence(page[0][0], page[0][1].first, chunk) for page, chunk in zip(pages, chunks, strict=True))
        return self.sealer.object(ObjectType.INDEX, IndexTop(held, self.segments, fences).encode())


def split(frame: Frame) -> Iterator[Frame]:
    """Frames within the limits: the newest small, for reading a chat's end; older ones large, for compression.

    Operations on messages older than any message here come first and get frames of their own, so that a frame of new
    messages does not seem to reach back to the oldest one somebody reacted to.
    """
    count = len(frame)
    start = next((place for place, op in enumerate(frame.op) if op not in _OPERATIONS), count)
    newest = max(start, count - LIMITS.head_frame_rows)
    first = 0
    for bound in (start, newest, count):
        while first < bound:
            stop = _end(frame, first, min(bound, first + LIMITS.frame_rows))
            yield frame.slice(first, stop)
            first = stop


def _end(frame: Frame, start: int, stop: int) -> int:
    total = 0
    for row in range(start, stop):
        detail = frame.detail[row]
        total += len(frame.text[row] or "") * 2 + len(frame.raw[row] or b"")
        total += 0 if detail is None else len(cbor.encode(detail))
        if total > FRAME_TEXT_BYTES and row > start:
            return row
    return stop
