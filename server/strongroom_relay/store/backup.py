"""A consistent copy of a relay's folder, while the relay runs.

Objects never change, so only the order matters: files, then the database as it is at one moment, then the files that
came in between. What the copied database names is then in the copy, unless a sweep removed it meanwhile; that is seen,
and the database is copied once more. A copy into an earlier one only adds what is new and removes what is gone; the
database is replaced in one step, so a copy that broke off leaves the earlier one whole.
"""

from __future__ import annotations

import hashlib
import os
import sqlite3
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

from strongroom_protocol.errors import IncompleteError
from strongroom_relay.store.connection import DATABASE
from strongroom_relay.store.embedded import lock
from strongroom_relay.store.files import ObjectFiles, sync_folder

COPY = "copy"
"""The setting that marks a copy; the first start on it removes it."""

ATTEMPTS = 5
BLOCK = 1024 * 1024


@dataclass(slots=True)
class Copy:
    """What was done. `damaged` names objects whose file is not what its name says (or gone): they are not copied."""

    copied: int = 0
    kept: int = 0
    removed: int = 0
    bytes: int = 0
    damaged: set[str] = field(default_factory=set)


def back_up(database: sqlite3.Connection, source: ObjectFiles, target: Path, *, links: bool) -> Copy:
    """Copy a store into `target`: empty, or an earlier copy of it. `links`: hard links instead of copied files.

    Raises FileExistsError where the copy has been served since, IncompleteError when objects are removed faster than
    they can be copied, VaultLocked, OSError.
    """
    files = ObjectFiles(target, lambda: None)
    held = lock(target)
    try:
        _require_copy(target)
        return _back_up(database, source, target, files, links)
    finally:
        os.close(held)


def _back_up(
    database: sqlite3.Connection, source: ObjectFiles, target: Path, files: ObjectFiles, links: bool
) -> Copy:  # fmt: skip
    done = Copy()
    files.remove_unfinished()
    earlier = set(files.named())
    _take(done, source, files, list(source.named()), links)
    fresh = target / f"{DATABASE}.new"
    for _ in range(ATTEMPTS):
        named = _copy_database(database, fresh)
        _take(done, source, files, named, links)
        lost = [pair for pair in named if not files.path_of(*pair).exists() and pair[1].hex() not in done.damaged]
        gone = [pair for pair in lost if not _is_named(database, pair)]
        done.damaged.update(pair[1].hex() for pair in lost if pair not in gone)
        if not gone:
            break
    else:
        raise IncompleteError("objects are removed faster than they are copied", hint="repeat it; give a longer window")
    os.replace(fresh, target / DATABASE)
    sync_folder(target)
    wanted = set(named)
    done.kept = len(earlier & wanted)
    for pair in list(files.named()):
        if pair not in wanted:
            files.path_of(*pair).unlink(missing_ok=True)
            done.removed += 1
    return done


def _require_copy(target: Path) -> None:
    """A copy that was put into service is a relay of its own, with commits that no other has."""
    if not (target / DATABASE).exists():
        return
    with closing(sqlite3.connect(target / DATABASE)) as database:
        if database.execute("SELECT 1 FROM settings WHERE name = ?", (COPY,)).fetchone() is None:
            raise FileExistsError("the folder for the copy holds a relay of its own: use another")


def _copy_database(database: sqlite3.Connection, fresh: Path) -> list[tuple[bytes, bytes]]:
    """The database at one moment, synced; returns which objects are files in it."""
    for name in (fresh.name, f"{fresh.name}-wal", f"{fresh.name}-shm", f"{fresh.name}-journal"):
        fresh.with_name(name).unlink(missing_ok=True)
    os.close(os.open(fresh, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
    with closing(sqlite3.connect(fresh, isolation_level=None)) as copy:
        copy.execute("PRAGMA synchronous = FULL")
        database.backup(copy)
        (found,) = copy.execute("PRAGMA quick_check").fetchone()
        if found != "ok":
            raise IncompleteError("the database is damaged", damaged=(DATABASE,), hint="see strongroom-relay doctor")
        copy.execute("INSERT OR REPLACE INTO settings VALUES(?, x'')", (COPY,))
        rows = copy.execute("SELECT account, name FROM objects WHERE data IS NULL").fetchall()
    with fresh.open("rb") as file:
        os.fsync(file.fileno())
    return [(bytes(account), bytes(name)) for account, name in rows]


def _take(
    done: Copy, source: ObjectFiles, files: ObjectFiles, pairs: list[tuple[bytes, bytes]], links: bool
) -> None:  # fmt: skip
    """Files that the copy does not have yet; each is synced and then takes its name, its folders are synced at last."""
    touched = set()
    for pair in pairs:
        path, goal = source.path_of(*pair), files.path_of(*pair)
        try:
            if goal.exists() and goal.stat().st_size == path.stat().st_size:
                continue
            goal.parent.mkdir(exist_ok=True, mode=0o700)
            temporary = files.temporary()
            if links:
                os.link(path, temporary)
            elif not _copy_file(path, temporary, pair[1]):
                temporary.unlink()
                done.damaged.add(pair[1].hex())
                continue
        except FileNotFoundError:
            continue  # removed meanwhile, or lost: who calls looks which
        done.bytes += temporary.stat().st_size
        os.replace(temporary, goal)
        touched.add(goal.parent)
        done.copied += 1
    for folder in touched:
        sync_folder(folder)
    sync_folder(files.folder)


def _copy_file(path: Path, temporary: Path, name: bytes) -> bool:
    """Copy and sync one file; False when its bytes are not those of its name, so that damage does not spread."""
    hasher = hashlib.sha256()
    with path.open("rb") as old, temporary.open("xb") as new:
        os.fchmod(new.fileno(), 0o600)
        while block := old.read(BLOCK):
            hasher.update(block)
            new.write(block)
        new.flush()
        os.fsync(new.fileno())
    return hasher.digest() == name


def _is_named(database: sqlite3.Connection, pair: tuple[bytes, bytes]) -> bool:
    return database.execute("SELECT 1 FROM objects WHERE account = ? AND name = ?", pair).fetchone() is not None
