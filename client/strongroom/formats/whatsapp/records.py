"""The second pass over a chat: lines become records, each with the exact bytes that it was."""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Iterable, Iterator
from typing import Any, BinaryIO, NamedTuple

from strongroom.formats.whatsapp.clock import Clock
from strongroom.formats.whatsapp.heads import split
from strongroom.formats.whatsapp.survey import may_begin
from strongroom_protocol.errors import ImportRefused
from strongroom_protocol.limits import LIMITS


class Record(NamedTuple):
    """A message as it stands in the file. Without a time: lines before the first head, or what is over the limit."""

    time: int | None
    text: str  # what follows the head
    raw: bytes
    sound: bool  # it is UTF-8


def lines_in(file: BinaryIO, name: str, digest: Any = None) -> Iterator[bytes]:
    """The lines of a file with their terminators; `digest` is updated with all of them. Raises ImportRefused."""
    limit = LIMITS.raw_bytes
    digest = digest or hashlib.sha256()
    for line in iter(functools.partial(file.readline, limit + 1), b""):
        if len(line) > limit:  # spec: IMP-2
            raise ImportRefused(f"{name}: a line is over {limit} bytes", hint="is it a chat export?")
        digest.update(line)
        yield line


def records_in(lines: Iterable[bytes], clock: Clock) -> Iterator[Record]:
    """The records; joined, their raws are the file."""
    limit = LIMITS.raw_bytes
    time: int | None = None
    rest = ""
    raw: list[bytes] = []
    size = 0
    for line in lines:
        if may_begin(line):
            text = line.decode("utf-8", "replace")
            parts = split(text)
            at = clock.time(parts.style, parts.head) if parts is not None else None
            if parts is not None and at is not None:
                if raw:
                    yield _record(time, rest, raw)
                time, rest, raw, size = at, parts.rest, [line], len(line)
                continue
        if size + len(line) > limit:
            yield _record(time, rest, raw)
            time, rest, raw, size = None, "", [], 0
        raw.append(line)
        size += len(line)
    if raw:
        yield _record(time, rest, raw)


def _record(time: int | None, rest: str, raw: list[bytes]) -> Record:
    whole = raw[0] if len(raw) == 1 else b"".join(raw)
    if len(raw) > 1:
        rest += b"".join(raw[1:]).decode("utf-8", "replace")
    if "\r" in rest:
        rest = rest.replace("\r\n", "\n")
    # A replacement character may also have been sent: the bytes tell which it is.
    return Record(time, rest.rstrip("\n\r"), whole, "\ufffd" not in rest or _is_utf8(whole))


def _is_utf8(data: bytes) -> bool:
    try:
        data.decode()
    except UnicodeDecodeError:
        return False
    return True
