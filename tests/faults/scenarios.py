"""Processes that a fault strikes, and what must hold after it, whatever it was and wherever.

Each scenario makes a folder (`prepare`), runs a traced process on it (`run`), and then, with nothing repaired, looks at
what a fresh process finds (`check`): all that was acknowledged is there and whole, what was not is absent or whole, a
client that repeats itself is done exactly once, `doctor` (its checks) finds nothing, and nothing is left over.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from faults.story import Step, Story, ask, authenticated, play
from faults.traced import SYNCS, Fault, Traced
from relay_process import RelayProcess
from server.account_builder import Account, name_of
from strongroom.transport.base import Transport
from strongroom.transport.http import HttpTransport
from strongroom.transport.inprocess import open_folder
from strongroom_protocol.errors import NotFound, StrongroomError
from strongroom_protocol.manifest.head import parse_head
from strongroom_relay.store.beside import beside
from strongroom_relay.store.files import ObjectFiles
from strongroom_relay.store.health import check

T = TypeVar("T")
SWEPT_SECONDS = 60.0
"""Long enough for a machine that does much else; a run without a fault ends as soon as it is done."""

ROOM = ("write", "pwrite64", "rename", "mkdir")
"""Calls that a full disk fails without anybody having to doubt what was written before."""


@dataclass(slots=True)
class Run:
    """What one run left: its folder, what it acknowledged, and what a first start printed as token."""

    folder: Path
    process: Traced
    acknowledged: list[Step] = field(default_factory=list)
    token: str = ""
    status: int = 0
    started: bool = False
    refused: bool = False
    recovered: bool = False
    """Something was acknowledged after something was refused."""

    def answered(self, step: Step, done: bool) -> None:
        if done:
            self.acknowledged.append(step)
            self.recovered = self.recovered or self.refused
        else:
            self.refused = True


class Work:
    """A relay serves the story; then SIGTERM."""

    name = "work"
    threads = ("main", "relay-write", "relay-read")
    options: tuple[str, ...] = ("--open-registration",)
    expected: tuple[str, ...] = ("register", "small", "large", "first", "later", "second")

    def __init__(self, base: Path) -> None:
        self.base = base
        self.template = base / "template"
        with RelayProcess(self.template, *self.options) as relay:
            info = with_transport(HttpTransport(relay.url), lambda transport: transport.relay_info())
        self.story = Story.make(info.receipt_key)
        self.prepare()

    def prepare(self) -> None:
        """Make more of the template."""

    def run(self, thread: str, fault: Fault | None) -> Run:
        folder = self.base / "run"
        shutil.rmtree(folder, ignore_errors=True)
        shutil.copytree(self.template, folder)
        log = self.base / "strace.log"
        log.unlink(missing_ok=True)
        with Traced([thread, *self.command(folder)], log, fault) as process:
            run = Run(folder, process)
            self.use(run)
            run.status = self.end(process)
        return run

    def end(self, process: Traced) -> int:
        return process.stop()

    def command(self, folder: Path) -> list[str]:
        return ["serve", "--data", str(folder), "--listen", "127.0.0.1:0", *self.options]

    def use(self, run: Run) -> None:
        url = run.process.wait_for("listening")
        if url is not None:
            run.started = True
            with_transport(HttpTransport(url), lambda transport: self.ask(run, transport))

    async def ask(self, run: Run, transport: Transport) -> None:
        """What the client does, and that the process that met the fault still reads what it acknowledged."""
        await play(self.story, self.story.steps, transport, run.answered)
        try:
            await self.look(run, transport)
        except StrongroomError:
            fault = run.process.fault
            assert fault is not None, "no fault, and yet what was acknowledged cannot be read"
            assert fault.what == "SIGKILL" or fault.call.kind == "openat", f"{fault}: reading does not go on"

    def require_answers(self, run: Run, thread: str, fault: Fault) -> None:
        """After a sync that failed nothing is acknowledged any more; a disk that was full once is written to again."""
        if fault.call.kind in SYNCS:
            assert not run.recovered, "acknowledged after a failed sync"
        if fault.what == "ENOSPC" and fault.call.kind in ROOM and thread != "main":
            assert set(self.expected) <= {step.label for step in run.acknowledged}, "refused although there was room"

    def check(self, run: Run) -> None:
        with RelayProcess(run.folder, *self.options) as relay:
            with_transport(HttpTransport(relay.url), lambda transport: self.after(run, transport))
            assert relay.log == "", relay.log
        self.require_clean(run.folder)

    async def after(self, run: Run, transport: Transport) -> None:
        authenticated(self.story, transport)
        await self.look(run, transport)
        for step in self.story.steps:
            await ask(self.story, step, transport)
        await self.require(transport, self.story.steps, absent=())

    async def look(self, run: Run, transport: Transport) -> None:
        """Acknowledged steps are there and whole, others whole or not there at all."""
        story, done = self.story, run.acknowledged
        try:
            head = await transport.head(story.account, None)
        except NotFound:
            assert not done, "an acknowledged account is gone"
            return
        version = parse_head(head.head, account=story.account).version
        assert parse_head(head.head, account=story.account).hash == story.heads[version - 1]
        commits = sum(1 for step in done if not isinstance(step.what, bytes))
        asked = sum(1 for step in [*story.steps, story.last] if not isinstance(step.what, bytes))
        assert commits <= version <= asked
        for step in [*story.steps, story.last]:
            for data in step.objects:
                (found,) = await transport.read(story.account, [(name_of(data), 0, 0)])
                assert found == data or (found is None and step not in done), f"an object of {step.label!r}"

    async def require(self, transport: Transport, steps: list[Step], absent: tuple[bytes, ...]) -> None:
        """Exactly these steps have happened, each once."""
        story = self.story
        objects = {name_of(data): data for step in steps for data in step.objects if name_of(data) not in absent}
        found = await transport.read(story.account, [(name, 0, 0) for name in objects])
        assert found == list(objects.values())
        usage = await transport.usage(story.account)
        assert (usage.stored, usage.objects) == (sum(map(len, objects.values())), len(objects))
        head = parse_head((await transport.head(story.account, None)).head, account=story.account)
        commits = sum(1 for step in steps if not isinstance(step.what, bytes))
        assert (head.version, head.hash) == (commits, story.heads[commits - 1])

    def require_clean(self, folder: Path) -> None:
        with beside(folder) as database:
            health = check(database, ObjectFiles(folder, lambda: None), deep=True)
        assert health.sound, health
        assert health.orphans == 0
        assert not list((folder / "objects").glob("upload-*"))


class Sweep(Work):
    """A relay that was killed starts, removes what is due and what a crash left, and takes one more commit."""

    name = "sweep"
    options = ("--open-registration", "--window-days", "0")
    expected = ("third",)

    def prepare(self) -> None:
        relay = RelayProcess(self.template, *self.options).start()
        story = self.story
        with_transport(HttpTransport(relay.url), lambda transport: play(story, story.steps, transport, lambda *_: None))
        relay.kill()
        objects = self.template / "objects"
        (objects / "upload-0123456789abcdef01234567").write_bytes(b"half an upload")
        (objects / "ab").mkdir(exist_ok=True)
        (objects / "ab" / f"{story.account.hex()}.{'ab' * 32}").write_bytes(b"a file whose row was never committed")

    async def ask(self, run: Run, transport: Transport) -> None:
        authenticated(self.story, transport)
        run.acknowledged += [step for step in self.story.steps if step.label != "large"]
        try:
            await self.swept(run, transport, SWEPT_SECONDS if run.process.fault is None else 0.3)
            await play(self.story, [self.story.last], transport, run.answered)
            await self.look(run, transport)
        except StrongroomError:
            assert run.process.fault is not None
            assert run.process.fault.what == "SIGKILL" or run.process.fault.call.kind == "openat"

    async def swept(self, run: Run, transport: Transport, seconds: float) -> None:
        """Wait until the dropped object is gone, and what the crash left."""
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            there = await transport.read(self.story.account, [(self.story.dropped, 0, 0)]) != [None]
            if not there and not self._files(run.folder):  # files go after their rows
                return
            await asyncio.sleep(0.01)

    def _files(self, folder: Path) -> list[Path]:
        """Of those to be removed the ones that are there."""
        patterns = (f"*.{self.story.dropped.hex()}", f"*.{'ab' * 32}", "upload-*")
        return [path for pattern in patterns for path in (folder / "objects").rglob(pattern)]

    async def after(self, run: Run, transport: Transport) -> None:
        authenticated(self.story, transport)
        await self.look(run, transport)
        await ask(self.story, self.story.last, transport)
        await self.swept(run, transport, SWEPT_SECONDS)
        await self.require(transport, [*self.story.steps, self.story.last], (self.story.dropped,))


class FirstStart(Work):
    """A relay starts in an empty folder."""

    name = "first-start"
    options = ()

    def prepare(self) -> None:
        shutil.rmtree(self.template)
        self.template.mkdir()

    def require_answers(self, run: Run, thread: str, fault: Fault) -> None:
        """Nobody asks it anything."""

    def use(self, run: Run) -> None:
        run.token = run.process.wait_for("registration token") or ""

    def check(self, run: Run) -> None:
        with RelayProcess(run.folder) as relay:
            token = run.token or relay.token or relay_command("token", "--data", str(run.folder)).stdout.strip()

            async def register(transport: Transport) -> None:
                account = Account("anna", (await transport.relay_info()).receipt_key)
                await transport.register(account.registration(token))

            with_transport(HttpTransport(relay.url), register)
        self.require_clean(run.folder)


class Folder(Work):
    """A client writes into a vault folder."""

    name = "folder-vault"

    def __init__(self, base: Path) -> None:
        self.base, self.template = base, base / "template"
        info = folder_transport(self.template, lambda transport: transport.relay_info(), create=True)
        self.story = Story.make(info.receipt_key)
        self.story.save(base / "story")

    def end(self, process: Traced) -> int:
        return process.wait()

    def command(self, folder: Path) -> list[str]:
        return ["folder", str(folder), str(self.base / "story")]

    def use(self, run: Run) -> None:
        run.process.wait_for("ended")
        for word, label in [line.split() for line in run.process.lines if line.startswith(("acknowledged", "refused"))]:
            run.started = True
            run.answered(next(step for step in self.story.steps if step.label == label), word == "acknowledged")

    def check(self, run: Run) -> None:
        folder_transport(run.folder, lambda transport: self.after(run, transport))
        self.require_clean(run.folder)

    def require_clean(self, folder: Path) -> None:
        relay_command("gc", "--data", str(folder))  # a vault folder has no relay that would sweep it
        super().require_clean(folder)


SCENARIOS: dict[str, type[Work]] = {kind.name: kind for kind in (Work, Sweep, FirstStart, Folder)}


def with_transport(transport: HttpTransport, work: Callable[[Transport], Coroutine[Any, Any, T]]) -> T:
    async def run() -> T:
        try:
            return await work(transport)
        finally:
            await transport.close()

    return asyncio.run(run())


def folder_transport(
    folder: Path, work: Callable[[Transport], Coroutine[Any, Any, T]], *, create: bool = False
) -> T:  # fmt: skip
    async def run() -> T:
        transport = await open_folder(folder, create=create)
        try:
            return await work(transport)
        finally:
            await transport.close()

    return asyncio.run(run())


def relay_command(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "strongroom_relay.cli", *arguments],
        capture_output=True, text=True, timeout=60, check=False, env=os.environ,
    )  # fmt: skip
