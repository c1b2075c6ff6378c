"""Every documented exit code, met the way a person would meet it; nothing is changed by a command that fails."""

from __future__ import annotations

import fcntl
import os
import resource
import shutil
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest

from cli.command import CHATS, Person, files, noise
from relay_process import RelayProcess

OUT = ("--recovery-code-out", "c")


def login(relay: str, *more: str, account: str = "ada") -> tuple[str, ...]:
    return ("login", "--vault", "phone", "--relay", relay, "--account", account, *more)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "missing command"),
        (("leave",), "no such command"),
        (("chats", "--colour"), "no such option"),
        (("show",), "missing argument"),
        (("show", "x", "--last", "0"), "invalid value"),
        (("login", "hunter2"), "more arguments than"),
        (("init", "--account", "eve"), "--relay is needed"),
        (
            ("init", "--relay", "http://relay.example", "--account", "eve", "--recovery-code-out", "c"),
            "for loopback only",
        ),
        (("init", "--relay", "ftp://127.0.0.1", "--account", "eve", *OUT), "a relay address is"),
        (
            ("init", "--relay", "file:///nowhere", "--account", "a b", *OUT),
            "not a possible account",
        ),
        (("init", "--relay", "file:///nowhere", "--account", "eve"), "must be kept"),
    ],
)
def test_wrong_usage_is_2_and_says_what_is_wrong(eve: Person, arguments: tuple[str, ...], message: str) -> None:
    run = eve.run(*arguments, expect=2)
    assert message in run.err
    assert "hunter2" not in run.err
    if arguments:
        assert message in eve.json(*arguments, expect=2)["message"]
    assert files(eve.folder).keys() == {"pw"}


@pytest.mark.parametrize("verb", [(), ("init",), ("login",), ("import",), ("chats",), ("show",), ("restore",),
                                  ("verify",), ("status",), ("export",)])  # fmt: skip
def test_every_verb_has_help(eve: Person, verb: tuple[str, ...]) -> None:
    run = eve.run(*verb, "--help")
    assert run.out.startswith("Usage: strongroom")
    assert run.err == ""
    assert "Options:" in run.out


@pytest.mark.parametrize("verb", [("chats",), ("show", "x"), ("restore",), ("verify",), ("status",), ("export", "out")])
def test_no_vault_is_10(eve: Person, verb: tuple[str, ...]) -> None:
    assert "there is no vault" in eve.run(*verb, "--vault", "vault", expect=10).err


def test_no_such_chat_is_10(ada: Person) -> None:
    assert "no chat has that id or title" in ada.run("show", "Nobody", "--vault", "vault", expect=10).err


def test_a_mistyped_chat_or_verb_is_told_the_nearest(ada: Person) -> None:
    hint = ada.run("show", "famly", "--vault", "vault", expect=10).err
    assert "did you mean 'Family'?" in hint
    assert "did you mean" not in ada.run("show", "Nobody", "--vault", "vault", expect=10).err
    assert "Did you mean 'chats'?" in ada.run("chat", expect=2).err
    assert "mean" not in ada.run("xyzzy", expect=2).err


def test_a_disk_that_is_not_plugged_in_is_no_place_for_a_vault(eve: Person) -> None:
    address = ("--relay", f"file://{eve.folder}/stick/strongroom", "--account", "eve", "--passphrase-file", "pw")
    run = eve.run("init", "--vault", "vault", *address, "--recovery-code-out", "code", expect=2)
    assert "plug the disk in" in run.err
    assert files(eve.folder).keys() == {"pw"}


def test_status_without_the_relay_shows_no_zeros(ada: Person, relay: RelayProcess) -> None:
    with_relay = ada.run("status", "--vault", "vault").out
    assert "contents  " in with_relay
    assert " at most" in with_relay
    without = ada.run("status", "--vault", "vault", "--relay", "http://127.0.0.1:9").out
    assert "the relay was not reached" in without
    assert " 0 " not in without
    ada.run("status", "--vault", "vault", "--relay", relay.url)


