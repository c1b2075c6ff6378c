"""Bodies of the relay API as types, both ways (spec chapter 12, CDDL section "relay API bodies")."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from strongroom_protocol.limits import LIMITS, Limits
from strongroom_protocol.manifest.account import GenesisCore
from strongroom_protocol.manifest.head import Delta
from strongroom_protocol.manifest.slots import SLOT_SET_BYTES, Kdf
from strongroom_protocol.wire import cbor
from strongroom_protocol.wire.parse import SIZE_MAX, SMALL_MAX, Fields, array, blob, fixed, uint

NAME_BYTES = 128
ORIGIN_BYTES = 256
T = TypeVar("T")
Range = tuple[bytes, int, int]
"""Object name, offset, length in bytes; length 0 reads to the end."""


@dataclass(frozen=True, slots=True)
class RelayInfo:
    """The relay's receipt key, its time (ms) and its origin."""

    receipt_key: bytes
    time: int
    origin: str

    def encode(self) -> bytes:
        return cbor.encode({1: self.receipt_key, 2: self.time, 3: self.origin})

    @classmethod
    def parse(cls, data: bytes) -> RelayInfo:
        fields = Fields(cbor.decode(data, subject="relay info"), "relay info")
        found = cls(fields.fixed(1), fields.time(2), fields.text(3, ORIGIN_BYTES, 1))
        fields.done()
        return found


@dataclass(frozen=True, slots=True)
class LoginResponse:
    """What anybody gets for any name: challenge, login salt, KDF parameters, relay time (ms), receipt key."""

    challenge: bytes
    salt: bytes
    kdf: Kdf
    time: int
    receipt_key: bytes

    def encode(self) -> bytes:
        return cbor.encode({1: self.challenge, 2: self.salt, 3: self.kdf.to_cbor(), 4: self.time, 5: self.receipt_key})

    @classmethod
    def parse(cls, data: bytes) -> LoginResponse:
        fields = Fields(cbor.decode(data, subject="login"), "login")
        found = cls(
            fields.blob(1, 128, 16), fields.fixed(2), Kdf.parse(fields.take(3)), fields.time(4), fields.fixed(5)
        )
        fields.done()
        return found


@dataclass(frozen=True, slots=True)
class UnlockStatement:
    """What an unlock key signs: challenge, relay origin, account name, time (ms), key to admit for reading."""

    challenge: bytes
    origin: str
    name: str
    time: int
    guest: bytes

    def encode(self) -> bytes:
        return cbor.encode({1: self.challenge, 2: self.origin, 3: self.name, 4: "open", 5: self.time, 6: self.guest})

    @classmethod
    def parse(cls, data: bytes) -> UnlockStatement:
        fields = Fields(cbor.decode(data, subject="unlock"), "unlock")
        challenge, origin, name = (
            fields.blob(1, 128, 16),
            fields.text(2, ORIGIN_BYTES, 1),
            fields.text(3, NAME_BYTES, 1),
        )
        if fields.take(4) != "open":  # spec: API-1
            raise fields.wrong("another action")
        found = cls(challenge, origin, name, fields.time(5), fields.fixed(6))
        fields.done()
        return found


@dataclass(frozen=True, slots=True)
class UnlockRequest:
    """Account name and the signed statement."""

    name: str
    statement: bytes

    def encode(self) -> bytes:
        return cbor.encode({1: self.name, 2: self.statement})

    @classmethod
    def parse(cls, data: bytes) -> UnlockRequest:
        fields = Fields(cbor.decode(data, subject="unlock"), "unlock")
        found = cls(fields.text(1, NAME_BYTES, 1), fields.blob(2, 2048))
        fields.done()
        return found


@dataclass(frozen=True, slots=True)
class UnlockResponse:
    """Account id, slot set bytes, time (ms) until which the guest key may read."""

    account: bytes
    slots: bytes
    until: int

    def encode(self) -> bytes:
        return cbor.encode({1: self.account, 2: self.slots, 3: self.until})

    @classmethod
    def parse(cls, data: bytes) -> UnlockResponse:
        fields = Fields(cbor.decode(data, subject="unlock"), "unlock")
        found = cls(fields.fixed(1), fields.blob(2, SLOT_SET_BYTES), fields.time(3))
        fields.done()
        return found


