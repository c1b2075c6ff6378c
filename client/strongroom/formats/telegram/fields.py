"""Fields of Telegram's records, of the type that Telegram Desktop writes, or absent: what is odd is in the record."""

from __future__ import annotations

from typing import Any

from strongroom_protocol.limits import LIMITS
from strongroom_protocol.rows.model import TIME_MAX, Detail

Fields = dict[str, Any]
TEXT_MAX = LIMITS.text_bytes // 4  # code points, of which none takes more than four bytes
ID_MAX = LIMITS.id_bytes // 4
UINT_MAX = 2**63 - 1
_PEERS = ("user", "chat", "channel")


def text(fields: Fields, name: str, most: int = TEXT_MAX) -> str | None:
    """A text that is not empty, or None."""
    value = fields.get(name)
    return value if type(value) is str and 0 < len(value) <= most else None


def number(fields: Fields, name: str) -> int | None:
    """A natural number, or None."""
    value = fields.get(name)
    return value if type(value) is int and 0 <= value <= UINT_MAX else None


def ident(fields: Fields, name: str) -> str | None:
    """An id as text: Telegram writes numbers, which may be negative, or texts."""
    value = fields.get(name)
    if type(value) is int and -(2**63) <= value < 2**63:
        return str(value)
    return value if type(value) is str and 0 < len(value) <= ID_MAX else None


def peer(fields: Fields, name: str) -> str | None:
    """Who: `user7`. Until 2020 it was a number, in which the kind of peer stood above the lower 32 bits."""
    value = fields.get(name)
    if type(value) is int and 0 < value < len(_PEERS) << 32:
        return f"{_PEERS[value >> 32]}{value & 0xFFFF_FFFF}"
    return ident(fields, name)


def seconds(fields: Fields, name: str) -> int | None:
    """Milliseconds of a time that is written as a text of seconds, or None."""
    value = fields.get(name)
    if type(value) is str and value.isascii() and value.isdecimal() and len(value) <= 12:
        value = int(value)
    return value * 1000 if type(value) is int and 0 <= value * 1000 <= TIME_MAX else None


def filled(detail: Detail) -> Detail:
    """The entries that say something; of lists, the items that do."""
    kept = {
        key: [item for item in value if item != {}] if type(value) is list else value for key, value in detail.items()
    }
    return {key: value for key, value in kept.items() if value is not None and value != [] and value != {}}
