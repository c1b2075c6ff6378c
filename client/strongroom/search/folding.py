"""What a text is compared by: folded, cut into words and runs, and the terms an index files it under (docs/search.md).

Everything that matches is defined on the *plain* form of a text: folded, every stretch of separators one space. A word
is found by how it begins; in scripts without spaces, and among emoji, any part is found.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator

TERM_CHARACTERS = 64
"""A longer word is filed under its beginning; a search for it looks at the text."""

_RUN = (
    (0x0E00, 0x0EFF), (0x1000, 0x109F), (0x1100, 0x11FF), (0x1780, 0x17FF),  # Thai, Lao, Burmese, jamo, Khmer
    (0x2190, 0x2BFF), (0x3005, 0x3007), (0x3040, 0x318F), (0x31A0, 0x31BF), (0x31F0, 0x31FF),  # symbols, kana, bopomofo
    (0x3400, 0x4DBF), (0x4E00, 0x9FFF), (0xAC00, 0xD7FF), (0xF900, 0xFAFF),  # Han, Hangul
    (0x1F000, 0x1FAFF), (0x20000, 0x3FFFF),  # emoji, Han
)  # fmt: skip
_RUN_CLASS = "".join(f"{chr(first)}-{chr(last)}" for first, last in _RUN)
_ACCENTS = ((0x0300, 0x036F), (0x1AB0, 0x1AFF), (0x1DC0, 0x1DFF), (0x20D0, 0x20FF), (0xFE20, 0xFE2F))
_SELECTORS = ((0xFE00, 0xFE0F), (0xE0100, 0xE01EF), (0x1F3FB, 0x1F3FF))  # how an emoji looks: presentation, skin
_PIECE = re.compile(f"([{_RUN_CLASS}]+)|([^ {_RUN_CLASS}]+)")


def _within(code: int, ranges: tuple[tuple[int, int], ...]) -> bool:
    return any(first <= code <= last for first, last in ranges)


class _Characters(dict[int, int | str | None]):
    """For `str.translate`: separators become spaces, what is not compared vanishes; each is looked up once."""

    def __missing__(self, code: int) -> int | str | None:
        category = unicodedata.category(chr(code))
        kept: int | str | None = code
        if _within(code, _ACCENTS) or _within(code, _SELECTORS) or category == "Cf":
            kept = None
        elif not _within(code, _RUN) and category[0] not in "LNM":
            kept = " "
        self[code] = kept
        return kept


_CHARACTERS = _Characters()


def plain(text: str) -> str:
    """The plain form: what a message says, without case, accents, widths and separators."""
    if text.isascii():
        folded = text.lower()
    else:
        folded = unicodedata.normalize("NFKD", unicodedata.normalize("NFKC", text).casefold())
    spaced = folded.translate(_CHARACTERS)
    if not spaced.isascii():
        spaced = unicodedata.normalize("NFC", spaced)
    return " ".join(spaced.split())


def is_run(character: str) -> bool:
    """Whether any part of a sequence of such characters is found, not only how it begins."""
    return _within(ord(character), _RUN)


def is_word(character: str) -> bool:
    """Whether the character belongs to a word. In a plain form, all do that are no space and no run."""
    return character != " " and not is_run(character)


def pieces(plained: str) -> Iterator[str]:
    """The words and runs of a plain form, in order."""
    return (match.group() for match in _PIECE.finditer(plained))


def terms(plained: str) -> set[str]:
    """What a text is filed under: its words, every two neighbours of a run, and a run's last character alone.

    So each character of a run begins a term, and one character is found as a beginning like any word.
    """
    found: set[str] = set()
    for run, word in _PIECE.findall(plained):
        if run:
            found.update(map(str.__add__, run, run[1:]))
            found.add(run[-1])
        else:
            found.add(word[:TERM_CHARACTERS])
    return found


def places(plained: str, wanted: str, *, whole: bool) -> Iterator[int]:
    """Where `wanted`, a plain form, stands in another: a word only from its beginning; `whole`, only to its end."""
    starts_word, ends_word = is_word(wanted[0]), whole and is_word(wanted[-1])
    at = plained.find(wanted)
    while at >= 0:
        end = at + len(wanted)
        begun = starts_word and at > 0 and is_word(plained[at - 1])
        going_on = ends_word and end < len(plained) and is_word(plained[end])
        if not begun and not going_on:
            yield at
        at = plained.find(wanted, at + 1)
