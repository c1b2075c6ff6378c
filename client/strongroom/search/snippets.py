"""The part of a message to show for a hit, and where in it the search matched."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from functools import lru_cache

from strongroom.search.folding import is_word, places, plain
from strongroom.search.query import Term

SNIPPET = 160
"""Characters of a snippet at most, dots aside."""

LEAD = 40
"""Characters shown before the first match."""

LOOKED_AT = 20_000
"""Characters of a message in which matches are marked: a longer one shows its beginning."""


def snippet(text: str, wanted: Sequence[Term]) -> tuple[str, tuple[tuple[int, int], ...]]:
    """Up to SNIPPET characters on one line around the first match, and all matches in them (start, end)."""
    line = "".join(" " if character.isspace() else character for character in text[:LOOKED_AT])
    marks = _marks(line, wanted)
    start = max(0, marks[0][0] - LEAD) if marks and marks[0][1] > SNIPPET else 0
    end = min(len(line), start + SNIPPET)
    before, after = "…" * (start > 0), "…" * (end < len(line) or len(text) > LOOKED_AT)
    shift = len(before) - start
    inside = tuple((first + shift, min(last, end) + shift) for first, last in marks if start <= first < end)
    return before + line[start:end] + after, inside


def _marks(line: str, wanted: Sequence[Term]) -> list[tuple[int, int]]:
    """The matches in a text: places in its plain form, brought back to the characters they come from."""
    if not wanted:
        return []
    plained, origins = _aligned(line)
    found: list[tuple[int, int]] = []
    for term in wanted:
        for at in places(plained, term.plain, whole=term.whole):
            end = at + len(term.plain)
            while not term.whole and is_word(plained[end - 1]) and end < len(plained) and is_word(plained[end]):
                end += 1
            found.append((origins[at], origins[end - 1] + 1))
    joined: list[tuple[int, int]] = []
    for first, last in sorted(found):
        if joined and first <= joined[-1][1]:
            joined[-1] = (joined[-1][0], max(last, joined[-1][1]))
        else:
            joined.append((first, last))
    return joined


def _aligned(line: str) -> tuple[str, list[int]]:
    """A plain form of the text, and for each of its characters the one it comes from.

    It is put together from the plain forms of characters with the marks after them. That is the plain form of the whole
    but for rare sequences that compose otherwise; then a match is found and not marked.
    """
    made: list[str] = []
    origins: list[int] = []
    start = 0
    for at in range(1, len(line) + 1):
        if at < len(line) and _attached(line[at]):
            continue
        form = _plain(line[start:at]) or " "
        if form != " " or (made and made[-1] != " "):
            made += form
            origins += [min(start + place, at - 1) for place in range(len(form))]
        start = at
    return "".join(made), origins


_plain = lru_cache(8_192)(plain)


@lru_cache(8_192)
def _attached(character: str) -> bool:
    """Whether a character changes the one before it or is not compared at all."""
    first = unicodedata.normalize("NFKC", character)[0]
    composes = unicodedata.category(first)[0] == "M" or "\u1160" <= character <= "\u11ff"
    return composes or plain(f"x{character}x") == "xx"
