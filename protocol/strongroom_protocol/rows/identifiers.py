"""The id, sender and device columns of a frame: numbers as numbers, names in dictionaries (spec chapter 07)."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any, TypeVar, cast

from strongroom_protocol.limits import Limits
from strongroom_protocol.rows.columns import broken
from strongroom_protocol.rows.model import SEQ_MAX
from strongroom_protocol.rows.store import Col, ColumnReader, ColumnWriter
from strongroom_protocol.wire.parse import text

Name = TypeVar("Name", str, bytes)

_NULL, _TEXT, _NUMBER = 0, 1, 2
_HEX = re.compile(r"(?:[0-9a-f]{2}){4,}")
_DIGITS = 18  # every number of so many digits fits 63 bits


def write_ids(writer: ColumnWriter, ids: Sequence[str | None] | Sequence[int]) -> None:
    """Message ids: a form per row, then the numbers and the texts of the rows that have them.

    All of them may be given as the numbers that they are stored as, each below 10**18.
    """
    numbers = _all_numbers(ids)
    texts = cast(Sequence[str | None], ids)  # unless all are numbers
    if numbers is not None:
        writer.ints(Col.ID_FORM, [_NUMBER] * len(ids))
        writer.ints(Col.ID_NUMBER, numbers)
    elif texts.count(None) != len(texts):
        forms = [_NULL if value is None else _NUMBER if is_number(value) else _TEXT for value in texts]
        writer.ints(Col.ID_FORM, forms)
        writer.ints(Col.ID_NUMBER, [int(value) for value in _of_form(texts, forms, _NUMBER)])
        writer.texts(Col.ID_LENGTH, Col.ID_BYTES, _of_form(texts, forms, _TEXT))


def _of_form(ids: Sequence[str | None], forms: Sequence[int], form: int) -> list[str]:
    return [value for value, has in zip(ids, forms, strict=True) if has == form and value is not None]


def _all_numbers(ids: Sequence[str | None] | Sequence[int]) -> Sequence[int] | None:
    """The ids as numbers, when every one of them is stored as a number; quick, for this is the usual case."""
    if set(map(type, ids)) == {int}:
        return cast(Sequence[int], ids)
    try:
        numbers = list(map(int, cast(Sequence[str], ids)))
    except (TypeError, ValueError):
        return None
    usual = min(numbers) >= 0 and max(numbers) < 10**_DIGITS and list(map(str, numbers)) == ids
    return numbers if usual else None


def read_ids(reader: ColumnReader, rows: int, *, limits: Limits) -> list[str | None]:
    """The ids that `write_ids` wrote."""
    forms = reader.ints(Col.ID_FORM, rows, high=_NUMBER)
    numbers = reader.ints(Col.ID_NUMBER, forms.count(_NUMBER), high=SEQ_MAX)
    count = forms.count(_TEXT)
    texts = reader.texts(Col.ID_LENGTH, Col.ID_BYTES, count, maximum=limits.id_bytes)
    if (
        None in texts or any(map(is_number, filter(None, texts))) or max(numbers, default=0) >= 10**_DIGITS
    ):  # spec: FRAME-15
        raise broken(reader.subject, "id is not in its one form")
    if len(numbers) == rows:
        return list(map(str, numbers))
    if count == rows:
        return texts
    of_form: dict[int, Iterator[str | None]] = {_NUMBER: map(str, numbers), _TEXT: iter(texts)}
    return [next(of_form[form]) if form else None for form in forms]


def pack_name(name: str) -> str | bytes:
    """A sender as it stands in a frame: hexadecimal as the bytes it means."""
    return bytes.fromhex(name) if _HEX.fullmatch(name) else name


def unpack_name(value: Any, *, limits: Limits, subject: str) -> str:
    """The inverse of `pack_name`; refuses hexadecimal that stands as text."""
    name = value.hex() if type(value) is bytes else text(value, limits.id_bytes, subject)
    if len(name) > limits.id_bytes or pack_name(name) != value:  # spec: FRAME-27
        raise broken(subject, "sender is not in its one form")
    return name


def is_number(value: str) -> bool:
    """Whether an id is stored as a number: decimal, no leading zero, at most 18 digits."""
    return value.isdecimal() and value.isascii() and len(value) <= _DIGITS and (value[0] != "0" or value == "0")


def index_names(values: Sequence[Name | None], *, null: bool) -> tuple[list[int], list[Name]]:
    """Indices into the distinct values in order of first appearance; with `null`, 0 stands for None."""
    names = [value for value in dict.fromkeys(values) if value is not None]
    places: dict[Name | None, int] = {name: place + null for place, name in enumerate(names)}
    if null:
        places[None] = 0
    return list(map(places.__getitem__, values)), names


def resolve_names(indices: Sequence[int], names: Sequence[Name], *, null: bool, subject: str) -> list[Name | None]:
    """The inverse of `index_names`; refuses names that are unused, twice, or out of order."""
    used = [place for place in dict.fromkeys(indices) if place or not null]
    if used != list(range(int(null), len(names) + null)) or len(set(names)) != len(names):  # spec: FRAME-16
        raise broken(subject, "dictionary is not in order of first use")
    table: list[Name | None] = [None] if null else []
    table.extend(names)
    return list(map(table.__getitem__, indices))
