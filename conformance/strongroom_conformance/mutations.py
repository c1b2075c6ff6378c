"""The lies, each a function of what was asked, what an honest relay answers, and the parameters of the scenario.

They work on HTTP and CBOR only. Whatever needs a device's key is made by the scenario and comes here as bytes.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from strongroom_conformance.exchanges import Answer, Asked, Manner
from strongroom_protocol.relay_api.problems import MEDIA_TYPE, Problem, ProblemError
from strongroom_protocol.wire import cbor

Given = Mapping[str, Any]
Lie = Callable[[Given, Asked, Answer], Answer]


@dataclass(slots=True)
class Rule:
    """One lie: to which requests (`on`, optionally of one key), which ones of these (`skip`, `times`), and what.

    With `instead` the honest relay is not asked, so nothing of the request happens there.
    """

    on: str
    do: str
    given: Given
    key: str = ""
    skip: int = 0
    times: int | None = None
    instead: bool = False
    used: int = 0

    @classmethod
    def parse(cls, data: Mapping[str, Any], known_lies: Collection[str]) -> Rule:
        """From JSON. Raises ValueError for a lie that nobody knows."""
        rest = dict(data)
        known = {name: rest.pop(name) for name in ("on", "do", "key", "skip", "times", "instead") if name in rest}
        if known.get("do") not in known_lies:
            raise ValueError(f"no such lie: {known.get('do')}")
        return cls(given=rest, **known)

    def applies(self, asked: Asked) -> bool:
        """Whether this request is lied to; counts those that match."""
        if self.on not in ("*", asked.shape) or (self.key and self.key != asked.key):
            return False
        self.used += 1
        past = self.used - self.skip
        return past > 0 and (self.times is None or past <= self.times)


def _answer(given: Given, asked: Asked, honest: Answer) -> Answer:
    """These bytes, with this status."""
    return Answer(given.get("status", 200), bytes.fromhex(given["body"]))


def _http(given: Given, asked: Asked, honest: Answer) -> Answer:
    """Another status, more headers, another body: HTTP that no honest relay speaks."""
    body = bytes.fromhex(given["body"]) if "body" in given else honest.body
    return Answer(given.get("status", honest.status), body, (*honest.headers, *map(tuple, given.get("headers", ()))))


def _problem(given: Given, asked: Asked, honest: Answer) -> Answer:
    """A refusal by its code."""
    problem = next(item for item in Problem if item.code == given["code"])
    body = ProblemError(problem, **given.get("extra", {})).to_json()
    return Answer(problem.status, body, (("Content-Type", MEDIA_TYPE),))


def _flip(given: Given, asked: Asked, honest: Answer) -> Answer:
    """One bit of the answer, or of a byte string inside it, is another."""

    def flipped(data: bytes) -> bytes:
        changed = bytearray(data)
        changed[given.get("at", len(data) // 2)] ^= given.get("mask", 1)
        return bytes(changed)

    return _inside(given, honest, flipped)


def _cut(given: Given, asked: Asked, honest: Answer) -> Answer:
    """Less of the answer, or of a byte string inside it."""
    return _inside(given, honest, lambda data: data[: given["keep"]])


def _extend(given: Given, asked: Asked, honest: Answer) -> Answer:
    """More of it."""
    return _inside(given, honest, lambda data: data + bytes.fromhex(given["by"]))


def _put(given: Given, asked: Asked, honest: Answer) -> Answer:
    """Another value at a place inside: `hex` for bytes, `hexes` for a list of them, else `value`."""
    value = bytes.fromhex(given["hex"]) if "hex" in given else given.get("value")
    if "hexes" in given:
        value = [bytes.fromhex(item) for item in given["hexes"]]
    return replace(honest, body=cbor.encode(_changed(cbor.decode(honest.body), given["path"], lambda _: value)))


def _loose(given: Given, asked: Asked, honest: Answer) -> Answer:
    """The same map in an encoding that is not the deterministic one."""
    head, rest = honest.body[:1], honest.body[1:]
    if head[0] >> 5 not in (4, 5) or head[0] & 31 > 22:
        raise ValueError("the answer is no short map or array")
    last = cbor.decode(honest.body)
    if isinstance(last, dict):
        key = max(last)
        again = cbor.encode(key) + cbor.encode(last[key])
    else:
        again = cbor.encode(last[-1]) if last else b"\x00"
    loose = {
        "long": bytes([head[0] & 0xE0 | 24, head[0] & 31]) + rest,
        "indefinite": bytes([head[0] | 31]) + rest + b"\xff",
        "twice": bytes([head[0] + 1]) + rest + again,
        "trailing": honest.body + b"\x00",
        "tagged": b"\xd9\xd9\xf7" + honest.body,
    }
    return replace(honest, body=loose[given["how"]])


def _objects(given: Given, asked: Asked, honest: Answer) -> Answer:
    """Other bytes, or none (null), under the names of objects, wherever they are asked for."""
    instead = {name: None if data is None else bytes.fromhex(data) for name, data in given["objects"].items()}
    if asked.shape == "POST objects/missing":
        return honest  # it claims to have everything
    if asked.name in instead:
        data = instead[asked.name]
        return Answer(404) if data is None else replace(honest, body=data)
    if asked.shape == "POST objects/read" and honest.status == 200:
        ranges, pieces = cbor.decode(asked.body), cbor.decode(honest.body)
        for number, (name, offset, length) in enumerate(ranges[: len(pieces)]):
            if name.hex() in instead:
                data = instead[name.hex()]
                pieces[number] = data if data is None else data[offset : offset + length if length else None]
        return replace(honest, body=cbor.encode(pieces))
    if asked.shape == "GET head" and given.get("body") in instead and honest.status == 200:
        fields = cbor.decode(honest.body)
        fields[5] = instead[given["body"]]
        return replace(honest, body=cbor.encode(fields))
    return honest


def _pieces(given: Given, asked: Asked, honest: Answer) -> Answer:
    """Other pieces than asked for: none, one more, or longer ones."""
    pieces = cbor.decode(honest.body)
    changed = {
        "none": [],
        "more": [*pieces, b"x"],
        "longer": [None if piece is None else piece + b"x" for piece in pieces],
    }[given["how"]]
    return replace(honest, body=cbor.encode(changed))


def _sent(manner: Manner) -> Lie:
    def lie(given: Given, asked: Asked, honest: Answer) -> Answer:
        body = bytes.fromhex(given["body"]) if "body" in given else honest.body
        return replace(honest, body=body, manner=manner)

    return lie


LIES: dict[str, Lie] = {
    "answer": _answer,
    "http": _http,
    "problem": _problem,
    "flip": _flip,
    "cut": _cut,
    "extend": _extend,
    "put": _put,
    "loose": _loose,
    "objects": _objects,
    "pieces": _pieces,
    "stall": _sent(Manner.STALL),
    "drip": _sent(Manner.DRIP),
    "endless": _sent(Manner.ENDLESS),
    "short": _sent(Manner.CUT),
    "raw": _sent(Manner.RAW),
    "honest": lambda given, asked, honest: honest,
}
"""By name. Those that need the relay's key or memory are the server's own (`evil.OWN`)."""


def _inside(given: Given, honest: Answer, change: Callable[[bytes], bytes]) -> Answer:
    path = given.get("path")
    if path is None:
        return replace(honest, body=change(honest.body))
    return replace(honest, body=cbor.encode(_changed(cbor.decode(honest.body), path, change)))


def _changed(value: Any, path: Sequence[int], change: Callable[[Any], Any]) -> Any:
    """A copy of a decoded structure with the value at a path of keys and indexes changed."""
    if not path:
        return change(value)
    found = dict(value) if isinstance(value, dict) else list(value)
    found[path[0]] = _changed(found[path[0]], path[1:], change)
    return found
