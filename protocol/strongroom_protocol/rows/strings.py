"""Columns of strings and byte strings (spec chapter 07): lengths, and all bytes joined.

A length column holds 0 for null and the length in bytes plus one otherwise.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate, chain, repeat
from operator import sub
from typing import cast

from strongroom_protocol.errors import Failure, InvalidArgument, UntrustedDataError
from strongroom_protocol.rows.columns import broken


def utf8(value: str) -> bytes:
    """The UTF-8 of a text. Raises InvalidArgument for a lone surrogate, which no UTF-8 can carry."""
    try:
        return value.encode()
    except UnicodeEncodeError as error:
        raise InvalidArgument("text holds half of a surrogate pair", hint="replace it first") from error


def join_texts(values: Sequence[str | None]) -> tuple[list[int], bytes]:
    """Lengths and bytes of a text column."""
    joined = "".join(filter(None, values))
    if joined.isascii():
        return [0 if value is None else len(value) + 1 for value in values], joined.encode()
    try:
        encoded = [None if value is None else value.encode() for value in values]
    except UnicodeEncodeError:
        encoded = [None if value is None else utf8(value) for value in values]  # which raises
    return join_blobs(encoded)


def join_blobs(values: Sequence[bytes | None]) -> tuple[list[int], bytes]:
    """Lengths and bytes of a byte string column."""
    return [0 if value is None else len(value) + 1 for value in values], b"".join(filter(None, values))


def split_texts(lengths: Sequence[int], data: bytes, *, maximum: int, subject: str) -> list[str | None]:
    """The texts of a column. Raises UntrustedDataError: LIMIT for one over `maximum` bytes, FRAME."""
    ends = _ends(lengths, data, maximum, subject)
    spans = map(slice, chain((0,), ends), ends)  # each begins where the one before it ends
    try:
        if data.isascii():
            texts = list(map(data.decode().__getitem__, spans))
        else:  # each by itself: two that are not UTF-8 may be it together
            texts = list(map(bytes.decode, map(data.__getitem__, spans)))
    except UnicodeDecodeError as error:
        raise broken(subject, "text is not UTF-8") from error
    if 0 in lengths:
        return [text if size else None for size, text in zip(lengths, texts, strict=True)]
    return cast(list[str | None], texts)


def split_blobs(lengths: Sequence[int], data: bytes, *, maximum: int, subject: str) -> list[bytes | None]:
    """The byte strings of a column. Raises as `split_texts`."""
    if not any(lengths) and not data:
        return [None] * len(lengths)
    ends = _ends(lengths, data, maximum, subject)
    return [data[end - size + 1 : end] if size else None for size, end in zip(lengths, ends, strict=True)]


def _ends(lengths: Sequence[int], data: bytes, maximum: int, subject: str) -> list[int]:
    if max(lengths, default=0) > maximum + 1:  # spec: FRAME-10
        raise UntrustedDataError(Failure.LIMIT, "string is longer than the limit", subject=subject)
    sizes = [size - 1 if size else 0 for size in lengths] if 0 in lengths else map(sub, lengths, repeat(1))
    ends = list(accumulate(sizes))
    if (ends[-1] if ends else 0) != len(data):  # spec: FRAME-11
        raise broken(subject, "lengths do not add up to the bytes")
    return ends
