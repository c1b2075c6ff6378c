"""A relay in its own process that counts what it does inside one kind of request and kills itself at the k-th thing.

Counted are SQL statements, syncs, renames, removals, files opened for writing and pieces of bodies while such a request
is under way, and, last of all, that it is done and nobody was told yet.
"""

from __future__ import annotations

import faulthandler
import os
import signal
import sys
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

from aiohttp import web

from crash.victim import Counter, install

START_SECONDS = 20.0
SWEEP = "sweep"
INLINE = 64 * 1024
Call = Callable[..., Any]


def kind_of(request: web.Request) -> str:
    """What kind of request it is; objects by where the relay keeps them."""
    last = request.path.rpartition("/")[2]
    if request.method == "PUT":
        return "put small" if (request.content_length or 0) < INLINE else "put large"
    return {"accounts": "register", "commit": "commit", "read": "read", "missing": "missing", "head": "head"}.get(
        last, "other"
    )


class MortalRelay:
    """Serves `folder` on one port, however often it is killed and started."""

    def __init__(self, folder: Path, *, clock: int | None = None) -> None:
        self.folder = folder
        self.clock = clock  # where it stands still, ms since 1970
        self.url = ""
        self._port = 0
        self._pid = 0
        self._told = 0

    def start(self, kind: str = "", kill_at: int = 0) -> None:
        """Start, and wait until it listens. `kill_at` 0: count only. A relay that sweeps may be dead by then."""
        read, write = os.pipe()
        child = os.fork()
        if not child:
            os.close(read)
            _serve(self.folder, self._port, kind, kill_at, self.clock, write)
        os.close(write)
        self._pid, self._told = child, read
        text = self._until(b"\n")
        if text:
            self.url = text.split()[-1]
            self._port = int(self.url.rpartition(":")[2])
        elif kind != SWEEP:
            raise RuntimeError(f"the relay did not start: status {self._wait()}")

    @property
    def alive(self) -> bool:
        """Whether it runs, or has ended and nobody has looked."""
        return self._pid != 0

    def killed(self) -> bool:
        """Whether it has killed itself; then it is gone and can be started again."""
        pid, status = os.waitpid(self._pid, os.WNOHANG)
        if not pid:
            return False
        self._gone()
        if not (os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL):
            raise RuntimeError(f"the relay ended by itself: status {status}")
        return True

    def stop(self) -> int:
        """SIGTERM and an orderly end, or none when it killed itself meanwhile (-1); the things it has counted."""
        os.kill(self._pid, signal.SIGTERM)
        counted = self._until(b"\n")
        status = self._wait()
        if os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL:
            return -1
        if status:
            raise RuntimeError(f"the relay ended with status {status}")
        return int(counted)

    def show_where(self) -> None:
        """Every thread's stack to stderr, and how the system sees the process."""
        if self._pid:
            print(f"relay: {Path(f'/proc/{self._pid}/status').read_text()[:60]!r}", file=sys.stderr)
            os.kill(self._pid, signal.SIGUSR1)

    def end(self) -> None:
        """Nothing of it is left."""
        if self._pid:
            os.kill(self._pid, signal.SIGKILL)
            self._wait()

    def _wait(self) -> int:
        _, status = os.waitpid(self._pid, 0)
        self._gone()
        return status

    def _gone(self) -> None:
        os.close(self._told)
        self._pid = 0

    def _until(self, end: bytes) -> str:
        text = b""
        while not text.endswith(end) and (byte := os.read(self._told, 1)):
            text += byte
        return text.decode().strip()


def _serve(folder: Path, port: int, kind: str, kill_at: int, clock: int | None, told: int) -> None:
    """The life of the forked process."""
    code = 1
    try:
        faulthandler.register(signal.SIGUSR1)
        counter = Counter(kill_at)
        _watch(counter, kind)
        install(counter)
        _stop_clock(clock)
        sys.stdout = os.fdopen(told, "w")
        from strongroom_relay.cli import main

        try:
            main(["serve", "--data", str(folder), "--listen", f"127.0.0.1:{port}", "--open-registration"])
        except SystemExit as ended:
            code = int(ended.code or 0)
        print(counter.done, flush=True)
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stderr.flush()
        os._exit(code)


def _stop_clock(clock: int | None) -> None:
    if clock is None:
        return
    from strongroom_relay import cli

    def stopped(opened: Call) -> Call:
        def opening(*given: Any, **options: Any) -> Any:
            relay = opened(*given, **options)
            relay.clock = lambda: clock
            return relay

        return opening

    _wrap(cli, "open_relay", stopped)


def _watch(counter: Counter, kind: str) -> None:
    """Count inside requests of one kind, or inside the sweep."""
    from strongroom_relay.http import app, serve
    from strongroom_relay.store.embedded import EmbeddedStore

    under_way = 0

    def watched(guarded: Call) -> Call:
        @web.middleware
        async def watching(request: web.Request, handler: app.Handler) -> web.StreamResponse:
            nonlocal under_way
            if kind_of(request) != kind:
                return await guarded(request, handler)  # type: ignore[no-any-return]
            under_way += 1
            counter.on = True
            try:
                answer: web.StreamResponse = await guarded(request, handler)
                counter.tick()
                return answer
            finally:
                under_way -= 1
                counter.on = under_way > 0

        return watching

    def counted(in_thread: Call) -> Call:
        async def counting(store: EmbeddedStore, work: Callable[[], Any]) -> Any:
            counter.tick()
            return await in_thread(store, work)

        return counting

    def swept(sweep: Call) -> Call:
        async def sweeping(relay: Any) -> Any:
            counter.on = True
            try:
                return await sweep(relay)
            finally:
                counter.on = False

        return sweeping

    _wrap(app, "guarded", watched)
    _wrap(EmbeddedStore, "in_thread", counted)
    if kind == SWEEP:
        _wrap(serve, "sweep", swept)
        _wrap(serve, "sweep_files", swept)


def _wrap(owner: Any, name: str, wrap: Callable[[Call], Call]) -> None:
    """For good: this process was forked for it."""
    setattr(owner, name, wrap(getattr(owner, name)))


def wait_for(done: Callable[[], bool], seconds: float) -> bool:
    """Whether it was done in time."""
    until = time.monotonic() + seconds
    while not done():
        if time.monotonic() > until:
            return False
        time.sleep(0.003)
    return True
