"""The files that an export's rows name, stored with them (spec section 5.6).

Each is opened once a conversation, however many rows name it. One that is not there, or cannot be read, becomes a
state with a reason; its message is kept in any case.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import BinaryIO

from strongroom.media import FILES, Progress, Sealing, Stream, together
from strongroom.session import Session
from strongroom.sniffing import SNIFF_BYTES, media_type
from strongroom_protocol.errors import InvalidArgument
from strongroom_protocol.rows.media_refs import MEDIA, attachments, with_attachments
from strongroom_protocol.rows.model import Detail, Row

SHA256, SIZE, MIME, PATH, STATE, REASON, SNIFFED = 1, 2, 3, 5, 7, 8, 17

Files = Callable[[str], BinaryIO | None]
"""Opens a file of an export by the path that an attachment names; None when it is not there. Raises OSError."""

_Place = tuple[str, str]  # conversation, path


async def store_attachments(
    session: Session, piece: dict[str, list[Row]], open_file: Files, *, progress: Progress | None = None
) -> set[bytes]:
    """Upload what the attachments of `piece` (rows by conversation) name, and say in the rows what became of it.

    Rows are replaced in the lists; details are not changed in place. Returns the objects that the commit must add.
    Raises ReadOnly, RelayError; ImportRefused when the export changes meanwhile.
    """
    wanted = {
        (conversation, attachment[PATH])
        for conversation, rows in piece.items()
        for row in rows
        for attachment in attachments(row.op, row.detail)
        if _is_wanted(attachment)
    }
    if not wanted:
        return set()
    work = _Work(Sealing.to_relay(session, progress), open_file)
    found = await work.store(sorted(wanted))
    for conversation, rows in piece.items():

        def filled(attachment: Detail, conversation: str = conversation) -> Detail:
            if not _is_wanted(attachment):
                return attachment
            facts = found[conversation, attachment[PATH]]
            return facts | attachment | {key: value for key, value in facts.items() if key not in (MIME, SNIFFED)}

        rows[:] = [
            row if row.detail is None else row._replace(detail=with_attachments(row.op, row.detail, filled))
            for row in rows
        ]
    return work.names


class _Work:
    def __init__(self, sealing: Sealing, open_file: Files) -> None:
        self._sealing = sealing
        self._open = open_file
        self._room = asyncio.Semaphore(FILES)
        self.names: set[bytes] = set()

    async def store(self, places: list[_Place]) -> dict[_Place, Detail]:
        """What there is to say of each file: fields of an attachment."""
        async with together() as group:
            tasks = {place: group.create_task(self._one(*place)) for place in places}
        return {place: task.result() for place, task in tasks.items()}

    async def _one(self, conversation: str, path: str) -> Detail:
        async with self._room:
            try:
                file = await asyncio.to_thread(self._open, path)
                if file is None:
                    return {STATE: "unavailable", REASON: "not in the export"}
                with file:
                    return await self._stored(conversation, Headed(file))
            except OSError as error:
                return {STATE: "unavailable", REASON: f"cannot be read: {error.strerror or 'damaged'}"}
            except InvalidArgument as error:
                return {STATE: "too_large", REASON: str(error)}

    async def _stored(self, conversation: str, file: Headed) -> Detail:
        media = await self._sealing.file(file, conversation)
        self.names |= media.names
        facts: Detail = {SHA256: media.sha256, SIZE: media.size, MEDIA: media.encode()}
        kind = media_type(file.head)
        return facts if kind is None else facts | {MIME: kind, SNIFFED: kind}


class Headed:
    """A stream that remembers its first bytes."""

    def __init__(self, file: Stream) -> None:
        self._file = file
        self.head = b""

    def fileno(self) -> int:
        """The file beneath, where there is one. Raises AttributeError, OSError."""
        number: int = self._file.fileno()  # type: ignore[attr-defined]
        return number

    def read(self, size: int, /) -> bytes:
        piece = self._file.read(size)
        if len(self.head) < SNIFF_BYTES:
            self.head += piece[: SNIFF_BYTES - len(self.head)]
        return piece


def _is_wanted(attachment: Detail) -> bool:
    return PATH in attachment and STATE not in attachment and MEDIA not in attachment
