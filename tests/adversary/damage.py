"""A history with every kind of object in it, and every way to damage one of them in a relay's store."""

from __future__ import annotations

import random
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from strongroom.engine import directory
from strongroom.engine.snapshot import Snapshot
from strongroom_protocol.engine.refs import ObjectRef
from strongroom_protocol.rows.detail import AT
from strongroom_protocol.rows.model import Op, Row
from strongroom_protocol.seal.objects import HEADER_BYTES, ObjectType
from vaults import Bench, Device, rows_of, sample_rows, talk, titled

Key = tuple[str, Row]

FIELDS = {
    "version": 0, "type": 1, "epoch": 5, "writer": 6, "sequence": 29, "salt": 30, "salt end": 61, "commitment": 62,
    "commitment end": 93, "ciphertext": HEADER_BYTES,
}  # fmt: skip


async def build(bench: Bench) -> Device:
    """Three runs (one folded from 32 batches), four live batches, hot and cold directory pages, all mirrors."""
    device = await bench.create()
    chats = [f"chat {n}" for n in range(8)]
    noise = random.Random(1)
    rows = [item for n, chat in enumerate(chats) for item in talk(chat, 120, start=1_600_000_000_000 + n * 10**9)]
    rows += [titled(chat, f"Title of {chat}") for chat in chats]
    rows += [
        ("noise", Row(Op.PUT, 1_650_000_000_000 + n, id=f"n{n}", sender="x", text=noise.randbytes(60).hex()))
        for n in range(1500)
    ]
    await device.add(rows)
    await device.add([*sample_rows(1), *talk("chat 1", 300, start=1_690_000_000_000, ids="later")])
    for n in range(36):
        chat = chats[n % 8]
        at = 1_700_000_000_000 + n * 1000
        more = talk(chat, 2, start=at, ids="tail")
        first = 1_600_000_000_000 + (n % 8) * 10**9
        more.append((chat, Row(Op.EDIT, first, id=f"m{first}-0", text=f"edit {n}", detail={AT: at})))
        await device.add(more)
    return device


@dataclass(slots=True)
class World:
    """The built history at rest: folders to copy, the objects its newest head reaches, where each row lies."""

    bench: Bench
    account: bytes
    objects: list[tuple[ObjectRef, ObjectType]]
    rows: dict[str, list[Row]]
    places: dict[Key, list[tuple[bytes, int, int]]]
    """Row to (object, from, to): the sealed bytes without which it is lost."""
    mirrored: set[bytes] = field(default_factory=set)
    previous: dict[str, list[Row]] = field(default_factory=dict)

    def kinds(self) -> dict[ObjectType, int]:
        """How many objects of each type there are."""
        kinds = [kind for _, kind in self.objects]
        return {kind: kinds.count(kind) for kind in ObjectType if kind in kinds}


async def make_world(folder: Path) -> World:
    """Build once; device `b` has logged in and fetched nothing else, so each case starts from a copy of it."""
    bench = Bench(folder)
    patch = pytest.MonkeyPatch()
    patch.setattr(directory, "HOT_ROWS", 3)
    patch.setattr(directory, "COLD_PAGE_BYTES", 1000)
    device = await build(bench)
    snapshot = await device.snapshot(fresh=True)
    assert (len(snapshot.root.runs), len(snapshot.tail)) == (3, 4)
    objects = [item async for item in snapshot.objects()]
    rows = await rows_of(snapshot)
    world = World(bench, device.session.account, objects, rows, await _places(snapshot))
    world.mirrored = {ref.name for ref, kind in objects if kind in (ObjectType.ROOT, ObjectType.INDEX)}
    world.mirrored |= {ref.name for ref, kind in objects if kind in (ObjectType.INDEX_PAGES, ObjectType.DIRECTORY)}
    previous = await device.vault._reader._previous(snapshot.head)
    world.previous = await rows_of(await device.session.load(previous))
    assert snapshot.source.damage == {}
    await bench.login("b")
    bench.close()
    patch.undo()
    return world


async def _places(snapshot: Snapshot) -> dict[Key, list[tuple[bytes, int, int]]]:
    places: dict[Key, list[tuple[bytes, int, int]]] = {}
    for run in snapshot.root.runs:
        for key, ref in await snapshot.entries(run):
            (frame,) = await snapshot.frames(key, [ref])
            for row in frame.rows():
                span = (ref.segment, ref.chunk.offset, ref.chunk.offset + ref.chunk.length)
                places[frame.conversation, _hashable(row)] = [(ref.segment, 0, HEADER_BYTES), span]
    for entry, frames in snapshot.tail:
        for frame in frames:
            for row in frame.rows():
                places[frame.conversation, _hashable(row)] = [(entry.ref.name, 0, entry.ref.size)]
    return places


def _hashable(row: Row) -> Row:
    return row._replace(detail=None)


