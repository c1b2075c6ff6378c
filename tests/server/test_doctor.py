"""`doctor`: what it finds in a store and in a file system, beside a running relay as well (attack 88)."""

from __future__ import annotations

import json
import os
import sqlite3
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from relay_process import RelayProcess
from server.account_builder import ask, name_of
from server.conftest import Served, enrolled
from server.test_relay_cli import run
from strongroom_relay.store import probe as probe_module
from strongroom_relay.store.probe import probe

SMALL, LARGE = 3_000, 100_000


@pytest.fixture
def stopped(tmp_path: Path) -> tuple[Path, bytes, bytes]:
    """A folder with one object in the database and one in a file."""
    small, large = os.urandom(SMALL), os.urandom(LARGE)
    with RelayProcess(tmp_path, open_registration=True) as process:
        served = Served(process, enrolled(process))
        for data in (small, large):
            put(served, data)
    return tmp_path, small, large


def put(served: Served, data: bytes) -> int:
    target = f"{served.base}/objects/{name_of(data).hex()}"
    return ask(served.process.address, "PUT", target, data, keys=served.account.device).status


def file_of(folder: Path, data: bytes) -> Path:
    (path,) = (folder / "objects").glob(f"??/*.{name_of(data).hex()}")
    return path


def doctor(folder: Path, *options: str) -> tuple[int, dict[str, Any]]:
    done = run("doctor", "--json", *options, "--data", str(folder))
    return done.returncode, json.loads(done.stdout)


def edit(folder: Path, statement: str, *values: object) -> None:
    database = sqlite3.connect(folder / "relay.db")
    database.execute(statement, values)
    database.commit()
    database.close()


def test_a_sound_folder(stopped: tuple[Path, bytes, bytes]) -> None:
    folder, _, _ = stopped
    before = sorted(path.relative_to(folder) for path in folder.rglob("*"))
    status, found = doctor(folder, "--deep")
    assert status == 0
    assert (found["sound"], found["objects"], found["orphans"], found["damaged"]) == (True, 3, 0, [])
    assert found["bytes"] == SMALL + LARGE + 300
    assert len(found["file_system"]) == 6
    assert all(item["wrong"] == "" for item in found["file_system"])
    assert sorted(path.relative_to(folder) for path in folder.rglob("*")) == before


@pytest.mark.parametrize(
    ("damage", "why", "deep"),
    [
        (lambda path: path.unlink(), "its file is missing", False),
        (lambda path: os.truncate(path, 99_999), "99999 bytes instead of 100000", False),
        (lambda path: path.write_bytes(bytes(LARGE)), "its bytes are not what its name says", True),
    ],
)
def test_attack_088_a_damaged_file_is_named(
    stopped: tuple[Path, bytes, bytes], damage: Callable[[Path], None], why: str, deep: bool
) -> None:
    folder, _, large = stopped
    damage(file_of(folder, large))
    status, found = doctor(folder, "--deep")
    assert status == 13
    assert [(item["name"], item["why"]) for item in found["damaged"]] == [(name_of(large).hex(), why)]
    assert doctor(folder)[0] == (0 if deep else 13)
    text = run("doctor", "--deep", "--data", str(folder)).stdout.decode()
    assert f"damaged: {name_of(large).hex()} of account " in text
    assert f": {why}\n" in text


@pytest.mark.parametrize(
    ("data", "why"), [(bytes(SMALL), "its bytes are not"), (bytes(10), "10 bytes instead of 3000")]
)
def test_attack_088_a_damaged_row_is_named(stopped: tuple[Path, bytes, bytes], data: bytes, why: str) -> None:
    folder, small, _ = stopped
    edit(folder, "UPDATE objects SET data = ? WHERE name = ?", data, name_of(small))
    status, found = doctor(folder, "--deep")
    assert status == 13
    assert [item["name"] for item in found["damaged"]] == [name_of(small).hex()]
    assert found["damaged"][0]["why"].startswith(why)


