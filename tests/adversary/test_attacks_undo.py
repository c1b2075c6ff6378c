"""Stolen devices, copies of devices and what undo makes good: attacks 065, 051, 025 (spec chapter 11.5)."""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from adversary.hostile import Hostile
from strongroom import commit as committing
from strongroom import relinking
from strongroom.commit import commit
from strongroom.compose import message
from strongroom.earlier import Earlier, is_undo, writer_of
from strongroom.engine.change import Change
from strongroom.engine.fold import fold, merge, write_run
from strongroom.engine.sealer import Sealer
from strongroom.importing import Imported, write_rows
from strongroom_protocol.engine.body import Body
from strongroom_protocol.engine.refs import ObjectRef
from strongroom_protocol.errors import Failure, IncompleteError, InvalidArgument, NotFound, UntrustedDataError
from strongroom_protocol.manifest.head import Delta, Head, sign_head
from strongroom_protocol.rows.detail import AT
from strongroom_protocol.rows.ids import conversation_key
from strongroom_protocol.rows.model import DeleteKind, Op, Row
from strongroom_protocol.rows.table import Frame
from strongroom_protocol.seal.objects import ObjectType
from strongroom_protocol.wire import merkle
from vaults import Bench, Device, messages_of, quick_state, rows_of, talk, texts

START = 1_700_000_000_000
LATER = 1_800_000_000_000


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[Bench]:
    made = Bench(tmp_path)
    yield made
    made.close()


async def family(bench: Bench) -> tuple[Device, Device, Device]:
    """Owner, a device that will be stolen, another honest one; five chats in runs and in the tail."""
    owner = await bench.create()
    thief = await bench.login("b", confirm=True)
    other = await bench.login("c", confirm=True)
    for number in range(4):
        await owner.add(talk(f"chat {number}", 600, start=START + number))
    await other.add(talk("chat 4", 5, start=START))
    for device in (owner, thief):
        await device.session.snapshot()
    return owner, thief, other


async def says(device: Device) -> dict[str, list[str]]:
    """What stands in the chats; without messages that were erased."""
    found = await messages_of(await device.snapshot())
    said = {chat: [text for text in texts(messages) if text is not None] for chat, messages in found.items()}
    return {chat: found for chat, found in said.items() if found}


def erasing(chat: str, count: int, *, start: int) -> list[Imported]:
    return [
        (chat, Row(Op.DELETE, start + n * 1000, id=f"m{start}-{n}", kind=DeleteKind.ERASE, detail={AT: LATER}))
        for n in range(count)
    ]


async def undo(bench: Bench, by: Device, to: int, *devices: Device, revoke: bool = False) -> None:
    async with await bench.owner(by) as owner:
        await owner.undo(to, *(device.session.device.id for device in devices), revoke=revoke)


async def kept_for_good(bench: Bench, device: Device) -> None:
    """Everything the newest state reaches is pinned at the relay, and reads back."""
    names = [ref.name async for ref, _ in (await device.snapshot(fresh=True)).objects()]
    assert await device.session.transport.missing(device.session.account, names) == []
    assert not (await device.vault.verify()).damaged


async def test_attack_065_stolen_device_wipes_history_by_deleting_every_message(bench: Bench) -> None:
    owner, thief, other = await family(bench)
    before, to = await says(owner), owner.session.pin.head_version
    for number in range(4):
        await thief.add(erasing(f"chat {number}", 600, start=START + number))
    await thief.add(erasing("chat 4", 5, start=START))
    await thief.vault.compact()  # the content is gone from every object that the newest head reaches
    await other.add(talk("chat 4", 3, start=LATER, ids="meanwhile"))
    assert await says(owner) == {"chat 4": ["chat 4 says 0", "chat 4 says 1", "chat 4 says 2"]}
    await undo(bench, owner, to, thief, revoke=True)
    before["chat 4"] += ["chat 4 says 0", "chat 4 says 1", "chat 4 says 2"]
    for device in (owner, other, await bench.login("fresh")):
        assert await says(device) == before
    await kept_for_good(bench, owner)


async def empty_head(device: Device) -> None:
    """A head with nothing in it that drops all there was."""
    snapshot = await device.snapshot()
    names = {ref.name async for ref, kind in snapshot.objects() if kind is not ObjectType.BODY}

    async def build(change: Change) -> bool:
        change.drops |= names
        return True

    honest = committing.seal_body

    def emptied(sealer: Sealer, body: Body) -> tuple[Body, tuple[ObjectRef, int]]:
        return honest(sealer, replace(body, root=None, tail=()))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(committing, "seal_body", emptied)
        await commit(device.session, build)


