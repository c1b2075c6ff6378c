"""The native format, and the export in it: import(export(x)) exported again gives the same bytes."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from strongroom.formats import ImportOptions, ImportReport, detect, importer_named
from strongroom.formats.export_json import Chat, chat_file, export_json
from strongroom.formats.native_json import canonical, parse
from strongroom.formats.native_rows import from_json, to_json
from strongroom_protocol.errors import ImportRefused, InvalidArgument
from strongroom_protocol.rows.detail import struct_of
from strongroom_protocol.rows.merge import History, Order
from strongroom_protocol.rows.model import UNSTAMPED, DeleteKind, Flag, Kind, Op, Origin, Row

NOW = 1_700_000_000_000
ORDER = Order(NOW)
Rows = dict[str, list[Row]]


def read(path: Path) -> tuple[Rows, ImportReport]:
    report = ImportReport()
    rows: Rows = {}
    for chat, row in importer_named("native").read(path, ImportOptions(), report):
        rows.setdefault(chat, []).append(row)
    return rows, report


def committed(rows: list[Row], *, batch: int = 1) -> list[Row]:
    """As a device would commit them: one clock, counting up in frame order."""
    ordered = sorted(rows, key=lambda row: (row.time, row.seq))
    return [row._replace(origin=Origin(NOW << 16, b"d" * 16, batch, place)) for place, row in enumerate(ordered)]


def export(folder: Path, chats: Rows) -> dict[str, bytes]:
    """All files of an export of committed rows, by name."""

    def merged(chat: str, rows: list[Row]) -> Chat:
        history = History(chat, rows)
        facts = [row for op in (Op.CONVERSATION, Op.MEMBER, Op.SOURCE) for row in history.facts(op, ORDER)]
        return Chat(chat, facts, history.messages(ORDER))

    export_json(folder, [merged(chat, rows) for chat, rows in sorted(chats.items())])
    return {str(file.relative_to(folder)): file.read_bytes() for file in folder.rglob("*") if file.is_file()}


def lines(folder: Path, *records: Any) -> Path:
    path = folder / "chat.jsonl"
    path.write_bytes(b"".join((r if type(r) is bytes else canonical(r).encode()) + b"\n" for r in records))
    return path


def message(**fields: Any) -> dict[str, Any]:
    return {"type": "message", "conversation": "c", "time": NOW, "sender": "ann", "text": "hi", **fields}


EVERYTHING: list[Any] = [
    {"type": "conversation", "conversation": "c", "title": "Böse/../Title", "kind": "group", "topic": "t"},
    {"type": "conversation", "conversation": "c", "title": "New", "time": NOW, "archived": True},
    {"type": "member", "conversation": "c", "person": "ann", "name": "Ann", "phone": "+1", "is_self": True},
    {"type": "source", "conversation": "c", "file": "a.zip", "sha256": "ab" * 32, "options": {"zone": "utc"}},
    message(id="1", marks=["incoming", "zone_unknown"], precision="second", seq=7),
    message(id="1", type="edit", text="hi!", at=NOW + 5),
    message(id="1", type="edit", text="hi", at=NOW + 9),
    {"type": "reaction", "conversation": "c", "time": NOW, "id": "1", "sender": "bob", "emoji": "👍", "at": NOW},
    {"type": "reaction", "conversation": "c", "time": NOW, "id": "1", "sender": "bob", "emoji": "❤", "removed": True},
    message(id="2"),
    {"type": "delete", "conversation": "c", "time": NOW, "id": "2"},
    message(id="3"),
    {"type": "delete", "conversation": "c", "time": NOW, "id": "3", "kind": "by_sender", "sender": "ann", "at": NOW},
    message(id="4", kind="media", text=None, attachments=[{"sha256": "cd" * 32, "size": 5, "fps": 29}]),
    message(time=NOW + 1, reply={"id": "1", "text": "hi"}, kind="text"),
    message(time=NOW + 1),
    message(time=NOW + 2, unknown={"b": [1, None], "a": 2}, other="x"),
    message(time=NOW + 3, raw_b64="/w=="),
    message(time=NOW + 3, raw="[12:00] <ann> hi\n", id="5"),
    message(time=NOW + 4, kind=200, marks=["bit7"]),
    b'{"type":"message", "conversation":"c", "time":1700000000009, "score": 1.50, "big": 1e400, "text":"\\u0041"}',
    b'{"type":"message","conversation":"c","time":1.5}',
    b"not json",
    b"not json",
    b'{"type":"message","conversation":"c","time":5,"text":"\\ud800"}',
    b'{"type":"message","conversation":"c","time":5,"score":NaN}',
    b'{"type":"poem","conversation":"c"}',
    b"[1]",
    b'{"type":"message","conversation":"c","time":1700000000009,"text":"cut sho',
]


def test_export_and_import_and_export_again_gives_the_same_bytes(tmp_path: Path) -> None:
    rows, report = read(lines(tmp_path, *EVERYTHING))
    assert report.not_understood == 8
    assert sum(report.rows.values()) == len(EVERYTHING)
    chats = {chat: committed(of) for chat, of in rows.items()}
    first = export(tmp_path / "one", chats)
    again, found = read(tmp_path / "one")
    second = export(tmp_path / "two", {chat: committed(of, batch=7) for chat, of in again.items()})
    assert first == second
    assert found.not_understood == 0
    both = {chat: [*of, *committed(again[chat], batch=9)] for chat, of in chats.items()}
    assert export(tmp_path / "three", both) == first


def test_what_an_export_holds(tmp_path: Path) -> None:
    rows, _ = read(lines(tmp_path, *EVERYTHING))
    files = export(tmp_path / "one", {chat: committed(of) for chat, of in rows.items()})
    index = json.loads(files["strongroom.json"])
    (chat,) = index["chats"]
    assert chat["file"].startswith("chats/new-")
    content = files[chat["file"]]
    assert chat["sha256"] == hashlib.sha256(content).hexdigest()
    records = [parse(line) for line in content.splitlines()]
    assert sum(index["counts"].values()) == len(records)
    assert [r["text"] for r in records if r.get("id") == "1" and r["type"] != "reaction"] == ["hi", "hi!", "hi"]
    assert [r["emoji"] for r in records if r["type"] == "reaction"] == ["👍"]
    assert [r for r in records if r.get("id") == "2"] == [
        {"type": "delete", "conversation": "c", "time": NOW, "id": "2"}
    ]
    assert b'"score":1.50' in content
    assert b'"big":1e400' in content
    assert b'"fps":29' in content
    assert all(canonical(record).encode() == line for record, line in zip(records, content.splitlines(), strict=True))


def test_a_line_in_canonical_form_keeps_no_copy(tmp_path: Path) -> None:
    rows, _ = read(lines(tmp_path, message(id="1"), b'{"type": "message", "conversation":"c","time":5}'))
    assert [row.raw for row in rows["c"]] == [None, b'{"type": "message", "conversation":"c","time":5}']


def test_equal_messages_without_ids_are_numbered(tmp_path: Path) -> None:
    rows, _ = read(lines(tmp_path, message(), message(), message(ordinal=5)))
    assert [row.ordinal for row in rows["c"]] == [0, 1, 5]


def test_a_file_with_a_mark_and_windows_lines(tmp_path: Path) -> None:
    path = tmp_path / "x.jsonl"
    path.write_bytes(b"\xef\xbb\xbf" + canonical(message()).encode() + b"\r\n\r\n")
    assert detect(path).name == "native"
    rows, report = read(path)
    assert len(rows["c"]) == 1
    assert report.not_understood == 0


def test_a_file_that_is_not_utf8_is_refused_before_its_first_row(tmp_path: Path) -> None:
    path = lines(tmp_path, message(), b"\xff\xfe")
    stream = importer_named("native").read(path, ImportOptions(), ImportReport())
    with pytest.raises(ImportRefused):
        next(stream)


@pytest.mark.parametrize("content", [b"", b"hello\n", b"{}\n", b"[1]\n", b'{"type":"message"}\n', b"\xff\n"])
def test_what_is_not_native_is_not_recognised(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "x.jsonl"
    path.write_bytes(content)
    with pytest.raises(ImportRefused):
        detect(path)


def exported(folder: Path) -> Path:
    rows, _ = read(lines(folder, *EVERYTHING[:6]))
    export(folder / "out", {chat: committed(of) for chat, of in rows.items()})
    assert detect(folder / "out").name == "native"
    return folder / "out"


@pytest.mark.spec("IMP-8")
def test_a_damaged_export_is_refused_before_its_first_row(tmp_path: Path) -> None:
    folder = exported(tmp_path)
    (chat,) = (folder / "chats").iterdir()
    chat.write_bytes(chat.read_bytes().replace(b"hi!", b"ho!"))
    stream = importer_named("native").read(folder, ImportOptions(), ImportReport())
    with pytest.raises(ImportRefused):
        next(stream)


def rewrite_index(folder: Path, **fields: Any) -> None:
    index = json.loads((folder / "strongroom.json").read_text())
    (folder / "strongroom.json").write_text(json.dumps({**index, **fields}))


@pytest.mark.spec("IMP-9")
@pytest.mark.parametrize("fields", [{"version": 2}, {"format": "other"}])
def test_an_export_of_an_unknown_version(tmp_path: Path, fields: dict[str, Any]) -> None:
    folder = exported(tmp_path)
    rewrite_index(folder, **fields)
    with pytest.raises(ImportRefused):
        read(folder)


@pytest.mark.spec("IMP-10")
@pytest.mark.parametrize("name", ["../chat.jsonl", "/etc/passwd", "chats/../../chat.jsonl", "chats/a\nb.jsonl"])
def test_an_index_that_names_a_file_outside(tmp_path: Path, name: str) -> None:
    folder = exported(tmp_path)
    sha256 = hashlib.sha256((tmp_path / "chat.jsonl").read_bytes()).hexdigest()
    rewrite_index(folder, chats=[{"file": name, "sha256": sha256}])
    with pytest.raises(ImportRefused, match="outside"):
        read(folder)


@pytest.mark.spec("IMP-11")
def test_a_chat_is_exported_once(tmp_path: Path) -> None:
    with pytest.raises(InvalidArgument):
        export_json(tmp_path / "out", [Chat("a", [], []), Chat("b", [], []), Chat("a", [], [])])
    assert list(tmp_path.iterdir()) == []


@pytest.mark.spec("IMP-12")
def test_an_export_replaces_an_export_and_nothing_else(tmp_path: Path) -> None:
    folder = exported(tmp_path)
    before = (folder / "strongroom.json").read_bytes()
    export_json(folder, [Chat("other", [], [])])
    assert (folder / "strongroom.json").read_bytes() != before
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "photo.jpg").write_bytes(b"x")
    for target in (tmp_path / "mine", tmp_path / "chat.jsonl"):
        with pytest.raises(InvalidArgument):
            export_json(target, [])
    assert (tmp_path / "mine" / "photo.jpg").exists()
    (tmp_path / "empty").mkdir()
    export_json(tmp_path / "empty", [])
    assert sorted(file.name for file in (tmp_path / "empty").iterdir()) == ["chats", "strongroom.json"]


@pytest.mark.parametrize("title", ["../../etc/passwd", "/", "..", "CON", "家", "a" * 300, "x\0y", ""])
def test_no_title_becomes_a_path(title: str) -> None:
    name = chat_file("c", title)
    assert name.startswith("chats/")
    assert name.count("/") == 1
    assert len(name) < 100
    assert name.isascii()
    assert chat_file("d", title) != name


def test_names_of_fields_and_of_columns_do_not_meet() -> None:
    columns = {"type", "conversation", "time", "id", "sender", "text", "seq", "ordinal", "kind", "raw", "raw_b64"}
    columns |= {"emoji", "removed", "precision", "marks", "title", "person", "name", "file"}
    for op in Op:
        assert not columns & set(struct_of(op).by_name)


rows_of_messages = st.builds(
    Row,
    st.just(Op.PUT),
    st.integers(0, 2**48 - 1),
    st.integers(0, 2**63 - 1),
    st.none() | st.text(max_size=9),
    st.none() | st.text(max_size=9),
    st.sampled_from((*Kind, 99)),
    st.none() | st.text(max_size=20),
    st.none() | st.binary(max_size=9),
    st.integers(0, 255),
    st.integers(0, 9),
    st.none() | st.dictionaries(st.integers(100, 999), st.binary() | st.lists(st.integers(-9, 9)), min_size=1),
    st.just(UNSTAMPED),
)


@given(rows_of_messages, st.text(min_size=1, max_size=9))
@settings(max_examples=300, deadline=None)
def test_a_row_is_its_line(row: Row, chat: str) -> None:
    assert from_json(parse(canonical(to_json(chat, row)))) == (chat, row)


def test_deletion_kinds_and_flags_have_names() -> None:
    row = Row(Op.DELETE, 5, id="1", kind=DeleteKind.EXPIRED, flags=Flag.DAYS | Flag.OUTGOING)
    fields = to_json("c", row)
    assert (fields["kind"], fields["precision"], fields["marks"]) == ("expired", "day", ["outgoing"])
    assert from_json(fields) == ("c", row)
