"""Answers to the vectors of sealed bytes and of the engine's plaintexts."""

from __future__ import annotations

import hashlib
import hmac
import itertools
from typing import Any

import crypto
import frames
from crypto import derive, sha, unhex, unseal
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from plain import Bad, Cddl, decode, encode

Json = dict[str, Any]
Map = dict[int, Any]
DICTIONARY = b""
MEDIA_CHUNK = 262_144
PART_CHUNKS = (64 * 1024 * 1024 - 94) // (MEDIA_CHUNK + 16)


def stream(label: str, length: int) -> bytes:
    out, counter = b"", 0
    while len(out) < length:
        out += sha(label.encode(), counter.to_bytes(4, "big"))
        counter += 1
    return out[:length]


# ---------------------------------------------------------------- objects


def nonce(index: int, last: bool) -> bytes:
    return bytes(7) + index.to_bytes(4, "big") + (b"\1" if last else b"\0")


def object_key(secret: bytes, account: bytes, header: bytes) -> bytes:
    """key || commitment."""
    root = derive("object-root", secret, context=account)
    return derive("object", root, header[30:62], sha(b"strongroom/v1/object", account, header[:30]))


def seal(given: Json, chunks: list[bytes], digest: bytes) -> bytes:
    """Header and sealed chunks."""
    secret, account = unhex(given["secret"]), unhex(given["account"])
    identity = bytes((1, given["type"])) + given["epoch"].to_bytes(4, "big") + unhex(given["writer"])
    identity += given["sequence"].to_bytes(8, "big")
    salt_key = derive("salt", secret, context=account)
    hedge = unhex(given["randomness"]) + identity[6:] + identity[1:2] + digest
    header = identity + hmac.digest(salt_key, hedge, "sha256")
    okm = object_key(secret, account, header)
    cipher = ChaCha20Poly1305(okm[:32])
    out: bytes = header + okm[32:]
    for index, chunk in enumerate(chunks):
        out += cipher.encrypt(nonce(index, index + 1 == len(chunks)), chunk, None)
    return out


def digest_of(chunks: list[bytes]) -> bytes:
    return sha(*(len(chunk).to_bytes(8, "big") + chunk for chunk in chunks))


def object_seal(given: Json, _: Cddl) -> Json:
    padded = crypto.pad(unhex(given["content"]), 256)
    data = seal(given, [padded], digest_of([padded]))
    return {"object": data, "name": sha(data)}


def opened_key(given: Json, data: bytes, kind: int) -> bytes:
    """The object key, once everything in clear has been checked."""
    if len(data) < 94:
        raise Bad("context")
    if data[0] > 1:
        raise Bad("newer-format")
    if data[0] != 1 or not 1 <= data[1] <= 10 or data[1] != kind:
        raise Bad("context")
    if int.from_bytes(data[2:6], "big") != given["epoch"]:
        raise Bad("epoch")
    okm = object_key(unhex(given["secret"]), unhex(given["account"]), data)
    if okm[32:] != data[62:94]:
        raise Bad("commitment")
    return okm[:32]


def object_open(given: Json, _: Cddl) -> Json:
    data = unhex(given["object"])
    if sha(data) != unhex(given["name"]):
        raise Bad("name")
    key = opened_key(given, data, given["type"])
    content = crypto.unpad(unseal(key, nonce(0, True), data[94:], "seal"), 256)
    header = {
        "type": data[1], "epoch": int.from_bytes(data[2:6], "big"), "writer": data[6:22],
        "sequence": int.from_bytes(data[22:30], "big"), "salt": data[30:62], "commitment": data[62:94],
    }  # fmt: skip
    return {"content": content, "header": header}


def chunks_seal(given: Json, _: Cddl) -> Json:
    padded = [crypto.pad(unhex(content), 64) for content in given["contents"]]
    digest = digest_of(padded)
    size = 94 + sum(len(chunk) + 16 for chunk in padded)
    filler = bytes(crypto.padme(size + 16) - size - 16)
    data = seal(given, [*padded, filler], digest)
    refs, at = [], 94
    for index, chunk in enumerate(padded):
        length = len(chunk) + 16
        refs.append([index, at, length, sha(data[at : at + length])])
        at += length
    return {"object": data, "name": sha(data), "refs": refs}


