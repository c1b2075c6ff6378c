"""What a reader of the engine refuses although every seal opens: content by a device of the account that is wrong."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from strongroom.commit import commit
from strongroom.engine import change as change_module
from strongroom.engine import fold
from strongroom.engine.audit import audit
from strongroom.engine.change import Change
from strongroom.engine.reading import newest
from strongroom.engine.tail import open_batch
from strongroom_protocol.engine.batch import Batch
from strongroom_protocol.engine.body import TailEntry
from strongroom_protocol.engine.directory import DirectoryRow
from strongroom_protocol.engine.refs import ObjectRef
from strongroom_protocol.errors import Failure, IncompleteError, UntrustedDataError
from strongroom_protocol.limits import LIMITS
from strongroom_protocol.rows.compression import deflate
from strongroom_protocol.rows.frame import Codec, encode_frame
from strongroom_protocol.rows.ids import conversation_key
from strongroom_protocol.rows.table import unstamped
from strongroom_protocol.seal.objects import ObjectType
from vaults import Bench, Device, rows_of, talk


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[Bench]:
    made = Bench(tmp_path)
    yield made
    made.close()


@pytest.fixture
async def device(bench: Bench) -> Device:
    """One run with two conversations, one batch in the tail."""
    made = await bench.create()
    await made.add([*talk("one", 400), *talk("two", 400)])
    await made.add(talk("one", 3, start=1_710_000_000_000))
    return made


def _refused(failure: Failure, call: object, *arguments: object, **named: object) -> None:
    with pytest.raises(UntrustedDataError) as caught:
        call(*arguments, **named)  # type: ignore[operator]
    assert caught.value.failure is failure


@pytest.mark.spec("ENG-6")
async def test_an_object_that_is_not_there_is_missing(device: Device) -> None:
    source = device.session.source()
    name = bytes(32)
    with pytest.raises(UntrustedDataError) as caught:
        await source.object(ObjectRef(name, 300), ObjectType.ROOT)
    assert caught.value.failure is Failure.MISSING
    snapshot = await device.snapshot()
    (entry, *_) = await snapshot.entries(snapshot.root.runs[0])
    with pytest.raises(UntrustedDataError) as caught:
        await source.chunk(ObjectType.SEGMENT, name, entry[1].chunk)
    assert caught.value.failure is Failure.MISSING
    assert source.damage == {name.hex(): Failure.MISSING}


@pytest.mark.spec("ENG-7", "ENG-8")
async def test_a_frame_is_the_one_indexed(device: Device) -> None:
    snapshot = await device.snapshot()
    (key, ref), *_ = await snapshot.entries(snapshot.root.runs[0])
    (frame,) = await snapshot.frames(key, [ref])
    snapshot.checked(frame, key, ref)
    _refused(Failure.CONTEXT, snapshot.checked, frame, conversation_key("other"), ref)
    for wrong in (replace(ref, first=ref.first - 1), replace(ref, last=ref.last + 1), replace(ref, rows=ref.rows + 1)):
        _refused(Failure.CONTEXT, snapshot.checked, frame, key, wrong)


@pytest.mark.spec("ENG-7")
async def test_attack_021_an_index_that_files_a_chat_under_another(device: Device) -> None:
    """A revoked or malicious device swaps two conversations in an index: neither is shown as the other."""

    async def swapped(change: Change) -> bool:
        writer = change.run_writer(0)
        (run,) = change.runs
        segments = await fold.segments_of(change.base, [run])
        keys = sorted(await change.base.keys_in_runs())
        for key, ref in await change.base.entries(run):
            writer.refer(keys[1 - keys.index(key)], ref, segments[ref.segment])
        await change.remove_runs([run])
        change.add_run(writer.finish())
        return True

    await commit(device.session, swapped)
    snapshot = await device.snapshot()
    assert [len(rows) for rows in (await rows_of(snapshot)).values()] == [3]  # the tail
    found = await audit(await device.snapshot(fresh=True))
    assert set(found.damaged.values()) == {Failure.CONTEXT}
    assert (found.frames_lost, found.rows_lost) == (found.frames, 800)


@pytest.mark.spec("BATCH-3")
async def test_a_batch_of_a_device_that_was_never_listed(device: Device) -> None:
    snapshot = await device.snapshot()
    entry, _ = snapshot.tail[0]
    content = await snapshot.source.object(entry.ref, ObjectType.BATCH)
    devices = device.session.device_keys()
    assert open_batch(device.session.account, entry, content, devices)
    _refused(Failure.SIGNER, open_batch, device.session.account, entry, content, {})


@pytest.mark.spec("BATCH-4")
async def test_a_batch_with_other_rows_than_stated(device: Device) -> None:
    snapshot = await device.snapshot()
    entry, _ = snapshot.tail[0]
    content = await snapshot.source.object(entry.ref, ObjectType.BATCH)
    for rows in (entry.rows - 1, entry.rows + 1):
        wrong = replace(entry, rows=rows)
        _refused(Failure.CONTEXT, open_batch, device.session.account, wrong, content, device.session.device_keys())


def _bombs() -> Iterator[tuple[str, bytes]]:
    zeros = bytes(64 * 1024 * 1024)
    packed = deflate(zeros, dictionary=False)
    yield "declares 100 bytes", bytes((Codec.ZSTD,)) + (100).to_bytes(4, "big") + packed
    yield "declares what it is", bytes((Codec.ZSTD,)) + len(zeros).to_bytes(4, "big") + packed
    yield "declares the limit", bytes((Codec.ZSTD,)) + LIMITS.frame_ratio_bytes.to_bytes(4, "big") + packed


@pytest.mark.parametrize("bomb", [bomb for _, bomb in _bombs()], ids=[name for name, _ in _bombs()])
async def test_attack_033_a_bomb_in_a_batch_of_the_account(device: Device, bomb: bytes) -> None:
    """A device of the account commits a batch that inflates to 64 MiB: noted, left out, the rest is readable."""
    before = await rows_of(await device.snapshot())

    async def planted(change: Change) -> bool:
        sequence = next(change.sealer.sequences)
        sign = device.session.device.sign
        good = encode_frame("one", unstamped("one", [row for _, row in talk("one", 1)]), bare=True)
        batch = Batch(device.session.device.id, sequence, 1, (good, bomb))
        content = batch.sign(device.session.account, sign.public, sign.sign)
        ref = change.sealer.object(ObjectType.BATCH, content, sequence=sequence)
        change.append_batch(TailEntry(ref, device.session.device.id, sequence, 1), ())
        return True

    await commit(device.session, planted)
    snapshot = await device.snapshot()
    assert set(snapshot.source.damage.values()) <= {Failure.COMPRESSION, Failure.LIMIT}
    assert len(snapshot.source.damage) == 1
    assert await rows_of(snapshot) == before
    assert sum((await device.add(talk("one", 3, start=1_720_000_000_000))).written.values()) == 3


async def test_too_many_runs_are_refused_before_they_are_committed(
    device: Device, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where damaged indexes cannot be merged, runs would outgrow the root for good: the commit is refused instead."""
    monkeypatch.setattr(change_module, "LIMITS", replace(LIMITS, runs=1))
    before = (await device.snapshot()).head
    with pytest.raises(IncompleteError):
        await device.add(talk("three", 600))
    assert (await device.snapshot()).head.hash == before.hash


async def test_newest_counts_a_message_once(device: Device) -> None:
    """The same messages twice in the history: the screen is full all the same."""
    snapshot = await device.snapshot()
    row = next(row for row in await device.vault.chats() if row.conversation == "two")
    frames = await newest(snapshot, row, 10)
    assert isinstance(row, DirectoryRow)
    assert sum(map(len, frames)) >= 10
    assert len(await device.vault.newest("two", count=300)) == 300
