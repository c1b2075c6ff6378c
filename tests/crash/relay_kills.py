"""Kills over HTTP: a relay that dies inside a named request while a client lives on, and clients that die there.

    python tests/crash/relay_kills.py [--kills 10] [--slice K/N] [--seed 1]

Nothing is repaired: whoever died is started again on what it finds. The table says, for each place, how often somebody
was killed there, how many things are done there, and how many different ones were hit.
"""

from __future__ import annotations

import argparse
import asyncio
import faulthandler
import os
import random
import shutil
import signal
import sqlite3
import sys
import tempfile
import time
import traceback
from collections.abc import Awaitable, Callable
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from crash import live
from crash.mortal import SWEEP, MortalRelay, wait_for
from crash.victim import Counter, install
from strongroom import Vault
from strongroom_relay.service.objects import sweep, sweep_files
from strongroom_relay.service.relay import open_relay
from strongroom_relay.store.beside import beside
from strongroom_relay.store.files import ObjectFiles
from strongroom_relay.store.health import check

LATER = live.START + 10**12
"""A time at which every upload has expired and every window is over, ms since 1970."""

SECONDS = 40.0
"""Longest that a client and its relay may take, restarts included."""

SWEEP_SECONDS = 0.5
"""How long a relay that was not killed is left alone to sweep."""

CLIENT = "client"
"""Who is killed when it is not the relay inside a kind of request."""

PLACES = (
    ("register", "create"),
    ("put small", "append"),
    ("put large", "upload"),
    ("put large", "bulk import"),
    ("put large", "compaction"),
    ("commit", "append"),
    ("commit", "import"),
    ("commit", "bulk import"),
    ("commit", "fold"),
    ("commit", "upload"),
    ("commit", "compaction"),
    ("missing", "upload"),
    ("read", "restore"),
    ("read", "export"),
    (SWEEP, "gc"),
    *((CLIENT, name) for name in live.DEEDS if name != "gc"),
)
"""Where somebody is killed: inside what, while what is done."""


