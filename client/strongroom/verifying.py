"""Verifying what a relay holds: the newest version's objects, whether it keeps them, and the keys (chapter 13.8)."""

from __future__ import annotations

from strongroom.engine.audit import Audit, audit
from strongroom.engine.depth import Depth
from strongroom.engine.listed import unlisted
from strongroom.engine.snapshot import Snapshot
from strongroom.fetching import fetch_keyrings
from strongroom.pinning import unpinned
from strongroom.planted import planted
from strongroom.records import OnProgress, measured
from strongroom.session import Session
from strongroom_protocol.errors import Failure, UntrustedDataError

KEYRINGS = "keyrings"
"""What stands in `Audit.damaged` for the chain of keyrings, which has no name as objects have."""


async def verify(session: Session, depth: Depth, *, progress: OnProgress | None = None) -> Audit:
    """See `Vault.verify`. Damage is reported; raised are RelayError, and what the newest head is refused for."""
    async with session.lock:
        snapshot = await session.snapshot(fresh=True)
    report = await audit(snapshot, depth=depth, progress=measured("verify", progress))
    leaving, gone = await unpinned(session, snapshot)
    report.leaving = len(leaving)
    lost = {name for name in gone if name.hex() not in report.damaged}
    if lost:  # spec: VER-4
        await _count(report, snapshot, lost)
    await _keyrings(session, report)
    report.planted, report.unlisted = len(await planted(snapshot)), len(await unlisted(snapshot))  # spec: VER-6
    return report


async def _count(report: Audit, snapshot: Snapshot, lost: set[bytes]) -> None:
    """Objects that were not fetched and that the relay itself says it does not have."""
    report.damaged |= {name.hex(): Failure.MISSING for name in sorted(lost)}
    for run in snapshot.root.runs:
        for _, frame in await snapshot.entries(run):
            if frame.segment in lost:
                report.frames_lost += 1
                report.rows_lost += frame.rows


async def _keyrings(session: Session, report: Audit) -> None:
    """Fetch the keys as a device does that knows nothing yet: without them nobody but these devices reads a word."""
    try:
        shown = await fetch_keyrings(session.transport, session.account, None, [])
        known = session.keyrings
        if [keyring.hash for keyring in shown[: len(known)]] != [keyring.hash for keyring in known]:  # spec: VER-5
            raise UntrustedDataError(Failure.MISSING, "not all keyrings that this device knows", subject=KEYRINGS)
    except UntrustedDataError as error:
        report.damaged[KEYRINGS] = error.failure
