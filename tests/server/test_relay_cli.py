"""`strongroom-relay`: administration of a folder, and its error texts (docs/relay.md)."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from relay_process import RelayProcess
from server.account_builder import Account, ask, name_of
from server.conftest import Served, enrolled
from strongroom_protocol.relay_api.messages import RelayInfo
from strongroom_relay.store.embedded import EmbeddedStore


def run(*arguments: str) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        [sys.executable, "-m", "strongroom_relay.cli", *arguments], capture_output=True, timeout=30, check=False
    )


@pytest.fixture(scope="module")
def stopped(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, bytes, bytes]:
    """A folder with two objects, one in the database and one in a file."""
    folder = tmp_path_factory.mktemp("relay")
    small, large = os.urandom(100), os.urandom(100_000)
    with RelayProcess(folder) as process:
        served = Served(process, enrolled(process))
        for data in (small, large):
            target = f"{served.base}/objects/{name_of(data).hex()}"
            assert ask(process.address, "PUT", target, data, keys=served.account.device).status == 201
    return folder, small, large


def test_cat_writes_the_sealed_bytes(stopped: tuple[Path, bytes, bytes]) -> None:
    folder, small, large = stopped
    for data in (small, large):
        assert run("cat", name_of(data).hex(), "--data", str(folder)).stdout == data
    for wrong in ("00" * 32, "zz", "12"):
        done = run("cat", wrong, "--data", str(folder))
        assert (done.returncode, done.stdout) == (10, b"")
        assert done.stderr == (
            b"strongroom-relay: error: there is no such object\nhint: give the 64 hex digits of its name\n"
        )


def test_gc_says_what_it_removed(stopped: tuple[Path, bytes, bytes]) -> None:
    done = run("gc", "--data", str(stopped[0]))
    assert done.stdout == b"removed 0 objects, 0 bytes; 0 files left by a crash\n"


@pytest.mark.parametrize("running", [False, True])
def test_a_token_made_later_registers_one_account(tmp_path: Path, running: bool) -> None:
    process = RelayProcess(tmp_path).start()
    if not running:
        process.stop()
    token = run("token", "--data", str(tmp_path)).stdout.decode().strip()
    assert re.fullmatch(r"[0-9a-f]{30}", token)
    if not running:
        process.start()
    info = RelayInfo.parse(ask(process.address, "GET", "/v1/relay").body)
    answers = [
        ask(process.address, "POST", "/v1/accounts", Account(name, info.receipt_key).registration(token).encode())
        for name in ("berta", "clara")
    ]
    assert [answer.status for answer in answers] == [201, 403]
    assert process.stop() == 0


def test_tokens_can_be_made_while_a_relay_writes(tmp_path: Path) -> None:
    with RelayProcess(tmp_path, open_registration=True) as process:
        served = Served(process, enrolled(process))
        stop = threading.Event()
        refused: list[int] = []

        def writing() -> None:
            while not stop.is_set():
                data = os.urandom(2000)
                target = f"{served.base}/objects/{name_of(data).hex()}"
                status = ask(process.address, "PUT", target, data, keys=served.account.device).status
                refused.extend([status] if status != 201 else [])

        threads = [threading.Thread(target=writing) for _ in range(3)]
        for thread in threads:
            thread.start()
        made = [run("token", "--data", str(tmp_path)) for _ in range(5)]
        stop.set()
        for thread in threads:
            thread.join()
        assert [done.returncode for done in made] == [0] * 5
        assert len({done.stdout for done in made}) == 5
        assert refused == []


def test_a_folder_has_one_relay(tmp_path: Path) -> None:
    with RelayProcess(tmp_path):
        for command in (["serve", "--listen", "127.0.0.1:0"], ["gc"]):
            busy = run(*command, "--data", str(tmp_path))
            assert busy.returncode == 11
            assert busy.stderr == (
                b"strongroom-relay: error: another relay process is using that folder\n"
                b"hint: stop it first, or give another --data\n"
            )


def test_administering_a_vault_folder_leaves_it_one(tmp_path: Path) -> None:
    """With a write-ahead log a vault folder could not lie on a network share any more."""
    store = EmbeddedStore(tmp_path, folder_vault=True)
    assert run("doctor", "--data", str(tmp_path)).returncode == 11  # reading would hold the client up
    store.close()
    for command in ("doctor", "gc"):
        assert run(command, "--data", str(tmp_path)).returncode == 0
        assert (tmp_path / "relay.db").read_bytes()[18:20] == b"\x01\x01"


@pytest.mark.parametrize(
    ("arguments", "status", "text"),
    [
        (["serve", "--listen", "8790"], 2, "--listen is HOST:PORT"),
        (["serve", "--listen", "127.0.0.1:99999"], 2, "--listen is HOST:PORT"),
        (["serve", "--origin", "relay.example"], 2, "--origin is https://HOST[:PORT]"),
        (["serve", "--origin", "https://relay.example/path"], 2, "--origin is https://HOST[:PORT]"),
        (["serve", "--account-bytes", "-5"], 2, "--account-bytes"),
        (["serve", "--window-days", "-1"], 2, "--window-days"),
        (["serve", "--listen", "203.0.113.1:80"], 1, "cannot listen"),
        (["gc"], 1, "there is no relay in that folder"),
        (["token"], 1, "there is no relay in that folder"),
    ],
)
def test_errors_say_what_is_wrong_and_what_to_do(tmp_path: Path, arguments: list[str], status: int, text: str) -> None:
    done = run(*arguments, "--data", str(tmp_path / "none"))
    assert done.returncode == status
    assert re.match(rf"strongroom-relay: error: .*{re.escape(text)}.*\nhint: .+\n$", done.stderr.decode()), done.stderr
    assert b"Traceback" not in done.stderr


def test_a_folder_that_is_no_relay_or_newer_is_refused(tmp_path: Path) -> None:
    import sqlite3

    with RelayProcess(tmp_path):
        pass
    database = sqlite3.connect(tmp_path / "relay.db")
    database.execute("PRAGMA user_version = 99")
    database.close()
    done = run("serve", "--listen", "127.0.0.1:0", "--data", str(tmp_path))
    assert done.returncode == 13
    assert b"newer" in done.stderr
    assert b"hint: upgrade" in done.stderr
    (tmp_path / "relay.db").write_bytes(b"no database" * 1000)
    done = run("serve", "--listen", "127.0.0.1:0", "--data", str(tmp_path))
    assert done.returncode == 1
    assert b"Traceback" not in done.stderr


def test_an_origin_behind_a_proxy_is_taken_in_its_normal_form(tmp_path: Path) -> None:
    with RelayProcess(tmp_path, "--origin", "https://Relay.Example:443/") as process:
        assert RelayInfo.parse(ask(process.address, "GET", "/v1/relay").body).origin == "https://relay.example"
