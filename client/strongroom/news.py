"""What other devices did between two versions: read from the new batches and small new runs (spec chapter 18.3)."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable

from strongroom.engine.reading import chat_rows
from strongroom.engine.snapshot import Snapshot
from strongroom.records import ChatMessage, Update
from strongroom.windows import at
from strongroom_protocol.rows.ids import message_id
from strongroom_protocol.rows.model import Op
from strongroom_protocol.rows.table import Frame

RUN_ROWS = 4_096
"""Rows of new runs that are looked through: a fold moves batches there, before anybody has seen them as such."""

MESSAGES = 1_000
"""Messages that are told one by one."""


Batches = set[tuple[bytes, int]]
"""Batches by their device and sequence."""


async def news(before: Snapshot, after: Snapshot, me: bytes, missed: Batches) -> Update | None:
    """The update from one accepted state to a later one; None when no other device did anything.

    A writer's sequences only rise, so whatever has a higher one than `before` knew is new, wherever it lies now. What
    cannot be read is not told, and the update says that it is not complete. `missed` are the batches of earlier updates
    of which that was so; they are told once they can be read, and what is missing now is among them on return.
    """
    known, now = before.body.sequences, after.body.sequences
    tail = {(entry.device, entry.sequence) for entry in after.body.tail}
    read = {(entry.device, entry.sequence) for entry, _ in after.tail}
    owed = {*missed}
    new = {(device, sequence) for device, sequence in tail if device != me and sequence > known.get(device, 0)}
    missed.clear()
    missed |= (new | owed) & tail - read  # spec: LIVE-13
    if before.discards != after.discards:
        return await _changed(before, after)  # undone: messages may be gone, and old ones back
    late = owed & read
    if not late and all(sequence <= known.get(device, 0) for device, sequence in now.items() if device != me):
        return None
    there = {entry.ref.name for entry in before.body.tail if (entry.device, entry.sequence) not in late}
    frames = [frame for entry, found in after.tail if entry.ref.name not in there for frame in found]
    numbers = {run.number for run in before.root.runs}
    runs = [run for run in after.root.runs if run.number not in numbers]
    small = sum(run.rows for run in runs) <= RUN_ROWS
    if small:
        entries = [entry for run in runs for entry in await after.entries(run)]
        frames += [frame for frame in await after.frames_of(entries) if frame is not None]
    touched, chats = _touched(frames, known, me, owed)
    if sum(len(ids) for times in touched.values() for ids in times.values()) > MESSAGES:
        return await _changed(before, after)
    messages = tuple(
        [
            ChatMessage.of(chat, message)
            for chat, times in touched.items()
            for time, ids in sorted(times.items())
            for message in await at(after, chat, time)
            if message.id in ids
        ]
    )
    if not small:
        return await _changed(before, after, chats, messages)
    return Update(after.head.version, tuple(sorted(chats)), messages, complete=not after.source.damage)


def _touched(
    frames: Iterable[Frame], known: dict[bytes, int], me: bytes, owed: Batches
) -> tuple[dict[str, dict[int, set[str]]], set[str]]:
    """By chat and time the ids of messages that new rows of others are about; and all chats with such rows."""
    touched: defaultdict[str, defaultdict[int, set[str]]] = defaultdict(lambda: defaultdict(set))
    chats: set[str] = set()
    for frame in frames:
        for row in frame.rows():
            device, batch = row.origin.device, row.origin.batch
            if device == me or (batch <= known.get(device, 0) and (device, batch) not in owed):
                continue
            chats.add(frame.conversation)
            if row.op <= Op.REACT:
                touched[frame.conversation][row.time].add(message_id(frame.conversation, row))
    return {chat: dict(times) for chat, times in sorted(touched.items())}, chats


async def _changed(
    before: Snapshot, after: Snapshot, chats: Iterable[str] = (), messages: tuple[ChatMessage, ...] = ()
) -> Update:
    """What is known of the tail, and the chats whose line in the chat list is another. Never complete: an old message
    that was edited, or deleted and packed away, leaves every line as it was."""
    old = {row.conversation: row for row in await chat_rows(before)}
    new = {row.conversation: row for row in await chat_rows(after)}
    changed = {name for name in old.keys() | new.keys() if _told(old.get(name)) != _told(new.get(name))}
    return Update(after.head.version, tuple(sorted(changed.union(chats))), messages, complete=False)


def _told(row: object) -> tuple[object, ...] | None:
    return None if row is None else tuple(getattr(row, name) for name in ("title", "newest", "preview", "rows"))
