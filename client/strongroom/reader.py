"""Reading a vault: the newest state or, without the relay, the last one known, and over it what waits in the outbox."""

from __future__ import annotations

from dataclasses import replace

from strongroom.cache import Cache
from strongroom.engine.reading import chat_rows, newest, newest_of, recent_rows, row_of
from strongroom.engine.rows import joined
from strongroom.engine.snapshot import Snapshot
from strongroom.outbox import Outbox
from strongroom.records import PENDING, ChatMessage, MessageRef
from strongroom.session import Session
from strongroom.windows import backwards, find, forwards
from strongroom_protocol.engine.body import TailEntry
from strongroom_protocol.engine.directory import DirectoryRow
from strongroom_protocol.engine.refs import ObjectRef
from strongroom_protocol.errors import (
    Failure,
    IncompleteError,
    InvalidArgument,
    NotFound,
    RelayUnreachable,
    UntrustedDataError,
)
from strongroom_protocol.manifest.head import Head, parse_head
from strongroom_protocol.rows.ids import conversation_key
from strongroom_protocol.rows.merge import Order, fold
from strongroom_protocol.rows.model import HLC_MAX


class Reader:
    """Every method fetches and verifies the newest state first. `last` is the state that was read last."""

    def __init__(self, session: Session, outbox: Outbox) -> None:
        self._session = session
        self._outbox = outbox
        self._chats: tuple[bytes, list[DirectoryRow]] | None = None
        self.last: Snapshot | None = None

    async def current(self) -> Snapshot:
        """The newest state, else (offline) the last one this device has, with what waits in the outbox."""
        async with self._session.lock:
            self.last = await self._committed()
            waiting = self._outbox.take(rows=HLC_MAX)
        if not waiting.rows:
            return self.last
        entry = TailEntry(ObjectRef(bytes(32), 1), self._session.device.id, PENDING, waiting.rows)
        frames = tuple(waiting.conversations.values())
        for frame in frames:  # later than anything committed, in the order it was appended
            frame.hlc, frame.device, frame.batch = (
                [HLC_MAX] * len(frame), [self._session.device.id] * len(frame), [PENDING] * len(frame)
            )  # fmt: skip
        return replace(self.last, tail=[*self.last.tail, (entry, frames)])

    async def committed(self) -> Snapshot:
        """The newest state without what waits in the outbox, else (offline) the last one this device has."""
        async with self._session.lock:
            return await self._committed()

    async def chats(self) -> list[DirectoryRow]:
        """The chat list, newest first."""
        return await self._listed(await self.current())

    async def screen(self, chats: int, opened: int, count: int) -> list[tuple[DirectoryRow, list[ChatMessage]]]:
        """The most recent chats, with the newest messages of the first ones."""
        snapshot = await self.current()
        rows = (await recent_rows(snapshot))[:chats]
        order = Order(snapshot.head.time)
        spans = await newest_of(snapshot, rows[:opened], count)
        found: list[tuple[DirectoryRow, list[ChatMessage]]] = []
        for place, row in enumerate(rows):
            frames = spans[place] if place < len(spans) else []
            merged = fold(row.conversation, joined(frames).rows(), order) if frames else ()
            found.append((row, [ChatMessage.of(row.conversation, message) for message in merged][-count:]))
        return found

    async def newest(self, chat: str, count: int) -> list[ChatMessage]:
        """The newest messages of a chat (by id or title), oldest first."""
        _require_count(count)
        snapshot = await self.current()
        row = await self._find(snapshot, chat)
        frames = await newest(snapshot, row, count)
        if not frames:
            return []
        messages = fold(row.conversation, joined(frames).rows(), Order(snapshot.head.time))
        return [ChatMessage.of(row.conversation, message) for message in messages][-count:]

    async def older(self, before: MessageRef, count: int) -> list[ChatMessage]:
        """The messages directly before one, oldest first."""
        _require_count(count)
        snapshot, wanted = await self.current(), count + 1
        while True:
            found = await backwards(snapshot, before.chat, until=before.time, count=wanted)
            known = [place for place, message in enumerate(found) if message.id == before.id]
            ends = known[0] if known else sum(message.time < before.time for message in found)
            # Messages of the same instant may come after it: hundreds, where the source knows only the minute.
            if ends >= count or len(found) < wanted:
                return [ChatMessage.of(before.chat, message) for message in found[:ends]][-count:]
            wanted = len(found) + count

    async def around(self, chat: str, time: int, count: int) -> list[ChatMessage]:
        """Up to `count` messages before `time` (ms) and as many from it on, oldest first."""
        _require_count(count)
        snapshot = await self.current()
        ident = (await self._find(snapshot, chat)).conversation
        earlier = await backwards(snapshot, ident, until=time - 1, count=count) if time > 0 else []
        later = await forwards(snapshot, ident, since=time, count=count)
        return [ChatMessage.of(ident, message) for message in (*earlier[-count:], *later[:count])]

    async def known(self, ref: MessageRef) -> ChatMessage:
        """The message that is meant; without the relay it is looked for in what waits. Raises NotFound."""
        try:
            return await self.message(ref.chat, ref.id, ref.time)
        except RelayUnreachable:
            frame = self._outbox.take(rows=HLC_MAX).conversations.get(conversation_key(ref.chat))
            rows = [] if frame is None else [row for row in frame.rows() if row.time == ref.time]
            for item in fold(ref.chat, rows, Order(self._session.stored_head().time)):
                if item.id == ref.id:
                    return ChatMessage.of(ref.chat, item)
            raise

    async def message(self, chat: str, ident: str, time: int | None) -> ChatMessage:
        """One message. Raises NotFound."""
        snapshot = await self.current()
        name = (await self._find(snapshot, chat)).conversation
        found = await find(snapshot, name, ident, time=time)
        if found is None:
            _require_whole(snapshot)
            raise NotFound("no message of that chat has this id", hint="`strongroom show CHAT --json` lists ids")
        return ChatMessage.of(name, found)

    async def find(self, chat: str) -> tuple[Snapshot, DirectoryRow]:
        """The newest state, and a chat of it by id, else by title. Raises NotFound."""
        snapshot = await self.current()
        return snapshot, await self._find(snapshot, chat)

    async def _find(self, snapshot: Snapshot, chat: str) -> DirectoryRow:
        """By id, which reads one page of the directory at most, else by title. Raises NotFound."""
        row = await row_of(snapshot, chat)
        if row is not None:
            return row
        try:
            return find_chat(await self._listed(snapshot), chat)
        except NotFound:
            _require_whole(snapshot)
            raise

    async def _listed(self, snapshot: Snapshot) -> list[DirectoryRow]:
        if self.last is snapshot and self._chats is not None and self._chats[0] == snapshot.head.hash:
            return self._chats[1]
        rows = await chat_rows(snapshot)
        if self.last is snapshot and not snapshot.source.damage:
            self._chats = (snapshot.head.hash, rows)
        return rows

    async def _committed(self) -> Snapshot:
        session = self._session
        try:
            head = await session.sync()
        except RelayUnreachable:
            head = session.stored_head()
            here = session.base is not None and session.base.head.hash == head.hash
            if not here and head.body not in Cache(session.state.folder / "objects"):
                raise
        base = session.base
        if base is None or base.head.hash != head.hash or base.source.damage:
            base = await self.readable(head)
            session.base = base if base.head.hash == head.hash else None
        return base

    async def readable(self, head: Head) -> Snapshot:
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


