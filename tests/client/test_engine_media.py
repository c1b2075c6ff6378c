"""Which parts of media a state reaches, from the indexes alone; and when a part is dropped (chapter 08)."""

from __future__ import annotations

import io
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from strongroom.commit import commit
from strongroom.engine import compaction, fold
from strongroom.engine.audit import audit
from strongroom.engine.change import Change
from strongroom.engine.snapshot import Snapshot
from strongroom_protocol.errors import Failure
from strongroom_protocol.rows.model import Op
from strongroom_protocol.seal.objects import ObjectType
from vaults import Bench, Device, rows_of, talk

FILE = b"a photograph" * 9000


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[Bench]:
    made = Bench(tmp_path)
    yield made
    made.close()


async def attach(device: Device, chat: str, data: bytes, *, fold_in: bool = True) -> Any:
    """A message with a file, committed and made a run."""
    message = await device.vault.attach(chat, ("photo.jpg", io.BytesIO(data)), text="look", sender="me")
    await device.vault.flush()
    if fold_in:
        await commit(device.session, compaction.fold_tail)
    return message


async def media(snapshot: Snapshot) -> set[bytes]:
    return {ref.name async for ref, kind in snapshot.objects() if kind is ObjectType.MEDIA}


async def pinned(bench: Bench) -> set[bytes]:
    relay = await bench.open()

    def read(database: Any) -> set[bytes]:
        return {bytes(name) for (name,) in database.execute("SELECT name FROM objects WHERE state = 1")}

    return await relay.store.read(read)


async def exact(bench: Bench, device: Device) -> set[bytes]:
    """What the head reaches is what the relay has pinned; the parts of media among it."""
    snapshot = await device.snapshot()
    reached = [ref.name async for ref, _ in snapshot.objects()]
    assert len(reached) == len(set(reached))
    assert set(reached) == await pinned(bench)
    return await media(snapshot)


async def test_parts_are_listed_without_opening_a_frame(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    device = await bench.create()
    await device.add(talk("chat", 600))
    await attach(device, "chat", FILE)
    tail = await attach(device, "chat", FILE + b"2", fold_in=False)
    assert tail is not None
    expected = await exact(bench, device)
    assert len(expected) == 2
    await commit(device.session, compaction.fold_tail)
    assert await exact(bench, device) == expected

    async def none(self: Snapshot, wanted: Any) -> Any:
        raise AssertionError("a frame was opened")

    monkeypatch.setattr(Snapshot, "frames_of", none)
    assert await media(await device.snapshot()) == expected


async def test_a_merge_keeps_the_parts_of_every_frame(bench: Bench) -> None:
    """Of frames that are written anew, and of those that are referenced or copied."""
    device = await bench.create()
    for n in range(4):
        await attach(device, f"chat {n % 3}", FILE + bytes((n,)))
    before = await exact(bench, device)
    assert len(before) == 4
    await commit(device.session, _merge_all)
    assert await exact(bench, device) == before
    await commit(device.session, compaction.compact)
    assert await exact(bench, device) == before
    assert (await device.vault.verify()).damaged == {}


async def _merge_all(change: Change) -> bool:
    await fold.merge(change, list(change.runs))
    return True


async def test_a_part_is_dropped_when_the_last_row_that_names_it_is_erased(bench: Bench) -> None:
    device = await bench.create()
    first = await attach(device, "chat", FILE)
    (part,) = await exact(bench, device)
    second = await attach(device, "chat", FILE)  # the same file again: the same part
    other = await attach(device, "chat", FILE + b"other")
    kept = await exact(bench, device) - {part}
    assert len(kept) == 1
    await device.vault.delete(first)
    await device.vault.flush()
    await commit(device.session, compaction.fold_tail)
    assert await exact(bench, device) == {part} | kept
    await commit(device.session, compaction.compact)
    assert await exact(bench, device) == {part} | kept  # the second message still has it
    await device.vault.delete(second)
    await device.vault.flush()
    await commit(device.session, compaction.fold_tail)
    await commit(device.session, compaction.compact)
    assert await exact(bench, device) == kept
    rows = (await rows_of(await device.snapshot()))["chat"]
    assert sorted(row.op for row in rows) == [Op.PUT, Op.DELETE, Op.DELETE]
    assert other is not None


async def test_a_part_that_the_tail_still_names_stays(bench: Bench) -> None:
    device = await bench.create()
    first = await attach(device, "chat", FILE)
    await device.vault.delete(first)
    await device.vault.flush()
    await commit(device.session, compaction.fold_tail)
    await attach(device, "chat", FILE, fold_in=False)
    parts = await exact(bench, device)
    await commit(device.session, compaction.compact)
    assert await exact(bench, device) == parts
    assert len(parts) == 1


@pytest.mark.parametrize("what", ["tail", "index"])
async def test_nothing_is_dropped_while_something_cannot_be_read(
    bench: Bench, what: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A relay that withholds the batch or index that names a part does not get it deleted."""
    device = await bench.create()
    first = await attach(device, "chat", FILE)
    await device.vault.delete(first)
    await device.vault.flush()
    await commit(device.session, compaction.fold_tail)
    await attach(device, "other" if what == "index" else "chat", FILE, fold_in=what == "index")
    parts = await exact(bench, device)
    device.session.base = None
    snapshot = await device.snapshot()
    hidden = {snapshot.body.tail[0].ref.name} if what == "tail" else {
        name for top in await snapshot.both_tops(snapshot.root.runs[0]) for name in (top.pages.name,)
    }  # fmt: skip
    read = type(device.session.transport).read

    async def withheld(self: Any, account: bytes, ranges: Any) -> Any:
        found = await read(self, account, ranges)
        return [None if item[0] in hidden else piece for item, piece in zip(ranges, found, strict=True)]

    with monkeypatch.context() as patch:
        patch.setattr(type(device.session.transport), "read", withheld)
        device.session.base = None
        await commit(device.session, compaction.compact)
    device.session.base = None
    assert parts <= await pinned(bench)
    assert await media(await device.snapshot()) <= parts


async def test_verify_compares_every_part(bench: Bench) -> None:
    device = await bench.create()
    await attach(device, "chat", FILE)
    (part,) = await exact(bench, device)
    snapshot = await device.snapshot(fresh=True)
    read = snapshot.source.transport.read

    async def damaged(account: bytes, ranges: Any) -> Any:
        found = await read(account, ranges)
        return [
            piece[:-1] + b"?" if item[0] == part and piece else piece for item, piece in zip(ranges, found, strict=True)
        ]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(snapshot.source.transport, "read", damaged)
        assert (await audit(snapshot)).damaged == {part.hex(): Failure.NAME}
