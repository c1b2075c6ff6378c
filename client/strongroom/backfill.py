"""Bringing everything onto a device while it is used: newest first, in the background, paused and resumed at will.

What is not here yet is read from the relay as it is looked at, so nothing waits for this. What has come is kept,
whatever happens; a new run passes over it.
"""

from __future__ import annotations

import asyncio
import contextlib

from strongroom.cache import Cache
from strongroom.engine.audit import audit
from strongroom.engine.examining import Gate
from strongroom.reader import Reader
from strongroom.records import OnProgress, Progress, Restored, measured
from strongroom.session import Session
from strongroom.settings import Settings


async def restore(
    session: Session,
    reader: Reader,
    *,
    media: bool | None,
    progress: OnProgress | None = None,
    gate: Gate | None = None,
) -> Restored:
    """Fetch what the newest version reaches into the cache, and drop from it what nothing reaches any more.

    `media` None: as the settings say. With a `gate`, and by the setting "later", files come after all messages.
    """
    if media is None:
        wanted = Settings.load(session.state).media
        media = wanted != "on-demand"
        if wanted == "later" and gate is None:
            gate = _open
    async with session.lock:
        head = await session.sync()
        snapshot = await reader.readable(head)
    cache = Cache(session.state.folder / "objects")
    report = await audit(snapshot, keep=cache, media=media, progress=measured("restore", progress), gate=gate)
    if not report.damaged:  # else it is not known what is still needed
        needed = [ref.name async for ref, _ in snapshot.objects()]
        await asyncio.to_thread(cache.keep_only, needed)
    return Restored(report, snapshot.head.version, snapshot.head.version != head.version)


async def _open() -> None:
    """A gate through which everything goes: what it is for is the order."""


class Backfill:
    """A restore that runs beside everything else. `progress` is where it is; `wait` gives what it found."""

    def __init__(self, session: Session, reader: Reader, *, media: bool | None) -> None:
        self.progress = Progress("restore", 0, None, "bytes")
        self._going = asyncio.Event()
        self._going.set()
        self._moved = asyncio.Event()
        self._task = asyncio.create_task(
            restore(session, reader, media=media, progress=self._at, gate=self._gate), name="backfill"
        )
        self._task.add_done_callback(self._ended)

    @property
    def paused(self) -> bool:
        return not self._going.is_set()

    @property
    def done(self) -> bool:
        """Whether it has ended, well or not; `wait` tells."""
        return self._task.done()

    def pause(self) -> None:
        """Fetch nothing more until `resume`; what is on its way still comes (at most 16 MiB)."""
        self._going.clear()

    def resume(self) -> None:
        """Go on."""
        self._going.set()

    async def wait(self) -> Restored:
        """Return when all is here. Raises what ended it (RelayUnreachable, StorageFull …); what has come is kept."""
        return await asyncio.shield(self._task)

    async def moved(self) -> Progress:
        """Wait until it has gone further or ended; where it is then."""
        await self._moved.wait()
        if not self._task.done():
            self._moved.clear()
        return self.progress

    async def stop(self) -> None:
        """End it; a new one passes over what has come."""
        self._task.cancel()
        with contextlib.suppress(asyncio.CancelledError, Exception):  # whoever wants to know asks `wait`
            await self._task

    def _at(self, progress: Progress) -> None:
        self.progress = progress
        self._moved.set()

    def _ended(self, task: asyncio.Task[Restored]) -> None:
        if not task.cancelled():
            task.exception()  # told by `wait` to whoever asks; nobody has to
        self._moved.set()

    async def _gate(self) -> None:
        await self._going.wait()
