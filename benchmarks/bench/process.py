"""Running one thing that is measured: its time from start to exit, its last byte on the disk, its memory."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]

SAMPLE_S = (0.02, 0.2)
"""Between two looks at the memory, at first and after some seconds: a look costs a millisecond that is then missing."""


class Failed(Exception):
    """A subject could not do what a row asks; the text says why."""


@dataclass(slots=True)
class Sample:
    """One run: seconds from start to exit with the sync of `target`, highest memory in MB, what it printed."""

    seconds: float
    peak_mb: float
    output: str
    part_mb: float = 0.0
    """Of that, the processes with `part` in their command line."""

    @property
    def json(self) -> dict[str, Any]:
        """The last line, which a subject prints as an object."""
        found: dict[str, Any] = json.loads(self.output.strip().splitlines()[-1])
        return found


def timed(
    command: Sequence[str | Path], *, cwd: Path | None = None, env: Mapping[str, str] | None = None,
    target: Path | None = None, allowed: tuple[int, ...] = (0,), part: str = "",
) -> Sample:  # fmt: skip
    """Run a command to its end and make the files below `target` durable. Raises Failed with what it said."""
    os.sync()  # what others have left to be written is not this one's time
    start = time.perf_counter()
    with (
        subprocess.Popen(
            [str(word) for word in command], cwd=cwd, env={**os.environ, **(env or {})}, text=True,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        ) as process,
        Memory(process.pid, part) as memory,
    ):  # fmt: skip
        output, errors = process.communicate()
    if target is not None:
        sync_tree(target)
    seconds = time.perf_counter() - start
    if process.returncode not in allowed:
        said = (errors.strip() or output.strip()).splitlines()[-1:] or ["nothing"]
        raise Failed(f"{Path(str(command[0])).name} ended with {process.returncode}: {said[0][:200]}")
    return Sample(seconds, memory.peak_mb, output, memory.part_mb)


def shell(script: str, *arguments: str | Path, **more: Any) -> Sample:
    """The same for a pipeline of bash; `arguments` are $1, $2, …"""
    return timed(["bash", "-c", f"set -o pipefail; {script}", "bash", *arguments], **more)


def ours(module: str, *arguments: str | Path, **more: Any) -> Sample:
    """The same for a module of this project, with this Python."""
    path = os.pathsep.join([str(ROOT / "benchmarks"), str(ROOT / "tests")])
    return timed([sys.executable, "-m", module, *arguments], env={"PYTHONPATH": path}, **more)


def sync_tree(folder: Path) -> None:
    """Every file and folder below is on the disk when this returns."""
    for place, _, names in os.walk(folder):
        for name in (".", *names):
            path = os.path.join(place, name)
            if not os.path.islink(path) and (name == "." or os.path.isfile(path)):
                descriptor = os.open(path, os.O_RDONLY)
                try:
                    os.fsync(descriptor)
                finally:
                    os.close(descriptor)


def size_of(folder: Path) -> int:
    """Bytes in the files below."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


class Memory:
    """The highest sum of PSS of a process and all that it started, in MB. Where /proc does not tell, it is 0."""

    def __init__(self, pid: int, part: str = "") -> None:
        self.peak_mb = self.part_mb = 0.0
        self._pid = pid
        self._part = part.encode()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> Memory:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _watch(self) -> None:
        start, pause = time.perf_counter(), SAMPLE_S[0]
        while not self._stop.wait(pause):
            pause = min(max(SAMPLE_S[0], (time.perf_counter() - start) / 20), SAMPLE_S[1])
            found = {pid: _pss(pid) / 1e6 for pid in _family(self._pid)}
            self.peak_mb = max(self.peak_mb, sum(found.values()))
            if self._part:
                of_part = (size for pid, size in found.items() if self._part in _words(pid))
                self.part_mb = max(self.part_mb, sum(of_part))


def _words(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""


def _family(pid: int) -> Iterator[int]:
    yield pid
    try:
        tasks = list(Path(f"/proc/{pid}/task").glob("*/children"))
        children = [int(child) for task in tasks for child in task.read_text().split()]
    except OSError:
        return
    for child in children:
        yield from _family(child)


def _pss(pid: int) -> int:
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith("Pss:")), 0)


def alternating(subjects: Sequence[str], rounds: int) -> Iterator[tuple[int, str]]:
    """Subjects of every round, each second round backwards: what drifts during a run is nobody's advantage."""
    for number in range(rounds):
        yield from ((number, name) for name in (subjects if number % 2 == 0 else list(reversed(subjects))))
