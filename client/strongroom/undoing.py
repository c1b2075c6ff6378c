"""Undo: back to an earlier version, with all that others wrote since (spec chapter 11.5).

A stolen device, or a mistake, can drop, erase and write anything. Its owner takes what it wrote after a version out of
the history, for ever: the ranges stand in the keyring, which the root signs, and no reader takes them from anywhere.
"""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Collection
from dataclasses import dataclass, field, replace

from strongroom.commit import names_only
from strongroom.engine.directory import DirectoryChange
from strongroom.engine.sealer import Sealer
from strongroom.engine.snapshot import Snapshot, load_tail
from strongroom.engine.undone import Carried, UndoneChange
from strongroom.session import Session
from strongroom_protocol.engine.body import Body
from strongroom_protocol.engine.refs import ObjectRef
from strongroom_protocol.engine.root import EngineRoot
from strongroom_protocol.errors import Failure, IncompleteError, InvalidArgument, NotFound, UntrustedDataError
from strongroom_protocol.manifest.head import Head, parse_head
from strongroom_protocol.manifest.keyring import Discard
from strongroom_protocol.seal.objects import ObjectType
from strongroom_protocol.wire.parse import VERSION_MAX


@dataclass(frozen=True, slots=True)
class Undone:
    """What an undo did or would do: the version gone back to, commits taken out by device id (hex), rows that stay
    although they were written later, versions of honest devices that cannot be read (their rows are lost unless a later
    version has them), and the new version (0: it was only planned)."""

    to: int
    commits: dict[str, int]
    carried: int
    unreadable: tuple[int, ...]
    version: int = 0


