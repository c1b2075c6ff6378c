"""What the first developers who used the SDK stumbled over."""

from __future__ import annotations

import io
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from adversary.hostile import Hostile
from strongroom import Columns, message, sending
from strongroom_protocol.errors import InvalidArgument, NotFound, RelayUnreachable
from vaults import Bench


@pytest.fixture
async def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Bench]:
    monkeypatch.setattr(sending.Sender, "start", lambda self: None)  # commits where a test says so
    made = Bench(tmp_path)
    yield made
    made.close()


async def test_an_edit_keeps_files_reply_and_name(bench: Bench) -> None:
    device = await bench.create()
    (first,) = await device.vault.append("c", message("question", sender="b", time=10**12))
    ref = await device.vault.attach(
        "c", ("cat.jpg", io.BytesIO(b"x" * 100)), text="look", sender="a", sender_name="Ada", time=10**12 + 1
    )
    (reply,) = await device.vault.append("c", message("yes", sender="a", time=10**12 + 2, reply_to=first))
    for _ in range(2):  # while it waits, and once it is committed
        await device.vault.edit(ref, "look!")
        await device.vault.edit((await device.vault.newest("c"))[-1], "yes!")
        shown = {item.id: item for item in await device.vault.newest("c")}
        assert (shown[ref.id].text, shown[ref.id].sender, shown[ref.id].sender_name) == ("look!", "a", "Ada")
        assert [item.name for item in shown[ref.id].attachments] == ["cat.jpg"]
        assert shown[reply.id].text == "yes!"
        assert (shown[reply.id].versions[-1].detail or {})[5] == {1: first.id}
        await device.vault.flush()
    with pytest.raises(NotFound):
        await device.vault.edit(first.__class__("c", "nobody", 10**12), "x")


async def test_messages_of_one_millisecond_keep_their_order(bench: Bench) -> None:
    device = await bench.create()
    said = list("abcdefgh")
    await device.vault.append("c", [message(text, time=10**12) for text in said[:5]])
    for text in said[5:]:
        await device.vault.append("c", message(text, time=10**12))
    assert [item.text for item in await device.vault.newest("c")] == said
    await device.vault.flush()
    assert [item.text for item in await device.vault.newest("c")] == said


async def test_status_without_the_relay_tells_what_waits(bench: Bench) -> None:
    device = await bench.create()
    await device.vault.append("c", message("x"))
    await device.vault.flush()
    await device.vault.append("c", message("y"))
    hostile = Hostile(device.session.transport)

    def away(*_: Any) -> None:
        raise RelayUnreachable("away")

    for call in ("head", "commit", "usage", "read"):
        hostile.instead(call, away)
    device.session.transport = hostile
    assert [item.text for item in await device.vault.newest("c")] == ["x", "y"]  # what this process knows
    device.session.base = None  # as after a restart
    status = await device.vault.status()
    assert (status.fresh, status.waiting, status.version) == (False, 1, device.session.pin.head_version)


async def test_closing_twice_is_closing(bench: Bench) -> None:
    device = await bench.create()
    await device.vault.close()
    await device.vault.close()
    bench.devices.clear()


@pytest.mark.parametrize("count", [0, -1])
async def test_no_messages_cannot_be_asked_for(bench: Bench, count: int) -> None:
    device = await bench.create()
    (ref,) = await device.vault.append("c", message("x"))
    for read in (device.vault.newest("c", count=count), device.vault.older(ref, count=count)):
        with pytest.raises(InvalidArgument):
            await read


@pytest.mark.parametrize(
    "wrong", [{"text": 5}, {"time": 1.7e12}, {"time": 1_700_000_000}, {"sender": 7}, {"id": 5}, {"sender_name": b"x"}]
)
def test_a_wrong_message_names_the_field(wrong: dict[str, Any]) -> None:
    with pytest.raises(InvalidArgument, match=next(iter(wrong))):
        message(**wrong)


async def test_what_is_no_row_says_what_makes_one(bench: Bench) -> None:
    device = await bench.create()
    with pytest.raises(InvalidArgument, match="not a row") as caught:
        await device.vault.append("c", "hello")  # type: ignore[arg-type]
    assert "strongroom.message" in caught.value.__notes__[0]
    with pytest.raises(InvalidArgument, match="no file"):
        await device.vault.attach("c", text="x")


async def test_one_lot_of_columns_needs_no_list(bench: Bench) -> None:
    device = await bench.create()
    found = await device.vault.import_(Columns(conversation="c", time=[10**12], id=["1"], text=["x"]))
    assert found.written == {"put": 1}
