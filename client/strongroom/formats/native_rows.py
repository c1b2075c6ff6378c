"""Rows as lines of the native format, and back (docs/formats.md)."""

from __future__ import annotations

import base64
import binascii
from dataclasses import dataclass
from enum import IntEnum
from typing import Any

from strongroom.formats.native_json import NotNative, named, numbered
from strongroom_protocol.errors import UntrustedDataError
from strongroom_protocol.rows.detail import check_row, struct_of
from strongroom_protocol.rows.media_refs import MEDIA, descriptors, with_attachments, without_media
from strongroom_protocol.rows.model import (
    BYTE_MAX,
    INDEX_MAX,
    SEQ_MAX,
    TIME_MAX,
    ConversationKind,
    DeleteKind,
    Detail,
    Flag,
    Kind,
    Op,
    Row,
)

_PRECISION = {"second": Flag.SECONDS, "minute": Flag.MINUTES, "day": Flag.DAYS}
_MARKS = {
    "edited": Flag.EDITED,
    "incoming": Flag.INCOMING,
    "inherited": Flag.INHERITED,
    "outgoing": Flag.OUTGOING,
    "zone_unknown": Flag.ZONE_UNKNOWN,
}
_BIT = 128  # the one flag without a name yet


@dataclass(frozen=True, slots=True)
class _Line:
    """How the columns of one operation are called."""

    name: str
    sender: str = "sender"
    text: str = "text"
    kinds: type[IntEnum] | None = Kind


_LINES = {
    Op.PUT: _Line("message"),
    Op.EDIT: _Line("edit"),
    Op.DELETE: _Line("delete", kinds=DeleteKind),
    Op.REACT: _Line("reaction", text="emoji", kinds=None),
    Op.CONVERSATION: _Line("conversation", text="title", kinds=ConversationKind),
    Op.MEMBER: _Line("member", sender="person", text="name", kinds=None),
    Op.SOURCE: _Line("source", text="file", kinds=None),
}
_OPS = {line.name: op for op, line in _LINES.items()}


def to_json(conversation: str, row: Row) -> dict[str, Any]:
    """A row as the object of one line; columns with their usual values are left out."""
    line = _LINES[Op(row.op)]
    fields = named(struct_of(row.op), with_attachments(row.op, row.detail, _unsealed)) if row.detail else {}
    fields |= {"type": line.name, "conversation": conversation}
    if row.time or row.op <= Op.REACT:
        fields["time"] = row.time
    for name, value in (("id", row.id), (line.sender, row.sender), (line.text, row.text)):
        if value is not None:
            fields[name] = value
    for name, number in (("seq", row.seq), ("ordinal", row.ordinal)):
        if number:
            fields[name] = number
    if row.op == Op.REACT:
        if not row.kind:
            fields["removed"] = True
    elif row.kind:
        fields["kind"] = _kind_name(line.kinds, row.kind)
    fields |= _flag_fields(row.flags)
    if row.raw is not None:
        fields |= _raw_fields(row.raw)
    return fields


def from_json(fields: dict[str, Any]) -> tuple[str, Row]:
    """Conversation and row of a line. Raises NotNative for a field of the wrong type or range."""
    left = dict(fields)
    op = _OPS.get(_text(left.pop("type", "message"))) if "type" in left else Op.PUT
    if op is None:
        raise NotNative
    left.pop("type", None)
    line = _LINES[op]
    conversation = _text(left.pop("conversation", None))
    if not conversation:
        raise NotNative
    kind: int = _number(left.pop("removed", False) is not True) if op == Op.REACT else 0
    if op != Op.REACT:
        kind = _kind_number(line.kinds, left.pop("kind", 0))
    row = Row(
        op,
        _number(left.pop("time", 0 if op >= Op.CONVERSATION else None), TIME_MAX),
        _number(left.pop("seq", 0), SEQ_MAX),
        _optional(left.pop("id", None)),
        _optional(left.pop(line.sender, None)),
        kind,
        _optional(left.pop(line.text, None)),
        _take_raw(left),
        _take_flags(left),
        _number(left.pop("ordinal", 0), INDEX_MAX),
    )
    try:
        detail = numbered(struct_of(op), left)
        # Where sealed bytes lie is for this vault alone to say: a file must not point into it, nor out of it. That
        # goes for fields without a name, too: a merge follows descriptors wherever they lie.
        if any(descriptors(detail)):  # spec: IMP-17
            detail = without_media(detail)
        row = row._replace(detail=detail or None)
        check_row(row)
    except UntrustedDataError as error:
        raise NotNative from error
    return conversation, row


def _unsealed(attachment: Detail) -> Detail:
    return {key: value for key, value in attachment.items() if key != MEDIA} if MEDIA in attachment else attachment


def _kind_name(kinds: type[IntEnum] | None, number: int) -> str | int:
    if kinds is not None and number in kinds.__members__.values():
        return kinds(number).name.lower()
    return number


def _kind_number(kinds: type[IntEnum] | None, value: Any) -> int:
    if type(value) is str and kinds is not None and value.upper() in kinds.__members__:
        return kinds[value.upper()]
    return _number(value, BYTE_MAX)


def _flag_fields(flags: int) -> dict[str, Any]:
    fields: dict[str, Any] = {}
    for name, value in _PRECISION.items():
        if flags & Flag.DAYS == value:
            fields["precision"] = name
    marks = [name for name, bit in _MARKS.items() if flags & bit]
    if flags & _BIT:
        marks.append("bit7")
    return {**fields, "marks": marks} if marks else fields


def _take_flags(left: dict[str, Any]) -> int:
    precision = left.pop("precision", None)
    marks = left.pop("marks", [])
    known = {**_MARKS, "bit7": _BIT}
    if precision not in (None, *_PRECISION) or type(marks) is not list:
        raise NotNative
    flags = int(_PRECISION[precision]) if precision else 0
    for mark in marks:
        if type(mark) is not str or mark not in known:
            raise NotNative
        flags |= known[mark]
    return flags


def _raw_fields(raw: bytes) -> dict[str, str]:
    try:
        return {"raw": raw.decode()}
    except UnicodeDecodeError:
        return {"raw_b64": base64.b64encode(raw).decode()}


def _take_raw(left: dict[str, Any]) -> bytes | None:
    text, encoded = _optional(left.pop("raw", None)), _optional(left.pop("raw_b64", None))
    if text is not None:
        return text.encode()
    try:
        return None if encoded is None else base64.b64decode(encoded, validate=True)
    except (binascii.Error, ValueError) as error:
        raise NotNative from error


def _text(value: Any) -> str:
    if type(value) is not str:
        raise NotNative
    return value


def _optional(value: Any) -> str | None:
    return None if value is None else _text(value)


def _number(value: Any, maximum: int = 1) -> int:
    if (type(value) is not int and type(value) is not bool) or not 0 <= value <= maximum:
        raise NotNative
    return int(value)
