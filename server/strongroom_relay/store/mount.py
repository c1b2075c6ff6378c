"""Which file system a vault folder was last tried on, and what happens on one that is not fit for it."""

from __future__ import annotations

import os
import sqlite3
from contextlib import suppress
from pathlib import Path

from strongroom_protocol.errors import InvalidArgument
from strongroom_relay.store.embedded import EmbeddedStore
from strongroom_relay.store.probe import probe

SETTING = "tried-on"
"""The number of the mounted file system that was found fit last. Another mount of a disk may get another number."""


def require_sound(folder: Path) -> None:
    """Try the file system. Raises InvalidArgument; a folder that was made for it is removed again."""
    made = not folder.exists()
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    wrong = [f"{finding.promise}: {finding.wrong}" for finding in probe(folder) if finding.wrong]
    if wrong:
        if made:
            with suppress(OSError):
                folder.rmdir()
        raise InvalidArgument(
            f"that folder's file system is not fit for a vault ({'; '.join(wrong)})",
            hint="use a folder on a local disk, or run strongroom-relay on the machine that has the disk",
        )


async def require_known(store: EmbeddedStore, *, tried: bool) -> None:
    """Try the file system when it is another one than last time: a vault folder may be carried to a share.

    `tried`: it was, just now. Raises InvalidArgument.
    """
    now = str(os.stat(store.folder).st_dev).encode()
    if await store.read(_last) == now:
        return
    if not tried:
        await store.in_thread(lambda: require_sound(store.folder))
    await store.write(lambda database: _remember(database, now))


def _last(database: sqlite3.Connection) -> bytes | None:
    row = database.execute("SELECT value FROM settings WHERE name = ?", (SETTING,)).fetchone()
    return None if row is None else bytes(row[0])


def _remember(database: sqlite3.Connection, found: bytes) -> None:
    database.execute("INSERT OR REPLACE INTO settings VALUES(?, ?)", (SETTING, found))