def expected(world: World, name: bytes, touched: Iterator[tuple[int, int]]) -> dict[str, list[Row]]:
    """The rows that are left when these bytes of an object are no longer what they were."""
    if name in world.mirrored:
        return world.rows
    spans = list(touched)
    found: dict[str, list[Row]] = {}
    for chat, rows in world.rows.items():
        kept = [row for row in rows if not _hit(world.places[chat, _hashable(row)], name, spans)]
        if kept:
            found[chat] = kept
    return found


def _hit(places: list[tuple[bytes, int, int]], name: bytes, spans: list[tuple[int, int]]) -> bool:
    return any(
        place == name and any(start < end and start < stop and end > begin for start, end in spans)
        for place, begin, stop in places
    )


@dataclass(frozen=True, slots=True)
class Mutation:
    """A name, the new bytes of an object (None: deleted), and the range in which they differ from the old."""

    label: str
    apply: Callable[[bytes], bytes | None]
    touched: Callable[[bytes], tuple[int, int]]
    seen: bool = True
    """Whether a client sees it at all: what lies beyond an object's signed size is never asked for."""


def flip(label: str, at: Callable[[bytes], int]) -> Mutation:
    def apply(data: bytes) -> bytes:
        place = at(data)
        return data[:place] + bytes((data[place] ^ 0x10,)) + data[place + 1 :]

    return Mutation(f"flip {label}", apply, lambda data: (at(data), at(data) + 1))


def cut(label: str, length: Callable[[bytes], int]) -> Mutation:
    return Mutation(f"truncate {label}", lambda data: data[: length(data)], lambda data: (length(data), len(data)))


def replaced(label: str, other: bytes) -> Mutation:
    return Mutation(f"replace by {label}", lambda data: other, lambda data: (0, len(data)))


def mutations() -> list[Mutation]:
    """All byte classes of one object."""
    found = [flip(label, lambda data, at=at: at) for label, at in FIELDS.items()]  # type: ignore[misc]
    found += [
        flip("middle", lambda data: HEADER_BYTES + (len(data) - HEADER_BYTES) // 2),
        flip("last ciphertext byte", lambda data: len(data) - 17),
        flip("tag", lambda data: len(data) - 1),
        cut("by 1", lambda data: len(data) - 1),
        cut("to the header", lambda data: HEADER_BYTES),
        cut("to 0", lambda data: 0),
        Mutation("extend", lambda data: data + bytes(64), lambda data: (0, 0), seen=False),
        Mutation("delete", lambda data: None, lambda data: (0, len(data))),
    ]
    return found


class Store:
    """A closed relay's store: its rows and files."""

    def __init__(self, folder: Path, account: bytes) -> None:
        self._folder = folder
        self._account = account

    def get(self, name: bytes) -> bytes:
        with self._database() as database:
            (data,) = database.execute("SELECT data FROM objects WHERE name = ?", (name,)).fetchone()
        return self._path(name).read_bytes() if data is None else bytes(data)

    def put(self, name: bytes, data: bytes | None) -> None:
        """New bytes under an old name; None deletes the object, row and file."""
        path = self._path(name)
        large = path.exists()
        with self._database() as database:
            if data is None:
                database.execute("DELETE FROM objects WHERE name = ?", (name,))
                path.unlink(missing_ok=True)
            elif large:
                path.write_bytes(data)
            else:
                database.execute("UPDATE objects SET data = ? WHERE name = ?", (data, name))

    def row(self, name: bytes) -> tuple[object, ...]:
        with self._database() as database:
            found: tuple[object, ...] = database.execute("SELECT * FROM objects WHERE name = ?", (name,)).fetchone()
        return found

    def undo(self, name: bytes, data: bytes, row: tuple[object, ...]) -> None:
        """Put an object back as it was."""
        with self._database() as database:
            database.execute("INSERT OR REPLACE INTO objects VALUES(?,?,?,?,?,?)", row)
        if row[5] is None:
            self._path(name).write_bytes(data)

    def is_file(self, name: bytes) -> bool:
        return self._path(name).exists()

    def pinned(self) -> set[bytes]:
        """What the relay keeps because a head reaches it."""
        with self._database() as database:
            return {bytes(name) for (name,) in database.execute("SELECT name FROM objects WHERE state = 1")}

    def _path(self, name: bytes) -> Path:
        return self._folder / "objects" / name.hex()[:2] / f"{self._account.hex()}.{name.hex()}"

    def _database(self) -> sqlite3.Connection:
        database = sqlite3.connect(self._folder / "relay.db")
        database.execute("PRAGMA synchronous = OFF")
        return database


def fresh_copy(world: World, folder: str = "case") -> str:
    """A device that has logged in and fetched nothing."""
    shutil.rmtree(world.bench.folder / folder, ignore_errors=True)
    world.bench.copy("b", folder)
    return folder
