"""The world of the machine: at least four devices, the relay's copies of its store, and what people do.

Every action ends with the same questions: was that error allowed, and is every promise still kept? Two numbers choose who
acts and on what, so that a list of actions is a script.
"""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import pytest

from leaks.scanner import forms
from soak.forging import forge
from soak.history import Broken, History, Intent, Node, Outcast
from soak.phones import Deed, Phone, Said
from soak.views import Views
from soak.wires import Ask, Branch, Lie, Wire
from strongroom import account, importing, message, sending, staging
from strongroom.commit import commit
from strongroom.engine import compaction, directory, fold, grouping, listing, run_writer
from strongroom.importing import import_rows
from strongroom.owner import Owner
from strongroom.records import MessageRef
from strongroom.session import Session
from strongroom_protocol.errors import (
    IncompleteError,
    InvalidArgument,
    NotFound,
    ReadOnly,
    RelayError,
    StrongroomError,
    UntrustedDataError,
    WrongSecret,
)
from strongroom_protocol.keys.secrets import UnlockSecret
from strongroom_protocol.keys.slots import Unlock
from strongroom_protocol.limits import LIMITS
from strongroom_protocol.manifest.slots import SlotKind
from strongroom_protocol.rows.model import Op, Row
from strongroom_relay.service.attempts import by_address, by_name
from vaults import NAME, quick_state

T = TypeVar("T")

PHONES = 4
MOST_PHONES = 7
MOST_BRANCHES = 4
MARK = "canary~~~of~soak"
"""In every text that nobody but the devices may see."""
TIME = 1_700_000_000_000

LIED_TO = (UntrustedDataError, RelayError, IncompleteError)
"""What a device may say when its relay lies."""

REFUSALS = (NotFound, WrongSecret)
"""What a relay can make a device say by refusing in those words."""


@contextmanager
def small() -> Iterator[None]:
    """Sizes at which a few rows reach every branch; commits only where an action says so."""
    limits = LIMITS.__class__(head_frame_rows=3, frame_rows=8, segment_bytes=2048)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(run_writer, "LIMITS", limits)
        patch.setattr(grouping, "LIMITS", limits)
        patch.setattr(fold, "FAN_IN", 2)
        patch.setattr(fold, "LEVEL_ROWS", 8)
        patch.setattr(listing, "NEWEST_FRAMES", 3)
        patch.setattr(listing, "NEWEST_ROWS", 6)
        patch.setattr(directory, "HOT_ROWS", 2)
        patch.setattr(importing, "BATCH_ROWS", 5)
        patch.setattr(staging, "INLINE_OBJECT", 1_000)
        patch.setattr(sending.Sender, "start", lambda self: None)
        yield


