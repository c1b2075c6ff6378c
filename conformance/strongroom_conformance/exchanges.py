"""What the hostile server sees of a request and what it answers: the honest answer, changed, and how it is sent."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

_ACCOUNT = re.compile(r"^/v1/accounts/([0-9a-f]{64})/")
_KEY = re.compile(r'keyid="([0-9a-f]{64})"')


class Manner(Enum):
    """How an answer goes out."""

    WHOLE = "whole"
    STALL = "stall"  # nothing at all, until the client gives up
    DRIP = "drip"  # a byte a second
    ENDLESS = "endless"  # the body again and again
    CUT = "cut"  # less than the declared length, then the end
    RAW = "raw"  # the body is everything: status line, headers and all


@dataclass(frozen=True, slots=True)
class Answer:
    """Status, headers and body; and how they are sent."""

    status: int
    body: bytes = b""
    headers: tuple[tuple[str, str], ...] = (("Content-Type", "application/cbor"),)
    manner: Manner = Manner.WHOLE


@dataclass(frozen=True, slots=True)
class Asked:
    """A request. `shape` has no ids in it: "GET head", "POST objects/read", "PUT objects"."""

    method: str
    path: str
    query: str
    body: bytes
    key: str = ""

    @property
    def shape(self) -> str:
        return f"{self.method} {shape(self.path)}"

    @property
    def account(self) -> bytes:
        """The account of the path; none for paths that are no account's."""
        found = _ACCOUNT.match(self.path)
        return bytes.fromhex(found.group(1)) if found else b""

    @property
    def name(self) -> str:
        """The object that the path names, in hexadecimal, if it is one."""
        head, _, last = self.path.rpartition("/")
        return last if head.endswith("/objects") and len(last) == 64 else ""


@dataclass(slots=True)
class Entry:
    """One line of the request log: what a relay sees, as sizes and shapes."""

    shape: str
    query: str
    sent: int
    key: str
    status: int = 0
    answered: int = 0
    rule: str = ""
    seconds: float = 0.0

    def to_json(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in self.__slots__}


@dataclass(slots=True)
class Log:
    """Requests in order. One that is still under way is in it already, with status 0."""

    entries: list[Entry] = field(default_factory=list)

    def add(self, asked: Asked) -> Entry:
        entry = Entry(asked.shape, asked.query, len(asked.body), asked.key[:8])
        self.entries.append(entry)
        return entry


def shape(path: str) -> str:
    """A path without account, object names and numbers: what kind of request it is."""
    rest = _ACCOUNT.sub("/v1/", path)
    rest = re.sub(r"/objects/[0-9a-f]{64}$", "/objects", rest)
    rest = re.sub(r"/heads/[0-9]+$", "/heads", rest)
    rest = re.sub(r"/links/[0-9]+/[0-9]+$", "/links/slot", rest)
    return rest.removeprefix("/v1/").removeprefix("/") or "/"


def key_of(signature_input: str) -> str:
    """The signing key that a request names, in hexadecimal; nothing for unsigned requests."""
    found = _KEY.search(signature_input)
    return found.group(1) if found else ""
