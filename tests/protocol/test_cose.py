"""Signatures: one profile of COSE_Sign1, one purpose and one key each, strict Ed25519 (chapter 03)."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from protocol.builders import person, random_bytes, refused
from protocol.test_cbor import by_hand
from strongroom_protocol.errors import Failure
from strongroom_protocol.wire import cbor, cose
from strongroom_protocol.wire.cose import Context

KEY = person("ann").sign
PAYLOAD = b"what is said"
ORDER = 2**252 + 27742317777372353535851937790883648493  # RFC 8032 section 5.1


def message(context: Context = Context.HEAD, payload: bytes = PAYLOAD) -> bytes:
    return cose.sign(context, payload, KEY.public, KEY.sign)


def verify(data: bytes, context: Context = Context.HEAD) -> cose.Signed:
    return cose.verify(context, data, maximum=1000)


def changed(change: Callable[[list[Any]], None]) -> bytes:
    parts = cbor.decode(message())
    change(parts)
    return cbor.encode(parts)


def resigned(header: Any, unprotected: Any = None) -> bytes:
    """A message with another header, signed for it."""
    protected = header if type(header) is bytes else by_hand(header)
    signature = KEY.sign(by_hand(["Signature1", protected, b"strongroom/v1/head", PAYLOAD]))
    return by_hand([protected, unprotected or {}, PAYLOAD, signature])


def test_the_signed_bytes_are_those_of_the_standard() -> None:
    protected = by_hand({1: -19, 4: KEY.public})
    signed = by_hand(["Signature1", protected, b"strongroom/v1/head", PAYLOAD])
    parts = cbor.decode(message())
    assert parts[:3] == [protected, {}, PAYLOAD]
    # Another implementation of Ed25519, from the same seed, makes the same signature (RFC 8032 is deterministic).
    assert parts[3] == Ed25519PrivateKey.from_private_bytes(random_bytes("ann sign")).sign(signed)
    assert verify(message()) == cose.Signed(PAYLOAD, KEY.public)
    assert resigned({1: -19, 4: KEY.public}) == message()


@pytest.mark.spec("SIG-1")
def test_every_bit_counts() -> None:
    good = message()
    for place, bit in itertools.product(range(len(good)), range(8)):
        bad = bytearray(good)
        bad[place] ^= 1 << bit
        assert refused(verify, bytes(bad)) in (Failure.SIGNATURE, Failure.SCHEMA, Failure.ENCODING), (place, bit)


@pytest.mark.spec("SIG-1")
@pytest.mark.parametrize(("made", "used"), list(itertools.permutations(Context, 2)))
def test_attack_022_a_signature_for_one_purpose_is_worthless_for_another(made: Context, used: Context) -> None:
    assert verify(message(made), made).payload == PAYLOAD
    assert refused(verify, message(made), used) is Failure.SIGNATURE


@pytest.mark.spec("SIG-1")
def test_attack_027_another_key_cannot_claim_the_signature() -> None:
    def claim(parts: list[Any]) -> None:
        parts[0] = by_hand({1: -19, 4: person("bob").sign.public})

    assert refused(verify, changed(claim)) is Failure.SIGNATURE


@pytest.mark.spec("SIG-1")
def test_attack_026_s_and_s_plus_the_order_are_not_both_signatures() -> None:
    def add_order(parts: list[Any]) -> None:
        s = int.from_bytes(parts[3][32:], "little") + ORDER
        parts[3] = parts[3][:32] + s.to_bytes(32, "little")

    assert refused(verify, changed(add_order)) is Failure.SIGNATURE


SMALL_ORDER = [
    "0100000000000000000000000000000000000000000000000000000000000000",  # order 1
    "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",  # order 2
    "0000000000000000000000000000000000000000000000000000000000000000",  # order 4
    "0000000000000000000000000000000000000000000000000000000000000080",  # order 4
    "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",  # order 8
    "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc85",
    "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
    "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac03fa",
    "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",  # p: not canonical
    "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",  # p + 1: not canonical
    "0100000000000000000000000000000000000000000000000000000000000080",
    "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
]


@pytest.mark.spec("SIG-1")
@pytest.mark.parametrize("point", SMALL_ORDER)
def test_attack_026_a_key_of_small_order_verifies_nothing(point: str) -> None:
    key = bytes.fromhex(point)
    neutral = b"\x01" + bytes(31)
    for r in (neutral, key):
        # Under the neutral element the equation [S]B = R + [h]A holds for R = neutral, S = 0, whatever the message.
        assert refused(cose.check, key, b"any message", r + bytes(32), subject="x") is Failure.SIGNATURE


@pytest.mark.spec("SIG-1")
@pytest.mark.parametrize("length", [0, 31, 33, 64])
def test_a_key_of_another_length_is_no_key(length: int) -> None:
    assert refused(cose.check, bytes(length), b"m", bytes(64), subject="x") is Failure.SIGNATURE


def test_another_implementation_accepts_what_this_one_signs_and_refuses_what_it_refuses() -> None:
    protected = by_hand({1: -19, 4: KEY.public})
    signed = by_hand(["Signature1", protected, b"strongroom/v1/head", PAYLOAD])
    signature = cbor.decode(message())[3]
    public = Ed25519PublicKey.from_public_bytes(KEY.public)
    public.verify(signature, signed)
    with pytest.raises(InvalidSignature):
        public.verify(signature, signed + b"!")


OTHER_HEADERS: dict[str, Any] = {
    "EdDSA by its old number": {1: -8, 4: KEY.public},
    "ES256": {1: -7, 4: KEY.public},
    "no key": {1: -19},
    "no algorithm": {4: KEY.public},
    "a critical field": {1: -19, 2: [1], 4: KEY.public},
    "a content type": {1: -19, 3: "x", 4: KEY.public},
    "empty": {},
    "an array": [1, -19, 4, KEY.public],
    "algorithm as text": {1: "Ed25519", 4: KEY.public},
}


@pytest.mark.spec("SIG-2")
@pytest.mark.parametrize("header", OTHER_HEADERS.values(), ids=OTHER_HEADERS)
def test_any_other_protected_header_is_refused(header: Any) -> None:
    assert refused(verify, resigned(header)) is Failure.SCHEMA


@pytest.mark.parametrize("kid", [KEY.public[:31], KEY.public + b"\0", b"", "x" * 32, 5, None, [KEY.public]])
def test_the_key_in_the_header_is_32_bytes(kid: Any) -> None:
    assert refused(verify, resigned({1: -19, 4: kid})) is Failure.SCHEMA


@pytest.mark.parametrize("header", [b"", b"\xa2\x01\x32\x01\x32", b"\xa0\xa0", bytes(129), b"\xa2\x04\x40\x01\x32"])
def test_a_protected_header_is_one_deterministic_item(header: bytes) -> None:
    assert refused(verify, resigned(header)) in (Failure.ENCODING, Failure.SCHEMA)


@pytest.mark.spec("SIG-3")
@pytest.mark.parametrize("unprotected", [{4: b"k"}, {1: -19}, {99: 1}, [1], "x", 1])
def test_an_unprotected_header_is_refused(unprotected: Any) -> None:
    assert refused(verify, resigned({1: -19, 4: KEY.public}, unprotected)) is Failure.SCHEMA


@pytest.mark.parametrize("parts", [[], [b""] * 3, [b""] * 5, {}, b"", None])
def test_a_message_has_four_parts(parts: Any) -> None:
    assert refused(verify, by_hand(parts)) is Failure.SCHEMA


@pytest.mark.parametrize(
    ("place", "value"), [(2, None), (2, "text"), (2, []), (3, b""), (3, bytes(63)), (3, bytes(65))]
)
def test_payload_and_signature_have_their_shape(place: int, value: Any) -> None:
    assert refused(verify, changed(lambda parts: parts.__setitem__(place, value))) is Failure.SCHEMA


def test_a_tagged_or_longer_message_is_refused() -> None:
    assert refused(verify, b"\xd2" + message()) is Failure.ENCODING
    assert refused(verify, message() + b"\0") is Failure.ENCODING
    assert refused(cose.verify, Context.HEAD, message(), maximum=len(message()) - 1) is Failure.LIMIT
    assert cose.verify(Context.HEAD, message(), maximum=len(message())).payload == PAYLOAD


def test_a_detached_statement_differs_by_context_payload_and_key() -> None:
    said = {
        cose.detached(context, payload, key)
        for context in Context
        for payload in (b"", b"a", b"b")
        for key in (KEY.public, person("bob").sign.public)
    }
    assert len(said) == len(Context) * 3 * 2


@pytest.mark.parametrize(("key", "signature"), [(31, 64), (33, 64), (0, 64), (32, 63), (32, 65)])
def test_a_key_or_signature_of_another_length_is_never_handed_on(key: int, signature: int) -> None:
    assert refused(cose.check, bytes(key), b"message", bytes(signature), subject="test") is Failure.SIGNATURE
