"""Frames and their columns (spec chapter 07), in the plainest way."""

from __future__ import annotations

import itertools
import re
import sys
from typing import Any

from crypto import unhex
from plain import Bad, Cddl, decode, encode

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

Json = dict[str, Any]
MIB = 2**20
DELTAS = (2, 3, 5, 20, 22, 23)
RANGES = {1: 7, 2: 2**48 - 1, 3: 2**63 - 1, 4: 2, 5: 2**63 - 1, 9: 255, 16: 255, 17: 2**32 - 1, 18: 1,
          20: 2**63 - 1, 22: 2**53 - 1, 23: 2**32 - 1}  # fmt: skip


# ---------------------------------------------------------------- integers


def varint(value: int) -> bytes:
    out = b""
    while True:
        out += bytes((value % 128 + (128 if value > 127 else 0),))
        value //= 128
        if not value:
            return out


def zigzag(n: int) -> int:
    return 2 * n if n >= 0 else -2 * n - 1


def numbers(values: list[int]) -> bytes:
    base = min(values)
    offsets = [value - base for value in values]
    width = next(w for w in range(9) if max(offsets) < 256**w)
    planes = [bytes(offset >> (8 * k) & 255 for offset in offsets) for k in range(width)]
    return bytes((width,)) + varint(zigzag(base)) + b"".join(planes)


def column(number: int, values: list[int]) -> bytes:
    if number not in DELTAS:
        return numbers(values)
    steps = [b - a for a, b in itertools.pairwise(values)]
    return varint(zigzag(values[0])) + (numbers(steps) if steps else b"")


class Reader:
    """The columns of a frame, each taken once."""

    def __init__(self, columns: Any) -> None:
        if type(columns) is not dict or any(type(data) is not bytes for data in columns.values()):
            raise Bad("frame")
        self.columns = dict(columns)

    def ints(self, number: int, rows: int, high: int) -> list[int]:
        data = self.columns.pop(number, None)
        if data is None:
            return [0] * rows
        if not rows:
            raise Bad("frame")
        values = parse_column(data, rows, number in DELTAS)
        if min(values) < 0 or max(values) > high or not any(values):
            raise Bad("frame")
        return values

    def blobs(self, number: int, rows: int, maximum: int) -> list[bytes | None]:
        sizes = self.ints(number, rows, 2**63 - 1)
        data = self.columns.pop(number + 1, None)
        if data == b"":
            raise Bad("frame")
        data = data or b""
        if max(sizes, default=0) > maximum + 1:
            raise Bad("limit")
        if sum(size - 1 for size in sizes if size) != len(data):
            raise Bad("frame")
        found: list[bytes | None] = []
        for size in sizes:
            found.append(data[: size - 1] if size else None)
            data = data[max(0, size - 1) :]
        return found

    def texts(self, number: int, rows: int, maximum: int) -> list[str | None]:
        try:
            return [None if item is None else item.decode() for item in self.blobs(number, rows, maximum)]
        except UnicodeDecodeError:
            raise Bad("frame") from None


def parse_column(data: bytes, rows: int, delta: bool) -> list[int]:
    at = 0

    def take_varint() -> int:
        nonlocal at
        value = shift = 0
        while True:
            if at >= len(data):
                raise Bad("frame")
            byte = data[at]
            at += 1
            value += (byte & 127) << shift
            shift += 7
            if byte < 128:
                if (byte == 0 and shift > 7) or value >= 2**64:
                    raise Bad("frame")
                return value // 2 if value % 2 == 0 else -(value + 1) // 2
            if shift > 63:
                raise Bad("frame")

    values = [take_varint()] if delta else []
    count = rows - len(values)
    if count:
        if at >= len(data) or data[at] > 8:
            raise Bad("frame")
        width = data[at]
        at += 1
        base = take_varint()
        planes = [data[at + k * count : at + (k + 1) * count] for k in range(width)]
        at += width * count
        if at > len(data):
            raise Bad("frame")
        offsets = [sum(plane[i] << (8 * k) for k, plane in enumerate(planes)) for i in range(count)]
        if width and (not any(planes[-1]) or min(offsets)):
            raise Bad("frame")
        for offset in offsets:
            values.append(base + offset + (values[-1] if delta else 0))
    if at != len(data):
        raise Bad("frame")
    return values


# ---------------------------------------------------------------- rows to plaintext


def is_number(ident: str) -> bool:
    return re.fullmatch("0|[1-9][0-9]{0,17}", ident) is not None


