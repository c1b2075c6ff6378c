"""Two real processes over a real relay process: linking, and each of the three killed in the middle."""

from __future__ import annotations

import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from cli.command import Person
from relay_process import RelayProcess

SECONDS = 60.0


def start(person: Person, *arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        person.command(*arguments), cwd=person.folder, env=person.environment(), text=True, stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + SECONDS
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def ended(process: subprocess.Popen[str], expect: int = 0) -> str:
    out, err = process.communicate(timeout=SECONDS)
    assert process.returncode == expect, (process.returncode, out, err)
    assert "Traceback" not in out + err
    return out


class Pair:
    """Ada's old device and her new one."""

    def __init__(self, folder: Path, relay: RelayProcess) -> None:
        self.relay = relay
        self.old = Person(folder / "old")
        self.new = Person(folder / "new")
        self.account = f"ada-{folder.name}".replace("_", "-")
        self.old.init(relay.url, self.account)
        self.codes = self.old.folder / "codes"

    def link(self) -> subprocess.Popen[str]:
        """The old side, until the code is there."""
        process = start(
            self.old, "link", "--vault", "vault", "--passphrase-file", "pw", "--code-out", "codes", "--yes-name",
            "phone", "--json",
        )  # fmt: skip
        until(lambda: (self.codes.exists() and self.codes.read_text().count("\n") == 2) or process.poll() is not None)
        assert process.poll() is None, process.communicate()
        return process

    def join(self, code: str, name: str = "phone") -> subprocess.Popen[str]:
        self.new.write("code", code + "\n")
        return start(
            self.new, "login", "--link-code-file", "code", "--vault", "vault", "--relay", self.relay.url,
            "--device-name", name, "--json",
        )  # fmt: skip

    @property
    def short(self) -> str:
        return self.codes.read_text().splitlines()[0]

    @property
    def long(self) -> str:
        return self.codes.read_text().splitlines()[1]

    def check(self) -> None:
        """Both may write, and each reads what the other has written."""
        self.new.run("append", "c", "from the new one", "--vault", "vault")
        self.old.run("append", "c", "from the old one", "--vault", "vault")
        shown = self.new.run("show", "c", "--vault", "vault").out
        assert "from the new one" in shown
        assert "from the old one" in shown
        status: dict[str, Any] = self.new.json("status", "--vault", "vault")
        assert [device["name"] for device in status["devices"]].count("phone") == 1
        assert not (self.new.folder / "vault" / "link").exists()


@pytest.fixture
def pair(tmp_path: Path, relay: RelayProcess) -> Pair:
    return Pair(tmp_path, relay)


@pytest.mark.parametrize("form", ["short", "long"])
def test_a_new_device_is_let_in_by_its_code(pair: Pair, form: str) -> None:
    old = pair.link()
    new = pair.join(getattr(pair, form))
    assert '"writable": true' in ended(new)
    assert '"name": "phone"' in ended(old)
    pair.check()


def test_another_name_than_the_expected_is_not_let_in(pair: Pair) -> None:
    old = pair.link()
    new = pair.join(pair.short, name="stranger")
    assert '"error": "CallError"' in ended(new, 2)
    assert '"error": "CallError"' in ended(old, 2)
    assert not (pair.new.folder / "vault").exists()
    devices = pair.old.json("status", "--vault", "vault")["devices"]
    assert len(devices) == 1


def test_the_old_side_killed_goes_on_with_the_same_code(pair: Pair) -> None:
    old = pair.link()
    before = pair.codes.read_text()
    old.send_signal(signal.SIGKILL)
    old.communicate()
    again = pair.link()
    assert pair.codes.read_text() == before
    new = pair.join(pair.short)
    ended(new)
    ended(again)
    pair.check()


def test_the_new_side_killed_while_it_waits_goes_on_without_a_code(pair: Pair) -> None:
    old = pair.link()
    code = pair.short
    old.send_signal(signal.SIGSTOP)  # the answer lies there and nobody judges it
    try:
        new = pair.join(code)
        until(lambda: (pair.new.folder / "vault/link/device.db").exists())
        time.sleep(1.0)
        new.send_signal(signal.SIGKILL)
        new.communicate()
        assert not (pair.new.folder / "vault/device.db").exists()
    finally:
        old.send_signal(signal.SIGCONT)
    ended(pair.join(code))
    ended(old)
    pair.check()


def test_both_survive_a_relay_that_is_killed_and_comes_back(tmp_path: Path) -> None:
    with RelayProcess(tmp_path / "relay", open_registration=True) as relay:
        pair = Pair(tmp_path, relay)
        old = pair.link()
        relay.kill()
        new = pair.join(pair.long)
        time.sleep(0.5)
        relay.start()
        ended(new)
        ended(old)
        pair.check()


def test_a_vault_in_a_folder_says_how_to_log_in_instead(tmp_path: Path) -> None:
    person = Person(tmp_path)
    person.init(f"file://{tmp_path}/shared", "ada")
    run = person.run("link", "--vault", "vault", "--passphrase-file", "pw", "--yes-name", "phone", expect=2)
    assert "passphrase" in run.err
