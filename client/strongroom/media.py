"""Files on their way to the relay: sealed in threads, asked for in batches, put when absent (spec section 5.6).

Equal parts in one conversation have equal names, so an upload that broke off goes on by asking what is there, without
any state; and a file that is sent twice goes up once.
"""

from __future__ import annotations

import asyncio
import os
import stat
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Protocol, TypeVar

from strongroom.session import Session
from strongroom.transport.base import Transport
from strongroom_protocol.keys.epochs import EpochKeys
from strongroom_protocol.limits import LIMITS, MIB
from strongroom_protocol.rows.ids import conversation_key
from strongroom_protocol.seal.media import Media, PartShape, part_bytes
from strongroom_protocol.seal.media_parts import MediaSealer, PartToSeal

T = TypeVar("T")

HELD_BYTES = 40 * MIB
"""Plaintext and sealed bytes in memory at once: two parts being read and sealed, one being put."""

SMALL_BYTES = 4 * MIB
"""Sealed parts up to this size get memory of their own, of just that size."""

KEPT_BUFFERS = 2
"""Buffers of a full part that are kept for the next one."""

FULL_BYTES = PartShape(part_bytes(), LIMITS.media_chunk_bytes).size

FILES = 16
"""Files under way at once: what hides round trips and syncs behind each other when files are small."""

_THREADS = ThreadPoolExecutor(2, "strongroom-media")
"""Few threads of their own: each keeps what its last parts took of memory."""

Keep = Callable[[bytes, memoryview], Awaitable[None]]
"""Stores a sealed part, name and bytes: at the relay, or in a folder of this device."""

Progress = Callable[[int], None]
"""Gets the bytes of files that are sealed and stored so far."""


class Stream(Protocol):
    """What a file is read from."""

    def read(self, size: int, /) -> bytes:
        """Up to `size` bytes; none at the end only."""
        ...


async def upload(
    session: Session, stream: Stream, *, conversation: str, scope: bytes | None = None,
    progress: Progress | None = None,
) -> Media:  # fmt: skip
    """Seal what `stream` holds, from where it stands to its end, and bring it to the relay: durable there on return.

    It is read once, in constant memory, and may be a pipe. The head that carries the descriptor must add its `names`;
    what no head adds expires. `scope` is the conversation's own unless ACCOUNT_SCOPE is given. Raises ReadOnly,
    InvalidArgument (too large), OSError of the stream, RelayError.
    """
    return await Sealing.to_relay(session, progress).file(stream, conversation, scope)


async def upload_many(
    session: Session, files: Iterable[tuple[Stream, str]], *, progress: Progress | None = None
) -> list[Media]:
    """The same for (stream, conversation) pairs, several at once; the descriptors come in their order."""
    sealing = Sealing.to_relay(session, progress)
    room = asyncio.Semaphore(FILES)
    tasks: list[asyncio.Task[Media]] = []

    async def one(stream: Stream, conversation: str) -> Media:
        try:
            return await sealing.file(stream, conversation)
        finally:
            room.release()

    async with together() as group:
        for stream, conversation in files:
            await room.acquire()
            tasks.append(group.create_task(one(stream, conversation)))
    return [task.result() for task in tasks]


class Room:
    """Bytes of memory that tasks share. Who waits here holds nothing, so all that is held will be given back."""

    def __init__(self, size: int) -> None:
        self._free = size
        self._waiting: list[asyncio.Future[None]] = []

    async def take(self, size: int) -> None:
        while self._free < size:
            self._waiting.append(asyncio.get_running_loop().create_future())
            await self._waiting[-1]
        self._free -= size

    def give(self, size: int) -> None:
        self._free += size
        waiting, self._waiting = self._waiting, []
        for turn in waiting:
            if not turn.done():
                turn.set_result(None)


