"""The state machine: people, crashes and a lying relay in any order; after every step the promises hold.

What `World` says is broken is the failure of a run; Hypothesis shortens the script and prints it.
"""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Awaitable
from contextlib import ExitStack
from pathlib import Path

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule

from soak.lies import LIES, elsewhere, meanwhile
from soak.people import small
from soak.world import World

SHM = Path("/dev/shm")
"""Memory, where there is such a folder: nothing here tests disks."""

WHO = st.integers(0, 6)
PICK = st.integers(0, 10**4)
WORK = ("append", "append", "edit", "delete", "react", "import_", "flush", "flush", "read", "read")
KEEP = ("screen", "restore", "tidy", "restart")
KEYS = ("confirm", "revoke", "change_passphrase")
ANY = ""
WRITES = ("head", "keyrings", "read", "missing", "put", "commit", "commit", "commit")
CALLS = {
    "flush": WRITES, "import_": WRITES, "tidy": WRITES,
    "read": ("head", "head", "keyrings", "read", "head_at"), "screen": ("head", "read"),
    "restore": ("head", "keyrings", "read"), "edit": ("head", "read"),
    "confirm": ("login", "unlock", "keyrings", *WRITES), "change_passphrase": ("login", "unlock", "keyrings", *WRITES),
    "revoke": ("login", "unlock", "keyrings", "block", *WRITES), "login": ("login", "unlock", "keyrings", "head"),
}  # fmt: skip
"""The calls that an action makes."""

ACTS = st.one_of(
    *(st.tuples(st.just(what), st.sampled_from((ANY, *calls))) for what, calls in CALLS.items() if what != "login")
)
"""An action, and the call that is tampered with."""

EQUIVOCAL = ("forgotten",)
"""Lies for which the relay signs two histories."""


class Tally:
    """What all machines together have done."""

    def __init__(self) -> None:
        self.examples = self.steps = self.compared = self.tried = 0
        self.failures: dict[str, int] = {}
        self.lies: dict[str, int] = {}

    def add(self, world: World) -> None:
        self.examples += 1
        self.steps += world.steps
        self.compared += world.views.compared
        self.tried += world.tried
        for name, count in world.failures.items():
            self.failures[name] = self.failures.get(name, 0) + count

    def words(self) -> str:
        failures = ", ".join(f"{name} {count:,}" for name, count in sorted(self.failures.items()))
        lies = ", ".join(f"{name} {count:,}" for name, count in sorted(self.lies.items()))
        return (
            f"{self.examples:,} worlds, {self.steps:,} actions, {self.compared:,} complete views, "
            f"{self.tried:,} keys of outcasts tried\nlies: {lies}\nrefusals: {failures}"
        )


