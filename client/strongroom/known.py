"""Which rows of an import the history has already (spec chapter 13.7).

A message is its time and its id; one without an id of its own is its time, sender, kind, text and ordinal. Rows are
compared as columns: a repeated import is recognised by one dictionary look-up a row, made in C.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import repeat
from operator import eq
from typing import Any

from strongroom.engine.erasing import Erasures
from strongroom_protocol.rows.detail import AT, ATTACHMENTS
from strongroom_protocol.rows.forget import Forgotten
from strongroom_protocol.rows.media_refs import MEDIA, attachments, with_attachments
from strongroom_protocol.rows.model import Detail, Op, Row
from strongroom_protocol.rows.table import Frame
from strongroom_protocol.wire import cbor

SHA256, STATE = 1, 7
OMITTED = "omitted"
_WHERE = frozenset((SHA256, 2, 3, 5, 7, 8, 17, MEDIA))
"""Fields that tell of a file's bytes and where they are: hash, size, types, path, state, reason, descriptor."""

_Key = tuple[Any, ...]
_Content = tuple[Any, ...]


def unknown(rows: Frame, known: Sequence[Frame]) -> tuple[Frame | None, int]:
    """The rows (without origins) that `known` lacks, and how many messages it has; a changed message becomes an edit.

    `known` holds every row of the conversation from the first to the last time of `rows`, in any order. Of a row that
    is in `rows` twice the second counts as known.
    """
    if not known and not any(rows.op) and _distinct(rows):
        return rows, 0
    rows.id = texts_of(rows.id)
    messages = _messages(known)
    keys, contents = list(_keys(rows)), list(_contents(rows))
    same = list(map(eq, map(messages.get, keys), contents))
    if all(same) and not any(rows.op):
        return None, len(rows)
    operations = {_operation(row) for frame in known if any(frame.op) for row in frame.rows() if row.op}
    erased = _erased(known)
    fresh: list[Row] = []
    found = 0
    for place, row in enumerate(rows.rows()):
        if erased and erased.covers(rows.conversation, row):
            found += row.op == Op.PUT  # the history has it, and that it is not to be shown: its content stays away
            continue
        if row.op == Op.PUT:
            there = None if same[place] else messages.setdefault(keys[place], contents[place])
            if there is contents[place]:
                fresh.append(row)
                continue
            if same[place] or row.id is None or there == contents[place]:
                found += 1
                continue
            row = row._replace(op=int(Op.EDIT), seq=0, detail={AT: 0, **(row.detail or {})})
            found += _operation(row) in operations
        identity = _operation(row)
        if identity not in operations:
            operations.add(identity)
            fresh.append(row)
    return (in_order(Frame.from_rows(rows.conversation, fresh)) if fresh else None), found


def allowed(rows: Frame, gone: Forgotten) -> tuple[Frame | None, int]:
    """The rows of an import that may come into the history, and how many messages are kept out: what was forgotten
    stays forgotten, whatever export has it."""
    if not gone:
        return rows, 0
    out = sum(op == Op.PUT and gone.hides(op, time) for op, time in zip(rows.op, rows.time, strict=True))
    return gone.shown(rows), out  # spec: FORGET-5


def _erased(known: Sequence[Frame]) -> Erasures | None:
    found = Erasures()
    for frame in known:
        if any(frame.op):
            found.learn(frame)
    return found if found.rows else None


def texts_of(ids: Sequence[str | int | None]) -> list[str | None]:
    """Ids as texts; encoding takes those that are all numbers as they are, but nothing else does."""
    return [str(value) if isinstance(value, int) else value for value in ids]


def in_order(rows: Frame) -> Frame:
    """The rows by time and sequence; rows equal in both stay as they were."""
    if rows.is_rising():
        return rows
    order = list(zip(rows.time, rows.seq, strict=True))
    return rows.take(sorted(range(len(rows)), key=order.__getitem__))


def _distinct(rows: Frame) -> bool:
    """Whether no message is there twice: cheaply, where the ids alone tell."""
    if len(set(rows.id)) == len(rows):
        return True
    return len(set(_keys(rows))) == len(rows)


def _messages(frames: Sequence[Frame]) -> dict[_Key, _Content]:
    found: dict[_Key, _Content] = {}
    for frame in reversed(frames):
        rows: Iterable[tuple[_Key, _Content]] = zip(_keys(frame), _contents(frame), strict=True)
        if any(frame.op):
            rows = [row for row, op in zip(rows, frame.op, strict=True) if op == Op.PUT]
        found.update(rows)
    return found


def _keys(frame: Frame) -> Iterable[_Key]:
    if None not in frame.id:
        return zip(frame.time, frame.id, strict=True)
    named = (frame.sender, frame.kind, frame.text, frame.ordinal)
    if frame.id.count(None) == len(frame):
        return zip(frame.time, repeat(None, len(frame)), *named, strict=True)
    every = zip(frame.time, frame.id, *named, strict=True)
    return (key if key[1] is None else key[:2] for key in every)


def _contents(frame: Frame) -> Iterable[_Content]:
    said: Iterable[Any] = zip(frame.kind, frame.detail, strict=True)
    if any(frame.detail):
        said = map(_said, frame.op, frame.kind, frame.detail)
    return zip(frame.sender, frame.text, said, strict=True)


class _Said:
    """A kind and a detail with files: what they say, and the files whose bytes are in the vault.

    `known == new` holds when `new` says the same and brings no bytes that `known` lacks. One export has a file and the
    next does not; an epoch later the same file has another descriptor. Neither is another version of the message. Of
    one that was exported without its files (`omitted`), `new` may also say less: what kind of file it was, its name.
    """

    __slots__ = ("bytes", "kind", "omitted", "text")
    __hash__ = None  # type: ignore[assignment]

    def __init__(self, kind: int, text: Detail, files: frozenset[bytes], omitted: bool) -> None:
        self.kind = kind
        self.text = text
        self.bytes = files
        self.omitted = omitted

    def __eq__(self, new: object) -> bool:
        if not isinstance(new, _Said) or not new.bytes <= self.bytes:
            return False
        return (self.kind, self.text) == (new.kind, new.text) or (new.omitted and _says_less(new.text, self.text))


def _says_less(new: Detail, known: Detail) -> bool:
    """Whether all that `new` says is in `known`, file by file."""
    files, there = new.get(ATTACHMENTS, []), known.get(ATTACHMENTS, [])
    rest = [(key, value) for key, value in new.items() if key != ATTACHMENTS]
    return (
        len(files) == len(there)
        and all(known.get(key) == value for key, value in rest)
        and all(file.items() <= other.items() for file, other in zip(files, there, strict=True))
    )


def _said(op: int, kind: int, detail: Detail | None) -> _Said | tuple[int, Detail | None]:
    if detail is None or next(attachments(op, detail), None) is None:
        return kind, detail
    omitted = any(item.get(STATE) == OMITTED for item in attachments(op, detail))
    return _Said(kind, with_attachments(op, detail, _bare), _files(op, detail), omitted)


def _bare(attachment: Detail) -> Detail:
    return {key: value for key, value in attachment.items() if key not in _WHERE}


def _files(op: int, detail: Detail) -> frozenset[bytes]:
    return frozenset(item[SHA256] for item in attachments(op, detail) if MEDIA in item and SHA256 in item)


def _operation(row: Row) -> bytes:
    detail = row.detail or {}
    said = [with_attachments(row.op, detail, _bare), sorted(_files(row.op, detail))]
    return cbor.encode([int(row.op), row.time, row.id, row.sender, int(row.kind), row.text, *said])
