"""Any client, driven by the protocol of PROTOCOL.md: one process a command, bounded in time, measured in memory."""

from __future__ import annotations

import json
import os
import shlex
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

COMMANDS = ("init", "login", "append", "restore", "verify", "status")
KILLED = -1
"""Exit code of a command that did not end in its time."""

MEASURED = Path(__file__).with_name("measured.py")
OUTPUT_BYTES = 16 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a command ended: exit code, the JSON it printed, seconds, and the most memory it had at a time (MiB)."""

    exit: int
    said: dict[str, Any] = field(default_factory=dict)
    seconds: float = 0.0
    memory: int = 0
    complaint: str = ""
    """What was wrong with its output, if anything."""


@dataclass(frozen=True, slots=True)
class Secrets:
    """What a person types."""

    account: str
    passphrase: str


@dataclass(slots=True)
class Client:
    """A client's adapter: `command` is run with a command of the protocol and its arguments."""

    command: Sequence[str]
    deadline: float = 3.0
    """Seconds after which a client should give up on a request, when it can be told."""

    @classmethod
    def parse(cls, text: str) -> Client:
        """From a shell-like line; a lone path to a Python file is run with this Python."""
        words = shlex.split(text)
        return cls([sys.executable, *words] if words and words[0].endswith(".py") else words)

    def run(
        self, verb: str, *arguments: str, relay: str, vault: Path, secrets: Secrets, text: str = "", seconds: float = 60
    ) -> Outcome:
        """One command. Whatever it starts ends with it."""
        environment = dict(os.environ) | {
            "CONFORMANCE_RELAY": relay,
            "CONFORMANCE_VAULT": str(vault),
            "CONFORMANCE_ACCOUNT": secrets.account,
            "CONFORMANCE_PASSPHRASE": secrets.passphrase,
            "CONFORMANCE_DEADLINE": str(self.deadline),
        }
        with tempfile.TemporaryDirectory() as folder, _file() as out, _file() as err, _file() as given:
            given.write(text.encode())
            given.seek(0)
            used = Path(folder) / "used"
            # Isolated and without site packages: it starts in no time, and its own memory is little.
            measured = [sys.executable, "-I", "-S", str(MEASURED), str(used), *self.command, verb, *arguments]
            process = subprocess.Popen(
                measured, env=environment, stdin=given, stdout=out, stderr=err, start_new_session=True
            )
            began = time.monotonic()
            try:
                process.wait(seconds)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
                return Outcome(KILLED, {}, round(time.monotonic() - began, 2))
            if not used.exists():
                raise ValueError(f"the client cannot be run: {_last_line(err)}")
            code, took, peak = json.loads(used.read_text())
            said, complaint = _json(out)
            if code != 0 and not complaint:
                complaint = _last_line(err)
        return Outcome(code, said, round(took, 2), peak // 1024, complaint)


def _file() -> IO[bytes]:
    return tempfile.TemporaryFile()


def _json(out: Any) -> tuple[dict[str, Any], str]:
    out.seek(0)
    data = out.read(OUTPUT_BYTES + 1)
    if len(data) > OUTPUT_BYTES:
        return {}, "endless output"
    try:
        found = json.loads(data.decode().strip().splitlines()[-1])
    except (ValueError, IndexError):
        return {}, "no JSON object on the last line of stdout"
    return (found, "") if isinstance(found, dict) else ({}, "the JSON on stdout is no object")


def _last_line(err: Any) -> str:
    err.seek(0, os.SEEK_END)
    err.seek(max(0, err.tell() - 4096))
    lines = [line for line in err.read().decode(errors="replace").splitlines() if line.strip()]
    return next((line for line in reversed(lines) if not line.startswith("hint:")), "")[:200]
