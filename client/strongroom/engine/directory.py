"""Keeping the directory: hot page, cold log, what a change does to them (spec chapter 08)."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from strongroom.engine.listing import Rows, cold_rows, described, made_again, read_rows, relocated, rows_of
from strongroom.engine.sealer import Sealer
from strongroom.engine.snapshot import Snapshot
from strongroom_protocol.engine.directory import PAGE_ROWS, DirectoryRow, encode_rows
from strongroom_protocol.engine.hot import COLD_PAGES, HOT_ROWS, PREFIX_BYTES, ColdPage, HotPage, places
from strongroom_protocol.engine.index import Entry
from strongroom_protocol.engine.refs import FrameRef, ObjectRef
from strongroom_protocol.rows.ids import conversation_key
from strongroom_protocol.rows.merge import Order
from strongroom_protocol.rows.model import TIME_MAX
from strongroom_protocol.rows.table import Frame
from strongroom_protocol.seal.objects import ObjectType

COLD_PAGE_BYTES = 8 * 1024
"""About this much of rows is a cold page; twice that, and so on, when it would be more than a quarter of all pages."""
LOG_TIMES = 3
LOG_SLACK = 64
"""The log is written anew when it would hold over LOG_TIMES the rows that count, and LOG_SLACK."""


@dataclass(slots=True)
class DirectoryChange:
    """Rows touched by a change; cold pages are read and written only as far as needed.

    Everything is read whole, or IncompleteError raised: what is written must not hide a chat for good.
    """

    base: Snapshot
    touched: Rows = field(default_factory=dict)
    rewrite: bool = False
    """Write the cold log anew, whatever its length."""
    again: bool = False
    """Make all of it again from the runs, whatever it says; `touched` comes over that."""
    _known: dict[bytes, DirectoryRow | None] = field(default_factory=dict)

    async def load(self, keys: Iterable[bytes]) -> None:
        """Read the rows of these conversations in one go, before they are asked for one by one."""
        absent = {key for key in keys if key not in self._known}
        if absent:
            found = await rows_of(self.base, absent, whole=True)
            self._known |= {key: found.get(key) for key in absent}

    async def known(self, key: bytes) -> DirectoryRow | None:
        """The row as it is now."""
        await self.load([key])
        return self.touched.get(key) or self._known[key]

    async def describe(self, frame: Frame) -> None:
        """Rows of a conversation that are new in this version."""
        key = conversation_key(frame.conversation)
        self.touched[key] = described(frame, await self.known(key), Order(self.base.head.time))

    async def locate(self, entries: Iterable[Entry], *, replaced: Mapping[bytes, Collection[FrameRef]] = {}) -> None:
        """New frames of conversations; those in `replaced` are gone."""
        grouped: dict[bytes, list[FrameRef]] = {}
        for key, frame in entries:
            grouped.setdefault(key, []).append(frame)
        await self.load(grouped)
        for key, frames in grouped.items():
            row = await self.known(key)
            if row is not None:
                self.touched[key] = relocated(row, frames, replaced.get(key, ()))

    async def forget_until(self, until: int) -> None:
        """Leave out what FORGET rows of a later time (ms) say: those rows themselves are left out."""
        for key, row in (await read_rows(self.base, whole=True)).items() if until < TIME_MAX else ():
            kept = tuple(mark for mark in row.forgets if mark[1] <= until)
            if kept != row.forgets:
                self._known[key] = row
                self.touched[key] = replace(self.touched.get(key, row), forgets=kept)

    async def finish(self, sealer: Sealer) -> tuple[ObjectRef, set[bytes]]:
        """The new hot page and the pages it drops."""
        old = await self.base.hot()
        dropped = set() if self.base.root.directory is None else {self.base.root.directory.name}
        if old is None or self.again:  # where it is damaged its cold pages are not known, and stay at the relay
            rows = await made_again(self.base, None, whole=True) | self.touched
            dropped |= {cold.ref.name for cold in (old or HotPage()).cold}
            hot, rest = _divided(rows.values())
            page = _log(sealer, rest)
        else:
            hot, rest = _divided(({row.key: row for row in old.rows} | self.touched).values())
            page = await self._cold(sealer, old, hot, rest)
            dropped |= {cold.ref.name for cold in old.cold} - {cold.ref.name for cold in page.cold}
        content = HotPage(tuple(hot), page.cold, page.places).encode()
        return sealer.object(ObjectType.DIRECTORY, content), dropped

    async def _cold(
        self, sealer: Sealer, old: HotPage, hot: Sequence[DirectoryRow], rest: Sequence[DirectoryRow]
    ) -> HotPage:
        """The cold log after `hot` left it and `rest` came: what has changed is appended."""
        moved = {row.key: row for row in rest if self._known.get(row.key) != row or _is_on(old, row)}
        gone = {*moved, *(row.key for row in hot)}
        left = await self._left(old, gone)
        rows = sum(page.rows for page in old.cold) + len(moved)
        if self.rewrite or rows > LOG_TIMES * (len(left) + len(moved)) + LOG_SLACK or len(old.cold) >= COLD_PAGES // 2:
            every = await read_rows(self.base, whole=True) | self.touched
            recent = {row.key for row in hot}
            return _log(sealer, [row for row in every.values() if row.key not in recent])
        if not moved:
            return _in_use(old.cold, left)
        kept, last = list(old.cold), len(old.cold) - 1
        if kept and kept[last].ref.size < COLD_PAGE_BYTES:
            found, bad = await cold_rows(self.base, old, [last])
            if not bad:  # a page that has room is written anew with what comes, so pages do not grow small
                moved |= {key: row for key, row in found.items() if key not in gone and old.pages_of(key)[-1] == last}
                kept.pop()
        log = _log(sealer, list(moved.values()), first=len(kept))
        stay = {place for place in left if _number(place) < len(kept)}
        return _in_use((*kept, *log.cold), {*stay, *log.places})

    async def _left(self, old: HotPage, gone: set[bytes]) -> tuple[bytes, ...]:
        """The map without the conversations that have left their places.

        An entry that another conversation of the page shares stays: it is one read too many at worst.
        """
        leaving = {place for key in gone for place in _places_of(old, key)}
        shared: set[bytes] = set()
        for number in sorted({_number(place) for place in leaving}):
            found, bad = await cold_rows(self.base, old, [number])
            shared |= {*places((key, number) for key in found if key not in gone)}
            shared |= {place for place in leaving if bad and _number(place) == number}
        return tuple(place for place in old.places if place not in leaving or place in shared)


def _is_on(old: HotPage, row: DirectoryRow) -> bool:
    return any(found.key == row.key for found in old.rows)


def _in_use(cold: Sequence[ColdPage], filed: Iterable[bytes]) -> HotPage:
    """The pages that the map names, numbered anew, and the map; a page of which no row counts is left out."""
    found = [(place[:PREFIX_BYTES], _number(place)) for place in filed]
    numbers = {number: place for place, number in enumerate(sorted({number for _, number in found}))}
    return HotPage((), tuple(cold[number] for number in numbers), places((key, numbers[n]) for key, n in found))


def _number(place: bytes) -> int:
    return int.from_bytes(place[PREFIX_BYTES:], "big")


def _places_of(old: HotPage, key: bytes) -> list[bytes]:
    return [key[:PREFIX_BYTES] + number.to_bytes(2, "big") for number in old.pages_of(key)]


def _divided(rows: Iterable[DirectoryRow]) -> tuple[list[DirectoryRow], list[DirectoryRow]]:
    order = sorted(rows, key=lambda row: (-row.newest, row.key))
    return order[:HOT_ROWS], order[HOT_ROWS:]


def _log(sealer: Sealer, rows: Sequence[DirectoryRow], *, first: int = 0) -> HotPage:
    """Cold pages of these rows, in order of their keys, numbered from `first`, and the map to them."""
    cold: list[ColdPage] = []
    found: list[tuple[bytes, int]] = []
    for page in _pages(sorted(rows, key=lambda row: row.key)):
        found += [(row.key, first + len(cold)) for row in page]
        cold.append(ColdPage(sealer.object(ObjectType.DIRECTORY, encode_rows(page)), len(page)))
    return HotPage((), tuple(cold), places(found))


def _pages(rows: Sequence[DirectoryRow]) -> Iterator[list[DirectoryRow]]:
    sizes = [len(encode_rows([row])) for row in rows]
    limit = COLD_PAGE_BYTES
    while sum(sizes) > limit * (COLD_PAGES // 4):
        limit *= 2
    page: list[DirectoryRow] = []
    total = 0
    for row, size in zip(rows, sizes, strict=True):
        if page and (total + size > limit or len(page) == PAGE_ROWS):
            yield page
            page, total = [], 0
        page.append(row)
        total += size
    if page:
        yield page
