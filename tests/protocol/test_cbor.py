"""One encoding for one value, and nothing else is decoded (chapter 02)."""

from __future__ import annotations

import struct
import time
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol.builders import refused
from strongroom_protocol.errors import Failure
from strongroom_protocol.limits import LIMITS
from strongroom_protocol.wire import cbor

_SCALARS = st.none() | st.booleans() | st.integers(-(2**64), 2**64 - 1) | st.binary(max_size=40) | st.text(max_size=20)
_VALUES = st.recursive(
    _SCALARS,
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(st.integers(0, 300) | st.binary(max_size=4), inner),
    max_leaves=20,
)


def head_of(major: int, number: int) -> bytes:
    """The shortest head of RFC 8949 section 3, written out by hand."""
    if number < 24:
        return bytes((major << 5 | number,))
    for extra, code, top in ((24, ">B", 2**8), (25, ">H", 2**16), (26, ">I", 2**32), (27, ">Q", 2**64)):
        if number < top:
            return bytes((major << 5 | extra,)) + struct.pack(code, number)
    raise AssertionError


def by_hand(value: Any) -> bytes:
    """RFC 8949 section 4.2.1, written a second time."""
    if value is None:
        return b"\xf6"
    if type(value) is bool:
        return b"\xf5" if value else b"\xf4"
    if type(value) is int:
        return head_of(0, value) if value >= 0 else head_of(1, -1 - value)
    if type(value) is bytes:
        return head_of(2, len(value)) + value
    if type(value) is str:
        return head_of(3, len(value.encode())) + value.encode()
    if type(value) is list:
        return head_of(4, len(value)) + b"".join(map(by_hand, value))
    pairs = sorted((by_hand(key), by_hand(item)) for key, item in value.items())
    return head_of(5, len(pairs)) + b"".join(key + item for key, item in pairs)


@given(_VALUES)
def test_values_come_back_from_the_one_encoding_of_the_standard(value: Any) -> None:
    encoded = cbor.encode(value)
    assert encoded == by_hand(value)
    assert cbor.decode(encoded) == value


# RFC 8949, appendix A.
@pytest.mark.parametrize(
    ("value", "encoded"),
    [
        (0, "00"), (23, "17"), (24, "1818"), (1000, "1903e8"), (1000000, "1a000f4240"),
        (18446744073709551615, "1bffffffffffffffff"), (-18446744073709551616, "3bffffffffffffffff"), (-1, "20"),
        (-1000, "3903e7"), (False, "f4"), (None, "f6"), (b"\x01\x02\x03\x04", "4401020304"), ("ü", "62c3bc"),
        ([1, [2, 3], [4, 5]], "8301820203820405"), ({1: 2, 3: 4}, "a201020304"),
    ],
)  # fmt: skip
def test_examples_of_the_standard(value: Any, encoded: str) -> None:
    assert cbor.encode(value).hex() == encoded
    assert cbor.decode(bytes.fromhex(encoded)) == value


NOT_THE_SHORTEST = {
    "uint 1 in one byte": "1801", "uint 1 in two bytes": "190001", "uint 1 in four": "1a00000001",
    "uint 1 in eight": "1b0000000000000001", "negative in one byte": "3800", "length of bytes": "580100",
    "length of text": "780161", "length of an array": "980101", "length of a map": "b8010101",
    "a key": "a1180102", "a nested value": "811801",
}  # fmt: skip
UNORDERED = {
    "integers": "a202000100", "negative before positive": "a220000000", "RFC 7049 order": "a2200018ff00",
    "RFC 7049 order of byte strings": "a3000041610019010000", "nested": "81a202000100",
}  # fmt: skip
DIFFERENT = {
    "bytes after the item": "0101", "two items": "a10102f6", "an array and more": "8000",
}  # fmt: skip
REFUSED = {
    "duplicate integer key": "a201010102", "duplicate text key": "a2616101616102", "nested duplicate": "81a201010102",
    "indefinite bytes": "5f4101ff", "indefinite text": "7f6161ff", "indefinite array": "9f01ff",
    "indefinite map": "bf0101ff", "break alone": "ff", "tag": "c100",
    "date": "c074323031332d30332d32315432303a30343a30305a",
    "bignum": "c249010000000000000000", "negative bignum": "c349010000000000000000", "decimal": "c48221196ab3",
    "shared value": "d81c80", "shared reference": "d81d00", "self-described": "d9d9f700", "set": "d9010280",
    "string reference": "d9010081420102", "uuid": "d82550" + 16 * "00", "embedded CBOR": "d8184101",
    "half float": "f93c00", "float": "fa47c35000", "double": "fb3ff199999999999a", "infinity": "f97c00",
    "not a number": "f97e00", "float that is an integer": "fb4000000000000000", "undefined": "f7", "simple": "f0",
    "simple in two bytes": "f8ff", "simple false in two bytes": "f814", "reserved 28": "1c", "reserved 29": "5d",
    "reserved 30": "9e", "nothing": "", "cut bytes": "420", "cut int": "19", "cut array": "8201", "cut map": "a101",
    "invalid text": "62fffe", "surrogate in text": "63eda080", "overlong text": "62c080",
    "bytes of 2^63": "5b8000000000000000", "text of 2^63": "7b8000000000000000", "array of 2^63": "9b8000000000000000",
    "map of 2^63": "bb8000000000000000", "array of 2^64 - 1": "9bffffffffffffffff",
    "bytes of 2^40": "5b0000010000000000",
    "key that is an array": "a18000", "key that is a map": "a1a000", "key that is a float": "a1f93c0000",
}  # fmt: skip