def test_no_such_folder_vault_is_10(eve: Person) -> None:
    eve.run(*login(f"file://{eve.folder}/none", "--passphrase-file", "pw"), expect=10)
    assert files(eve.folder).keys() == {"pw"}


def test_another_process_holds_the_vault_is_11(ada: Person) -> None:
    with (ada.folder / "vault" / "lock").open("r+b") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert "another strongroom process" in ada.run("chats", "--vault", "vault", expect=11).err
    ada.run("chats", "--vault", "vault")


def test_wrong_passphrase_and_unknown_account_are_one_answer_12(ada: Person, relay: RelayProcess) -> None:
    ada.write("wrong", "another quiet harbour\n")
    wrong = ada.run(*login(relay.url, "--passphrase-file", "wrong"), expect=12)
    unknown = ada.run(*login(relay.url, "--passphrase-file", "pw", account="nobody"), expect=12)
    assert wrong == unknown
    assert not (ada.folder / "phone" / "device.db").exists()


def test_a_typo_in_the_recovery_code_is_12_and_names_the_group(ada: Person, relay: RelayProcess) -> None:
    code = (ada.folder / "code-ada").read_text().strip()
    at = code.index("-") * 3 + 4  # in the fourth group
    typo = code[:at] + ("X" if code[at] != "X" else "Y") + code[at + 1 :]
    run = ada.run(*login(relay.url, "--recovery-code-file", ada.write("typo", typo)), expect=12)
    assert "group 4 has a typo" in run.err
    assert code[:5] not in run.err
    other = "0000000001000020000300004000050000600007"
    short = ada.run(*login(relay.url, "--recovery-code-file", ada.write("short", other[:-1])), expect=12)
    assert "has 40 characters, this has 39" in short.err


def test_a_relay_that_does_not_answer_is_14(ada: Person, eve: Person) -> None:
    address = ("--relay", "http://127.0.0.1:9")
    assert "cannot be reached" in ada.run("verify", "--vault", "vault", *address, expect=14).err
    run = eve.run(
        "init", *address, "--account", "eve", "--passphrase-file", "pw", "--recovery-code-out", "c", expect=14
    )
    assert "check the address" in run.err
    assert files(eve.folder).keys() == {"pw"}


def test_another_relay_in_the_place_of_ours_is_10(ada: Person, tmp_path: Path) -> None:
    before = files(ada.folder / "vault")
    with RelayProcess(tmp_path / "other", open_registration=True) as other:
        ada.run("status", "--vault", "vault", "--relay", other.url, expect=10)
    assert files(ada.folder / "vault") == before


def test_our_relay_with_another_receipt_key_is_13_and_the_pin_stays(tmp_path: Path) -> None:
    person, store = Person(tmp_path), tmp_path / "store"
    person.init(f"file://{store}", "ada")
    person.run("import", person.write("chats.jsonl", CHATS), "--vault", "vault")
    with sqlite3.connect(store / "relay.db") as database:
        database.execute("UPDATE settings SET value = ? WHERE name = 'receipt-seed'", (os.urandom(32),))
        database.execute("DELETE FROM heads WHERE version > 1")
    database.close()
    before = files(person.folder / "vault")
    assert person.json("chats", "--vault", "vault", expect=13)["failure"]
    assert files(person.folder / "vault") == before


def test_a_vault_of_a_newer_version_is_13_upgrade(ada: Person) -> None:
    shutil.copytree(ada.folder / "vault", ada.folder / "newer")
    with sqlite3.connect(ada.folder / "newer" / "device.db") as database:
        database.execute("PRAGMA user_version = 99")
    database.close()
    assert "upgrade strongroom" in ada.run("chats", "--vault", "newer", expect=13).err


def test_a_damaged_state_is_2_and_says_to_log_in_again(ada: Person) -> None:
    shutil.copytree(ada.folder / "vault", ada.folder / "damaged")
    (ada.folder / "damaged" / "device.db").write_bytes(b"no database " * 1000)
    assert "log in again" in ada.run("chats", "--vault", "damaged", expect=2).err


