"""A malicious relay: an honest one behind a transport that records every request and can replace any answer.

    hostile = Hostile(transport)
    hostile.replace("head", lambda honest, *args: ...)     # awaited when it is a coroutine

The trace holds what a relay sees of a request: the call and its public arguments.
"""

from __future__ import annotations

import inspect
from collections.abc import AsyncGenerator, Callable, Sequence
from typing import Any

from strongroom.transport.base import (
    CommitRequest,
    CommitResponse,
    HeadResponse,
    LinkResponse,
    LoginResponse,
    Range,
    RegisterRequest,
    RelayInfo,
    Transport,
    UnlockResponse,
    Usage,
    Versions,
    WitnessRequest,
    WitnessResponse,
)
from strongroom_protocol.wire.cose import Signer

Answer = Callable[..., Any]


class Hostile:
    """Stands before an honest transport. `replace` gets a function of (honest answer, *arguments)."""

    def __init__(self, honest: Transport) -> None:
        self.honest = honest
        self.origin = honest.origin
        self.requests = self.bytes_sent = self.bytes_received = 0
        self.trace: list[tuple[Any, ...]] = []
        self._answers: dict[str, Answer] = {}
        self._instead: dict[str, Answer] = {}

    def replace(self, call: str, answer: Answer) -> None:
        """Change what comes back of a call."""
        self._answers[call] = answer

    def instead(self, call: str, answer: Answer) -> None:
        """Answer a call without asking the honest relay: a function of its arguments."""
        self._instead[call] = answer

    def behave(self) -> None:
        """Be honest again, and forget the trace."""
        self._answers.clear()
        self._instead.clear()
        self.trace.clear()

    @property
    def calls(self) -> list[str]:
        """The names of the calls made."""
        return [entry[0] for entry in self.trace]

    def authenticate(self, key: bytes, signer: Signer) -> None:
        self.honest.authenticate(key, signer)

    async def relay_info(self) -> RelayInfo:
        found: RelayInfo = await self._do("relay_info")
        return found

    async def login(self, name: str) -> LoginResponse:
        found: LoginResponse = await self._do("login", name)
        return found

    async def unlock(self, name: str, statement: bytes, account: bytes | None = None) -> UnlockResponse:
        found: UnlockResponse = await self._do("unlock", name, statement, account)
        return found

    async def block(self, account: bytes, message: bytes) -> None:
        await self._do("block", account, message)

    async def register(self, request: RegisterRequest) -> CommitResponse:
        found: CommitResponse = await self._do("register", request)
        return found

    async def keyrings(self, account: bytes, first: int) -> list[tuple[bytes, bytes]]:
        found: list[tuple[bytes, bytes]] = await self._do("keyrings", account, first)
        return found

    async def head(self, account: bytes, since: int | None) -> HeadResponse:
        found: HeadResponse = await self._do("head", account, since)
        return found

    async def head_at(self, account: bytes, version: int) -> HeadResponse:
        found: HeadResponse = await self._do("head_at", account, version)
        return found

    async def missing(self, account: bytes, names: Sequence[bytes]) -> list[bytes]:
        found: list[bytes] = await self._do("missing", account, tuple(names))
        return found

    async def put(self, account: bytes, name: bytes, data: bytes | memoryview) -> None:
        await self._do("put", account, name, data)

    async def read(self, account: bytes, ranges: Sequence[Range]) -> list[bytes | None]:
        found: list[bytes | None] = await self._do("read", account, tuple(ranges))
        return found

    async def commit(self, account: bytes, request: CommitRequest) -> CommitResponse:
        found: CommitResponse = await self._do("commit", account, request)
        return found

    async def open_link(self, account: bytes, ident: bytes) -> LinkResponse:
        found: LinkResponse = await self._do("open_link", account, ident)
        return found

    async def put_link(self, number: int, slot: int, message: bytes) -> None:
        await self._do("put_link", number, slot, message)

    async def get_link(self, number: int, slot: int) -> bytes:
        found: bytes = await self._do("get_link", number, slot)
        return found

    async def witness(self, request: WitnessRequest) -> WitnessResponse:
        found: WitnessResponse = await self._do("witness", request)
        return found

    async def events(self, account: bytes) -> AsyncGenerator[Versions | None, None]:
        self.trace.append(("events", account))
        if "events" in self._instead:
            async for versions in self._instead["events"](account):
                yield versions
            return
        async for versions in self.honest.events(account):
            yield versions

    async def usage(self, account: bytes) -> Usage:
        found: Usage = await self._do("usage", account)
        return found

    async def close(self) -> None:
        await self.honest.close()

    async def _do(self, call: str, *arguments: Any) -> Any:
        self.requests += 1
        self.trace.append((call, *arguments))
        if call in self._instead:
            return await _awaited(self._instead[call](*arguments))
        found = await getattr(self.honest, call)(*arguments)
        if call in self._answers:
            found = await _awaited(self._answers[call](found, *arguments))
        return found


async def _awaited(value: Any) -> Any:
    return await value if inspect.isawaitable(value) else value


def shape(trace: Sequence[tuple[Any, ...]]) -> list[tuple[Any, ...]]:
    """A trace as the sizes and counts that a relay sees, without what is random in every run."""
    return [tuple(_size(item) for item in entry) for entry in trace]


def _size(item: Any) -> Any:
    if isinstance(item, bytes):
        return len(item)
    if isinstance(item, tuple):
        return tuple(_size(part) for part in item)
    return item if isinstance(item, (str, int, type(None))) else type(item).__name__