def packed(sender: str) -> str | bytes:
    return bytes.fromhex(sender) if re.fullmatch("([0-9a-f][0-9a-f]){4,}", sender) else sender


def split_raw(text: str | None, raw: bytes | None) -> tuple[bytes | None, bytes | None]:
    if text is None or raw is None or text.encode() not in raw:
        return raw, None
    before, after = raw.split(text.encode(), 1) if text else (b"", raw)
    return before, after


def order_key(row: Json) -> tuple[Any, ...]:
    hlc, device, batch, position = row["origin"]
    return row["time"], row["seq"], hlc, device, batch, position


def encode_rows(given: Json) -> Json:
    rows = sorted(given["rows"], key=order_key)
    columns: dict[int, bytes] = {}

    def ints(number: int, values: list[int]) -> None:
        if any(values):
            columns[number] = column(number, values)

    def strings(number: int, values: list[bytes | None]) -> None:
        ints(number, [0 if value is None else len(value) + 1 for value in values])
        if joined := b"".join(value or b"" for value in values):
            columns[number + 1] = joined

    def utf8(value: str | None) -> bytes | None:
        return None if value is None else value.encode()

    for number, name in {1: "op", 2: "time", 3: "seq", 9: "kind", 16: "flags", 17: "ordinal"}.items():
        ints(number, [row[name] for row in rows])
    senders = list(dict.fromkeys(row["sender"] for row in rows if row["sender"] is not None))
    ints(8, [0 if row["sender"] is None else senders.index(row["sender"]) + 1 for row in rows])
    devices: list[str] = []
    if not given["bare"]:
        devices = list(dict.fromkeys(row["origin"][1] for row in rows))
        for number, place in {20: 0, 22: 2, 23: 3}.items():
            ints(number, [row["origin"][place] for row in rows])
        ints(21, [devices.index(row["origin"][1]) for row in rows])
    ids = [row["id"] for row in rows]
    ints(4, [0 if ident is None else 2 if is_number(ident) else 1 for ident in ids])
    ints(5, [int(ident) for ident in ids if ident is not None and is_number(ident)])
    strings(6, [ident.encode() for ident in ids if ident is not None and not is_number(ident)])
    strings(10, [utf8(row["text"]) for row in rows])
    pairs = [split_raw(row["text"], unhex(row["raw"])) for row in rows]
    strings(12, [pair[0] for pair in pairs])
    strings(14, [pair[1] for pair in pairs])
    details = [decode(unhex(row["detail"])) for row in rows if row["detail"] is not None]
    if details:
        ints(18, [int(row["detail"] is not None) for row in rows])
        columns[19] = encode(details)
    names = [packed(sender) for sender in senders]
    plain = {1: 1, 2: given["conversation"], 3: len(rows), 4: columns, 5: names, 6: [unhex(d) for d in devices]}
    return {"plaintext": encode(plain)}


# ---------------------------------------------------------------- frames to rows


def inflated(codec: int, length: int, payload: bytes, dictionary: bytes) -> bytes:
    known = zstd.ZstdDict(dictionary) if codec == 2 else None
    reader = zstd.ZstdDecompressor(zstd_dict=known)
    try:
        plain = reader.decompress(bytes.fromhex("28b52ffd") + payload, max_length=length + 1)
    except zstd.ZstdError:
        raise Bad("compression") from None
    if not reader.eof or reader.unused_data:
        raise Bad("compression")
    return plain


def decode_frame(given: Json, cddl: Cddl, dictionary: bytes) -> Json:
    framed = unhex(given["frame"])
    if len(framed) <= 5:
        raise Bad("frame")
    codec, length = framed[0], int.from_bytes(framed[1:5], "big")
    if length > 16 * MIB:
        raise Bad("limit")
    if codec > 2:
        raise Bad("frame")
    plain = framed[5:] if codec == 0 else inflated(codec, length, framed[5:], dictionary)
    if len(plain) != length:
        raise Bad("compression")
    value = decode(plain)
    if isinstance(value, dict) and type(value.get(3)) is int and 4096 < value[3] < 2**32:
        raise Bad("limit")
    cddl.check("frame", value | {4: {}} if isinstance(value, dict) and 4 in value else value)
    return {"conversation": value[2], "rows": read_rows(value, given["base"], cddl)}


