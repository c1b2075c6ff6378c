"""Objects between upload, pin and deletion (chapter 11)."""

from __future__ import annotations

import asyncio
import os

import pytest

from server.account_builder import name_of
from server.conftest import Bench, refused
from strongroom_protocol.limits import Limits
from strongroom_protocol.relay_api.problems import Problem, ProblemError
from strongroom_relay.service import objects, pieces

LARGE = objects.INLINE


def files(bench: Bench) -> set[str]:
    return {path.name for path in (bench.relay.store.folder / "objects").rglob("*") if path.is_file()}


async def pinned(bench: Bench, data: bytes) -> bytes:
    name = await bench.put(data)
    request = bench.account.commit(adds=[name])
    await bench.commit(request)
    bench.account.done(request)
    return name


async def dropped(bench: Bench, *names: bytes) -> None:
    request = bench.account.commit(drops=names)
    await bench.commit(request)
    bench.account.done(request)


@pytest.mark.parametrize("size", [0, 1, LARGE - 1, LARGE, LARGE + 1, 1_000_000])
async def test_what_was_stored_is_read_back(bench: Bench, size: int) -> None:
    data = os.urandom(size)
    name = await bench.put(data)
    assert await bench.get(name) == data
    assert await objects.size_of(bench.relay, bench.who, name) == size
    ranges = [(name, 0, 10), (name, size // 2, 0), (os.urandom(32), 0, 0), (name, size + 5, 3)]
    assert await pieces.read(bench.relay, bench.who, ranges) == [data[:10], data[size // 2 :], None, b""]


@pytest.mark.spec("LIFE-1")
async def test_the_same_object_again_changes_nothing(bench: Bench) -> None:
    data = os.urandom(100)
    assert await objects.put_small(bench.relay, bench.who, name_of(data), data)
    before = await objects.usage(bench.relay, bench.who)
    assert not await objects.put_small(bench.relay, bench.who, name_of(data), data)
    assert await objects.usage(bench.relay, bench.who) == before


async def test_uploading_again_gives_an_upload_its_full_time(bench: Bench) -> None:
    data = os.urandom(100)
    name = await bench.put(data)
    bench.clock.now += bench.relay.limits.upload_expiry_ms - 1
    await bench.put(data)
    bench.clock.now += bench.relay.limits.upload_expiry_ms - 1
    assert await objects.sweep(bench.relay) == (0, 0)
    bench.clock.now += 1
    assert await objects.sweep(bench.relay) == (1, 100)
    assert await bench.get(name) is None


@pytest.mark.spec("LIFE-6")
@pytest.mark.parametrize("size", [100, LARGE])
async def test_uploads_that_no_head_names_expire_and_pinned_objects_do_not(bench: Bench, size: int) -> None:
    kept = await pinned(bench, os.urandom(size))
    stray = await bench.put(os.urandom(size))
    before = await objects.usage(bench.relay, bench.who)
    assert await objects.sweep(bench.relay) == (0, 0)
    assert await bench.get(stray) is not None
    bench.clock.now += bench.relay.limits.upload_expiry_ms
    assert await objects.sweep(bench.relay) == (1, size)
    assert await bench.get(stray) is None
    assert await bench.get(kept) is not None
    assert (await objects.usage(bench.relay, bench.who)).stored == before.stored - size
    assert len(files(bench)) == (size >= LARGE)


@pytest.mark.spec("LIFE-5")
async def test_dropped_objects_are_kept_for_the_window(bench: Bench) -> None:
    name = await pinned(bench, os.urandom(LARGE))
    await dropped(bench, name)
    bench.clock.now += bench.relay.window_ms - 1
    await objects.sweep(bench.relay)
    assert await bench.get(name) is not None
    bench.clock.now += 1
    assert await objects.sweep(bench.relay) == (1, LARGE)
    assert await bench.get(name) is None
    assert files(bench) == set()


@pytest.mark.spec("LIFE-3")
async def test_missing_names_what_is_absent_or_waits_for_deletion(bench: Bench) -> None:
    absent, kept, going = os.urandom(32), await pinned(bench, b"kept"), await pinned(bench, b"going")
    await dropped(bench, going)
    assert await objects.missing(bench.relay, bench.who, [absent, kept, going]) == [absent, going]


async def test_a_pin_cancels_a_pending_deletion(bench: Bench) -> None:
    name = await pinned(bench, b"wanted again")
    await dropped(bench, name)
    request = bench.account.commit(adds=[name])
    await bench.commit(request)
    bench.clock.now += 2 * bench.relay.window_ms
    await objects.sweep(bench.relay)
    assert await bench.get(name) == b"wanted again"


@pytest.mark.spec("LIFE-14")
async def test_only_pinned_objects_are_dropped(bench: Bench) -> None:
    stray = await bench.put(b"stray")
    await dropped(bench, stray, os.urandom(32))
    bench.clock.now += bench.relay.limits.upload_expiry_ms
    assert await objects.sweep(bench.relay) == (1, 5)


@pytest.mark.spec("LIFE-2")
async def test_the_cap_holds_for_uploads_and_commits(bench: Bench) -> None:
    usage = await objects.usage(bench.relay, bench.who)
    room = usage.cap - usage.stored
    data = os.urandom(room + 1)
    insert = objects.put_small(bench.relay, bench.who, name_of(data), data)
    assert await refused(insert) is Problem.QUOTA
    request = bench.account.commit(objects=(os.urandom(room - 100),))
    assert await refused(bench.commit(request)) is Problem.QUOTA
    assert await objects.usage(bench.relay, bench.who) == usage
    await bench.put(data[:room])
    await bench.put(data[:room])
    assert await refused(bench.put(b"x")) is Problem.QUOTA


@pytest.mark.spec("LIFE-10")
async def test_attack_077_parallel_uploads_do_not_pass_the_cap_together(bench: Bench) -> None:
    size = 500_000
    on_disk: list[int] = []

    async def upload() -> bool:
        data = os.urandom(size)
        try:
            async with objects.reserved(bench.relay, bench.who, name_of(data), size):
                temporary = bench.relay.store.files.temporary()
                await bench.relay.store.in_thread(lambda: temporary.write_bytes(data))
                on_disk.append(size * len(list((bench.relay.store.folder / "objects").glob("upload-*"))))
                await objects.put_file(bench.relay, bench.who, name_of(data), size, temporary)
        except ProblemError as problem:
            if problem.problem is not Problem.QUOTA:
                raise
            return False
        return True

    done = await asyncio.gather(*(upload() for _ in range(200)))
    usage = await objects.usage(bench.relay, bench.who)
    assert sum(done) == usage.cap // size - 1
    assert max(on_disk) <= usage.cap
    assert len(files(bench)) == sum(done)
    assert bench.relay.arriving == {}


@pytest.mark.spec("API-3")
async def test_a_batched_read_stops_before_its_answer_outgrows_the_limit(bench: Bench) -> None:
    data = os.urandom(100_000)
    name = await bench.put(data)
    bench.relay.limits = Limits(read_response_bytes=250_000)
    assert await pieces.read(bench.relay, bench.who, [(name, 0, 0)] * 5) == [data] * 2
    bench.relay.limits = Limits(read_response_bytes=60_000)
    assert await pieces.read(bench.relay, bench.who, [(name, 0, 0)] * 5) == [data[:60_000]]


@pytest.mark.spec("LIFE-7")
async def test_attack_090_a_removal_never_takes_a_file_that_was_uploaded_again(bench: Bench) -> None:
    data = os.urandom(LARGE)
    name = await bench.put(data)
    bench.clock.now += bench.relay.limits.upload_expiry_ms
    sweeping = asyncio.create_task(objects.sweep(bench.relay))
    puts = [asyncio.create_task(bench.put(data)) for _ in range(5)]
    await asyncio.gather(sweeping, *puts)
    assert await bench.get(name) == data
    await objects._unlink(bench.relay, [(bench.account.id, name)])
    assert await bench.get(name) == data


async def test_files_left_by_a_crash_are_found(bench: Bench) -> None:
    kept = await bench.put(os.urandom(LARGE))
    left = bench.relay.store.files.path_of(bench.account.id, os.urandom(32))
    left.parent.mkdir(exist_ok=True)
    left.write_bytes(b"no row names this")
    assert await objects.sweep_files(bench.relay) == 1
    assert not left.exists()
    assert await bench.get(kept) is not None


async def test_a_lost_file_is_replaced_by_the_next_upload(bench: Bench) -> None:
    data = os.urandom(LARGE)
    name = await bench.put(data)
    bench.relay.store.files.path_of(bench.account.id, name).unlink()
    assert await bench.get(name) is None
    await bench.put(data)
    assert await bench.get(name) == data


async def test_attack_076_accounts_do_not_see_each_others_objects(bench: Bench) -> None:
    from strongroom_relay.service.relay import Principal

    other = await bench.second()
    who = Principal(other.id, other.device.sign.public, True)
    data = os.urandom(LARGE)
    name = await bench.put(data)
    assert await objects.missing(bench.relay, who, [name]) == [name]
    assert await pieces.read(bench.relay, who, [(name, 0, 0)]) == [None]
    assert await objects.size_of(bench.relay, who, name) is None
    await bench.put(data, who)
    bench.relay.store.files.path_of(bench.account.id, name).unlink()
    assert await pieces.read(bench.relay, who, [(name, 0, 0)]) == [data]
