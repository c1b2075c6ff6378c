"""What a person sees of a message, for the exports that are read and not imported: plain words, nothing of markup.

All text passes `visible`. What the export itself says (marks, labels, times) and what others wrote are kept apart in
every field, so that a writer never has to guess which is which.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime, tzinfo

from strongroom.formats.readable_parts import Note, ShownFile, notes, shown_files
from strongroom.formats.visible import ends_in_bracket, likeness, one_line, visible
from strongroom_protocol.rows.detail import AT, REPLY, SENDER_NAME
from strongroom_protocol.rows.merge import Message
from strongroom_protocol.rows.model import DeleteKind, Detail, Flag, Kind, Op, Row

QUOTE = 200
"""Characters of a quoted message that are repeated with its answer."""
_IS_SELF = 8  # of a member's detail
_GONE = {
    DeleteKind.ERASE: "erased", DeleteKind.BY_SENDER: "deleted by the sender",
    DeleteKind.BY_ADMIN: "deleted by an administrator",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Quoted:
    """The message that one answers: its id where the source has it, and the first words of it."""

    id: str | None
    who: str
    text: str


@dataclass(frozen=True, slots=True)
class Reaction:
    """An emoji, who chose it as far as that is known, and how many did."""

    emoji: str
    names: list[str]
    count: int


@dataclass(frozen=True, slots=True)
class Shown:
    """A message in words. `day` is an ISO date, `clock` HH:MM[:SS] or "" where only the day is known.

    `edited` and `deleted` are empty, or say so and when; `earlier` are the texts before the one that holds,
    the first one first.
    """

    id: str
    day: str
    clock: str
    who: str = ""
    own: bool = False
    event: bool = False
    text: str = ""
    edited: str = ""
    deleted: str = ""
    reply: Quoted | None = None
    notes: list[Note] = field(default_factory=list)
    files: list[ShownFile] = field(default_factory=list)
    reactions: list[Reaction] = field(default_factory=list)
    earlier: list[str] = field(default_factory=list)


@dataclass(slots=True)
class People:
    """The people of a chat: their names, and who of them is the vault's owner.

    Nobody is shown under somebody else's name: a name that two have comes with their ids. Memory: a name a person.
    """

    names: dict[str, str] = field(default_factory=dict)
    own: set[str] = field(default_factory=set)
    _holders: dict[str, str | None] = field(default_factory=dict)

    @classmethod
    def of(cls, facts: Iterable[Row]) -> People:
        """Those that a chat's facts name."""
        people = cls()
        for row in facts:
            if row.op == Op.MEMBER and row.sender is not None:
                if row.text:
                    people.names[row.sender] = row.text
                if (row.detail or {}).get(_IS_SELF):
                    people.own.add(row.sender)
        for person, name in people.names.items():
            held = people._holders.setdefault(likeness(name), person)
            if held != person:
                people._holders[likeness(name)] = None
        return people

    def sender(self, person: str | None, told: str | None) -> str:
        """Who says a message: a name without a person behind it is marked when it is somebody's."""
        if person is None and told and likeness(told) in self._holders:  # spec: EXP-6
            return f"{one_line(told)} (?)"
        return self.name(person, told)

    def name(self, person: str | None, told: str | None = None) -> str:
        """What to call a person: `told` is the name that came with a message, and may be anybody's."""
        if person is None:
            return one_line(told)
        name = told or self.names.get(person) or person
        holder = self._holders.setdefault(likeness(name), person)
        if holder != person or ends_in_bracket(name):  # spec: EXP-6
            return f"{one_line(name)} ({one_line(person)})"  # a name that comes with an id of its own making, too
        return one_line(name)


