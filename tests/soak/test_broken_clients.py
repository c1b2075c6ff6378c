"""The machine can fail: with checks taken out, it says which promise is broken.

Each case takes out so many checks that one promise really is broken (most are guarded twice), and plays a short script
for which the same world without the sabotage has nothing to say.
"""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import run_state_machine_as_test

from soak.broken import without
from soak.history import Broken
from soak.judge import MARK
from soak.lies import LIES, honest
from soak.machine import Machine
from soak.people import small
from soak.world import World
from strongroom import fetching, owner, reslotting, sending
from strongroom.rekeying import KeyChange
from strongroom_protocol.errors import UntrustedDataError
from strongroom_protocol.manifest import head

Script = Callable[[World], Awaitable[None]]


async def _saved(world: World, who: int) -> None:
    await world.append(who, 0)
    await world.flush(who, 0)


async def rolled_back(world: World) -> None:
    """A device is served from an older copy."""
    await world.fork(0, 0)
    await _saved(world, 0)
    await world.read(1, 1)
    await world.route(1, 1)
    await world.read(1, 1)


async def forked(world: World) -> None:
    """Two copies go on apart, and a device is moved from the shorter to the longer one."""
    await world.fork(0, 0)
    await world.route(1, 1)
    for _ in range(3):
        await _saved(world, 1)
    await _saved(world, 0)
    await world.route(0, 1)
    await world.read(0, 1)


async def equal_versions(world: World) -> None:
    """The same, to another head of the same version."""
    await world.fork(0, 0)
    await world.route(1, 1)
    await _saved(world, 1)
    await _saved(world, 0)
    await world.route(0, 1)
    await world.read(0, 1)


async def removed(world: World) -> None:
    """A device is removed, and others go on."""
    await world.read(1, 1)
    await world.revoke(0, 1)
    await _saved(world, 0)
    await world.read(2, 1)


async def removed_writes(world: World) -> None:
    """A removed device signs the next head."""
    await world.revoke(0, 1)
    await world.read(2, 1)
    await world.forge(2, 2)


async def new_passphrase(world: World) -> None:
    """The passphrase is changed, and somebody logs in with the new one."""
    await world.change_passphrase(0, 0)
    await _saved(world, 0)
    await world.join(0, 0)


async def anothers_receipt(world: World) -> None:
    """The head comes with another relay's receipt."""
    await _saved(world, 0)
    world.phone(1).wire.tell(LIES["strangers"](0), "head")
    await world.read(1, 1)


async def damaged_answer(world: World) -> None:
    """A head is not one."""
    world.phone(1).wire.tell(LIES["altered"](0), "head")
    await world.read(1, 1)


async def cut_short(world: World) -> None:
    """The relay keeps back what it is asked for, from one answer on."""
    await world.import_(0, 0)
    for answered in range(1, 6):
        world.phone(1).wire.tell(honest, "read", times=answered)
        world.phone(1).wire.tell(LIES["withheld"](2**16 - 1), "read", times=9)
        await world.read(1, 0)
        world.phone(1).wire.behave()


async def saved_by_all(world: World) -> None:
    """Everybody saves something; then all look."""
    for who in range(4):
        await _saved(world, who)
    await world.agree()


def _no_new_keys(patch: pytest.MonkeyPatch) -> None:
    def change(**given: Any) -> KeyChange:
        return KeyChange(**{**given, "rotate": False, "reslot": None})

    patch.setattr(owner, "KeyChange", change)
    without(patch, "KR-13")


def _slot_stays(patch: pytest.MonkeyPatch) -> None:

    def keeping(old: Any, labels: Any, *, gone: Any = (), added: Any = None) -> Any:
        return reslotting.reslot(old, labels, added=added)

    patch.setattr(owner, "reslot", keeping)


def _never_sent(patch: pytest.MonkeyPatch) -> None:
    async def send(session: Any, outbox: Any) -> int:
        taken = outbox.take()
        session.state.put({}, sent=taken.last)
        return int(taken.rows)

    patch.setattr(sending, "send", send)


def _sent_twice(patch: pytest.MonkeyPatch) -> None:
    from strongroom_protocol.rows import merge

    found = merge.fold
    patch.setattr("vaults.fold", lambda *given: [message for message in found(*given) for _ in range(2)])


