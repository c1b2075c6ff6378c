"""Importing: rows from exports become runs and batches; what is there already is not written again (chapter 13.7)."""

from __future__ import annotations

import gc
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, BinaryIO

from strongroom.bulk import Piece
from strongroom.columns import Columns
from strongroom.commit import commit
from strongroom.encoding import rows_of
from strongroom.engine.change import Change
from strongroom.engine.fold import fold, merge_full_levels, write_run
from strongroom.engine.run_writer import media_of
from strongroom.heap import give_back
from strongroom.history import History
from strongroom.intake import Chunk, Intake, Taken
from strongroom.known import allowed, texts_of, unknown
from strongroom.run_output import BATCH_ROWS as BATCH_ROWS
from strongroom.session import Session
from strongroom.worker import Worker
from strongroom_protocol.engine.batch import Batch
from strongroom_protocol.engine.body import TailEntry
from strongroom_protocol.errors import Failure, UntrustedDataError
from strongroom_protocol.limits import LIMITS, MIB
from strongroom_protocol.rows.frame import encode_frame
from strongroom_protocol.rows.ids import conversation_key
from strongroom_protocol.rows.model import Op, Row
from strongroom_protocol.rows.table import Frame
from strongroom_protocol.seal.objects import ObjectType

BULK_ROWS = 65_536
"""Rows with which an import is large: it goes on in pieces that are encoded in another process."""

BULK_BYTES = 16 * MIB
"""The same in packed bytes."""

CHUNK_ROWS = 4_096
CHUNK_BYTES = 4 * MIB
"""Rows, and about their bytes, that single rows are gathered to before they become columns."""

COLLECT_AFTER = 100_000
"""Objects made, net, between two looks for garbage."""

BATCH_BYTES = LIMITS.batch_bytes // 4
"""Framed bytes up to which an import is an ordinary batch in the tail, not a run."""

DAMAGE = (Failure.NAME, Failure.DIGEST, Failure.COMMITMENT, Failure.SEAL, Failure.MISSING, Failure.CONTEXT)
"""What a damaged or missing object looks like; whatever else goes wrong while merging is an error of the commit."""

Imported = tuple[str, Row]
"""Conversation id and a row without origin."""

Files = Callable[[str], BinaryIO | None]
"""Opens the file of an attachment by its path in the export; None when there is none."""


@dataclass(slots=True)
class Added:
    """Rows written, by operation; messages that were there already; commits; messages kept out, since they or all of
    their time were erased."""

    written: defaultdict[Op, int] = field(default_factory=lambda: defaultdict(int))
    known: int = 0
    commits: int = 0
    kept_out: int = 0

    def plus(self, other: Added) -> Added:
        """Both together."""
        both = Added(
            known=self.known + other.known, commits=self.commits + other.commits,
            kept_out=self.kept_out + other.kept_out,
        )  # fmt: skip
        both.count(self.written, 0)
        both.count(other.written, 0)
        return both

    def count(self, written: Mapping[Any, int], known: int) -> None:
        """Add what became of some rows."""
        for op, rows in written.items():
            self.written[Op(op)] += rows
        self.known += known


async def import_columns(
    session: Session, chunks: Iterable[Columns], *, progress: Callable[[int], None] | None = None
) -> Added:
    """Commit rows given as columns, in large pieces, each whole or not at all.

    Interrupted and repeated, nothing is twice or lost. `progress` is told the rows read. Raises InvalidArgument for
    a row that cannot be stored; the pieces before it stay, and the error says how many rows they were.
    """
    return await _import(session, Intake(_unattached(chunks), progress))


async def import_rows(
    session: Session,
    rows: Iterable[Imported],
    *,
    progress: Callable[[int], None] | None = None,
    files: Files | None = None,
) -> Added:
    """The same for single rows; with `files`, what their attachments name is stored with them."""
    source = _unattached(_gathered(rows)) if files is None else _attached(session, rows, files)
    return await _import(session, Intake(source, progress))


async def tidy(session: Session) -> None:
    """Merge runs while a level is full. Where something is damaged, nothing is merged: tidying up must lose nothing."""
    try:
        while await commit(session, merge_full_levels) is not None:
            pass
    except UntrustedDataError as error:
        if error.failure not in DAMAGE:
            raise


async def _import(session: Session, intake: Intake) -> Added:
    added = Added()
    while not intake.ended and intake.rows < BULK_ROWS and intake.size < BULK_BYTES:
        await intake.read()
    if intake.ended:
        await _small(session, intake, added)
    else:
        with Worker() as worker, _seldom_collected():
            while not intake.ended or intake.size:
                await _bulk(session, intake, worker, added)
                give_back()
                await tidy(session)
    await tidy(session)
    return added


async def _bulk(session: Session, intake: Intake, worker: Worker, added: Added) -> None:
    piece = Piece(session, intake, worker)
    if await commit(session, piece.build) is not None:
        added.commits += 1
    for _, answer in piece.answers:
        added.count(answer.written, answer.known)
        added.kept_out += answer.kept_out
    intake.committed = intake.rows - intake.waiting


