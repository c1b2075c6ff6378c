"""Keeping the directory: hot page, cold pages, what a run changes in them (spec chapter 08)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace

from strongroom.engine.sealer import Sealer
from strongroom.engine.snapshot import Snapshot
from strongroom_protocol.engine.directory import (
    HOT_ROWS,
    NEWEST_FRAMES,
    NEWEST_ROWS,
    PREVIEW_CHARS,
    DirectoryRow,
    encode_rows,
    parse_rows,
)
from strongroom_protocol.engine.index import Entry
from strongroom_protocol.engine.refs import FrameRef, ObjectRef
from strongroom_protocol.engine.root import Directory
from strongroom_protocol.errors import IncompleteError, UntrustedDataError
from strongroom_protocol.rows.ids import conversation_key
from strongroom_protocol.rows.model import Op
from strongroom_protocol.rows.table import Frame
from strongroom_protocol.seal.objects import ObjectType

COLD_PAGE_ROWS = 256
COLD_PAGES = 256
"""Cold pages after which all are written anew; readers refuse more than 1,024."""


async def read_rows(snapshot: Snapshot, *, whole: bool = False) -> dict[bytes, DirectoryRow]:
    """The rows of all conversations in runs, by key: cold pages first, the hot page over them.

    The directory says nothing that the runs do not, so rows on a damaged page are made again from the frames. With
    `whole`, IncompleteError is raised when that misses anything: what is written must not hide a chat for good.
    """
    directory = snapshot.root.directory
    refs = [ref for ref, _ in directory.cold] + ([directory.hot] if directory.hot else [])
    rows: dict[bytes, DirectoryRow] = {}
    contents = await snapshot.source.objects(refs, ObjectType.DIRECTORY)
    for content in contents:
        if isinstance(content, bytes):
            rows |= {row.key: row for row in parse_rows(content)}
    if any(isinstance(content, UntrustedDataError) for content in contents):
        for key in await snapshot.keys_in_runs():
            # An older row on a cold page may stand for one that was lost with the hot page: all are made again.
            row = await _made_again(snapshot, key)
            if row is not None:
                rows[key] = row
            if whole and (row is None or row.rows < sum(ref.rows for ref in await snapshot.refs(key))):
                raise IncompleteError(
                    "the chat list is damaged and cannot be made again from what the relay returns",
                    damaged=tuple(snapshot.source.damage),
                    hint="repeat the command later; nothing was changed. strongroom verify names what is damaged",
                )
    return rows


async def _made_again(snapshot: Snapshot, key: bytes) -> DirectoryRow | None:
    row: DirectoryRow | None = None
    refs = await snapshot.refs(key)
    for ref in refs:
        for frame in await snapshot.frames(key, [ref]):
            row = described(frame, row)
    return None if row is None else relocated(row, refs, frozenset())


def described(frame: Frame, row: DirectoryRow | None) -> DirectoryRow:
    """The row of a conversation after these rows of it (in frame order)."""
    if row is None:
        key = conversation_key(frame.conversation)
        row = DirectoryRow(key, frame.conversation, "", 0, 0, "", "", 0, ())
    title, kind, newest, preview, sender = row.title, row.kind, row.newest, row.preview, row.sender
    for place, op in enumerate(frame.op):
        text = frame.text[place] or ""
        if op == Op.CONVERSATION:
            title, kind = text[:PREVIEW_CHARS] or title, frame.kind[place] & 0xFF
        elif op == Op.PUT and frame.time[place] >= newest:
            newest, preview, sender = (
                frame.time[place],
                text[:PREVIEW_CHARS],
                (frame.sender[place] or "")[:PREVIEW_CHARS],
            )
        elif op in (Op.EDIT, Op.DELETE) and frame.time[place] == newest:
            # What was edited or deleted must not linger in a list; the reader takes it from the frames.
            preview = ""
    return replace(
        row, title=title, kind=kind, newest=newest, preview=preview, sender=sender, rows=row.rows + len(frame)
    )


def relocated(row: DirectoryRow, frames: Sequence[FrameRef], replaced: frozenset[bytes]) -> DirectoryRow:
    """The row with `frames` added and those in `replaced` (chunk digests) removed; the floor rises over what is
    left out, so a reader always knows from what time on the list is complete."""
    kept = [frame for frame in row.frames if frame.chunk.digest not in replaced]
    order = sorted((*kept, *frames), key=lambda frame: (frame.last, frame.first), reverse=True)
    listed: list[FrameRef] = []
    while order and len(listed) < NEWEST_FRAMES and sum(frame.rows for frame in listed) < NEWEST_ROWS:
        listed.append(order.pop(0))
    floor = max([row.floor, *(frame.last for frame in order)])
    return replace(row, frames=tuple(listed), floor=floor)


@dataclass(slots=True)
class DirectoryChange:
    """Rows touched by a change; pages are rewritten only as far as needed."""

    base: Snapshot
    touched: dict[bytes, DirectoryRow] = field(default_factory=dict)
    _known: dict[bytes, DirectoryRow] | None = None

    async def known(self, key: bytes) -> DirectoryRow | None:
        """The row as it is now."""
        if self._known is None:
            self._known = await read_rows(self.base, whole=True)
        return self.touched.get(key) or self._known.get(key)

    async def describe(self, frame: Frame) -> None:
        """Rows of a conversation that are new in this version."""
        key = conversation_key(frame.conversation)
        self.touched[key] = described(frame, await self.known(key))

    async def locate(self, entries: Iterable[Entry], *, replaced: frozenset[bytes] = frozenset()) -> None:
        """New frames of conversations; frames in `replaced` (chunk digests) are gone."""
        grouped: dict[bytes, list[FrameRef]] = {}
        for key, frame in entries:
            grouped.setdefault(key, []).append(frame)
        for key, frames in grouped.items():
            row = await self.known(key)
            if row is not None:
                self.touched[key] = relocated(row, frames, replaced)

    async def finish(self, sealer: Sealer) -> tuple[Directory, set[bytes]]:
        """The new directory and the pages it drops."""
        old = self.base.root.directory
        await self.known(b"")
        rows = dict(self._known or {}) | self.touched
        order = sorted(rows.values(), key=lambda row: (-row.newest, row.key))
        hot, rest = order[:HOT_ROWS], order[HOT_ROWS:]
        dropped = {old.hot.name} if old.hot else set()
        was_cold = await self._cold()
        moved = [row for row in rest if was_cold.get(row.key) != row]
        cold = list(old.cold)
        if sum(count for _, count in cold) + len(moved) > 2 * len(rest) + COLD_PAGE_ROWS or len(cold) >= COLD_PAGES:
            dropped |= {ref.name for ref, _ in cold}
            cold, moved = [], rest
        cold += [(self._page(sealer, page), len(page)) for page in _pages(moved)]
        return Directory(self._page(sealer, hot), tuple(cold)), dropped

    async def _cold(self) -> dict[bytes, DirectoryRow]:
        rows: dict[bytes, DirectoryRow] = {}
        refs = [ref for ref, _ in self.base.root.directory.cold]
        for content in await self.base.source.objects(refs, ObjectType.DIRECTORY):
            if not isinstance(content, UntrustedDataError):
                rows |= {row.key: row for row in parse_rows(content)}
        return rows

    def _page(self, sealer: Sealer, rows: Sequence[DirectoryRow]) -> ObjectRef:
        return sealer.object(ObjectType.DIRECTORY, encode_rows(rows))


def _pages(rows: Sequence[DirectoryRow]) -> list[Sequence[DirectoryRow]]:
    return [rows[at : at + COLD_PAGE_ROWS] for at in range(0, len(rows), COLD_PAGE_ROWS)]
