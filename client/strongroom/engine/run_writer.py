"""Writing a run: frames into segments, entries into the index (spec chapter 08).

Frames arrive conversation by conversation, in any order. A frame that is not changed is referenced where it lies, or
its sealed content is copied. Segments are sealed and emitted as they fill.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace

from strongroom.engine.cutting import split
from strongroom.engine.sealer import Sealer
from strongroom_protocol.engine.index import PAGE_FRAMES, Entry, Fence, IndexTop, encode_page
from strongroom_protocol.engine.refs import ChunkRef, FrameRef, Mirrored, ObjectRef
from strongroom_protocol.engine.root import Run
from strongroom_protocol.limits import LIMITS
from strongroom_protocol.rows.compression import LEVEL, LEVEL_TIGHT
from strongroom_protocol.rows.forget import marks_of
from strongroom_protocol.rows.frame import encode_frame
from strongroom_protocol.rows.media_refs import part_refs
from strongroom_protocol.rows.model import DeleteKind, Detail, Op
from strongroom_protocol.rows.table import Frame
from strongroom_protocol.seal.chunks import chunk_length, chunked_length
from strongroom_protocol.seal.objects import ObjectType

_UNSEALED = ChunkRef(0, 0, 0, bytes(32))


PAGE_PARTS = 8_192
"""Parts of media on one page, its first entry aside: a page of pictures must not outgrow what a reader parses."""

FINAL_BYTES = 256 * 1024
"""Sealed bytes that make a frame final although it has few rows: long texts and verbatim records."""


def is_final(rows: int, sealed: int) -> bool:
    """Whether a frame of so many rows and sealed bytes is final: from then on it is referenced, not written anew."""
    return rows >= LIMITS.frame_rows or sealed >= FINAL_BYTES


@dataclass(slots=True)
class _Open:
    """A segment being filled: frames whose place is not known yet, and their sealed bytes."""

    frames: list[tuple[bytes, FrameRef, bytes]] = field(default_factory=list)
    sealed: int = 0


@dataclass(slots=True)
class RunWriter:
    """Collects one run; `finish()` seals the index. Memory: two segments and the entries.

    Full frames lie in segments of their own: they stay when what lies beside them has become garbage.
    """

    sealer: Sealer
    number: int
    level: int
    packed: bool = False
    """Compress tightly, as what a merge writes is kept longer than what a fold does."""
    entries: list[Entry] = field(default_factory=list)
    _segments: dict[bytes, ObjectRef] = field(default_factory=dict)
    _full: _Open = field(default_factory=_Open)
    _rest: _Open = field(default_factory=_Open)

    def add(self, key: bytes, frame: Frame, *, newest: bool = True) -> None:
        """Rows of one conversation in frame order, split into frames; `newest`: no later rows of it follow."""
        for part in split(frame, newest=newest):
            framed = encode_frame(part.conversation, part, level=LEVEL_TIGHT if self.packed else LEVEL)
            media = media_of(part.detail)
            ref = FrameRef(
                part.time[0], part.time[-1], len(part), b"", _UNSEALED, self.packed, erases(part), media, marks_of(part)
            )  # fmt: skip
            self._add(key, ref, framed)

    def add_encoded(
        self, key: bytes, first: int, last: int, rows: int, framed: bytes, media: Iterable[ObjectRef],
        *, erases: bool = False,
    ) -> None:  # fmt: skip
        """A frame that is encoded already: times of its first and last row, its rows, the parts of media they refer to,
        and whether one of them erases a message."""
        self._add(key, FrameRef(first, last, rows, b"", _UNSEALED, False, erases, _in_order(media)), framed)

    def copy(self, key: bytes, frame: FrameRef, framed: bytes) -> None:
        """A frame of an earlier run, unchanged, into a segment of this one."""
        self._add(key, frame, framed)

    def refer(self, key: bytes, frame: FrameRef, segment: ObjectRef) -> None:
        """A frame of an earlier run that this run takes over where it lies."""
        self._segments[segment.name] = segment
        self.entries.append((key, frame))

    def finish(self) -> Run:
        """Seal what is left and the index; the run to put into the engine root."""
        self._flush(self._full)
        self._flush(self._rest)
        self.entries.sort(key=lambda entry: (entry[0], entry[1].first, entry[1].last))
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

    def _add(self, key: bytes, frame: FrameRef, framed: bytes) -> None:
        length = chunk_length(len(framed))
        segment = self._full if is_final(frame.rows, length) else self._rest
        if segment.frames and chunked_length(segment.sealed + length) > LIMITS.segment_bytes:
            self._flush(segment)
        segment.frames.append((key, frame, framed))
        segment.sealed += length

    def _flush(self, segment: _Open) -> None:
        if not segment.frames:
            return
        sealed, refs = self.sealer.chunks(ObjectType.SEGMENT, [framed for _, _, framed in segment.frames])
        self._segments[sealed.name] = sealed
        for (key, frame, _), chunk in zip(segment.frames, refs, strict=True):
            self.entries.append((key, replace(frame, segment=sealed.name, chunk=chunk)))
        segment.frames.clear()
        segment.sealed = 0

    def _index(self) -> ObjectRef:
        numbers = {name: number for number, name in enumerate(self._segments)}
        pages = list(_pages(self.entries))
        held, chunks = self.sealer.chunks(ObjectType.INDEX_PAGES, [encode_page(page, numbers) for page in pages])
        fences = tuple(Fence(page[0][0], page[0][1].first, chunk) for page, chunk in zip(pages, chunks, strict=True))
        return self.sealer.object(ObjectType.INDEX, IndexTop(held, self.segments, fences).encode())


def _pages(entries: Sequence[Entry]) -> Iterator[Sequence[Entry]]:
    start = parts = 0
    for at, (_, frame) in enumerate(entries):
        if at > start and (at - start == PAGE_FRAMES or parts + len(frame.media) > PAGE_PARTS):
            yield entries[start:at]
            start, parts = at, 0
        parts += len(frame.media)
    if start < len(entries):
        yield entries[start:]


def erases(frame: Frame) -> bool:
    """Whether a row of the frame erases a message."""
    return any(op == Op.DELETE and kind == DeleteKind.ERASE for op, kind in zip(frame.op, frame.kind, strict=True))


def media_of(details: Iterable[Detail | None]) -> tuple[ObjectRef, ...]:
    """The parts of media that rows refer to, each once."""
    return _in_order(part for detail in details if detail for part in part_refs(detail))


def _in_order(media: Iterable[ObjectRef]) -> tuple[ObjectRef, ...]:
    return tuple(sorted({part.name: part for part in media}.values(), key=lambda part: part.name))
