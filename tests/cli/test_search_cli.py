"""`search` as a person and as a script use it (docs/cli.md)."""

from __future__ import annotations

from pathlib import Path

import pytest

from cli.command import CHATS, Person
from relay_process import RelayProcess


@pytest.fixture(scope="module")
def hedy(relay: RelayProcess, tmp_path_factory: pytest.TempPathFactory) -> Person:
    person = Person(tmp_path_factory.mktemp("hedy"))
    person.init(relay.url, "hedy")
    person.run("import", person.write("chats.jsonl", CHATS), "--vault", "vault")
    return person


def test_words_are_found_newest_first_with_the_place_marked(hedy: Person) -> None:
    assert not (hedy.folder / "vault" / "search.db").exists()
    run = hedy.run("search", "eve", "--vault", "vault")
    assert run.out == "2023-11-14 22:14  Family\n                  bob: Yes, and bring [Eve]  (2)\n"
    assert run.err == ""
    assert (hedy.folder / "vault" / "search.db").stat().st_mode & 0o777 == 0o600
    assert hedy.run("search", "nowhere", "said", "--vault", "vault").out == "nothing found\n"
    assert hedy.run("search", "dinner", "--vault", "vault").out == "nothing found\n"  # it was edited


def test_filters_and_phrases(hedy: Person) -> None:
    def ids(*words: str) -> list[str]:
        return [hit["id"] for hit in hedy.run("search", "--vault", "vault", "--json", *words).data["hits"]]

    assert ids("from:bob") == ["2"]
    assert ids('"bring eve"') == ["2"]
    assert ids('"bring ev"') == []
    assert ids("after:2023-11-14", "in:fam", "from:ann", "from:bob") == ["2", "1"]
    assert ids("has:edited") == ["1"]
    assert ids("has:reaction") == ["2"]
    assert ids("--", "from:ann", "from:bob", "-eve") == ["1"]


def test_json_says_all_that_there_is_to_a_hit(hedy: Person) -> None:
    found = hedy.json("search", "report", "--vault", "vault")
    assert found == {
        "hits": [
            {
                "chat": "work", "title": "", "id": "w1", "time": 1_700_000_100_000, "sender": "eve",
                "sender_name": None, "has": [], "snippet": "The report is ready", "marks": [[4, 10]],
            }
        ],
        "following": None, "complete": True, "back_to": 0, "damaged": [], "rebuilt": "",
    }  # fmt: skip


def test_pages(hedy: Person) -> None:
    first = hedy.json("search", "after:2023", "--limit", "2", "--vault", "vault")
    rest = hedy.run("search", "after:2023", "--limit", "2", "--before-hit", first["following"], "--vault", "vault")
    assert len(first["hits"]) == 2
    assert "Eight?" in rest.out
    assert "more:" not in rest.err
    assert "more: --before-hit" in hedy.run("search", "after:2023", "--limit", "1", "--vault", "vault").err


def test_what_makes_no_sense_is_said(hedy: Person) -> None:
    for arguments in ([], ["word", "--index"], ["has:wings"], ["after:soon"], ["..."], ["x", "--before-hit", "?"]):
        hedy.run("search", "--vault", "vault", *arguments, expect=2)
    hedy.run("search", "in:nowhere", "--vault", "vault", expect=10)
    for query in ('"', "a OR", "NEAR(", "x*", "^x", "{a b}:c", "'; DROP TABLE message; --", "\u202e", "%s%n"):
        assert hedy.run("search", "--vault", "vault", "--", query, expect=None).code in (0, 2)
    assert len(hedy.json("search", "in:family", "--vault", "vault")["hits"]) == 3


def test_the_index_is_deleted_and_made_again(hedy: Person) -> None:
    assert hedy.json("search", "--index", "--vault", "vault")["messages"] == 4
    assert hedy.json("search", "--forget-index", "--vault", "vault") == {"deleted": True}
    assert not list((hedy.folder / "vault").glob("search.db*"))
    assert "switched off" in hedy.run("search", "eve", "--vault", "vault", expect=2).err
    assert hedy.json("search", "--forget-index", "--vault", "vault") == {"deleted": False}
    assert "messages indexed" in hedy.run("search", "--index", "--vault", "vault").out
    (hedy.folder / "vault" / "search.db").write_bytes(b"not an index" * 1000)
    run = hedy.run("search", "eve", "--vault", "vault")
    assert "[Eve]" in run.out
    assert "made anew" in run.err


def test_text_of_others_cannot_drive_the_terminal(relay: RelayProcess, tmp_path: Path) -> None:
    mallory = Person(tmp_path)
    mallory.init(relay.url, "mallory")
    line = (
        '{"type":"message","conversation":"\\u001b[2J","id":"\\u001b[1m","time":1700000000000,"sender":"\\u202eevil",'
        '"text":"needle \\u001b]0;owned\\u0007 \\u202e"}\n'
    )
    mallory.run("import", mallory.write("evil.jsonl", line), "--vault", "vault")
    out = mallory.run("search", "needle", "--vault", "vault").out
    assert "needle" in out
    assert not {"\x1b", "\x07", "\u202e"} & set(out)
