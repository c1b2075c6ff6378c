"""The engine root (spec chapter 08): runs, newest first, and the directory. Rewritten by folds and merges only."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from strongroom_protocol.engine.refs import Mirrored, ObjectRef, small
from strongroom_protocol.errors import Failure, UntrustedDataError
from strongroom_protocol.limits import LIMITS, Limits
from strongroom_protocol.wire import cbor
from strongroom_protocol.wire.parse import SIZE_MAX, Fields


@dataclass(frozen=True, slots=True)
class Run:
    """A sorted run: number (grows with every run made), level, the top of its index (kept twice), totals."""

    number: int
    level: int
    index: Mirrored
    rows: int
    frames: int
    size: int

    def to_cbor(self) -> dict[int, Any]:
        return {
            1: self.number,
            2: self.level,
            3: self.index.to_cbor(),
            4: self.rows,
            5: self.frames,
            6: self.size,
        }

    @classmethod
    def parse(cls, value: Any) -> Run:
        fields = Fields(value, "engine root")
        run = cls(
            fields.version(1),
            fields.uint(2, 16),
            Mirrored.parse(fields.take(3), "engine root"),
            small(fields.take(4), "engine root"),
            small(fields.take(5), "engine root"),
            fields.uint(6, SIZE_MAX),
        )
        fields.done()
        return run


@dataclass(frozen=True, slots=True)
class EngineRoot:
    """Runs (newest first), the directory's hot page, and a counter of folds and merges."""

    runs: tuple[Run, ...] = ()
    directory: ObjectRef | None = None
    version: int = 1

    def encode(self) -> bytes:
        directory = None if self.directory is None else self.directory.to_cbor()
        return cbor.encode({1: 1, 2: [run.to_cbor() for run in self.runs], 3: directory, 4: self.version})

    @classmethod
    def parse(cls, content: bytes, limits: Limits = LIMITS) -> EngineRoot:
        fields = Fields(cbor.decode(content, limits=limits, subject="engine root"), "engine root")
        fields.format()
        root = cls(
            tuple(map(Run.parse, fields.array(2, maximum=limits.runs))),
            fields.optional(3, lambda ref: ObjectRef.parse(ref, "engine root")),
            fields.version(4),
        )
        fields.done()
        numbers = [run.number for run in root.runs]
        if numbers != sorted(set(numbers), reverse=True):  # spec: ENG-2
            raise UntrustedDataError(Failure.SCHEMA, "runs are not in order", subject="engine root")
        return root
