"""Merging and compacting: where frames end up, how they are packed, that all devices make the same (chapter 08)."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from plaintexts import inflated
from strongroom.commit import commit
from strongroom.engine import compaction, cutting, fold, grouping, merging, run_writer
from strongroom.engine.change import Change
from strongroom.engine.grouping import groups_of
from strongroom.engine.run_writer import RunWriter
from strongroom.engine.sealer import Sealer
from strongroom.engine.snapshot import Snapshot
from strongroom.engine.source import ObjectSource
from strongroom_protocol.engine.refs import ChunkRef, FrameRef
from strongroom_protocol.limits import LIMITS, MIB
from strongroom_protocol.rows.compression import LEVEL_TIGHT
from strongroom_protocol.rows.frame import decode_frame, encode_frame
from strongroom_protocol.rows.model import Op, Row
from strongroom_protocol.seal.chunks import cut_out, open_chunk
from strongroom_protocol.seal.objects import HEADER_BYTES, ObjectOpener, ObjectType
from vaults import Bench, Device, messages_of, rows_of, talk

START = 1_700_000_000_000


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[Bench]:
    made = Bench(tmp_path)
    yield made
    made.close()


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Frames of 16 rows, segments of 4 KiB, two runs to a merge."""
    limits = replace(LIMITS, head_frame_rows=4, frame_rows=16, segment_bytes=4096)
    for module in (cutting, grouping, run_writer):
        monkeypatch.setattr(module, "LIMITS", limits)
    monkeypatch.setattr(fold, "FAN_IN", 2)


