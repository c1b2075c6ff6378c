"""The embedded store: one SQLite database, and files for large objects, with group commit.

One thread writes. It takes all that is waiting, runs each piece in a savepoint, commits once with a full sync and only
then lets anybody know. A commit that fails acknowledges nothing and turns the store read-only: what a failed sync left
behind is not known, so nothing is ever tried again on top of it.
"""

from __future__ import annotations

import asyncio
import errno
import fcntl
import os
import queue
import sqlite3
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

from strongroom_protocol.errors import VaultLocked
from strongroom_protocol.relay_api.problems import Problem, ProblemError
from strongroom_relay.store.schema import migrate

T = TypeVar("T")
Work = Callable[[sqlite3.Connection], T]
GROUP = 256
READERS = 2


class EmbeddedStore:
    """The database and files under one folder. `folder_vault` is for USB disks and network shares."""

    def __init__(self, folder: Path, *, folder_vault: bool = False) -> None:
        self.folder = folder
        (folder / "objects").mkdir(parents=True, exist_ok=True, mode=0o700)
        self._lock = self._exclusive()
        self._journal = "DELETE" if folder_vault else "WAL"
        self._jobs: queue.SimpleQueue[tuple[Work[Any], Future[Any]] | None] = queue.SimpleQueue()
        self._broken = self._closed = False
        self._local = threading.local()
        self._readers = ThreadPoolExecutor(READERS, thread_name_prefix="relay-read")
        self._connections: list[sqlite3.Connection] = []
        self._peeking: sqlite3.Connection | None = None
        try:
            database = self._connect()
            try:
                migrate(database)
            except BaseException:
                database.close()
                raise
        except BaseException:
            os.close(self._lock)
            raise
        for left in (folder / "objects").glob("upload-*"):  # spec: LIFE-12
            left.unlink(missing_ok=True)
        self._writer = threading.Thread(target=self._write_loop, args=(database,), name="relay-write", daemon=True)
        self._writer.start()

    async def write(self, work: Work[T]) -> T:
        """Run `work` in a transaction; returns when it is durable. Raises what `work` raises, ProblemError else."""
        if self._closed:
            raise ProblemError(Problem.UNAVAILABLE)
        future: Future[T] = Future()
        self._jobs.put((work, future))
        return await asyncio.wrap_future(future)

    async def read(self, work: Work[T]) -> T:
        """Run `work` on a connection of a reader thread."""
        return await asyncio.get_running_loop().run_in_executor(self._readers, self._reading, work)

    async def peek(self, work: Work[T]) -> T:
        """A read of one or two rows. With a write-ahead log it never waits for the writer, so no thread is asked."""
        if self._journal != "WAL":
            return await self.read(work)
        if self._peeking is None:
            self._peeking = self._connect()
        return work(self._peeking)

    async def in_thread(self, work: Callable[[], T]) -> T:
        """Run file work in a reader thread."""
        return await asyncio.get_running_loop().run_in_executor(self._readers, work)

    def close(self) -> None:
        """Finish what is queued and close."""
        self._closed = True
        self._jobs.put(None)
        self._writer.join()
        self._readers.shutdown()
        for database in [*self._connections, *([self._peeking] if self._peeking else [])]:
            database.close()
        os.close(self._lock)

    def path_of(self, account: bytes, name: bytes) -> Path:
        """The file of a large object."""
        return self.folder / "objects" / name.hex()[:2] / f"{account.hex()}.{name.hex()}"

    def place(self, temporary: Path, account: bytes, name: bytes) -> None:
        """Make a written and synced temporary file the object's: rename and sync the folders, before any row names it.

        Called by the writer only, as removals are: so no removal can hit a file that was just placed.
        """
        path = self.path_of(account, name)
        try:
            made = not path.parent.exists()
            path.parent.mkdir(exist_ok=True, mode=0o700)
            os.replace(temporary, path)
            sync_folder(path.parent)
            if made:
                sync_folder(path.parent.parent)
        except OSError as error:
            raise disk_problem(error) from error

    def temporary(self) -> Path:
        """A name for a file being written."""
        return self.folder / "objects" / f"upload-{os.urandom(12).hex()}"

    def _reading(self, work: Work[T]) -> T:
        database = getattr(self._local, "database", None)
        if database is None:
            database = self._local.database = self._connect()
            self._connections.append(database)
        return work(database)

    def _connect(self) -> sqlite3.Connection:
        database = sqlite3.connect(self.folder / "relay.db", isolation_level=None, check_same_thread=False)
        os.chmod(self.folder / "relay.db", 0o600)
        database.execute(f"PRAGMA journal_mode = {self._journal}")
        # EXTRA also syncs the folder when a rollback journal is removed; with FULL a power cut could undo a commit.
        database.execute("PRAGMA synchronous = EXTRA")  # spec: LIFE-11
        database.execute("PRAGMA busy_timeout = 10000")
        database.execute("PRAGMA secure_delete = ON")
        return database

    def _exclusive(self) -> int:
        descriptor = os.open(self.folder / "lock", os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            os.close(descriptor)
            raise VaultLocked("another process is using this relay folder") from error
        return descriptor

    def _write_loop(self, database: sqlite3.Connection) -> None:
        ended = False
        while not ended:
            jobs = [self._jobs.get()]
            while len(jobs) < GROUP and not self._jobs.empty():
                jobs.append(self._jobs.get())
            ended = None in jobs
            # Whoever gave up waiting is skipped; from here on nobody can.
            running = []
            for job in jobs:
                if job is None or not job[1].set_running_or_notify_cancel():  # spec: LIFE-13
                    continue
                running.append(job)
            self._write_group(database, running)
        database.close()

    def _write_group(self, database: sqlite3.Connection, jobs: list[tuple[Work[Any], Future[Any]]]) -> None:
        if not jobs:
            return
        results: list[tuple[Future[Any], Any, BaseException | None]] = []
        try:
            if self._broken:
                raise ProblemError(Problem.UNAVAILABLE)
            database.execute("BEGIN IMMEDIATE")
            for work, future in jobs:
                results.append((future, *_attempt(database, work)))
            database.execute("COMMIT")
        except Exception as error:
            problem = error if isinstance(error, ProblemError) else disk_problem(error)
            self._abandon(database, problem)
            for _, future in jobs:
                future.set_exception(problem)
            return
        for future, value, failed in results:
            if failed is None:
                future.set_result(value)
            else:
                future.set_exception(failed)

    def _abandon(self, database: sqlite3.Connection, problem: ProblemError) -> None:
        try:
            if database.in_transaction:
                database.execute("ROLLBACK")
        except sqlite3.Error:
            self._broken = True
        if problem.problem is not Problem.DISK_FULL:  # spec: LIFE-8
            self._broken = True


def _attempt(database: sqlite3.Connection, work: Work[T]) -> tuple[T | None, BaseException | None]:
    database.execute("SAVEPOINT job")
    try:
        value = work(database)
    except sqlite3.OperationalError:
        raise  # the whole group fails: the database, not this piece of work, is in trouble
    except Exception as error:
        database.execute("ROLLBACK TO job")
        database.execute("RELEASE job")
        return None, error
    database.execute("RELEASE job")
    return value, None


def disk_problem(error: Exception) -> ProblemError:
    """DISK_FULL when that is what happened, else UNAVAILABLE."""
    full = isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT)
    full = full or getattr(error, "sqlite_errorcode", 0) & 0xFF == sqlite3.SQLITE_FULL
    return ProblemError(Problem.DISK_FULL if full else Problem.UNAVAILABLE)


def sync_folder(folder: Path) -> None:
    """fsync of a directory, so that a rename in it survives a crash."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