@dataclass(slots=True)
class Undoing:
    """Prepares the commit that goes back to `to` without what `devices` wrote after it; again for each attempt."""

    session: Session
    to: int
    devices: frozenset[bytes]
    gone: frozenset[bytes]
    """Of those, the ones that are no devices any more: whatever they wrote is taken out, also what nobody has seen."""
    anyway: bool = False
    _heads: dict[int, Head] = field(default_factory=dict)
    _unreadable: list[int] = field(default_factory=list)
    _head: Head = field(init=False)
    _start: Snapshot = field(init=False)
    _newest: Snapshot | None = field(init=False)
    _change: UndoneChange = field(init=False)

    async def base(self) -> Snapshot:
        """The state of `to` under the newest head."""
        session = self.session
        newest = self._head = await session.sync()
        if not 1 <= self.to < newest.version:
            raise InvalidArgument(
                f"there is no version {self.to} before the newest, {newest.version}", hint="see strongroom undo --list"
            )
        start = self._start = await self._state(await self._at(self.to))
        state: Snapshot | None = None
        with contextlib.suppress(UntrustedDataError):  # a stolen device can leave a state that nobody can read
            state = await self._load(newest)
        self._newest = state
        body = replace(start.body, sequences=await self._sequences(start), seen=dict((state or start).body.seen))
        version = start.root.version if state is None else max(start.root.version, state.root.version)
        root = replace(start.root, version=version)
        discards = (*session.keyring.discards, *await self.discards())
        return Snapshot(start.source, newest, body, root, start.tail, discards)

    async def discards(self) -> tuple[Discard, ...]:
        """The ranges to take out: from the first sequence after `to` on, of a device that stays up to its last."""
        before, last = self._start.body.sequences, await self._sequences(self._start)
        ranges = []
        for device in sorted(self.devices):
            first = before.get(device, 0) + 1
            end = VERSION_MAX if device in self.gone else last.get(device, 0)
            if end >= first:
                ranges.append(Discard(device, first, end))
        return tuple(ranges)

    async def begin(self, base: Snapshot, sealer: Sealer, relieve: Callable[[], Awaitable[None]]) -> UndoneChange:
        """The change on `base` with everything that others wrote."""
        change = UndoneChange(base, sealer, DirectoryChange(base))
        change.relieve = relieve
        change.take_over()
        self._change = change
        carried = await self._carry(change)
        change.kept = {ref.name async for ref, kind in self._start.objects() if kind is not ObjectType.BODY}
        change.kept |= carried.media
        if self._newest is not None:
            change.current = {ref.name async for ref, _ in self._newest.objects()}
        change.rewrite_directory()
        if self._start.source.damage and not self.anyway:
            raise IncompleteError(
                "parts of that version are damaged or not kept any more", damaged=tuple(self._start.source.damage),
                hint="choose a later version, or go on with --anyway; nothing was changed",
            )  # fmt: skip
        return change

    async def rest(self) -> None:
        """After the commit: pin and drop what one head had no room for."""
        adds, drops = self._change.late
        if (adds or drops) and self.session.base is not None:
            async with self.session.lock:
                await names_only(self.session, self.session.base, adds=adds, drops=drops)

    async def plan(self) -> Undone:
        """What it would do; nothing is changed."""
        await self.base()
        carried = await self._carry(None)
        return Undone(self.to, await self._commits(), carried.rows, tuple(sorted(self._unreadable)))

    async def _carry(self, change: UndoneChange | None) -> Carried:
        self._unreadable.clear()
        carried = Carried(self._start, (*self.session.keyring.discards, *await self.discards()))
        async for head in self._later():
            if head.device in self.devices:
                continue
            try:
                await carried.take(await self._partly(head, carried), change)
            except UntrustedDataError:
                self._unreadable.append(head.version)
        if self._unreadable and change is not None and not self.anyway:
            raise IncompleteError(
                f"{len(self._unreadable)} versions of other devices cannot be read; what they wrote might be lost",
                damaged=tuple(f"version {version}" for version in sorted(self._unreadable)),
                hint="try again when the relay has them, or go on with --anyway; nothing was changed",
            )  # fmt: skip
        await carried.write(change)
        return carried

    async def _commits(self) -> dict[str, int]:
        found = dict.fromkeys(sorted(device.hex() for device in self.devices), 0)
        async for head in self._later():
            if head.device in self.devices:
                found[head.device.hex()] += 1
        return found

    async def _sequences(self, start: Snapshot) -> dict[bytes, int]:
        """The highest sequence of each device by its own word: what one says of another may be a lie.

        A head's sequence is signed by its device and covers all that it used up to then.
        """
        found = dict(start.body.sequences)
        async for head in self._later():
            found[head.device] = max(found.get(head.device, 0), head.sequence)
        return found

    async def _later(self) -> AsyncIterator[Head]:
        """The heads after `to`, newest first."""
        for version in range(self._head.version, self.to, -1):
            yield await self._at(version)

    async def _at(self, version: int) -> Head:
        """An earlier head, proved by the hash that the one after it names."""
        head = self._heads[self._head.version] = self._head
        for number in range(head.version - 1, version - 1, -1):
            after = self._heads[number + 1]
            known = self._heads.get(number)
            if known is None or known.hash != after.previous:
                answer = await self.session.transport.head_at(self.session.account, number)
                known = parse_head(answer.head, account=self.session.account)
            if known.hash != after.previous:  # spec: UNDO-3
                raise UntrustedDataError(Failure.CHAIN, "not the head that the next one names", subject="head")
            self._heads[number] = known
        return self._heads[version]

    async def _state(self, head: Head) -> Snapshot:
        try:
            return await self._load(head)
        except UntrustedDataError as error:
            if error.failure is not Failure.MISSING:
                raise
            raise NotFound(
                f"the relay does not keep version {head.version} any more",
                hint="what was dropped is kept for a window of 30 days, unless the relay's operator says otherwise",
            ) from error

    async def _load(self, head: Head) -> Snapshot:
        session = self.session
        return await Snapshot.load(session.source(), head, session.device_keys(), session.keyring.discards)

    async def _partly(self, head: Head, carried: Carried) -> Snapshot:
        """The state at a later head, its tail without the batches that were looked through already."""
        source = self.session.source()
        body = Body.parse(await source.object(ObjectRef(head.body, head.body_size), ObjectType.BODY))
        root = EngineRoot()
        if body.root is not None:
            root = EngineRoot.parse(await source.mirrored(body.root, ObjectType.ROOT))
        tail = await load_tail(
            source, [entry for entry in body.tail if carried.wants(entry.ref.name)], self.session.device_keys()
        )
        return Snapshot(source, head, body, root, tail)


def chosen_devices(session: Session, devices: Collection[bytes]) -> tuple[frozenset[bytes], frozenset[bytes]]:
    """The devices to discard (when none is named, those that were removed), and those of them that were removed."""
    keyring = session.keyring
    devices = frozenset(devices) or frozenset(keyring.revoked)
    unknown = {device for device in devices if keyring.device(device) is None and device not in keyring.revoked}
    if unknown or not devices:
        raise NotFound("no such device in this account", hint="name one with --device; see strongroom devices --log")
    return devices, frozenset(device for device in devices if device in keyring.revoked)
