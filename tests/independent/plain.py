"""Failure, deterministic CBOR and the CDDL subset of the specification, written from the specification alone."""

from __future__ import annotations

import re
from typing import Any

DEPTH = 16
BYTES = 16 * 1024 * 1024


class Bad(Exception):
    """A failure class."""

    def __init__(self, kind: str) -> None:
        super().__init__(kind)
        self.kind = kind


# ---------------------------------------------------------------- CBOR


def decode(data: bytes) -> Any:
    """One deterministic item that is all of `data`."""
    if len(data) > BYTES:
        raise Bad("limit")
    value, end = _item(data, 0, 0)
    if end != len(data):
        raise Bad("encoding")
    return value


def _argument(data: bytes, at: int) -> tuple[int, int, int]:
    if at >= len(data):
        raise Bad("encoding")
    major, short = data[at] >> 5, data[at] & 31
    if short < 24:
        return major, short, at + 1
    if short > 27 or major == 7:
        raise Bad("encoding")
    width = 1 << (short - 24)
    raw = data[at + 1 : at + 1 + width]
    value = int.from_bytes(raw, "big")
    if len(raw) != width or value < (24 if width == 1 else 1 << (4 * width)):
        raise Bad("encoding")
    return major, value, at + 1 + width


def _item(data: bytes, at: int, depth: int) -> tuple[Any, int]:
    if depth > DEPTH:
        raise Bad("encoding")
    start = at
    major, value, at = _argument(data, at)
    match major:
        case 0:
            return value, at
        case 1:
            return -1 - value, at
        case 2 | 3:
            raw = data[at : at + value]
            if len(raw) != value:
                raise Bad("encoding")
            if major == 2:
                return raw, at + value
            try:
                return raw.decode(), at + value
            except UnicodeDecodeError:
                raise Bad("encoding") from None
        case 4:
            items = []
            if value > len(data) - at:
                raise Bad("encoding")
            for _ in range(value):
                item, at = _item(data, at, depth + 1)
                items.append(item)
            return items, at
        case 5:
            return _map(data, at, value, depth)
        case 7 if data[start] in (0xF4, 0xF5, 0xF6):
            return (False, True, None)[data[start] - 0xF4], at
        case _:
            raise Bad("encoding")


def _map(data: bytes, at: int, count: int, depth: int) -> tuple[dict[Any, Any], int]:
    found: dict[Any, Any] = {}
    previous = b""
    if count > len(data) - at:
        raise Bad("encoding")
    for number in range(count):
        start = at
        key, at = _item(data, at, depth + 1)
        encoded = data[start:at]
        if (number and encoded <= previous) or type(key) not in (int, bytes, str):
            raise Bad("encoding")
        previous = encoded
        found[key], at = _item(data, at, depth + 1)
    return found, at


def encode(value: Any) -> bytes:
    """Deterministic CBOR."""
    match value:
        case bool():
            return b"\xf5" if value else b"\xf4"
        case None:
            return b"\xf6"
        case int():
            return _head(0, value) if value >= 0 else _head(1, -1 - value)
        case bytes():
            return _head(2, len(value)) + value
        case str():
            return _head(3, len(value.encode())) + value.encode()
        case list() | tuple():
            return _head(4, len(value)) + b"".join(map(encode, value))
        case dict():
            pairs = sorted((encode(key), encode(item)) for key, item in value.items())
            return _head(5, len(pairs)) + b"".join(key + item for key, item in pairs)
        case _:
            raise TypeError(type(value).__name__)


def _head(major: int, value: int) -> bytes:
    if value < 24:
        return bytes((major << 5 | value,))
    width = next(width for width in (1, 2, 4, 8) if value < 1 << (8 * width))
    return bytes((major << 5 | 24 + width.bit_length() - 1,)) + value.to_bytes(width, "big")


# ---------------------------------------------------------------- CDDL

_TOKEN = re.compile(r'\s*("[^"]*"|=>|\.\.|\.[a-z]+|-?\d+|[A-Za-z][\w-]*|[=/:{}\[\](),?*+])')
Node = tuple[Any, ...]


