"""The set of columns of one frame: what is written, and what is read back exactly once (spec chapter 07)."""

from __future__ import annotations

from collections.abc import Sequence
from enum import IntEnum
from typing import Any

from strongroom_protocol.errors import Failure, UntrustedDataError
from strongroom_protocol.rows.columns import broken, decode_ints, encode_ints
from strongroom_protocol.rows.model import SEQ_MAX
from strongroom_protocol.rows.strings import join_blobs, join_texts, split_blobs, split_texts


class Col(IntEnum):
    """Column numbers."""

    OP = 1
    TIME = 2
    SEQ = 3
    ID_FORM = 4
    ID_NUMBER = 5
    ID_LENGTH = 6
    ID_BYTES = 7
    SENDER = 8
    KIND = 9
    TEXT_LENGTH = 10
    TEXT_BYTES = 11
    BEFORE_LENGTH = 12
    BEFORE_BYTES = 13
    AFTER_LENGTH = 14
    AFTER_BYTES = 15
    FLAGS = 16
    ORDINAL = 17
    HAS_DETAIL = 18
    DETAIL = 19
    HLC = 20
    DEVICE = 21
    BATCH = 22
    INDEX = 23


DELTAS = frozenset((Col.TIME, Col.SEQ, Col.ID_NUMBER, Col.HLC, Col.BATCH, Col.INDEX))
"""Columns that rise from row to row and are stored as differences; the others as values."""


class ColumnWriter:
    """Collects columns; those of nothing but zeros, nulls or empty strings are left out."""

    def __init__(self) -> None:
        self.columns: dict[int, bytes] = {}

    def ints(self, column: Col, values: Sequence[int]) -> None:
        if any(values):
            self.columns[int(column)] = encode_ints(values, delta=column in DELTAS)

    def blob(self, column: Col, data: bytes) -> None:
        if data:
            self.columns[int(column)] = data

    def texts(self, lengths: Col, data: Col, values: Sequence[str | None]) -> None:
        sizes, joined = join_texts(values)
        self.ints(lengths, sizes)
        self.blob(data, joined)

    def blobs(self, lengths: Col, data: Col, values: Sequence[bytes | None]) -> None:
        sizes, joined = join_blobs(values)
        self.ints(lengths, sizes)
        self.blob(data, joined)


class ColumnReader:
    """Reads every column once. All methods raise UntrustedDataError: FRAME, or LIMIT for an overlong string."""

    def __init__(self, columns: Any, subject: str) -> None:
        if type(columns) is not dict or not all(type(value) is bytes for value in columns.values()):  # spec: FRAME-2
            raise broken(subject, "columns are not byte strings")
        self._left: dict[Any, bytes] = dict(columns)
        self.subject = subject

    def ints(self, column: Col, rows: int, *, high: int, low: int = 0) -> list[int]:
        data = self._left.pop(column, None)
        if data is None:
            return [0] * rows
        values = (
            decode_ints(data, rows, delta=column in DELTAS, low=low, high=high, subject=self.subject) if rows else []
        )
        if not any(values):  # spec: FRAME-3
            raise broken(self.subject, "a column without content is written")
        return values

    def blob(self, column: Col) -> bytes:
        data = self._left.pop(column, None)
        if data is None:
            return b""
        if not data:  # spec: FRAME-13
            raise broken(self.subject, "an empty column is written")
        return data

    def texts(self, lengths: Col, data: Col, rows: int, *, maximum: int) -> list[str | None]:
        sizes = self.ints(lengths, rows, high=SEQ_MAX)
        return split_texts(sizes, self.blob(data), maximum=maximum, subject=self.subject)

    def blobs(self, lengths: Col, data: Col, rows: int, *, maximum: int) -> list[bytes | None]:
        sizes = self.ints(lengths, rows, high=SEQ_MAX)
        return split_blobs(sizes, self.blob(data), maximum=maximum, subject=self.subject)

    def done(self) -> None:
        """Refuse columns that this version does not know."""
        if self._left:  # spec: FRAME-14
            raise UntrustedDataError(Failure.FRAME, "unknown column", subject=self.subject)
