"""Keeping and erasing at the command line: shown first, then done, then really gone (docs/cli.md)."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from cli.command import CHATS, Person, files
from relay_process import RelayProcess

LOGIN = ("--account", "ada", "--passphrase-file", "pw")
VAULT = ("--vault", "laptop")
DAY = 86_400_000


@pytest.fixture
def relay(tmp_path: Path) -> Iterator[RelayProcess]:
    with RelayProcess(tmp_path / "relay", open_registration=True) as running:
        yield running


@pytest.fixture
def ada(relay: RelayProcess, tmp_path: Path) -> Person:
    """Ada with a laptop, and three chats: family and work of 2023, and one of the last days."""
    person = Person(tmp_path / "ada")
    person.json("init", *VAULT, "--relay", relay.url, *LOGIN, "--recovery-code-out", "code")
    now = int(time.time() * 1000)
    lines = "".join(
        json.dumps(
            {
                "type": "message",
                "conversation": "new",
                "id": f"n{days}",
                "time": now - days * DAY,
                "text": f"{days} days",
            }
        )
        + "\n"
        for days in (30, 9, 1)
    )
    person.run("import", person.write("chats.jsonl", CHATS + lines), *VAULT)
    return person


def _ids(person: Person, chat: str, vault: str = "laptop") -> list[str]:
    return [item["id"] for item in person.json("show", chat, "--vault", vault)["messages"]]


def _record(person: Person, text: str) -> str:
    """The line of the import that has a text."""
    (line,) = [line for line in (person.folder / "chats.jsonl").read_text().splitlines() if f'"{text}"' in line]
    return line


def test_a_policy_is_set_shown_applied_and_ended(ada: Person) -> None:
    family = _ids(ada, "family")
    assert ada.run("keep", *VAULT).out == "all chats: everything is kept\n"
    none = ada.json("keep", "--dry-run", *VAULT)
    assert (none["chats"], none["messages"]) == ([], 0)

    done = ada.run("keep", "--days", "10", *VAULT)
    assert done.out == "all chats without a policy of their own: keep messages of the last 10 days\n"
    assert "nothing was taken out yet" in done.err
    assert ada.json("keep", "--forever", "family", *VAULT) == {
        "chat": "family", "policy": {"days": None, "bytes": None, "media_days": None},
    }  # fmt: skip
    assert ada.json("keep", *VAULT) == {
        "all": {"days": 10, "bytes": None, "media_days": None},
        "chats": [{"chat": "family", "policy": {"days": None, "bytes": None, "media_days": None}}],
    }
    assert "Family: everything is kept" in ada.run("keep", "Family", *VAULT).out

    shown = ada.json("keep", "--dry-run", *VAULT)
    assert [(item["chat"], item["messages"], item["files"]) for item in shown["chats"]] == [
        ("new", 1, 0),
        ("work", 1, 0),
    ]
    # Texts, and the records as they came.
    sizes = {
        name: len(text) + len(_record(ada, text))
        for name, text in (("new", "30 days"), ("work", "The report is ready"))
    }
    assert {item["chat"]: item["bytes"] for item in shown["chats"]} == sizes
    assert (shown["messages"], shown["bytes"]) == (2, sum(sizes.values()))
    work = shown["chats"][1]
    assert (work["first"], work["last"]) == (1_700_000_100_000, 1_700_000_100_000)
    text = ada.run("keep", "--dry-run", *VAULT).out
    assert text.startswith(f"this would go:\nnew: 1 message and 0 files, {sizes['new']} bytes, ")
    assert (
        f"work: 1 message and 0 files, {sizes['work']} bytes, 2023-11-14 22:15 to 2023-11-14 22:15\nin all: 2 messages"
        in text
    )
    assert text.endswith("nothing was changed\n")
    assert [item["chat"] for item in ada.json("keep", "--dry-run", "work", *VAULT)["chats"]] == ["work"]
    assert _ids(ada, "new") == ["n30", "n9", "n1"]

    asked = ada.json("keep", "--apply", *VAULT, expect=2)
    assert asked["hint"] == "use --yes, or --dry-run to see"
    gone = ada.run("keep", "--apply", "--yes", *VAULT)
    assert gone.out == "took out 2 messages and 0 files\n"
    assert "30 days, unless its operator says otherwise" in gone.err
    assert "not cryptographic erasure" in gone.err
    assert (_ids(ada, "new"), _ids(ada, "family"), _ids(ada, "work")) == (["n9", "n1"], family, [])
    assert ada.json("keep", "--apply", "--yes", *VAULT)["messages"] == 0
    assert "nothing goes" in ada.run("keep", "--dry-run", *VAULT).out

    ada.run("keep", "--as-others", "family", *VAULT)
    assert [item["chat"] for item in ada.json("keep", "--dry-run", *VAULT)["chats"]] == ["family"]
    assert ada.run("keep", "--forever", *VAULT).err == ""
    assert ada.run("keep", *VAULT).out == "all chats: everything is kept\n"


@pytest.mark.parametrize(
    ("given", "code", "message"),
    [
        (("--days", "0"), 2, "0 days would keep nothing"),
        (("--days", "-3"), 2, "-3 days is not possible"),
        (("--days", str(10**30)), 2, f"{10**30} days is not possible"),
        (("--bytes", "0"), 2, "0 bytes would keep nothing"),
        (("--bytes", "9" * 18 + "TB"), 2, None),
        (("--bytes", "plenty"), 2, None),
        (("--media-days", "0", "--media"), 2, None),
        (("--days", "1", "--apply"), 2, None),
        (("--as-others",), 2, "--as-others needs a CHAT"),
        (("--days", "5", "nobody"), 10, "no chat has that id or title"),
        (("--dry-run", "nobody"), 10, "no chat has that id or title"),
    ],
)
def test_what_makes_no_policy(ada: Person, given: tuple[str, ...], code: int, message: str | None) -> None:
    refused = ada.json("keep", *given, *VAULT, expect=code)
    assert message in (None, refused["message"])
    assert ada.json("keep", *VAULT)["all"]["days"] is None


def test_files_go_and_messages_stay(ada: Person) -> None:
    (ada.folder / "cat.jpg").write_bytes(b"\xff\xd8\xff" + bytes(50_000))
    ada.run("append", "new", "look", "--file", "cat.jpg", *VAULT)
    ada.run("keep", "--no-media", *VAULT)
    shown = ada.json("keep", "--dry-run", *VAULT)
    assert [(item["chat"], item["messages"], item["files"], item["bytes"]) for item in shown["chats"]] == [
        ("new", 0, 1, 50_003)
    ]
    assert ada.run("keep", *VAULT).out == "all chats: keep no files\n"
    assert ada.json("keep", "--apply", "--yes", *VAULT)["files"] == 1
    last = ada.json("show", "new", *VAULT)["messages"][-1]
    assert last["text"] == "look"
    assert [item["state"] for item in last["files"]] == ["removed"]
    assert ada.json("verify", *VAULT)["damaged"] == {}


def test_a_chat_is_erased_everywhere_and_does_not_come_back(ada: Person, relay: RelayProcess) -> None:
    family = _ids(ada, "family")
    ada.json("login", "--vault", "phone", "--relay", relay.url, *LOGIN, "--confirm-devices")
    for vault in ("laptop", "phone"):
        ada.run("restore", "--vault", vault)
    ada.run("keep", "--days", "3", "family", *VAULT)
    relay.stop()
    ada.run("append", "family", "written offline", "--time", "2024-01-01", "--vault", "phone", "--relay", relay.url)
    relay.start()
    more = ("--relay", relay.url)

    shown = ada.run("erase", "Family", "--dry-run", *VAULT, *more).out
    assert shown.startswith("this would go:\nFamily: 3 messages and 0 files, ")
    assert ada.json("erase", "Family", *VAULT, *more, expect=2)["hint"] == "use --yes, or --dry-run to see"
    ada.json("erase", "nobody", "--yes", *VAULT, *more, expect=10)
    before = files(ada.folder / "laptop")
    done = ada.run("erase", "Family", "--yes", *VAULT, *more)
    assert done.out == "erased Family\n"
    assert "3 messages" in done.err
    assert "strongroom undo brings them back" in done.err
    assert {item["id"] for item in ada.json("chats", *VAULT, *more)["chats"]} == {"work", "new"}
    ada.json("erase", "Family", "--yes", *VAULT, *more, expect=10)
    assert len(ada.json("keep", *VAULT, *more)["chats"]) == 0
    after = files(ada.folder / "laptop")
    objects = {name for name in before if name.startswith("objects")}
    assert objects - set(after)
    everything = b"".join(after.values())
    for canary in (b"Dinner at seven?", b"bring Eve", b"Family", b"family"):
        assert canary not in everything

    # What waited on the phone is saved, and shown by nobody: it is older than the erasure.
    assert {item["id"] for item in ada.json("chats", "--vault", "phone", *more)["chats"]} == {"work", "new"}
    ada.run("append", "work", "hello", "--vault", "phone", *more)
    assert {item["id"] for item in ada.json("chats", *VAULT, *more)["chats"]} == {"work", "new"}
    again = ada.json("import", "chats.jsonl", *VAULT, *more)
    assert (again["added"], again["kept_out"]) == (0, 3)
    assert "3 messages kept out" in ada.run("import", "chats.jsonl", *VAULT, *more).out
    ada.run("append", "family", "anew", *VAULT, *more)
    assert [item["text"] for item in ada.json("show", "family", "--vault", "phone", *more)["messages"]] == ["anew"]

    versions = ada.json("undo", "--list", *VAULT, *more)["versions"]
    ada.json(
        "undo",
        "--to",
        str(versions[-1]["version"] + 1),
        "--all-after",
        "--yes",
        *VAULT,
        "--passphrase-file",
        "pw",
        *more,
    )
    assert _ids(ada, "family") == family


def test_of_two_chats_with_one_title_none_is_taken(ada: Person) -> None:
    family = _ids(ada, "family")
    ada.run("import", ada.write("more.jsonl", CHATS.replace('"family"', '"other"')), *VAULT)
    refused = ada.json("erase", "Family", "--yes", *VAULT, expect=10)
    assert refused["message"] == "2 chats have that id or title"
    assert len(_ids(ada, "other")) == 3
    assert ada.json("erase", "other", "--yes", *VAULT)["messages"] == 3
    assert _ids(ada, "family") == family