def undecodable(encoded: str) -> None:
    data = bytes.fromhex(encoded if len(encoded) % 2 == 0 else encoded + "0")
    start = time.perf_counter()
    assert refused(cbor.decode, data) is Failure.ENCODING
    assert time.perf_counter() - start < 0.5


@pytest.mark.spec("ENC-1")
@pytest.mark.parametrize("encoded", NOT_THE_SHORTEST.values(), ids=NOT_THE_SHORTEST)
def test_attack_035_a_longer_form_than_the_shortest_is_refused(encoded: str) -> None:
    undecodable(encoded)


@pytest.mark.spec("ENC-2")
@pytest.mark.parametrize("encoded", UNORDERED.values(), ids=UNORDERED)
def test_attack_035_keys_in_another_order_are_refused(encoded: str) -> None:
    undecodable(encoded)


@pytest.mark.spec("ENC-3")
@pytest.mark.parametrize("encoded", DIFFERENT.values(), ids=DIFFERENT)
def test_attack_035_what_does_not_fill_the_bytes_is_refused(encoded: str) -> None:
    undecodable(encoded)


@pytest.mark.parametrize("encoded", REFUSED.values(), ids=REFUSED)
def test_attack_035_everything_the_protocol_does_not_use_is_refused_at_once(encoded: str) -> None:
    undecodable(encoded)


@pytest.mark.spec("ENC-5")
def test_nesting_is_bounded() -> None:
    deepest = b"\x81" * (LIMITS.cbor_depth - 1) + b"\x00"
    assert cbor.encode(cbor.decode(deepest)) == deepest
    for depth in (17, 18, 100, 300):
        assert refused(cbor.decode, b"\x81" * depth + b"\x00") is Failure.ENCODING


@pytest.mark.parametrize("opening", [b"\x81", b"\xa1\x00", b"\x9f", b"\xc1", b"\xd8\x1c\x81"])
def test_a_hundred_thousand_levels_cost_nothing(opening: bytes) -> None:
    start = time.perf_counter()
    assert refused(cbor.decode, opening * 100_000 + b"\x00") is Failure.ENCODING
    assert time.perf_counter() - start < 0.5


@pytest.mark.spec("ENC-4")
def test_an_item_over_the_limit_is_refused_before_it_is_decoded() -> None:
    limits = replace(LIMITS, cbor_bytes=10)
    assert cbor.decode(cbor.encode(bytes(9)), limits=limits) == bytes(9)
    assert refused(cbor.decode, cbor.encode(bytes(10)), limits=limits) is Failure.LIMIT
    assert refused(cbor.decode, b"\xff" * 11, limits=limits) is Failure.LIMIT


@given(st.binary(max_size=40))
def test_attack_035_whatever_is_decoded_is_encoded_to_the_same_bytes(data: bytes) -> None:
    try:
        value = cbor.decode(data)
    except Exception as error:
        assert getattr(error, "failure", None) is Failure.ENCODING  # noqa: PT017 - any other error is the finding
    else:
        assert by_hand(value) == data


@pytest.mark.parametrize("value", [1.5, {1}, object(), 2**64, -(2**64) - 1, {1: 0.0}, [b"", (1.0,)], bytearray(1)])
def test_nothing_else_is_encoded(value: object) -> None:
    with pytest.raises(TypeError):
        cbor.encode(value)
