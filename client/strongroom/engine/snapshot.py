"""One version of an account's history, read-only: root, tail, run indexes, frames (spec chapter 08)."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

from strongroom.engine.recent import RecentFrames
from strongroom.engine.source import ObjectSource
from strongroom.engine.tail import DeviceKeys, load_tail
from strongroom_protocol.engine.body import Body, TailEntry
from strongroom_protocol.engine.directory import DirectoryRow, parse_rows
from strongroom_protocol.engine.hot import HotPage
from strongroom_protocol.engine.index import Entry, IndexTop, parse_page
from strongroom_protocol.engine.refs import FrameRef, ObjectRef
from strongroom_protocol.engine.root import EngineRoot, Run
from strongroom_protocol.errors import Failure, UntrustedDataError
from strongroom_protocol.manifest.head import Head
from strongroom_protocol.manifest.keyring import Discard
from strongroom_protocol.rows.forget import NOTHING, Forgotten, Mark, marks_of
from strongroom_protocol.rows.frame import decode_frame
from strongroom_protocol.rows.ids import conversation_key
from strongroom_protocol.rows.media_refs import part_refs
from strongroom_protocol.rows.merge import Order
from strongroom_protocol.rows.table import Frame
from strongroom_protocol.seal.objects import ObjectType

T = TypeVar("T")


@dataclass(slots=True)
class Snapshot:
    """The verified state at `head`. What cannot be read is noted in `source.damage` and left out."""

    source: ObjectSource
    head: Head
    body: Body
    root: EngineRoot
    tail: list[tuple[TailEntry, tuple[Frame, ...]]]
    discards: tuple[Discard, ...] = ()
    """What undo has taken out of the history: nothing of it is read, whatever a head names."""
    _entries: dict[int, tuple[Entry, ...]] = field(default_factory=dict)
    _tops: dict[int, list[IndexTop]] = field(default_factory=dict)
    _hot: HotPage | None = None
    _pages: dict[bytes, tuple[DirectoryRow, ...]] = field(default_factory=dict)
    _forgets: dict[bytes, tuple[Mark, ...]] = field(default_factory=dict)

    @classmethod
    async def load(
        cls, source: ObjectSource, head: Head, devices: DeviceKeys, discards: tuple[Discard, ...] = ()
    ) -> Snapshot:
        """Fetch and check body, root and tail. Raises what is wrong with body or root; a bad batch is noted."""
        body = Body.parse(await source.object(ObjectRef(head.body, head.body_size), ObjectType.BODY))
        root = EngineRoot()
        if body.root is not None:
            root = EngineRoot.parse(await source.mirrored(body.root, ObjectType.ROOT))
        tail = await load_tail(source, body.tail, devices, discards)
        return cls(source, head, body, root, tail, discards)

    async def hot(self) -> HotPage | None:
        """The directory's hot page; None when it is damaged, an empty one when there are no runs."""
        if self._hot is None:
            if self.root.directory is None:
                self._hot = HotPage()
            else:
                (content,) = await self.source.objects([self.root.directory], ObjectType.DIRECTORY)
                self._hot = self._noted(self.root.directory, content, HotPage.parse)
        return self._hot

    async def pages(self, refs: Sequence[ObjectRef]) -> list[tuple[DirectoryRow, ...] | None]:
        """The rows of cold pages of the directory; None in the place of one that is damaged."""
        absent = [ref for ref in refs if ref.name not in self._pages]
        for ref, content in zip(absent, await self.source.objects(absent, ObjectType.DIRECTORY), strict=True):
            rows = self._noted(ref, content, parse_rows)
            if rows is not None:
                self._pages[ref.name] = rows
        return [self._pages.get(ref.name) for ref in refs]

    def _noted(self, ref: ObjectRef, content: bytes | UntrustedDataError, parse: Callable[[bytes], T]) -> T | None:
        try:
            if isinstance(content, UntrustedDataError):
                raise content
            return parse(content)
        except UntrustedDataError as error:
            self.source.damage.setdefault(ref.name.hex(), error.failure)
            return None

    async def tops(self, run: Run) -> list[IndexTop]:
        """The readable tops of a run's index, primary first; none when both copies are damaged."""
        if run.number not in self._tops:
            self._tops[run.number] = await self._read_tops(run.index.refs[:1]) or await self._read_tops(
                run.index.refs[1:]
            )
        return self._tops[run.number]

    async def both_tops(self, run: Run) -> list[IndexTop]:
        """The readable ones of both tops of a run's index, to name everything the run holds."""
        return await self._read_tops(run.index.refs)

    async def _read_tops(self, refs: Sequence[ObjectRef]) -> list[IndexTop]:
        contents = await self.source.objects(refs, ObjectType.INDEX)
        found = [self._noted(ref, content, IndexTop.parse) for ref, content in zip(refs, contents, strict=True)]
        return [top for top in found if top is not None]

    async def entries(self, run: Run, key: bytes | None = None, *, keep: bool = True) -> tuple[Entry, ...]:
        """The frames of a run, of one conversation or of all; pages that are damaged twice are left out.

        All are kept, to be given out again without reading; not so without `keep`.
        """
        if run.number in self._entries:
            known = self._entries[run.number]
            return known if key is None else tuple(entry for entry in known if entry[0] == key)
        found: list[Entry] = []
        for top in (await self.tops(run))[:1]:
            fences = top.fences if key is None else top.pages_for(key)
            wanted = [(top.pages.name, fence.chunk) for fence in fences]
            for fence, page in zip(fences, await self.source.chunks(ObjectType.INDEX_PAGES, wanted), strict=True):
                entries = self._parsed(page, top)
                if entries is None:
                    entries = await self._mirror_page(run, top, top.fences.index(fence))
                found += entries
        if key is None:
            if keep:
                self._entries[run.number] = tuple(found)
            return tuple(found)
        return tuple(entry for entry in found if entry[0] == key)

    async def refs(self, key: bytes) -> list[FrameRef]:
        """All frames of a conversation in all runs, by first time."""
        found = [frame for run in self.root.runs for _, frame in await self.entries(run, key)]
        self.note(key, [mark for frame in found for mark in frame.forgets])
        return sorted(found, key=lambda frame: (frame.first, frame.last))

    async def frames(self, key: bytes, refs: Sequence[FrameRef], *, stored: bool = False) -> list[Frame]:
        """The rows of these frames of one conversation; frames that are damaged are noted and left out.

        Without what was forgotten, unless they are wanted as they are `stored`, to be written anew.
        """
        if stored:
            found = await self.frames_of([(key, ref) for ref in refs])
        else:
            found = await self.shown_of([(key, ref) for ref in refs])
        return [frame for frame in found if frame is not None]

    async def shown_of(self, wanted: Sequence[Entry], recent: RecentFrames | None = None) -> list[Frame | None]:
        """`frames_of` without the rows that were forgotten; None in the place of a frame of which nothing is left."""
        for key in {key for key, _ in wanted} - self._forgets.keys():
            await self.refs(key)
        gone = {key: self.forgotten(key) for key in {key for key, _ in wanted}}
        frames = await self.frames_of(wanted, recent)
        return [
            None if frame is None else gone[key].shown(frame) for (key, _), frame in zip(wanted, frames, strict=True)
        ]

    def note(self, key: bytes, marks: Iterable[Mark]) -> None:
        """What FORGET rows in runs say of a conversation, for who has read that already."""
        self._forgets[key] = tuple(marks)

    def forgotten(self, key: bytes) -> Forgotten:
        """What of a conversation is forgotten, by the runs (`refs` or `note` has been called) and the tail."""
        return self._gone(key, self.stored_tail(key))

    def _gone(self, key: bytes, tail: Iterable[Frame]) -> Forgotten:
        marks = [*self._forgets.get(key, ())]
        for frame in tail:
            marks += marks_of(frame)
        return Forgotten.of(marks, Order(self.head.time).latest) if marks else NOTHING

    async def frames_of(self, wanted: Sequence[Entry], recent: RecentFrames | None = None) -> list[Frame | None]:
        """Frames as they are stored, of any conversations, in one batched read; None in the place of one that is
        damaged, which is noted. What is among the `recent` ones is not read again, and what is read joins them."""
        known = [None if recent is None else recent.get(ref) for _, ref in wanted]
        absent = [(ref.segment, ref.chunk) for (_, ref), frame in zip(wanted, known, strict=True) if frame is None]
        read = iter(await self.source.chunks(ObjectType.SEGMENT, absent))
        frames: list[Frame | None] = []
        for (key, ref), frame in zip(wanted, known, strict=True):
            found = self.parsed(key, ref, next(read) if frame is None else frame)
            if recent is not None and found is not None:
                recent.keep(ref, found)
            frames.append(found)
        return frames

    def parsed(self, key: bytes, ref: FrameRef, content: Frame | bytes | UntrustedDataError) -> Frame | None:
        """The rows of a frame from what its chunk holds, or from before; None for one that is damaged, which is
        noted."""
        try:
            if isinstance(content, UntrustedDataError):
                return None
            return self.checked(decode_frame(content) if isinstance(content, bytes) else content, key, ref)
        except UntrustedDataError as error:
            self.source.damage.setdefault(ref.segment.hex(), error.failure)
            return None

    def checked(self, frame: Frame, key: bytes, ref: FrameRef) -> Frame:
        """The frame is of the conversation and times under which the index files it, and holds nothing discarded; or
        CONTEXT is raised."""
        if conversation_key(frame.conversation) != key:  # spec: ENG-7
            raise UntrustedDataError(Failure.CONTEXT, "frame of another conversation", subject=ref.segment.hex())
        if (frame.time[0], frame.time[-1], len(frame)) != (ref.first, ref.last, ref.rows):  # spec: ENG-8
            raise UntrustedDataError(Failure.CONTEXT, "frame is not the one indexed", subject=ref.segment.hex())
        for discard in self.discards:
            if discard.device in frame.device and any(map(discard.covers, frame.device, frame.batch)):  # spec: UNDO-2
                raise UntrustedDataError(Failure.CONTEXT, "frame with rows that were undone", subject=ref.segment.hex())
        return frame

    def tail_frames(self, key: bytes) -> list[Frame]:
        """The rows of a conversation that no run holds yet, without what was forgotten (see `forgotten`)."""
        tail = self.stored_tail(key)
        gone = self._gone(key, tail)
        return [shown for frame in tail if (shown := gone.shown(frame)) is not None]

    def stored_tail(self, key: bytes) -> list[Frame]:
        """All rows of a conversation that no run holds yet."""
        return [frame for _, frames in self.tail for frame in frames if conversation_key(frame.conversation) == key]

    async def keys_in_runs(self) -> set[bytes]:
        """The keys of the conversations that runs hold."""
        return {key for run in self.root.runs for key, _ in await self.entries(run)}

    async def keys(self) -> list[bytes]:
        """The keys of all conversations, in order."""
        found = await self.keys_in_runs()
        found |= {conversation_key(frame.conversation) for _, frames in self.tail for frame in frames}
        return sorted(found)

    async def objects(self) -> AsyncIterator[tuple[ObjectRef, ObjectType]]:
        """Every object this version reaches, each once, what leads to others first. No frame is opened for it: the
        parts of media that rows refer to stand in the indexes."""
        yield ObjectRef(self.head.body, self.head.body_size), ObjectType.BODY
        if self.body.root is not None:
            for ref in self.body.root.refs:
                yield ref, ObjectType.ROOT
        for entry in self.body.tail:
            yield entry.ref, ObjectType.BATCH
        if self.root.directory is not None:
            yield self.root.directory, ObjectType.DIRECTORY
            for page in (await self.hot() or HotPage()).cold:
                yield page.ref, ObjectType.DIRECTORY
        segments: dict[bytes, ObjectRef] = {}
        for run in self.root.runs:
            for ref in run.index.refs:
                yield ref, ObjectType.INDEX
            for top in await self.both_tops(run):
                yield top.pages, ObjectType.INDEX_PAGES
                segments |= {ref.name: ref for ref in top.segments}
        for ref in segments.values():
            yield ref, ObjectType.SEGMENT
        for ref in (await self.media()).values():
            yield ref, ObjectType.MEDIA

    async def media(self) -> dict[bytes, ObjectRef]:
        """The parts of media that rows of this version refer to, by name."""
        parts = [part for run in self.root.runs for _, frame in await self.entries(run) for part in frame.media]
        details = (detail for _, frames in self.tail for frame in frames for detail in frame.detail)
        parts += [part for detail in details for part in part_refs(detail)]
        return {part.name: part for part in parts}

    async def _mirror_page(self, run: Run, top: IndexTop, number: int) -> tuple[Entry, ...]:
        for mirror in await self._read_tops(run.index.refs[1:]):
            if mirror.segments == top.segments and number < len(mirror.fences):
                wanted = [(mirror.pages.name, mirror.fences[number].chunk)]
                (page,) = await self.source.chunks(ObjectType.INDEX_PAGES, wanted)
                return self._parsed(page, mirror) or ()
        return ()

    def _parsed(self, page: bytes | UntrustedDataError, top: IndexTop) -> tuple[Entry, ...] | None:
        return self._noted(top.pages, page, lambda content: parse_page(content, top))
