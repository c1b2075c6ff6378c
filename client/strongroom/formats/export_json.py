"""Export to the native format: lossless, deterministic, and importable again (docs/formats.md).

Two devices in one state write the same bytes: nothing here depends on a clock, a device, or an order of arrival.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from operator import itemgetter
from pathlib import Path
from typing import Any

from strongroom.formats.beside import NAMED_BY_HASH
from strongroom.formats.native import CHAT_FILE, FORMAT_VERSION, INDEX_FILE, MARK, read_index
from strongroom.formats.native_json import canonical
from strongroom.formats.native_rows import to_json
from strongroom.formats.placing import placed
from strongroom_protocol.errors import ImportRefused, InvalidArgument
from strongroom_protocol.rows.detail import AT
from strongroom_protocol.rows.ids import conversation_key
from strongroom_protocol.rows.merge import Message
from strongroom_protocol.rows.model import Op, Row

_SLUG_LENGTH = 40
_OURS = re.compile(rf"{CHAT_FILE.pattern}|{NAMED_BY_HASH.pattern}")


@dataclass(frozen=True, slots=True)
class Chat:
    """One merged conversation: its facts (in the order of `merge.facts`) and its messages, in order."""

    conversation: str
    facts: Iterable[Row]
    messages: Iterable[Message]


Files = Callable[[Row, Path], Row]
"""Writes the files of a row into the folder of the export, and names them in the row."""


def _no_files(row: Row, folder: Path) -> Row:
    return row


def export_json(target: Path, chats: Iterable[Chat], files: Files = _no_files) -> dict[str, int]:
    """Write all chats under `target`, which comes to be, or is replaced, as a whole. Returns the counts.

    Raises InvalidArgument when `target` holds something that is not a previous export, or a chat comes twice.
    """
    counts: Counter[str] = Counter()
    entries: dict[str, dict[str, Any]] = {}
    with placed(target, lambda folder: _is_export(folder) and _is_ours(folder)) as new:
        for chat in chats:
            if chat.conversation in entries:  # spec: IMP-11
                raise InvalidArgument("a chat is exported twice")
            entries[chat.conversation] = _write_chat(new, chat, counts, files)
        index = {
            "format": MARK,
            "version": FORMAT_VERSION,
            "generator": "strongroom",
            "counts": dict(counts),
            "chats": sorted(entries.values(), key=itemgetter("file")),
        }
        _write(new / INDEX_FILE, [canonical(index)])
    return dict(counts)


def chat_file(conversation: str, title: str, suffix: str = "jsonl") -> str:
    """A file name that no title can turn into a path: letters and digits of it, and the conversation's key."""
    slug = re.sub(r"[^a-z0-9]+", "-", title.lower()).strip("-")[:_SLUG_LENGTH].strip("-")
    key = conversation_key(conversation).hex()
    return f"chats/{slug}-{key}.{suffix}" if slug else f"chats/{key}.{suffix}"


def _is_export(folder: Path) -> bool:
    try:
        read_index(folder)
    except ImportRefused:
        return False
    return True


def _is_ours(folder: Path) -> bool:
    """Whether an export wrote everything in the folder: it is replaced as a whole, and nobody's own files with it."""
    found = (path.relative_to(folder).as_posix() for path in folder.rglob("*"))
    return all(name in (INDEX_FILE, "chats", "files") or _OURS.fullmatch(name) for name in found)


def _write_chat(folder: Path, chat: Chat, counts: Counter[str], files: Files) -> dict[str, Any]:
    facts = list(chat.facts)
    titles = [row.text for row in facts if row.op == Op.CONVERSATION and row.text]
    name = chat_file(chat.conversation, titles[-1] if titles else "")
    here: Counter[str] = Counter()
    sha256 = _write(folder / name, _lines(chat, facts, here, lambda row: files(row, folder)))
    counts.update(here)
    return {"conversation": chat.conversation, "file": name, "sha256": sha256, "counts": dict(here)}


def _lines(chat: Chat, facts: list[Row], counts: Counter[str], files: Callable[[Row], Row]) -> Iterator[str]:
    for op in (Op.CONVERSATION, Op.MEMBER, Op.SOURCE):
        for row in facts:
            if row.op == op:
                yield _line(chat.conversation, files(row), counts)
    for message in chat.messages:
        for row in _rows_of(message):
            yield _line(chat.conversation, files(row), counts)


def _rows_of(message: Message) -> Iterator[Row]:
    """A message, its edits, its deletion, its reactions. A later version is an edit, whatever brought it."""
    yield from message.versions[:1]
    for row in message.versions[1:]:
        yield row._replace(op=Op.EDIT, id=message.id, seq=0, ordinal=0, detail={AT: 0, **(row.detail or {})})
    for row in (*filter(None, (message.deletion,)), *message.reactions):
        yield row._replace(id=message.id, seq=0)


def _line(conversation: str, row: Row, counts: Counter[str]) -> str:
    fields = to_json(conversation, row)
    counts[fields["type"]] += 1
    return canonical(fields)


def _write(path: Path, lines: Iterable[str]) -> str:
    """Write lines, durably; the SHA-256 of the file in hexadecimal."""
    digest = hashlib.sha256()
    with path.open("xb") as file:
        for line in lines:
            data = line.encode() + b"\n"
            digest.update(data)
            file.write(data)
        file.flush()
        os.fsync(file.fileno())
    return digest.hexdigest()