class Machine(RuleBasedStateMachine):
    """One world. `tally` is of the class: all machines add to it."""

    tally = Tally()

    def __init__(self) -> None:
        super().__init__()
        self.open = ExitStack()
        self.loop = asyncio.new_event_loop()
        self.open.callback(self.loop.close)
        self.open.enter_context(small())
        folder = tempfile.TemporaryDirectory(dir=SHM if SHM.is_dir() else None)
        self.world = World(Path(self.open.enter_context(folder)))
        self.whole = False

    def _do(self, work: Awaitable[None]) -> None:
        self.whole = False  # until it has ended well
        self.loop.run_until_complete(work)
        self.whole = True

    @initialize()
    def start(self) -> None:
        self._do(self.world.start())

    @rule(what=st.sampled_from(WORK), who=WHO, pick=PICK)
    def work(self, what: str, who: int, pick: int) -> None:
        self._do(getattr(self.world, what)(who, pick))

    @rule(what=st.sampled_from(KEEP), who=WHO, pick=PICK)
    def keep(self, what: str, who: int, pick: int) -> None:
        self._do(getattr(self.world, what)(who, pick))

    @rule(what=st.sampled_from(KEYS), who=WHO, pick=PICK)
    def change_keys(self, what: str, who: int, pick: int) -> None:
        self._do(getattr(self.world, what)(who, pick))

    @rule(who=WHO, pick=PICK)
    def login(self, who: int, pick: int) -> None:
        self._do(self.world.login(who, pick))

    @rule(who=WHO, pick=PICK)
    def join(self, who: int, pick: int) -> None:
        self._do(self.world.join(who, pick))

    @rule(who=WHO)
    def clone(self, who: int) -> None:
        self._do(self.world.clone(who, 0))

    @rule(
        lie=st.sampled_from(sorted(LIES)), act=ACTS, times=st.integers(1, 5), how=PICK, who=WHO, pick=PICK,
        crash=st.booleans(), on=st.booleans(),
    )  # fmt: skip
    def lie(
        self, lie: str, act: tuple[str, str], times: int, how: int, who: int, pick: int, crash: bool, on: bool
    ) -> None:
        """The relay lies during an action, or from then on; what the lie leaves behind is met by all that follows."""
        wire, (what, call) = self.world.phone(who).wire, act
        self.tally.lies[lie] = self.tally.lies.get(lie, 0) + 1
        self.world.equivocated |= lie in EQUIVOCAL
        wire.tell(LIES[lie](how), *([call] if call else []), times=times)
        self._do(getattr(self.world, what)(who, pick))
        if crash:
            self._do(self.world.restart(who, 0))
        if not on:
            wire.behave()

    @rule(lie=st.sampled_from(sorted(LIES)), call=st.sampled_from(CALLS["login"]), how=PICK, who=WHO, pick=PICK)
    def login_lied_to(self, lie: str, call: str, how: int, who: int, pick: int) -> None:
        self._do(self.world.login(who, pick, LIES[lie](how), [call]))

    @rule(
        act=ACTS, who=WHO, pick=PICK, during=st.sampled_from((*WORK, *KEYS, "tidy")), other=WHO, after=st.booleans(),
    )  # fmt: skip
    def race(self, act: tuple[str, str], who: int, pick: int, during: str, other: int, after: bool) -> None:
        """Somebody does something else in the middle of an action."""
        phone, second, (what, call) = self.world.phone(who), self.world.phone(other), act
        if phone is second:
            return
        phone.wire.tell(
            meanwhile(lambda: getattr(self.world, during)(other, pick), after=after), *([call] if call else [])
        )
        self._do(getattr(self.world, what)(who, pick))
        phone.wire.lies.clear()

    @rule(what=st.sampled_from(("fork", "route", "part", "part", "cross", "cross", "cross")), who=WHO, pick=PICK)
    def copies(self, what: str, who: int, pick: int) -> None:
        """Copies of the store: one is made, or a device is served from another one."""
        self._do(getattr(self.world, what)(who, pick))

    @rule(who=WHO, pick=PICK, act=ACTS, times=st.integers(1, 3))
    def mix(self, who: int, pick: int, act: tuple[str, str], times: int) -> None:
        """Some calls of an action are answered from another copy."""
        phone, branch = self.world.phone(who), self.world.branches[pick % len(self.world.branches)]
        what, call = act
        phone.wire.tell(elsewhere(branch), *([call] if call else []), times=times)
        self._do(getattr(self.world, what)(who, pick))
        phone.wire.behave()

    @rule(who=WHO, pick=PICK, what=st.sampled_from((*WORK, *KEYS)))
    def help(self, who: int, pick: int, what: str) -> None:
        """The relay helps a device, removed or not, with what it does."""
        self._do(self.world.help(who, pick))
        self._do(getattr(self.world, what)(who, pick))
        self.world.phone(who).wire.behave()

    @rule(who=WHO, pick=PICK)
    def forge(self, who: int, pick: int) -> None:
        self._do(self.world.forge(who, pick))

    @rule(who=WHO)
    def behave(self, who: int) -> None:
        self.world.phone(who).wire.behave()

    def teardown(self) -> None:
        try:
            if self.whole:
                self._do(self.world.agree())
                self.tally.add(self.world)
        finally:
            self.world.close()
            self.open.close()
