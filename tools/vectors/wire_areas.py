"""Vectors of the wire layer: CBOR, COSE, padding, the Merkle log."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from typing import Any

from strongroom_protocol.errors import Failure
from strongroom_protocol.keys.secrets import SigningSeed
from strongroom_protocol.keys.signing import SignKey
from strongroom_protocol.limits import LIMITS
from strongroom_protocol.wire import cbor, cose, merkle, padding
from vectors.case import Area, Case, Json, bad, good, shown, stream, unhex

# ---------------------------------------------------------------- CBOR


def _cbor_decode(given: Mapping[str, Any]) -> Json:
    data = unhex(given["data"]) + bytes(given.get("zeros", 0))
    return {"value": shown(cbor.decode(data))}


def _cbor_cases() -> Iterator[Case]:
    for name, data in {
        "zero": "00",
        "one-byte-argument": "1818",
        "two-byte-argument": "190100",
        "four-byte-argument": "1a00010000",
        "eight-byte-argument": "1b0000000100000000",
        "uint-64-bits": "1bffffffffffffffff",
        "negative-64-bits": "3bffffffffffffffff",
        "minus-one": "20",
        "empty-bytes": "40",
        "bytes-24": "5818" + "ab" * 24,
        "text": "63e6b0b4",
        "text-supplementary": "64f0908591",
        "array": "83010203",
        "nested": "82810281820304",
        "map": "a201020304",
        "false": "f4",
        "true": "f5",
        "null": "f6",
        "depth-16": "81" * 16 + "00",
    }.items():
        yield good(name, "ENC-1", "decode", data=data)
    mixed = cbor.encode({1: 0, 24: 0, -1: 0, b"": 0, "": 0, "a": 0, 256: 0, b"abc": 0, "zz": 0})
    yield good("map-keys-by-encoding", "ENC-2", "decode", data=mixed)
    refused = {
        "duplicate-key": ("a201010102", "ENC-2"),
        "long-integer": ("1801", "ENC-1"),
        "long-integer-16": ("1900ff", "ENC-1"),
        "long-integer-32": ("1a0000ffff", "ENC-1"),
        "long-integer-64": ("1b00000000ffffffff", "ENC-1"),
        "long-length": ("5801ab", "ENC-1"),
        "long-array-length": ("980101", "ENC-1"),
        "trailing-byte": ("0101", "ENC-3"),
        "trailing-item": ("a0a0", "ENC-3"),
        "nothing": ("", "ENC-1"),
        "cut-short": ("4301ab", "ENC-1"),
        "map-cut-short": ("a101", "ENC-1"),
        "length-2-63": ("5b8000000000000000", "ENC-1"),
        "array-length-2-63": ("9b8000000000000000", "ENC-1"),
        "map-length-2-32": ("ba00000001", "ENC-1"),
        "key-order": ("a203040102", "ENC-2"),
        "key-order-rfc7049": ("a22000181800", "ENC-2"),  # the shorter key first
        "indefinite-bytes": ("5f41abff", "ENC-1"),
        "indefinite-text": ("7f6161ff", "ENC-1"),
        "indefinite-array": ("9f01ff", "ENC-1"),
        "indefinite-map": ("bf0102ff", "ENC-1"),
        "break-alone": ("ff", "ENC-1"),
        "tag": ("c001", "ENC-3"),
        "tag-self-described": ("d9d9f700", "ENC-3"),
        "tag-cose-sign1": ("d28440a04040", "ENC-3"),
        "float-16": ("f93c00", "ENC-3"),
        "float-32": ("fa3f800000", "ENC-3"),
        "float-64": ("fb3ff0000000000000", "ENC-3"),
        "float-nan": ("f97e00", "ENC-3"),
        "float-in-map": ("a101f93c00", "ENC-3"),
        "undefined": ("f7", "ENC-3"),
        "map-key-true": ("a1f501", "ENC-13"),
        "map-key-null": ("a1f601", "ENC-13"),
        "map-key-array": ("a18001", "ENC-13"),
        "simple-value": ("e0", "ENC-3"),
        "simple-value-two-bytes": ("f820", "ENC-3"),
        "bignum": ("c249010000000000000000", "ENC-3"),
        "negative-bignum": ("c349010000000000000000", "ENC-3"),
        "reserved-information": ("1c", "ENC-1"),
        "text-not-utf8": ("61ff", "ENC-1"),
        "text-surrogate": ("63eda080", "ENC-1"),
        "text-overlong-utf8": ("62c080", "ENC-1"),
        "depth-17": ("81" * 17 + "00", "ENC-5"),
        "depth-10000": ("81" * 10_000 + "80", "ENC-5"),
    }
    for name, (data, ids) in refused.items():
        yield bad(name, Failure.ENCODING, ids, "decode", data=data)
    yield bad("longer-than-limit", Failure.LIMIT, "ENC-4", "decode", data="5a00fffffc", zeros=LIMITS.cbor_bytes - 4)


CBOR = Area("cbor", _cbor_cases, {"decode": _cbor_decode})

# ---------------------------------------------------------------- COSE


def _cose_sign(given: Mapping[str, Any]) -> Json:
    key = SignKey(SigningSeed(unhex(given["seed"])))
    context, payload = cose.Context(given["context"]), unhex(given["payload"])
    return {
        "key": key.public,
        "signed_bytes": cose.detached(context, payload, key.public),
        "message": cose.sign(context, payload, key.public, key.sign),
    }


def _cose_verify(given: Mapping[str, Any]) -> Json:
    signed = cose.verify(cose.Context(given["context"]), unhex(given["message"]), maximum=given["maximum"])
    return {"payload": signed.payload, "key": signed.key}


_L = 2**252 + 27742317777372353535851937790883648493


def _cose_cases() -> Iterator[Case]:
    seed, payload = stream("cose seed"), b"a payload of any bytes"
    key = SignKey(SigningSeed(seed))
    for context in cose.Context:
        yield good(f"sign-{context}", "SIG-1", "sign", context=str(context), seed=seed, payload=payload)
    yield good("sign-empty-payload", "SIG-1", "sign", context="head", seed=seed, payload=b"")
    message = cose.sign(cose.Context.HEAD, payload, key.public, key.sign)
    protected, _, _, signature = cbor.decode(message)

    def verify(name: str, expect: str, ids: str, data: bytes, context: str = "head", maximum: int = 2048) -> Case:
        return bad(name, expect, ids, "verify", context=context, message=data, maximum=maximum)

    def made(
        protected: bytes = protected, unprotected: Any = None, body: Any = payload, proof: Any = signature
    ) -> bytes:
        return cbor.encode([protected, unprotected or {}, body, proof])

    def protect(header: Any) -> bytes:
        """A message honestly signed over another protected header."""
        raw = header if isinstance(header, bytes) else cbor.encode(header)
        text = cbor.encode(["Signature1", raw, b"strongroom/v1/head", payload])
        return made(protected=raw, proof=key.sign(text))

    yield good("verify", "SIG-1 SIG-2 SIG-3", "verify", context="head", message=message, maximum=2048)
    yield good("verify-at-limit", "SIG-1", "verify", context="head", message=message, maximum=len(message))
    yield verify("longer-than-limit", Failure.LIMIT, "SIG-1", message, maximum=len(message) - 1)
    yield verify("other-context", Failure.SIGNATURE, "SIG-1", message, context="keyring")
    yield verify("payload-changed", Failure.SIGNATURE, "SIG-1", made(body=payload + b"!"))
    flipped = signature[:40] + bytes((signature[40] ^ 1,)) + signature[41:]
    yield verify("signature-changed", Failure.SIGNATURE, "SIG-1", made(proof=flipped))
    other = SignKey(SigningSeed(stream("cose other seed"))).public
    yield verify("other-key", Failure.SIGNATURE, "SIG-1", made(protected=cbor.encode({1: -19, 4: other})))
    scalar = int.from_bytes(signature[32:], "little") + _L
    high = signature[:32] + scalar.to_bytes(32, "little")
    yield verify("signature-scalar-not-reduced", Failure.SIGNATURE, "SIG-1", made(proof=high))
    yield verify("small-order-key", Failure.SIGNATURE, "SIG-1", _small_order(payload))
    yield verify("algorithm-eddsa", Failure.SCHEMA, "SIG-2", protect({1: -8, 4: key.public}))
    yield verify("no-algorithm", Failure.SCHEMA, "SIG-2", protect({4: key.public}))
    yield verify("no-key", Failure.SCHEMA, "SIG-2", protect({1: -19}))
    yield verify("more-protected-fields", Failure.SCHEMA, "SIG-2", protect({1: -19, 3: 0, 4: key.public}))
    yield verify("key-too-short", Failure.SCHEMA, "SIG-2", protect({1: -19, 4: key.public[:31]}))
    yield verify("protected-not-a-map", Failure.SCHEMA, "SIG-2", protect([]))
    yield verify(
        "protected-not-deterministic",
        Failure.ENCODING,
        "SIG-2",
        protect(b"\xa2\x04\x58\x20" + key.public + b"\x01\x32"),
    )
    yield verify("unprotected-field", Failure.SCHEMA, "SIG-3", made(unprotected={4: b"x"}))
    yield verify("payload-detached", Failure.SCHEMA, "SIG-1", made(body=None))
    yield verify("signature-63-bytes", Failure.SCHEMA, "SIG-1", made(proof=signature[:63]))
    yield verify("three-items", Failure.SCHEMA, "SIG-1", cbor.encode([protected, {}, payload]))
    yield verify("not-an-array", Failure.SCHEMA, "SIG-1", cbor.encode({1: protected}))
    yield verify("tagged", Failure.ENCODING, "SIG-1", b"\xd2" + message)
    yield verify("trailing-byte", Failure.ENCODING, "SIG-1", message + b"\0")


def _small_order(payload: bytes) -> bytes:
    """A signature that the plain equation accepts for a key of order 1: S·B = R."""
    key = b"\x01" + bytes(31)
    scalar = (1).to_bytes(32, "little")
    base = (4 * pow(5, -1, 2**255 - 19) % (2**255 - 19)).to_bytes(32, "little")
    return cbor.encode([cbor.encode({1: -19, 4: key}), {}, payload, base + scalar])


COSE = Area("cose", _cose_cases, {"sign": _cose_sign, "verify": _cose_verify})

# ---------------------------------------------------------------- padding


def _padding_cases() -> Iterator[Case]:
    for length in (0, 1, 2, 8, 9, 17, 100, 255, 256, 257, 1000, 4097, 65_535, 1_000_000, 2**40 + 1):
        yield good(f"padme-{length}", "OBJ-9", "padme", length=length)
    for length, floor in ((0, 64), (62, 64), (63, 64), (64, 64), (300, 256), (1, 0)):
        yield good(f"pad-{length}-floor-{floor}", "OBJ-9", "pad", content=stream("pad", length), floor=floor)
    content = stream("unpad", 100)
    padded = padding.pad(content, floor=64)
    yield good("unpad", "OBJ-9", "unpad", padded=padded, floor=64)
    zeros = padding.pad(b"ends in zeros\0\0", floor=64)
    yield good("unpad-content-ends-in-zeros", "OBJ-9", "unpad", padded=zeros, floor=64)
    marker = padding.pad(b"ends in the marker\x80", floor=64)
    yield good("unpad-content-ends-in-marker", "OBJ-9", "unpad", padded=marker, floor=64)
    for name, data in {
        "no-marker": content + bytes(len(padded) - 100),
        "other-marker": content + b"\x81" + bytes(len(padded) - 101),
        "one-zero-too-many": padded + b"\0",
        "one-zero-too-few": padded[:-1],
        "non-zero-byte": padded[:-1] + b"\x01",
        "below-floor": content[:10] + b"\x80" + bytes(21),
        "only-zeros": bytes(64),
        "empty": b"",
    }.items():
        yield bad(name, Failure.PADDING, "OBJ-9", "unpad", padded=data, floor=64)


PADDING = Area(
    "padding",
    _padding_cases,
    {
        "padme": lambda given: {"padded": padding.padme(given["length"])},
        "pad": lambda given: {"padded": padding.pad(unhex(given["content"]), floor=given["floor"])},
        "unpad": lambda given: {
            "content": padding.unpad(unhex(given["padded"]), floor=given["floor"], subject="vector")
        },
    },
)

# ---------------------------------------------------------------- Merkle log


def _entries(given: Mapping[str, Any]) -> list[bytes]:
    return [unhex(entry) for entry in given["entries"]]


def _leaves(given: Mapping[str, Any]) -> list[bytes]:
    return [merkle.leaf_hash(entry) for entry in _entries(given)]


def _peaks(entries: list[bytes]) -> tuple[bytes, ...]:
    peaks: tuple[bytes, ...] = ()
    for size, entry in enumerate(entries):
        peaks = merkle.append(size, peaks, entry)
    return peaks


def _merkle_log(given: Mapping[str, Any]) -> Json:
    entries = _entries(given)
    peaks = _peaks(entries)
    if merkle.root_of(peaks) != merkle.tree_root(_leaves(given)):
        raise ValueError("peaks and tree disagree")
    return {"peaks": peaks, "root": merkle.root_of(peaks)}


def _merkle_peaks(given: Mapping[str, Any]) -> Json:
    merkle.check_peaks(given["size"], [unhex(peak) for peak in given["peaks"]], unhex(given["root"]))
    return {}


def _merkle_consistency(given: Mapping[str, Any]) -> Json:
    proof = [unhex(node) for node in given["proof"]]
    merkle.check_consistency(given["old"], unhex(given["old_root"]), given["new"], unhex(given["new_root"]), proof)
    return {}


def _merkle_inclusion(given: Mapping[str, Any]) -> Json:
    path = [unhex(node) for node in given["path"]]
    merkle.check_inclusion(given["index"], unhex(given["entry"]), given["size"], unhex(given["root"]), path)
    return {}


def _merkle_cases() -> Iterator[Case]:
    every = [hashlib.sha256(b"entry %d" % number).digest() for number in range(13)]
    leaves = [merkle.leaf_hash(entry) for entry in every]
    for size in (0, 1, 2, 3, 4, 7, 8, 13):
        yield good(f"log-{size}", "LOG-2", "log", entries=every[:size])
    pairs = ((1, 2), (1, 13), (2, 3), (3, 7), (4, 8), (6, 13), (7, 13), (8, 13), (12, 13))
    for old, new in pairs:
        yield good(f"consistency-proof-{old}-{new}", "LOG-3", "consistency-proof", old=old, entries=every[:new])
    for index, size in ((0, 1), (0, 2), (1, 3), (2, 3), (6, 7), (7, 8), (12, 13), (5, 13)):
        yield good(f"inclusion-path-{index}-{size}", "LOG-4", "inclusion-path", index=index, entries=every[:size])

    def root(size: int) -> bytes:
        return merkle.tree_root(leaves[:size])

    peaks = _peaks(every[:7])
    yield good("peaks", "LOG-2", "check-peaks", size=7, peaks=peaks, root=root(7))
    yield bad("peaks-one-missing", Failure.LOG, "LOG-2", "check-peaks", size=7, peaks=peaks[:2], root=root(7))
    yield bad("peaks-other-order", Failure.LOG, "LOG-2", "check-peaks", size=7, peaks=peaks[::-1], root=root(7))
    yield bad("peaks-other-size", Failure.LOG, "LOG-2", "check-peaks", size=6, peaks=peaks, root=root(7))
    yield bad("peaks-other-root", Failure.LOG, "LOG-2", "check-peaks", size=7, peaks=peaks, root=root(6))

    def consistent(name: str, good_: bool, **change: Any) -> Case:
        given = {"old": 6, "old_root": root(6), "new": 13, "new_root": root(13), "proof": proof} | change
        make = good(name, "LOG-3", "consistency", **given)
        return make if good_ else bad(name, Failure.LOG, "LOG-3", "consistency", **given)

    proof = merkle.consistency_proof(6, leaves)
    yield consistent("consistency", True)
    yield consistent("consistency-from-empty", True, old=0, old_root=merkle.EMPTY_ROOT, proof=[])
    yield consistent("consistency-same-size", True, new=6, new_root=root(6), proof=[])
    yield consistent(
        "consistency-power-of-two", True, old=8, old_root=root(8), proof=merkle.consistency_proof(8, leaves)
    )
    yield consistent("consistency-other-old-root", False, old_root=root(5))
    yield consistent("consistency-other-new-root", False, new_root=root(12))
    yield consistent("consistency-node-missing", False, proof=proof[:-1])
    yield consistent("consistency-node-too-many", False, proof=[*proof, proof[-1]])
    yield consistent("consistency-nodes-swapped", False, proof=[proof[1], proof[0], *proof[2:]])
    yield consistent("consistency-no-proof", False, proof=[])
    yield consistent("consistency-same-size-other-root", False, new=6, new_root=root(5), proof=[])
    yield consistent("consistency-shrinks", False, old=13, old_root=root(13), new=6, new_root=root(6), proof=[])
    path = merkle.inclusion_path(5, leaves)

    def included(name: str, good_: bool, **change: Any) -> Case:
        given = {"index": 5, "entry": every[5], "size": 13, "root": root(13), "path": path} | change
        make = good(name, "LOG-4", "inclusion", **given)
        return make if good_ else bad(name, Failure.LOG, "LOG-4", "inclusion", **given)

    yield included("inclusion", True)
    yield included("inclusion-only-entry", True, index=0, entry=every[0], size=1, root=root(1), path=[])
    yield included("inclusion-other-entry", False, entry=every[4])
    yield included("inclusion-other-index", False, index=4)
    yield included("inclusion-index-outside", False, index=13)
    yield included("inclusion-node-missing", False, path=path[:-1])
    yield included("inclusion-node-too-many", False, path=[*path, path[0]])
    yield included("inclusion-other-root", False, root=root(12))
    yield included("inclusion-node-for-leaf", False, entry=leaves[5])


MERKLE = Area(
    "merkle",
    _merkle_cases,
    {
        "log": _merkle_log,
        "consistency-proof": lambda given: {"proof": merkle.consistency_proof(given["old"], _leaves(given))},
        "inclusion-path": lambda given: {"path": merkle.inclusion_path(given["index"], _leaves(given))},
        "check-peaks": _merkle_peaks,
        "consistency": _merkle_consistency,
        "inclusion": _merkle_inclusion,
    },
)
