"""The rows of one chat (docs/formats.md): two passes over its text, the first to settle how it is to be read."""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Iterator
from datetime import tzinfo
from typing import Any

from strongroom.formats.base import Imported, ImportOptions, ImportReport, Ordinals, SourceFile
from strongroom.formats.whatsapp.bodies import Body, body_of
from strongroom.formats.whatsapp.clock import Clock, zone_named
from strongroom.formats.whatsapp.dates import ORDERS
from strongroom.formats.whatsapp.export import ChatFile
from strongroom.formats.whatsapp.naming import chat_title
from strongroom.formats.whatsapp.notices import event
from strongroom.formats.whatsapp.periods import MARKS, NO_MARKS
from strongroom.formats.whatsapp.records import Record, lines_in, records_in
from strongroom.formats.whatsapp.survey import EARLY, Settled, survey
from strongroom.formats.whatsapp.telling import options_of, tell
from strongroom_protocol.errors import ImportRefused
from strongroom_protocol.limits import LIMITS
from strongroom_protocol.rows.model import ConversationKind, Flag, Kind, Op, Row

PLATFORM = "whatsapp"
VERSION = "whatsapp/1"
_PHONE = re.compile(r"\+[\d\s().\-\u2010-\u2015]{6,30}")
_QUOTE = re.compile('["“„«「『]')
_PEOPLE = 16_384
_SENDER_CHARS = 100
_BRIEF_CHARS = 256
_UNTIMED = int(Flag.DAYS | Flag.INHERITED | Flag.ZONE_UNKNOWN)
_UTF16 = (b"\xff\xfe", b"\xfe\xff")


