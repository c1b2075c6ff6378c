"""Whether the directory says what the runs say (spec chapter 08.5).

It is what a reader goes by: a chat without a row is in no list and cannot be opened, and a row that leaves out a frame
hides messages, though all of them are there. Whoever commits writes it, a stolen device too.
"""

from __future__ import annotations

from collections import defaultdict

from strongroom.engine.listing import read_rows
from strongroom.engine.snapshot import Snapshot
from strongroom_protocol.engine.directory import DirectoryRow
from strongroom_protocol.engine.refs import FrameRef
from strongroom_protocol.rows.forget import Forgotten
from strongroom_protocol.rows.model import TIME_MAX


async def unlisted(snapshot: Snapshot) -> set[bytes]:
    """The keys of conversations of which the directory says otherwise than the indexes; none where something is
    damaged, since that says nothing of who is right.

    Frames are not opened, so what they alone know (titles, previews) is not compared.
    """
    refs: defaultdict[bytes, list[FrameRef]] = defaultdict(list)
    for run in snapshot.root.runs:
        for key, ref in await snapshot.entries(run):
            refs[key].append(ref)
    rows = await read_rows(snapshot)
    if snapshot.source.damage:
        return set()
    return {key for key in refs.keys() | rows.keys() if not _true(rows.get(key), refs.get(key, []))}


def _true(row: DirectoryRow | None, refs: list[FrameRef]) -> bool:
    if row is None or not refs:
        return False
    there, listed = set(refs), set(row.frames)
    marks = [mark for ref in refs for mark in ref.forgets]
    return (
        listed <= there
        and all(ref in listed for ref in there if ref.last > row.floor)
        and row.rows == sum(ref.rows for ref in refs)
        and Forgotten.of(row.forgets, TIME_MAX) == Forgotten.of(marks, TIME_MAX)
    )
