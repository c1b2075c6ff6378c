"""Anchors, a witness and proofs at the command line, with relays as processes (docs/cli.md)."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from cli.command import Person
from relay_process import RelayProcess
from strongroom_protocol.manifest.proof import Evidence

LOGIN = ("--account", "ada", "--passphrase-file", "pw")


@dataclass(slots=True)
class Town:
    """Ada's relay, a copy of it that goes on by itself, a witness elsewhere, and Ada."""

    person: Person
    relay: RelayProcess
    witness: RelayProcess

    def say(self, text: str, vault: str = "vault", relay: str = "") -> None:
        more = ("--relay", relay) if relay else ()
        self.person.run("append", "family", text, "--vault", vault, *more)

    def copy(self, folder: str) -> RelayProcess:
        """The relay's folder as it is now, served as another relay at another address."""
        self.relay.stop()
        shutil.copytree(self.relay.folder, self.person.folder / folder)
        self.relay.start()
        return RelayProcess(self.person.folder / folder).start()


@pytest.fixture
def town(tmp_path: Path) -> Iterator[Town]:
    person = Person(tmp_path / "ada")
    with (
        RelayProcess(tmp_path / "relay", open_registration=True) as relay,
        RelayProcess(tmp_path / "witness", "--witness") as witness,
    ):
        person.json(
            "init", "--vault", "vault", "--relay", relay.url, *LOGIN, "--recovery-code-out", "code",
            "--witness", witness.witness,
        )  # fmt: skip
        yield Town(person, relay, witness)


def test_an_anchor_and_a_witness_refuse_an_old_state(town: Town) -> None:
    ada = town.person
    town.say("before")
    old = town.copy("old")
    try:
        town.say("after")
        shown = ada.json("status", "--vault", "vault", "--anchor")
        assert shown["anchor"].startswith("strongroom-anchor:")
        assert ada.run("status", "--vault", "vault", "--anchor").out.strip().startswith("strongroom-anchor:")
        ada.write("anchor", shown["anchor"])

        fooled = ada.json("login", "--vault", "fooled", "--relay", old.url, *LOGIN)
        assert (fooled["freshness"], fooled["version"] < shown["version"]) == ("unproven", True)
        for more in (("--anchor", "anchor"), ("--anchor", shown["anchor"]), ("--witness", town.witness.witness)):
            data = ada.json("login", "--vault", "new", "--relay", old.url, *LOGIN, *more, expect=13)
            assert data["failure"] == "rollback"
            assert not (ada.folder / "new" / "device.db").exists()

        data = ada.json("login", "--vault", "by-anchor", "--relay", town.relay.url, *LOGIN, "--anchor", "anchor")
        assert data["freshness"].startswith("anchor of 2")
        data = ada.json(
            "login", "--vault", "by-witness", "--relay", town.relay.url, *LOGIN, "--witness", town.witness.witness
        )
        assert data["freshness"].startswith("witnessed at 2")
        status = ada.json("status", "--vault", "by-witness")
        assert (status["witnessed"], status["alarm"]) == (True, "")
        people = ada.run("status", "--vault", "by-witness")
        assert "newest state is from a moment ago, relay last asked a moment ago" in people.out
        assert "the witness knows nothing newer" in people.out
    finally:
        old.stop()


def test_mistakes_are_told_as_such(town: Town) -> None:
    ada = town.person
    anchor = ada.json("status", "--vault", "vault", "--anchor")["anchor"]
    login = ("login", "--vault", "new", "--relay", town.relay.url, *LOGIN)
    typo = anchor[:40] + ("A" if anchor[40] != "A" else "B") + anchor[41:]
    assert ada.json(*login, "--anchor", typo, expect=12)["failure"] == "code"
    assert ada.json(*login, "--anchor", "no-such-file", expect=2)["error"] == "InvalidArgument"
    assert ada.json(*login, "--witness", town.witness.url, expect=2)["error"] == "InvalidArgument"
    key = town.witness.witness.partition("#")[2]
    assert ada.json(*login, "--witness", f"{town.relay.url}#{key}", expect=14)["error"] == "RelayUnreachable"
    assert ada.json(*login, "--witness", f"{town.witness.url}#{'0' * 64}", expect=13)["failure"] == "signer"
    assert not (ada.folder / "new" / "device.db").exists()
    assert ada.json("login", "--vault", "vault", "--anchor", anchor, expect=2)["error"] == "InvalidArgument"
    for wrong in ((), ("a", "--export", "b"), ("--export", "pw")):
        ada.json("prove", *wrong, "--vault", "vault", expect=2)


