"""One run: the data, a folder for everything that is made, the subjects, and helpers that every row uses."""

from __future__ import annotations

import os
import shutil
import sqlite3
import sys
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

from bench.app_data import AppData
from bench.peers import Peer
from bench.process import Failed, Sample, alternating, ours, timed
from bench.results import OURS, Results

ROUNDS = 3


@dataclass(slots=True)
class World:
    """`work` is empty at the start and on the disk that is measured; `peers` are those that are here.

    Commits in a running client end with the first of `commits` and `commit_seconds`.
    """

    data: AppData
    work: Path
    peers: tuple[Peer, ...]
    results: Results
    rounds: int = ROUNDS
    commits: int = 1000
    commit_seconds: float = 60.0
    relay_seconds: float = 3.0
    relay_objects: int = 500

    @property
    def subjects(self) -> tuple[str, ...]:
        return (OURS, *(peer.name for peer in self.peers))

    def peer(self, name: str) -> Peer:
        return next(peer for peer in self.peers if peer.name == name)

    def place(self, subject: str, what: str) -> Path:
        """A new folder with the app's own files in `app`: a copy of the database, links to the media."""
        place = self.work / subject.replace(" ", "-") / what
        shutil.rmtree(place, ignore_errors=True)
        app = place / "app"
        app.mkdir(parents=True)
        shutil.copy(self.data.database, app / "chat.db")
        shutil.copytree(self.data.media, app / "media", copy_function=os.link)
        return place

    def kept(self, subject: str, what: str) -> Path:
        """The same folder as an earlier row left it. Raises Failed when that row failed."""
        place = self.work / subject.replace(" ", "-") / what
        if not (place / "done").exists():
            raise Failed(f"there is no {what} to work on: it failed before")
        return place

    def each(self, row: str, keys: tuple[str, ...], work: Callable[[str, int], Sample | None], rounds: int = 0) -> None:
        """Do a row's work for every subject in alternating order; a subject that fails is not asked again."""
        for number, subject in alternating(self.subjects, rounds or self.rounds):
            if any(subject in self.results.failures[key] for key in keys):
                continue
            with self.failing(keys, subject):
                sample = work(subject, number)
                if sample is not None:
                    self.results.peak(subject, row, sample.peak_mb)

    @contextmanager
    def failing(self, keys: tuple[str, ...], subject: str) -> Iterator[None]:
        """What goes wrong in here fails the row for this subject and nothing else."""
        try:
            yield
        except (Failed, OSError, ValueError, KeyError, sqlite3.Error) as error:
            self.results.fail(keys, subject, str(error) or type(error).__name__)


def done(place: Path) -> Path:
    """Mark a folder as good for later rows."""
    (place / "done").touch()
    return place


def relay_in(place: Path) -> str:
    """The address of the folder vault there."""
    return f"file://{place}/store"


def account(place: Path, relay: str | None = None) -> None:
    """A new account with the device `place`/device."""
    ours("bench.subject", "create", place / "device", relay or relay_in(place))


def backed_up(place: Path) -> Sample:
    """The messages into the account of that place, as a process from start to exit."""
    return ours("bench.subject", "backup", place / "device", place / "app/chat.db", target=place / "store")


def command_line(*words: str | Path, target: Path | None = None, allowed: tuple[int, ...] = (0,)) -> Sample:
    """The installed command, as a person calls it."""
    program = Path(sys.executable).parent / "strongroom"
    command = [program] if program.exists() else [sys.executable, "-m", "strongroom.cli.main"]
    return timed([*command, *words], target=target, allowed=allowed)


def query_screen(database: Path, chats: int = 200, opened: int = 20, count: int = 50) -> int:
    """The first screen from a restored database; messages found."""
    with closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True)) as found:
        listed = found.execute(
            "SELECT chat, max(ts) AS newest FROM messages GROUP BY chat ORDER BY newest DESC LIMIT ?", (chats,)
        ).fetchall()
        return sum(len(_newest(found, chat, count)) for chat, _ in listed[:opened])


def query_chat(database: Path, count: int = 50) -> int:
    """The newest messages of the busiest chat from a restored database."""
    with closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True)) as found:
        ((chat,),) = found.execute("SELECT chat FROM messages GROUP BY chat ORDER BY count(*) DESC LIMIT 1")
        return len(_newest(found, chat, count))


def _newest(found: sqlite3.Connection, chat: str, count: int) -> list[tuple[object, ...]]:
    return found.execute(
        "SELECT ts, sender, text FROM messages WHERE chat = ? ORDER BY ts DESC LIMIT ?", (chat, count)
    ).fetchall()
