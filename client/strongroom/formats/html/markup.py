"""A message as HTML. What others wrote is text here: every piece passes `text`, and nothing else makes markup of it.

A page's policy forbids all scripts and styles but the two of `page`, and every request but for files beside it, so a
mistake here would still run nothing. Files that a browser would run when opened are never linked under a name that
makes it do so.
"""

from __future__ import annotations

import html
import re
from collections.abc import Iterator

from strongroom.formats.readable import Shown, ShownFile

_LINK = re.compile(
    r"(?:https?://|mailto:)[^\s<>\"'`\\\u0000-\u0020\u00ad\u200b-\u200f\u2028-\u202f\u2060-\u2069]{1,2000}"
)
_TRAILING = ".,;:!?)]}\u00bb\u201d\u2019"
PICTURES = ("image/jpeg", "image/png", "image/gif", "image/webp", "image/avif")
SOUNDS = ("audio/mpeg", "audio/mp4", "audio/ogg", "audio/wav", "audio/flac", "audio/aac")
VIDEOS = ("video/mp4", "video/webm", "video/quicktime", "video/3gpp")
_INERT = """
jpg jpeg png gif webp avif heic heif bmp mp3 m4a ogg oga opus wav flac aac amr mp4 m4v mov webm 3gp avi mkv pdf txt md
csv log rtf doc docx odt xls xlsx ods ppt pptx odp epub zip gz 7z rar tar vcf ics json
"""
INERT = frozenset(_INERT.split())
"""Endings that no browser takes for a page."""


def text(value: str) -> str:
    """Text for an element or a quoted attribute."""
    return html.escape(value, quote=True)  # spec: EXP-1


def linked(value: str) -> str:
    """Text in which web and mail addresses can be followed; what is shown is where it leads."""
    pieces, last = [], 0
    for found in _LINK.finditer(value):
        address = found[0].rstrip(_TRAILING)
        pieces.append(text(value[last : found.start()]))
        pieces.append(
            f'<a href="{text(address)}" target="_blank" rel="noopener noreferrer nofollow">{text(address)}</a>'
        )
        last = found.start() + len(address)
    return "".join([*pieces, text(value[last:])])


def safe_suffix(path: str) -> str:
    """The path of a file whose ending a browser would run gets another one."""
    return path if path.rpartition(".")[2].lower() in INERT else f"{path}.bin"  # spec: EXP-3


def message(item: Shown, *, grouped: bool) -> Iterator[str]:
    """The lines of a message; `grouped`: its sender's name stands above already."""
    kind = "event" if item.event else "own" if item.own else "other"
    yield f'<article class="m {kind}{" follows" if grouped else ""}" data-d="{text(item.day)}">'
    if not item.event and not item.own and not grouped and item.who:
        yield f'<b class="who" dir="auto">{text(item.who)}</b>'
    if item.reply is not None:
        who, quoted = item.reply
        yield f'<blockquote dir="auto"><b>{text(who)}</b> {text(quoted)}</blockquote>'
    for file in item.files:
        yield _file(file)
    words = f"{item.who}: {item.text}" if item.event and item.who and item.text else item.text
    if words:
        yield f'<p dir="auto">{linked(words)}</p>'
    for note in item.notes:
        yield f'<p class="note" dir="auto">{linked(note)}</p>'
    if item.deleted:
        yield f'<p class="gone">{text(item.deleted)}</p>'
    if item.reactions:
        yield f'<div class="faces">{"".join(_face(emoji, names) for emoji, names in item.reactions)}</div>'
    yield f"<time>{text(item.clock[:5])}{' · edited' if item.edited else ''}</time></article>"


def _face(emoji: str, names: list[str]) -> str:
    count = f" {len(names)}" if len(names) > 1 else ""
    return f'<span title="{text(", ".join(filter(None, names)))}">{text(emoji)}{count}</span>'


def _file(file: ShownFile) -> str:
    name = text(file.name)
    caption = f'<figcaption dir="auto">{text(file.caption)}</figcaption>' if file.caption else ""
    if file.path is None:
        return f'<p class="missing">{text(file.role)}: {name} <i>{text(file.state)}</i></p>'
    source = text(f"../{file.path}")
    if file.mime in PICTURES:
        return (
            f'<figure class="{"sticker" if file.role == "sticker" else "picture"}"><a href="{source}" target="_blank" '
            f'rel="noopener"><img loading="lazy" src="{source}" alt="{name}"></a>{caption}</figure>'
        )
    if file.mime in VIDEOS:
        return f'<figure><video controls preload="none" src="{source}" title="{name}"></video>{caption}</figure>'
    if file.mime in SOUNDS:
        return f'<figure><audio controls preload="none" src="{source}" title="{name}"></audio>{caption}</figure>'
    return f'<p class="file"><a href="{source}" download="{name}">{name}</a></p>{caption}'
