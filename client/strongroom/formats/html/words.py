"""What others wrote, as HTML: text, in which an address can be followed that is shown as where it leads."""

from __future__ import annotations

import html
import re

_LINK = re.compile(
    r"(?:https?://|mailto:)[^\s<>\"'`\\\u0000-\u0020\u00ad\u061c\u180e\u200b-\u200f\u2028-\u202f\u2060-\u2069]+"
)
_TRAILING = ".,;:!?)]}\u00bb\u201d\u2019"
_ADDRESS = re.compile(r"https?://[^/?#]+.*|mailto:[^@?]+@.+", re.DOTALL)
LINK = 2000
"""Characters of the longest address that can be followed: part of a longer one would lead elsewhere."""


def text(value: str) -> str:
    """Text for an element or a quoted attribute."""
    return html.escape(value, quote=True)  # spec: EXP-1


def linked(value: str) -> str:
    """Text in which web and mail addresses can be followed; what is shown is where it leads."""
    pieces, last = [], 0
    for found in _LINK.finditer(value):
        address = found[0].rstrip(_TRAILING)
        if len(address) > LINK or _ADDRESS.fullmatch(address) is None:
            continue
        pieces.append(text(value[last : found.start()]))
        pieces.append(
            f'<a href="{text(address)}" target="_blank" rel="noopener noreferrer nofollow">{text(address)}</a>'
        )
        last = found.start() + len(address)
    return "".join([*pieces, text(value[last:])])
