"""What the history holds of a conversation in a stretch of time: new rows are told from known ones (chapter 13.7)."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from struct import Struct

from strongroom.engine.snapshot import Snapshot
from strongroom_protocol.engine.refs import ChunkRef, FrameRef
from strongroom_protocol.rows.forget import NOTHING, Forgotten, Mark, marks_of
from strongroom_protocol.rows.frame import encode_frame
from strongroom_protocol.rows.ids import conversation_key
from strongroom_protocol.rows.merge import Order
from strongroom_protocol.rows.table import Frame
from strongroom_protocol.seal.objects import ObjectType

_FRAME = Struct("<QQIIIQI32s")
"""Where a frame lies and what times it holds: first, last, rows, number of its segment, and its chunk. As an object it
would take ten times the memory, and there is one for every frame of the history."""


@dataclass(slots=True)
class History:
    """All runs' entries by conversation, read once: a first import then asks nothing for any conversation."""

    base: Snapshot
    _packed: dict[bytes, bytearray] = field(default_factory=dict)
    _segments: list[bytes] = field(default_factory=list)
    _marks: dict[bytes, list[Mark]] = field(default_factory=dict)
    _tail: dict[bytes, list[Frame]] = field(default_factory=dict)

    @classmethod
    async def of(cls, base: Snapshot) -> History:
        packed: defaultdict[bytes, bytearray] = defaultdict(bytearray)
        marks: defaultdict[bytes, list[Mark]] = defaultdict(list)
        tail: defaultdict[bytes, list[Frame]] = defaultdict(list)
        numbers: dict[bytes, int] = {}
        for run in base.root.runs:
            for key, ref in await base.entries(run, keep=False):
                number, chunk = numbers.setdefault(ref.segment, len(numbers)), ref.chunk
                packed[key] += _FRAME.pack(
                    ref.first, ref.last, ref.rows, number, chunk.index, chunk.offset, chunk.length, chunk.digest
                )
                marks[key] += ref.forgets
        for _, frames in base.tail:
            for frame in frames:
                tail[conversation_key(frame.conversation)].append(frame)
        for key, found in marks.items():
            base.note(key, found)
        return cls(base, packed, [*numbers], {key: found for key, found in marks.items() if found}, tail)

    async def frames(self, conversation: str, first: int, last: int) -> list[Frame]:
        """Frames that hold every row from `first` to `last` (ms) that can be read and was not forgotten."""
        key = conversation_key(conversation)
        gone = self.forgotten(conversation)
        tail = [shown for frame in self._tail.get(key, ()) if (shown := gone.shown(frame)) is not None]
        return [*await self.base.frames(key, self._overlapping(key, first, last)), *tail]

    def forgotten(self, conversation: str) -> Forgotten:
        """What of a conversation is not to come back."""
        key = conversation_key(conversation)
        marks = [*self._marks.get(key, ())]
        for frame in self._tail.get(key, ()):
            marks += marks_of(frame)
        return Forgotten.of(marks, Order(self.base.head.time).latest) if marks else NOTHING

    async def framed(self, conversation: str, first: int, last: int) -> list[bytes]:
        """The same frames as they are stored, opened but not parsed; damaged ones are noted and left out."""
        key = conversation_key(conversation)
        if self.base.discards or self.forgotten(conversation):  # some rows do not count, so frames are looked into
            frames = await self.frames(conversation, first, last)
            return [encode_frame(frame.conversation, frame) for frame in frames]
        wanted = [(ref.segment, ref.chunk) for ref in self._overlapping(key, first, last)]
        contents = await self.base.source.chunks(ObjectType.SEGMENT, wanted) if wanted else []
        stored = [content for content in contents if isinstance(content, bytes)]
        return stored + [encode_frame(frame.conversation, frame) for frame in self._tail.get(key, ())]

    def _overlapping(self, key: bytes, first: int, last: int) -> list[FrameRef]:
        """What there is to read a frame by; what else an index says of it is left out."""
        return [
            FrameRef(begins, ends, rows, self._segments[number], ChunkRef(*chunk))
            for begins, ends, rows, number, *chunk in _FRAME.iter_unpack(self._packed.get(key, b""))
            if begins <= last and first <= ends
        ]
