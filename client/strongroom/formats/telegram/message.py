"""One record of Telegram Desktop as rows: the message, and the reactions whose people it names (docs/formats.md)."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

from strongroom.formats.telegram.events import reactions_of, service_of
from strongroom.formats.telegram.fields import Fields, filled, ident, number, peer, seconds, text
from strongroom.formats.telegram.media import file_of, milliseconds
from strongroom.formats.telegram.texts import said
from strongroom_protocol.rows.model import Detail, Flag, Kind, Op, Row

_MEDIA = {
    "sticker": ("sticker", Kind.STICKER), "video_message": ("round", Kind.MEDIA), "animation": ("gif", Kind.MEDIA),
    "voice_message": ("voice", Kind.MEDIA), "video_file": ("video", Kind.MEDIA), "audio_file": ("audio", Kind.MEDIA),
}  # fmt: skip
_DATE = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d")
_NEVER = "1970-01-01T"  # how old exports say that a message was not edited, in any zone east of Greenwich


def rows_of(fields: Fields, raw: bytes, zone: ZoneInfo | None) -> list[Row] | None:
    """The rows of a record; the first is the message. None for a record that has no time, and so is none."""
    message = ident(fields, "id")
    time, flags = _time(fields, zone)
    if time is None:
        return None
    words, spans = said(fields)
    service = fields.get("type") == "service"
    sender = peer(fields, "actor_id" if service else "from_id") or text(fields, "actor" if service else "from", 128)
    edited, at = _edited(fields, zone)
    detail: Detail = {
        1: at,
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
    kind = service_of(fields, detail) if service else _content(fields, detail, kind)
    if edited:
        flags |= Flag.EDITED
    rows = [Row(Op.PUT, time, 0, message, sender, int(kind), words, raw, int(flags))]
    reactions, tallies = reactions_of(fields, message, time)
    detail[8] = tallies
    rows[0] = rows[0]._replace(detail=filled(detail) or None)
    return rows + reactions


def _time(fields: Fields, zone: ZoneInfo | None) -> tuple[int | None, Flag]:
    """`date_unixtime` says it; older exports have a local time without a zone alone."""
    time = seconds(fields, "date_unixtime")
    if time is not None:
        return time, Flag.SECONDS
    local = _local(fields, "date", zone)
    return local, Flag.SECONDS | (Flag.ZONE_UNKNOWN if zone is None and local is not None else Flag(0))


def _local(fields: Fields, name: str, zone: ZoneInfo | None) -> int | None:
    """The milliseconds of a local time."""
    date = text(fields, name, 40)
    if date is None or not _DATE.fullmatch(date):
        return None
    try:
        return max(0, int(datetime.fromisoformat(date).replace(tzinfo=zone or UTC).timestamp())) * 1000
    except ValueError:
        return None


def _edited(fields: Fields, zone: ZoneInfo | None) -> tuple[bool, int | None]:
    """Whether the message was edited, and when."""
    at = seconds(fields, "edited_unixtime")
    if at is not None:
        return True, at
    written = text(fields, "edited", 40)
    at = None if written is None or written.startswith(_NEVER) else _local(fields, "edited", zone)
    return at is not None, at


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
        detail[4] = [file_of(fields, photo, "photo", size="photo_file_size")]
        kind = Kind.MEDIA
    elif (file := text(fields, "file")) is not None:
        role, kind = _MEDIA.get(text(fields, "media_type") or "", ("document", Kind.MEDIA))
        detail[4] = [file_of(fields, file, role, size="file_size")]
    place = _record(fields, "location_information")
    if place or text(fields, "place_name") or text(fields, "address"):
        detail[24] = filled({
            1: _decimal(place, "latitude"), 2: _decimal(place, "longitude"), 3: text(fields, "place_name"),
            4: text(fields, "address"), 5: milliseconds(fields, "live_location_period_seconds"),
        })  # fmt: skip
        kind = Kind.LOCATION
    contact = _record(fields, "contact_information")
    if contact:
        name = " ".join(filter(None, (text(contact, "first_name"), text(contact, "last_name"))))
        detail[23] = [filled({1: name or None, 2: text(contact, "phone_number")})]
        card = text(fields, "contact_vcard")
        if card is not None:
            detail[4] = [file_of(fields, card, "document", size="contact_vcard_file_size")]
        kind = Kind.CONTACT
    poll = _record(fields, "poll")
    if poll:
        listed = poll.get("answers")
        answers = [answer for answer in listed if type(answer) is dict] if type(listed) is list else []
        options = [filled({1: _plain(answer), 2: number(answer, "voters"), 4: answer.get("chosen") is True or None})
                   for answer in answers]  # fmt: skip
        detail[21] = filled({
            1: said({"text": poll.get("question")})[0], 2: options, 4: poll.get("closed") is True or None,
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
    if (period := milliseconds(fields, "self_destruct_period_seconds")) is not None:
        detail[14] = {2: period}
    return kind


def _record(fields: Fields, name: str) -> Fields:
    """A record within the record; that of an invoice is written as a text of JSON."""
    value = fields.get(name)
    if type(value) is str and value[:1] == "{":
        try:
            value = json.loads(value, strict=False)
        except (ValueError, RecursionError):
            return {}
    return value if type(value) is dict else {}


def _plain(answer: Fields) -> str | None:
    return said(answer)[0]


def _decimal(fields: Fields, name: str) -> str | None:
    value = fields.get(name)
    if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) <= 180:
        return None
    return f"{value:.9f}".rstrip("0").rstrip(".") if "e" in str(value) else str(value)