def chunk_open(given: Json, _: Cddl) -> Json:
    data = unhex(given["object"])
    index, offset, length, digest = given["ref"]
    key = opened_key(given, data, given["type"])
    if offset < 94 or offset + length > len(data) or sha(data[offset : offset + length]) != unhex(digest):
        raise Bad("digest")
    plain = unseal(key, nonce(index, False), data[offset : offset + length], "seal")
    return {"content": crypto.unpad(plain, 64)}


# ---------------------------------------------------------------- media


def media_seal(given: Json, _: Cddl) -> Json:
    file = stream(given["label"], given["length"])
    padded = file + b"\x80"
    padded += bytes(crypto.padme(len(padded)) - len(padded))
    pieces = [padded[i : i + MEDIA_CHUNK] for i in range(0, len(padded), MEDIA_CHUNK)]
    digest = hashlib.sha256(sha(file) + bytes(8)).digest()
    part = seal(given | {"type": 7, "randomness": stream(f"{given['label']} randomness 0", 32).hex()}, pieces, digest)
    digests, at = b"", 94
    for piece in pieces:
        digests += sha(part[at : at + len(piece) + 16])
        at += len(piece) + 16
    descriptor = {1: 1, 2: len(file), 3: MEDIA_CHUNK, 4: sha(file), 5: [[sha(part), len(part)]], 6: digests}
    return {
        "descriptor": encode(descriptor), "parts": [{"name": sha(part), "size": len(part)}], "chunks": len(pieces),
    }  # fmt: skip