def test_the_cap_is_15_and_nothing_is_lost(tmp_path: Path) -> None:
    person = Person(tmp_path / "home")
    with RelayProcess(tmp_path / "relay", "--account-bytes", "120000", open_registration=True) as relay:
        person.init(relay.url, "ada")
        person.run("import", person.write("chats.jsonl", CHATS), "--vault", "vault")
        person.run("export", "before", "--vault", "vault")
        full = person.run("import", person.write("noise.jsonl", noise(1000, 300)), "--vault", "vault", expect=15)
        assert "raise the cap" in full.err
        person.run("verify", "--vault", "vault")
        person.run("export", "after", "--vault", "vault")
    assert files(person.folder / "before") == files(person.folder / "after")


@pytest.mark.parametrize("size", [8192, 100_000])
def test_a_full_disk_at_the_client_is_15_and_the_same_command_completes(tmp_path: Path, size: int) -> None:
    """A limit on file sizes stands in for the disk: the small one hits the state, the large one kept objects."""
    person = Person(tmp_path)
    person.init(f"file://{tmp_path}/store", "ada")
    person.run("import", person.write("noise.jsonl", noise(3000, 100)), "--vault", "vault")

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))

    person.run("restore", "--vault", "vault", limit=limit, expect=15)
    assert person.json("restore", "--vault", "vault")["records"] == 3000


def _truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-20])


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda folder: None, "cannot read"),
        (lambda folder: folder.mkdir(), "in no format that is known"),
        (lambda folder: folder.write_bytes(os.urandom(3000)), "in no format that is known"),
        (lambda folder: folder.write_text(""), "in no format that is known"),
        (lambda folder: folder.write_bytes(CHATS.encode() + b'{"type":"message","text":"\xff"}\n'), "is not UTF-8"),
    ],
)
def test_what_is_no_export_is_2_and_the_vault_untouched(
    ada: Person, tmp_path: Path, make: Callable[[Path], None], message: str
) -> None:
    make(tmp_path / "export")
    before = files(ada.folder / "vault")
    assert message in ada.run("import", str(tmp_path / "export"), "--vault", "vault", expect=2).err
    assert files(ada.folder / "vault") == before


def test_a_truncated_export_of_ours_is_2(ada: Person) -> None:
    ada.run("export", "broken", "--vault", "vault")
    for path in (ada.folder / "broken" / "chats").iterdir():
        _truncate(path)
    assert "not as it was exported" in ada.run("import", "broken", "--vault", "vault", expect=2).err


def test_an_export_replaces_an_export_and_nothing_else(ada: Person, tmp_path: Path) -> None:
    mine = tmp_path / "photos"
    mine.mkdir()
    (mine / "cat.jpg").write_bytes(b"cat")
    assert "holds other files" in ada.run("export", str(mine), "--vault", "vault", expect=2).err
    assert files(mine) == {"cat.jpg": b"cat"}
    ada.run("export", "twice", "--vault", "vault")
    ada.run("export", "twice", "--vault", "vault")


def test_init_does_not_touch_a_vault_or_a_recovery_code_that_is_there(ada: Person, relay: RelayProcess) -> None:
    before = files(ada.folder / "vault") | {"code": (ada.folder / "code-ada").read_bytes()}
    init = ("init", "--relay", relay.url, "--account", "second", "--passphrase-file", "pw", "--recovery-code-out")
    assert "already a vault" in ada.run(*init, "new-code", "--vault", "vault", expect=2).err
    assert "exists already" in ada.run(*init, "code-ada", "--vault", "second", expect=2).err
    assert not (ada.folder / "new-code").exists()
    assert files(ada.folder / "vault") | {"code": (ada.folder / "code-ada").read_bytes()} == before


def test_a_taken_name_or_a_missing_token_is_2_and_leaves_no_code_behind(ada: Person, tmp_path: Path) -> None:
    with RelayProcess(tmp_path / "relay") as closed:
        init = ("init", "--relay", closed.url, "--passphrase-file", "pw", "--recovery-code-out", "code", "--vault", "v")
        assert "--registration-token" in ada.run(*init, "--account", "ada", expect=2).err
        assert not (ada.folder / "code").exists()
        ada.run(*init, "--account", "ada", "--registration-token", closed.token)
