"""Folding the tail into a run and merging runs (spec chapter 08). Both are ordinary commits."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

from strongroom.engine.change import Change
from strongroom.engine.merging import Plan, Rules, plan, write
from strongroom.engine.rows import joined
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


def level_of(rows: int) -> int:
    """The level at which a run of so many rows enters."""
    level = 0
    while rows > LEVEL_ROWS * FAN_IN:
        rows //= FAN_IN
        level += 1
    return level


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
    await change.directory.load(conversations)
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
    """Runs become one of the next level.

    Raises UntrustedDataError when it is not known what a run holds; nothing may be lost by tidying up.
    """
    numbers, level = {run.number for run in runs}, 1 + max(run.level for run in runs)
    # What lies on the highest level is the oldest: only there is a final frame written anew for what was erased in it.
    oldest = all(run.level < level for run in change.runs if run.number not in numbers)
    await combine(change, runs, await plan(change, runs, Rules(finals=oldest)), level)


async def combine(change: Change, runs: Sequence[Run], made: Plan, level: int) -> None:
    """Carry out a plan for these runs: one run at `level` in their place."""
    base = change.base
    gone = [entry for run in runs for entry in await base.entries(run)]
    writer = change.run_writer(level, packed=True)
    await write(change, made, writer)
    merged = writer.finish()
    replaced: defaultdict[bytes, list[FrameRef]] = defaultdict(list)
    for key, frame in gone:
        replaced[key].append(frame)
    await change.directory.locate(writer.entries, replaced=replaced)
    await change.remove_runs(list(runs))
    if all([await base.tops(run) for run in change.runs]):
        kept = await segments_of(base, change.runs)
        change.drops |= set(made.segments) - set(kept) - {ref.name for ref in writer.segments}
    # else: a run whose index is lost may refer to any segment, so none is dropped.
    change.drop_media(gone, writer.entries)
    change.add_run(merged)


async def segments_of(base: Snapshot, runs: Sequence[Run]) -> dict[bytes, ObjectRef]:
    """The segments that runs of the base refer to, by name."""
    found: dict[bytes, ObjectRef] = {}
    for run in runs:
        tops = await base.tops(run)
        if not tops:
            raise UntrustedDataError(Failure.MISSING, "an index is damaged", subject=str(run.number))
        found |= {ref.name: ref for ref in tops[0].segments}
    return found
