"""Who reads and writes an account, and how fresh it is known to be: the second part of `vault.Vault` (docs/sdk.md)."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from strongroom.records import (
    DeviceInfo,
    KeyEventInfo,
)
from strongroom.session import now_ms
from strongroom.vault_opening import Opened
from strongroom_protocol.keys.private import KeyringPrivate
from strongroom_protocol.keys.secrets import Passphrase, RecoveryCode

if TYPE_CHECKING:
    from strongroom.owner import Owner
    from strongroom.records import VersionInfo
    from strongroom_protocol.keys.kit import Kit
    from strongroom_protocol.manifest.anchor import Anchor
    from strongroom_protocol.manifest.proof import Evidence


class Account(Opened):
    """Who reads and writes this account, and how fresh what is known of it is."""

    # Devices ------------------------------------------------------------------------------------------------------

    @property
    def device_id(self) -> str:
        """This device's id (hex)."""
        return self._session.device.id.hex()

    @property
    def folder(self) -> Path:
        """This device's vault folder."""
        return self._session.state.folder

    def devices(self) -> tuple[DeviceInfo, ...]:
        """The devices of the newest accepted keyring."""
        keyring, private = self._session.keyring, self._private()
        added = {event.device: event.time for event in private.events if "removed" not in event.what}
        return tuple(
            DeviceInfo(
                device.id.hex(), private.names.get(device.id, ""), device.id == self._session.device.id,
                added.get(device.id),
            )
            for device in keyring.devices
        )  # fmt: skip

    def key_events(self) -> tuple[KeyEventInfo, ...]:
        """The signed log of every change of keys, oldest first: what, when, by what authority."""
        private = self._private()
        return tuple(
            KeyEventInfo(
                event.version, event.time, event.what, "" if event.device is None else event.device.hex(),
                private.names.get(event.device or b"", ""),
            )
            for event in private.events
        )  # fmt: skip

    def _private(self) -> KeyringPrivate:
        keyring = self._session.keyring
        return KeyringPrivate.read(keyring.private, self._session.epochs(), keyring.account)

    async def versions(self, *, count: int = 50) -> list[VersionInfo]:
        """The newest `count` versions of the history, newest first. `Owner.undo` goes back to one that has `rows`."""
        from strongroom.versions import newest_versions

        async with self._session.lock:
            return await newest_versions(self._session, count)

    async def unlock(self, *, passphrase: Passphrase | None = None, code: RecoveryCode | None = None) -> Owner:
        """The account with its root secret, for whatever changes who may read and write; use as `async with`.

        Needs the passphrase or recovery code, unless this vault has just been opened with it. Raises WrongSecret.
        """
        from strongroom.owner import Owner
        from strongroom.unlocking import with_secrets

        given = passphrase is not None or code is not None
        opener = self._opener if self._opener and not given else with_secrets(passphrase, code)
        async with self._session.lock:
            return await Owner.unlock(self._session, self.name, opener)

    def recovery_kit(self, code: RecoveryCode, *, two_secret: bool = False) -> Kit:
        """A kit for the recovery code that the account has, which is not checked; `kit_renewal` makes a new code.

        Its anchor is the newest state that this device has accepted.
        """
        from strongroom.witnessing import WITNESS
        from strongroom_protocol.keys.kit import Kit
        from strongroom_protocol.manifest.slots import SlotKind

        witness = self._session.state.get(WITNESS)
        return Kit(
            name=self.name, relay=self.relay, code=code, anchor=self.anchor(),
            witness=None if witness is None else witness.decode(), time=now_ms(),
            kind=SlotKind.BOTH if two_secret else SlotKind.RECOVERY,
        )  # fmt: skip

    async def refresh_login(self, *, passphrase: Passphrase | None = None, code: RecoveryCode | None = None) -> None:
        """Unlock again on a read-only device: admits it for reading for another while and fetches the newest state."""
        async with await self.unlock(passphrase=passphrase, code=code) as owner:
            self._opener = owner.opener

    async def confirm_devices(
        self, *, passphrase: Passphrase | None = None, code: RecoveryCode | None = None, device_name: str = ""
    ) -> None:
        """Accept the devices that `devices` lists now and make this device one of them.

        Raises InvalidArgument when the relay shows another one meanwhile.
        Needs the passphrase or recovery code, unless this vault has just been opened with it.
        """
        shown = [device.id for device in self._session.keyring.devices]  # unlocking fetches the newest state
        async with await self.unlock(passphrase=passphrase, code=code) as owner:
            await owner.confirm(device_name, shown)
        self._opener = None
        if self._outbox.waiting()[0]:  # of the device that this folder was before
            self._sender.start()

    # Freshness ----------------------------------------------------------------------------------------------------

    def anchor(self) -> Anchor:
        """The state this device has accepted, for a new device of the account: `anchor().to_text()`."""
        from strongroom import freshness

        return freshness.anchor_of(self._session)

    async def evidence(self) -> Evidence:
        """The same with the relay's receipts, to be compared on another device; see `compare`."""
        from strongroom import freshness

        return await freshness.evidence_of(self._session)

    async def compare(self, other: Evidence) -> None:
        """Compare what the relay shows here with what it showed to another device of this account.

        Raises UntrustedDataError when it shows the two different histories, or hides the newer state from this one.
        """
        from strongroom import freshness

        async with self._session.lock:
            await freshness.compare(self._session, other)

    async def use_witness(self, address: str) -> None:
        """Report to the witness at `URL#KEY` from now on. Raises what `ask_witness` raises; then nothing changes."""
        from strongroom import witnessing

        await witnessing.check(self._session, witnessing.WitnessAddress.parse(address))

    async def ask_witness(self) -> bool:
        """Weigh what the relay shows against this vault's witness; False when it has none.

        Raises UntrustedDataError when the relay hides what some device has reported; RelayError.
        """
        from strongroom import witnessing

        return await witnessing.check(self._session) is not None
