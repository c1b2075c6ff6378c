"""Walking through a JSON document that is larger than memory: down into what is long, whole values of what is short.

Telegram Desktop writes control characters as `\\x1f`, which no JSON has. Where a value does not parse, its end is
looked for by its brackets and it is read again with these mended; its bytes stay as they were. What does not parse even
so, or is longer than a record may be, is passed over by its brackets, too: one odd value costs only itself.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any, BinaryIO

from strongroom.formats.json_stream import Source, Unread
from strongroom_protocol.limits import LIMITS

_TOKEN = re.compile(r'"[^"\\]*(?:\\.[^"\\]*)*("?)|[{}\[\]]', re.DOTALL)
_OUTSIDE, _QUOTED = re.compile(r'["{}\[\]]'), re.compile(r'["\\]')
_ESCAPE = re.compile(r"(\\\\)|\\x([0-9A-Fa-f]{2})")
_LEFT, _RIGHT = b"\\u2028\x80\xa8", b"\\u2029\x80\xa9"
"""A separator of lines or paragraphs: Telegram escapes its first byte, and lets the two after that stand."""


class Broken(Exception):
    """The document ends, or stops being JSON, before its time."""


class _Oversized(Broken):
    """A value whose end is not within the limit."""


class Walker:
    """A place in a document. `object` and `array` go down; whoever does not go down takes the `value`."""

    def __init__(self, file: BinaryIO, *, limit: int = LIMITS.raw_bytes) -> None:
        self._source = Source(file)
        self._limit = limit

    def begin(self) -> bool:
        """Pass a byte order mark; whether an object follows."""
        return self._source.skip_to("{", keep=True)

    def peek(self) -> str:
        """The next character that is not blank. Raises Broken at the end."""
        if not self._source.skip():
            raise Broken("cut off")
        return self._source.text[self._source.at]

    def object(self) -> Iterator[str]:
        """The names of an object's members; after each its value is to be taken, or gone down into."""
        self._pass("{")
        while self.peek() != "}":
            _, name = self._value()
            if type(name) is not str or self.peek() != ":":
                raise Broken("not JSON")
            self._source.at += 1
            yield name
        self._source.at += 1

    def array(self) -> Iterator[None]:
        """Once before each item of an array, which is then to be taken, or gone down into."""
        self._pass("[")
        while self.peek() != "]":
            yield
        self._source.at += 1

    def value(self) -> Iterator[tuple[bytes, Any]]:
        """A value and its exact bytes; `Unread` for one that is no JSON between its brackets, and for each piece of one
        that is over the limit. Raises Broken where nothing is a value, and after the last piece of one without an end.
        """
        try:
            found = self._value()
        except _Oversized:
            yield from ((raw, Unread("too long, or not JSON")) for raw in self._pieces())
        else:
            yield found

    def rest(self, why: str) -> Iterator[bytes]:
        """The bytes of all that is left, in pieces."""
        return (raw for raw, _ in self._source.rest(why, self._limit) if raw)

    def _pass(self, mark: str) -> None:
        if self.peek() != mark:
            raise Broken("not JSON")
        self._source.at += 1

    def _value(self) -> tuple[bytes, Any]:
        mark = self.peek()
        found = self._source.value(self._limit, eager=False) or self._mended()
        if found is None:
            raise _Oversized("cut off") if mark in '{["' else Broken("not JSON")
        if _LEFT in found[0] or _RIGHT in found[0]:
            return found[0], _parsed(found[0].replace(_LEFT, _LEFT[:6]).replace(_RIGHT, _RIGHT[:6]))
        return found

    def _mended(self) -> tuple[bytes, Any] | None:
        source = self._source
        while True:
            end = _end(source.text, source.at)
            if end is not None:
                break
            if len(source.text) - source.at > self._limit or not source.more():
                return None
        text = source.text[source.at : end]
        raw = text.encode("utf-8", "surrogateescape")
        if len(raw) > self._limit:
            return None
        source.at = end
        return raw, _parsed(raw)

    def _pieces(self) -> Iterator[bytes]:
        """The bytes of a text or bracketed value of any length; nothing is held but a block."""
        source = self._source
        depth, quoted, at = 0, False, source.at
        while True:
            found = (_QUOTED if quoted else _OUTSIDE).search(source.text, at)
            if found is None:
                over = max(0, at - len(source.text))  # an escape that a block's end cuts in two
                yield from self._taken(len(source.text))
                if not source.more():
                    raise Broken("cut off")
                at = source.at + over
                continue
            at, mark = found.end(), found[0]
            if mark == "\\":
                at += 1
            elif mark == '"':
                quoted = not quoted
            else:
                depth += 1 if mark in "{[" else -1
            if depth == 0 and not quoted:
                yield from self._taken(at)
                return

    def _taken(self, end: int) -> Iterator[bytes]:
        """The text up to a place, in pieces that a record can hold."""
        source = self._source
        while source.at < end:
            piece = source.text[source.at : min(end, source.at + self._limit // 4)]
            source.at += len(piece)
            yield piece.encode("utf-8", "surrogateescape")


def _parsed(raw: bytes) -> Any:
    """The value of a text with `\\xNN` in it; `Unread` for one that is no JSON even so."""
    try:
        return Source.whole(json.loads(_ESCAPE.sub(_mend, raw.decode("utf-8", "surrogateescape")), strict=False))
    except (ValueError, RecursionError):  # also a number of thousands of digits, and nesting without end
        return Unread("not JSON")


def _mend(found: re.Match[str]) -> str:
    return found[1] or f"\\u00{found[2]}"


def _end(text: str, start: int) -> int | None:
    """Where the text or bracketed value that begins at `start` ends; None when that is not to be seen yet."""
    depth = 0
    for found in _TOKEN.finditer(text, start):
        if depth == 0 and found.start() != start:
            return None
        mark = found[0][0]
        if mark == '"' and not found[1]:
            return None  # a text that goes on
        depth += 1 if mark in "{[" else -1 if mark in "}]" else 0
        if depth == 0:
            return found.end()
    return None
