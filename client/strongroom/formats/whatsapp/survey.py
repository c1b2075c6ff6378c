"""The first pass over a chat: what cannot be known from one line.

How the export writes heads, the order of day and month, the names that hold a colon, whether it is a group. Its memory
does not grow with the file.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from strongroom.formats.whatsapp.dates import Dates, Order, orders_for
from strongroom.formats.whatsapp.heads import Head, HeadReader, Pattern, split
from strongroom.formats.whatsapp.notices import is_encryption_notice, is_of_group
from strongroom.formats.whatsapp.periods import MARKS

_PATTERNS = 16
_NAMES = 4096
_NAME_CHARS = 100
_NOTICE_CHARS = 600
EARLY = 20
"""Among how many of the first lines the encryption notice is looked for."""

_SAME_TIMES = 3
"""Lines of one person, and all of them, that must go on with the same word and colon for it to be part of the name."""

_LEADS = frozenset(b"[0123456789") | frozenset(range(0x80, 0x100))
"""First bytes that a line with a head can have: a bracket, a digit, or what is not ASCII (marks, other digits)."""


def may_begin(line: bytes) -> bool:
    """Whether it is worth looking for a head in a line."""
    return line[:1] != b"" and line[0] in _LEADS


@dataclass(slots=True)
class _Name:
    """What stands before the first colon of a line, and what all such lines go on with up to a second one."""

    second: str
    times: int = 1


@dataclass(slots=True)
class _Seen:
    """What was seen of one pattern."""

    dates: Dates
    first: tuple[str, str]  # style and head of the first line
    count: int = 0
    names: dict[str, _Name] = field(default_factory=dict)
    group: bool = False
    notice: str | None = None  # sender of the encryption notice: in exports of iOS the chat's title

    def meet(self, head: Head, rest: str) -> None:
        """Take one line into account."""
        self.count += 1
        dates = self.dates
        dates.padded = dates.padded and head.padded
        dates.half = dates.half or head.half
        dates.meet((head.first, head.second, head.third))
        first, colon, text = rest.partition(": ")
        if not colon:
            self.group = self.group or (len(rest) < _NOTICE_CHARS and is_of_group(rest))
        elif len(first) <= _NAME_CHARS:
            self._meet_name(first.strip(MARKS), text)

    def _meet_name(self, first: str, text: str) -> None:
        if self.count <= EARLY and is_encryption_notice(text):
            self.notice = self.notice or first
            return
        if text[:1] and text[0] in MARKS:
            self.group = self.group or is_of_group(text)
        name = self.names.get(first)
        if name is None:
            if len(self.names) < _NAMES:
                self.names[first] = _Name(_second(text))
            return
        name.times += 1
        if name.second and not text.startswith(name.second):
            name.second = ""


@dataclass(frozen=True, slots=True)
class Settled:
    """What one export keeps to from its first to its last line."""

    pattern: Pattern
    first: tuple[str, str]  # style and head of the first line
    order: Order
    orders: tuple[str, ...]  # that this pattern can have
    colons: dict[str, str]  # names with a colon, by what stands before it
    group: bool
    notice: str | None
    heads: int
    others: int  # lines that would be heads if they were written as the rest is

    @property
    def seconds(self) -> bool:
        """Whether times are exact to the second."""
        return bool(self.pattern[8])

    @property
    def halves(self) -> bool:
        """Whether the clock has twelve hours."""
        return bool(self.pattern[6] or self.pattern[9])


def survey(lines: Iterable[bytes], order: str | None) -> Settled | None:
    """Settle what the lines of a chat keep to; None when none of them begins as those of WhatsApp do."""
    seen: dict[Pattern, _Seen] = {}
    reader = HeadReader()
    for line in lines:
        if not may_begin(line):
            continue
        parts = split(line.decode("utf-8", "replace"))
        if parts is None:
            continue
        head = reader.read(parts.style, parts.head)
        if head is None:
            continue
        found = seen.get(head.pattern)
        if found is None:
            if len(seen) >= _PATTERNS:
                continue
            pattern = head.pattern
            orders = orders_for(bool(pattern[3]), bool(pattern[4]))
            found = seen[pattern] = _Seen(Dates(orders, pattern[1]), parts[:2])
        found.meet(head, parts.rest.rstrip("\r\n"))
    if not seen:
        return None
    # WhatsApp writes the first head of a file; how many more look otherwise is up to whoever sends a long message.
    pattern, best = next(iter(seen.items()))  # spec: IMP-31
    settled = best.dates.settle(order if order in best.dates.orders else None)
    return Settled(
        pattern=pattern,
        first=best.first,
        order=settled,
        orders=best.dates.orders,
        colons={
            first: f"{first}: {name.second[:-2]}"
            for first, name in best.names.items()
            if name.second and name.times >= _SAME_TIMES
        },
        group=best.group or len(best.names.keys() - {best.notice}) > 2,
        notice=best.notice,
        heads=best.count,
        others=sum(other.count for other in seen.values()) - best.count,
    )


def _second(text: str) -> str:
    """The words up to the next colon, with it, when they could be the end of a name."""
    second, colon, _ = text.partition(": ")
    return second + colon if colon and second and len(second) <= _NAME_CHARS and second[0] not in MARKS else ""
