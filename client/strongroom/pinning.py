"""Keeping what the newest state needs: a head can drop objects that it reaches, by mistake or to destroy them later.

A relay believes what a head's delta says (chapter 11): dropped objects are readable for the window, and then gone. So a
device asks now and then which objects of the state the relay is about to delete, and has them kept again.
"""

from __future__ import annotations

from strongroom.commit import names_only
from strongroom.engine.snapshot import Snapshot
from strongroom.planted import uproot
from strongroom.session import Session, now_ms
from strongroom_protocol.errors import RelayConflict
from strongroom_protocol.limits import LIMITS

_ASKED = "pins-asked"
_EVERY_MS = 24 * 3600 * 1000
ATTEMPTS = 4


async def unpinned(session: Session, snapshot: Snapshot) -> tuple[list[bytes], list[bytes]]:
    """Of what a state reaches: the objects that the relay has and is about to delete, and those it does not have."""
    names = sorted({ref.name async for ref, _ in snapshot.objects()})
    leaving: list[bytes] = []
    gone: list[bytes] = []
    for at in range(0, len(names), LIMITS.read_items):
        told = await session.transport.missing(session.account, names[at : at + LIMITS.read_items])
        there = await session.transport.read(session.account, [(name, 0, 1) for name in told]) if told else []
        leaving += [name for name, data in zip(told, there, strict=True) if data is not None]
        gone += [name for name, data in zip(told, there, strict=True) if data is None]
    return leaving, gone


async def keep_all(session: Session) -> int:
    """Have the relay keep whatever the newest state needs; how many objects it was about to delete.

    Raises what committing raises; RelayConflict when other devices were quicker, again and again.
    """
    for _ in range(ATTEMPTS):
        async with session.lock:
            snapshot = await session.snapshot()
            leaving, _ = await unpinned(session, snapshot)
            if not leaving:
                return 0
            try:
                await names_only(session, snapshot, adds=leaving)  # spec: LIFE-20
                return len(leaving)
            except RelayConflict:
                continue
    raise RelayConflict("other devices were first, again and again")


async def keep_all_daily(session: Session) -> None:
    """The same once a day, by an idle device; and what was planted to hide things one day is taken out."""
    asked = int.from_bytes(session.state.get(_ASKED) or b"", "big")
    if not 0 <= now_ms() - asked < _EVERY_MS:  # also when the clock was set back
        await keep_all(session)
        await uproot(session)  # spec: FORGET-11
        session.state.put({_ASKED: now_ms().to_bytes(8, "big")})
