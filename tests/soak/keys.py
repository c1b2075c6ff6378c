"""What people do with devices and secrets: log in, confirm, remove, change the passphrase, restart, copy a folder."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from soak.history import Broken, Intent, Outcast
from soak.judge import LIED_TO, MARK, MOST_PHONES, until_stalled
from soak.people import People
from soak.phones import Phone
from soak.wires import Lie, Wire
from strongroom import account, staging
from strongroom.owner import Owner
from strongroom.session import Session
from strongroom_protocol.errors import (
    InvalidArgument,
    NotFound,
    WrongSecret,
)
from strongroom_protocol.keys.secrets import UnlockSecret
from strongroom_protocol.keys.slots import Unlock
from strongroom_protocol.limits import LIMITS
from strongroom_protocol.manifest.slots import SlotKind
from vaults import NAME, quick_state


class Keys(People):
    """Actions on devices and keys."""

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
                session = await until_stalled(wire, lambda: log_in(folder, wire, unlock))
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
        new, old = unlock_of(self.made), phone.wire.branch.newest.unlock
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


def unlock_of(number: int) -> Unlock:
    return Unlock(SlotKind.PASSPHRASE, UnlockSecret(number.to_bytes(32, "big")))


async def log_in(folder: Path, wire: Wire, unlock: Unlock) -> Session:
    return await account.login(folder, wire, relay="file:///bench", name=NAME, opener=lambda name, salt, kdf: unlock)