def _sent_bare(patch: pytest.MonkeyPatch) -> None:
    send = sending.send

    async def bare(session: Any, outbox: Any) -> int:
        data = f"{MARK}, in the clear".encode()
        await session.transport.put(session.account, hashlib.sha256(data).digest(), data)
        return await send(session, outbox)

    patch.setattr(sending, "send", bare)


def _clumsy(patch: pytest.MonkeyPatch) -> None:
    whole = head.parse_head

    def parse(message: bytes, **given: Any) -> Any:
        try:
            return whole(message, **given)
        except UntrustedDataError:
            raise IndexError("out of range") from None

    patch.setattr(fetching, "parse_head", parse)


def _silent(patch: pytest.MonkeyPatch) -> None:
    """Damage is left out of what is shown, and nobody is told."""
    from strongroom.engine.source import ObjectSource

    init = ObjectSource.__init__

    class Forgetful(dict[str, Any]):
        def __setitem__(self, key: str, value: Any) -> None:
            return None

        def setdefault(self, key: str, default: Any = None) -> Any:
            return default

    def made(self: Any, *given: Any, **named: Any) -> None:
        init(self, *given, **named)
        self.damage = Forgetful()

    patch.setattr(ObjectSource, "__init__", made)


@dataclass(frozen=True, slots=True)
class Case:
    """Checks taken out or other sabotage, the script, and what the machine has to say of it."""

    script: Script
    says: str
    checks: tuple[str, ...] = ()
    sabotage: Callable[[pytest.MonkeyPatch], None] = lambda patch: None


CASES = {
    "PIN-6": Case(rolled_back, "went back on a head", ("PIN-6", "LOG-1")),
    "LOG-1": Case(forked, "went back on a head", ("LOG-1",)),
    "PIN-7": Case(equal_versions, "went back on a head", ("PIN-7",)),
    "KR-13": Case(removed, "removed, (opens|reads)", sabotage=_no_new_keys),
    "HEAD-7": Case(removed_writes, "a device that was none any more", ("HEAD-7",)),
    "RCPT-1": Case(anothers_receipt, "without its relay's receipt", ("RCPT-1",)),
    "ROOT-3": Case(new_passphrase, "opens a wrap", ("ROOT-3", "KR-22")),
    "a slot that stays": Case(new_passphrase, "opens a slot", sabotage=_slot_stays),
    "acknowledged and never sent": Case(saved_by_all, "lost: put", sabotage=_never_sent),
    "shown twice": Case(saved_by_all, "shown twice", sabotage=_sent_twice),
    "sent in the clear": Case(saved_by_all, "plaintext", sabotage=_sent_bare),
    "an error of its own": Case(damaged_answer, "not one of our errors", sabotage=_clumsy),
    "silent damage": Case(cut_short, "lost: put", sabotage=_silent),
}


async def _play(folder: Path, script: Script) -> None:
    world = World(folder)
    try:
        await world.start()
        await script(world)
        await world.agree()
    finally:
        world.close()


@pytest.mark.parametrize("name", CASES)
async def test_every_sabotage_is_found(tmp_path: Path, name: str) -> None:
    case = CASES[name]
    with small():
        (tmp_path / "whole").mkdir()
        await _play(tmp_path / "whole", case.script)
        (tmp_path / "broken").mkdir()
        with pytest.MonkeyPatch.context() as patch:
            without(patch, *case.checks)
            case.sabotage(patch)
            with pytest.raises(Broken, match=case.says):
                await _play(tmp_path / "broken", case.script)


RANDOM = settings(
    max_examples=300, stateful_step_count=60, deadline=None, database=None, derandomize=True, phases=[Phase.generate],
    suppress_health_check=list(HealthCheck),
)  # fmt: skip


@pytest.mark.parametrize("checks", [("PIN-7",), ("LOG-1", "PIN-6"), ("HEAD-7",)], ids=str)
def test_chance_finds_it_too(monkeypatch: pytest.MonkeyPatch, checks: tuple[str, ...]) -> None:
    """Without a script: within 300 worlds, mostly 30. The other lies are rarer."""
    without(monkeypatch, *checks)
    with pytest.raises(Broken):
        run_state_machine_as_test(Machine, settings=RANDOM)
