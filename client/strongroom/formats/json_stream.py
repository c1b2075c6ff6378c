"""The records of a JSON array one after the other, each with its exact bytes, in bounded memory.

A file of any size is read in blocks; never more is kept than one record and one block. Where the text stops being JSON,
what came before it is good, and the rest is handed over as it stands: nothing is dropped.
"""

from __future__ import annotations

import codecs
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, BinaryIO

from strongroom_protocol.limits import LIMITS

_BLOCK = 1024 * 1024
_PASSED = 64 * 1024  # characters before the place that are kept at most
_BETWEEN = re.compile(r"[ \t\r\n,]*")
_DECODER = json.JSONDecoder(strict=False)


@dataclass(frozen=True, slots=True)
class Unread:
    """The value of what is no JSON, or of a file that could not be read to its end."""

    why: str


def records(file: BinaryIO, *, limit: int = LIMITS.raw_bytes) -> Iterator[tuple[bytes, Any]]:
    """Verbatim bytes and value of each record; `Unread` for pieces, of at most `limit` bytes, that are none."""
    source = Source(file)
    if not source.skip_to("["):
        yield from source.rest("not a JSON array", limit)
        return
    while True:
        if not source.skip():
            yield from source.rest("cut off", limit)
            return
        if source.text[source.at] == "]":
            source.at += 1
            if source.skip():
                yield from source.rest("text after the array", limit)
            return
        found = source.value(limit)
        if found is None:
            yield from source.rest("not JSON", limit)
            return
        yield found


class Source:
    """Text of a file and a place in it. Bytes that are no UTF-8 stand as half surrogates, from which they come back."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._decode = codecs.getincrementaldecoder("utf-8")("surrogateescape").decode
        self._ended = False
        self.text = ""
        self.at = 0
        self.damage: str | None = None

    def more(self) -> bool:
        """Read on; False at the end, or where the file cannot be read."""
        while not self._ended:
            try:
                block = self._file.read(_BLOCK)
            except OSError:
                block, self.damage = b"", "damaged"
            self._ended = not block
            new = self._decode(block, final=self._ended)
            if new:
                self.text, self.at = self.text[self.at :] + new, 0
                return True
        return False

    def skip(self) -> bool:
        """Go to the next thing that is not blank; False: there is none."""
        while True:
            found = _BETWEEN.match(self.text, self.at)
            self.at = found.end() if found else self.at
            if self.at < len(self.text):
                return True
            if not self.more():
                return False

    def skip_to(self, mark: str, *, keep: bool = False) -> bool:
        """Whether the next thing is `mark`, and then pass it, unless it is to be kept."""
        if self.more():
            self.at += self.text.startswith("\ufeff")
        if not self.skip() or self.text[self.at] != mark:
            return False
        self.at += not keep
        return True

    def value(self, limit: int, *, eager: bool = True) -> tuple[bytes, Any] | None:
        """The JSON value at the place, with its bytes; None when there is none within the limit.

        Unless `eager`, None too where what is there is no JSON for another reason than that it goes on.
        """
        if self.at > _PASSED:  # what does not parse is told by its line: the time for that grows with what was before
            self.text, self.at = self.text[self.at :], 0
        while True:
            try:
                value, end = _DECODER.raw_decode(self.text, self.at)
                digits = type(value) in (int, float) and not self.text[end : end + 3].strip(".eE+-")
                if digits and end - self.at <= limit and self.more():
                    continue  # more of them may follow
                raw, foreign = _bytes(self.text[self.at : end])
                if foreign or b"\\ud" in raw or b"\\uD" in raw:
                    value = self.whole(value)
            except (ValueError, RecursionError) as error:
                odd = not eager and getattr(error, "msg", "").startswith("Invalid \\escape")
                if odd or len(self.text) - self.at > limit or not self.more():
                    return None
                continue
            if len(raw) > limit:
                return None
            self.at = end
            return raw, value

    @staticmethod
    def whole(value: Any) -> Any:
        """The value with question marks for half surrogate pairs, which no UTF-8 can hold."""
        text = json.dumps(value, ensure_ascii=False)
        try:
            text.encode()
        except UnicodeEncodeError:
            return json.loads(text.encode("utf-8", "replace"))
        return value

    def rest(self, why: str, limit: int) -> Iterator[tuple[bytes, Unread]]:
        """All that is left, in pieces; one without bytes when nothing is."""
        left = True
        while left:
            if self.at == len(self.text):
                self.more()
            piece = self.text[self.at : self.at + limit // 4]
            self.at += len(piece)
            left = self.at < len(self.text) or self.more()
            yield piece.encode("utf-8", "surrogateescape"), Unread(self.damage or why)


def _bytes(text: str) -> tuple[bytes, bool]:
    """The bytes that a text was read from, and whether some of them are no UTF-8."""
    try:
        return text.encode(), False
    except UnicodeEncodeError:
        return text.encode("utf-8", "surrogateescape"), True
