"""One record of Telegram Desktop as rows: the message, and the reactions whose people it names (docs/formats.md)."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

from strongroom.formats.telegram.fields import Fields, filled, ident, number, seconds, text
from strongroom.formats.telegram.texts import said
from strongroom_protocol.rows.model import Detail, Flag, Kind, Op, Row

_MEDIA = {
    "sticker": ("sticker", Kind.STICKER), "video_message": ("round", Kind.MEDIA), "animation": ("gif", Kind.MEDIA),
    "voice_message": ("voice", Kind.MEDIA), "video_file": ("video", Kind.MEDIA), "audio_file": ("audio", Kind.MEDIA),
}  # fmt: skip
_STATES = (
    ("exceeds maximum size", "too_large"), ("file unavailable", "unavailable"), ("file not included", "omitted"),
)  # fmt: skip
_SCALAR = (str, int, bool)
_SERVICE = frozenset(
    ("id", "type", "date", "date_unixtime", "actor", "actor_id", "action", "text", "text_entities", "members")
)
_DATE = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d")


def rows_of(fields: Fields, raw: bytes, zone: ZoneInfo | None) -> list[Row] | None:
    """The rows of a record; the first is the message. None for a record that has no time, and so is none."""
    message = ident(fields, "id")
    time, flags = _time(fields, zone)
    if time is None:
        return None
    words, spans = said(fields)
    service = fields.get("type") == "service"
    sender = ident(fields, "actor_id" if service else "from_id") or text(fields, "actor" if service else "from", 128)
    detail: Detail = {
        1: seconds(fields, "edited_unixtime"),
        2: text(fields, "actor" if service else "from"),
        3: spans,
        5: _reply(fields),
        6: filled(
            {1: ident(fields, "forwarded_from_id"), 2: text(fields, "forwarded_from") or text(fields, "saved_from")}
        ),
        18: text(fields, "author"),
        30: filled({2: text(fields, "via_bot"), 3: _buttons(fields)}),
    }
    kind = Kind.UNSUPPORTED if fields.get("type") == "unsupported" else Kind.TEXT
    kind = _service(fields, detail) if service else _content(fields, detail, kind)
    if detail[1] is not None:
        flags |= Flag.EDITED
    rows = [Row(Op.PUT, time, 0, message, sender, int(kind), words, raw, int(flags))]
    reactions, tallies = _reactions(fields, message, time)
    detail[8] = tallies
    rows[0] = rows[0]._replace(detail=filled(detail) or None)
    return rows + reactions


def _time(fields: Fields, zone: ZoneInfo | None) -> tuple[int | None, Flag]:
    """`date_unixtime` says it; older exports have a local time without a zone alone."""
    time = seconds(fields, "date_unixtime")
    if time is not None:
        return time, Flag.SECONDS
    date = text(fields, "date", 40)
    if date is None or not _DATE.fullmatch(date):
        return None, Flag.SECONDS
    try:
        local = datetime.fromisoformat(date).replace(tzinfo=zone or UTC)
    except ValueError:
        return None, Flag.SECONDS
    return max(0, int(local.timestamp())) * 1000, Flag.SECONDS | (Flag.ZONE_UNKNOWN if zone is None else Flag(0))


def _reply(fields: Fields) -> Detail:
    found = ident(fields, "reply_to_message_id")
    return {} if found is None else filled({1: found, 6: ident(fields, "reply_to_peer_id")})


def _buttons(fields: Fields) -> list[str]:
    rows = fields.get("inline_bot_buttons")
    if type(rows) is not list:
        return []
    flat = (button for row in rows if type(row) is list for button in row if type(button) is dict)
    return [found for button in flat if (found := text(button, "text", 1000)) is not None][:100]


def _content(fields: Fields, detail: Detail, kind: Kind) -> Kind:
    """What a message holds besides text, put into its detail; its kind by that."""
    if (photo := text(fields, "photo")) is not None:
        detail[4] = [_file(fields, photo, "photo", size="photo_file_size")]
        kind = Kind.MEDIA
    elif (file := text(fields, "file")) is not None:
        role, kind = _MEDIA.get(text(fields, "media_type") or "", ("document", Kind.MEDIA))
        detail[4] = [_file(fields, file, role, size="file_size")]
    place = _record(fields, "location_information")
    if place:
        detail[24] = filled({
            1: _decimal(place, "latitude"), 2: _decimal(place, "longitude"), 3: text(fields, "place_name"),
            4: text(fields, "address"), 5: _milliseconds(fields, "live_location_period_seconds"),
        })  # fmt: skip
        kind = Kind.LOCATION
    contact = _record(fields, "contact_information")
    if contact:
        name = " ".join(filter(None, (text(contact, "first_name"), text(contact, "last_name"))))
        detail[23] = [filled({1: name or None, 2: text(contact, "phone_number")})]
        card = text(fields, "contact_vcard")
        if card is not None:
            detail[4] = [_file(fields, card, "document", size="contact_vcard_file_size")]
        kind = Kind.CONTACT
    poll = _record(fields, "poll")
    if poll:
        answers = [answer for answer in poll.get("answers") or () if type(answer) is dict]
        options = [filled({1: _plain(answer), 2: number(answer, "voters"), 4: answer.get("chosen") is True or None})
                   for answer in answers]  # fmt: skip
        question = poll.get("question")
        detail[21] = filled({
            1: question if type(question) is str else None, 2: options, 4: poll.get("closed") is True or None,
            6: number(poll, "total_voters"),
        })  # fmt: skip
        kind = Kind.POLL
    if (game := text(fields, "game_title")) is not None:
        detail[27] = filled({1: game, 2: text(fields, "game_description")})
        kind = Kind.GAME
    invoice = _record(fields, "invoice_information")
    if invoice:
        amount = invoice.get("amount")
        detail[26] = filled({
            1: "invoice", 2: str(amount) if type(amount) in (int, str) else None, 3: text(invoice, "currency", 16),
            4: text(invoice, "title") or text(invoice, "description"),
        })  # fmt: skip
        kind = Kind.PAYMENT
    if (period := _milliseconds(fields, "self_destruct_period_seconds")) is not None:
        detail[14] = {2: period}
    return kind


def _record(fields: Fields, name: str) -> Fields:
    """A record within the record; some versions write it as a text of JSON."""
    value = fields.get(name)
    return value if type(value) is dict else {}


def _plain(answer: Fields) -> str | None:
    return said(answer)[0]


def _decimal(fields: Fields, name: str) -> str | None:
    value = fields.get(name)
    return str(value) if isinstance(value, int | float) and abs(value) <= 180 else None


def _milliseconds(fields: Fields, name: str) -> int | None:
    found = number(fields, name)
    return None if found is None or found > 10**10 else found * 1000


def _file(fields: Fields, path: str, role: str, *, size: str) -> Detail:
    """An attachment. Where a file was not exported, a sentence in brackets stands in the place of its path."""
    found: Detail = {
        2: number(fields, size), 3: text(fields, "mime_type", 200), 6: role,
        4: text(fields, "file_name", 1000), 9: number(fields, "width"), 10: number(fields, "height"),
        11: _milliseconds(fields, "duration_seconds"), 13: text(fields, "title"), 14: text(fields, "performer"),
        20: filled({2: text(fields, "sticker_emoji", 100)}),
    }  # fmt: skip
    if path.startswith("("):
        lower = path.lower()
        found[7] = next((state for words, state in _STATES if words in lower), "not_downloaded")
        found[8] = path
    else:
        found[5] = path
        found[4] = found[4] or path.rpartition("/")[2] or None
    thumbnail = text(fields, "thumbnail")
    if thumbnail is not None:
        found[21] = (
            {5: thumbnail, 6: "preview"}
            if not thumbnail.startswith("(")
            else {6: "preview", 7: "omitted", 8: thumbnail}
        )
    return filled(found)


def _service(fields: Fields, detail: Detail) -> Kind:
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
    params = {
        name[:100]: str(value)[:10_000]
        for name, value in fields.items()
        if name not in _SERVICE and type(value) in _SCALAR and name and str(value)
    }
    detail[28] = filled({
        1: action, 2: ident(fields, "actor_id") or text(fields, "actor", 128), 3: targets, 4: params,
    })  # fmt: skip
    return Kind.SYSTEM


def _reactions(fields: Fields, message: str | None, time: int) -> tuple[list[Row], list[dict[int, Any]]]:
    """Rows of the reactions whose people are named, and counts of the others."""
    rows: list[Row] = []
    tallies: list[dict[int, Any]] = []
    found = fields.get("reactions")
    for reaction in found if type(found) is list else ():
        if type(reaction) is not dict:
            continue
        face = text(reaction, "emoji", 100) or ident(reaction, "document_id")
        if face is None:
            continue
        named = 0
        recent = reaction.get("recent")
        for person in recent if type(recent) is list else ():
            who = ident(person, "from_id") if type(person) is dict else None
            if who is not None and message is not None:
                detail = filled({1: _when(person)})
                rows.append(Row(Op.REACT, time, 0, message, who, 1, face, None, 0, 0, detail or None))
                named += 1
        rest = (number(reaction, "count") or 0) - named
        if rest > 0:
            tallies.append({1: face, 2: rest})
    return rows, tallies


def _when(person: Fields) -> int | None:
    """When somebody reacted; the local time that Telegram writes has no zone, so it is only good for an order."""
    return _time(person, None)[0]
