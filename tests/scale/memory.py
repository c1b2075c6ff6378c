"""The memory of processes: what they take at most, sampled from /proc while they run.

Shared pages count by their share (PSS), so that a client and its worker process are not told the same libraries twice.
Between two samples something may be missed: `maxrss` is what the kernel saw of the largest single process.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any

MB = 1_000_000
PAUSE_S = 0.01
TESTS = Path(__file__).resolve().parents[1]


@dataclass(slots=True)
class Peak:
    """In MB: sums of PSS and of RSS over a process and all that it started, each at its highest."""

    pss: float = 0.0
    rss: float = 0.0
    maxrss: float = 0.0
    """Of the largest single process, by the kernel's own account; 0 when it has not ended."""
    most: list[float] = field(default_factory=list)
    """PSS of each process at the highest sum, the first one first."""


class Watch:
    """Samples a process and its children: `with Watch(pid) as watch: …; watch.peak`."""

    def __init__(self, pid: int) -> None:
        self.peak = Peak()
        self._pid = pid
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Watch:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        while True:
            sizes = [_sizes(pid) for pid in family(self._pid)]
            pss, rss = (sum(column) / MB for column in zip(*sizes, strict=True))
            self.peak.rss = max(self.peak.rss, rss)
            if pss > self.peak.pss:
                self.peak.pss, self.peak.most = pss, [size / MB for size, _ in sizes]
            if self._stop.wait(PAUSE_S):
                return


@dataclass(frozen=True, slots=True)
class Ran:
    """A process that has ended well: its memory and the object it printed."""

    peak: Peak
    printed: dict[str, Any]


def run(module: str, *arguments: str | Path) -> Ran:
    """Run a module of the tests in a fresh interpreter to its end, watched."""
    path = os.pathsep.join([str(TESTS), str(TESTS.parent / "benchmarks")])
    process = subprocess.Popen(
        [sys.executable, "-m", module, *map(str, arguments)], stdout=subprocess.PIPE, text=True,
        env={**os.environ, "PYTHONPATH": path},
    )  # fmt: skip
    with Watch(process.pid) as watch:
        assert process.stdout is not None
        with process.stdout:
            output = process.stdout.read()
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == 0, f"{module} ended with {process.returncode}"
    unit = 1 if sys.platform == "darwin" else 1024
    watch.peak.maxrss = usage.ru_maxrss * unit / MB
    return Ran(watch.peak, json.loads(output.splitlines()[-1]))


def family(pid: int) -> Iterator[int]:
    """A process and all that it started and that still runs.

    One that is only being started has its parent's memory, not a copy of it (vfork), and is told by its command line.
    """
    yield pid
    try:
        lists = [path.read_text() for path in Path(f"/proc/{pid}/task").glob("*/children")]
    except OSError:  # it has ended meanwhile
        return
    for child in map(int, " ".join(lists).split()):
        if _command(child) != _command(pid):
            yield from family(child)


def _command(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""


def _sizes(pid: int) -> Sequence[int]:
    """PSS and RSS in bytes; 0 of a process that has ended."""
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()[1:]
    except OSError:
        return 0, 0
    found = {name: int(size.split()[0]) * 1024 for name, _, size in (line.partition(":") for line in lines)}
    return found.get("Pss", 0), found.get("Rss", 0)
