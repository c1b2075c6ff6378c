"""Undo of much: what is carried, pinned again and dropped where one run, one read or one head is not enough."""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from strongroom import commit as committing
from strongroom import undoing
from strongroom.commit import commit
from strongroom.earlier import Earlier
from strongroom.engine import undone
from strongroom.engine.change import Change
from strongroom.engine.fold import write_run
from strongroom.history import History
from strongroom_protocol.errors import IncompleteError, InvalidArgument, NotFound
from strongroom_protocol.rows.ids import conversation_key
from strongroom_protocol.rows.model import Op, Row
from strongroom_protocol.rows.table import Frame
from vaults import Bench, Device, messages_of, talk, texts

LATER = 1_800_000_000_000


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[Bench]:
    made = Bench(tmp_path)
    yield made
    made.close()


async def _pair(bench: Bench) -> tuple[Device, Device]:
    first = await bench.create()
    thief = await bench.login("b", confirm=True)
    for number in range(3):
        await first.add(talk(f"chat {number}", 600))
    await thief.session.snapshot()
    return first, thief


async def _says(device: Device) -> dict[str, list[str | None]]:
    found = await messages_of(await device.snapshot())
    return {chat: list(texts(messages)) for chat, messages in found.items()}


async def _undo(bench: Bench, by: Device, to: int, *devices: Device) -> int:
    async with await bench.owner(by) as owner:
        return (await owner.undo(to, *(device.session.device.id for device in devices))).version


async def _exact(bench: Bench, device: Device) -> None:
    """The relay keeps for good what the newest state reaches, and nothing else."""
    relay = await bench.open()
    reached = {ref.name async for ref, _ in (await device.snapshot(fresh=True)).objects()}

    def pinned(database: sqlite3.Connection) -> set[bytes]:
        return {bytes(name) for (name,) in database.execute("SELECT name FROM objects WHERE state = 1")}

    assert await relay.store.read(pinned) == reached


async def test_all_that_is_carried_is_one_run(bench: Bench) -> None:
    """However many runs it came in: a state may have 64."""
    first, thief = await _pair(bench)
    other = await bench.login("c", confirm=True)
    to = first.session.pin.head_version + 1
    await first.session.sync()
    for number in range(70):
        await other.add(talk(f"chat {number % 3}", 520, start=LATER + number * 10**6, ids=f"{number}-"))
    await thief.add(talk("chat 0", 5, start=LATER, ids="spam"))
    before = len((await first.session.load(await first.session.sync())).root.runs)
    assert before < 10  # they were merged meanwhile, and merges bring nothing
    version = await _undo(bench, first, to, thief)
    snapshot = await first.snapshot()
    assert len(snapshot.root.runs) == 3 + 1
    assert snapshot.root.runs[0].rows == 70 * 520
    assert version == snapshot.head.version
    assert {chat: len(said) for chat, said in (await _says(other)).items()} == {
        "chat 0": 600 + 24 * 520, "chat 1": 600 + 23 * 520, "chat 2": 600 + 23 * 520,
    }  # fmt: skip
    await _exact(bench, first)


