"""A new identity in the same folder: for clones and removed devices, with what waits there (spec chapter 11.5)."""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from adversary.hostile import Hostile
from strongroom import relinking
from strongroom.account import SecretsOrUnlock
from strongroom.compose import message
from strongroom.session import Session
from strongroom.transport.base import HeadResponse, Transport, UnlockResponse
from strongroom.vault import Vault
from strongroom_protocol.errors import Failure, NotFound, ReadOnly, RelayUnreachable, UntrustedDataError, WrongSecret
from strongroom_protocol.rows.detail import AT
from strongroom_protocol.rows.model import Op, Row
from vaults import Bench, Device, messages_of, opener, quick_state, talk, texts

IDENTITY = ("sign-seed", "kem-seed", "pin", "guest-epoch", "attempts")


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[Bench]:
    made = Bench(tmp_path)
    yield made
    made.close()


async def relink(
    bench: Bench, folder: str, *, transport: Transport | None = None, opened: SecretsOrUnlock | None = None
) -> Device:
    """The closed device in `folder` as a new one, read-only."""
    with quick_state():
        session = await relinking.relink(
            bench.folder / folder, transport or await bench.transport(), relay="file:///bench",
            opener=opened or bench.opener,
        )  # fmt: skip
    device = Device(Vault(session, name="anna", relay="file:///bench", opener=bench.opener), session)
    bench.devices.append(device)
    return device


async def says(device: Device, chat: str = "chat") -> list[str | None]:
    return list(texts((await messages_of(await device.snapshot())).get(chat, [])))


def stored(folder: Path) -> dict[str, bytes]:
    """The state that lies in a folder."""
    with sqlite3.connect(folder / "device.db") as database:
        return dict(database.execute("SELECT name, value FROM state"))


def waiting(folder: Path) -> list[Any]:
    with sqlite3.connect(folder / "device.db") as database:
        return database.execute("SELECT id, rows, sealed FROM outbox ORDER BY id").fetchall()


async def offline(device: Device, *rows: Row, files: tuple[Path, ...] = ()) -> None:
    """Appended while the relay is away."""
    hostile = Hostile(device.session.transport)
    for call in ("commit", "head", "put", "missing"):
        hostile.instead(call, _away)
    device.session.transport = hostile
    if rows:
        await device.vault.append("chat", list(rows))
    if files:
        await device.vault.attach("chat", *files, sender="anna", id="with a file", time=1_700_000_500_000)
    with pytest.raises(RelayUnreachable):
        await device.vault.flush()
    await device.vault._sender.stop()


def _away(*_: object) -> None:
    raise RelayUnreachable("no answer")


async def test_a_clone_stops_and_goes_on_as_a_device_of_its_own(bench: Bench, tmp_path: Path) -> None:
    """The whole story: a folder is copied with messages waiting, the copy writes, the original notices and loses
    nothing; both go on, and every message is there once."""
    device = await bench.create()
    await device.add(talk("chat", 3))
    picture = tmp_path / "picture.bin"
    picture.write_bytes(bytes(range(256)) * 5000)
    await offline(
        device, message("waits in both", sender="anna", id="w", time=1_700_000_100_000), files=(picture,)
    )  # fmt: skip
    picture.unlink()
    bench.drop(device)
    bench.copy("a", "copy")
    copy = await bench.reopen("copy")
    await copy.vault.flush()
    await copy.add(talk("chat", 1, start=1_700_000_300_000, ids="by the copy"))
    original = await bench.reopen("a")
    await offline_rows(original, "only here")
    with pytest.raises(UntrustedDataError) as caught:
        await original.vault.flush()
    assert caught.value.failure is Failure.CLONE
    assert "login --again" in caught.value.hint
    before, old = waiting(bench.folder / "a"), original.session.device.id
    assert len(before) == 3
    await original.vault._sender.stop()
    bench.drop(original)

    again = await relink(bench, "a")
    assert again.session.device.id != old
    assert waiting(bench.folder / "a") == before
    with pytest.raises(ReadOnly):
        await again.vault.append("chat", message("too early", sender="anna"))
    assert len(await again.vault.newest("chat", count=50)) == 7  # what waits is shown meanwhile
    await bench.confirm(again)
    await again.vault.flush()
    assert waiting(bench.folder / "a") == []
    for reader in (again, copy, await bench.login("fresh")):
        found = (await messages_of(await reader.snapshot()))["chat"]
        assert sorted(filter(None, texts(found))) == sorted(
            ["chat says 0", "chat says 1", "chat says 2", "chat says 0", "waits in both", "only here"]
        )
        # The file was sealed twice, so its message has a second version that says the same.
        assert all(len(item.versions) == 1 for item in found if item.id != "with a file")
        (shown,) = [item for item in await reader.vault.newest("chat", count=50) if item.id == "with a file"]
        data = b"".join([piece async for piece in reader.vault.media(shown.attachments[0])])
        assert data == bytes(range(256)) * 5000
    for writer in (copy, again):  # neither is a copy of the other any more
        await writer.add(talk("chat", 1, start=1_700_000_900_000, ids=writer.session.device.id.hex()))
    assert len(await says(copy)) == 9


