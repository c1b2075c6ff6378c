"""A relay as a witness: durable, bounded, and with a key of its own (chapter 16)."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest

from relay_process import RelayProcess
from server.account_builder import Account, ask
from server.conftest import Bench, refused
from strongroom_protocol.manifest.receipt import Chain, Receipt
from strongroom_protocol.manifest.witness import Signed, Statement, WitnessRequest, WitnessResponse, verify_statement
from strongroom_protocol.relay_api.problems import Problem
from strongroom_protocol.wire import merkle
from strongroom_relay.service.attempts import source_of
from strongroom_relay.service.relay import open_relay
from strongroom_relay.service.witness import start_witness, witness

NONCE = bytes(range(32))


class Elsewhere:
    """An account at another relay, whose receipts are signed here; heads as its devices commit them."""

    def __init__(self) -> None:
        from strongroom_protocol.keys.secrets import SigningSeed
        from strongroom_protocol.keys.signing import SignKey

        self.relay = SignKey(SigningSeed(bytes(32)))
        self.account = Account("anna", self.relay.public)
        self.account.registration()

    def add(self) -> None:
        self.account.done(self.account.commit())

    def asked(self, since: int = 0, version: int | None = None) -> WitnessRequest:
        heads = self.account.heads[:version]
        head, leaves = heads[-1], [merkle.leaf_hash(head.hash) for head in heads[:-1]]
        peaks: tuple[bytes, ...] = ()
        for size, earlier in enumerate(heads[:-1]):
            peaks = merkle.append(size, peaks, earlier.hash)
        receipt = Receipt(self.account.id, Chain.HEAD, head.version, head.hash, head.previous, 1)
        proof = tuple(merkle.consistency_proof(since, leaves))
        signed = receipt.sign(self.relay.public, self.relay.sign)
        return WitnessRequest(self.account.core, Signed(head.message, signed, peaks), NONCE, proof)


async def stated(bench: Bench, request: WitnessRequest, key: bytes, source: str | None = None) -> Statement:
    answer = await witness(bench.relay, request, source)
    return verify_statement(answer, witness_key=key, core=request.core, nonce=NONCE)


def versions(said: Statement) -> list[int]:
    return [seen.version for seen in said.seen]


async def test_it_remembers_the_highest_head_and_says_what_it_knew(bench: Bench) -> None:
    key = await start_witness(bench.relay)
    there = Elsewhere()
    first = await stated(bench, there.asked(), key)
    assert (versions(first), first.known, first.time) == ([1], 0, bench.clock.now)
    for _ in range(4):
        there.add()
    for version in (4, 3):  # no proof from head 1 on
        beside = await stated(bench, there.asked(version=version), key)
        assert (versions(beside), beside.known) == ([1] if version == 4 else [1, 4], 1)
    above = await stated(bench, there.asked(), key)
    assert versions(above) == [1, 4]  # as it was before: the asker is not told its own news
    moved = await stated(bench, there.asked(since=1), key)
    assert (versions(moved), moved.known, moved.newest.head.hash) == ([5], 1, there.account.newest.hash)
    older = await stated(bench, there.asked(version=2), key)
    assert (versions(older), older.known) == ([5], 5)


async def test_what_it_said_it_remembers_after_a_restart(tmp_path: Path) -> None:
    there = Elsewhere()
    keys = []
    for known in (0, 1):
        relay = open_relay(tmp_path / "relay", origins=("https://w.example",))
        await relay.start()
        keys.append(await start_witness(relay))
        answer = await witness(relay, there.asked())
        said = verify_statement(answer, witness_key=keys[-1], core=there.account.core, nonce=NONCE)
        assert said.known == known
        await asyncio.to_thread(relay.store.close)
    assert keys[0] == keys[1]
    assert keys[0] != relay.receipt_key


async def test_of_two_that_ask_at_once_the_later_state_stays(bench: Bench) -> None:
    key = await start_witness(bench.relay)
    there = Elsewhere()
    await stated(bench, there.asked(), key)
    for _ in range(5):
        there.add()
    asked = [there.asked(since=1, version=version) for version in (2, 4, 6, 3, 5)]
    said = await asyncio.gather(*(stated(bench, request, key) for request in asked))
    assert all(versions(statement)[0] >= 2 for statement in said)
    last = await stated(bench, there.asked(version=1), key)
    assert last.newest.version == 6


async def test_a_relay_that_is_none_says_so(bench: Bench) -> None:
    assert await refused(witness(bench.relay, Elsewhere().asked())) is Problem.NOT_FOUND


async def test_what_the_accounts_relay_did_not_sign_is_refused(bench: Bench) -> None:
    await start_witness(bench.relay)
    there = Elsewhere()
    good = there.asked()
    changed = good.signed.receipt[:-1] + bytes([good.signed.receipt[-1] ^ 1])
    for bad in (
        replace(good, signed=replace(good.signed, receipt=changed)),
        replace(good, core=bench.account.core),
        replace(good, signed=replace(good.signed, peaks=(bytes(32),))),
    ):
        assert await refused(witness(bench.relay, bad)) is Problem.BAD_REQUEST
    assert (await witness(bench.relay, good)).signed == (good.signed,)


@pytest.mark.spec("WIT-9")
async def test_when_it_is_full_it_forgets_nobody(bench: Bench) -> None:
    key = await start_witness(bench.relay)
    bench.relay.limits = replace(bench.relay.limits, witness_accounts=2)
    known = [Elsewhere(), Elsewhere()]
    for there in known:
        await stated(bench, there.asked(), key)
    assert await refused(witness(bench.relay, Elsewhere().asked())) is Problem.UNAVAILABLE
    for there in known:
        there.add()
        assert (await stated(bench, there.asked(since=1), key)).newest.version == 2


@pytest.mark.spec("WIT-10")
async def test_one_address_cannot_ask_without_end(bench: Bench) -> None:
    key = await start_witness(bench.relay)
    there = Elsewhere()
    for _ in range(120):
        await stated(bench, there.asked(), key, "192.0.2.1")
    assert await refused(witness(bench.relay, there.asked(), "192.0.2.1")) is Problem.RATE
    await stated(bench, there.asked(), key, "192.0.2.2")
    bench.clock.now += 1_000
    await stated(bench, there.asked(), key, "192.0.2.1")
    assert await refused(witness(bench.relay, there.asked(), "192.0.2.1")) is Problem.RATE


@pytest.mark.spec("WIT-11")
async def test_one_address_cannot_fill_it_with_accounts(bench: Bench) -> None:
    key = await start_witness(bench.relay)
    friends = Elsewhere()
    await stated(bench, friends.asked(), key, "192.0.2.2")
    for _ in range(20):
        await stated(bench, Elsewhere().asked(), key, "192.0.2.1")
    assert await refused(witness(bench.relay, Elsewhere().asked(), "192.0.2.1")) is Problem.RATE
    await stated(bench, friends.asked(), key, "192.0.2.1")  # one that is known is no new one
    await stated(bench, Elsewhere().asked(), key, "192.0.2.2")
    bench.clock.now += 3_600_000
    await stated(bench, Elsewhere().asked(), key, "192.0.2.1")


@pytest.mark.spec("WIT-11")
async def test_nor_can_all_networks_of_one_site(bench: Bench) -> None:
    key = await start_witness(bench.relay)
    for number in range(20):
        await stated(bench, Elsewhere().asked(), key, source_of(f"2001:db8:1:{number:x}::1", None))
    assert await refused(witness(bench.relay, Elsewhere().asked(), source_of("2001:db8:1:ff::1", None))) is Problem.RATE
    await stated(bench, Elsewhere().asked(), key, source_of("2001:db8:2::1", None))


def test_over_http(tmp_path: Path) -> None:
    """The key that is printed is the one that signs; a kill loses nothing that was stated; others have no such path."""
    there = Elsewhere()
    process = RelayProcess(tmp_path / "w", "--witness")
    for known in (0, 1):
        process.start()
        url, _, key = process.witness.partition("#")
        assert url == process.url
        answer = ask(process.address, "POST", "/v1/witness", there.asked().encode())
        assert answer.status == 200
        said = verify_statement(
            WitnessResponse.parse(answer.body), witness_key=bytes.fromhex(key), core=there.account.core, nonce=NONCE
        )
        assert said.known == known
        assert ask(process.address, "POST", "/v1/witness", bytes(9000)).problem == "too-large"
        assert ask(process.address, "POST", "/v1/witness", b"\x01").problem == "bad-request"
        process.kill()
    with RelayProcess(tmp_path / "plain") as plain:
        assert ask(plain.address, "POST", "/v1/witness", there.asked().encode()).problem == "not-found"
