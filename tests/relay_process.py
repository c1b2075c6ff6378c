"""A real relay in its own process: `with RelayProcess(folder) as relay: … relay.url, relay.token …`."""

from __future__ import annotations

import subprocess
import sys
import threading
from pathlib import Path
from types import TracebackType
from urllib.parse import urlsplit

START_SECONDS = 20.0


class RelayProcess:
    """Starts at `start` (or `with`), stops with SIGTERM at `stop`; `kill` is SIGKILL. The folder outlives it."""

    def __init__(self, folder: Path, *arguments: str, port: int = 0, open_registration: bool = False) -> None:
        self.folder = folder
        self.arguments = [*arguments, *(["--open-registration"] if open_registration else [])]
        self.listen = f"127.0.0.1:{port}"
        self.url = ""
        self.token = ""
        self.witness = ""
        self.log = ""
        self.prefix: list[str] = []  # what it is to run under
        self._process: subprocess.Popen[str] | None = None
        self._readers: list[threading.Thread] = []

    @property
    def authority(self) -> str:
        """host:port."""
        return urlsplit(self.url).netloc

    @property
    def address(self) -> tuple[str, int]:
        parts = urlsplit(self.url)
        return parts.hostname or "", parts.port or 0

    @property
    def pid(self) -> int:
        return self._running().pid

    def start(self) -> RelayProcess:
        """Start and wait until the relay says where it listens."""
        command = [*self.prefix, sys.executable, "-m", "strongroom_relay.cli", "serve", "--data", str(self.folder)]
        self._process = process = subprocess.Popen(
            [*command, "--listen", self.listen, *self.arguments],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        ready = threading.Event()
        self.log = ""
        self._readers = [
            threading.Thread(target=self._read_stdout, args=(ready,), daemon=True),
            threading.Thread(target=self._read_stderr, daemon=True),
        ]
        for reader in self._readers:
            reader.start()
        if not ready.wait(START_SECONDS) or process.poll() is not None:
            self.kill()
            raise RuntimeError(f"the relay did not start:\n{self.log}")
        return self

    def stop(self) -> int:
        """SIGTERM; returns the exit status."""
        process = self._running()
        process.terminate()
        return self.wait(30)

    def kill(self) -> None:
        """SIGKILL: nothing is finished."""
        self._running().kill()
        self.wait(10)

    def __enter__(self) -> RelayProcess:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._process is not None:
            self.stop()

    def _running(self) -> subprocess.Popen[str]:
        if self._process is None:
            raise RuntimeError("the relay is not running")
        return self._process

    def wait(self, seconds: float = 30.0) -> int:
        """Wait for its end; returns the exit status."""
        process = self._running()
        try:
            status = process.wait(seconds)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            raise
        finally:
            for reader in self._readers:
                reader.join(5)
            for pipe in (process.stdout, process.stderr):
                if pipe is not None:
                    pipe.close()
            self._process = None
        return status

    def _read_stdout(self, ready: threading.Event) -> None:
        pipe = self._running().stdout
        assert pipe is not None
        for line in pipe:
            word = line.split()[-1] if line.split() else ""
            if "listening on" in line:
                self.url = word
                self.listen = urlsplit(word).netloc  # a second start uses the same port
                threading.Timer(0.05, ready.set).start()  # the token line follows at once, when there is one
            elif "registration token" in line:
                self.token = word
            elif "witness:" in line:
                self.witness = word
        ready.set()

    def _read_stderr(self) -> None:
        pipe = self._running().stderr
        assert pipe is not None
        for line in pipe:
            self.log += line
