"""The first backup of an app's SQLite database into a folder vault, and the same again: seconds and memory.

    python benchmarks/first_backup.py [--messages 1000000] [--conversations 200] [--order time|conversation] [--profile]

The database is made once by the project's corpus generator and kept in the temporary folder. Printed are a bare
`SELECT *` in one process, the first backup with its last fsync, the same import again, and the highest memory of all
processes together (PSS, where the system tells). Nothing is stretched: what opens the account is a random secret.
"""

from __future__ import annotations

import argparse
import asyncio
import cProfile
import pstats
import secrets
import sqlite3
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

from corpus import Corpus
from strongroom import account
from strongroom.columns import Columns
from strongroom.importing import import_columns
from strongroom.session import Session
from strongroom.transport import open_transport
from strongroom_protocol.keys.secrets import UnlockSecret
from strongroom_protocol.keys.slots import Unlock
from strongroom_protocol.manifest.slots import Kdf, SlotKind
from strongroom_protocol.rows.model import Kind

SCHEMA = """
CREATE TABLE messages (
    id INTEGER PRIMARY KEY, conversation TEXT NOT NULL, sender TEXT NOT NULL, ts INTEGER NOT NULL, kind TEXT NOT NULL,
    text TEXT, media TEXT, reply_to INTEGER, reactions TEXT);
CREATE INDEX messages_of ON messages (conversation, ts);
CREATE INDEX messages_at ON messages (ts);
"""
KINDS = {"text": Kind.TEXT.value, "image": Kind.MEDIA.value}
ORDERS = {"time": "ORDER BY id", "conversation": "ORDER BY conversation, ts"}
FETCH_ROWS = 8_192


def database(messages: int, conversations: int) -> Path:
    """The file, made when it is not there."""
    path = Path(tempfile.gettempdir()) / f"strongroom-first-backup-{messages}-{conversations}.db"
    if not path.exists():
        half = path.with_suffix(".half")
        half.unlink(missing_ok=True)
        with sqlite3.connect(half) as made:
            made.executescript(SCHEMA)
            rows = Corpus(conversations=conversations).messages(messages)
            made.executemany(
                "INSERT INTO messages VALUES (?, ?, ?, ?, ?, ?, NULL, NULL, NULL)",
                (
                    (int(row.id or 0), chat, row.sender, row.time, "image" if row.kind else "text", row.text)
                    for chat, row in rows
                ),
            )
        made.close()
        half.rename(path)
    return path


def chunks(path: Path, order: str) -> Iterator[Columns]:
    """What an app would write: its columns, a few thousand rows at a time."""
    source = sqlite3.connect(f"file:{path}?mode=ro", uri=True)
    cursor = source.execute(
        f"SELECT conversation, ts, id, sender, kind, text FROM messages {ORDERS[order]}"  # noqa: S608 - fixed text
    )
    while rows := cursor.fetchmany(FETCH_ROWS):
        conversation, times, ids, senders, kinds, texts = zip(*rows, strict=True)
        del rows
        yield Columns(
            conversation=conversation, time=times, id=ids, sender=senders,
            kind=list(map(KINDS.__getitem__, kinds)), text=texts,
        )  # fmt: skip
    source.close()


def select_all(path: Path) -> float:
    """Seconds of reading every row in one process and doing nothing with it."""
    start = time.perf_counter()
    source = sqlite3.connect(f"file:{path}?mode=ro", uri=True)
    for _ in source.execute("SELECT * FROM messages"):
        pass
    source.close()
    return time.perf_counter() - start


class Memory:
    """The highest sum of PSS of this process and its children, in MB, looked at every 50 ms."""

    def __init__(self) -> None:
        self.peak = 0.0
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> Memory:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._stop.wait(0.05):
            self.peak = max(self.peak, sum(map(_pss, _family())) / 1e6)


def _family() -> list[Path]:
    tasks = Path("/proc/self/task").glob("*/children")
    try:
        children = [Path("/proc", pid) for task in tasks for pid in task.read_text().split()]
    except OSError:
        children = []
    return [Path("/proc/self"), *children]


def _pss(process: Path) -> int:
    try:
        lines = (process / "smaps_rollup").read_text().splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith("Pss:")), 0)


async def session_in(folder: Path) -> Session:
    """A new account in a new folder vault."""
    keys = Unlock(SlotKind.RECOVERY, UnlockSecret(secrets.token_bytes(32)))

    def opener(name: str, salt: bytes, kdf: Kdf) -> Unlock:
        return keys

    relay = f"file://{folder / 'store'}"
    transport = await open_transport(relay, create=True)
    return await account.create(
        folder / "device", transport, relay=relay, name="bench", device_name="bench", openers=[(opener, "code")]
    )


async def run(path: Path, order: str, profile: bool, times: int) -> None:
    for _ in range(times):
        with tempfile.TemporaryDirectory() as folder:
            session = await session_in(Path(folder))
            for what in ("first backup", "the same again"):
                watch = cProfile.Profile()
                with Memory() as memory:
                    start = time.perf_counter()
                    if profile:
                        watch.enable()
                    added = await import_columns(session, chunks(path, order))
                    watch.disable()
                    seconds = time.perf_counter() - start
                print(
                    f"{what:15s} {seconds:6.2f} s  {memory.peak:6.1f} MB  "
                    f"{sum(added.written.values()):,} written, {added.known:,} known, {added.commits} commits"
                )
                if profile:
                    pstats.Stats(watch).sort_stats("tottime").print_stats(25)
            stored = sum(file.stat().st_size for file in (Path(folder) / "store").rglob("*") if file.is_file())
            print(f"at the relay    {stored / 1e6:6.1f} MB, {len((await session.snapshot()).root.runs)} runs")
            await session.transport.close()
            session.state.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--messages", type=int, default=1_000_000)
    parser.add_argument("--conversations", type=int, default=200)
    parser.add_argument("--order", choices=ORDERS, default="time")
    parser.add_argument("--times", type=int, default=1)
    parser.add_argument("--profile", action="store_true")
    given = parser.parse_args()
    path = database(given.messages, given.conversations)
    select_all(path)
    print(
        f"SELECT *        {select_all(path):6.2f} s  {given.messages:,} messages, {given.conversations} conversations"
    )
    asyncio.run(run(path, given.order, given.profile, given.times))


if __name__ == "__main__":
    main()
