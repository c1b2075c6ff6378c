"""The plaintext of a frame: columns in deterministic CBOR (spec chapter 07).

For given rows there is exactly one plaintext, and the parser refuses every other form of them, so a frame written
by a compaction can be checked by making it again.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import compress, repeat
from operator import is_not, or_
from typing import cast

from strongroom_protocol.errors import Failure, InvalidArgument, UntrustedDataError
from strongroom_protocol.limits import LIMITS, Limits
from strongroom_protocol.rows.columns import broken
from strongroom_protocol.rows.detail import check_values
from strongroom_protocol.rows.identifiers import index_names, pack_name, read_ids, resolve_names, unpack_name, write_ids
from strongroom_protocol.rows.model import (
    BYTE_MAX,
    HLC_MAX,
    INDEX_MAX,
    SEQ_MAX,
    TIME_MAX,
    VERSION_MAX,
    Detail,
    Op,
    Origin,
)
from strongroom_protocol.rows.store import Col, ColumnReader, ColumnWriter
from strongroom_protocol.rows.strings import utf8
from strongroom_protocol.rows.table import Frame
from strongroom_protocol.wire import cbor
from strongroom_protocol.wire.parse import Fields, array, fixed, uint

SUBJECT = "frame"


def encode_plain(frame: Frame, *, bare: bool = False) -> bytes:
    """The plaintext of a frame whose rows are in frame order; `bare`: without their origins.

    Raises InvalidArgument when the rows are not in order.
    """
    if not frame.is_sorted():
        raise InvalidArgument("rows are not in frame order")
    writer = ColumnWriter()
    senders, names = index_names(frame.sender, null=True)
    for column, values in (
        (Col.OP, frame.op),
        (Col.TIME, frame.time),
        (Col.SEQ, frame.seq),
        (Col.SENDER, senders),
        (Col.KIND, frame.kind),
        (Col.FLAGS, frame.flags),
        (Col.ORDINAL, frame.ordinal),
    ):
        writer.ints(column, values)
    devices = [] if bare else _write_origins(writer, frame)
    write_ids(writer, frame.id)
    writer.texts(Col.TEXT_LENGTH, Col.TEXT_BYTES, frame.text)
    _write_raw(writer, frame.text, frame.raw)
    present = list(filter(None, frame.detail))
    if present:
        writer.ints(Col.HAS_DETAIL, [1 if value else 0 for value in frame.detail])
        writer.blob(Col.DETAIL, cbor.encode(present))
    return cbor.encode(
        {1: 1, 2: frame.conversation, 3: len(frame), 4: writer.columns, 5: list(map(pack_name, names)), 6: devices}
    )


def decode_plain(plain: bytes, *, base: Origin | None = None, limits: Limits = LIMITS) -> Frame:
    """The frame of a plaintext; a bare one takes its rows' origins from `base`, counting up.

    Raises UntrustedDataError: ENCODING, SCHEMA, NEWER_FORMAT, LIMIT, FRAME.
    """
    top = Fields(cbor.decode(plain, limits=limits, subject=SUBJECT), SUBJECT)
    top.format()
    conversation = top.text(2, limits.id_bytes, 1)
    rows = uint(top.take(3), INDEX_MAX, SUBJECT, 1)
    if rows > limits.frame_rows:  # spec: FRAME-1
        raise UntrustedDataError(Failure.LIMIT, "frame of too many rows", subject=SUBJECT)
    reader = ColumnReader(top.take(4), SUBJECT)
    names = [unpack_name(name, limits=limits, subject=SUBJECT) for name in top.array(5, maximum=rows)]
    devices = [fixed(key, 16, SUBJECT) for key in top.array(6, maximum=rows)]
    top.done()
    senders = reader.ints(Col.SENDER, rows, high=len(names))
    if bool(devices) == (base is not None):  # spec: FRAME-26
        raise broken(SUBJECT, "origins stand in stored frames, and in no frame of a batch")
    origins = _read_origins(reader, rows, devices) if base is None else _origins_from(base, rows)
    texts = reader.texts(Col.TEXT_LENGTH, Col.TEXT_BYTES, rows, maximum=limits.text_bytes)
    frame = Frame(
        conversation,
        op=reader.ints(Col.OP, rows, high=max(Op)),
        time=reader.ints(Col.TIME, rows, high=TIME_MAX),
        seq=reader.ints(Col.SEQ, rows, high=SEQ_MAX),
        id=read_ids(reader, rows, limits=limits),
        sender=resolve_names(senders, names, null=True, subject=SUBJECT),
        kind=reader.ints(Col.KIND, rows, high=BYTE_MAX),
        text=texts,
        raw=_read_raw(reader, texts, limits),
        flags=reader.ints(Col.FLAGS, rows, high=BYTE_MAX),
        ordinal=reader.ints(Col.ORDINAL, rows, high=INDEX_MAX),
        detail=_read_details(reader, rows),
        hlc=origins[0],
        device=origins[1],
        batch=origins[2],
        index=origins[3],
    )
    reader.done()
    if not frame.is_sorted():  # spec: FRAME-12
        raise broken(SUBJECT, "rows are not in order")
    if max(frame.op) or frame.detail.count(None) != rows:
        special = map(or_, frame.op, map(is_not, frame.detail, repeat(None)))
        for place in compress(range(rows), special):
            check_values(
                frame.op[place], frame.id[place], frame.kind[place], frame.text[place], frame.detail[place]
            )  # fmt: skip
    return frame


_Origins = tuple[list[int], list[bytes], list[int], list[int]]


def _write_origins(writer: ColumnWriter, frame: Frame) -> list[bytes]:
    indices, devices = index_names(frame.device, null=False)
    writer.ints(Col.HLC, frame.hlc)
    writer.ints(Col.DEVICE, indices)
    writer.ints(Col.BATCH, frame.batch)
    writer.ints(Col.INDEX, frame.index)
    return devices


def _read_origins(reader: ColumnReader, rows: int, devices: Sequence[bytes]) -> _Origins:
    indices = reader.ints(Col.DEVICE, rows, high=len(devices) - 1)
    names = resolve_names(indices, devices, null=False, subject=SUBJECT)
    return (
        reader.ints(Col.HLC, rows, high=HLC_MAX),
        cast(list[bytes], names),  # never null: `null=False`
        reader.ints(Col.BATCH, rows, high=VERSION_MAX),
        reader.ints(Col.INDEX, rows, high=INDEX_MAX),
    )


def _origins_from(base: Origin, rows: int) -> _Origins:
    """A batch says once who wrote it: nobody can put another device's rows into a batch of their own."""
    first = base.position
    return [base.hlc] * rows, [base.device] * rows, [base.batch] * rows, list(range(first, first + rows))


