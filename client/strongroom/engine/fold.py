"""Folding the tail into a run and merging runs (spec chapter 08). Both are ordinary commits."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import fields

from strongroom.engine.change import Change
from strongroom.engine.run_writer import RunWriter
from strongroom.engine.snapshot import Snapshot
from strongroom_protocol.engine.refs import FrameRef, ObjectRef
from strongroom_protocol.engine.root import Run
from strongroom_protocol.errors import Failure, UntrustedDataError
from strongroom_protocol.limits import LIMITS
from strongroom_protocol.rows.ids import conversation_key
from strongroom_protocol.rows.table import Frame

FAN_IN = 8
"""Runs of a level that merge into one of the next."""

LEVEL_ROWS = 100 * LIMITS.tail_batches
"""Rows of a run at level 0; each level holds FAN_IN times more."""

FINAL_ROWS = LIMITS.frame_rows // 2
"""Rows from which a frame is not rewritten any more."""

_COLUMNS = tuple(column.name for column in fields(Frame))[1:]


def level_of(rows: int) -> int:
    """The level at which a run of so many rows enters."""
    level = 0
    while rows > LEVEL_ROWS * FAN_IN:
        rows //= FAN_IN
        level += 1
    return level


def joined(frames: Sequence[Frame]) -> Frame:
    """One frame of all rows, in frame order."""
    if len(frames) == 1:
        return frames[0].sorted()
    columns = ([item for frame in frames for item in getattr(frame, name)] for name in _COLUMNS)
    return Frame(frames[0].conversation, *columns).sorted()


async def fold(change: Change) -> None:
    """Make the tail a run. A batch that cannot be read stays in the tail, so nothing is lost that might be mended."""
    grouped: defaultdict[bytes, list[Frame]] = defaultdict(list)
    for _, frames in change.base.tail:
        for frame in frames:
            grouped[conversation_key(frame.conversation)].append(frame)
    if grouped:
        await write_run(change, {key: joined(frames) for key, frames in grouped.items()})
        change.take_from_tail({entry.ref.name for entry, _ in change.base.tail})


async def write_run(change: Change, conversations: dict[bytes, Frame]) -> Run:
    """Write rows (one frame's worth per conversation, any length) as a new run and list them in the directory."""
    writer = change.run_writer(level_of(sum(map(len, conversations.values()))))
    for key in sorted(conversations):
        writer.add(key, conversations[key])
        await change.directory.describe(conversations[key])
    run = writer.finish()
    await change.directory.locate(writer.entries)
    change.add_run(run)
    return run


async def merge_full_levels(change: Change) -> bool:
    """Merge the runs of the lowest level when it has FAN_IN, and on up while that fills the next. Returns whether.

    A run whose index is damaged beyond its mirror stays as it is and counts for nothing.
    """
    chosen: list[Run] = []
    for level in range(1 + max((run.level for run in change.runs), default=0)):
        here = [run for run in change.runs if run.level == level]
        if len(here) + bool(chosen) >= FAN_IN:
            here = [run for run in here if len(await change.base.entries(run)) == run.frames]
        if len(here) + bool(chosen) >= FAN_IN:
            # What a merge would make completes this level too: all of it is written once, not level by level.
            chosen = here + chosen if chosen else here[-FAN_IN:]
        elif chosen:
            break
    if chosen:
        await merge(change, chosen)
    return bool(chosen)


async def merge(change: Change, runs: Sequence[Run]) -> None:
    """Runs become one of the next level; frames that need no change are referenced, not rewritten.

    Frames that cannot be read are referenced as they are: nothing may be lost by tidying up. Raises
    UntrustedDataError when it is not known what a run holds.
    """
    base = change.base
    segments = await segments_of(base, runs)
    grouped: defaultdict[bytes, list[FrameRef]] = defaultdict(list)
    for run in runs:
        entries = await base.entries(run)
        if len(entries) != run.frames:
            raise UntrustedDataError(Failure.MISSING, "an index page is damaged", subject=str(run.number))
        for key, frame in entries:
            grouped[key].append(frame)
    writer = change.run_writer(1 + max(run.level for run in runs))
    for key in sorted(grouped):
        for group in rewrite_groups(sorted(grouped[key], key=lambda frame: (frame.first, frame.last))):
            await _write_group(base, writer, key, group, segments)
    merged = writer.finish()
    gone = frozenset(frame.chunk.digest for frames in grouped.values() for frame in frames)
    await change.directory.locate(writer.entries, replaced=gone)
    await change.remove_runs(list(runs))
    if all([await base.tops(run) for run in change.runs]):
        kept = await segments_of(base, change.runs)
        change.drops |= set(segments) - set(kept) - {ref.name for ref in writer.segments}
    # else: a run whose index is lost may refer to any segment, so none is dropped.
    change.add_run(merged)


def rewrite_groups(frames: Sequence[FrameRef]) -> list[list[FrameRef]]:
    """Neighbouring frames that are written anew together; a group of one is referenced as it is.

    A full frame is final: what an old message gets later (edits, reactions) lies in small frames beside it and is
    joined when reading. Small neighbours join up to about a full frame of rows.
    """
    groups: list[list[FrameRef]] = []
    open_rows = 0
    for frame in frames:
        if frame.rows >= FINAL_ROWS:
            groups.append([frame])
            open_rows = 0
        elif open_rows and open_rows + frame.rows <= LIMITS.frame_rows:
            groups[-1].append(frame)
            open_rows += frame.rows
        else:
            groups.append([frame])
            open_rows = frame.rows
    return groups


async def segments_of(base: Snapshot, runs: Sequence[Run]) -> dict[bytes, ObjectRef]:
    """The segments that runs of the base refer to, by name."""
    found: dict[bytes, ObjectRef] = {}
    for run in runs:
        tops = await base.tops(run)
        if not tops:
            raise UntrustedDataError(Failure.MISSING, "an index is damaged", subject=str(run.number))
        found |= {ref.name: ref for ref in tops[0].segments}
    return found


async def _write_group(
    base: Snapshot, writer: RunWriter, key: bytes, group: list[FrameRef], segments: dict[bytes, ObjectRef]
) -> None:
    if len(group) == 1:
        writer.refer(key, group[0], segments[group[0].segment])
        return
    frames = await base.frames(key, group)
    if len(frames) == len(group):
        writer.add(key, joined(frames))
        return
    for ref in group:  # one is damaged: it may be mended yet
        writer.refer(key, ref, segments[ref.segment])
