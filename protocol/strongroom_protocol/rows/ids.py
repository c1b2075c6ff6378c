"""Identifiers of conversations and of messages whose platform gives them none (spec chapter 06)."""

from __future__ import annotations

import hashlib

from strongroom_protocol.rows.model import Row
from strongroom_protocol.wire import cbor

_CONVERSATION_LABEL = b"strongroom/v1/conversation\0"
_MESSAGE_LABEL = "strongroom/v1/message-id"
DERIVED_PREFIX = "sha256:"


def conversation_key(conversation_id: str) -> bytes:
    """The 16 bytes under which the engine files a conversation."""
    return hashlib.sha256(_CONVERSATION_LABEL + conversation_id.encode()).digest()[:16]  # spec: MSG-1


def content_id(conversation_id: str, sender: str | None, time: int, kind: int, text: str | None, ordinal: int) -> str:
    """The id of a message without one: the same record gives the same id in every import on every device."""
    parts = [_MESSAGE_LABEL, conversation_id, sender, time, int(kind), text, ordinal]
    return DERIVED_PREFIX + hashlib.sha256(cbor.encode(parts)).hexdigest()  # spec: MSG-2


def message_id(conversation_id: str, row: Row) -> str:
    """The id of the message that a PUT, EDIT, DELETE or REACT row is about."""
    if row.id is not None:
        return row.id
    return content_id(conversation_id, row.sender, row.time, row.kind, row.text, row.ordinal)
