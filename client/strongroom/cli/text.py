"""Text of others on a terminal: times readable, control characters visible and inert."""

from __future__ import annotations

import json
import unicodedata
from datetime import UTC, datetime
from typing import Any

_FORMATTING = frozenset(
    chr(code)
    for first, last in (
        (0xAD, 0xAD), (0x61C, 0x61C), (0x180E, 0x180E), (0x200B, 0x200B), (0x200E, 0x200F), (0x202A, 0x202E),
        (0x2060, 0x206F), (0xFEFF, 0xFEFF), (0xFFF9, 0xFFFB), (0xE0001, 0xE0001),
    )
    for code in range(first, last + 1)
)  # fmt: skip
"""Direction marks, overrides, isolates, and what is invisible. Joiners stay: scripts and emoji need them."""


def moment(ms: int) -> str:
    """`YYYY-MM-DD HH:MM` in UTC."""
    try:
        return datetime.fromtimestamp(ms / 1000, UTC).strftime("%Y-%m-%d %H:%M")
    except (OverflowError, ValueError, OSError):
        return "far in the future"


def ago(ms: int) -> str:
    """A span of time as its largest unit."""
    for unit, length in (("day", 86_400_000), ("hour", 3_600_000), ("minute", 60_000)):
        if ms >= length:
            count = ms // length
            return f"{count:,} {unit}{'' if count == 1 else 's'} ago"
    return "a moment ago"


def number(count: int, things: str) -> str:
    """A count with its noun, which is given in the plural: `1 chat`, `2,000 chats`, `1 entry`."""
    if count != 1:
        return f"{count:,} {things}"
    return f"1 {things[:-3]}y" if things.endswith("ies") else f"1 {things.removesuffix('s')}"


def safe(text: str) -> str:
    """One line without control, bidirectional or private characters: a message cannot drive the terminal."""
    if text.isascii() and text.isprintable():
        return text
    return "".join(char if _harmless(char) else " " if char in "\n\t" else f"\\u{ord(char):04x}" for char in text)


def json_line(data: dict[str, Any]) -> str:
    """One line of JSON in which characters that could drive a terminal are escaped. Any JSON parser gives them back."""
    text = json.dumps(data, ensure_ascii=False, sort_keys=True)
    return text if text.isascii() and text.isprintable() else "".join(map(_escaped, text))


def _harmless(char: str) -> bool:
    return unicodedata.category(char) not in ("Cc", "Cs", "Co", "Zl", "Zp") and char not in _FORMATTING


def _escaped(char: str) -> str:
    if _harmless(char):
        return char
    return "".join(f"\\u{unit:04x}" for unit in memoryview(char.encode("utf-16-le", "surrogatepass")).cast("H"))
