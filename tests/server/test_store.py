"""The embedded store: durability, one writer, full disks, migrations (chapter 11)."""

from __future__ import annotations

import asyncio
import errno
import os
import sqlite3
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from server.account_builder import name_of
from server.conftest import Bench, refused
from strongroom_protocol.errors import UpgradeRequired, VaultLocked
from strongroom_protocol.relay_api.problems import Problem
from strongroom_relay.service import objects, reading
from strongroom_relay.store.embedded import EmbeddedStore
from strongroom_relay.store.schema import MIGRATIONS


def version_of(folder: Path) -> int:
    database = sqlite3.connect(folder / "relay.db")
    (version,) = database.execute("PRAGMA user_version").fetchone()
    database.close()
    return int(version)


def test_an_empty_database_is_brought_to_the_newest_version(tmp_path: Path) -> None:
    sqlite3.connect(tmp_path / "relay.db").close()
    assert version_of(tmp_path) == 0
    EmbeddedStore(tmp_path).close()
    assert version_of(tmp_path) == len(MIGRATIONS)
    EmbeddedStore(tmp_path).close()


@pytest.mark.spec("LIFE-9")
def test_a_newer_database_is_refused_and_left_as_it_is(tmp_path: Path) -> None:
    EmbeddedStore(tmp_path).close()
    database = sqlite3.connect(tmp_path / "relay.db")
    database.execute(f"PRAGMA user_version = {len(MIGRATIONS) + 1}")
    database.close()
    with pytest.raises(UpgradeRequired):
        EmbeddedStore(tmp_path)
    assert version_of(tmp_path) == len(MIGRATIONS) + 1
    with pytest.raises(UpgradeRequired):  # the lock was given back
        EmbeddedStore(tmp_path)


