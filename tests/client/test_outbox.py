"""The outbox: what an app appended is durable at once, committed soon, exactly once, and never lost (spec 13.9)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from adversary.hostile import Hostile
from strongroom import message, outbox, sending, title
from strongroom_protocol.errors import InvalidArgument, ReadOnly, RelayUnreachable, StorageFull
from strongroom_protocol.rows.model import Op, Row
from vaults import Bench, Device, rows_of


@pytest.fixture
async def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Bench]:
    monkeypatch.setattr(sending, "GATHER_S", 0.0)
    made = Bench(tmp_path)
    yield made
    made.close()


def _unreachable(*_: Any) -> None:
    raise RelayUnreachable("no answer")


def _behind(device: Device) -> Hostile:
    hostile = Hostile(device.session.transport)
    device.session.transport = hostile
    return hostile


async def _texts(device: Device, chat: str = "c") -> list[str]:
    return sorted(str(row.text) for row in (await rows_of(await device.snapshot())).get(chat, []))


async def test_append_then_read_then_committed(bench: Bench) -> None:
    """What was appended is read back at once, marked as pending until a commit carries it."""
    device = await bench.create()
    hostile = _behind(device)
    hostile.instead("commit", _unreachable)
    await device.vault.append("c", title("Family"))
    (ref,) = await device.vault.append("c", message("hello", sender="anna"))
    (shown,) = await device.vault.newest("Family")
    assert (shown.ref, shown.text, shown.pending) == (ref, "hello", True)
    hostile.behave()
    await device.vault.flush()
    (shown,) = await device.vault.newest("Family")
    assert (shown.ref, shown.text, shown.pending) == (ref, "hello", False)
    assert (await device.vault.status()).waiting == 0


async def test_a_commit_follows_by_itself(bench: Bench) -> None:
    device = await bench.create()
    await device.vault.append("c", [message(str(n)) for n in range(5)])
    async with asyncio.timeout(20):
        while device.vault._outbox.waiting()[0]:  # noqa: ASYNC110 - looks on from outside, as an app would
            await asyncio.sleep(0.01)
    assert await _texts(device) == list("01234")


@pytest.mark.spec("CLIENT-32")
@pytest.mark.parametrize("landed", [True, False])
async def test_a_crash_before_the_answer(bench: Bench, landed: bool) -> None:
    """The relay took the commit or not, this process never heard: the next one neither loses nor repeats anything."""
    device = await bench.create()
    hostile = _behind(device)
    (hostile.replace if landed else hostile.instead)("commit", _unreachable)
    await device.vault.append("c", [message("one"), message("two")])
    with pytest.raises(RelayUnreachable):
        await device.vault.flush()
    await device.vault._sender.stop()
    bench.drop(device)
    again = await bench.reopen("a")
    assert again.vault._outbox.waiting()[0] == 2
    await again.vault.append("c", message("three"))
    await again.vault.flush()
    assert await _texts(again) == ["one", "three", "two"]
    assert again.vault._outbox.waiting()[0] == 0


async def test_a_month_offline(bench: Bench) -> None:
    """Thousands of messages wait through restarts; one commit or a few bring them all."""
    device = await bench.create()
    hostile = _behind(device)
    hostile.instead("commit", _unreachable)
    for day in range(30):
        await device.vault.append(f"chat {day % 3}", [message(f"{day}-{n}", time=10**12 + day) for n in range(200)])
        if day % 10 == 9:
            await device.vault._sender.stop()
            bench.drop(device)
            device = await bench.reopen("a")
            hostile = _behind(device)
            hostile.instead("commit", _unreachable)
    hostile.behave()
    before = device.session.pin.head_version
    await device.vault.flush()
    assert device.session.pin.head_version - before <= 2
    assert [len(await _texts(device, f"chat {n}")) for n in range(3)] == [2000] * 3


async def test_edit_delete_react_of_a_message_that_still_waits(bench: Bench) -> None:
    device = await bench.create()
    hostile = _behind(device)
    hostile.instead("commit", _unreachable)
    first, second = await device.vault.append("c", [message("a", sender="s"), message("b", sender="s")])
    await device.vault.edit(first, "A")
    await device.vault.edit(first, "AA")
    await device.vault.react(first, "👍", sender="t")
    await device.vault.react(first, "👎", sender="t")
    await device.vault.react(first, "👎", sender="t", remove=True)
    await device.vault.delete(second)
    for _ in range(2):
        shown = {item.id: item for item in await device.vault.newest("c")}
        assert (shown[first.id].text, shown[first.id].edited) == ("AA", True)
        assert [row.text for row in shown[first.id].versions] == ["a", "A", "AA"]
        assert shown[first.id].reactions == (("t", "👍"),)
        assert shown[second.id].deleted
        assert shown[second.id].text is None
        hostile.behave()
        await device.vault.flush()


async def test_a_full_outbox_waits_or_says_so(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outbox, "WAITING_ROWS", 10)
    device = await bench.create()
    for n in range(12):  # the relay takes commits: nobody is refused
        async with asyncio.timeout(20):
            await device.vault.append("c", [message(f"{n}-{i}") for i in range(7)])
    await device.vault.flush()
    assert len(await _texts(device)) == 84
    hostile = _behind(device)
    hostile.instead("commit", _unreachable)
    await device.vault.append("c", [message(f"x{i}") for i in range(10)])
    async with asyncio.timeout(20):
        with pytest.raises(StorageFull, match="no answer"):
            await device.vault.append("c", message("too much"))
    hostile.behave()
    await device.vault.flush()
    assert len(await _texts(device)) == 94


@pytest.mark.spec("CLIENT-33")
async def test_an_entry_that_does_not_open_is_kept_and_stops_nothing(bench: Bench) -> None:
    device = await bench.create()
    hostile = _behind(device)
    hostile.instead("commit", _unreachable)
    for text in "abc":
        await device.vault.append("c", message(text))
    with device.session.state._database as database:
        database.execute("UPDATE outbox SET sealed = zeroblob(length(sealed)) WHERE id = 2")
    hostile.behave()
    await device.vault.flush()
    assert await _texts(device) == ["a", "c"]
    status = await device.vault.status()
    assert (status.waiting, status.waiting_damaged) == (0, 1)


async def test_what_cannot_be_stored_is_refused_whole(bench: Bench) -> None:
    device = await bench.create()
    bad = Row(Op.PUT, 1000, id="x", text="\ud800")
    with pytest.raises(InvalidArgument):
        await device.vault.append("c", [message("good"), bad])
    with pytest.raises(InvalidArgument):
        await device.vault.append("c", Row(Op.EDIT, 1000, text="an edit of nothing", detail={1: 1}))
    assert device.vault._outbox.waiting()[0] == 0


async def test_a_read_only_device_takes_nothing(bench: Bench) -> None:
    await bench.create()
    guest = await bench.login("b")
    with pytest.raises(ReadOnly):
        await guest.vault.append("c", message("x"))


async def test_cancelled_in_the_middle(bench: Bench) -> None:
    """A commit is cancelled at any moment: nothing is lost, nothing twice."""
    device = await bench.create()
    for n in range(25):
        await device.vault._sender.stop()
        await device.vault.append("c", message(f"{n:02}"))
        task = asyncio.ensure_future(device.vault.flush())
        for _ in range(n):
            await asyncio.sleep(0)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
    await device.vault.flush()
    assert await _texts(device) == [f"{n:02}" for n in range(25)]


async def test_attack_100_the_outbox_is_unreadable_without_the_key(bench: Bench) -> None:
    """No file of the device holds a waiting message in the clear, whatever SQLite keeps of it."""
    device = await bench.create()
    hostile = _behind(device)
    hostile.instead("commit", _unreachable)
    await device.vault.append("the chat id", message("the canary text", sender="the canary person"))
    for path in device.session.state.folder.rglob("*"):
        if path.is_file():
            found = path.read_bytes()
            assert b"canary" not in found
            assert b"the chat" not in found


async def test_an_idle_device_tidies_up_once(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """After a while without messages runs are merged; a failure of that disturbs nobody."""
    called = asyncio.Event()
    times = 0

    async def tidy(session: Any) -> None:
        nonlocal times
        times += 1
        called.set()
        raise RelayUnreachable("no answer")

    monkeypatch.setattr(sending, "IDLE_S", 0.01)
    monkeypatch.setattr("strongroom.importing.tidy", tidy)
    device = await bench.create()
    for count in (1, 2):
        called.clear()
        await device.vault.append("c", message("x"))
        async with asyncio.timeout(20):
            await called.wait()
        await asyncio.sleep(0.1)
        assert times == count
    assert (await device.vault.status()).problem == ""
