"""From packed rows of one conversation to framed frames: the part of a bulk import that needs no key (chapter 13.7).

`encode` is a function of its job alone, so it runs here or in a worker process, and sees neither the account nor any
secret: what is known of the history already is given to it as framed frames that were opened before.
"""

from __future__ import annotations

import marshal
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import chain, repeat
from typing import Any, NamedTuple

from strongroom.columns import unpack
from strongroom.engine.cutting import split
from strongroom.known import allowed, in_order, texts_of, unknown
from strongroom_protocol.errors import UntrustedDataError
from strongroom_protocol.rows.forget import Forgotten
from strongroom_protocol.rows.frame import Codec, decode_frame, encode_frame
from strongroom_protocol.rows.media_refs import part_refs
from strongroom_protocol.rows.model import DeleteKind, Op
from strongroom_protocol.rows.table import Frame

_SHOWN = (Op.PUT, Op.EDIT, Op.DELETE)


class Job(NamedTuple):
    """Rows of one conversation, in packed portions; `newest`: nothing later follows; the origin of the first;
    and up to what times messages, files and facts were forgotten."""

    conversation: str
    portions: list[bytes]
    newest: bool
    known: list[bytes]
    clock: int
    device: bytes
    sequence: int
    place: int
    forgotten: tuple[int, int, int] = (-1, -1, -1)


class Encoded(NamedTuple):
    """A frame: times of its first and last row, rows, framed bytes, parts of media (name, size), whether it erases."""

    first: int
    last: int
    rows: int
    framed: bytes
    media: list[tuple[bytes, int]]
    erases: bool


class Answer(NamedTuple):
    """What became of a job. `summary` is a framed frame of those rows that say what a chat list shows."""

    frames: list[Encoded]
    written: dict[int, int]
    known: int
    summary: bytes
    kept_out: int = 0


def encode(job: Job) -> Answer:
    """The rows that are new, as stored frames."""
    rows, kept_out = allowed(rows_of(job.conversation, job.portions), Forgotten(*job.forgotten))
    fresh, known = (None, 0) if rows is None else unknown(rows, list(_decoded(job)))
    if fresh is None:
        return Answer([], {}, known, b"", kept_out)
    fresh.stamp(job.clock, job.device, job.sequence, job.place)
    frames = [
        Encoded(
            part.time[0], part.time[-1], len(part), encode_frame(part.conversation, part), _media(part), _erases(part)
        )
        for part in split(fresh, newest=job.newest)
    ]
    written = dict(Counter(fresh.op)) if any(fresh.op) else {int(Op.PUT): len(fresh)}
    return Answer(
        frames, written, known, encode_frame(fresh.conversation, _summary(fresh), codec=Codec.STORED), kept_out
    )


def under(answer: Answer, sequence: int) -> Answer:
    """The same rows under another sequence of their device."""

    def again(framed: bytes) -> bytes:
        rows = decode_frame(framed)
        rows.batch = [sequence] * len(rows)
        return encode_frame(rows.conversation, rows)

    return answer._replace(frames=[frame._replace(framed=again(frame.framed)) for frame in answer.frames])


def encode_packed(packed: bytes) -> bytes:
    """`encode` between processes: packed jobs in, their packed answers out."""
    answers = [encode(Job(*job)) for job in marshal.loads(packed)]  # noqa: S302 - from this program's own parent
    return marshal.dumps([(list(map(tuple, answer.frames)), *answer[1:]) for answer in answers])


def pack_jobs(jobs: list[Job]) -> bytes:
    """Jobs for `encode_packed`."""
    return marshal.dumps(list(map(tuple, jobs)))


def unpack_answers(packed: bytes) -> list[Answer]:
    """Answers of `encode_packed`."""
    answers = marshal.loads(packed)  # noqa: S302 - from this program's own child
    return [Answer([Encoded(*frame) for frame in frames], *rest) for frames, *rest in answers]


def rows_of(conversation: str, packed: Sequence[bytes]) -> Frame:
    """The rows of packed portions in frame order, without origins. Where all ids are numbers they stay numbers."""
    parts = [unpack(portion) for portion in packed]
    counts = [len(part["time"]) for part in parts]
    rows = sum(counts)

    def column(name: str, default: Any) -> list[Any]:
        if len(parts) == 1:
            return list(parts[0].get(name, ())) or [default] * rows
        if not any(name in part for part in parts):
            return [default] * rows
        pieces = (part.get(name) or repeat(default, count) for part, count in zip(parts, counts, strict=True))
        return list(chain.from_iterable(pieces))

    ids = column("id", None)
    if set(map(type, ids)) != {int}:
        ids = texts_of(ids)
    frame = Frame(
        conversation,
        op=column("op", 0), time=column("time", 0), seq=column("seq", 0), id=ids, sender=column("sender", None),
        kind=column("kind", 0), text=column("text", None), raw=column("raw", None), flags=column("flags", 0),
        ordinal=column("ordinal", 0), detail=column("detail", None), hlc=[], device=[], batch=[], index=[],
    )  # fmt: skip
    frame.stamp(0, bytes(16), 0)
    return in_order(frame)


def _summary(rows: Frame) -> Frame:
    """The rows that decide title, newest message and preview: describing them is describing all."""
    count = len(rows)
    if not any(rows.op):
        return rows.slice(bisect_left(rows.time, rows.time[-1]), count)
    since = max((time for time, op in zip(rows.time, rows.op, strict=True) if op == Op.PUT), default=0)
    decisive = [
        place
        for place, op in enumerate(rows.op)
        if op == Op.CONVERSATION or (op in _SHOWN and rows.time[place] >= since)
    ]
    return rows.take(decisive or [count - 1])


def _media(rows: Frame) -> list[tuple[bytes, int]]:
    """Names and sizes of the parts of media that the rows refer to."""
    if not any(rows.detail):
        return []
    return [(part.name, part.size) for detail in filter(None, rows.detail) for part in part_refs(detail)]


def _erases(rows: Frame) -> bool:
    return any(rows.op) and (Op.DELETE, DeleteKind.ERASE) in zip(rows.op, rows.kind, strict=True)


def _decoded(job: Job) -> Iterator[Frame]:
    for framed in job.known:
        try:
            frame = decode_frame(framed)
        except UntrustedDataError:  # damage: its rows are written again, and merging makes them one
            continue
        if frame.conversation == job.conversation:
            yield frame
