"""The embedded store: one SQLite database, and files for large objects, with group commit.

One thread writes. It takes all that is waiting, runs each piece in a savepoint, commits once with a full sync and only
then lets anybody know. A commit or sync that fails acknowledges nothing and turns the store read-only: what a failed
sync left behind is not known, so nothing is ever tried again on top of it. A full disk, or a lock that another process
holds, only fails what was asked.
"""

from __future__ import annotations

import asyncio
import contextlib
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
from strongroom_relay.store.connection import connect, disk_problem, is_busy
from strongroom_relay.store.files import ObjectFiles
from strongroom_relay.store.schema import migrate

T = TypeVar("T")
Work = Callable[[sqlite3.Connection], T]
GROUP = 256
READERS = 2


class EmbeddedStore:
    """The database and files under one folder. `folder_vault` is for USB disks and network shares."""

    def __init__(self, folder: Path, *, folder_vault: bool = False) -> None:
        self.folder = folder
        self._broken = self._closed = False
        self.files = ObjectFiles(folder, self._break)
        self._lock = lock(folder)
        self._journal = "DELETE" if folder_vault else "WAL"
        self._jobs: queue.SimpleQueue[tuple[Work[Any], Future[Any]] | None] = queue.SimpleQueue()
        self._local = threading.local()
        self._readers = ThreadPoolExecutor(READERS, thread_name_prefix="relay-read")
        self._connections: list[sqlite3.Connection] = []
        self._peeking: sqlite3.Connection | None = None
        try:
            database = self._connect()
            try:
                migrate(database)
                self.files.remove_unfinished()
            except BaseException:
                database.close()
                raise
        except BaseException:
            os.close(self._lock)
            raise
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
        try:
            if self._peeking is None:
                self._peeking = self._connect()
            return work(self._peeking)
        except sqlite3.DatabaseError as error:
            raise disk_problem(error) from error

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

    def _reading(self, work: Work[T]) -> T:
        database = getattr(self._local, "database", None)
        try:
            if database is None:
                database = self._local.database = self._connect()
                self._connections.append(database)
            return work(database)
        except sqlite3.DatabaseError as error:
            raise disk_problem(error) from error

    def _connect(self) -> sqlite3.Connection:
        return connect(self.folder, self._journal)

    def _break(self) -> None:
        self._broken = True

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
        if self._journal == "WAL" and not self._broken:
            with contextlib.suppress(sqlite3.Error):  # what is in the log only is read from there at the next start
                database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        database.close()

    def _write_group(self, database: sqlite3.Connection, jobs: list[tuple[Work[Any], Future[Any]]]) -> None:
        if not jobs:
            return
        results: list[tuple[Future[Any], Any, BaseException | None]] = []
        try:
            self._require_whole()
            database.execute("BEGIN IMMEDIATE")
            for work, future in jobs:
                results.append((future, *_attempt(database, work)))
            self._require_whole()
            database.execute("COMMIT")
        except Exception as error:
            problem = error if isinstance(error, ProblemError) else disk_problem(error)
            self._abandon(database, problem, is_busy(error))
            for _, future in jobs:
                future.set_exception(problem)
            return
        for future, value, failed in results:
            if failed is None:
                future.set_result(value)
            else:
                future.set_exception(failed)

    def _require_whole(self) -> None:
        """Before the work, and once more after it: a sync in the work itself, or of an upload beside it, may fail."""
        if self._broken:  # spec: LIFE-15
            raise ProblemError(Problem.UNAVAILABLE)

    def _abandon(self, database: sqlite3.Connection, problem: ProblemError, busy: bool) -> None:
        try:
            if database.in_transaction:
                database.execute("ROLLBACK")
        except sqlite3.Error:
            self._broken = True
        if problem.problem is not Problem.DISK_FULL and not busy:  # spec: LIFE-8
            self._broken = True


def _attempt(database: sqlite3.Connection, work: Work[T]) -> tuple[T | None, BaseException | None]:
    database.execute("SAVEPOINT job")
    try:
        value = work(database)
    except Exception as error:
        if isinstance(error, sqlite3.DatabaseError) and not isinstance(error, sqlite3.IntegrityError):
            raise  # the whole group fails: the database, not this piece of work, is in trouble
        database.execute("ROLLBACK TO job")
        database.execute("RELEASE job")
        return None, error
    database.execute("RELEASE job")
    return value, None


def lock(folder: Path) -> int:
    """Take the folder for this process; closing the descriptor gives it back. Raises VaultLocked."""
    descriptor = os.open(folder / "lock", os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        os.close(descriptor)
        raise VaultLocked("another process is using this relay folder") from error
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor
