"""IRC logs: every line is accounted for, and the lines joined are the file."""

from __future__ import annotations

import hashlib
import os
from collections import Counter
from pathlib import Path

import pytest

from strongroom.formats import ImportOptions, ImportReport, detect, importer_named
from strongroom.formats.base import Imported
from strongroom_protocol.errors import ImportRefused
from strongroom_protocol.rows.frame import decode_frame, encode_frame
from strongroom_protocol.rows.ids import message_id
from strongroom_protocol.rows.model import Flag, Kind, Op, Row
from strongroom_protocol.rows.table import unstamped

SAMPLE = Path(__file__).resolve().parents[2] / "samples" / "irc-ubuntu"
MINUTE = 60_000
DAY = 1_100_476_800_000  # 2004-11-15


def read(path: Path, **options: str) -> tuple[list[Imported], ImportReport]:
    report = ImportReport()
    chosen = ImportOptions(chat=options.pop("chat", None), title=options.pop("title", None), extra=options)
    return list(importer_named("irc").read(path, chosen, report)), report


def log(folder: Path, *lines: bytes, name: str = "2004-11-15.txt") -> Path:
    path = folder / name
    path.write_bytes(b"".join(lines))
    return path


def puts(rows: list[Imported]) -> list[Row]:
    return [row for _, row in rows if row.op == Op.PUT]


def check_whole(folder: Path, rows: list[Imported]) -> None:
    """The records of every file, in row order, are the file: by the hash in its SOURCE row and on disk."""
    files = {path.name: path for path in folder.rglob("*.raw.txt")}
    digest, count = hashlib.sha256(), 0
    for _, row in rows:
        if row.op == Op.PUT:
            digest.update(row.raw or b"")
            count += 1
        if row.op == Op.SOURCE:
            content = files.pop(row.text or "").read_bytes()
            assert (row.detail or {})[7] == digest.digest() == hashlib.sha256(content).digest()
            assert (row.detail or {})[6] == len(content)
            assert sum((row.detail or {})[10].values()) == count == content.count(b"\n")
            digest, count = hashlib.sha256(), 0
    assert files == {}


def test_the_sample_comes_whole() -> None:
    assert detect(SAMPLE).name == "irc"
    rows, report = read(SAMPLE)
    check_whole(SAMPLE, rows)
    assert report.records == report.rows["put"] == 13_920
    assert report.kinds == {"text": 12_393, "system": 1_504, "action": 23}
    assert report.not_understood == 0
    assert {chat for chat, _ in rows} == {"irc:#ubuntu"}
    assert rows[0][1].text == "#ubuntu"
    ids = Counter(message_id(chat, row) for chat, row in rows if row.op == Op.PUT)
    assert len(ids) == 13_920
    assert sorted(report.warnings)[0].startswith("LICENSE-CC-BY-4.0.txt")


def test_the_whole_corpus_comes_whole() -> None:
    corpus = os.environ.get("STRONGROOM_CORPUS")
    if not corpus:
        pytest.skip("STRONGROOM_CORPUS names no folder: the counts of all 173 files were not checked")
    rows, report = read(Path(corpus))
    check_whole(Path(corpus), rows)
    assert len(report.sources) == 173
    assert report.kinds["system"] == 25_783
    assert report.kinds["text"] + report.kinds["action"] == 222_180
    assert report.rows["put"] == report.records == 247_963
    assert len({message_id(chat, row) for chat, row in rows if row.op == Op.PUT}) == 247_963


def test_rows_of_the_sample_survive_their_frames() -> None:
    rows, _ = read(SAMPLE)
    frame = unstamped("irc:#ubuntu", [row for _, row in rows][:4096])
    frame.stamp(1, b"d" * 16, 1)
    framed = encode_frame("irc:#ubuntu", frame)
    assert list(decode_frame(framed).rows()) == list(frame.rows())
    assert len(framed) / 4096 < 35


def test_lines_of_every_kind(tmp_path: Path) -> None:
    path = log(
        tmp_path,
        b"=== ann has joined #Test\n",
        b"[12:00] <ann> hi <there>\r\n",
        b"[12:00] <bob>\n",
        b"[12:01]  * ann waves\n",
        b"[12:01]  * ann\n",
        b"[12:02] -eve:#test- news\n",
        b"[12:03] (dan/#test) aside\n",
        b"[12:04] caf\xe9\n",
        b"[99:99] <ann> no time\n",
        b"\n",
        b"[12:05] <ann> caf\xe9",
    )
    rows, report = read(path)
    found = [(row.sender, row.kind, row.text) for row in puts(rows)]
    assert found == [
        (None, Kind.SYSTEM, "ann has joined #Test"),
        ("ann", Kind.TEXT, "hi <there>"),
        ("bob", Kind.TEXT, ""),
        ("ann", Kind.ACTION, "waves"),
        ("ann", Kind.ACTION, ""),
        ("eve", Kind.TEXT, "news"),
        ("dan", Kind.TEXT, "aside"),
        (None, Kind.UNSUPPORTED, None),
        (None, Kind.UNSUPPORTED, None),
        (None, Kind.UNSUPPORTED, None),
        ("ann", Kind.TEXT, "caf\N{REPLACEMENT CHARACTER}"),
    ]
    assert b"".join(row.raw or b"" for row in puts(rows)) == path.read_bytes()
    assert [row.seq for row in puts(rows)] == list(range(1, 12))
    assert puts(rows)[0].flags & Flag.DAYS == Flag.DAYS
    assert puts(rows)[0].flags & Flag.INHERITED
    assert puts(rows)[1].flags == Flag.MINUTES | Flag.ZONE_UNKNOWN
    assert puts(rows)[7].time == puts(rows)[6].time
    assert report.not_understood == 3
    assert report.to_dict()["kinds"] == {"action": 2, "system": 1, "text": 5, "unsupported": 3}
    assert rows[0] == ("irc:#test", rows[0][1])
    assert rows[0][1].op == Op.CONVERSATION


