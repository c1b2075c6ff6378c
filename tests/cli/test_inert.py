"""Attack 096: what others wrote cannot drive the terminal."""

from __future__ import annotations

import json
import unicodedata
from pathlib import Path

import pytest

from cli.command import Person

ATTACKS = {
    "title": "\x1b]0;owned\x07",
    "clear": "\x1b[2J\x1b[H",
    "c1": "\x9b31m",
    "bell": "\x07\x08\x7f",
    "return": "honest\rforged",
    "line": "first\nstrongroom: error: forged",
    "override": "gpj.\u202eexe",
    "isolate": "\u2066\u2069\u200f",
    "separator": "a\u2028b\u2029c",
    "invisible": "pay\u200bpal\ufeff",
    "private": "\ue000\U000f0000",
}
HARMLESS = "Ünï 家族 👩‍👧 سلام می‌خواهم"


def test_attack_096_escapes_and_overrides_in_names_and_texts_are_shown_not_obeyed(tmp_path: Path) -> None:
    person = Person(tmp_path)
    person.init(f"file://{tmp_path}/store", "ada")
    lines: list[dict[str, object]] = []
    for number, (name, text) in enumerate(ATTACKS.items()):
        chat, time = f"{name}{text}", 1700000000000 + number
        lines.append({"type": "conversation", "conversation": chat, "title": f"T {name} {text}", "kind": "group"})
        lines.append({"type": "message", "conversation": chat, "time": time, "sender": f"s{text}", "text": f"t{text}"})
    lines.append({"type": "message", "conversation": "fine", "time": 1800000000000, "sender": "ann", "text": HARMLESS})
    source = person.write("evil.jsonl", "".join(json.dumps(line) + "\n" for line in lines))
    seen = [person.run("import", source, "--vault", "vault"), person.run("chats", "--vault", "vault")]
    assert HARMLESS in seen[1].out
    assert len(seen[1].out.splitlines()) == len(ATTACKS) + 1
    for name, text in ATTACKS.items():
        shown = person.run("show", f"{name}{text}", "--vault", "vault")
        assert len(shown.out.splitlines()) == 1
        seen.append(shown)
    listed = person.run("chats", "--vault", "vault", "--json")
    seen.append(listed)
    assert {(chat["id"], chat["title"]) for chat in listed.data["chats"]} >= {
        (f"{name}{text}", f"T {name} {text}") for name, text in ATTACKS.items()
    }
    seen.append(person.run("import", "evil\x1b[2J\u202e.jsonl", "--vault", "vault", expect=2))
    for run in seen:
        for char in run.out + run.err:
            assert char == "\n" or unicodedata.category(char) not in ("Cc", "Cs", "Co", "Zl", "Zp"), run
            assert char not in "\u202e\u2066\u2069\u200f\u200b\ufeff", run


def test_attack_096_what_an_export_says_of_its_files_is_inert(tmp_path: Path) -> None:
    """Name, role, state and reason of a file are an export's words, like everything else."""
    person = Person(tmp_path)
    person.init(f"file://{tmp_path}/store", "ada")
    lines = [
        {"type": "message", "conversation": "c", "id": f"{number}", "time": 1700000000000 + number, "sender": "s",
         "attachments": [{key: f"{key}{text}" for key in ("name", "role", "state", "reason", "mime", "caption")}]}
        for number, text in enumerate(ATTACKS.values())
    ]  # fmt: skip
    source = person.write("evil.jsonl", "".join(json.dumps(line) + "\n" for line in lines))
    seen = [person.run("import", source, "--vault", "vault"), person.run("show", "c", "--vault", "vault")]
    assert len(seen[1].out.splitlines()) == 2 * len(ATTACKS)
    seen += [
        person.run("files", "c", f"{number}", "out", "--vault", "vault", expect=3) for number in range(len(ATTACKS))
    ]
    seen.append(person.run("show", "c", "--vault", "vault", "--json"))
    for run in seen:
        for char in run.out + run.err:
            assert char == "\n" or unicodedata.category(char) not in ("Cc", "Cs", "Co", "Zl", "Zp"), run
            assert char not in "\u202e\u2066\u2069\u200f\u200b\ufeff", run


@pytest.mark.parametrize("name", ["\x1b[2J", "a\u202eb"])
def test_attack_096_a_device_name_is_inert(tmp_path: Path, name: str) -> None:
    person = Person(tmp_path)
    address = ("--relay", f"file://{tmp_path}/store", "--account", "ada", "--passphrase-file", "pw")
    person.run("init", "--vault", "a", *address, "--recovery-code-out", "code", "--device-name", name)
    login = person.run("login", "--vault", "b", *address)
    status = person.run("status", "--vault", "b")
    assert name not in login.err + login.out + status.out
