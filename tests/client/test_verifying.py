"""Verifying a part of what a relay holds, and what that is worth; a restore in the background (chapter 13.8)."""

from __future__ import annotations

import asyncio
import io
import math
import random
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adversary.hostile import Hostile
from strongroom import Depth, InvalidArgument, Progress, RelayUnreachable
from strongroom.backfill import Backfill
from strongroom.commit import commit
from strongroom.engine import compaction
from strongroom.engine.depth import FULL, chance
from strongroom_protocol.errors import Failure
from strongroom_protocol.seal.objects import HEADER_BYTES, ObjectType
from vaults import Bench, Device, talk

FILES = 30
TRIALS = 120


class Scene:
    """A vault of some conversations and FILES files, behind a relay that can be told what it lost."""

    def __init__(self, device: Device, relay: Hostile, content: list[bytes], segments: set[bytes]) -> None:
        self.device, self.relay, self.content, self.segments = device, relay, content, segments
        self.lost: set[bytes] = set()
        self.bodies: set[bytes] = set()
        """Names of which more than the header was asked for."""
        relay.replace("read", self._read)

    def _read(self, honest: list[bytes | None], _: bytes, ranges: Any) -> list[bytes | None]:
        self.bodies |= {name for name, offset, length in ranges if offset + length > HEADER_BYTES}
        return [None if item[0] in self.lost else piece for piece, item in zip(honest, ranges, strict=True)]


@pytest.fixture
async def scene(tmp_path: Path) -> AsyncIterator[Scene]:
    bench = Bench(tmp_path)
    held: list[Hostile] = []

    def wrap(transport: Any) -> Hostile:
        held.append(Hostile(transport))
        return held[-1]

    device = await bench.create(wrap=wrap)
    await device.add([row for n in range(3) for row in talk(f"chat {n}", 300, start=1_700_000_000_000 + n * 10**9)])
    for n in range(FILES):
        await device.vault.attach("chat 0", ("photo.jpg", io.BytesIO(b"photo %d " % n * 500)), text="look")
    await device.vault.flush()
    await commit(device.session, compaction.fold_tail)
    found = [(ref.name, kind) async for ref, kind in (await device.snapshot()).objects()]
    content = [name for name, kind in found if kind in (ObjectType.SEGMENT, ObjectType.MEDIA)]
    yield Scene(device, held[0], content, {name for name, kind in found if kind is ObjectType.SEGMENT})
    bench.close()


@pytest.mark.spec("VER-1")
async def test_quick_finds_every_object_that_is_gone_without_fetching_content(scene: Scene) -> None:
    vault = scene.device.vault
    full = await vault.verify()
    assert (full.damaged, full.content, full.examined, full.asked) == ({}, len(scene.content), len(scene.content), 0)
    assert full.chance(1) == 1
    scene.bodies.clear()
    quick = await vault.verify(Depth.quick())
    assert (quick.damaged, quick.examined, quick.asked) == ({}, 0, len(scene.content))
    assert (quick.frames, quick.rows) == (full.frames, full.rows)
    assert quick.chance(len(scene.content)) == 0  # of content it promises nothing
    assert not scene.bodies & set(scene.content)
    for name in scene.content:
        scene.lost = {name}
        found = await vault.verify(Depth.quick())
        assert found.damaged == {name.hex(): Failure.MISSING}
        assert (found.rows_lost > 0) == (name in scene.segments)


async def test_quick_finds_a_header_that_is_not_ours(scene: Scene) -> None:
    def other(honest: list[bytes | None], _: bytes, ranges: Any) -> list[bytes | None]:
        wrong = [piece and bytes([*piece[:-1], piece[-1] ^ 1]) for piece in honest]
        return [wrong[n] if item[0] == scene.content[1] else honest[n] for n, item in enumerate(ranges)]

    scene.relay.replace("read", other)
    assert (await scene.device.vault.verify(Depth.quick())).damaged == {scene.content[1].hex(): Failure.COMMITMENT}


async def test_quick_finds_a_damaged_structure(scene: Scene) -> None:
    structure = [
        ref.name async for ref, kind in (await scene.device.snapshot()).objects()
        if kind not in (ObjectType.SEGMENT, ObjectType.MEDIA, ObjectType.BODY, ObjectType.ROOT)
    ]  # fmt: skip
    assert structure
    for name in structure:
        scene.lost = {name}
        assert name.hex() in (await scene.device.vault.verify(Depth.quick())).damaged


