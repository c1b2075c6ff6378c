"""Progress on stderr, only where a person is watching."""

from __future__ import annotations

import sys
import time
from types import TracebackType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from strongroom.records import Progress


class Meter:
    """One line that moves: a count, or done of all. Silent when stderr is not a terminal."""

    def __init__(self, what: str, unit: str) -> None:
        self._what = what
        self._unit = unit
        self._shown = 0.0
        self._on = sys.stderr.isatty()

    def on(self, progress: Progress) -> None:
        """Show a step of the SDK."""
        self.to(progress.done, progress.total)

    def to(self, done: int, total: int | None = None) -> None:
        """Show that `done` (of `total`) is reached."""
        now = time.monotonic()
        if self._on and (now - self._shown > 0.1 or done == total):
            self._shown = now
            of = f" of {total:,} ({100 * done // max(total, 1)} %)" if total is not None else ""
            sys.stderr.write(f"\r\x1b[K{self._what}: {done:,}{of} {self._unit}")
            sys.stderr.flush()

    def __enter__(self) -> Meter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._on:
            sys.stderr.write("\r\x1b[K")
