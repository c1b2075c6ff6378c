"""Looks for strings in bytes, in every form in which a leak would be likely to hold them.

Forms: UTF-8, UTF-16 of both byte orders, hexadecimal in both cases, base64 and its URL-safe variant at all three
alignments; each of them also inside zlib, gzip and Zstandard streams, wherever one begins.
"""

from __future__ import annotations

import base64
import sqlite3
import sys
import zlib
from collections import defaultdict
from collections.abc import Iterable, Iterator
from pathlib import Path

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

PLAIN = ("utf-8", "utf-16-le", "utf-16-be", "hex", "HEX")
ALIGNED = tuple(f"{name}/{place}" for name in ("base64", "base64url") for place in range(3))
FORMS = PLAIN + ALIGNED
STREAMS = ("zlib", "gzip", "zstd")
_GRAM = 8
_INFLATED = 64 * 1024 * 1024
_DEPTH = 2

Hit = tuple[str, str]
"""What was found, and in which form: `utf-8`, `zlib:hex`, …"""


class Scanner:
    """Finds any of `wanted`. One dictionary of 8-byte beginnings, so the time does not grow with their number."""

    def __init__(self, wanted: Iterable[str]) -> None:
        self._grams: defaultdict[bytes, list[tuple[bytes, str, str]]] = defaultdict(list)
        for text in wanted:
            for form, pattern in forms(text).items():
                self._grams[pattern[:_GRAM]].append((pattern, text, form))

    def scan(self, data: bytes, *, depth: int = 0, inside: str = "") -> set[Hit]:
        """Every hit in `data` and in the streams compressed in it."""
        found: set[Hit] = set()
        grams = self._grams
        for at in [at for at in range(len(data) - _GRAM + 1) if data[at : at + _GRAM] in grams]:
            for pattern, text, form in grams[data[at : at + _GRAM]]:
                if data.startswith(pattern, at):
                    found.add((text, inside + form))
        if depth < _DEPTH:
            for name, inflated in _streams(data):
                found |= self.scan(inflated, depth=depth + 1, inside=f"{inside}{name}:")
        return found

    def scan_folder(self, folder: Path) -> set[Hit]:
        """Every hit in the names and bytes of all files, and in every value of every database among them.

        A database's values are read as such too: its pages would cut a long one into pieces.
        """
        found: set[Hit] = set()
        for path in sorted(folder.rglob("*")):
            found |= self.scan(str(path.relative_to(folder)).encode())
            if path.is_file():
                data = path.read_bytes()
                found |= self.scan(data)
                if data.startswith(b"SQLite format 3\0"):
                    for value in _values(path):
                        found |= self.scan(value)
        return found


def forms(text: str) -> dict[str, bytes]:
    """What `text` looks like in every form, by the form's name."""
    raw = text.encode()
    found = {
        "utf-8": raw,
        "utf-16-le": text.encode("utf-16-le"),
        "utf-16-be": text.encode("utf-16-be"),
        "hex": raw.hex().encode(),
        "HEX": raw.hex().upper().encode(),
    }
    for name, encode in (("base64", base64.b64encode), ("base64url", base64.urlsafe_b64encode)):
        for place in range(3):
            coded = encode(bytes(place) + raw)
            first = (8 * place + 5) // 6  # the first digit that no bit of the neighbours is in
            last = 8 * (place + len(raw)) // 6
            found[f"{name}/{place}"] = coded[first:last]
    return found


def _streams(data: bytes) -> Iterator[tuple[str, bytes]]:
    for name, magic in (("zlib", b"\x78"), ("gzip", b"\x1f\x8b\x08"), ("zstd", b"\x28\xb5\x2f\xfd")):
        at = data.find(magic)
        while at >= 0:
            if inflated := _inflated(name, data, at):
                yield name, inflated
            at = data.find(magic, at + 1)


def _inflated(name: str, data: bytes, at: int) -> bytes:
    if name == "zlib" and (at + 1 >= len(data) or (data[at] << 8 | data[at + 1]) % 31):
        return b""
    tail = memoryview(data)[at:]
    try:
        if name == "zstd":
            return zstd.ZstdDecompressor().decompress(tail, _INFLATED)
        return zlib.decompressobj(47).decompress(tail, _INFLATED)
    except (zlib.error, zstd.ZstdError):
        return b""


def _values(path: Path) -> Iterator[bytes]:
    database = sqlite3.connect(f"file:{path}?mode=ro", uri=True)
    try:
        for (table,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall():
            for row in database.execute(f'SELECT * FROM "{table}"'):
                for value in row:
                    yield value if isinstance(value, bytes) else str(value).encode()
    finally:
        database.close()
