"""The account under test at each stage of its life, made once by the client itself and copied for every scenario.

    empty      no account
    story      the client made the account and wrote three messages: heads 1 to 4
    family     two devices of the suite joined (ally, thief), ally wrote; the client has restored all of it
    behind     the relay as in family, the client as in story: it has to fetch keyrings
    removed    ally removed thief and wrote again; the client has restored that
    deleted    as family, and ally has erased a message; the client has restored that
    guest      as family, and a new device has logged in, which has read nothing yet

A stage is a snapshot of the relay's store and the vault folders of all devices.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from strongroom.unlocking import SecretsOrUnlock
from strongroom_conformance.client import Client, Outcome, Secrets
from strongroom_conformance.control import Control
from strongroom_conformance.insider import Insider

ANNA = Secrets("anna", "glove-lantern-orbit-mustard-quarry-violin")
BERT = Secrets("bert", ANNA.passphrase)
"""Another account of somebody with the same passphrase."""

CHAT = "chat"
TIMES = {f"{who}{number}": 1_700_000_000_000 + 1000 * number + ord(who) for who in "mab" for number in range(10)}
"""When messages were sent, by id, in ms since 1970: one said twice is one message."""

STORY = [[CHAT, f"m{number}", f"message {number} of the story"] for number in (1, 2, 3)]
FAMILY = [*STORY, [CHAT, "a1", "from another device"], [CHAT, "a2", "from another device again"]]
REMOVED = [*FAMILY, [CHAT, "a3", "after the removal"]]


def append(ident: str, chat: str = CHAT) -> tuple[str, ...]:
    """The command that appends a message of this id."""
    return ("append", chat, ident, str(TIMES[ident]))


class StageError(Exception):
    """The client cannot do with an honest relay what every scenario begins with."""


@dataclass(slots=True)
class World:
    """Stages below `folder`, and the one in use in `folder`/now."""

    client: Client
    control: Control
    folder: Path
    known: dict[str, SecretsOrUnlock] = field(default_factory=dict)
    before: Outcome | None = None
    """What the client remembered when a scenario's own preparations were done, if it has any."""
    _made: set[str] = field(default_factory=set)

    @property
    def now(self) -> Path:
        return self.folder / "now"

    def begin(self, stage: str) -> None:
        """Put relay and devices at a stage, honest and with an empty log."""
        self._make(stage)
        self.before = None
        self.control.ask("forget")
        self.control.ask("reset", name=stage)
        shutil.rmtree(self.now, ignore_errors=True)
        shutil.copytree(self.folder / "stages" / stage, self.now)

    def mark(self, name: str) -> None:
        """Keep relay and devices as they are now, in the middle of a stage."""
        self.control.ask("snapshot", name=name)
        shutil.rmtree(self.folder / "marks" / name, ignore_errors=True)
        shutil.copytree(self.now, self.folder / "marks" / name)

    def rewind(self, device: str, name: str) -> None:
        """Make a device of the suite what it was at a mark."""
        shutil.rmtree(self.now / device)
        shutil.copytree(self.folder / "marks" / name / device, self.now / device)

    def remember(self, vault: str = "client") -> None:
        """What the client remembers now is what it must keep."""
        self.before = self.must("status", vault=vault)

    def run(
        self, verb: str, *arguments: str, vault: str = "client", text: str = "", seconds: float = 60, relay: str = "",
        secrets: Secrets = ANNA,
    ) -> Outcome:  # fmt: skip
        """One command of the client at the stage in use."""
        return self.client.run(
            verb, *arguments, relay=relay or self.control.url, vault=self.now / vault, secrets=secrets, text=text,
            seconds=seconds,
        )  # fmt: skip

    def must(self, verb: str, *arguments: str, vault: str = "client", text: str = "") -> Outcome:
        """The same, where an honest relay is concerned: raises StageError unless it succeeds."""
        outcome = self.run(verb, *arguments, vault=vault, text=text)
        if outcome.exit != 0:
            raise StageError(f"{verb} against an honest relay: exit {outcome.exit} {outcome.complaint}")
        return outcome

    def append(self, message: list[str]) -> Outcome:
        """The client writes a message."""
        chat, ident, text = message
        return self.run(*append(ident, chat), text=text)

    def another(self, message: list[str], device: str = "ally") -> None:
        """A device of the suite writes a message."""
        chat, ident, text = message
        self.insider(device).append(chat, ident, text, TIMES[ident])

    def insider(self, name: str, secrets: Secrets = ANNA) -> Insider:
        """A device of the suite at the stage in use."""
        return Insider.of(self.now / name, self.control.url, secrets, self.known)

    def _make(self, stage: str) -> None:
        if stage in self._made:
            return
        base, work = _STAGES[stage]
        if base:
            self.begin(base)
        else:
            self.control.ask("forget")
            self.control.ask("reset", name=None)
            shutil.rmtree(self.now, ignore_errors=True)
            self.now.mkdir(parents=True)
        work(self)
        self.control.ask("snapshot", name=stage)
        kept = self.folder / "stages" / stage
        shutil.rmtree(kept, ignore_errors=True)
        shutil.copytree(self.now, kept)
        self._made.add(stage)


def _empty(world: World) -> None:
    """A relay with its keys, and nobody."""


def _story(world: World) -> None:
    world.must("init")
    for message in STORY:
        world.mark(f"before {message[1]}")
        if world.append(message).exit != 0:
            raise StageError("append against an honest relay failed")
    world.insider("stranger", BERT).create()


def _family(world: World) -> None:
    ally = world.insider("ally")
    ally.join("ally")
    world.mark("ally joined")
    world.insider("thief").join("thief")
    world.another(FAMILY[-2])
    world.mark("before a2")
    world.another(FAMILY[-1])
    world.must("restore")


def _behind(world: World) -> None:
    shutil.rmtree(world.now / "client")
    shutil.copytree(world.folder / "stages" / "story" / "client", world.now / "client")


def _removed(world: World) -> None:
    ally = world.insider("ally")
    ally.revoke(world.insider("thief"))
    world.mark("just removed")
    world.another(REMOVED[-1])
    world.must("restore")


def _deleted(world: World) -> None:
    world.insider("ally").delete(*STORY[1][:2])
    world.must("restore")


def _guest(world: World) -> None:
    world.must("login", vault="guest")


_STAGES: dict[str, tuple[str, Callable[[World], None]]] = {
    "empty": ("", _empty),
    "story": ("empty", _story),
    "family": ("story", _family),
    "behind": ("family", _behind),
    "removed": ("family", _removed),
    "deleted": ("family", _deleted),
    "guest": ("family", _guest),
}
