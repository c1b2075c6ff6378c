"""What of a message is searched: the text of its newest version with what people read beside it, and what it has."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from strongroom_protocol.rows.detail import ATTACHMENTS, REPLY, SENDER_NAME
from strongroom_protocol.rows.merge import Message
from strongroom_protocol.rows.model import Detail, Kind

LABELS = (
    "photo", "video", "gif", "voice", "audio", "sticker", "file", "link", "reaction", "reply", "forward",
    "location", "contact", "poll", "call", "edited",
)  # fmt: skip
"""Values of `has:`. The order is that of bits in the index."""

_ROLES = {
    "photo": "photo", "video": "video", "round": "video", "gif": "gif", "voice": "voice", "audio": "audio",
    "sticker": "sticker", "document": "file", "avatar": None, "preview": None,
}  # fmt: skip
_TYPES = {"image": "photo", "video": "video", "audio": "audio"}
_LINKS = ("http://", "https://", "www.")
_FORWARD, _POLL, _CALL, _CONTACTS, _LOCATION, _CARDS = 6, 21, 22, 23, 24, 25
_CAPTION, _MIME, _NAME, _ROLE, _TITLE, _SNIFFED = 12, 3, 4, 6, 13, 17


class Found(NamedTuple):
    """A message as the index has it: `place` among those of its time, `labels` as bits, the searchable text."""

    time: int
    place: int
    id: str
    sender: str
    name: str
    labels: int
    text: str


def content(message: Message, place: int) -> Found | None:
    """What is searched of a merged message. Of a deleted one, nothing, whatever a platform has kept of it."""
    row = message.current
    if row is None or message.deletion is not None:
        return None
    detail = row.detail or {}
    text = "\n".join(line for line in (row.text, *_lines(detail)) if line) if detail else row.text or ""
    labels = {*_labels(detail)} if detail else set()
    if message.reactions or detail.get(8):
        labels.add("reaction")
    if len(message.versions) > 1:
        labels.add("edited")
    if row.kind == Kind.STICKER:
        labels.add("sticker")
    if "." in text or "/" in text:
        lower = text.lower()
        if any(mark in lower for mark in _LINKS):
            labels.add("link")
    bits = sum(1 << LABELS.index(label) for label in labels)
    return Found(message.time, place, message.id, row.sender or "", detail.get(SENDER_NAME) or "", bits, text)


def _lines(detail: Detail) -> Iterator[str | None]:
    """What people read of a message besides its text: names and captions of files, links, polls, places, people."""
    for file in detail.get(ATTACHMENTS, ()):
        yield from (file.get(_NAME), file.get(_CAPTION), file.get(_TITLE))
    for card in detail.get(_CARDS, ()):
        yield from (card.get(2), card.get(3), card.get(1))
    poll = detail.get(_POLL)
    if poll is not None:
        yield poll.get(1)
        yield from (option.get(1) for option in poll.get(2, ()))
    place = detail.get(_LOCATION)
    if place is not None:
        yield from (place.get(3), place.get(4))
    for person in detail.get(_CONTACTS, ()):
        yield from (person.get(1), person.get(2))


def _labels(detail: Detail) -> Iterator[str]:
    for file in detail.get(ATTACHMENTS, ()):
        role = file.get(_ROLE)
        mime = file.get(_MIME) or file.get(_SNIFFED) or ""
        label = _ROLES[role] if role in _ROLES else _TYPES.get(mime.partition("/")[0], "file")
        if label is not None:
            yield label
    for key, label in (
        (REPLY, "reply"), (_FORWARD, "forward"), (_LOCATION, "location"), (_POLL, "poll"), (_CALL, "call"),
        (_CONTACTS, "contact"), (_CARDS, "link"),
    ):  # fmt: skip
        if detail.get(key):
            yield label
