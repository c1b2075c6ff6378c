"""Making one run of several (spec chapter 08): what a merge and a compaction at leisure have in common.

First it is decided, from the entries of the indexes, what happens to every frame: referenced where it lies, copied out
of a segment that is mostly garbage, or written anew with its neighbours. Then all of it is done in the order of the
conversations, a bounded piece at a time, segments leaving as they fill.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from strongroom.engine.change import Change
from strongroom.engine.erasing import Erasures, Message
from strongroom.engine.grouping import Group, Numbered, groups_of
from strongroom.engine.rows import joined
from strongroom.engine.run_writer import RunWriter
from strongroom_protocol.engine.refs import FrameRef, ObjectRef
from strongroom_protocol.engine.root import Run
from strongroom_protocol.errors import Failure, UntrustedDataError
from strongroom_protocol.rows.forget import Forgotten, Mark, pruned
from strongroom_protocol.rows.merge import Order
from strongroom_protocol.rows.model import TIME_MAX
from strongroom_protocol.rows.table import Frame
from strongroom_protocol.seal.chunks import chunked_length
from strongroom_protocol.seal.objects import ObjectType

WINDOW_BYTES = 1024 * 1024
"""Sealed bytes of frames that are read in one go."""


@dataclass(frozen=True, slots=True)
class Rules:
    """`finals`: final frames that hold erased rows are written anew. `leisure`: so is what is not packed tightly.
    Frames are copied out of segments of which less than `live` percent would still be in use. FORGET rows of a time
    later than `until` (ms) are left out."""

    finals: bool
    leisure: bool = False
    live: int = 50
    until: int = TIME_MAX


@dataclass(slots=True)
class Plan:
    """What happens to every frame of some runs. Erasures are of the conversations that have any."""

    groups: dict[bytes, list[Group]]
    erasures: dict[bytes, Erasures]
    segments: dict[bytes, ObjectRef]
    forgets: dict[bytes, tuple[Mark, ...]] = field(default_factory=dict)
    """What FORGET rows of the inputs say, of the conversations that have any."""
    latest: int = 0
    condemned: set[bytes] = field(default_factory=set)

    @property
    def changes(self) -> bool:
        """Whether any frame is written anew or copied."""
        return bool(self.condemned) or any(group.rewrite for groups in self.groups.values() for group in groups)


async def plan(change: Change, runs: Sequence[Run], rules: Rules) -> Plan:
    """Decide. Raises UntrustedDataError when it is not known what a run holds."""
    base = change.base
    frames: defaultdict[bytes, list[Numbered]] = defaultdict(list)
    segments: dict[bytes, ObjectRef] = {}
    for run in runs:
        tops, entries = await base.tops(run), await base.entries(run)
        if not tops or len(entries) != run.frames:
            raise UntrustedDataError(Failure.MISSING, "an index is damaged", subject=str(run.number))
        segments |= {ref.name: ref for ref in tops[0].segments}
        for key, frame in entries:
            frames[key].append((run.number, frame))
    made = Plan({}, {}, segments, latest=Order(base.head.time).latest)
    for key in sorted(frames):
        numbered = frames.pop(key)
        made.groups[key] = groups_of(numbered, leisure=rules.leisure)
        if any(frame.erases for _, frame in numbered):
            made.erasures[key] = await _erase(change, key, made.groups[key], rules)
        if any(frame.forgets for _, frame in numbered):
            every = (mark for _, frame in numbered for mark in frame.forgets)
            made.forgets[key] = marks = tuple(mark for mark in every if mark[1] <= rules.until)
            await _forget(change, key, made.groups[key], rules, marks)
    live: defaultdict[bytes, int] = defaultdict(int)
    for groups in made.groups.values():
        for group in groups:
            for frame in () if group.rewrite else group.frames:
                live[frame.segment] += frame.chunk.length
    made.condemned = {
        name for name, used in live.items() if 100 * chunked_length(used) < rules.live * segments[name].size
    }
    return made


async def _erase(change: Change, key: bytes, groups: list[Group], rules: Rules) -> Erasures:
    """Mark the groups that hold erased rows to be written anew, and move tombstones to where those were.

    A tombstone beside the place of its message is found again without opening anything else, so what is erased once
    is not looked at by every later merge. A group that cannot be read takes no part.
    """
    found = Erasures()
    owners: defaultdict[Message, set[int]] = defaultdict(set)
    lies: defaultdict[Message, set[bytes]] = defaultdict(set)
    stays: set[Message] = set()
    readable = [True] * len(groups)
    movable = [rules.finals or group.rewrite or not group.final for group in groups]
    for number, group in enumerate(groups):
        if any(frame.erases for frame in group.frames):
            frames = await _read(change, key, group)
            readable[number] = frames is not None
            for ref, frame in zip(group.frames, frames or (), strict=False):
                for message in found.learn(frame):
                    owners[message].add(number)
                    lies[message].add(ref.chunk.digest)
                    if not movable[number]:
                        stays.add(message)
    times = sorted(lies)
    home: dict[Message, int] = {}
    for number, group in enumerate(groups):
        if not readable[number] or not movable[number] or not any(_suspect(ref, times, lies) for ref in group.frames):
            continue
        frames = await _read(change, key, group)
        readable[number] = frames is not None
        hits = {message for frame in frames or () for message in found.hit(frame)}
        group.erasing = group.erasing or bool(hits)
        for message in hits - stays:
            home.setdefault(message, number)
    for message, number in home.items():
        others = owners[message] - {number}
        if others and all(readable[other] for other in others):
            groups[number].more |= {message}
            for other in others:
                groups[other].without |= {message}
                groups[other].erasing = True
    for number, group in enumerate(groups):
        group.rewrite = readable[number] and (group.rewrite or group.erasing)
    return found


async def _forget(
    change: Change, key: bytes, groups: list[Group], rules: Rules, marks: Sequence[Mark]
) -> None:  # fmt: skip
    """Mark the groups that hold what FORGET rows of the inputs take out to be written anew.

    A group that cannot be read stays: readers leave out what is forgotten wherever it lies.
    """
    latest = Order(change.base.head.time).latest
    gone, needed = Forgotten.of(marks, latest), {*pruned(marks, latest)}
    for group in groups:
        if not (rules.finals or group.rewrite or not group.final):
            continue
        suspects = [ref for ref in group.frames if _may_hold(ref, gone)]
        repeats = any(set(ref.forgets) - needed for ref in group.frames)
        if not suspects and not repeats:
            continue
        frames = await _read(change, key, group)
        if frames is not None and (repeats or any(map(gone.touches, frames))):
            group.erasing = group.rewrite = True


def _may_hold(frame: FrameRef, gone: Forgotten) -> bool:
    return frame.first <= max(gone.messages, gone.facts) or (bool(frame.media) and frame.first <= gone.files)


def _suspect(frame: FrameRef, times: Sequence[Message], lies: dict[Message, set[bytes]]) -> bool:
    """Whether a frame can hold rows that a tombstone erases. In a frame that a merge wrote, its own have done so."""
    start = bisect_left(times, (frame.first, ""))
    stop = bisect_right(times, frame.last, key=lambda message: message[0])
    return any(not frame.packed or lies[message] != {frame.chunk.digest} for message in times[start:stop])


async def _read(change: Change, key: bytes, group: Group) -> list[Frame] | None:
    frames = await change.base.frames(key, group.frames, stored=True)
    return frames if len(frames) == len(group.frames) else None


@dataclass(frozen=True, slots=True)
class _Task:
    """A group to write anew, or a frame to copy or to reference."""

    key: bytes
    group: Group
    frame: FrameRef | None
    copy: bool = False

    @property
    def sealed(self) -> int:
        """Sealed bytes to read."""
        return self.group.sealed if self.frame is None else self.frame.chunk.length * self.copy


async def write(change: Change, made: Plan, writer: RunWriter) -> None:
    """Do what was decided. Frames that turn out to be damaged are referenced as they are: tidying up loses nothing.

    Raises UntrustedDataError when that would leave a tombstone behind: nothing is committed then.
    """
    window: list[_Task] = []
    size = 0
    for task in _tasks(made):
        window.append(task)
        size += task.sealed
        if size >= WINDOW_BYTES:
            await _write(change, made, writer, window)
            window, size = [], 0
    await _write(change, made, writer, window)


def _tasks(made: Plan) -> Iterator[_Task]:
    for key, groups in made.groups.items():
        for group in groups:
            if group.rewrite:
                yield _Task(key, group, None)
            else:
                yield from (_Task(key, group, frame, frame.segment in made.condemned) for frame in group.frames)


async def _write(change: Change, made: Plan, writer: RunWriter, window: Sequence[_Task]) -> None:
    base = change.base
    wanted = [(ref.segment, ref.chunk) for task in window if task.frame is None for ref in task.group.frames]
    read = iter(await base.source.chunks(ObjectType.SEGMENT, wanted))
    copies = [task.frame for task in window if task.copy and task.frame is not None]
    contents = iter(await base.source.chunks(ObjectType.SEGMENT, [(ref.segment, ref.chunk) for ref in copies]))
    for task in window:
        if task.frame is None:
            # Parsed group by group: as rows they take twenty times the memory of what was read.
            frames = [base.parsed(task.key, ref, next(read)) for ref in task.group.frames]
            _rewrite(made, writer, task, frames)
        else:
            content = next(contents) if task.copy else None
            if isinstance(content, bytes):
                writer.copy(task.key, task.frame, content)
            else:
                writer.refer(task.key, task.frame, made.segments[task.frame.segment])
    await change.relieve()


def _rewrite(made: Plan, writer: RunWriter, task: _Task, frames: Sequence[Frame | None]) -> None:
    group = task.group
    whole = [frame for frame in frames if frame is not None]
    if len(whole) < len(frames):
        if group.erasing:  # its tombstones may have been promised to another group, or another's to it
            raise UntrustedDataError(Failure.MISSING, "a frame was there and is not any more", subject="segment")
        for ref in group.frames:
            writer.refer(task.key, ref, made.segments[ref.segment])
        return
    rows: Frame | None = joined(whole)
    erasures = made.erasures.get(task.key)
    if erasures is not None and rows is not None:
        rows = erasures.kept(rows, without=group.without, more=group.more)
    marks = made.forgets.get(task.key)
    if marks is not None and rows is not None:
        rows = Forgotten.of(marks, made.latest).kept(rows, marks, made.latest)
    if rows is not None:
        writer.add(task.key, rows, newest=group.newest)
