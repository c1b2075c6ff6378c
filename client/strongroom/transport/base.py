"""The transport protocol: what a client asks of a relay, as typed calls (spec chapter 12).

Every call raises only errors of `strongroom_protocol.errors`; what comes back is parsed but not trusted.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from typing import Protocol

from strongroom_protocol.manifest.witness import WitnessRequest, WitnessResponse
from strongroom_protocol.relay_api.links import LinkResponse
from strongroom_protocol.relay_api.live import Versions
from strongroom_protocol.relay_api.messages import (
    CommitRequest,
    CommitResponse,
    HeadResponse,
    LoginResponse,
    Range,
    RegisterRequest,
    RelayInfo,
    UnlockResponse,
    Usage,
)
from strongroom_protocol.wire.cose import Signer

__all__ = [
    "CommitRequest",
    "CommitResponse",
    "HeadResponse",
    "LinkResponse",
    "LoginResponse",
    "Range",
    "RegisterRequest",
    "RelayInfo",
    "Transport",
    "UnlockResponse",
    "Usage",
    "Versions",
    "WitnessRequest",
    "WitnessResponse",
]


class Transport(Protocol):
    """One relay. `origin` is what unlock statements name; the counters are what benchmarks count."""

    origin: str
    requests: int
    bytes_sent: int
    bytes_received: int

    def authenticate(self, key: bytes, signer: Signer) -> None:
        """Sign requests with this device key from now on."""

    async def relay_info(self) -> RelayInfo:
        """The relay's receipt key and time."""
        ...

    async def login(self, name: str) -> LoginResponse:
        """Challenge and login salt for an account name."""
        ...

    async def unlock(self, name: str, statement: bytes, account: bytes | None = None) -> UnlockResponse:
        """The slot set, for a statement signed by an unlock key; with `account` the request is signed by the device."""
        ...

    async def block(self, account: bytes, message: bytes) -> None:
        """Pause a device's key at the relay until the next keyring, for a block signed by the root."""
        ...

    async def register(self, request: RegisterRequest) -> CommitResponse:
        """Make an account."""
        ...

    async def keyrings(self, account: bytes, first: int) -> list[tuple[bytes, bytes]]:
        """Keyrings and receipts from a version on, oldest first."""
        ...

    async def head(self, account: bytes, since: int | None) -> HeadResponse:
        """The newest head, with a consistency proof from version `since`."""
        ...

    async def head_at(self, account: bytes, version: int) -> HeadResponse:
        """An earlier head."""
        ...

    async def missing(self, account: bytes, names: Sequence[bytes]) -> list[bytes]:
        """Which objects the relay does not have (or is about to delete)."""
        ...

    async def put(self, account: bytes, name: bytes, data: bytes | memoryview) -> None:
        """Upload an object; durable on return, idempotent."""
        ...

    async def read(self, account: bytes, ranges: Sequence[Range]) -> list[bytes | None]:
        """The bytes of ranges, in order; None for what is not there."""
        ...

    async def commit(self, account: bytes, request: CommitRequest) -> CommitResponse:
        """Advance the head. Raises RelayConflict when somebody else was first."""
        ...

    async def open_link(self, account: bytes, ident: bytes) -> LinkResponse:
        """A mailbox for linking; the same random id again gives the same one."""
        ...

    async def put_link(self, number: int, slot: int, message: bytes) -> None:
        """Write a slot of a mailbox, once. Raises RelayConflict when it holds something else, NotFound."""
        ...

    async def get_link(self, number: int, slot: int) -> bytes:
        """What a slot holds, nothing while it is not written. Raises NotFound when there is no such mailbox."""
        ...

    async def witness(self, request: WitnessRequest) -> WitnessResponse:
        """Ask a relay that is a witness what it remembers. Raises NotFound when it is none."""
        ...

    def events(self, account: bytes) -> AsyncGenerator[Versions | None, None]:
        """The newest versions, now and at every change; None for a sign of life. Hints: nothing of it is proven.

        Never ends well: raises RelayUnreachable, NotFound from a relay that has no stream, RelayRefused.
        """
        ...

    async def usage(self, account: bytes) -> Usage:
        """Bytes kept and cap."""
        ...

    async def close(self) -> None:
        """Release connections or the folder."""
        ...
