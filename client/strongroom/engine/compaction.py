"""Compaction at leisure (spec chapter 08): all runs into one, as small as it gets, without what was erased.

For a device that is idle, on mains power and with a good connection: it may send as much as the vault holds. What it
writes is a function of the head it starts from, so another device can make the same and compare.
"""

from __future__ import annotations

from dataclasses import replace

from strongroom.engine.change import Change
from strongroom.engine.fold import combine, fold, level_of
from strongroom.engine.merging import Rules, plan
from strongroom_protocol.engine.hot import HotPage
from strongroom_protocol.rows.model import TIME_MAX

LEISURE = Rules(finals=True, leisure=True, live=90)

PURGE = Rules(finals=True, live=90)
"""Segments with something of what is taken out lose it: what stays of them is copied once little of it is left."""


async def fold_tail(change: Change) -> bool:
    """Make the tail a run, so that a compaction reaches it too. Returns whether there was one."""
    if change.base.tail:
        await fold(change)
    return bool(change.base.tail)


async def compact(change: Change) -> bool:
    """Join all runs, pack what is loose, take out what was erased, write the cold log anew. Returns whether.

    What is in the tail is left alone: commit `fold_tail` before, or a tombstone there erases nothing yet. A run whose
    index is damaged beyond its mirror stays as it is. Segments are emitted as they fill and `change.relieve` is called
    in between, so what is in memory stays bounded. Raises UntrustedDataError when a frame vanishes meanwhile.
    """
    runs = [run for run in change.runs if len(await change.base.entries(run)) == run.frames]
    made = await plan(change, runs, LEISURE)
    if len(runs) > 1 or made.changes:
        level = max(level_of(sum(run.rows for run in runs)), *(run.level for run in runs))
        await combine(change, runs, made, level)
    elif not await _log_is_long(change):
        return False
    change.rewrite_directory()
    return True


async def purge(change: Change, *, until: int = TIME_MAX) -> bool:
    """Take out what was erased or forgotten, and leave everything else as it lies; returns whether there were runs.

    FORGET rows of a time later than `until` (ms) are taken out themselves, and say nothing here.

    All runs become one, so that no frame is left in which something of it lies; the directory is written anew, since
    a page that has been left behind may still show a preview. Raises UntrustedDataError when a frame vanishes.
    """
    runs = [run for run in change.runs if len(await change.base.entries(run)) == run.frames]
    if not runs:
        return False
    made = await plan(change, runs, replace(PURGE, until=until))
    level = max(level_of(sum(run.rows for run in runs)), *(run.level for run in runs))
    await change.directory.forget_until(until)
    await combine(change, runs, made, level)
    change.rewrite_directory()
    return True


async def _log_is_long(change: Change) -> bool:
    hot = await change.base.hot() or HotPage()
    return sum(page.rows for page in hot.cold) > len(hot.places) * 11 // 10 + 1  # two may share an entry of the map
