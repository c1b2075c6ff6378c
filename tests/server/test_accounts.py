"""Registration, login, unlock, guests (chapter 12)."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pytest

from server.account_builder import Account, DeviceKeys
from server.conftest import ORIGIN, Bench, refused
from strongroom_protocol.errors import UntrustedDataError
from strongroom_protocol.keys.secrets import UnlockSecret
from strongroom_protocol.keys.slots import Unlock
from strongroom_protocol.manifest.slots import SlotKind, SlotSet
from strongroom_protocol.relay_api.messages import UnlockRequest, UnlockStatement
from strongroom_protocol.relay_api.problems import Problem
from strongroom_protocol.wire import cbor
from strongroom_relay.service import accounts, commits, objects, reading
from strongroom_relay.service.relay import Principal, open_relay


@pytest.mark.spec("API-12")
async def test_a_token_registers_one_account(bench: Bench) -> None:
    other = Account("berta", bench.relay.receipt_key)
    assert await refused(accounts.register(bench.relay, other.registration(bench.token))) is Problem.REGISTRATION
    assert await refused(accounts.register(bench.relay, other.registration(""))) is Problem.REGISTRATION
    await accounts.register(bench.relay, other.registration(await bench.relay.mint_token()))


async def test_a_refused_registration_keeps_its_token(bench: Bench) -> None:
    token = await bench.relay.mint_token()
    taken = Account("anna", bench.relay.receipt_key)
    assert await refused(accounts.register(bench.relay, taken.registration(token))) is Problem.NAME_TAKEN
    await accounts.register(bench.relay, Account("berta", bench.relay.receipt_key).registration(token))


async def test_open_registration_needs_no_token(tmp_path: Path) -> None:
    relay = open_relay(tmp_path, origins=(ORIGIN,), open_registration=True)
    assert await relay.start() is None
    await accounts.register(relay, Account("anna", relay.receipt_key).registration())
    relay.store.close()


@pytest.mark.spec("API-13")
async def test_a_name_is_given_once(bench: Bench) -> None:
    other = Account("anna", bench.relay.receipt_key)
    token = await bench.relay.mint_token()
    assert await refused(accounts.register(bench.relay, other.registration(token))) is Problem.NAME_TAKEN


@pytest.mark.spec("API-32")
async def test_the_same_registration_again_gives_the_same_receipts(bench: Bench) -> None:
    other = Account("berta", bench.relay.receipt_key)
    request = other.registration(await bench.relay.mint_token())
    first = await accounts.register(bench.relay, request)
    assert await accounts.register(bench.relay, request) == first


@pytest.mark.spec("API-33")
async def test_an_account_is_not_registered_under_another_name(bench: Bench) -> None:
    other = Account("berta", bench.relay.receipt_key)
    request = other.registration(await bench.relay.mint_token())
    await accounts.register(bench.relay, request)
    renamed = replace(request, name="berta2", token=await bench.relay.mint_token())
    assert await refused(accounts.register(bench.relay, renamed)) is Problem.NAME_TAKEN


@pytest.mark.spec("API-10")
async def test_an_account_of_another_relay_is_refused(bench: Bench) -> None:
    other = Account("berta", os.urandom(32))
    request = other.registration(await bench.relay.mint_token())
    assert await refused(accounts.register(bench.relay, request)) is Problem.BAD_REQUEST


@pytest.mark.spec("API-11")
async def test_registration_takes_version_one_with_its_own_slots(bench: Bench) -> None:
    other = Account("berta", bench.relay.receipt_key)
    request = other.registration(await bench.relay.mint_token())
    foreign_slots = replace(request, slots=other.make_slots(2).encode())
    assert await refused(accounts.register(bench.relay, foreign_slots)) is Problem.BAD_REQUEST
    await accounts.register(bench.relay, request)


async def test_registration_checks_its_structures(bench: Bench) -> None:
    other, second = (Account(name, bench.relay.receipt_key) for name in ("berta", "clara"))
    request, foreign = other.registration(await bench.relay.mint_token()), second.registration()
    for wrong in (
        replace(request, keyring=foreign.keyring),
        replace(request, head=foreign.head),
        replace(request, delta=foreign.delta),
        replace(request, core=foreign.core),
        replace(request, slots=foreign.slots),
    ):
        assert await refused(accounts.register(bench.relay, wrong)) is Problem.BAD_REQUEST
    assert await refused(accounts.register(bench.relay, replace(request, objects=()))) is Problem.MISSING_OBJECTS
    await accounts.register(bench.relay, request)


@pytest.mark.spec("API-21")
@pytest.mark.parametrize("name", ["Anna", "an na", "a/b", "ﬁ", "a\nb", "a\x1b[2J", "../x"])
async def test_a_name_in_another_form_is_refused(bench: Bench, name: str) -> None:
    other = Account(name, bench.relay.receipt_key)
    request = other.registration(await bench.relay.mint_token())
    assert await refused(accounts.register(bench.relay, request)) is Problem.BAD_REQUEST


async def test_attack_072_login_answers_alike_for_known_and_unknown_names(bench: Bench) -> None:
    known, known_again, unknown, unknown_again = [
        await accounts.login(bench.relay, name) for name in ("anna", "anna", "nobody", "nobody")
    ]
    assert known.salt == known_again.salt == bench.account.slots.salt
    assert unknown.salt == unknown_again.salt
    assert unknown.challenge != unknown_again.challenge
    assert (known.kdf, known.receipt_key, known.time) == (unknown.kdf, unknown.receipt_key, unknown.time)
    one, other = (cbor.decode(answer.encode()) for answer in (known, unknown))
    assert list(one) == list(other)
    assert [len(one[key]) for key in (1, 2, 5)] == [len(other[key]) for key in (1, 2, 5)]
    assert (await accounts.login(bench.relay, "someone")).salt != unknown.salt


async def test_attack_072_login_does_the_same_work_for_known_and_unknown_names(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes: list[int] = []
    parse = SlotSet.parse

    def counting(data: bytes, *, account: bytes) -> SlotSet:
        sizes.append(len(data))
        return parse(data, account=account)

    monkeypatch.setattr(SlotSet, "parse", counting)
    for name in ("anna", "nobody"):
        await accounts.login(bench.relay, name)
    assert len(sizes) == 2
    assert abs(sizes[0] - sizes[1]) < 100


async def test_an_unlock_gives_the_slots_and_admits_for_reading(bench: Bench) -> None:
    who = await bench.guest()
    assert not who.writes
    assert (await reading.head(bench.relay, who, None)).head == bench.account.newest.message
    assert len(await reading.keyrings(bench.relay, who, 1)) == 1


async def unlock(bench: Bench, keys: Unlock | None = None, *, name: str | None = None, said: str | None = None,
                 origin: str = ORIGIN, wait: int = 0) -> None:  # fmt: skip
    asked = await accounts.login(bench.relay, name or "anna")
    bench.clock.now += wait
    statement = bench.account.statement(asked, DeviceKeys(), unlock=keys, origin=origin, name=said or name)
    await accounts.unlock(bench.relay, UnlockRequest(name or "anna", statement))


def wrong_key(kind: SlotKind = SlotKind.PASSPHRASE) -> Unlock:
    return Unlock(kind, UnlockSecret(os.urandom(32)))


@pytest.mark.spec("API-17")
async def test_attack_072_unlock_with_a_wrong_key_or_an_unknown_name_is_refused_alike(bench: Bench) -> None:
    assert await refused(unlock(bench, wrong_key())) is Problem.UNLOCK_REFUSED
    assert await refused(unlock(bench, wrong_key(), name="nobody")) is Problem.UNLOCK_REFUSED


@pytest.mark.spec("API-14")
async def test_unlock_for_another_origin_is_refused(bench: Bench) -> None:
    assert await refused(unlock(bench, origin="https://phishing.example")) is Problem.UNLOCK_REFUSED


@pytest.mark.spec("API-15")
async def test_unlock_needs_this_relays_fresh_challenge_for_this_name(bench: Bench) -> None:
    assert await refused(unlock(bench, said="berta")) is Problem.UNLOCK_REFUSED
    assert await refused(unlock(bench, wait=bench.relay.limits.challenge_age_ms + 1)) is Problem.UNLOCK_REFUSED
    asked = replace(await accounts.login(bench.relay, "anna"), challenge=os.urandom(56))
    statement = bench.account.statement(asked, DeviceKeys(), origin=ORIGIN)
    assert await refused(accounts.unlock(bench.relay, UnlockRequest("anna", statement))) is Problem.UNLOCK_REFUSED
    other = await accounts.login(bench.relay, "berta")
    statement = bench.account.statement(other, DeviceKeys(), origin=ORIGIN)
    assert await refused(accounts.unlock(bench.relay, UnlockRequest("anna", statement))) is Problem.UNLOCK_REFUSED
    await unlock(bench, wait=bench.relay.limits.challenge_age_ms)


@pytest.mark.spec("API-18")
async def test_attack_089_an_unlock_statement_works_once(bench: Bench) -> None:
    asked = await accounts.login(bench.relay, "anna")
    request = UnlockRequest("anna", bench.account.statement(asked, DeviceKeys(), origin=ORIGIN))
    await accounts.unlock(bench.relay, request)
    assert await refused(accounts.unlock(bench.relay, request)) is Problem.UNLOCK_REFUSED


@pytest.mark.spec("API-16")
async def test_attack_013_guessing_is_slowed_down_and_locks_out_no_recovery_code_nor_device(bench: Bench) -> None:
    for _ in range(10):
        assert await refused(unlock(bench, wrong_key())) is Problem.UNLOCK_REFUSED
    for _ in range(20):
        assert await refused(unlock(bench, wrong_key())) is Problem.RATE
    assert await refused(unlock(bench)) is Problem.RATE
    await bench.guest(SlotKind.RECOVERY)
    await bench.commit(bench.account.commit())
    bench.clock.now += 30_000
    await unlock(bench)
    await refused(unlock(bench, wrong_key()))
    assert await refused(unlock(bench, wrong_key())) is Problem.RATE


@pytest.mark.spec("API-42")
async def test_attack_013_one_address_guessing_at_many_names_is_slowed_down(bench: Bench) -> None:
    async def guess(number: int, source: str, keys: Unlock | None = None, name: str = "") -> None:
        name = name or f"name{number}"
        asked = await accounts.login(bench.relay, name)
        keys = keys or wrong_key()
        statement = bench.account.statement(asked, DeviceKeys(), unlock=keys, origin=ORIGIN, name=name)
        await accounts.unlock(bench.relay, UnlockRequest(name, statement), source)

    for number in range(50):
        assert await refused(guess(number, "203.0.113.1")) is Problem.UNLOCK_REFUSED
    assert await refused(guess(51, "203.0.113.1")) is Problem.RATE
    assert await refused(guess(51, "203.0.113.2")) is Problem.UNLOCK_REFUSED
    passphrase, recovery = bench.account.unlocks
    assert await refused(guess(0, "203.0.113.1", passphrase, "anna")) is Problem.RATE
    await guess(0, "203.0.113.1", recovery, "anna")
    await guess(0, "203.0.113.2", passphrase, "anna")
    bench.clock.now += 6_000
    await guess(0, "203.0.113.1", passphrase, "anna")


@pytest.mark.spec("API-1")
async def test_a_statement_for_another_action_is_refused(bench: Bench) -> None:
    asked = await accounts.login(bench.relay, "anna")
    said = UnlockStatement(asked.challenge, ORIGIN, "anna", asked.time, os.urandom(32)).encode()
    with pytest.raises(UntrustedDataError):
        UnlockStatement.parse(said.replace(b"\x64open", b"\x64shut"))
    assert UnlockStatement.parse(said).name == "anna"


@pytest.mark.spec("API-2")
async def test_a_guest_reads_and_does_not_write(bench: Bench) -> None:
    who = await bench.guest()
    data = os.urandom(100)
    assert await refused(bench.put(data, who)) is Problem.READ_ONLY
    assert await refused(bench.put(os.urandom(objects.INLINE), who)) is Problem.READ_ONLY
    request = bench.account.commit(device=bench.guests[0])
    assert await refused(commits.commit(bench.relay, who, request)) is Problem.READ_ONLY
    assert await bench.get(bench.account.newest.body) is not None


@pytest.mark.spec("API-19")
async def test_a_guest_is_admitted_for_a_bounded_time(bench: Bench) -> None:
    who = await bench.guest()
    bench.clock.now += bench.relay.limits.guest_ms - 1
    await accounts.identify(bench.relay, who.account, who.key)
    bench.clock.now += 1
    assert await refused(accounts.identify(bench.relay, who.account, who.key)) is Problem.NOT_FOUND


@pytest.mark.spec("API-20")
async def test_attack_076_other_keys_and_accounts_are_not_found_alike(bench: Bench) -> None:
    other = await bench.second()
    for account, key in ((bench.account.id, other.device), (os.urandom(32), other.device)):
        assert await refused(accounts.identify(bench.relay, account, key.sign.public)) is Problem.NOT_FOUND


@pytest.mark.spec("API-22")
async def test_earlier_heads_can_be_read_and_others_are_not_found(bench: Bench) -> None:
    request = bench.account.commit()
    await bench.commit(request)
    first = await reading.head_at(bench.relay, bench.who, 1)
    assert first.head == bench.account.heads[0].message
    assert await refused(reading.head_at(bench.relay, bench.who, 3)) is Problem.NOT_FOUND
    other = await bench.second()
    foreign = Principal(other.id, other.device.sign.public, True)
    assert (await reading.head_at(bench.relay, foreign, 1)).head == other.newest.message
