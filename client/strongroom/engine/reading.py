"""Reading messages: the newest of a chat, all of a chat in bounded memory, the chat list (spec chapter 08).

A row that edits, deletes or reacts lies at the time of its message, so a stretch of time holds all that its messages
need and can be merged by itself.
"""

from __future__ import annotations

from collections.abc import AsyncIterator

from strongroom.engine.directory import described, read_rows
from strongroom.engine.fold import joined
from strongroom.engine.snapshot import Snapshot
from strongroom_protocol.engine.directory import DirectoryRow
from strongroom_protocol.rows.ids import conversation_key
from strongroom_protocol.rows.model import Op
from strongroom_protocol.rows.table import Frame

Span = list[Frame]
"""Frames that together hold every row of a stretch of time of one conversation."""


async def chat_rows(snapshot: Snapshot) -> list[DirectoryRow]:
    """The chat list, newest first: the directory, what the tail adds, and what a damaged directory lacks."""
    rows = await read_rows(snapshot)
    if snapshot.source.damage:
        for key in await snapshot.keys():
            if key not in rows:
                rows |= await _rebuilt(snapshot, key)
    for _, frames in snapshot.tail:
        for frame in frames:
            key = conversation_key(frame.conversation)
            rows[key] = described(frame, rows.get(key))
    return sorted(rows.values(), key=lambda row: (-row.newest, row.key))


async def newest(snapshot: Snapshot, row: DirectoryRow, count: int) -> Span:
    """Frames that hold at least the newest `count` messages of a chat, or all of it."""
    tail = snapshot.tail_frames(row.key)
    unread = sorted(row.frames, key=lambda frame: frame.last, reverse=True)
    read: Span = list(tail)
    while unread:
        read += await snapshot.frames(row.key, [unread.pop(0)])
        complete = max([row.floor, *(frame.last for frame in unread)])
        if _messages_after(read, complete) >= count:
            return read
    if row.floor < 0:
        return read
    refs = sorted(await snapshot.refs(row.key), key=lambda frame: frame.last, reverse=True)
    read = list(tail)
    for place, ref in enumerate(refs):
        read += await snapshot.frames(row.key, [ref])
        complete = max((frame.last for frame in refs[place + 1 :]), default=-1)
        if _messages_after(read, complete) >= count:
            break
    return read


async def spans(snapshot: Snapshot, key: bytes) -> AsyncIterator[Frame]:
    """All rows of a conversation in order of time, in pieces that never divide the rows of one instant."""
    pending: list[Frame] = list(snapshot.tail_frames(key))
    refs = await snapshot.refs(key)
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
    return sum(1 for frame in frames for op, at in zip(frame.op, frame.time, strict=True) if op == Op.PUT and at > time)


def _first_at(frame: Frame, time: int) -> int:
    low, high = 0, len(frame)
    while low < high:
        middle = (low + high) // 2
        if frame.time[middle] < time:
            low = middle + 1
        else:
            high = middle
    return low


async def _rebuilt(snapshot: Snapshot, key: bytes) -> dict[bytes, DirectoryRow]:
    row: DirectoryRow | None = None
    async for frame in spans(snapshot, key):
        row = described(frame, row)
    return {} if row is None else {key: row}
