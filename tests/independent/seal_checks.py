"""Answers to the vectors of sealed bytes and of the engine's plaintexts."""

from __future__ import annotations

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
MEDIA_PART = 8_388_608


def stream(label: str, length: int) -> bytes:
    out, counter = bytearray(), 0
    while len(out) < length:
        out += sha(label.encode(), counter.to_bytes(4, "big"))
        counter += 1
    return bytes(out[:length])


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


def media_part(given: Json, number: int, padded: bytes, prefix: bytes) -> tuple[bytes, bytes]:
    """A part object and the SHA-256 of its table."""
    secret, account = unhex(given["secret"]), unhex(given["account"])
    bound = unhex(given["scope"]) + number.to_bytes(8, "big") + len(padded).to_bytes(8, "big") + sha(prefix)
    salt = hmac.digest(derive("dedup", secret, context=account), bound, "sha256")
    header = bytes((1, 7)) + given["epoch"].to_bytes(4, "big") + bytes(16) + bytes(8) + salt
    okm = object_key(secret, account, header)
    cipher = ChaCha20Poly1305(okm[:32])
    data, digests = bytearray(header + okm[32:]), b""
    pieces = [padded[at : at + MEDIA_CHUNK] for at in range(0, len(padded), MEDIA_CHUNK)]
    for index, piece in enumerate(pieces):
        sealed = cipher.encrypt(nonce(index, False), piece, None)
        digests += sha(sealed)
        data += sealed
    table = cipher.encrypt(nonce(len(pieces), True), digests, None)
    return bytes(data + table), sha(table)


def media_seal(given: Json, _: Cddl) -> Json:
    file = stream(given["label"], given["length"])
    marked = file + b"\x80"
    padded = marked + bytes(crypto.padme(len(marked)) - len(marked))
    pairs, parts = [], []
    for number, at in enumerate(range(0, len(padded), MEDIA_PART)):
        part, table = media_part(given, number, padded[at : at + MEDIA_PART], marked[: at + MEDIA_PART])
        pairs.append([sha(part), table])
        parts.append({"header": part[:94], "name": sha(part), "size": len(part)})
    return {"descriptor": encode({1: 1, 2: len(file), 3: sha(file), 4: pairs}), "parts": parts}


