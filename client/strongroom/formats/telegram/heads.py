"""Which chats a document holds: their names, types and ids, found without reading the messages into anything.

Telegram writes these before the messages of a chat. A program that has rewritten the document may have sorted its
fields; and whoever names a chat wants to know before the first row whether it is there, and alone.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from strongroom.formats.telegram.fields import Fields, ident, text
from strongroom.formats.telegram.opening import TYPES
from strongroom.formats.telegram.walking import Broken, Walker
from strongroom_protocol.rows.model import ConversationKind

HEAD = ("name", "type", "id")
_NAMELESS = {"saved_messages": "Saved Messages", "replies": "Replies", "verification_codes": "Verification Codes"}
_ID_CHARS = 100  # of four bytes at most, and a prefix: a conversation id has no more than 512


@dataclass(frozen=True, slots=True)
class Head:
    """What a chat is: `key` is its id, with what that is the id of."""

    key: str
    ident: str | None
    name: str | None
    kind: ConversationKind

    @classmethod
    def of(cls, fields: Fields) -> Head:
        """The fields as they are; a chat without an id goes by its name."""
        letter, kind = TYPES.get(str(fields.get("type")), ("chat", ConversationKind.UNKNOWN))
        name = text(fields, "name", 10_000) or _NAMELESS.get(str(fields.get("type")))
        found = ident(fields, "id")
        found = found if found is not None and len(found) <= _ID_CHARS else None
        return cls(f"{letter}{found}" if found is not None else f"named:{(name or 'unnamed')[:100]}", found, name, kind)

    def is_called(self, wanted: str) -> bool:
        """Whether a person who says `wanted` means this chat."""
        return wanted in (self.name, self.ident, self.key, f"telegram:{self.key}")


def heads(walker: Walker) -> Iterator[Head]:
    """Of every chat with messages, in the order of the document; of one that breaks off, those before that."""
    try:
        if walker.begin():
            yield from _in(walker, deep=True)
    except Broken:
        return


def _in(walker: Walker, *, deep: bool) -> Iterator[Head]:
    fields: Fields = {}
    has = False
    try:
        for name in walker.object():
            if name == "messages" and walker.peek() == "[":
                has = True
                for _ in walker.array():
                    pass_over(walker)
            elif deep and name in ("chats", "left_chats") and walker.peek() == "{":
                yield from _listed(walker)
            elif name in HEAD:
                fields[name] = short(walker)
            else:
                pass_over(walker)
    except Broken:
        if has:
            yield Head.of(fields)
        raise
    if has:
        yield Head.of(fields)


def _listed(walker: Walker) -> Iterator[Head]:
    for name in walker.object():
        if name != "list" or walker.peek() != "[":
            pass_over(walker)
            continue
        for _ in walker.array():
            if walker.peek() == "{":
                yield from _in(walker, deep=False)
            else:
                pass_over(walker)


def pass_over(walker: Walker) -> None:
    """Leave a value, whatever it is."""
    for _ in walker.value():
        pass


def short(walker: Walker) -> Any:
    """A value that is wanted only when it is a name or a number; of anything larger, None."""
    found = [value for _, value in walker.value()]
    return found[0] if len(found) == 1 and type(found[0]) in (str, int) else None
