"""What an import of a chat has to tell: how it was read, what is not certain, and how to read it otherwise."""

from __future__ import annotations

from strongroom.formats.base import ImportOptions, ImportReport
from strongroom.formats.whatsapp.dates import BUDDHIST, GREGORIAN, HIJRI, PERSIAN
from strongroom.formats.whatsapp.survey import Settled
from strongroom.formats.whatsapp.titles import is_copy

_ORDERS = {"dmy": "day, month, year", "mdy": "month, day, year", "ymd": "year, month, day", "ydm": "year, day, month"}
_WHYS = {
    "numbers": "certain: a number over 12 is no month",
    "lines": "by the order of the lines: otherwise dates would go back",
    "marks": "by the marks between the numbers",
    "habit": "guessed by the way dates are written",
    "gaps": "guessed: otherwise months would lie between the messages",
    "usual": "guessed: the usual one",
    "given": "as the option says",
}
_CALENDARS = {
    BUDDHIST: "years of the Buddhist calendar, read as 543 less",
    PERSIAN: "dates of the Persian calendar",
    HIJRI: "dates of the Hijri calendar, read by its arithmetic form: the real day may be one or two off",
}


def options_of(settled: Settled, options: ImportOptions) -> dict[str, str]:
    """How a chat was read, for its SOURCE row."""
    order = settled.order
    return {
        "order": order.name,
        "order_by": order.why,
        "clock": "12" if settled.halves else "24",
        "zone": options.extra.get("zone") or "unknown, read as UTC",
        "precision": "second" if settled.seconds else "minute",
        "calendar": " ".join(order.calendars) or GREGORIAN,
    }


def tell(report: ImportReport, title: str, settled: Settled, options: ImportOptions, *, bad: int, renamed: int) -> None:
    """Notes on how a chat was read; warnings for what may be wrong."""
    order = settled.order
    zone = options.extra.get("zone")
    report.notes.append(
        f"{title}: dates are {_ORDERS[order.name]} ({_WHYS[order.why]}), {'12' if settled.halves else '24'}-hour clock, "
        f"exact to the {'second' if settled.seconds else 'minute'}, "
        + (
            f"times of {zone}"
            if zone
            else "times taken as UTC, for the file has no zone (--option zone=Europe/Berlin, then with every import)"
        )
    )
    warn = report.warnings.append
    if order.why in ("habit", "gaps", "usual"):
        others = " or ".join(
            f"--option order={name}" for name in _ORDERS if name != order.name and name in settled.orders
        )
        warn(f"{title}: the order of day and month is not certain; if dates are wrong: strongroom undo, then {others}")
    for calendar in order.calendars:
        if calendar in _CALENDARS:
            warn(f"{title}: {_CALENDARS[calendar]}")
    if settled.others:
        warn(
            f"{title}: lines that look like messages, but are not written as the others are: {settled.others:,}; "
            "each was kept as text of the message before it"
        )
    if bad:
        warn(f"{title}: messages that are not UTF-8: {bad:,}; replacement characters are shown, their bytes are kept")
    if settled.colons:
        warn(f"{title}: names taken to hold a colon, as all lines of these people do: {len(settled.colons):,}")
    if renamed:
        warn(
            f"{title}: the group was renamed; exports from before have another title: "
            "import them with the same --chat, or they become a chat of their own"
        )
    if is_copy(title) and options.chat is None:
        warn(
            f"{title}: this title ends like that of a second download; if it is, import it again with "
            f"--chat whatsapp:{title.rpartition('(')[0].rstrip()}"
        )
