"""Following an account while a vault is open: what other devices write, as it arrives (spec chapter 18).

A relay's events are hints and nothing else: after each the newest head is fetched and weighed as ever. So a relay that
lies in them can make a device ask in vain, which it does less and less often, or say nothing, which a poll now and then
bounds.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncGenerator
from dataclasses import dataclass, field

from strongroom.news import news
from strongroom.reader import Reader
from strongroom.records import Update
from strongroom.session import Session
from strongroom_protocol.errors import NotFound, RelayConflict, RelayError, RelayUnreachable

BACKOFF_S = (0.5, 60.0)
"""First and longest wait after a stream ended, or after a hint that brought nothing."""

SAFETY_S = 300.0
"""A device asks this often however silent the stream is."""

POLL_S = 15.0
"""How often a device asks where the relay has no stream, or something between them swallows it."""


@dataclass(slots=True)
class Follower:
    """Waits for hints, fetches, and tells what is new. With `poll` (seconds) it asks that often and holds no stream."""

    session: Session
    reader: Reader
    poll: float | None = None
    _hint: asyncio.Event = field(default_factory=asyncio.Event)

    async def updates(self) -> AsyncGenerator[Update, None]:
        """Every update from now on. Raises UntrustedDataError (a relay that shows something else than before),
        ReadOnly (this device was removed), RelayUnreachable only while nothing is known at all."""
        before = await self.reader.committed()
        listening = None if self.poll else asyncio.create_task(self._listening(), name="live")
        vain = 0
        try:
            while True:
                await self._hinted()
                found = None
                try:
                    after = await self.reader.committed()
                    found = await news(before, after, self.session.device.id)
                    moved, before = after.head.version > before.head.version, after
                except (RelayUnreachable, RelayConflict):
                    moved = False  # nothing is skipped: the next comparison begins where this one did
                if found is not None:
                    yield found
                vain = 0 if moved else vain + 1
                if vain > 1:  # spec: LIVE-9
                    await asyncio.sleep(_wait(vain - 2))
        finally:
            if listening is not None:
                listening.cancel()
                await asyncio.gather(listening, return_exceptions=True)

    async def _hinted(self) -> None:
        try:
            async with asyncio.timeout(self.poll or SAFETY_S):  # spec: LIVE-10
                await self._hint.wait()
        except TimeoutError:
            pass
        self._hint.clear()

    async def _listening(self) -> None:
        """Hold a stream, and a new one whenever it ends; without any, ask now and then."""
        failures = 0
        while True:
            try:
                async for versions in self.session.transport.events(self.session.account):
                    failures = 0
                    known = self.session.pin.head_version, self.session.keyring.version
                    if versions is not None and (versions.head > known[0] or versions.keyring > known[1]):
                        self._hint.set()
            except RelayUnreachable:
                await asyncio.sleep(_wait(failures))
                failures += 1
            except (RelayError, NotFound):  # it has no stream, or none for us; asking will tell which
                await asyncio.sleep(POLL_S)
            self._hint.set()


def _wait(failures: int) -> float:
    first, longest = BACKOFF_S
    return min(longest, first * 2.0 ** min(failures, 16)) * random.uniform(0.5, 1)  # noqa: S311 - spreads devices
