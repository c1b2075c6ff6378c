"""A message as HTML. What others wrote is text here: every piece passes `words.text`, and nothing else makes markup
of it.

A page's policy forbids all scripts and styles but the two of `page`, and every request but for files beside it, so a
mistake here would still run nothing. Files that a browser would run when opened are never linked under a name that
makes it do so.
"""

from __future__ import annotations

import hashlib
import re
import zlib
from collections.abc import Iterator

from strongroom.formats.html.media import PlacedFile, file_markup
from strongroom.formats.html.words import linked, text
from strongroom.formats.readable import Quoted, Reaction, Shown

COLOURS = 8
NAMED = 50
"""Names that are said beside a reaction."""


def anchor(ident: str) -> str:
    """A name for a message within its page, whatever its id is made of."""
    return f"m{hashlib.sha256(ident.encode('utf-8', 'replace')).hexdigest()[:12]}"


def avatar(name: str) -> str:
    """A disc with a name's first letters; its colour is the name's."""
    letters = [word[0] for word in re.findall(r"[^\W\d_]\w*", name.partition(" (")[0])]
    initials = "".join(dict.fromkeys([*letters[:1], *letters[-1:]])).upper() or "#"
    return f'<span class="av c{colour(name)}" aria-hidden="true">{text(initials)}</span>'


def colour(name: str) -> int:
    """The number of a name's colour."""
    return zlib.crc32(name.encode("utf-8", "replace")) % COLOURS


def message(item: Shown, files: list[PlacedFile], *, grouped: bool) -> Iterator[str]:
    """The parts of a message; `grouped`: its sender's name stands above already, and is only said to who listens."""
    kind = "event" if item.event else "own" if item.own else "other"
    yield f'<article class="m {kind}{" follows" if grouped else ""}" id="{anchor(item.id)}">'
    who = item.who or ("" if item.event else "?")
    if who:
        yield "" if item.event or item.own or grouped else avatar(who)
        yield f'<b class="who c{colour(who)}" dir="auto">{text(who)}</b> '
    if item.reply is not None:
        yield _quoted(item.reply)
    for file in files:
        yield file_markup(file)
    if item.text:
        yield f'<p dir="auto">{linked(item.text)}</p>'
    for note in item.notes:
        yield f'<p class="note"><i>{text(note.label)}</i> <span dir="auto">{linked(note.words)}</span></p>'
    if item.deleted:
        yield f'<p class="gone">{text(item.deleted)}</p>'
    if item.earlier:
        before = "".join(f'<p dir="auto">{linked(words) or "(no text)"}</p>' for words in item.earlier)
        yield f"<details><summary>{text(item.edited or 'edited')}</summary>{before}</details>"
    if item.reactions:
        yield f'<div class="faces">{"".join(map(_face, item.reactions))}</div>'
    edited = f" · {text(item.edited)}" if item.edited and not item.earlier else ""
    yield f'<time title="{text(f"{item.day} {item.clock}".rstrip())}">{text(item.clock[:5])}{edited}</time></article>'


def _quoted(reply: Quoted) -> str:
    words = f'<b dir="auto">{text(reply.who)}</b> <span dir="auto">{text(reply.text)}</span>'
    if reply.id is None:
        return f"<blockquote>{words}</blockquote>"
    return f'<blockquote><a href="#{anchor(reply.id)}">{words or "a message"}</a></blockquote>'


def _face(face: Reaction) -> str:
    names = ", ".join(face.names[:NAMED]) + (", …" if len(face.names) > NAMED else "")
    count = f" {face.count:,}" if face.count > 1 else ""
    who = f'<i class="sr"> {text(names)}</i>' if names else ""
    return f'<span class="face" title="{text(names)}"><span class="emoji">{text(face.emoji)}</span>{count}{who}</span>'