@dataclass(frozen=True, slots=True)
class RegisterRequest:
    """Everything that makes an account, in one request."""

    name: str
    core: GenesisCore
    slots: bytes
    keyring: bytes
    head: bytes
    objects: tuple[bytes, ...]
    token: str
    delta: Delta

    def encode(self) -> bytes:
        return cbor.encode(
            {
                1: self.name,
                2: self.core.to_cbor(),
                3: self.slots,
                4: self.keyring,
                5: self.head,
                6: list(self.objects),
                7: self.token,
                8: self.delta.to_cbor(),
            }
        )

    @classmethod
    def parse(cls, data: bytes, limits: Limits = LIMITS) -> RegisterRequest:
        fields = Fields(cbor.decode(data, limits=limits, subject="register"), "register")
        found = cls(
            fields.text(1, NAME_BYTES, 1),
            GenesisCore.parse(fields.take(2)),
            fields.blob(3, SLOT_SET_BYTES),
            fields.blob(4, limits.keyring_bytes),
            fields.blob(5, limits.head_bytes),
            tuple(blob(item, limits.inline_bytes, "register") for item in fields.array(6, maximum=16)),
            fields.text(7, NAME_BYTES),
            Delta.parse(fields.take(8), limits),
        )
        fields.done()
        return found


@dataclass(frozen=True, slots=True)
class HeadResponse:
    """Head and receipt; log peaks; consistency proof from ?since; body object when small; inclusion path of the cut."""

    head: bytes
    receipt: bytes
    peaks: tuple[bytes, ...] = ()
    consistency: tuple[bytes, ...] = ()
    body: bytes | None = None
    cut_path: tuple[bytes, ...] = ()

    def encode(self) -> bytes:
        return cbor.encode(
            {
                1: self.head,
                2: self.receipt,
                3: list(self.peaks),
                4: list(self.consistency),
                5: self.body,
                6: list(self.cut_path),
            }
        )

    @classmethod
    def parse(cls, data: bytes, limits: Limits = LIMITS) -> HeadResponse:
        fields = Fields(cbor.decode(data, limits=limits, subject="head"), "head")
        found = cls(
            fields.blob(1, limits.head_bytes),
            fields.blob(2, limits.receipt_bytes),
            _hashes(fields.take(3), 64),
            _hashes(fields.take(4), 64),
            fields.optional(5, lambda value: blob(value, limits.body_bytes * 2, "head")),
            _hashes(fields.take(6), 64),
        )
        fields.done()
        return found


@dataclass(frozen=True, slots=True)
class CommitRequest:
    """A head, its delta, small objects carried along, and a keyring and slot set when those advance with it."""

    head: bytes
    delta: Delta
    objects: tuple[bytes, ...] = ()
    keyring: bytes | None = None
    slots: bytes | None = None

    def encode(self) -> bytes:
        return cbor.encode(
            {1: self.head, 2: self.delta.to_cbor(), 3: list(self.objects), 4: self.keyring, 5: self.slots}
        )

    @classmethod
    def parse(cls, data: bytes, limits: Limits = LIMITS) -> CommitRequest:
        fields = Fields(cbor.decode(data, limits=limits, subject="commit"), "commit")
        found = cls(
            fields.blob(1, limits.head_bytes),
            Delta.parse(fields.take(2), limits),
            tuple(blob(item, limits.inline_bytes, "commit") for item in fields.array(3, maximum=65_536)),
            fields.optional(4, lambda value: blob(value, limits.keyring_bytes, "commit")),
            fields.optional(5, lambda value: blob(value, SLOT_SET_BYTES, "commit")),
        )
        fields.done()
        return found


