"""The hot page of the directory: the most recent conversations, and where every other one is found (spec chapter 08).

The conversations that are not on it lie on cold pages, objects of their own; the map says in six bytes a conversation
which page has its row, so a chat that is not recent costs one more read and never a search through the runs.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from strongroom_protocol.engine.directory import DirectoryRow, rows_from_cbor, rows_to_cbor
from strongroom_protocol.engine.refs import ObjectRef, small
from strongroom_protocol.errors import Failure, UntrustedDataError
from strongroom_protocol.limits import LIMITS, Limits
from strongroom_protocol.wire import cbor
from strongroom_protocol.wire.parse import Fields, array, blob

HOT_ROWS = 256
COLD_PAGES = 4096
PREFIX_BYTES = 4
PLACE_BYTES = PREFIX_BYTES + 2


@dataclass(frozen=True, slots=True)
class ColdPage:
    """A page of the cold log: its object, and the rows on it, those included that no longer count."""

    ref: ObjectRef
    rows: int


@dataclass(frozen=True, slots=True)
class HotPage:
    """Rows of the most recent conversations, newest first; the cold pages; the map of all other conversations.

    `places`: for each of them the first 4 bytes of its key and the number of its page (16 bits), in rising order.
    """

    rows: tuple[DirectoryRow, ...] = ()
    cold: tuple[ColdPage, ...] = ()
    places: tuple[bytes, ...] = ()

    def encode(self) -> bytes:
        segments, rows = rows_to_cbor(self.rows)
        cold = [[page.ref.to_cbor(), page.rows] for page in self.cold]
        return cbor.encode({1: 1, 2: segments, 3: rows, 4: cold, 5: b"".join(self.places)})

    @classmethod
    def parse(cls, content: bytes, limits: Limits = LIMITS) -> HotPage:
        fields = Fields(cbor.decode(content, limits=limits, subject="directory"), "directory")
        fields.format()
        rows = rows_from_cbor(fields, limits)
        parts = [array(page, "directory", minimum=2, maximum=2) for page in fields.array(4, maximum=COLD_PAGES)]
        cold = tuple(ColdPage(ObjectRef.parse(ref, "directory"), small(count, "directory")) for ref, count in parts)
        places = _places(fields.take(5), len(cold), limits)
        fields.done()
        return cls(rows, cold, places)

    def pages_of(self, key: bytes) -> tuple[int, ...]:
        """The numbers of the cold pages that can have the row of `key`, in rising order; more than one is rare."""
        prefix = key[:PREFIX_BYTES]
        at = bisect_left(self.places, prefix)
        found = []
        while at < len(self.places) and self.places[at].startswith(prefix):
            found.append(int.from_bytes(self.places[at][PREFIX_BYTES:], "big"))
            at += 1
        return tuple(found)


def places(found: Iterable[tuple[bytes, int]]) -> tuple[bytes, ...]:
    """The map of (key, page number); two keys of one prefix on one page are one entry."""
    return tuple(sorted({key[:PREFIX_BYTES] + number.to_bytes(2, "big") for key, number in found}))


def _places(value: Any, pages: int, limits: Limits) -> tuple[bytes, ...]:
    data = blob(value, limits.cbor_bytes, "directory")
    if len(data) % PLACE_BYTES:  # spec: ENG-11
        raise UntrustedDataError(Failure.SCHEMA, "map of another length", subject="directory")
    found = tuple(data[at : at + PLACE_BYTES] for at in range(0, len(data), PLACE_BYTES))
    if any(one >= two for one, two in pairwise(found)):  # spec: ENG-12
        raise UntrustedDataError(Failure.SCHEMA, "map is not in order", subject="directory")
    if any(int.from_bytes(place[PREFIX_BYTES:], "big") >= pages for place in found):  # spec: ENG-13
        raise UntrustedDataError(Failure.SCHEMA, "map names a page that is not listed", subject="directory")
    return found
