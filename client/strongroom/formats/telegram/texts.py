"""A message's text: plain, and the spans that are set off in it (offsets in code points)."""

from __future__ import annotations

from typing import Any

from strongroom.formats.telegram.fields import TEXT_MAX, Fields, ident, text

SPANS = 4096
_TARGETS = ("href", "user_id", "document_id", "language")
_PLAIN = "plain"


def said(fields: Fields) -> tuple[str | None, list[dict[int, Any]]]:
    """The text of a record and its spans. A text of pieces that are none is None: the record has it."""
    pieces: Any = fields.get("text")
    if type(pieces) is str:
        entities = fields.get("text_entities")
        if type(entities) is list and _joined(entities) == pieces:
            pieces = entities
        else:
            return (pieces or None) if len(pieces) <= TEXT_MAX else None, []
    if type(pieces) is not list:
        return None, []
    joined = _joined(pieces)
    if joined is None or len(joined) > TEXT_MAX:
        return None, []
    spans: list[dict[int, Any]] = []
    start = 0
    for piece in pieces:
        if type(piece) is str:
            start += len(piece)
            continue
        length = len(piece["text"])
        kind = text(piece, "type", 100) or _PLAIN
        if kind != _PLAIN and length and len(spans) < SPANS:
            span: dict[int, Any] = {1: start, 2: length, 3: kind}
            target = next((found for name in _TARGETS if (found := _target(piece, name)) is not None), None)
            spans.append(span if target is None else span | {4: target})
        start += length
    return joined or None, spans


def _target(piece: Fields, name: str) -> str | None:
    return text(piece, name) if name == "href" else ident(piece, name)


def _joined(pieces: list[Any]) -> str | None:
    found = []
    for piece in pieces:
        if type(piece) is str:
            found.append(piece)
        elif type(piece) is dict and type(piece.get("text")) is str:
            found.append(piece["text"])
        else:
            return None
    return "".join(found)