def _write_raw(writer: ColumnWriter, texts: Sequence[str | None], raws: Sequence[bytes | None]) -> None:
    """A source record is what stands before its text and after it; or all of it, when the text is not in it."""
    if raws.count(None) == len(raws):
        return
    before: list[bytes | None] = []
    after: list[bytes | None] = []
    for value, raw in zip(texts, raws, strict=True):
        head, tail = (raw, None) if raw is None or value is None else _around(utf8(value), raw)
        before.append(head)
        after.append(tail)
    writer.blobs(Col.BEFORE_LENGTH, Col.BEFORE_BYTES, before)
    writer.blobs(Col.AFTER_LENGTH, Col.AFTER_BYTES, after)


def _around(inner: bytes, raw: bytes) -> tuple[bytes, bytes | None]:
    place = raw.find(inner)
    return (raw, None) if place < 0 else (raw[:place], raw[place + len(inner) :])


def _read_raw(reader: ColumnReader, texts: Sequence[str | None], limits: Limits) -> list[bytes | None]:
    before = reader.blobs(Col.BEFORE_LENGTH, Col.BEFORE_BYTES, len(texts), maximum=limits.raw_bytes)
    after = reader.blobs(Col.AFTER_LENGTH, Col.AFTER_BYTES, len(texts), maximum=limits.raw_bytes)
    if before.count(None) == len(texts) and after.count(None) == len(texts):
        return before
    raws: list[bytes | None] = []
    for value, head, tail in zip(texts, before, after, strict=True):
        raw = head
        expected: tuple[bytes | None, bytes | None] = (head, None)
        if value is not None and head is not None:
            inner = utf8(value)
            raw = head if tail is None else b"".join((head, inner, tail))
            expected = _around(inner, raw)
        if (head, tail) != expected:  # spec: FRAME-17
            raise broken(SUBJECT, "source record is not in its one form")
        raws.append(raw)
    if max(map(len, filter(None, raws)), default=0) > limits.raw_bytes:  # spec: FRAME-18
        raise UntrustedDataError(Failure.LIMIT, "source record is longer than the limit", subject=SUBJECT)
    return raws


def _read_details(reader: ColumnReader, rows: int) -> list[Detail | None]:
    marks = reader.ints(Col.HAS_DETAIL, rows, high=1)
    data = reader.blob(Col.DETAIL)
    found = array(cbor.decode(data, subject=SUBJECT), SUBJECT, maximum=rows) if data else []
    if len(found) != sum(marks):  # spec: FRAME-19
        raise broken(SUBJECT, "details do not match their marks")
    result: list[Detail | None] = [None] * rows
    for place, value in zip(compress(range(rows), marks), found, strict=True):
        result[place] = value
    return result
