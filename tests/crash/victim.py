"""The process that is killed: it counts what it does to disks inside a phase and kills itself at the k-th thing.

Counted are SQL statements, syncs, renames, removals and files opened for writing, of the client and, with a vault in a
folder, of the relay in the same process.
"""

from __future__ import annotations

import os
import signal
import sqlite3
import sys
from collections.abc import Callable
from typing import Any


class Counter:
    """Things done so far; `kill_at` is the one that is the last (0: never)."""

    def __init__(self, kill_at: int) -> None:
        self.done = 0
        self.kill_at = kill_at
        self.on = False

    def tick(self) -> None:
        if self.on:
            self.done += 1
            if self.done == self.kill_at:
                os.kill(os.getpid(), signal.SIGKILL)


def install(counter: Counter) -> None:
    """Count from now on, in this process, for good: it was forked for this."""
    for name in ("fsync", "fdatasync", "replace", "rename", "unlink", "remove"):
        setattr(os, name, _counted(getattr(os, name), counter))
    connect = sqlite3.connect

    def connected(*given: Any, **options: Any) -> sqlite3.Connection:
        database: sqlite3.Connection = connect(*given, **options)
        database.set_trace_callback(lambda _: counter.tick())
        return database

    sqlite3.connect = connected  # type: ignore[assignment]
    writing = os.O_WRONLY | os.O_RDWR

    def heard(event: str, given: tuple[Any, ...]) -> None:
        if event == "open" and isinstance(given[2], int) and given[2] & writing:
            counter.tick()

    sys.addaudithook(heard)


def _counted(call: Callable[..., Any], counter: Counter) -> Callable[..., Any]:
    def counted(*given: Any, **options: Any) -> Any:
        counter.tick()  # before it, so that the thing itself may be missing
        return call(*given, **options)

    return counted
