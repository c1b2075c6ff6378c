"""Whether a file system keeps the promises that a store builds on, by trying each one in the folder itself.

Some network shares and FUSE mounts grant every lock to everybody, or accept a sync that they do not do for folders. A
store there would be torn by two processes or by a power cut, so it is refused before anything is written.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from strongroom_relay.store.files import sync_folder

FREE_BYTES = 64 * 1024 * 1024
EARLIEST = 1_767_225_600
"""2026-01-01: a clock before it was never set."""

APART_SECONDS = 300.0
"""A folder's server may be this far from this machine's clock: as far as devices may be from a relay."""

SECOND = """
import fcntl, os, sys
descriptor = os.open(sys.argv[1], os.O_RDWR)
for take in (fcntl.flock, fcntl.lockf):
    try:
        take(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        continue
    sys.exit(1)
"""
"""What the second process does: 0 when both kinds of lock are refused to it."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One promise, and what is wrong with it (nothing: it is kept)."""

    promise: str
    wrong: str = ""


def probe(folder: Path) -> list[Finding]:
    """Try everything; leaves nothing behind. Takes a few syncs and a short second process."""
    checks: list[tuple[str, Callable[[Path], str]]] = [
        ("exclusive locks", _locks),
        ("creating without overwriting", _exclusive_creation),
        ("renaming over a file", _renaming),
        ("syncing files and folders", _syncing),
        ("free space", _space),
        ("the clock", _clock),
    ]
    found = []
    with _scratch(folder) as scratch:
        for promise, check in checks:
            try:
                wrong = check(scratch)
            except OSError as error:
                wrong = error.strerror or type(error).__name__
            found.append(Finding(promise, wrong))
    return found


@contextmanager
def _scratch(folder: Path) -> Iterator[Path]:
    scratch = folder / f"probe-{os.urandom(6).hex()}"
    scratch.mkdir(mode=0o700)
    try:
        yield scratch
    finally:
        with suppress(OSError):
            for path in scratch.iterdir():
                path.unlink()
            scratch.rmdir()


def _locks(scratch: Path) -> str:
    import fcntl

    with (scratch / "locked").open("xb") as file:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        second = subprocess.run(
            [sys.executable, "-I", "-S", "-c", SECOND, str(scratch / "locked")],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, timeout=20, check=False,
        )  # fmt: skip
    return "" if second.returncode == 0 else "a second process got a lock that this one holds"


def _exclusive_creation(scratch: Path) -> str:
    path = scratch / "once"
    os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
    try:
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
    except FileExistsError:
        return ""
    return "a file was created twice"


def _renaming(scratch: Path) -> str:
    old, new = scratch / "old", scratch / "new"
    old.write_bytes(b"old")
    new.write_bytes(b"new")
    os.replace(new, old)
    return "" if old.read_bytes() == b"new" and not new.exists() else "it did not replace the file"


def _syncing(scratch: Path) -> str:
    with (scratch / "synced").open("xb") as file:
        _write_through(file)
    sync_folder(scratch)
    return ""


def _write_through(file: BinaryIO) -> None:
    file.write(bytes(4096))
    file.flush()
    os.fsync(file.fileno())


def _space(scratch: Path) -> str:
    found = os.statvfs(scratch)
    free = found.f_bavail * found.f_frsize
    return "" if free >= FREE_BYTES else f"{free // 1024 // 1024} MiB are free"


def _clock(scratch: Path) -> str:
    now = time.time()
    if now < EARLIEST:
        return "this machine's clock was never set"
    path = scratch / "dated"
    path.write_bytes(b"")
    apart = path.stat().st_mtime - now
    return "" if abs(apart) < APART_SECONDS else f"the folder's clock is {apart:+.0f} s from this machine's"
