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
from typing import TYPE_CHECKING, BinaryIO, cast

from strongroom.cache import Cache
from strongroom.records import (
    Attachment,
    ChatMessage,
    ImportResult,
    MessageRef,
    Progress,
    Restored,
    Status,
)
from strongroom.session import now_ms
from strongroom.vault_account import Account
from strongroom_protocol.engine.directory import DirectoryRow
from strongroom_protocol.errors import InvalidArgument, NotFound, RelayUnreachable
from strongroom_protocol.rows.detail import AT
from strongroom_protocol.rows.model import UNSTAMPED, DeleteKind, Kind, Op, Row

if TYPE_CHECKING:
    from strongroom.columns import Columns
    from strongroom.engine.audit import Audit
    from strongroom.formats import ImportOptions
    from strongroom.records import Step
    from strongroom_protocol.seal.media import Media

APPEND_ROWS = 65_536
"""Rows in one `append`; an archive goes in by `import_`."""

OnProgress = Callable[[Progress], None]


class Vault(Account):
    """A device's vault folder, open. Use as `async with`; one process at a time."""

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
