"""File names that others chose, made harmless for this machine's folders (attacks: path tricks, devices, escapes)."""

from __future__ import annotations

import unicodedata

_DEVICES = ("CON", "PRN", "AUX", "NUL", "CONIN$", "CONOUT$")
_RESERVED = {*_DEVICES, *(f"{name}{number}" for name in ("COM", "LPT") for number in "0123456789\u00b9\u00b2\u00b3")}
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
    kept = stem + dot + suffix
    # Windows takes a device for one whatever comes after its first dot.
    return f"_{kept}" if kept.partition(".")[0].rstrip().upper() in _RESERVED else kept


_INERT = """
jpg jpeg png gif webp avif heic heif bmp mp3 m4a ogg oga opus wav flac aac amr mp4 m4v mov webm 3gp avi mkv pdf txt md
csv log rtf doc docx odt xls xlsx ods ppt pptx odp epub zip gz 7z rar tar vcf ics json bin
"""
INERT = frozenset(_INERT.split())
"""Endings that no browser takes for a page and no file manager for a program or a shortcut, whatever is in the file."""


def inert(path: str) -> str:
    """The path of a file; one whose ending would make something run, or be fetched for a mere look at the folder, gets
    another at its end."""
    return path if path.rpartition(".")[2].lower() in INERT else f"{path}.bin"  # spec: EXP-3
