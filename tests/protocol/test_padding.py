"""Padding: PADMÉ lengths, one padded form of a content (chapter 05)."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol.builders import refused
from strongroom_protocol.errors import Failure
from strongroom_protocol.wire.padding import pad, padme, unpad


def padme_of_the_paper(length: int) -> int:
    """Nikitin et al., algorithm 1, in its own words."""
    exponent = math.floor(math.log2(length))
    size = math.floor(math.log2(exponent)) + 1
    last = exponent - size
    mask = (1 << last) - 1
    return (length + mask) & ~mask


def test_lengths_are_those_of_the_paper() -> None:
    assert [padme(length) for length in (0, 1)] == [0, 1]
    for length in [*range(2, 5000), *(2**k + d for k in range(13, 40) for d in (-1, 0, 1, 977))]:
        assert padme(length) == padme_of_the_paper(length)


@given(st.integers(2, 2**40))
def test_padding_costs_at_most_12_percent_and_is_stable(length: int) -> None:
    assert length <= padme(length) <= length * 1.12
    assert padme(padme(length)) == padme(length)


def test_attack_066_few_lengths_are_seen() -> None:
    assert len({padme(length) for length in range(2, 2**20)}) < 450


@given(st.binary(max_size=600), st.sampled_from([0, 1, 64, 256]))
def test_contents_come_back(content: bytes, floor: int) -> None:
    padded = pad(content, floor=floor)
    assert len(padded) == max(floor, padme(len(content) + 1))
    assert unpad(padded, floor=floor, subject="x") == content


def test_attack_066_every_content_under_the_floor_has_the_same_length() -> None:
    assert {len(pad(bytes(length), floor=256)) for length in range(256)} == {256}
    assert len(pad(bytes(256), floor=256)) > 256


@pytest.mark.spec("OBJ-9")
def test_any_other_form_is_refused() -> None:
    for content in (b"", b"abc", b"\x80", b"\0\0", b"abc\x80\0", bytes(63), bytes(64), bytes(300)):
        good = pad(content, floor=64)
        for bad in (good + b"\0", good[:-1], good[:-1] + b"\x01", good + bytes(64), content, good[:-1] + b"\x80\0"):
            assert refused(unpad, bad, floor=64, subject="x") is Failure.PADDING, (content, bad)
    assert refused(unpad, pad(b"abc", floor=64), floor=256, subject="x") is Failure.PADDING
    assert refused(unpad, pad(b"abc", floor=256), floor=64, subject="x") is Failure.PADDING


@pytest.mark.spec("OBJ-9")
@pytest.mark.parametrize("padded", [b"", bytes(64), bytes(256), b"\x81" + bytes(63), b"\x01" * 64, b"\0\x80"])
def test_without_a_marker_there_is_no_content(padded: bytes) -> None:
    assert refused(unpad, padded, floor=64, subject="x") is Failure.PADDING
