"""The engine against brute force: random histories of two devices with imports, folds, merges and compactions in any
order.

After every commit: the relay keeps exactly the objects that the newest head reaches, every directory row lists all
frames later than its floor and nothing that is gone, and the messages are those of all rows that were ever written,
although of erased messages only the tombstones are left. At the end: the newest messages of every chat, however many
are asked for, are those of the whole history; and after a compaction nothing that was erased is in any object.
"""

from __future__ import annotations

import asyncio
import tempfile
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from plaintexts import plaintexts
from strongroom import importing
from strongroom.commit import commit
from strongroom.engine import compaction, cutting, directory, fold, grouping, listing, run_writer
from strongroom.engine.change import Change
from strongroom.engine.listed import unlisted
from strongroom.engine.reading import chat_rows
from strongroom.engine.snapshot import Snapshot
from strongroom.importing import write_rows
from strongroom.records import ChatMessage
from strongroom_protocol.limits import LIMITS
from strongroom_protocol.rows.detail import AT
from strongroom_protocol.rows.ids import conversation_key
from strongroom_protocol.rows.merge import Order
from strongroom_protocol.rows.merge import fold as merged
from strongroom_protocol.rows.model import DeleteKind, Op, Row
from strongroom_protocol.rows.table import sort_key, unstamped
from vaults import Bench, Device, messages_of, rows_of

SMALL = replace(LIMITS, head_frame_rows=3, frame_rows=8, segment_bytes=2048)


@pytest.fixture(autouse=True)
def _small_engine(monkeypatch: pytest.MonkeyPatch) -> None:
    """Sizes at which a few rows reach every branch."""
    monkeypatch.setattr(run_writer, "LIMITS", SMALL)
    monkeypatch.setattr(grouping, "LIMITS", SMALL)
    monkeypatch.setattr(cutting, "LIMITS", SMALL)
    monkeypatch.setattr(fold, "FAN_IN", 3)
    monkeypatch.setattr(fold, "LEVEL_ROWS", 16)
    monkeypatch.setattr(listing, "NEWEST_FRAMES", 3)
    monkeypatch.setattr(listing, "NEWEST_ROWS", 6)
    monkeypatch.setattr(directory, "HOT_ROWS", 2)
    monkeypatch.setattr(directory, "COLD_PAGE_BYTES", 300)
    monkeypatch.setattr(directory, "LOG_SLACK", 1)
    monkeypatch.setattr(importing, "BATCH_ROWS", 5)


@st.composite
def _rows(draw: st.DrawFn) -> list[tuple[str, Row]]:
    rows = []
    for _ in range(draw(st.integers(1, 9))):
        chat = draw(st.sampled_from("ABCD"))
        time = draw(st.integers(1, 40))
        ident = f"{chat}{time}-{draw(st.integers(0, 1))}"
        op = draw(st.sampled_from([Op.PUT, Op.PUT, Op.PUT, Op.EDIT, Op.DELETE, Op.CONVERSATION]))
        text = draw(st.sampled_from(["x", "y", "z"]))
        if op == Op.CONVERSATION:
            rows.append((chat, Row(op, time, text=text, kind=1)))
        elif op == Op.PUT:
            rows.append((chat, Row(op, time, id=ident, sender="s", text="first " + ident)))
        else:
            kind = draw(st.sampled_from([0, 0, 1])) if op == Op.DELETE else 0
            said = None if op == Op.DELETE else f"{text} {ident}"
            rows.append((chat, Row(op, time, id=ident, text=said, kind=kind, detail={AT: time + 5})))
    return rows


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("add"), st.integers(0, 1), _rows()),
        st.tuples(st.just("again"), st.integers(0, 1), _rows()),
        st.tuples(st.just("fold"), st.integers(0, 1), st.none()),
        st.tuples(st.just("merge"), st.integers(0, 1), st.none()),
        st.tuples(st.just("compact"), st.integers(0, 1), st.none()),
    ),
    min_size=3,
    max_size=14,
)


