"""Where the JSON of an export lies: alone, in its folder, or in a zip; and what a file must look like to be one."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import BinaryIO

from strongroom.formats.archive import ZIP_MAGIC, Archive, open_archive
from strongroom.formats.base import Opener, head_of
from strongroom.formats.beside import beside
from strongroom_protocol.errors import ImportRefused
from strongroom_protocol.rows.model import ConversationKind

RESULT = "result.json"
TYPES = {
    "personal_chat": ("user", ConversationKind.DIRECT), "bot_chat": ("user", ConversationKind.BOT),
    "saved_messages": ("saved", ConversationKind.SAVED), "private_group": ("chat", ConversationKind.GROUP),
    "private_supergroup": ("channel", ConversationKind.SUPERGROUP),
    "public_supergroup": ("channel", ConversationKind.SUPERGROUP),
    "private_channel": ("channel", ConversationKind.BROADCAST),
    "public_channel": ("channel", ConversationKind.BROADCAST),
}  # fmt: skip
"""Telegram's types of chats: what their ids are of, and what they are here."""

_HEAD_BYTES = 65_536


class _Alone(Archive):
    """A document by itself: what lies beside it is looked for by name, and not listed, for that may be anything."""

    def __init__(self, path: Path) -> None:
        super().__init__({path.name: path.stat().st_size}, Counter())
        self._path = path

    def _open(self, name: str) -> BinaryIO:
        return self._path.open("rb")

    def _is_changed(self, name: str) -> bool:
        return self._path.stat().st_size != self.sizes[name]


def _is_alone(path: Path) -> bool:
    return path.is_file() and not head_of(path).startswith(ZIP_MAGIC)


@contextmanager
def opened(path: Path) -> Iterator[tuple[Archive, str]]:
    """The export's archive, and the name of the JSON in it. Raises ImportRefused."""
    if _is_alone(path):
        yield _Alone(path), path.name
        return
    with open_archive(path) as archive:
        if not archive.enter((RESULT,)):  # spec: IMP-40
            raise ImportRefused(
                f"{path.name} has no result.json",
                hint="export from Telegram Desktop as JSON; of several exports, name each folder",
            )
        yield archive, RESULT


@contextmanager
def files(path: Path) -> Iterator[Opener]:
    """Opens the media of an export by their paths."""
    if _is_alone(path):
        yield partial(beside, path.absolute().parent)
        return
    with opened(path) as (archive, _):
        yield lambda name: archive.open(name) if name in archive.sizes else None


def is_export(path: Path, head: bytes) -> bool:
    """Whether a file that begins with `head`, or a folder, is an export of Telegram Desktop."""
    if not path.is_dir() and not head.startswith(ZIP_MAGIC):
        return _is_result(head)
    try:
        with open_archive(path) as archive:
            if not archive.enter((RESULT,)):
                return False
            with archive.open(RESULT) as file:
                return _is_result(file.read(_HEAD_BYTES))
    except (ImportRefused, OSError):
        return False


def _is_result(head: bytes) -> bool:
    if not head.lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"{"):
        return False
    if b'"personal_information"' in head and b'"user_id"' in head:
        return True  # a full export: its chats come after contacts and sessions, which may be long
    told = b'"messages"' in head or b'"personal_information"' in head or b'"chats"' in head
    return told and (
        b'"date_unixtime"' in head or b'"from_id"' in head or any(f'"{kind}"'.encode() in head for kind in TYPES)
    )
