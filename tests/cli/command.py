"""The command line as a person or a script runs it: a process of its own, in a folder of its own."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

PASSPHRASE = "a quiet harbour keeps old letters"
CHATS = """\
{"type":"conversation","conversation":"family","title":"Family","kind":"group"}
{"type":"message","conversation":"family","id":"1","time":1700000000000,"sender":"ann","text":"Dinner at seven?"}
{"type":"message","conversation":"family","id":"2","time":1700000060000,"sender":"bob","text":"Yes, and bring Eve"}
{"type":"edit","conversation":"family","id":"1","time":1700000000000,"at":1700000070000,"sender":"ann","text":"Eight?"}
{"type":"reaction","conversation":"family","id":"2","time":1700000060000,"sender":"ann","emoji":"👍","at":1700000080000}
{"type":"something-new","conversation":"family","payload":[1,2.50,null]}
{"type":"message","conversation":"work","id":"w1","time":1700000100000,"sender":"eve","text":"The report is ready"}
"""


def noise(count: int, size: int) -> str:
    """Messages that do not compress, `size` random bytes each."""
    return "".join(
        f'{{"type":"message","conversation":"noise","id":"{at}","time":{1700000000000 + at},'
        f'"text":"{os.urandom(size).hex()}"}}\n'
        for at in range(count)
    )


@dataclass(frozen=True, slots=True)
class Run:
    """How a command ended."""

    code: int
    out: str
    err: str

    @property
    def data(self) -> dict[str, Any]:
        """The one JSON object on stdout."""
        found: dict[str, Any] = json.loads(self.out)
        return found


def heed_interrupts() -> None:
    """A shell that starts the suite in the background has SIGINT ignored, and children inherit that."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


class Person:
    """Somebody at a terminal in `folder`, where relative paths lead."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "pw").write_text(PASSPHRASE + "\n")

    def write(self, name: str, text: str) -> str:
        """A file in the folder; returns its name."""
        (self.folder / name).write_text(text)
        return name

    def environment(self, more: dict[str, str] | None = None) -> dict[str, str]:
        kept = {name: value for name, value in os.environ.items() if not name.startswith("STRONGROOM")}
        return kept | {"HOME": str(self.folder), "PYTHONUTF8": "1"} | (more or {})

    def command(self, *arguments: str, tweak: str = "") -> list[str]:
        """The process to start; `tweak` is Python that runs before the entry point."""
        if not tweak:
            return [sys.executable, "-m", "strongroom.cli.main", *arguments]
        return [sys.executable, "-c", f"{tweak}\nfrom strongroom.cli.main import main\nmain()", *arguments]

    def run(
        self, *arguments: str, expect: int | None = 0, tweak: str = "", env: dict[str, str] | None = None,
        limit: Callable[[], None] | None = None,
    ) -> Run:  # fmt: skip
        """Run a verb to its end, `expect` its exit code (None: any). No traceback is ever shown, and errors have their
        form."""
        done = subprocess.run(
            self.command(*arguments, tweak=tweak), cwd=self.folder, env=self.environment(env), capture_output=True,
            text=True, stdin=subprocess.DEVNULL, check=False, timeout=60, preexec_fn=limit,
        )  # fmt: skip
        run = Run(done.returncode, done.stdout, done.stderr)
        assert expect in (None, run.code), run
        assert "Traceback" not in run.out + run.err
        if run.code not in (0, 3, 130, 141) and "verify" not in arguments:
            assert run.err.startswith("strongroom: error: ") or "\nstrongroom: error: " in run.err, run
            assert "\nhint: " in run.err, run
        return run

    def json(self, *arguments: str, expect: int = 0, **more: Any) -> dict[str, Any]:
        """Run a verb with --json."""
        data = self.run(*arguments, "--json", expect=expect, **more).data
        if expect not in (0, 3, 13):
            assert data["exit"] == expect
        return data

    def interrupt(self, *arguments: str, tweak: str, when: Callable[[], bool]) -> Run:
        """Start a verb, send SIGINT as Ctrl-C would as soon as `when` holds."""
        process = subprocess.Popen(
            self.command(*arguments, tweak=tweak), cwd=self.folder, env=self.environment(), text=True,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, preexec_fn=heed_interrupts,
        )  # fmt: skip
        deadline = time.monotonic() + 30
        while not when() and time.monotonic() < deadline and process.poll() is None:
            time.sleep(0.01)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=30)
        return Run(process.returncode, out, err)

    def init(self, relay: str, account: str, *, vault: str = "vault", token: str = "") -> dict[str, Any]:
        """An account; its recovery code is in the file `code-ACCOUNT`."""
        more = ["--registration-token", token] if token else []
        return self.json(
            "init", "--vault", vault, "--relay", relay, "--account", account, "--passphrase-file", "pw",
            "--recovery-code-out", f"code-{account}", *more,
        )  # fmt: skip


def files(folder: Path) -> dict[str, bytes]:
    """Every file under a folder."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}
