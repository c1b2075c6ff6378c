"""Accounts, devices and histories for tests, in-process or over HTTP, without ever running Argon2id.

A `Bench` is one relay in this process with any number of devices; a `Device` is a vault on it. What opens an account is
a random unlock secret instead of a passphrase.
"""

from __future__ import annotations

import secrets
import shutil
import sqlite3
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from strongroom import account
from strongroom import state as state_module
from strongroom.account import SecretsOrUnlock
from strongroom.engine.reading import spans
from strongroom.engine.snapshot import Snapshot
from strongroom.formats import ImportOptions, ImportReport, importer_named
from strongroom.importing import Added, Imported, import_rows
from strongroom.owner import Owner
from strongroom.session import Session
from strongroom.state import State
from strongroom.transport import open_transport
from strongroom.transport.base import Transport
from strongroom.transport.inprocess import ORIGIN, InProcessTransport
from strongroom.vault import Vault
from strongroom_protocol.keys.secrets import UnlockSecret
from strongroom_protocol.keys.slots import Unlock
from strongroom_protocol.manifest.slots import Kdf, SlotKind
from strongroom_protocol.rows.merge import Message, Order, fold
from strongroom_protocol.rows.model import Op, Row
from strongroom_relay.service.relay import Relay
from strongroom_relay.store.embedded import EmbeddedStore

SAMPLES = Path(__file__).resolve().parents[1] / "samples" / "irc-ubuntu"
NAME = "anna"


def opener(secret: bytes | None = None) -> SecretsOrUnlock:
    """Unlock keys from a random secret, whatever the relay says about salt and KDF: nothing is stretched."""
    keys = Unlock(SlotKind.RECOVERY, UnlockSecret(secret or secrets.token_bytes(32)))

    def unlock(name: str, salt: bytes, kdf: Kdf) -> Unlock:
        return keys

    return unlock


class QuickStore(EmbeddedStore):
    """The embedded store without syncs: no test here cuts the power."""

    def _connect(self) -> sqlite3.Connection:
        database = super()._connect()
        database.execute("PRAGMA synchronous = OFF")
        return database


@contextmanager
def quick_state() -> Iterator[None]:
    """The same for states of devices that are opened inside."""
    connect = state_module._connect

    def quick(folder: Path) -> sqlite3.Connection:
        database = connect(folder)
        database.execute("PRAGMA synchronous = OFF")
        return database

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(state_module, "_connect", quick)
        yield


class SharedTransport(InProcessTransport):
    """One of several clients of a relay in this process; closing it leaves the relay alone."""

    async def close(self) -> None:
        return None


Wrap = Callable[[Transport], Transport]


def plain(transport: Transport) -> Transport:
    """No wrapper."""
    return transport


@dataclass(slots=True)
class Device:
    """A vault and the session in it."""

    vault: Vault
    session: Session

    async def snapshot(self, *, fresh: bool = False) -> Snapshot:
        return await self.session.snapshot(fresh=fresh)

    async def add(self, rows: Iterable[Imported]) -> Added:
        return await import_rows(self.session, rows)

    def close(self) -> None:
        self.session.state.close()


