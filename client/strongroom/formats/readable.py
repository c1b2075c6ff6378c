"""What a person sees of a message, for the exports that are read and not imported: plain words, nothing of markup.

All text passes `visible`: control characters and the two marks that turn the order of what follows round are shown as
what they are, so that no message can pass for another, or for a line of the export.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, tzinfo
from typing import Any

from strongroom_protocol.rows.detail import ATTACHMENTS, REPLY, SENDER_NAME
from strongroom_protocol.rows.merge import Message
from strongroom_protocol.rows.model import DeleteKind, Detail, Flag, Kind, Op, Row

_ODD = re.compile("[\\x00-\\x08\\x0b-\\x1f\\x7f-\\x9f\\u2028\\u2029\\u202d\\u202e\\ud800-\\udfff\\ufffe\\uffff]")
QUOTE = 200
"""Characters of a quoted message that are repeated with its answer."""


def visible(text: str) -> str:
    """Text whose odd characters are written out, as `\\u202e`; line breaks, tabs and joiners stay."""
    return _ODD.sub(lambda found: f"\\u{ord(found[0]):04x}", text.replace("\r\n", "\n"))


@dataclass(frozen=True, slots=True)
class ShownFile:
    """A file of a message: `path` is relative to the export's folder, None when there is only `state` to say."""

    name: str
    role: str
    mime: str
    path: str | None
    state: str
    caption: str


@dataclass(frozen=True, slots=True)
class Shown:
    """A message in words. `day` is an ISO date, `clock` HH:MM[:SS] or "" where only the day is known."""

    id: str
    day: str
    clock: str
    who: str
    own: bool
    event: bool
    text: str
    edited: bool
    deleted: str
    reply: tuple[str, str] | None
    notes: list[str] = field(default_factory=list)
    files: list[ShownFile] = field(default_factory=list)
    reactions: list[tuple[str, list[str]]] = field(default_factory=list)


@dataclass(slots=True)
class People:
    """Names of the people of a chat, and who of them is the vault's owner."""

    names: dict[str, str] = field(default_factory=dict)
    own: set[str] = field(default_factory=set)

    @classmethod
    def of(cls, facts: Iterable[Row]) -> People:
        people = cls()
        for row in facts:
            if row.op == Op.MEMBER and row.sender is not None:
                if row.text:
                    people.names[row.sender] = row.text
                if (row.detail or {}).get(8):
                    people.own.add(row.sender)
        return people

    def name(self, person: str | None) -> str:
        return "" if person is None else visible(self.names.get(person, person)).replace("\n", " ")


def shown(message: Message, people: People, zone: tzinfo, files: Callable[[Row], Row]) -> Shown:
    """The words of one message; `files` writes its files and puts their paths into the row."""
    row = message.current
    moment = row if row is not None else None
    day, clock = _when(message.time, moment.flags if moment is not None else 0, zone)
    faces: defaultdict[str, list[str]] = defaultdict(list)
    for reaction in message.reactions:
        faces[_one(reaction.text)].append(people.name(reaction.sender))
    deleted = _deleted(message)
    if row is None:
        return Shown(message.id, day, clock, "", False, False, "", False, deleted, None, reactions=list(faces.items()))
    row = files(row)
    detail = row.detail or {}
    for tally in detail.get(8, ()):
        faces[_one(tally.get(1))] += [""] * min(int(tally.get(2, 1)), 999)
    sender_name = detail.get(SENDER_NAME)
    own = row.sender in people.own or bool(row.flags & Flag.OUTGOING)
    who = _one(sender_name) or people.name(row.sender)
    event = row.kind == Kind.SYSTEM or (row.sender is None and row.kind != Kind.UNSUPPORTED)
    text = visible(row.text or "")
    if row.kind == Kind.UNSUPPORTED and not text:
        text = visible((row.raw or b"").decode("utf-8", "replace").strip())
    return Shown(
        message.id, day, clock, who, own, event, f"* {text}" if row.kind == Kind.ACTION else text,
        len(message.versions) > 1 or bool(row.flags & Flag.EDITED), deleted, _reply(detail, people),
        list(_notes(detail, people)), [_file(item) for item in detail.get(ATTACHMENTS, ())], list(faces.items()),
    )  # fmt: skip