async def test_more_objects_than_one_head_has_room_for(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is pinned again goes before the undo, what is dropped after it: no crash between leaves a state whose
    objects are about to be deleted."""
    first, thief = await _pair(bench)
    to = first.session.pin.head_version
    before = await _says(first)
    await thief.vault.compact()  # everything of that version is dropped
    await first.add(talk("chat 9", 3, start=LATER))
    last = (await first.session.sync()).version
    for module in (undoing, undone, committing):
        monkeypatch.setattr(module, "NAMES", 5)
    version = await _undo(bench, first, to, thief)
    assert version > last + 2
    assert await _says(first) == before | {"chat 9": [f"chat 9 says {n}" for n in range(3)]}
    await _exact(bench, first)
    assert not (await first.vault.verify()).damaged


async def test_everyone(bench: Bench) -> None:
    first, other = await _pair(bench)
    to, before = first.session.pin.head_version, await _says(first)
    await other.add(talk("chat 0", 600, start=LATER))
    await first.add(talk("chat 0", 3, start=LATER + 10**6))
    async with await bench.owner(first) as owner:
        done = await owner.undo(to, everyone=True)
        with pytest.raises(InvalidArgument):
            await owner.undo(to, everyone=True, revoke=True)
    assert set(done.commits.values()) == {1}
    assert done.carried == 0
    assert await _says(other) == before
    for device in (first, other):
        await device.add(talk("new", 1, start=LATER, ids=str(device.session.device.id)))
    assert len((await _says(first))["new"]) == 2


async def test_without_a_name_only_devices_that_were_removed_since(bench: Bench) -> None:
    first, thief = await _pair(bench)
    early = first.session.pin.head_version
    await thief.add(talk("chat 0", 1, start=LATER))
    async with await bench.owner(first) as owner:
        await owner.revoke(thief.session.device.id)
        late = (await first.session.sync()).version
        await first.add(talk("chat 0", 1, start=LATER + 1))
        with pytest.raises(NotFound) as caught:
            await owner.undo(late)
        assert f"{first.session.device.id.hex()[:8]} (1)" in caught.value.hint
        assert (await owner.undo(early, plan=True)).commits == {thief.session.device.id.hex(): 1}


async def test_the_versions_that_can_be_gone_back_to(bench: Bench) -> None:
    first, thief = await _pair(bench)
    to = first.session.pin.head_version
    await thief.add(talk("chat 0", 5, start=LATER))
    await _undo(bench, first, to, thief)
    relay = await bench.open()
    heads = await Earlier(first.session).down_to(await first.session.sync(), 1)
    old = [head.body for head in heads[:3]]

    def forget(database: sqlite3.Connection) -> None:
        database.executemany("DELETE FROM objects WHERE name = ?", [(name,) for name in old])

    await relay.store.write(forget)
    found = await first.vault.versions()
    assert [item.version for item in found] == list(range(to + 2, 0, -1))
    assert [item.version for item in found if item.undone] == [to + 1]
    assert [item.rows for item in found][:3] == [1800, 1805, 1800]
    assert [item.rows for item in found][-3:] == [None, None, None]
    assert found[1].device == thief.session.device.id.hex()
    assert found[1].name == "confirmed"
    assert [item.version for item in await first.vault.versions(count=2)] == [to + 2, to + 1]
    with pytest.raises(InvalidArgument):
        await first.vault.versions(count=0)
    with pytest.raises(NotFound):
        await _undo(bench, first, 2, thief)


async def test_a_version_of_another_device_that_cannot_be_read(bench: Bench) -> None:
    """Nothing is changed, unless the owner says that what it brought may be lost."""
    first, thief = await _pair(bench)
    other = await bench.login("c", confirm=True)
    to = (await first.session.sync()).version
    await other.add(talk("chat 0", 3, start=LATER, ids="lost"))
    lost = (await other.snapshot()).body.tail[-1].ref.name
    await other.add(talk("chat 0", 3, start=LATER + 10**6, ids="kept"))
    await thief.add(talk("chat 0", 3, start=LATER + 10**7, ids="spam"))
    relay = await bench.open()
    await relay.store.write(lambda database: database.execute("DELETE FROM objects WHERE name = ?", (lost,)))
    async with await bench.owner(first) as owner:
        ident = thief.session.device.id
        assert (await owner.undo(to, ident, plan=True)).unreadable == (to + 1,)
        with pytest.raises(IncompleteError) as caught:
            await owner.undo(to, ident)
        assert caught.value.damaged == (f"version {to + 1}",)
        assert (await first.session.sync()).version == to + 3
        done = await owner.undo(to, ident, anyway=True)
    assert (done.carried, done.unreadable) == (3, (to + 1,))
    assert len((await _says(first))["chat 0"]) == 603


async def test_what_was_undone_is_not_known_to_an_import(bench: Bench) -> None:
    """A device that is still listed puts its discarded rows into a run again: an import knows nothing of them."""
    first, thief = await _pair(bench)
    to = first.session.pin.head_version
    await thief.add(talk("chat 0", 1, start=LATER, ids="spam"))
    ident, sequence = thief.session.device.id, (await thief.snapshot()).body.tail[-1].sequence
    await _undo(bench, first, to, thief)

    async def again(change: Change) -> bool:
        frame = Frame.from_rows("chat 0", [Row(Op.PUT, LATER, id="x", text="spam")])
        frame.stamp(1, ident, sequence)
        await write_run(change, {conversation_key("chat 0"): frame})
        return True

    await thief.session.snapshot()
    await commit(thief.session, again)
    history = await History.of(await first.snapshot())
    assert await history.framed("chat 0", LATER, LATER) == []
    assert await history.frames("chat 0", LATER, LATER) == []
    assert len(await history.framed("chat 0", 0, LATER - 1)) >= 1
