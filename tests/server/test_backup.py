"""`backup`: a copy made while the relay runs is whole, and what clients make of an older one (docs/relay.md)."""

from __future__ import annotations

import os
import shutil
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from relay_process import RelayProcess
from server.account_builder import ask, name_of
from server.conftest import Served, enrolled
from server.test_relay_cli import run
from strongroom.importing import import_rows
from strongroom.vault import Vault
from strongroom_protocol.errors import Failure, UntrustedDataError
from strongroom_protocol.manifest.head import parse_head
from strongroom_protocol.relay_api.messages import HeadResponse
from strongroom_relay.store.backup import back_up
from strongroom_relay.store.beside import beside
from strongroom_relay.store.files import ObjectFiles
from vaults import create_at, login_at, opener, talk

SIZES = (2_000, 150_000)


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Served]:
    with RelayProcess(tmp_path / "relay", open_registration=True) as process:
        yield Served(process, enrolled(process))


def commit(served: Served, *objects: bytes) -> None:
    """Upload and commit."""
    for data in objects:
        target = f"{served.base}/objects/{name_of(data).hex()}"
        assert ask(served.process.address, "PUT", target, data, keys=served.account.device).status == 201
    request = served.account.commit(adds=map(name_of, objects))
    answer = ask(served.process.address, "POST", f"{served.base}/commit", request.encode(), keys=served.account.device)
    assert answer.status == 200
    served.account.done(request)


def head_version(served: Served, process: RelayProcess) -> int:
    answer = ask(process.address, "GET", f"{served.base}/head", keys=served.account.device)
    return parse_head(HeadResponse.parse(answer.body).head, account=served.account.id).version


def objects_in(folder: Path) -> set[str]:
    return {path.name for path in (folder / "objects").glob("??/*")}


@pytest.mark.parametrize("options", [[], ["--hard-links"]])
def test_a_copy_made_under_load_is_whole_and_serves(served: Served, tmp_path: Path, options: list[str]) -> None:
    copy, stop = tmp_path / "copy", threading.Event()
    committed: list[list[bytes]] = []

    def committing() -> None:
        while not stop.is_set():
            data = [os.urandom(size) for size in SIZES]
            commit(served, *data)
            committed.append(data)

    thread = threading.Thread(target=committing)
    thread.start()
    try:
        counts = []
        for _ in range(4):
            counts.append(len(committed))
            done = run("backup", "--data", str(tmp_path / "relay"), str(copy), *options)
            assert done.returncode == 0, done.stderr
            assert run("doctor", "--deep", "--data", str(copy)).returncode == 0
    finally:
        stop.set()
        thread.join()
    assert counts[-1] > 0
    with RelayProcess(copy) as restored:
        version = head_version(served, restored)
        assert counts[-1] + 1 <= version <= len(committed) + 1
        for data in [data for pair in committed[: version - 1] for data in pair]:
            target = f"{served.base}/objects/{name_of(data).hex()}"
            assert ask(restored.address, "GET", target, keys=served.account.device).body == data


def test_a_second_copy_takes_only_what_is_new(served: Served, tmp_path: Path) -> None:
    relay, copy = tmp_path / "relay", tmp_path / "copy"
    commit(served, os.urandom(150_000))
    assert run("backup", "--data", str(relay), str(copy)).stdout == (
        b"1 files copied (150000 bytes), 0 were there, 0 removed\n"
    )
    commit(served, os.urandom(160_000))
    (copy / "objects" / "ab").mkdir(exist_ok=True)
    (copy / "objects" / "ab" / f"{'ab' * 32}.{'ab' * 32}").write_bytes(b"removed from the relay since")
    done = run("backup", "--data", str(relay), str(copy))
    assert done.stdout.startswith(b"1 files copied (160000 bytes)")
    assert done.stdout.endswith(b" 1 removed\n")
    assert objects_in(copy) == objects_in(relay)
    assert not [path for path in copy.rglob("*") if path.is_file() and path.stat().st_mode & 0o077]


def test_attack_088_damage_does_not_spread_into_a_copy(served: Served, tmp_path: Path) -> None:
    relay, copy = tmp_path / "relay", tmp_path / "copy"
    good, bad = os.urandom(150_000), os.urandom(160_000)
    commit(served, good)
    assert run("backup", "--data", str(relay), str(copy)).returncode == 0
    commit(served, bad)
    for path in (relay / "objects").glob("??/*"):
        path.write_bytes(bytes(path.stat().st_size))
    done = run("backup", "--data", str(relay), str(copy))
    assert done.returncode == 13
    assert done.stdout.startswith(f"damaged: {name_of(bad).hex()}\n".encode())
    (path,) = (copy / "objects").glob("??/*")
    assert path.read_bytes() == good


