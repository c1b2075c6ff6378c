"""Vectors of rows: frames and the ids of messages."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from strongroom_protocol.errors import Failure
from strongroom_protocol.rows.columns import encode_ints
from strongroom_protocol.rows.compression import deflate
from strongroom_protocol.rows.forget import Forgotten, marks_of
from strongroom_protocol.rows.frame import decode_frame
from strongroom_protocol.rows.ids import content_id, conversation_key
from strongroom_protocol.rows.layout import encode_plain
from strongroom_protocol.rows.merge import Order
from strongroom_protocol.rows.model import Op, Origin, Row
from strongroom_protocol.rows.store import DELTAS, Col
from strongroom_protocol.rows.table import Frame
from strongroom_protocol.wire import cbor
from vectors import world
from vectors.case import Area, Case, Json, bad, good, maybe, unhex
from vectors.recorded import recorded

OK = "ok"


def _shown(row: Row) -> Json:
    return {
        "op": row.op, "time": row.time, "seq": row.seq, "id": row.id, "sender": row.sender, "kind": row.kind,
        "text": row.text, "raw": row.raw, "flags": row.flags, "ordinal": row.ordinal,
        "detail": None if row.detail is None else cbor.encode(row.detail),
        "origin": [row.origin.hlc, row.origin.device, row.origin.batch, row.origin.position],
    }  # fmt: skip


def _row(given: Mapping[str, Any]) -> Row:
    hlc, device, batch, position = given["origin"]
    detail = maybe(given["detail"])
    return Row(
        given["op"], given["time"], given["seq"], given["id"], given["sender"], given["kind"], given["text"],
        maybe(given["raw"]), given["flags"], given["ordinal"], None if detail is None else cbor.decode(detail),
        Origin(hlc, unhex(device), batch, position),
    )  # fmt: skip


def _encode(given: Mapping[str, Any]) -> Json:
    frame = Frame.from_rows(given["conversation"], [_row(row) for row in given["rows"]])
    return {"plaintext": encode_plain(frame, bare=given["bare"])}


def _decode(given: Mapping[str, Any]) -> Json:
    base = None
    if given["base"] is not None:
        hlc, device, batch, position = given["base"]
        base = Origin(hlc, unhex(device), batch, position)
    frame = decode_frame(unhex(given["frame"]), base=base)
    return {"conversation": frame.conversation, "rows": [_shown(row) for row in frame.rows()]}


def _framed(plain: bytes, codec: int = 0, payload: bytes | None = None, length: int | None = None) -> bytes:
    return bytes((codec,)) + (len(plain) if length is None else length).to_bytes(4, "big") + (payload or plain)


A, B = world.A.id, world.B.id


def _rows() -> list[Row]:
    """One row of every kind of column content."""
    start, clock = 1_600_000_000_000, 1_700_000_000_000 << 16
    one = [Origin(clock, A, 5, n) for n in range(3)]
    two = [Origin(clock + 9, B, 2, n) for n in range(6)]
    chinese, thumb = "\u6e2c\u8a66", "\U0001f44d"
    return [
        Row(0, start, 1, "100", "alice", 0, "hello", b"[08:00] <alice> hello", origin=one[0]),
        Row(0, start + 500, 2, "msg-7", "bob", 1, chinese, b"no text in it", 16, 0, {9: "t"}, one[1]),
        Row(0, start + 1000, 3, None, "bob", 0, "same", None, 1, 1, None, one[2]),
        Row(1, start + 1000, 4, "100", "alice", 0, "hello!", None, 0, 0, {1: start + 2000}, two[0]),
        Row(2, start + 3000, 5, "msg-7", None, 1, None, None, 0, 0, None, two[1]),
        Row(3, start + 3001, 6, "100", "carol", 1, thumb, None, 0, 0, None, two[2]),
        Row(4, start + 3002, 7, None, None, 2, "A title", None, 0, 0, {1: "topic"}, two[3]),
        Row(5, start + 3003, 8, None, "alice", 0, "Alice", None, 0, 0, {8: True}, two[4]),
        Row(6, start + 3004, 9, None, None, 0, "file.txt", None, 0, 0, {6: 12, 99: [1]}, two[5]),
    ]  # fmt: skip


def _simple(count: int = 3) -> list[Row]:
    """Plain messages, one a second, by two senders in turn."""
    return [
        Row(0, 1_600_000_000_000 + 1000 * n, n, str(1000 + n), ("alice", "bob")[n % 2], 0, f"message {n}",
            origin=Origin(5 << 16, A, 4, n))
        for n in range(count)
    ]  # fmt: skip


def _plain(rows: list[Row], bare: bool = False) -> dict[int, Any]:
    value: dict[int, Any] = cbor.decode(encode_plain(Frame.from_rows("chat-1", rows), bare=bare))
    return value


def _frame_cases() -> Iterator[Case]:
    def encoded(name: str, rows: list[Row], *, bare: bool = False) -> Case:
        given = {"conversation": "chat-1", "rows": [_shown(row) for row in rows], "bare": bare}
        return good(f"encode-{name}", "FRAME-12", "encode", **given)

    def decoded(title: str, expect: str, ids: str, frame: bytes, base: Any = None) -> Case:
        make = good(title, ids, "decode", frame=frame, base=base)
        return make if expect == OK else bad(title, expect, ids, "decode", frame=frame, base=base)

    sets = {"one-row": _simple(1), "simple": _simple(), "every-column": _rows(), "sixty-rows": _simple(60)}
    sets["wide-numbers"] = [
        row._replace(seq=seq, origin=row.origin._replace(hlc=hlc))
        for row, seq, hlc in zip(_simple(), (2**63 - 1, 0, 77), (2**63 - 1, 1, 2**40), strict=True)
    ]
    sets["ids-as-text"] = [
        row._replace(id=ident) for row, ident in zip(_simple(5), ("007", "1" * 19, "-1", "x", "9" * 18), strict=True)
    ]
    sets["hexadecimal-senders"] = [
        row._replace(sender=sender)
        for row, sender in zip(_simple(5), ("deadbeef", "DEADBEEF", "abc", "0123456789abcdef", "deadbee"), strict=True)
    ]
    sets["raw-with-text-twice"] = [_simple(1)[0]._replace(text="ab", raw=b"x ab ab y")]
    sets["empty-text-and-raw"] = [_simple(1)[0]._replace(text="", raw=b"")]
    for name, rows in sets.items():
        yield encoded(name, rows)
        yield decoded(f"decode-{name}", OK, "FRAME-12", _framed(cbor.encode(_plain(rows))))
    bare = _plain(_simple(), bare=True)
    yield encoded("bare", _simple(), bare=True)
    base = [6 << 16, A, 9, 40]
    yield decoded("decode-bare", OK, "FRAME-26", _framed(cbor.encode(bare)), base)
    many = cbor.encode(_plain(_simple(60)))
    for codec, dictionary in ((1, False), (2, True)):
        payload = recorded(f"frame zstd {codec}", lambda d=dictionary: deflate(many, dictionary=d))  # type: ignore[misc]
        yield decoded(f"decode-codec-{codec}", OK, "FRAME-24 FRAME-25", _framed(many, codec, payload))
    packed = recorded("frame zstd 1", lambda: deflate(many, dictionary=False))
    yield from _framing_cases(decoded, many, packed)
    yield from _plaintext_cases(decoded, bare)
    yield from _row_cases(decoded)


Decoded = Callable[..., Case]


def _framing_cases(decoded: Decoded, many: bytes, packed: bytes) -> Iterator[Case]:
    yield decoded("empty", Failure.FRAME, "FRAME-20", b"")
    yield decoded("header-alone", Failure.FRAME, "FRAME-20", _framed(many)[:5])
    yield decoded("declares-too-much", Failure.LIMIT, "FRAME-21", _framed(many, length=16 * 2**20 + 1))
    yield decoded("declares-4-gib", Failure.LIMIT, "FRAME-21", _framed(many, 1, packed, 2**32 - 1))
    yield decoded("unknown-codec", Failure.FRAME, "FRAME-22", _framed(many, 3))
    yield decoded("stored-longer", Failure.COMPRESSION, "FRAME-23", _framed(many, length=len(many) - 1))
    yield decoded("stored-shorter", Failure.COMPRESSION, "FRAME-23", _framed(many, length=len(many) + 1))
    yield decoded("inflates-to-more", Failure.COMPRESSION, "FRAME-23", _framed(many, 1, packed, len(many) - 1))
    yield decoded("inflates-to-less", Failure.COMPRESSION, "FRAME-23", _framed(many, 1, packed, len(many) + 1))
    yield decoded("zstd-cut-short", Failure.COMPRESSION, "FRAME-24", _framed(many, 1, packed[:-1]))
    yield decoded("zstd-and-more", Failure.COMPRESSION, "FRAME-24", _framed(many, 1, packed + b"\0"))
    with_magic = _framed(many, 1, b"\x28\xb5\x2f\xfd" + packed)
    yield decoded("zstd-with-magic", Failure.COMPRESSION, "FRAME-24", with_magic)
    yield decoded("not-zstd", Failure.COMPRESSION, "FRAME-24", _framed(many, 1, b"\xff" * 40))
    bomb = recorded("frame bomb", lambda: deflate(bytes(8 * 2**20), dictionary=False))
    yield decoded("inflates-without-end", Failure.COMPRESSION, "FRAME-23", _framed(many, 1, bomb, 100))


def _column(column: Col, values: list[int]) -> bytes:
    return encode_ints(values, delta=column in DELTAS)


def _plaintext_cases(decoded: Decoded, bare: dict[int, Any]) -> Iterator[Case]:
    simple = _plain(_simple())

    def top(name: str, expect: str, ids: str, **change: Any) -> Case:
        value = dict(simple)
        world.apply(value, change)
        return decoded(name, expect, ids, _framed(cbor.encode(value)))

    def column(name: str, expect: str, ids: str, number: int, data: bytes | None, rows: Any = None) -> Case:
        value = dict(simple if rows is None else _plain(rows))
        value[4] = {key: item for key, item in value[4].items() if key != number}
        if data is not None:
            value[4][int(number)] = data
        return decoded(name, expect, ids, _framed(cbor.encode(value)))

    yield top("newer-format", Failure.NEWER_FORMAT, "ENC-10", f1=2)
    yield top("field-missing", Failure.SCHEMA, "ENC-12", f6=world.Drop)
    yield top("field-unknown", Failure.SCHEMA, "ENC-12", f7=0)
    yield top("no-conversation", Failure.SCHEMA, "ENC-8", f2="")
    yield top("conversation-too-long", Failure.SCHEMA, "ENC-8", f2="x" * 513)
    yield top("no-rows", Failure.SCHEMA, "ENC-6", f3=0)
    yield top("too-many-rows", Failure.LIMIT, "FRAME-1", f3=4097)
    yield top("columns-not-a-map", Failure.FRAME, "FRAME-2", f4=[])
    yield top("device-short", Failure.SCHEMA, "ENC-7", f6=[bytes(15)])
    yield decoded("plaintext-not-deterministic", Failure.ENCODING, "ENC-1", _framed(cbor.encode(simple) + b"\0"))
    yield column("column-not-bytes", Failure.FRAME, "FRAME-2", 2, 5)  # type: ignore[arg-type]
    time = simple[4][Col.TIME]
    yield column("column-cut-short", Failure.FRAME, "FRAME-4", Col.TIME, time[:-1])
    yield column("column-empty", Failure.FRAME, "FRAME-4", Col.TIME, b"")
    kinds = b"\x09\x00" + bytes(8 * 3)
    yield column("width-9", Failure.FRAME, "FRAME-5", Col.KIND, kinds + b"\x01\x00\x00")
    yield column("width-too-large", Failure.FRAME, "FRAME-6", Col.KIND, b"\x02\x00\x00\x01\x02\x00\x00\x00")
    yield column("no-number-is-the-base", Failure.FRAME, "FRAME-6", Col.KIND, b"\x01\x00\x01\x01\x02")
    yield column("bytes-after-the-column", Failure.FRAME, "FRAME-7", Col.TIME, time + b"\0")
    yield column("kind-256", Failure.FRAME, "FRAME-8", Col.KIND, _column(Col.KIND, [0, 256, 0]))
    yield column("op-8", Failure.FRAME, "FRAME-8", Col.OP, _column(Col.OP, [0, 8, 0]))
    yield column("time-negative", Failure.FRAME, "FRAME-8", Col.TIME, _column(Col.TIME, [-1, 5, 6]))
    yield column("time-2-48", Failure.FRAME, "FRAME-8", Col.TIME, _column(Col.TIME, [1, 5, 2**48]))
    yield column("varint-not-shortest", Failure.FRAME, "FRAME-9", Col.KIND, b"\x01\x80\x00\x00\x01\x02")
    yield column("varint-over-64-bits", Failure.FRAME, "FRAME-9", Col.KIND, b"\x00" + b"\xff" * 9 + b"\x7f")
    yield column("column-of-zeros", Failure.FRAME, "FRAME-3", Col.KIND, b"\x00\x00")
    yield column(
        "text-too-long", Failure.LIMIT, "FRAME-10", Col.TEXT_LENGTH, _column(Col.TEXT_LENGTH, [1, 2**20 + 2, 1])
    )
    yield column("lengths-too-long", Failure.FRAME, "FRAME-11", Col.TEXT_LENGTH, _column(Col.TEXT_LENGTH, [10, 10, 11]))
    yield column("text-not-utf8", Failure.FRAME, "FRAME-11", Col.TEXT_BYTES, b"\xff" * len(simple[4][Col.TEXT_BYTES]))
    yield column("empty-byte-column", Failure.FRAME, "FRAME-13", Col.BEFORE_BYTES, b"")
    yield column("unknown-column", Failure.FRAME, "FRAME-14", 24, b"\x00\x02")
    yield column("column-0", Failure.FRAME, "FRAME-14", 0, b"\x00\x02")
    repeated = _column(Col.TIME, [1_600_000_000_000, 1_600_000_002_000, 1_600_000_001_000])
    yield column("rows-out-of-order", Failure.FRAME, "FRAME-12", Col.TIME, repeated)
    same = dict(simple)
    same[4] = {**simple[4], int(Col.TIME): _column(Col.TIME, [5, 5, 5]), int(Col.INDEX): _column(Col.INDEX, [1, 1, 1])}
    same[4][int(Col.SEQ)] = _column(Col.SEQ, [1, 1, 1])
    yield decoded("row-twice", Failure.FRAME, "FRAME-12", _framed(cbor.encode(same)))
    texts = _plain([row._replace(id=ident) for row, ident in zip(_simple(), ("aa", "bb", "cc"), strict=True)])
    number = dict(texts)
    number[4] = {**texts[4], int(Col.ID_BYTES): b"aa12cc"}
    yield decoded("number-as-text", Failure.FRAME, "FRAME-15", _framed(cbor.encode(number)))
    yield column(
        "number-of-19-digits", Failure.FRAME, "FRAME-15", Col.ID_NUMBER, _column(Col.ID_NUMBER, [1, 2, 10**18])
    )
    yield top("sender-unused", Failure.FRAME, "FRAME-16", f5=["alice", "bob", "carol"])
    yield top("sender-twice", Failure.FRAME, "FRAME-16", f5=["alice", "alice"])
    yield column("senders-not-in-order", Failure.FRAME, "FRAME-16", Col.SENDER, _column(Col.SENDER, [2, 1, 2]))
    yield column("sender-not-listed", Failure.FRAME, "FRAME-8", Col.SENDER, _column(Col.SENDER, [1, 2, 3]))
    yield top("device-unused", Failure.FRAME, "FRAME-16", f6=[A, B])
    raw = [row._replace(raw=f"<{row.text}>".encode()) for row in _simple()]
    split = _plain(raw)
    unsplit = dict(split)
    whole = b"".join(row.raw or b"" for row in raw)
    sizes = [len(row.raw or b"") + 1 for row in raw]
    columns = {key: item for key, item in split[4].items() if key not in (Col.AFTER_LENGTH, Col.AFTER_BYTES)}
    columns[int(Col.BEFORE_LENGTH)] = _column(Col.BEFORE_LENGTH, sizes)
    columns[int(Col.BEFORE_BYTES)] = whole
    unsplit[4] = columns
    yield decoded("raw-not-split", Failure.FRAME, "FRAME-17", _framed(cbor.encode(unsplit)))
    marked = _column(Col.HAS_DETAIL, [1, 0, 0])
    yield column("mark-without-detail", Failure.FRAME, "FRAME-19", Col.HAS_DETAIL, marked)
    yield column("detail-without-mark", Failure.FRAME, "FRAME-19", Col.DETAIL, cbor.encode([{1: 5}]))
    yield decoded("bare-outside-a-batch", Failure.FRAME, "FRAME-26", _framed(cbor.encode(bare)))
    inside = [6 << 16, A, 9, 40]
    yield decoded("devices-inside-a-batch", Failure.FRAME, "FRAME-26", _framed(cbor.encode(simple)), inside)


def _row_cases(decoded: Decoded) -> Iterator[Case]:
    def row(name: str, expect: str, ids: str, **change: Any) -> Case:
        plain = _plain([_simple(1)[0]._replace(**change)])
        return decoded(name, expect, ids, _framed(cbor.encode(plain)))

    yield row("edit-without-id", Failure.SCHEMA, "OP-1", op=1, id=None, detail={1: 5})
    yield row("delete-without-id", Failure.SCHEMA, "OP-1", op=2, id=None)
    yield row("edit-without-time", Failure.SCHEMA, "OP-2", op=1)
    yield row("reaction-of-nothing", Failure.SCHEMA, "OP-3", op=3, text=None)
    yield row("reaction-kind-2", Failure.SCHEMA, "OP-3", op=3, kind=2)
    yield row("forget-all", OK, "OP-4", op=7, kind=2, id=None, sender=None, text=None)
    yield row("forget-of-kind-3", Failure.SCHEMA, "OP-4", op=7, kind=3, id=None, sender=None, text=None)
    yield row("detail-with-unknown-field", OK, "MSG-4", detail={9: "thread", 4_294_967_295: b"x"})
    yield row("detail-empty-map-inside", Failure.SCHEMA, "MSG-3", detail={5: {}})
    yield row("detail-not-a-map", Failure.SCHEMA, "MSG-3", detail=[1])
    yield row("detail-negative-field", Failure.SCHEMA, "MSG-4", detail={9: "t", -1: 5})
    yield row("detail-text-field", Failure.SCHEMA, "MSG-4", detail={9: "t", "a": 5})
    yield row("detail-empty-list", Failure.SCHEMA, "MSG-5", detail={4: []})
    yield row("detail-list-expected", Failure.SCHEMA, "MSG-5", detail={4: {3: "image/png"}})
    yield row("detail-wrong-type", Failure.SCHEMA, "MSG-6", detail={9: 5})
    yield row("detail-deep-wrong-type", Failure.SCHEMA, "MSG-6", detail={4: [{21: {1: "not bytes"}}]})
    yield row("detail-number-2-63", Failure.SCHEMA, "MSG-6", detail={1: 2**63})


FRAME = Area("frame", _frame_cases, {"encode": _encode, "decode": _decode})

# ---------------------------------------------------------------- ids


def _content_id(given: Mapping[str, Any]) -> Json:
    return {
        "id": content_id(
            given["conversation"], given["sender"], given["time"], given["kind"], given["text"], given["ordinal"]
        )
    }


def _id_cases() -> Iterator[Case]:
    for name, conversation in {"ascii": "chat-1", "not-ascii": "\u8a71", "empty": ""}.items():
        yield good(f"conversation-key-{name}", "MSG-1", "conversation-key", conversation=conversation)
    base = {"conversation": "chat-1", "sender": "alice", "time": 5, "kind": 0, "text": "hello", "ordinal": 0}
    changes: dict[str, dict[str, Any]] = {
        "message": {}, "no-sender": {"sender": None}, "empty-sender": {"sender": ""}, "no-text": {"text": None},
        "second-of-its-kind": {"ordinal": 1}, "other-chat": {"conversation": "chat-2"}, "not-ascii": {"text": "\u6e2c"},
    }  # fmt: skip
    for name, change in changes.items():
        yield good(f"content-id-{name}", "MSG-2", "content-id", **(base | change))


MESSAGE_IDS = Area(
    "message-ids",
    _id_cases,
    {
        "conversation-key": lambda given: {"key": conversation_key(given["conversation"])},
        "content-id": _content_id,
    },
)

# ---------------------------------------------------------------- forgetting


def _forgotten(given: Mapping[str, Any]) -> Json:
    rows = [
        Row(Op.FORGET, time, kind=kind, origin=Origin(clock, A, 1, place))
        for place, (kind, time, clock) in enumerate(given["rows"])
    ]
    marks = marks_of(Frame.from_rows("chat", rows)) if rows else ()
    gone = Forgotten.of(marks, Order(given["now"]).latest)
    return {
        "marks": [list(mark) for mark in marks],
        "until": [gone.messages, gone.files, gone.facts],
        "hidden": [gone.hides(op, time) for op, time in given["asked"]],
    }


def _forget_cases() -> Iterator[Case]:
    now, clock = 1_700_000_000_000, 1_700_000_000_000 << 16
    asked = [[op, 1_000 + step] for op in (0, 1, 2, 3, 4, 5, 6) for step in (0, 1)] + [[7, 9_000]]
    day = 86_400_000

    def case(name: str, ids: str, *rows: list[int]) -> Case:
        return good(name, ids, "forgotten", now=now, rows=list(rows), asked=asked)

    yield case("nothing", "FORGET-3")
    yield case("messages", "FORGET-3", [0, 1_000, clock])
    yield case("files", "FORGET-3 FORGET-4", [1, 1_000, clock])
    yield case("all", "FORGET-3", [2, 1_000, clock])
    yield case("the-latest-counts", "FORGET-3", [0, 1_001, clock], [0, 1_000, clock + 1], [2, 999, clock])
    yield case("files-beyond-messages", "FORGET-4", [0, 1_000, clock], [1, 5_000, clock])
    yield case("time-after-its-clock", "FORGET-1", [2, 1_001, 1_000 << 16])
    yield case("a-day-ahead", "FORGET-2", [2, now + day, now + day << 16])
    yield case("more-than-a-day-ahead", "FORGET-2", [2, now + day + 1, now + day + 1 << 16], [0, 1_000, clock])


FORGET = Area("forget", _forget_cases, {"forgotten": _forgotten})