@dataclass(slots=True)
class Bench:
    """A relay on `folder`/relay and devices in folders beside it."""

    folder: Path
    opener: SecretsOrUnlock = field(default_factory=opener)
    relay: Relay | None = None
    devices: list[Device] = field(default_factory=list)

    async def open(self) -> Relay:
        """Open the relay when it is closed."""
        if self.relay is None:
            self.relay = Relay(QuickStore(self.folder / "relay"), origins=(ORIGIN,), open_registration=True)
            await self.relay.start()
        return self.relay

    def close(self) -> None:
        """Close all devices and the relay; its files can be edited then."""
        for device in self.devices:
            device.close()
        self.devices.clear()
        self.close_relay()

    def close_relay(self) -> None:
        if self.relay is not None:
            self.relay.store.close()
            self.relay = None

    async def transport(self) -> Transport:
        return SharedTransport(await self.open())

    async def create(self, name: str = NAME, *, folder: str = "a", wrap: Wrap = plain) -> Device:
        """A new account with its first device."""
        transport = wrap(await self.transport())
        with quick_state():
            session = await account.create(
                self.folder / folder, transport, relay="file:///bench", name=name, device_name=folder,
                openers=[(self.opener, "code")],
            )  # fmt: skip
        return self._device(session, name)

    async def login(self, folder: str = "b", name: str = NAME, *, wrap: Wrap = plain, confirm: bool = False) -> Device:
        """A fresh device; with `confirm` it may write."""
        transport = wrap(await self.transport())
        with quick_state():
            session = await account.login(
                self.folder / folder, transport, relay="file:///bench", name=name, opener=self.opener
            )
        device = self._device(session, name)
        if confirm:
            await self.confirm(device)
        return device

    async def confirm(self, device: Device) -> None:
        """Accept the listed devices on a fresh one."""
        async with await self.owner(device) as owner:
            await owner.confirm("confirmed")

    async def owner(self, device: Device, opener: SecretsOrUnlock | None = None) -> Owner:
        """The account unlocked on a device, for changes of keys."""
        return await Owner.unlock(device.session, device.vault.name, opener or self.opener)

    async def reopen(self, folder: str, *, wrap: Wrap = plain, name: str = NAME) -> Device:
        """A device from its folder."""
        with quick_state():
            session = Session.open(State.open(self.folder / folder), wrap(await self.transport()))
        return self._device(session, name)

    def copy(self, source: str, target: str) -> None:
        """A clone of a closed device's folder."""
        shutil.rmtree(self.folder / target, ignore_errors=True)
        shutil.copytree(self.folder / source, self.folder / target)

    def drop(self, device: Device) -> None:
        """Close one device."""
        device.close()
        self.devices.remove(device)

    def _device(self, session: Session, name: str) -> Device:
        device = Device(Vault(session, name=name, relay="file:///bench", opener=self.opener), session)
        self.devices.append(device)
        return device


async def create_at(relay: str, folder: Path, opened: SecretsOrUnlock, *, name: str = NAME, token: str = "") -> Vault:
    """A new account on any relay address, e.g. of a real relay over HTTP or a folder."""
    transport = await open_transport(relay, create=True)
    session = await account.create(
        folder, transport, relay=relay, name=name, device_name=folder.name, openers=[(opened, "code")],
        registration_token=token,
    )  # fmt: skip
    return Vault(session, name=name, relay=relay, opener=opened)


async def login_at(relay: str, folder: Path, opened: SecretsOrUnlock, *, name: str = NAME) -> Vault:
    """A fresh device on any relay address."""
    transport = await open_transport(relay)
    session = await account.login(folder, transport, relay=relay, name=name, opener=opened)
    return Vault(session, name=name, relay=relay, opener=opened)


def talk(chat: str, count: int, *, start: int = 1_700_000_000_000, step: int = 1000, ids: str = "m") -> list[Imported]:
    """`count` messages of a synthetic conversation."""
    return [
        (chat, Row(Op.PUT, start + n * step, id=f"{ids}{start}-{n}", sender=f"s{n % 3}", text=f"{chat} says {n}"))
        for n in range(count)
    ]


def titled(chat: str, title: str, *, time: int = 1_600_000_000_000) -> Imported:
    """The row that names a conversation."""
    return chat, Row(op=Op.CONVERSATION, time=time, text=title, kind=2)


def sample_rows(files: int = 1, *, chat: str = "irc:ubuntu") -> list[Imported]:
    """Rows of the IRC sample logs."""
    paths = sorted(SAMPLES.glob("*.raw.txt"))[:files]
    report = ImportReport()
    importer = importer_named("irc")
    return [item for path in paths for item in importer.read(path, ImportOptions(chat=chat), report)]


async def rows_of(snapshot: Snapshot) -> dict[str, list[Row]]:
    """Every row that can be read, by conversation, sorted."""
    found: dict[str, list[Row]] = {}
    for key in await snapshot.keys():
        async for frame in spans(snapshot, key):
            found.setdefault(frame.conversation, []).extend(frame.rows())
    return {chat: sorted(rows, key=lambda row: (row.time, row.seq, row.origin)) for chat, rows in found.items()}


async def messages_of(snapshot: Snapshot) -> dict[str, list[Message]]:
    """The merged history of every conversation."""
    order = Order(snapshot.head.time)
    return {chat: list(fold(chat, rows, order)) for chat, rows in (await rows_of(snapshot)).items()}


def texts(messages: Iterable[Message]) -> Iterator[str | None]:
    """What messages say now."""
    return (message.current.text if message.current else None for message in messages)
