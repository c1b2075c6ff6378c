"""Running scenarios: the control first, then the lie, then the verdict."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from strongroom_conformance.client import Client, Outcome
from strongroom_conformance.control import Control
from strongroom_conformance.judge import Remembered, Verdict, after_lie, judge, trace_of, unlike
from strongroom_conformance.scenario import Scenario, Scene
from strongroom_conformance.world import ANNA, StageError, World


@dataclass(slots=True)
class Report:
    """All verdicts, beside the failures that were known before."""

    verdicts: list[Verdict]
    known: Mapping[str, str] = field(default_factory=dict)
    seconds: float = 0.0

    @property
    def unexpected(self) -> list[Verdict]:
        """Failures that are not known, and known ones that passed."""
        return [verdict for verdict in self.verdicts if verdict.passed == (verdict.name in self.known)]


class Runner:
    """Runs scenarios in one world."""

    def __init__(self, world: World, say: Callable[[str], None]) -> None:
        self.world = world
        self._say = say
        self._controls: dict[tuple[object, ...], str] = {}
        self._before: dict[tuple[str, str], Outcome] = {}

    def run(self, scenarios: Sequence[Scenario], known: Mapping[str, str]) -> list[Verdict]:
        """All of them, in order, each judged by itself."""
        verdicts = []
        for item in scenarios:
            verdict = self.one(item)
            verdicts.append(verdict)
            self._say(line(verdict, known))
        return verdicts

    def one(self, item: Scenario) -> Verdict:
        """The control, the lie, the verdict."""
        verdict, world = Verdict(item.name), self.world
        try:
            fault = self._control(item)
            if fault:
                verdict.faults.append(fault)
                return verdict
            world.begin(item.stage)
            scene = Scene(world)
            before = self._remembered(item)
            item.attack(scene)
            before = world.before or before
            world.control.ask("clear")
            outcome = _command(world, item, lie=True)
            log = world.control.ask("log")
            verdict.exit, verdict.seconds, verdict.memory = outcome.exit, outcome.seconds, outcome.memory
            verdict.trace = trace_of(after_lie(log))
            verdict.faults += judge(item.expected, outcome, Remembered(before, self._afterwards(item)), log)
            if scene.rules and not any(entry["rule"] for entry in log):
                verdict.faults.append("never made the request that is lied to")
            if item.after is not None:
                scene.behave()
                verdict.faults += item.after(scene, outcome)
        except StageError as error:
            verdict.faults.append(str(error))
        return verdict

    def _control(self, item: Scenario) -> str:
        """The same command from the same stage with an honest relay; once for all scenarios that share it."""
        what = (item.stage, item.command, item.vault)
        if what not in self._controls:
            self.world.begin(item.stage)
            outcome = _command(self.world, item, lie=False)
            self._controls[what] = (
                f"fails against an honest relay: exit {outcome.exit} {outcome.complaint}" if outcome.exit else ""
            )
        return self._controls[what]

    def _remembered(self, item: Scenario) -> Outcome:
        """What the device remembers before the command: the same for all scenarios of a stage."""
        place = (item.stage, item.vault)
        if place not in self._before:
            self._before[place] = self.world.run("status", vault=item.vault)
        return self._before[place]

    def _afterwards(self, item: Scenario) -> Outcome:
        shown = item.expected.messages is not None or item.expected.subset is not None
        messages = shown and "--messages" not in item.command  # else the command itself says them
        return self.world.run("status", *(["--messages"] if messages else []), vault=item.vault)


def run(
    client: Client, folder: Path, scenarios: Sequence[Scenario], known: Mapping[str, str], *, jobs: int = 1,
    say: Callable[[str], None] | None = None,
) -> Report:  # fmt: skip
    """Judge a client, `jobs` scenarios at a time, each job with a relay of its own below `folder`."""
    began = time.monotonic()
    say = say or (lambda text: print(text, file=sys.stderr, flush=True))
    parts = [scenarios[number::jobs] for number in range(min(jobs, len(scenarios)))]

    def work(number: int) -> list[Verdict]:
        with Control(folder / str(number) / "relay") as control:
            return Runner(World(client, control, folder / str(number)), say).run(parts[number], known)

    with ThreadPoolExecutor(max(1, len(parts))) as pool:
        done = list(pool.map(work, range(len(parts))))
    order = {item.name: place for place, item in enumerate(scenarios)}
    verdicts = sorted((verdict for part in done for verdict in part), key=lambda verdict: order[verdict.name])
    for verdict, fault in unlike(verdicts, {item.name: item.expected.alike for item in scenarios}):
        verdict.faults.append(fault)
        say(line(verdict, known))
    return Report(verdicts, known, time.monotonic() - began)


def _command(world: World, item: Scenario, *, lie: bool) -> Outcome:
    """The command; `{anchor}` in it is what the first device says for a new one to bring along."""
    text = item.text or ("a message" if item.command[0] == "append" else "")
    words = list(item.command)
    if "{anchor}" in words:
        words[words.index("{anchor}")] = str(world.must("status").said.get("anchor", ""))
    return world.run(
        *words, vault=item.vault, text=text, seconds=item.expected.seconds, relay=item.relay if lie else "",
        secrets=item.secrets if lie else ANNA,
    )  # fmt: skip


def line(verdict: Verdict, known: Mapping[str, str]) -> str:
    """One line for people."""
    word = "pass" if verdict.passed else "FAIL"
    if verdict.name in known:
        word = "PASS, though it is a known failure" if verdict.passed else "known failure"
    figures = f"exit {verdict.exit}, {verdict.seconds:.1f} s, {verdict.memory} MiB, {len(verdict.trace)} requests after"
    return "\n    ".join([f"{word}  {verdict.name}  ({figures})", *verdict.faults])
