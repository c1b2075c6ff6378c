"""Exports made to harm: path tricks, bombs, links, damage. What is sound is imported, the rest is named."""

from __future__ import annotations

import io
import json
import os
import random
import stat
import struct
import tracemalloc
import zipfile
from pathlib import Path
from typing import Any

import pytest

from slack_exports import CHAT, DAY, folder, of, read, tree, zipped
from strongroom.formats import ImportOptions, ImportReport, files_of, importer_named
from strongroom.formats.archive import open_archive
from strongroom.formats.json_stream import Unread, records
from strongroom_protocol.errors import ImportRefused
from strongroom_protocol.rows.model import Kind, Op

MIB = 1024 * 1024
MESSAGE = {"user": "U1", "text": "hi", "ts": "1700000000.000000"}


def add(path: Path, name: str | zipfile.ZipInfo, data: bytes, method: int = zipfile.ZIP_DEFLATED) -> None:
    with zipfile.ZipFile(path, "a", method) as archive:
        archive.writestr(name, data, method)


def renamed(path: Path, old: bytes, new: bytes) -> Path:
    """The zip with another name in its directory and headers, which no library writes."""
    assert len(old) == len(new)
    path.write_bytes(path.read_bytes().replace(old, new))
    return path


def sound(path: Path) -> list[str]:
    """The export imports its one sound message; returns the warnings."""
    rows, report = read(path)
    assert [row.text for row in of(rows, Op.PUT)] == ["hi"]
    return report.warnings


@pytest.mark.spec("IMP-13")
@pytest.mark.parametrize(
    "name",
    ["../evil/0.json", "/tmp/evil/0.js", "test/./evil.jso", "test/../../x.js", "C:\\evil\\0.json", "test\\evil.json",
     "C:/evil//0.json", "test//evil0.jso", "test/evil\0.json"],
)  # fmt: skip
def test_attack_096_names_that_are_no_plain_paths(tmp_path: Path, name: str) -> None:
    path = zipped(tmp_path, tree(MESSAGE))
    stand_in = "x" * len(name)
    add(path, stand_in, b'[{"text":"evil"}]')
    assert sound(renamed(path, stand_in.encode(), name.encode())) == ["left out: 1 (not a plain relative name)"]
    with files_of(importer_named("slack"), path) as opener:
        assert opener is not None
        assert opener(name) is None


@pytest.mark.spec("IMP-13")
def test_a_name_without_end(tmp_path: Path) -> None:
    path = zipped(tmp_path, tree(MESSAGE))
    add(path, "test/" + "x" * 2000 + ".json", b"[{}]")
    assert sound(path) == ["left out: 1 (not a plain relative name)"]


@pytest.mark.spec("IMP-13")
def test_attack_096_links_and_devices(tmp_path: Path) -> None:
    path = zipped(tmp_path, tree(MESSAGE))
    for name, mode in (("test/link.json", stat.S_IFLNK), ("test/pipe.json", stat.S_IFIFO)):
        info = zipfile.ZipInfo(name)
        info.external_attr = (mode | 0o777) << 16
        add(path, info, b"/etc/passwd")
    assert sound(path) == ["left out: 2 (a link or another special file)"]


def test_links_and_pipes_in_a_folder(tmp_path: Path) -> None:
    (tmp_path / "secret.json").write_text('[{"user":"U1","text":"secret","ts":"1.000000"}]')
    path = folder(tmp_path / "export", tree(MESSAGE))
    (path / "test" / "link.json").symlink_to(tmp_path / "secret.json")
    (path / "linked").symlink_to(tmp_path)
    os.mkfifo(path / "test" / "pipe.json")
    assert sound(path) == ["left out: 2 (not a regular file with a plain name)"]


def test_a_link_that_takes_a_files_place_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("secret")
    path = folder(tmp_path / "export", tree(MESSAGE))
    with open_archive(path) as archive:
        (path / DAY).unlink()
        (path / DAY).symlink_to(tmp_path / "secret")
        with pytest.raises(OSError, match="symbolic"):
            archive.open(DAY)


@pytest.mark.spec("IMP-13")
def test_names_that_are_there_twice(tmp_path: Path) -> None:
    path = zipped(tmp_path, tree(MESSAGE))
    with pytest.warns(UserWarning, match="Duplicate"):
        add(path, DAY, json.dumps([{**MESSAGE, "text": "evil"}]).encode())
    assert sound(path) == ["left out: 1 (a second member of the same name)"]


