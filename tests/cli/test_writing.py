"""Single messages from the command line: append, edit, delete, react, page; with and without the relay."""

from __future__ import annotations

from pathlib import Path

from cli.command import Person
from relay_process import RelayProcess


def _texts(person: Person, *arguments: str) -> list[str | None]:
    return [item["text"] for item in person.json("show", "family", *arguments, "--vault", "vault")["messages"]]


def test_a_message_from_append_to_delete(tmp_path: Path) -> None:
    person, vault = Person(tmp_path), ("--vault", "vault")
    person.init(f"file://{tmp_path}/store", "ada")
    said = person.run(
        "append", "family", "hello", "--sender", "ada", "--time", "2024-05-31T18:30", "--id", "1", "--title", "Family",
        *vault,
    )  # fmt: skip
    assert said.out == "appended 1\n"
    assert person.json("append", "family", "hello", "--sender", "ada", "--time", "1717180200000", "--id", "1", *vault)[
        "saved"
    ]
    assert person.run("show", "Family", *vault).out == "2024-05-31 18:30  ada: hello\n"
    person.run("edit", "Family", "1", "hello all", *vault)
    person.run("react", "Family", "1", "👍", "--sender", "ben", *vault)
    assert person.run("show", "Family", *vault).out == "2024-05-31 18:30  ada: hello all (edited)  👍\n"
    person.run("react", "Family", "1", "👍", "--sender", "ben", "--remove", *vault)
    assert person.run("show", "Family", "--id", "1", *vault).out == "2024-05-31 18:30  ada: hello all (edited)\n"
    assert person.json("delete", "Family", "1", *vault) == {"chat": "family", "id": "1", "saved": True}
    assert person.run("show", "Family", *vault).out == "2024-05-31 18:30  (deleted)\n"
    assert person.run("compact", *vault).out == "compacted\n"
    assert person.run("compact", *vault).out == "nothing to do\n"
    assert person.run("show", "Family", *vault).out == "2024-05-31 18:30  (deleted)\n"
    missing = person.run("edit", "Family", "2", "x", *vault, expect=10)
    assert missing.err.startswith("strongroom: error: no message of that chat has this id\n")


def test_files_of_a_message(tmp_path: Path) -> None:
    """Names that somebody else chose stay in the folder; what is there is not overwritten."""
    person, vault = Person(tmp_path), ("--vault", "vault")
    person.init(f"file://{tmp_path}/store", "ada")
    person.write("note.txt", "hello " * 100_000)
    person.run("append", "family", "see", "--file", "note.txt", "--id", "1", "--time", "2024-05-31T18:30", *vault)
    assert "[note.txt]" in person.run("show", "family", *vault).out
    for name in ("note.txt", "note (2).txt"):
        saved = person.json("files", "family", "1", "out", *vault)["files"]
        assert saved == [{"name": "note.txt", "state": "present", "path": f"out/{name}"}]
        assert (tmp_path / "out" / name).read_text() == "hello " * 100_000
    evil = (
        '{"type":"message","conversation":"c","id":"2","time":1,"attachments":[{"name":"../../x","state":"expired"}]}\n'
    )
    person.run("import", person.write("evil.jsonl", evil), *vault)
    told = person.run("files", "c", "2", "out", *vault, expect=3)
    assert told.out == "not here (expired): ../../x\n"


def test_paging_back_and_around_a_time(tmp_path: Path) -> None:
    person = Person(tmp_path)
    person.init(f"file://{tmp_path}/store", "ada")
    lines = "".join(
        f'{{"type":"message","conversation":"family","id":"{n}","time":{at},"text":"{n}"}}\n'
        for n, at in enumerate(range(1_700_000_000_000, 1_700_000_000_000 + 40 * 60_000, 60_000))
    )
    person.run("import", person.write("many.jsonl", lines), "--vault", "vault")
    assert _texts(person, "--last", "3") == ["37", "38", "39"]
    assert _texts(person, "--last", "3", "--before", "37") == ["34", "35", "36"]
    assert _texts(person, "--last", "3", "--before", "1") == ["0"]
    assert _texts(person, "--last", "2", "--around", str(1_700_000_000_000 + 60_000 * 10)) == ["8", "9", "10", "11"]
    refused = person.run("show", "family", "--before", "1", "--id", "2", "--vault", "vault", expect=2)
    assert "exclude each other" in refused.err
    wrong = person.run("show", "family", "--around", "yesterday", "--vault", "vault", expect=2)
    assert "2024-05-31" in wrong.err


def test_without_the_relay_it_waits_and_the_next_command_saves_it(tmp_path: Path) -> None:
    person, vault = Person(tmp_path), ("--vault", "vault")
    with RelayProcess(tmp_path / "relay") as relay:
        _, port = relay.address
        person.init(relay.url, "ada", token=relay.token)
        person.run("append", "family", "first", "--id", "1", *vault)
        person.run("restore", *vault)
    said = person.run("append", "family", "second", "--id", "2", "--time", "2034-01-01", *vault)
    assert said.out == "appended 2 (not yet at the relay)\n"
    assert "kept on this device" in said.err
    assert "second (not yet at the relay)" in person.run("show", "family", *vault).out
    assert person.json("status", *vault)["waiting"] == 1
    with RelayProcess(tmp_path / "relay", port=port):
        person.run("append", "family", "third", "--id", "3", "--time", "2034-01-02", *vault)
        status = person.json("status", *vault)
        assert (status["waiting"], status["fresh"]) == (0, True)
        person.run("login", "--vault", "phone", "--relay", relay.url, "--account", "ada", "--passphrase-file", "pw")
        shown = person.json("show", "family", "--vault", "phone")["messages"]
        assert [item["text"] for item in shown] == ["first", "second", "third"]
