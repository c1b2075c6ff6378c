"""Reading messages: the newest of a chat, all of a chat in bounded memory, the chat list (spec chapter 08).

A row that edits, deletes or reacts lies at the time of its message, so a stretch of time holds all that its messages
need and can be merged by itself.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field

from strongroom.engine.listing import Rows, described, is_gone, read_rows, rows_of
from strongroom.engine.rows import joined
from strongroom.engine.snapshot import Snapshot
from strongroom_protocol.engine.directory import DirectoryRow
from strongroom_protocol.engine.refs import FrameRef
from strongroom_protocol.rows.ids import conversation_key
from strongroom_protocol.rows.merge import Order
from strongroom_protocol.rows.model import Op
from strongroom_protocol.rows.table import Frame

Span = list[Frame]
"""Frames that together hold every row of a stretch of time of one conversation."""


async def chat_rows(snapshot: Snapshot) -> list[DirectoryRow]:
    """The chat list, newest first: the directory and what the tail adds."""
    return _with_tail(snapshot, await read_rows(snapshot))


async def recent_rows(snapshot: Snapshot) -> list[DirectoryRow]:
    """The most recent chats alone, newest first: the hot page, and what the tail is about. For a first screen."""
    hot = await snapshot.hot()
    if hot is None:
        return await chat_rows(snapshot)
    here = {conversation_key(frame.conversation) for _, frames in snapshot.tail for frame in frames}
    return _with_tail(snapshot, {row.key: row for row in hot.rows} | await rows_of(snapshot, here))


async def row_of(snapshot: Snapshot, conversation: str) -> DirectoryRow | None:
    """The row of one chat by its id, None when there is no such chat: at most one cold page more than the hot one."""
    key = conversation_key(conversation)
    found = {row.key: row for row in _with_tail(snapshot, await rows_of(snapshot, {key}))}
    return found.get(key)


def _with_tail(snapshot: Snapshot, rows: Rows) -> list[DirectoryRow]:
    order = Order(snapshot.head.time)
    for _, frames in snapshot.tail:
        for frame in frames:
            key = conversation_key(frame.conversation)
            rows[key] = described(frame, rows.get(key), order)
    return sorted((row for row in rows.values() if not is_gone(row, order)), key=lambda row: (-row.newest, row.key))


async def newest(snapshot: Snapshot, row: DirectoryRow, count: int) -> Span:
    """Frames that hold at least the newest `count` messages of a chat, or all of it."""
    return (await newest_of(snapshot, [row], count))[0]


async def newest_of(snapshot: Snapshot, rows: Sequence[DirectoryRow], count: int) -> list[Span]:
    """The same for several chats, all their frames in one batched read; further rounds only where it did not suffice.

    A frame's row count says how many frames to ask for; edits and deletions among the rows can make that too few.
    """
    for row in rows:
        snapshot.note(row.key, row.forgets)
    reads = [_Newest(row, snapshot.tail_frames(row.key)) for row in rows]
    while sum(read.plan(count) for read in reads):
        wanted = [(read.row.key, ref) for read in reads for ref in read.planned]
        frames = await snapshot.shown_of(wanted)
        for read in reads:
            taken, frames = frames[: len(read.planned)], frames[len(read.planned) :]
            read.take([frame for frame in taken if frame is not None])
        for read in reads:
            if read.exhausted(count):
                read.candidates = await snapshot.refs(read.row.key)
                read.floor = -1
    return [read.frames for read in reads]


@dataclass(slots=True)
class _Newest:
    """How far the newest messages of one chat have been read."""

    row: DirectoryRow
    frames: Span
    candidates: list[FrameRef] = field(default_factory=list)
    planned: list[FrameRef] = field(default_factory=list)
    floor: int = -1
    _seen: set[bytes] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.candidates = list(self.row.frames)
        self.floor = self.row.floor

    def plan(self, count: int) -> bool:
        """Choose the next frames to read; False when nothing more is needed or there is nothing more."""
        self.planned = []
        missing = count - _messages_after(self.frames, self._complete_after())
        for ref in self._unread():
            if missing <= 0:
                break
            self.planned.append(ref)
            missing -= ref.rows
        return bool(self.planned)

    def take(self, frames: list[Frame]) -> None:
        """What was planned has been read (damaged frames are left out)."""
        self._seen |= {ref.chunk.digest for ref in self.planned}
        self.frames += frames

    def exhausted(self, count: int) -> bool:
        """Whether the directory's list did not suffice, so that the indexes must be asked."""
        return self.floor >= 0 and not self._unread() and _messages_after(self.frames, self.floor) < count

    def _unread(self) -> list[FrameRef]:
        unread = [ref for ref in self.candidates if ref.chunk.digest not in self._seen]
        return sorted(unread, key=lambda ref: (ref.last, ref.first), reverse=True)

    def _complete_after(self) -> int:
        return max([self.floor, *(ref.last for ref in self._unread())])


async def spans(snapshot: Snapshot, key: bytes) -> AsyncIterator[Frame]:
    """All rows of a conversation in order of time, in pieces that never divide the rows of one instant."""
    refs = await snapshot.refs(key)
    pending: list[Frame] = list(snapshot.tail_frames(key))
    for place, ref in enumerate(refs):
        pending += await snapshot.frames(key, [ref])
        following = refs[place + 1].first if place + 1 < len(refs) else None
        if following is not None and pending:
            merged = joined(pending)
            ready = _first_at(merged, following)
            if ready:
                yield merged.slice(0, ready)
            pending = [merged.slice(ready, len(merged))] if ready < len(merged) else []
    if pending:
        yield joined(pending)


def _messages_after(frames: Span, time: int) -> int:
    """Different messages later than `time`: one that two devices imported counts once."""
    found = {
        (at, frame.id[place])
        if frame.id[place] is not None
        else (at, frame.sender[place], frame.kind[place], frame.text[place], frame.ordinal[place])
        for frame in frames
        for place, at in enumerate(frame.time)
        if at > time and frame.op[place] == Op.PUT
    }
    return len(found)


def _first_at(frame: Frame, time: int) -> int:
    low, high = 0, len(frame)
    while low < high:
        middle = (low + high) // 2
        if frame.time[middle] < time:
            low = middle + 1
        else:
            high = middle
    return low