def test_a_wrong_count_of_bytes_and_a_damaged_database_are_found(stopped: tuple[Path, bytes, bytes]) -> None:
    folder, _, _ = stopped
    edit(folder, "UPDATE accounts SET used = used + 1")
    status, found = doctor(folder)
    assert (status, len(found["miscounted"])) == (13, 1)
    edit(folder, "UPDATE accounts SET used = used - 1")
    assert doctor(folder)[0] == 0
    with (folder / "relay.db").open("r+b") as file:  # a page of a table, overwritten in its middle
        file.seek(4096 * 4)
        file.write(bytes(4096))
    status, found = doctor(folder)
    assert status == 13
    assert found["database"]


def test_files_without_an_object_are_counted_and_no_damage(stopped: tuple[Path, bytes, bytes]) -> None:
    folder, _, _ = stopped
    (folder / "objects" / "cd").mkdir(exist_ok=True)
    (folder / "objects" / "cd" / f"{'ab' * 32}.{'cd' * 32}").write_bytes(b"left by a crash")
    status, found = doctor(folder)
    assert (status, found["orphans"]) == (0, 1)
    assert run("gc", "--data", str(folder)).stdout.endswith(b"; 1 files left by a crash\n")
    assert doctor(folder)[1]["orphans"] == 0


def test_doctor_beside_a_relay_that_takes_uploads_finds_no_damage(tmp_path: Path) -> None:
    with RelayProcess(tmp_path, "--window-days", "0", open_registration=True) as process:
        served = Served(process, enrolled(process))
        stop = threading.Event()

        def uploading() -> None:
            while not stop.is_set():
                assert put(served, os.urandom(LARGE)) == 201

        thread = threading.Thread(target=uploading)
        thread.start()
        try:
            for _ in range(3):
                status, found = doctor(tmp_path, "--deep")
                assert (status, found["orphans"]) == (0, 0), found
        finally:
            stop.set()
            thread.join()
    assert found["objects"] > 1


def granted(*_: object) -> None:
    """A call that says yes and does nothing."""


def broken(*_: object, **__: object) -> None:
    raise OSError(5, "Input/output error")


@pytest.mark.parametrize(
    ("call", "instead", "promise", "wrong"),
    [
        ("fcntl.flock", granted, "exclusive locks", "a second process got a lock that this one holds"),
        ("os.fsync", broken, "syncing files and folders", "Input/output error"),
        ("os.replace", granted, "renaming over a file", "it did not replace the file"),
        ("os.replace", broken, "renaming over a file", "Input/output error"),
    ],
)
def test_attack_094_a_file_system_that_breaks_a_promise_is_seen(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str, instead: Callable[..., None], promise: str, wrong: str
) -> None:
    if call == "fcntl.flock":
        monkeypatch.setattr("fcntl.lockf", granted)
    monkeypatch.setattr(call, instead)
    assert [(item.promise, item.wrong) for item in probe(tmp_path) if item.wrong] == [(promise, wrong)]
    monkeypatch.undo()
    assert list(tmp_path.iterdir()) == []
    assert not [item for item in probe(tmp_path) if item.wrong]


def test_a_file_created_twice_no_space_and_a_wrong_clock_are_seen(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = os.open
    monkeypatch.setattr("os.open", lambda path, flags, mode=0o777: real(path, flags & ~os.O_EXCL, mode))
    assert [item.wrong for item in probe(tmp_path) if item.wrong] == ["a file was created twice"]
    monkeypatch.undo()
    monkeypatch.setattr(probe_module, "FREE_BYTES", 2**62)
    monkeypatch.setattr("time.time", lambda: 1_800_000_000.0 - 10**8)
    wrong = [item.wrong for item in probe(tmp_path) if item.wrong]
    assert wrong[0].endswith(" MiB are free")
    assert wrong[1:] == ["this machine's clock was never set"]
    monkeypatch.setattr("time.time", lambda: 4_000_000_000.0)
    assert "s from this machine's" in [item.wrong for item in probe(tmp_path) if item.wrong][1]
