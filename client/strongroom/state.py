"""The local state of one device: what cannot be fetched again, in one small SQLite file (spec chapter 13).

Everything that must change together changes in one transaction with a full sync, so a crash leaves the old or the
new state; pin and outbox are in one file for that reason. A lock file keeps a second process out.
"""

from __future__ import annotations

import fcntl
import os
import sqlite3
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType

from strongroom_protocol.errors import CallError, NotFound, StorageFull, UpgradeRequired, VaultLocked

SCHEMA = 3
_DATABASE = "device.db"
FILES = (_DATABASE, f"{_DATABASE}-wal", f"{_DATABASE}-shm", "lock")
"""What a state consists of on disk."""

# AUTOINCREMENT: the number of an entry that was committed is never given to another one.
_CHANGES = (
    "CREATE TABLE state(name TEXT PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID",
    "CREATE TABLE outbox(id INTEGER PRIMARY KEY AUTOINCREMENT, rows INTEGER NOT NULL, sealed BLOB NOT NULL)",
    "ALTER TABLE outbox ADD COLUMN at INTEGER NOT NULL DEFAULT 0",  # ms since 1970
)
"""What leads from each version of the schema to the next; the first is 0, an empty file."""


class State:
    """Named byte strings with atomic updates. One process at a time."""

    def __init__(self, folder: Path, database: sqlite3.Connection, lock: int) -> None:
        self.folder = folder
        self._database = database
        self._lock = lock

    @classmethod
    def create(cls, folder: Path) -> State:
        """A new state in `folder`, which is made; refused where a vault already is."""
        if (folder / _DATABASE).exists():
            raise CallError("there is already a vault in that folder", hint="use it as it is, or another --vault")
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        lock = _lock(folder)
        try:
            descriptor = os.open(folder / _DATABASE, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600)
            os.close(descriptor)
            database = _connect(folder)
            with _translated(), database:
                _change(database, 0)
        except BaseException:
            os.close(lock)
            raise
        return cls(folder, database, lock)

    @classmethod
    def open(cls, folder: Path) -> State:
        """The state in `folder`. Raises NotFound, VaultLocked, UpgradeRequired."""
        if not (folder / _DATABASE).exists():
            raise NotFound("there is no vault in that folder", hint="run strongroom init or strongroom login first")
        lock = _lock(folder)
        try:
            return cls(folder, _checked(folder), lock)
        except BaseException:
            os.close(lock)
            raise

    def get(self, name: str) -> bytes | None:
        row = self._database.execute("SELECT value FROM state WHERE name = ?", (name,)).fetchone()
        return None if row is None else bytes(row[0])

    def require(self, name: str) -> bytes:
        """A value that every complete vault has."""
        value = self.get(name)
        if value is None:
            raise CallError("the vault in that folder was never finished", hint="remove the folder and start again")
        return value

    def put(self, changes: Mapping[str, bytes | None], *, sent: int = 0) -> None:
        """Apply all changes or none, durably; None removes a name. Outbox entries up to `sent` go with them."""
        with _translated(), self._database:
            for name, value in changes.items():
                if value is None:
                    self._database.execute("DELETE FROM state WHERE name = ?", (name,))
                else:
                    self._database.execute("INSERT OR REPLACE INTO state VALUES(?, ?)", (name, value))
            if sent:
                self._database.execute("DELETE FROM outbox WHERE id BETWEEN 1 AND ?", (sent,))
        if None in changes.values():
            self._database.execute("PRAGMA wal_checkpoint(TRUNCATE)")  # nothing removed stays in the log

    def add_entries(self, entries: Sequence[tuple[int, bytes]]) -> int:
        """Put entries (rows, sealed bytes) into the outbox, all or none, durably; the number of the last one."""
        at = time.time_ns() // 1_000_000
        with _translated(), self._database:
            for rows, sealed in entries:
                entry = (rows, sealed, at)
                last = self._database.execute("INSERT INTO outbox(rows, sealed, at) VALUES(?, ?, ?)", entry).lastrowid
        return last or 0

    def entries(self) -> Iterator[tuple[int, int, bytes]]:
        """The outbox: number, rows, sealed bytes, oldest first, without what was set aside."""
        last = 0
        while row := self._database.execute(
            "SELECT id, rows, sealed FROM outbox WHERE id > ? ORDER BY id LIMIT 1", (last,)
        ).fetchone():
            yield row
            last = row[0]

    def set_aside(self, number: int) -> None:
        """Keep an entry without offering it any more: its number becomes negative."""
        with _translated(), self._database:
            self._database.execute("UPDATE outbox SET id = -id WHERE id = ?", (number,))

    def waiting(self) -> tuple[int, int, int]:
        """Entries, rows and bytes in the outbox."""
        query = "SELECT count(*), coalesce(sum(rows), 0), coalesce(sum(length(sealed)), 0) FROM outbox WHERE id > 0"
        entries, rows, size = self._database.execute(query).fetchone()
        return entries, rows, size

    def since(self) -> int:
        """When the oldest entry came into the outbox, by this device's clock (ms); 0: none has, or not known."""
        (at,) = self._database.execute("SELECT coalesce(min(at), 0) FROM outbox WHERE id > 0").fetchone()
        return int(at)

    def aside(self) -> int:
        """Entries that were set aside."""
        (count,) = self._database.execute("SELECT count(*) FROM outbox WHERE id < 0").fetchone()
        return int(count)

    def close(self) -> None:
        self._database.close()
        os.close(self._lock)

    def __enter__(self) -> State:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _checked(folder: Path) -> sqlite3.Connection:
    try:
        with _translated():
            database = _connect(folder)
            (version,) = database.execute("PRAGMA user_version").fetchone()
    except sqlite3.DatabaseError as error:
        raise CallError("the vault's state cannot be read", hint="log in again in a new folder") from error
    if 0 < version <= SCHEMA:
        if version < SCHEMA:
            with _translated(), database:
                _change(database, version)
        return database
    database.close()
    if version > SCHEMA:
        raise UpgradeRequired(f"vault state version {version} is newer than {SCHEMA}")
    raise CallError("the vault in that folder was never finished", hint="remove the folder and start again")


def _change(database: sqlite3.Connection, version: int) -> None:
    for statement in _CHANGES[version:]:
        database.execute(statement)
    database.execute(f"PRAGMA user_version = {SCHEMA}")


def _connect(folder: Path) -> sqlite3.Connection:
    database = sqlite3.connect(folder / _DATABASE, isolation_level="IMMEDIATE", check_same_thread=False)
    database.execute("PRAGMA journal_mode = WAL")  # one sync a transaction instead of three
    database.execute("PRAGMA synchronous = FULL")
    database.execute("PRAGMA secure_delete = ON")  # a removed secret leaves no remnant in free pages
    return database


def _lock(folder: Path) -> int:
    descriptor = os.open(folder / "lock", os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        os.close(descriptor)
        raise VaultLocked("another strongroom process is using this vault") from error
    return descriptor


@contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except sqlite3.OperationalError as error:
        if getattr(error, "sqlite_errorcode", 0) & 0xFF in (sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR):
            raise StorageFull("the disk that holds the vault's state is full or failing") from error
        raise
