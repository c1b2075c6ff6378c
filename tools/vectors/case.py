"""A case of a vector, deterministic bytes, and the JSON form of both."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from strongroom_protocol.errors import InvalidArgument, UntrustedDataError, WrongSecret
from strongroom_protocol.relay_api.problems import ProblemError

Json = dict[str, Any]
Op = Callable[[Mapping[str, Any]], Json]
"""Answers an input with an output, or raises."""

REFUSED = "refused"
WRONG_SECRET = "wrong-secret"  # noqa: S105
OK = "ok"


@dataclass(frozen=True, slots=True)
class Case:
    """One vector before its output is computed. `input["op"]` names the operation of the area."""

    name: str
    expect: str
    ids: tuple[str, ...]
    input: Json
    extra: Json


@dataclass(frozen=True, slots=True)
class Area:
    """An area: its name (also the file's), its cases, its operations."""

    name: str
    cases: Callable[[], Iterator[Case]]
    ops: Mapping[str, Op]


def good(name: str, ids: str, op: str, /, **given: Any) -> Case:
    """A case that must succeed; `ids` separated by blanks."""
    return Case(name, OK, tuple(ids.split()), hexed({"op": op, **given}), {})


def bad(name: str, expect: str, ids: str, op: str, /, **given: Any) -> Case:
    """A case with exactly one thing wrong, and the class of failure."""
    return Case(name, str(expect), tuple(ids.split()), hexed({"op": op, **given}), {})


def hexed(value: Any) -> Any:
    """Byte strings as lower-case hexadecimal digits, at every depth."""
    match value:
        case bytes():
            return value.hex()
        case list() | tuple():
            return [hexed(item) for item in value]
        case dict():
            return {key: hexed(item) for key, item in value.items()}
        case _:
            return value


def unhex(value: str) -> bytes:
    return bytes.fromhex(value)


def maybe(value: str | None) -> bytes | None:
    """The bytes of a field that may be null."""
    return None if value is None else bytes.fromhex(value)


def stream(label: str, length: int = 32) -> bytes:
    """`length` bytes: SHA-256(label || 0), SHA-256(label || 1), …; the counter has 4 bytes, big-endian."""
    blocks = range(-(-length // 32))
    return b"".join(hashlib.sha256(label.encode() + i.to_bytes(4, "big")).digest() for i in blocks)[:length]


def answer(area: Area, given: Mapping[str, Any]) -> tuple[str, Json]:
    """What the project's code says to an input: `ok` and the output, or the class of failure."""
    try:
        return OK, hexed(area.ops[given["op"]](given))
    except UntrustedDataError as error:
        return str(error.failure), {}
    except ProblemError as error:
        return error.problem.code, {}
    except WrongSecret:
        return WRONG_SECRET, {}
    except InvalidArgument:
        return REFUSED, {}


def vector(area: Area, case: Case) -> Json:
    """The finished vector. Raises ValueError when the code disagrees with the case."""
    expect, output = answer(area, case.input)
    if expect != case.expect:
        raise ValueError(f"{area.name}_{case.name}: expected {case.expect}, the code says {expect}")
    name = f"{area.name}_{case.name}"
    return {"name": name, "expect": expect, "ids": list(case.ids), "input": case.input, "output": output or case.extra}


def shown(value: Any) -> Any:
    """A decoded CBOR item as JSON that says each item's type."""
    match value:
        case bool() | None:
            return value
        case int():
            return {"int": str(value)}
        case bytes():
            return {"bytes": value.hex()}
        case str():
            return {"text": value}
        case list():
            return {"array": [shown(item) for item in value]}
        case _:
            return {"map": [[shown(key), shown(item)] for key, item in value.items()]}
