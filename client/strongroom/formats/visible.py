"""Text of others as a person reads it: what cannot be seen, or would turn other text round, is written out.

Right-to-left words need no marks to be read, and those that come with marks in pairs stay as they are. An override, or
a mark that is never ended, would reach beyond the words it came with: into a name, a time, the ending of a file's name.
"""

from __future__ import annotations

import re
import unicodedata
from typing import Any

_ODD = re.compile(
    "[\\x00-\\x08\\x0b-\\x1f\\x7f-\\x9f\\u2028\\u2029\\u202d\\u202e\\u206a-\\u206f\\ud800-\\udfff\\ufeff\\ufff9-\\ufffb"
    "\\ufffe\\uffff\\U000e0001]"
)
_BLANK = "\u115f\u1160\u2800\u3164\uffa0\ufffc"
"""Letters and signs that fonts draw as nothing."""

_NO_LETTERS = frozenset(("Mn", "Me"))
_ALIKE = str.maketrans(
    "αβεζηικμνορτυχωавекмнорстухіјѕһԁԛԝьɑɡıո01i|",  # noqa: RUF001 - that they look alike is the point
    "abezhlkmnoptyxwabekmhopctyxljshdqwbaglnolll",
)
"""Small letters of other alphabets, and digits, by the Latin ones that they or their capitals look like."""

_BRACKETS = frozenset(")\u2769\u276b\u27ef\u2986\u2e29\ufd3e\ufd3f")
_BLANKS = re.compile(f"[{_BLANK}]")
_CLOSES = {"\u202a": "\u202c", "\u202b": "\u202c", "\u2066": "\u2069", "\u2067": "\u2069", "\u2068": "\u2069"}
_MARK = re.compile("[\\u202a-\\u202c\\u2066-\\u2069]")


def visible(text: str) -> str:
    """Text whose odd characters are written out, as `\\u202e`; line breaks, tabs and joiners stay."""
    text = _ODD.sub(_escaped, text.replace("\r\n", "\n"))
    if _MARK.search(text) is None:
        return text
    return "\n".join(map(_paired, text.split("\n")))


def one_line(value: Any) -> str:
    """The same of a name, a title or anything else that has no lines, in which blank letters are none; "" for None."""
    if value is None:
        return ""
    return _BLANKS.sub(_escaped, visible(str(value)).replace("\n", " ").replace("\t", " "))


def likeness(name: str) -> str:
    """What two names have in common that a person takes for one: case, width, spaces, invisible marks and letters that
    look the same aside. It makes too many names alike rather than too few: such people come with their ids."""
    plain = unicodedata.normalize("NFKC", name).casefold().translate(_ALIKE)
    plain = "".join(char for char in plain if not is_unseen(char) and unicodedata.category(char) not in _NO_LETTERS)
    return plain.replace("rn", "m").replace("vv", "w")


def is_unseen(char: str) -> bool:
    """Whether a character leaves nothing to see but, at most, a gap."""
    return char in _BLANK or unicodedata.category(char) in ("Cc", "Cf", "Cn", "Zs", "Zl", "Zp")


def ends_in_bracket(name: str) -> bool:
    """Whether a name ends as one that comes with an id does."""
    seen = [char for char in name if not is_unseen(char) and unicodedata.category(char) != "Mn"]
    return bool(seen) and unicodedata.normalize("NFKC", seen[-1]) in _BRACKETS


def _paired(line: str) -> str:
    """A line in which only marks stay that are ended, in order, within it."""
    opened: list[int] = []
    lone: list[int] = []
    for found in _MARK.finditer(line):
        if found[0] in _CLOSES:
            opened.append(found.start())
        elif opened and _CLOSES[line[opened[-1]]] == found[0]:
            opened.pop()
        else:
            lone.append(found.start())
    odd = {*opened, *lone}
    return "".join(f"\\u{ord(char):04x}" if place in odd else char for place, char in enumerate(line)) if odd else line


def _escaped(found: re.Match[str]) -> str:
    return f"\\u{ord(found[0]):04x}"
