"""Canonical JSON, and detail maps by name: what the native format is written in (docs/formats.md).

Canonical: keys sorted by code point, no spaces, UTF-8 unescaped where JSON allows it. A number with a fraction or
exponent keeps the digits it came with, since no two programs agree on floats.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Any

from strongroom_protocol.rows.schema import EXT, Many, Scalar, Struct
from strongroom_protocol.wire import cbor

_ENCODER = json.JSONEncoder(ensure_ascii=False, sort_keys=True, separators=(",", ":"))
_FOREIGN = re.compile(r"#([1-9][0-9]{0,9})")


@dataclass(frozen=True, slots=True)
class Literal:
    """A JSON number that is not an integer, as its digits."""

    digits: str


class NotNative(Exception):
    """A record is not of this format; it is kept verbatim."""


def parse(line: bytes | str) -> Any:
    """One JSON text. Raises NotNative for what is no JSON, or has NaN, half surrogates or absurd numbers."""
    try:
        text = line.decode() if isinstance(line, bytes) else line
        value = json.loads(text, parse_float=Literal, parse_constant=_refuse)
        if "\\u" in text:
            canonical(value).encode()  # half a surrogate pair has no UTF-8
    except (ValueError, RecursionError) as error:
        raise NotNative from error
    return value


def canonical(value: Any) -> str:
    """The canonical JSON of a value."""
    try:
        return _ENCODER.encode(value)
    except TypeError:  # it holds a Literal
        return _canonical(value)


def _canonical(value: Any) -> str:
    match value:
        case Literal():
            return value.digits
        case dict():
            items = sorted(value.items())
            return "{" + ",".join(f"{_ENCODER.encode(name)}:{_canonical(item)}" for name, item in items) + "}"
        case list():
            return "[" + ",".join(map(_canonical, value)) + "]"
        case _:
            return _ENCODER.encode(value)


def named(struct: Struct, detail: dict[int, Any]) -> dict[str, Any]:
    """A detail map with names for keys, bytes as hexadecimal; keys without a name as `#key`."""
    result: dict[str, Any] = {}
    for key, item in detail.items():
        field = struct.by_key.get(key)
        if key == EXT:
            result = {**parse(item), **result}
        elif field is None:
            result[f"#{key}"] = cbor.encode(item).hex()
        else:
            result[field.name] = _named(field.type, item)
    return result


def numbered(struct: Struct, fields: dict[str, Any]) -> dict[int, Any]:
    """The inverse of `named`; fields without a number go to `ext`. Raises NotNative for hex that is none."""
    result: dict[int, Any] = {}
    others: dict[str, Any] = {}
    for name, item in fields.items():
        field = struct.by_name.get(name)
        foreign = _FOREIGN.fullmatch(name)
        if field is not None and field.key != EXT:
            result[field.key] = _numbered(field.type, item)
        elif foreign and int(foreign[1]) not in struct.by_key:
            result[int(foreign[1])] = cbor.decode(_unhex(item))
        else:
            others[name] = item
    if others:
        result[EXT] = canonical(others)
    return result


def _named(kind: Scalar | Many | Struct, item: Any) -> Any:
    match kind:
        case Struct():
            return named(kind, item)
        case Many():
            return [_named(kind.of, entry) for entry in item]
        case Scalar.BYTES:
            return item.hex()
        case _:
            return item


def _numbered(kind: Scalar | Many | Struct, item: Any) -> Any:
    match kind:
        case Struct() if type(item) is dict:
            return numbered(kind, item)
        case Many() if type(item) is list:
            return [_numbered(kind.of, entry) for entry in item]
        case Scalar.BYTES:
            return _unhex(item)
        case _:
            return item


def _unhex(item: Any) -> bytes:
    try:
        return bytes.fromhex(item)
    except (TypeError, ValueError) as error:
        raise NotNative from error


def _refuse(name: str) -> Any:
    raise ValueError(f"{name} is no JSON")
