"""Fields of Slack's records: of the type that Slack writes, absent, or odd. Nothing odd is guessed at."""

from __future__ import annotations

import re
from typing import Any

from strongroom_protocol.limits import LIMITS
from strongroom_protocol.rows.schema import UINT_MAX

Fields = dict[str, Any]
TEXT_MAX = LIMITS.text_bytes // 4  # code points, of which none takes more than four bytes
SHORT_ID = LIMITS.id_bytes // 4
_STAMP = re.compile(r"([0-9]{1,10})(?:\.([0-9]{1,6}))?")
_EXPORT_TOKEN = re.compile(r"[?&]t=xox[a-z]-[^&#]*")


class Odd(Exception):
    """A field has another type or range than Slack gives it."""


def text(fields: Fields, name: str) -> str | None:
    """A text that is not empty, or None."""
    value = fields.get(name)
    if value is None or value == "":
        return None
    if type(value) is not str or len(value) > TEXT_MAX:
        raise Odd(name)
    return value


def identifier(fields: Fields, name: str) -> str | None:
    """A text that can be the id of a person, or None."""
    value = text(fields, name)
    if value is not None and len(value) > SHORT_ID:
        raise Odd(name)
    return value


def truth(fields: Fields, name: str) -> bool:
    """A flag; False when absent."""
    value = fields.get(name)
    if value is not None and type(value) is not bool:
        raise Odd(name)
    return bool(value)


def number(fields: Fields, name: str) -> int | None:
    """A natural number, which old exports write as text, or None."""
    value = fields.get(name)
    if type(value) is str and value.isdecimal() and value.isascii() and len(value) < 19:
        value = int(value)
    if value is None or value == "":
        return None
    if type(value) is not int or not 0 <= value <= UINT_MAX:
        raise Odd(name)
    return value


def seconds(fields: Fields, name: str) -> int | None:
    """A time in seconds, as milliseconds; 0 stands for none."""
    value = number(fields, name)
    if value is not None and value >= 10**10:
        raise Odd(name)
    return value * 1000 if value else None


def record(fields: Fields, name: str) -> Fields:
    """A record within a record; empty when absent."""
    value = fields.get(name)
    if value is None or value == []:  # what PHP makes of an empty map
        return {}
    if type(value) is not dict:
        raise Odd(name)
    return value


def listed(fields: Fields, name: str, of: type) -> list[Any]:
    """A list of items of one type; empty when absent."""
    value = fields.get(name)
    if value is None:
        return []
    if type(value) is not list or any(type(item) is not of for item in value):
        raise Odd(name)
    return value


def stamp(value: object) -> tuple[int, int]:
    """A `ts`, "1512345678.000123": milliseconds, and the nanoseconds below them. Raises Odd."""
    found = _STAMP.fullmatch(value) if type(value) is str else None
    if found is None:
        raise Odd("ts")
    micros = int((found[2] or "").ljust(6, "0"))
    return int(found[1]) * 1000 + micros // 1000, micros % 1000 * 1000


def stamped(fields: Fields, name: str) -> int | None:
    """Milliseconds of a `ts` field, or None."""
    value = fields.get(name)
    return None if value is None else stamp(value)[0]


def link(fields: Fields, name: str) -> str | None:
    """An address without the token of the export, which is another one in every export, and a secret."""
    value = text(fields, name)
    return _EXPORT_TOKEN.sub("", value) if value is not None and "t=xox" in value else value


def filled(detail: dict[int, Any]) -> dict[int, Any]:
    """The entries that say something."""
    return {key: value for key, value in detail.items() if value or value == 0 or value == ""}
