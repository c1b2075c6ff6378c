"""`watch` and `settings` as a person and as a script use them (docs/cli.md)."""

from __future__ import annotations

import json
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from cli.command import Person, heed_interrupts
from relay_process import RelayProcess


@pytest.fixture(scope="module")
def lin(relay: RelayProcess, tmp_path_factory: pytest.TempPathFactory) -> Person:
    """Somebody with a phone, which writes, and a desk."""
    person = Person(tmp_path_factory.mktemp("lin"))
    person.init(relay.url, "lin", vault="phone")
    person.run("append", "family", "the first", "--title", "Family", "--vault", "phone")
    person.run(
        "login", "--vault", "desk", "--relay", relay.url, "--account", "lin", "--passphrase-file", "pw",
        "--confirm-devices",
    )  # fmt: skip
    return person


@contextmanager
def watching(person: Person, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    """`watch` on the desk; it has begun."""
    process = subprocess.Popen(
        person.command("watch", "--vault", "desk", *arguments), cwd=person.folder, env=person.environment(), text=True,
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, preexec_fn=heed_interrupts,
    )  # fmt: skip
    try:
        assert process.stderr is not None
        assert process.stderr.readline() == "strongroom: watching; Ctrl-C ends it\n"
        yield process
    finally:
        process.kill()
        process.communicate()


def line(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline()


def append(person: Person, chat: str, text: str, ident: str) -> None:
    person.run("append", chat, text, "--sender", "ann", "--time", "2023-11-14T22:13", "--id", ident, "--vault", "phone")


def test_what_another_device_writes_is_shown_until_ctrl_c(lin: Person) -> None:
    with watching(lin) as process:
        append(lin, "family", "dinner is \x1b[31mready", "w1")
        assert line(process) == "[Family] 2023-11-14 22:13  ann: dinner is \\u001b[31mready\n"
        append(lin, "club", "hello", "w2")
        assert line(process) == "[club] 2023-11-14 22:13  ann: hello\n"
        lin.run("edit", "club", "w2", "hello all", "--vault", "phone")
        assert line(process) == "[club] 2023-11-14 22:13  ann: hello all (edited)\n"
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=30)
        assert (process.returncode, out, err.strip()) == (130, "", "strongroom: interrupted")


def test_the_folder_is_free_and_whole_however_it_was_ended(lin: Person) -> None:
    """A service manager sends SIGTERM; a machine that fails sends nothing."""
    for n, how in enumerate((signal.SIGTERM, signal.SIGKILL, signal.SIGINT)):
        with watching(lin) as process:
            append(lin, "family", f"while watched {n}", f"e{n}")
            assert line(process).endswith(f"ann: while watched {n}\n")
            process.send_signal(how)
            assert process.wait(30) in (-how, 130)
        append(lin, "family", f"while away {n}", f"a{n}")
        shown = lin.run("show", "family", "--vault", "desk").out
        for text in ("while watched", "while away"):
            assert shown.count(f"{text} {n}") == 1, shown


def test_one_line_of_json_for_each_update(lin: Person) -> None:
    with watching(lin, "Family", "--json") as process:
        append(lin, "club", "not this one", "j1")
        append(lin, "family", "only this", "j2")
        update = json.loads(line(process))
        version = update.pop("version")
        assert update == {
            "chats": [{"chat": "family", "title": "Family"}], "complete": True,
            "messages": [
                {
                    "chat": "family", "id": "j2", "time": 1_699_999_980_000, "sender": "ann", "sender_name": None,
                    "text": "only this", "kind": 0, "deleted": False, "versions": 1, "reactions": [],
                    "pending": False, "files": [],
                }
            ],
        }  # fmt: skip
        append(lin, "family", "and this", "j3")
        second = json.loads(line(process))
        assert [item["text"] for item in second["messages"]] == ["and this"]
        assert second["version"] > version


@pytest.mark.parametrize("more", [(), ("--poll", "1")])
def test_once(lin: Person, more: tuple[str, ...]) -> None:
    with watching(lin, "--once", *more) as process:
        append(lin, "family", f"once {len(more)}", f"o{len(more)}")
        out, err = process.communicate(timeout=30)
        assert (process.returncode, err) == (0, "")
        assert out == f"[Family] 2023-11-14 22:13  ann: once {len(more)}\n"


def test_a_reader_that_leaves_ends_it(lin: Person) -> None:
    with watching(lin) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        append(lin, "family", "nobody reads this", "p1")
        assert process.wait(30) == 141
        assert process.stderr.read() == ""
        process.stdout = None  # it is closed: nothing is left to communicate


def test_an_import_is_told_by_chats(lin: Person) -> None:
    rows = "".join(
        f'{{"type":"message","conversation":"old","id":"{n}","time":{1_600_000_000_000 + n},"text":"{n}"}}\n'
        for n in range(1_500)
    )
    lin.write("old.jsonl", rows)
    with watching(lin) as process:
        lin.run("import", "old.jsonl", "--vault", "phone")
        assert line(process) == "[old] has changed\n"
        assert line(process) == "not everything could be told one by one: strongroom show CHAT shows it\n"


def test_what_makes_no_sense_is_said(lin: Person, tmp_path: Path) -> None:
    lin.run("watch", "nowhere", "--vault", "desk", expect=10)
    lin.run("watch", "--poll", "0", "--vault", "desk", expect=2)
    alone = Person(tmp_path)
    alone.init(f"file://{tmp_path}/store", "alone")
    assert "one user at a time" in alone.run("watch", "--vault", "vault", expect=2).err


def test_settings_are_shown_and_changed(lin: Person) -> None:
    shown = lin.run("settings", "--vault", "desk")
    assert shown.out == "live: push\nmedia: now (together with messages)\ncommit delay: 0.2 s\n"
    changed = lin.json("settings", "--poll", "900", "--media", "on-demand", "--commit-delay", "2.5", "--vault", "desk")
    assert changed == {"live": "poll", "poll": 900, "media": "on-demand", "commit_delay": 2.5}
    assert lin.json("settings", "--vault", "desk") == changed
    assert lin.run("settings", "--vault", "desk").out.startswith("live: poll, every 900 s\n")
    off = lin.json("settings", "--live", "off", "--media", "later", "--vault", "desk")
    assert off == {"live": "off", "poll": 900, "media": "later", "commit_delay": 2.5}
    said = lin.run("watch", "--vault", "desk", expect=2).err
    assert said.endswith("live delivery is off on this device\nhint: strongroom settings --live push\n")
    assert lin.json("settings", "--vault", "phone")["live"] == "push"
    for wrong in (("--live", "often"), ("--live", "off", "--poll", "9"), ("--poll", "0"), ("--media", "never"),
                  ("--commit-delay", "-1"), ("--commit-delay", "nan")):  # fmt: skip
        lin.run("settings", *wrong, "--vault", "desk", expect=2)
    assert lin.json("settings", "--vault", "desk") == off
    lin.json("settings", "--live", "push", "--media", "now", "--commit-delay", "0.2", "--vault", "desk")


def test_restore_follows_the_settings_unless_told_otherwise(lin: Person, relay: RelayProcess) -> None:
    (lin.folder / "photo.jpg").write_bytes(bytes(range(256)) * 1_000)
    lin.run("append", "family", "look", "--file", "photo.jpg", "--vault", "phone")
    lin.json("settings", "--media", "on-demand", "--vault", "desk")
    less = lin.json("restore", "--vault", "desk")["objects"]
    assert lin.json("restore", "--media", "--vault", "desk")["objects"] > less
    assert lin.json("restore", "--no-media", "--vault", "desk")["objects"] == less
    lin.json("settings", "--media", "later", "--vault", "desk")
    assert lin.json("restore", "--vault", "desk")["objects"] > less
