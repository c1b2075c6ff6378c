"""The index of a run: pages of frame entries in order of (conversation key, first time), and a top (chapter 08).

The pages are chunks of one object, so each is read alone; the top is an object of its own. Both are kept twice.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any

from strongroom_protocol.engine.refs import ChunkRef, FrameRef, ObjectRef, forgets, small
from strongroom_protocol.errors import Failure, UntrustedDataError
from strongroom_protocol.limits import LIMITS, Limits
from strongroom_protocol.wire import cbor
from strongroom_protocol.wire.parse import TIME_MAX, Fields, array, fixed, uint

PAGE_FRAMES = 128
"""Frames in a full page: about 10 KiB, one read away from any frame."""

PACKED, ERASES = 1, 2
"""Marks of an entry: compressed as tightly as a merge does; holds a row that erases a message."""

Entry = tuple[bytes, FrameRef]
"""Conversation key and frame."""


@dataclass(frozen=True, slots=True)
class Fence:
    """First conversation key and first time of a page, and where the page is."""

    key: bytes
    first: int
    chunk: ChunkRef


@dataclass(frozen=True, slots=True)
class IndexTop:
    """The object that holds the pages, the segments the run refers to, the fences of the pages."""

    pages: ObjectRef
    segments: tuple[ObjectRef, ...]
    fences: tuple[Fence, ...]

    def encode(self) -> bytes:
        fences = [[fence.key, fence.first, fence.chunk.to_cbor()] for fence in self.fences]
        segments = [ref.to_cbor() for ref in self.segments]
        return cbor.encode({1: 1, 2: self.pages.to_cbor(), 3: segments, 4: fences})

    @classmethod
    def parse(cls, content: bytes, limits: Limits = LIMITS) -> IndexTop:
        fields = Fields(cbor.decode(content, limits=limits, subject="index"), "index")
        fields.format()
        pages = ObjectRef.parse(fields.take(2), "index")
        segments = tuple(ObjectRef.parse(ref, "index") for ref in fields.array(3, maximum=65_536))
        parts = [array(fence, "index", minimum=3, maximum=3) for fence in fields.array(4, maximum=65_536)]
        fields.done()
        fences = tuple(
            Fence(fixed(key, 16, "index"), uint(first, TIME_MAX, "index"), ChunkRef.parse(chunk, "index"))
            for key, first, chunk in parts
        )
        order = [(fence.key, fence.first) for fence in fences]
        if order != sorted(order):  # spec: ENG-3
            raise UntrustedDataError(Failure.SCHEMA, "pages are not in order", subject="index")
        return cls(pages, segments, fences)

    def pages_for(self, key: bytes) -> tuple[Fence, ...]:
        """The pages that can hold frames of a conversation."""
        found = []
        for fence, following in zip(self.fences, (*self.fences[1:], None), strict=True):
            if fence.key <= key and (following is None or following.key >= key):
                found.append(fence)
        return tuple(found)


def encode_page(entries: Iterable[Entry], segments: dict[bytes, int]) -> bytes:
    """A page; `segments` maps a segment's name to its number in the top's table."""
    grouped: list[list[Any]] = []
    for key, frame in entries:
        if not grouped or grouped[-1][0] != key:
            grouped.append([key, []])
        marks = PACKED * frame.packed | ERASES * frame.erases
        media = [part.to_cbor() for part in frame.media]
        item = [frame.first, frame.last, frame.rows, segments[frame.segment], frame.chunk.to_cbor(), marks, media]
        if frame.forgets:
            item.append([list(mark) for mark in frame.forgets])
        grouped[-1][1].append(item)
    return cbor.encode(grouped)


def parse_page(content: bytes, top: IndexTop, limits: Limits = LIMITS) -> tuple[Entry, ...]:
    """The entries of a page, in order."""
    entries = tuple(_entries(cbor.decode(content, limits=limits, subject="index"), top))
    order = [(key, frame.first) for key, frame in entries]
    if order != sorted(order):  # spec: ENG-4
        raise UntrustedDataError(Failure.SCHEMA, "frames are not in order", subject="index")
    return entries


def _entries(value: Any, top: IndexTop) -> Iterator[Entry]:
    for conversation in array(value, "index", minimum=1, maximum=65_536):
        pair = array(conversation, "index", minimum=2, maximum=2)
        key = fixed(pair[0], 16, "index")
        for item in array(pair[1], "index", minimum=1, maximum=65_536):
            first, last, rows, segment, chunk, marks, media, *more = array(item, "index", minimum=7, maximum=8)
            number = small(segment, "index")
            if number >= len(top.segments):  # spec: ENG-5
                raise UntrustedDataError(Failure.SCHEMA, "frame in a segment that is not listed", subject="index")
            frame = FrameRef.parse([first, last, rows, top.segments[number].name, chunk], "index")
            known = uint(marks, PACKED | ERASES, "index")
            parts = tuple(ObjectRef.parse(part, "index") for part in array(media, "index", maximum=65_536))
            names = [part.name for part in parts]
            if names != sorted(set(names)):  # spec: ENG-10
                raise UntrustedDataError(Failure.SCHEMA, "parts of media are not in order", subject="index")
            gone = forgets(more[0], "index") if more else ()
            packed, erases = bool(known & PACKED), bool(known & ERASES)
            yield key, replace(frame, packed=packed, erases=erases, media=parts, forgets=gone)
