"""One record of a day file as rows: the message, its reactions, or its tombstone (docs/formats.md)."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from strongroom.formats.native_json import canonical
from strongroom.formats.slack.fields import (
    SHORT_ID,
    TEXT_MAX,
    Fields,
    Odd,
    filled,
    identifier,
    listed,
    number,
    record,
    seconds,
    stamp,
    stamped,
    text,
    truth,
)
from strongroom.formats.slack.files import attachment, block_text, card, shared
from strongroom.formats.slack.text import Names, emoji, readable
from strongroom.formats.slack.words import CALLS, CHANNEL_EVENTS, EVENT_PARAMS, KNOWN, OTHER_EVENTS, SAID, TOMBSTONE
from strongroom_protocol.rows.model import DeleteKind, Flag, Kind, Op, Row


@dataclass(slots=True)
class Setting:
    """What a message's rows depend on besides its record."""

    names: Names
    stored: dict[str, str]  # paths of files that are in the export
    unread_fields: set[str] = field(default_factory=set)  # of the record read last


def message_rows(fields: Fields, raw: bytes, setting: Setting) -> list[Row]:
    """The rows of a record; the first is about the message. Raises Odd for one without a valid `ts`."""
    ts: Any = fields.get("ts")
    time, below = stamp(ts)
    setting.unread_fields = set() if fields.keys() <= KNOWN else fields.keys() - KNOWN
    try:
        if fields.get("subtype") == TOMBSTONE:
            return [Row(Op.DELETE, time, id=ts, kind=DeleteKind.BY_SENDER, raw=raw, detail=_thread(fields, ts))]
        return _rows(fields, ts, time, below, raw, setting)
    except Odd:
        kept = {name: value for name, value in fields.items() if name in ("user", "text") and type(value) is str}
        return [unsupported(time, raw, id=ts, sender=kept.get("user") or None, text=kept.get("text"))]


def unsupported(
    time: int, raw: bytes, *, id: str, sender: str | None = None, text: str | None = None, flags: int = 0
) -> Row:
    """A record that is kept as it is, with what of it fits."""
    sender = sender if sender is None or len(sender) <= SHORT_ID else None
    text = text if text is None or len(text) <= TEXT_MAX else None
    return Row(Op.PUT, time, 0, id, sender, Kind.UNSUPPORTED, text, raw, flags)


def _rows(fields: Fields, ts: Any, time: int, below: int, raw: bytes, setting: Setting) -> list[Row]:
    detail: dict[int, Any] = _thread(fields, ts) or {}
    sender = _sender(fields, detail)
    shown = _said(fields, detail, setting.names)
    if "files" in fields or "file" in fields:  # before 2018: one file
        files = [*listed(fields, "files", dict), record(fields, "file")]
        detail[4] = [attachment(file, setting.stored) for file in files if file]
    times: dict[int, Any] = {6: below} if below else {}
    edited = record(fields, "edited") if "edited" in fields else {}
    if edited:
        times[3] = stamped(edited, "ts")
    detail[12] = filled(times)
    if "client_msg_id" in fields and (other := text(fields, "client_msg_id")):
        detail[20] = [other]
    if "pinned_to" in fields or "pinned_info" in fields:
        detail[15] = _pin(fields)
    if "is_starred" in fields and truth(fields, "is_starred"):
        detail[16] = True
    kind = _kind(fields, sender, detail)
    rows = _reactions(fields, ts, time, detail) if "reactions" in fields else []
    flags = int(Flag.EDITED) if edited else 0
    return [Row(Op.PUT, time, 0, ts, sender, kind, shown, raw, flags, 0, filled(detail) or None), *rows]


def _sender(fields: Fields, detail: dict[int, Any]) -> str | None:
    """The person, or else the bot, that wrote a message, with the name it wrote under."""
    sender, bot = identifier(fields, "user"), identifier(fields, "bot_id") if "bot_id" in fields else None
    if sender is None and "comment" in fields:  # of a file
        sender = identifier(record(fields, "comment"), "user")
    if "username" in fields:
        detail[2] = text(fields, "username")
    if bot is not None and sender is None and not detail.get(2):
        detail[2] = text(record(fields, "bot_profile"), "name")
    if bot is not None and sender is not None:
        detail[30] = {2: bot}
    return sender or bot


