"""`verify`, whole and in part, and `status` as a receipt, on a real relay (chapter 13.8)."""

from __future__ import annotations

from pathlib import Path

import pytest

from cli.command import Person, noise
from relay_process import RelayProcess


@pytest.fixture(scope="module")
def grace(relay: RelayProcess, tmp_path_factory: pytest.TempPathFactory) -> Person:
    """Somebody with content of several segments."""
    person = Person(tmp_path_factory.mktemp("grace"))
    person.init(relay.url, "grace")
    person.run("import", person.write("noise.jsonl", noise(3000, 600)), "--vault", "vault")
    return person


def test_each_depth_says_what_it_saw(grace: Person) -> None:
    full = grace.run("verify", "--vault", "vault", "--json").data
    assert (full["depth"], full["examined"], full["asked"]) == ("full", full["content"], 0)
    assert full["chance"] == {"1": 1.0, "1%": 1.0, "10%": 1.0}
    assert full == grace.run("verify", "--full", "--vault", "vault", "--json").data
    quick = grace.run("verify", "--quick", "--vault", "vault", "--json").data
    assert (quick["depth"], quick["examined"], quick["asked"]) == ("quick", 0, full["content"])
    assert quick["records"] == full["records"]
    assert quick["bytes"] < full["bytes"] / 5
    sample = grace.run("verify", "--sample", "50%", "--vault", "vault", "--json").data
    assert sample["examined"] == -(-full["content"] // 2)
    assert sample["chance"]["1"] == pytest.approx(sample["examined"] / sample["content"], abs=1e-6)


def test_each_depth_in_words(grace: Person) -> None:
    assert ": all good" in grace.run("verify", "--vault", "vault").out
    assert "would not be noticed" in grace.run("verify", "--quick", "--vault", "vault").out
    said = grace.run("verify", "--sample", "30", "--vault", "vault").out
    assert "the loss of a tenth of them (1) is found with a chance of " in said
    assert " %\n" in said


@pytest.mark.parametrize(
    "options",
    [("--sample", "0"), ("--sample", "101%"), ("--sample", "x"), ("--quick", "--full"), ("--quick", "--sample", "5")],
)
def test_depths_that_are_none(grace: Person, options: tuple[str, ...]) -> None:
    refused = grace.run("verify", *options, "--vault", "vault", expect=2)
    assert "--sample" in refused.err or "exclude" in refused.err


def test_a_lost_object_is_named_by_quick(tmp_path: Path) -> None:
    person = Person(tmp_path / "heidi")
    with RelayProcess(tmp_path / "relay", open_registration=True) as relay:
        person.init(relay.url, "heidi")
        person.run("import", person.write("noise.jsonl", noise(3000, 600)), "--vault", "vault")
    lost = max(
        (path for path in (tmp_path / "relay").rglob("*") if path.is_file()), key=lambda path: path.stat().st_size
    )
    assert lost.stat().st_size > 500_000  # a segment in a file of its own
    lost.unlink()
    with RelayProcess(tmp_path / "relay") as relay:
        found = person.run("verify", "--quick", "--vault", "vault", "--relay", relay.url, "--json", expect=13)
    assert list(found.data["damaged"].values()) == ["missing"]
    assert found.data["records_lost"] > 0


def test_status_is_a_receipt(grace: Person, relay: RelayProcess) -> None:
    said = grace.run("status", "--vault", "vault").out
    (line,) = [line for line in said.splitlines() if line.startswith("safe ")]
    assert "everything this device appended, is at the relay, which signed for version" in line
    data = grace.run("status", "--vault", "vault", "--json").data
    assert (data["waiting"], data["waiting_since"]) == (0, 0)
    assert data["accepted"] >= data["saved"] > 0


HIDE = """
from strongroom.engine import directory
from strongroom_protocol.engine.hot import HotPage
divided = directory._divided
directory._divided = lambda rows: divided([row for row in rows if row.conversation != "family"])
directory._log = lambda *given, **more: HotPage()
"""
"""What a stolen device runs: its chat list leaves one out."""


def test_a_chat_that_was_hidden_is_said_and_listed_again(tmp_path: Path, relay: RelayProcess) -> None:
    person = Person(tmp_path / "ivan")
    person.init(relay.url, "ivan")
    for chat in ("family", "work"):
        person.run("append", chat, f"hello {chat}", "--vault", "vault")
    person.run("erase", "work", "--yes", "--vault", "vault", tweak=HIDE)
    assert person.json("chats", "--vault", "vault")["chats"] == []
    found = person.run("verify", "--quick", "--vault", "vault", "--json", expect=13)
    assert (found.data["unlisted"], found.data["uprooted"], found.data["damaged"]) == (1, 1, {})
    assert "hidden messages, of 1 chat now" in found.err
    assert [chat["id"] for chat in person.json("chats", "--vault", "vault")["chats"]] == ["family"]
    again = person.run("verify", "--vault", "vault", "--json").data
    assert (again["planted"], again["unlisted"]) == (0, 0)
