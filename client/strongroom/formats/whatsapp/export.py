"""Where the chats of an export lie: a text file with its media beside it, a folder, or a zip. Nothing is unpacked."""

from __future__ import annotations

import os
import re
import stat
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import BinaryIO

from strongroom.formats.archive import ZIP_MAGIC, Archive, open_archive
from strongroom.formats.base import HEAD_BYTES, head_of, name_of
from strongroom.formats.whatsapp.recognising import looks_like_chat
from strongroom.formats.whatsapp.titles import CHAT_FILE, is_whatsapp_name, title_in
from strongroom_protocol.limits import LIMITS

_SENT = re.compile(r"\d{8}-")
"""iOS numbers the files of an export; one that was sent is no chat of it, even if it was one once."""


@dataclass(frozen=True, slots=True)
class ChatFile:
    """The text of one chat."""

    name: str  # of the file
    around: str | None  # name of the folder or zip it lies in, when that may name the chat
    size: int  # bytes
    open: Callable[[], BinaryIO]
    stored: Callable[[str], str | None]  # the path in the export of a file that a message names


@dataclass(slots=True)
class Export:
    """The chats of an export, and why files of it were left out."""

    chats: list[ChatFile]
    problems: Counter[str] = field(default_factory=Counter)


@contextmanager
def open_export(path: Path) -> Iterator[Export]:
    """The export at a path. Raises ImportRefused when it cannot be read."""
    if not path.is_dir() and not head_of(path).startswith(ZIP_MAGIC):
        yield Export([_beside(path)])
        return
    with open_archive(path) as archive:
        names = _chats_in(archive, name_of(path))
        stored = _Stored(archive)
        chats = [_member(archive, name, path, stored) for name in names]
        problems = archive.problems.copy()
        if sent := _sent(archive, names):  # spec: IMP-34
            chats = [chat for chat, name in zip(chats, names, strict=True) if name not in sent]
            problems["chats that another chat names as a file it was sent: name them, if they are yours"] = len(sent)
        if zips := sum(name.lower().endswith(".zip") for name in archive.sizes) if path.is_dir() else 0:
            problems["zips in the folder: name each of them"] = zips
        yield Export(chats, problems)


def _beside(path: Path) -> ChatFile:
    """A text file that was named itself; what its messages name lies beside it."""

    def stored(name: str) -> str | None:
        if "/" in name or "\0" in name or name in (".", "..", path.name):
            return None
        try:
            return name if stat.S_ISREG(os.lstat(path.parent / name).st_mode) else None
        except (OSError, ValueError):
            return None

    return ChatFile(
        name_of(path), name_of(path.absolute().parent), path.stat().st_size, lambda: path.open("rb"), stored
    )


def _member(archive: Archive, name: str, path: Path, stored: _Stored) -> ChatFile:
    folder, _, base = name.rpartition("/")
    prefix = f"{folder}/" if folder else ""
    around = folder.rpartition("/")[2] or name_of(path.absolute())
    return ChatFile(
        base, around, archive.sizes[name], lambda: archive.open(name), lambda wanted: stored.path(prefix, wanted)
    )


class _Stored:
    """Finds files of an archive by the names that messages give; those of some phones are written in another form."""

    def __init__(self, archive: Archive) -> None:
        self._names = archive.sizes
        self._composed: dict[str, str] | None = None

    def path(self, prefix: str, name: str) -> str | None:
        wanted = prefix + name
        if wanted in self._names or wanted.isascii():
            return wanted if wanted in self._names else None
        if self._composed is None:
            self._composed = {unicodedata.normalize("NFC", known): known for known in self._names}
        return self._composed.get(unicodedata.normalize("NFC", wanted))


def _chats_in(archive: Archive, called: str) -> list[str]:
    """The chats among the members: by name, where one is named so, else by what they begin with."""
    texts = [
        name
        for name in archive.sizes
        if name.lower().endswith(".txt") and not _SENT.match(base := _base(name)) and not base.startswith(".")
    ]
    named = [name for name in texts if is_whatsapp_name(_base(name))]
    title = title_in(called)
    # Of a zip that bears the name of a chat, others are files that were sent.
    own = (
        [] if title is None else [name for name in named if _base(name) == CHAT_FILE or title_in(_base(name)) == title]
    )
    return own or [name for name in named or texts if looks_like_chat(_base(name), _head(archive, name))]


def _sent(archive: Archive, names: list[str]) -> set[str]:
    """Those of several chats in one folder that another one of them names as its file.

    Somebody sent them: taken for exports, they would put their sender's words into another chat, under any name.
    """
    found: set[str] = set()
    for name in names:
        folder = name.rpartition("/")[0]
        marks = {
            mark.encode(): other
            for other in names
            if other != name and other.rpartition("/")[0] == folder and _base(other) != CHAT_FILE
            for base in {unicodedata.normalize(form, _base(other)) for form in ("NFC", "NFD")}
            for mark in (f"{base} (", f": {base}>")
        }
        if not marks:
            continue
        with suppress(OSError), archive.open(name) as file:  # one that is damaged says so when it is read
            for line in iter(partial(file.readline, LIMITS.raw_bytes), b""):
                if b".txt" in line.lower():
                    found |= {other for mark, other in marks.items() if mark in line}
    return found


def _base(name: str) -> str:
    return name.rpartition("/")[2]


def _head(archive: Archive, name: str) -> bytes:
    try:
        with archive.open(name) as file:
            return file.read(HEAD_BYTES)
    except OSError:
        return b""
