"""Slack exports for tests: trees of names and contents, as folders or zips."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path
from typing import Any

from strongroom.formats import ImportOptions, ImportReport, importer_named
from strongroom.formats.base import Imported
from strongroom_protocol.rows.layout import decode_plain, encode_plain
from strongroom_protocol.rows.model import Op, Row
from strongroom_protocol.rows.table import unstamped

SAMPLE = Path(__file__).resolve().parents[1] / "samples" / "slack-small" / "slack-export.zip"
CHANNEL = {"id": "C0TEST0001", "name": "test", "members": ["U1"]}
CHAT = "slack:C0TEST0001"
DAY = "test/2023-11-15.json"
Tree = dict[str, Any]


def tree(*messages: Any, **more: Any) -> Tree:
    """An export of one channel with these messages on one day."""
    users = [{"id": "U1", "team_id": "T01", "name": "ann", "profile": {"display_name": "Ann"}}]
    return {"users.json": users, "channels.json": [CHANNEL], DAY: list(messages), **more}


def content(value: Any) -> bytes:
    return value if isinstance(value, bytes) else json.dumps(value).encode()


def folder(path: Path, given: Tree) -> Path:
    for name, value in given.items():
        file = path / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content(value))
    return path


def zipped(path: Path, given: Tree, *, deflate: bool = True) -> Path:
    file = path / "export.zip"
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED if deflate else zipfile.ZIP_STORED) as archive:
        for name, value in given.items():
            archive.writestr(name, content(value))
    return file


def read(path: Path, **options: str) -> tuple[list[Imported], ImportReport]:
    """All rows, each of which a reader accepts, and the report."""
    report = ImportReport()
    chosen = ImportOptions(chat=options.pop("chat", None), title=options.pop("title", None), extra=options)
    found = list(importer_named("slack").read(path, chosen, report))
    by_chat: dict[str, list[Row]] = {}
    for chat, row in found:
        by_chat.setdefault(chat, []).append(row)
    for chat, rows in by_chat.items():
        assert 0 < len(chat.encode()) <= 512
        for start in range(0, len(rows), 4096):
            decode_plain(encode_plain(unstamped(chat, rows[start : start + 4096])))
    return found, report


def of(rows: list[Imported], op: Op, chat: str = CHAT) -> list[Row]:
    return [row for name, row in rows if row.op == op and name == chat]
