"""`search.db`: messages and the lists of those that hold a term (docs/adr/0018-search-index.md). Plaintext.

Messages lie in shards: a stretch of time and at most 16,384 messages, numbered as they come. For each shard and term
one list names the messages that hold it, so the newest hits are found without looking at older shards, a message that
comes late costs what any other does, and taking one out rewrites its lists and leaves nothing of it.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from strongroom.search.content import LABELS
from strongroom_protocol.errors import StorageFull

SCHEMA = 1
SHARD_BITS = 14
SHARD_ROWS = 1 << SHARD_BITS
BUCKET_BITS = 31
"""A shard's stretch of time: 2**31 ms, 25 days."""

NAME = "search.db"
FILES = (NAME, f"{NAME}-wal", f"{NAME}-shm", f"{NAME}-journal")

_TABLES = """
CREATE TABLE meta(name TEXT PRIMARY KEY, value) WITHOUT ROWID;
CREATE TABLE chat(chat INTEGER PRIMARY KEY, conversation TEXT UNIQUE NOT NULL, title TEXT NOT NULL DEFAULT '');
CREATE TABLE person(
    person INTEGER PRIMARY KEY, chat INTEGER NOT NULL, sender TEXT NOT NULL, name TEXT NOT NULL,
    UNIQUE(chat, sender, name)
);
CREATE TABLE member(
    chat INTEGER NOT NULL, sender TEXT NOT NULL, name TEXT NOT NULL, PRIMARY KEY(chat, sender, name)
) WITHOUT ROWID;
CREATE TABLE message(
    doc INTEGER PRIMARY KEY, chat INTEGER NOT NULL, time INTEGER NOT NULL, place INTEGER NOT NULL,
    person INTEGER NOT NULL, labels INTEGER NOT NULL, id TEXT NOT NULL, text TEXT NOT NULL
);
CREATE INDEX message_at ON message(chat, time);
CREATE TABLE shard(shard INTEGER PRIMARY KEY, bucket INTEGER NOT NULL, used INTEGER NOT NULL, times BLOB NOT NULL);
CREATE INDEX shard_of ON shard(bucket);
CREATE TABLE post(shard INTEGER, term TEXT, docs BLOB NOT NULL, PRIMARY KEY(shard, term)) WITHOUT ROWID;
CREATE TABLE done(piece BLOB PRIMARY KEY) WITHOUT ROWID;
"""
_DISK = {
    sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_PERM,
    sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED,
}  # fmt: skip


def connect(folder: Path, *, create: bool = False) -> sqlite3.Connection:
    """The index in a vault folder, readable for its owner alone. Raises sqlite3.DatabaseError when it is not one."""
    path = folder / NAME
    if create:
        os.close(os.open(path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600))
    database = sqlite3.connect(f"{path.absolute().as_uri()}?mode=rw", uri=True, check_same_thread=False)
    try:
        database.execute("PRAGMA secure_delete = ON")  # what is taken out is overwritten, in pages that stay too
        database.execute("PRAGMA journal_mode = WAL")
        database.execute("PRAGMA synchronous = NORMAL")
        database.execute("PRAGMA cache_size = -32768")
        (version,) = database.execute("PRAGMA user_version").fetchone()
        if version != SCHEMA:
            if not create or version or database.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]:
                raise sqlite3.DatabaseError("not a search index of this version")
            database.executescript(f"BEGIN; {_TABLES} PRAGMA user_version = {SCHEMA}; COMMIT")
    except BaseException:
        database.close()
        raise
    return database


def is_of_disk(error: BaseException) -> bool:
    """Whether the disk is to blame, not what is in the index."""
    return getattr(error, "sqlite_errorcode", 0) & 0xFF in _DISK


@contextmanager
def checked() -> Iterator[None]:
    """Whatever an index that is not what was written makes the code stumble over is raised as sqlite3.DatabaseError;
    a disk that is full, or does not do what it should, as StorageFull."""
    try:
        yield
    except sqlite3.DatabaseError as error:
        if is_of_disk(error):
            hint = "check the disk that holds the vault"
            raise StorageFull("the search index cannot be written", hint=hint) from error
        raise
    except (ValueError, TypeError, IndexError, KeyError) as error:
        raise sqlite3.DatabaseError("the search index contradicts itself") from error


def remove(folder: Path) -> bool:
    """Delete the index; whether there was one."""
    found = (folder / NAME).exists()
    for name in FILES:
        (folder / name).unlink(missing_ok=True)
    return found


def label_term(label: str) -> str:
    """The term under which messages with a label are filed. No text has it: terms of texts hold no spaces."""
    return f" h{LABELS.index(label)}"


def chat_term(chat: int) -> str:
    """The same for a conversation."""
    return f" c{chat}"


def person_term(person: int) -> str:
    """The same for a sender."""
    return f" p{person}"
