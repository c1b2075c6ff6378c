"""WhatsApp exports: where chats lie and what they are called; what is no chat, or a hostile one."""

from __future__ import annotations

import tracemalloc
from pathlib import Path

import pytest

from strongroom.formats import ImportOptions, ImportReport, detect, files_of, importer_named
from strongroom_protocol.errors import ImportRefused
from strongroom_protocol.rows.model import ConversationKind
from whatsapp_exports import (
    AT,
    GB,
    LRM,
    MARKED,
    Said,
    chat,
    file,
    one,
    puts,
    read,
    settled,
    source,
    when,
    zipped,
)


@pytest.mark.parametrize(
    "name",
    [
        "WhatsApp Chat with Ann",
        "WhatsApp-Chat mit Ann",
        "Chat de WhatsApp con Ann",
        "Conversa do WhatsApp com Ann",
        "Discussion WhatsApp avec Ann",
        "Chat WhatsApp con Ann",
        "WhatsApp-chat met Ann",
        "Чат WhatsApp с Ann",
        "Ann ile WhatsApp Sohbeti",
        "与Ann的WhatsApp聊天记录",
        "與Ann的WhatsApp對話",
        "AnnとのWhatsAppトーク",
        "Ann님과의 WhatsApp 대화",
        "Czat WhatsApp z użytkownikiem Ann",
        "Chat WhatsApp dengan Ann",
        "محادثة واتساب مع Ann",
        "WhatsApp Chat - Ann",
    ],
)
def test_titles_in_many_languages(name: str, tmp_path: Path) -> None:
    rows, _ = read(file(tmp_path, f"{AT}Bob: hi\n", f"{name}.txt"))
    assert (rows[0][0], rows[0][1].text) == ("whatsapp:Ann", "Ann")
    zip_rows, _ = read(zipped(tmp_path, {"_chat.txt": f"{AT}Bob: hi\n"}, f"{name}.zip"))
    assert zip_rows[0] == rows[0]


def test_media_in_a_zip_and_a_folder(tmp_path: Path) -> None:
    text = f"{MARKED}Ann: {LRM}<attached: 00000002-Café.pdf>\n"
    members: dict[str, bytes | str] = {
        "_chat.txt": text,
        "00000002-Cafe\u0301.pdf": b"pdf",
        "00000003-WhatsApp Chat with Eve.txt": text,
    }
    importer = importer_named("whatsapp")
    for path in (zipped(tmp_path, members), tmp_path / "WhatsApp Chat - Ann"):
        if path.suffix == "":
            for name, content in members.items():
                file(path, content, name)
        assert detect(path).name == "whatsapp"
        rows, _ = read(path)
        assert {name for name, _ in rows} == {"whatsapp:Ann"}
        (attachment,) = (puts(rows)[0].detail or {})[4]
        with files_of(importer, path) as opener:
            assert opener is not None
            opened = opener(attachment[5])
            assert opened is not None
            with opened:
                assert opened.read() == b"pdf"
            assert opener("gone.jpg") is None


def test_a_folder_of_chats_and_a_zip_with_a_chat_that_was_sent(tmp_path: Path) -> None:
    for name in ("Ann", "Bob"):
        file(tmp_path / "all", f"{AT}{name}: hi\n", f"WhatsApp Chat with {name}.txt")
    rows, report = read(tmp_path / "all")
    assert {name for name, _ in rows} == {"whatsapp:Ann", "whatsapp:Bob"}
    assert report.records == 2
    with pytest.raises(ImportRefused):
        read(tmp_path / "all", chat="x")
    sent: dict[str, bytes | str] = {f"WhatsApp Chat with {name}.txt": f"{AT}{name}: hi\n" for name in ("Ann", "Bob")}
    assert {name for name, _ in read(zipped(tmp_path, sent, "WhatsApp Chat with Ann.zip"))[0]} == {"whatsapp:Ann"}


@pytest.mark.spec("IMP-33")
def test_a_chat_that_nothing_names(tmp_path: Path) -> None:
    path = file(tmp_path / "Downloads", f"{AT}Ann: hi\n", "_chat.txt")
    with pytest.raises(ImportRefused) as refused:
        read(path)
    assert "--chat" in refused.value.hint
    assert read(path, chat="whatsapp:Ann")[0][0][0] == "whatsapp:Ann"
    notice = "[15/01/2024, 10:30:45] Ann: Messages and calls are end-to-end encrypted. No one else can read them.\n"
    assert read(file(tmp_path / "Downloads", notice, "_chat.txt"))[0][0][0] == "whatsapp:Ann"


def test_a_second_download(tmp_path: Path) -> None:
    _, report = read(file(tmp_path, f"{AT}Ann: hi\n", "WhatsApp Chat with Ann (1).txt"))
    assert any("--chat whatsapp:Ann" in warning for warning in report.warnings)
    notice = "[15/01/2024, 10:30:45] Ann: Messages and calls are end-to-end encrypted. No one else can read them.\n"
    assert read(zipped(tmp_path, {"_chat.txt": notice}, "WhatsApp Chat - Ann (1).zip"))[0][0][0] == "whatsapp:Ann"


