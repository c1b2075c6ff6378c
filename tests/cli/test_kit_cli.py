"""Recovery kits at the command line: made, tried, used on an empty machine, through kills and lies (docs/cli.md)."""

from __future__ import annotations

import shutil
import stat
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from cli.command import Person
from relay_process import RelayProcess
from strongroom.kit import read_kit
from strongroom.kit_renewal import FILE, begun
from strongroom_protocol.keys import recovery_code

ACCOUNT = ("--account", "ada", "--passphrase-file", "pw")
UNLOCK = ("--vault", "vault", "--passphrase-file", "pw")

KILLED = """
import os
from strongroom.transport.http import HttpTransport
honest = HttpTransport.commit
async def commit(self, account, request):
    {before}
    answer = await honest(self, account, request)
    os._exit(130)
HttpTransport.commit = commit
"""
"""A machine that loses its power around the commit."""

FULL = """
import os
honest = os.replace
def replace(source, target):
    if str(target).endswith(".html"):
        raise OSError(28, "full")
    honest(source, target)
os.replace = replace
"""
"""A disk without room for the page."""


@dataclass(slots=True)
class Home:
    """Ada's relay, and Ada, who has a kit from the first day."""

    ada: Person
    relay: RelayProcess

    def code(self, file: str) -> str:
        return recovery_code.render(read_kit((self.ada.folder / file).read_text()).code)

    def begun(self) -> int:
        return len(begun(self.ada.folder / "vault"))


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Home]:
    ada = Person(tmp_path / "ada")
    with RelayProcess(tmp_path / "relay", open_registration=True) as relay:
        ada.run(
            "init", "--vault", "vault", "--relay", relay.url, *ACCOUNT, "--kit", "first.html", "--device-name", "mac"
        )
        ada.run("append", "family", "before", "--vault", "vault")
        yield Home(ada, relay)


def test_a_kit_from_the_first_day_to_an_empty_machine(home: Home) -> None:
    ada = home.ada
    assert stat.S_IMODE((ada.folder / "first.html").stat().st_mode) == 0o600
    found = ada.json("recovery-kit", "verify", "first.html")
    assert (found["name"], found["relay"], found["devices"], found["since"]) == ("ada", home.relay.url, 1, 1)
    assert "anchor    a moment ago, 1 state before the newest" in ada.run("recovery-kit", "verify", "first.html").out

    # All that is left is a scanned line; the environment of this machine knows another relay.
    line = read_kit((ada.folder / "first.html").read_text()).to_text().upper()
    bob = Person(ada.folder.parent / "machine")
    bob.write("kit.txt", f"{line[:200]}\n{line[200:]}\n")
    elsewhere = {"STRONGROOM_RELAY": "https://127.0.0.1:1", "STRONGROOM_PASSPHRASE": "not this one"}
    data = bob.json("login", "--kit", "kit.txt", "--vault", "new", env=elsewhere)
    assert (data["name"], data["writable"], data["freshness"][:10]) == ("ada", False, "anchor of ")
    assert [item["text"] for item in bob.json("show", "family", "--vault", "new")["messages"]] == ["before"]
    done = bob.json(
        "revoke", "mac", "--yes", "--vault", "new", "--recovery-code-file", "kit.txt", "--device-name", "pc"
    )
    assert [item["name"] for item in done["devices"]] == ["pc"]
    assert bob.json("login", "--kit", "kit.txt", "--vault", "new")["writable"] is True
    assert ada.json("append", "family", "by a thief", "--vault", "vault", expect=10)["error"]
    assert bob.json("login", "--kit", "kit.txt", "--vault", "b", "--account", "eve", expect=2)["error"]
    assert bob.json("login", "--kit", "kit.txt", "--vault", "b", "--link", expect=2)["error"]


