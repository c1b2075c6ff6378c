"""Undo: back to an earlier version, with all that others wrote since (spec chapter 11.5).

A stolen device, or a mistake, can drop, erase and write anything. Its owner takes what it wrote after a version out of
the history, for ever: the ranges stand in the keyring, which the root signs, and no reader takes them from anywhere.
"""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Awaitable, Callable, Collection, Sequence
from dataclasses import dataclass, field, replace

from strongroom.commit import names_only
from strongroom.earlier import Earlier, writer_of
from strongroom.engine.directory import DirectoryChange
from strongroom.engine.sealer import Sealer
from strongroom.engine.snapshot import Snapshot
from strongroom.engine.undone import NAMES, Carried, UndoneChange
from strongroom.introduced import carry
from strongroom.session import Session
from strongroom_protocol.errors import (
    Failure,
    IncompleteError,
    InvalidArgument,
    NotFound,
    RelayConflict,
    UntrustedDataError,
)
from strongroom_protocol.limits import LIMITS
from strongroom_protocol.manifest.head import Head
from strongroom_protocol.manifest.keyring import Discard
from strongroom_protocol.seal.objects import ObjectType
from strongroom_protocol.wire.parse import VERSION_MAX


@dataclass(frozen=True, slots=True)
class Undone:
    """What an undo did or would do: the version gone back to, commits taken out by device id (hex), rows that stay
    although they were written later, versions of honest devices that cannot be read (what they wrote is lost), and the
    new version (0: it was only planned)."""

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
    _earlier: Earlier = field(init=False)
    _heads: list[Head] = field(init=False)
    _start: Snapshot = field(init=False)
    _newest: Snapshot | None = field(init=False)
    _change: UndoneChange = field(init=False)
    _unreadable: list[int] = field(default_factory=list)
    _rows: int = 0

    def __post_init__(self) -> None:
        self._earlier = Earlier(self.session)

    async def base(self) -> Snapshot:
        """The state of `to` under the newest head."""
        session = self.session
        newest = await session.sync()
        require_earlier(self.to, newest)
        self._heads = await self._earlier.down_to(newest, self.to)
        if writer_of(session, self._heads[0]) is None:  # spec: UNDO-11
            raise UntrustedDataError(Failure.SIGNER, "version of no device of the account", subject="head")
        start = self._start = await self._state(self._heads[0])
        self._require_before_undos()
        state: Snapshot | None = None
        with contextlib.suppress(UntrustedDataError):  # a stolen device can leave a state that nobody can read
            state = await self._load(newest)
        self._newest = state
        body = replace(start.body, sequences=self._sequences())
        discards = (*session.keyring.discards, *await self.discards())
        return Snapshot(start.source, newest, body, start.root, start.tail, discards)

    async def discards(self) -> tuple[Discard, ...]:
        """The ranges to take out: from the first sequence after `to` on, of a device that stays up to its last."""
        before, last = self._start.body.sequences, self._sequences()
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
        reached = await self._reached()
        change.kept = reached | carried.media
        change.current = await self._current()
        change.rewrite_directory()
        change.again = await self._unpinned(reached, carried.media)
        if len(change.again) > NAMES:
            await self._pin_some(sorted(change.again))
        return change

    async def rest(self) -> None:
        """After the commit: drop what one head had no room for."""
        if self._change.late and self.session.base is not None:
            with contextlib.suppress(RelayConflict):  # somebody may need it again: then it stays
                async with self.session.lock:
                    await names_only(self.session, self.session.base, drops=self._change.late)

    async def plan(self) -> Undone:
        """What it would do; nothing is changed. Raises what doing it would, as far as it can be known."""
        await self.base()
        carried = await self._carry(None)
        await self._unpinned(await self._reached(), carried.media)
        return self.done(0)

    def done(self, version: int) -> Undone:
        """What the last attempt did or would do."""
        found = Counter(head.device for head in self._heads[1:] if head.device in self.devices)
        commits = {device.hex(): found[device] for device in sorted(self.devices)}
        return Undone(self.to, commits, self._rows, tuple(self._unreadable), version)

    async def _current(self) -> set[bytes]:
        """What the newest state reaches that can be read: where the last ones are noise, one before them."""
        state = self._newest
        for head in reversed(self._heads[1:-1]):
            if state is None:
                with contextlib.suppress(UntrustedDataError):
                    state = await self._load(head)
        return set() if state is None else {ref.name async for ref, _ in state.objects()}

    async def _reached(self) -> set[bytes]:
        return {ref.name async for ref, kind in self._start.objects() if kind is not ObjectType.BODY}

    async def _carry(self, change: UndoneChange | None) -> Carried:
        discards = (*self.session.keyring.discards, *await self.discards())
        carried = Carried(change, lambda device, number: not any(item.covers(device, number) for item in discards))
        self._unreadable = await carry(self.session, self._heads, self.devices, carried)
        if self._unreadable and change is not None and not self.anyway:
            raise IncompleteError(
                f"{len(self._unreadable)} versions of other devices cannot be read; what they wrote might be lost",
                damaged=tuple(f"version {version}" for version in self._unreadable),
                hint="try again when the relay has them, or go on with --anyway; nothing was changed",
            )  # fmt: skip
        await carried.finish()
        self._rows = carried.rows
        return carried

    async def _unpinned(self, reached: set[bytes], media: set[bytes]) -> set[bytes]:
        """Of these objects those that the relay is about to delete. Raises IncompleteError when some of the first are
        deleted already; what rows after that version name for a file need never have been there."""
        session, wanted = self.session, sorted(reached | media)
        dropped: set[bytes] = set()
        absent: set[bytes] = set()
        for at in range(0, len(wanted), LIMITS.read_items):
            some = wanted[at : at + LIMITS.read_items]
            told = {*await session.transport.missing(session.account, some)}
            found = [name for name in some if name in told]
            answers = await session.transport.read(session.account, [(name, 0, 1) for name in found]) if found else []
            absent |= {name for name, data in zip(found, answers, strict=True) if data is None}
            dropped |= {*found}
        damaged = (absent & reached) | {bytes.fromhex(name) for name in self._start.source.damage}
        if damaged and not self.anyway:
            raise IncompleteError(
                f"{len(damaged)} objects of version {self.to} are damaged or not kept any more",
                damaged=tuple(sorted(name.hex() for name in damaged)),
                hint="choose a later version, or go on with --anyway; nothing was changed",
            )  # fmt: skip
        return dropped - absent

    async def _pin_some(self, names: Sequence[bytes]) -> None:
        """Pin by heads of their own what one head has no room to add; then all is put together anew on those."""
        if self._newest is None:
            raise IncompleteError(
                f"more than {NAMES:,} objects would have to be kept again, and the newest state cannot be read",
                hint="go back to a later version first; nothing was changed",
            )  # fmt: skip
        await names_only(self.session, self._newest, adds=names[NAMES:])
        raise RelayConflict("objects were pinned first")

    def _require_before_undos(self) -> None:
        """That version is not one whose rows an undo after it has taken out."""
        session, head = self.session, self._heads[0]
        known = len(session.keyrings[head.keyring_version - 1].discards)
        sequences = self._start.body.sequences
        for discard in session.keyring.discards[known:]:
            if sequences.get(discard.device, 0) >= discard.first:  # spec: UNDO-9
                raise InvalidArgument(
                    f"version {self.to} has what an undo after it took out",
                    hint="choose an earlier version, or one after that undo",
                )

    def _sequences(self) -> dict[bytes, int]:
        """The highest sequence of each device by its own word: what one says of another may be a lie.

        A head's sequence is signed by its device and covers all that it used up to then.
        """
        found = dict(self._start.body.sequences)
        for head in self._heads[1:]:
            writer = writer_of(self.session, head)
            if writer is not None:
                found[writer] = max(found.get(writer, 0), head.sequence)
        return found

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


