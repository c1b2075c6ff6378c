"""Which of three numbers is the day: orders, calendars, and the choice between orders over a whole file.

Years are those of the calendar of the phone: 2567 is 2024 of the Buddhist calendar, 1403 of the Persian, 1445 of the
Hijri one. Of the last nobody can tell the day for sure: it depends on where the moon was seen.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date

DAY_MS = 86_400_000
_EPOCH = date(1970, 1, 1).toordinal()

GREGORIAN, BUDDHIST, PERSIAN, HIJRI = "gregorian", "buddhist", "persian", "hijri"

ORDERS = {"dmy": (2, 1, 0), "mdy": (2, 0, 1), "ymd": (0, 1, 2), "ydm": (0, 2, 1)}
"""Where year, month and day stand."""

SHORT_ORDERS = ("dmy", "mdy", "ymd")
"""The orders of dates whose years have two digits."""

_KOREAN = ("오전", "오후")
_FIRST_YEAR, _LAST_YEAR = 2009, 2051
"""There was no WhatsApp before; later ones are typing errors, or years of another calendar."""


def calendar_of(year: int) -> tuple[str, int] | None:
    """The calendar in which this year, as written, lies in the time of WhatsApp, and the whole year."""
    if year < 100:
        return (GREGORIAN, 2000 + year) if 2000 + year <= _LAST_YEAR else (BUDDHIST, 2500 + year)
    if 1970 <= year < 2200:
        return GREGORIAN, year
    if 2500 <= year < 2700:
        return BUDDHIST, year
    if 1380 <= year < 1426:
        return PERSIAN, year
    if 1426 <= year < 1500:
        return HIJRI, year
    return None


def day_of(numbers: tuple[int, int, int], order: str) -> int | None:
    """Days since 1970 of a date in this order; None when there is no such day."""
    places = ORDERS[order]
    found = calendar_of(numbers[places[0]])
    if found is None:
        return None
    calendar, year = found
    month, day = numbers[places[1]], numbers[places[2]]
    if not (1 <= month <= 12 and 1 <= day <= 31):
        return None
    if calendar == PERSIAN:
        return _persian(year, month, day)
    if calendar == HIJRI:
        return _hijri(year, month, day)
    try:
        return date(year - 543 if calendar == BUDDHIST else year, month, day).toordinal() - _EPOCH
    except ValueError:
        return None


def _persian(year: int, month: int, day: int) -> int | None:
    """Of the solar Hijri calendar, by the cycle of 33 years that holds from 1178 to 1633."""
    if day > (31 if month <= 6 else 30 if month <= 11 or _is_long(year) else 29):
        return None
    # 1 Farvardin 1400 was 2021-03-21.
    leaps = sum(map(_is_long, range(min(year, 1400), max(year, 1400))))
    start = date(2021, 3, 21).toordinal() - _EPOCH + (year - 1400) * 365 + (leaps if year > 1400 else -leaps)
    return start + 31 * (month - 1) - max(0, month - 7) + day - 1


def _is_long(year: int) -> bool:
    return year % 33 in (1, 5, 9, 13, 17, 22, 26, 30)


def _hijri(year: int, month: int, day: int) -> int | None:
    """By the arithmetic calendar, which is right to a day or two."""
    if day > 30:
        return None
    months = (59 * (month - 1) + 1) // 2
    return day + months + (year - 1) * 354 + (3 + 11 * year) // 30 + 227_014 - _EPOCH


@dataclass(slots=True)
class _Fit:
    """How well an order fits the dates met so far."""

    last: int | None = None  # day
    impossible: int = 0
    falls: int = 0  # days that come after a later one, or lie outside the time of WhatsApp
    way: int = 0  # days between neighbours, all together
    calendars: set[str] = field(default_factory=set)


@dataclass(frozen=True, slots=True)
class Order:
    """How the order of day, month and year was settled."""

    name: str
    why: str  # numbers, lines, marks, habit, gaps, usual, given
    calendars: tuple[str, ...]
    impossible: int = 0  # different dates that cannot be read so, though another order could

    @property
    def is_certain(self) -> bool:
        """Whether no other order could be meant."""
        return self.why in ("numbers", "given")


@dataclass(slots=True)
class Dates:
    """The dates of one pattern, met in the order of the file; memory does not grow with them."""

    orders: tuple[str, ...]
    separator: str
    _fits: dict[str, _Fit] = field(default_factory=dict)
    _last: tuple[int, int, int] | None = None
    padded: bool = True
    half: str = ""  # the first word for the half of the day

    def meet(self, numbers: tuple[int, int, int]) -> None:
        """Take one date into account."""
        if numbers == self._last:
            return
        self._last = numbers
        for order in self.orders:
            fit = self._fits.setdefault(order, _Fit())
            day = day_of(numbers, order)
            if day is None:
                fit.impossible += 1
                continue
            calendar, year = calendar_of(numbers[ORDERS[order][0]]) or (GREGORIAN, 0)
            fit.calendars.add(calendar)
            if calendar == GREGORIAN and not _FIRST_YEAR <= year <= _LAST_YEAR:
                fit.falls += 1
            if fit.last is not None:
                fit.falls += day < fit.last
                fit.way += abs(day - fit.last)
            fit.last = day

    def settle(self, given: str | None) -> Order:
        """The order that fits best: what is possible, what makes the lines follow each other, what is usual."""
        fits = self._fits
        if given is not None:
            return self._order(given, "given")
        possible = min(fit.impossible for fit in fits.values())
        left = [order for order in self.orders if fits[order].impossible == possible]
        if self.orders == SHORT_ORDERS and "ymd" in left:
            if self._is_year_first(left):
                return self._order("ymd", "lines")
            left.remove("ymd")
        if len(left) == 1:
            return self._order(left[0], "numbers")
        fewest = min(fits[order].falls for order in left)
        left = [order for order in left if fits[order].falls == fewest]
        if len(left) == 1:
            return self._order(left[0], "lines")
        why, habit = self._habit()
        if habit in left:
            return self._order(habit, why)
        near = sorted(left, key=lambda order: fits[order].way)
        if fits[near[0]].way * 4 < fits[near[1]].way:
            return self._order(near[0], "gaps")
        return self._order(left[0], "usual")

    def _order(self, name: str, why: str) -> Order:
        fit = self._fits[name]
        least = min(other.impossible for other in self._fits.values())
        return Order(name, why, tuple(sorted(fit.calendars)), fit.impossible - least)

    def _is_year_first(self, left: list[str]) -> bool:
        """Whether two digits in front are the year. Few phones write it so: the lines must make no sense otherwise."""
        if left == ["ymd"] or self.half in _KOREAN:
            return True
        first, others = self._fits["ymd"], [self._fits[order] for order in left if order != "ymd"]
        fewest = min(fit.falls for fit in others)
        nearest = min(fit.way for fit in others if fit.falls == fewest)
        return first.falls < fewest or (first.falls == fewest and first.way * 4 < nearest)

    def _habit(self) -> tuple[str, str]:
        """What the punctuation says: dots are never American; `1/5/24, 9:30 PM` nearly always is."""
        separator = self.separator.strip()
        if separator == ".":
            return "marks", "dmy"
        if separator in ("年", "년"):
            return "marks", "ymd"
        if separator == "-":
            return "habit", "dmy"
        return "habit", "mdy" if not self.padded and self.half in ("AM", "PM") else ""


def orders_for(year_first: bool, year_last: bool) -> tuple[str, ...]:
    """The orders that can be meant, the usual one first."""
    if year_first:
        return ("ymd", "ydm")
    return ("dmy", "mdy") if year_last else SHORT_ORDERS
