"""How an app hands its database to Strongroom: its tables as columns, a few thousand rows at a time."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing
from itertools import repeat
from pathlib import Path
from typing import Any

from bench.app_data import AppData
from corpus import START_MS
from strongroom import Columns, Kind, Op, Row
from strongroom_protocol.rows.detail import ATTACHMENTS, REPLY

FETCH_ROWS = 8_192
FILE_CHATS = tuple(f"c_files_{number}" for number in range(8))
"""Chats of the messages that carry the media folder's files."""

_KINDS = {"text": Kind.TEXT.value, "media": Kind.MEDIA.value, "added": 1}
_QUERY = "SELECT chat, ts, id, sender, kind, text, media, reply_to, reactions FROM messages ORDER BY id"
_CHATS = {"direct": 1, "group": 2}

MessageRow = Sequence[Any]
"""A row of the table `messages` in the order of _QUERY."""


def columns_of(database: Path) -> Iterator[Columns]:
    """Everything in the database: titles of chats, messages with what they answer and show, reactions."""
    with closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True)) as opened:
        chats = opened.execute("SELECT id, title, kind FROM chats").fetchall()
        yield Columns(
            conversation=[chat for chat, _, _ in chats], time=[0] * len(chats), op=[Op.CONVERSATION.value] * len(chats),
            text=[title for _, title, _ in chats], kind=[_CHATS[kind] for _, _, kind in chats],
        )  # fmt: skip
        media = attachments(opened)
        cursor = opened.execute(_QUERY)
        while rows := cursor.fetchmany(FETCH_ROWS):
            yield message_columns(rows, media)


def app_rows(data: AppData, number: int) -> Iterator[tuple[str, Row]]:
    """The `number`-th lot of 100 newer messages, one row at a time, as an app appends them while they happen."""
    with closing(sqlite3.connect(f"file:{data.database}?mode=ro", uri=True)) as opened:
        media = attachments(opened)
    for ident, chat, sender, ts, kind, text, file, reply, faces in data.newer(number):
        detail = None if file is None and reply is None else _detail(file, reply, media)
        yield chat, Row(Op.PUT, ts, id=str(ident), sender=sender, kind=_KINDS[kind], text=text, detail=detail)
        for person, emoji in json.loads(faces or "[]"):
            yield chat, Row(Op.REACT, ts, id=str(ident), sender=person, kind=1, text=emoji)


def file_rows(folder: Path) -> Iterator[tuple[str, Row]]:
    """A message for every file, in a few chats, a second apart; the attachment names it by its path."""
    for number, path in enumerate(sorted(path for path in folder.rglob("*") if path.is_file())):
        mime = "image/jpeg" if path.suffix == ".jpg" else "video/mp4"
        attachment = {2: path.stat().st_size, 3: mime, 4: path.name, 5: str(path.relative_to(folder))}
        time = START_MS + 1000 * number
        detail = {ATTACHMENTS: [attachment]}
        yield FILE_CHATS[number % len(FILE_CHATS)], Row(
            Op.PUT, time, id=f"f{number}", sender="app", kind=Kind.MEDIA, detail=detail
        )  # fmt: skip


def attachments(opened: sqlite3.Connection) -> dict[int, dict[int, Any]]:
    """What a message says about its file, by the number of the file."""
    found = opened.execute("SELECT id, path, mime, size FROM media")
    return {number: {2: size, 3: mime, 4: path.rpartition("/")[2]} for number, path, mime, size in found}


def message_columns(rows: Sequence[MessageRow], media: dict[int, dict[int, Any]]) -> Columns:
    """Columns of messages, each followed by its reactions: what belongs to one time stays together."""
    ops: list[int] = [Op.PUT.value] * len(rows)
    with_faces = [place for place, row in enumerate(rows) if row[8] is not None]
    if with_faces:
        spread: list[MessageRow] = []
        ops, start = [], 0
        for place in with_faces:
            chat, ts, ident, *_, faces = rows[place]
            reactions = [
                (chat, ts, ident, person, "added", emoji, None, None, None) for person, emoji in json.loads(faces)
            ]
            spread += rows[start : place + 1]
            spread += reactions
            ops.extend(repeat(Op.PUT.value, place + 1 - start))
            ops.extend(repeat(Op.REACT.value, len(reactions)))
            start = place + 1
        spread += rows[start:]
        ops.extend(repeat(Op.PUT.value, len(rows) - start))
        rows = spread
    chats, times, ids, senders, kinds, texts, files, replies, _ = zip(*rows, strict=True)
    detail = [
        None if file is None and reply is None else _detail(file, reply, media)
        for file, reply in zip(files, replies, strict=True)
    ]
    return Columns(
        conversation=chats, time=times, id=ids, sender=senders, kind=list(map(_KINDS.__getitem__, kinds)),
        text=texts, op=ops, detail=detail,
    )  # fmt: skip


def _detail(file: int | None, reply: int | None, media: dict[int, dict[int, Any]]) -> dict[int, Any]:
    found: dict[int, Any] = {}
    if file is not None:
        found[ATTACHMENTS] = [media[file]]
    if reply is not None:
        found[REPLY] = {1: str(reply)}
    return found
