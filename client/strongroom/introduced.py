"""What each device itself brought into the history, head by head (spec chapter 11.5).

Origins in runs are not signed: a stolen device can put rows under another device's name into a run, and an honest
device that merges this run would pass them on. So a row counts as somebody's only where that device brought it in: in a
batch that it signed, or in a run of its own head that took no other run away. An honest change that merges brings
nothing; one that does not merge can only have such rows from what its device wrote, or from batches that are signed.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection, Sequence

from strongroom.earlier import is_undo, writer_of
from strongroom.engine.snapshot import Snapshot, load_tail
from strongroom.engine.source import ObjectSource
from strongroom.engine.undone import Carried
from strongroom.session import Session
from strongroom_protocol.engine.body import Body
from strongroom_protocol.engine.refs import ObjectRef
from strongroom_protocol.engine.root import EngineRoot
from strongroom_protocol.errors import Failure, UntrustedDataError
from strongroom_protocol.manifest.head import Head
from strongroom_protocol.seal.objects import ObjectType

TOGETHER = 64
"""Heads whose bodies are read in one go."""


async def carry(session: Session, heads: Sequence[Head], without: Collection[bytes], carried: Carried) -> list[int]:
    """Take what all devices but `without` brought in by the heads after the first; the versions that cannot be read."""
    unreadable: list[int] = []
    before: Snapshot | None = None
    async for head, state in states(session, heads):
        writer = writer_of(session, head)
        if head is not heads[0] and writer is not None and writer not in without and not is_undo(session, head):
            try:
                await _take(session, writer, before, state, carried)
            except UntrustedDataError:
                unreadable.append(head.version)
        before = state
    return unreadable


async def _take(
    session: Session, writer: bytes, before: Snapshot | None, state: Snapshot | None, carried: Carried
) -> None:
    if before is None or state is None:
        raise _unread("body")
    listed = {(entry.ref.name, entry.device, entry.sequence) for entry in before.body.tail}
    fresh = [
        entry
        for entry in state.body.tail
        if entry.device == writer
        and (entry.ref.name, entry.device, entry.sequence) not in listed
        and carried.stays(entry.device, entry.sequence)
    ]
    batches = await load_tail(state.source, fresh, session.device_keys())
    if len(batches) < len(fresh):
        raise _unread("batch")
    for _, frames in batches:
        await carried.batch(frames)
    old = {run.index.primary.name for run in before.root.runs}
    new = {run.index.primary.name for run in state.root.runs}
    if not old <= new:  # spec: UNDO-10
        return
    own = [entry for entry in before.body.tail if entry.device == writer] if old != new else []
    # Whoever wrote the state before can list batches of this writer that there never were: only what opens counts.
    opened = await load_tail(before.source, own, session.device_keys())
    known = {entry.sequence for entry, _ in opened}  # spec: UNDO-12
    for run in state.root.runs:
        if run.index.primary.name not in old:
            await carried.run(state, run, lambda device, number: device == writer and number not in known)


def _unread(what: str) -> UntrustedDataError:
    return UntrustedDataError(Failure.MISSING, "not kept, or damaged", subject=what)


async def states(session: Session, heads: Sequence[Head]) -> AsyncIterator[tuple[Head, Snapshot | None]]:
    """Body and root of each head, without the tail's batches; None where they cannot be read."""
    for start in range(0, len(heads), TOGETHER):
        some = heads[start : start + TOGETHER]
        source = session.source()
        contents = await source.objects([ObjectRef(head.body, head.body_size) for head in some], ObjectType.BODY)
        for head, content in zip(some, contents, strict=True):
            yield head, await _state(source, head, content)


async def _state(source: ObjectSource, head: Head, content: bytes | UntrustedDataError) -> Snapshot | None:
    try:
        if isinstance(content, UntrustedDataError):
            return None
        body = Body.parse(content)
        root = EngineRoot()
        if body.root is not None:
            root = EngineRoot.parse(await source.mirrored(body.root, ObjectType.ROOT))
        return Snapshot(source, head, body, root, [])
    except UntrustedDataError:
        return None
