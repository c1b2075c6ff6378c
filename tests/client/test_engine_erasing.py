"""Erased messages leave the store when rows are written anew; their tombstones stay (chapters 08 and 10)."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plaintexts import plaintexts
from strongroom.commit import commit
from strongroom.engine import compaction, cutting, fold, grouping, run_writer
from strongroom.engine.erasing import Erasures
from strongroom.engine.snapshot import Snapshot
from strongroom.engine.source import ObjectSource
from strongroom_protocol.errors import Failure, UntrustedDataError
from strongroom_protocol.limits import LIMITS
from strongroom_protocol.rows.detail import AT
from strongroom_protocol.rows.ids import content_id, conversation_key, message_id
from strongroom_protocol.rows.merge import Order
from strongroom_protocol.rows.merge import fold as merged
from strongroom_protocol.rows.model import DeleteKind, Op, Origin, Row
from strongroom_protocol.rows.table import Frame, sort_key
from strongroom_protocol.seal.objects import ObjectType
from vaults import Bench, Device, messages_of, rows_of, talk

START = 1_700_000_000_000
A, B = bytes(16), b"\1" * 16


def erase(chat: str, number: int, *, start: int = START, kind: DeleteKind = DeleteKind.ERASE) -> tuple[str, Row]:
    """A tombstone for message `number` of `talk`."""
    at = start + number * 1000
    return chat, Row(Op.DELETE, at, id=f"m{start}-{number}", sender="s0", kind=kind, detail={AT: at + 5})


# ---------------------------------------------------------------- rows

IDS = ["one", "two", None]


@st.composite
def _rows(draw: st.DrawFn) -> list[Row]:
    """Rows about few messages at few times, by devices whose clocks are right or far ahead."""
    rows = []
    for place in range(draw(st.integers(1, 14))):
        op = draw(st.sampled_from([Op.PUT, Op.PUT, Op.EDIT, Op.DELETE, Op.DELETE, Op.REACT]))
        time, name = draw(st.integers(1, 2)), draw(st.sampled_from(IDS))
        text = draw(st.sampled_from(["a", "b"]))
        if name is None and op != Op.PUT:
            name = content_id("chat", "s", time, 0, text, 0)
        clock = draw(st.sampled_from([5 << 16, 7 << 16, 1 << 60, 1 << 61]))
        origin = Origin(clock, draw(st.sampled_from([A, B])), 1, place)
        kind = draw(st.integers(0, 1)) if op in (Op.DELETE, Op.REACT) else 0
        said = None if op == Op.DELETE else text
        rows.append(Row(op, time, 0, name, "s", kind, said, detail=None if op == Op.PUT else {AT: 3}, origin=origin))
    return sorted(rows, key=sort_key)


@given(_rows(), st.integers(0, 13))
def test_what_is_taken_out_is_shown_by_no_reader(rows: list[Row], cut: int) -> None:
    """Whatever frames the rows lie in and whenever one reads, with clocks far ahead, too: the same messages."""
    parts = [Frame.from_rows("chat", part) for part in (rows[:cut], rows[cut:]) if part]
    erasures = Erasures()
    for part in parts:
        erasures.learn(part)
    kept = [frame for part in parts if (frame := erasures.kept(part)) is not None]
    left = sorted((row for frame in kept for row in frame.rows()), key=sort_key)
    for now in (0, 10, 1 << 44, 1 << 45, 1 << 46):
        order = Order(now)
        assert list(merged("chat", left, order)) == list(merged("chat", rows, order))
    erased = {(row.time, row.id) for row in rows if row.op == Op.DELETE and row.kind == DeleteKind.ERASE}
    about = [row for row in left if (row.time, message_id("chat", row)) in erased]
    assert {(row.op, row.kind) for row in about} <= {(Op.DELETE, DeleteKind.ERASE)}
    again = Erasures()
    for frame in kept:
        again.learn(frame)
        assert again.hit(frame) == set()
    assert [found for frame in kept if (found := again.kept(frame)) is not None] == kept


def test_one_tombstone_stays_and_two_where_two_devices_erased() -> None:
    said = Row(Op.PUT, 5, id="m", sender="s", text="secret", origin=Origin(1, A, 1, 0))
    others = [
        Row(Op.EDIT, 5, id="m", text="secrets", detail={AT: 6}, origin=Origin(2, A, 1, 1)),
        Row(Op.REACT, 5, id="m", sender="t", kind=1, text="x", origin=Origin(3, A, 1, 2)),
        Row(Op.DELETE, 5, id="m", kind=DeleteKind.BY_ADMIN, origin=Origin(4, A, 1, 3)),
        Row(Op.PUT, 5, id="other", sender="s", text="stays", origin=Origin(4, A, 1, 9)),
    ]
    first = Row(Op.DELETE, 5, id="m", origin=Origin(5, B, 1, 4))
    later = Row(Op.DELETE, 5, id="m", origin=Origin(9, B, 2, 0))
    lower = Row(Op.DELETE, 5, id="m", origin=Origin(8, A, 9, 0))

    def kept(*tombstones: Row) -> list[Row]:
        frame = Frame.from_rows("chat", sorted([said, *others, *tombstones], key=sort_key))
        erasures = Erasures()
        erasures.learn(frame)
        found = erasures.kept(frame)
        assert found is not None
        return list(found.rows())

    assert kept(first) == [others[3], first]
    assert kept(first, later) == [others[3], first]
    assert kept(first, later, lower) == [others[3], first, lower]


# ---------------------------------------------------------------- the engine


@pytest.fixture
async def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Bench]:
    small = replace(LIMITS, head_frame_rows=4, frame_rows=16)
    for module in (cutting, grouping, run_writer):
        monkeypatch.setattr(module, "LIMITS", small)
    monkeypatch.setattr(fold, "FAN_IN", 2)
    made = Bench(tmp_path)
    yield made
    made.close()


async def run(device: Device, rows: list[tuple[str, Row]], *, level: int = 0) -> None:
    """Rows as they are, as a run of their own at a level."""

    async def build(change: Any) -> bool:
        grouped: dict[str, list[Row]] = {}
        for chat, row in rows:
            grouped.setdefault(chat, []).append(row)
        clock, sequence = device.session.next_clock(), next(change.sealer.sequences)
        frames: dict[bytes, Frame] = {}
        for chat, found in grouped.items():
            frame = Frame.from_rows(chat, sorted(found, key=lambda row: (row.time, row.seq)))
            frame.stamp(clock, device.session.device.id, sequence, sum(map(len, frames.values())))
            frames[conversation_key(chat)] = frame
        made = await fold.write_run(change, frames)
        change.runs[0] = replace(made, level=level)
        return True

    await commit(device.session, build)


async def said(snapshot: Snapshot, word: str) -> int:
    """In how many opened objects some words lie."""
    return sum(word.encode() in content for _, content in await plaintexts(snapshot))


async def test_a_final_frame_is_written_anew_only_on_the_highest_level(bench: Bench) -> None:
    device = await bench.create()
    await run(device, talk("chat", 40), level=5)
    await run(device, [erase("chat", 3)])
    await run(device, [erase("chat", 17)])
    await commit(device.session, fold.merge_full_levels)
    snapshot = await device.snapshot()
    assert [found.level for found in snapshot.root.runs] == [1, 5]
    assert await said(snapshot, "chat says 3") > 0
    before = {entry[1].chunk.digest for entry in await snapshot.entries(snapshot.root.runs[1])}
    await commit(device.session, lambda change: _merge_all(change))
    snapshot = await device.snapshot()
    after = await snapshot.entries(snapshot.root.runs[0])
    everything = await rows_of(snapshot)
    assert len(snapshot.root.runs) == 1
    assert [row.time for row in everything["chat"] if row.op == Op.DELETE] == [START + 3000, START + 17_000]
    for number in (3, 17):
        assert not any(row.text == f"chat says {number}" for row in everything["chat"])
    # Frames of 16, 16, 4 and 4: the two that held the messages were written anew, and have the tombstones now.
    assert sorted(ref.rows for _, ref in after if ref.erases) == [16, 16]
    assert len(before & {ref.chunk.digest for _, ref in after}) == 2
    assert sum(ref.rows for _, ref in after) == 40


async def _merge_all(change: Any) -> bool:
    await fold.merge(change, list(change.runs))
    return True


async def test_a_tombstone_waits_where_its_message_is_not(bench: Bench) -> None:
    """Of a message that is not in the inputs: it stays, and erases in the merge that brings the message."""
    device = await bench.create()
    await run(device, [erase("chat", 3), *talk("chat", 5, start=START + 10**6)])
    await run(device, [erase("other", 1)])
    await commit(device.session, fold.merge_full_levels)
    assert [row.op for row in (await rows_of(await device.snapshot()))["other"]] == [Op.DELETE]
    await run(device, talk("chat", 40), level=3)
    assert len((await messages_of(await device.snapshot()))["chat"]) == 45
    await commit(device.session, lambda change: _merge_all(change))
    snapshot = await device.snapshot()
    assert await said(snapshot, "chat says 3\0") == 0
    rows = (await rows_of(snapshot))["chat"]
    assert [row for row in rows if row.time == START + 3000 and row.op != Op.DELETE] == []
    assert len(rows) == 45


async def test_attack_100_an_erased_message_does_not_come_back_with_an_old_export(bench: Bench) -> None:
    device = await bench.create()
    old = talk("chat", 40)
    await device.add(old)
    await device.add([erase("chat", 39)])
    await commit(device.session, compaction.fold_tail)
    await commit(device.session, compaction.compact)
    assert await said(await device.snapshot(), "chat says 39") == 0
    before = (await device.snapshot()).head.version
    assert dict((await device.add(old)).written) == {}
    snapshot = await device.snapshot()
    assert snapshot.head.version == before
    assert await said(snapshot, "chat says 39") == 0
    (row,) = await device.vault.chats()
    assert (row.newest, row.preview, row.rows) == (START + 39_000, "", 40)


async def test_other_deletions_take_nothing_out(bench: Bench) -> None:
    device = await bench.create()
    await run(device, talk("chat", 20))
    await run(device, [erase("chat", 3, kind=DeleteKind.BY_SENDER)])
    await commit(device.session, compaction.compact)
    snapshot = await device.snapshot()
    assert len((await rows_of(snapshot))["chat"]) == 21
    assert await said(snapshot, "chat says 3") > 0


async def test_what_was_erased_once_is_not_opened_again(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """A compaction with nothing to do reads the frames of tombstones and no other: full frames stay unread."""
    device = await bench.create()
    await run(device, talk("chat", 200))
    await run(device, [erase("chat", 3), erase("chat", 70)])
    await commit(device.session, compaction.compact)
    read: list[int] = []
    frames_of = Snapshot.frames_of

    async def counted(self: Snapshot, wanted: Any) -> Any:
        read.append(len(wanted))
        return await frames_of(self, wanted)

    monkeypatch.setattr(Snapshot, "frames_of", counted)
    assert await commit(device.session, compaction.compact) is None
    assert sum(read) == 2


async def test_a_frame_that_vanishes_in_between_leaves_everything_as_it_was(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The relay serves a frame when it is decided what becomes of it, and withholds it when it is to be written."""
    device = await bench.create()
    await run(device, talk("chat", 40), level=5)
    await run(device, [erase("chat", 3)])
    before = await messages_of(await device.snapshot())
    chunks, calls = ObjectSource.chunks, 0

    async def flaky(self: ObjectSource, kind: ObjectType, wanted: Any) -> Any:
        nonlocal calls
        found = await chunks(self, kind, wanted)
        if kind is not ObjectType.SEGMENT or not wanted:
            return found
        calls += 1
        gone = UntrustedDataError(Failure.MISSING, "the relay does not have it", subject="segment")
        return found if calls <= 2 else [gone, *found[1:]]

    with monkeypatch.context() as patch:
        patch.setattr(ObjectSource, "chunks", flaky)
        with pytest.raises(UntrustedDataError):
            await commit(device.session, lambda change: _merge_all(change))
    snapshot = await device.snapshot()
    assert len(snapshot.root.runs) == 2
    assert await messages_of(snapshot) == before


async def test_a_damaged_frame_keeps_its_rows_and_the_others_lose_theirs(bench: Bench) -> None:
    """Tidying up loses nothing: the frame that cannot be read is referenced as it is."""
    device = await bench.create()
    await run(device, talk("chat", 40), level=5)
    await run(device, [erase("chat", 3), erase("chat", 20)])
    snapshot = await device.snapshot()
    (_, damaged), *_ = await snapshot.entries(snapshot.root.runs[1])
    frames_of = Snapshot.frames_of

    async def lacking(self: Snapshot, wanted: Any) -> Any:
        found = await frames_of(self, wanted)
        return [None if ref == damaged else frame for (_, ref), frame in zip(wanted, found, strict=True)]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Snapshot, "frames_of", lacking)
        await commit(device.session, lambda change: _merge_all(change))
    snapshot = await device.snapshot()
    rows = (await rows_of(snapshot))["chat"]
    assert damaged in [ref for _, ref in await snapshot.entries(snapshot.root.runs[0])]
    assert {row.text for row in rows} >= {"chat says 3"}
    assert "chat says 20" not in {row.text for row in rows}
    assert len([row for row in rows if row.op == Op.DELETE]) == 2
