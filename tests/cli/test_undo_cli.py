"""Going back, and starting again in the same folder, at the command line over a relay as a process (docs/cli.md)."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from cli.command import CHATS, Person
from relay_process import RelayProcess

LOGIN = ("--account", "ada", "--passphrase-file", "pw")
UNLOCK = ("--vault", "laptop", "--passphrase-file", "pw")


@pytest.fixture
def relay(tmp_path: Path) -> Iterator[RelayProcess]:
    with RelayProcess(tmp_path / "relay", open_registration=True) as running:
        yield running


@pytest.fixture
def ada(relay: RelayProcess, tmp_path: Path) -> Person:
    """Ada with a laptop, a phone and a tablet, and two chats."""
    person = Person(tmp_path / "ada")
    person.json(
        "init", "--vault", "laptop", "--relay", relay.url, *LOGIN, "--recovery-code-out", "code",
        "--device-name", "laptop",
    )  # fmt: skip
    person.run("import", person.write("chats.jsonl", CHATS), "--vault", "laptop")
    for name in ("phone", "tablet"):
        person.json("login", "--vault", name, "--relay", relay.url, *LOGIN, "--confirm-devices", "--device-name", name)
    return person


def _texts(person: Person, chat: str, vault: str) -> list[str]:
    """What stands in a chat; without messages that were deleted."""
    return [item["text"] for item in person.json("show", chat, "--vault", vault)["messages"] if item["text"]]


def test_a_stolen_phone_deletes_everything_and_is_undone(ada: Person) -> None:
    before = _texts(ada, "family", "laptop")
    for ident in ("1", "2"):
        ada.run("delete", "family", ident, "--vault", "phone")
    ada.run("compact", "--vault", "phone")
    ada.run("append", "family", "from the tablet", "--vault", "tablet")
    ada.run("delete", "work", "w1", "--vault", "phone")
    assert _texts(ada, "family", "laptop") == ["from the tablet"]

    listed = ada.json("undo", "--list", "--vault", "laptop")["versions"]
    assert [item["version"] for item in listed] == list(range(len(listed), 0, -1))
    assert {item["name"] for item in listed} == {"laptop", "phone", "tablet"}
    # A phone that has just been confirmed commits too; it is the deleting after the tablet came that is undone.
    to = max(
        item["version"] for item in listed if item["name"] == "tablet" and item["version"] < listed[0]["version"] - 2
    )
    assert f"{to:>7}  " in ada.run("undo", "--list", "--vault", "laptop").out
    assert len(ada.json("undo", "--list", "--last", "2", "--vault", "laptop")["versions"]) == 2

    nobody = ada.json("undo", "--to", str(to), "--yes", *UNLOCK, expect=10)
    assert nobody["message"] == f"no device was removed since version {to}"
    assert "name one with --device" in nobody["hint"]
    assert ada.json("undo", "--to", str(to), "--device", "phone", *UNLOCK, expect=2)["hint"].startswith("use --yes")
    for wrong in (
        (),
        ("--list", "--to", "1"),
        ("--to", "1", "--device", "phone", "--all-after"),
        ("--to", "1", "--revoke"),
    ):
        ada.json("undo", *wrong, *UNLOCK, expect=2)
    ada.json("undo", "--to", "1", "--device", "nobody's", *UNLOCK, expect=10)
    ada.json("undo", "--to", "10000", "--device", "phone", *UNLOCK, expect=2)

    plan = ada.json("undo", "--to", str(to), "--device", "phone", "--dry-run", *UNLOCK)
    assert (plan["dry_run"], plan["version"], plan["kept"]) == (True, None, 1)
    assert list(plan["commits"].values()) == [
        len([item for item in listed if item["name"] == "phone" and item["version"] > to])
    ]
    assert _texts(ada, "family", "laptop") == ["from the tablet"]

    done = ada.run("undo", "--to", str(to), "--device", "phone", "--revoke", "--yes", *UNLOCK)
    assert f"went back to version {to}" in done.out
    assert "taken out: " in done.err
    assert " by phone (" in done.err
    assert "1 record that others wrote since" in done.err
    for vault in ("laptop", "tablet"):
        assert _texts(ada, "family", vault) == [*before, "from the tablet"]
        assert _texts(ada, "work", vault) == ["The report is ready"]
    assert [item["name"] for item in ada.json("devices", "--vault", "laptop")["devices"]] == ["laptop", "tablet"]
    told = ada.json("undo", "--list", "--vault", "laptop")["versions"]
    assert {item["version"] for item in told if item["undone"]} == {
        item["version"] for item in listed if item["name"] == "phone" and item["version"] > to
    }
    assert told[0]["version"] == listed[0]["version"] + 1
    assert ada.json("verify", "--vault", "tablet")["damaged"] == {}
    log = ada.json("devices", "--log", "--vault", "tablet")["log"]
    assert [event["what"] for event in log if "undone" in event["what"]] == [
        f"undone to version {to}; authority: passphrase"
    ]


def test_a_device_that_was_removed_already_needs_no_name(ada: Person) -> None:
    to = ada.json("undo", "--list", "--vault", "laptop")["versions"][0]["version"]
    ada.run("append", "family", "spam", "--vault", "phone")
    ada.run("revoke", "phone", "--yes", *UNLOCK)
    done = ada.json("undo", "--to", str(to), "--yes", *UNLOCK)
    assert list(done["commits"].values()) == [1]
    assert "spam" not in _texts(ada, "family", "tablet")


def test_an_own_mistake_is_taken_out_with_what_all_others_did(ada: Person) -> None:
    to = ada.json("undo", "--list", "--vault", "laptop")["versions"][0]["version"]
    before = _texts(ada, "family", "laptop")
    ada.run("delete", "family", "1", "--vault", "laptop")
    ada.run("append", "family", "after", "--vault", "tablet")
    done = ada.json("undo", "--to", str(to), "--all-after", "--yes", *UNLOCK)
    assert len(done["commits"]) == 2
    assert _texts(ada, "family", "laptop") == before == _texts(ada, "family", "phone")
    ada.run("append", "family", "and on", "--vault", "tablet")
    assert _texts(ada, "family", "laptop") == [*before, "and on"]


def test_a_copied_folder_goes_on_as_a_device_of_its_own(ada: Person, relay: RelayProcess) -> None:
    """A machine is restored from a snapshot: two copies of one device, one of them writes, the other notices."""
    relay.stop()
    ada.run("append", "family", "waits in both", "--vault", "phone", "--relay", relay.url)
    relay.start()
    more = ("--relay", relay.url)
    shutil.copytree(ada.folder / "phone", ada.folder / "copy")
    ada.run("append", "family", "by the copy", "--vault", "copy", *more)
    stopped = ada.json("append", "family", "by the original", "--vault", "phone", *more, expect=13)
    assert "login --again" in stopped["hint"]

    ada.json("login", "--again", "--anchor", "x", "--vault", "phone", *more, *LOGIN, expect=2)
    reader = ada.run("login", "--again", "--vault", "phone", *more, *LOGIN)
    assert "read-only" in reader.out
    assert "stays listed" in reader.err
    assert "anchor of " in reader.out
    joined = ada.json("login", "--confirm-devices", "--device-name", "phone 2", "--vault", "phone", *more, *LOGIN)
    assert [item["name"] for item in joined["devices"]] == ["laptop", "phone", "tablet", "phone 2"]
    ada.run("append", "family", "after", "--vault", "phone", *more)
    for vault in ("laptop", "copy", "phone"):
        texts = ada.json("show", "family", "--vault", vault, *more)["messages"]
        said = [item["text"] for item in texts]
        assert [said.count(text) for text in ("waits in both", "by the copy", "by the original", "after")] == [1] * 4


def test_a_removed_device_starts_again_with_what_waits_in_it(ada: Person, relay: RelayProcess) -> None:
    ada.run("revoke", "phone", "--yes", *UNLOCK)
    ada.run("append", "family", "waits", "--vault", "phone", expect=10)
    again = ada.json("login", "--again", "--vault", "phone", "--confirm-devices", "--device-name", "phone", *LOGIN)
    assert (again["writable"], again["freshness"]) == (True, "pinned")
    ada.run("append", "family", "after", "--vault", "phone")
    assert _texts(ada, "family", "laptop")[-2:] == ["waits", "after"]
    other = ada.json("login", "--again", "--vault", "phone", "--account", "bob", "--passphrase-file", "pw", expect=10)
    assert "another account" in other["message"]
