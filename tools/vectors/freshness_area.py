"""Vectors of anchors, fork proofs, evidence and the witness."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterator, Mapping
from typing import Any

from strongroom_protocol.errors import Failure
from strongroom_protocol.keys.secrets import SigningSeed
from strongroom_protocol.keys.signing import SignKey
from strongroom_protocol.manifest.account import GenesisCore
from strongroom_protocol.manifest.anchor import PREFIX, Anchor, check_anchored_head, check_anchored_keyrings
from strongroom_protocol.manifest.head import Head, parse_head
from strongroom_protocol.manifest.keyring import parse_keyring
from strongroom_protocol.manifest.proof import Evidence, ForkProof
from strongroom_protocol.manifest.witness import (
    Remembered,
    Seen,
    Signed,
    WitnessRequest,
    WitnessResponse,
    advance,
    check_witnessed,
    verify_statement,
)
from strongroom_protocol.wire import cbor, cose, merkle
from vectors import world
from vectors.case import Area, Case, Json, bad, good, stream, unhex
from vectors.world import ACCOUNT, CORE, OTHER_ACCOUNT, RELAY, TIME, Drop

OK = "ok"
WITNESS = SignKey(SigningSeed(stream("witness key")))
NONCE = stream("nonce")


def _case(name: str, expect: str, ids: str, op: str, /, **given: Any) -> Case:
    return good(name, ids, op, **given) if expect == OK else bad(name, expect, ids, op, **given)


def _root(count: int) -> bytes:
    """Of the log of the first heads."""
    return merkle.tree_root(_leaves(count))


def _leaves(count: int) -> list[bytes]:
    heads = (world.head_1(), world.head_2(), world.head_3(), world.head_4())
    return [merkle.leaf_hash(head.hash) for head in heads[:count]]


def _peaks(count: int) -> tuple[bytes, ...]:
    peaks: tuple[bytes, ...] = ()
    for size, head in enumerate((world.head_1(), world.head_2(), world.head_3(), world.head_4())[:count]):
        peaks = merkle.append(size, peaks, head.hash)
    return peaks


def _list(given: Mapping[str, Any], name: str) -> list[bytes]:
    return [unhex(item) for item in given[name]]


def _with(payload: dict[int, Any], **fields: Any) -> dict[int, Any]:
    mine = dict(payload)
    world.apply(mine, fields)
    return mine


# ---------------------------------------------------------------- anchors


def _of_text(given: Mapping[str, Any]) -> Json:
    anchor = Anchor.from_text(given["text"])
    return {"anchor": anchor.encode(), "text": anchor.to_text()}


def _anchored_keyrings(given: Mapping[str, Any]) -> Json:
    chain = [parse_keyring(message, account=unhex(given["account"])) for message in _list(given, "chain")]
    check_anchored_keyrings(Anchor.parse(unhex(given["anchor"])), chain)
    return {}


def _anchored_head(given: Mapping[str, Any]) -> Json:
    head = parse_head(unhex(given["head"]), account=unhex(given["account"]))
    check_anchored_head(Anchor.parse(unhex(given["anchor"])), head, _list(given, "consistency"))
    return {}


def _anchor() -> Anchor:
    keyring, head = world.keyring_2(), world.head_2()
    return Anchor(ACCOUNT, keyring.version, keyring.hash, head.version, head.hash, _root(2), TIME + 10)


def _text_of(data: bytes) -> str:
    check = hashlib.sha256(data).digest()[:4]
    return PREFIX + base64.b32encode(data + check).decode().rstrip("=")


def _anchor_cases() -> Iterator[Case]:
    anchor = _anchor()
    text, payload = anchor.to_text(), cbor.decode(anchor.encode())

    def of(name: str, expect: str, ids: str, typed: str) -> Case:
        return _case(f"text-{name}", expect, ids, "text", text=typed)

    yield of("as-made", OK, "ANCH-1 ANCH-2 ANCH-8", text)
    yield of("lower-case", OK, "ANCH-1", text.lower())
    yield of("in-lines", OK, "ANCH-1", "\n".join(text[at : at + 40] for at in range(0, len(text), 40)) + "\n")
    yield of("upper-case-prefix", OK, "ANCH-1", text.upper())
    yield of("another-prefix", Failure.CODE, "ANCH-1", "strongroom-link:" + text.removeprefix(PREFIX))
    yield of("no-prefix", Failure.CODE, "ANCH-1", text.removeprefix(PREFIX))
    yield of("too-long", Failure.CODE, "ANCH-1", text + " " * 1024)
    yield of("another-letter", Failure.CODE, "ANCH-2", text[:60] + ("A" if text[60] != "A" else "B") + text[61:])
    yield of("cut-off", Failure.CODE, "ANCH-2", text[:-8])
    yield of("empty", Failure.CODE, "ANCH-2", PREFIX)
    yield of("no-letter-of-base32", Failure.CODE, "ANCH-8", text[:60] + "1" + text[61:])
    yield of("one-letter-left-over", Failure.CODE, "ANCH-8", PREFIX + "A" * 9)
    yield of("padded", Failure.CODE, "ANCH-8", text + "=")
    k = text.index("K", len(PREFIX))
    yield of("letter-of-another-script", Failure.CODE, "ANCH-8", text[:k] + "\u212a" + text[k + 1 :])
    yield of("prefix-of-another-script", Failure.CODE, "ANCH-1", "\u017f" + text[1:])
    yield of("blank-of-another-script", Failure.CODE, "ANCH-8", text[:60] + "\u00a0" + text[60:])
    last = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567".index(text[-1])
    yield of("bits-left-over", Failure.CODE, "ANCH-8", text[:-1] + "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"[last ^ 1])

    def made(name: str, expect: str, ids: str, **fields: Any) -> Case:
        return of(name, expect, ids, _text_of(cbor.encode(_with(payload, **fields))))

    for key in payload:
        yield made(f"field-{key}-missing", Failure.SCHEMA, "ENC-12", **{f"f{key}": Drop})
    yield made("field-unknown", Failure.SCHEMA, "ENC-12", f9=0)
    yield made("newer-format", Failure.NEWER_FORMAT, "ENC-10", f1=2)
    yield made("head-0", Failure.SCHEMA, "ENC-6", f5=0)
    yield made("hash-short", Failure.SCHEMA, "ENC-7", f6=bytes(31))

    one, two, three = world.keyring_1(), world.keyring_2(), world.keyring_3()

    def keyrings(name: str, expect: str, ids: str, *messages: bytes, **change: Any) -> Case:
        data = cbor.encode(_with(payload, **change))
        return _case(f"keyrings-{name}", expect, ids, "keyrings", anchor=data, chain=messages, account=ACCOUNT)

    yield keyrings("the-anchors", OK, "ANCH-3 ANCH-4", one.message, two.message)
    yield keyrings("newer", OK, "ANCH-4", one.message, two.message, three.message)
    yield keyrings("older", Failure.ROLLBACK, "ANCH-3", one.message)
    another = world.keyring_2_bytes(f5=TIME + 7)
    yield keyrings("another", Failure.FORK, "ANCH-4", one.message, another)
    yield keyrings("of-another-account", Failure.ACCOUNT, "ACC-1", one.message, two.message, f2=OTHER_ACCOUNT)

    def head(name: str, expect: str, ids: str, shown: Head, consistency: Any = (), **change: Any) -> Case:
        given = {"anchor": cbor.encode(_with(payload, **change)), "head": shown.message, "consistency": consistency}
        return _case(f"head-{name}", expect, ids, "head", account=ACCOUNT, **given)

    other = parse_head(world.head_bytes(world.payload_2(), world.B, f14=TIME + 99), account=ACCOUNT)
    proof = merkle.consistency_proof(2, _leaves(3))
    yield head("the-anchors", OK, "ANCH-5 ANCH-6", world.head_2())
    yield head("the-next", OK, "ANCH-7", world.head_3())
    yield head("a-later-one", OK, "ANCH-7", world.head_4(), proof)
    yield head("older", Failure.ROLLBACK, "ANCH-5", world.head_1())
    yield head("another", Failure.FORK, "ANCH-6", other)
    yield head("later-of-another-log", Failure.LOG, "ANCH-7", world.head_4(), proof, f7=stream("another root"))
    yield head("next-of-another-log", Failure.LOG, "ANCH-7", world.head_3(), f7=stream("another root"))
    yield head("later-without-proof", Failure.LOG, "ANCH-7 LOG-3", world.head_4())
    yield head("of-another-account", Failure.ACCOUNT, "ACC-1", world.head_2(), f2=OTHER_ACCOUNT)


ANCHOR = Area(
    "anchor", _anchor_cases, {"text": _of_text, "keyrings": _anchored_keyrings, "head": _anchored_head}
)  # fmt: skip

# ---------------------------------------------------------------- proofs and evidence


def _prove(given: Mapping[str, Any]) -> Json:
    proof = ForkProof.parse(unhex(given["proof"]))
    return {
        "account": proof.core.account_id(), "receipt_key": proof.core.receipt_key, "chain": int(proof.one.chain),
        "versions": [proof.one.version, proof.other.version],
    }  # fmt: skip


def _evidence(given: Mapping[str, Any]) -> Json:
    found = Evidence.parse(unhex(given["evidence"]))
    return {"head": found.anchor.head_version, "receipts": len(found.receipts())}


def _receipt(key: SignKey = RELAY, context: cose.Context = cose.Context.RECEIPT, **fields: Any) -> bytes:
    head = world.head_2()
    payload = {1: ACCOUNT, 2: 2, 3: 2, 4: head.hash, 5: head.previous, 6: TIME + 5}
    return cose.sign(context, cbor.encode(_with(payload, **fields)), key.public, key.sign)


def _proof_cases() -> Iterator[Case]:
    core = CORE.to_cbor()

    def proof(name: str, expect: str, ids: str, one: bytes, other: bytes, **fields: Any) -> Case:
        data = cbor.encode(_with({1: 1, 2: core, 3: one, 4: other}, **fields))
        return _case(name, expect, ids, "proof", proof=data)

    good_one, another = _receipt(), _receipt(f4=stream("another head"))
    yield proof("two-heads-of-one-version", OK, "FORK-1", good_one, another)
    yield proof("the-other-way-round", OK, "FORK-1", another, good_one)
    yield proof("another-predecessor", OK, "FORK-1", good_one, _receipt(f5=stream("another previous")))
    following = _receipt(f3=3, f4=world.head_3().hash, f5=stream("not head 2"))
    yield proof("the-next-not-on-it", OK, "FORK-1", good_one, following)
    of_keyring = _receipt(f2=1, f4=world.keyring_2().hash, f5=world.keyring_1().hash)
    yield proof("two-keyrings", OK, "FORK-1", of_keyring, _receipt(f2=1, f4=stream("another keyring")))
    yield proof("the-same-twice", Failure.RECEIPT, "FORK-1", good_one, good_one)
    yield proof("the-same-at-another-time", Failure.RECEIPT, "FORK-1", good_one, _receipt(f6=TIME + 99))
    honest = _receipt(f3=3, f4=world.head_3().hash, f5=world.head_2().hash)
    yield proof("the-next-on-it", Failure.RECEIPT, "FORK-1", good_one, honest)
    yield proof("two-versions-apart", Failure.RECEIPT, "FORK-1", good_one, _receipt(f3=4, f4=stream("another head")))
    yield proof("head-and-keyring", Failure.RECEIPT, "FORK-1", good_one, of_keyring)
    yield proof("by-another-key", Failure.SIGNER, "RCPT-1", good_one, _receipt(world.B.sign, f4=stream("another head")))
    foreign = _receipt(f1=OTHER_ACCOUNT, f4=stream("another head"))
    yield proof("of-another-account", Failure.ACCOUNT, "ACC-1", good_one, foreign)
    swapped = core | {4: stream("other randomness")}
    yield proof("core-of-another-account", Failure.ACCOUNT, "ACC-1", good_one, another, f2=swapped)
    yield proof(
        "core-of-another-relay", Failure.SIGNER, "RCPT-1", good_one, another, f2=core | {3: world.B.sign.public}
    )
    as_head = _receipt(context=cose.Context.HEAD, f4=stream("another head"))
    yield proof("signed-as-a-head", Failure.SIGNATURE, "SIG-1", good_one, as_head)
    yield proof("newer-format", Failure.NEWER_FORMAT, "ENC-10", good_one, another, f1=2)
    yield proof("field-unknown", Failure.SCHEMA, "ENC-12", good_one, another, f5=0)
    yield proof("longer-than-limit", Failure.LIMIT, "FORK-2", good_one, another, f5=bytes(4096))
    yield from _evidence_cases(core)


def _evidence_cases(core: dict[int, Any]) -> Iterator[Case]:
    anchor = _anchor()
    of_keyring = _receipt(f2=1, f4=world.keyring_2().hash, f5=world.keyring_1().hash)
    payload = {1: 1, 2: core, 3: anchor.encode(), 4: _receipt(), 5: of_keyring}

    def evidence(name: str, expect: str, ids: str, **fields: Any) -> Case:
        return _case(
            f"evidence-{name}", expect, ids, "evidence", evidence=cbor.encode(_with(payload, **fields))
        )  # fmt: skip

    yield evidence("whole", OK, "FORK-4 FORK-5")
    yield evidence("without-the-keyrings-receipt", OK, "FORK-5", f5=None)
    foreign = cbor.encode(cbor.decode(anchor.encode()) | {2: OTHER_ACCOUNT})
    yield evidence("anchor-of-another-account", Failure.ACCOUNT, "FORK-4", f3=foreign)
    yield evidence("receipt-of-another-head", Failure.RECEIPT, "FORK-5", f4=_receipt(f4=stream("another head")))
    yield evidence("receipt-of-another-version", Failure.RECEIPT, "FORK-5", f4=_receipt(f3=3))
    yield evidence("receipt-of-another-keyring", Failure.RECEIPT, "FORK-5", f5=_receipt(f2=1))
    yield evidence("receipt-by-another-key", Failure.SIGNER, "RCPT-1", f4=_receipt(world.B.sign))
    yield evidence("newer-format", Failure.NEWER_FORMAT, "ENC-10", f1=2)
    yield evidence("field-unknown", Failure.SCHEMA, "ENC-12", f6=0)
    yield evidence("longer-than-limit", Failure.LIMIT, "FORK-3", f6=bytes(4096))


PROOF = Area("proof", _proof_cases, {"proof": _prove, "evidence": _evidence})

# ---------------------------------------------------------------- the witness


def _seen(encoded: str) -> Seen:
    return Seen.check(Signed.parse(cbor.decode(unhex(encoded))), CORE)


def _advance(given: Mapping[str, Any]) -> Json:
    request = WitnessRequest.parse(unhex(given["request"]))
    new = Seen.check(request.signed, request.core)
    known = [_seen(item) for item in given["known"]]
    found = advance(Remembered(*known) if known else None, new, request.consistency)
    return {"heads": [seen.head.hash for seen in found.seen()]}


def _statement(given: Mapping[str, Any]) -> Json:
    found = verify_statement(
        WitnessResponse.parse(unhex(given["answer"])), witness_key=unhex(given["witness_key"]),
        core=GenesisCore.parse(cbor.decode(unhex(given["core"]))), nonce=unhex(given["nonce"]),
    )  # fmt: skip
    return {"roots": [seen.log_root for seen in found.seen], "time": found.time, "known": found.known}


def _weigh(given: Mapping[str, Any]) -> Json:
    head = parse_head(unhex(given["head"]), account=ACCOUNT)
    check_witnessed(_seen(given["seen"]), head, _list(given, "consistency"))
    return {}


def _receipt_for(head: Head, **fields: Any) -> bytes:
    base: dict[str, Any] = {"f3": head.version, "f4": head.hash, "f5": head.previous}
    return _receipt(**(base | fields))


def _heads() -> dict[int, Head]:
    return {1: world.head_1(), 2: world.head_2(), 3: world.head_3(), 4: world.head_4()}


def _signed(version: int) -> list[Any]:
    head = _heads()[version]
    return [head.message, _receipt_for(head), list(_peaks(version - 1))]


def _witness_cases() -> Iterator[Case]:
    core = CORE.to_cbor()

    def told(version: int, *, since: int = 0, signed: list[Any] | None = None, **fields: Any) -> bytes:
        proof = merkle.consistency_proof(since, _leaves(version - 1))
        payload: dict[int, Any] = {1: core, 2: signed or _signed(version), 3: NONCE, 4: proof}
        return cbor.encode(_with(payload, **fields))

    def case(name: str, expect: str, ids: str, request: bytes, *known: list[Any]) -> Case:
        return _case(name, expect, ids, "advance", request=request, known=[cbor.encode(item) for item in known])

    two, three, four = _signed(2), _signed(3), _signed(4)
    another = parse_head(world.head_bytes(world.payload_2(), world.B, f14=TIME + 99), account=ACCOUNT)
    strange = [another.message, _receipt_for(another), list(_peaks(1))]
    yield case("first-heard-of", OK, "WIT-1", told(2))
    yield case("first-head", OK, "WIT-1", told(1))
    yield case("newer-with-proof", OK, "WIT-2", told(4, since=2), two)
    yield case("the-next-needs-none", OK, "WIT-2", told(3), two)
    yield case("newer-without-proof-above", OK, "WIT-2 WIT-14", told(4), two)
    yield case("newer-of-another-log-above", OK, "WIT-2 WIT-14", told(4, since=2), strange)
    yield case("older-stays", OK, "WIT-1", told(1), two)
    yield case("the-same-stays", OK, "WIT-1", told(2), strange)
    yield case("higher-above", OK, "WIT-14", told(4), strange, three)
    yield case("lower-not-above", OK, "WIT-14", told(3), strange, four)
    yield case("kept-below-what-is-above", OK, "WIT-14", told(3), two, four)
    yield case("kept-reaches-what-is-above", OK, "WIT-14", told(4, since=2), two, three)
    by_another = [two[0], _receipt(world.B.sign), two[2]]
    yield case("receipt-by-another-key", Failure.SIGNER, "RCPT-1", told(2, signed=by_another))
    of_another = [two[0], _receipt_for(_heads()[1]), two[2]]
    yield case("receipt-of-another-head", Failure.RECEIPT, "RCPT-2", told(2, signed=of_another))
    yield case("receipt-of-a-keyring", Failure.RECEIPT, "RCPT-2", told(2, signed=[two[0], _receipt(f2=1), two[2]]))
    yield case("core-of-another-account", Failure.ACCOUNT, "ACC-1", told(2, f1=core | {4: stream("other randomness")}))
    yield case("peaks-of-another-log", Failure.LOG, "LOG-2", told(2, signed=[*two[:2], [stream("peak")]]))
    yield case("too-many-peaks", Failure.SCHEMA, "ENC-9", told(2, signed=[*two[:2], [bytes(32)] * 65]))
    yield case("nonce-short", Failure.SCHEMA, "ENC-7", told(2, f3=bytes(31)))
    yield case("field-unknown", Failure.SCHEMA, "ENC-12", told(2, f5=0))
    yield from _statement_cases(core)
    yield from _weighing_cases(core, strange)


def _statement_cases(core: dict[int, Any]) -> Iterator[Case]:
    two, four = _signed(2), _signed(4)
    hashes = [_heads()[2].hash, _heads()[4].hash]
    payload: dict[int, Any] = {1: ACCOUNT, 2: hashes[:1], 3: NONCE, 4: TIME + 20, 5: 1}

    def said(
        name: str, expect: str, ids: str, *, key: SignKey = WITNESS, signed: list[Any] | None = None,
        context: cose.Context = cose.Context.WITNESS, **fields: Any,
    ) -> Case:  # fmt: skip
        statement = cose.sign(context, cbor.encode(_with(payload, **fields)), key.public, key.sign)
        answer = cbor.encode({1: statement, 2: [two] if signed is None else signed})
        return _case(
            f"statement-{name}", expect, ids, "statement", answer=answer, witness_key=WITNESS.public,
            core=cbor.encode(core), nonce=NONCE,
        )  # fmt: skip

    yield said("good", OK, "WIT-3 WIT-4 WIT-5")
    yield said("about-two", OK, "WIT-5", signed=[two, four], f2=hashes)
    yield said("never-heard-before", OK, "WIT-5", f5=0)
    yield said("by-another-key", Failure.SIGNER, "WIT-3", key=world.B.sign)
    yield said("by-the-relay", Failure.SIGNER, "WIT-3", key=RELAY)
    yield said("signed-as-a-receipt", Failure.SIGNATURE, "SIG-1", context=cose.Context.RECEIPT)
    yield said("for-another-nonce", Failure.CONTEXT, "WIT-4", f3=stream("another nonce"))
    yield said("of-another-account", Failure.ACCOUNT, "ACC-1", f1=OTHER_ACCOUNT)
    yield said("about-an-unsigned-head", Failure.RECEIPT, "WIT-5", f2=[stream("a head nobody took")])
    yield said("about-another-head", Failure.RECEIPT, "WIT-5", signed=[four])
    yield said("about-one-of-two", Failure.RECEIPT, "WIT-5", signed=[two, four])
    yield said("about-two-of-one", Failure.RECEIPT, "WIT-5", f2=hashes)
    yield said("about-none", Failure.SCHEMA, "ENC-9", signed=[], f2=[])
    yield said("with-a-keyrings-receipt", Failure.RECEIPT, "RCPT-2", signed=[[two[0], _receipt(f2=1), two[2]]])
    yield said("with-a-strangers-receipt", Failure.SIGNER, "RCPT-1", signed=[[two[0], _receipt(world.B.sign), two[2]]])
    yield said("with-peaks-of-another-log", Failure.LOG, "LOG-2", signed=[[*two[:2], [stream("peak")]]])
    yield said("field-unknown", Failure.SCHEMA, "ENC-12", f6=0)
    yield said("time-2-48", Failure.SCHEMA, "ENC-6", f4=2**48)


def _weighing_cases(core: dict[int, Any], strange: list[Any]) -> Iterator[Case]:
    def weigh(
        name: str, expect: str, ids: str, version: int, *, proof: Any = (), seen: list[Any] | None = None
    ) -> Case:  # fmt: skip
        return _case(
            f"weigh-{name}", expect, ids, "weigh", core=cbor.encode(core), seen=cbor.encode(seen or _signed(2)),
            head=_heads()[version].message, consistency=proof,
        )  # fmt: skip

    proof = merkle.consistency_proof(2, _leaves(3))
    yield weigh("the-same", OK, "WIT-6 WIT-7", 2)
    yield weigh("newer", OK, "WIT-8", 4, proof=proof)
    yield weigh("older", Failure.ROLLBACK, "WIT-6", 1)
    yield weigh("another", Failure.FORK, "WIT-7", 2, seen=strange)
    yield weigh("newer-of-another-log", Failure.LOG, "WIT-8", 4, proof=proof, seen=strange)
    yield weigh("newer-without-proof", Failure.LOG, "WIT-8 LOG-3", 4)


WITNESSED = Area("witness", _witness_cases, {"advance": _advance, "statement": _statement, "weigh": _weigh})