def descriptor(data: bytes, cddl: Cddl) -> tuple[Map, list[tuple[int, int]]]:
    """The descriptor, and of each part: padded bytes, chunks."""
    found: Map = decode(data)
    cddl.check("media", found)
    padded = crypto.padme(found[2] + 1)
    sizes = [min(MEDIA_PART, padded - at) for at in range(0, padded, MEDIA_PART)]
    if len(found[4]) != len(sizes):
        raise Bad("schema")
    return found, [(size, -(-size // MEDIA_CHUNK)) for size in sizes]


def media_places(padded: int, chunks: int, index: int) -> tuple[list[int], list[int]]:
    """Offset and length of chunk `index` and of the table."""
    length = min(MEDIA_CHUNK, padded - index * MEDIA_CHUNK) + 16
    return [94 + 262_160 * index, length], [94 + padded + 16 * chunks, 32 * chunks + 16]


def media_descriptor(given: Json, cddl: Cddl) -> Json:
    found, sizes = descriptor(unhex(given["descriptor"]), cddl)
    parts = []
    for (name, _), (padded, chunks) in zip(found[4], sizes, strict=True):
        last, table = media_places(padded, chunks, chunks - 1)
        parts.append({"name": name, "size": sum(table), "chunks": chunks, "last": last, "table": table})
    return {"size": found[2], "sha256": found[3], "parts": parts}


def media_open(given: Json, cddl: Cddl) -> Json:
    found, sizes = descriptor(unhex(given["descriptor"]), cddl)
    data, number, index = unhex(given["object"]), given["part"], given["index"]
    padded, chunks = sizes[number]
    key = opened_key(given, data, 7)
    place, table = (data[at : at + length] for at, length in media_places(padded, chunks, index))
    if sha(table) != found[4][number][1]:
        raise Bad("digest")
    digests = unseal(key, nonce(chunks, True), table, "seal")
    if len(digests) != 32 * chunks:
        raise Bad("schema")
    if sha(place) != digests[32 * index : 32 * index + 32]:
        raise Bad("digest")
    plain = unseal(key, nonce(index, False), place, "seal")
    return {"content": plain[: max(0, found[2] - number * MEDIA_PART - index * MEDIA_CHUNK)]}


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
        for first, last, rows, segment, _, marks, parts, *more in entries:
            names = [part[0] for part in parts]
            if segment >= len(top[3]) or first > last or any(a >= b for a, b in itertools.pairwise(names)):
                raise Bad("schema")
            gone = forgets(more[0] if more else [])
            found.append({
                "key": key, "first": first, "last": last, "rows": rows, "segment": top[3][segment][0],
                "packed": marks % 2, "erases": marks // 2, "media": names,
                "forgets": gone,
            })  # fmt: skip
    order = [(frame["key"], frame["first"]) for frame in found]
    if order != sorted(order):
        raise Bad("schema")
    return {"frames": found}


def forgets(marks: list[list[int]]) -> list[list[int]]:
    if any(a >= b for a, b in itertools.pairwise(marks)):
        raise Bad("schema")
    return marks


def forgotten(given: Json, _: Cddl) -> Json:
    """Chapter 10: the latest time of each kind, none later than its own row's clock, none over a day ahead."""
    found: list[list[int]] = []
    until = {0: -1, 1: -1, 2: -1}
    for kind, time, clock in given["rows"]:
        mark = [kind, min(time, clock // 65_536)]
        if mark not in found:
            found.append(mark)
        if mark[1] <= given["now"] + 24 * 3_600_000:
            until[kind] = max(until[kind], mark[1])
    messages, facts = max(until[0], until[2]), until[2]
    hidden = [op == 7 or time <= (messages if op < 4 else facts) for op, time in given["asked"]]
    return {"marks": sorted(found), "until": [messages, max(until[1], messages), facts], "hidden": hidden}


def pages_for(given: Json, cddl: Cddl) -> Json:
    fences, key = index_top(unhex(given["top"]), cddl)[4], unhex(given["key"])
    ends = [fence[0] for fence in fences[1:]] + [b"\xff" * 17]
    return {"pages": [f[2][0] for f, end in zip(fences, ends, strict=True) if f[0] <= key <= end]}


def directory_rows(page: Map) -> list[list[bytes]]:
    segments = []
    for row in page[3]:
        if any(frame[3] >= len(page[2]) or frame[0] > frame[1] for frame in row[9]):
            raise Bad("schema")
        segments.append([page[2][frame[3]] for frame in row[9]])
    return segments


def directory_parse(given: Json, cddl: Cddl) -> Json:
    page: Map = decode(unhex(given["page"]))
    cddl.check("directory-rows", page)
    return {
        "conversations": [row[2] for row in page[3]], "newest": [row[5] for row in page[3]],
        "segments": directory_rows(page), "named": [row[11] for row in page[3]],
        "forgets": [forgets(row.get(12, [])) for row in page[3]],
    }  # fmt: skip


def hot_parse(given: Json, cddl: Cddl) -> Json:
    page: Map = decode(unhex(given["hot"]))
    cddl.check("hot-page", page)
    directory_rows(page)
    if len(page[5]) % 6:
        raise Bad("schema")
    entries = [page[5][at : at + 6] for at in range(0, len(page[5]), 6)]
    if any(a >= b for a, b in itertools.pairwise(entries)):
        raise Bad("schema")
    filed = [(entry[:4], int.from_bytes(entry[4:], "big")) for entry in entries]
    if any(number >= len(page[4]) for _, number in filed):
        raise Bad("schema")
    return {
        "conversations": [row[2] for row in page[3]],
        "cold": [[cold[0][0], cold[1]] for cold in page[4]],
        "pages": [[number for prefix, number in filed if prefix == unhex(key)[:4]] for key in given["keys"]],
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
    "directory": {"parse": directory_parse, "hot": hot_parse},
    "frame": {
        "encode": lambda given, _: frames.encode_rows(given),
        "decode": lambda given, cddl: frames.decode_frame(given, cddl, DICTIONARY),
    },
    "forget": {"forgotten": forgotten},
    "message-ids": {"conversation-key": conversation_key, "content-id": content_id},
}
