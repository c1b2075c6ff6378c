"""Importing: idempotent, folded at 32 batches, merged at 8 runs, never unreadable, and undeterred by damage."""

from __future__ import annotations

import sqlite3
import sys
from collections.abc import AsyncIterator
from io import BytesIO
from pathlib import Path
from types import SimpleNamespace

import pytest

from strongroom import importing
from strongroom.engine.fold import FAN_IN
from strongroom.formats.base import Ordinals
from strongroom.importing import import_rows
from strongroom.session import Session
from strongroom_protocol.engine.refs import ObjectRef
from strongroom_protocol.errors import InvalidArgument
from strongroom_protocol.limits import LIMITS
from strongroom_protocol.rows.model import Op, Row
from strongroom_relay.service.relay import Relay
from vaults import Bench, Device, rows_of, sample_rows, talk, titled


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[Bench]:
    made = Bench(tmp_path)
    yield made
    made.close()


async def _data(relay: Relay, name: bytes) -> bytes:
    def work(database: sqlite3.Connection) -> bytes:
        (data,) = database.execute("SELECT data FROM objects WHERE name = ?", (name,)).fetchone()
        return bytes(data)

    return await relay.store.read(work)


async def _put(relay: Relay, name: bytes, data: bytes) -> None:
    def work(database: sqlite3.Connection) -> None:
        database.execute("UPDATE objects SET data = ? WHERE name = ?", (data, name))

    await relay.store.write(work)


async def _damage(relay: Relay, ref: ObjectRef) -> None:
    await _put(relay, ref.name, bytes(300))


async def _count(device: Device, chat: str) -> int:
    return len({row.id for row in (await rows_of(await device.snapshot())).get(chat, [])})


