"""A file of a record: where it is in the export, or what Telegram says in its place."""

from __future__ import annotations

import re

from strongroom.formats.telegram.fields import Fields, filled, number, text
from strongroom_protocol.rows.model import Detail

_STATES = (
    ("exceeds maximum size", "too_large"), ("file unavailable", "unavailable"), ("file not included", "omitted"),
)  # fmt: skip
# photo_3@15-11-2023_00-13-20.jpg
_NUMBERED = re.compile(r"([a-z_]{1,30})_\d{1,9}@\d\d-\d\d-\d{4}(?:_\d\d-\d\d-\d\d)?(\.\w{1,10})?", re.ASCII)


def milliseconds(fields: Fields, name: str) -> int | None:
    """The milliseconds of a field of seconds."""
    found = number(fields, name)
    return None if found is None or found > 10**10 else found * 1000


def file_of(fields: Fields, path: str, role: str, *, size: str) -> Detail:
    """An attachment. Where a file was not exported, a sentence in brackets stands in the place of its path."""
    found: Detail = {
        2: number(fields, size), 3: text(fields, "mime_type", 200), 6: role,
        4: text(fields, "file_name", 1000), 9: number(fields, "width"), 10: number(fields, "height"),
        11: milliseconds(fields, "duration_seconds"), 13: text(fields, "title"), 14: text(fields, "performer"),
        20: filled({2: text(fields, "sticker_emoji", 100)}),
    }  # fmt: skip
    if path.startswith("("):
        lower = path.lower()
        found[7] = next((state for words, state in _STATES if words in lower), "not_downloaded")
        found[8] = path
    else:
        found[5] = path
        # What Telegram calls a file counts the files of an export, and has the time of its zone: not the next one's.
        name = path.rpartition("/")[2]
        numbered = _NUMBERED.fullmatch(name)
        found[4] = found[4] or (f"{numbered[1]}{numbered[2] or ''}" if numbered else name) or None
    thumbnail = text(fields, "thumbnail")
    if thumbnail is not None:
        found[21] = (
            {5: thumbnail, 6: "preview"}
            if not thumbnail.startswith("(")
            else {6: "preview", 7: "omitted", 8: thumbnail}
        )
    return filled(found)
