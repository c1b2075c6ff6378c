"""A relay that lies at login: attacks 001, 002, 003, 004, 005, 100."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from copy import copy
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from adversary.conftest import Scene
from adversary.hostile import Hostile
from strongroom import account
from strongroom_protocol.errors import Failure, StrongroomError, UntrustedDataError, WrongSecret
from strongroom_protocol.keys import slots as slots_module
from strongroom_protocol.keys.secrets import Passphrase, RecoveryCode, RootSecret
from strongroom_protocol.keys.slots import Unlock, make_slot
from strongroom_protocol.limits import LIMITS
from strongroom_protocol.manifest.slots import Kdf, Slot, SlotSet
from strongroom_protocol.relay_api.messages import LoginResponse, UnlockResponse
from vaults import NAME, Bench

FLOOR = Kdf.preset()
BELOW = [
    Kdf(8, 1, 1), Kdf(FLOOR.memory_kib - 1, FLOOR.passes, FLOOR.lanes), Kdf(FLOOR.memory_kib, 1, FLOOR.lanes),
    Kdf(FLOOR.memory_kib, FLOOR.passes - 1, FLOOR.lanes), Kdf(FLOOR.memory_kib, FLOOR.passes, 1), Kdf(0, 0, 0),
]  # fmt: skip
ABOVE = [
    Kdf(LIMITS.kdf_memory_kib_max + 1, FLOOR.passes, FLOOR.lanes),
    Kdf(2**32 - 1, FLOOR.passes, FLOOR.lanes),
    Kdf(FLOOR.memory_kib, LIMITS.kdf_passes_max + 1, FLOOR.lanes),
    Kdf(FLOOR.memory_kib, 2**32 - 1, FLOOR.lanes),
    Kdf(FLOOR.memory_kib, FLOOR.passes, 255),
]


@pytest.fixture
def argon(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, int]]:
    """Counts calls of Argon2id and puts a quick hash in its place."""
    calls: list[dict[str, int]] = []

    def quick(secret: bytes, salt: bytes, **options: Any) -> bytes:
        calls.append(options)
        return (secret + salt + bytes(32))[:32]

    monkeypatch.setattr(slots_module, "hash_secret_raw", quick)
    return calls


async def _hostile(bench: Bench) -> Hostile:
    return Hostile(await bench.transport())


@pytest.mark.parametrize("kdf", BELOW + ABOVE, ids=str)
async def test_attack_001_002_kdf_parameters_out_of_limits(
    tmp_path: Path, argon: list[dict[str, int]], kdf: Kdf
) -> None:
    """Nothing is derived and nothing more is sent; with the honest parameters the same login works."""
    bench = Bench(tmp_path)
    secret = account.with_secrets(Passphrase(b"correct horse battery staple"), None)
    bench.opener = secret
    await bench.create()
    argon.clear()
    hostile = await _hostile(bench)
    hostile.replace("login", lambda honest, _: replace(honest, kdf=kdf))
    fresh = account.with_secrets(Passphrase(b"correct horse battery staple"), None)
    with pytest.raises(UntrustedDataError) as caught:
        await account.login(tmp_path / "b", hostile, relay="file:///x", name=NAME, opener=fresh)
    assert caught.value.failure is Failure.KDF
    assert argon == []
    assert hostile.calls == ["login"]
    assert not (tmp_path / "b").exists()
    hostile.behave()
    session = await account.login(tmp_path / "b", hostile, relay="file:///x", name=NAME, opener=fresh)
    assert len(argon) == 1
    session.state.close()
    bench.close()


async def test_attack_001_the_recovery_code_alone_is_held_to_the_same_limits(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    code = RecoveryCode(secrets.token_bytes(20))
    bench.opener = account.with_secrets(None, code)
    await bench.create()
    hostile = await _hostile(bench)
    hostile.replace("login", lambda honest, _: replace(honest, kdf=BELOW[0]))
    with pytest.raises(UntrustedDataError) as caught:
        await account.login(
            tmp_path / "b", hostile, relay="file:///x", name=NAME, opener=account.with_secrets(None, code)
        )
    assert (caught.value.failure, hostile.calls) == (Failure.KDF, ["login"])
    bench.close()


async def test_attack_003_004_another_salt_opens_nothing(tmp_path: Path, argon: list[dict[str, int]]) -> None:
    """Of another account with the same passphrase, or made up: the derived keys differ, no slot fits."""
    bench = Bench(tmp_path)
    phrase = Passphrase(b"correct horse battery staple")
    bench.opener = account.with_secrets(phrase, None)
    await bench.create()
    await bench.create("berta", folder="other")
    honest = await bench.transport()
    other: LoginResponse = await honest.login("berta")
    for salt in (other.salt, bytes(32)):
        hostile = await _hostile(bench)
        hostile.replace("login", lambda found, _, salt=salt: replace(found, salt=salt))
        with pytest.raises(StrongroomError):
            await account.login(
                tmp_path / "b", hostile, relay="file:///x", name=NAME, opener=account.with_secrets(phrase, None)
            )
        assert hostile.calls == ["login", "unlock"]
        assert not (tmp_path / "b" / "device.db").exists()
    bench.close()


async def test_attack_005_slots_replaced(scene: Scene) -> None:
    """Every field of the slot set, every wrap: refused, and nothing is stored."""

    def changed(change: Any) -> Any:
        def answer(honest: UnlockResponse, *_: Any) -> UnlockResponse:
            found = SlotSet.parse(honest.slots, account=honest.account)
            return replace(honest, slots=change(found).encode())

        return answer

    slot_changes: dict[str, Callable[[Slot], Slot]] = {
        "wrap": lambda slot: replace(slot, wrap=slot.wrap[:-1] + bytes((slot.wrap[-1] ^ 1,))),
        "kem key": lambda slot: replace(slot, kem_key=bytes(len(slot.kem_key))),
        "unlock key": lambda slot: replace(slot, unlock_key=bytes(32)),
    }
    changes: dict[str, Callable[[SlotSet], SlotSet]] = {
        "salt": lambda found: replace(found, salt=bytes(32)),
        "blind": lambda found: replace(found, blind=bytes(32)),
        "version": lambda found: replace(found, version=2),
        "kdf": lambda found: replace(found, kdf=Kdf(FLOOR.memory_kib + 1, FLOOR.passes, FLOOR.lanes)),
        "account": lambda found: replace(found, account=bytes(32)),
    }
    for name, change_slot in slot_changes.items():
        changes[name] = partial(_every_slot, change_slot)
    expected = {
        "wrap": Failure.WRAP, "salt": Failure.WRAP, "kdf": Failure.WRAP, "blind": Failure.SLOTS,
        "version": Failure.SLOTS, "account": Failure.ACCOUNT,
    }  # fmt: skip
    for name, change in changes.items():
        hostile = await _hostile(scene.bench)
        hostile.replace("unlock", changed(change))
        with pytest.raises(UntrustedDataError if name in expected else WrongSecret) as caught:
            await account.login(
                scene.bench.folder / "c", hostile, relay="file:///x", name=NAME, opener=scene.bench.opener
            )
        if isinstance(caught.value, UntrustedDataError):
            assert caught.value.failure is expected[name], name
        assert {"put", "commit", "read", "head"}.isdisjoint(hostile.calls)
        assert not (scene.bench.folder / "c" / "device.db").exists()


def _every_slot(change: Callable[[Slot], Slot], found: SlotSet) -> SlotSet:
    return replace(found, slots=tuple(map(change, found.slots)))


async def test_attack_005_a_slot_that_opens_to_the_relays_own_root(scene: Scene) -> None:
    """A slot's KEM key is public, so a relay can seal its own root to it; the account's keyring is not that root's."""
    own = RootSecret(bytes([5]) * 32)
    hostile = await _hostile(scene.bench)

    def planted(honest: UnlockResponse, *_: Any) -> UnlockResponse:
        found = SlotSet.parse(honest.slots, account=honest.account)
        made = make_slot(
            scene.bench.opener(NAME, found.salt, found.kdf), own, account=found.account, salt=found.salt,
            kdf=found.kdf, label="code",
        )  # fmt: skip
        return replace(honest, slots=replace(found, slots=(made,)).encode())

    hostile.replace("unlock", planted)
    with pytest.raises(WrongSecret):
        await account.login(scene.bench.folder / "c", hostile, relay="file:///x", name=NAME, opener=scene.bench.opener)
    assert hostile.calls[:2] == ["login", "unlock"]
    assert set(hostile.calls[2:]) == {"keyrings"}