def test_a_new_kit_ends_the_old_one(home: Home) -> None:
    ada = home.ada
    assert ada.json("recovery-kit", *UNLOCK, expect=2)["hint"] == "add --yes, or --keep"
    taken = ada.json("recovery-kit", "--yes", "--out", "first.html", *UNLOCK, expect=2)
    assert "--force" in taken["hint"]
    ada.json("recovery-kit", "--yes", "--out", "no/such/place.html", *UNLOCK, expect=2)
    ada.json("recovery-kit", "verify", "first.html")  # all of that changed nothing

    shutil.copy(ada.folder / "first.html", ada.folder / "old.html")
    run = ada.run("recovery-kit", "--yes", *UNLOCK)
    assert "opens nothing any more" in run.err
    assert "recovery-kit-ada.html" in run.out
    assert home.code("recovery-kit-ada.html") not in run.out + run.err
    assert stat.S_IMODE((ada.folder / "recovery-kit-ada.html").stat().st_mode) == 0o600
    assert not (ada.folder / "vault" / FILE).exists()
    old = ada.json("recovery-kit", "verify", "old.html", expect=12)
    assert "replaced" in old["hint"]
    login = ("login", "--vault", "new", "--relay", home.relay.url, "--account", "ada")
    ada.json(*login, "--recovery-code-file", "old.html", expect=12)
    ada.json("login", "--vault", "new", "--kit", "recovery-kit-ada.html")

    # The old code gives a new kit as well; to stdout when that is wanted, and only then.
    data = ada.json(
        "recovery-kit", "--yes", "--out", "-", "--vault", "vault", "--recovery-code-file", "recovery-kit-ada.html"
    )
    assert (data["replaced"], data["file"]) == (True, None)
    piped = subprocess.run(
        ada.command("recovery-kit", "verify", "-"), input=data["kit"], cwd=ada.folder, env=ada.environment(),
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert piped.returncode == 0, piped
    assert "this kit opens the account ada" in piped.stdout


def test_the_same_code_again(home: Home) -> None:
    ada = home.ada
    ada.write("code", home.code("first.html"))
    keep = ("recovery-kit", "--keep", "--vault", "vault", "--recovery-code-file", "code")
    data = ada.json(*keep, "--out", "second.html")
    assert (data["replaced"], home.code("second.html")) == (False, home.code("first.html"))
    assert data["state"] == 2  # a newer anchor
    ada.json("recovery-kit", "verify", "first.html")
    page = ada.run(*keep, "--out", "-").out
    assert page.startswith("<!doctype html>")
    ada.write("wrong", "000G5-40R4X-0M30R-E209C-185G1-R38E2-1W813-24GKP")
    ada.json(*keep[:-1], "wrong", "--out", "third.html", expect=12)
    assert not (ada.folder / "third.html").exists()


@pytest.mark.spec("KIT-6", "KIT-8")
@pytest.mark.parametrize("landed", [False, True])
def test_killed_around_the_commit(home: Home, landed: bool) -> None:
    ada = home.ada
    make = ("recovery-kit", "--yes", "--out", "new.html", "--vault", "vault")
    tweak = KILLED.format(before="pass" if landed else "os._exit(130)")
    ada.run(*make, "--passphrase-file", "pw", tweak=tweak, expect=130)
    assert not (ada.folder / "new.html").exists()
    assert home.begun() == 1
    assert "is not finished" in ada.run("status", "--vault", "vault").err
    ada.run("recovery-kit", "verify", "first.html", expect=12 if landed else 0)

    # Nobody has to know: when it landed no secret is even asked for, else the old ones are as good as before.
    data = ada.json(*make, *(() if landed else ("--recovery-code-file", "first.html")))
    assert (data["replaced"], data["finished"]) == (not landed, landed)
    assert home.begun() == 0
    ada.run("recovery-kit", "verify", "new.html")
    ada.run("recovery-kit", "verify", "first.html", expect=12)


@pytest.mark.spec("KIT-9")
def test_a_kit_that_was_done_is_not_called_a_new_one(home: Home) -> None:
    """It was printed, and the process ended before what was begun was forgotten; or somebody wrote its line there."""
    ada = home.ada
    make = ("recovery-kit", "--yes", "--vault", "vault", "--recovery-code-file", "first.html")
    (ada.folder / "vault" / FILE).write_text(read_kit((ada.folder / "first.html").read_text()).to_text() + "\n")
    run = ada.run(*make, "--out", "same.html")
    assert "begun here on" in run.err
    assert "opens nothing any more" not in run.err + run.out
    assert home.code("same.html") == home.code("first.html")
    ada.json(*make, "--out", "fresh.html")
    assert home.code("fresh.html") != home.code("first.html")
    ada.run("recovery-kit", "verify", "same.html", expect=12)


def test_a_reader_that_went_away_leaves_nothing_begun(home: Home) -> None:
    ada = home.ada
    command = ada.command("recovery-kit", "--yes", "--out", "new.html", "--vault", "vault", "--passphrase-file", "pw")
    with subprocess.Popen(command, cwd=ada.folder, env=ada.environment(), stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.close()
    assert home.begun() == 0
    ada.run("recovery-kit", "verify", "new.html")


def test_a_page_that_cannot_be_written_is_no_loss(home: Home) -> None:
    ada = home.ada
    make = ("recovery-kit", "--yes", "--vault", "vault", "--passphrase-file", "pw")
    data = ada.json(*make, "--out", "new.html", tweak=FULL, expect=2)
    assert "nothing is lost" in data["hint"]
    assert home.begun() == 1
    ada.run("recovery-kit", "verify", "first.html", expect=12)
    ada.json(*make[:-2], "--out", "other.html")
    ada.run("recovery-kit", "verify", "other.html")
    assert home.begun() == 0


def test_what_is_told_when_a_kit_does_not_open(home: Home) -> None:
    ada, relay = home.ada, home.relay
    relay.stop()
    shutil.copytree(relay.folder, ada.folder / "old-relay")
    relay.start()
    kit = ("--recovery-code-file", "first.html", "--relay", relay.url)
    ada.run("append", "family", "after", "--vault", "vault", "--relay", relay.url)
    ada.run("recovery-kit", "--keep", "--out", "now.html", "--vault", "vault", *kit)
    with RelayProcess(ada.folder / "old-relay") as old:
        data = ada.json("recovery-kit", "verify", "now.html", "--relay", old.url, expect=13)
        assert data["failure"] == "rollback"
        assert ada.json("login", "--kit", "now.html", "--vault", "new", "--relay", old.url, expect=13)["failure"]
        assert not (ada.folder / "new" / "device.db").exists()
    ada.json("recovery-kit", "verify", "now.html", "--relay", old.url, expect=14)
    ada.json("recovery-kit", "verify", "now.html", "--relay", f"file://{ada.folder}/nowhere", expect=10)
    line = read_kit((ada.folder / "now.html").read_text()).to_text()
    ada.write("typo", line[:60] + ("A" if line[60] != "A" else "B") + line[61:])
    assert ada.json("recovery-kit", "verify", "typo", expect=12)["failure"] == "code"
    assert ada.json("recovery-kit", "verify", "pw", expect=12)["failure"] == "code"
    assert ada.json("recovery-kit", "verify", "no-such-file", expect=2)["error"] == "InvalidArgument"


def test_a_kit_of_two_secrets(home: Home) -> None:
    ada = home.ada
    ada.write("stray", "000G5-40R4X-0M30R-E209C-185G1-R38E2-1W813-24GKP")  # it would lock everybody out
    ada.json("passphrase", "two-secret", *UNLOCK, "--recovery-code-file", "stray", expect=12)
    ada.json("login", "--kit", "first.html", "--vault", "guest")
    guest = ("--vault", "guest", "--recovery-code-file", "first.html")
    ada.write("words", "seven quiet otters paint the harbour")
    refused = ada.json("passphrase", "change", *guest, "--new-passphrase-file", "words", expect=2)
    assert "--confirm-devices" in refused["hint"]
    assert ada.json("recovery-kit", "--yes", *guest, expect=2)["error"] == "ReadOnly"
    ada.json("passphrase", "two-secret", *UNLOCK, "--recovery-code-file", "first.html")
    ada.run("recovery-kit", "verify", "first.html", "--passphrase-file", "pw", expect=12)  # it says that it needs none
    ada.json("recovery-kit", "--keep", "--out", "both.html", *UNLOCK, "--recovery-code-file", "first.html")
    assert "together with your passphrase" in (ada.folder / "both.html").read_text()
    assert ada.json("recovery-kit", "verify", "both.html", expect=2)["error"] == "InvalidArgument"
    ada.json("recovery-kit", "verify", "both.html", "--passphrase-file", "pw")
    ada.json("recovery-kit", "--yes", "--out", "new.html", *UNLOCK, "--recovery-code-file", "both.html")
    ada.json("login", "--kit", "new.html", "--vault", "new", "--passphrase-file", "pw")
    ada.json("recovery-kit", "verify", "both.html", "--passphrase-file", "pw", expect=12)


def test_a_kit_with_a_witness(tmp_path: Path) -> None:
    ada = Person(tmp_path / "ada")
    with (
        RelayProcess(tmp_path / "relay", open_registration=True) as relay,
        RelayProcess(tmp_path / "witness", "--witness") as witness,
    ):
        at = ("--vault", "vault", "--relay", relay.url, *ACCOUNT)
        ada.run("init", *at, "--kit", "kit.html", "--witness", witness.witness)
        found = ada.json("login", "--kit", "kit.html", "--vault", "new")
        assert found["freshness"].startswith("witnessed at ")
        witness.stop()
        ada.json("login", "--kit", "kit.html", "--vault", "late", expect=14)
        found = ada.json("login", "--kit", "kit.html", "--vault", "late", "--no-witness")
        assert found["freshness"].startswith("anchor of ")


def test_an_account_that_was_not_made_leaves_no_kit(home: Home) -> None:
    eve = Person(home.ada.folder.parent / "eve")
    at = ("--vault", "vault", "--relay", home.relay.url, *ACCOUNT)
    eve.json("init", *at, "--kit", "kit.html", expect=2)  # the name is taken
    assert not (eve.folder / "kit.html").exists()
    eve.json("init", *at, "--kit", "kit.html", "--recovery-code-out", "code", expect=2)
