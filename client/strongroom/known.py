"""Which rows of an import the history has already (spec chapter 13.7).

A message is its time and its id; one without an id of its own is its time, sender, kind, text and ordinal. Rows are
compared as columns: a repeated import is recognised by one dictionary look-up a row, made in C.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import repeat
from operator import eq
from typing import Any

from strongroom.compared import Said, bare, files_in, said
from strongroom.engine.erasing import Erasures
from strongroom_protocol.rows.detail import AT
from strongroom_protocol.rows.forget import Forgotten
from strongroom_protocol.rows.media_refs import with_attachments
from strongroom_protocol.rows.model import UNSTAMPED, Flag, Op, Row
from strongroom_protocol.rows.table import Frame
from strongroom_protocol.wire import cbor

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
    messages, versions = _messages(known), _edits(known)
    keys, contents = list(_keys(rows)), list(_contents(rows))
    same = list(map(eq, map(messages.get, keys), contents))
    if all(same) and not any(rows.op):
        return None, len(rows)
    operations = {_operation(row) for frame in known if any(frame.op) for row in frame.rows() if row.op}
    erased = _erased(known)
    fresh: list[Row] = []
    shown: dict[_Key, Row] | None = None
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
            edits = versions.setdefault(keys[place], [])
            if any(edit == contents[place] for edit in edits):
                found += 1
                continue
            newest = max(map(_at, (there or contents[place], *edits)))
            edits.append(contents[place])
            row = row._replace(op=int(Op.EDIT), seq=0, detail={AT: 0, **(row.detail or {})})
            if _at(contents[place]) < newest:  # spec: IMP-46
                shown = _shown(known) if shown is None else shown
                again = _again(shown.get(keys[place]), row)
                fresh += [row] if again is None else [row, again]
                continue
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


def _edits(frames: Sequence[Frame]) -> dict[_Key, list[_Content]]:
    """The later versions of messages."""
    found: dict[_Key, list[_Content]] = {}
    for frame in frames:
        if Op.EDIT not in frame.op:
            continue
        for row in frame.rows():
            if row.op == Op.EDIT:
                detail = {key: value for key, value in (row.detail or {}).items() if key != AT or value}
                content = (row.sender, row.text, said(Op.EDIT, row.kind, detail or None))
                found.setdefault((row.time, row.id), []).append(content)
    return found


def _at(content: _Content) -> int:
    """When a version came about, where its source says so."""
    told = content[2]
    detail = told.text if isinstance(told, Said) else told[1]
    return int((detail or {}).get(AT, 0))


def _shown(frames: Sequence[Frame]) -> dict[_Key, Row]:
    """The last version of every message that has an id."""
    found: dict[_Key, Row] = {}
    for frame in frames:
        for row in frame.rows():
            key = (row.time, row.id)
            if row.op <= Op.EDIT and (key not in found or found[key].origin < row.origin):
                found[key] = row
    return found


def _again(shown: Row | None, older: Row) -> Row | None:
    """The version that is shown, as an edit that follows an older one which an old export brings late.

    It is another version than the one that is there, which merging would pass over: now that an earlier one is kept, it
    is no longer marked as one of which none are. None where that mark is spent.
    """
    if (
        shown is None
        or not shown.flags & Flag.EDITED
        or (shown.detail or {}).get(AT, 0) <= (older.detail or {}).get(AT, 0)
    ):
        return None
    return shown._replace(op=int(Op.EDIT), seq=0, ordinal=0, flags=shown.flags & ~int(Flag.EDITED), origin=UNSTAMPED)


def _keys(frame: Frame) -> Iterable[_Key]:
    if None not in frame.id:
        return zip(frame.time, frame.id, strict=True)
    named = (frame.sender, frame.kind, frame.text, frame.ordinal)
    if frame.id.count(None) == len(frame):
        return zip(frame.time, repeat(None, len(frame)), *named, strict=True)
    every = zip(frame.time, frame.id, *named, strict=True)
    return (key if key[1] is None else key[:2] for key in every)


def _contents(frame: Frame) -> Iterable[_Content]:
    told: Iterable[Any] = zip(frame.kind, frame.detail, strict=True)
    if any(frame.detail):
        told = map(said, frame.op, frame.kind, frame.detail)
    return zip(frame.sender, frame.text, told, strict=True)


def _operation(row: Row) -> bytes:
    detail = row.detail or {}
    told = [with_attachments(row.op, detail, bare), sorted(files_in(row.op, detail))]
    return cbor.encode([int(row.op), row.time, row.id, row.sender, int(row.kind), row.text, *told])
