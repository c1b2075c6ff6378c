"""The native format: JSON lines, for app developers and for our own export (docs/formats.md)."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from strongroom.formats.base import (
    Imported,
    ImportOptions,
    ImportReport,
    Opener,
    Ordinals,
    examine,
    files_under,
    head_of,
    lines_of,
)
from strongroom.formats.beside import beside
from strongroom.formats.native_json import NotNative, canonical, parse
from strongroom.formats.native_rows import from_json, to_json
from strongroom_protocol.errors import ImportRefused
from strongroom_protocol.rows.model import Flag, Kind, Op, Row

INDEX_FILE = "strongroom.json"
MARK = "strongroom-export"
FORMAT_VERSION = 1
CHAT_FILE = re.compile(r"chats/[a-z0-9-]+\.jsonl")
_TYPES = frozenset(("conversation", "member", "source", "message", "edit", "delete", "reaction"))


class Native:
    """Importer of native JSON lines: one file, a folder of them, or an export made by this program."""

    name = "native"

    def sniff(self, path: Path, head: bytes) -> bool:
        if path.is_dir():
            if (path / INDEX_FILE).is_file():
                return True
            return any(file.suffix == ".jsonl" and self.sniff(file, head_of(file)) for file in files_under(path)[:20])
        line = head.removeprefix(b"\xef\xbb\xbf").split(b"\n", 1)[0]
        try:
            record = parse(line)
        except NotNative:
            return False
        return type(record) is dict and record.get("type") in _TYPES and "conversation" in record

    def read(self, path: Path, options: ImportOptions, report: ImportReport) -> Iterator[Imported]:
        for file, sha256 in _files(path, self):
            source = examine(file)
            if sha256 is not None and source.sha256 != sha256:  # spec: IMP-8
                raise ImportRefused(
                    f"{file.name} is not as it was exported", hint="use an undamaged copy of the export"
                )
            _require_utf8(file)
            report.sources.append(source)
            yield from _read_lines(file, lines_of(file, source), options, report)
            report.records += source.records

    @contextmanager
    def files(self, path: Path) -> Iterator[Opener]:
        """Attachments with a `path`, which is relative to the folder, or to the folder of the file."""
        yield partial(beside, path if path.is_dir() else path.parent)


def read_index(folder: Path) -> dict[str, Any]:
    """The index of an export. Raises ImportRefused when it is not one, or of a newer version."""
    try:
        index = parse((folder / INDEX_FILE).read_bytes())
        files = {str(chat["file"]): str(chat["sha256"]) for chat in index["chats"]}
        mark, version = index["format"], index["version"]
    except (OSError, NotNative, KeyError, TypeError) as error:
        raise ImportRefused(f"{folder.name} is not an export of strongroom", hint="its index cannot be read") from error
    if mark != MARK or version != FORMAT_VERSION:  # spec: IMP-9
        raise ImportRefused(f"{folder.name}: export of an unknown version", hint="upgrade strongroom")
    if not all(CHAT_FILE.fullmatch(name) and _is_plain(folder / name) for name in files):  # spec: IMP-10
        raise ImportRefused(f"{folder.name}: the index names a file outside the export", hint="do not use it")
    return {"files": files}


def _is_plain(path: Path) -> bool:
    """Neither a link, nor in one, nor what reading could wait for; what is not there is told when it is read."""
    return not path.is_symlink() and not path.parent.is_symlink() and (path.is_file() or not path.exists())


def _files(path: Path, importer: Native) -> list[tuple[Path, str | None]]:
    if not path.is_dir():
        return [(path, None)]
    if (path / INDEX_FILE).is_file():
        return [(path / name, sha256) for name, sha256 in read_index(path)["files"].items()]
    return [
        (file, None) for file in files_under(path) if file.suffix == ".jsonl" and importer.sniff(file, head_of(file))
    ]


def _require_utf8(path: Path) -> None:
    try:
        with path.open(encoding="utf-8", newline="") as file:
            while file.read(1 << 20):
                pass
    except UnicodeDecodeError as error:
        raise ImportRefused(f"{path.name} is not UTF-8", hint="the native format is UTF-8 JSON lines") from error


def _read_lines(path: Path, lines: Iterator[bytes], options: ImportOptions, report: ImportReport) -> Iterator[Imported]:
    """One row per line that is not blank; a line nobody understands is kept where it stands."""
    ordinals = Ordinals()
    chat, time = options.chat or f"file:{path.stem}", 0
    for number, line in enumerate(lines, 1):
        record = line.removesuffix(b"\n").removesuffix(b"\r")
        if number == 1:
            record = record.removeprefix(b"\xef\xbb\xbf")
        if not record.strip():
            continue
        try:
            chat, row = _row(record)
        except NotNative:
            report.not_understood += 1
            row = Row(Op.PUT, time, number, kind=Kind.UNSUPPORTED, raw=record, flags=Flag.INHERITED)
        if row.op <= Op.REACT:
            time = row.time
        if row.op == Op.PUT and row.id is None and not row.ordinal:
            ordinal = ordinals.next(chat, row.sender, row.time, row.kind, row.text)
            row = row._replace(ordinal=ordinal) if ordinal else row
        report.count(row)
        yield chat, row


def _row(record: bytes) -> tuple[str, Row]:
    fields = parse(record)
    if type(fields) is not dict:
        raise NotNative
    chat, row = from_json(fields)
    if row.raw is None and canonical(to_json(chat, row)).encode() != record:
        row = row._replace(raw=record)
    return chat, row
