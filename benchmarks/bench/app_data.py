"""What a chat app has on its disk: a SQLite file of messages and a folder of media. Seeded, cached between runs."""

from __future__ import annotations

import json
import os
import random
import shutil
import sqlite3
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any, NamedTuple

from corpus import SPAN_MS, START_MS, Corpus

VERSION = 2
"""Of what is written here; a cached folder of another version is made anew."""

BLOCK = 50_000
"""Messages that one process draws at a time."""

BLOCK_SLACK = 1.05
"""Time between blocks, as a multiple of what a block takes on average: five standard deviations, so none overlap."""

SCHEMA = """
CREATE TABLE chats (id TEXT PRIMARY KEY, title TEXT NOT NULL, kind TEXT NOT NULL);
CREATE TABLE media (id INTEGER PRIMARY KEY, path TEXT NOT NULL, mime TEXT NOT NULL, size INTEGER NOT NULL);
CREATE TABLE messages (
    id INTEGER PRIMARY KEY, chat TEXT NOT NULL, sender TEXT NOT NULL, ts INTEGER NOT NULL, kind TEXT NOT NULL,
    text TEXT, media INTEGER, reply_to INTEGER, reactions TEXT);
CREATE INDEX messages_of_chat ON messages (chat, ts);
CREATE INDEX messages_by_time ON messages (ts);
"""
DatabaseRow = tuple[Any, ...]
"""A row of `messages`, in the order of its columns."""

_MESSAGE = "INSERT INTO messages VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)"


class Size(NamedTuple):
    """How much there is of everything."""

    messages: int
    media_bytes: int
    conversations: int


SIZES = {
    "tiny": Size(2_000, 2_000_000, 20),
    "S": Size(100_000, 200_000_000, 200),
    "M": Size(1_000_000, 1_000_000_000, 200),
    "L": Size(10_000_000, 0, 5_000),
}


class AppData:
    """`chat.db`, `media/`, and appends of 100 newer messages; made by `make` where they are not there yet."""

    def __init__(self, folder: Path, size: Size, seed: int = 1) -> None:
        self.folder = folder
        self.size = size
        self.seed = seed
        self.database = folder / "chat.db"
        self.media = folder / "media"

    @classmethod
    def read(cls, folder: Path) -> AppData:
        """What an earlier `make` wrote."""
        made = json.loads((folder / "made.json").read_text())
        return cls(folder, Size(*(made[name] for name in Size._fields)), made["seed"])

    def make(self, *, processes: int | None = None) -> None:
        """Write what is missing. A folder that another version or size has made is replaced."""
        wanted = json.dumps({"version": VERSION, "seed": self.seed, **self.size._asdict()})
        mark = self.folder / "made.json"
        if mark.exists() and mark.read_text() == wanted:
            return
        if self.folder.exists() and any(self.folder.iterdir()) and not mark.exists():
            raise SystemExit(f"{self.folder} has files that are not of this benchmark: choose another --out")
        shutil.rmtree(self.folder, ignore_errors=True)
        self.media.mkdir(parents=True)
        self._write_database(processes)
        sizes = list(_media_sizes(self.size.media_bytes, self.seed))
        with ProcessPoolExecutor(processes) as pool:
            paths = [str(self.media / media_path(number)) for number in range(len(sizes))]
            list(pool.map(_write_file, paths, sizes, range(len(sizes)), chunksize=16))
        mark.write_text(wanted)

    def files(self) -> list[Path]:
        """The media files in order of their numbers."""
        return sorted(path for path in self.media.rglob("*") if path.is_file())

    def media_bytes(self) -> int:
        return sum(path.stat().st_size for path in self.files())

    def newer(self, number: int, count: int = 100) -> list[DatabaseRow]:
        """Rows for `messages`, later than all that is there: the `number`-th lot, the same at every call."""
        step = SPAN_MS // self.size.messages
        block = 1 + self.size.messages // BLOCK + number
        first = self.size.messages + number * count
        start = START_MS + int((self.size.messages + number * 2 * count) * step * BLOCK_SLACK)
        corpus = Corpus(
            conversations=self.size.conversations, seed=self.seed, step_ms=step, block=block, first_id=first,
            start_ms=start,
        )  # fmt: skip
        return _rows(corpus, count, len(self.files()) or 1, self.size.messages)

    def _write_database(self, processes: int | None) -> None:
        count, step = self.size.messages, SPAN_MS // self.size.messages
        blocks = range(0, count, BLOCK)
        sizes = list(_media_sizes(self.size.media_bytes, self.seed)) or [1]
        parts = [
            _Part(self.size.conversations, self.seed, step, place, first, min(BLOCK, count - first), len(sizes), count)
            for place, first in enumerate(blocks)
        ]
        with closing(sqlite3.connect(self.database)) as made, ProcessPoolExecutor(processes) as pool:
            made.execute("PRAGMA synchronous = OFF")
            made.executescript(SCHEMA)
            made.executemany(
                "INSERT INTO chats VALUES (?, ?, ?)",
                (
                    (ident, f"Chat {place}", "direct" if len(people) == 2 else "group")
                    for place, (ident, people, _) in enumerate(
                        Corpus(conversations=self.size.conversations, seed=self.seed).chats
                    )
                ),
            )
            made.executemany(
                "INSERT INTO media VALUES (?, ?, ?, ?)",
                ((number, media_path(number), _mime(number), size) for number, size in enumerate(sizes)),
            )
            for rows in pool.map(_block, parts):
                made.executemany(_MESSAGE, rows)
            made.commit()


