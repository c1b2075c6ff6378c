"""Devices, removals and secrets at the command line, over a relay as a process (docs/cli.md)."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from cli.command import Person
from relay_process import RelayProcess

LOGIN = ("--account", "ada", "--passphrase-file", "pw")
NEW = "seven quiet otters paint the harbour"


@pytest.fixture
def relay(tmp_path: Path) -> Iterator[RelayProcess]:
    with RelayProcess(tmp_path / "relay", open_registration=True) as running:
        yield running


@pytest.fixture
def ada(relay: RelayProcess, tmp_path: Path) -> Person:
    """Ada with a laptop, a phone and a tablet."""
    person = Person(tmp_path / "ada")
    person.json(
        "init", "--vault", "laptop", "--relay", relay.url, *LOGIN, "--recovery-code-out", "code",
        "--device-name", "laptop",
    )  # fmt: skip
    for name in ("phone", "tablet"):
        person.json("login", "--vault", name, "--relay", relay.url, *LOGIN, "--confirm-devices", "--device-name", name)
    person.run("append", "family", "before", "--vault", "laptop")
    return person


def _texts(person: Person, vault: str, *more: str) -> list[str]:
    return [item["text"] for item in person.json("show", "family", "--vault", vault, *more)["messages"]]


def test_devices_are_listed_renamed_and_removed(ada: Person) -> None:
    listed = ada.json("devices", "--vault", "laptop")["devices"]
    assert [(item["name"], item["this"]) for item in listed] == [("laptop", True), ("phone", False), ("tablet", False)]
    assert "phone" in ada.run("devices", "--vault", "laptop").out

    ada.json(
        "devices", "--vault", "laptop", "--passphrase-file", "pw", "--rename", "tablet", "--device-name", "kitchen"
    )
    # A name nobody has, one that is not clear, the device itself, and nobody to ask: nothing is removed.
    unlock = ("--vault", "laptop", "--passphrase-file", "pw")
    assert ada.json("revoke", "nobody", "--yes", *unlock, expect=10)["error"]
    assert ada.json("revoke", "laptop", "--yes", *unlock, expect=2)["error"]
    assert ada.json("revoke", "phone", *unlock, expect=2)["hint"] == "use --yes"
    assert len(ada.json("devices", "--vault", "laptop")["devices"]) == 3

    done = ada.json("revoke", "kitchen", listed[1]["id"][:8], "--yes", *unlock)
    assert [item["name"] for item in done["removed"]] == ["kitchen", "phone"]
    assert [item["name"] for item in done["devices"]] == ["laptop"]

    log = ada.json("devices", "--log", "--vault", "laptop")["log"]
    assert [(event["what"], event["name"]) for event in log] == [
        ("account created", "laptop"),
        ("device added; authority: passphrase", "phone"),
        ("device added; authority: passphrase", "kitchen"),
        ("device renamed; authority: passphrase", "kitchen"),
        ("device removed; authority: passphrase", "kitchen"),
        ("device removed; authority: passphrase", "phone"),
    ]
    assert "device removed; authority: passphrase: phone" in ada.run("devices", "--log", "--vault", "laptop").out

    gone = ada.json("append", "family", "from the phone", "--vault", "phone", expect=10)
    assert "login --again" in gone["hint"]
    assert _texts(ada, "laptop") == ["before"]


def test_a_removed_device_with_the_help_of_the_relay_reads_and_writes_nothing_new(
    ada: Person, relay: RelayProcess, tmp_path: Path
) -> None:
    """It keeps its folder; the relay lets its key in again, and hands it its whole storage."""
    assert _texts(ada, "phone") == ["before"]
    database = relay.folder / "relay.db"
    with sqlite3.connect(database) as opened:
        members = set(opened.execute("SELECT account, key FROM members"))
    ada.run("revoke", "phone", "--yes", "--vault", "laptop", "--passphrase-file", "pw")
    ada.run("append", "family", "after", "--vault", "laptop")
    relay.stop()
    with sqlite3.connect(database) as opened:
        left = set(opened.execute("SELECT account, key FROM members"))
        assert len(members - left) == 1
        opened.executemany("INSERT OR IGNORE INTO members VALUES(?, ?)", members)
    shutil.copytree(ada.folder / "phone", ada.folder / "phone as it was")
    relay.start()

    for verb in (("show", "family"), ("restore",), ("verify",), ("export", "leak"), ("chats",)):
        run = ada.run(*verb, "--vault", "phone", "--relay", relay.url, "--json", expect=None)
        assert run.code not in (0, 3), run
        assert "after" not in run.out + run.err
    written = ada.run(
        "append", "family", "forged", "--vault", "phone as it was", "--relay", relay.url, "--json", expect=None
    )
    assert written.code != 0, written
    for vault in ("laptop", "tablet"):
        assert _texts(ada, vault, "--relay", relay.url) == ["before", "after"]


def test_secrets_are_changed_added_and_removed(ada: Person, relay: RelayProcess) -> None:
    ada.write("new", NEW)
    ada.write("weak", "password123456")
    unlock = ("--vault", "laptop", "--passphrase-file", "pw")
    slots = ada.json("passphrase", "list", *unlock)["slots"]
    assert [slot["kind"] for slot in slots] == ["passphrase", "recovery code"]
    weak = ada.json("passphrase", "change", *unlock, "--new-passphrase-file", "weak", expect=2)
    assert "guess" in weak["message"]
    assert ada.json("passphrase", "change", "--vault", "laptop", "--passphrase-file", "new",
                    "--new-passphrase-file", "new", expect=12)["hint"]  # fmt: skip

    said = ada.run("passphrase", "change", *unlock, "--new-passphrase-file", "new")
    assert "the passphrase is changed" in said.out
    assert ada.json("login", "--vault", "late", "--relay", relay.url, *LOGIN, expect=12)["hint"]
    later = ("--account", "ada", "--passphrase-file", "new")
    ada.json("login", "--vault", "late", "--relay", relay.url, *later)
    assert _texts(ada, "phone") == ["before"]  # the other devices go on
    ada.run("append", "family", "after", "--vault", "phone")

    # The passphrase is forgotten: the recovery code gives back control.
    code = ("--vault", "laptop", "--recovery-code-file", "code")
    ada.json("passphrase", "change", *code, "--new-passphrase-file", "pw")
    ada.json("login", "--vault", "later", "--relay", relay.url, *LOGIN)

    ada.json("passphrase", "add", *unlock, "--new-passphrase-file", "new", "--label", "for Bob")
    assert ada.json("passphrase", "add", *unlock, "--new-passphrase-file", "new", expect=2)["error"]
    left = ada.json("passphrase", "remove", "for Bob", *unlock)["slots"]
    assert [slot["kind"] for slot in left] == ["recovery code", "passphrase"]
    assert ada.json("passphrase", "remove", "for Bob", *unlock, expect=10)["hint"].startswith("one of:")
    ada.json("passphrase", "remove", "recovery code", *unlock)
    last = ada.json("passphrase", "remove", "passphrase", *unlock, expect=2)
    assert "last" in last["message"]


def test_both_secrets_together(ada: Person, relay: RelayProcess) -> None:
    unlock = ("--vault", "laptop", "--passphrase-file", "pw")
    assert ada.json("passphrase", "two-secret", *unlock, expect=2)["hint"] == "add --recovery-code-file FILE"
    slots = ada.json("passphrase", "two-secret", *unlock, "--recovery-code-file", "code")["slots"]
    assert [slot["kind"] for slot in slots] == ["passphrase and recovery code"]
    ada.json("login", "--vault", "new", "--relay", relay.url, *LOGIN, expect=12)
    ada.json("login", "--vault", "new", "--relay", relay.url, *LOGIN, "--recovery-code-file", "code")
    assert _texts(ada, "new") == ["before"]
