"""The files of large objects: written and synced under a temporary name, then renamed to the object's.

A sync that failed is never tried again: the system may have dropped what it could not write, and a second sync, of
nothing, would succeed. So the first failure calls `failed`, and the store acknowledges nothing more (LIFE-8).
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator
from pathlib import Path

from strongroom_protocol.relay_api.problems import Problem, ProblemError
from strongroom_relay.store.connection import disk_problem

UNCACHED_BYTES = 4 * 1024 * 1024
"""Files from this size on leave the page cache once they are stored: parts of media, which are seldom read soon."""


class ObjectFiles:
    """The folder `objects` of a store."""

    def __init__(self, folder: Path, failed: Callable[[], None]) -> None:
        self.folder = folder / "objects"
        self._failed = failed
        self._known: set[Path] = set()
        made = not folder.exists()
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        if made:
            sync_folder(folder.parent)

    def path_of(self, account: bytes, name: bytes) -> Path:
        """Where an object's file is."""
        return self.folder / name.hex()[:2] / f"{account.hex()}.{name.hex()}"

    def temporary(self) -> Path:
        """A name for a file being written."""
        return self.folder / f"upload-{os.urandom(12).hex()}"

    def sync(self, descriptor: int) -> None:
        """fsync of a written file. Raises ProblemError."""
        try:
            os.fsync(descriptor)
        except OSError as error:
            self._failed()
            raise ProblemError(Problem.UNAVAILABLE) from error
        if hasattr(os, "posix_fadvise") and os.fstat(descriptor).st_size >= UNCACHED_BYTES:
            os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)

    def place(self, temporary: Path, account: bytes, name: bytes) -> None:
        """Make a synced temporary file the object's: renamed, its folders synced, before any row names it."""
        path = self.path_of(account, name)
        try:
            path.parent.mkdir(exist_ok=True, mode=0o700)
            os.replace(temporary, path)
        except OSError as error:
            raise disk_problem(error) from error
        try:
            sync_folder(path.parent)
            # Once in each run, whoever made it: a run before this one may have ended between making and syncing it.
            if path.parent not in self._known:
                sync_folder(self.folder)
                self._known.add(path.parent)
        except OSError as error:
            self._failed()
            raise ProblemError(Problem.UNAVAILABLE) from error

    def remove_unfinished(self) -> None:
        """Uploads that never became objects, at the start."""
        for left in self.folder.glob("upload-*"):  # spec: LIFE-12
            left.unlink(missing_ok=True)

    def named(self) -> Iterator[tuple[bytes, bytes]]:
        """Account and name of every file that is an object's, whether a row names it or not."""
        for path in self.folder.glob("??/*.*"):
            account, _, name = path.name.partition(".")
            with contextlib.suppress(ValueError):
                yield bytes.fromhex(account), bytes.fromhex(name)


def sync_folder(folder: Path) -> None:
    """fsync of a directory, so that a rename in it survives a crash."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