async def offline_rows(device: Device, text: str) -> None:
    """A message put into the outbox without a try to send it."""
    await device.vault.append("chat", message(text, sender="anna", id=text, time=1_700_000_200_000))
    await device.vault._sender.stop()


async def test_a_removed_device_sends_what_waited_under_a_new_id(bench: Bench) -> None:
    first = await bench.create()
    removed = await bench.login("b", confirm=True)
    await first.add(talk("chat", 1))
    await removed.session.snapshot()
    (ref,) = await removed.vault.append("chat", message("before", sender="anna", id="x", time=1_700_000_100_000))
    await removed.vault.flush()
    await removed.vault.edit(ref, "edited offline")
    await offline(removed, message("waits", sender="anna", id="w", time=1_700_000_200_000))
    old = removed.session.device.id
    async with await bench.owner(first) as owner:
        await owner.revoke(old)
    bench.drop(removed)
    stranger = await bench.reopen("b")
    with pytest.raises(NotFound):
        await stranger.vault.flush()
    await stranger.vault._sender.stop()
    bench.drop(stranger)

    again = await relink(bench, "b")
    await bench.confirm(again)
    await again.vault.flush()
    assert await says(first) == ["chat says 0", "edited offline", "waits"]
    assert {device.id for device in first.session.keyring.devices} == {
        first.session.device.id, again.session.device.id,
    }  # fmt: skip


async def test_a_removed_device_is_never_confirmed_again(bench: Bench) -> None:
    """Not even to read: it is unlocked no more under the id that no keyring takes back."""
    first = await bench.create()
    removed = await bench.login("b", confirm=True)
    async with await bench.owner(first) as owner:
        await owner.revoke(removed.session.device.id)
    keys = first.session.device.sign  # a relay that tells it all the same
    removed.session.transport.authenticate(keys.public, keys.sign)
    await removed.session.sync()
    with pytest.raises(ReadOnly) as caught:
        await bench.owner(removed)
    assert "login --again" in caught.value.hint


@pytest.mark.spec("UNDO-5")
async def test_the_old_pin_is_the_anchor(bench: Bench) -> None:
    """A relay that uses the moment shows an older state, in which a removed device is still one."""
    device = await bench.create()
    transport = await bench.transport()
    answers: list[HeadResponse] = []
    for number in range(3):
        await device.add(talk("chat", 1, ids=str(number)))
        answers.append(await device.session.transport.head(device.session.account, None))
    bench.drop(device)
    before = stored(bench.folder / "a")
    hostile = Hostile(transport)
    for old in answers[:-1]:
        hostile.replace("head", lambda honest, *_, old=old: old)
        with pytest.raises(UntrustedDataError) as caught:
            await relink(bench, "a", transport=hostile)
        assert caught.value.failure is Failure.ROLLBACK
        after = stored(bench.folder / "a")
        assert [after.get(name) for name in IDENTITY] == [before.get(name) for name in IDENTITY]
    hostile.behave()
    assert (await relink(bench, "a", transport=hostile)).session.pin.head_version == 4


