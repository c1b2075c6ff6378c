"""Reading without the relay, after a restore (spec chapter 13.8)."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import pytest

from adversary.hostile import Hostile
from strongroom.transport.base import Range
from strongroom_protocol.errors import RelayUnreachable
from vaults import Bench, Device, messages_of, talk, texts


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[Bench]:
    made = Bench(tmp_path)
    yield made
    made.close()


def _cut_off(hostile: Hostile) -> None:
    def unreachable(*_: object) -> None:
        raise RelayUnreachable("no network")

    for call in ("head", "head_at", "keyrings", "read", "missing", "commit", "usage"):
        hostile.instead(call, unreachable)


async def _said(device: Device, chat: str) -> list[str | None]:
    device.session.base = None
    return list(texts((await messages_of(await device.vault._reader.current()))[chat]))


async def _restored(bench: Bench) -> tuple[Device, Hostile]:
    device = await bench.create()
    await device.add(talk("old", 600))
    hostile = Hostile(device.session.transport)
    device.session.transport = hostile
    await device.vault.restore()
    return device, hostile


async def test_what_a_restored_device_commits_stays_readable_without_the_relay(bench: Bench) -> None:
    device, hostile = await _restored(bench)
    await device.add(talk("new", 2))
    _cut_off(hostile)
    assert await _said(device, "new") == ["new says 0", "new says 1"]
    assert len(await _said(device, "old")) == 600


async def test_a_device_that_restored_nothing_keeps_nothing(bench: Bench) -> None:
    device = await bench.create()
    await device.add(talk("new", 2))
    assert not (bench.folder / "a" / "objects").exists()


async def test_what_the_relay_did_not_have_hides_nothing_else_without_it(bench: Bench) -> None:
    device = await bench.create()
    await device.add(talk("one", 600))
    await device.add(talk("two", 600))
    hostile = Hostile(device.session.transport)
    device.session.transport = hostile
    snapshot = await device.snapshot()
    gone = {ref.segment for _, ref in await snapshot.entries(snapshot.root.runs[0])}

    def withheld(honest: list[bytes | None], account: bytes, ranges: Sequence[Range]) -> list[bytes | None]:
        return [None if name in gone else data for (name, _, _), data in zip(ranges, honest, strict=True)]

    hostile.replace("read", withheld)
    assert (await device.vault.restore()).audit.rows_lost == 600
    _cut_off(hostile)
    assert len(await _said(device, "one")) == 600
    hostile.behave()  # the relay has it again: a second restore brings it
    assert (await device.vault.restore()).audit.rows_lost == 0
    _cut_off(hostile)
    assert len(await _said(device, "two")) == 600