@pytest.mark.spec("IMP-30")
@pytest.mark.parametrize("content", [b"", b"hello\n", b"\0\0\0", "15/01/2024, 10:30 - Ann: hi\n".encode("utf-16")])
def test_a_text_without_heads_is_refused(content: bytes, tmp_path: Path) -> None:
    for path in (
        file(tmp_path, content),
        zipped(tmp_path, {"_chat.txt": content}),
        zipped(tmp_path, {"a.txt": content}, "a.zip"),
    ):
        with pytest.raises(ImportRefused) as refused:
            read(path)
        assert refused.value.hint


@pytest.mark.parametrize(
    "content",
    [
        "[12:00] <ann> hi\n[12:01] <bob> yo\n",
        "=== ann has joined #x\n",
        "[2024-01-15 10:30:45] root: started\n",
        "2024-01-15 10:30:45 - root: started\n",
        "[15/01/2024 10:30:45] ERROR: no\n",
        "2024-01-15 10:30:45,123 - root - INFO - hi\n",
        '{"type":"message"}\n',
        "Dear Ann,\n15/01/2024, 10:30 - Bob: hi\n",
        "15/01/2024\tAnn\thi\n",
        "1.5, 2.5, 10:30 - x\n",
    ],
)
def test_what_is_not_taken_for_a_chat(content: str, tmp_path: Path) -> None:
    path = file(tmp_path, content, "2024-01-15.txt")
    assert importer_named("whatsapp").sniff(path, path.read_bytes()) is False
    if content.startswith(("[12", "===")):
        assert detect(path).name == "irc"


@pytest.mark.spec("IMP-2")
def test_a_line_without_end(tmp_path: Path) -> None:
    with pytest.raises(ImportRefused):
        read(file(tmp_path, AT.encode() + b"Ann: hi\n" + b"x" * (4 * 1024 * 1024 + 1)))


@pytest.mark.spec("IMP-3")
def test_a_file_that_changes_while_it_is_read(tmp_path: Path) -> None:
    path = file(tmp_path, f"{AT}Ann: hi\n" * 20_000)
    stream = importer_named("whatsapp").read(path, ImportOptions(), ImportReport())
    next(stream)
    path.write_bytes(path.read_bytes().replace(b"hi", b"ho"))
    with pytest.raises(ImportRefused):
        list(stream)


def test_names_that_lead_elsewhere(tmp_path: Path) -> None:
    (tmp_path / "secret.jpg").write_bytes(b"secret")
    folder = tmp_path / "in"
    folder.mkdir()
    (folder / "link.jpg").symlink_to(tmp_path / "secret.jpg")
    for name in ("../secret.jpg", "link.jpg", str(tmp_path / "secret.jpg")):
        row = one(folder, f"{AT}Ann: {name} (file attached)\n")
        assert (row.detail or {})[4][0][7] == "unavailable"


def test_memory_does_not_grow_with_the_chat(tmp_path: Path) -> None:
    peaks = []
    for hours in (2_000, 20_000):
        said = [
            Said(when(2013 + hour // 8064, 1 + hour // 672 % 12, 1 + hour // 24 % 28, hour % 24, hour % 60),
                 f"P{hour % 7}", f"message {hour} " + "x" * 60) for hour in range(hours)
        ]  # fmt: skip
        path = file(tmp_path, chat(GB, said))
        report = ImportReport()
        del said
        tracemalloc.start()
        count = sum(1 for _ in importer_named("whatsapp").read(path, ImportOptions(), report))
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
        assert count == hours + 7 + 2
    assert path.stat().st_size > 1_500_000
    # Bounded tables (dates, equal messages of the last 32,768) fill up meanwhile, the rest stays.
    assert peaks[1] - peaks[0] < 12_000_000


def test_the_source_is_told(tmp_path: Path) -> None:
    path = zipped(tmp_path, {"_chat.txt": f"{MARKED}Ann: hi\n"})
    rows, report = read(path)
    detail = source(rows).detail or {}
    assert (detail[1], detail[4], detail[9], detail[10]) == ("whatsapp", "whatsapp-ios", "whatsapp/1", {"text": 1})
    assert (report.sources[0].name, report.sources[0].records, report.records) == (path.name, 1, 1)
    assert settled(rows)["precision"] == "second"


def test_the_sample() -> None:
    path = Path(__file__).resolve().parents[2] / "samples" / "whatsapp-small" / "WhatsApp Chat with Harbour Trip.txt"
    assert detect(path).name == "whatsapp"
    rows, report = read(path)
    assert b"".join(row.raw or b"" for row in puts(rows)) == path.read_bytes()
    assert report.kinds == {"system": 5, "text": 5, "poll": 1, "media": 2, "location": 1}
    assert (report.rows["delete"], report.rows["member"], report.not_understood) == (1, 4, 0)
    assert (rows[0][0], rows[0][1].kind) == ("whatsapp:Harbour Trip", ConversationKind.GROUP)