def _said(fields: Fields, detail: dict[int, Any], names: Names) -> str:
    """The text as people read it; where a record has none, that of its blocks or of what it shows."""
    source = text(fields, "text") or ""
    shown, spans, mentions = readable(source, names)
    if spans:
        detail |= {3: spans, 10: mentions}
    if shown != source:
        detail[11] = {1: "mrkdwn", 2: source}
    if "attachments" in fields:
        parts = listed(fields, "attachments", dict)
        cards = [card(part, lambda line: readable(line, names).text) for part in parts]
        detail[25] = [entry for entry in cards if entry]
        detail[6] = next(filter(None, map(shared, parts)), None)
        shown = shown or "\n".join(filter(None, (entry.get(3) or entry.get(2) for entry in cards)))
    if not shown and "blocks" in fields and (found := block_text(listed(fields, "blocks", dict))):
        shown = readable(found, names).text
    if len(shown) > TEXT_MAX:
        raise Odd("text")
    return shown


def _kind(fields: Fields, sender: str | None, detail: dict[int, Any]) -> int:
    """The kind of a message; what only this kind has goes into its detail."""
    subtype = text(fields, "subtype") or ""
    family, _, change = subtype.partition("_")
    action = CHANNEL_EVENTS.get(change) if family in ("channel", "group") else None
    if action is not None or subtype in OTHER_EVENTS:
        detail[28] = _event(action or subtype, fields, sender)
        return Kind.SYSTEM
    if subtype in CALLS:
        detail[22] = _call(record(fields, "room"))
        return Kind.CALL
    if subtype and subtype not in SAID:
        return Kind.UNSUPPORTED
    if subtype == "me_message":
        return Kind.ACTION
    if subtype and subtype not in ("bot_message", "file_share"):
        detail[19] = [subtype]
    if detail.get(4):
        return Kind.MEDIA
    return Kind.BOT if "bot_id" in fields or subtype == "bot_message" else Kind.TEXT


def _event(action: str, fields: Fields, sender: str | None) -> dict[int, Any]:
    target = sender if action in ("join", "leave") else None
    params = {name: value for name in EVENT_PARAMS if (value := text(fields, name)) is not None}
    return filled({1: action, 2: identifier(fields, "inviter") or sender, 3: [target] if target else [], 4: params})


def _call(room: Fields) -> dict[int, Any]:
    start, end = seconds(room, "date_start"), seconds(room, "date_end")
    people = listed(room, "participant_history", str) or listed(room, "participants", str)
    duration = end - start if start and end and end >= start else None
    return filled({1: "group", 2: duration, 4: people})


def _thread(fields: Fields, ts: Any) -> dict[int, Any] | None:
    """Of an answer: its thread and what it answers. The first message of a thread is none: it may still get one."""
    if "thread_ts" not in fields or fields["thread_ts"] in (None, ts):
        return None
    thread = fields["thread_ts"]
    time, _ = stamp(thread)
    reply = {1: thread, 2: time, 3: identifier(fields, "parent_user_id")}
    return {5: filled(reply), 9: thread}


def _pin(fields: Fields) -> dict[int, Any] | None:
    info = record(fields, "pinned_info")
    places = listed(fields, "pinned_to", str)
    pin = filled({1: identifier(info, "pinned_by"), 2: seconds(info, "pinned_ts")})
    return pin or ({0: canonical({"pinned_to": places})} if places else None)


def _reactions(fields: Fields, ts: Any, time: int, detail: dict[int, Any]) -> list[Row]:
    """A row for each person and emoji; those whom the record only counts are a tally of the message."""
    rows: list[Row] = []
    tallies: list[dict[int, Any]] = []
    for reaction in listed(fields, "reactions", dict):
        name = text(reaction, "name")
        if name is None:
            raise Odd("name")
        sign = emoji(name)
        more: dict[int, Any] | None = None if sign else {31: name}
        users = dict.fromkeys(listed(reaction, "users", str))
        if any(not user or len(user) > SHORT_ID for user in users):
            raise Odd("users")
        rows += [Row(Op.REACT, time, 0, ts, user, 1, sign or f":{name}:", None, 0, 0, more) for user in users]
        unnamed = (number(reaction, "count") or 0) - len(users)
        if unnamed > 0:
            tallies.append(filled({1: sign or f":{name}:", 2: unnamed, 3: None if sign else name}))
    detail[8] = tallies
    return rows