def test_a_fork_is_proved_to_somebody_who_has_nothing(town: Town, tmp_path: Path) -> None:
    ada, login = town.person, ("login", "--relay", town.relay.url, *LOGIN)
    ada.json(*login, "--vault", "phone", "--confirm-devices")
    town.say("both saw this")
    ada.run("chats", "--vault", "phone")
    fork = town.copy("fork")
    try:
        town.say("one story", "phone", fork.url)
        town.say("another story")

        run = ada.run("prove", "--export", "phone.evidence", "--vault", "phone", "--relay", fork.url)
        assert "evidence of state" in run.out
        found = Evidence.parse((ada.folder / "phone.evidence").read_bytes())
        data = ada.json("prove", "--against", "phone.evidence", "--vault", "vault", expect=13)
        assert data["failure"] in ("fork", "log")
        assert "strongroom prove" in data["hint"]

        data = ada.json("status", "--vault", "phone", "--relay", town.relay.url, expect=13)
        assert (data["failure"], data["exit"]) == ("fork", 13)
        assert "strongroom prove" in data["hint"]
    finally:
        fork.stop()
    town.relay.stop()
    proofs = [*(ada.folder / "phone").glob("fork-proof-*.cbor"), *(ada.folder / "vault").glob("fork-proof-*.cbor")]
    assert len(proofs) == 2

    judge = Person(tmp_path / "judge")
    for number, proof in enumerate(proofs):
        shutil.copy(proof, judge.folder / f"proof-{number}")
        data = judge.json("prove", f"proof-{number}")
        assert (data["proven"], data["chain"]) == (True, "head")
        assert data["account"] == found.core.account_id().hex()
        assert data["receipt_key"] == found.core.receipt_key.hex()
        assert len({receipt["hash"] for receipt in data["receipts"]}) == 2
        assert "signed two histories of one account" in judge.run("prove", f"proof-{number}").out
    assert {path.name for path in judge.folder.iterdir()} == {"pw", "proof-0", "proof-1"}
    damaged = bytearray(proofs[0].read_bytes())
    damaged[-1] ^= 1
    (judge.folder / "damaged").write_bytes(damaged)
    assert judge.json("prove", "damaged", expect=13)["failure"] == "signature"
    town.relay.start()


def test_two_devices_that_are_told_the_same(town: Town) -> None:
    ada = town.person
    ada.json("login", "--vault", "phone", "--relay", town.relay.url, *LOGIN, "--confirm-devices")
    ada.json("prove", "--export", "evidence", "--vault", "phone")
    town.say("one more")
    data = ada.json("prove", "--against", "evidence", "--vault", "vault")
    assert data["same"] is True
    assert data["version"] > data["other_version"]
    assert "one history" in ada.run("prove", "--against", "evidence", "--vault", "vault").out
    assert json.loads(ada.run("prove", "--against", "pw", "--vault", "vault", "--json", expect=13).out)["failure"]


def test_a_freeze_is_found_out_by_the_witness(town: Town) -> None:
    """A device that only reads is kept at an old state; its witness knows better."""
    ada = town.person
    ada.json("login", "--vault", "phone", "--relay", town.relay.url, *LOGIN, "--confirm-devices")
    data = ada.json("login", "--vault", "phone", "--witness", town.witness.witness)
    assert data["writable"] is True
    frozen = town.copy("frozen")
    try:
        town.say("news")
        data = ada.json("status", "--vault", "phone", "--relay", frozen.url, expect=13)
        assert data["failure"] == "rollback"
        town.witness.stop()
        data = ada.json("status", "--vault", "phone", "--relay", frozen.url, expect=13)
        assert "older than what the witness has seen" in data["alarm"]
        town.witness.start()
        data = ada.json("status", "--vault", "phone", "--relay", town.relay.url)
        assert (data["witnessed"], data["alarm"]) == (True, "")
    finally:
        frozen.stop()
