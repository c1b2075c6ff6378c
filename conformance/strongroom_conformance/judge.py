"""Verdicts: what a client did beside what it had to do. Faults are sentences; none is a pass."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from strongroom_conformance.client import KILLED, Outcome
from strongroom_conformance.scenario import NOT_FOUND, Expected

Request = Mapping[str, Any]
PINNED = ("version", "head", "keyring_version", "keyring")


@dataclass(slots=True)
class Verdict:
    """One scenario's. `trace` are the requests after the first lie, as shapes and sizes."""

    name: str
    faults: list[str] = field(default_factory=list)
    seconds: float = 0.0
    memory: int = 0
    exit: int = 0
    trace: list[tuple[str, int]] = field(default_factory=list)

    @property
    def passed(self) -> bool:
        return not self.faults


@dataclass(frozen=True, slots=True)
class Remembered:
    """What `status` said before and after the command."""

    before: Outcome
    after: Outcome


def judge(expected: Expected, outcome: Outcome, known: Remembered | None, log: Sequence[Request]) -> list[str]:
    """The faults of one run. `log` are all requests of the command, in order."""
    faults = _ended(expected, outcome)
    faults += _asked(expected, after_lie(log))
    if known is not None:
        faults += _remembered(expected, known)
        faults += _shown(expected, outcome if "messages" in outcome.said else known.after)
    return faults


def after_lie(log: Sequence[Request]) -> list[Request]:
    """The requests that came after the first one that was lied to."""
    first = next((place for place, entry in enumerate(log) if entry["rule"]), len(log))
    return list(log[first + 1 :])


def trace_of(log: Sequence[Request]) -> list[tuple[str, int]]:
    """Requests as a relay sees them: kind and size."""
    return [(str(entry["shape"]), int(entry["sent"])) for entry in log]


def unlike(verdicts: Sequence[Verdict], groups: Mapping[str, str]) -> list[tuple[Verdict, str]]:
    """Who made other requests after the lie than the first scenario of its group: an oracle for the relay."""
    first: dict[str, Verdict] = {}
    found = []
    for verdict in verdicts:
        group = groups.get(verdict.name, "")
        if not group:
            continue
        other = first.setdefault(group, verdict)
        if verdict.trace != other.trace:
            found.append((verdict, f"other requests after the lie than in {other.name}: {_short(verdict.trace)}"))
    return found


def _ended(expected: Expected, outcome: Outcome) -> list[str]:
    faults = []
    if outcome.exit == KILLED:
        faults.append(f"did not end in {expected.seconds:.0f} s")
    elif outcome.exit not in expected.exits:
        wanted = " or ".join(map(str, sorted(expected.exits)))
        faults.append(
            f"exit {outcome.exit} instead of {wanted}" + (f": {outcome.complaint}" if outcome.complaint else "")
        )
    if outcome.memory > expected.memory:
        faults.append(f"used {outcome.memory} MiB, more than {expected.memory}")
    return faults


def _asked(expected: Expected, later: Sequence[Request]) -> list[str]:
    faults = []
    if len(later) > expected.requests:
        faults.append(f"{len(later)} requests after the lie, more than {expected.requests}")
    shapes = [str(entry["shape"]) for entry in later]
    for shape in expected.never:
        if shape in shapes:
            faults.append(f"asked {shape} after the lie")
    if expected.only is not None and not set(shapes) <= set(expected.only):
        faults.append(f"asked {', '.join(sorted(set(shapes) - set(expected.only)))} after the lie")
    return faults


def _remembered(expected: Expected, known: Remembered) -> list[str]:
    before, after = (_pin(outcome) for outcome in (known.before, known.after))
    if expected.pin == "none":
        if known.after.exit != NOT_FOUND:
            return [f"a vault is there that should not be: status ended {known.after.exit}"]
        return []
    if known.after.exit != 0:
        return [f"status ended {known.after.exit} afterwards"]
    if expected.pin == "kept" and before != after:
        return [f"the remembered state moved from version {before[0]} to {after[0]}"]
    if expected.pin == "moved" and not (before[0] or 0) < (after[0] or 0):
        return [f"the remembered state did not move on from version {before[0]}"]
    return []


def _shown(expected: Expected, told: Outcome) -> list[str]:
    shown = told.said.get("messages", [])
    if expected.messages is not None and shown != sorted(expected.messages):
        return [f"shows {len(shown)} messages that are not the {len(expected.messages)} expected"]
    if expected.subset is not None:
        strange = [message for message in shown if message not in expected.subset]
        if strange:
            return [f"shows {len(strange)} messages that are none of the account's"]
    if len(shown) < expected.least:
        return [f"shows {len(shown)} messages instead of at least {expected.least}"]
    return []


def _pin(outcome: Outcome) -> tuple[Any, ...]:
    return tuple(outcome.said.get(name) for name in PINNED)


def _short(trace: Sequence[tuple[str, int]]) -> str:
    shown = ", ".join(f"{shape} ({size})" for shape, size in trace[:4])
    return shown + (", …" if len(trace) > 4 else "") if trace else "none"
