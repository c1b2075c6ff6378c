"""The judge of the world: what the relay's copies and the devices are, and whether what a device says is allowed.

Every action ends with the same questions: was that error allowed, and is every promise still kept?
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TypeVar

from soak.history import Broken, History
from soak.phones import Phone, Said
from soak.views import Views
from soak.wires import Branch, Wire
from strongroom_protocol.errors import (
    IncompleteError,
    NotFound,
    ReadOnly,
    RelayError,
    StrongroomError,
    UntrustedDataError,
    WrongSecret,
)

T = TypeVar("T")

PHONES = 4
MOST_PHONES = 7
MOST_BRANCHES = 4
MARK = "canary~~~of~soak"
"""In every text that nobody but the devices may see."""
TIME = 1_700_000_000_000

LIED_TO = (UntrustedDataError, RelayError, IncompleteError)
"""What a device may say when its relay lies."""

REFUSALS = (NotFound, WrongSecret)
"""What a relay can make a device say by refusing in those words."""


class Judge:
    """The state of a world. `steps` counts actions, `failures` the errors that devices gave, by class."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.history = History()
        self.views = Views()
        self.branches: list[Branch] = []
        self.phones: list[Phone] = []
        self.said: list[Said] = []
        self.guests: set[Path] = set()
        self.steps = 0
        self.made = 0
        self.tried = 0
        """Times that an outcast tried a key on an object that is not for it."""
        self.failures: dict[str, int] = {}
        self.equivocated = False
        """The relay has signed what contradicts itself, so that there may be proofs of it."""

    async def run(
        self, phone: Phone, work: Callable[[], Awaitable[T]], *, allowed: tuple[type[StrongroomError], ...] = (),
        excused: tuple[type[StrongroomError], ...] = (), syncs: bool = False,
    ) -> T | None:  # fmt: skip
        """Do `work` on a phone; None when it failed as it may, or was cancelled.

        It may fail as `allowed`, and as `excused` when there is a reason to fail at all. `syncs`: it asks for the
        newest head, so that it cannot succeed with a relay that shows another history.
        """
        self.steps += 1
        phone.wire.lied, phone.wire.refused = phone.wire.helping is not None, False
        expected = [*self._expected(phone), *allowed]
        must = self._cut_off(phone) if syncs else None
        try:
            result = await until_stalled(phone.wire, work)
            if must is not None and not phone.wire.lied:
                raise Broken(f"it succeeded, although {must}")
        except asyncio.CancelledError:
            return None
        except StrongroomError as error:
            expected += self._expected(phone)
            expected += LIED_TO if phone.wire.lied else ()
            expected += REFUSALS if phone.wire.refused else ()
            self._judge(phone, error, (*expected, *(excused if expected else ())))
            return None
        except Broken:
            raise
        except Exception as error:
            raise Broken(f"not one of our errors: {error!r}") from error
        finally:
            phone.look()
            self.tried += self.history.unread_by_outcasts()
        return result

    def _expected(self, phone: Phone) -> list[type[StrongroomError]]:
        """Errors for which there is a reason without any lie."""
        found: list[type[StrongroomError]] = []
        if phone.copied:
            found.append(UntrustedDataError)
        if phone.node is not None and not phone.wire.branch.newest.continues(phone.node):
            found += [*LIED_TO, NotFound]  # what it asks for is not there
        branch = phone.wire.branch
        if phone.ident not in branch.newest.members or phone.ident in branch.blocked:
            found += [NotFound, ReadOnly]
        if phone.node is None or phone.ident not in phone.node.members:
            found.append(ReadOnly)
        return found

    def _cut_off(self, phone: Phone) -> str | None:
        """Why this phone's relay cannot be synchronised with."""
        newest = phone.wire.branch.newest
        if phone.node is not None and not newest.continues(phone.node):
            return "its relay shows another history than the one it had accepted"
        if phone.folder not in self.guests and phone.ident not in newest.members:
            return "the phone was removed"
        return None

    def _judge(self, phone: Phone, error: StrongroomError, reasons: tuple[type[StrongroomError], ...]) -> None:
        if not isinstance(error, reasons):
            raise Broken(f"{type(error).__name__} without a reason: {error}") from error
        name = getattr(error, "failure", type(error).__name__)
        self.failures[str(name)] = self.failures.get(str(name), 0) + 1
        if not self.equivocated and list(phone.folder.glob("fork-proof-*")):
            raise Broken("a proof of two histories, and there was only one") from error

    def phone(self, who: int) -> Phone:
        return self.phones[who % len(self.phones)]

    def text(self, what: str) -> str:
        """A text that occurs once."""
        self.made += 1
        return f"{MARK} {what} {self.made}"


async def until_stalled(wire: Wire, work: Callable[[], Awaitable[T]]) -> T:
    """Run `work`; once its relay does not answer any more, it is cancelled."""
    wire.stalled.clear()
    task = asyncio.ensure_future(work())
    stalled = asyncio.ensure_future(wire.stalled.wait())
    await asyncio.wait({task, stalled}, return_when=asyncio.FIRST_COMPLETED)
    stalled.cancel()
    if not task.done():
        task.cancel()
    return await task