@dataclass(slots=True)
class Place:
    """One line of the table."""

    inside: str
    deed: str
    folder: Path
    dice: random.Random
    things: int = 0
    kills: int = 0
    twice: int = 0
    hit: set[int] = field(default_factory=set)
    failures: list[str] = field(default_factory=list)
    expected: live.Facts = field(default_factory=live.Facts)

    def prepare(self) -> None:
        """The history before, and what an undisturbed run makes of it."""
        relay = MortalRelay(self.folder / "template" / "relay")
        relay.folder.parent.mkdir(parents=True)
        relay.start()
        try:
            if self.deed != "create":
                _done(_fork(lambda: self._create(relay.url, self.folder / "template")))
            relay.stop()
        finally:
            relay.end()
        control = self._copied("control")
        self.things = self._run(control, 0, 0)
        assert self.things, f"nothing is done inside {self.inside!r} while {self.deed!r}"
        self.expected = self._look(control)
        shutil.rmtree(control)

    def kill(self, number: int, of: int) -> None:
        """Break off one run at the number-th of `of` stretches; every third time somebody dies twice."""
        work = self._copied("work")
        first = 1 + (number * self.things + self.dice.randrange(self.things)) // of
        second = self.dice.randint(1, self.things) if number % 3 == 2 else 0
        try:
            found = self._run(work, first, second)
            self.kills += found
            self.twice += found == 2
            if found:
                self.hit.add(min(first, self.things))
            facts = self._look(work)
            assert facts.messages == self.expected.messages, _difference(facts, self.expected)
            assert facts.export == self.expected.export, "the export is another one"
        except (AssertionError, RuntimeError) as error:
            self.failures.append(f"{self.inside}/{self.deed} at {first}, {second} of {self.things}: {error}")
            kept = self.folder.parent / f"kept-{self.inside}-{self.deed}-{number}".replace(" ", "-")
            shutil.copytree(work, kept, dirs_exist_ok=True)
        shutil.rmtree(work)

    # One run --------------------------------------------------------------------------------------------------------

    def _run(self, work: Path, first: int, second: int) -> int:
        """The deed, broken off at `first` and then at `second` (0: not). Kills; with none asked for, things done."""
        if self.inside == CLIENT:
            return self._run_client(work, first, second)
        relay = MortalRelay(work / "relay", clock=LATER if self.inside == SWEEP else None)
        relay.start(self.inside, first)
        kills = 0
        client = 0
        try:
            if self.inside == SWEEP:
                kills = self._swept(relay, first, second)
            else:
                url = relay.url
                client = _fork(lambda: self._live(url, work))
                status: list[int] = []
                until = time.monotonic() + SECONDS
                while not wait_for(lambda: _ended(client, status), 0.01):
                    if time.monotonic() > until:
                        _show_where(client, relay)
                        raise RuntimeError(f"client and relay do not come to an end; kills so far: {kills}")
                    if relay.alive and relay.killed():
                        kills += 1
                        relay.start(self.inside, second if kills == 1 else 0)
                client = 0
                _done_with(status[0])
            if not relay.alive:
                return kills
            counted = relay.stop()
            if counted < 0:
                return kills + 1
            return kills if first else counted
        finally:
            relay.end()
            if client:
                os.kill(client, signal.SIGKILL)
                os.waitpid(client, 0)

    def _swept(self, relay: MortalRelay, first: int, second: int) -> int:
        """A relay sweeps as soon as it listens. Kills."""
        kills = 0
        while wait_for(relay.killed, SWEEP_SECONDS):
            kills += 1
            relay.start(self.inside, second if kills == 1 else 0)
        return kills

    def _run_client(self, work: Path, first: int, second: int) -> int:
        relay = MortalRelay(work / "relay")
        relay.start()
        kills = 0
        try:
            for at in (first, second) if second else (first,):
                status = _waited(_fork(lambda at=at: self._dying(relay.url, work, at)))  # type: ignore[misc]
                if first and os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL:
                    kills += 1
                else:
                    _done_with(status)
            if kills:
                _done(_fork(lambda: self._resumed(relay.url, work)))
        finally:
            relay.end()  # kill -9 here, too: it has nothing to finish
        return kills if first else int((work / "counted").read_text())

    # Processes of clients -------------------------------------------------------------------------------------------

    async def _create(self, url: str, work: Path) -> None:
        async with await live.made(url, work / "a") as vault:
            await live.DEEDS[self.deed].before(vault)

    async def _live(self, url: str, work: Path) -> None:
        if self.deed == "create":
            vault = await live.made(url, work / "a")
            async with vault:
                await live.take(vault, live.Journal(work / "journal"), live.STEPS[:2])
                await live.until_reached(vault.flush)
            return
        async with await Vault.open(work / "a", relay=url) as vault:
            await live.DEEDS[self.deed].during(vault, work)
            await live.until_reached(vault.flush)

    async def _dying(self, url: str, work: Path, at: int) -> None:
        counter = Counter(at)
        install(counter)
        counter.on = True
        async with await Vault.open(work / "a", relay=url) as vault:
            ask = vault._session.transport._ask  # type: ignore[attr-defined]

            async def counted(*given: object, **options: object) -> object:
                counter.tick()
                answer = await ask(*given, **options)
                counter.tick()
                return answer

            vault._session.transport._ask = counted  # type: ignore[attr-defined]
            await live.DEEDS[self.deed].during(vault, work)
            await vault.flush()
        counter.on = False
        (work / "counted").write_text(str(counter.done))

    async def _resumed(self, url: str, work: Path) -> None:
        async with await Vault.open(work / "a", relay=url) as vault:
            await live.acknowledged_is_shown(vault, work)
            await live.DEEDS[self.deed].during(vault, work)
            await vault.flush()

    # What is there then ---------------------------------------------------------------------------------------------

    def _look(self, work: Path) -> live.Facts:
        """Everything that must be true, seen by processes that know nothing of what was before."""
        relay = MortalRelay(work / "relay")
        relay.start()
        try:
            _done(_fork(lambda: self._facts(relay.url, work)))
            relay.stop()
        finally:
            relay.end()
        facts = live.Facts.read(work / "facts")
        assert not list((work / "a").glob("outbox/*")), "files of the outbox are left"
        assert not list(work.glob(".export*")), "left of an export"
        if self.deed == "restore":
            kept = {path.parent.name + path.name for path in (work / "a" / "objects").glob("*/*")}
            assert kept == facts.objects.keys(), "what was restored is not all there is"
        with beside(work / "relay") as database:
            health = check(database, ObjectFiles(work / "relay", lambda: None), deep=True)
        assert health.sound, health
        _done(_fork(lambda: _swept(work / "relay", facts)))
        return facts

    async def _facts(self, url: str, work: Path) -> None:
        async with await Vault.open(work / "a", relay=url) as vault:
            await vault.flush()
            (await live.facts_of(vault, work)).write(work / "facts")
            status = await vault.status()
            assert (status.waiting, status.waiting_damaged, status.problem) == (0, 0, ""), status

    def _copied(self, name: str) -> Path:
        shutil.rmtree(self.folder / name, ignore_errors=True)
        shutil.copytree(self.folder / "template", self.folder / name)
        return self.folder / name


