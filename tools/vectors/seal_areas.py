"""Vectors of sealed bytes: objects, chunks read alone, media."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from typing import Any

from strongroom_protocol.engine.refs import ChunkRef
from strongroom_protocol.errors import Failure
from strongroom_protocol.keys.epochs import EpochKeys
from strongroom_protocol.keys.secrets import EpochSecret
from strongroom_protocol.seal import chunks, media
from strongroom_protocol.seal.media import Media
from strongroom_protocol.seal.media_parts import MediaSealer, PartOpener, SealedPart
from strongroom_protocol.seal.objects import (
    HEADER_BYTES,
    ObjectOpener,
    ObjectSealer,
    ObjectType,
    object_name,
    open_object,
    plaintext_digest,
    seal_object,
)
from strongroom_protocol.wire import cbor
from strongroom_protocol.wire.padding import pad
from vectors import world
from vectors.case import Area, Case, Json, bad, good, stream, unhex

ACCOUNT = world.ACCOUNT
SECRET = world.SECRET_1.reveal()
WRITER = world.A.id


def _keys(given: Mapping[str, Any]) -> EpochKeys:
    return EpochKeys(unhex(given["account"]), given["epoch"], EpochSecret(unhex(given["secret"])))


def _epochs(given: Mapping[str, Any]) -> dict[int, EpochKeys]:
    keys = _keys(given)
    return {keys.number: keys}


def _sealing(**change: Any) -> dict[str, Any]:
    """What every sealing is given."""
    base: dict[str, Any] = {
        "account": ACCOUNT, "epoch": 1, "secret": SECRET, "type": 2, "writer": WRITER, "sequence": 7,
        "randomness": stream("object randomness"),
    }  # fmt: skip
    return base | change


def _opening(**change: Any) -> dict[str, Any]:
    return {"account": ACCOUNT, "epoch": 1, "secret": SECRET} | change


# ---------------------------------------------------------------- one-chunk objects


def _seal(given: Mapping[str, Any]) -> Json:
    data = seal_object(
        _keys(given), ObjectType(given["type"]), unhex(given["content"]), writer=unhex(given["writer"]),
        sequence=given["sequence"], randomness=unhex(given["randomness"]),
    )  # fmt: skip
    return {"object": data, "name": object_name(data)}


def _open(given: Mapping[str, Any]) -> Json:
    header, content = open_object(
        _epochs(given), unhex(given["account"]), unhex(given["name"]), unhex(given["object"]), ObjectType(given["type"])
    )
    return {
        "content": content,
        "header": {
            "type": int(header.type), "epoch": header.epoch, "writer": header.writer, "sequence": header.sequence,
            "salt": header.salt, "commitment": header.commitment,
        },
    }  # fmt: skip


def _object_cases() -> Iterator[Case]:
    content = b"the content of an object"
    yield good("seal", "OBJ-4 KEY-2", "seal", **_sealing(content=content))
    yield good("seal-empty", "OBJ-4", "seal", **_sealing(content=b""))
    yield good("seal-above-floor", "OBJ-9", "seal", **_sealing(content=stream("long content", 700)))
    yield good(
        "seal-second-epoch", "OBJ-4", "seal", **_sealing(content=content, epoch=2, secret=world.SECRET_2.reveal())
    )
    yield good("seal-other-randomness", "OBJ-4", "seal", **_sealing(content=content, randomness=bytes(32)))
    for kind in ObjectType:
        yield good(
            f"seal-type-{kind}", "OBJ-4", "seal", **_sealing(content=content, type=int(kind), sequence=2**53 - 1)
        )
    data = seal_object(
        world.KEYS_1, ObjectType.BODY, content, writer=WRITER, sequence=7, randomness=stream("object randomness")
    )

    def opening(title: str, expect: str, ids: str, data: bytes, **change: Any) -> Case:
        given = _opening(type=2, name=object_name(data), object=data) | change
        make = good(title, ids, "open", **given)
        return make if expect == "ok" else bad(title, expect, ids, "open", **given)

    def flip(place: int) -> bytes:
        return data[:place] + bytes((data[place] ^ 1,)) + data[place + 1 :]

    yield opening("open", "ok", "OBJ-8", data)
    yield opening("name-of-other-bytes", Failure.NAME, "OBJ-8", data, name=stream("another name"))
    yield opening("byte-changed-under-name", Failure.NAME, "OBJ-8", flip(120), name=object_name(data))
    yield opening("shorter-than-header", Failure.CONTEXT, "OBJ-1", data[:93])
    yield opening("empty", Failure.CONTEXT, "OBJ-1", b"")
    yield opening("newer-version", Failure.NEWER_FORMAT, "OBJ-2", b"\x02" + data[1:])
    yield opening("version-0", Failure.CONTEXT, "OBJ-3", b"\x00" + data[1:])
    yield opening("unknown-type", Failure.CONTEXT, "OBJ-3", data[:1] + b"\x0b" + data[2:])
    yield opening("type-0", Failure.CONTEXT, "OBJ-3", data[:1] + b"\x00" + data[2:])
    yield opening("another-type-wanted", Failure.CONTEXT, "OBJ-5", data, type=3)
    yield opening("type-changed-in-header", Failure.COMMITMENT, "OBJ-7", data[:1] + b"\x03" + data[2:], type=3)
    yield opening("epoch-unknown", Failure.EPOCH, "OBJ-6", data[:5] + b"\x09" + data[6:])
    yield opening("epoch-of-which-no-secret", Failure.EPOCH, "OBJ-6", data, epoch=2, secret=world.SECRET_2.reveal())
    other = seal_object(
        EpochKeys(ACCOUNT, 1, EpochSecret(stream("other epoch"))), ObjectType.BODY, content,
        writer=WRITER, sequence=7, randomness=stream("object randomness"),
    )  # fmt: skip
    yield opening("another-epoch-secret", Failure.COMMITMENT, "OBJ-7", other)
    foreign = seal_object(
        EpochKeys(world.OTHER_ACCOUNT, 1, world.SECRET_1), ObjectType.BODY, content,
        writer=WRITER, sequence=7, randomness=stream("object randomness"),
    )  # fmt: skip
    yield opening("another-account", Failure.COMMITMENT, "OBJ-7", foreign)
    for part, place in {"writer": 6, "sequence": 29, "salt": 30, "commitment": 62}.items():
        yield opening(f"{part}-changed", Failure.COMMITMENT, "OBJ-7", flip(place))
    yield opening("ciphertext-changed", Failure.SEAL, "OBJ-8", flip(94))
    yield opening("tag-changed", Failure.SEAL, "OBJ-8", flip(len(data) - 1))
    yield opening("cut-short", Failure.SEAL, "OBJ-8", data[:-1])
    yield opening("byte-after-end", Failure.SEAL, "OBJ-8", data + b"\0")
    yield opening("header-alone", Failure.SEAL, "OBJ-8", data[:94])
    for name, plaintext in {
        "padding-without-marker": bytes(256),
        "padding-below-floor": pad(content, floor=64),
        "padding-longer": pad(content, floor=256) + bytes(8),
        "padding-not-zero": pad(content, floor=256)[:-1] + b"\x01",
    }.items():
        yield opening(name, Failure.PADDING, "OBJ-9", _raw(plaintext, last=True))
    yield opening("not-the-last-chunk", Failure.SEAL, "OBJ-8", _raw(pad(content, floor=256), last=False))


def _raw(plaintext: bytes, *, last: bool) -> bytes:
    """An object honestly sealed over a plaintext that nobody should make."""
    sealer = ObjectSealer(
        world.KEYS_1, ObjectType.BODY, writer=WRITER, sequence=7, randomness=stream("object randomness"),
        digest=plaintext_digest([plaintext]),
    )  # fmt: skip
    return sealer.header + sealer.chunk(plaintext, last=last)


OBJECTS = Area("objects", _object_cases, {"seal": _seal, "open": _open})

# ---------------------------------------------------------------- chunks


def _seal_chunks(given: Mapping[str, Any]) -> Json:
    data, refs = chunks.seal_chunks(
        _keys(given), ObjectType(given["type"]), [unhex(content) for content in given["contents"]],
        writer=unhex(given["writer"]), sequence=given["sequence"], randomness=unhex(given["randomness"]),
    )  # fmt: skip
    return {"object": data, "name": object_name(data), "refs": [ref.to_cbor() for ref in refs]}


def _ref(given: Mapping[str, Any]) -> ChunkRef:
    index, offset, length, digest = given["ref"]
    return ChunkRef.parse([index, offset, length, unhex(digest)], "vector")


def _open_chunk(given: Mapping[str, Any]) -> Json:
    data, ref = unhex(given["object"]), _ref(given)
    opener = ObjectOpener(
        _epochs(given), unhex(given["account"]), data[:HEADER_BYTES], ObjectType(given["type"]), subject="vector"
    )
    sealed = chunks.cut_out(data, ref, subject="vector")
    return {"content": chunks.open_chunk(opener, ref, sealed, subject="vector")}


def _chunk_cases() -> Iterator[Case]:
    contents = [b"first chunk", stream("second chunk", 200), b"first chunk"]
    yield good("seal", "OBJ-4", "seal", **_sealing(type=5, contents=contents))
    yield good("seal-one", "OBJ-4", "seal", **_sealing(type=5, contents=[b""]))
    yield good("seal-pages", "OBJ-4", "seal", **_sealing(type=10, contents=[b"page"] * 5))
    data, refs = chunks.seal_chunks(
        world.KEYS_1, ObjectType.SEGMENT, contents, writer=WRITER, sequence=7, randomness=stream("object randomness")
    )
    first, second, third = (ref.to_cbor() for ref in refs)

    def opening(title: str, expect: str, ids: str, ref: list[Any], data: bytes = data) -> Case:
        given = _opening(type=5, object=data, ref=ref)
        make = good(title, ids, "open", **given)
        return make if expect == "ok" else bad(title, expect, ids, "open", **given)

    yield opening("open-first", "ok", "OBJ-10", first)
    yield opening("open-second", "ok", "OBJ-10", second)
    yield opening("open-third", "ok", "OBJ-10", third)
    flipped = data[: second[1] + 3] + bytes((data[second[1] + 3] ^ 1,)) + data[second[1] + 4 :]
    yield opening("byte-changed", Failure.DIGEST, "OBJ-10", second, flipped)
    yield opening("first-survives-damage-of-second", "ok", "OBJ-10", first, flipped)
    swapped = data[: first[1]] + data[third[1] : third[1] + third[2]] + data[second[1] : third[1]]
    swapped += data[first[1] : second[1]] + data[third[1] + third[2] :]
    yield opening("chunks-swapped", Failure.DIGEST, "OBJ-10", first, swapped)
    yield opening("chunk-of-another-number", Failure.SEAL, "OBJ-10", [2, *first[1:]])
    yield opening("number-of-another-chunk", Failure.SEAL, "OBJ-10", [0, *second[1:]])
    yield opening("range-one-off", Failure.DIGEST, "OBJ-10", [0, first[1] + 1, *first[2:]])
    yield opening("range-in-header", Failure.DIGEST, "OBJ-11", [0, 93, *first[2:]])
    yield opening("range-past-end", Failure.DIGEST, "OBJ-11", [0, len(data) - 16, *first[2:]])
    filler = data[third[1] + third[2] :]
    ref = [3, third[1] + third[2], len(filler), hashlib.sha256(filler).digest()]
    if len(filler) > 16:
        yield opening("filler-as-a-chunk", Failure.SEAL, "OBJ-10", ref)
    for name, plaintext in {"padding-below-floor": pad(b"x", floor=32), "padding-without-marker": bytes(64)}.items():
        sealer = ObjectSealer(
            world.KEYS_1, ObjectType.SEGMENT, writer=WRITER, sequence=8, randomness=stream("object randomness"),
            digest=plaintext_digest([plaintext]),
        )  # fmt: skip
        sealed = sealer.chunk(plaintext, last=False)
        whole = sealer.header + sealed + sealer.chunk(bytes(20), last=True)
        ref = [0, HEADER_BYTES, len(sealed), hashlib.sha256(sealed).digest()]
        yield opening(name, Failure.PADDING, "OBJ-9", ref, whole)


CHUNKS = Area("chunks", _chunk_cases, {"seal": _seal_chunks, "open": _open_chunk})

# ---------------------------------------------------------------- media


def _seal_media(given: Mapping[str, Any]) -> Json:
    file = stream(given["label"], given["length"])
    sealer = MediaSealer(_keys(given), unhex(given["scope"]))
    sealed = [part.seal() for part in [*sealer.take(file), *sealer.end()]]
    made = sealer.media([(part.name, part.table) for part in sealed])
    return {
        "descriptor": made.encode(),
        "parts": [{"header": part.data[:HEADER_BYTES], "name": part.name, "size": len(part.data)} for part in sealed],
    }


def _descriptor(given: Mapping[str, Any]) -> Json:
    found = Media.decode(unhex(given["descriptor"]))
    shapes = [media.part_shape(found.size, number) for number in range(len(found.parts))]
    return {
        "size": found.size,
        "sha256": found.sha256,
        "parts": [
            {"name": part.name, "size": part.size, "chunks": shape.chunks, "last": shape.place(shape.chunks - 1),
             "table": shape.table}
            for part, shape in zip(found.parts, shapes, strict=True)
        ],
    }  # fmt: skip


def _open_media(given: Mapping[str, Any]) -> Json:
    """Chunk `index` of part `part`, out of the part's bytes."""
    found = Media.decode(unhex(given["descriptor"]))
    number, index, data = given["part"], given["index"], unhex(given["object"])
    shape = media.part_shape(found.size, number)

    def piece(offset: int, length: int) -> bytes:
        return data[offset : offset + length]

    opener = PartOpener(
        found, number, _epochs(given), unhex(given["account"]), data[:HEADER_BYTES], piece(*shape.table)
    )
    return {"content": opener.chunk(index, piece(*shape.place(index)))}