def test_a_failed_migration_leaves_the_old_version(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    EmbeddedStore(tmp_path).close()
    broken = (*MIGRATIONS, "CREATE TABLE half(x); CREATE TABLE settings(x);")
    monkeypatch.setattr("strongroom_relay.store.schema.MIGRATIONS", broken)
    with pytest.raises(sqlite3.OperationalError):
        EmbeddedStore(tmp_path)
    monkeypatch.undo()
    assert version_of(tmp_path) == len(MIGRATIONS)
    database = sqlite3.connect(tmp_path / "relay.db")
    assert database.execute("SELECT 1 FROM sqlite_master WHERE name = 'half'").fetchone() is None
    database.close()


def test_one_process_has_the_folder(tmp_path: Path) -> None:
    store = EmbeddedStore(tmp_path)
    with pytest.raises(VaultLocked):
        EmbeddedStore(tmp_path)
    store.close()
    EmbeddedStore(tmp_path).close()


def test_what_is_no_database_is_refused_and_unlocked(tmp_path: Path) -> None:
    (tmp_path / "relay.db").write_bytes(b"something else entirely " * 100)
    for _ in range(2):
        with pytest.raises(sqlite3.DatabaseError):
            EmbeddedStore(tmp_path)


def test_nobody_else_may_read_the_files(tmp_path: Path) -> None:
    EmbeddedStore(tmp_path).close()
    assert (tmp_path / "relay.db").stat().st_mode & 0o077 == 0
    assert (tmp_path / "objects").stat().st_mode & 0o077 == 0


@pytest.mark.spec("LIFE-11")
async def test_commits_are_synced_with_the_folder_and_deleted_rows_are_overwritten(bench: Bench) -> None:
    for name, value in (("synchronous", 3), ("secure_delete", 1)):
        found = await bench.relay.store.write(lambda database, name=name: database.execute(f"PRAGMA {name}").fetchone())  # type: ignore[misc]
        assert found == (value,)


@pytest.mark.spec("LIFE-12")
def test_unfinished_uploads_are_gone_after_a_restart(tmp_path: Path) -> None:
    store = EmbeddedStore(tmp_path)
    store.files.temporary().write_bytes(b"half an upload")
    store.close()
    EmbeddedStore(tmp_path).close()
    assert list((tmp_path / "objects").iterdir()) == []


@pytest.mark.spec("LIFE-13")
async def test_a_request_that_was_given_up_neither_happens_nor_stops_the_writer(bench: Bench) -> None:
    held = threading.Event()
    first = asyncio.create_task(bench.relay.store.write(lambda _: held.wait(10)))
    await asyncio.sleep(0.05)
    given_up = asyncio.create_task(bench.put(b"given up"))
    await asyncio.sleep(0.05)
    given_up.cancel()
    await asyncio.sleep(0.05)
    held.set()
    await first
    async with asyncio.timeout(5):
        name = await bench.put(b"after it")
    assert await bench.get(name) == b"after it"
    assert await bench.get(name_of(b"given up")) is None


async def test_one_failing_piece_of_work_does_not_fail_its_neighbours(bench: Bench) -> None:
    held = threading.Event()
    first = asyncio.create_task(bench.relay.store.write(lambda _: held.wait(10)))
    await asyncio.sleep(0.05)

    def broken(database: sqlite3.Connection) -> None:
        database.execute("DELETE FROM accounts")
        raise KeyError("a bug")

    jobs = [asyncio.create_task(bench.put(b"one")), asyncio.create_task(bench.relay.store.write(broken))]
    jobs.append(asyncio.create_task(bench.put(b"two")))
    await asyncio.sleep(0.05)
    held.set()
    await first
    results = await asyncio.gather(*jobs, return_exceptions=True)
    assert [type(result) for result in results] == [bytes, KeyError, bytes]
    assert await bench.get(name_of(b"two")) == b"two"


async def test_attack_086_a_full_database_acknowledges_nothing_and_recovers(bench: Bench) -> None:
    before = await reading.head(bench.relay, bench.who, None)

    def limit(more: int) -> Callable[[sqlite3.Connection], None]:
        def work(database: sqlite3.Connection) -> None:
            (count,) = database.execute("PRAGMA page_count").fetchone()
            database.execute(f"PRAGMA max_page_count = {count + more}")

        return work

    await bench.relay.store.write(limit(2))
    big = [os.urandom(60_000) for _ in range(5)]
    for data in big:
        assert await refused(bench.put(data)) is Problem.DISK_FULL
    assert await refused(bench.commit(bench.account.commit(objects=tuple(big)))) is Problem.DISK_FULL
    for data in big:
        assert await bench.get(name_of(data)) is None
    assert await reading.head(bench.relay, bench.who, None) == before
    await bench.relay.store.write(limit(1_000_000))
    for data in big:
        assert await bench.get(await bench.put(data)) == data
    await bench.commit(bench.account.commit())


@pytest.mark.parametrize("step", ["rename", "folder"])
async def test_attack_086_a_full_disk_under_a_large_object(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "no space")

    data = os.urandom(objects.INLINE)
    before = await objects.usage(bench.relay, bench.who)
    if step == "rename":
        monkeypatch.setattr("os.replace", full)
    else:
        monkeypatch.setattr("pathlib.Path.mkdir", full)
    assert await refused(bench.put(data)) is Problem.DISK_FULL
    monkeypatch.undo()
    assert await bench.get(name_of(data)) is None
    assert await objects.usage(bench.relay, bench.who) == before
    await bench.put(data)
    assert await bench.get(name_of(data)) == data


@pytest.mark.spec("LIFE-8")
async def test_attack_086_after_a_failed_sync_the_store_reads_and_never_writes_again(bench: Bench) -> None:
    def failing(_: sqlite3.Connection) -> None:
        raise sqlite3.OperationalError("disk I/O error")

    name = await bench.put(b"before")
    assert await refused(bench.relay.store.write(failing)) is Problem.UNAVAILABLE
    assert await refused(bench.put(b"after")) is Problem.UNAVAILABLE
    assert await refused(bench.commit(bench.account.commit())) is Problem.UNAVAILABLE
    assert await bench.get(name) == b"before"
    assert await bench.get(name_of(b"after")) is None


@pytest.mark.spec("LIFE-15")
@pytest.mark.parametrize("error", [errno.EIO, errno.ENOSPC])
async def test_attack_086_a_sync_that_failed_is_never_tried_again(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, error: int
) -> None:
    """Of a folder, in the middle of a group: the others in the group are not acknowledged either."""
    name, real, failures = await bench.put(b"before"), os.fsync, [error]

    def failing(descriptor: int) -> None:
        if failures:
            raise OSError(failures.pop(), "once")
        real(descriptor)

    held = threading.Event()
    first = asyncio.create_task(bench.relay.store.write(lambda _: held.wait(10)))
    await asyncio.sleep(0.05)
    large = os.urandom(objects.INLINE)
    jobs = [asyncio.create_task(bench.put(data)) for data in (b"one", large, b"two")]
    await asyncio.sleep(0.05)
    monkeypatch.setattr("os.fsync", failing)
    held.set()
    await asyncio.gather(first, return_exceptions=True)
    results = await asyncio.gather(*jobs, return_exceptions=True)
    assert failures == []
    assert [getattr(result, "problem", None) for result in results] == [Problem.UNAVAILABLE] * 3
    assert await refused(bench.put(large)) is Problem.UNAVAILABLE
    assert await refused(bench.put(b"after")) is Problem.UNAVAILABLE
    assert await bench.get(name) == b"before"
    for data in (b"one", large, b"two", b"after"):
        assert await bench.get(name_of(data)) is None


async def test_attack_087_a_folder_that_an_earlier_run_made_is_synced_too(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The run may have ended after making it and before syncing its name: then a power cut would take both."""
    data = os.urandom(objects.INLINE)
    folder = bench.relay.store.folder / "objects"
    await asyncio.to_thread((folder / name_of(data).hex()[:2]).mkdir)
    synced: list[str] = []
    real = os.fsync

    def seen(descriptor: int) -> None:
        synced.append(os.path.realpath(f"/dev/fd/{descriptor}"))
        real(descriptor)

    monkeypatch.setattr("os.fsync", seen)
    await bench.put(data)
    assert {str(folder), str(folder / name_of(data).hex()[:2])} <= set(synced)


async def test_a_lock_that_another_process_holds_fails_only_what_waited_for_it(bench: Bench) -> None:
    await bench.relay.store.write(lambda database: database.execute("PRAGMA busy_timeout = 10"))
    other = sqlite3.connect(bench.relay.store.folder / "relay.db", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    other.execute("INSERT INTO settings VALUES('theirs', x'')")
    assert await refused(bench.put(b"while it is held")) is Problem.UNAVAILABLE
    other.execute("COMMIT")
    other.close()
    for data in (b"while it is held", b"after it"):
        assert await bench.get(await bench.put(data)) == data


async def test_nothing_is_written_after_closing(tmp_path: Path) -> None:
    store = EmbeddedStore(tmp_path)
    await asyncio.to_thread(store.close)
    assert await refused(store.write(lambda _: None)) is Problem.UNAVAILABLE
