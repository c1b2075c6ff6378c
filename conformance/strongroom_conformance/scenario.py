"""A scenario: what the relay does, to which command, and what a client must then do and not do."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from strongroom_conformance.client import Outcome, Secrets
from strongroom_conformance.insider import heads_of
from strongroom_conformance.world import ANNA, World
from strongroom_protocol.manifest.head import Head
from strongroom_protocol.relay_api.messages import HeadResponse

OK, USAGE, INCOMPLETE, NOT_FOUND, SECRET, UNTRUSTED, RELAY = 0, 2, 3, 10, 12, 13, 14
"""Exit codes of chapter 14."""

MISFIT = 12
"""Requests after a head whose keyring is not the one the relay shows: both may be asked for again, four times."""

HEAD, KEYRING = 2, 1
"""Chains of a receipt."""

Messages = list[list[str]]


@dataclass(slots=True)
class Scene:
    """A world at a stage, and what a scenario does with it."""

    world: World
    rules: list[dict[str, Any]] = field(default_factory=list)

    def lie(self, on: str, do: str, **given: Any) -> None:
        """One more rule."""
        self.rules.append({"on": on, "do": do} | given)
        self.world.control.ask("script", rules=self.rules)

    def behave(self) -> None:
        """Be honest again."""
        self.rules = []
        self.world.control.ask("script", rules=[])

    @property
    def account(self) -> bytes:
        """The account under test."""
        return self.account_of("anna")

    def account_of(self, name: str) -> bytes:
        return bytes.fromhex(self.world.control.ask("accounts")[name])

    def history(self, branch: str = "main", account: bytes | None = None) -> dict[str, Any]:
        """Heads, keyrings (message and receipt) and slots, in hexadecimal."""
        found: dict[str, Any] = self.world.control.ask(
            "history", account=(account or self.account).hex(), branch=branch
        )
        return found

    def heads(self, branch: str = "main") -> list[Head]:
        return heads_of(self.account, [message for message, _ in self.history(branch)["heads"]])

    def objects(self, branch: str = "main") -> dict[str, bytes]:
        """All objects at the relay."""
        found = self.world.control.ask("objects", account=self.account.hex(), branch=branch)
        return {name: bytes.fromhex(data) for name, data in found.items()}

    def receipt(
        self, head: bytes, *, chain: int, version: int, previous: bytes | None, account: bytes | None = None
    ) -> bytes:
        """The relay's receipt for any bytes."""
        found = self.world.control.ask(
            "receipt", account=(account or self.account).hex(), chain=chain, version=version,
            hash=hashlib.sha256(head).hexdigest(), previous=None if previous is None else previous.hex(),
        )  # fmt: skip
        return bytes.fromhex(found)

    def show(self, answer: HeadResponse, **rule: Any) -> None:
        """This is the newest head from now on."""
        self.lie("GET head", "answer", body=answer.encode().hex(), instead=True, **rule)


@dataclass(frozen=True, slots=True)
class Expected:
    """What a client that stands does. `pin` is where its remembered state is afterwards: kept, none, moved, any."""

    exits: frozenset[int]
    pin: str = "kept"
    requests: int = 3
    """At most this many requests after the first lie."""
    never: tuple[str, ...] = ()
    """Shapes of requests that must not come after the first lie."""
    only: tuple[str, ...] | None = None
    """Nothing but these may come after the first lie."""
    messages: Messages | None = None
    """What the device can show afterwards, without a network."""
    subset: Messages | None = None
    """It can show some of these, and no other message."""
    least: int = 0
    """It can show at least so many messages."""
    alike: str = ""
    """Scenarios of one such name must make the same requests of the same sizes after the lie."""
    seconds: float = 30.0
    memory: int = 512
    """MiB."""


def refusal(**other: Any) -> Expected:
    """Untrusted data: exit 13, the remembered state where it was, nothing written."""
    return Expected(frozenset({UNTRUSTED}), **({"never": ("PUT objects", "POST commit")} | other))


def unreachable(**other: Any) -> Expected:
    """What is not an answer of a relay: exit 14, the remembered state where it was."""
    return Expected(frozenset({RELAY}), **other)


Attack = Callable[[Scene], None]
After = Callable[[Scene, Outcome], list[str]]


@dataclass(frozen=True, slots=True)
class Scenario:
    """`attack` sets the stage; `command` runs and is judged; `after` may go on, honest again, and return faults."""

    name: str
    attacks: tuple[int, ...]
    does: str
    stage: str
    command: tuple[str, ...]
    expected: Expected
    attack: Attack
    after: After | None = None
    text: str = ""
    vault: str = "client"
    secrets: Secrets = ANNA
    relay: str = ""
    """Another address than the hostile relay's."""


ALL: list[Scenario] = []
"""Every scenario, in the order of the modules."""


def scenario(
    name: str, *attacks: int, does: str, stage: str = "family", command: tuple[str, ...] = ("restore",),
    expected: Expected | None = None, **other: Any,
) -> Callable[[Attack], Attack]:  # fmt: skip
    """Register the function as a scenario's attack."""

    def register(attack: Attack) -> Attack:
        if any(known.name == name for known in ALL):
            raise ValueError(f"two scenarios are called {name}")
        ALL.append(Scenario(name, attacks, does, stage, command, expected or refusal(), attack, **other))
        return attack

    return register