@pytest.mark.spec("IMP-13")
def test_encrypted_members_and_foreign_compression(tmp_path: Path) -> None:
    path = zipped(tmp_path, tree(MESSAGE))
    add(path, "test/locked.json", b"[{}]", zipfile.ZIP_STORED)
    add(path, "test/lzma.json", b"[{}]" * 100, zipfile.ZIP_LZMA)
    data = bytearray(path.read_bytes())
    entry = data.rindex(b"PK\1\2", 0, data.rindex(b"test/locked.json"))
    data[entry + 8] |= 1
    path.write_bytes(data)
    assert sound(path) == ["left out: 1 (compressed in another way than deflate)", "left out: 1 (encrypted)"]


@pytest.mark.spec("IMP-13")
def test_attack_098_a_day_that_inflates_without_end(tmp_path: Path) -> None:
    path = zipped(tmp_path, tree(MESSAGE))
    add(path, "test/2023-11-16.json", b" " * 20 * MIB)
    add(path, "__uploads/F0001/zeros.bin", bytes(20 * MIB))
    assert sound(path) == ["left out: 2 (inflates too far)"]


@pytest.mark.spec("IMP-14")
def test_attack_098_members_that_share_their_bytes(tmp_path: Path) -> None:
    """A thousand names for one member: every one within the ratio, together a thousand times the zip."""
    given = tree(MESSAGE)
    noise = random.Random(1).randbytes(20_000)
    given |= {f"__uploads/F{number:04}/noise": noise if number == 0 else b"" for number in range(100)}
    path = zipped(tmp_path, given, deflate=False)
    with zipfile.ZipFile(path) as archive:
        first = archive.getinfo("__uploads/F0000/noise")
    data = bytearray(path.read_bytes())
    at = data.find(b"PK\1\2")
    while at >= 0:
        length = struct.unpack_from("<H", data, at + 28)[0]
        if data[at + 46 : at + 46 + length].startswith(b"__uploads"):
            struct.pack_into("<LLL", data, at + 16, first.CRC, first.compress_size, first.file_size)
            struct.pack_into("<L", data, at + 42, first.header_offset)
        at = data.find(b"PK\1\2", at + 46)
    path.write_bytes(data)
    with pytest.raises(ImportRefused):
        read(path)


def test_attack_098_zips_in_the_zip_stay_closed(tmp_path: Path) -> None:
    inner = zipped(tmp_path, tree({**MESSAGE, "text": "inner"})).read_bytes()
    path = zipped(tmp_path, tree(MESSAGE, **{"more.zip": inner, "test/2023-11-16.zip": inner}))
    assert sound(path) == ["files that are no JSON, left out: zip (2)"]


@pytest.mark.parametrize("make", [folder, zipped])
@pytest.mark.parametrize(
    ("broken", "why", "kept"),
    [
        (b'[{"user":"U1","text":"a","ts":"1700000001.000000"},{"user":', "not JSON", b'{"user":'),
        (b'[{"user":"U1","text":"a","ts":"1700000001.000000"}', "cut off", None),
        (b'[{"user":"U1","text":"a","ts":"1700000001.000000"}] tail', "text after the array", b"tail"),
        (b'[{"user":"U1","text":"a","ts":"1700000001.000000"},' + b"[" * 100_000, "not JSON", b"[" * 100_000),
    ],
)
def test_a_broken_day_keeps_the_others(tmp_path: Path, make: Any, broken: bytes, why: str, kept: bytes | None) -> None:
    path = make(tmp_path, tree(**{"test/2023-11-14.json": broken, DAY: [MESSAGE]}))
    rows, report = read(path)
    found = of(rows, Op.PUT)
    assert [row.text for row in found if row.kind == Kind.TEXT] == ["a", "hi"]
    assert [row.raw for row in found if row.kind == Kind.UNSUPPORTED] == ([kept] if kept else [])
    assert report.warnings == [f"test/2023-11-14.json: {why}; what can be read is imported, the rest kept as it is"]
    assert report.not_understood == bool(kept)


def test_a_damaged_day_keeps_the_others(tmp_path: Path) -> None:
    noise = "".join(random.Random(2).choices("abcdefghij", k=5000))
    path = zipped(tmp_path, tree(**{"test/2023-11-14.json": [{**MESSAGE, "text": noise}], DAY: [MESSAGE]}))
    with zipfile.ZipFile(path) as archive:
        at = archive.getinfo("test/2023-11-14.json").header_offset
    data = bytearray(path.read_bytes())
    data[at + 500 : at + 600] = bytes(100)
    path.write_bytes(data)
    rows, report = read(path)
    assert "hi" in [row.text for row in of(rows, Op.PUT)]
    assert [line.partition(":")[0] for line in report.warnings] == ["test/2023-11-14.json"]


