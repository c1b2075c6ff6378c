"""One thread of a process under strace: the calls it makes on a folder, and the k-th of a kind made to fail or to kill.

`when=k` of strace counts per thread and per kind of call; so does everything here.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

STRACE = shutil.which("strace")
HELD = Path(__file__).resolve().parent / "held.py"

WRITES = ("write", "pwrite64", "writev", "pwritev", "ftruncate", "fallocate")
SYNCS = ("fsync", "fdatasync", "sync_file_range")
NAMES = ("rename", "renameat", "renameat2", "unlink", "unlinkat", "mkdir", "mkdirat", "openat", "link", "linkat")
CALLS = (*WRITES, *SYNCS, *NAMES)
_LINE = re.compile(r"^(?:\d+ +)?(?:\d+\.\d+ )?(\w+)\((.*)$")

WAIT = 60.0


def why_not() -> str:
    """Why no fault can be injected here; empty when it can."""
    if STRACE is None:
        return "strace is not installed: faults cannot be injected"
    tried = subprocess.run([STRACE, "-qq", "-o", os.devnull, "true"], capture_output=True, check=False)
    return "" if tried.returncode == 0 else "this machine allows no tracing: faults cannot be injected"


NOT_HERE = why_not()


@dataclass(frozen=True, slots=True)
class Call:
    """The `number`-th call of its kind in a thread. Only those that change the folder are kept."""

    kind: str
    number: int
    text: str

    @property
    def target(self) -> str:
        """What it works on, for people."""
        return re.sub(r"[0-9a-f]{24,}", "*", " ".join(re.findall(r"[\"<]([^\">]*)[\">]", self.text)[:2]))


@dataclass(frozen=True, slots=True)
class Fault:
    """What happens at a call: SIGKILL before it, or an error instead of it."""

    call: Call
    what: str

    @property
    def option(self) -> str:
        action = "signal=SIGKILL" if self.what == "SIGKILL" else f"error={self.what}"
        return f"inject={self.call.kind}:{action}:when={self.call.number}"

    def __str__(self) -> str:
        return f"{self.what} at {self.call.kind} {self.call.number} ({self.call.target})"


@dataclass(slots=True)
class Traced:
    """A process of `held.py` whose thread is traced from its first instruction; `lines` is what it printed."""

    arguments: Sequence[str]
    log: Path
    fault: Fault | None = None
    lines: list[str] = field(default_factory=list)
    errors: str = ""
    _process: subprocess.Popen[str] | None = None
    _tracer: subprocess.Popen[bytes] | None = None
    _threads: list[threading.Thread] = field(default_factory=list)
    _news: threading.Condition = field(default_factory=threading.Condition)

    def __enter__(self) -> Traced:
        environment = os.environ | {"PYTHONDONTWRITEBYTECODE": "1"}
        self._process = subprocess.Popen(
            [sys.executable, str(HELD), *self.arguments],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment,
        )  # fmt: skip
        self._threads = [threading.Thread(target=read) for read in (self._read_lines, self._read_errors)]
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Nothing of it is left, whatever happened."""
        assert self._process is not None
        if self._process.poll() is None:
            self._process.kill()
            self.wait()

    def wait_for(self, word: str) -> str | None:
        """The last word of the line with `word` in it; None when the process ends before it prints one."""
        with self._news:
            self._news.wait_for(lambda: self._found(word) is not None or self._ended(), WAIT)
            return self._found(word)

    def stop(self) -> int:
        """Ask it to stop; returns its exit status, negative for a signal."""
        assert self._process is not None
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)
        return self.wait()

    def wait(self) -> int:
        """Its exit status, when it ends by itself."""
        assert self._process is not None
        status = self._process.wait(WAIT)
        if self._tracer is not None:
            self._tracer.wait(10)
        for thread in self._threads:
            thread.join(10)
        for pipe in (self._process.stdout, self._process.stderr):
            if pipe is not None:
                pipe.close()
        return status

    @property
    def reached(self) -> bool:
        """Whether the call of the fault was made."""
        text = self.log.read_text() if self.log.exists() else ""
        return "(INJECTED)" in text or "killed by SIGKILL" in text

    def calls(self, folder: Path) -> list[Call]:
        """The calls that the thread made on `folder` and that change something in it."""
        seen: Counter[str] = Counter()
        found = []
        for line in self.log.read_text().splitlines():
            match = _LINE.match(line)
            if match is None:
                continue
            kind, text = match.groups()
            seen[kind] += 1
            reads = kind == "openat" and "O_CREAT" not in text
            if str(folder) in text and not reads:
                found.append(Call(kind, seen[kind], text))
        return found

    def _read_lines(self) -> None:
        assert self._process is not None
        assert self._process.stdout is not None
        for line in self._process.stdout:
            if line.startswith("held "):
                self._trace(line.split()[1])
            with self._news:
                self.lines.append(line.strip())
                self._news.notify_all()
        with self._news:
            self.lines.append("")
            self._news.notify_all()

    def _read_errors(self) -> None:
        assert self._process is not None
        assert self._process.stderr is not None
        self.errors = self._process.stderr.read()

    def _trace(self, thread: str) -> None:
        assert STRACE is not None
        options = ["-e", f"trace={','.join('?' + call for call in CALLS)}"]
        if self.fault is not None:
            options += ["-e", self.fault.option]
        self._tracer = subprocess.Popen(
            [STRACE, "-qq", "-y", "-s", "0", "-o", str(self.log), *options, "-p", thread],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip

    def _found(self, word: str) -> str | None:
        return next((line.split()[-1] for line in self.lines if word in line), None)

    def _ended(self) -> bool:
        return bool(self.lines) and self.lines[-1] == ""
