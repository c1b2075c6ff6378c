"""Exporting: conversations stream out of a snapshot into an exporter that runs in a thread (spec chapter 13)."""

from __future__ import annotations

import asyncio
import concurrent.futures
import threading
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from datetime import UTC, tzinfo
from functools import partial
from itertools import chain
from pathlib import Path
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from strongroom.engine.reading import spans
from strongroom.engine.snapshot import Snapshot
from strongroom.exporting_files import ExportedFiles
from strongroom.formats.export_json import Chat, Files, export_json
from strongroom_protocol.errors import InvalidArgument
from strongroom_protocol.rows.ids import conversation_key
from strongroom_protocol.rows.merge import Order, facts, fold
from strongroom_protocol.rows.model import Op, Row
from strongroom_protocol.rows.table import Frame

FACTS = (Op.CONVERSATION, Op.MEMBER, Op.SOURCE)


Exporter = Callable[[Path, Iterable[Chat], Files], dict[str, int]]
"""Writes chats and their files under a folder, and counts what it wrote."""

FORMATS = ("json", "txt", "html")


def exporter(name: str, zone: str | None = None) -> Exporter:
    """The exporter of a format. `zone` is the time zone that a person reads times in (`Europe/Rome`), UTC unless given.

    Raises InvalidArgument for a format or zone that is none.
    """
    if name == "json":
        return export_json
    try:
        where: tzinfo = UTC if zone is None else ZoneInfo(zone)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise InvalidArgument(f"there is no time zone {zone!r}", hint="name it as in Europe/Rome") from error
    if name == "txt":
        from strongroom.formats.export_txt import export_txt

        return partial(export_txt, zone=where, zone_name=zone or "UTC")
    if name == "html":
        from strongroom.formats.html import export_html

        return partial(export_html, zone=where, zone_name=zone or "UTC")
    raise InvalidArgument(f"there is no format {name!r}", hint=f"one of: {', '.join(FORMATS)}")


async def export_snapshot(
    snapshot: Snapshot, target: Path, *, write: Exporter = export_json, chat: str | None = None, media: bool = True,
    staged: Path | None = None, progress: Callable[[int], None] | None = None,
) -> dict[str, int]:  # fmt: skip
    """Write every conversation of a snapshot, or the one of id `chat`; returns the counts, with `conversations`.

    With `media`, files are written beside the chats, each once. Memory: one stretch of one conversation. What is
    damaged is missing and noted in the snapshot's source. `progress` gets the rows written so far.
    """
    loop = asyncio.get_running_loop()
    keys = await snapshot.keys() if chat is None else [conversation_key(chat)]
    exported = 0
    stopped = threading.Event()

    def chats() -> Iterator[Chat]:
        nonlocal exported
        order = Order(snapshot.head.time)
        for key in keys:
            found: list[Row] = []
            conversation = None
            for frame in _blocking(spans(snapshot, key), loop, stopped):
                conversation = frame.conversation
                if not set(FACTS).isdisjoint(frame.op):
                    found += [row for row in frame.rows() if row.op in FACTS]
            if conversation is not None:
                exported += 1
                known = [row for op in FACTS for row in facts(found, op, order)]
                rows = chain.from_iterable(frame.rows() for frame in _blocking(spans(snapshot, key), loop, stopped))
                yield Chat(conversation, known, fold(conversation, rows, order))

    try:
        files = ExportedFiles(snapshot.source, loop, stopped, staged, progress)
        counts = await loop.run_in_executor(None, lambda: write(target, chats(), files if media else files.passed))
    finally:
        stopped.set()
    return counts | {"conversations": exported, "files": files.written}


def _blocking(
    items: AsyncIterator[Frame], loop: asyncio.AbstractEventLoop, stopped: threading.Event
) -> Iterator[Frame]:
    """The items of an asynchronous iterator of `loop`, for another thread.

    Raises CancelledError when the export is stopped: a loop that closes ends its iterators as if all had been said,
    and an export that looks whole but is not must never be put into place.
    """

    async def following() -> Frame | None:
        return await anext(items, None)

    while True:
        item = asyncio.run_coroutine_threadsafe(following(), loop).result()
        if stopped.is_set():
            raise concurrent.futures.CancelledError
        if item is None:
            return
        yield item