def require_earlier(to: int, newest: Head) -> None:
    """`to` is a version before the newest one."""
    if not 1 <= to < newest.version:
        raise InvalidArgument(
            f"there is no version {to} before the newest, {newest.version}", hint="see strongroom undo --list"
        )


async def chosen_devices(
    session: Session, to: int, devices: Collection[bytes], *, everyone: bool = False
) -> tuple[frozenset[bytes], frozenset[bytes]]:
    """The devices to discard, and those of them that were removed. The first are those named; with `everyone`, all that
    committed after `to`; else those that were removed from the account since. Raises NotFound when there are none."""
    keyring = session.keyring
    unknown = [device for device in devices if keyring.device(device) is None and device not in keyring.revoked]
    if unknown:
        raise NotFound("no such device in this account", hint="name one with --device; see strongroom undo --list")
    found = frozenset(devices)
    if not found:
        newest = await session.sync()
        require_earlier(to, newest)
        heads = await Earlier(session).down_to(newest, to)
        wrote = Counter(writer for head in heads[1:] if (writer := writer_of(session, head)) is not None)
        removed = {device for device, at in keyring.revoked.items() if at > heads[0].keyring_version}
        found = frozenset(wrote) if everyone else frozenset(removed)
        if not found:
            since = ", ".join(f"{device.hex()[:8]} ({count})" for device, count in wrote.most_common())
            raise NotFound(
                f"no device was removed since version {to}", hint=f"name one with --device; since then wrote: {since}"
            )
    return found, frozenset(device for device in found if device in keyring.revoked)
