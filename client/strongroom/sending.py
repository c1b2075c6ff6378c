"""Sending what waits in the outbox: one task that commits, backs off while the relay is away, and tells who waits.

Messages that are appended close together share a commit: one for each would cost the history far more than it holds.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
from typing import TYPE_CHECKING

from strongroom.outbox import Outbox, Taken
from strongroom_protocol.errors import StorageFull, StrongroomError

if TYPE_CHECKING:
    from strongroom.engine.change import Change
    from strongroom.session import Session
    from strongroom_protocol.seal.media import Media

GATHER_S = 0.2
"""How long a commit waits for further messages: well within the second in which another device shows them.

`Settings.commit_delay` is more than this, or less, where a person wants it so."""

IDLE_S = 30.0
"""How long nothing was appended before a device merges runs: it has the time, and the next commits stay small."""

BACKOFF_S = (1.0, 60.0)
"""First and longest wait after a failure."""


async def send(session: Session, outbox: Outbox) -> int:
    """Commit the oldest entries; rows committed, 0 when nothing waits. Raises what `commit` raises, losing nothing."""
    from strongroom.commit import commit
    from strongroom.importing import write_rows

    taken = Taken()
    done: list[Media] = []
    folder = outbox.folder
    staged = folder.exists()
    if staged:  # files are rare: who only writes texts never loads what seals them
        from strongroom import outgoing

    async def build(change: Change) -> bool:
        nonlocal taken, done
        taken = outbox.take()
        if not taken.rows:
            return False
        if staged:
            names, done = await outgoing.bring(session, folder, list(taken.conversations.values()))
            change.uploaded |= names
        await write_rows(session, change, taken.conversations)
        return True

    await commit(session, build, entries=lambda: taken.last)
    if done:
        outgoing.forget(folder, done, outbox)
    return taken.rows


class Sender:
    """Runs beside an open vault. `error` is why the last try failed, None while all is well."""

    def __init__(self, session: Session, outbox: Outbox) -> None:
        self._session = session
        self._outbox = outbox
        self._wanted = asyncio.Event()
        self._moved = asyncio.Condition()
        self._task: asyncio.Task[None] | None = None
        self.error: StrongroomError | None = None
        outbox.changed = self._wake

    def start(self) -> None:
        """Send what an earlier process left, and whatever is appended from now on."""
        if self._task is None:
            self._task = asyncio.create_task(self._run())
            self._wanted.set()

    async def room(self) -> None:
        """Wait until the outbox takes more. Raises StorageFull when it is full and nothing is being sent."""
        self.start()
        async with self._moved:
            while self._outbox.full:
                if self.error is not None:
                    raise StorageFull(
                        f"too much waits to be saved, and saving fails: {self.error}",
                        hint=self.error.hint or "let it be saved before more is added",
                    )
                await self._moved.wait()

    async def flush(self) -> None:
        """Send now; returns when nothing waits any more. Raises what stands in the way; what waits, waits on."""
        try:
            while await send(self._session, self._outbox):
                await self._told(None)
        except StrongroomError as error:
            await self._told(error)
            raise
        await self._told(None)

    async def stop(self) -> None:
        """Stop sending. What is on its way may land or not: the next start finds out."""
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task
            self._task = None

    def _wake(self) -> None:
        self.start()
        self._wanted.set()

    async def _run(self) -> None:
        pause, longest = BACKOFF_S
        untidy = False
        while True:
            try:
                # Not wait_for: it loses a cancellation that comes as something is added, and `stop` would never end.
                async with asyncio.timeout(IDLE_S if untidy else None):
                    await self._wanted.wait()
            except TimeoutError:
                untidy = False
                await self._tidy()
                continue
            self._wanted.clear()
            untidy = True
            await asyncio.sleep(self._gathering())
            try:
                await self.flush()
                pause, _ = BACKOFF_S
            except Exception as error:  # whatever it is: what is appended later must not wait for a task that ended
                if not isinstance(error, StrongroomError):
                    await self._told(StrongroomError(f"saving failed: {type(error).__name__}"))
                await asyncio.sleep(pause * random.uniform(0.5, 1))  # noqa: S311 - spreads devices, hides nothing
                pause = min(2 * pause, longest)
                self._wanted.set()

    def _gathering(self) -> float:
        from strongroom.settings import Settings

        wanted = Settings.load(self._session.state).commit_delay
        return GATHER_S if wanted is None else wanted

    async def _tidy(self) -> None:
        """Merge runs while nobody is waiting; a failure is met again, and told, when something is to be saved."""
        from strongroom.importing import tidy
        from strongroom.pinning import keep_all_daily

        with contextlib.suppress(StrongroomError):
            await tidy(self._session)
            await keep_all_daily(self._session)

    async def _told(self, error: StrongroomError | None) -> None:
        async with self._moved:
            self.error = error
            self._moved.notify_all()
