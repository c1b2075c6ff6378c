"""Turning decoded CBOR into typed values: one reader for maps with integer keys, one for arrays.

A structure's parser takes every field through these readers, and `done()` refuses what is left over, so an
unknown field of a security structure is an error and no field is ever read without a check of type and range.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from strongroom_protocol.errors import Failure, UntrustedDataError, UpgradeRequired

T = TypeVar("T")

SMALL_MAX = 2**32 - 1
VERSION_MAX = 2**53 - 1
TIME_MAX = 2**48 - 1
SIZE_MAX = 2**40


def bad(subject: str, what: str) -> UntrustedDataError:
    """The error for a value of the wrong type or range (`Failure.SCHEMA`)."""
    return UntrustedDataError(Failure.SCHEMA, what, subject=subject)


def uint(value: Any, maximum: int, subject: str, minimum: int = 0) -> int:
    """An integer within [minimum, maximum]; booleans are not integers."""
    if type(value) is not int or not minimum <= value <= maximum:  # spec: ENC-6
        raise bad(subject, "integer out of range")
    return value


def fixed(value: Any, length: int, subject: str) -> bytes:
    """A byte string of exactly `length` bytes."""
    if type(value) is not bytes or len(value) != length:  # spec: ENC-7
        raise bad(subject, f"expected {length} bytes")
    return value


def blob(value: Any, maximum: int, subject: str, minimum: int = 0) -> bytes:
    """A byte string of bounded length."""
    if type(value) is not bytes or not minimum <= len(value) <= maximum:  # spec: ENC-8
        raise bad(subject, "byte string of the wrong length")
    return value


def text(value: Any, maximum: int, subject: str, minimum: int = 0) -> str:
    """A text string of bounded length in UTF-8 bytes."""
    if type(value) is not str or not minimum <= len(value.encode()) <= maximum:
        raise bad(subject, "text of the wrong length")
    return value


def array(value: Any, subject: str, *, maximum: int, minimum: int = 0) -> list[Any]:
    """An array with a bounded number of items."""
    if type(value) is not list or not minimum <= len(value) <= maximum:  # spec: ENC-9
        raise bad(subject, "array of the wrong length")
    return value


class Fields:
    """Reads a map with integer keys, each field once."""

    def __init__(self, value: Any, subject: str) -> None:
        if type(value) is not dict:
            raise bad(subject, "expected a map")
        self._left: dict[Any, Any] = dict(value)
        self.subject = subject

    def wrong(self, what: str) -> UntrustedDataError:
        """The error for a field of the wrong shape."""
        return bad(self.subject, what)

    def take(self, key: int) -> Any:
        """The raw value of a field that must be there."""
        if key not in self._left:
            raise bad(self.subject, f"field {key} is missing")
        return self._left.pop(key)

    def format(self, known: int = 1) -> None:
        """Field 1, the format version. A newer one is never guessed at."""
        version = uint(self.take(1), SMALL_MAX, self.subject)
        if version > known:  # spec: ENC-10
            raise UpgradeRequired(f"format version {version} is newer than {known}", subject=self.subject)
        if version != known:  # spec: ENC-11
            raise bad(self.subject, f"format version {version} is not known")

    def uint(self, key: int, maximum: int, minimum: int = 0) -> int:
        return uint(self.take(key), maximum, self.subject, minimum)

    def version(self, key: int) -> int:
        return uint(self.take(key), VERSION_MAX, self.subject, 1)

    def time(self, key: int) -> int:
        return uint(self.take(key), TIME_MAX, self.subject)

    def fixed(self, key: int, length: int = 32) -> bytes:
        return fixed(self.take(key), length, self.subject)

    def blob(self, key: int, maximum: int, minimum: int = 0) -> bytes:
        return blob(self.take(key), maximum, self.subject, minimum)

    def text(self, key: int, maximum: int, minimum: int = 0) -> str:
        return text(self.take(key), maximum, self.subject, minimum)

    def array(self, key: int, *, maximum: int, minimum: int = 0) -> list[Any]:
        return array(self.take(key), self.subject, maximum=maximum, minimum=minimum)

    def optional(self, key: int, parse: Callable[[Any], T]) -> T | None:
        """A field that must be there and may be null."""
        value = self.take(key)
        return None if value is None else parse(value)

    def absent_or(self, key: int, parse: Callable[[Any], T], default: T) -> T:
        """A field that may be left out."""
        return parse(self.take(key)) if key in self._left else default

    def done(self) -> None:
        """Refuse fields that nobody asked for."""
        if self._left:  # spec: ENC-12
            raise bad(self.subject, "unknown field")
