"""Columns are checked all rows at a time; whoever reads them number by number accepts and refuses the same (07)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

from hypothesis import example, given
from hypothesis import strategies as st

from strongroom_protocol.errors import Failure, UntrustedDataError
from strongroom_protocol.rows.columns import decode_ints, encode_ints
from strongroom_protocol.rows.strings import join_texts, split_texts

T = TypeVar("T")
MAXIMUM = 6
"""Bytes of the longest text."""

NUMBERS = st.sampled_from((0, 1, 5, -3, 255, 256, 70_000, 2**40, -(2**50), 2**62)) | st.integers(-(2**62), 2**62)
BOUNDS = st.sampled_from(((0, 7), (0, 255), (0, 2**63 - 1), (-(2**63), 2**63 - 1)))


class Refused(Exception):
    """By the plain readers below; `args[0]` is the class of failure."""


@st.composite
def tampered(draw: st.DrawFn, data: bytes) -> bytes:
    """The bytes, or what is left of them after a change or two."""
    changed = bytearray(data)
    for _ in range(draw(st.integers(0, 2))):
        place, value = draw(st.integers(0, len(changed))), draw(st.sampled_from((0, 1, 2, 8, 9, 127, 128, 255)))
        changed[place : place + draw(st.integers(0, 2))] = bytes([value] * draw(st.integers(0, 2)))
    return bytes(changed)


@st.composite
def int_columns(draw: st.DrawFn) -> tuple[bytes, int, bool]:
    """A column of integers, as written or tampered with; its rows; whether it holds differences."""
    values, delta = draw(st.lists(NUMBERS, min_size=1, max_size=5)), draw(st.booleans())
    if draw(st.booleans()):
        values.sort()
    column = draw(st.just(encode_ints(values, delta=delta)).flatmap(tampered) | st.binary(max_size=14))
    return column, len(values), delta


@st.composite
def text_columns(draw: st.DrawFn) -> tuple[list[int], bytes]:
    """A column of texts: lengths and bytes, as written or tampered with."""
    texts = draw(st.lists(st.none() | st.text("ab é你", max_size=3), min_size=1, max_size=5))
    lengths, data = join_texts(texts)
    if draw(st.booleans()):
        lengths[draw(st.integers(0, len(lengths) - 1))] += draw(st.sampled_from((-1, 1, 6)))
        lengths[draw(st.integers(0, len(lengths) - 1))] += draw(st.sampled_from((-1, 1)))
    return [max(0, length) for length in lengths], draw(tampered(data) | st.just(data))


@given(int_columns(), BOUNDS)
@example((b"\x01\x00\x00\x00", 2, False), (0, 7))  # a plane that holds nothing
@example((b"\x02\x00\x00\x01\x00\x00", 2, False), (0, 7))  # so does the last of two
@example((b"\x02\x01\x03\x00\x05", 3, True), (0, 7))  # 1, -1, 2: the ends are good, what lies between is not
@example((b"\x02\x01\x03\x05\x00", 3, True), (0, 3))  # 1, 4, 2
@example((b"\x01\x00\x01\x02", 2, False), (0, 7))  # one plane without a 0: the base is not the smallest
def test_numbers_are_read_as_one_by_one(column: tuple[bytes, int, bool], bounds: tuple[int, int]) -> None:
    data, rows, delta = column
    low, high = bounds

    def quick() -> list[int]:
        return decode_ints(data, rows, delta=delta, low=low, high=high, subject="column")

    assert verdict(quick) == verdict(lambda: plain_ints(data, rows, delta, low, high))


@given(text_columns())
@example(([2, 2], "é".encode()))  # UTF-8 only where the two are taken together
@example(([1, 0, 2], b"a"))
def test_texts_are_read_as_one_by_one(column: tuple[list[int], bytes]) -> None:
    lengths, data = column
    quick = verdict(lambda: split_texts(lengths, data, maximum=MAXIMUM, subject="column"))
    assert quick == verdict(lambda: plain_texts(lengths, data))


def verdict(read: Callable[[], T]) -> T | Failure:
    """What was read, or the class of failure it was refused with."""
    try:
        return read()
    except UntrustedDataError as error:
        return error.failure
    except Refused as error:
        failure: Failure = error.args[0]
        return failure


def plain_ints(data: bytes, rows: int, delta: bool, low: int, high: int) -> list[int]:
    """Chapter 07, integer columns, number by number."""
    left = list(data)

    def byte() -> int:
        if not left:
            raise Refused(Failure.FRAME)
        return left.pop(0)

    def signed() -> int:
        groups = [byte()]
        while groups[-1] >= 128:
            if len(groups) == 10:
                raise Refused(Failure.FRAME)
            groups.append(byte())
        value = sum((group & 127) << 7 * place for place, group in enumerate(groups))
        if (len(groups) > 1 and not groups[-1]) or value >= 2**64:
            raise Refused(Failure.FRAME)
        return value // 2 if value % 2 == 0 else -(value + 1) // 2

    values = [signed()] if delta else []
    count = rows - len(values)
    if count:
        width = byte()
        if width > 8:
            raise Refused(Failure.FRAME)
        base = signed()
        planes = [[byte() for _ in range(count)] for _ in range(width)]
        offsets = [sum(plane[row] << 8 * place for place, plane in enumerate(planes)) for row in range(count)]
        if width and (not any(planes[-1]) or 0 not in offsets):
            raise Refused(Failure.FRAME)
        for offset in offsets:
            values.append(base + offset + (values[-1] if delta else 0))
    if left or any(not low <= value <= high for value in values):
        raise Refused(Failure.FRAME)
    return values


def plain_texts(lengths: Sequence[int], data: bytes) -> list[str | None]:
    """Chapter 07, string columns, text by text."""
    if any(length > MAXIMUM + 1 for length in lengths):
        raise Refused(Failure.LIMIT)
    found: list[str | None] = []
    at = 0
    if sum(length - 1 for length in lengths if length) != len(data):
        raise Refused(Failure.FRAME)
    for length in lengths:
        part = data[at : at + max(0, length - 1)]
        at += len(part)
        try:
            found.append(part.decode() if length else None)
        except UnicodeDecodeError:
            raise Refused(Failure.FRAME) from None
    return found
