"""The public part of slots: KDF parameters, unlock keys, wraps (spec chapter 04). Nothing here derives or opens."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from enum import IntEnum
from typing import Any

from strongroom_protocol.errors import Failure, UntrustedDataError
from strongroom_protocol.limits import LIMITS, Limits
from strongroom_protocol.manifest.account import require_account
from strongroom_protocol.manifest.keyring import KEM_KEY_BYTES, WRAP_MAX, WRAP_MIN
from strongroom_protocol.wire import cbor
from strongroom_protocol.wire.parse import SMALL_MAX, Fields

SLOT_SET_BYTES = 64 * 1024
SLOTS = 16


class SlotKind(IntEnum):
    PASSPHRASE = 1
    RECOVERY = 2
    BOTH = 3


@dataclass(frozen=True, slots=True)
class Kdf:
    """Argon2id parameters: memory in KiB, passes, lanes."""

    memory_kib: int
    passes: int
    lanes: int

    @classmethod
    def preset(cls) -> Kdf:
        """The one preset: 256 MiB, 3 passes, 4 lanes."""
        return cls(LIMITS.kdf_memory_kib_min, LIMITS.kdf_passes_min, LIMITS.kdf_lanes)

    def require(self, limits: Limits = LIMITS) -> None:
        """Refuse parameters below the floor or above the ceiling, before anything is computed (KDF)."""
        if not limits.kdf_memory_kib_min <= self.memory_kib <= limits.kdf_memory_kib_max:  # spec: KDF-1
            raise UntrustedDataError(Failure.KDF, "memory outside the allowed range", subject="kdf")
        if not limits.kdf_passes_min <= self.passes <= limits.kdf_passes_max:  # spec: KDF-2
            raise UntrustedDataError(Failure.KDF, "passes outside the allowed range", subject="kdf")
        if self.lanes != limits.kdf_lanes:  # spec: KDF-3
            raise UntrustedDataError(Failure.KDF, "another number of lanes", subject="kdf")

    def to_cbor(self) -> dict[int, int]:
        return {1: self.memory_kib, 2: self.passes, 3: self.lanes}

    @classmethod
    def parse(cls, value: Any) -> Kdf:
        """Parameters within the limits; others are refused here already."""
        fields = Fields(value, "kdf")
        kdf = cls(fields.uint(1, SMALL_MAX), fields.uint(2, SMALL_MAX), fields.uint(3, SMALL_MAX))
        fields.done()
        kdf.require()
        return kdf


@dataclass(frozen=True, slots=True)
class Slot:
    """Kind, the key that signs an unlock, the key the root record is sealed to, the sealed root record, and a tag by
    which whoever knows the slot's secret recognises the account it was made for."""

    kind: SlotKind
    unlock_key: bytes
    kem_key: bytes
    wrap: bytes
    tag: bytes

    def to_cbor(self) -> dict[int, Any]:
        return {1: int(self.kind), 2: self.unlock_key, 3: self.kem_key, 4: self.wrap, 5: self.tag}

    @classmethod
    def parse(cls, value: Any) -> Slot:
        fields = Fields(value, "slot")
        slot = cls(
            SlotKind(fields.uint(1, 3, 1)),
            fields.fixed(2),
            fields.fixed(3, KEM_KEY_BYTES),
            fields.blob(4, WRAP_MAX, WRAP_MIN),
            fields.fixed(5),
        )
        fields.done()
        return slot


@dataclass(frozen=True, slots=True)
class SlotSet:
    """All slots of an account, given out after an unlock; the keyring commits to it by its blinded hash."""

    account: bytes
    version: int
    salt: bytes
    kdf: Kdf
    blind: bytes
    slots: tuple[Slot, ...]

    def encode(self) -> bytes:
        return cbor.encode(
            {
                1: 1,
                2: self.account,
                3: self.version,
                4: self.salt,
                5: self.kdf.to_cbor(),
                6: self.blind,
                7: [slot.to_cbor() for slot in self.slots],
            }
        )

    def hash(self) -> bytes:
        """SHA-256(label || encoded set); blinded by the random field 6, so it tells nothing of the slots."""
        return slot_set_hash(self.encode())

    @classmethod
    def parse(cls, data: bytes, *, account: bytes, limits: Limits = LIMITS) -> SlotSet:
        if len(data) > SLOT_SET_BYTES:  # spec: SLOT-1
            raise UntrustedDataError(Failure.LIMIT, "slot set is longer than the limit", subject="slots")
        fields = Fields(cbor.decode(data, limits=limits, subject="slots"), "slots")
        fields.format()
        slots = cls(
            fields.fixed(2),
            fields.version(3),
            fields.fixed(4),
            Kdf.parse(fields.take(5)),
            fields.fixed(6),
            tuple(map(Slot.parse, fields.array(7, minimum=1, maximum=SLOTS))),
        )
        fields.done()
        require_account(slots.account, account, "slots")
        if len({slot.unlock_key for slot in slots.slots}) != len(slots.slots):  # spec: SLOT-2
            raise UntrustedDataError(Failure.SLOTS, "two slots with one unlock key", subject="slots")
        return slots


def slot_set_hash(data: bytes) -> bytes:
    """The hash by which a keyring names a slot set's bytes."""
    return hashlib.sha256(b"strongroom/v1/slot-set" + data).digest()
