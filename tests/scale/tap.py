"""What every call to a relay costs, told apart by what it carries: `Tap` stands before any transport.

Bytes are those of the bodies that chapter 12 defines, in both directions, so they are the same over HTTP (without its
headers and signatures) as in one process.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from unittest.mock import patch

from adversary.hostile import Hostile
from strongroom.engine.sealer import Sealer
from strongroom.transport.base import CommitRequest, HeadResponse, Transport
from strongroom_protocol.engine.refs import ChunkRef, ObjectRef
from strongroom_protocol.relay_api import messages
from strongroom_protocol.seal.objects import ObjectType

REST = "requests and answers"
"""What is not an object: heads, receipts, proofs, names, ranges."""


@dataclass(slots=True)
class Cost:
    """Requests, bytes in both directions, and of those bytes the objects' by name."""

    requests: int = 0
    sent: int = 0
    received: int = 0
    objects: Counter[bytes] = field(default_factory=Counter)

    @property
    def size(self) -> int:
        return self.sent + self.received

    def by(self, kinds: Mapping[bytes, str]) -> dict[str, int]:
        """The bytes by kind of object, and what is no object."""
        found: Counter[str] = Counter({REST: self.size - self.objects.total()})
        for name, size in self.objects.items():
            found[kinds.get(name, "unknown")] += size
        return dict(found)


class Tap(Hostile):
    """An honest relay; `taken` gives what it cost since the last time."""

    def __init__(self, honest: Transport) -> None:
        super().__init__(honest)
        self._cost = Cost()
        self._requests = honest.requests

    def taken(self) -> Cost:
        """The cost of the calls since the last `taken`."""
        cost, self._cost = self._cost, Cost()
        cost.requests = self.honest.requests - self._requests
        self._requests = self.honest.requests
        return cost

    async def _do(self, call: str, *arguments: Any) -> Any:
        found = await super()._do(call, *arguments)
        self.trace.clear()  # holds what is uploaded
        sent, received = _sizes(call, arguments, found)
        self._cost.sent += sent
        self._cost.received += received
        self._cost.objects.update(_objects(call, arguments, found))
        self.bytes_sent += sent
        self.bytes_received += received
        return found


def _sizes(call: str, arguments: tuple[Any, ...], found: Any) -> tuple[int, int]:
    """Bytes of a request's and its answer's body."""
    match call:
        case "put":
            return len(arguments[2]), 0
        case "read":
            return len(messages.encode_ranges(arguments[1])), len(messages.encode_pieces(found))
        case "missing":
            return len(messages.encode_names(arguments[1])), len(messages.encode_names(found))
        case "keyrings":
            return 0, len(messages.encode_keyrings(found))
        case "login":
            return len(messages.encode_login(arguments[0])), len(found.encode())
        case "unlock":
            return len(messages.UnlockRequest(*arguments[:2]).encode()), len(found.encode())
        case "register" | "commit":
            return len(arguments[-1].encode()), len(found.encode())
    answer: HeadResponse = found  # of the calls that are a path alone: head, usage, the relay's own facts
    return 0, len(answer.encode())


def _objects(call: str, arguments: tuple[Any, ...], found: Any) -> Mapping[bytes, int]:
    """Bytes of objects in a request or its answer, by name."""
    sizes: Counter[bytes] = Counter()
    match call:
        case "put":
            sizes[arguments[1]] += len(arguments[2])
        case "read":
            for (name, _, _), piece in zip(arguments[1], found, strict=True):
                sizes[name] += len(piece or b"")
        case "commit":
            request: CommitRequest = arguments[1]
            for data in request.objects:
                sizes[hashlib.sha256(data).digest()] += len(data)
    return sizes


@contextmanager
def kinds() -> Iterator[dict[bytes, str]]:
    """The kind of every object that is sealed in this process from now on, by name."""
    found: dict[bytes, str] = {}
    whole, chunked = Sealer.object, Sealer.chunks

    def one(sealer: Sealer, kind: ObjectType, content: bytes, *, sequence: int | None = None) -> ObjectRef:
        ref = whole(sealer, kind, content, sequence=sequence)
        found[ref.name] = kind.name.lower()
        return ref

    def several(sealer: Sealer, kind: ObjectType, contents: Sequence[bytes]) -> tuple[ObjectRef, tuple[ChunkRef, ...]]:
        ref, chunks = chunked(sealer, kind, contents)
        found[ref.name] = kind.name.lower()
        return ref, chunks

    with patch.multiple(Sealer, object=one, chunks=several):
        yield found