async def test_attack_065_stolen_device_wipes_history_by_an_empty_head(bench: Bench) -> None:
    """And honest devices go on writing on top of it before anybody notices."""
    owner, thief, other = await family(bench)
    before, to = await says(owner), owner.session.pin.head_version
    await other.add(talk("chat 4", 2, start=LATER, ids="just before"))
    thief.session.base = None
    await empty_head(thief)
    assert await says(other) == {}
    await other.add(talk("chat 5", 700, start=LATER, ids="after"))
    await owner.add(talk("chat 4", 1, start=LATER + 10**6, ids="after"))
    await undo(bench, owner, to, thief, revoke=True)
    before["chat 4"] += ["chat 4 says 0", "chat 4 says 1", "chat 4 says 0"]
    before["chat 5"] = [f"chat 5 says {n}" for n in range(700)]
    for device in (owner, other, await bench.login("fresh")):
        assert await says(device) == before
    assert owner.session.pin.head_version == to + 5
    await kept_for_good(bench, owner)
    with pytest.raises(NotFound):
        await thief.session.sync()


async def test_attack_065_stolen_device_erases_what_others_write_later(bench: Bench) -> None:
    """Rows that honest devices committed after that version and that the thief erased at once come back too."""
    owner, thief, other = await family(bench)
    before, to = await says(owner), owner.session.pin.head_version
    for turn in range(6):
        await other.add(talk("chat 4", 40, start=LATER + turn * 10**6, ids=str(turn)))
        await owner.add(talk(f"chat {turn % 4}", 600, start=LATER + turn * 10**6, ids=str(turn)))
        await thief.add(
            [("chat 4", Row(Op.DELETE, LATER + turn * 10**6 + n * 1000, id=f"{turn}{LATER + turn * 10**6}-{n}",
                            kind=DeleteKind.ERASE, detail={AT: LATER})) for n in range(40)]
        )  # fmt: skip
        thief.session.base = None
        await empty_head(thief)
    await undo(bench, owner, to, thief, revoke=True)
    for turn in range(6):
        before["chat 4"] += [f"chat 4 says {n}" for n in range(40)]
        before[f"chat {turn % 4}"] += [f"chat {turn % 4} says {n}" for n in range(600)]
    assert await says(other) == before
    await kept_for_good(bench, owner)


def forged(device: Device, chat: str, text: str, *, sequence: int, rows: int = 1) -> dict[bytes, Frame]:
    """Rows that claim to be a device's."""
    frame = Frame.from_rows(chat, [Row(Op.PUT, LATER + n, id=f"{text}{n}", text=text) for n in range(rows)])
    frame.stamp(LATER << 16, device.session.device.id, sequence)
    return {conversation_key(chat): frame}


@pytest.mark.spec("UNDO-10")
async def test_attack_065_rows_under_another_devices_name_are_not_laundered(bench: Bench) -> None:
    """The thief puts rows into runs that name an honest device, with the very sequences that it will use next. The
    honest device merges those runs, so its own signed head brings a run with them."""
    owner, thief, other = await family(bench)
    before, to = await says(owner), owner.session.pin.head_version
    await other.session.snapshot()
    coming = other.session._next_sequence()  # predictable: numbers of a block are used in order

    async def plant(change: Change) -> bool:
        for n in range(2):
            await write_run(change, forged(other, f"chat {n}", "forged", sequence=coming + n + 1))
        return True

    await commit(thief.session, plant)

    async def merged(change: Change) -> bool:
        await merge(change, change.runs[:2])
        return True

    assert await commit(other.session, merged) is not None

    async def folded(change: Change) -> bool:
        await fold(change)
        await write_rows(other.session, change, {conversation_key("new"): _frame("new", "honest")})
        return True

    assert await commit(other.session, folded) is not None
    assert "forged" in (await says(owner))["chat 0"]
    await undo(bench, owner, to, thief, revoke=True)
    before["new"] = ["honest"]
    assert await says(owner) == before
    assert await says(other) == before


def _frame(chat: str, text: str) -> Frame:
    return Frame.from_rows(chat, [Row(Op.PUT, LATER, id=text, text=text)])


async def test_attack_065_a_tail_full_of_forged_batches_is_not_carried(bench: Bench) -> None:
    """What lies in the tail of an honest device's head counts as its own only where it signed it."""
    owner, thief, other = await family(bench)
    before, to = await says(owner), owner.session.pin.head_version
    await thief.add(talk("chat 4", 1, start=LATER, ids="by the thief"))
    await other.add(talk("chat 4", 1, start=LATER + 1, ids="honest"))
    await undo(bench, owner, to, thief)
    before["chat 4"].append("chat 4 says 0")
    assert await says(other) == before


async def lied(device: Device) -> None:
    """A body that nobody can open."""
    honest = committing.seal_body

    def noise(sealer: Sealer, body: Body) -> tuple[Body, tuple[ObjectRef, int]]:
        made, (_, sequence) = honest(sealer, body)
        return made, (sealer.object(ObjectType.ROOT, b"noise", sequence=sequence), sequence)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(committing, "seal_body", noise)
        await commit(device.session, _one)


