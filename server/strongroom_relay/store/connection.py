"""Connections to the embedded store's database, and what errors of disks and databases mean."""

from __future__ import annotations

import errno
import os
import sqlite3
from pathlib import Path

from strongroom_protocol.relay_api.problems import Problem, ProblemError

DATABASE = "relay.db"
BUSY_SECONDS = 10.0
"""How long a lock that another process holds is waited for (a backup or `token` beside a running relay)."""


def connect(folder: Path, journal: str | None) -> sqlite3.Connection:
    """A connection with the settings that durability needs; `journal` None keeps the mode that the database has."""
    database = sqlite3.connect(folder / DATABASE, isolation_level=None, check_same_thread=False, timeout=BUSY_SECONDS)
    try:
        os.chmod(folder / DATABASE, 0o600)
        if journal is not None:
            database.execute(f"PRAGMA journal_mode = {journal}")
        # EXTRA also syncs the folder when a rollback journal is removed; with FULL a power cut could undo a commit.
        database.execute("PRAGMA synchronous = EXTRA")  # spec: LIFE-11
        database.execute("PRAGMA secure_delete = ON")
    except BaseException:
        database.close()
        raise
    return database


def disk_problem(error: Exception) -> ProblemError:
    """DISK_FULL when that is what happened, else UNAVAILABLE."""
    full = isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT)
    return ProblemError(Problem.DISK_FULL if full or _code(error) == sqlite3.SQLITE_FULL else Problem.UNAVAILABLE)


def is_busy(error: Exception) -> bool:
    """Whether somebody else holds a lock: nothing was written, and trying again later is safe."""
    return _code(error) in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)


def _code(error: Exception) -> int:
    return int(getattr(error, "sqlite_errorcode", None) or 0) & 0xFF
