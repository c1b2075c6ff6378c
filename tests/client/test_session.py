"""A device's session: who may write, what is pinned, where a client connects to."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from adversary.hostile import Hostile
from strongroom.session import SEQUENCE_BLOCK
from strongroom.transport import open_transport
from strongroom_protocol.errors import Failure, InvalidArgument, ReadOnly, UntrustedDataError
from vaults import Bench, rows_of, talk


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[Bench]:
    made = Bench(tmp_path)
    yield made
    made.close()


@pytest.mark.spec("CLIENT-1")
async def test_a_device_that_nobody_confirmed_does_not_write(bench: Bench) -> None:
    writer = await bench.create()
    await writer.add(talk("chat", 3))
    fresh = await bench.login()
    hostile = Hostile(fresh.session.transport)
    fresh.session.transport = hostile
    with pytest.raises(ReadOnly):
        await fresh.add(talk("chat", 5))
    assert hostile.calls == []
    await bench.confirm(fresh)
    assert sum((await fresh.add(talk("chat", 5))).written.values()) == 2


@pytest.mark.spec("CLIENT-2")
@pytest.mark.parametrize("url", ["http://relay.example", "http://192.0.2.1:8200", "http://127.0.0.1.example"])
async def test_no_unencrypted_relay_but_on_loopback(url: str) -> None:
    with pytest.raises(InvalidArgument):
        await open_transport(url)
    transport = await open_transport("http://127.0.0.1:1")
    await transport.close()


@pytest.mark.parametrize(
    "url", ["ftp://x", "https://", "https://user@x", "https://x/path", "https://x?q", "file://host/x", "relay.example"]
)
async def test_addresses_that_are_none(url: str) -> None:
    with pytest.raises(InvalidArgument):
        await open_transport(url)


async def test_sequences_are_reserved_before_use(bench: Bench) -> None:
    device = await bench.create()
    numbers = device.session.sequences()
    first = next(numbers)
    folder = device.session.state.folder
    bench.drop(device)
    again = await bench.reopen(folder.name)
    assert next(again.session.sequences()) > first
    assert again.session.pin.sequence >= first + SEQUENCE_BLOCK - 1


async def test_clocks_only_rise(bench: Bench) -> None:
    device = await bench.create()
    clocks = [device.session.next_clock() for _ in range(50)]
    assert clocks == sorted(set(clocks))


async def test_attack_025_a_clone_that_has_written_is_noticed(bench: Bench) -> None:
    """The copy writes beyond what the original reserved: the original says so and keeps its pin of sequences."""
    device = await bench.create()
    bench.drop(device)
    bench.copy("a", "copy")
    copy = await bench.reopen("copy")
    for _ in range(2):
        await copy.add(talk("chat", 2, ids=str(_)))
        list(zip(range(SEQUENCE_BLOCK), copy.session.sequences(), strict=False))
    await copy.add(talk("chat", 2, ids="beyond"))
    bench.drop(copy)
    original = await bench.reopen("a")
    with pytest.raises(UntrustedDataError) as caught:
        await original.add(talk("chat", 1, ids="x"))
    assert caught.value.failure is Failure.CLONE


async def test_two_logins_confirm_one_after_the_other(bench: Bench) -> None:
    await bench.create()
    devices = [await bench.login(folder) for folder in ("b", "c")]
    for device in devices:
        await bench.confirm(device)
    for number, device in enumerate(devices):
        await device.add(talk(f"from {number}", 3))
    assert len(await rows_of(await devices[0].snapshot())) == 2
    assert len(devices[0].vault.devices()) == 3
