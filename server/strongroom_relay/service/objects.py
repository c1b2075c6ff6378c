"""Objects: put, read, existence, and their life between upload, pin and deletion (spec chapter 11)."""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from enum import IntEnum
from pathlib import Path

from strongroom_protocol.relay_api.messages import Usage
from strongroom_protocol.relay_api.problems import Problem, ProblemError
from strongroom_relay.service.links import sweep_links
from strongroom_relay.service.relay import Principal, Relay, require_writer

INLINE = 64 * 1024
"""Objects below this size lie in the database: the commit that adds them needs one sync."""


_DUE = "state <> 1 AND due <= ?"  # spec: LIFE-6


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

    def work(database: sqlite3.Connection) -> bool:
        new = insert(relay, database, who.account, name, size, None)
        if new or not relay.store.files.path_of(who.account, name).exists():
            relay.store.files.place(temporary, who.account, name)
        return new

    return await relay.store.write(work)


@asynccontextmanager
async def reserved(relay: Relay, who: Principal, name: bytes, size: int) -> AsyncIterator[None]:
    """Room for an upload of `size` bytes while it arrives, so that parallel uploads cannot pass the cap together."""
    if size < INLINE:  # stays in memory until the row's own check of the cap
        yield
        return
    fits = await relay.store.read(lambda database: _room(relay, database, who.account, name))
    if fits is None:  # it is here already and takes no more room
        yield
        return
    taken = relay.arriving.get(who.account, 0)
    if taken + size > fits:  # spec: LIFE-10
        raise ProblemError(Problem.QUOTA)
    relay.arriving[who.account] = taken + size
    try:
        yield
    finally:
        left = relay.arriving.pop(who.account) - size
        if left:
            relay.arriving[who.account] = left


def insert(
    relay: Relay, database: sqlite3.Connection, account: bytes, name: bytes, size: int, data: bytes | None, *,
    over: int = 0,
) -> bool:  # fmt: skip
    """Add the row of an object within the account's cap and `over` more; an object that is there is left as it is."""
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
    if used + size > cap + over:  # spec: LIFE-2
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


async def size_of(relay: Relay, who: Principal, name: bytes) -> int | None:
    """Sealed size of an object, None when it is not there."""
    row = await relay.store.read(lambda database: _row(database, who.account, name))
    return None if row is None else row[0]


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
    only = State.PINNED  # spec: LIFE-14
    database.executemany(
        "UPDATE objects SET state = ?, due = ? WHERE account = ? AND name = ? AND state = ?",
        [(State.DROPPED, due, account, name, only) for name in drops],
    )


async def sweep(relay: Relay) -> tuple[int, int]:
    """Remove uploads that no head ever named and drops whose window is over; returns objects and bytes removed."""
    now = relay.clock()

    def work(database: sqlite3.Connection) -> list[tuple[bytes, bytes, int, bool]]:
        rows = database.execute(
            f"SELECT account, name, size, data IS NULL FROM objects WHERE {_DUE}",  # noqa: S608
            (now,),
        ).fetchall()
        database.execute(f"DELETE FROM objects WHERE {_DUE}", (now,))  # noqa: S608
        for account, _, size, _ in rows:
            database.execute("UPDATE accounts SET used = used - ? WHERE id = ?", (size, account))
        database.execute("DELETE FROM guests WHERE until <= ?", (now,))
        database.execute("DELETE FROM challenges WHERE expires <= ?", (now,))
        sweep_links(database, now)  # spec: LINK-28
        return [(bytes(account), bytes(name), size, bool(large)) for account, name, size, large in rows]

    removed = await relay.store.write(work)
    # Files only after that commit: a crash in between leaves a file without a row, which `sweep_files` finds.
    await _unlink(relay, [(account, name) for account, name, _, large in removed if large])
    return len(removed), sum(size for _, _, size, _ in removed)


async def sweep_files(relay: Relay) -> int:
    """Remove files that no row names (left by a crash); returns how many. Not to run beside `sweep`."""

    def without_row(database: sqlite3.Connection) -> list[tuple[bytes, bytes]]:
        return [pair for pair in files if _row(database, *pair) is None]

    files = await relay.store.in_thread(lambda: list(relay.store.files.named()))
    return await _unlink(relay, await relay.store.read(without_row))


async def _unlink(relay: Relay, pairs: list[tuple[bytes, bytes]]) -> int:
    """Remove files in the writer, which is the only one to place any; one that has a row (again) stays."""

    def work(database: sqlite3.Connection) -> int:
        count = 0
        for account, name in pairs:
            if _row(database, account, name) is not None:  # spec: LIFE-7
                continue
            relay.store.files.path_of(account, name).unlink(missing_ok=True)
            count += 1
        return count

    return await relay.store.write(work) if pairs else 0


def _room(relay: Relay, database: sqlite3.Connection, account: bytes, name: bytes) -> int | None:
    if _row(database, account, name) is not None:
        return None
    used, cap = database.execute("SELECT used, cap FROM accounts WHERE id = ?", (account,)).fetchone()
    return int(cap) - int(used)


def _row(database: sqlite3.Connection, account: bytes, name: bytes) -> tuple[int, int] | None:
    row = database.execute("SELECT size, state FROM objects WHERE account = ? AND name = ?", (account, name)).fetchone()
    return None if row is None else (row[0], row[1])
