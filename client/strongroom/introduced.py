"""What each device itself brought into the history, head by head (spec chapter 11.5).

Origins in runs are not signed: a stolen device can put rows under another device's name into a run, and an honest
device that merges this run would pass them on. So a row counts as somebody's only where that device brought it in: in a
batch that it signed, whoever's head has it, or in a run of its own head that took no other run away. An honest change
that merges brings nothing; one that does not merge can only have such rows from what its device wrote, or from batches
that are signed.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

from strongroom.earlier import is_undo, writer_of
from strongroom.engine.snapshot import Snapshot
from strongroom.engine.source import ObjectSource
from strongroom.engine.tail import load_tail
from strongroom.engine.undone import Carried
from strongroom.session import Session
from strongroom_protocol.engine.body import Body, TailEntry
from strongroom_protocol.engine.refs import ObjectRef
from strongroom_protocol.engine.root import EngineRoot
from strongroom_protocol.errors import Failure, UntrustedDataError
from strongroom_protocol.manifest.head import Head
from strongroom_protocol.seal.objects import ObjectType

T = TypeVar("T")

TOGETHER = 64
"""Heads whose bodies are read in one go."""


async def carry(session: Session, heads: Sequence[Head], without: Collection[bytes], carried: Carried) -> list[int]:
    """Take what all devices but `without` brought in by the heads after the first; the versions that cannot be read."""
    unreadable: list[int] = []
    taking: _Taking | None = None
    before: Snapshot | None = None
    async for head, body, state in states(session, heads):
        writer = writer_of(session, head)
        if taking is None:
            taking = _Taking(session, without, carried, _there(body))
        elif writer is not None and not is_undo(session, head):
            try:
                await taking.batches(head, _there(body))
                if writer not in without:
                    await taking.rows(writer, _there(before), _there(state))
            except UntrustedDataError:
                gone = any(item.covers(writer, head.sequence) for item in session.keyring.discards)  # spec: UNDO-14
                if writer not in without and not gone:
                    unreadable.append(head.version)
        if body is not None:
            taking.seen.update(body.tail)
        before = state
    return unreadable


@dataclass(slots=True)
class _Taking:
    """What is taken of the history after the version to go back to, whose body is `start`."""

    session: Session
    without: Collection[bytes]
    carried: Carried
    start: Body
    seen: set[TailEntry] = field(default_factory=set)
    """Entries of the tails up to here."""
    taken: set[tuple[bytes, int]] = field(default_factory=set)
    """Devices and sequences of the batches that were carried: each is, once."""

    async def batches(self, head: Head, body: Body) -> None:
        """The batches that a head's tail is the first to list: its writer's own, and what others have signed since.

        A thief, with a relay, can be the first to commit a batch whose device is told that it lost the race, and then
        that its rows are there. Raises UntrustedDataError when one of the writer's own cannot be read.
        """
        fresh = [entry for entry in body.tail if entry not in self.seen and self._stays(entry, head)]
        opened = await load_tail(self.session.source(), fresh, self.session.device_keys())
        for entry, frames in opened:
            if (entry.device, entry.sequence) not in self.taken:
                self.taken.add((entry.device, entry.sequence))
                await self.carried.batch(frames)
        if any(entry.device == head.device for entry in {*fresh} - {entry for entry, _ in opened}):
            raise UntrustedDataError(Failure.MISSING, "not kept, or damaged", subject="batch")

    def _stays(self, entry: TailEntry, head: Head) -> bool:
        if entry.device in self.without or not self.carried.stays(entry.device, entry.sequence):
            return False
        if entry.device == head.device:
            return True
        # Of what was there before, a thief can list again what was erased. Removed devices sign whatever they like.
        later = entry.sequence > self.start.sequences.get(entry.device, 0)
        listed = self.session.keyrings[head.keyring_version - 1].device(entry.device) is not None
        return later and listed  # spec: UNDO-13

    async def rows(self, writer: bytes, before: Snapshot, state: Snapshot) -> None:
        """The rows of a writer's new runs that it did not fold from batches."""
        old = {run.index.primary.name for run in before.root.runs}
        new = {run.index.primary.name for run in state.root.runs}
        if not old <= new:  # spec: UNDO-10
            return
        own = [entry for entry in before.body.tail if entry.device == writer] if old != new else []
        # Whoever wrote the state before can list batches of this writer that there never were: only what opens counts.
        opened = await load_tail(before.source, own, self.session.device_keys())
        known = {(entry.device, entry.sequence) for entry, _ in opened}  # spec: UNDO-12
        known |= self.taken
        for run in state.root.runs:
            if run.index.primary.name not in old:
                await self.carried.run(state, run, lambda *origin: origin[0] == writer and origin not in known)


def _there(found: T | None) -> T:
    if found is None:
        raise UntrustedDataError(Failure.MISSING, "not kept, or damaged", subject="version")
    return found


async def states(session: Session, heads: Sequence[Head]) -> AsyncIterator[tuple[Head, Body | None, Snapshot | None]]:
    """Body of each head, and its state without the tail's batches; None where they cannot be read."""
    for start in range(0, len(heads), TOGETHER):
        some = heads[start : start + TOGETHER]
        source = session.source()
        contents = await source.objects([ObjectRef(head.body, head.body_size) for head in some], ObjectType.BODY)
        for head, content in zip(some, contents, strict=True):
            body = _body(content)
            yield head, body, None if body is None else await _state(source, head, body)


def _body(content: bytes | UntrustedDataError) -> Body | None:
    try:
        return Body.parse(content) if isinstance(content, bytes) else None
    except UntrustedDataError:
        return None


async def _state(source: ObjectSource, head: Head, body: Body) -> Snapshot | None:
    try:
        root = EngineRoot()
        if body.root is not None:
            root = EngineRoot.parse(await source.mirrored(body.root, ObjectType.ROOT))
        return Snapshot(source, head, body, root, [])
    except UntrustedDataError:
        return None