def noisy(chat: str, count: int, *, seed: int, length: int = 200, start: int = START) -> list[tuple[str, Row]]:
    """Messages that do not compress."""
    source = random.Random(seed)
    return [
        (chat, Row(Op.PUT, start + n * 1000, id=f"{seed}-{n}", sender="s", text=source.randbytes(length // 2).hex()))
        for n in range(count)
    ]


async def fold_in(device: Device, rows: list[tuple[str, Row]]) -> None:
    """Rows as a run of their own, made by a fold."""
    await device.add(rows)
    await commit(device.session, compaction.fold_tail)


async def merge_all(change: Change) -> bool:
    await fold.merge(change, list(change.runs))
    return True


async def entries_of(snapshot: Snapshot) -> list[tuple[bytes, FrameRef]]:
    return [entry for run in snapshot.root.runs for entry in await snapshot.entries(run)]


# ---------------------------------------------------------------- grouping


def ref(first: int, last: int, rows: int, *, packed: bool = True, sealed: int = 200) -> FrameRef:
    return FrameRef(first, last, rows, bytes(32), ChunkRef(0, 94, sealed, bytes(31) + bytes((first % 256,))), packed)


def test_full_frames_stay_and_stretches_of_more_than_one_run_are_written_anew() -> None:
    frames = [
        (1, ref(0, 9, 4096)), (1, ref(10, 19, 300)), (2, ref(20, 29, 128)), (1, ref(30, 39, 4096)),
        (2, ref(40, 49, 200)), (2, ref(50, 59, 128)), (1, ref(60, 69, 4096)),
    ]  # fmt: skip
    groups = groups_of(frames, leisure=False)
    assert [([r.first for r in group.frames], group.rewrite) for group in groups] == [
        ([0], False), ([10, 20], True), ([30], False), ([40, 50], False), ([60], False),
    ]  # fmt: skip
    assert [group.newest for group in groups] == [False] * 4 + [True]
    assert groups_of(frames[::-1], leisure=False) == groups
    assert [group.rewrite for group in groups_of(frames, leisure=True)] == [False, True, False, False, False]


def test_at_leisure_what_is_loose_is_written_anew() -> None:
    frames = [
        (1, ref(0, 9, 4096, packed=False)),
        (1, ref(10, 19, 4096)),
        (1, ref(20, 29, 5)),
        (1, ref(30, 39, 9, packed=False)),
    ]
    assert [group.rewrite for group in groups_of(frames, leisure=False)] == [False] * 3
    assert [group.rewrite for group in groups_of(frames, leisure=True)] == [True, False, True]


def test_a_frame_of_many_bytes_is_final_and_a_stretch_is_bounded() -> None:
    large = ref(10, 19, 40, sealed=256 * 1024)
    groups = groups_of([(1, ref(0, 9, 100)), (2, large), (1, ref(20, 29, 100))], leisure=False)
    assert [len(group.frames) for group in groups] == [1, 1, 1]
    many = [(n % 2, ref(n, n, 4000)) for n in range(20)]
    assert [len(group.frames) for group in groups_of(many, leisure=False)] == [8, 8, 4]
    heavy = [(n % 2, ref(n, n, 10, sealed=200_000)) for n in range(12)]
    assert [len(group.frames) for group in groups_of(heavy, leisure=False)] == [10, 2]


# ---------------------------------------------------------------- segments


async def test_full_frames_have_segments_of_their_own(bench: Bench, small: None) -> None:
    device = await bench.create()
    rows = [item for n in range(6) for item in noisy(f"chat {n}", 37, seed=n)]
    await fold_in(device, rows)
    held: dict[bytes, set[bool]] = {}
    for _, frame in await entries_of(await device.snapshot()):
        held.setdefault(frame.segment, set()).add(frame.rows == 16)
    assert len(held) > 4
    assert all(len(kinds) == 1 for kinds in held.values())


async def test_a_segment_with_its_padding_is_at_most_a_mebibyte(bench: Bench) -> None:
    device = await bench.create()
    await fold_in(device, [item for n in range(30) for item in noisy(f"chat {n}", 100, seed=n, length=2000)])
    snapshot = await device.snapshot()
    sizes = [found.size async for found, kind in snapshot.objects() if kind is ObjectType.SEGMENT]
    assert len(sizes) > 2
    assert max(sizes) <= MIB
    assert sorted(sizes)[1] > MIB * 9 // 10  # all but the last are full


async def test_live_frames_leave_a_segment_that_is_mostly_garbage(bench: Bench, small: None) -> None:
    """A chat whose frames stay, sealed beside others that are joined with newer ones: copied, not one byte changed."""
    device = await bench.create()
    quiet = noisy("quiet", 3, seed=1, length=40)
    busy = [item for n in range(6) for item in noisy(f"busy {n}", 3, seed=10 + n)]
    await fold_in(device, quiet + busy)
    await fold_in(device, [item for n in range(6) for item in noisy(f"busy {n}", 3, seed=20 + n, start=START + 10**6)])
    snapshot = await device.snapshot()
    before = await rows_of(snapshot)
    old = {found.name async for found, kind in snapshot.objects() if kind is ObjectType.SEGMENT}
    (quiet_key,) = [key for key in await snapshot.keys_in_runs() if len(await snapshot.refs(key)) == 1]
    (kept,) = await snapshot.refs(quiet_key)
    framed = await snapshot.source.chunk(ObjectType.SEGMENT, kept.segment, kept.chunk)
    await commit(device.session, merge_all)
    snapshot = await device.snapshot()
    (moved,) = await snapshot.refs(quiet_key)
    assert moved.segment not in old
    assert await snapshot.source.chunk(ObjectType.SEGMENT, moved.segment, moved.chunk) == framed
    assert not old & {found.name async for found, _ in snapshot.objects()}
    assert not moved.packed
    assert await rows_of(snapshot) == before


async def test_a_frame_stays_where_most_of_its_segment_does(bench: Bench, small: None) -> None:
    device = await bench.create()
    await fold_in(
        device, [item for n in range(6) for item in noisy(f"quiet {n}", 3, seed=n)] + noisy("busy", 3, seed=9)
    )
    await fold_in(device, noisy("busy", 3, seed=10, start=START + 10**6))
    before = {frame.chunk.digest for _, frame in await entries_of(await device.snapshot())}
    await commit(device.session, merge_all)
    after = await entries_of(await device.snapshot())
    assert len([frame for _, frame in after if frame.chunk.digest in before]) == 6
    # At leisure the limit is 90 percent, and what a fold wrote is packed anew.
    await commit(device.session, compaction.compact)
    after = await entries_of(await device.snapshot())
    assert not [frame for _, frame in after if frame.chunk.digest in before]
    assert all(frame.packed for _, frame in after)


# ---------------------------------------------------------------- compression


async def test_folds_are_quick_and_merges_are_tight(bench: Bench) -> None:
    device = await bench.create()
    words = random.Random(1)
    rows = []
    for n in range(2000):
        text = " ".join(f"word{words.randrange(900)}" for _ in range(9))
        rows.append(("chat", Row(Op.PUT, START + n * 1000, id=f"m{n}", sender=f"s{n % 9}", text=text)))
    await device.add(rows)
    loose = await _contents(await device.snapshot())
    await commit(device.session, compaction.compact)
    tight = await _contents(await device.snapshot())
    assert [(frame.packed, len(frame_bytes) > 8192) for frame, frame_bytes in loose.values()] == [
        (False, True),
        (False, False),
    ]
    for frame, framed in loose.values():
        rows_here = decode_frame(framed)
        assert framed == encode_frame("chat", rows_here)
        mine, tightly = tight[frame.first]
        assert mine.packed
        assert tightly == encode_frame("chat", rows_here, level=LEVEL_TIGHT)
    assert sum(len(framed) for _, framed in tight.values()) < sum(len(framed) for _, framed in loose.values())


async def _contents(snapshot: Snapshot) -> dict[int, tuple[FrameRef, bytes]]:
    found = {}
    for _, frame in await entries_of(snapshot):
        found[frame.first] = frame, await snapshot.source.chunk(ObjectType.SEGMENT, frame.segment, frame.chunk)
    return found


# ---------------------------------------------------------------- at leisure


async def test_a_compaction_joins_all_runs_and_then_has_nothing_to_do(bench: Bench, small: None) -> None:
    device = await bench.create()
    for n in range(5):
        await fold_in(device, [*talk("a", 9, start=START + n * 10**6), *talk(f"b{n}", 20)])
    before = await messages_of(await device.snapshot())
    level = max(run.level for run in (await device.snapshot()).root.runs)
    assert await commit(device.session, compaction.compact) is not None
    snapshot = await device.snapshot()
    assert len(snapshot.root.runs) == 1
    assert snapshot.root.runs[0].level >= level
    assert await messages_of(snapshot) == before
    assert await commit(device.session, compaction.compact) is None


async def test_segments_leave_as_they_fill(bench: Bench, small: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Memory is bounded: what is sealed may go before the rest is read, and little is read at once."""
    monkeypatch.setattr(merging, "WINDOW_BYTES", 8192)
    device = await bench.create()
    for n in range(2):
        await fold_in(
            device, [item for c in range(8) for item in noisy(f"chat {c}", 40, seed=8 * n + c, start=START + n * 10**6)]
        )
    events: list[str] = []
    chunks = ObjectSource.chunks

    async def read(self: ObjectSource, kind: ObjectType, wanted: Any) -> Any:
        if wanted and kind is ObjectType.SEGMENT:
            events.append("read")
            assert sum(chunk.length for _, chunk in wanted) < 16 * 1024
        return await chunks(self, kind, wanted)

    async def relieve() -> None:
        events.append("relieve")

    async def build(change: Change) -> bool:
        emit = change.sealer.emit

        def emitted(name: bytes, data: bytes) -> None:
            events.append("emit")
            emit(name, data)

        change.sealer = replace(change.sealer, emit=emitted)
        change.relieve = relieve
        return await compaction.compact(change)

    monkeypatch.setattr(ObjectSource, "chunks", read)
    await commit(device.session, build)
    assert events.index("emit") < len(events) - 1 - events[::-1].index("read")
    assert events.count("relieve") >= events.count("read") > 3


async def _made(device: Device) -> tuple[list[Any], list[bytes]]:
    """What a compaction of the newest head would write: for every entry its place and plaintext; and its drops."""
    objects: dict[bytes, bytes] = {}
    writers: list[RunWriter] = []
    session = device.session
    snapshot = await device.snapshot()
    keys = session.epochs()[session.keyring.epoch]
    change = await Change.begin(snapshot, Sealer(keys, session.device.id, session.sequences(), objects.__setitem__))
    made = change.run_writer

    def noted(self: Change, level: int, *, packed: bool = False) -> RunWriter:
        writers.append(made(level, packed=packed))
        return writers[-1]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Change, "run_writer", noted)
        assert await compaction.compact(change)
    found = []
    for key, frame in writers[0].entries:
        if frame.segment in objects:
            data = objects[frame.segment]
            opener = ObjectOpener(
                session.epochs(), session.account, data[:HEADER_BYTES], ObjectType.SEGMENT, subject=""
            )
            content = open_chunk(opener, frame.chunk, cut_out(data, frame.chunk, subject=""), subject="")
        else:
            content = await snapshot.source.chunk(ObjectType.SEGMENT, frame.segment, frame.chunk)
        found.append((key, frame.first, frame.last, frame.rows, frame.packed, frame.erases, inflated(content)))
    return found, sorted(change.drops)


async def test_two_devices_make_the_same_of_one_head(bench: Bench, small: None) -> None:
    one = await bench.create()
    two = await bench.login("b", confirm=True)
    for n in range(4):
        device = (one, two)[n % 2]
        await device.snapshot()
        await fold_in(device, [*talk("a", 30, start=START + n * 10**6), *noisy(f"b{n % 3}", 20, seed=n)])
    await one.snapshot()
    await fold_in(one, [("a", Row(Op.DELETE, START + 2000, id=f"m{START}-2", sender="s0", kind=0))])
    mine, my_drops = await _made(one)
    yours, your_drops = await _made(two)
    assert mine == yours
    assert my_drops == your_drops
    assert len(mine) > 8
