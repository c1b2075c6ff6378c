"""The vault: what an app or a person does with a backed-up chat history.

    async with await Vault.open(folder) as vault:
        for chat in await vault.chats():
            print(chat.title, chat.newest)

Every method that reads fetches and verifies the newest state first; without the relay, what was restored is read.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING

from strongroom.cache import Cache
from strongroom.engine.audit import Audit, Progress, audit
from strongroom.engine.fold import joined
from strongroom.engine.reading import chat_rows, newest
from strongroom.engine.snapshot import Snapshot
from strongroom.session import Session, now_ms
from strongroom.state import State
from strongroom.transport import open_transport
from strongroom_protocol.engine.directory import DirectoryRow
from strongroom_protocol.errors import Failure, NotFound, RelayUnreachable, UntrustedDataError
from strongroom_protocol.keys import names
from strongroom_protocol.keys.private import KeyringPrivate
from strongroom_protocol.keys.secrets import Passphrase, RecoveryCode
from strongroom_protocol.manifest.head import Head, parse_head
from strongroom_protocol.rows.merge import Message, Order, fold

if TYPE_CHECKING:
    from strongroom import importing
    from strongroom.account import SecretsOrUnlock


@dataclass(frozen=True, slots=True)
class DeviceInfo:
    """A device of the keyring: id (hex), name, whether it is this one."""

    id: str
    name: str
    this: bool


@dataclass(frozen=True, slots=True)
class Status:
    """How things stand. Times in ms since 1970, sizes in bytes; `saved` is the time of the newest commit."""

    account: str
    name: str
    relay: str
    device: str
    writable: bool
    version: int
    keyring_version: int
    epoch: int
    saved: int
    age_ms: int
    chats: int
    rows: int
    runs: int
    tail: int
    stored: int
    cap: int
    objects: int
    devices: tuple[DeviceInfo, ...]
    fresh: bool


@dataclass(frozen=True, slots=True)
class Restored:
    """What a restore brought: the audit, and whether an earlier version had to stand in for a damaged newest one."""

    audit: Audit
    version: int
    fallback: bool


class Vault:
    """A device's vault folder, open. Use as `async with`; one process at a time."""

    def __init__(self, session: Session, *, name: str, relay: str, opener: SecretsOrUnlock | None = None) -> None:
        self._session = session
        self._last: Snapshot | None = None
        self._opener = opener  # of a login that waits for its confirmation
        self.name = name
        self.relay = relay

    @classmethod
    async def create(
        cls, folder: Path, *, relay: str, name: str, passphrase: Passphrase | None, code: RecoveryCode | None,
        device_name: str = "", registration_token: str = "", two_secret: bool = False,
    ) -> Vault:  # fmt: skip
        """A new account on the relay and this folder as its first device.

        The passphrase and the recovery code become a slot each; with `two_secret`, one slot needs both.
        """
        from strongroom import account

        name = names.account_name(name)
        if two_secret:
            openers = [(account.with_secrets(passphrase, code), "passphrase and recovery code")]
        else:
            openers = [(account.with_secrets(passphrase, None), "passphrase")] if passphrase else []
            openers += [(account.with_secrets(None, code), "recovery code")] if code else []
        transport = await open_transport(relay, create=True)
        try:
            session = await account.create(
                folder, transport, relay=relay, name=name, device_name=device_name, openers=openers,
                registration_token=registration_token,
            )  # fmt: skip
        except BaseException:
            await transport.close()
            raise
        return cls(session, name=name, relay=relay)

    @classmethod
    async def login(
        cls, folder: Path, *, relay: str, name: str, passphrase: Passphrase | None = None,
        code: RecoveryCode | None = None,
    ) -> Vault:  # fmt: skip
        """A fresh device. It may read; it writes only after `confirm_devices`."""
        from strongroom import account

        name = names.account_name(name)
        transport = await open_transport(relay)
        try:
            opener = account.with_secrets(passphrase, code)
            session = await account.login(folder, transport, relay=relay, name=name, opener=opener)
        except BaseException:
            await transport.close()
            raise
        return cls(session, name=name, relay=relay, opener=opener)

    @classmethod
    async def open(cls, folder: Path, *, relay: str | None = None) -> Vault:
        """The vault in `folder`; `relay` only when the relay has moved."""
        state = State.open(folder)
        try:
            address = relay or state.require("relay").decode()
            transport = await open_transport(address)
            session = Session.open(state, transport)
        except BaseException:
            state.close()
            raise
        return cls(session, name=state.require("name").decode(), relay=address)

    async def close(self) -> None:
        """Release the folder and the connection."""
        self._opener = None
        await self._session.transport.close()
        self._session.state.close()

    async def __aenter__(self) -> Vault:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    @property
    def writable(self) -> bool:
        """Whether this device may write."""
        return self._session.may_write

    def devices(self) -> tuple[DeviceInfo, ...]:
        """The devices of the newest accepted keyring."""
        keyring = self._session.keyring
        private = KeyringPrivate.open(keyring.private, self._session.epochs(), keyring.account)
        return tuple(
            DeviceInfo(device.id.hex(), private.names.get(device.id, ""), device.id == self._session.device.id)
            for device in keyring.devices
        )

    async def refresh_login(self, *, passphrase: Passphrase | None = None, code: RecoveryCode | None = None) -> None:
        """Unlock again on a read-only device: admits it for reading for another while and fetches the newest state."""
        from strongroom import account

        opener = account.with_secrets(passphrase, code)
        await account.renew_guest(self._session, name=self.name, opener=opener)
        self._opener = opener

    async def confirm_devices(
        self, *, passphrase: Passphrase | None = None, code: RecoveryCode | None = None, device_name: str = ""
    ) -> None:
        """Accept the listed devices and make this device one of them.

        Needs the passphrase or recovery code, unless this vault has just been opened with it.
        """
        from strongroom import account

        given = passphrase is not None or code is not None
        opener = self._opener if self._opener and not given else account.with_secrets(passphrase, code)
        root = await account.renew_guest(self._session, name=self.name, opener=opener)
        if not self._session.may_write:
            await account.confirm(self._session, root, device_name=device_name)
        self._opener = None

    async def import_rows(
        self, rows: Iterable[importing.Imported], *, progress: Callable[[int], None] | None = None
    ) -> importing.Added:
        """Commit imported rows; those that are there already are skipped."""
        from strongroom import importing

        self._session.require_writer()
        return await importing.import_rows(self._session, rows, progress=progress)

    async def chats(self) -> list[DirectoryRow]:
        """The chat list, newest first."""
        return await chat_rows(await self._current())

    async def show(self, chat: str, *, count: int = 50) -> list[Message]:
        """The newest `count` messages of a chat (by id or title), oldest first."""
        snapshot = await self._current()
        row = find_chat(await chat_rows(snapshot), chat)
        frames = await newest(snapshot, row, count)
        if not frames:
            return []
        messages = fold(row.conversation, joined(frames).rows(), Order(snapshot.head.time))
        return list(messages)[-count:]

    async def export_json(self, folder: Path) -> dict[str, int]:
        """Write everything to `folder` in the native lossless form: the same state gives the same bytes anywhere."""
        from strongroom.exporting import export_snapshot

        return await export_snapshot(await self._current(), folder)

    async def restore(self, *, progress: Progress | None = None) -> Restored:
        """Fetch everything into this device. Interrupted, it goes on where it was; damage is reported, not raised."""
        head = await self._session.sync()
        snapshot = await self._readable(head)
        cache = Cache(self._session.state.folder / "objects")
        report = await audit(snapshot, keep=cache, progress=progress)
        return Restored(report, snapshot.head.version, snapshot.head.version != head.version)

    async def verify(self, *, progress: Progress | None = None) -> Audit:
        """Fetch and check every byte from the relay, whatever this device has already."""
        snapshot = await self._session.snapshot(fresh=True)
        return await audit(snapshot, progress=progress)

    async def status(self) -> Status:
        """How fresh, how much, who."""
        fresh = True
        try:
            snapshot = await self._session.snapshot()
            usage = await self._session.transport.usage(self._session.account)
            stored, cap, objects = usage.stored, usage.cap, usage.objects
        except RelayUnreachable:
            snapshot, fresh = await self._session.load(self._session.stored_head()), False
            stored = cap = objects = 0
        rows = await chat_rows(snapshot)
        session, head = self._session, snapshot.head
        return Status(
            account=session.account.hex(), name=self.name, relay=self.relay, device=session.device.id.hex(),
            writable=session.may_write, version=head.version, keyring_version=head.keyring_version,
            epoch=head.epoch, saved=head.time, age_ms=max(0, now_ms() - head.time), chats=len(rows),
            rows=sum(row.rows for row in rows), runs=len(snapshot.root.runs), tail=len(snapshot.body.tail),
            stored=stored, cap=cap, objects=objects, devices=self.devices(), fresh=fresh,
        )  # fmt: skip

    def damage(self) -> dict[str, str]:
        """Objects that the last read could not use: name (hex) to class of failure."""
        return {} if self._last is None else {name: str(kind) for name, kind in self._last.source.damage.items()}

    async def _current(self) -> Snapshot:
        try:
            head = await self._session.sync()
        except RelayUnreachable:
            head = self._session.stored_head()
            if head.body not in Cache(self._session.state.folder / "objects"):
                raise
        self._last = await self._readable(head)
        return self._last

    async def _readable(self, head: Head) -> Snapshot:
        """The state at an accepted head, or at the one before it when the body of the newest is damaged."""
        try:
            return await self._session.load(head)
        except UntrustedDataError as error:
            if error.subject != head.body.hex() or head.version == 1:
                raise
            snapshot = await self._session.load(await self._previous(head))
            snapshot.source.damage[head.body.hex()] = error.failure
            return snapshot

    async def _previous(self, head: Head) -> Head:
        # Authenticated by the newest head, which names its hash: never a state the relay may choose.
        answer = await self._session.transport.head_at(self._session.account, head.version - 1)
        previous = parse_head(answer.head, account=self._session.account)
        if previous.hash != head.previous:
            raise UntrustedDataError(Failure.CHAIN, "not the previous head", subject="head")
        return previous


def find_chat(rows: list[DirectoryRow], wanted: str) -> DirectoryRow:
    """The chat with this id, else with this title. Raises NotFound, also when a title is not unique."""
    found = [row for row in rows if row.conversation == wanted] or [row for row in rows if row.title == wanted]
    if len(found) != 1:
        what = "no chat has" if not found else f"{len(found)} chats have"
        raise NotFound(f"{what} that id or title", hint="list them with `strongroom chats`, then use the id")
    return found[0]