class Cddl:
    """The subset of RFC 8610 that strongroom.cddl uses."""

    def __init__(self, text: str) -> None:
        bare = "\n".join(line.split(";")[0] for line in text.splitlines())
        self._tokens = _tokens(bare)
        self._at = 0
        self.rules: dict[str, Node] = {}
        while self._at < len(self._tokens):
            name = self._take()
            self._take("=")
            self.rules[name] = self._type()

    def _peek(self, ahead: int = 0) -> str:
        place = self._at + ahead
        return self._tokens[place] if place < len(self._tokens) else ""

    def _take(self, wanted: str = "") -> str:
        token = self._peek()
        if wanted and token != wanted:
            raise ValueError(f"expected {wanted}, found {token}")
        self._at += 1
        return token

    def _type(self) -> Node:
        choices = [self._control()]
        while self._peek() == "/":
            self._take()
            choices.append(self._control())
        return choices[0] if len(choices) == 1 else ("choice", choices)

    def _control(self) -> Node:
        node = self._primary()
        if self._peek() == "..":
            self._take()
            return ("range", node[1], self._primary()[1])
        if self._peek() in (".size", ".cbor"):
            return (self._take()[1:], node, self._primary())
        return node

    def _primary(self) -> Node:
        token = self._take()
        if token == "(":
            node = self._type()
            self._take(")")
            return node
        if token in "{[":
            return ("map" if token == "{" else "array", self._entries("}" if token == "{" else "]"))
        if token[0] == '"':
            return ("is", token[1:-1])
        if token.lstrip("-").isdigit():
            return ("is", int(token))
        return ("rule", token)

    def _entries(self, end: str) -> list[tuple[int, int, Node | None, Node]]:
        """(at least, at most, key or None, type)."""
        entries = []
        while self._peek() != end:
            low, high = self._occurrence()
            node = self._type()
            key = None
            if self._peek() in (":", "=>"):
                key = node if self._take() == "=>" or node[0] == "is" else None
                node = self._type()
            entries.append((low, high, key, node))
            if self._peek() == ",":
                self._take()
        self._take(end)
        return entries

    def _occurrence(self) -> tuple[int, int]:
        many = 2**62
        if self._peek() == "?":
            self._take()
            return 0, 1
        low = 0
        if self._peek().isdigit() and self._peek(1) == "*":
            low = int(self._take())
        if self._peek() != "*":
            return 1, 1
        self._take()
        # A number that a colon follows is a key, not a bound.
        bounded = self._peek().isdigit() and self._peek(1) not in (":", "=>")
        return low, int(self._take()) if bounded else many

    # ------------------------------------------------------------ checking

    def check(self, rule: str, value: Any) -> None:
        """NEWER_FORMAT or SCHEMA is raised when `value` is not of the rule."""
        node = self.rules[rule]
        if node[0] == "map" and isinstance(value, dict) and any(entry[3] == ("rule", "format") for entry in node[1]):
            version = value.get(1)
            if type(version) is int and 1 < version < 2**32:
                raise Bad("newer-format")
        if not self.fits(node, value):
            raise Bad("schema")

    def fits(self, node: Node, value: Any) -> bool:
        """Whether a value is of a type."""
        match node[0]:
            case "choice":
                return any(self.fits(choice, value) for choice in node[1])
            case "is":
                return type(value) is type(node[1]) and value == node[1]
            case "range":
                return type(value) is int and node[1] <= value <= node[2]
            case "size":
                if not self.fits(node[1], value):
                    return False
                length = len(value.encode()) if isinstance(value, str) else len(value)
                return self.fits(node[2], length)
            case "cbor":
                return type(value) is bytes and self.fits(node[2], decode(value))
            case "array":
                return type(value) is list and self._array(node[1], value)
            case "map":
                return type(value) is dict and self._map(node[1], value)
            case _:
                return self._named(node[1], value)

    def _named(self, name: str, value: Any) -> bool:
        kinds: dict[str, type] = {"bstr": bytes, "tstr": str, "bool": bool, "null": type(None), "int": int}
        if name in kinds:
            return type(value) is kinds[name]
        if name == "uint":
            return type(value) is int and value >= 0
        return name == "any" or self.fits(self.rules[name], value)

    def _array(self, entries: list[tuple[int, int, Node | None, Node]], items: list[Any]) -> bool:
        at = 0
        for low, high, _, node in entries:
            count = 0
            while count < high and at < len(items) and self.fits(node, items[at]):
                at += 1
                count += 1
            if count < low:
                return False
        return at == len(items)

    def _map(self, entries: list[tuple[int, int, Node | None, Node]], value: dict[Any, Any]) -> bool:
        left = dict(value)
        for low, _, key, node in entries:
            if key is not None and key[0] == "is":
                if key[1] in left:
                    if not self.fits(node, left.pop(key[1])):
                        return False
                elif low:
                    return False
        wild = [(key, node) for _, _, key, node in entries if key is not None and key[0] != "is"]
        return all(any(self.fits(k, key) and self.fits(n, item) for k, n in wild) for key, item in left.items())


def _tokens(text: str) -> list[str]:
    tokens, at = [], 0
    while text[at:].strip():
        found = _TOKEN.match(text, at)
        if found is None:
            raise ValueError(f"not CDDL: {text[at : at + 40]!r}")
        tokens.append(found.group(1))
        at = found.end()
    return tokens