def _require_whole(snapshot: Snapshot) -> None:
    """What a relay withholds is not "not there": IncompleteError when something of the state could not be read."""
    if snapshot.source.damage:
        raise IncompleteError(
            "not among what can be read: some of it is missing or damaged", damaged=tuple(snapshot.source.damage),
            hint="repeat the command later; strongroom verify names what is damaged",
        )  # fmt: skip


def _require_count(count: int) -> None:
    if count < 1:
        raise InvalidArgument("count is less than 1")


_LISTED = "list them with `strongroom chats`, then use the id"


def _nearest(rows: list[DirectoryRow], wanted: str) -> str:
    """The title most like a mistyped one, or "". It is only ever shown: what a typo means is for the person to say."""
    from difflib import get_close_matches

    titles = {row.title.casefold(): row.title for row in rows}
    near = get_close_matches(wanted.casefold(), titles, n=1)
    return titles[near[0]] if near else ""


def find_chat(rows: list[DirectoryRow], wanted: str) -> DirectoryRow:
    """The chat with this id, else with this title. Raises NotFound, also when a title is not unique."""
    found = [row for row in rows if row.conversation == wanted] or [row for row in rows if row.title == wanted]
    if len(found) != 1:
        what = "no chat has" if not found else f"{len(found)} chats have"
        near = "" if found else _nearest(rows, wanted)
        hint = f"did you mean {near!r}? `strongroom chats` lists them" if near else _LISTED
        raise NotFound(f"{what} that id or title", hint=hint)
    return found[0]
