"""Whether a store is whole: the database's own check, a file for every row, no byte changed (`doctor`).

It reads page by page and holds nobody up, so it can run beside a relay. What changes meanwhile is looked at again
before it is called damage.
"""

from __future__ import annotations

import hashlib
import sqlite3
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from strongroom_relay.store.files import ObjectFiles

PAGE = 1000
SETTLE_SECONDS = 1.0
"""A file is placed this long before its row is committed, at most; later it has none."""


@dataclass(frozen=True, slots=True)
class Damage:
    """One object that is not what its row and name say."""

    account: str
    name: str
    why: str


@dataclass(slots=True)
class Health:
    """What a check found. `orphans` are files without a row: harmless leftovers of a crash, which a sweep removes."""

    database: list[str] = field(default_factory=list)
    damaged: list[Damage] = field(default_factory=list)
    miscounted: list[str] = field(default_factory=list)
    objects: int = 0
    bytes: int = 0
    hashed: bool = False
    orphans: int = 0

    @property
    def sound(self) -> bool:
        return not (self.database or self.damaged or self.miscounted)


def check(database: sqlite3.Connection, files: ObjectFiles, *, deep: bool, settle: float = SETTLE_SECONDS) -> Health:
    """Check all of a store; `deep` reads every byte and compares it with the object's name."""
    health = Health(hashed=deep)
    try:
        found = [str(text) for (text,) in database.execute("PRAGMA quick_check")]
        health.database = [] if found == ["ok"] else found
        for account, name, size in _rows(database):
            health.objects += 1
            health.bytes += size
            why = _wrong(database, files, account, name, size, deep)
            if why:
                health.damaged.append(Damage(account.hex(), name.hex(), why))
        sums = "SELECT hex(id) FROM accounts a WHERE used <> (SELECT TOTAL(size) FROM objects WHERE account = a.id)"
        health.miscounted = [str(account).lower() for (account,) in database.execute(sums)]
    except sqlite3.DatabaseError as error:
        health.database.append(str(error))
        return health
    health.orphans = _orphans(database, files, settle)
    return health


def _rows(database: sqlite3.Connection) -> Iterator[tuple[bytes, bytes, int]]:
    """Every object, a page at a time: no read lasts, so a relay's log can be written back meanwhile."""
    last: tuple[bytes, bytes] = (b"", b"")
    while True:
        page = database.execute(
            "SELECT account, name, size FROM objects WHERE (account, name) > (?, ?) ORDER BY account, name LIMIT ?",
            (*last, PAGE),
        ).fetchall()
        yield from ((bytes(account), bytes(name), size) for account, name, size in page)
        if len(page) < PAGE:
            return
        last = page[-1][:2]


def _wrong(
    database: sqlite3.Connection, files: ObjectFiles, account: bytes, name: bytes, size: int, deep: bool
) -> str:  # fmt: skip
    """What is wrong with an object; nothing when it is whole, or was removed in the meantime."""
    row = database.execute(
        f"SELECT length(data), {'data' if deep else 'NULL'}, data IS NULL FROM objects WHERE account = ? AND name = ?",  # noqa: S608
        (account, name),
    ).fetchone()
    if row is None:
        return ""
    length, data, large = row
    try:
        why = _wrong_file(files.path_of(account, name), name, size, deep) if large else ""
    except OSError as error:
        why = "its file is missing" if isinstance(error, FileNotFoundError) else f"cannot be read: {error.strerror}"
    if not large and length != size:
        why = f"{length} bytes instead of {size}"
    elif not large and deep and hashlib.sha256(data).digest() != name:
        why = "its bytes are not what its name says"
    still = database.execute("SELECT 1 FROM objects WHERE account = ? AND name = ?", (account, name)).fetchone()
    return why if still else ""


def _wrong_file(path: Path, name: bytes, size: int, deep: bool) -> str:
    length = path.stat().st_size
    if length != size:
        return f"{length} bytes instead of {size}"
    if not deep:
        return ""
    with path.open("rb") as file:
        whole = hashlib.file_digest(file, "sha256").digest() == name
    return "" if whole else "its bytes are not what its name says"


def _orphans(database: sqlite3.Connection, files: ObjectFiles, settle: float) -> int:
    without = [pair for pair in files.named() if not _known(database, pair)]
    if without:
        time.sleep(settle)
    return sum(1 for pair in without if not _known(database, pair) and files.path_of(*pair).exists())


def _known(database: sqlite3.Connection, pair: tuple[bytes, bytes]) -> bool:
    return database.execute("SELECT 1 FROM objects WHERE account = ? AND name = ?", pair).fetchone() is not None
