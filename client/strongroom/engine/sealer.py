"""Making this device's objects: each takes the next writer sequence and fresh randomness (spec chapter 05)."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from strongroom_protocol.engine.refs import ChunkRef, Mirrored, ObjectRef
from strongroom_protocol.keys.epochs import EpochKeys
from strongroom_protocol.seal.chunks import seal_chunks
from strongroom_protocol.seal.objects import ObjectType, object_name, seal_object

Emit = Callable[[bytes, bytes], None]
"""Takes a finished object: name, bytes."""


@dataclass(slots=True)
class Sealer:
    """Seals under one epoch for one device. `sequences` yields numbers that are reserved durably before use."""

    keys: EpochKeys
    device: bytes
    sequences: Iterator[int]
    emit: Emit
    randomness: Callable[[int], bytes] = secrets.token_bytes

    def object(self, kind: ObjectType, content: bytes, *, sequence: int | None = None) -> ObjectRef:
        """Seal and emit a one-chunk object. A batch brings the sequence that its signature names."""
        number = next(self.sequences) if sequence is None else sequence
        data = seal_object(
            self.keys, kind, content, writer=self.device, sequence=number, randomness=self.randomness(32)
        )
        return self._emitted(data)

    def mirrored(self, kind: ObjectType, content: bytes) -> Mirrored:
        """The same content sealed twice, under two keys and names."""
        return Mirrored(self.object(kind, content), self.object(kind, content))

    def chunks(self, kind: ObjectType, contents: Sequence[bytes]) -> tuple[ObjectRef, tuple[ChunkRef, ...]]:
        """Seal and emit an object whose chunks are read alone."""
        data, refs = seal_chunks(
            self.keys, kind, contents, writer=self.device, sequence=next(self.sequences),
            randomness=self.randomness(32),
        )  # fmt: skip
        return self._emitted(data), refs

    def _emitted(self, data: bytes) -> ObjectRef:
        name = object_name(data)
        self.emit(name, data)
        return ObjectRef(name, len(data))
