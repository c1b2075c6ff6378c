"""Text of others on a terminal: times readable, control characters visible and inert."""

from __future__ import annotations

import unicodedata
from datetime import UTC, datetime

_BIDI = set("\u200e\u200f\u061c\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")


def moment(ms: int) -> str:
    """`YYYY-MM-DD HH:MM` in UTC."""
    try:
        return datetime.fromtimestamp(ms / 1000, UTC).strftime("%Y-%m-%d %H:%M")
    except (OverflowError, ValueError):
        return "far in the future"


def safe(text: str) -> str:
    """One line without control, bidirectional-override or private characters: a message cannot drive the terminal."""
    return "".join(char if _harmless(char) else " " if char in "\n\t" else f"\\u{ord(char):04x}" for char in text)


def _harmless(char: str) -> bool:
    return unicodedata.category(char) not in ("Cc", "Cs", "Co", "Zl", "Zp") and char not in _BIDI
