"""References of the engine: to whole objects, to chunks read alone, to frames (spec chapter 08).

Each carries the SHA-256 of what it points at, so place is bound by the parent's hash and nothing is opened that the
signed head does not reach.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from strongroom_protocol.errors import Failure, UntrustedDataError
from strongroom_protocol.limits import LIMITS
from strongroom_protocol.wire.parse import SMALL_MAX, TIME_MAX, array, fixed, uint


@dataclass(frozen=True, slots=True)
class ObjectRef:
    """A whole object: name (SHA-256) and sealed size in bytes."""

    name: bytes
    size: int

    def to_cbor(self) -> list[Any]:
        return [self.name, self.size]

    @classmethod
    def parse(cls, value: Any, subject: str) -> ObjectRef:
        pair = array(value, subject, minimum=2, maximum=2)
        return cls(fixed(pair[0], 32, subject), uint(pair[1], LIMITS.object_bytes, subject, 1))


@dataclass(frozen=True, slots=True)
class ChunkRef:
    """A chunk read alone: its number in the object, offset and sealed length in bytes, SHA-256 of the sealed bytes."""

    index: int
    offset: int
    length: int
    digest: bytes

    def to_cbor(self) -> list[Any]:
        return [self.index, self.offset, self.length, self.digest]

    @classmethod
    def parse(cls, value: Any, subject: str) -> ChunkRef:
        parts = array(value, subject, minimum=4, maximum=4)
        return cls(
            uint(parts[0], LIMITS.object_chunks, subject),
            uint(parts[1], LIMITS.object_bytes, subject),
            uint(parts[2], LIMITS.chunk_bytes + 16, subject, 17),
            fixed(parts[3], 32, subject),
        )


@dataclass(frozen=True, slots=True)
class Mirrored:
    """Two sealings of the same plaintext. One damaged byte must not cost more than the frame it lies in, so what
    leads to many frames is kept twice."""

    primary: ObjectRef
    mirror: ObjectRef

    def to_cbor(self) -> list[Any]:
        return [self.primary.to_cbor(), self.mirror.to_cbor()]

    @classmethod
    def parse(cls, value: Any, subject: str) -> Mirrored:
        pair = array(value, subject, minimum=2, maximum=2)
        return cls(ObjectRef.parse(pair[0], subject), ObjectRef.parse(pair[1], subject))

    @property
    def refs(self) -> tuple[ObjectRef, ObjectRef]:
        return self.primary, self.mirror


@dataclass(frozen=True, slots=True)
class FrameRef:
    """A frame: times of its first and last row (ms), rows, the segment object that holds it, the chunk.

    What only an index says of it: whether it is packed as tightly as a merge packs, whether it holds a row that erases
    a message, the parts of media its rows refer to, and what its rows of operation FORGET say (kind, time). These do
    not make it another frame.
    """

    first: int
    last: int
    rows: int
    segment: bytes
    chunk: ChunkRef
    packed: bool = field(default=False, compare=False)
    erases: bool = field(default=False, compare=False)
    media: tuple[ObjectRef, ...] = field(default=(), compare=False)
    forgets: tuple[tuple[int, int], ...] = field(default=(), compare=False)

    def to_cbor(self) -> list[Any]:
        return [self.first, self.last, self.rows, self.segment, self.chunk.to_cbor()]

    @classmethod
    def parse(cls, value: Any, subject: str) -> FrameRef:
        parts = array(value, subject, minimum=5, maximum=5)
        frame = cls(
            uint(parts[0], TIME_MAX, subject),
            uint(parts[1], TIME_MAX, subject),
            uint(parts[2], LIMITS.frame_rows, subject, 1),
            fixed(parts[3], 32, subject),
            ChunkRef.parse(parts[4], subject),
        )
        return frame.checked(subject)

    def checked(self, subject: str) -> FrameRef:
        if self.first > self.last:  # spec: ENG-1
            raise UntrustedDataError(Failure.SCHEMA, "frame ends before it begins", subject=subject)
        return self

    def overlaps(self, first: int, last: int) -> bool:
        return self.first <= last and first <= self.last


def forgets(value: Any, subject: str) -> tuple[tuple[int, int], ...]:
    """A list of (kind, time) of FORGET rows, at least one, in strictly rising order."""
    pairs = [array(item, subject, minimum=2, maximum=2) for item in array(value, subject, minimum=1, maximum=4096)]
    found = tuple((uint(kind, 2, subject), uint(time, TIME_MAX, subject)) for kind, time in pairs)
    if list(found) != sorted(set(found)):  # spec: ENG-16
        raise UntrustedDataError(Failure.SCHEMA, "what is forgotten is not in order", subject=subject)
    return found


def small(value: Any, subject: str) -> int:
    """A 32-bit count."""
    return uint(value, SMALL_MAX, subject)
