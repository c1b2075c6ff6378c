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
    sealer = media.MediaSealer(_keys(given), unhex(given["writer"]), len(file), hashlib.sha256(file).digest())
    sequences = iter(range(given["sequence"], given["sequence"] + 16))
    randomness = (stream(f"{given['label']} randomness {number}") for number in range(16))
    parts = [b"".join(part) for part in sealer.parts([file], sequences, randomness)]
    made = sealer.media()
    return {
        "descriptor": cbor.encode(made.to_cbor()),
        "parts": [{"name": object_name(part), "size": len(part)} for part in parts],
        "chunks": made.chunks,
    }


def _descriptor(given: Mapping[str, Any]) -> Json:
    found = media.Media.parse(cbor.decode(unhex(given["descriptor"])))
    where = [found.locate(index) for index in range(found.chunks)]
    return {
        "size": found.size,
        "sha256": found.sha256,
        "where": [[part, offset, length, number, last] for part, offset, length, number, last in where],
    }


def _open_media(given: Mapping[str, Any]) -> Json:
    found = media.Media.parse(cbor.decode(unhex(given["descriptor"])))
    part = unhex(given["part"])
    opener = ObjectOpener(
        _epochs(given), unhex(given["account"]), part[:HEADER_BYTES], ObjectType.MEDIA, subject="vector"
    )
    _, offset, length, _, _ = found.locate(given["index"])
    return {
        "content": media.open_chunk(found, given["index"], opener, part[offset : offset + length], subject="vector")
    }


def _media_sealing(label: str, length: int) -> dict[str, Any]:
    given = _sealing(label=label, length=length)
    del given["randomness"], given["type"]
    return given


def _media_cases() -> Iterator[Case]:
    for length in (0, 1, 1000, 262_143, 262_144, 300_000):
        yield good(f"seal-{length}", "MEDIA-1 MEDIA-2", "seal", **_media_sealing(f"file of {length}", length))
    file = stream("small file", 300)
    sealer = media.MediaSealer(world.KEYS_1, WRITER, len(file), hashlib.sha256(file).digest())
    part = b"".join(next(sealer.parts([file], iter([7]), iter([stream("media randomness")]))))

    whole = media.Media(
        300, 262_144, hashlib.sha256(file).digest(), ((object_name(part), len(part)),),
        hashlib.sha256(part[HEADER_BYTES:]).digest(),
    ).to_cbor()  # fmt: skip

    def opening(title: str, expect: str, ids: str, descriptor: dict[int, Any] = whole, part: bytes = part) -> Case:
        given = _opening(descriptor=cbor.encode(descriptor), part=part, index=0)
        make = good(title, ids, "open", **given)
        return make if expect == "ok" else bad(title, expect, ids, "open", **given)

    yield opening("open", "ok", "OBJ-10")
    yield opening("chunk-changed", Failure.DIGEST, "OBJ-10", part=part[:-1] + bytes((part[-1] ^ 1,)))
    yield opening("header-changed", Failure.COMMITMENT, "OBJ-7", part=part[:40] + bytes((part[40] ^ 1,)) + part[41:])
    resealed = ObjectSealer(
        world.KEYS_1, ObjectType.MEDIA, writer=WRITER, sequence=7, randomness=bytes(32), digest=bytes(32)
    )
    not_last = resealed.header + resealed.chunk(file + b"\x80" + bytes(media.padded_size(300) - 301), last=False)
    digests = hashlib.sha256(not_last[HEADER_BYTES:]).digest()
    yield opening("chunk-not-the-last", Failure.SEAL, "OBJ-10", whole | {6: digests}, not_last)

    def descriptor(title: str, expect: str, ids: str, **change: Any) -> Case:
        value = dict(whole)
        world.apply(value, change)
        given = {"descriptor": cbor.encode(value)}
        make = good(title, ids, "descriptor", **given)
        return make if expect == "ok" else bad(title, expect, ids, "descriptor", **given)

    name = object_name(part)
    yield descriptor("descriptor", "ok", "MEDIA-1 MEDIA-2")
    full = 64 * 1024 * 1024
    per_part = media.part_chunks()
    many = -(-media.padded_size(full * 2) // 262_144)
    parts = [[name, full]] * -(-many // per_part)
    yield descriptor("descriptor-of-three-parts", "ok", "MEDIA-2", f2=full * 2, f5=parts, f6=bytes(32) * many)
    yield descriptor("digest-missing", Failure.SCHEMA, "MEDIA-1", f6=b"")
    yield descriptor("digest-too-many", Failure.SCHEMA, "MEDIA-1", f6=bytes(64))
    yield descriptor("part-too-many", Failure.SCHEMA, "MEDIA-2", f5=[[name, 500], [name, 500]])
    yield descriptor("no-part", Failure.SCHEMA, "ENC-9", f5=[])
    yield descriptor("other-chunk-size", Failure.SCHEMA, "ENC-6", f3=65_536)
    yield descriptor("newer", Failure.NEWER_FORMAT, "ENC-10", f1=2)
    yield descriptor("unknown-field", Failure.SCHEMA, "ENC-12", f7=0)
    yield descriptor("short-digest", Failure.SCHEMA, "ENC-7", f4=bytes(31))
    yield descriptor("negative-size", Failure.SCHEMA, "ENC-6", f2=-1)


MEDIA = Area("media", _media_cases, {"seal": _seal_media, "descriptor": _descriptor, "open": _open_media})
