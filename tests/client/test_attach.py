"""Files of messages through the SDK: durable at once, stored once a chat, sealed again after an epoch change."""

from __future__ import annotations

import io
import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from adversary.hostile import Hostile
from strongroom import message, outgoing, sending
from strongroom.commit import commit
from strongroom.engine.compaction import compact, fold_tail
from strongroom.records import ChatMessage
from strongroom_protocol.errors import NotFound, RelayUnreachable
from strongroom_protocol.seal.objects import HEADER_BYTES, Header, ObjectType
from vaults import Bench, Device


@pytest.fixture
async def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Bench]:
    monkeypatch.setattr(sending.Sender, "start", lambda self: None)  # commits where a test says so
    made = Bench(tmp_path)
    yield made
    made.close()


def _unreachable(*_: Any) -> None:
    raise RelayUnreachable("no answer")


def _behind(device: Device) -> Hostile:
    hostile = Hostile(device.session.transport)
    device.session.transport = hostile
    return hostile


async def _bytes(device: Device, shown: ChatMessage, **more: Any) -> bytes:
    return b"".join([piece async for piece in device.vault.media(shown.attachments[0], **more)])


def _staged(device: Device) -> list[Path]:
    folder = device.session.state.folder / "outbox"
    return sorted(folder.iterdir()) if folder.exists() else []


async def test_a_file_from_offline_append_to_another_device(bench: Bench) -> None:
    """Readable here before it is at the relay, gone from the outbox after, whole on the other device."""
    device = await bench.create()
    other = await bench.login("b")
    content = os.urandom(700_000)
    hostile = _behind(device)
    hostile.instead("commit", _unreachable)
    ref = await device.vault.attach("c", ("cat.jpg", io.BytesIO(content)), text="look", sender="s", role="photo")
    assert _staged(device)
    (shown,) = await device.vault.newest("c")
    assert (shown.id, shown.text, shown.pending) == (ref.id, "look", True)
    assert await _bytes(device, shown) == content
    with pytest.raises(RelayUnreachable):
        await device.vault.flush()
    hostile.behave()
    await device.vault.flush()
    assert _staged(device) == []
    (shown,) = await other.vault.newest("c")
    attachment = shown.attachments[0]
    assert (attachment.name, attachment.mime, attachment.size) == ("cat.jpg", "image/jpeg", 700_000)
    assert await _bytes(other, shown) == content
    assert await _bytes(other, shown, offset=300_000, length=5) == content[300_000:300_005]
    await other.vault.save(attachment, bench.folder / "saved.jpg")
    assert (bench.folder / "saved.jpg").read_bytes() == content
    assert not (await other.vault.verify()).damaged


async def test_the_same_file_twice_in_a_chat_goes_up_once(bench: Bench) -> None:
    device = await bench.create()
    content = os.urandom(300_000)
    hostile = _behind(device)
    for chat, uploads in (("c", 1), ("c", 0), ("d", 1)):
        hostile.trace.clear()
        await device.vault.attach(chat, ("x.bin", io.BytesIO(content)))
        await device.vault.flush()
        assert hostile.calls.count("put") == uploads


async def test_deleting_one_of_two_messages_keeps_the_file_for_the_other(bench: Bench) -> None:
    device = await bench.create()
    content = os.urandom(50_000)
    first = await device.vault.attach("c", ("x.bin", io.BytesIO(content)), time=1000)
    second = await device.vault.attach("c", ("x.bin", io.BytesIO(content)), time=2000)
    await device.vault.flush()
    await device.vault.delete(first)
    await device.vault.flush()
    await _compacted(device)
    assert await _bytes(device, await device.vault.message("c", second.id)) == content
    assert await _media(device)
    await device.vault.delete(second)
    await device.vault.flush()
    await _compacted(device)
    assert await _media(device) == set()


async def _compacted(device: Device) -> None:
    await commit(device.session, fold_tail)
    await commit(device.session, compact)


async def _media(device: Device) -> set[bytes]:
    snapshot = await device.snapshot()
    return {ref.name async for ref, kind in snapshot.objects() if kind is ObjectType.MEDIA}


async def test_what_waits_is_sealed_again_after_an_epoch_change(bench: Bench) -> None:
    """A file staged in one epoch and committed in the next is readable with the new one, and never sent in the old."""
    device = await bench.create()
    content = os.urandom(400_000)
    hostile = _behind(device)
    await device.vault.attach("c", ("x.bin", io.BytesIO(content)), text="a")
    await device.vault.append("c", message("b"))
    staged = {path.name for path in _staged(device)}
    late = await bench.login("b")
    await bench.confirm(late)  # a new epoch
    sent: list[bytes] = []
    hostile.replace("put", lambda honest, account, name, data: sent.append(data))
    await device.vault.flush()
    assert {Header.parse(data[:HEADER_BYTES], "x").epoch for data in sent} == {2}
    shown = next(item for item in await late.vault.newest("c") if item.attachments)
    assert await _bytes(late, shown) == content
    assert not staged & {ref.hex() for ref in await _media(late)}
    assert _staged(device) == []


async def test_leftovers_of_a_crash_are_removed_and_what_waits_is_kept(bench: Bench) -> None:
    device = await bench.create()
    await device.vault.attach("c", ("x.bin", io.BytesIO(os.urandom(1000))))
    needed = _staged(device)
    (device.session.state.folder / "outbox" / ("ab" * 32)).write_bytes(b"x")
    (device.session.state.folder / "outbox" / "cd.tmp").write_bytes(b"x")
    outgoing.clean(device.vault._outbox.folder, device.vault._outbox)
    assert _staged(device) == needed
    await device.vault.flush()
    assert _staged(device) == []


async def test_a_file_that_is_not_there_says_why(bench: Bench) -> None:
    from strongroom_protocol.rows.model import Op, Row

    device = await bench.create()
    row = Row(Op.PUT, 1000, id="1", detail={4: [{4: "x", 7: "expired", 8: "the link is dead"}]})
    await device.vault.append("c", row)
    (shown,) = await device.vault.newest("c")
    with pytest.raises(NotFound, match="expired"):
        device.vault.media(shown.attachments[0])
