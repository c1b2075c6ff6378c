"""The relay's side of the machine: copies of its store (branches), and each device's wire, which can be made to lie.

Every copy signs with the same keys: to a device they are one relay, which shows it whatever it likes.
"""

from __future__ import annotations

import asyncio
import shutil
import sqlite3
from collections import defaultdict, deque
from collections.abc import Awaitable, Callable
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from adversary.hostile import Hostile
from soak.history import History, Intent, Node
from strongroom.transport.inprocess import ORIGIN
from strongroom_protocol.wire.cose import Signer
from strongroom_relay.service.relay import Relay
from vaults import QuickStore, SharedTransport

ANSWERS = 12
"""Old answers of each call that are kept for replaying."""


@dataclass(slots=True)
class Branch:
    """One copy of the relay's store, and the heads it has accepted."""

    folder: Path
    relay: Relay
    chain: list[Node] = field(default_factory=list)
    blocked: set[bytes] = field(default_factory=set)
    """Devices whose keys are paused until the next keyring."""

    @classmethod
    async def open(cls, folder: Path) -> Branch:
        relay = Relay(QuickStore(folder), origins=(ORIGIN,), open_registration=True)
        await relay.start()
        return cls(folder, relay)

    async def copy(self, folder: Path) -> Branch:
        """The same state, to be changed apart from this one."""
        await asyncio.to_thread(folder.mkdir)
        with (
            closing(sqlite3.connect(self.folder / "relay.db")) as source,
            closing(sqlite3.connect(folder / "relay.db")) as target,
        ):
            source.backup(target)
        shutil.copytree(self.folder / "objects", folder / "objects")
        made = await Branch.open(folder)
        made.chain, made.blocked = list(self.chain), set(self.blocked)
        return made

    @property
    def newest(self) -> Node:
        return self.chain[-1]

    def stored(self) -> list[bytes]:
        """The hashes of its heads, from its own tables."""
        with closing(sqlite3.connect(self.folder / "relay.db")) as database:
            return [bytes(row[0]) for row in database.execute("SELECT hash FROM heads ORDER BY version")]

    def close(self) -> None:
        self.relay.store.close()


Ask = Callable[[], Awaitable[Any]]
Lie = Callable[["Wire", str, tuple[Any, ...], Ask], Awaitable[Any]]
"""What a relay does with a call: (wire, call, arguments, what asks the honest relay)."""


class Wire(Hostile):
    """A device's way to the relay. `lies` is what becomes of the next calls; without any, the answers are honest."""

    def __init__(self, history: History, branch: Branch, intent: Intent) -> None:
        self.branch = branch
        self.history = history
        self.intent = intent
        """What the change of keys under way is for, if it is one."""
        self.lies: list[tuple[frozenset[str], int, Lie]] = []
        """Calls (none: all), how many of them are left, what is done with them."""
        self.lied = self.refused = False
        """Whether a lie was told to the action under way; whether it was a refusal, in the words of the API."""
        self.stalled = asyncio.Event()
        self.kept: defaultdict[str, deque[Any]] = defaultdict(lambda: deque(maxlen=ANSWERS))
        self.key: tuple[bytes, Signer] | None = None
        self.helping: bytes | None = None
        """The key of a member in whose name this device is served."""
        super().__init__(SharedTransport(branch.relay))

    def route(self, branch: Branch) -> None:
        """From now on this copy answers."""
        self.branch = branch
        self.honest = self._to(branch)

    def authenticate(self, key: bytes, signer: Signer) -> None:
        self.key = (key, signer)
        self.honest = self._to(self.branch)

    def help(self, key: bytes | None) -> None:
        """Serve this device in the name of another one (a signature is not asked for here)."""
        self.helping = key
        self.honest = self._to(self.branch)

    def _to(self, branch: Branch) -> SharedTransport:
        transport = SharedTransport(branch.relay)
        if self.key is not None:
            transport.authenticate(self.helping or self.key[0], self.key[1])
        return transport

    def tell(self, lie: Lie, *calls: str, times: int = 1) -> None:
        """Do this with the next calls of these names."""
        self.lies.append((frozenset(calls), times, lie))

    def behave(self) -> None:
        super().behave()
        self.lies.clear()
        self.lied = self.refused = False
        self.help(None)

    async def _do(self, call: str, *arguments: Any) -> Any:
        self.requests += 1
        self.trace.append((call, *arguments))
        self._seen(call, arguments)
        for place, (calls, times, lie) in enumerate(self.lies):
            if not calls or call in calls:
                self.lies[place : place + 1] = [(calls, times - 1, lie)] if times > 1 else []
                self.lied = True
                return await lie(self, call, arguments, lambda: self.ask(call, arguments))
        return await self.ask(call, arguments)

    def _seen(self, call: str, arguments: tuple[Any, ...]) -> None:
        if call == "put":
            self.history.put(arguments[2])
        elif call == "commit":
            self.history.proposed(arguments[1], arguments[0], self.intent)

    async def ask(self, call: str, arguments: tuple[Any, ...], branch: Branch | None = None) -> Any:
        """The honest answer, of this wire's copy or of another one."""
        branch = branch or self.branch
        honest = self.honest if branch is self.branch else self._to(branch)
        found = await getattr(honest, call)(*arguments)
        if call == "register":
            branch.chain.append(self.history.registered(arguments[0], arguments[0].core.account_id(), self._unlock()))
        if call == "commit":
            node = self.history.proposed(arguments[1], arguments[0], self.intent)
            if node not in branch.chain:
                branch.chain.append(node)
                if node.changed:
                    branch.blocked.clear()
        if call == "block":
            branch.blocked |= {outcast.device for outcast in self.intent.outcasts if outcast.device is not None}
        self.kept[call].append(found)
        return found

    def _unlock(self) -> Any:
        if self.intent.unlock is None:
            raise RuntimeError("an account begins with a secret that opens it")
        return self.intent.unlock
