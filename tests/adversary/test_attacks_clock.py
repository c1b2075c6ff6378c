"""Attack 054: whatever the clock of a device says, reading and restoring work, and nothing that it writes does harm."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest

from relay_process import RelayProcess
from strongroom import session as session_module
from strongroom.session import Session
from strongroom.state import State
from strongroom.transport import http as http_module
from strongroom.transport import open_transport
from strongroom.vault import Vault
from strongroom_protocol.rows.model import Op, Row
from vaults import Bench, create_at, login_at, messages_of, opener, rows_of, talk, texts

CLOCKS = {
    "1970": 0,
    "2038": 2**31,
    "2106": 2**32,
    "9999": 253_402_300_799,
    "before": -86_400,
    "nonsense": 2**62 / 10**9 * 1000,
}
"""Seconds since 1970: the beginning, the ends of 31 and 32 bits, the last year with four digits, and what a broken
clock may say."""

SetClock = Callable[[float], None]


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> SetClock:
    """Sets this process's clock as the client reads it; deadlines go by another clock that only runs."""

    def at(seconds: float) -> None:
        fake = SimpleNamespace(time=lambda: seconds, time_ns=lambda: int(seconds * 10**9))
        monkeypatch.setattr(session_module, "time", fake)
        monkeypatch.setattr(http_module, "time", fake)

    return at


@pytest.mark.parametrize("year", CLOCKS)
async def test_attack_054_logging_in_and_restoring_at_any_time(tmp_path: Path, clock: SetClock, year: str) -> None:
    """Over HTTP, where requests are signed with a time: the relay tells its own, and the device goes by it."""
    secret = opener()
    with RelayProcess(tmp_path / "relay", open_registration=True) as relay:
        writer = await create_at(relay.url, tmp_path / "a", secret)
        await writer.append("chat", [row for _, row in talk("chat", 30)])
        await writer.flush()
        await writer.close()
        clock(CLOCKS[year])
        async with await login_at(relay.url, tmp_path / "b", secret) as vault:
            restored = await vault.restore()
            assert restored.audit.damaged == {}
            assert [shown.text for shown in await vault.newest("chat")] == [f"chat says {n}" for n in range(30)]
            assert not (await vault.verify()).damaged
            assert await vault.export(tmp_path / "out")
    # Without the relay, too, and after the clock has jumped.
    clock(CLOCKS["2038"] if year != "2038" else 5.0)
    async with await Vault.open(tmp_path / "b") as vault:
        assert len(await vault.newest("chat")) == 30


async def test_attack_054_what_is_written_at_any_time_is_read_by_all(tmp_path: Path, clock: SetClock) -> None:
    """Two devices take turns while the clock jumps back and forth: both end with one history, in one order."""
    bench = Bench(tmp_path)
    one = await bench.create()
    two = await bench.login("b", confirm=True)
    for n, seconds in enumerate([*CLOCKS.values(), *reversed(CLOCKS.values())]):
        clock(seconds)
        device = (one, two)[n % 2]
        await device.add([("chat", Row(Op.PUT, 1_700_000_000_000 + n, id=f"m{n}", text=f"message {n}"))])
        assert (await device.vault.status()).writable
    left, right = await rows_of(await one.snapshot()), await rows_of(await two.snapshot())
    assert left == right
    (merged,) = (await messages_of(await one.snapshot())).values()
    assert list(texts(merged)) == [f"message {n}" for n in range(len(CLOCKS) * 2)]
    assert len({row.origin for row in left["chat"]}) == len(CLOCKS) * 2
    assert not (await one.vault.verify()).damaged
    bench.close()


async def test_attack_054_an_edit_in_the_past_counts_when_it_was_made_later(tmp_path: Path, clock: SetClock) -> None:
    """The clock of one device goes back to 1970 between two of its edits: the second one counts all the same."""
    bench = Bench(tmp_path)
    device = await bench.create()
    clock(CLOCKS["2038"])
    await device.vault.append("chat", Row(Op.PUT, 1_700_000_000_000, id="m", text="first"))
    await device.vault.flush()
    shown = (await device.vault.newest("chat"))[0]
    for seconds, text in ((CLOCKS["2106"], "second"), (0, "third")):
        clock(seconds)
        await device.vault.edit(shown, text)
        await device.vault.flush()
    found = (await rows_of(await device.snapshot()))["chat"]
    assert [row.text for row in sorted(found, key=lambda row: row.origin)] == ["first", "second", "third"]
    await device.vault.close()
    bench.devices.clear()
    bench.close()


async def test_attack_054_a_relay_that_lies_about_the_time_ends_in_a_typed_error(
    tmp_path: Path, clock: SetClock
) -> None:
    """The relay's time only dates requests to that relay: at worst it refuses them, after one more try."""
    secret = opener()
    with RelayProcess(tmp_path / "relay", open_registration=True) as relay:
        vault = await create_at(relay.url, tmp_path / "a", secret)
        await vault.append("chat", [row for _, row in talk("chat", 3)])
        await vault.close()
        clock(0)
        transport = await open_transport(relay.url)
        with State.open(tmp_path / "a") as state:
            session = Session.open(state, transport)
            before = transport.requests
            await asyncio.wait_for(session.sync(), 20)
            assert transport.requests - before == 2  # refused once with the relay's time, then taken
            await asyncio.wait_for(session.sync(), 20)
            assert transport.requests - before == 3
            await transport.close()
