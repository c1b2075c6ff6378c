"""Changing keys: devices, secrets, the log of key events (spec chapter 04.7)."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from adversary.hostile import Hostile
from strongroom.compose import message
from strongroom.owner import Owner
from strongroom.state import State
from strongroom.unlocking import SecretsOrUnlock
from strongroom_protocol.errors import (
    Failure,
    InvalidArgument,
    NotFound,
    StrongroomError,
    UntrustedDataError,
    WrongSecret,
)
from strongroom_protocol.keys.secrets import UnlockSecret
from strongroom_protocol.keys.slots import Unlock
from strongroom_protocol.manifest.slots import Kdf, SlotKind
from vaults import Bench, Device, messages_of, opener, talk, texts


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    made = Bench(tmp_path)
    yield made
    made.close()


def passphrase(secret: bytes) -> SecretsOrUnlock:
    """Unlock keys of a passphrase slot, nothing stretched."""
    keys = Unlock(SlotKind.PASSPHRASE, UnlockSecret(secret))
    return lambda name, salt, kdf: keys


async def _says(device: Device, chat: str = "chat") -> list[str | None]:
    return list(texts((await messages_of(await device.snapshot()))[chat]))


async def _two(bench: Bench) -> tuple[Device, Device]:
    first = await bench.create()
    second = await bench.login("b", confirm=True)
    await first.add(talk("chat", 2))
    await second.session.sync()
    return first, second


@pytest.mark.spec("ROOT-3")
async def test_removing_a_device_opens_an_epoch_under_a_new_root(bench: Bench) -> None:
    first, second = await _two(bench)
    before = first.session.keyring
    async with await bench.owner(first) as owner:
        await owner.revoke(second.session.device.id)
    after = first.session.keyring
    assert after.epoch == before.epoch + 1
    assert after.root_key != before.root_key
    assert after.root_kem_key != before.root_kem_key
    assert after.revoked == {second.session.device.id: after.version}
    assert [device.id for device in after.devices] == [first.session.device.id]
    await first.add(talk("chat", 1, start=1_800_000_000_000))
    assert len(await _says(first)) == 3


async def test_the_same_secret_opens_the_account_after_a_removal(bench: Bench) -> None:
    first, second = await _two(bench)
    async with await bench.owner(first) as owner:
        await owner.revoke(second.session.device.id)
        await owner.add_slot(opener(bytes(32)), "second code")  # one unlock, several changes
    fresh = await bench.login("c", confirm=True)
    assert await _says(fresh) == await _says(first)


async def test_a_removed_device_is_a_stranger_and_keeps_what_it_has(bench: Bench) -> None:
    first, second = await _two(bench)
    await second.vault.append("chat", message("not sent yet"))
    async with await bench.owner(first) as owner:
        await owner.revoke(second.session.device.id)
    with pytest.raises(NotFound):
        await second.session.sync()
    with pytest.raises(StrongroomError):
        await second.vault.flush()
    assert second.vault._outbox.waiting()[0] == 1


async def test_a_device_that_was_away_learns_of_it_and_writes_in_the_new_epoch(bench: Bench) -> None:
    first, second = await _two(bench)
    third = await bench.login("c", confirm=True)
    async with await bench.owner(first) as owner:
        await owner.revoke(second.session.device.id)
    epoch = first.session.keyring.epoch
    await third.add(talk("chat", 1, start=1_800_000_000_000))
    assert third.session.stored_head().epoch == epoch


async def test_a_fresh_device_removes_a_lost_one_and_becomes_a_device_by_it(bench: Bench) -> None:
    first, _ = await _two(bench)
    lost = first.session.device.id
    fresh = await bench.login("c")
    async with await bench.owner(fresh) as owner:
        await owner.revoke(lost, device_name="new phone")
    assert fresh.vault.writable
    assert [device.name for device in fresh.vault.devices()] == ["confirmed", "new phone"]
    await fresh.add(talk("chat", 1, start=1_800_000_000_000))


@pytest.mark.spec("ROOT-4")
async def test_a_device_does_not_remove_itself(bench: Bench) -> None:
    first = await bench.create()
    before = first.session.pin
    async with await bench.owner(first) as owner:
        with pytest.raises(InvalidArgument):
            await owner.revoke(first.session.device.id)
        with pytest.raises(NotFound):
            await owner.revoke(bytes(16))
        with pytest.raises(NotFound):
            await owner.revoke()
    assert first.session.pin.keyring_version == before.keyring_version


async def test_two_devices_that_remove_each_other_leave_one(bench: Bench) -> None:
    first, second = await _two(bench)
    owners = [await bench.owner(device) for device in (first, second)]
    results = await asyncio.gather(
        owners[0].revoke(second.session.device.id), owners[1].revoke(first.session.device.id), return_exceptions=True
    )
    failed = [result for result in results if isinstance(result, BaseException)]
    assert len(failed) == 1
    assert isinstance(failed[0], StrongroomError)
    winner = (first, second)[isinstance(results[0], BaseException)]
    await winner.session.sync()
    assert [device.id for device in winner.session.keyring.devices] == [winner.session.device.id]


async def test_a_commit_that_slips_in_makes_a_new_cut(bench: Bench) -> None:
    first, second = await _two(bench)
    third = await bench.login("c", confirm=True)
    async with await bench.owner(first) as owner:
        transport = first.session.transport
        honest = transport.commit
        raced: list[int] = []

        async def commit(account: bytes, request: object) -> object:
            if not raced:
                raced.append(1)
                await third.add(talk("chat", 1, start=1_800_000_000_000))
            return await honest(account, request)  # type: ignore[arg-type]

        transport.commit = commit  # type: ignore[method-assign, assignment]
        await owner.revoke(second.session.device.id)
    assert raced
    assert len(await _says(first)) == 3
    cut = first.session.keyring.cut
    assert cut is not None
    assert cut.version == first.session.pin.head_version - 1


@pytest.mark.spec("ROOT-3")
async def test_a_replaced_passphrase_opens_nothing_any_more(bench: Bench) -> None:
    bench.opener = passphrase(b"o" * 32)
    first, _ = await _two(bench)
    before = first.session.keyring
    async with await bench.owner(first) as owner:
        await owner._reslot("passphrase changed", {_key(owner, 0)}, passphrase(b"n" * 32))
    assert (first.session.keyring.epoch, first.session.keyring.root_key) != (before.epoch, before.root_key)
    assert first.session.keyring.epoch == before.epoch + 1
    with pytest.raises(WrongSecret):
        await bench.login("c")
    bench.opener = passphrase(b"n" * 32)
    fresh = await bench.login("d", confirm=True)
    assert len(await _says(fresh)) == 2


async def test_slots_come_and_go_and_the_others_stay(bench: Bench) -> None:
    first = await bench.create()
    epoch = first.session.keyring.epoch
    async with await bench.owner(first) as owner:
        await owner.add_slot(passphrase(b"p" * 32), "typed")
        assert first.session.keyring.epoch == epoch  # who reads did not change
        assert [(slot.kind, slot.label, slot.this) for slot in owner.slots()] == [
            ("recovery code", "code", True), ("passphrase", "typed", False),
        ]  # fmt: skip
        await owner.remove_slot(owner.slots()[0].key)
        assert first.session.keyring.epoch == epoch + 1
    with pytest.raises(WrongSecret):
        await bench.login("b")
    bench.opener = passphrase(b"p" * 32)
    await bench.login("c", confirm=True)


@pytest.mark.spec("ROOT-5")
async def test_the_last_slot_stays(bench: Bench) -> None:
    first = await bench.create()
    async with await bench.owner(first) as owner:
        with pytest.raises(InvalidArgument):
            await owner.remove_slot(owner.slots()[0].key)
        with pytest.raises(NotFound):
            await owner.remove_slot("00")
    await bench.login("b")


async def test_the_same_secret_is_not_added_twice(bench: Bench) -> None:
    first = await bench.create()
    async with await bench.owner(first) as owner:
        with pytest.raises(InvalidArgument):
            await owner.add_slot(bench.opener, "again")


@pytest.mark.spec("ROOT-2")
async def test_secrets_that_were_changed_elsewhere_are_not_changed_back(bench: Bench) -> None:
    first, second = await _two(bench)
    late = await bench.owner(second)
    async with await bench.owner(first) as owner:
        await owner.add_slot(passphrase(b"p" * 32), "typed")
    with pytest.raises(InvalidArgument):  # its slot set lacks the new one
        await late.revoke(first.session.device.id)
    assert second.session.keyring.version == first.session.keyring.version


@pytest.mark.spec("KDF-7")
async def test_a_device_knows_the_salt_of_its_account(bench: Bench) -> None:
    first = await bench.create()
    hostile = Hostile(first.session.transport)
    first.session.transport = hostile
    async with await bench.owner(first):
        pass
    asked: list[bytes] = []

    def stretch(name: str, salt: bytes, kdf: Kdf) -> Unlock:
        asked.append(salt)
        return bench.opener(name, salt, kdf)

    for change in ({"salt": bytes(32)}, {"kdf": Kdf(524_288, 3, 4)}):
        given: dict[str, Any] = change
        hostile.behave()
        hostile.replace("login", lambda honest, name, given=given: replace(honest, **given))
        with pytest.raises(UntrustedDataError) as caught:
            await bench.owner(first, stretch)
        assert caught.value.failure is Failure.KDF
        assert hostile.calls == ["login"]
    assert not asked


async def test_every_key_event_is_in_the_log(bench: Bench) -> None:
    first, second = await _two(bench)
    async with await bench.owner(first) as owner:
        await owner.add_slot(passphrase(b"p" * 32), "typed")
        await owner.revoke(second.session.device.id)
    log = [(event.version, event.what, event.name) for event in first.vault.key_events()]
    assert log == [
        (1, "account created", "a"),
        (2, "device added; authority: recovery code", "confirmed"),
        (3, "slot added; authority: recovery code", ""),
        (4, "device removed; authority: recovery code", "confirmed"),
    ]


async def test_a_device_is_called_otherwise(bench: Bench) -> None:
    first, second = await _two(bench)
    async with await bench.owner(first) as owner:
        await owner.rename(second.session.device.id, "kitchen tablet")
        with pytest.raises(NotFound):
            await owner.rename(bytes(16), "nobody")
    await second.session.sync()
    assert [device.name for device in second.vault.devices()] == ["a", "kitchen tablet"]
    assert second.vault.key_events()[-1].what == "device renamed; authority: recovery code"


async def test_nothing_is_changed_after_locking(bench: Bench) -> None:
    first, second = await _two(bench)
    owner = await bench.owner(first)
    owner.close()
    with pytest.raises(InvalidArgument):
        await owner.revoke(second.session.device.id)


async def test_a_change_survives_reopening(bench: Bench) -> None:
    first, second = await _two(bench)
    async with await bench.owner(first) as owner:
        await owner.revoke(second.session.device.id)
    keyring = first.session.keyring
    bench.drop(first)
    again = await bench.reopen("a")
    assert again.session.keyring.hash == keyring.hash
    await again.add(talk("chat", 1, start=1_800_000_000_000))
    assert isinstance(again.session.state, State)


def _key(owner: Owner, index: int) -> bytes:
    return bytes.fromhex(owner.slots()[index].key)
