"""Making, opening and closing a vault: the first part of `vault.Vault` (docs/sdk.md)."""

from __future__ import annotations

import asyncio
import contextlib
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self

from strongroom.outbox import Outbox
from strongroom.reader import Reader
from strongroom.sending import Sender
from strongroom.session import Session
from strongroom.state import State
from strongroom.transport import open_transport
from strongroom_protocol.errors import StrongroomError
from strongroom_protocol.keys import names
from strongroom_protocol.keys.secrets import Passphrase, RecoveryCode

if TYPE_CHECKING:
    from strongroom.backfill import Backfill
    from strongroom.linking import OnLink
    from strongroom.live import Live
    from strongroom.search.searching import Searching
    from strongroom.unlocking import SecretsOrUnlock
    from strongroom_protocol.manifest.anchor import Anchor

FLUSH_S = 10.0
"""How long closing waits for what is still to be committed; the rest is committed by the next process."""


class Opened:
    """A device's vault folder, open: how it is made, opened and closed. `vault.Vault` is what one uses."""

    def __init__(self, session: Session, *, name: str, relay: str, opener: SecretsOrUnlock | None = None) -> None:
        self._session = session
        self._outbox = Outbox(session.state)
        self._sender = Sender(session, self._outbox)
        self._reader = Reader(session, self._outbox)
        self._opener = opener  # of a login that waits for its confirmation
        self._backfill: Backfill | None = None
        self._searching: Searching | None = None
        self._live: Live | None = None
        self._closed = False
        self._followed = b""  # the head up to which this folder was rid of what others took out
        self._last: dict[str, tuple[int, int]] = {}  # time and seq of the message appended last, by chat
        self.name = name
        self.relay = relay

    # Opening ------------------------------------------------------------------------------------------------------

    @classmethod
    async def create(
        cls, folder: Path, *, relay: str, name: str, passphrase: Passphrase | None, code: RecoveryCode | None,
        device_name: str = "", registration_token: str = "", two_secret: bool = False, witness: str | None = None,
    ) -> Self:  # fmt: skip
        """A new account on the relay and this folder as its first device.

        The passphrase and the recovery code become a slot each; with `two_secret`, one slot needs both. `witness` is
        `URL#KEY` of another relay that this device tells about its newest state.
        """
        from strongroom import account
        from strongroom.witnessing import WitnessAddress

        name = names.account_name(name)
        watching = None if witness is None else WitnessAddress.parse(witness)
        if two_secret:
            openers = [(account.with_secrets(passphrase, code), "passphrase and recovery code")]
        else:
            openers = [(account.with_secrets(passphrase, None), "passphrase")] if passphrase else []
            openers += [(account.with_secrets(None, code), "recovery code")] if code else []
        transport = await open_transport(relay, create=True)
        try:
            session = await account.create(
                Path(folder), transport, relay=relay, name=name, device_name=device_name, openers=openers,
                registration_token=registration_token, witness=watching,
            )  # fmt: skip
        except BaseException:
            await transport.close()
            raise
        return cls(session, name=name, relay=relay)

    @classmethod
    async def login(
        cls, folder: Path, *, relay: str, name: str, passphrase: Passphrase | None = None,
        code: RecoveryCode | None = None, anchor: Anchor | str | None = None, witness: str | None = None,
    ) -> Self:  # fmt: skip
        """A fresh device. It may read; it writes only after `confirm_devices`.

        An `anchor` of another device (`Vault.anchor`) or a `witness` (`URL#KEY`) shows whether the relay hides newer
        states; without them `Status.freshness` is `unproven`. Raises UntrustedDataError ROLLBACK, FORK or LOG when it
        does, before anything is stored; RelayError when the witness cannot be asked.
        """
        from strongroom import account
        from strongroom.witnessing import WitnessAddress
        from strongroom_protocol.manifest.anchor import Anchor

        name = names.account_name(name)
        watching = None if witness is None else WitnessAddress.parse(witness)
        anchored = Anchor.from_text(anchor) if isinstance(anchor, str) else anchor
        transport = await open_transport(relay)
        try:
            opener = account.with_secrets(passphrase, code)
            session = await account.login(
                Path(folder), transport, relay=relay, name=name, opener=opener, anchor=anchored, witness=watching
            )
        except BaseException:
            await transport.close()
            raise
        return cls(session, name=name, relay=relay, opener=opener)

    @classmethod
    async def join(
        cls, folder: Path, *, code: str | None, relay: str | None = None, device_name: str = "",
        progress: OnLink | None = None,
    ) -> Self:  # fmt: skip
        """A fresh device, let in by one that is there already: `code` is what that one shows, typed or scanned.

        It may write at once, and knows the newest state. Raises WrongSecret for a wrong code: call it again with the
        right one, three times at most. After RelayUnreachable or a crash, without a code it goes on where it was.
        """
        from strongroom import joining

        session = await joining.join(Path(folder), code=code, relay=relay, device_name=device_name, progress=progress)
        return cls(session, name=session.state.require("name").decode(), relay=session.state.require("relay").decode())

    @classmethod
    async def relink(
        cls, folder: Path, *, passphrase: Passphrase | None = None, code: RecoveryCode | None = None,
        relay: str | None = None, ask_witness: bool = True,
    ) -> Self:  # fmt: skip
        """Make the folder of a device that was cloned or removed a new, read-only device of its account.

        What waits in its outbox stays, and is sent after `confirm_devices`. The old device stays listed until somebody
        removes it. Raises UntrustedDataError when the relay shows an older state than this folder, or its witness, has
        seen; RelayUnreachable also when that witness cannot be asked.
        """
        from strongroom import relinking
        from strongroom.unlocking import with_secrets

        with State.open(Path(folder)) as state:
            name, address = state.require("name").decode(), relay or state.require("relay").decode()
        transport = await open_transport(address)
        opener = with_secrets(passphrase, code)
        try:
            session = await relinking.relink(
                Path(folder), transport, relay=address, opener=opener, watched=ask_witness
            )  # fmt: skip
        except BaseException:
            await transport.close()
            raise
        return cls(session, name=name, relay=address, opener=opener)

    @classmethod
    async def open(cls, folder: Path, *, relay: str | None = None) -> Self:
        """The vault in `folder`; `relay` only when the relay has moved. Goes on with what still waits to be saved."""
        state = State.open(Path(folder))
        try:
            address = relay or state.require("relay").decode()
            transport = await open_transport(address)
            session = Session.open(state, transport)
        except BaseException:
            state.close()
            raise
        vault = cls(session, name=state.require("name").decode(), relay=address)
        if vault._outbox.folder.exists():
            from strongroom import outgoing

            outgoing.clean(vault._outbox.folder, vault._outbox)
        if session.may_write and vault._outbox.waiting()[0]:
            vault._sender.start()
        return vault

    @property
    def writable(self) -> bool:
        """Whether this device may write."""
        return self._session.may_write

    async def close(self) -> None:
        """Save what waits, for a few seconds at most; release the folder and the connection. Twice is no more."""
        if self._closed:
            return
        self._closed = True
        self._opener = None
        try:
            if self._outbox.waiting()[0] and self._sender.error is None and self.writable:
                with contextlib.suppress(StrongroomError, TimeoutError):
                    async with asyncio.timeout(FLUSH_S):
                        await self._sender.flush()
            if self._session.state.get("witness") is not None:
                from strongroom import witnessing

                await witnessing.report(self._session, closing=True)
        finally:
            if self._backfill is not None:
                await self._backfill.stop()
            if self._searching is not None:
                await self._searching.stop()
            if self._live is not None:
                await self._live.close()
            await self._sender.stop()
            await self._session.transport.close()
            self._session.state.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()
