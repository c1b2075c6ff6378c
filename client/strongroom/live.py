"""Following an account while a vault is open: what other devices write, as it arrives (spec chapter 18).

A relay's events are hints and nothing else: after each the newest head is fetched and weighed as ever. So a relay that
lies in them can make a device ask in vain, which it does less and less often, or say nothing, which a poll now and then
bounds. No clock is read but the event loop's.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import AsyncGenerator
from dataclasses import dataclass, field

from strongroom.news import Batches, news
from strongroom.reader import Reader
from strongroom.records import Update
from strongroom.session import Session
from strongroom.transport.base import Versions
from strongroom_protocol.errors import RelayConflict, RelayRefused, RelayUnreachable, StrongroomError
from strongroom_protocol.relay_api.problems import Problem

BACKOFF_S = (0.5, 60.0)
"""First and longest wait after a stream ended, or after a hint that brought nothing."""

STEADY_S = 20.0
"""A stream that lasted so long was a good one: the next one is opened at once. Others are opened ever more seldom."""

SAFETY_S = 300.0
"""A device asks this often however silent the stream is."""

POLL_S = 15.0
"""How often a device asks while it has no stream that tells anything: the relay has none, or a proxy swallows it."""

BUSY = Problem.RATE.code
"""A relay, or a proxy before it, that has been asked too often: it is as good as away for a while."""

NOTHING = Versions(0, 0)


class Live:
    """The stream of a device, for all who follow in this process: a relay gives each key one (LIVE-4)."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._followers: set[Follower] = set()
        self._task: asyncio.Task[None] | None = None
        self.newest = NOTHING  # by the relay's word
        self.telling = False  # whether there is a stream that has told something
        self.closed = False

    def join(self, follower: Follower) -> None:
        """Hold a stream from now on, for this one too."""
        self._followers.add(follower)
        if self._task is None:
            self._task = asyncio.create_task(self._listening(), name="live")

    async def leave(self, follower: Follower) -> None:
        """The last one ends the stream."""
        self._followers.discard(follower)
        if not self._followers:
            await self._stop()

    async def close(self) -> None:
        """End the stream, and with it everybody's following."""
        self.closed = True
        for follower in self._followers:
            follower.woken.set()
            follower.anew.set()
        await self._stop()

    async def _stop(self) -> None:
        task, self._task = self._task, None
        self.telling, self.newest = False, NOTHING
        if task is not None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def _listening(self) -> None:
        """Hold a stream, and a new one whenever it ends."""
        loop, failures = asyncio.get_running_loop(), 0
        while True:
            began = loop.time()
            try:
                async with contextlib.aclosing(self._session.transport.events(self._session.account)) as events:
                    async for versions in events:
                        if versions is not None:
                            self._heard(versions)
            except StrongroomError:
                pass  # no stream, or none for us: who follows asks by itself now, and is told which
            if self.telling:
                self.telling = False
                for follower in self._followers:
                    follower.woken.set()
            failures = 0 if loop.time() - began >= STEADY_S else failures + 1
            await asyncio.sleep(_wait(failures))

    def _heard(self, versions: Versions) -> None:
        first, self.telling, self.newest = not self.telling, True, versions
        for follower in self._followers:
            if first:
                follower.anew.set()
            if follower.behind(versions):
                follower.woken.set()


@dataclass(slots=True, eq=False)
class Follower:
    """Waits for hints, fetches, and tells what is new. With `poll` (seconds) it asks that often, without a stream."""

    session: Session
    reader: Reader
    live: Live
    poll: float | None = None
    woken: asyncio.Event = field(default_factory=asyncio.Event)
    anew: asyncio.Event = field(default_factory=asyncio.Event)
    _known: Versions = NOTHING

    def behind(self, versions: Versions) -> bool:
        """Whether they are newer than what this one has told about. Not than the pin: others move that, too."""
        return versions.head > self._known.head or versions.keyring > self._known.keyring

    async def updates(self) -> AsyncGenerator[Update, None]:
        """Every update from now on, until the vault is closed. Raises what `Vault.watch` says."""
        try:
            async with contextlib.aclosing(self._updates()) as updates:
                async for update in updates:
                    yield update
        except Exception:
            if not self.live.closed:  # else the vault was closed under a request: no error of anybody's
                raise

    async def _updates(self) -> AsyncGenerator[Update, None]:
        before = await self.reader.committed()
        self._known = Versions(before.head.version, before.head.keyring_version)
        if self.poll is None:
            self.live.join(self)
        vain, missed = 0, Batches()
        try:
            while not self.live.closed:
                hinted = await self._hinted()
                if self.live.closed:
                    return
                self.woken.clear()  # one synchronisation at a time; whatever comes meanwhile makes one more
                self.anew.clear()
                found = None
                try:
                    after = await self.reader.committed()
                    found = await news(before, after, self.session.device.id, missed)
                    moved, before = after.head.version > before.head.version, after
                except (RelayUnreachable, RelayConflict, RelayRefused) as error:
                    if isinstance(error, RelayRefused) and error.code != BUSY:
                        raise
                    moved = False  # nothing is skipped: the next comparison begins where this one did
                else:
                    self._known = Versions(after.head.version, self.session.keyring.version)
                    if not self.behind(self.live.newest):  # what woke it meanwhile has just been fetched
                        self.woken.clear()
                if found is not None:
                    yield found
                vain = 0 if moved else vain + hinted
                if hinted and vain > 1:  # spec: LIVE-9
                    await self._pause(_wait(vain - 2))
        finally:
            if self.poll is None:
                await self.live.leave(self)

    async def _hinted(self) -> bool:
        """Wait for a hint; False when none came for so long that it is time to ask without one."""
        asking = SAFETY_S if self.live.telling else POLL_S
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self.poll or asking):  # spec: LIVE-10
                await self.woken.wait()
        return self.woken.is_set()

    async def _pause(self, seconds: float) -> None:
        """Wait; a new stream, of which there are few, ends it: the relay may be back."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self.anew.wait()


def _wait(failures: int) -> float:
    first, longest = BACKOFF_S
    return min(longest, first * 2.0 ** min(failures, 16)) * random.uniform(0.5, 1)  # noqa: S311 - spreads devices
