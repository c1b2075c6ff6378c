"""Vectors of the signed structures: keyring, head, receipt."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from strongroom_protocol.errors import Failure
from strongroom_protocol.manifest.head import Delta, check_delta, check_follows, parse_head
from strongroom_protocol.manifest.keyring import (
    KEM_KEY_BYTES,
    Device,
    Keyring,
    check_cut,
    check_writer,
    parse_keyring,
    recipient_id,
)
from strongroom_protocol.manifest.receipt import Chain, Receipt, verify_receipt
from strongroom_protocol.manifest.succession import check_chain
from strongroom_protocol.wire import cbor, cose
from vectors import world
from vectors.case import Area, Case, Json, bad, good, maybe, stream, unhex
from vectors.world import ACCOUNT, Drop

OK = "ok"


def _case(name: str, expect: str, ids: str, op: str, /, **given: Any) -> Case:
    return good(name, ids, op, **given) if expect == OK else bad(name, expect, ids, op, **given)


# ---------------------------------------------------------------- keyring


def _keyring_of(message: str, given: Mapping[str, Any]) -> Keyring:
    return parse_keyring(unhex(message), account=unhex(given["account"]))


def _parse_keyring(given: Mapping[str, Any]) -> Json:
    keyring = _keyring_of(given["message"], given)
    return {
        "hash": keyring.hash,
        "version": keyring.version,
        "epoch": keyring.epoch,
        "root_key": keyring.root_key,
        "devices": [device.id for device in keyring.devices],
        "revoked": list(keyring.revoked),
    }


def _check_chain(given: Mapping[str, Any]) -> Json:
    chain = [_keyring_of(message, given) for message in given["chain"]]
    newest = check_chain(chain, account=unhex(given["account"]))
    return {"hash": newest.hash, "version": newest.version}


_DROP: Any = Drop


def _wrong_type(value: Any) -> Any:
    return b"x" if not isinstance(value, bytes) else 0


def _keyring_cases() -> Iterator[Case]:
    one, two, three = world.keyring_1(), world.keyring_2(), world.keyring_3()
    for keyring in (one, two, three):
        yield good(f"version-{keyring.version}", "KR-1", "parse", message=keyring.message, account=ACCOUNT)

    def alone(name: str, expect: str, ids: str, message: bytes) -> Case:
        return _case(name, expect, ids, "parse", message=message, account=ACCOUNT)

    def first(name: str, expect: str, ids: str, **fields: Any) -> Case:
        return alone(name, expect, ids, world.changed(one, **fields))

    payload = one.to_cbor()
    for key, value in payload.items():
        yield first(f"field-{key}-missing", Failure.SCHEMA, "ENC-12", **{f"f{key}": Drop})
        if key not in (4, 14, 16):
            yield first(f"field-{key}-wrong-type", Failure.SCHEMA, "ENC-6", **{f"f{key}": _wrong_type(value)})
    yield first("field-unknown", Failure.SCHEMA, "ENC-12", f18=0)
    yield first("newer-format", Failure.NEWER_FORMAT, "ENC-10", f1=2)
    yield first("format-0", Failure.SCHEMA, "ENC-11", f1=0)
    yield first("version-0", Failure.SCHEMA, "ENC-6", f3=0)
    yield first("version-2-54", Failure.SCHEMA, "ENC-6", f3=2**54)
    yield first("time-2-48", Failure.SCHEMA, "ENC-6", f5=2**48)
    yield first("root-kem-key-short", Failure.SCHEMA, "ENC-7", f7=bytes(1215))
    yield first("no-devices", Failure.SCHEMA, "ENC-9", f8=[])
    yield first("no-epochs", Failure.SCHEMA, "ENC-9", f10=[])
    yield first("one-wrap", Failure.SCHEMA, "ENC-9", f11=payload[11][:1])
    yield first("wrap-short", Failure.SCHEMA, "ENC-8", f11=[payload[11][0], payload[11][1] | {2: bytes(1167)}])
    yield first("wrap-long", Failure.SCHEMA, "ENC-8", f11=[payload[11][0], payload[11][1] | {2: bytes(1425)}])
    yield first("device-unknown-field", Failure.SCHEMA, "ENC-12", f8=[payload[8][0] | {5: 0}])
    yield first("device-no-kem-key", Failure.SCHEMA, "ENC-12", f8=[{1: world.A.id, 2: world.A.sign.public, 4: 1}])
    yield first("epoch-check-short", Failure.SCHEMA, "ENC-7", f10=[payload[10][0] | {2: bytes(31)}])
    yield alone("not-a-map", Failure.SCHEMA, "ENC-12", _signed_keyring([1]))
    yield alone("payload-trailing-byte", Failure.ENCODING, "ENC-1", _signed_keyring(None, cbor.encode(payload) + b"\0"))
    yield first("device-id-of-other-keys", Failure.KEYRING, "KR-1", f8=[payload[8][0] | {1: stream("id", 16)}])
    yield alone("signed-by-another-key", Failure.SIGNER, "KR-2", _signed_by(world.B, payload))
    yield alone("signature-of-a-head", Failure.SIGNATURE, "SIG-1", _signed_keyring(payload, context=cose.Context.HEAD))
    damaged = bytearray(one.message)
    damaged[-1] ^= 1
    yield alone("signature-changed", Failure.SIGNATURE, "SIG-1", bytes(damaged))
    yield _case("another-account-asked", Failure.ACCOUNT, "ACC-1", "parse", message=one.message, account=stream("x"))
    yield first("core-of-another-account", Failure.ACCOUNT, "KR-4", f17=payload[17] | {4: stream("other randomness")})
    yield first("core-with-another-receipt-key", Failure.ACCOUNT, "KR-4", f12=stream("receipt key"))
    yield first("version-1-with-a-revocation", Failure.KEYRING, "KR-26", f9=[{1: bytes(16), 2: 1}])
    yield first("version-1-with-a-discard", Failure.KEYRING, "KR-26", f18=[{1: world.A.id, 2: 1, 3: 1}])
    yield first("version-1-with-a-later-device", Failure.KEYRING, "KR-26", f8=[world.A.entry.to_cbor() | {4: 2}])
    yield first("version-1-with-predecessor", Failure.SCHEMA, "KR-3", f4=stream("previous"))
    yield first("version-1-with-cut", Failure.SCHEMA, "KR-3", f14={1: 1, 2: stream("cut")})
    yield first("version-1-without-core", Failure.SCHEMA, "KR-3", f17=None)

    def second(name: str, expect: str, ids: str, **fields: Any) -> Case:
        return alone(name, expect, ids, world.keyring_2_bytes(**fields))

    yield second("version-2-with-core", Failure.SCHEMA, "KR-3", f17=payload[17])
    yield second("version-2-without-cut", Failure.SCHEMA, "KR-3", f14=None)
    yield second("version-2-without-predecessor", Failure.SCHEMA, "KR-3", f4=None)
    yield second("cut-at-version-0", Failure.SCHEMA, "ENC-6", f14={1: 0, 2: stream("cut")})
    a, b = world.A.entry.to_cbor(), world.B.entry.to_cbor()
    yield second("device-twice", Failure.KEYRING, "KR-5", f8=[a, b, a])
    yield second("device-in-and-out", Failure.KEYRING, "KR-5", f9=[{1: world.A.id, 2: 2}])
    yield second("revocation-twice", Failure.KEYRING, "KR-19", f9=[{1: bytes(16), 2: 2}, {1: bytes(16), 2: 2}])
    wraps = two.to_cbor()[11]
    for name, sign_key, kem_key in (
        ("two-devices-with-one-signing-key", world.A.entry.sign_key, stream("kem", KEM_KEY_BYTES)),
        ("two-devices-with-one-kem-key", stream("sign"), world.A.entry.kem_key),
        ("device-with-the-root-kem-key", stream("sign"), two.root_kem_key),
    ):
        twin = Device(sign_key, kem_key, 2)
        readers = {recipient_id(key) for key in (two.root_kem_key, world.A.entry.kem_key, kem_key)}
        entries = [{1: reader, 2: wraps[0][2]} for reader in sorted(readers)]
        yield second(name, Failure.KEYRING, "KR-28", f8=[a, twin.to_cbor()], f11=entries)
    yield second("discard-that-ends-before-it-begins", Failure.KEYRING, "KR-25", f18=[{1: world.A.id, 2: 3, 3: 2}])
    yield second("discard-of-a-stranger", Failure.KEYRING, "KR-27", f18=[{1: bytes(16), 2: 1, 3: 2}])
    yield second("wrap-missing", Failure.KEYRING, "KR-6", f11=wraps[:2])
    stranger = {1: stream("stranger"), 2: wraps[0][2]}
    yield second("wrap-for-a-stranger", Failure.KEYRING, "KR-6", f11=[*wraps, stranger])
    yield second("wrap-for-the-root-missing", Failure.KEYRING, "KR-6", f11=wraps[1:])
    yield second("wrap-twice", Failure.KEYRING, "KR-19", f11=[*wraps, wraps[0]])
    first_epoch, second_epoch = world.EPOCH_1.to_cbor(), world.EPOCH_2.to_cbor()
    yield second("epoch-number-skipped", Failure.EPOCH, "KR-7", f10=[first_epoch, second_epoch | {1: 3}])
    yield second("epoch-1-missing", Failure.EPOCH, "KR-7", f10=[second_epoch])
    yield second("epoch-1-with-predecessor", Failure.EPOCH, "KR-7", f10=[first_epoch | {3: bytes(48)}])
    yield second("epoch-2-without-predecessor", Failure.EPOCH, "KR-7", f10=[first_epoch, second_epoch | {3: None}])
    yield from _chain_cases(one, two, three)


def _signed_keyring(payload: Any, raw: bytes | None = None, context: cose.Context = cose.Context.KEYRING) -> bytes:
    encoded = cbor.encode(payload) if raw is None else raw
    return cose.sign(context, encoded, world.ROOT.sign.public, world.ROOT.sign.sign)


def _signed_by(device: world.Dev, payload: Any) -> bytes:
    return cose.sign(cose.Context.KEYRING, cbor.encode(payload), device.sign.public, device.sign.sign)


def _chain_cases(one: Keyring, two: Keyring, three: Keyring) -> Iterator[Case]:
    def chain(name: str, expect: str, ids: str, *messages: bytes) -> Case:
        return _case(f"chain-{name}", expect, ids, "chain", chain=messages, account=ACCOUNT)

    whole = (one.message, two.message, three.message)
    yield chain("of-one", OK, "KR-17", one.message)
    yield chain("of-three", OK, "KR-8 KR-17", *whole)
    yield chain("empty", Failure.CHAIN, "KR-17")
    yield chain("without-version-1", Failure.CHAIN, "KR-17", two.message, three.message)
    yield chain("version-skipped", Failure.CHAIN, "KR-8", one.message, three.message)
    yield chain("version-repeated", Failure.CHAIN, "KR-8", one.message, one.message)
    other = world.keyring_2_bytes(f5=world.TIME + 9)
    yield chain("other-predecessor", Failure.CHAIN, "KR-8", one.message, other, three.message)

    def second(name: str, expect: str, ids: str, root: Any = world.ROOT, **fields: Any) -> Case:
        return chain(name, expect, ids, one.message, world.keyring_2_bytes(root, **fields))

    def third(name: str, expect: str, ids: str, **fields: Any) -> Case:
        return chain(name, expect, ids, one.message, two.message, world.keyring_3_bytes(**fields))

    yield second("version-jumps", Failure.CHAIN, "KR-8", f3=3)
    first_epoch, second_epoch = world.EPOCH_1.to_cbor(), world.EPOCH_2.to_cbor()
    yield second("epoch-rewritten", Failure.EPOCH, "KR-9", f10=[first_epoch | {2: stream("other check")}])
    third_epoch = {1: 3, 2: stream("check 3"), 3: stream("sealed 2", 48)}
    yield second("two-epochs-at-once", Failure.EPOCH, "KR-9", f10=[first_epoch, second_epoch, third_epoch])
    yield second("receipt-key-changed", Failure.KEYRING, "KR-10", f12=stream("another relay"))
    a = {1: world.A.id, 2: 3}
    yield third("device-dropped-silently", Failure.KEYRING, "KR-12", f9=[])
    b, discard = world.B.entry.to_cbor(), {1: world.A.id, 2: 5, 3: 9}

    def fourth(name: str, expect: str, ids: str, before: bytes = three.message, **fields: Any) -> Case:
        after = parse_keyring(before, account=ACCOUNT)
        base = {"f3": 4, "f4": after.hash, "f5": world.TIME + 3, "f14": {1: 3, 2: stream("head 3")}, "f16": None}
        return chain(
            name, expect, ids, one.message, two.message, before, world.changed(after, world.ROOT_2, **(base | fields))
        )  # fmt: skip

    yield fourth("revocation-kept", OK, "KR-11 KR-22")
    yield fourth("revocation-forgotten", Failure.KEYRING, "KR-11", f9=[])
    yield fourth("revocation-redated", Failure.KEYRING, "KR-11", f9=[a | {2: 4}])
    yield third("revocation-dated-elsewhere", Failure.KEYRING, "KR-21", f9=[a | {2: 2}])
    stranger = {1: bytes(16), 2: 3}
    yield third("revocation-of-a-stranger", Failure.KEYRING, "KR-21", f9=[a, stranger])
    yield second("device-added-by-another-version", Failure.KEYRING, "KR-20", f8=[world.A.entry.to_cbor(), b | {4: 1}])
    yield third("device-that-stays-is-redated", Failure.KEYRING, "KR-20", f8=[b | {4: 3}])
    yield third("discard-of-a-removed-device", OK, "KR-24 KR-25 KR-27", f18=[discard])
    discarded = world.keyring_3_bytes(f18=[discard])
    yield fourth("discard-kept", OK, "KR-24", discarded)
    yield fourth("discard-taken-back", Failure.KEYRING, "KR-24", discarded, f18=[])
    yield fourth("discard-made-smaller", Failure.KEYRING, "KR-24", discarded, f18=[discard | {3: 8}])
    yield fourth("discard-added", OK, "KR-24", discarded, f18=[discard, {1: world.B.id, 2: 1, 3: 1}])
    yield fourth("discard-put-before-another", Failure.KEYRING, "KR-24", discarded, f18=[discard | {2: 1}, discard])
    yield fourth("handover-without-another-root", Failure.SIGNER, "KR-22", f16=_handover())
    wraps = [{1: key, 2: wrap} for key, wrap in world.wraps(world.SECRET_1, 1, world.ROOT_2, world.B).items()]
    yield third("revoked-in-the-old-epoch", Failure.EPOCH, "KR-13", f10=[first_epoch], f11=wraps)
    old_root = {
        "f6": world.ROOT.sign.public, "f7": world.ROOT.kem.public, "f16": None,
        "f11": [{1: key, 2: wrap} for key, wrap in world.wraps(world.SECRET_2, 2, world.ROOT, world.B).items()],
    }  # fmt: skip
    fields = {
        "f3": 3, "f4": two.hash, "f5": world.TIME + 2, "f8": [world.B.entry.to_cbor()], "f9": [a],
        "f10": [first_epoch, second_epoch], "f14": {1: 2, 2: world.head_2().hash},
    }  # fmt: skip
    kept = world.changed(two, world.ROOT, **(fields | old_root))
    same_epoch = [
        {1: key, 2: wrap} for key, wrap in world.wraps(world.SECRET_1, 1, world.ROOT_2, world.A, world.B).items()
    ]
    yield third(
        "another-root-in-the-same-epoch", Failure.EPOCH, "KR-23", f8=two.to_cbor()[8], f9=[], f10=[first_epoch],
        f11=same_epoch,
    )  # fmt: skip
    yield chain("revoked-under-the-old-root", Failure.EPOCH, "KR-13", one.message, two.message, kept)
    yield third("root-changed-without-handover", Failure.SIGNER, "KR-14", f16=None)
    yield third("handover-by-another-key", Failure.SIGNER, "KR-15", f16=_handover(world.B.sign))
    yield third("handover-by-the-new-root", Failure.SIGNER, "KR-15", f16=_handover(world.ROOT_2.sign))
    yield third("handover-for-another-version", Failure.CONTEXT, "KR-16", f16=_handover(f2=4))
    yield third("handover-for-another-root", Failure.CONTEXT, "KR-16", f16=_handover(f4=stream("another root")))
    yield third("handover-for-another-account", Failure.CONTEXT, "KR-16", f16=_handover(f1=stream("x")))
    yield third("handover-of-another-context", Failure.SIGNATURE, "SIG-1", f16=_handover(context=cose.Context.KEYRING))


def _handover(key: Any = world.ROOT.sign, context: cose.Context = cose.Context.ROOT_HANDOVER, **fields: Any) -> bytes:
    payload: dict[int, Any] = {
        1: ACCOUNT, 2: 3, 3: world.keyring_2().hash, 4: world.ROOT_2.sign.public, 5: world.ROOT_2.kem.public,
    }  # fmt: skip
    world.apply(payload, fields)
    return cose.sign(context, cbor.encode(payload), key.public, key.sign)


KEYRING = Area("keyring", _keyring_cases, {"parse": _parse_keyring, "chain": _check_chain})

# ---------------------------------------------------------------- head


def _parse_head(given: Mapping[str, Any]) -> Json:
    head = parse_head(unhex(given["message"]), account=unhex(given["account"]))
    return {
        "hash": head.hash, "version": head.version, "previous": head.previous, "keyring_version": head.keyring_version,
        "keyring_hash": head.keyring_hash, "epoch": head.epoch, "device": head.device, "sequence": head.sequence,
        "body": head.body, "body_size": head.body_size, "log_root": head.log_root, "delta_hash": head.delta_hash,
        "time": head.time, "signer": head.signer,
    }  # fmt: skip


def _follows(given: Mapping[str, Any]) -> Json:
    account = unhex(given["account"])
    check_follows(
        parse_head(unhex(given["head"]), account=account), parse_head(unhex(given["previous"]), account=account)
    )
    return {}


def _writer(given: Mapping[str, Any]) -> Json:
    head = parse_head(unhex(given["head"]), account=unhex(given["account"]))
    check_writer(head, _keyring_of(given["keyring"], given))
    return {}


def _cut(given: Mapping[str, Any]) -> Json:
    head = parse_head(unhex(given["head"]), account=unhex(given["account"]))
    check_cut(head, _keyring_of(given["keyring"], given))
    return {}


def _delta(given: Mapping[str, Any]) -> Json:
    delta = Delta.parse(cbor.decode(unhex(given["delta"])))
    return {"hash": delta.hash(), "adds": len(delta.adds), "drops": len(delta.drops)}


def _head_delta(given: Mapping[str, Any]) -> Json:
    head = parse_head(unhex(given["head"]), account=unhex(given["account"]))
    check_delta(head, Delta.parse(cbor.decode(unhex(given["delta"]))))
    return {}


def _head_cases() -> Iterator[Case]:
    one, two, three, four = world.head_1(), world.head_2(), world.head_3(), world.head_4()
    for head in (one, two, three, four):
        yield good(f"version-{head.version}", "HEAD-1", "parse", message=head.message, account=ACCOUNT)
    payload = world.payload_2()

    def alone(name: str, expect: str, ids: str, message: bytes) -> Case:
        return _case(name, expect, ids, "parse", message=message, account=ACCOUNT)

    def changed(name: str, expect: str, ids: str, **fields: Any) -> Case:
        return alone(name, expect, ids, world.head_bytes(payload, world.B, **fields))

    for key, value in payload.items():
        yield changed(f"field-{key}-missing", Failure.SCHEMA, "ENC-12", **{f"f{key}": Drop})
        yield changed(f"field-{key}-wrong-type", Failure.SCHEMA, "ENC-6", **{f"f{key}": _wrong_type(value)})
        if isinstance(value, bytes):
            yield changed(f"field-{key}-short", Failure.SCHEMA, "ENC-7", **{f"f{key}": value[:-1]})
    yield changed("field-unknown", Failure.SCHEMA, "ENC-12", f15=0)
    yield changed("newer-format", Failure.NEWER_FORMAT, "ENC-10", f1=2)
    yield changed("version-0", Failure.SCHEMA, "ENC-6", f3=0)
    yield changed("version-true", Failure.SCHEMA, "ENC-6", f3=True)
    yield changed("version-2-53", Failure.SCHEMA, "ENC-6", f3=2**53)
    yield changed("epoch-0", Failure.SCHEMA, "ENC-6", f7=0)
    yield changed("epoch-2-32", Failure.SCHEMA, "ENC-6", f7=2**32)
    yield changed("body-of-no-bytes", Failure.SCHEMA, "ENC-6", f11=0)
    yield changed("time-2-48", Failure.SCHEMA, "ENC-6", f14=2**48)
    yield changed("no-predecessor", Failure.SCHEMA, "HEAD-1", f4=None)
    yield changed("version-1-with-predecessor", Failure.SCHEMA, "HEAD-1", f3=1)
    yield changed("another-account", Failure.ACCOUNT, "ACC-1", f2=world.OTHER_ACCOUNT)
    longer = cbor.encode([b"x" * 128, {}, b"x" * 2000, bytes(64)])
    yield alone("longer-than-limit", Failure.LIMIT, "SIG-1", longer)
    tampered = bytearray(two.message)
    tampered[60] ^= 1
    yield alone("payload-changed", Failure.SIGNATURE, "SIG-1", bytes(tampered))

    def follows(name: str, expect: str, ids: str, head: bytes, previous: bytes = two.message) -> Case:
        return _case(f"follows-{name}", expect, ids, "follows", head=head, previous=previous, account=ACCOUNT)

    yield follows("next", OK, "HEAD-2", three.message)
    yield follows("version-skipped", Failure.CHAIN, "HEAD-2", four.message)
    third = world.payload_3()
    yield follows("other-predecessor", Failure.CHAIN, "HEAD-2", world.head_bytes(third, world.B, f4=one.hash))
    jumps = world.head_bytes(third, world.B, f3=4)
    yield follows("version-jumps", Failure.CHAIN, "HEAD-2", jumps)
    older = world.head_bytes(third, world.B, f5=1)
    yield follows("older-keyring", Failure.KEYRING, "HEAD-3", older)
    fourth = world.payload_4()
    yield follows("older-epoch", Failure.EPOCH, "HEAD-4", world.head_bytes(fourth, world.B, f7=1), three.message)

    def writer(name: str, expect: str, ids: str, head: bytes, keyring: Keyring) -> Case:
        return _case(f"writer-{name}", expect, ids, "writer", head=head, keyring=keyring.message, account=ACCOUNT)

    yield writer("in-keyring", OK, "HEAD-6 HEAD-7 HEAD-8", two.message, world.keyring_2())
    yield writer(
        "other-keyring-hash",
        Failure.KEYRING,
        "HEAD-6",
        world.head_bytes(payload, world.B, f6=stream("other")),
        world.keyring_2(),
    )
    yield writer("older-keyring", Failure.KEYRING, "HEAD-6", two.message, world.keyring_1())
    by_stranger = world.head_bytes(payload, world.STRANGER, f8=world.STRANGER.id)
    yield writer("stranger", Failure.SIGNER, "HEAD-7", by_stranger, world.keyring_2())
    borrowed = world.head_bytes(payload, world.A)
    yield writer("signed-by-another-device", Failure.SIGNER, "HEAD-7", borrowed, world.keyring_2())
    revoked = world.head_bytes(third, world.A, f8=world.A.id)
    yield writer("revoked-device", Failure.SIGNER, "HEAD-7", revoked, world.keyring_3())
    old_epoch = world.head_bytes(third, world.B, f7=1)
    yield writer("older-epoch", Failure.EPOCH, "HEAD-8", old_epoch, world.keyring_3())

    def cut(name: str, expect: str, head: bytes, keyring: Keyring) -> Case:
        return _case(f"cut-{name}", expect, "KR-18", "cut", head=head, keyring=keyring.message, account=ACCOUNT)

    yield cut("on-it", OK, three.message, world.keyring_3())
    yield cut("none-in-version-1", OK, one.message, world.keyring_1())
    yield cut("other-head", Failure.CUT, world.head_bytes(third, world.B, f4=stream("other head")), world.keyring_3())
    yield cut("later-head", Failure.CUT, four.message, world.keyring_3())

    def delta(name: str, expect: str, ids: str, value: Any) -> Case:
        return _case(f"delta-{name}", expect, ids, "delta", delta=cbor.encode(value))

    x, y = sorted((stream("x"), stream("y")))
    yield delta("empty", OK, "HEAD-9", [[], []])
    yield delta("both", OK, "HEAD-9 HEAD-10", [[x], [y]])
    yield delta("two-added", OK, "HEAD-9", [[x, y], []])
    yield delta("not-sorted", Failure.SCHEMA, "HEAD-9", [[y, x], []])
    yield delta("drops-not-sorted", Failure.SCHEMA, "HEAD-9", [[], [y, x]])
    yield delta("name-twice", Failure.SCHEMA, "HEAD-9", [[x, x], []])
    yield delta("added-and-dropped", Failure.SCHEMA, "HEAD-10", [[x, y], [x]])
    yield delta("short-name", Failure.SCHEMA, "ENC-7", [[x[:31]], []])
    yield delta("one-list", Failure.SCHEMA, "ENC-9", [[x]])

    def signed_delta(name: str, expect: str, value: Delta) -> Case:
        given = {"head": two.message, "account": ACCOUNT, "delta": cbor.encode(value.to_cbor())}
        return _case(f"delta-{name}", expect, "HEAD-5", "head-delta", **given)

    yield signed_delta("of-the-head", OK, world.DELTA)
    yield signed_delta("with-a-drop-more", Failure.DELTA, Delta.of(world.DELTA.adds, [*world.DELTA.drops, x]))
    yield signed_delta("without-drops", Failure.DELTA, Delta.of(world.DELTA.adds, ()))


HEAD = Area(
    "head",
    _head_cases,
    {
        "parse": _parse_head, "follows": _follows, "writer": _writer, "cut": _cut, "delta": _delta,
        "head-delta": _head_delta,
    },
)  # fmt: skip

# ---------------------------------------------------------------- receipt


def _verify_receipt(given: Mapping[str, Any]) -> Json:
    receipt = verify_receipt(
        unhex(given["message"]), receipt_key=unhex(given["receipt_key"]), account=unhex(given["account"]),
        chain=Chain(given["chain"]), version=given["version"], hash_=unhex(given["hash"]),
        previous=maybe(given["previous"]),
    )  # fmt: skip
    return {"time": receipt.time}


def _fork(given: Mapping[str, Any]) -> Json:
    one, other = (_receipt_of(unhex(given[name])) for name in ("one", "other"))
    return {"fork": one.contradicts(other)}


def _receipt_of(message: bytes) -> Receipt:
    payload = cbor.decode(cose.verify(cose.Context.RECEIPT, message, maximum=1024).payload)
    return Receipt(payload[1], Chain(payload[2]), payload[3], payload[4], payload[5], payload[6])


def _receipt_cases() -> Iterator[Case]:
    head = world.head_2()
    payload: dict[int, Any] = {1: ACCOUNT, 2: 2, 3: 2, 4: head.hash, 5: head.previous, 6: world.TIME + 5}

    def message(key: Any = world.RELAY, context: cose.Context = cose.Context.RECEIPT, **fields: Any) -> bytes:
        mine = dict(payload)
        world.apply(mine, fields)
        return cose.sign(context, cbor.encode(mine), key.public, key.sign)

    def case(name: str, expect: str, ids: str, data: bytes, **change: Any) -> Case:
        given = {
            "message": data, "receipt_key": world.RELAY.public, "account": ACCOUNT, "chain": 2, "version": 2,
            "hash": head.hash, "previous": head.previous,
        }  # fmt: skip
        return _case(name, expect, ids, "verify", **(given | change))

    yield case("of-a-head", OK, "RCPT-1 RCPT-2", message())
    one = world.keyring_1()
    of_keyring = message(f2=1, f3=1, f4=one.hash, f5=None)
    yield case("of-a-keyring", OK, "RCPT-2", of_keyring, chain=1, version=1, hash=one.hash, previous=None)
    for key, value in payload.items():
        yield case(f"field-{key}-missing", Failure.SCHEMA, "ENC-12", message(**{f"f{key}": _DROP}))
        wrong = message(**{f"f{key}": _wrong_type(value)})
        yield case(f"field-{key}-wrong-type", Failure.SCHEMA, "ENC-6", wrong)
    yield case("field-unknown", Failure.SCHEMA, "ENC-12", message(f7=0))
    yield case("chain-3", Failure.SCHEMA, "ENC-6", message(f2=3))
    yield case("signed-by-another-key", Failure.SIGNER, "RCPT-1", message(world.B.sign))
    yield case("signed-as-a-head", Failure.SIGNATURE, "SIG-1", message(context=cose.Context.HEAD))
    yield case("of-another-account", Failure.ACCOUNT, "ACC-1", message(f1=world.OTHER_ACCOUNT))
    yield case("of-the-keyring-chain", Failure.RECEIPT, "RCPT-2", message(f2=1))
    yield case("of-another-version", Failure.RECEIPT, "RCPT-2", message(f3=3))
    yield case("of-another-hash", Failure.RECEIPT, "RCPT-2", message(f4=stream("other hash")))
    yield case("of-another-predecessor", Failure.RECEIPT, "RCPT-2", message(f5=stream("other previous")))
    padded = cbor.encode([bytes(128), {}, bytes(1024), bytes(64)])
    yield case("longer-than-limit", Failure.LIMIT, "SIG-1", padded)

    def fork(name: str, other: bytes) -> Case:
        return good(f"contradiction-{name}", "RCPT-2", "contradiction", one=message(), other=other)

    yield fork("same", message(f6=world.TIME + 9))
    yield fork("other-hash", message(f4=stream("other hash")))
    yield fork("other-predecessor", message(f5=stream("other previous")))
    yield fork("next-not-on-it", message(f3=3, f4=stream("other hash")))
    yield fork("next-on-it", message(f3=3, f4=stream("other hash"), f5=head.hash))
    yield fork("the-one-before", message(f3=1, f4=stream("not head 1"), f5=None))
    yield fork("two-versions-on", message(f3=4, f4=stream("other hash")))
    yield fork("other-chain", message(f2=1, f4=stream("other hash")))
    yield fork("other-account", message(f1=world.OTHER_ACCOUNT, f4=stream("other hash")))


RECEIPT = Area("receipt", _receipt_cases, {"verify": _verify_receipt, "contradiction": _fork})
