"""From heads to times. An export has no zone: its times are read as UTC, or in the zone that the option names."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from zoneinfo import ZoneInfo

from strongroom.formats.whatsapp.dates import DAY_MS, day_of
from strongroom.formats.whatsapp.heads import HeadReader
from strongroom.formats.whatsapp.survey import Settled
from strongroom_protocol.errors import ImportRefused
from strongroom_protocol.rows.model import TIME_MAX

_OFFSET = re.compile(r"([+-])(\d{1,2}):?(\d{2})")
_REMEMBERED = 4096


def zone_named(name: str | None) -> tzinfo | None:
    """The zone of the option `zone`: a name (Europe/Berlin) or an offset (+02:00). Raises ImportRefused."""
    if name is None or name.upper() == "UTC":
        return None
    found = _OFFSET.fullmatch(name)
    if found is not None and int(found[2]) < 24 and int(found[3]) < 60:
        offset = timedelta(hours=int(found[2]), minutes=int(found[3]))
        return timezone(-offset if found[1] == "-" else offset)
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError) as error:  # what ZoneInfo raises for names of no zone, or of folders
        raise ImportRefused(f"there is no time zone {name!r}", hint="zone=Europe/Berlin or zone=+02:00") from error


class Clock:
    """The times of one chat's heads. Memory is bounded; lines of one minute are looked up."""

    def __init__(self, settled: Settled, zone: tzinfo | None) -> None:
        self._pattern = settled.pattern
        self._order = settled.order.name
        self._zone = zone
        self._reader = HeadReader()
        self._days: dict[tuple[int, int, int], int | None] = {}
        self._last = 0

    def time(self, style: str, text: str) -> int | None:
        """Milliseconds since 1970 of a head; None: it is no head of this export.

        An hour that the end of summer time repeats is the second one when the lines before say so.
        """
        head = self._reader.read(style, text)
        if head is None or head.pattern != self._pattern:  # spec: IMP-31
            return None
        numbers = head[1:4]
        if numbers in self._days:
            day = self._days[numbers]
        else:
            if len(self._days) >= _REMEMBERED:
                self._days.clear()
            day = self._days[numbers] = day_of(numbers, self._order)
        if day is None or day < 0:
            return None
        local = day * DAY_MS + head.millisecond
        return local if self._zone is None else self._in_zone(local, self._zone)

    def _in_zone(self, local: int, zone: tzinfo) -> int | None:
        moment = datetime.fromtimestamp(local // 1000, UTC).replace(tzinfo=zone)
        first, second = (int(moment.replace(fold=fold).timestamp()) * 1000 for fold in (0, 1))
        time = max(first, second) if first < self._last else first
        if not 0 <= time <= TIME_MAX:
            return None
        self._last = time
        return time
