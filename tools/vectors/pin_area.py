"""Vectors of what a device remembers, and of everything new that is weighed against it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from strongroom_protocol.errors import Failure
from strongroom_protocol.manifest.head import parse_head
from strongroom_protocol.manifest.keyring import parse_keyring
from strongroom_protocol.manifest.pin import Pin, accept_head, accept_keyrings, accept_sequences
from strongroom_protocol.wire import cbor, merkle
from vectors import world
from vectors.case import Area, Case, Json, bad, good, stream, unhex
from vectors.world import ACCOUNT, Drop

OK = "ok"


def _case(name: str, expect: str, ids: str, op: str, /, **given: Any) -> Case:
    return good(name, ids, op, **given) if expect == OK else bad(name, expect, ids, op, **given)


def _pin(given: Mapping[str, Any]) -> Pin | None:
    return None if given["pin"] is None else Pin.parse(unhex(given["pin"]))


def _parse(given: Mapping[str, Any]) -> Json:
    pin = Pin.parse(unhex(given["pin"]))
    size, peaks = pin.log()
    return {"again": pin.encode(), "log_size": size, "log_root": merkle.root_of(peaks)}


def _keyrings(given: Mapping[str, Any]) -> Json:
    account = unhex(given["account"])
    known = None if given["known"] is None else parse_keyring(unhex(given["known"]), account=account)
    chain = [parse_keyring(unhex(message), account=account) for message in given["chain"]]
    newest = accept_keyrings(_pin(given), known, chain, account=account)
    return {"version": newest.version, "hash": newest.hash}


def _head(given: Mapping[str, Any]) -> Json:
    account = unhex(given["account"])
    pin = accept_head(
        _pin(given), parse_keyring(unhex(given["keyring"]), account=account),
        parse_head(unhex(given["head"]), account=account), peaks=[unhex(item) for item in given["peaks"]],
        consistency=[unhex(item) for item in given["consistency"]],
        cut_path=[unhex(item) for item in given["cut_path"]],
    )  # fmt: skip
    return {"pin": pin.encode()}


def _sequences(given: Mapping[str, Any]) -> Json:
    found = {unhex(key): value for key, value in given["sequences"].items()}
    pin = accept_sequences(Pin.parse(unhex(given["pin"])), found, device=unhex(given["device"]))
    return {"pin": pin.encode()}


def _peaks(count: int) -> tuple[bytes, ...]:
    peaks: tuple[bytes, ...] = ()
    for size, head in enumerate(_heads()[:count]):
        peaks = merkle.append(size, peaks, head)
    return peaks


def _heads() -> list[bytes]:
    return [world.head_1().hash, world.head_2().hash, world.head_3().hash, world.head_4().hash]


def _leaves() -> list[bytes]:
    return [merkle.leaf_hash(entry) for entry in _heads()]


def _cases() -> Iterator[Case]:
    one, two, three = world.keyring_1(), world.keyring_2(), world.keyring_3()
    at_1 = Pin(ACCOUNT, 1, one.hash, 1, world.head_1().hash, 1, (), 1, 5, {world.A.id: 1})
    at_2 = Pin(ACCOUNT, 2, two.hash, 2, world.head_2().hash, 2, _peaks(1), 1, 5, {world.A.id: 1, world.B.id: 2})
    at_3 = Pin(ACCOUNT, 3, three.hash, 3, world.head_3().hash, 3, _peaks(2), 2, 5, {world.B.id: 3})
    full = cbor.decode(at_2.encode())

    def parsing(name: str, expect: str, ids: str, **change: Any) -> Case:
        value = dict(full)
        world.apply(value, change)
        return _case(name, expect, ids, "parse", pin=cbor.encode(value))

    yield parsing("parse", OK, "LOG-1")
    yield good("parse-no-head-yet", "LOG-1", "parse", pin=Pin(ACCOUNT, 1, one.hash).encode())
    yield parsing("newer-format", Failure.NEWER_FORMAT, "ENC-10", f1=2)
    yield parsing("field-missing", Failure.SCHEMA, "ENC-12", f10=Drop)
    yield parsing("field-unknown", Failure.SCHEMA, "ENC-12", f12=0)
    yield parsing("keyring-version-0", Failure.SCHEMA, "ENC-6", f3=0)
    yield parsing("short-peak", Failure.SCHEMA, "ENC-7", f8=[bytes(31)])
    yield parsing("short-device", Failure.SCHEMA, "ENC-7", f11={bytes(15): 1})
    yield parsing("sequence-negative", Failure.SCHEMA, "ENC-6", f11={bytes(16): -1})

    def keyrings(name: str, expect: str, ids: str, pin: Pin | None, known: bytes | None, *chain: bytes) -> Case:
        given = {"pin": None if pin is None else pin.encode(), "known": known, "chain": chain, "account": ACCOUNT}
        return _case(f"keyrings-{name}", expect, ids, "keyrings", **given)

    yield keyrings("first-sight", OK, "KR-17", None, None, one.message, two.message)
    yield keyrings("nothing-new", OK, "PIN-1", at_2, two.message)
    yield keyrings("one-new", OK, "PIN-1", at_2, two.message, three.message)
    yield keyrings("known-one-again", OK, "PIN-2", at_2, two.message, two.message, three.message)
    yield keyrings("stored-one-replaced", Failure.FORK, "PIN-1", at_2, world.keyring_2_bytes(f5=world.TIME + 9))
    fork = world.keyring_2_bytes(f5=world.TIME + 9)
    yield keyrings("another-of-a-known-version", Failure.FORK, "PIN-2", at_2, two.message, fork)
    yield keyrings("older", Failure.ROLLBACK, "PIN-3", at_2, two.message, one.message)
    yield keyrings("version-skipped", Failure.CHAIN, "KR-8", at_1, one.message, three.message)

    def head(name: str, expect: str, ids: str, pin: Pin | None, keyring: Any, message: bytes, **change: Any) -> Case:
        version = cbor.decode(cbor.decode(message)[2])[3]
        given: dict[str, Any] = {
            "pin": None if pin is None else pin.encode(), "keyring": keyring.message, "head": message,
            "peaks": _peaks(version - 1), "consistency": [], "cut_path": [], "account": ACCOUNT,
        }  # fmt: skip
        return _case(f"head-{name}", expect, ids, "head", **(given | change))

    heads = world.head_1(), world.head_2(), world.head_3(), world.head_4()
    cut_path = merkle.inclusion_path(1, _leaves()[:3])
    proof_1_3 = merkle.consistency_proof(1, _leaves()[:3])
    proof_2_3 = merkle.consistency_proof(2, _leaves()[:3])
    fourth = {"cut_path": cut_path, "consistency": proof_2_3}
    yield head("first-sight", OK, "LOG-2", None, one, heads[0].message)
    yield head("first-sight-on-the-cut", OK, "KR-18", None, three, heads[2].message)
    yield head("first-sight-after-the-cut", OK, "LOG-4", None, three, heads[3].message, cut_path=cut_path)
    yield head("next-on-the-cut", OK, "LOG-1", at_2, three, heads[2].message)
    yield head("same-again", OK, "PIN-7", at_3, three, heads[2].message)
    yield head("two-later", OK, "LOG-1", at_2, three, heads[3].message, **fourth)
    yield head("older", Failure.ROLLBACK, "PIN-6", at_3, two, heads[1].message)
    other = world.head_bytes(world.payload_2(), world.B, f14=world.TIME + 99)
    yield head("another-of-a-known-version", Failure.FORK, "PIN-7", at_2, two, other)
    far = Pin(ACCOUNT, 1, one.hash, 1, heads[0].hash, 1, (), 1)
    payload = world.payload_2()
    for step, expect in ((1_000_001, OK), (1_000_002, Failure.LIMIT)):
        # As if the log had a million equal heads: its peaks are whatever they are, the proof is of them.
        entries, log = _million(step - 1)
        message = world.head_bytes(payload, world.B, f3=step, f12=merkle.root_of(log), f4=stream("previous"))
        path, proof = entries
        yield head(f"{step - 1}-ahead", expect, "PIN-8", far, two, message, peaks=log, consistency=proof, cut_path=path)
    unseen = Pin(ACCOUNT, 2, two.hash)
    yield head("long-history-at-first-sight", OK, "PIN-8", unseen, two, message, peaks=log, cut_path=path)
    yield head(
        "peaks-of-another-log", Failure.LOG, "LOG-2", None, three, heads[3].message, peaks=_peaks(2), cut_path=cut_path
    )
    yield head(
        "does-not-descend",
        Failure.LOG,
        "LOG-1",
        _replaced(at_2, stream("other head")),
        three,
        heads[3].message,
        **fourth,
    )
    wrong_proof = fourth | {"consistency": proof_1_3}
    yield head("proof-of-another-size", Failure.LOG, "LOG-3", at_2, three, heads[3].message, **wrong_proof)
    yield head(
        "cut-not-in-the-log",
        Failure.LOG,
        "LOG-4",
        at_2,
        three,
        heads[3].message,
        **(fourth | {"cut_path": cut_path[:1]}),
    )
    third = world.payload_3()
    before = world.keyring_3_bytes(f14={1: 3, 2: stream("a later head")})
    later = parse_keyring(before, account=ACCOUNT)
    message = world.head_bytes(third, world.B, f6=later.hash)
    yield head("before-the-cut", Failure.CUT, "PIN-11", None, later, message)
    early = parse_keyring(world.keyring_3_bytes(f14={1: 1, 2: heads[0].hash}), account=ACCOUNT)
    message = world.head_bytes(third, world.B, f6=early.hash)
    path = merkle.inclusion_path(0, _leaves()[:2])
    yield head("cut-before-a-head-seen", Failure.CUT, "PIN-12", at_2, early, message, cut_path=path)
    off_cut = world.head_bytes(third, world.B, f4=stream("another head"))
    yield head("beside-the-cut", Failure.CUT, "KR-18", at_2, three, off_cut)
    stranger = world.head_bytes(third, world.STRANGER, f8=world.STRANGER.id)
    yield head("by-a-stranger", Failure.SIGNER, "HEAD-7", at_2, three, stranger)
    ahead = Pin(ACCOUNT, 3, three.hash, 3, heads[2].hash, 4, _peaks(2), 2, 5, {})
    last = {"cut_path": cut_path, "consistency": merkle.consistency_proof(3, _leaves()[:3])}
    yield head("under-an-older-keyring", Failure.ROLLBACK, "PIN-9", ahead, three, heads[3].message, **last)
    newer = Pin(ACCOUNT, 3, three.hash, 3, heads[2].hash, 3, _peaks(2), 3, 5, {})
    yield head("in-an-older-epoch", Failure.ROLLBACK, "PIN-10", newer, three, heads[3].message, **last)

    def sequences(name: str, expect: str, ids: str, **found: int) -> Case:
        by_id = {world.A.id.hex(): found.get("a"), world.B.id.hex(): found.get("b")}
        given = {key: value for key, value in by_id.items() if value is not None}
        return _case(
            f"sequences-{name}", expect, ids, "sequences", pin=at_2.encode(), sequences=given, device=world.A.id
        )

    yield sequences("grow", OK, "PIN-4", a=5, b=9)
    yield sequences("same", OK, "PIN-4", a=1, b=2)
    yield sequences("fall", Failure.ROLLBACK, "PIN-4", a=1, b=1)
    yield sequences("device-gone", Failure.ROLLBACK, "PIN-4", a=1)
    yield sequences("own-beyond-the-journal", Failure.CLONE, "PIN-5", a=6, b=2)


def _replaced(pin: Pin, head_hash: bytes) -> Pin:
    return Pin(
        pin.account, pin.keyring_version, pin.keyring_hash, pin.head_version, head_hash, pin.head_keyring, pin.peaks,
        pin.epoch, pin.sequence, pin.sequences,
    )  # fmt: skip


def _million(size: int) -> tuple[tuple[list[bytes], list[bytes]], tuple[bytes, ...]]:
    """A log of `size` entries, head 1 first and then equal ones: (inclusion of entry 0, consistency from 1), peaks."""
    first = merkle.leaf_hash(world.head_1().hash)
    same = [merkle.leaf_hash(stream("any head"))]
    left = [first]
    while 2 ** len(same) <= size:
        left.append(merkle.node_hash(left[-1], same[-1]))
        same.append(merkle.node_hash(same[-1], same[-1]))
    bits = [bit for bit in range(size.bit_length() - 1, -1, -1) if size >> bit & 1]
    peaks = (left[bits[0]], *(same[bit] for bit in bits[1:]))
    path = same[: bits[0]]
    if bits[1:]:
        path = [*path, merkle.root_of(peaks[1:])]
    return (path, path), peaks


PIN = Area("pin", _cases, {"parse": _parse, "keyrings": _keyrings, "head": _head, "sequences": _sequences})
