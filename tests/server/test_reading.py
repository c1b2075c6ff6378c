"""Reading heads and keyrings: proofs from stored nodes, answers of one moment, and who may no longer read."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from server.account_builder import Account, DeviceKeys, name_of
from server.conftest import ORIGIN, Bench, refused
from strongroom_protocol.limits import LIMITS
from strongroom_protocol.manifest.head import Head, parse_head
from strongroom_protocol.manifest.slots import SlotKind
from strongroom_protocol.relay_api.messages import UnlockRequest
from strongroom_protocol.relay_api.problems import Problem
from strongroom_protocol.wire import merkle
from strongroom_relay.service import accounts, log, reading
from strongroom_relay.service.relay import open_relay
from strongroom_relay.store.embedded import EmbeddedStore
from strongroom_relay.store.schema import MIGRATIONS, migrate

ENTRIES = [bytes([number]) * 32 for number in range(70)]


@pytest.fixture
def database() -> sqlite3.Connection:
    found = sqlite3.connect(":memory:", isolation_level=None)
    migrate(found)
    return found


def test_proofs_from_nodes_are_those_from_leaves(database: sqlite3.Connection) -> None:
    for size, entry in enumerate(ENTRIES, 1):
        log.append(database, b"a", size, entry)
        leaves = [merkle.leaf_hash(found) for found in ENTRIES[:size]]
        for old in range(1, size + 1):
            assert log.consistency_proof(database, b"a", old, size) == merkle.consistency_proof(old, leaves)
            assert log.inclusion_path(database, b"a", old - 1, size) == merkle.inclusion_path(old - 1, leaves)
    database.close()


def test_proofs_of_earlier_sizes_do_not_change(database: sqlite3.Connection) -> None:
    for size, entry in enumerate(ENTRIES, 1):
        log.append(database, b"a", size, entry)
    leaves = [merkle.leaf_hash(entry) for entry in ENTRIES]
    for size in range(1, len(ENTRIES)):
        assert log.consistency_proof(database, b"a", 1, size) == merkle.consistency_proof(1, leaves[:size])
    database.close()


def test_appending_takes_two_rows_on_average(database: sqlite3.Connection) -> None:
    for number in range(1024):
        log.append(database, b"a", number + 1, number.to_bytes(32, "big"))
    (rows,) = database.execute("SELECT COUNT(*) FROM log").fetchone()
    assert rows == 2047
    database.close()


def test_a_store_of_version_1_gets_its_nodes(tmp_path: Path) -> None:
    database = sqlite3.connect(tmp_path / "relay.db")
    database.executescript(MIGRATIONS[0] + "PRAGMA user_version = 1;")
    for account in (b"a", b"b"):
        for version, entry in enumerate(ENTRIES, 1):
            database.execute("INSERT INTO heads VALUES(?,?,?,'','',NULL)", (account, version, entry))
    database.commit()
    database.close()
    EmbeddedStore(tmp_path).close()
    database = sqlite3.connect(tmp_path / "relay.db")
    leaves = [merkle.leaf_hash(entry) for entry in ENTRIES]
    for account in (b"a", b"b"):
        assert log.consistency_proof(database, account, 13, 69) == merkle.consistency_proof(13, leaves[:69])
        assert log.inclusion_path(database, account, 40, 70) == merkle.inclusion_path(40, leaves)
    database.close()


async def advance(bench: Bench, times: int = 1) -> None:
    for _ in range(times):
        request = bench.account.commit()
        await bench.commit(request)
        bench.account.done(request)


async def test_a_head_comes_with_proofs_that_check(bench: Bench) -> None:
    await advance(bench, 4)
    cut = bench.account.newest
    keyring = bench.account.next_keyring()
    request = bench.account.commit(keyring=keyring)
    await bench.commit(request)
    bench.account.done(request, keyring)
    await advance(bench, 7)
    seen = bench.account.heads[2]
    answer = await reading.head(bench.relay, bench.who, seen.version)
    newest = bench.account.newest
    assert answer.head == newest.message
    size = newest.version - 1
    merkle.check_peaks(size, answer.peaks, newest.log_root)
    old_root = merkle.tree_root([merkle.leaf_hash(head.hash) for head in bench.account.heads[: seen.version]])
    merkle.check_consistency(seen.version, old_root, size, newest.log_root, answer.consistency)
    merkle.check_inclusion(cut.version - 1, cut.hash, size, newest.log_root, answer.cut_path)


@pytest.mark.spec("API-39")
async def test_a_commit_in_the_middle_of_an_answer_does_not_show(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    if bench.relay.store._journal != "WAL":
        pytest.skip("a rollback journal lets nobody commit while an answer is read")
    await advance(bench, 2)
    loop = asyncio.get_running_loop()
    done: list[bool] = []

    def and_commit(message: bytes, *, account: bytes) -> Head:
        if not done:
            done.append(True)
            asyncio.run_coroutine_threadsafe(advance(bench), loop).result(10)
        return parse_head(message, account=account)

    shown = bench.account.newest
    monkeypatch.setattr(reading, "parse_head", and_commit)
    answer = await reading.head(bench.relay, bench.who, None)
    assert answer.head == shown.message
    merkle.check_peaks(shown.version - 1, answer.peaks, shown.log_root)
    assert bench.account.newest.version == shown.version + 1


@pytest.mark.spec("API-38")
async def test_keyrings_come_in_answers_of_bounded_size(bench: Bench) -> None:
    for _ in range(3):
        keyring = bench.account.next_keyring()
        request = bench.account.commit(keyring=keyring)
        await bench.commit(request)
        bench.account.done(request, keyring)
    everything = await reading.keyrings(bench.relay, bench.who, 1)
    assert len(everything) == 4
    bench.relay.limits = replace(LIMITS, read_response_bytes=sum(map(len, everything[0] + everything[1])) + 40)
    assert await reading.keyrings(bench.relay, bench.who, 1) == everything[:2]
    bench.relay.limits = replace(LIMITS, read_response_bytes=10)
    assert await reading.keyrings(bench.relay, bench.who, 3) == everything[2:3]


@pytest.mark.spec("API-36")
async def test_a_removed_device_that_was_a_guest_before_is_nobody(bench: Bench) -> None:
    """Every device is a guest first: it logs in, and is confirmed within the time of its admission."""
    who = await bench.guest()
    keys = bench.guests[0]
    other = await bench.guest(SlotKind.RECOVERY)
    added = bench.account.next_keyring(add=(keys,))
    request = bench.account.commit(keyring=added, device=keys)
    await bench.commit(request, who)
    bench.account.done(request, added)
    assert not (await accounts.identify(bench.relay, bench.account.id, other.key)).writes  # a new epoch ends nothing
    removed, _ = bench.account.keyring_without(keys)
    request = bench.account.commit(keyring=removed)
    await bench.commit(request)
    for gone in (keys.sign.public, other.key):
        assert await refused(accounts.identify(bench.relay, bench.account.id, gone)) is Problem.NOT_FOUND


@pytest.mark.spec("API-37")
async def test_an_unlock_does_not_outrun_a_change_of_slots(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    guest = DeviceKeys()
    asked = await accounts.login(bench.relay, bench.account.name)
    statement = bench.account.statement(asked, guest, origin=ORIGIN)
    slots = bench.account.make_slots(2)
    request = bench.account.commit(keyring=bench.account.next_keyring(slots_hash=slots.hash()), slots=slots)
    real: Callable[[Any], Awaitable[Any]] = bench.relay.store.write

    async def write(work: Callable[[sqlite3.Connection], Any]) -> Any:
        monkeypatch.undo()
        await bench.commit(request)
        return await real(work)

    monkeypatch.setattr(bench.relay.store, "write", write)
    unlock = accounts.unlock(bench.relay, UnlockRequest(bench.account.name, statement))
    assert await refused(unlock) is Problem.UNLOCK_REFUSED
    who = accounts.identify(bench.relay, bench.account.id, guest.sign.public)
    assert await refused(who) is Problem.NOT_FOUND


async def test_what_a_version_1_store_served_is_served_after_its_migration(tmp_path: Path) -> None:
    relay = open_relay(tmp_path / "relay", origins=(ORIGIN,), open_registration=True)
    await relay.start()
    account = Account("anna", relay.receipt_key)
    await accounts.register(relay, account.registration())
    relay.store.close()
    database = sqlite3.connect(tmp_path / "relay" / "relay.db")
    later = ("log", "blocks", "links", "link_slots", "witnessed")
    database.executescript("".join(f"DROP TABLE {table};" for table in later) + "PRAGMA user_version = 1;")
    database.close()
    relay = open_relay(tmp_path / "relay", origins=(ORIGIN,), open_registration=True)
    await relay.start()
    who = await accounts.identify(relay, account.id, account.device.sign.public)
    assert (await reading.head(relay, who, None)).head == account.newest.message
    assert name_of(account.newest.message) == account.newest.hash
    relay.store.close()