@dataclass(slots=True)
class Sealing:
    """Seals files into one epoch, any number at once, in bounded memory. `keep` stores each part."""

    keys: EpochKeys
    keep: Keep
    progress: Progress | None = None
    _room: Room = field(default_factory=lambda: Room(HELD_BYTES))
    _buffers: list[bytearray] = field(default_factory=list)
    _done: int = 0

    @classmethod
    def to_relay(cls, session: Session, progress: Progress | None = None) -> Sealing:
        """Into the newest epoch, to the session's relay. Raises ReadOnly."""
        session.require_writer()
        return cls(session.epochs()[session.keyring.epoch], Arrivals(session.transport, session.account).keep, progress)

    async def file(self, stream: Stream, conversation: str, scope: bytes | None = None) -> Media:
        """One file, read from a stream in threads."""

        async def pieces() -> AsyncIterator[bytes]:
            while piece := await _in_thread(_filled, stream, part_bytes()):
                yield piece

        return await self.pieces(pieces(), conversation, scope, left=_length(stream))

    async def pieces(
        self, pieces: AsyncIterator[bytes], conversation: str, scope: bytes | None = None, *, left: int | None = None
    ) -> Media:
        """One file, in pieces of at most a part's size; `left`, where it is known, is how many bytes are to come."""
        sealer = MediaSealer(self.keys, conversation_key(conversation) if scope is None else scope)
        tasks: list[asyncio.Task[tuple[bytes, bytes]]] = []
        async with together() as group:
            more = True
            while more:
                # Taken before it is read: the plaintext of a part, and what it becomes.
                taken = 2 * min(part_bytes(), part_bytes() if left is None else left) + MIB
                await self._room.take(taken)
                try:
                    more, parts = await _next_parts(sealer, pieces)
                    left = None if left is None else max(0, left - part_bytes())
                    if parts:
                        part = parts.pop(0)
                        taken -= _weight(part)
                        tasks.append(group.create_task(self._part(part)))
                        del part
                finally:
                    self._room.give(taken)
                for padding in parts:
                    await self._room.take(_weight(padding))
                    tasks.append(group.create_task(self._part(padding)))
        return sealer.media([task.result() for task in tasks])

    async def _part(self, part: PartToSeal) -> tuple[bytes, bytes]:
        """Seal and store a part; gives back its room."""
        weight, size, length = _weight(part), len(part.content), part.shape.size
        # Memory that was used before costs much less than new memory; what a smaller part needs is not kept.
        large = length > SMALL_BYTES
        buffer = self._buffers.pop() if large and self._buffers else bytearray(FULL_BYTES if large else length)
        try:
            name, table = await _in_thread(part.seal_into, buffer)
            del part
            self._room.give(size)
            weight -= size
            await self.keep(name, memoryview(buffer)[:length])
        finally:
            self._room.give(weight)
        if large and len(self._buffers) < KEPT_BUFFERS:  # only after success: what broke off may still be read from
            self._buffers.append(buffer)
        self._done += size
        if self.progress is not None:
            self.progress(self._done)
        return name, table


class Arrivals:
    """Objects that go to one relay: each is asked for, and put when it is absent, once."""

    def __init__(self, transport: Transport, account: bytes) -> None:
        self._transport = transport
        self._account = account
        self._there: set[bytes] = set()
        self._running: dict[bytes, asyncio.Event] = {}
        self._asked: set[bytes] = set()
        self._absent: dict[bytes, bool] = {}
        self._asking = asyncio.Lock()

    async def keep(self, name: bytes, data: memoryview) -> None:
        """Durable at the relay on return."""
        while (running := self._running.get(name)) is not None:  # the same part of another message
            await running.wait()
        if name in self._there:
            return
        ended = self._running[name] = asyncio.Event()
        try:
            if await self._is_absent(name):
                await self._transport.put(self._account, name, data)
            self._there.add(name)
        finally:
            del self._running[name]
            ended.set()

    async def _is_absent(self, name: bytes) -> bool:
        """While one query is under way the names of the next gather: one round trip serves many small files."""
        self._asked.add(name)
        async with self._asking:
            if name not in self._absent:
                names = [*(self._asked | {name})]
                self._asked.clear()
                absent = set(await self._transport.missing(self._account, names))
                self._absent |= {asked: asked in absent for asked in names}
        return self._absent.pop(name)


@asynccontextmanager
async def together() -> AsyncIterator[asyncio.TaskGroup]:
    """A task group that raises the first error as it is."""
    try:
        async with asyncio.TaskGroup() as group:
            yield group
    except BaseExceptionGroup as errors:
        raise errors.exceptions[0] from None


def _length(stream: Stream) -> int | None:
    """Bytes of a regular file, so that small ones need not wait for room they will not use. None: not known."""
    try:
        status = os.fstat(stream.fileno())  # type: ignore[attr-defined]
    except (AttributeError, OSError, ValueError):
        return None
    return status.st_size if stat.S_ISREG(status.st_mode) else None


async def _in_thread(work: Callable[..., T], *given: object) -> T:
    return await asyncio.get_running_loop().run_in_executor(_THREADS, work, *given)


async def _next_parts(sealer: MediaSealer, pieces: AsyncIterator[bytes]) -> tuple[bool, list[PartToSeal]]:
    """Whether there may be more, and the parts that the next piece completes."""
    piece = await anext(pieces, b"")
    return bool(piece), await _in_thread(lambda: sealer.take(piece) if piece else sealer.end())


def _filled(stream: Stream, size: int) -> bytes:
    """The next `size` bytes; fewer only at the end, though a pipe gives what it has."""
    piece = stream.read(size)
    if not piece or len(piece) == size:
        return piece
    pieces = [piece]
    while (size := size - len(piece)) and (piece := stream.read(size)):
        pieces.append(piece)
    return b"".join(pieces)


def _weight(part: PartToSeal) -> int:
    return len(part.content) + part.shape.size
