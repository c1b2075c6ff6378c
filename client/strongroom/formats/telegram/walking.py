"""Walking through a JSON document that is larger than memory: down into what is long, whole values of what is short.

Telegram Desktop writes control characters as `\\x1f`, which no JSON has. Where a value does not parse, its end is
looked for by its brackets and it is read again with these mended; its bytes stay as they were.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any, BinaryIO

from strongroom.formats.json_stream import Source
from strongroom_protocol.limits import LIMITS

_TOKEN = re.compile(r'"(?:[^"\\]|\\.)*("?)|[{}\[\]]', re.DOTALL)
_ESCAPE = re.compile(r"(\\\\)|\\x([0-9A-Fa-f]{2})")


class Broken(Exception):
    """The document ends, or stops being JSON, before its time."""


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
            _, name = self.value()
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

    def value(self) -> tuple[bytes, Any]:
        """A value and its exact bytes. Raises Broken when there is none within the limit."""
        self.peek()
        found = self._source.value(self._limit, eager=False) or self._mended()
        if found is None:
            raise Broken("not JSON")
        return found

    def rest(self, why: str) -> Iterator[bytes]:
        """The bytes of all that is left, in pieces."""
        return (raw for raw, _ in self._source.rest(why, self._limit) if raw)

    def _pass(self, mark: str) -> None:
        if self.peek() != mark:
            raise Broken("not JSON")
        self._source.at += 1

    def _mended(self) -> tuple[bytes, Any] | None:
        source = self._source
        while True:
            end = _end(source.text, source.at)
            if end is not None:
                break
            if len(source.text) - source.at > self._limit or not source.more():
                return None
        text = source.text[source.at : end]
        try:
            value = json.loads(_ESCAPE.sub(_mend, text), strict=False)
        except (ValueError, RecursionError):
            return None
        source.at = end
        raw = text.encode("utf-8", "surrogateescape")
        return (raw, source.whole(value)) if len(raw) <= self._limit else None


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
