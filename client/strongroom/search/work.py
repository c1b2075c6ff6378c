"""What is still to be filed of a version of the history, and reading it: frames of runs and batches of the tail.

A piece (a frame, a batch) is filed by the times of its rows: everything that any frame or batch holds at those times is
read with it and merged, so a piece may come in any order and any number of times, and the index is the same.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

from strongroom.engine.snapshot import Snapshot
from strongroom.records import PENDING
from strongroom_protocol.engine.index import Entry
from strongroom_protocol.engine.refs import FrameRef
from strongroom_protocol.rows.ids import conversation_key
from strongroom_protocol.rows.table import Frame

SLICE_ROWS = 4_096
"""Rows that are filed in one transaction, about a tenth of a second."""

BULK_SLICES = 8
"""So many slices together when nobody waits for anything else: a list is written less often."""


@dataclass(frozen=True, slots=True)
class Piece:
    """A frame of a run (`ref`), or the part of a batch that is of one conversation (`frame`)."""

    name: bytes  # what to remember it by; empty for what waits in the outbox
    key: bytes
    last: int
    rows: int
    ref: FrameRef | None = None
    frame: Frame | None = None


@dataclass(frozen=True, slots=True)
class Read:
    """A piece with every row that is there at its times, without what was forgotten; `whole` unless some frame could
    not be read. `frame` is None when nothing of the piece is left."""

    piece: Piece
    frame: Frame | None
    others: tuple[Frame, ...]
    whole: bool


@dataclass(slots=True)
class Plan:
    """The pieces of a version that are not filed yet, the next one last. `names`: of all its pieces."""

    snapshot: Snapshot
    todo: list[Piece] = field(default_factory=list)
    bad: list[Piece] = field(default_factory=list)
    names: set[bytes] = field(default_factory=set)
    whole: bool = True
    _refs: dict[bytes, list[FrameRef]] = field(default_factory=lambda: defaultdict(list))
    _tail: dict[bytes, list[Frame]] = field(default_factory=lambda: defaultdict(list))

    @classmethod
    async def of(cls, snapshot: Snapshot, done: Collection[bytes]) -> Plan:
        """What `done` does not name, newest last; the tail is the last of all."""
        plan = cls(snapshot)
        for run in snapshot.root.runs:
            entries = await snapshot.entries(run)
            plan.whole = plan.whole and len(entries) == run.frames
            for key, ref in entries:
                plan._refs[key].append(ref)
                plan.names.add(ref.chunk.digest)
                plan.todo.append(Piece(ref.chunk.digest, key, ref.last, ref.rows, ref=ref))
        for key, refs in plan._refs.items():
            snapshot.note(key, [mark for ref in refs for mark in ref.forgets])
        plan.todo = sorted((piece for piece in plan.todo if piece.name not in done), key=lambda piece: piece.last)
        plan.whole = plan.whole and not snapshot.source.damage
        for entry, frames in snapshot.tail:
            for frame in frames:
                key = conversation_key(frame.conversation)
                name = b"" if entry.sequence == PENDING else entry.ref.name + key
                plan.names.add(name)
                plan._tail[key].append(frame)
                if name not in done:
                    plan.todo.append(Piece(name, key, frame.time[-1], len(frame), frame=frame))
        return plan

    @property
    def waiting(self) -> int:
        """Rows of pieces that are not filed."""
        return sum(piece.rows for piece in self.todo)

    @property
    def back_to(self) -> int:
        """Messages later than this (ms) are filed, damage aside; 0 when all are."""
        return self.back_to_after(())

    def back_to_after(self, pieces: Sequence[Piece]) -> int:
        """The same when these, the next ones, are filed."""
        return max((piece.last for piece in self.todo[: len(self.todo) - len(pieces)]), default=0)

    def next(self, slices: int = 1) -> list[Piece]:
        """The next pieces, a slice together; at least one when there are any. They stay in the plan until `take`."""
        chosen: list[Piece] = []
        rows = 0
        for piece in reversed(self.todo):
            rows += piece.rows
            if chosen and rows > SLICE_ROWS * slices:
                break
            chosen.append(piece)
        return chosen

    def take(self, read: Sequence[Read | None], pieces: Sequence[Piece]) -> None:
        """These have been filed, as far as they could be read."""
        del self.todo[len(self.todo) - len(pieces) :]
        self.bad += [piece for piece, found in zip(pieces, read, strict=True) if found is None or not found.whole]

    async def read(self, pieces: Sequence[Piece]) -> list[Read | None]:
        """The rows of these pieces, and what else there is at their times; None for one that cannot be read."""
        own = {piece.ref: piece for piece in pieces if piece.ref is not None}
        frames = await self._fetched([(piece.key, ref) for ref, piece in own.items()], {})
        of = [piece.frame if piece.ref is None else frames[piece.ref] for piece in pieces]
        beside = [
            [] if frame is None else self._beside(piece, sorted({*frame.time}))
            for piece, frame in zip(pieces, of, strict=True)
        ]
        wanted = [(piece.key, ref) for piece, refs in zip(pieces, beside, strict=True) for ref in refs]
        frames |= await self._fetched(wanted, frames)
        found: list[Read | None] = []
        for piece, frame, refs in zip(pieces, of, beside, strict=True):
            if frame is None:
                found.append(None)
                continue
            others = [frames[ref] for ref in refs]
            tail = [other for other in self._tail.get(piece.key, ()) if other is not frame]
            gone = self.snapshot.forgotten(piece.key)
            shown = [gone.shown(other) for other in (*others, *tail) if other is not None]
            left = tuple(other for other in shown if other is not None)
            found.append(Read(piece, gone.shown(frame), left, whole=None not in others))
        return found

    def _beside(self, piece: Piece, times: Sequence[int]) -> list[FrameRef]:
        """The other frames of the conversation in runs that may hold rows of these times."""
        return [
            ref
            for ref in self._refs.get(piece.key, ())
            if ref is not piece.ref
            and ref.overlaps(times[0], times[-1])
            and (at := bisect_left(times, ref.first)) < len(times)
            and times[at] <= ref.last
        ]

    async def _fetched(
        self, wanted: Sequence[Entry], known: Mapping[FrameRef, Frame | None]
    ) -> dict[FrameRef, Frame | None]:
        absent = list({ref: (key, ref) for key, ref in wanted if ref not in known}.values())
        return dict(zip((ref for _, ref in absent), await self.snapshot.frames_of(absent), strict=True))
