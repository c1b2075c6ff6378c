"""What the relay says to a device that writes: that it won, that it lost, or nothing."""

from __future__ import annotations

import time

from strongroom_conformance.client import Outcome
from strongroom_conformance.scenario import OK, RELAY, UNTRUSTED, Expected, Scene, refusal, scenario
from strongroom_conformance.world import CHAT, FAMILY, append

MINE = [CHAT, "m9", "a message"]
APPEND = append("m9")
ALL = sorted([*FAMILY, MINE])


def _saved_once(scene: Scene, outcome: Outcome) -> list[str]:
    """With an honest relay the message arrives, once; whether the client, or the person, has to say it again."""
    if scene.world.run("restore").exit != 0:
        return ["cannot go on when the relay is honest again"]
    if scene.world.run(*APPEND, text=MINE[2]).exit != 0:
        return ["cannot write when the relay is honest again"]
    insider = scene.world.insider("ally")
    shown = insider.messages(CHAT)
    if shown != ALL:
        return [f"another device reads {len(shown)} messages instead of {len(ALL)}"]
    return []


def _not_joined(scene: Scene, outcome: Outcome) -> list[str]:
    """The lie stays a lie: nothing is joined silently."""
    if scene.world.run("restore").exit != UNTRUSTED:
        return ["goes back to a history without its own commit"]
    return []


def _kept(scene: Scene, outcome: Outcome) -> list[str]:
    """The message is at no relay, so it must still be here."""
    shown = scene.world.must("status", "--messages").said.get("messages", [])
    return [] if MINE in shown else ["no longer shows the message that the relay lied about"]


@scenario(
    "commit-acknowledged-only", 45, does="it tells a device that it won, with a receipt, and keeps nothing",
    expected=refusal(), after=_not_joined,
)  # fmt: skip
@scenario(
    "commit-acknowledged-and-kept", 45, 44, does="the same: the message must still be on the device",
    expected=refusal(), after=_kept,
)  # fmt: skip
def _acknowledged(scene: Scene) -> None:
    scene.lie("POST commit", "acknowledge", instead=True)
    scene.world.must(*APPEND, text=MINE[2])
    scene.world.remember()
    scene.behave()
    scene.lie("GET head", "honest")


@scenario(
    "commit-acknowledged-twice", 45, 39, does="it tells two devices that they won the same version",
    expected=refusal(), after=_not_joined,
)  # fmt: skip
def _twice(scene: Scene) -> None:
    scene.lie("POST commit", "acknowledge", instead=True, times=1)
    scene.world.must(*APPEND, text=MINE[2])
    scene.world.remember()
    scene.behave()
    scene.world.another([CHAT, "a8", "the other winner"])
    scene.lie("GET head", "honest")


def _commit(name: str, *attacks: int, do: str, does: str, expected: Expected, **given: object) -> None:
    @scenario(name, *attacks, does=does, command=APPEND, text=MINE[2], expected=expected, after=_saved_once)
    def attack(scene: Scene) -> None:
        scene.lie("POST commit", do, **given)


FOREVER = Expected(frozenset({RELAY}), requests=60, seconds=60)
WAITS = Expected(frozenset({OK, RELAY}), requests=20)
"""Kept on the device and said so, or given up and said so."""

_commit(
    "commit-receipt-for-another", 45, 37, do="acknowledge", instead=True, wrong=True, expected=refusal(never=()),
    does="a receipt for something else, and nothing kept",
)  # fmt: skip
_commit(
    "commit-conflict-for-ever", 45, do="problem", code="conflict", instead=True, expected=FOREVER,
    does="always that another device was first",
)  # fmt: skip
_commit(
    "commit-objects-missing-for-ever", 44, do="problem", code="missing-objects", instead=True, expected=FOREVER,
    does="always that objects are missing",
)  # fmt: skip
_commit(
    "commit-unavailable", 92, do="problem", code="unavailable", instead=True, expected=WAITS,
    does="always that it is stopping",
)  # fmt: skip
_commit(
    "commit-rate", 92, do="problem", code="rate", instead=True, expected=Expected(frozenset({RELAY}), requests=8),
    does="always that there were too many attempts",
)  # fmt: skip
_commit(
    "commit-clock", 92, do="problem", code="clock", instead=True,
    extra={"relay_time": int(time.time() * 1000) + 10**9}, expected=Expected(frozenset({RELAY}), requests=8),
    does="always that the device's clock is wrong",
)  # fmt: skip
_commit(
    "commit-landed-without-answer", 45, do="raw", body="", times=1,
    expected=Expected(frozenset({OK, RELAY}), pin="any", requests=20),
    does="it commits, and closes the connection instead of saying so",
)  # fmt: skip
_commit(
    "commit-answer-broken", 45, do="cut", keep=20, times=1, expected=Expected(frozenset({OK, UNTRUSTED}), pin="any"),
    does="it commits, and answers with the beginning of an answer",
)  # fmt: skip