def test_what_a_sweep_removes_while_the_copy_is_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An object that is gone by the time its file is wanted: the database is copied again, until both agree."""
    with RelayProcess(tmp_path / "relay", open_registration=True) as process:
        served = Served(process, enrolled(process))
        commit(served, os.urandom(150_000), os.urandom(160_000))
    source = ObjectFiles(tmp_path / "relay", lambda: None)
    (gone, left) = sorted(source.named())
    named = iter([[gone], []])
    with beside(tmp_path / "relay") as database:
        from strongroom_relay.store import backup as module

        copy_database = module._copy_database

        def swept(*arguments: object) -> list[tuple[bytes, bytes]]:
            found = copy_database(*arguments)  # type: ignore[arg-type]
            if next(named, None):
                database.execute("DELETE FROM objects WHERE name = ?", (gone[1],))
                source.path_of(*gone).unlink()
            return found

        monkeypatch.setattr(module, "_copy_database", swept)
        monkeypatch.setattr(ObjectFiles, "named", lambda files: iter([]) if files is source else iter([left]))
        done = back_up(database, source, tmp_path / "copy", links=False)
        monkeypatch.undo()
    assert done.damaged == set()
    assert objects_in(tmp_path / "copy") == {f"{left[0].hex()}.{left[1].hex()}"}
    with beside(tmp_path / "copy") as database:
        assert database.execute("SELECT COUNT(*) FROM objects WHERE data IS NULL").fetchone() == (1,)


def test_a_folder_that_is_served_or_was_is_no_copy(served: Served, tmp_path: Path) -> None:
    relay, copy = str(tmp_path / "relay"), tmp_path / "copy"
    assert run("backup", "--data", relay, str(copy)).returncode == 0
    other = RelayProcess(copy).start()
    assert run("backup", "--data", relay, str(copy)).returncode == 11
    other.kill()
    done = run("backup", "--data", relay, str(copy))
    assert done.returncode == 1
    assert b"the folder for the copy holds a relay of its own: use another\nhint: " in done.stderr
    assert run("backup", "--data", str(tmp_path / "none"), str(copy)).returncode == 1
    assert not (tmp_path / "none").exists()


def test_a_copy_that_broke_off_leaves_the_earlier_one(served: Served, tmp_path: Path) -> None:
    relay, copy = tmp_path / "relay", tmp_path / "copy"
    commit(served, os.urandom(150_000))
    assert run("backup", "--data", str(relay), str(copy)).returncode == 0
    before = (copy / "relay.db").read_bytes()
    (copy / "relay.db.new").write_bytes(b"half a database")
    (copy / "objects" / "upload-0123").write_bytes(b"half a file")
    shutil.copytree(copy, tmp_path / "broken")
    assert run("doctor", "--deep", "--data", str(copy)).returncode == 0
    assert (copy / "relay.db").read_bytes() == before
    assert run("backup", "--data", str(relay), str(tmp_path / "broken")).returncode == 0
    assert not list((tmp_path / "broken").glob("relay.db.new*"))
    assert not list((tmp_path / "broken" / "objects").glob("upload-*"))


async def test_a_client_restores_from_a_copy_and_refuses_it_when_it_saw_more(tmp_path: Path) -> None:
    secret, copy = opener(), tmp_path / "copy"
    with RelayProcess(tmp_path / "relay", open_registration=True) as process:
        async with await create_at(process.url, tmp_path / "a", secret) as vault:
            await import_rows(vault._session, talk("chat", 30))
            assert run("backup", "--data", str(tmp_path / "relay"), str(copy)).returncode == 0
            await import_rows(vault._session, talk("chat", 5, start=1_700_000_900_000))
            assert len(await vault.newest("chat", count=100)) == 35
    with RelayProcess(copy, port=int(process.authority.rpartition(":")[2])) as restored:
        assert restored.url == process.url
        assert "serving a copy from now on" in restored.log
        async with await login_at(restored.url, tmp_path / "b", secret) as fresh:
            assert len(await fresh.newest("chat", count=100)) == 30
            assert not (await fresh.verify()).damaged
        async with await Vault.open(tmp_path / "a") as vault:
            with pytest.raises(UntrustedDataError) as refused:
                await import_rows(vault._session, talk("chat", 1, start=1_700_001_900_000))
            assert refused.value.failure is Failure.ROLLBACK
    with RelayProcess(copy) as restored:
        assert restored.log == ""
    with RelayProcess(tmp_path / "relay", port=int(process.authority.rpartition(":")[2])):  # nothing is lost there
        async with await Vault.open(tmp_path / "a") as vault:
            assert len(await vault.newest("chat", count=100)) == 35
