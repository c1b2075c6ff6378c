"""Stretches of a chat: before, after and around a time, and one message by its id (spec chapter 08).

Frames are read from the asked-for end on, until enough messages are complete: a message is complete when every frame
that reaches its time has been read, since whatever changes a message lies at the message's time.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from strongroom.engine.rows import joined
from strongroom.engine.snapshot import Snapshot
from strongroom_protocol.engine.refs import FrameRef
from strongroom_protocol.rows.ids import conversation_key
from strongroom_protocol.rows.merge import Message, Order, fold
from strongroom_protocol.rows.model import TIME_MAX
from strongroom_protocol.rows.table import Frame

ROWS = 64
"""Rows of a frame that are merged first, where a page may need fewer."""


async def backwards(snapshot: Snapshot, chat: str, *, until: int, count: int) -> list[Message]:
    """The last messages up to and including the time `until` (ms), oldest first: at least `count`, or all there are."""
    return await _Window(snapshot, chat, 0, until, newest_first=True).read(count)


async def forwards(snapshot: Snapshot, chat: str, *, since: int, count: int) -> list[Message]:
    """The first messages from the time `since` on: at least `count`, or all there are."""
    return await _Window(snapshot, chat, since, TIME_MAX, newest_first=False).read(count)


async def find(snapshot: Snapshot, chat: str, ident: str, *, time: int | None = None) -> Message | None:
    """The message with this id. Its `time` saves reading the chat from its end until the id turns up."""
    key = conversation_key(chat)
    if time is None:
        time = await _time_of(snapshot, key, ident)
    if time is None:
        return None
    return next((message for message in await at(snapshot, chat, time) if message.id == ident), None)


async def _time_of(snapshot: Snapshot, key: bytes, ident: str) -> int | None:
    refs = await snapshot.refs(key)
    for frame in snapshot.tail_frames(key):
        if ident in frame.id:
            return frame.time[frame.id.index(ident)]
    for ref in sorted(refs, key=lambda ref: ref.last, reverse=True):
        for frame in await snapshot.frames(key, [ref]):
            if ident in frame.id:
                return frame.time[frame.id.index(ident)]
    return None


async def at(snapshot: Snapshot, chat: str, time: int) -> list[Message]:
    """All messages of one instant (ms), as everything about them leaves them."""
    return await _Window(snapshot, chat, time, time, newest_first=True).read(TIME_MAX)


@dataclass(slots=True)
class _Window:
    """Messages of a chat with `first` <= time <= `last`, read from one end."""

    snapshot: Snapshot
    chat: str
    first: int
    last: int
    newest_first: bool

    async def read(self, count: int) -> list[Message]:
        key = conversation_key(self.chat)
        unread = [ref for ref in await self.snapshot.refs(key) if ref.overlaps(self.first, self.last)]
        frames = list(self.snapshot.tail_frames(key))
        unread.sort(key=lambda ref: ref.last if self.newest_first else -ref.first)  # the next one is at the end
        while unread and (missing := count - len(self._messages(frames, unread, count))) > 0:
            chosen: list[FrameRef] = []
            while unread and missing > 0:
                chosen.append(unread.pop())
                missing -= chosen[-1].rows
            entries = [(key, ref) for ref in chosen]
            found = await self.snapshot.shown_of(entries, self.snapshot.source.recent)
            frames += [frame for frame in found if frame is not None]
        return self._messages(frames, unread, count)

    def _messages(self, frames: Sequence[Frame], unread: Iterable[FrameRef], count: int) -> list[Message]:
        """The complete messages of what was read: `count` from the asked-for end, or somewhat more, or all."""
        if not frames:
            return []
        first, last = self.first, self.last
        if self.newest_first:
            first = max([first, *(ref.last + 1 for ref in unread)])
        else:
            last = min([last, *(ref.first - 1 for ref in unread)])
        merged, order = joined(frames), Order(self.snapshot.head.time)
        low, high = bisect_left(merged.time, first), bisect_right(merged.time, last)
        taken = max(2 * count, ROWS)
        while True:
            # Whole instants: all that changes a message lies at its time. A frame holds many more rows than a page.
            start, end = low, high
            if self.newest_first and high - low > taken:
                start = bisect_left(merged.time, merged.time[high - taken])
            elif high - low > taken:
                end = bisect_right(merged.time, merged.time[low + taken])
            found = list(fold(self.chat, merged.slice(start, end).rows(), order))
            if len(found) >= count or (start, end) == (low, high):
                return found
            taken *= 4
