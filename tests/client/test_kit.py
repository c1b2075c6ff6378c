"""Recovery kits: tried without a trace, renewed through crashes and lost answers (chapter 17)."""

from __future__ import annotations

import stat
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from adversary.hostile import Hostile
from strongroom import kit as kit_module
from strongroom import kit_renewal
from strongroom.codes import new_recovery_code
from strongroom.kit import read_kit, try_kit
from strongroom.kit_page import kit_page
from strongroom.kit_renewal import begun, forget, renew, unfinished
from strongroom.transport.base import CommitRequest, Transport
from strongroom.unlocking import with_secrets
from strongroom_protocol.errors import (
    Failure,
    InvalidArgument,
    RelayRefused,
    RelayUnreachable,
    StrongroomError,
    UntrustedDataError,
    WrongSecret,
)
from strongroom_protocol.keys.kit import Kit
from strongroom_protocol.keys.secrets import RecoveryCode, UnlockSecret
from strongroom_protocol.keys.slots import Unlock
from strongroom_protocol.manifest.slots import SlotKind
from vaults import Bench, Device, talk


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Bench]:
    made = Bench(tmp_path)
    made.opener = with_secrets(None, new_recovery_code())

    async def reach(url: str) -> Transport:
        assert url == "file:///bench"
        return await made.transport()

    monkeypatch.setattr(kit_module, "open_transport", reach)
    yield made
    made.close()


def by_code(bench: Bench, code: RecoveryCode) -> None:
    bench.opener = with_secrets(None, code)


async def _kit(bench: Bench, device: Device) -> Kit:
    """A kit for a code that the account has."""
    code = new_recovery_code()
    async with await bench.owner(device) as owner:
        await owner.add_slot(with_secrets(None, code), "another code")
    return device.vault.recovery_kit(code)


async def _opens(kit: Kit) -> bool:
    try:
        await try_kit(kit)
    except WrongSecret:
        return False
    return True


def _files(folder: Path) -> set[Path]:
    return {path for path in folder.rglob("*") if "relay" not in path.parts}


async def test_trying_a_kit_opens_everything_and_leaves_nothing(bench: Bench) -> None:
    first = await bench.create()
    kit = await _kit(bench, first)
    await first.add(talk("chat", 2))
    files, head = _files(bench.folder), first.session.stored_head()
    found = await try_kit(kit)
    assert (found.name, found.relay) == (kit.name, kit.relay)
    assert (found.version, found.saved, found.since) == (head.version, head.time, 1)
    assert (found.keyring_version, found.epochs, found.devices) == (2, 1, 1)
    assert found.made == kit.time
    assert 0 <= found.anchor_ms < 60_000
    assert _files(bench.folder) == files
    assert (await first.session.sync()).hash == head.hash


async def test_a_kit_whose_code_was_replaced(bench: Bench) -> None:
    first = await bench.create()
    kit = await _kit(bench, first)
    async with await bench.owner(first) as owner:
        await owner.remove_slot(next(slot.key for slot in owner.slots() if slot.label == "another code"))
    with pytest.raises(WrongSecret) as caught:
        await try_kit(kit)
    assert "recovery-kit" in caught.value.hint
    with pytest.raises(WrongSecret):  # and no relay tells whether there is such an account
        await try_kit(replace(kit, name="nobody"))


@pytest.mark.parametrize(
    ("change", "failure"),
    [
        ({"head_version": 9}, Failure.ROLLBACK),
        ({"keyring_version": 3}, Failure.ROLLBACK),
        ({"head_hash": bytes(32)}, Failure.FORK),
        ({"keyring_hash": bytes(32)}, Failure.FORK),
        ({"account": bytes(32)}, Failure.ACCOUNT),
    ],
)
async def test_a_relay_that_hides_what_the_kit_has_seen(bench: Bench, change: dict[str, Any], failure: Failure) -> None:
    kit = await _kit(bench, await bench.create())
    with pytest.raises(UntrustedDataError) as caught:
        await try_kit(replace(kit, anchor=replace(kit.anchor, **change)))
    assert caught.value.failure is failure


