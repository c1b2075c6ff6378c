"""The vault with its root secret at hand: everything that changes who may read and write (spec chapter 04.7).

    async with await vault.unlock(passphrase=...) as owner:
        await owner.revoke(lost_phone)

The root secret is in memory only, from unlocking until `close`. A device alone, even a stolen unlocked one, cannot do
any of this.
"""

from __future__ import annotations

import contextlib
from collections.abc import Collection
from dataclasses import replace
from types import TracebackType

from strongroom.linking import LinkOffer, offer
from strongroom.records import SlotInfo
from strongroom.rekeying import KeyChange, NewDevice, Newest, change_keys
from strongroom.reslotting import NewSlot, reslot
from strongroom.session import AGAIN, Session, now_ms
from strongroom.undoing import Undoing, Undone, chosen_devices
from strongroom.unlocking import SecretsOrUnlock, Unlocked, unlock_again, with_secrets
from strongroom_protocol.errors import InvalidArgument, NotFound, ReadOnly, StrongroomError
from strongroom_protocol.keys.private import KeyringPrivate
from strongroom_protocol.keys.root import Root
from strongroom_protocol.keys.secrets import Passphrase, RecoveryCode
from strongroom_protocol.manifest.head import Head
from strongroom_protocol.manifest.slots import Slot, SlotKind
from strongroom_protocol.wire import cbor, cose

KIND_NAMES = {
    SlotKind.PASSPHRASE: "passphrase",
    SlotKind.RECOVERY: "recovery code",
    SlotKind.BOTH: "passphrase and recovery code",
}