@pytest.mark.spec("VER-2")
async def test_the_stated_chance_of_a_sample(scene: Scene) -> None:
    """Objects dropped at random, many times: a sample notices as often as it says, within five standard deviations."""
    vault, dice = scene.device.vault, random.Random(7)
    for percent, losses in ((20, 1), (20, 4), (50, 2)):
        noticed, stated = 0, 0.0
        for _ in range(TRIALS):
            scene.lost = set(dice.sample(scene.content, losses))
            found = await vault.verify(Depth.sample(percent))
            assert found.examined == math.ceil(percent / 100 * len(scene.content))
            assert {bytes.fromhex(name) for name in found.damaged} <= scene.lost
            noticed += bool(found.damaged)
            stated = found.chance(losses)
        assert 0.1 < stated < 0.9
        assert abs(noticed / TRIALS - stated) < 5 * math.sqrt(stated * (1 - stated) / TRIALS)


@pytest.mark.spec("VER-2")
async def test_a_relay_that_chooses_what_it_drops_is_found_as_often(scene: Scene) -> None:
    """Whatever stands first, last or anywhere: no object is passed over by every sample."""
    vault = scene.device.vault
    for name in (scene.content[0], scene.content[len(scene.content) // 2], scene.content[-1]):
        scene.lost = {name}
        noticed = sum([bool((await vault.verify(Depth.sample(50))).damaged) for _ in range(40)])
        assert 5 < noticed < 35  # 20 expected: outside by less than one chance in 10^5


@given(st.integers(0, 60), st.data())
def test_the_formula_is_that_of_drawing_without_replacement(population: int, data: st.DataObject) -> None:
    examined = data.draw(st.integers(0, population))
    lost = data.draw(st.integers(0, population))
    exact = 1 - math.comb(population - lost, examined) / math.comb(population, examined)
    assert chance(population, examined, lost) == pytest.approx(exact, abs=1e-12)


@pytest.mark.parametrize("percent", [0.0, -1.0, 100.1, math.nan, math.inf])
def test_a_share_that_is_none(percent: float) -> None:
    with pytest.raises(InvalidArgument):
        Depth.sample(percent)


def test_all_and_nothing() -> None:
    items = list(range(9))
    assert FULL.draw(items) == (items, [])
    assert Depth.quick().draw(items) == ([], items)
    assert Depth.sample(0.001).draw(items)[0] != []  # rounded up
    assert Depth.sample(50).draw([]) == ([], [])


async def _settled(running: Backfill) -> int:
    """What has come once nothing moves any more."""
    last = -1
    while running.progress.done != last:
        last = running.progress.done
        await asyncio.sleep(0.3)
    return last


async def test_a_backfill_pauses_resumes_and_is_read_beside(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("strongroom.engine.examining.GROUP_BYTES", 4096)
    bench_vault = scene.device.vault
    running = await bench_vault.backfill()
    assert await bench_vault.backfill() is running
    await running.moved()
    running.pause()
    assert running.paused
    held = await _settled(running)
    assert not running.done
    total = running.progress.total
    assert total is not None
    assert 0 < held < total
    # All of it is readable now, what has come and what has not.
    assert len(await bench_vault.newest("chat 2", count=300)) == 300
    assert len(await bench_vault.newest("chat 0", count=400)) == 300 + FILES
    assert running.progress.done == held
    running.resume()
    restored = await running.wait()
    assert restored.audit.damaged == {}
    assert running.progress == Progress("restore", total, total, "bytes", back_to=0)
    another = await bench_vault.backfill()
    assert another is not running  # that one had ended
    await another.stop()


async def test_a_backfill_brings_the_newest_first(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("strongroom.engine.examining.GROUP_BYTES", 1)
    running, seen = await scene.device.vault.backfill(), [Progress("restore", 0, None, "bytes")]
    while not running.done:
        seen.append(await running.moved())
    await running.wait()
    back = [progress.back_to for progress in seen]
    known = [time for time in back if time is not None]
    assert back[0] is None  # the structure comes before
    assert known == sorted(known, reverse=True)
    assert known[-1] == 0
    order = [ref.name for ref, _ in await _content(scene)]
    fetched = list(dict.fromkeys(
        item[0] for entry in scene.relay.trace if entry[0] == "read" for item in entry[2] if item[0] in set(order)
        and item[1] == 0 and item[2] > HEADER_BYTES
    ))  # fmt: skip
    assert set(fetched[: len(scene.segments)]) == scene.segments  # messages before files


async def _content(scene: Scene) -> list[Any]:
    return [
        item async for item in (await scene.device.snapshot()).objects()
        if item[1] in (ObjectType.SEGMENT, ObjectType.MEDIA)
    ]  # fmt: skip


async def test_a_backfill_ends_with_what_stands_in_its_way(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("strongroom.engine.examining.GROUP_BYTES", 4096)

    def cut(*_: Any) -> Any:
        raise RelayUnreachable("gone")

    running = await scene.device.vault.backfill()
    running.pause()
    await _settled(running)
    scene.relay.instead("read", cut)
    running.resume()
    with pytest.raises(RelayUnreachable):
        await running.wait()
    assert running.done
    scene.relay.behave()
    again = await scene.device.vault.backfill()
    assert (await again.wait()).audit.damaged == {}
    await (await scene.device.vault.backfill()).stop()
