"""Objects: put, read, existence, and their life between upload, pin and deletion (spec chapter 11)."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Sequence
from enum import IntEnum
from pathlib import Path

from strongroom_protocol.relay_api.messages import Range, Usage
from strongroom_protocol.relay_api.problems import Problem, ProblemError
from strongroom_relay.service.relay import Principal, Relay, require_writer

INLINE = 64 * 1024
"""Objects below this size lie in the database: the commit that adds them needs one sync."""


class State(IntEnum):
    """UPLOADED: no head names it yet. PINNED: the newest head reaches it. DROPPED: kept for the window."""

    UPLOADED = 0
    PINNED = 1
    DROPPED = 2


async def put_small(relay: Relay, who: Principal, name: bytes, data: bytes) -> bool:
    """Store an object that was checked against its name. Returns whether it is new. Durable on return."""
    require_writer(who)
    return await relay.store.write(lambda database: insert(relay, database, who.account, name, len(data), data))


async def put_file(relay: Relay, who: Principal, name: bytes, size: int, temporary: Path) -> bool:
    """The same for a large object in a written, synced temporary file."""
    require_writer(who)
    await relay.store.in_thread(lambda: relay.store.place(temporary, who.account, name))
    return await relay.store.write(lambda database: insert(relay, database, who.account, name, size, None))


def insert(
    relay: Relay, database: sqlite3.Connection, account: bytes, name: bytes, size: int, data: bytes | None
) -> bool:
    """Add the row of an object within the account's cap; an object that is there is left as it is."""
    row = database.execute("SELECT state FROM objects WHERE account = ? AND name = ?", (account, name)).fetchone()
    expires = relay.clock() + relay.limits.upload_expiry_ms
    if row is not None:  # spec: LIFE-1
        # Uploading again what was dropped starts a new upload's time; it never shortens one.
        database.execute(
            "UPDATE objects SET due = MAX(due, ?) WHERE account = ? AND name = ? AND state <> ?",
            (expires, account, name, State.PINNED),
        )
        return False
    used, cap = database.execute("SELECT used, cap FROM accounts WHERE id = ?", (account,)).fetchone()
    if used + size > cap:  # spec: LIFE-2
        raise ProblemError(Problem.QUOTA)
    database.execute("INSERT INTO objects VALUES(?,?,?,?,?,?)", (account, name, size, State.UPLOADED, expires, data))
    database.execute("UPDATE accounts SET used = used + ? WHERE id = ?", (size, account))
    return True


async def missing(relay: Relay, who: Principal, names: Sequence[bytes]) -> list[bytes]:
    """Which of these a commit could not add now; what is waiting for deletion counts as absent."""

    def work(database: sqlite3.Connection) -> list[bytes]:
        rows = {name: _row(database, who.account, name) for name in names}
        return [name for name, row in rows.items() if row is None or row[1] == State.DROPPED]  # spec: LIFE-3

    return await relay.store.read(work)


async def read(relay: Relay, who: Principal, ranges: Sequence[Range]) -> list[bytes | None]:
    """The bytes of ranges, None for absent objects; stops early before the answer outgrows the limit."""

    def work(database: sqlite3.Connection) -> list[bytes | None]:
        pieces: list[bytes | None] = []
        total = 0
        for name, offset, length in ranges:
            piece = read_range(relay, database, who.account, name, offset, length)
            total += len(piece or b"") + 16
            if pieces and total > relay.limits.read_response_bytes:  # spec: API-3
                break
            pieces.append(piece)
        return pieces

    return await relay.store.read(work)


def read_range(
    relay: Relay, database: sqlite3.Connection, account: bytes, name: bytes, offset: int, length: int
) -> bytes | None:
    """Bytes from `offset`, at most `length` (0: to the end, within the limit of one answer)."""
    bound = relay.limits.read_response_bytes
    wanted = min(length or bound, bound)
    row = database.execute("SELECT data FROM objects WHERE account = ? AND name = ?", (account, name)).fetchone()
    if row is None:
        return None
    if row[0] is not None:
        return bytes(row[0][offset : offset + wanted])
    try:
        with relay.store.path_of(account, name).open("rb") as file:
            file.seek(offset)
            return file.read(wanted)
    except FileNotFoundError:
        return None


async def size_of(relay: Relay, who: Principal, name: bytes) -> int | None:
    """Sealed size of an object, None when it is not there."""
    row = await relay.store.read(lambda database: _row(database, who.account, name))
    return None if row is None else int(row[0])


async def usage(relay: Relay, who: Principal) -> Usage:
    """Bytes kept, cap, number of objects."""

    def work(database: sqlite3.Connection) -> Usage:
        used, cap = database.execute("SELECT used, cap FROM accounts WHERE id = ?", (who.account,)).fetchone()
        (count,) = database.execute("SELECT COUNT(*) FROM objects WHERE account = ?", (who.account,)).fetchone()
        return Usage(used, cap, count)

    return await relay.store.read(work)


def pin(database: sqlite3.Connection, account: bytes, adds: Iterable[bytes]) -> list[bytes]:
    """Pin additions, cancelling their deletion; returns those that are not here."""
    absent = []
    for name in adds:
        changed = database.execute(
            "UPDATE objects SET state = ?, due = 0 WHERE account = ? AND name = ?", (State.PINNED, account, name)
        )
        if changed.rowcount == 0:
            absent.append(name)
    return absent


def drop(relay: Relay, database: sqlite3.Connection, account: bytes, drops: Iterable[bytes]) -> None:
    """Start the window for what a head drops."""
    due = relay.clock() + relay.window_ms  # spec: LIFE-5
    database.executemany(
        "UPDATE objects SET state = ?, due = ? WHERE account = ? AND name = ? AND state = ?",
        [(State.DROPPED, due, account, name, State.PINNED) for name in drops],
    )


async def sweep(relay: Relay) -> tuple[int, int]:
    """Remove uploads that no head ever named and drops whose window is over; returns objects and bytes removed."""
    now = relay.clock()

    def work(database: sqlite3.Connection) -> list[tuple[bytes, bytes, int, bool]]:
        rows = database.execute(
            "SELECT account, name, size, data IS NULL FROM objects WHERE state <> 1 AND due <= ?", (now,)
        ).fetchall()  # spec: LIFE-6
        database.execute("DELETE FROM objects WHERE state <> 1 AND due <= ?", (now,))
        for account, _, size, _ in rows:
            database.execute("UPDATE accounts SET used = used - ? WHERE id = ?", (size, account))
        database.execute("DELETE FROM guests WHERE until <= ?", (now,))
        database.execute("DELETE FROM challenges WHERE expires <= ?", (now,))
        return [(bytes(account), bytes(name), size, bool(large)) for account, name, size, large in rows]

    removed = await relay.store.write(work)

    def unlink() -> None:
        # After the commit: a crash in between leaves a file without a row, which the next sweep of files finds.
        for account, name, _, large in removed:
            if large:
                relay.store.path_of(account, name).unlink(missing_ok=True)

    await relay.store.in_thread(unlink)
    return len(removed), sum(size for _, _, size, _ in removed)


def _row(database: sqlite3.Connection, account: bytes, name: bytes) -> tuple[int, int] | None:
    row = database.execute("SELECT size, state FROM objects WHERE account = ? AND name = ?", (account, name)).fetchone()
    return None if row is None else (row[0], row[1])
