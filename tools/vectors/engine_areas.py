"""Vectors of the engine's sealed plaintexts: batch, body, root, index, directory."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from typing import Any

from strongroom_protocol.engine.batch import Batch, parse_batch
from strongroom_protocol.engine.body import Body
from strongroom_protocol.engine.directory import parse_rows
from strongroom_protocol.engine.hot import HotPage
from strongroom_protocol.engine.index import IndexTop, parse_page
from strongroom_protocol.engine.root import EngineRoot
from strongroom_protocol.errors import Failure
from strongroom_protocol.keys.secrets import SigningSeed
from strongroom_protocol.keys.signing import SignKey
from strongroom_protocol.limits import LIMITS
from strongroom_protocol.wire import cbor, cose
from vectors import world
from vectors.case import Area, Case, Json, bad, good, stream, unhex
from vectors.world import ACCOUNT, Drop

OK = "ok"


def _case(name: str, expect: str, ids: str, op: str, /, **given: Any) -> Case:
    return good(name, ids, op, **given) if expect == OK else bad(name, expect, ids, op, **given)


def _with(value: dict[int, Any], change: dict[str, Any]) -> bytes:
    mine = dict(value)
    world.apply(mine, change)
    return cbor.encode(mine)


# ---------------------------------------------------------------- batch


def _batch_sign(given: Mapping[str, Any]) -> Json:
    key = SignKey(SigningSeed(unhex(given["seed"])))
    batch = Batch(unhex(given["device"]), given["sequence"], given["clock"], tuple(map(unhex, given["frames"])))
    return {"content": batch.sign(unhex(given["account"]), key.public, key.sign)}


def _batch_parse(given: Mapping[str, Any]) -> Json:
    batch = parse_batch(
        unhex(given["content"]) + bytes(given.get("zeros", 0)), account=unhex(given["account"]),
        device=unhex(given["device"]), sequence=given["sequence"], key=unhex(given["key"]),
    )  # fmt: skip
    return {"frames": batch.frames, "clock": batch.clock}


def _batch_cases() -> Iterator[Case]:
    seed, device = stream("device a sign"), world.A.id
    frames = [b"any framed frame", b"another"]
    clock = 1_700_000_000_000 << 16
    signing = {"seed": seed, "account": ACCOUNT, "device": device, "sequence": 9, "clock": clock, "frames": frames}
    yield good("sign", "SIG-1", "sign", **signing)
    body: dict[int, Any] = {1: 1, 2: device, 3: 9, 4: frames, 5: clock}

    def statement(raw: bytes, account: bytes = ACCOUNT, sequence: int = 9) -> bytes:
        payload = cbor.encode({1: account, 2: device, 3: sequence, 4: hashlib.sha256(raw).digest()})
        return cose.detached(cose.Context.BATCH, payload, world.A.sign.public)

    def made(raw: bytes, **change: Any) -> bytes:
        return world.A.sign.sign(statement(raw, **change)) + raw

    def parse(name: str, expect: str, ids: str, content: bytes, **change: Any) -> Case:
        given = {
            "content": content, "account": ACCOUNT, "device": device, "sequence": 9, "key": world.A.sign.public,
        }  # fmt: skip
        return _case(name, expect, ids, "parse", **(given | change))

    whole = made(cbor.encode(body))
    yield parse("parse", OK, "BATCH-1 BATCH-2", whole)
    yield parse("only-a-signature", Failure.LIMIT, "BATCH-1", whole[:64])
    yield parse("longer-than-limit", Failure.LIMIT, "BATCH-1", whole, zeros=LIMITS.batch_bytes + 1 - len(whole))
    yield parse("signature-changed", Failure.SIGNATURE, "SIG-1", bytes((whole[0] ^ 1,)) + whole[1:])
    yield parse("body-changed", Failure.SIGNATURE, "SIG-1", whole[:-1] + bytes((whole[-1] ^ 1,)))
    yield parse("another-key", Failure.SIGNATURE, "SIG-1", whole, key=world.B.sign.public)
    yield parse("another-account", Failure.SIGNATURE, "SIG-1", whole, account=world.OTHER_ACCOUNT)
    yield parse("another-sequence-asked", Failure.SIGNATURE, "SIG-1", whole, sequence=10)
    yield parse("another-device-asked", Failure.SIGNATURE, "SIG-1", whole, device=world.B.id)
    yield parse("body-names-another-sequence", Failure.CONTEXT, "BATCH-2", made(_with(body, {"f3": 10})))
    yield parse("body-names-another-device", Failure.CONTEXT, "BATCH-2", made(_with(body, {"f2": world.B.id})))
    yield parse("no-frames", Failure.SCHEMA, "ENC-9", made(_with(body, {"f4": []})))
    yield parse("frame-not-bytes", Failure.SCHEMA, "ENC-8", made(_with(body, {"f4": [1]})))
    yield parse("field-missing", Failure.SCHEMA, "ENC-12", made(_with(body, {"f4": Drop})))
    yield parse("field-unknown", Failure.SCHEMA, "ENC-12", made(_with(body, {"f6": 0})))
    yield parse("clock-2-63", Failure.SCHEMA, "ENC-6", made(_with(body, {"f5": 2**63})))
    yield parse("newer-format", Failure.NEWER_FORMAT, "ENC-10", made(_with(body, {"f1": 2})))
    yield parse("not-deterministic", Failure.ENCODING, "ENC-1", made(cbor.encode(body) + b"\0"))


BATCH = Area("batch", _batch_cases, {"sign": _batch_sign, "parse": _batch_parse})

# ---------------------------------------------------------------- body


def _name(label: str) -> bytes:
    return stream(f"name {label}")


def _ref(label: str, size: int = 400) -> list[Any]:
    return [_name(label), size]


def _body_parse(given: Mapping[str, Any]) -> Json:
    content = unhex(given["content"]) + bytes(given.get("zeros", 0))
    body = Body.parse(content)
    return {"again": body.encode(), "tail": len(body.tail), "rows": sum(entry.rows for entry in body.tail)}


def _body_cases() -> Iterator[Case]:
    entry = [_name("batch"), 700, world.A.id, 9, 100]
    body: dict[int, Any] = {
        1: 1, 2: [_ref("root"), _ref("root mirror")], 3: [entry], 4: {world.A.id: 3}, 5: {world.A.id: 9},
    }  # fmt: skip

    def parse(name: str, expect: str, ids: str, **change: Any) -> Case:
        return _case(name, expect, ids, "parse", content=_with(body, change))

    yield parse("parse", OK, "BODY-1 BODY-2")
    yield parse("empty-vault", OK, "BODY-1", f2=None, f3=[], f4={}, f5={})
    many = [[_name(f"batch {n}"), 700, world.A.id, n, 1] for n in range(1, 34)]
    yield parse("full-tail", OK, "ENC-9", f3=many[:32])
    yield parse("tail-too-long", Failure.SCHEMA, "ENC-9", f3=many)
    yield parse("batch-twice", Failure.SCHEMA, "BODY-2", f3=[entry, [_name("other"), 700, world.A.id, 9, 100]])
    yield bad("longer-than-limit", Failure.LIMIT, "BODY-1", "parse", content=cbor.encode(body), zeros=65_536)
    yield parse("root-without-mirror", Failure.SCHEMA, "ENC-9", f2=[_ref("root")])
    yield parse("name-short", Failure.SCHEMA, "ENC-7", f3=[[bytes(31), 700, world.A.id, 9, 100]])
    yield parse("size-0", Failure.SCHEMA, "ENC-6", f3=[[_name("batch"), 0, world.A.id, 9, 100]])
    yield parse("sequence-0", Failure.SCHEMA, "ENC-6", f3=[[_name("batch"), 700, world.A.id, 0, 100]])
    yield parse("entry-of-four", Failure.SCHEMA, "ENC-9", f3=[entry[:4]])
    yield parse("device-short", Failure.SCHEMA, "ENC-7", f4={bytes(15): 3})
    yield parse("acknowledged-0", Failure.SCHEMA, "ENC-6", f4={world.A.id: 0})
    yield parse("sequences-not-a-map", Failure.SCHEMA, "ENC-12", f5=[])
    yield parse("field-missing", Failure.SCHEMA, "ENC-12", f5=Drop)
    yield parse("field-unknown", Failure.SCHEMA, "ENC-12", f6=0)
    yield parse("newer-format", Failure.NEWER_FORMAT, "ENC-10", f1=2)


BODY = Area("body", _body_cases, {"parse": _body_parse})

# ---------------------------------------------------------------- engine root


def _root_parse(given: Mapping[str, Any]) -> Json:
    root = EngineRoot.parse(unhex(given["content"]))
    return {"again": root.encode(), "runs": [run.number for run in root.runs], "rows": sum(r.rows for r in root.runs)}


def _run(number: int, **change: Any) -> dict[int, Any]:
    value = {1: number, 2: 0, 3: [_ref(f"index {number}"), _ref(f"mirror {number}")], 4: 300, 5: 4, 6: 20_000}
    world.apply(value, change)
    return value


def _root_cases() -> Iterator[Case]:
    root: dict[int, Any] = {1: 1, 2: [_run(3), _run(1)], 3: _ref("hot"), 4: 5}

    def parse(name: str, expect: str, ids: str, **change: Any) -> Case:
        return _case(name, expect, ids, "parse", content=_with(root, change))

    yield parse("parse", OK, "ENG-2")
    yield parse("empty", OK, "ENG-2", f2=[], f3=None)
    yield parse("runs-oldest-first", Failure.SCHEMA, "ENG-2", f2=[_run(1), _run(3)])
    yield parse("run-twice", Failure.SCHEMA, "ENG-2", f2=[_run(3), _run(3)])
    yield parse("too-many-runs", Failure.SCHEMA, "ENC-9", f2=[_run(n) for n in range(65, 0, -1)])
    yield parse("level-17", Failure.SCHEMA, "ENC-6", f2=[_run(3, f2=17)])
    yield parse("run-number-0", Failure.SCHEMA, "ENC-6", f2=[_run(0)])
    yield parse("index-without-mirror", Failure.SCHEMA, "ENC-9", f2=[_run(3, f3=[_ref("index")])])
    yield parse("run-unknown-field", Failure.SCHEMA, "ENC-12", f2=[_run(3, f7=0)])
    yield parse("directory-without-size", Failure.SCHEMA, "ENC-9", f3=_ref("hot")[:1])
    yield parse("version-0", Failure.SCHEMA, "ENC-6", f4=0)
    yield parse("field-missing", Failure.SCHEMA, "ENC-12", f4=Drop)
    yield parse("field-unknown", Failure.SCHEMA, "ENC-12", f5=0)
    yield parse("newer-format", Failure.NEWER_FORMAT, "ENC-10", f1=2)


ROOT = Area("root", _root_cases, {"parse": _root_parse})

# ---------------------------------------------------------------- index


def _top_parse(given: Mapping[str, Any]) -> Json:
    top = IndexTop.parse(unhex(given["content"]))
    return {"again": top.encode(), "pages": len(top.fences)}


def _page_parse(given: Mapping[str, Any]) -> Json:
    entries = parse_page(unhex(given["page"]), IndexTop.parse(unhex(given["top"])))
    return {
        "frames": [
            {
                "key": key,
                "first": frame.first,
                "last": frame.last,
                "rows": frame.rows,
                "segment": frame.segment,
                "packed": int(frame.packed),
                "erases": int(frame.erases),
                "media": [part.name for part in frame.media],
                "forgets": [list(mark) for mark in frame.forgets],
            }
            for key, frame in entries
        ]
    }


def _pages_for(given: Mapping[str, Any]) -> Json:
    top = IndexTop.parse(unhex(given["top"]))
    return {"pages": [fence.chunk.index for fence in top.pages_for(unhex(given["key"]))]}


def _chunk(number: int) -> list[Any]:
    return [number, 94 + 80 * number, 80, stream(f"chunk {number}")]


def _index_cases() -> Iterator[Case]:
    k = [bytes((n,)) * 16 for n in range(1, 5)]
    fences = [[k[0], 5, _chunk(0)], [k[1], 0, _chunk(1)], [k[1], 7, _chunk(2)], [k[3], 1, _chunk(3)]]
    top: dict[int, Any] = {1: 1, 2: _ref("pages"), 3: [_ref("segment 0"), _ref("segment 1")], 4: fences}

    def parse(name: str, expect: str, ids: str, **change: Any) -> Case:
        return _case(f"top-{name}", expect, ids, "top", content=_with(top, change))

    yield parse("parse", OK, "ENG-3")
    yield parse("fences-out-of-order", Failure.SCHEMA, "ENG-3", f4=fences[::-1])
    yield parse("fence-times-out-of-order", Failure.SCHEMA, "ENG-3", f4=[fences[2], fences[1]])
    yield parse("fence-of-two", Failure.SCHEMA, "ENC-9", f4=[fences[0][:2]])
    yield parse("chunk-of-16-bytes", Failure.SCHEMA, "ENC-6", f4=[[k[0], 5, [0, 94, 16, bytes(32)]]])
    yield parse("chunk-digest-short", Failure.SCHEMA, "ENC-7", f4=[[k[0], 5, [0, 94, 80, bytes(31)]]])
    yield parse("key-short", Failure.SCHEMA, "ENC-7", f4=[[bytes(15), 5, _chunk(0)]])
    yield parse("field-missing", Failure.SCHEMA, "ENC-12", f4=Drop)
    yield parse("field-unknown", Failure.SCHEMA, "ENC-12", f5=0)
    yield parse("newer-format", Failure.NEWER_FORMAT, "ENC-10", f1=2)
    encoded = cbor.encode(top)
    for name, key in {
        "before-all": bytes(16),
        "one-page": k[0],
        "two-pages": k[1],
        "between": k[2],
        "last": b"\xff" * 16,
    }.items():
        yield good(f"pages-for-{name}", "ENG-3", "pages-for", top=encoded, key=key)
    parts = sorted([_ref("part 0"), _ref("part 1"), _ref("part 2")])

    def entry(first: int, last: int, rows: int, segment: int, chunk: int, marks: int = 0, media: Any = ()) -> list[Any]:
        return [first, last, rows, segment, _chunk(chunk), marks, list(media)]

    page = [
        [k[0], [entry(5, 9, 3, 0, 0), entry(10, 10, 1, 1, 4, 3, parts)]],
        [k[1], [entry(0, 6, 9, 1, 5, 1, parts[1:2]), entry(6, 7, 9, 1, 6, 2)]],
    ]

    def paged(name: str, expect: str, ids: str, value: Any) -> Case:
        return _case(f"page-{name}", expect, ids, "page", page=cbor.encode(value), top=encoded)

    yield paged("parse", OK, "ENG-1 ENG-4 ENG-5", page)
    yield paged("conversations-out-of-order", Failure.SCHEMA, "ENG-4", page[::-1])
    yield paged("frames-out-of-order", Failure.SCHEMA, "ENG-4", [[k[0], page[0][1][::-1]]])
    yield paged("segment-not-listed", Failure.SCHEMA, "ENG-5", [[k[0], [entry(5, 9, 3, 2, 0)]]])
    yield paged("frame-ends-before-it-begins", Failure.SCHEMA, "ENG-1", [[k[0], [entry(9, 5, 3, 0, 0)]]])
    yield paged("frame-without-rows", Failure.SCHEMA, "ENC-6", [[k[0], [entry(5, 9, 0, 0, 0)]]])
    yield paged("frame-of-4097-rows", Failure.SCHEMA, "ENC-6", [[k[0], [entry(5, 9, 4097, 0, 0)]]])
    yield paged("unknown-mark", Failure.SCHEMA, "ENC-6", [[k[0], [entry(5, 9, 3, 0, 0, 4)]]])
    yield paged("without-marks-and-media", Failure.SCHEMA, "ENC-9", [[k[0], [entry(5, 9, 3, 0, 0)[:5]]]])
    yield paged("media-out-of-order", Failure.SCHEMA, "ENG-10", [[k[0], [entry(5, 9, 3, 0, 0, 0, parts[::-1])]]])
    yield paged("media-twice", Failure.SCHEMA, "ENG-10", [[k[0], [entry(5, 9, 3, 0, 0, 0, [parts[0], parts[0]])]]])
    yield paged("media-name-short", Failure.SCHEMA, "ENC-7", [[k[0], [entry(5, 9, 3, 0, 0, 0, [[bytes(31), 9]])]]])
    for name, expect, marks in (
        ("forgets", OK, [[0, 9], [2, 0], [2, 2**48 - 1]]),
        ("forgets-out-of-order", Failure.SCHEMA, [[2, 9], [0, 9]]),
        ("forgets-twice", Failure.SCHEMA, [[0, 9], [0, 9]]),
    ):
        yield paged(name, expect, "ENG-16", [[k[0], [[*entry(5, 9, 3, 0, 0), marks]]]])
    yield paged("forgets-nothing", Failure.SCHEMA, "ENC-9", [[k[0], [[*entry(5, 9, 3, 0, 0), []]]]])
    yield paged("forgets-of-kind-3", Failure.SCHEMA, "ENC-6", [[k[0], [[*entry(5, 9, 3, 0, 0), [[3, 9]]]]]])
    yield paged("empty", Failure.SCHEMA, "ENC-9", [])
    yield paged("conversation-without-frames", Failure.SCHEMA, "ENC-9", [[k[0], []]])


INDEX = Area("index", _index_cases, {"top": _top_parse, "page": _page_parse, "pages-for": _pages_for})

# ---------------------------------------------------------------- directory


def _directory_parse(given: Mapping[str, Any]) -> Json:
    rows = parse_rows(unhex(given["page"]))
    return {
        "conversations": [row.conversation for row in rows],
        "newest": [row.newest for row in rows],
        "segments": [[frame.segment for frame in row.frames] for row in rows],
        "named": [None if row.named is None else [row.named[0], *row.named[1]] for row in rows],
        "forgets": [[list(mark) for mark in row.forgets] for row in rows],
    }


def _hot_parse(given: Mapping[str, Any]) -> Json:
    page = HotPage.parse(unhex(given["hot"]))
    return {
        "conversations": [row.conversation for row in page.rows],
        "cold": [[cold.ref.name, cold.rows] for cold in page.cold],
        "pages": [list(page.pages_of(unhex(key))) for key in given["keys"]],
    }


def _directory_cases() -> Iterator[Case]:
    frame = [5, 9, 3, 0, _chunk(0)]
    row: dict[int, Any] = {
        1: bytes(16), 2: "chat-1", 3: "A title", 4: 1, 5: 9, 6: "the last words", 7: "alice", 8: 3, 9: [frame], 10: -1,
        11: [5, 1_700_000_000_000 << 16, world.A.id, 9, 2],
    }  # fmt: skip
    page: dict[int, Any] = {1: 1, 2: [_name("segment 0"), _name("segment 1")], 3: [row]}

    def parse(name: str, expect: str, ids: str, **change: Any) -> Case:
        value = dict(row)
        world.apply(value, change)
        return _case(name, expect, ids, "parse", page=cbor.encode(page | {3: [value]}))

    def paged(name: str, expect: str, ids: str, **change: Any) -> Case:
        return _case(name, expect, ids, "parse", page=_with(page, change))

    yield parse("parse", OK, "ENG-1")
    yield paged("empty", OK, "ENG-1", f2=[], f3=[])
    yield paged(
        "two-rows", OK, "ENG-1", f3=[row, row | {2: "chat-2", 9: [[5, 9, 3, 1, _chunk(1)], frame], 10: 4, 11: None}]
    )
    yield parse("longest-title", OK, "ENC-8", f3="x" * 512)
    yield parse("title-too-long", Failure.SCHEMA, "ENC-8", f3="x" * 513)
    yield parse("no-conversation", Failure.SCHEMA, "ENC-8", f2="")
    yield parse("key-short", Failure.SCHEMA, "ENC-7", f1=bytes(15))
    yield parse("floor-below-minus-1", Failure.SCHEMA, "ENC-6", f10=-2)
    yield parse("too-many-frames", Failure.SCHEMA, "ENC-9", f9=[frame] * 17)
    yield parse("frame-ends-before-it-begins", Failure.SCHEMA, "ENG-1", f9=[[9, 5, *frame[2:]]])
    yield parse("segment-not-listed", Failure.SCHEMA, "ENG-9", f9=[[5, 9, 3, 2, _chunk(0)]])
    yield parse("title-not-text", Failure.SCHEMA, "ENC-8", f3=b"A title")
    yield parse("named-by-a-short-device", Failure.SCHEMA, "ENC-7", f11=[5, 1, bytes(15), 9, 2])
    yield parse("named-of-four", Failure.SCHEMA, "ENC-9", f11=[5, 1, world.A.id, 9])
    yield parse("named-clock-2-63", Failure.SCHEMA, "ENC-6", f11=[5, 2**63, world.A.id, 9, 2])
    yield parse("field-missing", Failure.SCHEMA, "ENC-12", f10=Drop)
    yield parse("field-unknown", Failure.SCHEMA, "ENC-12", f13=0)
    yield parse("forgets", OK, "ENG-16", f12=[[0, 9], [1, 12]])
    yield parse("forgets-out-of-order", Failure.SCHEMA, "ENG-16", f12=[[1, 12], [0, 9]])
    yield parse("forgets-nothing", Failure.SCHEMA, "ENC-9", f12=[])
    yield paged("page-newer-format", Failure.NEWER_FORMAT, "ENC-10", f1=2)
    yield paged("page-field-unknown", Failure.SCHEMA, "ENC-12", f4=0)
    yield paged("page-segment-short", Failure.SCHEMA, "ENC-7", f2=[bytes(31)])
    yield bad("not-a-map", Failure.SCHEMA, "ENC-12", "parse", page=cbor.encode([page]))
    yield from _hot_cases(page)


def _hot_cases(page: dict[int, Any]) -> Iterator[Case]:
    keys = [stream(f"conversation {n}", 16) for n in range(4)]
    same = keys[2][:4] + bytes(12)
    filed = sorted([keys[0][:4] + b"\0\1", keys[1][:4] + b"\0\0", keys[2][:4] + b"\0\0", keys[2][:4] + b"\0\1"])
    hot = page | {4: [[_ref("cold 0"), 30], [_ref("cold 1"), 2]], 5: b"".join(filed)}

    def hotly(name: str, expect: str, ids: str, **change: Any) -> Case:
        return _case(f"hot-{name}", expect, ids, "hot", hot=_with(hot, change), keys=[*keys, same])

    yield hotly("parse", OK, "ENG-12 ENG-13")
    yield hotly("nothing-cold", OK, "ENG-12 ENG-13", f4=[], f5=b"")
    yield hotly("map-of-23-bytes", Failure.SCHEMA, "ENG-11", f5=b"".join(filed)[:-1])
    yield hotly("map-of-7-bytes", Failure.SCHEMA, "ENG-11", f5=filed[0] + b"\xff")
    yield hotly("map-out-of-order", Failure.SCHEMA, "ENG-12", f5=b"".join(filed[::-1]))
    yield hotly("map-entry-twice", Failure.SCHEMA, "ENG-12", f5=filed[0] * 2)
    yield hotly("map-names-page-2-of-2", Failure.SCHEMA, "ENG-13", f5=b"\0\0\0\0\0\2" + b"".join(filed))
    yield hotly("map-not-bytes", Failure.SCHEMA, "ENC-8", f5=[])
    yield hotly("page-without-rows", Failure.SCHEMA, "ENC-9", f4=[[_ref("cold 0")]])
    yield hotly("page-name-short", Failure.SCHEMA, "ENC-7", f4=[[[bytes(31), 400], 30]])
    yield hotly("too-many-pages", Failure.SCHEMA, "ENC-9", f4=[[_ref("cold"), 1]] * 4097)
    yield hotly("field-missing", Failure.SCHEMA, "ENC-12", f5=Drop)
    yield hotly("field-unknown", Failure.SCHEMA, "ENC-12", f6=0)
    yield hotly("newer-format", Failure.NEWER_FORMAT, "ENC-10", f1=2)


DIRECTORY = Area("directory", _directory_cases, {"parse": _directory_parse, "hot": _hot_parse})