def _when(time: int, flags: int, zone: tzinfo) -> tuple[str, str]:
    """Day and clock; a time that the source gave without a zone is shown as the source had it."""
    try:
        moment = datetime.fromtimestamp(time / 1000, UTC if flags & Flag.ZONE_UNKNOWN else zone)
    except (OverflowError, ValueError, OSError):
        return "9999-12-31", ""
    precision = flags & Flag.DAYS
    if precision == Flag.DAYS:
        return moment.strftime("%Y-%m-%d"), ""
    return moment.strftime("%Y-%m-%d"), moment.strftime("%H:%M" if precision == Flag.MINUTES else "%H:%M:%S")


def _deleted(message: Message) -> str:
    if message.deletion is None:
        return "" if message.versions else "a message that is not in this backup"
    return {
        DeleteKind.BY_SENDER: "deleted by the sender", DeleteKind.BY_ADMIN: "deleted by an administrator",
        DeleteKind.EXPIRED: "expired",
    }.get(DeleteKind(min(message.deletion.kind, 3)), "deleted")  # fmt: skip


def _reply(detail: Detail, people: People) -> tuple[str, str] | None:
    reply = detail.get(REPLY)
    if reply is None:
        return None
    who = _one(reply.get(8)) or people.name(reply.get(3))
    text = _one(reply.get(4))
    return who, text if len(text) <= QUOTE else f"{text[:QUOTE]}…"


def _notes(detail: Detail, people: People) -> Iterator[str]:
    """What a message holds besides text and files, a line each."""
    forward, poll, call, place = (detail.get(key) or {} for key in (6, 21, 22, 24))
    if forward:
        yield f"forwarded from {_one(forward.get(2)) or people.name(forward.get(1)) or 'elsewhere'}"
    if poll:
        yield f"poll: {_one(poll.get(1))}"
        for option in poll.get(2, ()):
            votes = option.get(2, len(option.get(3, ())) or None)
            yield f"  ○ {_one(option.get(1))}" + ("" if votes is None else f" ({votes})")
    if call:
        seconds = int(call.get(2, 0)) // 1000
        yield " ".join(filter(None, (
            _one(call.get(3)), _one(call.get(1)), "call", f"({seconds // 60}:{seconds % 60:02})" if seconds else "",
        )))  # fmt: skip
    if place:
        yield f"location: {_one(place.get(1))}, {_one(place.get(2))} {_one(place.get(3))} {_one(place.get(4))}".strip()
    for contact in detail.get(23, ()):
        yield f"contact: {_one(contact.get(1))} {_one(contact.get(2))}".strip()
    for card in detail.get(25, ()):
        yield f"link: {_one(card.get(2))} {_one(card.get(1))} {_one(card.get(3))}".strip()
    payment = detail.get(26) or {}
    if payment:
        yield f"payment: {_one(payment.get(2))} {_one(payment.get(3))} {_one(payment.get(4))}".strip()
    for inner in detail.get(7, ()):
        yield f"  {_one(inner.get(4)) or people.name(inner.get(3))}: {_one(inner.get(6))}"


def _one(value: Any) -> str:
    return "" if value is None else visible(str(value)).replace("\n", " ")


def _file(item: Detail) -> ShownFile:
    path = item.get(5) if item.get(7) is None and item.get(1) is not None else None
    state = "" if path is not None else " ".join(filter(None, (_one(item.get(7) or "not here"), _one(item.get(8)))))
    role = _one(item.get(6)) or "file"
    return ShownFile(
        _one(item.get(4)) or role, role, _one(item.get(17) or item.get(3)), path, state, _one(item.get(12))
    )
