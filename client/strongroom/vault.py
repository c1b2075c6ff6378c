"""The vault: what an app or a person does with a backed-up chat history (docs/sdk.md).

    async with await Vault.open(folder) as vault:
        await vault.append("family", [message("home at seven", sender="anna")])
        for chat in await vault.chats():
            print(chat.title, chat.newest)

Every method may be called from many tasks at once, and may be cancelled: what was appended stays, what was not
committed is committed later, nothing is written twice.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Iterable
from itertools import chain
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, BinaryIO, cast

from strongroom.cache import Cache
from strongroom.outbox import Outbox
from strongroom.reader import Reader
from strongroom.records import (
    Attachment,
    ChatMessage,
    DeviceInfo,
    ImportResult,
    KeyEventInfo,
    MessageRef,
    Progress,
    Restored,
    Status,
)
from strongroom.sending import Sender
from strongroom.session import Session, now_ms
from strongroom.state import State
from strongroom.transport import open_transport
from strongroom_protocol.engine.directory import DirectoryRow
from strongroom_protocol.errors import InvalidArgument, NotFound, RelayUnreachable, StrongroomError
from strongroom_protocol.keys import names
from strongroom_protocol.keys.private import KeyringPrivate
from strongroom_protocol.keys.secrets import Passphrase, RecoveryCode
from strongroom_protocol.rows.detail import AT
from strongroom_protocol.rows.model import UNSTAMPED, DeleteKind, Kind, Op, Row

if TYPE_CHECKING:
    from strongroom.columns import Columns
    from strongroom.engine.audit import Audit
    from strongroom.formats import ImportOptions
    from strongroom.linking import OnLink
    from strongroom.owner import Owner
    from strongroom.records import Step, VersionInfo
    from strongroom.unlocking import SecretsOrUnlock
    from strongroom_protocol.keys.kit import Kit
    from strongroom_protocol.manifest.anchor import Anchor
    from strongroom_protocol.manifest.proof import Evidence
    from strongroom_protocol.seal.media import Media

APPEND_ROWS = 65_536
"""Rows in one `append`; an archive goes in by `import_`."""

FLUSH_S = 10.0
"""How long closing waits for what is still to be committed; the rest is committed by the next process."""

OnProgress = Callable[[Progress], None]


class Vault:
    """A device's vault folder, open. Use as `async with`; one process at a time."""

    def __init__(self, session: Session, *, name: str, relay: str, opener: SecretsOrUnlock | None = None) -> None:
        self._session = session
        self._outbox = Outbox(session.state)
        self._sender = Sender(session, self._outbox)
        self._reader = Reader(session, self._outbox)
        self._opener = opener  # of a login that waits for its confirmation
        self._closed = False
        self._last: dict[str, tuple[int, int]] = {}  # time and seq of the message appended last, by chat
        self.name = name
        self.relay = relay

    # Opening ------------------------------------------------------------------------------------------------------

    @classmethod
    async def create(
        cls, folder: Path, *, relay: str, name: str, passphrase: Passphrase | None, code: RecoveryCode | None,
        device_name: str = "", registration_token: str = "", two_secret: bool = False, witness: str | None = None,
    ) -> Vault:  # fmt: skip
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
    ) -> Vault:  # fmt: skip
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
    ) -> Vault:  # fmt: skip
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
        relay: str | None = None,
    ) -> Vault:  # fmt: skip
        """Make the folder of a device that was cloned or removed a new, read-only device of its account.

        What waits in its outbox stays, and is sent after `confirm_devices`. The old device stays listed until somebody
        removes it. Raises UntrustedDataError when the relay shows an older state than this folder has seen.
        """
        from strongroom import relinking
        from strongroom.unlocking import with_secrets

        with State.open(Path(folder)) as state:
            name, address = state.require("name").decode(), relay or state.require("relay").decode()
        transport = await open_transport(address)
        opener = with_secrets(passphrase, code)
        try:
            session = await relinking.relink(Path(folder), transport, relay=address, opener=opener)
        except BaseException:
            await transport.close()
            raise
        return cls(session, name=name, relay=address, opener=opener)

    @classmethod
    async def open(cls, folder: Path, *, relay: str | None = None) -> Vault:
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
            await self._sender.stop()
            await self._session.transport.close()
            self._session.state.close()

    async def __aenter__(self) -> Vault:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    # Devices ------------------------------------------------------------------------------------------------------

    @property
    def writable(self) -> bool:
        """Whether this device may write."""
        return self._session.may_write

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

    # Writing ------------------------------------------------------------------------------------------------------

    async def append(self, chat: str, rows: Row | Iterable[Row]) -> list[MessageRef]:
        """Take rows over, durably on this device; a commit follows within a second. Returns the messages' refs.

        `chat` is the app's own id of the conversation. Messages without an id get a random one. Waits while too much
        waits already. Raises InvalidArgument when a row cannot be stored (then none is taken), StorageFull, ReadOnly.
        """
        return await self.append_many((chat, row) for row in ([rows] if isinstance(rows, Row) else rows))

    async def append_many(self, rows: Iterable[tuple[str, Row]]) -> list[MessageRef]:
        """The same for rows of several chats, as (chat, row) pairs: all or none is taken, with one sync of the disk."""
        from strongroom.compose import with_id
        from strongroom_protocol.rows.table import unstamped

        self._session.require_writer()
        chats: dict[str, list[Row]] = {}
        refs: list[MessageRef] = []
        for chat, given in rows:
            row = self._placed(chat, with_id(given))
            chats.setdefault(chat, []).append(row)
            if row.op == Op.PUT:
                refs.append(MessageRef(chat, row.id or "", row.time))
        if sum(map(len, chats.values())) > APPEND_ROWS:
            raise InvalidArgument(f"more than {APPEND_ROWS:,} rows at once", hint="bring in archives with import_")
        if chats:
            await self._sender.room()
            self._outbox.add([unstamped(chat, taken) for chat, taken in chats.items()])
        return refs

    def _placed(self, chat: str, row: Row) -> Row:
        """Messages of one millisecond keep the order they were appended in."""
        if row.op == Op.PUT and not row.seq:
            time, seq = self._last.get(chat, (-1, 0))
            row = row._replace(seq=seq + 1 if row.time == time else 0)
            self._last[chat] = (row.time, row.seq)
        return row

    async def attach(
        self, chat: str, *files: Path | tuple[str, BinaryIO], text: str | None = None, sender: str | None = None,
        sender_name: str | None = None, time: int | None = None, id: str | None = None, mime: str | None = None,
        role: str | None = None, progress: OnProgress | None = None,
    ) -> MessageRef:  # fmt: skip
        """A message with files: paths, or (name, binary stream) pairs of any length. Durable here on return.

        They are sealed into the outbox in constant memory; the originals may go. `mime` is guessed unless given; `role`
        is photo, video, gif, voice, round, audio, document or sticker. Raises what `append` raises; OSError.
        """
        from strongroom import outgoing
        from strongroom.compose import message

        self._session.require_writer()
        if not files:
            raise InvalidArgument("no file to attach", hint="a message without files goes in by append")
        await self._sender.room()
        report = None if progress is None else _counted("upload", None, progress)
        found = []
        with contextlib.ExitStack() as opened:
            self._outbox.staging += 1
            opened.callback(self._staged)
            for file in files:
                if isinstance(file, tuple):
                    name, stream = file
                else:
                    stream = await asyncio.to_thread(Path(file).open, "rb")
                    name = Path(opened.enter_context(stream).name).name
                attachment = await outgoing.stage_attachment(
                    self._session, self._outbox.folder, stream, chat=chat, name=name, mime=mime, role=role,
                    progress=report,
                )  # fmt: skip
                found.append(attachment)
            row = message(
                text, sender=sender, sender_name=sender_name, time=time, id=id, kind=Kind.MEDIA, attachments=found
            )
            (ref,) = await self.append(chat, row)
            return ref

    async def edit(
        self, message: MessageRef | ChatMessage, text: str | None, *, sender: str | None = None,
        kind: Kind | None = None, at: int | None = None,
    ) -> None:  # fmt: skip
        """A new text of a message; files, reply and the rest stay, and so do earlier versions.

        `at`: when it was edited (ms), now unless given. Raises NotFound.
        """
        before = message if isinstance(message, ChatMessage) else await self._reader.known(message)
        row = before.versions[-1] if before.versions else Row(Op.PUT, before.time)
        detail = {**(row.detail or {}), AT: now_ms() if at is None else at}
        edited = row._replace(
            op=Op.EDIT, text=text, detail=detail, sender=row.sender if sender is None else sender, raw=None,
            kind=row.kind if kind is None else kind, seq=0, ordinal=0, origin=UNSTAMPED,
        )  # fmt: skip
        await self._about(message, edited)

    async def delete(self, message: MessageRef | ChatMessage, *, how: DeleteKind = DeleteKind.ERASE) -> None:
        """ERASE removes the content, for good and on every device; the others record what the platform did."""
        await self._about(message, Row(Op.DELETE, 0, kind=how, detail={AT: now_ms()}))

    async def react(self, message: MessageRef | ChatMessage, emoji: str, *, sender: str, remove: bool = False) -> None:
        """`sender` adds or takes back an emoji."""
        row = Row(Op.REACT, 0, sender=sender, kind=int(not remove), text=emoji, detail={AT: now_ms()})
        await self._about(message, row)

    async def flush(self) -> None:
        """Return when all that was appended is committed. Raises what stands in the way; nothing is lost by that."""
        self._session.require_writer()
        await self._sender.flush()

    async def import_(
        self, sources: Path | Columns | Iterable[Path] | Iterable[Columns], *, format: str | None = None,
        options: ImportOptions | None = None, progress: OnProgress | None = None,
    ) -> ImportResult:  # fmt: skip
        """Commit what is new in exports (files or folders, docs/formats.md) or in an app's own rows, as columns.

        Again and again: what is there already is not added twice, and an interrupted import goes on where it was.
        Raises ImportRefused, InvalidArgument, StorageFull; what was committed before stays.
        """
        from strongroom import archives
        from strongroom.columns import Columns
        from strongroom.formats import ImportOptions

        self._session.require_writer()
        given = iter([sources] if isinstance(sources, Path | str | Columns) else sources)
        first = next(given, None)
        rest = chain([] if first is None else [first], given)
        if isinstance(first, Columns):
            return await archives.import_chunks(self._session, cast("Iterable[Columns]", rest), progress=progress)
        return await archives.import_paths(
            self._session, map(Path, cast("Iterable[Path]", rest)), format=format, options=options or ImportOptions(),
            progress=progress,
        )  # fmt: skip

    # Reading ------------------------------------------------------------------------------------------------------

    async def chats(self) -> list[DirectoryRow]:
        """The chat list, newest first."""
        return await self._reader.chats()

    async def screen(
        self, *, chats: int = 200, opened: int = 20, messages: int = 50
    ) -> list[tuple[DirectoryRow, list[ChatMessage]]]:
        """What an app shows first: the most recent chats (at most 256), the newest messages of the first `opened`.

        A fixed number of round trips, however long the history is.
        """
        return await self._reader.screen(chats, opened, messages)

    async def newest(self, chat: str, *, count: int = 50) -> list[ChatMessage]:
        """The newest `count` messages of a chat (by id or title), oldest first. Raises NotFound."""
        return await self._reader.newest(chat, count)

    async def older(self, before: MessageRef | ChatMessage, *, count: int = 50) -> list[ChatMessage]:
        """The `count` messages directly before one, oldest first: pages a chat backwards."""
        return await self._reader.older(_ref(before), count)

    async def around(self, chat: str, time: int, *, count: int = 25) -> list[ChatMessage]:
        """Up to `count` messages before `time` (ms since 1970) and as many from it on, oldest first."""
        return await self._reader.around(chat, time, count)

    async def message(self, chat: str, ident: str, *, time: int | None = None) -> ChatMessage:
        """One message by its id; its `time` saves searching the chat. Raises NotFound."""
        return await self._reader.message(chat, ident, time)

    def media(self, attachment: Attachment, *, offset: int = 0, length: int | None = None) -> AsyncIterator[bytes]:
        """The bytes of a file, from any position; each piece is verified before it is yielded.

        Raises NotFound for a file that is not here (`attachment.state`), UntrustedDataError at the first bad byte.
        """
        from strongroom.media_reading import read

        if offset < 0 or (length is not None and length < 0):
            raise InvalidArgument("offset and length are not negative")
        staged = self._outbox.folder
        return read(self._session.source(), _media(attachment), offset, length, staged=staged)

    async def save(self, attachment: Attachment, path: Path, *, progress: OnProgress | None = None) -> None:
        """Write a file to `path`, whole or not at all; an interrupted one goes on where it was."""
        from strongroom.media_reading import download

        media = _media(attachment)
        report = None if progress is None else _counted("restore", media.size, progress)
        await download(self._session.source(), media, Path(path), staged=self._outbox.folder, progress=report)

    def damage(self) -> dict[str, str]:
        """Objects that the last read could not use: name (hex) to class of failure."""
        last = self._reader.last
        return {} if last is None else {name: str(kind) for name, kind in last.source.damage.items()}

    # Everything ---------------------------------------------------------------------------------------------------

    async def export(self, folder: Path, *, media: bool = True, progress: OnProgress | None = None) -> dict[str, int]:
        """Write everything to `folder` in the native lossless form: the same state gives the same bytes anywhere.

        Files lie beside the chats unless `media` is false. Returns what was written, by type. What is damaged is left
        out, and named by `damage`.
        """
        from strongroom.exporting import export_snapshot

        report = None if progress is None else lambda done: progress(Progress("export", done, None, "records"))
        snapshot = await self._reader.current()
        return await export_snapshot(snapshot, Path(folder), media=media, staged=self._outbox.folder, progress=report)

    async def restore(self, *, media: bool = True, progress: OnProgress | None = None) -> Restored:
        """Fetch everything into this device. Interrupted, it goes on where it was; damage is reported, not raised.

        Without `media`, files stay at the relay until somebody looks at them.
        """
        from strongroom.engine.audit import audit

        session = self._session
        async with session.lock:
            head = await session.sync()
            snapshot = await self._reader.readable(head)
        cache = Cache(session.state.folder / "objects")
        report = await audit(snapshot, keep=cache, media=media, progress=_bytes("restore", progress))
        if not report.damaged:  # else it is not known what is still needed
            needed = [ref.name async for ref, _ in snapshot.objects()]
            await asyncio.to_thread(cache.keep_only, needed)
        return Restored(report, snapshot.head.version, snapshot.head.version != head.version)

    async def verify(self, *, progress: OnProgress | None = None) -> Audit:
        """Fetch and check every byte from the relay, whatever this device has already."""
        from strongroom.engine.audit import audit

        async with self._session.lock:
            snapshot = await self._session.snapshot(fresh=True)
        return await audit(snapshot, progress=_bytes("verify", progress))

    async def compact(self) -> bool:
        """Pack the history as small as it gets and take out what was erased; for an idle device with a good connection.

        It may send as much as the vault holds. Returns whether there was anything to do. Other devices go on writing;
        the one that loses the race begins again.
        """
        from strongroom import commit
        from strongroom.engine import compaction

        async with self._session.lock:
            self._session.base = None  # what others wrote meanwhile is to be packed too
        folded = await commit.commit(self._session, compaction.fold_tail)
        return await commit.commit(self._session, compaction.compact) is not None or folded is not None

    async def status(self) -> Status:
        """How fresh, how much, who, and what waits."""
        from strongroom import freshness, witnessing
        from strongroom.engine.reading import chat_rows

        session, fresh, head = self._session, True, self._session.stored_head()
        rows: list[DirectoryRow] = []
        runs = tail = stored = cap = objects = 0
        try:
            snapshot = await self._reader.current()
            head, rows = snapshot.head, await chat_rows(snapshot)
            runs, tail = len(snapshot.root.runs), len(snapshot.body.tail)
            usage = await session.transport.usage(session.account)
            stored, cap, objects = usage.stored, usage.cap, usage.objects
        except RelayUnreachable:  # what is known without it
            fresh = False
        waiting, _ = self._outbox.waiting()
        accepted = freshness.accepted(session) or head.time
        return Status(
            account=session.account.hex(), name=self.name, relay=self.relay, device=session.device.id.hex(),
            writable=session.may_write, version=head.version, keyring_version=head.keyring_version,
            epoch=head.epoch, saved=head.time, accepted=accepted, age_ms=max(0, now_ms() - accepted),
            asked=freshness.asked(session), freshness=freshness.known(session),
            alarm=(session.state.get(witnessing.ALARM) or b"").decode(), chats=len(rows),
            rows=sum(row.rows for row in rows), runs=runs, tail=tail,
            stored=stored, cap=cap, objects=objects, devices=self.devices(), fresh=fresh, waiting=waiting,
            waiting_damaged=self._outbox.damaged(), problem=str(self._sender.error or ""),
        )  # fmt: skip

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

    def _staged(self) -> None:
        self._outbox.staging -= 1

    async def _about(self, message: MessageRef | ChatMessage, row: Row) -> None:
        await self.append(message.chat, row._replace(id=message.id, time=message.time))


def _ref(message: MessageRef | ChatMessage) -> MessageRef:
    return message.ref if isinstance(message, ChatMessage) else message


def _media(attachment: Attachment) -> Media:
    from strongroom_protocol.seal.media import Media

    descriptor = attachment.raw.get(22)
    if type(descriptor) is not bytes:
        raise NotFound(f"this file is not in the vault ({attachment.state})", hint=attachment.reason or "")
    return Media.decode(descriptor)


def _bytes(step: Step, progress: OnProgress | None) -> Callable[[int, int], None] | None:
    return None if progress is None else lambda done, total: progress(Progress(step, done, total, "bytes"))


def _counted(step: Step, total: int | None, progress: OnProgress) -> Callable[[int], None]:
    return lambda done: progress(Progress(step, done, total, "bytes"))