class Chat:
    """One chat while it is read."""

    def __init__(self, file: ChatFile, options: ImportOptions, report: ImportReport) -> None:
        self._file, self._options, self._report = file, options, report
        self._order: str | None = options.extra.get("order")
        if self._order is not None and self._order not in ORDERS:
            raise ImportRefused(f"there is no order {self._order!r}", hint=f"order is one of: {', '.join(ORDERS)}")
        self._zone: tzinfo | None = zone_named(options.extra.get("zone"))
        self._me = options.extra.get("me")
        self._digest = hashlib.sha256()
        self._settled = self._survey()
        self.title = chat_title(file, options, self._settled.notice)
        self.id = options.chat or f"{PLATFORM}:{self.title}"
        self._known: dict[str, str | None] = {}  # what stands before a colon, and the person it is
        self._met: set[str] = set()
        self._counts: Counter[str] = Counter()
        self._first: int | None = None
        self._bad = self._renamed = 0
        self._named: str | None = None

    def rows(self, source: SourceFile) -> Iterator[Imported]:
        """All rows, the chat itself first; counts records in `source`. Raises ImportRefused when the file changes."""
        settled = self._settled
        group = ConversationKind.GROUP if settled.group else ConversationKind.DIRECT
        opening = Row(Op.CONVERSATION, 0, kind=group, text=self.title, detail={13: PLATFORM})
        yield self.id, opening
        digest = hashlib.sha256()
        last = 0
        with self._file.open() as file:
            for row in self._rows(lines_in(file, self._file.name, digest), source):
                last = row.time if row.op == Op.PUT else last
                yield self.id, row
        if digest.digest() != self._digest.digest():  # spec: IMP-3
            raise ImportRefused(f"{self._file.name} changed while it was read", hint="import it again")
        if self._named not in (None, self.title):
            yield self.id, opening._replace(time=last)
        detail: dict[int, Any] = {
            1: PLATFORM, 4: "whatsapp-android" if settled.pattern[0] == "-" else "whatsapp-ios", 6: self._file.size,
            7: digest.digest(), 8: options_of(settled, self._options), 9: VERSION, 10: dict(self._counts),
        }  # fmt: skip
        yield self.id, Row(Op.SOURCE, self._first or 0, text=self._file.name, detail=detail)
        tell(self._report, self.title, settled, self._options, bad=self._bad, renamed=self._renamed)
        if self._me is not None and self._me not in self._met:
            self._report.warnings.append(f"{self.title}: nobody here is called as the option me says")

    def _survey(self) -> Settled:
        name = self._file.name
        with self._file.open() as file:
            begin = file.read(2)
        with self._file.open() as file:
            settled = survey(lines_in(file, name, self._digest), self._order)
        if settled is None:  # spec: IMP-30
            hint = "save it as UTF-8" if begin in _UTF16 else "name the _chat.txt, .txt or .zip that WhatsApp exported"
            raise ImportRefused(f"{name}: no line begins with a date and time as those of WhatsApp do", hint=hint)
        if self._order is not None and (settled.order.name != self._order or settled.order.impossible):
            raise ImportRefused(
                f"{name}: its dates cannot be read in the order {self._order}",
                hint="leave the option order out, or look at the dates",
            )
        return settled

    def _rows(self, lines: Iterator[bytes], source: SourceFile) -> Iterator[Row]:
        exact = int(Flag.SECONDS if self._settled.seconds else Flag.MINUTES)
        exact |= int(Flag.ZONE_UNKNOWN) if self._zone is None else 0  # a zone that was given turns them into real times
        clock = Clock(self._settled, self._zone)
        before = clock.time(*self._settled.first) or 0
        equals, places, seqs = Ordinals(), Ordinals(), Ordinals()
        chat, stored = self.id, self._file.stored
        for record in records_in(lines, clock):
            source.records += 1
            self._bad += not record.sound
            time = before if record.time is None else record.time
            seq = seqs.next("", None, time, 0, None)
            if record.time is None or _is_over(record.text):
                yield self._unsupported(record, time, seq, equals)
                continue
            before = time
            self._first = time if self._first is None else self._first
            sender, text = self._sender(record.text)
            body = body_of(text, sender, stored, early=source.records <= EARLY)
            place = 0 if sender is None else places.next("", sender, time, 0, None)
            if sender is not None and body.kind == Kind.SYSTEM and self._is_chat(sender, body):
                sender = None
            flags = exact | body.flags
            if sender is not None:
                if self._me is not None:
                    flags |= int(Flag.OUTGOING if sender == self._me else Flag.INCOMING)
                if sender not in self._met and len(self._met) < _PEOPLE:
                    self._met.add(sender)
                    yield self._member(sender)
            self._counts[_KIND_NAMES[body.kind]] += 1
            if body.placed:  # spec: IMP-32
                name = f"{'deleted' if body.deleted is not None else 'file'}:{place}:{sender}"
                yield Row(Op.PUT, time, seq, name, sender, int(body.kind), body.text, record.raw, flags, 0, body.detail)
                if body.deleted is not None:
                    yield Row(Op.DELETE, time, 0, name, sender, int(body.deleted))
            else:
                kind = int(body.kind)
                ordinal = equals.next(chat, sender, time, kind, _brief(body.text))
                yield Row(Op.PUT, time, seq, None, sender, kind, body.text, record.raw, flags, ordinal, body.detail)
                if kind == Kind.SYSTEM:
                    yield from self._renaming(time, body)

    def _unsupported(self, record: Record, time: int, seq: int, equals: Ordinals) -> Row:
        """Bytes that are no message: what stands before the first head, or what is longer than a message can be."""
        self._report.not_understood += 1
        self._counts["unsupported"] += 1
        kind = int(Kind.UNSUPPORTED)
        ordinal = equals.next(self.id, None, time, kind, None)
        return Row(Op.PUT, time, seq, None, None, kind, None, record.raw, _UNTIMED, ordinal)

    def _sender(self, rest: str) -> tuple[str | None, str]:
        """Who wrote a line, and what; None: nobody did.

        A name may hold a colon, and so may a notice. What a notice says is known; a name with a colon is the title of
        the chat, or stands in all lines of its person.
        """
        first, colon, text = rest.partition(": ")
        if not colon:
            if not rest.endswith(":"):  # an editor has stripped the space of an empty message
                first, colon, text = rest.partition(":\n")
                if not colon:
                    return None, rest
            else:
                first, text = rest[:-1], ""
            if self._known.get(first) is None:
                return None, rest
        if first in self._known:
            person = self._known[first]
        else:
            person = self._person(first)
            if person is None:
                return None, rest
            if len(self._known) < _PEOPLE:
                self._known[first] = person
        longer = self._settled.colons.get(first.strip(MARKS))
        title = self.title
        if longer is None and title.startswith(first) and ": " in title and rest.startswith(title + ": "):
            longer = title
        if longer is not None and text.startswith(longer[len(first.strip(MARKS)) + 2 :] + ": "):
            return longer, text[len(longer) - len(first.strip(MARKS)) :]
        return person, text

    def _person(self, first: str) -> str | None:
        if len(first) > _SENDER_CHARS or "\n" in first:
            return None
        if _QUOTE.search(first) and event(first) is not None:  # 'Ann changed the subject to "Trip: Rome"'
            return None
        name = first.translate(NO_MARKS).replace("\u00a0", " ").replace("\u202f", " ").strip()
        return name if name and len(name.encode()) <= LIMITS.id_bytes // 2 else None

    def _is_chat(self, sender: str, body: Body) -> bool:
        """Whether iOS names the chat where nobody is to be named."""
        told = (body.detail or {}).get(28, {})
        return told.get(1) == "encryption" or (self._settled.group and sender in (self.title, self._settled.notice))

    def _member(self, person: str) -> Row:
        detail: dict[int, Any] = {}
        if _PHONE.fullmatch(person):
            detail[5] = person
        if person == self._me:
            detail[8] = True
        return Row(Op.MEMBER, 0, sender=person, text=person.lstrip("~ ") or person, detail=detail or None)

    def _renaming(self, time: int, body: Body) -> Iterator[Row]:
        told = (body.detail or {}).get(28)
        if told is None or told[1] != "subject" or 4 not in told:
            return
        self._renamed += 1
        self._named = told[4]["to"]
        group = ConversationKind.GROUP
        yield Row(Op.CONVERSATION, time, kind=group, text=self._named, detail={13: PLATFORM})


def _brief(text: str | None) -> str | None:
    """What is as equal as the texts, but small: thousands of them are remembered."""
    if text is None or len(text) <= _BRIEF_CHARS:
        return text
    return hashlib.sha256(text.encode()).hexdigest()


def _is_over(text: str) -> bool:
    """Whether a text is longer than one may be."""
    return len(text) * 4 > LIMITS.text_bytes and len(text.encode()) > LIMITS.text_bytes


_KIND_NAMES = {int(kind): kind.name.lower() for kind in Kind}