@pytest.mark.parametrize(
    ("options", "chat", "title"),
    [
        ({}, "irc:2004-11-15", "2004-11-15"),
        ({"channel": "#x"}, "irc:#x", "#x"),
        ({"chat": "mine", "title": "Mine"}, "mine", "Mine"),
    ],
)
def test_names_of_the_conversation(tmp_path: Path, options: dict[str, str], chat: str, title: str) -> None:
    rows, _ = read(log(tmp_path, b"[12:00] <ann> hi\n"), **options)
    assert (rows[0][0], rows[0][1].text) == (chat, title)


@pytest.mark.spec("IMP-1")
def test_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(ImportRefused):
        read(tmp_path / "2004-11-15.txt")
    with pytest.raises(ImportRefused):
        read(tmp_path / "2004-11-15.txt", channel="#x")


@pytest.mark.spec("IMP-2")
def test_a_line_without_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = log(tmp_path, b"[12:00] <ann> hi\n", b"x" * (4 * 1024 * 1024 + 1))
    with pytest.raises(ImportRefused):
        read(path)


@pytest.mark.spec("IMP-3")
def test_a_file_that_changes_while_it_is_read(tmp_path: Path) -> None:
    path = log(tmp_path, *[b"[12:00] <ann> hi\n"] * 20_000)
    stream = importer_named("irc").read(path, ImportOptions(), ImportReport())
    next(stream)
    next(stream)
    path.write_bytes(b"")
    with pytest.raises(ImportRefused):
        list(stream)


@pytest.mark.spec("IMP-4")
def test_equal_lines_of_one_minute_are_different_messages(tmp_path: Path) -> None:
    rows, _ = read(log(tmp_path, *[b"[12:00] <ann> lol\n"] * 3, b"[12:01] <ann> lol\n"))
    assert [row.ordinal for row in puts(rows)] == [0, 1, 2, 0]
    assert len({message_id(chat, row) for chat, row in rows if row.op == Op.PUT}) == 4


def test_an_import_again_gives_the_same_rows(tmp_path: Path) -> None:
    path = log(tmp_path, *[b"[12:00] <ann> lol\n"] * 3)
    assert read(path)[0] == read(path)[0]


@pytest.mark.spec("IMP-5")
def test_a_folder_without_logs(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("nothing\n")
    with pytest.raises(ImportRefused):
        read(tmp_path)


@pytest.mark.spec("IMP-6")
@pytest.mark.parametrize(
    ("clocks", "minutes"),
    [
        ("23:59 00:01", [1439, 1441]),
        ("12:59 01:00 12:00 01:00", [779, 780, 1440, 1500]),
        ("11:59 00:00", [719, 720]),
        ("12:00 11:58 12:01", [720, 720, 721]),
        ("23:00 00:00 23:30 00:10", [1380, 1440, 2850, 2890]),
    ],
)
def test_times_never_fall(tmp_path: Path, clocks: str, minutes: list[int]) -> None:
    rows, _ = read(log(tmp_path, *(b"[%s] <ann> hi\n" % clock.encode() for clock in clocks.split())))
    assert [(row.time - DAY) // MINUTE for row in puts(rows)] == minutes


@pytest.mark.spec("IMP-7")
def test_a_log_of_an_unknown_day(tmp_path: Path) -> None:
    path = log(tmp_path, b"[12:00] <ann> hi\n", name="ubuntu.log")
    with pytest.raises(ImportRefused):
        read(path)
    with pytest.raises(ImportRefused):
        read(log(tmp_path, b"[12:00] <ann> hi\n", name="2004-02-31.txt"))
    assert puts(read(path, date="2004-11-15")[0])[0].time == DAY + 720 * MINUTE


def test_what_is_no_log_is_not_recognised(tmp_path: Path) -> None:
    for content in (b"hello\n", b"", b"[12:00] <a> \0\n", b'{"type":"message"}\n'):
        with pytest.raises(ImportRefused):
            detect(log(tmp_path, content))
    with pytest.raises(ImportRefused):
        importer_named("nonsense")
    with pytest.raises(ImportRefused):
        detect(tmp_path / "absent")
