"""Searching a vault: the index is brought up to date as far as there is time, then asked; the rest follows beside."""

from __future__ import annotations

import asyncio
import base64
import binascii
import contextlib
import json
import sqlite3
import time
from collections.abc import Callable
from typing import Any, TypeVar

from strongroom.engine.reading import chat_rows
from strongroom.outbox import Outbox
from strongroom.reader import Reader
from strongroom.search import store
from strongroom.search.finding import Finder, Key
from strongroom.search.index import Index, identity, stored_back_to
from strongroom.search.query import Query
from strongroom.search.records import Hit, IndexState, SearchPage
from strongroom.search.work import BULK_SLICES, Plan
from strongroom.session import Session
from strongroom_protocol.errors import CallError, InvalidArgument, RelayUnreachable, StorageFull, StrongroomError
from strongroom_protocol.limits import LIMITS
from strongroom_protocol.rows.merge import Order

T = TypeVar("T")

SWITCH = "search"
OFF = b"off"
"""Value of SWITCH in the vault's state when this device is to have no index."""

PAGE = 1_000
"""Hits of a page at most."""

FOREVER = float("inf")

OnIndexed = Callable[[int, int, int], None]
"""Gets rows filed by this call, rows that wait, and the time (ms) since when all is filed."""


class Searching:
    """The search of one open vault. `task` files what is still to be filed while the program does something else."""

    def __init__(self, session: Session, reader: Reader, outbox: Outbox) -> None:
        self._session, self._reader, self._outbox = session, reader, outbox
        self._folder = session.state.folder
        self._lock = asyncio.Lock()
        self._index: Index | None = None
        self._plan: Plan | None = None
        self._at: tuple[bytes, int, int] | None = None
        self._task: asyncio.Task[None] | None = None
        self._rebuilt = ""

    async def search(self, text: str, *, limit: int, before: str | None, patience: float) -> SearchPage:
        """See `Vault.search`."""
        query = Query.read(text)
        if not 1 <= limit <= PAGE:
            raise InvalidArgument(f"limit is between 1 and {PAGE:,}")
        after = None if before is None else _key(before)
        self._require_on()
        for _ in range(2):  # an index that turns out to be damaged is begun anew, once
            try:
                looked = await self._advance(patience)
                # Before the index is asked: what is filed meanwhile may be in the page or not.
                plan, back_to = self._plan, await self._back_to()
                whole = looked and plan is not None and not plan.todo and not plan.bad and plan.whole
                hits, following = await asyncio.to_thread(self._find, query, limit, after)
                break
            except sqlite3.DatabaseError:
                await self._begin_anew()
        else:
            raise StorageFull("the search index is damaged again at once", hint="check the disk that holds the vault")
        damaged = () if plan is None else tuple(sorted(plan.snapshot.source.damage))
        whole = whole and not damaged
        rebuilt, self._rebuilt = self._rebuilt, ""
        return SearchPage(
            tuple(hits), None if following is None else _cursor(following), whole, back_to, damaged, rebuilt
        )

    async def build(self, progress: OnIndexed | None = None) -> IndexState:
        """Switch searching on, and file everything. Raises what reading raises; what is filed stays."""
        self._session.state.put({SWITCH: None})
        try:
            await self._advance(FOREVER, progress)
        except sqlite3.DatabaseError:
            await self._begin_anew()
            await self._advance(FOREVER, progress)
        return await self.state()

    async def state(self) -> IndexState:
        """How far the index is; zeros when there is none."""
        async with self._lock:
            if self._index is None:
                return IndexState(0, 0, 0, 0)
            size = sum(path.stat().st_size for name in store.FILES if (path := self._folder / name).exists())
            waiting = 0 if self._plan is None else self._plan.waiting
            return IndexState(await _alone(self._index.messages), waiting, self._index.back_to(), size)

    async def forget(self) -> bool:
        """Delete the index and make no other until `build`; whether there was one."""
        await self.stop()
        self._session.state.put({SWITCH: OFF})
        return store.remove(self._folder)

    async def stop(self) -> None:
        """Let go of the index; what is filed stays."""
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task
            self._task = None
        async with self._lock:
            with contextlib.suppress(sqlite3.Error):  # it is done next time
                await self._clean()
            self._release()

    def _require_on(self) -> None:
        if self._session.state.get(SWITCH) == OFF:
            raise CallError(
                "searching is switched off on this device", hint="`strongroom search --index` makes the index again"
            )

    async def _advance(self, patience: float, progress: OnIndexed | None = None) -> bool:
        """File for `patience` seconds what the newest version has and the index has not; the rest in the background.

        False when what goes on in the background took all that time, so that nobody has looked for newer messages.
        """
        if self._task is not None and not self._task.done():
            began = time.monotonic()
            await asyncio.wait([self._task], timeout=None if patience == FOREVER else patience)
            if not self._task.done():
                return False
            patience -= time.monotonic() - began
        ends = time.monotonic() + patience
        rows = 0
        async with self._lock:
            await self._look()
            while self._plan is not None and self._plan.todo and time.monotonic() < ends:
                rows += await self._step(self._plan, BULK_SLICES if patience == FOREVER else 1)
                if progress is not None:
                    progress(rows, self._plan.waiting, self._plan.back_to)
        left = (self._plan is not None and self._plan.todo) or (self._index is not None and self._index.has_remnants)
        if left and (self._task is None or self._task.done()):
            self._task = asyncio.create_task(self._go_on(), name="search index")
        return True

    async def _go_on(self) -> None:
        with contextlib.suppress(StrongroomError, sqlite3.Error):  # the next search tries again, and says so
            while self._plan is not None and self._plan.todo:
                async with self._lock:
                    await self._step(self._plan)
                await asyncio.sleep(0)
            async with self._lock:
                await self._clean()

    async def _look(self) -> None:
        """Plan what is new since the last look. Without the relay and a state of it here, the index stays as it is."""
        try:
            snapshot = await self._reader.current()
        except RelayUnreachable:
            if not (self._folder / store.NAME).exists():
                raise
            self._plan = self._at = None
            return
        at = (snapshot.head.hash, *self._outbox.waiting())
        here = self._index is not None and (self._folder / store.NAME).exists()
        if here and at == self._at and self._plan is not None and not self._plan.bad:
            return
        ident = identity(snapshot, self._session.device.id)
        if self._index is None:
            self._index = await _alone(Index, self._folder, ident)
            self._rebuilt = self._rebuilt or self._index.begun
        elif not here or self._index.identity() != ident:
            self._release()
            return await self._look()
        index = self._index
        rows = await chat_rows(snapshot)
        latest = snapshot.head.time + LIMITS.clock_ahead_ms
        whole = not snapshot.source.damage
        await _alone(index.name_chats, rows, latest, every=whole)
        self._plan = await Plan.of(snapshot, await _alone(index.done))
        self._at = at
        if not self._plan.todo:
            await _alone(self._completed, self._plan)

    async def _step(self, plan: Plan, slices: int = 1) -> int:
        """File the next pieces; how many rows they have."""
        assert self._index is not None  # noqa: S101 a plan is made for an open index
        pieces = plan.next(slices)
        read = await plan.read(pieces)
        order = Order(plan.snapshot.head.time)
        back_to = plan.back_to_after(pieces)
        await _alone(self._index.file, pieces, read, order, back_to)
        plan.take(read, pieces)
        if not plan.todo:
            await _alone(self._completed, plan)
        return sum(piece.rows for piece in pieces)

    async def _clean(self) -> None:
        if self._index is not None and self._index.has_remnants:
            await _alone(self._index.clean)

    def _completed(self, plan: Plan) -> None:
        if self._index is not None:
            whole = plan.whole and not plan.bad and not plan.snapshot.source.damage
            self._index.complete(plan.names, plan.snapshot.body.sequences if whole else None)

    def _find(self, query: Query, limit: int, before: Key | None) -> tuple[list[Hit], Key | None]:
        with store.checked(), contextlib.closing(store.connect(self._folder)) as database:  # of its own, beside filing
            database.execute("BEGIN")  # one state of the index for all of a page
            return Finder(database, query).page(limit, before)

    async def _back_to(self) -> int:
        """Messages later than this (ms) are filed."""
        if self._plan is not None:
            return self._plan.back_to
        return await asyncio.to_thread(stored_back_to, self._folder)

    async def _begin_anew(self) -> None:
        await self.stop()
        store.remove(self._folder)
        self._rebuilt = "the index on this device was damaged, or of another version"

    def _release(self) -> None:
        if self._index is not None:
            self._index.close()
        self._index = self._plan = self._at = None


async def _alone(work: Callable[..., T], *given: Any, **options: Any) -> T:
    """Run in a thread; a task that is cancelled meanwhile waits for its end, so that nobody closes what it uses."""

    def checked() -> T:
        with store.checked():
            return work(*given, **options)

    running = asyncio.ensure_future(asyncio.to_thread(checked))
    try:
        return await asyncio.shield(running)
    except asyncio.CancelledError:
        await asyncio.wait([running])
        raise


def _cursor(key: Key) -> str:
    return base64.urlsafe_b64encode(json.dumps(key, ensure_ascii=False).encode()).decode().rstrip("=")


def _key(cursor: str) -> Key:
    try:
        found: Any = json.loads(base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
        when, conversation, place = found
    except (ValueError, TypeError, binascii.Error) as error:
        raise InvalidArgument(
            "that is not where a page of a search ended", hint="use `following` as it was given"
        ) from error
    if type(when) is not int or type(conversation) is not str or type(place) is not int:
        raise InvalidArgument("that is not where a page of a search ended", hint="use `following` as it was given")
    return when, conversation, place