class PublicKeysOnly(Unlock):
    """What a relay knows of a slot: its public keys. It can seal to them, and cannot make the tag."""

    __slots__ = ()

    def tag(self, account: bytes) -> bytes:
        return bytes(32)


@pytest.mark.spec("SLOT-12")
async def test_attack_100_an_account_that_the_relay_made_itself(tmp_path: Path) -> None:
    """A relay that has seen an account's slots seals a root of its own to them and presents an account of its own."""
    bench = Bench(tmp_path / "real")
    device = await bench.create()
    honest = await bench.transport()
    honest.authenticate(device.session.device.sign.public, device.session.device.sign.sign)

    def public(name: str, salt: bytes, kdf: Kdf) -> Unlock:
        known = copy(bench.opener(name, salt, kdf))
        known.__class__ = PublicKeysOnly
        return known

    fake = Bench(tmp_path / "fake", opener=public)
    planted = await fake.create()
    hostile = Hostile(await fake.transport())
    with pytest.raises(UntrustedDataError) as error:
        await account.login(tmp_path / "c", hostile, relay="file:///x", name=NAME, opener=bench.opener)
    assert error.value.failure is Failure.ACCOUNT
    assert not (tmp_path / "c" / "device.db").exists()
    assert {"put", "commit", "missing"}.isdisjoint(hostile.calls)
    assert planted.session.account != device.session.account
    # A device that knows its account refuses it too.
    known = device.session
    known.transport = hostile
    pin = known.pin
    with pytest.raises(StrongroomError):
        await known.sync()
    assert known.pin == pin
    fake.close()
    bench.close()
