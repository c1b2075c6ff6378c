"""Rows as an app writes them: a message, a title, a member (spec chapter 06)."""

from __future__ import annotations

import secrets
from collections.abc import Iterable
from typing import Any

from strongroom.records import MessageRef
from strongroom.session import now_ms
from strongroom_protocol.errors import InvalidArgument
from strongroom_protocol.rows.detail import ATTACHMENTS, REPLY, SENDER_NAME
from strongroom_protocol.rows.model import ConversationKind, Detail, Kind, Op, Row

ID_BYTES = 8


def message(
    text: str | None = None, *, sender: str | None = None, time: int | None = None, id: str | None = None,
    kind: Kind = Kind.TEXT, sender_name: str | None = None, reply_to: str | MessageRef | None = None, seq: int = 0,
    attachments: Iterable[dict[int, Any]] = (), detail: Detail | None = None,
) -> Row:  # fmt: skip
    """A message. `time` in ms since 1970, now unless given; `id` is the platform's, a random one unless given.

    `detail` holds whatever else the message model knows, by the keys of `strongroom_protocol.rows.detail`.
    """
    if time is not None and (type(time) is not int or 10**9 <= time < 10**11):
        raise InvalidArgument(f"time is {time!r}", hint="times are whole milliseconds since 1970, not seconds")
    for name, value in (("text", text), ("sender", sender), ("id", id), ("sender_name", sender_name)):
        if value is not None and type(value) is not str:
            raise InvalidArgument(f"{name} is not a text: {value!r}")
    rest: Detail = dict(detail or {})
    if sender_name is not None:
        rest[SENDER_NAME] = sender_name
    if reply_to is not None:
        rest[REPLY] = {1: reply_to if isinstance(reply_to, str) else reply_to.id}
    if found := list(attachments):
        rest[ATTACHMENTS] = found
    return Row(
        Op.PUT, now_ms() if time is None else time, seq=seq, id=secrets.token_hex(ID_BYTES) if id is None else id,
        sender=sender, kind=kind, text=text, detail=rest or None,
    )  # fmt: skip


def title(text: str, *, kind: ConversationKind = ConversationKind.UNKNOWN, time: int | None = None) -> Row:
    """The conversation's title (and kind) from `time` on."""
    return Row(Op.CONVERSATION, now_ms() if time is None else time, kind=kind, text=text)


def member(person: str, name: str, *, time: int | None = None, is_self: bool = False) -> Row:
    """A person of the conversation and the display name from `time` on."""
    return Row(
        Op.MEMBER, now_ms() if time is None else time, sender=person, text=name, detail={8: True} if is_self else None
    )


def with_id(row: Row) -> Row:
    """The row with an id: what an app appends is the same message however often it is sent."""
    if not isinstance(row, Row):
        raise InvalidArgument(f"not a row: {row!r}", hint="make rows with strongroom.message, title or member")
    if row.op not in (Op.PUT, Op.EDIT, Op.DELETE, Op.REACT, Op.CONVERSATION, Op.MEMBER, Op.SOURCE):
        raise InvalidArgument(f"unknown operation {row.op}")
    return row._replace(id=secrets.token_hex(ID_BYTES)) if row.op == Op.PUT and row.id is None else row
