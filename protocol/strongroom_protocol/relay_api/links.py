"""Bodies of the relay's mailboxes, in which two devices link (spec chapter 12.10)."""

from __future__ import annotations

from dataclasses import dataclass

from strongroom_protocol.limits import LIMITS
from strongroom_protocol.wire import cbor
from strongroom_protocol.wire.parse import Fields

NUMBERS = 1_000_000
"""Mailboxes are numbered below this: six digits."""

SLOTS_A_RUN = 5
SLOTS = SLOTS_A_RUN * LIMITS.link_tries
"""Messages that a mailbox has room for."""

ID_BYTES = 16


@dataclass(frozen=True, slots=True)
class LinkRequest:
    """Asks for a mailbox. The id is random; the same one again gives the same mailbox."""

    id: bytes

    def encode(self) -> bytes:
        return cbor.encode({1: self.id})

    @classmethod
    def parse(cls, data: bytes) -> LinkRequest:
        fields = Fields(cbor.decode(data, subject="link"), "link")
        found = cls(fields.fixed(1, ID_BYTES))
        fields.done()
        return found


@dataclass(frozen=True, slots=True)
class LinkResponse:
    """The mailbox's number, and how long it is there (ms from now)."""

    number: int
    lasts: int

    def encode(self) -> bytes:
        return cbor.encode({1: self.number, 2: self.lasts})

    @classmethod
    def parse(cls, data: bytes) -> LinkResponse:
        fields = Fields(cbor.decode(data, subject="link"), "link")
        found = cls(fields.uint(1, NUMBERS - 1), fields.uint(2, LIMITS.link_ms))
        fields.done()
        return found
