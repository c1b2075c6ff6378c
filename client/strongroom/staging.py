"""Sealed objects on their way to the relay: small ones travel inside the commit, large ones are put before it.

A long change seals more than memory should hold. What is large goes up in the background while the change goes on; the
head that adds it is only sent when all of it is durable there.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field

from strongroom.heap import give_back
from strongroom.transport.base import Transport
from strongroom_protocol.limits import LIMITS

INLINE_OBJECT = 64 * 1024
"""Objects up to this size travel inside the commit request: one round trip and one fsync for a small commit."""

UPLOADS = 4
"""Objects uploaded at once."""

RELIEF_BYTES = 4 * 1024 * 1024
"""Sealed bytes in memory from which uploading begins before the change is complete."""


@dataclass(slots=True)
class Staging:
    """What one change has sealed. `emit` takes objects, `relieve` uploads early, `finish` uploads the rest."""

    transport: Transport
    account: bytes
    names: set[bytes] = field(default_factory=set)
    _held: dict[bytes, bytes] = field(default_factory=dict)
    _bytes: int = 0
    _running: set[asyncio.Task[None]] = field(default_factory=set)

    def emit(self, name: bytes, data: bytes) -> None:
        """Take a sealed object."""
        if name not in self.names:
            self.names.add(name)
            self._held[name] = data
            self._bytes += len(data)

    async def relieve(self) -> None:
        """Upload the large objects held when they are many; waits only while too many are on their way."""
        if self._bytes < RELIEF_BYTES:
            return
        give_back()  # what left before, and the rows it was made from
        self._start(self._large())
        await self._wait(until=UPLOADS)

    async def finish(self) -> tuple[bytes, ...]:
        """Upload what is large and not there yet; returns what is to travel inside the commit."""
        if sum(len(data) for data in self._held.values() if len(data) <= INLINE_OBJECT) > LIMITS.inline_bytes:
            large = list(self._held)
        else:
            large = self._large()
        if large:
            absent = set(await self.transport.missing(self.account, large))
            for name in large:
                if name not in absent:
                    self._held.pop(name)
            for at in range(0, len(absent), UPLOADS):
                self._start([name for name in large if name in absent][at : at + UPLOADS])
                await self._wait(until=UPLOADS)
        await self._wait(until=1)
        return tuple(self._held.values())

    async def stop(self) -> None:
        """Give up what is still going up; what arrived expires at the relay."""
        for task in self._running:
            task.cancel()
        await asyncio.gather(*self._running, return_exceptions=True)
        self._running.clear()

    def _large(self) -> list[bytes]:
        return [name for name, data in self._held.items() if len(data) > INLINE_OBJECT]

    def _start(self, names: Sequence[bytes]) -> None:
        for name in names:
            data = self._held.pop(name)
            self._bytes -= len(data)
            self._running.add(asyncio.ensure_future(self.transport.put(self.account, name, data)))

    async def _wait(self, *, until: int) -> None:
        """Wait until fewer than `until` uploads run; raises what went wrong with one."""
        while len(self._running) >= until:
            done, _ = await asyncio.wait(self._running, return_when=asyncio.FIRST_COMPLETED)
            self._running -= done
            for task in done:
                task.result()
