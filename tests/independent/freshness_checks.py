"""Answers to the vectors of anchors, fork proofs, evidence and the witness."""

from __future__ import annotations

import base64
from typing import Any

import crypto
from crypto import sha, unhex
from plain import Bad, Cddl, decode
from signed_checks import Head, Keyring, contradict, receipt_map
from wire_checks import account_id, check_peaks

Json = dict[str, Any]
Map = dict[int, Any]

PREFIX = "strongroom-anchor:"
LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"


# ---------------------------------------------------------------- anchors


def anchor_map(data: bytes, cddl: Cddl) -> Map:
    found: Map = decode(data)
    cddl.check("anchor", found)
    return found


def anchor_text(given: Json, cddl: Cddl) -> Json:
    typed: str = given["text"]
    kept = [letter for letter in typed if letter not in " \t\n\r\v\f"]
    letters = "".join(letter.upper() if letter.isascii() else letter for letter in kept)
    if len(typed) > 1024 or not letters.startswith(PREFIX.upper()):
        raise Bad("code")
    letters = letters[len(PREFIX) :]
    if any(letter not in LETTERS for letter in letters) or len(letters) % 8 in (1, 3, 6):
        raise Bad("code")
    bits = "".join(f"{LETTERS.index(letter):05b}" for letter in letters)
    if "1" in bits[len(bits) // 8 * 8 :]:
        raise Bad("code")
    data = bytes(int(bits[at : at + 8], 2) for at in range(0, len(bits) - 7, 8))
    if data[-4:] != sha(data[:-4])[:4]:
        raise Bad("code")
    anchor_map(data[:-4], cddl)
    return {"anchor": data[:-4], "text": PREFIX + base64.b32encode(data).decode().rstrip("=")}


def anchor_keyrings(given: Json, cddl: Cddl) -> Json:
    account, anchor = unhex(given["account"]), anchor_map(unhex(given["anchor"]), cddl)
    chain = [Keyring(unhex(message), account, cddl) for message in given["chain"]]
    if anchor[2] != account:
        raise Bad("account")
    if chain[-1].version < anchor[3]:
        raise Bad("rollback")
    if chain[anchor[3] - 1].hash != anchor[4]:
        raise Bad("fork")
    return {}


def descends(head: Head, version: int, hash_: bytes, root: bytes, proof: list[bytes]) -> None:
    """A head shown is one that is known, or a later one of its log."""
    if head.map[3] < version:
        raise Bad("rollback")
    if head.map[3] > version:
        crypto.check_consistency(version, root, head.map[3] - 1, head.map[12], proof)
    elif head.hash != hash_:
        raise Bad("fork")


def anchor_head(given: Json, cddl: Cddl) -> Json:
    account, anchor = unhex(given["account"]), anchor_map(unhex(given["anchor"]), cddl)
    head = Head(unhex(given["head"]), account, cddl)
    if anchor[2] != account:
        raise Bad("account")
    descends(head, anchor[5], anchor[6], anchor[7], [unhex(item) for item in given["consistency"]])
    return {}


# ---------------------------------------------------------------- proofs and evidence


def receipt_of(message: bytes, core: Map, cddl: Cddl) -> Map:
    found = receipt_map(message, cddl, core[3])
    if found[1] != account_id(core):
        raise Bad("account")
    return found


def bounded(data: bytes, rule: str, cddl: Cddl) -> Map:
    if len(data) > 4096:
        raise Bad("limit")
    found: Map = decode(data)
    cddl.check(rule, found)
    return found


def proof(given: Json, cddl: Cddl) -> Json:
    found = bounded(unhex(given["proof"]), "fork-proof", cddl)
    core = found[2]
    one, other = (receipt_of(found[key], core, cddl) for key in (3, 4))
    if not contradict(one, other):
        raise Bad("receipt")
    return {
        "account": account_id(core), "receipt_key": core[3], "chain": one[2], "versions": [one[3], other[3]],
    }  # fmt: skip


def evidence(given: Json, cddl: Cddl) -> Json:
    found = bounded(unhex(given["evidence"]), "evidence", cddl)
    core, anchor = found[2], anchor_map(found[3], cddl)
    if anchor[2] != account_id(core):
        raise Bad("account")
    messages = [found[key] for key in (4, 5) if found[key] is not None]
    for message in messages:
        m = receipt_of(message, core, cddl)
        if (m[2], m[3], m[4]) not in ((2, anchor[5], anchor[6]), (1, anchor[3], anchor[4])):
            raise Bad("receipt")
    return {"head": anchor[5], "receipts": len(messages)}


# ---------------------------------------------------------------- the witness


def advance(given: Json, cddl: Cddl) -> Json:
    request: Map = decode(unhex(given["request"]))
    cddl.check("witness-request", request)
    core = request[1]
    new, _ = witness_head(request[2], core, cddl)
    version = new.map[3]
    old = [witness_head(decode(unhex(item)), core, cddl) for item in given["known"]]
    if old:
        kept, root = old[0]
        if version <= kept.map[3] or version > kept.map[3] + 1_000_000:
            return {"heads": [head.hash for head, _ in old]}
        try:
            crypto.check_consistency(kept.map[3], root, version - 1, new.map[12], request[4])
        except Bad:
            above = max((old[-1][0], new), key=lambda head: int(head.map[3]))
            return {"heads": [kept.hash, above.hash]}
    return {"heads": [new.hash, *(head.hash for head, _ in old[1:] if head.map[3] > version)]}


def witness_head(item: list[Any], core: Map, cddl: Cddl) -> tuple[Head, bytes]:
    """The head, and the root of the log that ends in it."""
    head = Head(item[0], account_id(core), cddl)
    m = head.map
    receipt = receipt_of(item[1], core, cddl)
    if (receipt[2], receipt[3], receipt[4], receipt[5]) != (2, m[3], head.hash, m[4]):
        raise Bad("receipt")
    check_peaks(m[3] - 1, item[2], m[12])
    return head, with_entry(m[3] - 1, item[2], head.hash)


def with_entry(size: int, peaks: list[bytes], entry: bytes) -> bytes:
    """The root of a log of `size` entries after one more."""
    stack, node = list(peaks), crypto.leaf(entry)
    while size % 2:
        node, size = sha(b"\1", stack.pop(), node), size // 2
    return crypto.bagged([*stack, node])


def statement(given: Json, cddl: Cddl) -> Json:
    answer: Map = decode(unhex(given["answer"]))
    cddl.check("witness-response", answer)
    core: Map = decode(unhex(given["core"]))
    payload, key = crypto.cose_verify(cddl, "witness", answer[1], 1024)
    if key != unhex(given["witness_key"]):
        raise Bad("signer")
    m: Map = decode(payload)
    cddl.check("witness-statement", m)
    if m[1] != account_id(core):
        raise Bad("account")
    if m[3] != unhex(given["nonce"]):
        raise Bad("context")
    heads = [witness_head(item, core, cddl) for item in answer[2]]
    if [head.hash for head, _ in heads] != m[2]:
        raise Bad("receipt")
    return {"roots": [root for _, root in heads], "time": m[4], "known": m[5]}


def weigh(given: Json, cddl: Cddl) -> Json:
    core: Map = decode(unhex(given["core"]))
    seen, root = witness_head(decode(unhex(given["seen"])), core, cddl)
    head = Head(unhex(given["head"]), account_id(core), cddl)
    descends(head, seen.map[3], seen.hash, root, [unhex(item) for item in given["consistency"]])
    return {}


CHECKS = {
    "anchor": {"text": anchor_text, "keyrings": anchor_keyrings, "head": anchor_head},
    "proof": {"proof": proof, "evidence": evidence},
    "witness": {"advance": advance, "statement": statement, "weigh": weigh},
}