def shown(message: Message, people: People, zone: tzinfo, files: Callable[[Row], Row]) -> Shown:
    """The words of one message; `files` writes its files and puts their paths into the row."""
    row = message.current
    day, clock = _when(message.time, row.flags if row is not None else 0, zone)
    if row is None:
        return Shown(message.id, day, clock, event=True, deleted=_deleted(message, day, zone))
    row = files(row)
    detail = row.detail or {}
    event = row.kind == Kind.SYSTEM or (row.sender is None and row.kind != Kind.UNSUPPORTED)
    found = list(notes(detail, people.name, said=row.text or "", event=event and not row.text, sender=row.sender))
    attached = shown_files(detail)
    text = _text(row)
    if not (text or found or attached or message.deletion):
        text = f"({_kind(row.kind)})" if row.kind != Kind.TEXT else ""
    return Shown(
        message.id, day, clock, people.sender(row.sender, detail.get(SENDER_NAME)),
        row.sender in people.own or bool(row.flags & Flag.OUTGOING), event, text, _edited(message, day, zone),
        _deleted(message, day, zone), _reply(detail, people), found, attached, _reactions(message, people),
        [before for before in map(_text, message.versions[:-1]) if before != text],
    )  # fmt: skip


def _text(row: Row) -> str:
    text = visible(row.text or "")
    if row.kind == Kind.UNSUPPORTED and not text:
        return visible((row.raw or b"").decode("utf-8", "replace").strip())
    return f"* {text}" if row.kind == Kind.ACTION and text else text


def _kind(kind: int) -> str:
    try:
        return Kind(kind).name.lower()
    except ValueError:  # of a newer version
        return "unsupported"


def _when(time: int, flags: int, zone: tzinfo) -> tuple[str, str]:
    """Day and clock; a time that the source gave without a zone is shown as the source had it."""
    try:
        moment = datetime.fromtimestamp(time / 1000, UTC if flags & Flag.ZONE_UNKNOWN else zone)
    except (OverflowError, ValueError, OSError):
        return "9999-12-31", ""
    precision = flags & Flag.DAYS
    day = f"{moment.year:04}-{moment.month:02}-{moment.day:02}"
    if precision == Flag.DAYS:
        return day, ""
    return day, moment.strftime("%H:%M" if precision == Flag.MINUTES else "%H:%M:%S")


def _said_when(what: str, time: int, day: str, zone: tzinfo) -> str:
    """What happened to a message of `day`, and when that is known: the clock, with the date when it is another."""
    if not time:
        return what
    then, clock = _when(time, 0, zone)
    return f"{what} {clock}" if then == day else f"{what} {then} {clock}".rstrip()


def _edited(message: Message, day: str, zone: tzinfo) -> str:
    row = message.versions[-1]
    if len(message.versions) > 1:
        return _said_when("edited", (row.detail or {}).get(AT, 0), day, zone)
    return "edited" if row.flags & Flag.EDITED else ""


def _deleted(message: Message, day: str, zone: tzinfo) -> str:
    if message.deletion is None:
        return "" if message.versions else "a message that is not in this backup"
    kind = message.deletion.kind
    what = (
        _GONE[DeleteKind(kind)] if kind < DeleteKind.EXPIRED else "expired" if kind == DeleteKind.EXPIRED else "deleted"
    )
    return _said_when(what, (message.deletion.detail or {}).get(AT, 0), day, zone)


def _reply(detail: Detail, people: People) -> Quoted | None:
    reply = detail.get(REPLY)
    if reply is None:
        return None
    text = one_line(reply.get(4))
    return Quoted(
        reply.get(1), people.name(reply.get(3), reply.get(8)), text if len(text) <= QUOTE else f"{text[:QUOTE]}…"
    )


def _reactions(message: Message, people: People) -> list[Reaction]:
    """One for each emoji: those of people who are named, then those that the source only counts."""
    faces: dict[str, Reaction] = {}
    for row in message.reactions:
        emoji = one_line(row.text)
        had = faces.get(emoji, Reaction(emoji, [], 0))
        faces[emoji] = Reaction(emoji, [*had.names, people.name(row.sender)], had.count + 1)
    for tally in ((message.current.detail if message.current else None) or {}).get(8, ()):
        emoji = one_line(tally.get(1) or tally.get(3))
        had = faces.get(emoji, Reaction(emoji, [], 0))
        faces[emoji] = Reaction(emoji, had.names, had.count + int(tally.get(2, 1)))
    return list(faces.values())
