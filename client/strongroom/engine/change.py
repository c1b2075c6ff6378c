"""A change to the engine being put together: what it replaces, what it drops (spec chapters 08 and 11)."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field, replace

from strongroom.engine.directory import DirectoryChange
from strongroom.engine.run_writer import RunWriter, media_of
from strongroom.engine.sealer import Sealer
from strongroom.engine.snapshot import Snapshot
from strongroom.engine.source import ObjectSource
from strongroom_protocol.engine.body import Body, TailEntry
from strongroom_protocol.engine.hot import HotPage
from strongroom_protocol.engine.index import Entry
from strongroom_protocol.engine.root import EngineRoot, Run
from strongroom_protocol.errors import IncompleteError
from strongroom_protocol.limits import LIMITS
from strongroom_protocol.manifest.head import Head
from strongroom_protocol.rows.table import Frame
from strongroom_protocol.seal.objects import ObjectType

LoadedBatch = tuple[TailEntry, tuple[Frame, ...]]


async def _nothing() -> None:
    return None


@dataclass(slots=True)
class Change:
    """Starts from a snapshot; runs, tail and directory are replaced in here and sealed by `finish`."""

    base: Snapshot
    sealer: Sealer
    directory: DirectoryChange
    drops: set[bytes] = field(default_factory=set)
    uploaded: set[bytes] = field(default_factory=set)
    """Objects that are at the relay already and that the new head adds: media, and what was relieved."""
    relieve: Callable[[], Awaitable[None]] = _nothing
    """Uploads what has been sealed so far when it is much; call it between conversations of a long change."""
    _appended: list[LoadedBatch] = field(default_factory=list)
    _root: EngineRoot = field(default_factory=EngineRoot)
    _runs: list[Run] = field(default_factory=list)
    _tail: list[TailEntry] = field(default_factory=list)
    _root_changed: bool = False
    _loose: set[bytes] = field(default_factory=set)
    _kept: set[bytes] = field(default_factory=set)

    @classmethod
    async def begin(cls, base: Snapshot, sealer: Sealer) -> Change:
        change = cls(base, sealer, DirectoryChange(base))
        change.take_over()
        return change

    def take_over(self) -> None:
        """Begin with what the base has."""
        self._root = self.base.root
        self._runs = list(self.base.root.runs)
        self._tail = list(self.base.body.tail)

    @property
    def runs(self) -> list[Run]:
        return self._runs

    @property
    def tail(self) -> list[TailEntry]:
        return self._tail

    def run_writer(self, level: int, *, packed: bool = False) -> RunWriter:
        """A writer for the next run; `packed` as tightly as merges do."""
        return RunWriter(self.sealer, 1 + max((run.number for run in self._runs), default=0), level, packed)

    def add_run(self, run: Run) -> None:
        self._runs.insert(0, run)
        self._root_changed = True

    async def remove_runs(self, runs: list[Run]) -> None:
        """Take runs out; their index objects are dropped, their segments only by `drop_segments`."""
        gone = {run.number for run in runs}
        self._runs = [run for run in self._runs if run.number not in gone]
        for run in runs:
            self.drops |= {ref.name for ref in run.index.refs}
            # What only a damaged top names cannot be dropped: the relay keeps an object of pages too many.
            self.drops |= {top.pages.name for top in await self.base.both_tops(run)}
        self._root_changed = True

    def rewrite_directory(self) -> None:
        """Write the whole directory anew, whether runs change or not."""
        self.directory.rewrite = self._root_changed = True

    def drop_media(self, gone: Iterable[Entry], kept: Iterable[Entry]) -> None:
        """Entries of runs are `gone` and others came for them: media that nothing names any more are dropped."""
        kept = list(kept)
        self._loose |= _media(gone) - _media(kept)
        self._kept |= {frame.segment for _, frame in kept}

    def append_batch(self, entry: TailEntry, frames: tuple[Frame, ...]) -> None:
        """A batch of these (stamped) frames, under a sequence that this device uses for the first time.

        An entry of that sequence is a lie about this device: with both, no reader would take the body.
        """
        origin = entry.device, entry.sequence
        self._tail = [other for other in self._tail if (other.device, other.sequence) != origin]  # spec: BODY-6
        self._tail.append(entry)
        self._appended.append((entry, frames))

    def take_from_tail(self, folded: set[bytes]) -> None:
        """These batches have become a run."""
        self.drops |= folded
        self._tail = [entry for entry in self._tail if entry.ref.name not in folded]

    async def finish(self, *, acknowledged: int) -> Body:
        """Seal directory and root where they changed; the body without this device's new sequence."""
        old = self.base.body
        root = old.root
        self.drops |= await self._unnamed_media()
        if self._root_changed:
            if len(self._runs) > LIMITS.runs or len(self._tail) > LIMITS.tail_batches:
                raise IncompleteError(
                    "damaged indexes cannot be merged and leave no room for more runs",
                    damaged=tuple(self.base.source.damage), hint="see strongroom verify; nothing was changed",
                )  # fmt: skip
            directory, dropped = await self.directory.finish(self.sealer)
            self.drops |= dropped
            if old.root is not None:
                self.drops |= {ref.name for ref in old.root.refs}
            self._root = EngineRoot(tuple(self._runs), directory, self.base.root.version + 1)
            content = self._root.encode()
            EngineRoot.parse(content)  # spec: BODY-4
            root = self.sealer.mirrored(ObjectType.ROOT, content)
        seen = dict(old.seen) | {self.sealer.device: acknowledged}
        return replace(old, root=root, tail=tuple(self._tail), seen=seen)

    async def _unnamed_media(self) -> set[bytes]:
        """Of the loose parts those that neither a run nor the tail refers to; none where one of them cannot be read."""
        left = set(self._loose)
        read = {entry.ref.name: frames for entry, frames in (*self.base.tail, *self._appended)}
        here = [run for run in self._runs if run in self.base.root.runs]
        if len(here) + 1 < len(self._runs):
            return set()  # a run beside the merged one is new too, and may refer to anything
        for run in here if left else ():
            entries = await self.base.entries(run)
            left -= _media(entries)
            if len(entries) < run.frames:
                return set()
        for entry in self._tail if left else ():
            if entry.ref.name not in read:
                return set()
            left -= {part.name for frame in read[entry.ref.name] for part in media_of(frame.detail)}
        if left:  # spec: ENG-15
            left -= await self._engine_names()
        return left

    async def _engine_names(self) -> set[bytes]:
        """What the new head reaches besides media. A row may name anything for a part of its files."""
        names = {entry.ref.name for entry in self._tail}
        for run in self._runs:
            names |= {ref.name for ref in run.index.refs}
            if run in self.base.root.runs:  # what the others name beyond it is new: `Delta.of` never drops an addition
                for top in await self.base.both_tops(run):
                    names |= {top.pages.name, *(ref.name for ref in top.segments)}
        directory = await self.base.hot() or HotPage()
        return names | {page.ref.name for page in directory.cold} | self._kept

    def successor(self, source: ObjectSource, head: Head, body: Body) -> Snapshot:
        """The state that this change made, once `head` is accepted: what a reader would load, without reading it."""
        kept = {entry.ref.name for entry in body.tail}
        tail = [item for item in (*self.base.tail, *self._appended) if item[0].ref.name in kept]
        return Snapshot(source, head, body, self._root, tail, self.base.discards)


def _media(entries: Iterable[Entry]) -> set[bytes]:
    return {part.name for _, frame in entries for part in frame.media}