async def test_a_kit_is_not_fine_when_the_newest_state_cannot_be_read(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    kit = await _kit(bench, await bench.create())
    hostile = Hostile(await bench.transport())

    async def reach(url: str) -> Transport:
        return hostile

    monkeypatch.setattr(kit_module, "open_transport", reach)
    hostile.replace("read", lambda honest, *_: [None for _ in honest])
    with pytest.raises(UntrustedDataError) as caught:
        await try_kit(kit)
    assert caught.value.failure is Failure.MISSING


async def test_a_new_device_starts_from_the_page(bench: Bench) -> None:
    first = await bench.create()
    kit = await _kit(bench, first)
    found = read_kit(kit_page(kit))
    assert found == kit == read_kit(f"\n {kit.to_text().lower()}\n")
    by_code(bench, found.code)
    fresh = await bench.login("b", confirm=True)
    assert fresh.vault.writable
    for nothing in ("", "a shopping list", kit_page(kit).replace(kit.to_text(), "")):
        with pytest.raises(UntrustedDataError) as caught:
            read_kit(nothing)
        assert caught.value.failure is Failure.CODE


async def test_the_kit_names_the_witness(bench: Bench) -> None:
    first = await bench.create()
    assert first.vault.recovery_kit(new_recovery_code()).witness is None
    first.session.state.put({"witness": b"https://witness.example#" + b"ab" * 32})
    assert first.vault.recovery_kit(new_recovery_code()).witness == "https://witness.example#" + "ab" * 32


async def test_a_new_kit_ends_the_old_one(bench: Bench) -> None:
    first = await bench.create()
    old = first.vault.recovery_kit(new_recovery_code())
    async with await bench.owner(first) as owner:
        await owner.change_recovery_code(old.code)
    by_code(bench, old.code)
    async with await bench.owner(first) as owner:
        kit = await renew(first.vault, owner)
    assert not await _opens(old)
    assert await _opens(kit)
    assert begun(first.vault.folder) == [kit]
    file = first.vault.folder / kit_renewal.FILE
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    forget(first.vault.folder)
    assert not file.exists()
    forget(first.vault.folder)
    assert [event.what for event in first.vault.key_events()][-1].startswith("recovery code changed")


@pytest.mark.spec("KIT-6")
async def test_the_kit_is_there_before_the_relay_hears_of_it(bench: Bench) -> None:
    first = await bench.create()
    hostile = Hostile(first.session.transport)
    first.session.transport = hostile
    seen: list[list[Kit]] = []

    def power_cut(account: bytes, request: CommitRequest) -> Any:
        seen.append(begun(first.vault.folder))
        raise KeyboardInterrupt

    hostile.instead("commit", power_cut)
    async with await bench.owner(first) as owner:
        with pytest.raises(KeyboardInterrupt):
            await renew(first.vault, owner)
    assert [len(kits) for kits in seen] == [1]
    assert begun(first.vault.folder) == seen[0]


@pytest.mark.spec("KIT-6")
async def test_a_lost_answer_is_found_out(bench: Bench) -> None:
    first = await bench.create()
    hostile = Hostile(first.session.transport)
    first.session.transport = hostile

    def lost(honest: Any, *_: Any) -> Any:
        raise RelayUnreachable("no answer")

    hostile.replace("commit", lost)
    async with await bench.owner(first) as owner:
        with pytest.raises(RelayUnreachable) as caught:
            await renew(first.vault, owner)
    assert "recovery-kit" in caught.value.hint
    hostile.behave()
    (kit,) = begun(first.vault.folder)
    assert await unfinished(first.vault) is not None
    assert await _opens(kit)
    with pytest.raises(WrongSecret):
        await bench.login("b")
    by_code(bench, kit.code)
    await bench.login("c", confirm=True)


@pytest.mark.spec("KIT-7")
async def test_a_change_that_the_relay_takes_late(bench: Bench) -> None:
    """It answers nothing, then refuses another one, and then comes up with the first."""
    first = await bench.create()
    hostile = Hostile(first.session.transport)
    first.session.transport = hostile
    held: list[tuple[bytes, CommitRequest]] = []

    def hold(account: bytes, request: CommitRequest) -> Any:
        held.append((account, request))
        raise RelayUnreachable("no answer")

    def refuse(account: bytes, request: CommitRequest) -> Any:
        raise RelayRefused("internal", "not today")

    for answer, error in ((hold, RelayUnreachable), (refuse, RelayRefused)):
        hostile.instead("commit", answer)
        async with await bench.owner(first) as owner:
            with pytest.raises(error):
                await renew(first.vault, owner)
    assert await unfinished(first.vault) is None
    kits = begun(first.vault.folder)
    assert len({kit.code.reveal() for kit in kits}) == 2  # no code is used again

    await hostile.honest.commit(*held[0])
    hostile.behave()
    found = await unfinished(first.vault)
    assert found is not None
    assert found.code == kits[1].code
    assert await _opens(found)
    assert not await _opens(kits[0])


async def test_what_somebody_put_there_is_nobodys_code(bench: Bench) -> None:
    """Whoever can write to the folder of a device does not choose the account's next code."""
    first = await bench.create()
    planted = first.vault.recovery_kit(new_recovery_code())
    file = first.vault.folder / kit_renewal.FILE
    file.write_bytes(b"\xff\xfe no kit\n\nstrongroom-kit:AAAA\n" + planted.to_text().encode() + b"\n")
    assert begun(first.vault.folder) == [planted]
    assert await unfinished(first.vault) is None
    async with await bench.owner(first) as owner:
        kit = await renew(first.vault, owner)
    assert kit.code != planted.code
    assert not await _opens(planted)


async def test_an_account_without_a_code_gets_one(bench: Bench) -> None:
    typed = Unlock(SlotKind.PASSPHRASE, UnlockSecret(bytes(32)))
    bench.opener = lambda name, salt, kdf: typed
    first = await bench.create()
    async with await bench.owner(first) as owner:
        kit = await renew(first.vault, owner)
        assert [slot.kind for slot in owner.slots()] == ["passphrase", "recovery code"]
    assert await _opens(kit)


async def test_a_code_that_goes_with_a_passphrase(bench: Bench) -> None:
    pair = Unlock(SlotKind.BOTH, UnlockSecret(bytes(32)))
    bench.opener = lambda name, salt, kdf: pair
    first = await bench.create()
    async with await bench.owner(first) as owner:
        assert kit_renewal.needs_both(owner)
        with pytest.raises(InvalidArgument):
            await renew(first.vault, owner)
        assert kit_renewal.begun(first.vault.folder)[0].kind is not SlotKind.RECOVERY
        await owner.add_slot(with_secrets(None, new_recovery_code()), "code")
        assert kit_renewal.needs_both(owner)  # the one that was used now


async def test_a_kit_needs_a_state_to_anchor(bench: Bench) -> None:
    first = await bench.create()
    first.session.pin = replace(first.session.pin, head_version=0, head_keyring=0)
    with pytest.raises(StrongroomError):
        first.vault.recovery_kit(new_recovery_code())
