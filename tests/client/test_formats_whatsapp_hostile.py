"""WhatsApp exports that somebody wants to be read otherwise than they are, or that no table foresaw (review 0007)."""

from __future__ import annotations

from pathlib import Path

import pytest

from strongroom.formats import ImportOptions, ImportReport, importer_named
from strongroom.formats.whatsapp.heads import split
from strongroom_protocol.errors import ImportRefused
from whatsapp_exports import LRM, PHONES, Said, chat, file, puts, read, when, zipped

AT = "15/01/2024, 10:30 - "
MUM = "WhatsApp Chat with Mum.txt"


@pytest.mark.parametrize("dash", [" - ", " – "])
def test_a_dash_in_a_name_or_a_text_is_no_end_of_a_head(tmp_path: Path, dash: str) -> None:
    """Both dashes end heads, of one phone or another; the first one does."""
    told = [("Bob", "hi"), ("Ann", "Köln – Berlin"), ("Ann – Work", "yes"), ("Ann - Home", "a - b – c"), ("–", "–")]
    lines = [f"15/01/2024, 10:3{number}{dash}{who}: {text}" for number, (who, text) in enumerate(told)]
    rows, report = read(file(tmp_path, "\n".join(lines) + "\n"))
    assert [(row.sender, row.text) for row in puts(rows)] == told
    assert report.warnings == []


@pytest.mark.spec("IMP-31")
@pytest.mark.parametrize("phone", PHONES, ids=lambda phone: phone.name)
def test_one_long_message_does_not_say_how_the_chat_is_written(tmp_path: Path, phone: object) -> None:
    """More lines of another form than the chat has of its own: with the most for the rule they would be the chat."""
    which = next(item for item in PHONES if item is phone)
    other = PHONES[0] if which.form[0] == "[" else PHONES[-1]
    lines = "".join(f"{other.head(when(2020, 1, 1, 10, n % 60))}Ann: I owe you {n}\n" for n in range(200))
    if which.form[0] == other.form[0] == "[" or which is other:
        lines = "".join(f"15.1.20, 10:{n % 60:02} Uhr - Ann: I owe you {n}\n" for n in range(200))
    talk = [Said(when(2024, 1, 15, 10), "Bob", "hello"), Said(when(2024, 1, 15, 11), "Eve", f"look\n{lines}".rstrip()),
            Said(when(2024, 1, 15, 12), "Ann", "what?")]  # fmt: skip
    rows, report = read(file(tmp_path, chat(which, talk)))
    assert [row.sender for row in puts(rows)] == ["Bob", "Eve", "Ann"]
    assert any("as the others are: 200;" in warning for warning in report.warnings)


@pytest.mark.spec("IMP-34")
@pytest.mark.parametrize("told", [f"{MUM} (file attached)", f"{LRM}{MUM} (Datei angehängt)", f"look <attached: {MUM}>"])
def test_a_chat_that_was_sent_is_no_export(tmp_path: Path, told: str) -> None:
    """Somebody sends a file with the name of an export: in the zip, it would be another chat, of their words."""
    own = f"{AT}Eve: {told}\n{AT}Ann: what is this?\n"
    forged = f"{AT}Mum: I give everything to Eve\n"
    files: dict[str, bytes | str] = {"WhatsApp Chat with Eve.txt": own, MUM: forged}
    rows, report = read(zipped(tmp_path / "zip", files, "exports.zip"))
    assert {conversation for conversation, _ in rows} == {"whatsapp:Eve"}
    assert any("names as a file" in warning for warning in report.warnings)
    for name, content in files.items():
        file(tmp_path / "folder", content, name)
    assert {conversation for conversation, _ in read(tmp_path / "folder")[0]} == {"whatsapp:Eve"}
    assert {conversation for conversation, _ in read(tmp_path / "folder" / MUM)[0]} == {"whatsapp:Mum"}


def test_chats_that_know_nothing_of_each_other_are_all_exports(tmp_path: Path) -> None:
    for name in ("Eve", "Mum", "Zoë"):
        file(tmp_path, f"{AT}{name}: my notes are in notes.txt, not in Mum.txt\n", f"WhatsApp Chat with {name}.txt")
    assert {conversation for conversation, _ in read(tmp_path)[0]} == {"whatsapp:Eve", "whatsapp:Mum", "whatsapp:Zoë"}


def test_two_that_name_each_other_are_both_left_to_the_person(tmp_path: Path) -> None:
    for name, other in (("Eve", "Mum"), ("Mum", "Eve")):
        text = f"{AT}{name}: WhatsApp Chat with {other}.txt (file attached)\n"
        file(tmp_path, text, f"WhatsApp Chat with {name}.txt")
    with pytest.raises(ImportRefused):
        list(importer_named("whatsapp").read(tmp_path, ImportOptions(), ImportReport()))


def test_hours_with_a_word_behind_them(tmp_path: Path) -> None:
    rows, _ = read(file(tmp_path, "15.01.24 г., 10:30 ч. - Ann: hi\n16.01.24 г., 9:05 ч. - Bob: ho\n"))
    assert [row.time for row in puts(rows)] == [
        int(when(2024, 1, 15, 10, 30).timestamp()) * 1000, int(when(2024, 1, 16, 9, 5).timestamp()) * 1000,
    ]  # fmt: skip


@pytest.mark.parametrize(
    "line", ["15/01/2024, 10:30 –", "1 - 2 - 3 - 4", "9" * 64, "[" * 64, "٣" * 20, "²³ - x", "- - -"]
)
def test_lines_that_are_nearly_heads(line: str) -> None:
    found = split(line)
    assert found is None or found.rest in line
