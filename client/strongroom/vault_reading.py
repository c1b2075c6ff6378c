"""What an app shows of a vault: the part of `vault.Vault` that reads (docs/sdk.md)."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import AsyncGenerator, AsyncIterator
from pathlib import Path
from typing import TYPE_CHECKING

from strongroom.records import Attachment, ChatMessage, MessageRef, OnProgress, Update, counted
from strongroom.vault_account import Account
from strongroom_protocol.engine.directory import DirectoryRow
from strongroom_protocol.errors import InvalidArgument, NotFound, StrongroomError

if TYPE_CHECKING:
    from strongroom.search.records import IndexState, SearchPage
    from strongroom.search.searching import OnIndexed, Searching
    from strongroom.settings import Settings
    from strongroom_protocol.seal.media import Media


class Reading(Account):
    """Chats, messages and files, at any place, however much of them is on this device."""

    async def chats(self) -> list[DirectoryRow]:
        """The chat list, newest first."""
        rows = await self._reader.chats()
        await self._follow()
        return rows

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

    async def search(
        self, query: str, *, limit: int = 20, before: str | None = None, patience: float = 0.2
    ) -> SearchPage:
        """The newest messages that match (docs/search.md), from an index on this device, made when first asked for.

        `before` is `following` of the page before. What is new is looked at for about `patience` seconds first; if that
        does not suffice, it goes on in the background and the page says how far it is. Raises InvalidArgument,
        NotFound for a chat that is not there, CallError when searching is switched off.
        """
        return await self._search().search(query, limit=limit, before=before, patience=patience)

    async def index(self, progress: OnIndexed | None = None) -> IndexState:
        """Make the search index complete now, and switch searching on. Interrupted, it goes on where it was."""
        return await self._search().build(progress)

    async def forget_index(self) -> bool:
        """Delete the search index and make no other until `index` is called; whether there was one."""
        return await self._search().forget()

    def _search(self) -> Searching:
        from strongroom.search.searching import Searching

        if self._searching is None:
            self._searching = Searching(self._session, self._reader, self._outbox)
        return self._searching

    async def watch(self, *, poll: float | None = None) -> AsyncGenerator[Update, None]:
        """What other devices do, as it arrives, from now on; ends when the vault is closed.

        The relay says when to look, over a connection that is held; without one, or with `poll`, this device asks every
        so many seconds (by default as `settings` say). Nothing is skipped, however long the relay was away. Raises
        UntrustedDataError when the relay shows something else than before, ReadOnly or NotFound when this device was
        removed, InvalidArgument when live delivery is off, RelayUnreachable when it is away and nothing is here yet.
        """
        from strongroom.live import Follower, Live

        if poll is not None and not 0 < poll < float("inf"):
            raise InvalidArgument("poll is a number of seconds")
        wanted = self.settings()
        if poll is None and wanted.live == "off":
            raise InvalidArgument("live delivery is off on this device", hint="strongroom settings --live push")
        if poll is None and wanted.live == "poll":
            poll = wanted.poll
        self._live = self._live or Live(self._session)
        follower = Follower(self._session, self._reader, self._live, poll)
        async with contextlib.aclosing(follower.updates()) as updates:
            async for update in updates:
                await self._follow()
                yield update

    async def _follow(self) -> None:
        """Take out of this folder what others took out of the history; whatever stands in its way is met again."""
        session, folder = self._session, self.folder
        base, busy = session.base, self._backfill is not None and not self._backfill.done
        kept = (folder / "objects").exists() or (folder / "search.db").exists()
        if base is None or busy or not kept or base.head.hash == self._followed:  # a backfill does it when it ends
            return
        from strongroom.remnants import follow

        with contextlib.suppress(StrongroomError, OSError, sqlite3.Error):
            await follow(session, base, self._unfiled)  # spec: FORGET-9
            self._followed = base.head.hash

    async def _unfiled(self) -> None:
        """Stop filing in the background what the search index is about to lose; the next search begins anew."""
        if self._searching is not None:
            await self._searching.stop()

    def settings(self) -> Settings:
        """What this device may spend on data and battery."""
        from strongroom.settings import Settings

        return Settings.load(self._session.state)

    def set_settings(self, settings: Settings) -> None:
        """Keep other ones, durably; a `watch` that runs already goes on as it began."""
        settings.save(self._session.state)

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
        report = None if progress is None else counted("restore", media.size, progress)
        await download(self._session.source(), media, Path(path), staged=self._outbox.folder, progress=report)

    def damage(self) -> dict[str, str]:
        """Objects that the last read could not use: name (hex) to class of failure."""
        last = self._reader.last
        return {} if last is None else {name: str(kind) for name, kind in last.source.damage.items()}


def _ref(message: MessageRef | ChatMessage) -> MessageRef:
    return message.ref if isinstance(message, ChatMessage) else message


def _media(attachment: Attachment) -> Media:
    from strongroom_protocol.seal.media import Media

    descriptor = attachment.raw.get(22)
    if type(descriptor) is not bytes:
        raise NotFound(f"this file is not in the vault ({attachment.state})", hint=attachment.reason or "")
    return Media.decode(descriptor)
