"""Columns of integers (spec chapter 07): a base, then the offsets from it in byte planes.

A column has one form. Either its values are stored (`delta` false) or its first value and the differences from
row to row. `base` is the smallest number stored, the offsets from it take the fewest bytes that hold the largest,
and byte k of all offsets lies together in plane k, so that the mostly zero high bytes compress to nothing. Work
per row happens inside array, slicing and itertools, not in Python code.
"""

from __future__ import annotations

import sys
from array import array
from collections.abc import Sequence
from itertools import accumulate, repeat
from operator import add, sub

from strongroom_protocol.errors import Failure, UntrustedDataError

_VARINT_BYTES = 10
_SWAP = sys.byteorder != "little"


def encode_ints(values: Sequence[int], *, delta: bool) -> bytes:
    """The column of `values` (at least one, each within ±2**63; differences within 64 bits)."""
    head = bytearray()
    numbers: Sequence[int] = values
    constant = values.count(values[0]) == len(values)  # compares by identity first: next to free
    if delta:
        head += _varint(_zigzag(values[0]))
        numbers = [0] * (len(values) - 1) if constant else list(map(sub, values[1:], values))
    if not numbers:
        return bytes(head)
    base, top = (numbers[0], numbers[0]) if constant else (min(numbers), max(numbers))
    width = ((top - base).bit_length() + 7) // 8
    head += bytes((width,)) + _varint(_zigzag(base))
    if width == 1:
        head += bytes(map(sub, numbers, repeat(base)) if base else numbers)
    elif width:
        offsets = array("Q", map(sub, numbers, repeat(base)) if base else numbers)
        if _SWAP:
            offsets.byteswap()
        packed = offsets.tobytes()
        for plane in range(width):
            head += packed[plane::8]
    return bytes(head)


def decode_ints(data: bytes, rows: int, *, delta: bool, low: int, high: int, subject: str) -> list[int]:
    """The `rows` values of a column, each within [low, high]. Raises UntrustedDataError(FRAME)."""
    reader = _Reader(data, subject)
    if delta:
        first = _unzigzag(reader.varint())
        base, numbers = _decode_numbers(reader, rows - 1) if rows > 1 else (0, ())
        values = list(accumulate(numbers, initial=first))
        # Where no difference is negative the values only rise, and the ends say all.
        least, most = (first, values[-1]) if base >= 0 else (min(values), max(values))
    else:
        least, numbers = _decode_numbers(reader, rows)  # the base is one of the values: some offset is 0
        values = list(numbers)
        most = max(values)
    if reader.at != len(data):  # spec: FRAME-7
        raise broken(subject, "bytes after the column")
    if least < low or most > high:  # spec: FRAME-8
        raise broken(subject, "value outside the column's range")
    return values


def _decode_numbers(reader: _Reader, count: int) -> tuple[int, Sequence[int]]:
    """The base, which is the smallest of the numbers, and the numbers."""
    width = reader.byte()
    if width > 8:  # spec: FRAME-5
        raise broken(reader.subject, "unknown width")
    base = _unzigzag(reader.varint())
    if not width:
        return base, [base] * count
    planes = [reader.take(count) for _ in range(width)]
    offsets = planes[0] if width == 1 else _joined(planes)  # one plane is its offsets already
    # One form only: the last plane is needed, and some offset is 0.
    if planes[-1].count(0) == count or min(offsets):  # spec: FRAME-6
        raise broken(reader.subject, "column is not in its shortest form")
    return base, list(map(add, offsets, repeat(base))) if base else offsets


def _joined(planes: Sequence[bytes]) -> array[int]:
    packed = bytearray(8 * len(planes[0]))
    for place, plane in enumerate(planes):
        packed[place::8] = plane
    offsets = array("Q", bytes(packed))
    if _SWAP:
        offsets.byteswap()
    return offsets


class _Reader:
    """Takes bytes from the front of a column."""

    __slots__ = ("at", "data", "subject")

    def __init__(self, data: bytes, subject: str) -> None:
        self.data = data
        self.subject = subject
        self.at = 0

    def take(self, count: int) -> bytes:
        part = self.data[self.at : self.at + count]
        if len(part) != count:  # spec: FRAME-4
            raise broken(self.subject, "column is cut short")
        self.at += count
        return part

    def byte(self) -> int:
        return self.take(1)[0]

    def varint(self) -> int:
        """LEB128, at most 64 bits, in its shortest form."""
        value = shift = 0
        for _ in range(_VARINT_BYTES):
            byte = self.byte()
            value |= (byte & 0x7F) << shift
            if byte < 0x80:
                if (byte == 0 and shift) or value >> 64:  # spec: FRAME-9
                    break
                return value
            shift += 7
        raise broken(self.subject, "number is not in its shortest form")


def broken(subject: str, what: str) -> UntrustedDataError:
    """The error for a column that no encoder makes (`Failure.FRAME`)."""
    return UntrustedDataError(Failure.FRAME, what, subject=subject)


def _varint(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def _zigzag(value: int) -> int:
    return value << 1 if value >= 0 else (-value << 1) - 1


def _unzigzag(value: int) -> int:
    return value >> 1 if not value & 1 else -((value + 1) >> 1)