@contextmanager
def _seldom_collected() -> Iterator[None]:
    """Garbage is looked for seldom: a stream of rows makes millions of objects and no cycle, and looking among them
    takes a fifth of the time."""
    usual = gc.get_threshold()
    gc.set_threshold(max(usual[0], COLLECT_AFTER), *usual[1:])
    try:
        yield
    finally:
        gc.set_threshold(*usual)


async def _small(session: Session, intake: Intake, added: Added) -> None:
    """One commit of what fits into memory as it is, compared again with the history when the race for it is lost."""
    taken = list(intake.rest())
    written: Counter[int] = Counter()
    known = kept_out = 0

    async def build(change: Change) -> bool:
        nonlocal known, kept_out
        known = kept_out = 0
        written.clear()
        fresh: dict[bytes, Frame] = {}
        history = await History.of(change.base)
        for frame in map(_frame, taken):
            shown, out = allowed(frame, history.forgotten(frame.conversation))
            kept_out += out
            if shown is None:
                continue
            there = await history.frames(frame.conversation, frame.time[0], frame.time[-1])
            rest, found = unknown(shown, there)
            known += found
            if rest is not None:
                rest.id = texts_of(rest.id)
                fresh[conversation_key(rest.conversation)] = rest
                written.update(rest.op)
        if not fresh:
            return False
        if intake.media:
            used = media_of(detail for frame in fresh.values() for detail in frame.detail)
            change.uploaded |= intake.media & {part.name for part in used}
        await write_rows(session, change, fresh)
        return True

    if taken and await commit(session, build) is not None:
        added.commits += 1
    added.count(written, known)
    added.kept_out += kept_out


def _frame(taken: Taken) -> Frame:
    conversation, portions = taken
    return rows_of(conversation, [portion.data for portion in portions])


async def write_rows(session: Session, change: Change, conversations: dict[bytes, Frame]) -> None:
    """Stamp rows with the next origin of this device and put them into the tail, or as a run when they are many."""
    sequence = next(change.sealer.sequences)
    clock = session.next_clock()
    place = 0
    for frame in conversations.values():
        frame.stamp(clock, session.device.id, sequence, place)
        place += len(frame)
    if place > BATCH_ROWS:
        await write_run(change, conversations)
        return
    framed = tuple(encode_frame(frame.conversation, frame, bare=True) for frame in conversations.values())
    if sum(map(len, framed)) > BATCH_BYTES or any(map(_spacious, framed)):
        await write_run(change, conversations)
        return
    if len(change.tail) >= LIMITS.tail_batches:
        await fold(change)
    if len(change.tail) >= LIMITS.tail_batches:  # not one batch could be read: the tail takes no more
        await write_run(change, conversations)
        return
    sign = session.device.sign
    content = Batch(session.device.id, sequence, clock, framed).sign(session.account, sign.public, sign.sign)
    ref = change.sealer.object(ObjectType.BATCH, content, sequence=sequence)
    change.append_batch(TailEntry(ref, session.device.id, sequence, place), tuple(conversations.values()))


def _spacious(framed: bytes) -> bool:
    return int.from_bytes(framed[1:5], "big") > LIMITS.batch_bytes


async def _unattached(chunks: Iterable[Columns]) -> AsyncIterator[Chunk]:
    for columns in chunks:
        yield columns, set()


async def _attached(session: Session, rows: Iterable[Imported], files: Files) -> AsyncIterator[Chunk]:
    from strongroom.attachments import store_attachments

    for pairs in _stretches(rows):
        piece: dict[str, list[Row]] = defaultdict(list)
        for conversation, row in pairs:
            piece[conversation].append(row)
        names = await store_attachments(session, piece, files)
        yield Columns.from_rows([(conversation, row) for conversation, some in piece.items() for row in some]), names


def _gathered(rows: Iterable[Imported]) -> Iterator[Columns]:
    return map(Columns.from_rows, _stretches(rows))


def _weight(item: object) -> int:
    """About the bytes of a detail, or of something in it."""
    if isinstance(item, dict):
        return sum(map(_weight, item.values()), 8)
    if isinstance(item, list):
        return sum(map(_weight, item), 8)
    return 8 + len(item) if isinstance(item, (str, bytes)) else 8


def _stretches(rows: Iterable[Imported]) -> Iterator[list[Imported]]:
    piece: list[Imported] = []
    size = 0
    for item in rows:
        piece.append(item)
        # A detail came out of the record: where that is kept verbatim, it is counted already.
        size += len(item[1].text or "") + (_weight(item[1].detail) if item[1].raw is None else len(item[1].raw))
        if len(piece) >= CHUNK_ROWS or size >= CHUNK_BYTES:
            yield piece
            piece, size = [], 0
    if piece:
        yield piece
