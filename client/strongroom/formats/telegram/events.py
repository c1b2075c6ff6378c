"""What happened in a chat: service messages, and reactions to messages."""

from __future__ import annotations

from typing import Any

from strongroom.formats.telegram.fields import Fields, filled, number, peer, text
from strongroom.formats.telegram.media import file_of
from strongroom_protocol.rows.model import Detail, Kind, Op, Row

_SCALAR = (str, int, bool)
_SERVICE = frozenset(
    ("id", "type", "date", "date_unixtime", "actor", "actor_id", "action", "text", "text_entities", "members")
)
_PICTURE = frozenset(("photo", "width", "height", "photo_file_size"))


def service_of(fields: Fields, detail: Detail) -> Kind:
    """What a service message tells, put into its detail; its kind by that."""
    action = text(fields, "action", 200) or "unknown"
    if action == "phone_call":
        duration = number(fields, "duration_seconds")
        detail[22] = filled({
            1: "voice", 2: None if duration is None else min(duration, 10**9) * 1000,
            3: text(fields, "discard_reason", 200),
        })  # fmt: skip
        return Kind.CALL
    members = fields.get("members")
    targets = [name for name in members if type(name) is str and 0 < len(name) <= 1000] if type(members) is list else []
    photo = text(fields, "photo")
    if photo is not None:
        detail[4] = [file_of(fields, photo, "avatar", size="photo_file_size")]
    params = {
        name[:100]: str(value)[:10_000]
        for name, value in fields.items()
        if name not in _SERVICE and type(value) in _SCALAR and name and str(value)
        and not (photo is not None and name in _PICTURE)
    }  # fmt: skip
    detail[28] = filled({
        1: action, 2: peer(fields, "actor_id") or text(fields, "actor", 128), 3: targets, 4: params,
    })  # fmt: skip
    return Kind.SYSTEM


def reactions_of(fields: Fields, message: str | None, time: int) -> tuple[list[Row], list[dict[int, Any]]]:
    """Rows of the reactions whose people are named, and counts of the others."""
    rows: list[Row] = []
    tallies: list[dict[int, Any]] = []
    found = fields.get("reactions")
    for reaction in found if type(found) is list else ():
        if type(reaction) is not dict:
            continue
        face = _face(reaction)
        if face is None:
            continue
        named = 0
        recent = reaction.get("recent")
        for person in recent if type(recent) is list else ():
            who = peer(person, "from_id") if type(person) is dict else None
            if who is not None and message is not None:
                # When that was is a local time: another one in an export of another zone, and no news.
                rows.append(Row(Op.REACT, time, 0, message, who, 1, face))
                named += 1
        rest = (number(reaction, "count") or 0) - named
        if rest > 0:
            tallies.append({1: face, 2: rest})
    return rows, tallies


def _face(reaction: Fields) -> str | None:
    """The emoji; one of somebody's own has a path, or a sentence, that is another in the next export."""
    if reaction.get("type") == "paid":
        return "⭐"
    emoji = text(reaction, "emoji", 100)
    return ":custom emoji:" if emoji is None and text(reaction, "document_id") else emoji