def _sealed(file: bytes) -> tuple[Media, list[SealedPart]]:
    sealer = MediaSealer(world.KEYS_1, bytes(range(16)))
    sealed = [part.seal() for part in [*sealer.take(file), *sealer.end()]]
    return sealer.media([(part.name, part.table) for part in sealed]), sealed


def _media_cases() -> Iterator[Case]:
    full = media.part_bytes()
    scope = bytes(range(16))
    for length in (0, 1, 1000, 262_143, 262_144, 300_000, full - 1, full):
        given = _opening(label=f"file of {length}", length=length, scope=scope)
        yield good(f"seal-{length}", "MEDIA-2 MEDIA-5", "seal", **given)
    small: dict[str, Any] = {"label": "file of 1000", "length": 1000}
    yield good("seal-other-scope", "MEDIA-5", "seal", **_opening(**small, scope=bytes(16)))
    yield good("seal-other-epoch", "MEDIA-5", "seal", **_opening(**small, scope=scope, epoch=2))

    file = stream("small file", 300)
    made, (part,) = _sealed(file)
    padded = file + b"\x80" + bytes(media.padded_size(300) - 301)
    whole = made.to_cbor()

    def opening(title: str, expect: str, ids: str, data: bytes = part.data, index: int = 0, **change: Any) -> Case:
        value = dict(whole)
        world.apply(value, change)
        given = _opening(descriptor=cbor.encode(value), object=data, part=0, index=index)
        return good(title, ids, "open", **given) if expect == "ok" else bad(title, expect, ids, "open", **given)

    def flipped(place: int) -> bytes:
        return part.data[:place] + bytes((part.data[place] ^ 1,)) + part.data[place + 1 :]

    def lying(table: bytes | None = None, *, last: bool = False, ends: bool = True) -> dict[str, Any]:
        """A part that its writer made otherwise, and a descriptor that fits it."""
        first, second = (ObjectSealer.of_media(world.KEYS_1, stream("media salt")) for _ in range(2))
        chunk = first.chunk(padded, last=last)
        second.chunk(b"", last=False)
        closed = second.chunk(hashlib.sha256(chunk).digest() if table is None else table, last=ends)
        return {"data": first.header + chunk + closed, "f4": [[part.name, hashlib.sha256(closed).digest()]]}

    yield opening("open", "ok", "MEDIA-4 OBJ-10")
    yield opening("chunk-changed", Failure.DIGEST, "OBJ-10", flipped(HEADER_BYTES))
    yield opening("table-changed", Failure.DIGEST, "OBJ-10", flipped(len(part.data) - 1))
    yield opening("header-changed", Failure.COMMITMENT, "OBJ-7", flipped(40))
    yield opening("cut-off", Failure.DIGEST, "OBJ-10", part.data[:-1])
    yield opening("chunk-behind-the-end", Failure.DIGEST, "OBJ-10", index=1)
    yield opening("table-of-another-part", Failure.DIGEST, "OBJ-10", f4=[[part.name, bytes(32)]])
    yield opening("chunk-is-the-last", Failure.SEAL, "OBJ-10", **lying(last=True))
    yield opening("table-not-the-last", Failure.SEAL, "OBJ-10", **lying(ends=False))
    yield opening("table-short", Failure.SCHEMA, "MEDIA-4", **lying(bytes(31)))

    def descriptor(title: str, expect: str, ids: str, **change: Any) -> Case:
        value = dict(whole)
        world.apply(value, change)
        given = {"descriptor": cbor.encode(value)}
        make = good(title, ids, "descriptor", **given)
        return make if expect == "ok" else bad(title, expect, ids, "descriptor", **given)

    pair = [part.name, part.table]
    yield descriptor("descriptor", "ok", "MEDIA-2")
    yield descriptor("descriptor-of-three-parts", "ok", "MEDIA-2", f2=20_000_000, f4=[pair] * 3)
    yield descriptor("part-too-many", Failure.SCHEMA, "MEDIA-2", f4=[pair] * 2)
    yield descriptor("part-too-few", Failure.SCHEMA, "MEDIA-2", f2=full)
    yield descriptor("no-part", Failure.SCHEMA, "ENC-9", f4=[])
    yield descriptor("part-without-table", Failure.SCHEMA, "ENC-9", f4=[[part.name]])
    yield descriptor("newer", Failure.NEWER_FORMAT, "ENC-10", f1=2)
    yield descriptor("unknown-field", Failure.SCHEMA, "ENC-12", f7=0)
    yield descriptor("short-hash", Failure.SCHEMA, "ENC-7", f3=bytes(31))
    yield descriptor("negative-size", Failure.SCHEMA, "ENC-6", f2=-1)


MEDIA = Area("media", _media_cases, {"seal": _seal_media, "descriptor": _descriptor, "open": _open_media})
