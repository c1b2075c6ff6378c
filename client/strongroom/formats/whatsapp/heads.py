"""The head of a line: `[15/01/2024, 10:30:45] ` of iOS or `1/15/24, 10:30 PM - ` of Android, in any locale.

What is fixed is only this: three numbers, then two or three more, and between and after them separators and at most a
word for the half of the day. A file keeps to one *pattern*; `Head.pattern` says which, numbers and words left out.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from strongroom.formats.whatsapp.periods import MARKS, PLAIN, half_of_day, hour_of, is_joiner

_HEAD_CHARS = 64
"""A head is never longer, in characters."""

_TIME_PART = r"([^\d]{1,28}?)(\d{1,2}) ?([:.h]|시|時|时|点|點) ?(\d{2})(?: ?(?:[:.]|min|분|分) ?(\d{2}))?([^\d]{0,20})"
_TIME = re.compile(_TIME_PART)
_HEAD = re.compile(rf"(\d{{1,4}})( ?[./-] ?|年 ?|년 ?)(\d{{1,2}})( ?[./-] ?|月 ?|월 ?)(\d{{1,4}}){_TIME_PART}")
_DATE = re.compile(r"[^\d]*\d+[^\d]+\d+[^\d]+\d+[^\d]*")
_REMEMBERED = 8192
_TAILS = frozenset(("", "s", "초", "秒", "분", "分", "uhr", "h", "ч"))
_DATE_TAILS = ("日", "일", ". г.", " г.", " г", ".")
_DASHES = (" - ", " – ")  # of Android; exports of iOS until 2018 have a colon there

Pattern = tuple[str, ...]
"""The style (bracket, dash or colon) and what stands between the numbers: equal for all lines of one export."""


class Head(NamedTuple):
    """A head as it is read before anything is known of the file: the numbers of the date in the order they stand."""

    pattern: Pattern
    first: int
    second: int
    third: int
    millisecond: int  # of the day
    padded: bool  # no number of day or month stands alone
    half: str  # the word for the half of the day, as it is written; "" where the clock has 24 hours


class Split(NamedTuple):
    """A line that may begin with a head."""

    style: str
    head: str
    rest: str


def split(line: str) -> Split | None:
    """The part of a line that may be a head, and what follows it; None: it begins with no head."""
    first = line[:1]
    if first in MARKS:
        line = line.lstrip(MARKS)
        first = line[:1]
    if first == "[":
        end = line.find("]", 1, _HEAD_CHARS)
        if end < 0:
            return None
        return Split("[", line[1:end], line[end + 2 :] if line[end + 1 : end + 2] == " " else line[end + 1 :])
    if first.isdigit():
        # The first one: names and texts have dashes too.
        end = min((at for dash in _DASHES if (at := line.find(dash, 8, _HEAD_CHARS)) > 0), default=-1)
        colon = line.find(": ", 8, end if end > 0 else _HEAD_CHARS)
        if colon > 0:
            return Split(":", line[:colon], line[colon + 2 :])
        if end > 0:
            return Split("-", line[:end], line[end + 3 :])
        # An editor that strips spaces at the ends of lines leaves the dash of an empty one.
        if line.rstrip("\r\n").endswith(" -") and len(line) < _HEAD_CHARS:
            return Split("-", line.rstrip("\r\n")[:-2], "")
    return None


def parse(style: str, head: str) -> Head | None:
    """Read a head; None when it is none, in any locale."""
    plain = (head if head.isascii() else head.translate(PLAIN)).strip()
    found = _HEAD.fullmatch(plain)
    if found is None:
        return None
    first, one, second, two, third, between, hour, colon, minute, seconds, tail = found.groups()
    joint = _joint(between)
    if joint is None:
        return None
    before, between = joint
    after = half_of_day(tail) if tail else ""
    if after is None:
        if tail.strip(" .").lower() not in _TAILS:
            return None
        after = ""
    half = before or after
    millisecond = _millisecond(hour, minute, seconds, half)
    if millisecond is None:
        return None
    pattern = (
        style, one, two, "y" if len(first) > 2 else "", "y" if len(third) > 2 else "", between,
        "@" if before else "", colon, ":s" if seconds else "", "@" if after else "",
    )  # fmt: skip
    days = [number for number in (first, second, third) if len(number) <= 2]
    word = (tail if after else found[6]).strip(" ,") if half else ""
    padded = all(len(number) == 2 for number in days)
    return Head(pattern, int(first), int(second), int(third), millisecond, padded, word)


def _millisecond(hour: str, minute: str, seconds: str | None, half: str) -> int | None:
    clock = hour_of(int(hour), half)
    if clock is None or int(minute) > 59 or int(seconds or 0) > 60:
        return None
    return ((clock * 60 + int(minute)) * 60 + min(int(seconds or 0), 59)) * 1000


class _Date(NamedTuple):
    pattern: Pattern
    first: int
    second: int
    third: int
    padded: bool


class _Shape(NamedTuple):
    """What a time of day is, but for its numbers."""

    pattern: Pattern
    half: str  # am, pm, …
    word: str


class _Minute(NamedTuple):
    pattern: Pattern
    millisecond: int
    word: str


class HeadReader:
    """Reads the heads of one file. Dates and the marks of times repeat, so each is understood once; memory is bounded."""

    def __init__(self) -> None:
        self._patterns: dict[Pattern, Pattern] = {}
        self._dates: dict[str, _Date] = {}
        self._shapes: dict[tuple[str, ...], _Shape] = {}
        self._times: dict[str, _Minute] = {}  # where a day has no more than a few thousand of them

    def read(self, style: str, head: str) -> Head | None:
        """The same as `parse`."""
        at = head.find(",")
        if at < 0:
            at = head.find(" ")
        rest = head[at:]
        day, known = self._dates.get(head[:at]), self._times.get(rest)
        if day is not None and known is not None and day.pattern is known.pattern and day.pattern[0] == style:
            return Head(day.pattern, day.first, day.second, day.third, known.millisecond, day.padded, known.word)
        time = _TIME.fullmatch(rest)
        if time is None:
            return parse(style, head)
        between, hour, colon, minute, seconds, tail = time.groups()
        key = (between, colon, tail, ":" if seconds else "")
        shape = self._shapes.get(key)
        # What began a head of a pattern and what ended one are together a head of it.
        if day is not None and shape is not None and day.pattern is shape.pattern and day.pattern[0] == style:
            millisecond = _millisecond(hour, minute, seconds, shape.half)
            if millisecond is None:
                return None
            if not seconds and len(self._times) < _REMEMBERED:
                self._times[rest] = _Minute(shape.pattern, millisecond, shape.word)
            return Head(day.pattern, day.first, day.second, day.third, millisecond, day.padded, shape.word)
        found = parse(style, head)
        if found is not None and _DATE.fullmatch(head[:at]):
            if len(self._dates) + len(self._shapes) + len(self._patterns) > _REMEMBERED:
                for table in (self._patterns, self._dates, self._shapes, self._times):
                    table.clear()
            pattern = self._patterns.setdefault(found.pattern, found.pattern)
            self._dates[head[:at]] = _Date(pattern, found.first, found.second, found.third, found.padded)
            self._shapes[key] = _Shape(pattern, half_of_day(found.half) or "", found.half)
        return found


def _joint(between: str) -> tuple[str, str] | None:
    """The half of the day that stands between date and time, and the separators without it."""
    for tail in _DATE_TAILS:
        if between.startswith(tail):
            rest = between[len(tail) :]
            if (found := _plain_joint(rest)) is not None:
                return found[0], tail + found[1]
    return _plain_joint(between)


def _plain_joint(between: str) -> tuple[str, str] | None:
    half = half_of_day(between)
    if half is not None:
        return half, "," if "," in between else " " if not half else ""
    return ("", between) if is_joiner(between) else None
