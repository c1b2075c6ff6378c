"""Another process's connection to a folder that a relay may be serving: for `doctor`, `backup`, `cat` and `token`.

With a write-ahead log readers hold nobody up, and a short write waits for its turn, so these verbs work while the relay
runs. A vault folder has a rollback journal: there a reader would stop the writer, so the folder is taken for the time.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from strongroom_protocol.errors import UpgradeRequired
from strongroom_relay.store.connection import DATABASE, connect
from strongroom_relay.store.embedded import lock
from strongroom_relay.store.schema import MIGRATIONS


@contextmanager
def beside(folder: Path) -> Iterator[sqlite3.Connection]:
    """The folder's database. Raises FileNotFoundError, UpgradeRequired, VaultLocked (a vault folder in use)."""
    held = lock(folder) if is_folder_vault(folder) else None
    try:
        with closing(connect(folder, None)) as database:
            (version,) = database.execute("PRAGMA user_version").fetchone()
            if version > len(MIGRATIONS):
                raise UpgradeRequired(f"store version {version} is newer than {len(MIGRATIONS)}")
            if version < len(MIGRATIONS):
                raise FileNotFoundError("no relay of this version has run in that folder: start it there once")
            yield database
    finally:
        if held is not None:
            os.close(held)


def is_folder_vault(folder: Path) -> bool:
    """Whether a store is a vault folder's, by the header of its database. Raises FileNotFoundError where none is.

    To be asked before this process opens the database: closing any descriptor of it would drop SQLite's own locks.
    """
    try:
        with (folder / DATABASE).open("rb") as file:
            header = file.read(20)
    except FileNotFoundError as error:
        raise FileNotFoundError("there is no relay in that folder") from error
    return header[18:20] != LOG


LOG = bytes([2, 2])
"""File format versions in a database's header (https://sqlite.org/fileformat.html): 2 is a write-ahead log."""
