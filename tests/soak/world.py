"""The world of the machine: at least four devices, the relay's copies of its store, and what people do.

Two numbers choose who acts and on what, so that a list of actions is a script.
"""

from __future__ import annotations

from typing import Any

from leaks.scanner import forms
from soak.forging import forge
from soak.history import Broken, Intent
from soak.judge import MARK, MOST_BRANCHES, PHONES
from soak.keys import Keys, log_in, unlock_of
from soak.phones import Phone
from soak.wires import Ask, Branch, Wire
from strongroom import account
from strongroom_protocol.errors import WrongSecret
from strongroom_protocol.keys.slots import Unlock
from strongroom_relay.service.attempts import by_address, by_name
from vaults import NAME, quick_state


class World(Keys):
    """All actions, and what holds in the end."""

    async def start(self) -> None:
        """An account with four devices."""
        self.branches.append(await Branch.open(self.folder / "relay-0"))
        unlock = unlock_of(0)
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
        before = self.branches.index(phone.wire.branch)
        await self.fork(who, before)
        for place in range(who + pick, who + pick + len(self.branches)):
            branch = self.branches[place % len(self.branches)]
            if branch is not phone.wire.branch and (phone.node is None or branch.newest.continues(phone.node)):
                phone.wire.route(branch)
                break
        for number in range(pick % 5):
            one = self.phones.index(phone if number % 2 else other)
            await self.append(one, pick)
            await self.flush(one, pick)
        if pick % 2:
            await self.cross(who, before)

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
        if devices:  # all of them can be blocked for the moment
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
        """The relay behaves again. Whoever has a history that it still has saves and sees all; nobody else anything."""
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
                session = await log_in(folder, wire, unlock)
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
        patterns = list(forms(MARK).values())
        given: list[bytes] = list(self.history.objects.values())
        given += [path.read_bytes() for branch in self.branches for path in branch.folder.rglob("*") if path.is_file()]
        for data in given:
            if any(pattern in data for pattern in patterns):
                raise Broken("the relay has plaintext")