async def _one(change: Change) -> bool:
    return True


async def test_attack_065_noise_after_honest_rows(bench: Bench) -> None:
    """Everything is stopped by a body that nobody can open; what was written before it is kept."""
    owner, thief, other = await family(bench)
    before, to = await says(owner), owner.session.pin.head_version
    await thief.add(erasing("chat 4", 5, start=START))
    await other.add(talk("chat 5", 600, start=LATER, ids="honest"))
    await lied(thief)
    with pytest.raises(UntrustedDataError):
        await other.add(talk("chat 5", 1, start=LATER))
    await undo(bench, owner, to, thief, revoke=True)
    before["chat 5"] = [f"chat 5 says {n}" for n in range(600)]
    assert await says(other) == before
    await kept_for_good(bench, owner)
    reached = {ref.name async for ref, _ in (await owner.snapshot()).objects()}
    relay = await bench.open()

    def pinned(database: sqlite3.Connection) -> set[bytes]:
        return {bytes(name) for (name,) in database.execute("SELECT name FROM objects WHERE state = 1")}

    # All that the thief's states held is given up, but for what the last of them hid in its noise.
    assert len(await relay.store.read(pinned) - reached) <= 2


async def test_attack_065_the_discarded_state_is_offered_again(bench: Bench) -> None:
    """By a relay that has it all: the heads from before the undo, to a device that knows of it."""
    owner, thief, other = await family(bench)
    to = owner.session.pin.head_version
    await thief.add(talk("chat 4", 2, start=LATER, ids="spam"))
    old = await owner.session.transport.head(owner.session.account, None)
    await undo(bench, owner, to, thief, revoke=True)
    expected = await says(owner)
    await other.session.sync()
    hostile = Hostile(other.session.transport)
    other.session.transport = hostile
    hostile.replace("head", lambda *_: old)
    with pytest.raises(UntrustedDataError) as caught:
        await other.session.sync()
    assert caught.value.failure is Failure.KEYRING  # under a keyring before the one that this device knows
    hostile.behave()
    for device in (owner, other):  # and by every way of tidying up
        await device.vault.compact()
        assert await says(device) == expected


@pytest.mark.spec("UNDO-9")
async def test_attack_065_going_back_into_what_was_undone_is_refused(bench: Bench) -> None:
    owner, thief, other = await family(bench)
    to = owner.session.pin.head_version
    await thief.add(talk("chat 4", 2, start=LATER, ids="spam"))
    between = thief.session.pin.head_version
    await other.add(talk("chat 4", 2, start=LATER + 10**6, ids="good"))
    await undo(bench, owner, to, thief)
    after = await says(owner)
    for version in (between, between + 1):
        with pytest.raises(InvalidArgument):
            await undo(bench, owner, version, other)
    assert await says(owner) == after
    await undo(bench, owner, to, thief, other)  # more of it: fine
    assert (await says(owner))["chat 4"] == [f"chat 4 says {n}" for n in range(5)]


async def test_attack_065_the_relay_lets_go_of_what_is_needed(bench: Bench) -> None:
    """The window is over for some objects of that version: nothing is changed, and it is said."""
    owner, thief, _ = await family(bench)
    to = owner.session.pin.head_version
    names = {ref.name async for ref, kind in (await owner.snapshot()).objects() if kind is ObjectType.SEGMENT}
    thief.session.base = None
    await empty_head(thief)
    hostile = Hostile(owner.session.transport)
    owner.session.transport = hostile
    hostile.replace(
        "read",
        lambda found, account, ranges: [
            None if item[0] in names else data for item, data in zip(ranges, found, strict=True)
        ],
    )
    version = owner.session.pin.head_version
    with pytest.raises(IncompleteError):
        await undo(bench, owner, to, thief, revoke=True)
    hostile.behave()
    assert (await owner.session.sync()).version == version + 1
    await undo(bench, owner, to, thief, revoke=True)
    await kept_for_good(bench, owner)


def _head(device: Device, keyring: int, *, version: int, previous: Head) -> Head:
    chain = device.session.keyrings[keyring - 1]
    return sign_head(
        account=chain.account, version=version, previous=previous.hash, keyring_version=chain.version,
        keyring_hash=chain.hash, epoch=chain.epoch, device=device.session.device.id, sequence=99, body=bytes(32),
        body_size=300, log_root=merkle.EMPTY_ROOT, delta=Delta(), time=LATER,
        key=device.session.device.sign.public, signer=device.session.device.sign.sign,
    )  # fmt: skip


