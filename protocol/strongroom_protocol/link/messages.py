"""The five messages of an exchange, and what is sealed in the last two (spec chapter 15, CDDL `link-…`)."""

from __future__ import annotations

from dataclasses import dataclass

from strongroom_protocol.errors import Failure, UntrustedDataError
from strongroom_protocol.keys.names import is_normal
from strongroom_protocol.limits import LIMITS, Limits
from strongroom_protocol.manifest.keyring import KEM_KEY_BYTES, device_id
from strongroom_protocol.wire import cbor
from strongroom_protocol.wire.parse import Fields, blob, fixed, text

WRAP_BYTES = 1168
"""HPKE enc (1,120), 32 bytes of plaintext, tag."""

NAME_BYTES = 128
ANCHOR_BYTES = 512
SUBJECT = "link"


@dataclass(frozen=True, slots=True)
class Offer:
    """Old to new: a share for each of the two secrets, and a KEM key made for this exchange."""

    short: bytes
    long: bytes
    kem_key: bytes

    def encode(self) -> bytes:
        return cbor.encode({1: 1, 2: self.short, 3: self.long, 4: self.kem_key})

    @classmethod
    def parse(cls, data: bytes, limits: Limits = LIMITS) -> Offer:
        fields = _fields(data, limits)
        found = cls(fields.fixed(2), fields.fixed(3), fields.fixed(4, KEM_KEY_BYTES))
        fields.done()
        return found


@dataclass(frozen=True, slots=True)
class Answer:
    """New to old: which secret it has, its share, a secret wrapped to the offer's KEM key, its confirmation."""

    kind: int
    share: bytes
    wrap: bytes
    confirmation: bytes

    def encode(self) -> bytes:
        return cbor.encode({1: 1, 2: self.kind, 3: self.share, 4: self.wrap, 5: self.confirmation})

    @classmethod
    def parse(cls, data: bytes, limits: Limits = LIMITS) -> Answer:
        fields = _fields(data, limits)
        found = cls(fields.uint(2, 2, 1), fields.fixed(3), fields.fixed(4, WRAP_BYTES), fields.fixed(5))
        fields.done()
        return found


@dataclass(frozen=True, slots=True)
class Verdict:
    """Old to new: its confirmation, or None when the answer was made with another secret."""

    confirmation: bytes | None

    def encode(self) -> bytes:
        return cbor.encode({1: 1, 2: self.confirmation})

    @classmethod
    def parse(cls, data: bytes, limits: Limits = LIMITS) -> Verdict:
        fields = _fields(data, limits)
        found = cls(fields.optional(2, lambda value: fixed(value, 32, SUBJECT)))
        fields.done()
        return found


REFUSED = Verdict(None).encode()


@dataclass(frozen=True, slots=True)
class Newcomer:
    """New to old, sealed: the new device's public keys, and what it is to be called."""

    sign_key: bytes
    kem_key: bytes
    name: str

    @property
    def id(self) -> bytes:
        return device_id(self.sign_key, self.kem_key)

    @property
    def fingerprint(self) -> str:
        """What both devices show of the new one's keys: the 16 bytes of its device id in groups of four digits."""
        digits = self.id.hex()
        return " ".join(digits[at : at + 4] for at in range(0, len(digits), 4))

    def encode(self) -> bytes:
        return cbor.encode({1: 1, 2: self.sign_key, 3: self.kem_key, 4: self.name})

    @classmethod
    def parse(cls, data: bytes, limits: Limits = LIMITS) -> Newcomer:
        fields = _fields(data, limits)
        found = cls(fields.fixed(2), fields.fixed(3, KEM_KEY_BYTES), fields.text(4, NAME_BYTES))
        fields.done()
        return found


@dataclass(frozen=True, slots=True)
class Welcome:
    """Old to new, sealed: the account's name and the encoded anchor of the state that lists the new device."""

    name: str
    anchor: bytes

    def encode(self) -> bytes:
        return cbor.encode({1: 1, 2: self.name, 3: self.anchor})


DECLINED = cbor.encode({1: 1, 2: None, 3: None})
"""In the place of a welcome when the person said no."""


def parse_welcome(data: bytes, limits: Limits = LIMITS) -> Welcome | None:
    """None when the person at the old device said no."""
    fields = _fields(data, limits)
    name = fields.optional(2, lambda value: text(value, limits.account_name_bytes, SUBJECT, 1))
    anchor = fields.optional(3, lambda value: blob(value, ANCHOR_BYTES, SUBJECT, 1))
    fields.done()
    if (name is None) is not (anchor is None):
        raise UntrustedDataError(Failure.SCHEMA, "half a welcome", subject=SUBJECT)
    if name is None or anchor is None:
        return None
    if not is_normal(name):  # spec: LINK-31
        raise UntrustedDataError(Failure.SCHEMA, "an account name that is not in its normal form", subject=SUBJECT)
    return Welcome(name, anchor)


def _fields(data: bytes, limits: Limits) -> Fields:
    if len(data) > limits.link_message_bytes:  # spec: LINK-6
        raise UntrustedDataError(Failure.LIMIT, "longer than the limit", subject=SUBJECT)
    fields = Fields(cbor.decode(data, limits=limits, subject=SUBJECT), SUBJECT)
    fields.format()
    return fields
