"""The whole story, over HTTP and in a folder: keep it, find it, take it with you."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from cli.command import CHATS, Person, files
from relay_process import RelayProcess


@pytest.fixture(params=["http", "file"])
def address(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[str, str]]:
    """A relay's address and registration token."""
    if request.param == "file":
        yield f"file://{tmp_path}/store", ""
        return
    with RelayProcess(tmp_path / "relay") as relay:
        yield relay.url, relay.token


def test_from_the_first_import_to_an_identical_export_on_a_second_device(
    address: tuple[str, str], tmp_path: Path
) -> None:
    url, token = address
    person = Person(tmp_path / "home")
    person.init(url, "ada", vault="laptop", token=token)
    added = person.json("import", person.write("chats.jsonl", CHATS), "--vault", "laptop")
    assert (added["added"], added["report"]["not_understood"]) == (7, 1)
    assert added["report"]["kinds"]["unsupported"] == 1

    chats = person.json("chats", "--vault", "laptop")["chats"]
    assert [(chat["id"], chat["title"]) for chat in chats] == [("work", ""), ("family", "Family")]
    shown = person.json("show", "Family", "--vault", "laptop")["messages"]
    assert [message["text"] for message in shown if message["id"] == "1"] == ["Eight?"]
    assert [message["reactions"] for message in shown if message["id"] == "2"] == [[["ann", "👍"]]]
    assert person.json("verify", "--vault", "laptop")["damaged"] == {}

    phone = ("--vault", "phone")
    login = ("login", *phone, "--relay", url, "--account", "ada", "--passphrase-file", "pw")
    first = person.run(*login)
    assert "read-only" in first.out
    assert "--confirm-devices" in first.out
    assert person.json("status", *phone)["writable"] is False
    refused = person.run("import", "chats.jsonl", *phone, expect=2)
    assert "read-only" in refused.err

    assert person.json("restore", *phone)["records"] == 7
    person.run("export", "out-laptop", "--vault", "laptop")
    person.run("export", "out-phone", *phone)
    exported = files(person.folder / "out-laptop")
    assert exported == files(person.folder / "out-phone")
    assert any(b'"something-new","conversation":"family","payload":[1,2.50,null]' in data.replace(b"\\", b"")
               for data in exported.values())  # fmt: skip

    assert person.json(*login, "--confirm-devices")["writable"] is True
    again = person.json("import", "chats.jsonl", "out-phone", *phone)
    assert again["added"] == 0
    assert len(person.json("status", "--vault", "laptop")["devices"]) == 2


def test_the_recovery_code_alone_opens_the_account(address: tuple[str, str], tmp_path: Path) -> None:
    url, token = address
    person = Person(tmp_path / "home")
    person.init(url, "ada", vault="laptop", token=token)
    person.run("import", person.write("chats.jsonl", CHATS), "--vault", "laptop")
    login = ("login", "--vault", "phone", "--relay", url, "--account", "Ada", "--recovery-code-file", "code-ada")
    forgotten = {"STRONGROOM_PASSPHRASE": "whatever it was", "STRONGROOM_PASSPHRASE_FILE": "none"}
    opened = person.json(*login, "--confirm-devices", env=forgotten)
    assert (opened["writable"], len(opened["devices"])) == (True, 2)
    assert len(person.json("chats", "--vault", "phone")["chats"]) == 2


def test_a_device_reads_what_it_restored_without_its_relay(tmp_path: Path) -> None:
    person = Person(tmp_path / "home")
    with RelayProcess(tmp_path / "relay") as relay:
        person.init(relay.url, "ada", token=relay.token)
        person.run("import", person.write("chats.jsonl", CHATS), "--vault", "vault")
        person.run("restore", "--vault", "vault")
        person.run("export", "before", "--vault", "vault")
    assert len(person.json("chats", "--vault", "vault")["chats"]) == 2
    assert "relay was not reached" in person.run("status", "--vault", "vault").out
    person.run("export", "after", "--vault", "vault")
    assert files(person.folder / "before") == files(person.folder / "after")
    assert person.run("verify", "--vault", "vault", expect=14).err


def test_a_two_secret_account_needs_both(relay: RelayProcess, tmp_path: Path) -> None:
    person = Person(tmp_path / "home")
    account = ("--relay", relay.url, "--account", "both", "--passphrase-file", "pw")
    person.run("init", "--vault", "a", *account, "--two-secret", "--recovery-code-out", "code")
    person.run("login", "--vault", "b", *account, expect=12)
    person.run("login", "--vault", "b", *account[:4], "--recovery-code-file", "code", expect=12)
    assert person.json("login", "--vault", "b", *account, "--recovery-code-file", "code")["name"] == "both"


def test_a_script_may_give_every_verb_the_same_options(tmp_path: Path) -> None:
    person = Person(tmp_path / "home")
    url = f"file://{tmp_path}/store"
    person.init(url, "ada", vault="v")
    chats = person.write("chats.jsonl", CHATS)
    same = ("--vault", "v", "--relay", url, "--account", "ada", "--passphrase-file", "pw")
    for verb in (
        ("import", chats),
        ("chats",),
        ("show", "Family"),
        ("restore",),
        ("verify",),
        ("status",),
        ("export", "o"),
    ):
        person.json(*verb, *same)
    other = person.json("status", "--vault", "v", "--account", "bob", expect=10)
    assert other["exit"] == 10
