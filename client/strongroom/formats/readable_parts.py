"""What a message holds besides its text, in words: files, polls, calls, places and the rest (spec chapter 06)."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from strongroom.formats.visible import one_line
from strongroom_protocol.rows.detail import ATTACHMENTS
from strongroom_protocol.rows.model import Detail

Name = Callable[..., str]
"""What to call a person of an id, who may have come with a name."""

WRITTEN = re.compile(r"files/[0-9a-f]{64}(\.[a-z0-9]{1,12})?")
"""Where an export puts a file. Any other path is the word of whoever made what was imported."""
_DEEP = 8
_ROLES = {name: name for name in ("photo", "video", "audio", "document", "sticker", "avatar", "preview")} | {
    "voice": "voice message", "round": "video message", "gif": "GIF",
}  # fmt: skip
_STATES = {
    "omitted": "left out by the source", "too_large": "too large for the source", "unavailable": "unavailable",
    "expired": "expired", "deleted": "deleted", "removed": "removed", "not_downloaded": "never downloaded",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Note:
    """`label` is the export's word, `words` are theirs."""

    label: str
    words: str


@dataclass(frozen=True, slots=True)
class ShownFile:
    """A file of a message: `path` is relative to the export's folder, None when there is only `state` to say.

    `name` and `reason` are words of others, `about` its size and length, `width` and `height` what they say it has, 0
    when they do not.
    """

    role: str
    name: str
    path: str | None
    state: str
    reason: str
    about: str
    caption: str
    width: int = 0
    height: int = 0


def shown_files(detail: Detail) -> list[ShownFile]:
    """The files of a message, of what was forwarded in it, and the pictures of its links."""
    found = [_file(item) for item in _attachments(detail, 0)]
    cards = [card[6] for card in detail.get(25, ()) if isinstance(card.get(6), dict)]
    return found + [_file({6: "preview", **card}) for card in cards]


def _attachments(detail: Detail, depth: int) -> Iterator[Detail]:
    """A file that is not here is stood for by its thumbnail, when that is."""
    for item in detail.get(ATTACHMENTS if depth == 0 else 7, ()):
        yield item
        small = item.get(21)
        if _path(item) is None and isinstance(small, dict) and _path(small) is not None:
            yield {**small, 6: "preview"}
    for inner in detail.get(7 if depth == 0 else 8, ()) if depth < _DEEP else ():
        yield from _attachments(inner, depth + 1)


def _path(item: Detail) -> str | None:
    """Where the export wrote a file. A path that it did not write leads anywhere on the reader's disk."""
    path = item.get(5)
    if item.get(7) is not None or not isinstance(path, str) or WRITTEN.fullmatch(path) is None:  # spec: EXP-5
        return None
    return path


def _file(item: Detail) -> ShownFile:
    path = _path(item)
    state = "" if path is not None else _STATES.get(item.get(7, ""), "not in this export")
    about = [_size(item[2])] if path is not None and 2 in item else []
    if item.get(11):
        about.append(_length(item[11]))
    named = [one_line(item.get(key)) for key in (4, 14, 13)]
    return ShownFile(
        _ROLES.get(item.get(6, ""), "file"), " ".join(filter(None, named)), path, state,
        "" if path is not None else one_line(item.get(8)), ", ".join(about), one_line(item.get(12)),
        min(int(item.get(9, 0)), 9999), min(int(item.get(10, 0)), 9999),
    )  # fmt: skip


def _size(count: int) -> str:
    if count < 1000:
        return f"{count} bytes"
    return f"{count / 1000:.0f} kB" if count < 1_000_000 else f"{count / 1_000_000:,.1f} MB"


def _length(ms: int) -> str:
    minutes, seconds = divmod(int(ms) // 1000, 60)
    return f"{minutes}:{seconds:02}"


def notes(detail: Detail, name: Name, *, said: str, event: bool, sender: str | None = None) -> Iterator[Note]:
    """Everything else, a line each, unless it is `said` by the text. `event`: only the fields tell what happened.

    Who did it is left out when that is the `sender`, whose name stands there already.
    """
    forward, game, story, bot = (detail.get(key) or {} for key in (6, 27, 29, 30))
    if forward:
        yield Note("forwarded from", name(forward.get(1), forward.get(2)) or "elsewhere")
    if detail.get(28) and event:
        what = detail[28]
        targets = ", ".join(map(name, what.get(3, ())))
        params = " ".join(one_line(value) for value in dict(what.get(4) or {}).values())
        who = "" if sender is not None and what.get(2) == sender else name(what.get(2))
        action = (what.get(1) or "").replace("_", " ")
        yield Note("event", _words([who, action, targets, params]))
    yield from _poll(detail.get(21) or {}, name, said)
    yield from _things(detail)
    if game:
        yield Note("game", _words([game.get(1), game.get(2), game.get(3)]))
    if story:
        yield Note("about the story of", _words([name(story.get(1)), story.get(3)]))
    if bot:
        yield Note("bot", _words([bot.get(1), bot.get(2), *bot.get(3, ())]))
    if detail.get(18):
        yield Note("signed", one_line(detail[18]))
    if detail.get(15):
        yield Note("pinned by", name(detail[15].get(1)) or "somebody")
    if detail.get(14):
        yield Note("disappearing", "seen once" if detail[14].get(3) else "after a time")
    yield from _nested(detail.get(7, ()), name, 0)


def _words(parts: Iterable[object]) -> str:
    return " ".join(word for word in map(one_line, parts) if word)


def _poll(poll: Detail, name: Name, said: str) -> Iterator[Note]:
    if not poll:
        return
    question = one_line(poll.get(1))
    yield Note("closed poll" if poll.get(4) else "poll", "" if question == said else question)
    for option in poll.get(2, ()):
        voters = option.get(3, ())
        votes = option.get(2, len(voters) or None)
        counted = "" if votes is None else f", {votes:,} vote{'' if votes == 1 else 's'}"
        by = f" ({', '.join(map(name, voters))})" if voters else ""
        yield Note(f"option{counted}", f"{one_line(option.get(1))}{by}")


def _things(detail: Detail) -> Iterator[Note]:
    call, place, payment = (detail.get(key) or {} for key in (22, 24, 26))
    if call:
        length = _length(call[2]) if call.get(2) else None
        yield Note("call", ", ".join(filter(None, (one_line(call.get(1)), one_line(call.get(3)), length))))
    if place:
        point = ", ".join(filter(None, (one_line(place.get(1)), one_line(place.get(2)))))
        yield Note("live location" if place.get(5) else "location", _words([point, place.get(3), place.get(4)]))
    for contact in detail.get(23, ()):
        yield Note("contact", _words([contact.get(1), contact.get(2)]) or one_line(contact.get(3)))
    for card in detail.get(25, ()):
        yield Note("link", _words([card.get(1), card.get(2), card.get(3)]))
    if payment:
        yield Note("payment", _words(payment.get(key) for key in (1, 2, 3, 4, 5)))


def _nested(messages: Iterable[Detail], name: Name, depth: int) -> Iterator[Note]:
    """Messages forwarded as one, the outermost first; very deep ones are left to `json`."""
    for inner in messages:
        who = name(inner.get(3), inner.get(4)) or "somebody"
        yield Note("forwarded" if depth == 0 else f"forwarded, {depth + 1} deep", f"{who}: {one_line(inner.get(6))}")
        if depth < _DEEP:
            yield from _nested(inner.get(8, ()), name, depth + 1)