class World:
    """Actions and their judge. `steps` counts actions, `failures` the errors that devices gave, by class."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.history = History()
        self.views = Views()
        self.branches: list[Branch] = []
        self.phones: list[Phone] = []
        self.said: list[Said] = []
        self.guests: set[Path] = set()
        self.steps = 0
        self.made = 0
        self.tried = 0
        """Times that an outcast tried a key on an object that is not for it."""
        self.failures: dict[str, int] = {}
        self.equivocated = False
        """The relay has signed what contradicts itself, so that there may be proofs of it."""

    # Beginning and end --------------------------------------------------------------------------------------------

    async def start(self) -> None:
        """An account with four devices."""
        self.branches.append(await Branch.open(self.folder / "relay-0"))
        unlock = _unlock(0)
        wire = Wire(self.history, self.branches[0], Intent(unlock=unlock))
        with quick_state():
            session = await account.create(
                self.folder / "phone-0", wire, relay="file:///bench", name=NAME, device_name=f"{MARK} 0",
                openers=[(lambda name, salt, kdf: unlock, "passphrase")],
            )  # fmt: skip
        wire.intent = Intent()
        first = Phone(self.folder / "phone-0", wire, session, self.history)
        first.look()
        self.phones.append(first)
        for number in range(1, PHONES):
            await self.login(0, number)
            await self.confirm(number, number)
        if len(self.phones) != PHONES or self.guests:
            raise Broken("four devices could not be made with an honest relay")

    def close(self) -> None:
        for phone in self.phones:
            phone.session.state.close()
        for branch in self.branches:
            branch.close()

    # Judging ------------------------------------------------------------------------------------------------------

    async def run(
        self, phone: Phone, work: Callable[[], Awaitable[T]], *, allowed: tuple[type[StrongroomError], ...] = (),
        excused: tuple[type[StrongroomError], ...] = (), syncs: bool = False,
    ) -> T | None:  # fmt: skip
        """Do `work` on a phone; None when it failed as it may, or was cancelled.

        It may fail as `allowed`, and as `excused` when there is a reason to fail at all. `syncs`: it asks for the newest
        head, so that it cannot succeed with a relay that shows another history.
        """
        self.steps += 1
        phone.wire.lied, phone.wire.refused = phone.wire.helping is not None, False
        expected = [*self._expected(phone), *allowed]
        must = self._cut_off(phone) if syncs else None
        try:
            result = await _until_stalled(phone.wire, work)
            if must is not None and not phone.wire.lied:
                raise Broken(f"it succeeded, although {must}")
        except asyncio.CancelledError:
            return None
        except StrongroomError as error:
            expected += self._expected(phone)
            expected += LIED_TO if phone.wire.lied else ()
            expected += REFUSALS if phone.wire.refused else ()
            self._judge(phone, error, (*expected, *(excused if expected else ())))
            return None
        except Broken:
            raise
        except Exception as error:
            raise Broken(f"not one of our errors: {error!r}") from error
        finally:
            phone.look()
            self.tried += self.history.unread_by_outcasts()
        return result

    def _expected(self, phone: Phone) -> list[type[StrongroomError]]:
        """Errors for which there is a reason without any lie."""
        found: list[type[StrongroomError]] = []
        if phone.copied:
            found.append(UntrustedDataError)
        if phone.node is not None and not phone.wire.branch.newest.continues(phone.node):
            found += [*LIED_TO, NotFound]  # what it asks for is not there
        branch = phone.wire.branch
        if phone.ident not in branch.newest.members or phone.ident in branch.blocked:
            found += [NotFound, ReadOnly]
        if phone.node is None or phone.ident not in phone.node.members:
            found.append(ReadOnly)
        return found

    def _cut_off(self, phone: Phone) -> str | None:
        """Why this phone's relay cannot be synchronised with."""
        newest = phone.wire.branch.newest
        if phone.node is not None and not newest.continues(phone.node):
            return "its relay shows another history than the one it had accepted"
        if phone.folder not in self.guests and phone.ident not in newest.members:
            return "the phone was removed"
        return None

    def _judge(self, phone: Phone, error: StrongroomError, reasons: tuple[type[StrongroomError], ...]) -> None:
        if not isinstance(error, reasons):
            raise Broken(f"{type(error).__name__} without a reason: {error}") from error
        name = getattr(error, "failure", type(error).__name__)
        self.failures[str(name)] = self.failures.get(str(name), 0) + 1
        if not self.equivocated and list(phone.folder.glob("fork-proof-*")):
            raise Broken("a proof of two histories, and there was only one") from error

    def phone(self, who: int) -> Phone:
        return self.phones[who % len(self.phones)]

    def text(self, what: str) -> str:
        """A text that occurs once."""
        self.made += 1
        return f"{MARK} {what} {self.made}"

    # Messages -----------------------------------------------------------------------------------------------------

    async def append(self, who: int, pick: int) -> None:
        phone, text = self.phone(who), self.text("said")
        chat, time = f"{MARK} chat {pick % 2}", TIME + pick % 20
        deed = Deed("put", text)

        async def work() -> None:
            (ref,) = await phone.vault.append(chat, message(text, sender=f"{MARK} p{who % 3}", time=time))
            said = Said(ref, [deed])
            self.said.append(said)
            self.views.add(said)
            phone.unsaved.append(deed)

        await self.run(phone, work)

    async def edit(self, who: int, pick: int) -> None:
        phone, text = self.phone(who), self.text("edit")

        async def work(said: Said, deed: Deed) -> None:
            await phone.vault.edit(said.ref, text, sender=f"{MARK} p", at=TIME + 100_000 + self.made)

        await self._about(phone, pick, Deed("edit", text), work)

    async def delete(self, who: int, pick: int) -> None:
        phone = self.phone(who)

        async def work(said: Said, deed: Deed) -> None:
            await phone.vault.delete(said.ref)

        await self._about(phone, pick, Deed("delete", ""), work)

    async def react(self, who: int, pick: int) -> None:
        phone, emoji = self.phone(who), "👍👎"[pick % 2]

        async def work(said: Said, deed: Deed) -> None:
            await phone.vault.react(said.ref, emoji, sender=f"{MARK} p{pick % 3}")

        await self._about(phone, pick, Deed("react", emoji), work)

    async def _about(
        self, phone: Phone, pick: int, deed: Deed, work: Callable[[Said, Deed], Awaitable[None]]
    ) -> None:
        if not self.said:
            return
        said = self.said[pick % len(self.said)]
        said.deeds.append(deed)  # before it is done: a cancelled one may have been done or not
        here = any(put in phone.unsaved or any(phone.node and phone.node.continues(head) for head in put.saved)
                   for put in said.deeds if put.kind == "put")  # fmt: skip

        async def whole() -> None:
            await work(said, deed)
            phone.unsaved.append(deed)

        await self.run(phone, whole, allowed=() if here else (NotFound,))

    async def import_(self, who: int, pick: int) -> None:
        """Overlapping pieces of one export."""
        phone = self.phone(who)
        rows = [
            (f"{MARK} chat {n % 2}", Row(Op.PUT, TIME + n, id=f"{MARK} old {n}", sender=f"{MARK} x",
                                         text=f"{MARK} old text {n}"))
            for n in range(pick % 12, pick % 12 + 7)
        ]  # fmt: skip
        deeds = []
        for chat, row in rows:
            deed = Deed("put", row.text or "")
            deeds.append(deed)
            said = self.views.said.get((chat, row.id or ""))
            if said is None:
                said = Said(MessageRef(chat, row.id or "", row.time), [])
                self.views.add(said)
                self.said.append(said)
            said.deeds.append(deed)

        async def work() -> None:
            await import_rows(phone.session, rows)
            self._saved(phone, deeds)

        await self.run(phone, work)

    def _saved(self, phone: Phone, deeds: list[Deed]) -> None:
        node = self.history.nodes[phone.session.pin.head_hash]
        for deed in deeds:
            deed.saved.append(node)

    async def flush(self, who: int, pick: int) -> None:
        phone = self.phone(who)

        async def work() -> None:
            await phone.vault.flush()
            self._saved(phone, phone.unsaved)
            phone.unsaved.clear()

        await self.run(phone, work)

    # Reading and tidying ------------------------------------------------------------------------------------------

    async def read(self, who: int, pick: int) -> None:
        phone = self.phone(who)

        async def work() -> None:
            snapshot = await phone.session.snapshot(fresh=pick % 3 == 0)
            node = self.history.nodes[snapshot.head.hash]
            if phone.folder not in self.guests and phone.ident in {outcast.device for outcast in node.outcasts}:
                raise Broken("a removed device reads on")
            complete = await self.views.check(snapshot, node)
            if not complete and not phone.wire.lied:
                raise Broken("an honest relay's history is incomplete")

        await self.run(phone, work, syncs=True)

    async def screen(self, who: int, pick: int) -> None:
        """What an app shows: nothing but what somebody wrote."""
        phone = self.phone(who)

        async def work() -> None:
            for _, shown in await phone.vault.screen(messages=5):
                for each in shown:
                    said = self.views.said.get((each.chat, each.id))
                    if said is None:
                        raise Broken("a message is shown that nobody wrote")

        await self.run(phone, work)

    async def restore(self, who: int, pick: int) -> None:
        phone = self.phone(who)

        async def work() -> None:
            audit = await phone.vault.verify() if pick % 2 else (await phone.vault.restore()).audit
            if audit.damaged and not phone.wire.lied:
                raise Broken("damage, and nobody damaged anything")

        await self.run(phone, work, syncs=True)

    async def tidy(self, who: int, pick: int) -> None:
        phone = self.phone(who)
        build: Any = (compaction.fold_tail, fold.merge_full_levels, compaction.compact)[pick % 3]
        await self.run(phone, lambda: commit(phone.session, build))

    # Devices and keys ---------------------------------------------------------------------------------------------

    async def login(self, who: int, pick: int, lie: Lie | None = None, calls: Sequence[str] = ()) -> None:
        """A fresh device, on the branch of another."""
        if not self._room():
            return
        self.made += 1
        folder = self.folder / f"phone-{self.made}"
        wire = Wire(self.history, self.phone(who).wire.branch, Intent())
        unlock = wire.branch.newest.unlock
        if lie is not None:
            wire.tell(lie, *calls)
        try:
            with quick_state():
                session = await _until_stalled(wire, lambda: _login(folder, wire, unlock))
        except asyncio.CancelledError:
            return
        except (*LIED_TO, NotFound, WrongSecret) as error:
            if not wire.lied:
                raise Broken(f"no login with the right secret: {error!r}") from error
            return
        except Exception as error:
            raise Broken(f"not an error of a login: {error!r}") from error
        wire.behave()
        phone = Phone(folder, wire, session, self.history)
        self.guests.add(folder)
        self.phones.append(phone)
        phone.look()

    def _room(self, stays: Phone | None = None) -> bool:
        """Put away the oldest phone that is none of the account's any more, when there are too many."""
        if len(self.phones) < MOST_PHONES:
            return True
        for phone in self.phones:
            if phone is not stays and phone.ident not in phone.wire.branch.newest.members:
                phone.session.state.close()
                self.phones.remove(phone)
                return True
        return False

    async def join(self, who: int, pick: int) -> None:
        """A fresh device that is confirmed at once."""
        before = len(self.phones)
        await self.login(who, pick)
        if len(self.phones) > before or self.phones[-1].folder in self.guests:
            await self.confirm(len(self.phones) - 1, pick)

    async def confirm(self, who: int, pick: int) -> None:
        phone = self.phone(who)
        if phone.folder in self.guests:
            await self._owner(phone, lambda owner: owner.confirm(f"{MARK} {pick % 9}"), Intent())
            if phone.session.may_write:
                self.guests.discard(phone.folder)

    async def revoke(self, who: int, pick: int) -> None:
        phone, gone = self.phone(who), self.phone(pick)
        if gone.ident == phone.ident or gone.ident not in phone.wire.branch.newest.members:
            return
        outcast = Outcast(f"{gone.folder.name}, removed,", gone.ident, [gone.session.device.kem])
        await self._owner(phone, lambda owner: owner.revoke(gone.ident), Intent((outcast,)))

    async def change_passphrase(self, who: int, pick: int) -> None:
        phone = self.phone(who)
        self.made += 1
        new, old = _unlock(self.made), phone.wire.branch.newest.unlock
        outcast = Outcast("who has the old passphrase", None, [], unlocks=[old])

        async def change(owner: Owner) -> None:
            outcast.kems.append(owner.root.kem)
            # What `change_passphrase` does, but without stretching one.
            await owner._reslot("passphrase changed", {old.sign.public}, lambda name, salt, kdf: new)

        await self._owner(phone, change, Intent((outcast,), new))

    async def _owner(self, phone: Phone, change: Callable[[Owner], Awaitable[Any]], intent: Intent) -> None:
        unlock = phone.wire.branch.newest.unlock
        phone.wire.intent = intent

        async def work() -> None:
            async with await Owner.unlock(phone.session, NAME, lambda name, salt, kdf: unlock) as owner:
                if not phone.session.may_write:
                    self.guests.add(phone.folder)  # whoever has the valid secret may read, on any device
                await change(owner)

        try:
            if phone.folder in self.guests:  # whose commit must fit into one request, as with the real limit it does
                with pytest.MonkeyPatch.context() as patch:
                    patch.setattr(staging, "INLINE_OBJECT", LIMITS.inline_bytes)
                    await self.run(phone, work, excused=(NotFound, InvalidArgument, WrongSecret))
            else:
                await self.run(phone, work, excused=(NotFound, InvalidArgument, WrongSecret))
        finally:
            phone.wire.intent = Intent()

    # Folders ------------------------------------------------------------------------------------------------------

    async def restart(self, who: int, pick: int) -> None:
        """Killed, and started again."""
        phone = self.phone(who)
        phone.session.state.close()
        phone.reopen()

    async def clone(self, who: int, pick: int) -> None:
        """A copy of the folder, as a backup of the whole disk makes one."""
        phone = self.phone(who)
        if not self._room(phone) or sum(other.copied for other in self.phones) > 1:
            return
        self.made += 1
        folder = self.folder / f"phone-{self.made}"
        phone.session.state.close()
        shutil.copytree(phone.folder, folder)
        phone.reopen()
        copy = Phone.open(folder, Wire(self.history, phone.wire.branch, Intent()))
        copy.unsaved = list(phone.unsaved)
        phone.copied = copy.copied = True
        self.phones.append(copy)
        if phone.folder in self.guests:
            self.guests.add(folder)

    # The relay ----------------------------------------------------------------------------------------------------

    async def fork(self, who: int, pick: int) -> None:
        """One more copy of a store; nobody is sent there yet."""
        if len(self.branches) < MOST_BRANCHES:
            made = await self.branches[pick % len(self.branches)].copy(self.folder / f"relay-{len(self.branches)}")
            self.branches.append(made)
            self.equivocated = True

    async def route(self, who: int, pick: int) -> None:
        """A phone is served from another copy from now on: rolled back, forked, or joined again."""
        self.phone(who).wire.route(self.branches[pick % len(self.branches)])

    async def part(self, who: int, pick: int) -> None:
        """A phone is served from a copy of its own, and both sides go on."""
        phone, other = self.phone(who), self.phone(pick)
        await self.fork(who, self.branches.index(phone.wire.branch))
        for place in range(who + pick, who + pick + len(self.branches)):
            branch = self.branches[place % len(self.branches)]
            if branch is not phone.wire.branch and (phone.node is None or branch.newest.continues(phone.node)):
                phone.wire.route(branch)
                break
        for number in range(pick % 5):
            one = self.phones.index(phone if number % 2 else other)
            await self.append(one, pick)
            await self.flush(one, pick)

    async def cross(self, who: int, pick: int) -> None:
        """A phone is shown another copy for once, and then one that has its history, if there is one."""
        await self.route(who, pick)
        await self.read(who, pick)
        await self.flush(who, pick)
        home = self._home(self.phone(who))
        if home is not None:
            self.phone(who).wire.route(home)

    async def help(self, who: int, pick: int) -> None:
        """The relay serves a phone as if it were one of the account's devices, whatever the keyring says."""
        wire = self.phone(who).wire
        branch = wire.branch
        devices = [device for device in branch.newest.keyring.devices if device.id not in branch.blocked]
        wire.help(devices[pick % len(devices)].sign_key)

    async def forge(self, who: int, pick: int) -> None:
        """A removed device signs the next head, and the relay shows it to another one."""
        victim = self.phone(who)
        answer = forge(self.history, victim.wire.branch, self.phone(pick // 2), victim, pick)
        if answer is None:
            return
        self.equivocated = True

        async def lie(wire: Wire, call: str, arguments: tuple[Any, ...], ask: Ask) -> Any:
            return answer

        victim.wire.tell(lie, "head", times=2)
        await self.read(who, 1)
        victim.wire.behave()

    # What holds in the end ----------------------------------------------------------------------------------------

    async def agree(self) -> None:
        """The relay behaves again. Everybody whose history it still has saves and sees everything; nobody else anything."""
        for phone in self.phones:
            phone.wire.behave()
        homes = [(phone, self._home(phone)) for phone in self.phones]
        for who, (phone, home) in enumerate(homes):
            if home is None:
                for place in range(len(self.branches)):
                    await self.route(who, place)
                    await self.read(who, 1)
            else:
                phone.wire.route(home)
                if phone.session.may_write or phone.ident in home.newest.members:
                    await self.read(who, 1)
                    await self.flush(who, 0)
                    waits = phone.ident in home.newest.members - home.blocked
                    if phone.unsaved and waits and not phone.copied:
                        raise Broken("what was appended cannot be saved with an honest relay")
        for who, (_, home) in enumerate(homes):
            if home is not None:
                await self.read(who, 0)
        await self._fresh_eyes()
        self._no_plaintext()

    def _home(self, phone: Phone) -> Branch | None:
        fit = [branch for branch in self.branches if phone.node is None or branch.newest.continues(phone.node)]
        return max(fit, key=lambda branch: len(branch.chain), default=None)

    async def _fresh_eyes(self) -> None:
        """A new device with the valid secret sees all; with a replaced one, nothing."""
        for branch in self.branches:
            if branch.stored() != [node.hash for node in branch.chain]:
                raise Broken("the relay lost a head that it had accepted, or has one that nobody sent")
            await self._look_in(branch, branch.newest.unlock, works=True)
            for outcast in branch.newest.outcasts:
                for unlock in outcast.unlocks:
                    await self._look_in(branch, unlock, works=False)

    async def _look_in(self, branch: Branch, unlock: Unlock, *, works: bool) -> None:
        branch.relay.names, branch.relay.addresses = by_name(), by_address()
        self.made += 1
        folder = self.folder / f"eyes-{self.made}"
        wire = Wire(self.history, branch, Intent())
        try:
            with quick_state():
                session = await _login(folder, wire, unlock)
        except WrongSecret:
            if works:
                raise Broken("the valid secret opens nothing") from None
            return
        if not works:
            raise Broken("a replaced secret opens the account")
        try:
            snapshot = await session.snapshot()
            if not await self.views.check(snapshot, branch.newest):
                raise Broken("a fresh device finds damage")
        finally:
            session.state.close()

    def _no_plaintext(self) -> None:
        patterns = [pattern for form, pattern in forms(MARK).items()]
        given: list[bytes] = list(self.history.objects.values())
        given += [path.read_bytes() for branch in self.branches for path in branch.folder.rglob("*") if path.is_file()]
        for data in given:
            if any(pattern in data for pattern in patterns):
                raise Broken("the relay has plaintext")


def _unlock(number: int) -> Unlock:
    return Unlock(SlotKind.PASSPHRASE, UnlockSecret(number.to_bytes(32, "big")))


async def _login(folder: Path, wire: Wire, unlock: Unlock) -> Session:
    return await account.login(
        folder, wire, relay="file:///bench", name=NAME, opener=lambda name, salt, kdf: unlock
    )


async def _until_stalled(wire: Wire, work: Callable[[], Awaitable[T]]) -> T:
    """Run `work`; once its relay does not answer any more, it is cancelled."""
    wire.stalled.clear()
    task = asyncio.ensure_future(work())
    stalled = asyncio.ensure_future(wire.stalled.wait())
    await asyncio.wait({task, stalled}, return_when=asyncio.FIRST_COMPLETED)
    stalled.cancel()
    if not task.done():
        task.cancel()
    return await task
