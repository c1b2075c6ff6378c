"""Maps with integer keys and named fields: one table gives the check, the CDDL and the JSON names.

A map may hold keys that its table does not know (a newer version wrote them); they are kept as they are. Field 0
of every map is `ext`: what a source had and the table has no field for, as canonical JSON text.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from strongroom_protocol.errors import Failure, UntrustedDataError
from strongroom_protocol.wire.parse import SMALL_MAX

EXT = 0
UINT_MAX = 2**63 - 1


class Scalar(StrEnum):
    """Types of single values."""

    TEXT = "tstr"
    UINT = "natural"
    INT = "whole"
    BOOL = "bool"
    BYTES = "bstr"
    COUNTS = "counts"  # a map from text to unsigned integers
    TEXTS = "texts"  # a map from text to text


@dataclass(frozen=True, slots=True)
class Many:
    """A list of at least one item."""

    of: Scalar | Struct


@dataclass(frozen=True, slots=True)
class Field:
    """One entry of a map."""

    key: int
    name: str
    type: Scalar | Many | Struct


class Struct:
    """A map with known fields; `name` is its CDDL rule."""

    __slots__ = ("by_key", "by_name", "name")

    def __init__(self, name: str, *fields: tuple[int, str, Scalar | Many | Struct]) -> None:
        every = [Field(EXT, "ext", Scalar.TEXT), *(Field(*entry) for entry in fields)]
        self.name = name
        self.by_key: Mapping[int, Field] = {field.key: field for field in every}
        self.by_name: Mapping[str, Field] = {field.name: field for field in every}

    def add(self, key: int, name: str, kind: Scalar | Many | Struct) -> None:
        """A field that refers to this or a later table."""
        field = Field(key, name, kind)
        self.by_key = {**self.by_key, key: field}
        self.by_name = {**self.by_name, name: field}


def check(struct: Struct, value: Any) -> None:
    """Known fields have their types, at every depth. Raises UntrustedDataError(SCHEMA)."""
    if type(value) is not dict or not value:  # spec: MSG-3
        raise _bad(struct.name, "expected a map with a field")
    known = struct.by_key
    for key, item in value.items():
        field = known.get(key)
        if field is not None:
            _check_type(field.type, item, struct.name)
        elif type(key) is not int or not 0 < key <= SMALL_MAX:  # spec: MSG-4
            raise _bad(struct.name, "field number out of range")


def _check_type(kind: Scalar | Many | Struct, item: Any, subject: str) -> None:
    if type(kind) is Struct:
        check(kind, item)
    elif type(kind) is Many:
        if type(item) is not list or not item:  # spec: MSG-5
            raise _bad(subject, "expected a list with an item")
        for entry in item:
            _check_type(kind.of, entry, subject)
    elif not _is_scalar(kind, item):  # spec: MSG-6
        raise _bad(subject, "field of the wrong type")


def _is_scalar(kind: object, item: Any) -> bool:
    match kind:
        case Scalar.TEXT:
            return type(item) is str
        case Scalar.UINT:
            return type(item) is int and 0 <= item <= UINT_MAX
        case Scalar.INT:
            return type(item) is int and -UINT_MAX <= item <= UINT_MAX
        case Scalar.BOOL:
            return type(item) is bool
        case Scalar.BYTES:
            return type(item) is bytes
        case Scalar.COUNTS:
            return type(item) is dict and all(
                type(name) is str and _is_scalar(Scalar.UINT, count) for name, count in item.items()
            )
        case _:
            return type(item) is dict and all(type(name) is str and type(text) is str for name, text in item.items())


def _bad(subject: str, what: str) -> UntrustedDataError:
    return UntrustedDataError(Failure.SCHEMA, what, subject=subject)