@pytest.mark.spec("UNDO-5")
async def test_a_keyring_from_before_a_removal_is_refused(bench: Bench) -> None:
    first = await bench.create()
    thief = await bench.login("b", confirm=True)
    await first.session.sync()
    old = await first.session.transport.keyrings(first.session.account, 1)
    state = await first.session.transport.head(first.session.account, None)
    async with await bench.owner(first) as owner:
        await owner.revoke(thief.session.device.id)
    bench.drop(first)
    hostile = Hostile(await bench.transport())
    hostile.replace("keyrings", lambda honest, account, since: old[since - 1 :])
    hostile.replace("head", lambda honest, *_: state)
    with pytest.raises((UntrustedDataError, WrongSecret)):
        await relink(bench, "a", transport=hostile)


@pytest.mark.spec("UNDO-6")
async def test_another_account_of_the_same_secret_is_refused(bench: Bench) -> None:
    """The relay answers the unlock with the slots of another account that this person has."""
    device = await bench.create()
    hostile = Hostile(await bench.transport())
    answers: list[UnlockResponse] = []

    def kept(honest: UnlockResponse, *_: object) -> UnlockResponse:
        answers.append(honest)
        return honest

    hostile.replace("unlock", kept)
    await bench.create("other", folder="o")
    await bench.login("p", "other", wrap=lambda _: hostile)
    bench.drop(device)
    before = stored(bench.folder / "a")
    hostile.replace("unlock", lambda *_: answers[0])
    with pytest.raises(UntrustedDataError) as caught:
        await relink(bench, "a", transport=hostile)
    assert caught.value.failure is Failure.ACCOUNT
    assert stored(bench.folder / "a") == before


async def test_a_wrong_secret_changes_nothing(bench: Bench) -> None:
    device = await bench.create()
    bench.drop(device)
    before = stored(bench.folder / "a")
    with pytest.raises(WrongSecret):
        await relink(bench, "a", opened=opener())
    assert stored(bench.folder / "a") == before
    assert (await bench.reopen("a")).session.may_write


@pytest.mark.spec("UNDO-7")
@pytest.mark.parametrize("name", ["sign-seed", "kem-seed", "pin", "relay", "guest-epoch", "freshness", "attempts"])
async def test_a_crash_leaves_the_old_device_or_the_new_one(bench: Bench, name: str) -> None:
    """The disk fails at each value in turn: all of the old identity is there, and it works."""
    device = await bench.create()
    await device.add(talk("chat", 1))
    await offline(device, message("waits", sender="anna", id="w", time=1_700_000_100_000))
    bench.drop(device)
    folder = bench.folder / "a"
    before, entries = stored(folder), waiting(folder)
    with sqlite3.connect(folder / "device.db") as database:
        for event, row in (("INSERT", "NEW"), ("DELETE", "OLD")):
            database.execute(
                f"CREATE TRIGGER fails_{event} BEFORE {event} ON state WHEN {row}.name = '{name}' AND "
                f"EXISTS (SELECT 1 FROM state WHERE name = 'sign-seed' AND value <> x'{before['sign-seed'].hex()}') "
                "BEGIN SELECT RAISE(ABORT, 'the power is gone'); END"
            )
        # The first value that changes is the seed itself: it fails at once.
        database.execute(
            "CREATE TRIGGER fails_first BEFORE INSERT ON state WHEN NEW.name = 'sign-seed' AND "
            f"'{name}' = 'sign-seed' BEGIN SELECT RAISE(ABORT, 'the power is gone'); END"
        )
    with pytest.raises(sqlite3.IntegrityError, match="the power is gone"):
        await relink(bench, "a")
    with sqlite3.connect(folder / "device.db") as database:
        for trigger in ("fails_INSERT", "fails_DELETE", "fails_first"):
            database.execute(f"DROP TRIGGER {trigger}")
    after = stored(folder)
    assert [after.get(key) for key in IDENTITY if key != "pin"] == [before.get(key) for key in IDENTITY if key != "pin"]
    assert waiting(folder) == entries
    old = await bench.reopen("a")
    assert old.session.may_write
    await old.vault.flush()
    assert await says(old) == ["chat says 0", "waits"]


