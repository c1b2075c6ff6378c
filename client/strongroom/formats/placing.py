"""Putting an export into place as a whole: a folder that looks complete is complete (docs/formats.md)."""

from __future__ import annotations

import contextlib
import fcntl
import glob
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from strongroom_protocol.errors import InvalidArgument

_LOCK = "strongroom-export.lock"


@contextmanager
def placed(target: Path, is_ours: Callable[[Path], bool]) -> Iterator[Path]:
    """A new folder that becomes `target`, or takes its place, when the context ends well; else it is removed.

    `is_ours` tells whether a folder is an export and nothing else, which may be replaced. Raises InvalidArgument when
    `target` is something else.
    """
    _require_free(target, is_ours)
    target.parent.mkdir(parents=True, exist_ok=True)
    _remove_leftovers(target)
    work = Path(tempfile.mkdtemp(prefix=f".{target.name}.", dir=target.parent))
    lock = os.open(work / _LOCK, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
    fcntl.flock(lock, fcntl.LOCK_EX)
    try:
        new = work / "new"
        (new / "chats").mkdir(parents=True)
        yield new
        if target.exists():
            target.rename(work / "old")
        new.rename(target)
        _sync_folder(target.parent)
    finally:
        _discard(work)
        os.close(lock)


def _require_free(target: Path, is_ours: Callable[[Path], bool]) -> None:
    if target.is_symlink() or (target.exists() and not target.is_dir()):
        raise InvalidArgument("the target is not a folder", hint="name a new folder")
    if target.exists() and any(target.iterdir()) and not is_ours(target):  # spec: IMP-12
        raise InvalidArgument("the target folder holds other files", hint="name a new folder, or a previous export")


def _remove_leftovers(target: Path) -> None:
    """Remove what exports to this target left that were killed: folders with our lock in them that nobody holds."""
    for folder in target.parent.glob(f".{glob.escape(target.name)}.*"):
        try:
            lock = os.open(folder / _LOCK, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)
        except OSError:
            with contextlib.suppress(OSError):
                folder.rmdir()  # killed before there was a lock: it is empty, or not ours
            continue
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            _discard(folder)
        except BlockingIOError:
            pass
        finally:
            os.close(lock)


def _discard(work: Path) -> None:
    """Remove a folder of ours, the lock last: what a kill in between leaves is known for ours the next time."""
    with contextlib.suppress(OSError):
        for path in work.iterdir():
            if path.name != _LOCK:
                shutil.rmtree(path, ignore_errors=True)
        (work / _LOCK).unlink(missing_ok=True)
        work.rmdir()


def _sync_folder(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
