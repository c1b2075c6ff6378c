"""What an app puts into a vault: the part of `vault.Vault` that appends and imports (docs/sdk.md)."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterable
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, cast

from strongroom.records import ChatMessage, ImportResult, MessageRef, OnProgress, counted
from strongroom.session import now_ms
from strongroom.vault_reading import Reading
from strongroom_protocol.errors import InvalidArgument
from strongroom_protocol.rows.detail import AT
from strongroom_protocol.rows.model import UNSTAMPED, DeleteKind, Kind, Op, Row

if TYPE_CHECKING:
    from strongroom.columns import Columns
    from strongroom.formats import ImportOptions

APPEND_ROWS = 65_536
"""Rows in one `append`; an archive goes in by `import_`."""


class Writing(Reading):
    """Appending, changing and importing messages."""

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
            if row.op == Op.FORGET:
                raise InvalidArgument("what is forgotten is shown first", hint="see Vault.erasure and Vault.keep")
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
        report = None if progress is None else counted("upload", None, progress)
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

    def _staged(self) -> None:
        self._outbox.staging -= 1

    async def _about(self, message: MessageRef | ChatMessage, row: Row) -> None:
        await self.append(message.chat, row._replace(id=message.id, time=message.time))