def descriptor(data: bytes, cddl: Cddl) -> tuple[Map, list[list[Any]]]:
    """The descriptor, and where each chunk lies."""
    found: Map = decode(data)
    cddl.check("media", found)
    if found[3] != MEDIA_CHUNK:
        raise Bad("schema")
    padded = crypto.padme(found[2] + 1)
    count = -(-padded // MEDIA_CHUNK)
    if len(found[6]) != 32 * count or len(found[5]) != -(-count // PART_CHUNKS):
        raise Bad("schema")
    where = []
    for index in range(count):
        number = index % PART_CHUNKS
        length = min(MEDIA_CHUNK, padded - index * MEDIA_CHUNK) + 16
        last = index == count - 1 or number == PART_CHUNKS - 1
        where.append([found[5][index // PART_CHUNKS][0], 94 + number * (MEDIA_CHUNK + 16), length, number, last])
    return found, where


def media_descriptor(given: Json, cddl: Cddl) -> Json:
    found, where = descriptor(unhex(given["descriptor"]), cddl)
    return {"size": found[2], "sha256": found[4], "where": where}


def media_open(given: Json, cddl: Cddl) -> Json:
    found, where = descriptor(unhex(given["descriptor"]), cddl)
    part, index = unhex(given["part"]), given["index"]
    key = opened_key(given, part, 7)
    _, offset, length, number, last = where[index]
    sealed = part[offset : offset + length]
    if sha(sealed) != found[6][32 * index : 32 * index + 32]:
        raise Bad("digest")
    plain = unseal(key, nonce(number, last), sealed, "seal")
    return {"content": plain[: max(0, found[2] - index * MEDIA_CHUNK)]}


# ---------------------------------------------------------------- batch


def batch_text(given: Json, key: bytes, body: bytes) -> bytes:
    statement = encode({1: unhex(given["account"]), 2: unhex(given["device"]), 3: given["sequence"], 4: sha(body)})
    return crypto.to_sign("batch", crypto.protected(key), statement)


def batch_sign(given: Json, _: Cddl) -> Json:
    frames_ = [unhex(frame) for frame in given["frames"]]
    body = encode({1: 1, 2: unhex(given["device"]), 3: given["sequence"], 4: frames_, 5: given["clock"]})
    seed = unhex(given["seed"])
    return {"content": crypto.sign(seed, batch_text(given, crypto.public(seed), body)) + body}


def batch_parse(given: Json, cddl: Cddl) -> Json:
    content = unhex(given["content"]) + bytes(given.get("zeros", 0))
    if not 64 < len(content) <= 4 * 1024 * 1024:
        raise Bad("limit")
    key = unhex(given["key"])
    crypto.check_signature(key, batch_text(given, key, content[64:]), content[:64])
    body: Map = decode(content[64:])
    cddl.check("batch-body", body)
    if (body[2], body[3]) != (unhex(given["device"]), given["sequence"]):
        raise Bad("context")
    return {"frames": body[4], "clock": body[5]}


# ---------------------------------------------------------------- the engine's structures


def body_parse(given: Json, cddl: Cddl) -> Json:
    content = unhex(given["content"]) + bytes(given.get("zeros", 0))
    if len(content) > 65_536:
        raise Bad("limit")
    body: Map = decode(content)
    cddl.check("body", body)
    if len({(entry[2], entry[3]) for entry in body[3]}) != len(body[3]):
        raise Bad("schema")
    return {"again": encode(body), "tail": len(body[3]), "rows": sum(entry[4] for entry in body[3])}


def root_parse(given: Json, cddl: Cddl) -> Json:
    root: Map = decode(unhex(given["content"]))
    cddl.check("engine-root", root)
    numbers = [run[1] for run in root[2]]
    if any(a <= b for a, b in itertools.pairwise(numbers)):
        raise Bad("schema")
    return {"again": encode(root), "runs": numbers, "rows": sum(run[4] for run in root[2])}


def index_top(data: bytes, cddl: Cddl) -> Map:
    top: Map = decode(data)
    cddl.check("index-top", top)
    fences = [(fence[0], fence[1]) for fence in top[4]]
    if fences != sorted(fences):
        raise Bad("schema")
    return top


def top_parse(given: Json, cddl: Cddl) -> Json:
    top = index_top(unhex(given["content"]), cddl)
    return {"again": encode(top), "pages": len(top[4])}


def page_parse(given: Json, cddl: Cddl) -> Json:
    top, page = index_top(unhex(given["top"]), cddl), decode(unhex(given["page"]))
    cddl.check("index-page", page)
    found = []
    for key, entries in page:
        for first, last, rows, segment, _ in entries:
            if segment >= len(top[3]) or first > last:
                raise Bad("schema")
            found.append({"key": key, "first": first, "last": last, "rows": rows, "segment": top[3][segment][0]})
    order = [(frame["key"], frame["first"]) for frame in found]
    if order != sorted(order):
        raise Bad("schema")
    return {"frames": found}


def pages_for(given: Json, cddl: Cddl) -> Json:
    fences, key = index_top(unhex(given["top"]), cddl)[4], unhex(given["key"])
    ends = [fence[0] for fence in fences[1:]] + [b"\xff" * 17]
    return {"pages": [f[2][0] for f, end in zip(fences, ends, strict=True) if f[0] <= key <= end]}


def directory_parse(given: Json, cddl: Cddl) -> Json:
    page: Map = decode(unhex(given["page"]))
    cddl.check("directory-rows", page)
    segments = []
    for row in page[3]:
        if any(frame[3] >= len(page[2]) or frame[0] > frame[1] for frame in row[9]):
            raise Bad("schema")
        segments.append([page[2][frame[3]] for frame in row[9]])
    return {
        "conversations": [row[2] for row in page[3]], "newest": [row[5] for row in page[3]], "segments": segments,
    }  # fmt: skip


def conversation_key(given: Json, _: Cddl) -> Json:
    return {"key": sha(b"strongroom/v1/conversation\0", given["conversation"].encode())[:16]}


def content_id(given: Json, _: Cddl) -> Json:
    names = ("conversation", "sender", "time", "kind", "text", "ordinal")
    return {"id": "sha256:" + sha(encode(["strongroom/v1/message-id", *(given[n] for n in names)])).hex()}


CHECKS: dict[str, dict[str, Any]] = {
    "objects": {"seal": object_seal, "open": object_open},
    "chunks": {"seal": chunks_seal, "open": chunk_open},
    "media": {"seal": media_seal, "descriptor": media_descriptor, "open": media_open},
    "batch": {"sign": batch_sign, "parse": batch_parse},
    "body": {"parse": body_parse},
    "root": {"parse": root_parse},
    "index": {"top": top_parse, "page": page_parse, "pages-for": pages_for},
    "directory": {"parse": directory_parse},
    "frame": {
        "encode": lambda given, _: frames.encode_rows(given),
        "decode": lambda given, cddl: frames.decode_frame(given, cddl, DICTIONARY),
    },
    "message-ids": {"conversation-key": conversation_key, "content-id": content_id},
}
