"""The files of an export: each once, by its hash, streamed from the vault while rows are written (docs/formats.md)."""

from __future__ import annotations

import asyncio
import re
import threading
from collections.abc import Callable
from concurrent.futures import CancelledError
from pathlib import Path

from strongroom.engine.source import ObjectSource
from strongroom.formats.names import INERT
from strongroom.media_reading import download, part_of
from strongroom_protocol.errors import UntrustedDataError
from strongroom_protocol.rows.media_refs import MEDIA, with_attachments
from strongroom_protocol.rows.model import Detail, Row
from strongroom_protocol.seal.media import Media

NAME, PATH, STATE, REASON = 4, 5, 7, 8
_SUFFIX = re.compile(r"\.[a-z0-9]{1,12}")


class ExportedFiles:
    """Called from the exporter's thread with every row; `loop` is that of the vault."""

    def __init__(
        self, source: ObjectSource, loop: asyncio.AbstractEventLoop, stopped: threading.Event, staged: Path | None,
        progress: Callable[[int], None] | None,
    ) -> None:  # fmt: skip
        self._source = source
        self._loop = loop
        self._stopped = stopped
        self._staged = staged
        self._progress = progress
        self._rows = 0
        self._lost: dict[bytes, str] = {}
        self._paths: dict[bytes, str] = {}

    @property
    def written(self) -> int:
        """Files written."""
        return len(self._paths)

    def __call__(self, row: Row, folder: Path) -> Row:
        """Write the files of a row and name them by their paths; one that is damaged says so instead."""
        self.passed(row, folder)
        if row.detail is None:
            return row
        detail = with_attachments(row.op, row.detail, lambda attachment: self._named(attachment, folder))
        return row if detail is row.detail else row._replace(detail=detail)

    def passed(self, row: Row, folder: Path) -> Row:
        """A row without its files."""
        self._rows += 1
        if self._progress is not None and self._rows % 1000 == 0:
            self._loop.call_soon_threadsafe(self._progress, self._rows)
        return row

    def _named(self, attachment: Detail, folder: Path) -> Detail:
        if MEDIA not in attachment:
            return attachment
        rest = {key: value for key, value in attachment.items() if key != MEDIA}
        descriptor = bytes(attachment[MEDIA])
        try:
            media = Media.decode(descriptor)
        except UntrustedDataError as error:
            return rest | {STATE: "unavailable", REASON: f"damaged in the backup: {error.failure}"}
        if descriptor not in self._lost and media.sha256 not in self._paths:
            suffix = Path(str(attachment.get(NAME, ""))).suffix.lower()
            if _SUFFIX.fullmatch(suffix) is None:
                suffix = ""
            elif suffix[1:] not in INERT:  # spec: EXP-3
                suffix = ".bin"  # whoever looks into the folder starts and fetches nothing that a sender's name chose
            path = f"files/{media.sha256.hex()}{suffix}"
            self._write(media, descriptor, folder / path)
            if descriptor not in self._lost:
                self._paths[media.sha256] = path
        if media.sha256 not in self._paths:  # the same file may be whole in another chat
            return rest | {STATE: "unavailable", REASON: self._lost[descriptor]}
        return rest | {PATH: self._paths[media.sha256]}

    def _write(self, media: Media, descriptor: bytes, target: Path) -> None:
        target.parent.mkdir(exist_ok=True)
        work = download(self._source, media, target, staged=self._staged)
        try:
            asyncio.run_coroutine_threadsafe(work, self._loop).result()
        except UntrustedDataError as error:
            self._lost[descriptor] = f"damaged in the backup: {error.failure}"
            part_of(target, media).unlink(missing_ok=True)
            return
        if self._stopped.is_set():
            raise CancelledError