async def _swept(folder: Path, facts: live.Facts) -> None:
    """Once every window is over, a sweep leaves exactly what the newest head reaches."""
    relay = open_relay(folder, origins=())
    relay.clock = lambda: LATER
    await relay.start()
    await sweep(relay)
    await sweep_files(relay)
    with closing(sqlite3.connect(folder / "relay.db")) as database:
        found = database.execute("SELECT name, data IS NULL FROM objects").fetchall()
    rows = {bytes(name).hex(): bool(large) for name, large in found}
    files = {name.hex() for _, name in relay.store.files.named()}
    relay.store.close()
    assert rows.keys() == facts.objects.keys(), (
        f"{len(rows.keys() - facts.objects.keys())} objects too many, {len(facts.objects.keys() - rows.keys())} too few"
    )
    assert files == {name for name, large in rows.items() if large}
    assert not list((folder / "objects").glob("upload-*"))


def _fork(work: Callable[[], Awaitable[None]]) -> int:
    """Run a coroutine in a process of its own; its id."""
    sys.stdout.flush()
    child = os.fork()
    if not child:
        code = 1
        try:
            faulthandler.register(signal.SIGUSR1)
            live.quick()
            asyncio.run(work())  # type: ignore[arg-type]
            code = 0
        except BaseException:
            traceback.print_exc()
        finally:
            sys.stderr.flush()
            os._exit(code)
    return child


def _ended(child: int, status: list[int]) -> bool:
    pid, found = os.waitpid(child, os.WNOHANG)
    if pid:
        status.append(found)
    return bool(pid)


def _waited(child: int) -> int:
    status: list[int] = []
    if not wait_for(lambda: _ended(child, status), SECONDS):
        _show_where(child)
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        raise RuntimeError("a client does not come to an end")
    return status[0]


def _show_where(child: int, relay: MortalRelay | None = None) -> None:
    """Let processes that do not end say what they are at."""
    os.kill(child, signal.SIGUSR1)
    if relay is not None:
        relay.show_where()
    time.sleep(1)


def _done(child: int) -> None:
    _done_with(_waited(child))


def _done_with(status: int) -> None:
    if status:
        raise RuntimeError(f"a process ended with status {status}, see above")


def _difference(found: live.Facts, expected: live.Facts) -> str:
    lost = sorted(expected.messages.keys() - found.messages.keys())
    new = sorted(found.messages.keys() - expected.messages.keys())
    both = found.messages.keys() & expected.messages.keys()
    other = [(key, found.messages[key]) for key in sorted(both) if found.messages[key] != expected.messages[key]]
    return f"lost {lost[:5]}, new {new[:5]}, other {other[:3]}"


HEADING = f"{'inside':<11}{'while':<13}{'kills':>6}{'twice':>6}{'things':>8}{'hit':>5}{'seconds':>9}"


def kill_all(folder: Path, kills: int, *, part: int = 1, parts: int = 1, seed: int = 1) -> list[Place]:
    """Every place with `kills` kills, of which every `parts`-th is made; prints the table as it goes."""
    print(HEADING, flush=True)
    places = []
    for at, (inside, deed) in enumerate(PLACES):
        numbers = [number for number in range(kills) if (at + 3 * number) % parts == part - 1]
        if not numbers:
            continue
        start = time.monotonic()
        place = Place(inside, deed, folder / f"place{at}", random.Random(f"{seed} {inside} {deed}"))
        place.prepare()
        for number in numbers:
            place.kill(number, kills)
        shutil.rmtree(place.folder)
        places.append(place)
        print(
            f"{inside:<11}{deed:<13}{place.kills:>6}{place.twice:>6}{place.things:>8}{len(place.hit):>5}"
            f"{time.monotonic() - start:>9.1f}",
            *place.failures, sep="\n" if place.failures else "", flush=True,
        )  # fmt: skip
    total, failed = sum(place.kills for place in places), sum(len(place.failures) for place in places)
    share = f" (part {part}/{parts})" if parts > 1 else ""
    print(f"{total} kills over HTTP, {failed} with consequences{share}", flush=True)
    return places


def main() -> int:
    """Exit code 0 when nothing was lost, doubled, left over or broken."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--kills", type=int, default=8, help="in each place")
    parser.add_argument("--slice", default="1/1", help="K/N: the K-th of N parts of the kills")
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    part, parts = map(int, given.slice.split("/"))
    folder = Path(tempfile.mkdtemp(prefix="strongroom-crash-"))
    places = kill_all(folder, given.kills, part=part, parts=parts, seed=given.seed)
    if any(place.failures for place in places):
        print(f"what they left: {folder}")
        return 1
    shutil.rmtree(folder)
    return 0


if __name__ == "__main__":
    sys.exit(main())
