"""The history without what was discarded: an earlier state, and rows that were written after it (spec chapter 11.5)."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

from strongroom.engine.change import Change
from strongroom.engine.fold import level_of
from strongroom.engine.rows import joined
from strongroom.engine.run_writer import RunWriter, media_of
from strongroom.engine.snapshot import Snapshot
from strongroom_protocol.engine.body import Body
from strongroom_protocol.engine.index import Entry
from strongroom_protocol.engine.root import Run
from strongroom_protocol.errors import Failure, UntrustedDataError
from strongroom_protocol.limits import LIMITS
from strongroom_protocol.rows.frame import decode_frame
from strongroom_protocol.rows.ids import conversation_key
from strongroom_protocol.rows.table import Frame
from strongroom_protocol.seal.objects import ObjectType

WINDOW_BYTES = 1024 * 1024
"""Sealed bytes of frames that are read in one go."""

HELD_ROWS = 65_536
"""Rows of batches that are in memory at once."""

NAMES = LIMITS.delta_names // 2
"""Objects that one head adds without having sealed them, or drops."""

Stays = Callable[[bytes, int], bool]
"""Whether rows of this device and sequence stay."""


@dataclass(slots=True)
class UndoneChange(Change):
    """Goes on from the state that `base` holds under a later head.

    `current` is what that head reaches, `kept` what the earlier state and the rows that stay do; `again` are those of
    `kept` that the relay does not keep for good any more. The first is dropped, the last is pinned again.
    """

    current: set[bytes] = field(default_factory=set)
    kept: set[bytes] = field(default_factory=set)
    again: set[bytes] = field(default_factory=set)
    late: list[bytes] = field(default_factory=list)
    """Objects that one head has no room to drop: heads after it do."""

    async def finish(self, *, acknowledged: int) -> Body:
        body = await Change.finish(self, acknowledged=acknowledged)
        kept = self.kept - self.drops
        drops = sorted((self.drops | self.current) - kept)
        self.late = drops[NAMES:]
        self.drops = set(drops[:NAMES])
        self.uploaded |= self.again & kept
        return body


@dataclass(slots=True)
class Carried:
    """Rows that stay, in one new run; without a `change` they are only counted.

    `stays` says which devices and sequences do. Memory: the entries of the run, some rows, two segments.
    """

    change: Change | None
    stays: Stays
    rows: int = 0
    media: set[bytes] = field(default_factory=set)
    _writer: RunWriter | None = None
    _held: defaultdict[bytes, list[Frame]] = field(default_factory=lambda: defaultdict(list))
    _waiting: int = 0

    async def batch(self, frames: Iterable[Frame]) -> None:
        """The rows of a batch, all of one origin."""
        for frame in frames:
            self._hold(frame)
        if self._waiting >= HELD_ROWS:
            await self._flush()

    async def run(self, state: Snapshot, run: Run, stays: Stays) -> None:
        """Of a run of `state` the rows for which `stays` holds too. Raises UntrustedDataError where one is damaged."""
        entries = await state.entries(run)
        if len(entries) != run.frames:
            raise UntrustedDataError(Failure.MISSING, "an index is damaged", subject=str(run.number))
        window: list[Entry] = []
        size = 0
        for entry in entries:
            window.append(entry)
            size += entry[1].chunk.length
            if size >= WINDOW_BYTES:
                await self._take(state, window, stays)
                window, size = [], 0
        await self._take(state, window, stays)

    async def finish(self) -> None:
        """Complete the run."""
        await self._flush()
        if self.change is not None and self._writer is not None:
            self._writer.level = level_of(self.rows)
            run = self._writer.finish()
            await self.change.directory.locate(self._writer.entries)
            self.change.add_run(run)

    async def _take(self, state: Snapshot, window: Sequence[Entry], stays: Stays) -> None:
        wanted = [(ref.segment, ref.chunk) for _, ref in window]
        for (key, ref), content in zip(
            window, await state.source.chunks(ObjectType.SEGMENT, wanted), strict=True
        ):  # fmt: skip
            if isinstance(content, UntrustedDataError):
                raise content
            frame = state.checked(decode_frame(content), key, ref)
            origins = set(zip(frame.device, frame.batch, strict=True))
            if all(stays(*origin) and self.stays(*origin) for origin in origins):
                # As it lies, byte for byte: most rows of a large import are in frames that are full already.
                self.rows += len(frame)
                self.media |= {part.name for part in ref.media}
                if self.change is not None:
                    self._into(self.change).copy(key, ref, content)
                    await self.change.directory.describe(frame)
                continue
            places = [
                place for place, origin in enumerate(zip(frame.device, frame.batch, strict=True)) if stays(*origin)
            ]
            if places:
                self._hold(frame.take(places))
        if self._waiting >= HELD_ROWS:
            await self._flush()
        if self.change is not None:
            await self.change.relieve()

    def _hold(self, frame: Frame) -> None:
        origins = zip(frame.device, frame.batch, strict=True)
        places = [place for place, origin in enumerate(origins) if self.stays(*origin)]
        if places:
            chosen = frame.take(places)
            self._held[conversation_key(frame.conversation)].append(chosen)
            self._waiting += len(places)
            self.rows += len(places)
            self.media |= {part.name for part in media_of(chosen.detail)}

    async def _flush(self) -> None:
        held, self._held, self._waiting = self._held, defaultdict(list), 0
        if self.change is None:
            return
        for key in sorted(held):
            rows = joined(held[key])
            self._into(self.change).add(key, rows)
            await self.change.directory.describe(rows)
        await self.change.relieve()

    def _into(self, change: Change) -> RunWriter:
        if self._writer is None:
            self._writer = change.run_writer(0)
        return self._writer