@dataclass(frozen=True, slots=True)
class CommitResponse:
    """Receipts for the head and, when one came with it, the keyring."""

    head_receipt: bytes
    keyring_receipt: bytes | None = None

    def encode(self) -> bytes:
        return cbor.encode({1: self.head_receipt, 2: self.keyring_receipt})

    @classmethod
    def parse(cls, data: bytes, limits: Limits = LIMITS) -> CommitResponse:
        fields = Fields(cbor.decode(data, limits=limits, subject="commit"), "commit")
        found = cls(
            fields.blob(1, limits.receipt_bytes),
            fields.optional(2, lambda value: blob(value, limits.receipt_bytes, "commit")),
        )
        fields.done()
        return found


@dataclass(frozen=True, slots=True)
class Usage:
    """Bytes kept, byte cap, number of objects."""

    stored: int
    cap: int
    objects: int

    def encode(self) -> bytes:
        return cbor.encode({1: self.stored, 2: self.cap, 3: self.objects})

    @classmethod
    def parse(cls, data: bytes) -> Usage:
        fields = Fields(cbor.decode(data, subject="usage"), "usage")
        found = cls(fields.uint(1, SIZE_MAX), fields.uint(2, SIZE_MAX), fields.uint(3, SMALL_MAX))
        fields.done()
        return found


def encode_login(name: str) -> bytes:
    return cbor.encode({1: name})


def parse_login(data: bytes) -> str:
    fields = Fields(cbor.decode(data, subject="login"), "login")
    name = fields.text(1, NAME_BYTES, 1)
    fields.done()
    return name


def encode_keyrings(pairs: Sequence[tuple[bytes, bytes]]) -> bytes:
    return cbor.encode([list(pair) for pair in pairs])


def parse_keyrings(data: bytes, limits: Limits = LIMITS) -> list[tuple[bytes, bytes]]:
    def pair(value: Any) -> tuple[bytes, bytes]:
        keyring, receipt = array(value, "keyrings", minimum=2, maximum=2)
        return blob(keyring, limits.keyring_bytes, "keyrings"), blob(receipt, limits.receipt_bytes, "keyrings")

    return _items(data, pair, 65_536, limits)


def encode_names(names: Sequence[bytes]) -> bytes:
    return cbor.encode(list(names))


def parse_names(data: bytes, limits: Limits = LIMITS) -> list[bytes]:
    return _items(data, lambda value: fixed(value, 32, "names"), limits.delta_names, limits)


def encode_ranges(ranges: Sequence[Range]) -> bytes:
    return cbor.encode([list(item) for item in ranges])


def parse_ranges(data: bytes, limits: Limits = LIMITS) -> list[Range]:
    def one(value: Any) -> Range:
        name, offset, length = array(value, "ranges", minimum=3, maximum=3)
        return fixed(name, 32, "ranges"), uint(offset, SIZE_MAX, "ranges"), uint(length, SIZE_MAX, "ranges")

    return _items(data, one, limits.read_items, limits)


def encode_pieces(pieces: Sequence[bytes | None]) -> bytes:
    return cbor.encode(list(pieces))


def pieces_head(count: int) -> bytes:
    """The encoding of an answer up to its first piece, for relays that send it as they read it."""
    return _head(4, count)


def piece_head(length: int | None) -> bytes:
    """The encoding of one piece up to its bytes; of an absent one, all of it."""
    return b"\xf6" if length is None else _head(2, length)


def _head(major: int, value: int) -> bytes:
    # RFC 8949 section 3: the major type and the shortest form of its argument.
    if value < 24:
        return bytes([major << 5 | value])
    width = next(width for width in range(4) if value < 1 << (8 << width))
    return bytes([major << 5 | 24 + width]) + value.to_bytes(1 << width, "big")


def parse_pieces(data: bytes, limits: Limits = LIMITS) -> list[bytes | None]:
    def one(value: Any) -> bytes | None:
        return None if value is None else blob(value, limits.object_bytes, "read")

    return _items(data, one, limits.read_items, limits)


def _items(data: bytes, parse: Callable[[Any], T], maximum: int, limits: Limits) -> list[T]:
    return [parse(item) for item in array(cbor.decode(data, limits=limits, subject="body"), "body", maximum=maximum)]


def _hashes(value: Any, maximum: int) -> tuple[bytes, ...]:
    return tuple(fixed(item, 32, "head") for item in array(value, "head", maximum=maximum))
