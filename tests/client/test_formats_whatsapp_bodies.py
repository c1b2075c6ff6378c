"""WhatsApp exports: what a message is (files, placeholders, deletions, edits, polls, notices)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from strongroom.formats import files_of, importer_named
from strongroom_protocol.rows.model import ConversationKind, DeleteKind, Flag, Kind, Op
from whatsapp_exports import (
    AT,
    LRM,
    MARKED,
    file,
    one,
    puts,
    read,
    when,
    zipped,
)

ATTACHED = [
    ("Ann: IMG-20240115-WA0001.jpg (file attached)", "IMG-20240115-WA0001.jpg", "photo"),
    ("Ann: VID-20240115-WA0002.mp4 (Datei angehängt)", "VID-20240115-WA0002.mp4", "video"),
    ("Ann: PTT-20240115-WA0003.opus (archivo adjunto)", "PTT-20240115-WA0003.opus", "voice"),
    ("Ann: \u200eAUD-20240115-WA0004.m4a (whatever new words)", "AUD-20240115-WA0004.m4a", "audio"),
    ("Ann: Grüße 2024.pdf (файл добавлен)", "Grüße 2024.pdf", "document"),
    ("Ann: 文件.pdf (文件附件)", "文件.pdf", "document"),
    ("Ann: \u200e<attached: 00000012-PHOTO-2024-01-15-10-30-45.jpg>", "PHOTO-2024-01-15-10-30-45.jpg", "photo"),
    ("Ann: \u200e<Anhang: 00000012-AUDIO-2024-01-15-10-30-45.opus>", "AUDIO-2024-01-15-10-30-45.opus", "audio"),
    ("Ann: \u200e<附件：00000012-VIDEO-2024-01-15-10-30-45.mp4>", "VIDEO-2024-01-15-10-30-45.mp4", "video"),
    ("Ann: \u200e<添付ファイル: 00000012-GIF-2024-01-15-10-30-45.mp4>", "GIF-2024-01-15-10-30-45.mp4", "gif"),
]


@pytest.mark.parametrize(("line", "name", "role"), ATTACHED)
def test_files(line: str, name: str, role: str, tmp_path: Path) -> None:
    row = one(tmp_path, f"{AT}{line}\nwith a caption\n")
    assert (row.kind, row.text) == (Kind.MEDIA, "with a caption")
    assert row.detail == {4: [{4: name, 6: role, 7: "unavailable", 8: "not in the export"}]}
    stored = line.removeprefix("Ann: ").strip("\u200e<>")
    stored = stored.partition(" (")[0] if "(" in stored else stored.replace("：", ": ").partition(": ")[2]
    file(tmp_path, b"bytes", stored)
    assert one(tmp_path, f"{AT}{line}\n").detail == {4: [{4: name, 6: role, 5: stored}]}
    with files_of(importer_named("whatsapp"), tmp_path / "WhatsApp Chat with Ann.txt") as opener:
        assert opener is not None
        opened = opener(stored)
        assert opened is not None
        assert opened.read() == b"bytes"
        opened.close()


def test_stickers_and_contacts(tmp_path: Path) -> None:
    assert one(tmp_path, f"{AT}Ann: STK-20240115-WA0001.webp (file attached)\n").kind == Kind.STICKER
    row = one(tmp_path, f"{AT}Ann: Bob Lee.vcf (file attached)\n")
    assert (row.kind, (row.detail or {})[23]) == (Kind.CONTACT, [{1: "Bob Lee"}])


@pytest.mark.parametrize(
    ("line", "kind", "role", "reason"),
    [
        ("<Media omitted>", Kind.MEDIA, None, "<Media omitted>"),
        ("<Medien ausgeschlossen>", Kind.MEDIA, None, "<Medien ausgeschlossen>"),
        ("<Multimedia omitido>", Kind.MEDIA, None, "<Multimedia omitido>"),
        ("<Médias omis>", Kind.MEDIA, None, "<Médias omis>"),
        ("<Без медиафайлов>", Kind.MEDIA, None, "<Без медиафайлов>"),
        ("<省略影音内容>", Kind.MEDIA, None, "<省略影音内容>"),
        ("\u200eimage omitted", Kind.MEDIA, "photo", "image omitted"),
        ("\u200eBild weggelassen", Kind.MEDIA, "photo", "Bild weggelassen"),
        ("\u200e圖片已略去", Kind.MEDIA, "photo", "圖片已略去"),
        ("görüntü dahil edilmedi", Kind.MEDIA, "photo", "görüntü dahil edilmedi"),
        ("\u200esticker omitted", Kind.STICKER, "sticker", "sticker omitted"),
        ("\u200eContact card omitted", Kind.CONTACT, None, "Contact card omitted"),
    ],
)
def test_files_that_were_left_out(line: str, kind: Kind, role: str | None, reason: str, tmp_path: Path) -> None:
    row = one(tmp_path, f"{AT}Ann: {line}\ncaption\n" if line.startswith(("<", LRM)) else f"{AT}Ann: {line}\n")
    assert (row.kind, row.text) == (kind, "caption" if line.startswith(("<", LRM)) else None)
    assert row.detail == {4: [{7: "omitted", 8: reason, **({6: role} if role else {})}]}


def test_a_document_of_ios(tmp_path: Path) -> None:
    omitted = one(tmp_path, f"{MARKED}Ann: {LRM}Plan.pdf • {LRM}3 pages {LRM}document omitted\n")
    attached = one(tmp_path, f"{MARKED}Ann: {LRM}Plan.pdf • {LRM}3 pages {LRM}<attached: 00000007-Plan.pdf>\n")
    assert omitted.text == attached.text == "Plan.pdf • 3 pages"
    assert (omitted.id, omitted.kind) == (attached.id, attached.kind)
    assert (attached.detail or {})[4][0][4] == "Plan.pdf"


@pytest.mark.parametrize(
    "line",
    [
        "This message was deleted",
        "You deleted this message.",
        "\u200eDiese Nachricht wurde gelöscht.",
        "Se eliminó este mensaje.",
        "此訊息已刪除",
        "Данное сообщение удалено",
        "이 메시지가 삭제되었습니다",
    ],
)
def test_deleted_messages(line: str, tmp_path: Path) -> None:
    rows, _ = read(file(tmp_path, f"{AT}Ann: hi\n{AT}Ann: {line}\n"))
    said, gone = puts(rows)
    (delete,) = [row for _, row in rows if row.op == Op.DELETE]
    assert (said.text, gone.text, gone.sender, gone.id) == ("hi", None, "Ann", "deleted:1:Ann")
    assert (delete.id, delete.time, delete.kind) == (gone.id, gone.time, DeleteKind.BY_SENDER)
    admin, _ = read(file(tmp_path, f"{AT}Ann: {LRM}This message was deleted by admin Bob.\n"))
    assert [row.kind for _, row in admin if row.op == Op.DELETE] == [DeleteKind.BY_ADMIN]


@pytest.mark.parametrize(
    "mark", [" <This message was edited>", f" {LRM}<This message was edited>", " <Diese Nachricht wurde bearbeitet.>"]
)
def test_edited_messages(mark: str, tmp_path: Path) -> None:
    row = one(tmp_path, f"{AT}Ann: two\nlines{mark}\n")
    assert (row.text, bool(row.flags & Flag.EDITED)) == ("two\nlines", True)
    assert one(tmp_path, f"{AT}Ann: a <b>\n")[6:9:2] == ("a <b>", Flag.MINUTES | Flag.ZONE_UNKNOWN)


def test_polls_places_and_calls(tmp_path: Path) -> None:
    poll = one(
        tmp_path,
        f"{MARKED}Ann: {LRM}POLL:\nWhen?\n{LRM}OPTION: seven ({LRM}2 votes)\n{LRM}OPTION: eight ({LRM}1 vote)\n",
    )
    assert (poll.kind, poll.text) == (Kind.POLL, "When?")
    assert poll.detail == {21: {1: "When?", 2: [{1: "seven", 2: 2}, {1: "eight", 2: 1}]}}
    assert one(tmp_path, f"{AT}Ann: ENCUESTA:\n¿Sí?\nOPCIÓN: Sí (1 voto)\n").kind == Kind.POLL
    assert one(tmp_path, f"{AT}Ann: NOTE:\nbring\nmilk (2 litres)\n").kind == Kind.TEXT
    place = one(tmp_path, f"{AT}Ann: location: https://maps.google.com/?q=52.5200,-13.4050\n")
    assert (place.kind, place.detail) == (Kind.LOCATION, {24: {1: "52.5200", 2: "-13.4050"}})
    assert one(tmp_path, f"{MARKED}Ann: {LRM}Ubicación: https://maps.google.com/?q=1.5,2\n").kind == Kind.LOCATION
    for line, call in [
        ("Missed voice call at 10:30", {1: "voice", 3: "missed"}),
        (f"Ann: {LRM}Missed video call, {LRM}Tap to call back", {1: "video", 3: "missed"}),
        ("Ann: Verpasster Sprachanruf", {1: "voice", 3: "missed"}),
        (f"Ann: {LRM}Voice call, {LRM}5 min", {1: "voice"}),
    ]:
        row = one(tmp_path, f"{AT}{line}\n")
        assert (row.kind, row.detail) == (Kind.CALL, {22: call})


@pytest.mark.parametrize(
    ("line", "event"),
    [
        ("Messages and calls are end-to-end encrypted. No one outside of this chat can read them.", {1: "encryption"}),
        ('Ann created group "Trip"', {1: "created", 2: "Ann", 4: {"to": "Trip"}}),
        ("Ann hat die Gruppe „Reise“ erstellt.", {1: "created", 2: "Ann", 4: {"to": "Reise"}}),
        ("Ann added Bob", {1: "add", 2: "Ann", 3: ["Bob"]}),
        ("Ann added Bob and Eve", {1: "add", 2: "Ann"}),
        ("Ann removed Bob", {1: "remove", 2: "Ann", 3: ["Bob"]}),
        ("Bob left", {1: "leave", 2: "Bob"}),
        ("Bob salió del grupo", {1: "leave", 2: "Bob"}),
        (
            'Ann changed the subject from "Trip" to "Rome: 2024"',
            {1: "subject", 2: "Ann", 4: {"from": "Trip", "to": "Rome: 2024"}},
        ),
        ("Ann changed this group's icon", {1: "icon", 2: "Ann"}),
        ("Bob changed their phone number to a new number. Tap to message.", {1: "number", 2: "Bob"}),
        ("Your security code with Ann changed. Tap to learn more.", {1: "security_code"}),
        ("Bob joined using this group's invite link", {1: "join", 2: "Bob"}),
        ("You're now an admin", {1: "admin", 2: "You're"}),
        ("Something WhatsApp will say in 2031", None),
    ],
)
def test_notices(line: str, event: dict[int, Any] | None, tmp_path: Path) -> None:
    row = one(tmp_path, f"{AT}{line}\n")
    assert (row.kind, row.sender, row.text) == (Kind.SYSTEM, None, line)
    assert row.detail == (None if event is None else {28: event})


def test_notices_of_ios_bear_a_name(tmp_path: Path) -> None:
    lines = [
        f"Trip: {LRM}Messages and calls are end-to-end encrypted.",
        f"Trip: {LRM}Ann created this group",
        f"Ann: {LRM}Ann added you",
        "Ann: Ann left the keys at home",
        f"Trip: {LRM}Bob joined using this group's invite link",
        "Ann: Bob added salt",
    ]
    content = "".join(f"[15/01/2024, 10:30:45] {line}\n" for line in lines)
    rows, _ = read(zipped(tmp_path, {"_chat.txt": content}, "WhatsApp Chat - Trip.zip"))
    assert [(row.sender, Kind(row.kind).name) for row in puts(rows)] == [
        (None, "SYSTEM"), (None, "SYSTEM"), ("Ann", "SYSTEM"), ("Ann", "SYSTEM"), (None, "SYSTEM"), ("Ann", "TEXT"),
    ]  # fmt: skip
    assert {row.sender for _, row in rows if row.op == Op.MEMBER} == {"Ann"}
    assert rows[0][1].kind == ConversationKind.GROUP


def test_a_renamed_group(tmp_path: Path) -> None:
    content = f'{AT}Ann created group "Trip"\n16/01/2024, 09:00 - Ann changed the subject from "Trip" to "Rome"\n'
    rows, report = read(file(tmp_path, content, "WhatsApp Chat with Rome.txt"))
    titles = [(row.text, row.time) for _, row in rows if row.op == Op.CONVERSATION]
    assert titles == [("Rome", 0), ("Rome", when(2024, 1, 16, 9).timestamp() * 1000)]
    assert any("--chat" in warning for warning in report.warnings)
    later, _ = read(file(tmp_path, content, "WhatsApp Chat with Paris.txt"))
    assert [row.text for _, row in later if row.op == Op.CONVERSATION] == ["Paris", "Rome", "Paris"]