@pytest.mark.spec("UNDO-7")
async def test_nothing_of_the_old_device_stays(bench: Bench) -> None:
    """Its seeds are gone from every file of the folder, and its sequences and attempts do not count any more."""
    device = await bench.create()
    await offline(device, message("waits", sender="anna", id="w", time=1_700_000_100_000))
    bench.drop(device)
    before = stored(bench.folder / "a")
    assert "attempts" in before
    again = await relink(bench, "a")
    assert again.session.pin.sequence == 0
    assert again.session.journal._attempts() == []
    files = b"".join(path.read_bytes() for path in (bench.folder / "a").glob("device.db*"))
    assert before["sign-seed"] not in files
    assert before["kem-seed"] not in files
    assert stored(bench.folder / "a")["local-key"] == before["local-key"]


async def test_a_message_that_had_landed_is_not_there_twice(bench: Bench) -> None:
    """The answer to a commit was lost, then the device was cloned: nothing here can tell that it landed."""
    device = await bench.create()
    hostile = Hostile(device.session.transport)
    device.session.transport = hostile

    def lost(honest: object, *_: object) -> object:
        raise RelayUnreachable("no answer")

    hostile.replace("commit", lost)
    (ref,) = await device.vault.append("chat", message("once", sender="anna", id="w", time=1_700_000_100_000))
    await device.vault.react(ref, "👍", sender="anna")
    with pytest.raises(RelayUnreachable):
        await device.vault.flush()
    await device.vault._sender.stop()
    bench.drop(device)
    again = await relink(bench, "a")
    await bench.confirm(again)
    await again.vault.flush()
    (found,) = (await messages_of(await again.snapshot()))["chat"]
    assert (found.current.text if found.current else None, len(found.versions), len(found.reactions)) == ("once", 1, 1)


async def test_the_clock_of_the_new_device_goes_on_from_the_old_one(bench: Bench) -> None:
    """Else an edit made after it would lose against one made before, on a machine whose clock was set back."""
    device = await bench.create()
    await device.add([("chat", Row(Op.PUT, 1_700_000_000_000, id="x", text="first"))])
    bench.drop(device)
    with sqlite3.connect(bench.folder / "a" / "device.db") as database:
        ahead = (2_000_000_000_000 << 16).to_bytes(8, "big")
        database.execute("INSERT OR REPLACE INTO state VALUES('clock', ?)", (ahead,))
    again = await relink(bench, "a")
    await bench.confirm(again)
    await again.add([("chat", Row(Op.EDIT, 1_700_000_000_000, id="x", text="second", detail={AT: 5}))])
    assert again.session.next_clock() > 2_000_000_000_000 << 16


async def test_again_and_again(bench: Bench) -> None:
    """A command that is repeated, say because nobody looked at its answer, makes one more reader and nothing worse."""
    device = await bench.create()
    await offline(device, message("waits", sender="anna", id="w", time=1_700_000_100_000))
    bench.drop(device)
    bench.drop(await relink(bench, "a"))
    again = await relink(bench, "a")
    await bench.confirm(again)
    await again.vault.flush()
    assert await says(again) == ["waits"]
    assert len(again.session.keyring.devices) == 2


async def test_a_folder_that_was_never_finished_is_not_taken(bench: Bench) -> None:
    with pytest.raises(NotFound):
        await relink(bench, "nothing here")
    assert isinstance((await bench.create()).session, Session)
