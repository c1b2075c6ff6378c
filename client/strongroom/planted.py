"""What a stolen device plants to hide things without taking them out: found from the indexes, and mended.

*FORGET rows of the future* say nothing today and would hide everything one day (spec chapter 10, FORGET-11).

A row that forgets counts up to its own clock, and for nothing while that is a day ahead (FORGET-1, FORGET-2). So a
stolen device can plant one for next year: when its time comes the device is long removed, what lies before the row is
long out of undo's window, and every merge takes out a year. Nobody else writes such rows; they are left out in time.

*A directory that leaves something out* hides a chat, or messages, from every reader (chapter 13.8, VER-6); it is made
again from the runs.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Awaitable, Callable

from strongroom.commit import commit
from strongroom.engine import compaction
from strongroom.engine.change import Change
from strongroom.engine.listed import unlisted
from strongroom.engine.listing import read_rows
from strongroom.engine.snapshot import Snapshot
from strongroom.session import Session, now_ms
from strongroom_protocol.limits import LIMITS
from strongroom_protocol.rows.forget import Mark, marks_of
from strongroom_protocol.rows.ids import conversation_key
from strongroom_protocol.rows.merge import Order


def horizon(snapshot: Snapshot) -> int:
    """The time (ms) after which no honest device's row forgets: by this device's clock or the newest head's, the later,
    so that neither, set back, makes a good row look planted."""
    return max(Order(snapshot.head.time).latest, now_ms() + LIMITS.clock_ahead_ms)


async def planted(snapshot: Snapshot) -> set[bytes]:
    """The keys of conversations of which a row forgets beyond the horizon, wherever a reader would learn of it."""
    said: defaultdict[bytes, set[Mark]] = defaultdict(set)
    for run in snapshot.root.runs:
        for key, ref in await snapshot.entries(run):
            said[key].update(ref.forgets)
    for key, row in (await read_rows(snapshot)).items():
        said[key].update(row.forgets)
    for _, frames in snapshot.tail:
        for frame in frames:
            said[conversation_key(frame.conversation)].update(marks_of(frame))
    latest = horizon(snapshot)
    return {key for key, marks in said.items() if any(time > latest for _, time in marks)}


async def uproot(session: Session) -> int:
    """Leave out of the history what is planted there, and list what is not; of how many conversations.

    Raises what committing raises; IncompleteError when the chat list cannot be made again from what the relay returns.
    """
    async with session.lock:
        snapshot = await session.snapshot()
    hidden = await unlisted(snapshot)
    if hidden:  # first: what is written next goes by the directory
        await commit(session, _listed)
    found = await planted(snapshot)
    if found:
        await commit(session, compaction.fold_tail)
        await commit(session, _without(horizon(snapshot)))
    return len(found | hidden)


async def _listed(change: Change) -> bool:
    change.directory.again = True
    change.rewrite_directory()
    return True


def _without(latest: int) -> Callable[[Change], Awaitable[bool]]:
    async def build(change: Change) -> bool:
        return await compaction.purge(change, until=latest)

    return build
