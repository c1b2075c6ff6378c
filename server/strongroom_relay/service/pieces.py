"""Ranges of objects: planned by what is there, read a block at a time; no answer stands in memory whole."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator, Sequence

from strongroom_protocol.relay_api.messages import Range
from strongroom_relay.service.relay import Principal, Relay

BLOCK = 256 * 1024
"""Bytes read and sent at a time."""

Step = tuple[bytes, bytes, int, int]
"""Bytes to send first, then of an object: name, offset, length (0: nothing)."""


async def read(relay: Relay, who: Principal, ranges: Sequence[Range]) -> list[bytes | None]:
    """The bytes of ranges, None for absent objects; stops early before the answer outgrows the limit."""

    def work(database: sqlite3.Connection) -> list[bytes | None]:
        return [
            None if found is None else read_range(relay, database, who.account, *found)
            for found in plan(relay, database, who.account, ranges)
        ]

    return await relay.store.read(work)


def plan(relay: Relay, database: sqlite3.Connection, account: bytes, ranges: Sequence[Range]) -> list[Range | None]:
    """What an answer to `ranges` holds: ranges that are there, None for absent objects; no more than the limit."""
    bound = relay.limits.read_response_bytes
    planned: list[Range | None] = []
    total = 0
    for name, offset, length in ranges:
        size = held(relay, database, account, name)
        here = None if size is None else (name, offset, max(0, min(length or bound, bound, size - offset)))
        total += 16 + (here[2] if here else 0)
        if planned and total > bound:  # spec: API-3
            break
        planned.append(here)
    return planned


def held(relay: Relay, database: sqlite3.Connection, account: bytes, name: bytes) -> int | None:
    """Bytes that can be read of an object; None when it is absent or its file is lost."""
    row = database.execute(
        "SELECT length(data) FROM objects WHERE account = ? AND name = ?", (account, name)
    ).fetchone()
    if row is None or row[0] is not None:
        return None if row is None else int(row[0])
    try:
        return relay.store.files.path_of(account, name).stat().st_size
    except OSError:
        return None


def read_range(
    relay: Relay, database: sqlite3.Connection, account: bytes, name: bytes, offset: int, length: int
) -> bytes | None:
    """At most `length` bytes from `offset`; None for what is absent or cannot be read."""
    row = database.execute(
        "SELECT data IS NULL, substr(data, ?, ?) FROM objects WHERE account = ? AND name = ?",
        (offset + 1, length, account, name),
    ).fetchone()
    if row is None or not row[0]:
        return None if row is None else bytes(row[1] or b"")
    try:
        with relay.store.files.path_of(account, name).open("rb") as file:
            file.seek(offset)
            return file.read(length)
    except OSError:
        return None


def blocks(steps: Iterable[Step]) -> list[list[Step]]:
    """Steps in groups of at most a block's bytes; longer ones are divided."""
    found: list[list[Step]] = [[]]
    room = BLOCK
    for step in _divided(steps):
        size = len(step[0]) + step[3]
        if size > room and found[-1]:
            found.append([])
            room = BLOCK
        found[-1].append(step)
        room -= size
    return found


def fill(relay: Relay, account: bytes, block: Sequence[Step], database: sqlite3.Connection) -> bytes:
    """The bytes of one block, of exactly the planned length.

    What became unreadable since the plan is zeros: only that object is damaged for the client, not the whole answer.
    """
    parts = []
    for prefix, name, offset, length in block:
        found = read_range(relay, database, account, name, offset, length) if length else b""
        parts += [part for part in (prefix, (found or b"").ljust(length, b"\x00")) if part]
    return parts[0] if len(parts) == 1 else b"".join(parts)


def _divided(steps: Iterable[Step]) -> Iterator[Step]:
    for prefix, name, offset, length in steps:
        yield prefix, name, offset, min(length, BLOCK)
        for at in range(BLOCK, length, BLOCK):
            yield b"", name, offset + at, min(BLOCK, length - at)