def resolved(places: list[int], names: list[Any], first: int) -> list[Any]:
    """The names that places stand for; each name is used, once there, in order of first use."""
    used = [place for place in dict.fromkeys(places) if place >= first]
    if used != list(range(first, first + len(names))) or len({str(n) for n in names}) != len(names):
        raise Bad("frame")
    return [None if place < first else names[place - first] for place in places]


def read_ids(reader: Reader, count: int) -> list[str | None]:
    forms = reader.ints(4, count, 2)
    found = iter(reader.ints(5, forms.count(2), 10**18 - 1))
    texts = reader.texts(6, forms.count(1), 512)
    if any(text is None or is_number(text) for text in texts):
        raise Bad("frame")
    rest = iter(texts)
    return [None if form == 0 else str(next(found)) if form == 2 else next(rest) for form in forms]


def read_raws(reader: Reader, texts: list[str | None], count: int) -> list[bytes | None]:
    raws: list[bytes | None] = []
    pieces = zip(texts, reader.blobs(12, count, 4 * MIB), reader.blobs(14, count, 4 * MIB), strict=True)
    for text, before, after in pieces:
        raw = before
        if after is not None:
            if before is None or text is None:
                raise Bad("frame")
            raw = before + text.encode() + after
        if split_raw(text, raw) != (before, after):
            raise Bad("frame")
        raws.append(raw)
    if any(raw is not None and len(raw) > 4 * MIB for raw in raws):
        raise Bad("limit")
    return raws


def read_rows(value: dict[int, Any], base: Any, cddl: Cddl) -> list[Json]:
    count, devices = value[3], value[6]
    if bool(devices) == (base is not None):
        raise Bad("frame")
    reader = Reader(value[4])
    names = []
    for name in value[5]:
        text = name.hex() if isinstance(name, bytes) else name
        if packed(text) != name or len(text.encode()) > 512:
            raise Bad("frame")
        names.append(text)
    senders = resolved(reader.ints(8, count, len(names)), names, 1)
    if base is None:
        who = resolved(reader.ints(21, count, len(devices) - 1), devices, 0)
        parts = [
            reader.ints(20, count, RANGES[20]),
            who,
            reader.ints(22, count, RANGES[22]),
            reader.ints(23, count, RANGES[23]),
        ]
        origins = [list(origin) for origin in zip(*parts, strict=True)]
    else:
        origins = [[base[0], unhex(base[1]), base[2], base[3] + n] for n in range(count)]
    texts = reader.texts(10, count, MIB)
    plain = {name: reader.ints(number, count, RANGES[number]) for number, name in NAMES.items()}
    ids, raws = read_ids(reader, count), read_raws(reader, texts, count)
    marks = reader.ints(18, count, 1)
    data = reader.columns.pop(19, None)
    if data == b"":
        raise Bad("frame")
    details = decode(data) if data else []
    if type(details) is not list or len(details) != sum(marks):
        raise Bad("frame")
    if reader.columns:
        raise Bad("frame")
    rest = iter(details)
    rows = []
    for n in range(count):
        detail = next(rest) if marks[n] else None
        row: Json = {name: values[n] for name, values in plain.items()}
        row |= {"id": ids[n], "sender": senders[n], "text": texts[n], "raw": raws[n], "origin": origins[n]}
        row["detail"] = None if not marks[n] else encode(detail)
        rows.append(row)
        check_row(row, marks[n], detail, cddl)
    keys = [order_key(row) for row in rows]
    if any(a >= b for a, b in itertools.pairwise(keys)):
        raise Bad("frame")
    return rows


NAMES = {1: "op", 2: "time", 3: "seq", 9: "kind", 16: "flags", 17: "ordinal"}
DETAILS = {4: "conversation-detail", 5: "member-detail", 6: "source-detail"}


def check_row(row: Json, marked: int, detail: Any, cddl: Cddl) -> None:
    op = row["op"]
    if op in (1, 2, 3) and row["id"] is None:
        raise Bad("schema")
    if op == 1 and (not isinstance(detail, dict) or 1 not in detail):
        raise Bad("schema")
    if op == 3 and (row["kind"] > 1 or not row["text"]):
        raise Bad("schema")
    if op == 7 and row["kind"] > 2:
        raise Bad("schema")
    if marked:
        cddl.check(DETAILS.get(op, "message-detail"), detail)
        if not no_empty_map(detail):
            raise Bad("schema")


def no_empty_map(detail: Any) -> bool:
    """A detail and the maps that its tables ask for hold a field."""
    return bool(detail) and all(item != {} for item in detail.values())
