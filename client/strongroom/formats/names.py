"""File names that others chose, made harmless for this machine's folders (attacks: path tricks, devices, escapes)."""

from __future__ import annotations

import unicodedata

_RESERVED = {"CON", "PRN", "AUX", "NUL", *(f"{name}{number}" for name in ("COM", "LPT") for number in range(1, 10))}
_BAD = frozenset('/\\:*?"<>|')
NAME_BYTES = 180
"""UTF-8 bytes of a name: leaves room for a number and a suffix of our own within the 255 of most file systems."""


def safe_name(name: str) -> str:
    """A single file name: no folders, control or direction characters, leading dots, reserved names; never empty."""
    last = name.replace("\\", "/").rstrip("/").rpartition("/")[2]
    kept = "".join(
        "_" if char in _BAD or unicodedata.category(char) in ("Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp") else char
        for char in unicodedata.normalize("NFC", last)
    )
    kept = kept.strip(" .") or "file"
    stem, dot, suffix = kept.rpartition(".")
    if not dot or len(suffix) > 16:
        stem, dot, suffix = kept, "", ""
    while len((stem + dot + suffix).encode()) > NAME_BYTES:
        stem = stem[:-1]
    return f"_{stem}{dot}{suffix}" if stem.upper() in _RESERVED else stem + dot + suffix