def test_bytes_that_are_no_utf8_and_half_surrogates_are_kept(tmp_path: Path) -> None:
    day = b'[{"user":"U1","text":"a\xff\\ud83d","ts":"1700000001.000000"}]'
    rows, report = read(zipped(tmp_path, tree(**{DAY: day})))
    (row,) = of(rows, Op.PUT)
    assert (row.text, row.raw) == ("a??", day[1:-1])
    assert report.warnings == []


@pytest.mark.spec("IMP-3")
@pytest.mark.parametrize("make", [folder, zipped])
def test_an_export_that_changes_while_it_is_read(tmp_path: Path, make: Any) -> None:
    path = make(tmp_path, tree(MESSAGE, MESSAGE))
    stream = importer_named("slack").read(path, ImportOptions(), ImportReport())
    next(stream)
    changed = path / DAY if path.is_dir() else path
    changed.write_bytes(changed.read_bytes() + b" ")
    with pytest.raises(ImportRefused):
        list(stream)


@pytest.mark.spec("IMP-1")
def test_zips_that_are_none(tmp_path: Path) -> None:
    path = tmp_path / "export.zip"
    for data in (b"", b"PK\3\4", b"PK\3\4" + bytes(100), b"PK\5\6" + bytes(17)):
        path.write_bytes(data)
        with pytest.raises(ImportRefused):
            read(path)
    with pytest.raises(ImportRefused):
        read(tmp_path / "absent.zip")


def test_flipped_bytes_never_crash(tmp_path: Path) -> None:
    good = zipped(tmp_path, tree(MESSAGE, {**MESSAGE, "ts": "1700000001.000000"})).read_bytes()
    chance = random.Random(3)
    path = tmp_path / "flipped.zip"
    outcomes = {"refused": 0, "read": 0}
    for _ in range(400):
        data = bytearray(good)
        for _ in range(chance.randint(1, 3)):
            data[chance.randrange(len(data))] = chance.randrange(256)
        path.write_bytes(data)
        try:
            read(path)
            outcomes["read"] += 1
        except ImportRefused:
            outcomes["refused"] += 1
    assert outcomes["read"] > 50
    assert outcomes["refused"] > 50


def test_attack_098_memory_does_not_grow_with_the_export(tmp_path: Path) -> None:
    """One day of 60 MB with 40,000 messages: less than a fourth of it is ever in memory."""

    message = json.dumps({**MESSAGE, "pad": "".join(random.Random(4).choices("abcdef", k=1400))})[1:-1]
    path = tmp_path / "export.zip"
    zipped(tmp_path, tree(MESSAGE))
    with zipfile.ZipFile(path, "a", zipfile.ZIP_STORED) as archive, archive.open("test/2023-11-16.json", "w") as day:
        day.write(b"[")
        for number in range(40_000):
            day.write(b"{%s}," % message.replace("1700000000.", f"17{number + 1:08}.").encode())
        day.write(b'{"user":"U1","text":"last","ts":"1900000000.000000"}]')
    assert path.stat().st_size > 55 * MIB
    tracemalloc.start()
    try:
        stream = importer_named("slack").read(path, ImportOptions(), ImportReport())
        count = sum(1 for chat, row in stream if chat == CHAT and row.op == Op.PUT)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert count == 40_002
    assert peak < 15 * MIB


def test_a_record_over_the_limit_is_handed_over_in_pieces() -> None:
    data = b'[{"a": 1}, "' + b"x" * 3000 + b'"]'
    found = list(records(io.BytesIO(data), limit=1000))
    assert found[0] == (b'{"a": 1}', {"a": 1})
    assert all(type(value) is Unread and len(raw) <= 1000 for raw, value in found[1:])
    assert b"".join(raw for raw, _ in found[1:]) == data[data.index(b'"x') :]


def test_numbers_are_read_to_their_last_digit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("strongroom.formats.json_stream._BLOCK", 3)
    data = b'[12345, "\xc3\xa9\xc3\xa9", {"a": [1, 2.5]}, 67]'
    assert [value for _, value in records(io.BytesIO(data))] == [12345, "éé", {"a": [1, 2.5]}, 67]
    assert [raw for raw, _ in records(io.BytesIO(data))] == [b"12345", '"éé"'.encode(), b'{"a": [1, 2.5]}', b"67"]
