"""`strongroom import` of a Telegram export, as a person sees it."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from cli.command import Person
from telegram_exports import START, chat, everything, said, served, written

PHOTO = b"\xff\xd8\xff" + bytes(500)
MESSAGES: list[Any] = [
    said(1, "Dinner at seven?"),
    said(2, ["look: ", {"type": "bold", "text": "here"}], photo="photos/photo_1@15-11-2023_00-13-20.jpg"),
    said(3, "later", file="(File exceeds maximum size. Change data exporting settings to download.)"),
    served(4, "pin_message", message_id=1),
    "neither",
]


def export(folder: Path, messages: list[Any]) -> None:
    """A full export: two chats and what belongs to none."""
    (folder / "photos").mkdir(parents=True)
    (folder / "photos" / "photo_1@15-11-2023_00-13-20.jpg").write_bytes(PHOTO)
    data = everything([chat(messages), chat([said(1, "hello")], name="Work", ident=7)], [])
    (folder / "result.json").write_text(written(data), encoding="utf-8")


@pytest.fixture(scope="module")
def tove(tmp_path_factory: pytest.TempPathFactory) -> Person:
    person = Person(tmp_path_factory.mktemp("tove"))
    person.init(f"file://{person.folder}/store", "tove")
    export(person.folder / "DataExport", MESSAGES)
    return person


def test_the_report_and_what_is_shown(tove: Person) -> None:
    run = tove.run("import", "DataExport", "--vault", "vault")
    assert run.out.splitlines()[:2] == [
        "15 records added, 0 were there already",
        "read 6 records of 1 file, 3 not understood (kept as they are)",
    ]
    assert "warning" not in run.out
    assert tove.run("import", "DataExport", "--vault", "vault").out.startswith(
        "0 records added, 8 were there already\n"
    )
    shown = tove.run("show", "Family", "--vault", "vault").out.splitlines()
    assert shown[:5] == [
        "2023-11-14 22:14  Anna Ω: Dinner at seven?",
        "2023-11-14 22:15  Anna Ω: look: here",
        "                  [photo.jpg]",
        "2023-11-14 22:16  Anna Ω: later",
        "                  [document: too_large]",
    ]
    tove.run("files", "Family", "2", "out", "--vault", "vault")
    assert (tove.folder / "out" / "photo.jpg").read_bytes() == PHOTO


def test_a_newer_export(tove: Person) -> None:
    tove.run("import", "DataExport", "--vault", "vault")
    newer = [said(1, "Dinner at eight?", edited_unixtime=str(START + 999)), *MESSAGES[1:4], said(9, "new")]
    renamed = [record | {"from": "Anna"} if record["type"] == "message" else record for record in newer]
    export(tove.folder / "Newer", renamed)
    data = tove.json("import", "Newer", "--vault", "vault")
    assert {name: count for name, count in data["written"].items() if name != "source"} == {
        "put": 1, "edit": 1, "member": 1,
    }  # fmt: skip
    assert data["report"]["kinds"]["text"] == 3
    shutil.rmtree(tove.folder / "Newer")


def test_one_chat_out_of_all(tove: Person) -> None:
    data = tove.json("import", "DataExport", "--vault", "vault", "--chat", "mine", "--option", "chat=Work")
    assert data["report"]["kinds"] == {"text": 1}
    assert data["report"]["warnings"] == [
        "2 parts of the export belong to no chat and are left out, since --chat names one"
    ]
    for options in (("--chat", "mine"), ("--option", "chat=Zed"), ("--option", "zone=Moon")):
        refused = tove.run("import", "DataExport", "--vault", "vault", *options, expect=2)
        assert "hint: " in refused.err


def test_an_export_that_breaks_off(tove: Person) -> None:
    text = (tove.folder / "DataExport" / "result.json").read_text(encoding="utf-8")
    tove.write("result.json", text[: text.index('"hello"')])
    run = tove.run("import", "result.json", "--vault", "vault", "--format", "telegram")
    assert "warning: result.json: cut off; what came before is imported, the rest kept as it is." in run.out
