"""What a message is, by its text: files, placeholders for files, places, polls, calls, deletions, edits."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, NamedTuple

from strongroom.formats.whatsapp.notices import event, is_encryption_notice, plain
from strongroom.formats.whatsapp.periods import MARKS, NO_MARKS
from strongroom.formats.whatsapp.words import (
    ATTACHED_WORDS,
    CALLS,
    DELETED,
    DELETED_BY_ADMIN,
    EDITED,
    LIVE_LOCATION,
    OMITTED,
    OMITTED_BRACKETS,
)
from strongroom_protocol.rows.model import DeleteKind, Flag, Kind

Stored = Callable[[str], str | None]
"""The path in the export of a file that a message names; None when it is not there."""

_SHORT = 400
"""Characters up to which a first line is looked at; names of files and placeholders are shorter."""

_SHORT_WORDS = 100
"""Characters of the longest words that stand for a message, all alone."""

_SIGNS = re.compile(r"[<(]|://|[:：]\n")
_IN_BRACKETS = re.compile(r"<[^<>:：]{2,40}[:：] ?([^<>]{1,255})>$")
_IN_PARENTHESES = re.compile(r"(\S.{0,250}?\.\w{1,8}) \(([^()]{3,40})\)$")
_NUMBERED = re.compile(r"\d{8}-(.+)")
_ANDROID = re.compile(r"(IMG|VID|PTT|AUD|STK|DOC)-\d{8}-WA\d{4,}\.\w+")
_IOS = re.compile(r"(PHOTO|VIDEO|AUDIO|GIF|STICKER|DOCUMENT|VIDEO_NOTE)-\d{4}-\d\d-\d\d-\d\d-\d\d-\d\d\.\w+")
_ROLES = {
    "IMG": "photo", "VID": "video", "PTT": "voice", "AUD": "audio", "STK": "sticker", "DOC": "document",
    "PHOTO": "photo", "VIDEO": "video", "AUDIO": "audio", "GIF": "gif", "STICKER": "sticker", "DOCUMENT": "document",
    "VIDEO_NOTE": "round",
}  # fmt: skip
_SUFFIXES = {
    "jpg": "photo", "jpeg": "photo", "png": "photo", "heic": "photo", "mp4": "video", "mov": "video", "3gp": "video",
    "opus": "audio", "m4a": "audio", "aac": "audio", "mp3": "audio", "ogg": "audio", "amr": "audio", "webp": "sticker",
    "gif": "gif",
}  # fmt: skip
_PAGES = re.compile(r"(.+?\.\w{1,8}) • .+")
_PLACE = re.compile(
    r"(?:(.{1,300}?)[:：] ?)?(https?://(?:www\.)?(?:maps\.google\.com/|google\.com/maps)\S*[?&]q=(-?\d{1,2}(?:\.\d+)?),(-?\d{1,3}(?:\.\d+)?)\S*)"
)
_POLL = re.compile(r"([^\W\d_][^\n:：]{0,30})[:：]\n([^\n]*)\n(.+)", re.DOTALL)
_OPTION = re.compile(r"([^\W\d_][^\n:：]{0,30})[:：] ?(.*) [(（](\d+)[^()（）\n]*[)）]")
_EDIT_MARK = re.compile(r"\s?<([^<>\n]{4,80})>$")
_OPTIONS = 100


class Body(NamedTuple):
    """A message apart from who and when. `placed`: its text may be another in the next export, its place is not."""

    kind: int
    text: str | None
    detail: dict[int, Any] | None = None
    flags: int = 0
    placed: bool = False
    deleted: int | None = None  # a kind of deletion


def body_of(text: str, sender: str | None, stored: Stored, *, early: bool = False) -> Body:
    """Understand a text. What is not understood is what it looks like: a text; without a sender, a notice.

    `early`: among the first lines, where old exports have the notice about encryption as if somebody had written it.
    """
    if sender is None:
        return _notice(text)
    # All that WhatsApp writes itself has a mark, a bracket, a parenthesis, an address, a list, or is short.
    if len(text) > _SHORT_WORDS and text[0] not in MARKS and not early and not _SIGNS.search(text):
        return Body(Kind.TEXT, text)
    flags = 0
    if text[-1:] == ">" or text[-1:] in MARKS:
        text, flags = _unmarked(text)
    first, _, more = text.partition("\n")
    if len(first) <= _SHORT:
        small = plain(first) if len(first) <= _SHORT_WORDS or first[0] in MARKS else ""
        found = _file(first, small, more, stored) or _special(text, first, small, sender, early)
        if found is not None:
            return found._replace(flags=found.flags | flags)
    return Body(Kind.TEXT, text, None, flags)


def _notice(text: str) -> Body:
    if (call := _call(text)) is not None:
        return call
    told = event(text)
    shown = text.translate(NO_MARKS)
    return Body(Kind.SYSTEM, shown, {28: told} if told else None)


def _unmarked(text: str) -> tuple[str, int]:
    """The text without the words that say that it was edited."""
    cut = text.rstrip(MARKS)
    found = _EDIT_MARK.search(cut[-90:])
    if found is None or plain(found[1]) not in EDITED:
        return text, 0
    return cut[: len(cut) - (found.end() - found.start())].rstrip(MARKS + " "), int(Flag.EDITED)


def _file(first: str, small: str, more: str, stored: Stored) -> Body | None:
    """A message that is a file or stands for one."""
    bare = first.strip(MARKS + " ")
    if bare.endswith((")", ">")):
        found = _IN_BRACKETS.search(bare)
        if found is not None:
            name = found[1].strip(MARKS + " ")
            numbered = _NUMBERED.fullmatch(name)
            if (path := stored(name)) is not None or numbered:
                caption = _joined(bare[: found.start()].strip(MARKS + " "), more)
                return _attached(numbered[1] if numbered else name, path, caption)
        elif (found := _IN_PARENTHESES.fullmatch(bare)) is not None:
            name = found[1].strip(MARKS)
            if plain(found[2]) in ATTACHED_WORDS or _ANDROID.fullmatch(name) or stored(name) is not None:
                return _attached(name, stored(name), more or None)
        if bare[0] == "<" and plain(bare[1:-1]) in OMITTED_BRACKETS:
            return _omitted(bare, None, more or None)
    role = OMITTED.get(small)
    if role is not None and (first[0] in MARKS or not more):
        return _omitted(bare, role, more or None)
    if "•" in bare and "\u200e" in first:  # "Plan.pdf • 3 pages document omitted"
        title, _, last = first.rpartition("\u200e")
        if (role := OMITTED.get(plain(last))) is not None:
            return _omitted(last.strip(MARKS + " "), role, _joined(title.translate(NO_MARKS).strip(), more))
    return None


def _joined(caption: str, more: str) -> str | None:
    return "\n".join(filter(None, (caption.translate(NO_MARKS), more))) or None


def _attached(name: str, path: str | None, caption: str | None) -> Body:
    suffix = name.rpartition(".")[2].lower()
    shape = _ANDROID.fullmatch(name) or _IOS.fullmatch(name)
    role = _ROLES[shape[1]] if shape else _SUFFIXES.get(suffix, "document")
    if role == "video" and suffix == "gif":
        role = "gif"
    file: dict[int, Any] = {4: name, 6: role}
    file |= {5: path} if path is not None else {7: "unavailable", 8: "not in the export"}
    detail: dict[int, Any] = {4: [file]}
    if suffix == "vcf":
        detail[23] = [{1: name[: -len(".vcf")] or name}]
        return Body(Kind.CONTACT, caption, detail, placed=True)
    return Body(Kind.STICKER if role == "sticker" else Kind.MEDIA, caption, detail, placed=True)


def _omitted(words: str, role: str | None, caption: str | None) -> Body:
    kind = {"contact": Kind.CONTACT, "sticker": Kind.STICKER}.get(role or "", Kind.MEDIA)
    file: dict[int, Any] = {7: "omitted", 8: words.translate(NO_MARKS)}
    if role not in (None, "contact"):
        file[6] = role
    return Body(kind, caption, {4: [file]}, placed=True)


def _special(text: str, first: str, small: str, sender: str, early: bool) -> Body | None:
    """A message that WhatsApp writes for a person."""
    marked = first[:1] in MARKS and first != ""
    if text.count("\n") == 0:
        if small in DELETED:
            return Body(Kind.TEXT, None, {19: ["deleted"]}, placed=True, deleted=DeleteKind.BY_SENDER)
        if marked and small.startswith(DELETED_BY_ADMIN) and len(small) < _SHORT:
            return Body(Kind.TEXT, None, {19: ["deleted"]}, placed=True, deleted=DeleteKind.BY_ADMIN)
        if small in LIVE_LOCATION:
            return Body(Kind.LOCATION, first.translate(NO_MARKS))
    if "://" in first and (place := _PLACE.fullmatch(first.strip(MARKS + " "))) is not None:
        name = place[1].translate(NO_MARKS).strip() if place[1] and ("," in place[1] or "\n" in text) else None
        found = {1: place[3], 2: place[4], **({3: name} if name else {})}
        return Body(Kind.LOCATION, text.translate(NO_MARKS), {24: found})
    if first.rstrip(MARKS + " ").endswith((":", "：")) and (poll := _poll(text)) is not None:
        return poll
    if (marked or small in CALLS) and (call := _call(text)) is not None:
        return call
    if marked or first.startswith(sender):
        told = event(text) if text.count("\n") == 0 else None
        if told is not None and (marked or str(told.get(2)).lower() == sender.lower()):
            return Body(Kind.SYSTEM, text.translate(NO_MARKS), {28: told})
    if early and len(first) > 40 and is_encryption_notice(first) and text.count("\n") == 0:
        return Body(Kind.SYSTEM, text.translate(NO_MARKS), {28: {1: "encryption"}})
    return None


def _call(text: str) -> Body | None:
    small = plain(text)
    if len(small) > 120 or "\n" in small:
        return None
    for words, (kind, outcome) in CALLS.items():
        if small.startswith(words) and not small[len(words) : len(words) + 1].isalpha():
            call = {1: kind, **({3: outcome} if outcome else {})}
            return Body(Kind.CALL, text.translate(NO_MARKS), {22: call})
    return None


def _poll(text: str) -> Body | None:
    """`POLL:`, the question, then `OPTION: text (3 votes)` lines, in whatever language."""
    shown = text.translate(NO_MARKS).rstrip()
    found = _POLL.fullmatch(shown)
    if found is None or found[1] != found[1].upper():
        return None
    options: list[dict[int, Any]] = []
    word = None
    for line in found[3].split("\n"):
        option = _OPTION.fullmatch(line.strip())
        if (
            option is None
            or word not in (None, option[1])
            or option[1] != option[1].upper()
            or len(options) >= _OPTIONS
        ):
            return None
        word = option[1]
        options.append({1: option[2].strip(), 2: min(int(option[3][:9]), 10**9)})
    return Body(Kind.POLL, found[2].strip(), {21: {1: found[2].strip(), 2: options}})