@pytest.mark.spec("UNDO-8")
async def test_attack_051_heads_that_a_relay_lets_a_stranger_add_are_nobodys(bench: Bench) -> None:
    """A relay and a removed device can put heads between those of honest devices, who check the newest one alone."""
    owner, thief, _ = await family(bench)
    stranger = await bench.login("guest")
    before = await owner.session.sync()
    async with await bench.owner(owner) as unlocked:
        head = await unlocked.revoke(thief.session.device.id)
    session, version = owner.session, session_version(owner)
    assert writer_of(session, before) is not None
    assert writer_of(session, head) == session.device.id
    old = version - 1
    # Under the keyring that listed it, but after that keyring's time; under the new one, which does not list it.
    assert writer_of(session, _head(thief, old, version=head.version + 1, previous=head)) is None
    thief.session.keyrings = session.keyrings
    assert writer_of(session, _head(thief, version, version=head.version + 1, previous=head)) is None
    assert writer_of(session, _head(stranger, old, version=head.version, previous=before)) is None
    found = await Earlier(session).down_to(head, 1)
    assert [item.version for item in found] == list(range(1, head.version + 1))
    assert not any(is_undo(session, item) for item in found)


def session_version(device: Device) -> int:
    return device.session.keyring.version


@pytest.mark.spec("UNDO-11")
async def test_attack_051_a_strangers_version_is_nothing_to_go_back_to(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    owner, thief, _ = await family(bench)
    to = owner.session.pin.head_version
    await thief.add(talk("chat 4", 1, start=LATER))
    monkeypatch.setattr(
        "strongroom.undoing.writer_of",
        lambda session, head: None if head.version == to else writer_of(session, head),
    )
    with pytest.raises(UntrustedDataError) as caught:
        await undo(bench, owner, to, thief)
    assert caught.value.failure is Failure.SIGNER
    assert (await owner.session.sync()).version == to + 1


@pytest.mark.parametrize("waits", [0, 2])
async def test_attack_025_vm_snapshot_of_a_device_writes_first(bench: Bench, waits: int) -> None:
    """A machine is copied, and the copy writes before the original looks again: the original stops, loses nothing, and
    goes on under an id of its own. Neither ever uses an origin of the other."""
    owner, device, _ = await family(bench)
    for n in range(waits):
        await device.vault.append("chat 4", message("waits", sender="ann", id=f"waits {n}", time=LATER + n))
    await device.vault._sender.stop()
    bench.drop(device)
    bench.copy("b", "snapshot")
    copy = await bench.reopen("snapshot")
    await copy.vault.flush()
    await copy.add(talk("chat 4", 1, start=LATER + 10**6, ids="by the copy"))
    original = await bench.reopen("b")
    await original.vault.append("chat 4", message("mine", sender="ann", id="mine", time=LATER + 10**7))
    with pytest.raises(UntrustedDataError) as caught:
        await original.vault.flush()
    assert caught.value.failure is Failure.CLONE
    for _ in range(2):  # and goes on refusing, whatever it is asked
        with pytest.raises(UntrustedDataError):
            await original.vault.chats()
    await original.vault._sender.stop()
    bench.drop(original)
    with quick_state():
        session = await relinking.relink(
            bench.folder / "b", await bench.transport(), relay="file:///bench", opener=bench.opener
        )
    again = bench._device(session, "anna")
    await bench.confirm(again)
    await again.vault.flush()
    expected = ["chat 4 says 0", "mine", *(["waits"] * waits)]
    for reader in (owner, copy, again):
        said = (await says(reader))["chat 4"]
        assert sorted(said[5:]) == sorted(expected)
    rows = (await rows_of(await owner.snapshot()))["chat 4"]
    origins = [row.origin[1:] for row in rows]
    assert len(set(origins)) == len(origins)


async def test_attack_025_vm_snapshot_rolled_back_while_the_relay_went_on(bench: Bench) -> None:
    """The machine itself is set back to an earlier day: it has written since, and takes itself for a copy."""
    owner, device, _ = await family(bench)
    bench.drop(device)
    bench.copy("b", "yesterday")
    device = await bench.reopen("b")
    await device.add(talk("chat 4", 1, start=LATER, ids="today"))
    bench.drop(device)
    bench.copy("yesterday", "b")
    device = await bench.reopen("b")
    with pytest.raises(UntrustedDataError) as caught:
        await device.add(talk("chat 4", 1, start=LATER + 1, ids="tomorrow"))
    assert caught.value.failure is Failure.CLONE
    bench.drop(device)
    with quick_state():
        session = await relinking.relink(
            bench.folder / "b", await bench.transport(), relay="file:///bench", opener=bench.opener
        )
    again = bench._device(session, "anna")
    await bench.confirm(again)
    await again.add(talk("chat 4", 1, start=LATER + 1, ids="tomorrow"))
    assert (await says(owner))["chat 4"][5:] == ["chat 4 says 0", "chat 4 says 0"]
