"""Importing: rows from exports become runs and batches; what is there already is not written again (chapter 13)."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field

from strongroom.commit import commit
from strongroom.engine.change import Change
from strongroom.engine.fold import FAN_IN, fold, merge_full_levels, write_run
from strongroom.engine.run_writer import split
from strongroom.engine.snapshot import Snapshot
from strongroom.session import Session
from strongroom_protocol.engine.batch import Batch
from strongroom_protocol.engine.body import TailEntry
from strongroom_protocol.errors import Failure, InvalidArgument, UntrustedDataError
from strongroom_protocol.limits import LIMITS
from strongroom_protocol.rows.detail import AT
from strongroom_protocol.rows.frame import encode_frame
from strongroom_protocol.rows.ids import conversation_key, message_id
from strongroom_protocol.rows.layout import decode_plain, encode_plain
from strongroom_protocol.rows.model import Op, Row
from strongroom_protocol.rows.table import Frame, unstamped
from strongroom_protocol.seal.objects import ObjectType
from strongroom_protocol.wire import cbor

FLUSH_ROWS = 65_536
FLUSH_BYTES = 48 * 1024 * 1024
BATCH_ROWS = 512
"""Rows up to which an import is an ordinary batch in the tail, not a run."""
BATCH_BYTES = LIMITS.batch_bytes // 4
"""The same in bytes of framed frames."""

DAMAGE = (Failure.NAME, Failure.DIGEST, Failure.COMMITMENT, Failure.SEAL, Failure.MISSING, Failure.CONTEXT)
"""What a damaged or missing object looks like; whatever else goes wrong while merging is an error of the commit."""

Imported = tuple[str, Row]
"""Conversation id and a row without origin."""


@dataclass(slots=True)
class Added:
    """Rows written and rows that were there already, by operation."""

    written: defaultdict[Op, int] = field(default_factory=lambda: defaultdict(int))
    known: int = 0
    commits: int = 0


async def import_rows(
    session: Session, rows: Iterable[Imported], *, progress: Callable[[int], None] | None = None
) -> Added:
    """Commit rows in large pieces, each whole or not at all; interrupted and repeated, nothing is twice or lost."""
    added = Added()
    done = 0
    for piece in _pieces(rows):
        await _add(session, piece, added)
        if added.commits % FAN_IN == FAN_IN - 1:
            await tidy(session)
        done += sum(map(len, piece.values()))
        if progress is not None:
            progress(done)
    await tidy(session)
    return added


async def tidy(session: Session) -> None:
    """Merge runs while a level is full. Where something is damaged, nothing is merged: tidying up must lose nothing."""
    try:
        while await commit(session, merge_full_levels) is not None:
            pass
    except UntrustedDataError as error:
        if error.failure not in DAMAGE:
            raise


async def _add(session: Session, piece: dict[str, list[Row]], added: Added) -> None:
    frames = [unstamped(conversation, rows) for conversation, rows in sorted(piece.items())]
    for frame in frames:
        require_storable(frame)
    written: dict[Op, int] = {}
    known = 0

    async def build(change: Change) -> bool:
        nonlocal known
        known = 0
        written.clear()
        fresh: dict[bytes, Frame] = {}
        for frame in frames:
            rest = await _unknown(change.base, frame)
            known += len(frame) - (0 if rest is None else len(rest))
            if rest is not None:
                fresh[conversation_key(rest.conversation)] = rest
                for op in rest.op:
                    written[Op(op)] = written.get(Op(op), 0) + 1
        if not fresh:
            return False
        await write_rows(session, change, fresh)
        return True

    if await commit(session, build) is not None:
        added.commits += 1
        for op, count in written.items():
            added.written[op] += count
    added.known += known


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
    change.append_batch(TailEntry(ref, session.device.id, sequence, place))


def require_storable(frame: Frame) -> None:
    """Rows are such as every reader accepts, or InvalidArgument is raised: what cannot be read is never committed."""
    try:
        for part in split(frame):
            decode_plain(encode_plain(part))
    except UntrustedDataError as error:
        raise InvalidArgument(f"a row cannot be stored: {error}", hint="nothing of this piece was imported") from error


def _spacious(framed: bytes) -> bool:
    return int.from_bytes(framed[1:5], "big") > LIMITS.batch_bytes


async def _unknown(base: Snapshot, frame: Frame) -> Frame | None:
    """The rows that the history does not have yet; a message that is there with other content becomes an edit."""
    key = conversation_key(frame.conversation)
    refs = [ref for ref in await base.refs(key) if ref.overlaps(frame.time[0], frame.time[-1])]
    seen: set[bytes] = set()
    content: dict[str, bytes] = {}
    for known in (*await base.frames(key, refs), *base.tail_frames(key)):
        for row in known.rows():
            seen.add(_identity(frame.conversation, row))
            if row.op in (Op.PUT, Op.EDIT) and row.id is not None:
                content.setdefault(row.id, _content(row))
    fresh: list[Row] = []
    for row in frame.rows():
        if row.op == Op.PUT and row.id is not None and content.get(row.id, _content(row)) != _content(row):
            row = row._replace(op=Op.EDIT, detail={AT: 0, **(row.detail or {})})
        identity = _identity(frame.conversation, row)
        if identity not in seen:
            seen.add(identity)
            fresh.append(row)
    return unstamped(frame.conversation, fresh) if fresh else None


def _identity(conversation: str, row: Row) -> bytes:
    if row.op == Op.PUT:
        return message_id(conversation, row).encode()
    detail = row.detail or {}
    return cbor.encode([int(row.op), row.time, row.id, row.sender, int(row.kind), row.text, detail])


def _content(row: Row) -> bytes:
    return cbor.encode([row.sender, int(row.kind), row.text, row.detail or {}])


def _pieces(rows: Iterable[Imported]) -> Iterator[dict[str, list[Row]]]:
    piece: defaultdict[str, list[Row]] = defaultdict(list)
    count = size = 0
    for conversation, row in rows:
        piece[conversation].append(row)
        count += 1
        size += len(row.text or "") + len(row.raw or b"") + 64
        if count >= FLUSH_ROWS or size >= FLUSH_BYTES:
            yield piece
            piece = defaultdict(list)
            count = size = 0
    if piece:
        yield piece
