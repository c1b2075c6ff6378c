"""Taking out of this device what other devices took out of the history: its search index and its cache (chapter 08.9).

What they forgot is shown here no more from the next synchronisation on; but the index is plaintext, and the cache opens
with this device's keys, so a thief of the disk would read both.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Awaitable, Callable
from hashlib import sha256

from strongroom.cache import Cache
from strongroom.engine.listing import read_rows
from strongroom.engine.reading import row_of
from strongroom.engine.snapshot import Snapshot
from strongroom.search import index
from strongroom.session import Session
from strongroom_protocol.rows.forget import Forgotten, Mark, marks_of
from strongroom_protocol.rows.merge import Order
from strongroom_protocol.wire import cbor

_FOLLOWED = "forgotten-elsewhere"
"""Name in the state: a digest of what the history forgets, and the runs and batches that it had then."""


async def follow(session: Session, snapshot: Snapshot, quiet: Callable[[], Awaitable[None]]) -> bool:
    """Bring index and cache to what the newest state forgets; whether there was anything to do.

    `quiet` stops what is being filed. Nothing is removed by a state that cannot be read whole.
    """
    if snapshot.source.damage:  # reading on would make the chat list again, from all there is
        return False
    marks = await _marks(snapshot)
    if not marks or snapshot.source.damage:
        return False
    said = sha256(cbor.encode([[chat, [list(mark) for mark in found]] for chat, found in marks.items()])).digest()
    places = {run.index.primary.name for run in snapshot.root.runs} | {entry.ref.name for entry in snapshot.body.tail}
    stored = session.state.get(_FOLLOWED)
    known, before = (b"", []) if stored is None else cbor.decode(stored, subject=_FOLLOWED)
    # The rows that forget come first, the merge that takes out later: until then older places hold what is forgotten.
    left = places if said != known else places & {*before}
    if said == known and len(left) == len(before):
        return False
    await quiet()
    if said != known:
        for chat, found in marks.items():
            gone = Forgotten.of(found, Order(snapshot.head.time).latest)
            whole = await row_of(snapshot, chat) is None
            until = None if whole else gone.messages
            if until is None or until >= 0:
                await asyncio.to_thread(index.forget, session.state.folder, chat, until=until)
    async with session.lock:
        if session.pin.head_hash != snapshot.head.hash:
            return True  # a newer state needs other objects: next time
        names = [ref.name async for ref, _ in snapshot.objects()]
        if snapshot.source.damage:
            return True
        await asyncio.to_thread(Cache(session.state.folder / "objects").keep_only, names)
        session.state.put({_FOLLOWED: cbor.encode([said, sorted(left)])})
    return True


async def _marks(snapshot: Snapshot) -> dict[str, list[Mark]]:
    """What FORGET rows say of every conversation that has any, in order."""
    found: defaultdict[str, set[Mark]] = defaultdict(set)
    for row in (await read_rows(snapshot)).values():
        found[row.conversation].update(row.forgets)
    for _, frames in snapshot.tail:
        for frame in frames:
            found[frame.conversation].update(marks_of(frame))
    return {chat: sorted(marks) for chat, marks in sorted(found.items()) if marks}