class _Part(NamedTuple):
    """A block of messages to draw, of `messages` that show `files` in all."""

    conversations: int
    seed: int
    step: int
    place: int
    first: int
    rows: int
    files: int
    messages: int


def append(database: Path, rows: list[DatabaseRow]) -> None:
    """Put newer messages into a copy of the database, as an app does: one transaction."""
    with closing(sqlite3.connect(database)) as opened, opened:
        opened.executemany(_MESSAGE, rows)


def media_path(number: int) -> str:
    """Where the file with this number lies in the media folder."""
    return f"{number % 64:02x}/{number:06d}.{'jpg' if _mime(number) == 'image/jpeg' else 'mp4'}"


def _mime(number: int) -> str:
    return "image/jpeg" if number % 4 else "video/mp4"


def _block(part: _Part) -> list[DatabaseRow]:
    start = START_MS + int(part.place * BLOCK * part.step * BLOCK_SLACK)
    corpus = Corpus(
        conversations=part.conversations, seed=part.seed, step_ms=part.step, block=part.place, first_id=part.first,
        start_ms=start,
    )  # fmt: skip
    return _rows(corpus, part.rows, part.files, part.messages)


def _rows(corpus: Corpus, count: int, files: int, messages: int) -> list[DatabaseRow]:
    found: list[DatabaseRow] = []
    for chat, row in corpus.messages(count):
        extras = corpus.extras()
        number = int(row.id or 0)
        # Neighbours share a file, as forwarded ones do: there are fewer files than messages that show one.
        media = min((number - 1) * files // messages, files - 1) if row.kind else None
        reactions = json.dumps(extras.reactions, ensure_ascii=False) if extras.reactions else None
        kind = "media" if row.kind else "text"
        found.append((number, chat, row.sender, row.time, kind, row.text, media, extras.reply_to, reactions))
    return found


def _media_sizes(total: int, seed: int) -> Iterator[int]:
    """Lognormal with median 150 KB and sigma 1.3, and 0.8 % videos of 5 to 50 MB; the last file fills up."""
    draw = random.Random(seed + 99)
    while total > 0:
        video = draw.random() < 0.008
        size = draw.uniform(5e6, 50e6) if video else max(2e3, min(5e6, draw.lognormvariate(11.918, 1.3)))
        size = min(int(size), total)
        total -= size
        yield size


def _write_file(path: str, size: int, number: int) -> None:
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "wb") as file:
        file.write(random.Random(number).randbytes(size))