class Owner:
    """An unlocked account on one device. Its methods return when the change is durable at the relay."""

    def __init__(self, session: Session, name: str, opener: SecretsOrUnlock, unlocked: Unlocked, root: Root) -> None:
        self.session = session
        self._name = name
        self.opener = opener
        self._unlocked = unlocked
        self._root: Root | None = root

    @classmethod
    async def unlock(cls, session: Session, name: str, opener: SecretsOrUnlock) -> Owner:
        """Raises WrongSecret, UntrustedDataError, RelayError; nothing is changed."""
        unlocked, root = await unlock_again(session, name, opener)
        return cls(session, name, opener, unlocked, root)

    def close(self) -> None:
        """Forget the root secret."""
        self._root = None

    async def __aenter__(self) -> Owner:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def root(self) -> Root:
        """The root secret and its keys."""
        if self._root is None:
            raise InvalidArgument("the account was locked again", hint="unlock it once more")
        return self._root

    @property
    def authority(self) -> str:
        """What this was unlocked with, in words."""
        return KIND_NAMES[self._unlocked.opener.kind]

    # Devices ------------------------------------------------------------------------------------------------------

    async def confirm(self, device_name: str, shown: Collection[bytes] | None = None) -> Head | None:
        """Accept the listed devices and make this device one of them; None when it is one.

        `shown` are the ids of the devices that the person saw: InvalidArgument when another one is listed by now.

        Nothing proves to a fresh device that the relay showed it the newest state. The new epoch keeps whoever was
        added, or not yet removed, in a state that was withheld from reading what is written from now on.
        """
        if self.session.may_write:
            return None
        self._require_newcomer()
        return await self._change(KeyChange(events=(), new_epoch=True), device_name=device_name, shown=shown)

    async def add_device(self, sign_key: bytes, kem_key: bytes, name: str) -> Head:
        """Add a device whose public keys its owner vouches for, as linking does. It reads all there is."""
        new = NewDevice(sign_key, kem_key, name)
        self.session.require_writer()
        return await self._change(KeyChange(events=(self._event("device added", new.id),), add=(new,)))

    async def rename(self, device: bytes, name: str) -> Head:
        """Call a listed device otherwise. Raises NotFound."""
        self.session.require_writer()
        if self.session.keyring.device(device) is None:
            raise NotFound("no such device in this account", hint="see strongroom devices")
        return await self._change(KeyChange(events=(self._event("device renamed", device),), names={device: name}))

    async def revoke(self, *devices: bytes, device_name: str = "") -> Head:
        """Remove devices (their ids): they read nothing written from now on, and nobody accepts what they write.

        A device that is not confirmed yet becomes one of the devices by it, as `device_name`. Raises NotFound for an id
        that is not listed, InvalidArgument for this device's own.
        """
        if self.session.device.id in devices:  # spec: ROOT-4
            raise InvalidArgument("a device does not remove itself", hint="remove it from another device")
        self._require_newcomer()
        listed = {device.id for device in self.session.keyring.devices}
        if not devices or not listed.issuperset(devices):
            raise NotFound("no such device in this account", hint="see strongroom devices")
        for device in devices:
            with contextlib.suppress(StrongroomError):  # a pause, no more: the keyring is what removes it
                await self._block(device)
        events = tuple(self._event("device removed", device) for device in devices)
        change = KeyChange(events=events, remove=frozenset(devices), rotate=True)
        return await self._change(change, device_name=device_name)

    def _require_newcomer(self) -> None:
        """A device that was removed never comes back under its keys (KR-5)."""
        if self.session.device.id in self.session.keyring.revoked:
            raise ReadOnly("this device was removed from the account", hint=AGAIN)

    async def _block(self, device: bytes) -> None:
        keyring = self.session.keyring
        payload = cbor.encode({1: keyring.account, 2: keyring.version, 3: keyring.hash, 4: device, 5: now_ms()})
        message = cose.sign(cose.Context.BLOCK, payload, self.root.sign.public, self.root.sign.sign)
        await self.session.transport.block(self.session.account, message)

    async def link(self) -> LinkOffer:
        """A code to let a new device in with, or the one that is still good (chapter 15)."""
        return await offer(self.session, self, name=self._name)

    # History ------------------------------------------------------------------------------------------------------

    async def undo(
        self, to: int, *devices: bytes, everyone: bool = False, revoke: bool = False, anyway: bool = False,
        plan: bool = False, device_name: str = "",
    ) -> Undone:  # fmt: skip
        """Go back to version `to`, without what `devices` wrote after it and with what all others did.

        Without devices, what those wrote that were removed from the account since, or with `everyone` what anybody
        wrote. `revoke` removes the named ones too. A device that is not confirmed yet becomes one of the devices by it,
        as `device_name`: after a stolen device made the newest version unreadable, nothing else could confirm it.
        `anyway` goes on when versions of other devices, or parts of that version, cannot be read. With `plan` nothing
        is changed. Raises InvalidArgument for a version that is not before the newest, NotFound when the relay keeps it
        no more, or for an unknown device, IncompleteError.
        """
        session = self.session
        async with session.lock:
            await session.sync()
            chosen, gone = await chosen_devices(session, to, devices, everyone=everyone)
            removed = frozenset(chosen - gone) if revoke else frozenset()
            if session.device.id in removed:
                raise InvalidArgument("a device does not remove itself", hint="remove it from another device")
            undoing = Undoing(session, to, chosen, gone | removed, anyway)
            found = await undoing.plan()
        if plan:
            return found
        for device in removed:
            with contextlib.suppress(StrongroomError):
                await self._block(device)
        events = [self._event(f"undone to version {to}", device) for device in sorted(chosen)]
        events += [self._event("device removed", device) for device in sorted(removed)]
        change = KeyChange(events=tuple(events), remove=removed, rotate=bool(removed))
        head = await self._change(change, device_name=device_name, undoing=undoing)
        await undoing.rest()
        return undoing.done(head.version)

    # Secrets ------------------------------------------------------------------------------------------------------

    def slots(self) -> tuple[SlotInfo, ...]:
        """What opens this account."""
        labels, mine = self._labels(), self._unlocked.opener.sign.public
        return tuple(
            SlotInfo(slot.unlock_key.hex(), KIND_NAMES[slot.kind], labels[slot.unlock_key], slot.unlock_key == mine)
            for slot in self._unlocked.slots.slots
        )

    def opens(self, secrets: SecretsOrUnlock) -> bool:
        """Whether this account opens with these. Stretches a passphrase."""
        slots = self._unlocked.slots
        key = secrets(self._name, slots.salt, slots.kdf).sign.public
        return any(slot.unlock_key == key for slot in slots.slots)

    async def change_passphrase(self, new: Passphrase, code: RecoveryCode | None = None) -> Head:
        """Replace the passphrase that this was unlocked with, or else the account's only one.

        With a two-secret slot the recovery code is needed too. Raises InvalidArgument when it is not clear which slot
        is meant. The old passphrase opens nothing that is written from now on.
        """
        old = self._slot_to_replace({SlotKind.PASSPHRASE, SlotKind.BOTH}, "passphrase")
        if (old.kind is SlotKind.BOTH) != (code is not None):
            raise InvalidArgument("a two-secret account needs the recovery code too, others do not take it here")
        return await self._reslot("passphrase changed", {old.unlock_key}, with_secrets(new, code), old)

    async def change_recovery_code(self, new: RecoveryCode, passphrase: Passphrase | None = None) -> Head:
        """Replace the recovery code; the old one opens nothing that is written from now on."""
        old = self._slot_to_replace({SlotKind.RECOVERY, SlotKind.BOTH}, "recovery code")
        if (old.kind is SlotKind.BOTH) != (passphrase is not None):
            raise InvalidArgument("a two-secret account needs the passphrase too, others do not take it here")
        return await self._reslot("recovery code changed", {old.unlock_key}, with_secrets(passphrase, new), old)

    async def add_slot(self, opener: SecretsOrUnlock, label: str) -> Head:
        """One more passphrase, recovery code or pair of both that opens this account."""
        return await self._reslot("slot added", set(), opener, None, label)

    async def remove_slot(self, key: str) -> Head:
        """Remove a slot by its key (`SlotInfo.key`). It opens nothing that is written from now on."""
        old = next((slot for slot in self._unlocked.slots.slots if slot.unlock_key.hex() == key), None)
        if old is None:
            raise NotFound("no such slot in this account", hint="see strongroom passphrase list")
        return await self._reslot(f"{KIND_NAMES[old.kind]} removed", {old.unlock_key})

    async def use_two_secrets(self, passphrase: Passphrase, code: RecoveryCode) -> Head:
        """The account opens with both together only from now on: guessing the passphrase offline is hopeless then."""
        gone = {slot.unlock_key for slot in self._unlocked.slots.slots}
        return await self._reslot("both secrets needed from now on", gone, with_secrets(passphrase, code))

    def _slot_to_replace(self, kinds: Collection[SlotKind], what: str) -> Slot:
        mine = self._unlocked.opener.sign.public
        found = [slot for slot in self._unlocked.slots.slots if slot.kind in kinds]
        chosen = [slot for slot in found if slot.unlock_key == mine] or found
        if len(chosen) != 1:
            raise InvalidArgument(
                f"the account has {len(found)} slots with a {what}", hint="add a new slot and remove the old one"
            )
        return chosen[0]

    async def _reslot(
        self, event: str, gone: set[bytes], opener: SecretsOrUnlock | None = None, like: Slot | None = None,
        label: str = "",
    ) -> Head:  # fmt: skip
        slots, labels = self._unlocked.slots, self._labels()
        added = None
        if opener is not None:
            keys = opener(self._name, slots.salt, slots.kdf)
            added = NewSlot(keys, label or (labels[like.unlock_key] if like else KIND_NAMES[keys.kind]))
        change = KeyChange(
            events=(self._event(event),), reslot=reslot(slots, labels, gone=gone, added=added), rotate=bool(gone)
        )
        head = await self._change(change)
        if added is not None and self._unlocked.opener.sign.public in gone:
            self._unlocked = replace(self._unlocked, opener=added.opener)
        return head

    # All of them --------------------------------------------------------------------------------------------------

    async def _change(
        self, change: KeyChange, *, device_name: str = "", undoing: Undoing | None = None,
        shown: Collection[bytes] | None = None,
    ) -> Head:  # fmt: skip
        session, slots = self.session, self._unlocked.slots
        if change.rotate and change.reslot is None:
            change = replace(change, reslot=reslot(slots, self._labels()))

        async def prepare() -> tuple[Root, KeyChange]:
            keyring = session.keyring
            mine = self.root.sign.public, self.root.kem.public, slots.hash()
            if (keyring.root_key, keyring.root_kem_key, keyring.slots_hash) != mine:  # spec: ROOT-2
                raise InvalidArgument("the account's secrets were changed meanwhile", hint="unlock it and try again")
            if any(keyring.device(device) is None for device in change.remove):
                raise NotFound("that device was removed meanwhile", hint="see strongroom devices")
            if shown is not None and not {device.id for device in keyring.devices} <= set(shown):  # spec: ROOT-6
                raise InvalidArgument("another device was added meanwhile", hint="look at the list once more")
            wanted = change if undoing is None else replace(change, discards=await undoing.discards())
            if session.may_write:
                return self.root, wanted
            self._require_newcomer()
            keys = session.device
            me = NewDevice(keys.sign.public, keys.kem.public, device_name)
            events = (self._event("device added", me.id), *wanted.events)
            return self.root, replace(wanted, add=(*wanted.add, me), events=events, new_epoch=True)

        done = await change_keys(session, prepare, undoing or Newest(session))
        self._root = done.root
        if done.slots is not None:
            self._unlocked = replace(self._unlocked, slots=done.slots)
        return done.head

    def _labels(self) -> dict[bytes, str]:
        keyring = self.session.keyring
        known = KeyringPrivate.read(keyring.private, self.session.epochs(), keyring.account).slots
        return {
            slot.unlock_key: known.get(slot.unlock_key, KIND_NAMES[slot.kind]) for slot in self._unlocked.slots.slots
        }

    def _event(self, what: str, device: bytes | None = None) -> tuple[str, bytes | None]:
        return f"{what}; authority: {self.authority}", device