async def test_runs_merge_also_above_an_empty_level(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """Bulk imports enter above level 0: their runs must not pile up because level 0 has none."""
    monkeypatch.setattr("strongroom.engine.fold.LEVEL_ROWS", 50)
    device = await bench.create()
    for number in range(2 * FAN_IN + 1):
        await device.add(talk("chat", 600, start=1_700_000_000_000 + number * 10_000_000, ids=f"m{number}-"))
    snapshot = await device.snapshot()
    assert {run.level for run in snapshot.root.runs} == {1, 2}
    assert len(snapshot.root.runs) == 3
    assert await _count(device, "chat") == 600 * (2 * FAN_IN + 1)


async def test_the_same_export_again_adds_nothing(bench: Bench) -> None:
    device = await bench.create()
    rows = [*sample_rows(2), *talk("chat", 30), titled("chat", "A chat")]
    first = await device.add(rows)
    head = (await device.snapshot()).head
    again = await device.add(rows)
    messages = sum(row.op == Op.PUT for _, row in rows)
    assert (first.written[Op.PUT], first.known) == (messages, 0)
    assert (sum(again.written.values()), again.known, again.commits) == (0, messages, 0)
    assert (await device.snapshot()).head.hash == head.hash


async def test_a_message_that_changed_becomes_an_edit(bench: Bench) -> None:
    device = await bench.create()
    await device.add([("c", Row(Op.PUT, 1000, id="1", sender="s", text="old"))])
    added = await device.add([("c", Row(Op.PUT, 1000, id="1", sender="s", text="new"))])
    assert added.written == {Op.EDIT: 1}
    (message,) = await device.vault.newest("c")
    assert [row.text for row in message.versions] == ["old", "new"]


async def test_fold_at_32_batches_and_merge_of_8_runs(bench: Bench) -> None:
    device = await bench.create()
    for n in range(LIMITS.tail_batches):
        await device.add(talk("c", 1, start=1_700_000_000_000 + n))
    snapshot = await device.snapshot()
    assert (len(snapshot.tail), len(snapshot.root.runs)) == (LIMITS.tail_batches, 0)
    await device.add(talk("c", 1, start=1_700_000_001_000))
    snapshot = await device.snapshot()
    assert (len(snapshot.tail), len(snapshot.root.runs)) == (1, 1)
    for n in range(FAN_IN - 1):
        assert len((await device.snapshot()).root.runs) == n + 1
        await device.add(talk(f"d{n % 3}", importing.BATCH_ROWS + 1, start=1_600_000_000_000 + n * 10**9))
    (run,) = (await device.snapshot()).root.runs
    assert (run.level, run.rows) == (1, LIMITS.tail_batches + (FAN_IN - 1) * (importing.BATCH_ROWS + 1))


@pytest.mark.parametrize(
    "row",
    [
        Row(Op.EDIT, 1000, id="1", text="an edit without its time"),
        Row(Op.DELETE, 1000, detail={1: 2}),
        Row(Op.PUT, -1, text="before 1970"),
        Row(Op.PUT, 2**60, text="too late"),
        Row(Op.PUT, 1000, text="x" * (LIMITS.text_bytes + 1)),
        Row(Op.PUT, 1000, id="i" * (LIMITS.id_bytes + 1)),
        Row(77, 1000, text="no such operation"),
    ],
    ids=lambda row: f"{row.op}-{row.time}",
)
async def test_a_row_that_no_reader_accepts_is_refused(bench: Bench, row: Row) -> None:
    """Not committed as something that cannot be read again, which the rest of its batch would be lost with."""
    device = await bench.create()
    with pytest.raises((InvalidArgument, ValueError, OverflowError)):
        await device.add([*talk("c", 3), ("c", row)])
    snapshot = await device.snapshot()
    assert (snapshot.source.damage, snapshot.head.version) == ({}, 1)


async def test_few_rows_of_many_bytes_are_a_run(bench: Bench) -> None:
    """A batch beyond its limit could not be read: few but large rows become a run."""
    device = await bench.create()
    rows = [("c", Row(Op.PUT, 1000 + n, id=str(n), text="x" * 900_000)) for n in range(40)]
    rows += [("c", Row(Op.EDIT, 500 + n, id=f"e{n}", text="y" * 900_000, detail={1: 9})) for n in range(30)]
    await device.add(rows)
    snapshot = await device.snapshot()
    assert (snapshot.source.damage, len(snapshot.tail)) == ({}, 0)
    assert await _count(device, "c") == 70


async def test_a_tail_of_which_nothing_can_be_read_does_not_end_an_account(bench: Bench) -> None:
    """A relay that withholds every batch of a full tail: imports go on, and what it gives back later is there."""
    device = await bench.create()
    for n in range(LIMITS.tail_batches):
        await device.add(talk("c", 1, start=1_700_000_000_000 + n))
    relay = await bench.open()
    refs = [entry.ref for entry in (await device.snapshot()).body.tail]
    kept = [await _data(relay, ref.name) for ref in refs]
    for ref in refs:
        await _damage(relay, ref)
    device.session.base = None  # as after a restart: what is in memory needs no relay
    for n in range(3):
        await device.add(talk("new", 2, start=1_710_000_000_000 + n * 5000))
    assert await _count(device, "new") == 6
    assert await _count(device, "c") == 0
    for ref, data in zip(refs, kept, strict=True):
        await _put(relay, ref.name, data)
    assert await _count(device, "c") == LIMITS.tail_batches


@pytest.mark.parametrize("part", ["mirror", "primary", "both", "directory", "batch"])
async def test_imports_and_merges_go_on_beside_damage(bench: Bench, part: str) -> None:
    """One damaged object neither stops imports nor lets runs pile up until the root is full; nothing else is lost."""
    device = await bench.create()
    for n in range(FAN_IN - 1):
        await device.add(talk(f"d{n}", importing.BATCH_ROWS + 1))
    await device.add(talk("tail", 2))
    snapshot = await device.snapshot()
    relay = await bench.open()
    run = snapshot.root.runs[-1]
    assert snapshot.root.directory is not None
    chosen = {
        "mirror": [run.index.mirror], "primary": [run.index.primary], "both": list(run.index.refs),
        "directory": [snapshot.root.directory], "batch": [snapshot.body.tail[0].ref],
    }[part]  # fmt: skip
    for ref in chosen:
        await _damage(relay, ref)
    for n in range(2 * FAN_IN):
        await device.add(talk(f"e{n}", importing.BATCH_ROWS + 1))
    snapshot = await device.snapshot()
    assert len(snapshot.root.runs) < FAN_IN + 2
    lost = {"both": {"d0"}, "batch": {"tail"}}.get(part, set())
    found = await rows_of(snapshot)
    wanted = {f"d{n}" for n in range(FAN_IN - 1)} | {f"e{n}" for n in range(2 * FAN_IN)} | {"tail"}
    assert set(found) == wanted - lost
    assert {row.conversation for row in await device.vault.chats()} >= wanted - lost


async def test_a_merge_keeps_the_reference_to_a_damaged_frame(bench: Bench) -> None:
    """Tidying up loses nothing: the relay mends the segment after the merge, and every row is there."""
    device = await bench.create()
    for n in range(FAN_IN - 1):
        await device.add(talk("c", importing.BATCH_ROWS + 1, start=1_600_000_000_000 + n * 10**8))
    snapshot = await device.snapshot()
    _, frame = (await snapshot.entries(snapshot.root.runs[0]))[-1]
    relay = await bench.open()
    data = await _data(relay, frame.segment)
    bad = bytearray(data)
    bad[frame.chunk.offset] ^= 1
    await _put(relay, frame.segment, bytes(bad))
    await device.add(talk("c", importing.BATCH_ROWS + 1, start=1_700_000_000_000))
    assert len((await device.snapshot()).root.runs) == 1
    await _put(relay, frame.segment, data)
    assert await _count(device, "c") == FAN_IN * (importing.BATCH_ROWS + 1)


def test_equal_messages_are_numbered_although_others_stand_between_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("strongroom.formats.base.REMEMBERED", 3)
    ordinals = Ordinals()
    texts = ["a", "b", "a", "c", "a", "d", "e", "a"]
    assert [ordinals.next("chat", "s", 1000 + (text == "b"), 0, text) for text in texts] == [0, 0, 1, 0, 2, 0, 0, 3]
    assert [ordinals.next(chat, "s", 1000, 0, "a") for chat in ("chat", "other")] == [4, 0]


async def test_known_counts_messages_and_not_what_describes_them(bench: Bench) -> None:
    device = await bench.create()
    rows = [titled("c", "C"), *talk("c", 3), titled("d", "D"), *talk("d", 2)]
    await device.add(rows)
    again = await device.add(rows)
    assert (sum(again.written.values()), again.known) == (0, 5)


async def test_attachments_are_stored_before_their_rows_are_framed(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was uploaded is added by the head only when a row of it is new."""
    device = await bench.create()
    stored: list[str] = []

    async def store(session: Session, piece: dict[str, list[Row]], files: importing.Files) -> set[bytes]:
        for chat, rows in piece.items():
            file = files(chat)
            assert file is not None
            stored.append(file.read().decode())
            piece[chat] = [row._replace(text=f"with {stored[-1]}") for row in rows]
        return {bytes(32)}

    monkeypatch.setitem(sys.modules, "strongroom.attachments", SimpleNamespace(store_attachments=store))
    await import_rows(device.session, talk("c", 2), files=lambda name: BytesIO(f"file of {name}".encode()))
    assert stored == ["file of c"]
    assert [row.text for row in (await rows_of(await device.snapshot()))["c"]] == ["with file of c"] * 2
