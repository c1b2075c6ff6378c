"""Reading the directory: rows from the hot page and cold pages, made again where a page is damaged (spec chapter 08).

The directory says nothing that the runs do not, so no damage to it loses anything for good; and what is *written* must
never be made from a list that a relay has made shorter, see `whole`.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from dataclasses import replace

from strongroom.engine.snapshot import Snapshot
from strongroom_protocol.engine.directory import (
    NEWEST_FRAMES,
    NEWEST_ROWS,
    PREVIEW_CHARS,
    DirectoryRow,
)
from strongroom_protocol.engine.hot import HotPage
from strongroom_protocol.engine.refs import FrameRef
from strongroom_protocol.errors import IncompleteError
from strongroom_protocol.rows.forget import Forgotten, Mark, marks_of, pruned
from strongroom_protocol.rows.ids import conversation_key
from strongroom_protocol.rows.merge import Order
from strongroom_protocol.rows.model import DeleteKind, Op, Origin, Row
from strongroom_protocol.rows.table import Frame

Rows = dict[bytes, DirectoryRow]
"""Directory rows by conversation key."""


async def read_rows(snapshot: Snapshot, *, whole: bool = False) -> Rows:
    """The rows of all conversations in runs.

    Rows on a damaged page are made again from the frames. With `whole`, IncompleteError is raised when that misses
    anything.
    """
    hot = await snapshot.hot()
    if hot is None:
        return await made_again(snapshot, None, whole=whole)
    rows, bad = await cold_rows(snapshot, hot, numbers_in(hot))
    recent = {row.key: row for row in hot.rows}
    if bad:
        rows |= await made_again(snapshot, lambda key: key not in recent and bad & {*hot.pages_of(key)}, whole=whole)
    return rows | recent


async def rows_of(snapshot: Snapshot, keys: Collection[bytes], *, whole: bool = False) -> Rows:
    """The rows of these conversations, as far as runs hold them: one read of the cold pages that have them."""
    hot = await snapshot.hot()
    if hot is None:
        return await made_again(snapshot, keys.__contains__, whole=whole)
    rows = {row.key: row for row in hot.rows if row.key in keys}
    others = [key for key in keys if key not in rows]
    found, bad = await cold_rows(snapshot, hot, {number for key in others for number in hot.pages_of(key)})
    lost = {key for key in others if bad & {*hot.pages_of(key)}}
    if lost:
        found |= await made_again(snapshot, lost.__contains__, whole=whole)
    return rows | {key: found[key] for key in others if key in found}


def numbers_in(hot: HotPage) -> set[int]:
    """The cold pages that have a row which counts."""
    return {int.from_bytes(place[4:], "big") for place in hot.places}


async def cold_rows(snapshot: Snapshot, hot: HotPage, numbers: Iterable[int]) -> tuple[Rows, set[int]]:
    """What these cold pages say of the conversations that the map files there, and the pages that are damaged."""
    order = sorted(numbers)
    rows: Rows = {}
    bad: set[int] = set()
    for number, found in zip(order, await snapshot.pages([hot.cold[n].ref for n in order]), strict=True):
        if found is None:
            bad.add(number)
        else:  # a later page has the newer row: an older one under the same prefix is left from before
            rows |= {row.key: row for row in found if number in hot.pages_of(row.key)}
    return rows, bad


async def made_again(snapshot: Snapshot, wanted: Callable[[bytes], object] | None, *, whole: bool) -> Rows:
    """Rows from the frames themselves, of the keys for which `wanted` holds (None: all)."""
    complete = [len(await snapshot.entries(run)) == run.frames for run in snapshot.root.runs]
    if whole and not all(complete):  # spec: ENG-14
        raise _incomplete(snapshot)  # a conversation that only the missing entries name would be hidden for good
    rows: Rows = {}
    for key in sorted(await snapshot.keys_in_runs()):
        if wanted is not None and not wanted(key):
            continue
        row: DirectoryRow | None = None
        refs = await snapshot.refs(key)
        for ref in refs:
            for frame in await snapshot.frames(key, [ref], stored=True):
                row = described(frame, row, Order(snapshot.head.time))
        if row is not None:
            rows[key] = relocated(row, refs, ())
        if whole and (row is None or row.rows < sum(ref.rows for ref in refs)):  # spec: ENG-14
            raise _incomplete(snapshot)
    return rows


def _incomplete(snapshot: Snapshot) -> IncompleteError:
    return IncompleteError(
        "the chat list is damaged and cannot be made again from what the relay returns",
        damaged=tuple(snapshot.source.damage),
        hint="repeat the command later; nothing was changed. strongroom verify names what is damaged",
    )


def described(frame: Frame, row: DirectoryRow | None, order: Order) -> DirectoryRow:
    """The row of a conversation after these rows of it (in frame order).

    Title and kind are the register's (chapter 10), whichever value is written last; a row without text names nothing
    while another has one.
    """
    if row is None:
        key = conversation_key(frame.conversation)
        row = DirectoryRow(key, frame.conversation, "", 0, 0, "", "", 0, ())
    row = replace(row, rows=row.rows + len(frame))
    marks = marks_of(frame)
    if marks:
        row = _forgetting(row, marks, order)
    shown = Forgotten.of(row.forgets, order.latest).shown(frame) if row.forgets else frame
    if shown is None:
        return row
    for place, op in enumerate(shown.op):
        if op == Op.CONVERSATION:
            row = _titled(shown.row(place), row, order)
    return _latest(shown, row)


def is_gone(row: DirectoryRow, order: Order) -> bool:
    """Whether a conversation was forgotten as a whole, and nothing has come to it since."""
    if not row.forgets or row.title:
        return False
    return row.newest <= Forgotten.of(row.forgets, order.latest).facts


def _forgetting(row: DirectoryRow, marks: Iterable[Mark], order: Order) -> DirectoryRow:
    """What a list shows goes as soon as it is forgotten; the newest time stays, so that no chat moves in the list."""
    row = replace(row, forgets=pruned((*row.forgets, *marks), order.latest))
    gone = Forgotten.of(row.forgets, order.latest)
    if row.newest <= gone.messages:  # spec: ENG-17
        row = replace(row, preview="", sender="")
    if row.named is None or row.named[0] <= gone.facts:
        row = replace(row, title="", kind=0, named=None)
    return row


def _titled(found: Row, row: DirectoryRow, order: Order) -> DirectoryRow:
    title = (found.text or "")[:PREVIEW_CHARS]
    named = (found.time, found.origin)
    if row.named is not None and _place(title, named, order) < _place(row.title, row.named, order):
        return row
    return replace(row, title=title, kind=found.kind & 0xFF, named=named)


def _place(title: str, named: tuple[int, Origin], order: Order) -> tuple[bool, tuple[int, Origin]]:
    return (bool(title), order.register(Row(Op.CONVERSATION, named[0], origin=named[1])))


def _latest(frame: Frame, row: DirectoryRow) -> DirectoryRow:
    newest, preview, sender = row.newest, row.preview, row.sender
    emptied = row.newest > 0 and not preview
    for place, op in enumerate(frame.op):
        time = frame.time[place]
        if op == Op.PUT and (time > newest or (time == newest and not emptied)):
            # An emptied preview is not filled by a row of the same time: it may be what was deleted, come again.
            newest, emptied = time, False
            preview = (frame.text[place] or "")[:PREVIEW_CHARS]
            sender = (frame.sender[place] or "")[:PREVIEW_CHARS]
        elif op == Op.DELETE and frame.kind[place] == DeleteKind.ERASE and time >= newest:
            # The message counts whether its PUT is still stored or not, so erasing it moves no chat in the list.
            newest, preview, sender, emptied = time, "", "", True
        elif op in (Op.EDIT, Op.DELETE) and time == newest:
            # What was edited or deleted must not linger in a list; the reader takes it from the frames.
            preview, emptied = "", True
    return replace(row, newest=newest, preview=preview, sender=sender)


def relocated(row: DirectoryRow, frames: Collection[FrameRef], replaced: Collection[FrameRef]) -> DirectoryRow:
    """The row with `frames` in the place of `replaced`; the floor rises over what is left out, so a reader always
    knows from what time on the list is complete."""
    gone = {frame.chunk.digest for frame in replaced}
    kept = [frame for frame in row.frames if frame.chunk.digest not in gone]
    order = sorted((*kept, *frames), key=lambda frame: (frame.last, frame.first), reverse=True)
    listed: list[FrameRef] = []
    while order and len(listed) < NEWEST_FRAMES and sum(frame.rows for frame in listed) < NEWEST_ROWS:
        listed.append(order.pop(0))
    floor = max([row.floor, *(frame.last for frame in order)])
    rows = row.rows + (sum(frame.rows for frame in frames) - sum(frame.rows for frame in replaced) if replaced else 0)
    return replace(row, frames=tuple(listed), floor=floor, rows=rows)
