"""Whether a text begins as chats of WhatsApp do, and as nothing else does."""

from __future__ import annotations

from strongroom.formats.whatsapp.heads import Head, parse, split
from strongroom.formats.whatsapp.notices import is_encryption_notice
from strongroom.formats.whatsapp.periods import MARKS
from strongroom.formats.whatsapp.survey import may_begin
from strongroom.formats.whatsapp.titles import is_whatsapp_name

_LINES = 60
_LEVELS = frozenset((
    "info", "error", "warn", "warning", "debug", "trace", "fatal", "critical", "notice", "severe", "fine", "verbose", "alert",
))  # fmt: skip


def looks_like_chat(name: str, head: bytes) -> bool:
    """Whether the file called `name` that begins with `head` is a chat.

    Logs of programs also begin lines with a date in brackets: what is not named by WhatsApp must have its comma, its
    marks, its notice or its halves of the day, or at least dates that programs do not write, and no levels of logs.
    """
    lines = [line for line in head.removeprefix(b"\xef\xbb\xbf").split(b"\n")[:_LINES] if line.strip()]
    if not lines or b"\0" in lines[0]:
        return False
    found = [(line, parsed) for line in lines if may_begin(line) and (parsed := _parsed(line)) is not None]
    if not found or (found[0][0] is not lines[0] and not is_whatsapp_name(name)):
        return False
    if is_whatsapp_name(name):
        return True
    senders = {rest.partition(":")[0].strip(MARKS).lower() for _, (_, rest) in found}
    if senders & _LEVELS:
        return False
    return any(_is_own(parsed, rest) for _, (parsed, rest) in found)


def _parsed(line: bytes) -> tuple[Head, str] | None:
    parts = split(line.decode("utf-8", "replace"))
    parsed = parse(parts.style, parts.head) if parts is not None else None
    return None if parts is None or parsed is None else (parsed, parts.rest)


def _is_own(parsed: Head, rest: str) -> bool:
    pattern = parsed.pattern
    year_first = bool(pattern[3])
    return (
        "," in pattern[5]
        or bool(parsed.half)
        or (bool(rest) and rest[0] in MARKS)
        or is_encryption_notice(rest)
        or not year_first
    )
