"""Kills, again and again: a copy of a prepared vault, a phase broken off by SIGKILL, then what must be true after it.

    python tests/crash/harness.py [--kills 300] [--slice K/N] [--seed 1]

Nothing is repaired in between: the next process opens what it finds. The table at the end says how often each phase was
hit, and in how many of its places.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import random
import shutil
import signal
import sqlite3
import sys
import tempfile
import threading
import time
import traceback
from collections import Counter as Tally
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from crash.aftermath import Facts, facts_of, inspect, nothing_left_over
from crash.phases import PHASES, World
from crash.victim import Counter, install
from relay_process import RelayProcess
from strongroom import Vault
from strongroom_protocol.errors import RelayUnreachable
from vaults import Bench, Device, create_at, opener

UNREACHABLE = 14
OPENER = opener(bytes(32))
OVER_HTTP = ("import", "append", "commit", "fold", "upload", "restore", "export")
"""Phases in which a relay of its own is killed, too."""


def main() -> int:
    """Exit code 0 when nothing was lost, doubled, left over or broken."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--kills", type=int, default=330)
    parser.add_argument("--slice", default="1/1", help="K/N: the K-th of N parts of the kills")
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    part, parts = map(int, given.slice.split("/"))
    targets = [(name, "client") for name in PHASES] + [(name, "relay") for name in OVER_HTTP]
    each = -(-given.kills // len(targets))
    failed = 0
    print(f"{'phase':<14}{'killed':<8}{'kills':>6}{'twice':>6}{'places':>8}{'hit':>6}{'seconds':>9}")
    total = 0
    for name, who in targets:
        with tempfile.TemporaryDirectory(prefix="strongroom-crash-") as folder:
            start = time.monotonic()
            run = _Phase(Path(folder), name, who, random.Random(f"{given.seed} {name} {who}"))
            tally = run.go([number for number in range(each) if number % parts == part - 1], each)
            total += tally["kills"]
            failed += tally["failed"]
            print(
                f"{name:<14}{who:<8}{tally['kills']:>6}{tally['twice']:>6}{run.places:>8}{len(run.hit):>6}"
                f"{time.monotonic() - start:>9.1f}",
                flush=True,
            )
    print(f"{total} kills, {failed} with consequences" + (f" (part {given.slice})" if parts > 1 else ""))
    return 1 if failed else 0


class _Phase:
    def __init__(self, folder: Path, name: str, who: str, dice: random.Random) -> None:
        self.folder = folder
        self.name = name
        self.phase = PHASES[name]
        self.http = who == "relay"
        self.dice = dice
        self.hit: set[int] = set()
        self.places = 0
        self.expected = Facts()

    def go(self, numbers: list[int], of: int) -> Tally[str]:
        """Kill once for each number; where, follows from it: the numbers are spread over all places."""
        template = self.folder / "template"
        self._forked(template, lambda world: self.phase.before(world, _ignore), fresh=True)
        control = self._copied("control")
        counter = self._forked(control, self._deed(control))
        self.places = counter.done
        self._forked(control, self._learn)
        self.expected = Facts.read(control / "facts")
        tally: Tally[str] = Tally()
        for number in numbers:
            work = self._copied(f"work{number}")
            place = 1 + (number * max(1, self.places) + self.dice.randrange(max(1, self.places))) // of
            if self._killed(work, place):
                tally["kills"] += 1
                self.hit.add(place)
                if self.dice.random() < 0.3 and self._killed(work, self.dice.randint(1, max(1, self.places))):
                    tally["twice"] += 1
                    tally["kills"] += 1
            try:
                self._forked(work, self._inspect)
                _fork(lambda _, work=work: asyncio.run(nothing_left_over(work)), 0)  # type: ignore[misc]
            except RuntimeError as error:
                tally["failed"] += 1
                print(f"{self.name}: after a kill at {place} of {self.places}: {error}", flush=True)
            shutil.rmtree(work)
        return tally

    def _copied(self, name: str) -> Path:
        shutil.copytree(self.folder / "template", self.folder / name)
        return self.folder / name

    def _deed(self, folder: Path) -> Callable[[World], Awaitable[None]]:
        def note(line: str) -> None:
            with (folder / "journal").open("a") as file:
                file.write(line + "\n")

        return lambda world: self.phase.during(world, note)

    def _killed(self, folder: Path, place: int) -> bool:
        """Run the phase and break it off; whether it was."""
        return self._forked(folder, self._deed(folder), kill_at=place).kill_at == -1

    async def _learn(self, world: World) -> None:
        await world.device.vault.flush()
        (await facts_of(world.device)).write(world.folder / "facts")

    async def _inspect(self, world: World) -> None:
        again = self._deed(world.folder)
        await inspect(world, again, self.expected, reopen=lambda: _world(world.folder, world.url))

    def _forked(
        self, folder: Path, work: Callable[[World], Awaitable[None]], *, kill_at: int = 0, fresh: bool = False
    ) -> Counter:
        """Run `work` on the vault in a process of its own. `kill_at` is -1 in what comes back when it was killed."""
        folder.mkdir(exist_ok=True)
        if not self.http:
            return _fork(lambda counter: asyncio.run(_local(folder, work, counter, fresh=fresh)), kill_at)
        with RelayProcess(folder / "relay", open_registration=True) as server:
            target = server.pid if kill_at else 0
            found = _fork(
                lambda counter: asyncio.run(_remote(folder, server.url, work, counter, target, fresh=fresh)), kill_at
            )
            if kill_at and not _runs(server):
                found.kill_at = -1
            return found


def _fork(work: Callable[[Counter], None], kill_at: int) -> Counter:
    read, write = os.pipe()
    child = os.fork()
    if not child:
        code = 1
        try:
            os.close(read)
            counter = Counter(kill_at)
            work(counter)
            os.write(write, str(counter.done).encode())
            code = 0
        except RelayUnreachable:
            code = UNREACHABLE
        except BaseException:
            traceback.print_exc()
        finally:
            sys.stderr.flush()
            os._exit(code)
    os.close(write)
    with os.fdopen(read) as answer:
        done = answer.read()
    _, status = os.waitpid(child, 0)
    counter = Counter(kill_at)
    if os.WIFSIGNALED(status):
        if os.WTERMSIG(status) != signal.SIGKILL or not kill_at:
            raise RuntimeError(f"ended by signal {os.WTERMSIG(status)}")
        counter.kill_at = -1
    elif (code := os.WEXITSTATUS(status)) not in (0, UNREACHABLE) or (code == UNREACHABLE and not kill_at):
        raise RuntimeError(f"ended with {code}, see above")
    counter.done = int(done or 0)
    return counter


async def _local(folder: Path, work: Callable[[World], Awaitable[None]], counter: Counter, *, fresh: bool) -> None:
    install(counter)
    bench = Bench(folder, opener=OPENER)
    device = await (bench.create() if fresh else bench.reopen("a"))
    counter.on = True
    await work(World(folder, bench, device))
    counter.on = False
    await device.vault._sender.stop()
    bench.close()


async def _remote(
    folder: Path, url: str, work: Callable[[World], Awaitable[None]], counter: Counter, target: int, *, fresh: bool
) -> None:
    world = await (_created(folder, url) if fresh else _world(folder, url))
    dice = random.Random(counter.kill_at)
    request: Callable[..., Any] = world.device.session.transport._ask  # type: ignore[attr-defined]

    async def counted(*given: Any, **options: Any) -> Any:
        counter.done += 1
        if target and counter.done == counter.kill_at:  # while the relay is at it, a little sooner or later
            threading.Timer(dice.random() * 0.006, os.kill, (target, signal.SIGKILL)).start()
        return await request(*given, **options)

    world.device.session.transport._ask = counted  # type: ignore[attr-defined]
    await work(world)
    await world.device.vault.close()


async def _created(folder: Path, url: str) -> World:
    vault = await create_at(url, folder / "a", OPENER)
    return World(folder, Bench(folder, opener=OPENER), Device(vault, vault._session), url)


async def _world(folder: Path, url: str) -> World:
    if url:
        vault = await Vault.open(folder / "a", relay=url)
        return World(folder, Bench(folder, opener=OPENER), Device(vault, vault._session), url)
    bench = Bench(folder, opener=OPENER)
    return World(folder, bench, await bench.reopen("a"))


def _runs(server: RelayProcess) -> bool:
    time.sleep(0.01)
    return server._running().poll() is None


def _ignore(_: str) -> None:
    return None


if __name__ == "__main__":
    sqlite3.enable_callback_tracebacks(True)
    sys.exit(main())