# Shrinking whole histories takes minutes; a failing one is short enough to read.
@settings(
    max_examples=40, deadline=None, phases=[Phase.explicit, Phase.generate], suppress_health_check=list(HealthCheck)
)
@given(steps=STEPS)
def test_random_histories(steps: list[tuple[str, int, list[tuple[str, Row]] | None]]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(_history(Path(folder), steps))


async def _history(folder: Path, steps: list[tuple[str, int, list[tuple[str, Row]] | None]]) -> None:
    bench = Bench(folder)
    try:
        devices = [await bench.create(), await bench.login(confirm=True)]
        known: dict[str, dict[object, Row]] = {}
        for what, who, rows in steps:
            device = devices[who]
            if what == "add" and rows:
                await device.add(rows)
                assert sum((await device.add(rows)).written.values()) == 0
            elif what == "again" and rows:
                await commit(device.session, lambda change, rows=rows, d=device: _bare(d, change, rows))  # type: ignore[misc]
            elif what == "fold":
                await commit(device.session, _fold)
            elif what == "merge":
                await commit(device.session, fold.merge_full_levels)
            elif what == "compact":
                await commit(device.session, compaction.compact)
            snapshot = await device.snapshot()
            await _nothing_too_many_or_few(bench, device, snapshot)
            await _directory_is_true(snapshot)
            for chat, found in (await rows_of(snapshot)).items():
                known.setdefault(chat, {}).update({row.origin: row for row in found})
            order = Order(snapshot.head.time)
            every = {
                chat: list(merged(chat, sorted(rows.values(), key=sort_key), order)) for chat, rows in known.items()
            }
            assert await messages_of(snapshot) == every
        for device in devices:
            await _newest_is_true(device)
        await commit(devices[0].session, compaction.fold_tail)
        await devices[1].snapshot()  # a device that is running starts from what it committed last
        await commit(devices[1].session, compaction.compact)
        await devices[0].snapshot()
        assert await commit(devices[0].session, compaction.compact) is None
        snapshot = await devices[0].snapshot()
        assert len(snapshot.root.runs) <= 1
        await _nothing_too_many_or_few(bench, devices[0], snapshot)
        await _directory_is_true(snapshot)
        await _erased_is_gone(snapshot, {chat: list(rows.values()) for chat, rows in known.items()})
    finally:
        bench.close()


async def _bare(device: Device, change: Change, rows: list[tuple[str, Row]]) -> bool:
    """Rows as they are, known or not: what two imports at once, or one after damage, leave behind."""
    grouped: dict[str, list[Row]] = {}
    for chat, row in rows:
        grouped.setdefault(chat, []).append(row)
    await write_rows(device.session, change, {conversation_key(c): unstamped(c, r) for c, r in grouped.items()})
    return True


async def _fold(change: Change) -> bool:
    had = bool(change.tail)
    await fold.fold(change)
    return had


async def _nothing_too_many_or_few(bench: Bench, device: Device, snapshot: Snapshot) -> None:
    reached = {ref.name async for ref, _ in snapshot.objects()}
    relay = await bench.open()

    def pinned(database: object) -> set[bytes]:
        rows = database.execute("SELECT name FROM objects WHERE state = 1")  # type: ignore[attr-defined]
        return {bytes(name) for (name,) in rows}

    assert await relay.store.read(pinned) == reached
    assert snapshot.source.damage == {}


async def _directory_is_true(snapshot: Snapshot) -> None:
    rows = await listing.read_rows(snapshot)
    assert set(rows) == await snapshot.keys_in_runs()
    assert await unlisted(snapshot) == set()
    for key, row in rows.items():
        refs = await snapshot.refs(key)
        assert {ref for ref in refs if ref.last > row.floor} <= set(row.frames)
        assert set(row.frames) <= set(refs)
        assert row.rows == sum(ref.rows for ref in refs)
        frames = await snapshot.frames(key, refs)
        times = [
            found.time
            for frame in frames
            for found in frame.rows()
            if found.op == Op.PUT or (found.op == Op.DELETE and found.kind == DeleteKind.ERASE)
        ]
        assert row.newest == max(times, default=0)
        assert (await listing.rows_of(snapshot, {key})) == {key: row}


async def _erased_is_gone(snapshot: Snapshot, every: dict[str, list[Row]]) -> None:
    """Of erased messages one tombstone is left in the rows (two where two devices erased), and no text anywhere."""
    contents = await plaintexts(snapshot)
    left = await rows_of(snapshot)
    for chat, rows in every.items():
        erased = {(row.time, row.id) for row in rows if row.op == Op.DELETE and row.kind == 0}
        kept = [row for row in left[chat] if row.op <= Op.REACT and (row.time, row.id) in erased]
        assert {(row.op, int(row.kind)) for row in kept} <= {(Op.DELETE, 0)}
        assert len(erased) <= len(kept) <= 2 * len(erased)
        for row in rows:
            if (row.time, row.id) in erased and row.text:
                assert not [kind for kind, content in contents if row.text.encode() in content]


async def _newest_is_true(device: Device) -> None:
    snapshot = await device.snapshot()
    rows = await rows_of(snapshot)
    every = {chat: list(merged(chat, found, Order(snapshot.head.time))) for chat, found in rows.items()}
    assert every == await messages_of(snapshot)
    assert {row.conversation for row in await chat_rows(snapshot)} == set(every)
    for chat, messages in every.items():
        placed = [message for message in messages if message.versions]
        for count in (1, 2, 5, 100):
            shown = await device.vault.newest(chat, count=count)
            if len(placed) == len(messages):
                assert shown == [ChatMessage.of(chat, message) for message in messages[-count:]]
            else:  # operations on messages that nobody has are listed too and are not counted
                assert {m.id for m in placed[-count:]} <= {m.id for m in shown} | {m.id for m in messages[:-count]}
