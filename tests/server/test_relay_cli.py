"""`strongroom-relay`: administration of a folder, and its error texts (docs/relay.md)."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from relay_process import RelayProcess
from server.account_builder import Account, ask, name_of
from server.conftest import Served, enrolled
from strongroom_protocol.relay_api.messages import RelayInfo


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


def test_attack_088_doctor_finds_flipped_bits(stopped: tuple[Path, bytes, bytes]) -> None:
    folder, _, large = stopped
    assert run("doctor", "--data", str(folder)).returncode == 0
    (path,) = (folder / "objects").glob(f"??/*.{name_of(large).hex()}")
    path.write_bytes(b"\x00" + large[1:] if large[0] else b"\x01" + large[1:])
    done = run("doctor", "--data", str(folder))
    assert done.returncode == 13
    assert name_of(large).hex().encode() in done.stdout
    path.write_bytes(large)
    assert run("doctor", "--data", str(folder)).returncode == 0


def test_gc_says_what_it_removed(stopped: tuple[Path, bytes, bytes]) -> None:
    done = run("gc", "--data", str(stopped[0]))
    assert done.stdout == b"removed 0 objects, 0 bytes; 0 files left by a crash\n"


def test_a_token_made_later_registers_one_account(stopped: tuple[Path, bytes, bytes]) -> None:
    token = run("token", "--data", str(stopped[0])).stdout.decode().strip()
    assert re.fullmatch(r"[0-9a-f]{30}", token)
    with RelayProcess(stopped[0]) as process:
        assert process.token == ""
        info = RelayInfo.parse(ask(process.address, "GET", "/v1/relay").body)
        answers = [
            ask(process.address, "POST", "/v1/accounts", Account(name, info.receipt_key).registration(token).encode())
            for name in ("berta", "clara")
        ]
        assert [answer.status for answer in answers] == [201, 403]
        busy = run("gc", "--data", str(stopped[0]))
        assert busy.returncode == 11
        assert busy.stderr.startswith(b"strongroom-relay: error: another relay process is using that folder\nhint: ")


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
