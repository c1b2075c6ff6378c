"""Where a file's bytes are: parts, chunks and tables, and the descriptor that names them (spec section 5.6).

A file is padded at its end (marker, zeros to the PADMÉ length) and cut into parts, objects of at most 32 chunks of a
fixed size. No content-defined chunking: its sizes fingerprint known files. A part ends with its *table*, the SHA-256
of every sealed chunk; the descriptor lies in the sealed message and carries the SHA-256 of every sealed table. So what
describes a file stays small, and a chunk fetched alone is checked before it is opened.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from strongroom_protocol.engine.refs import ObjectRef
from strongroom_protocol.errors import Failure, UntrustedDataError
from strongroom_protocol.limits import LIMITS, Limits
from strongroom_protocol.seal.sizes import HEADER_BYTES, TAG_BYTES
from strongroom_protocol.wire import cbor
from strongroom_protocol.wire.padding import padme
from strongroom_protocol.wire.parse import SIZE_MAX, Fields, array, fixed

DIGEST_BYTES = 32


@dataclass(frozen=True, slots=True)
class PartShape:
    """A part of `padded` plaintext bytes in chunks of `chunk` bytes. Offsets and lengths are of sealed bytes."""

    padded: int
    chunk: int

    @property
    def chunks(self) -> int:
        return -(-self.padded // self.chunk)

    def place(self, index: int) -> tuple[int, int]:
        """Offset and length of chunk `index`."""
        length = min(self.chunk, self.padded - index * self.chunk) + TAG_BYTES
        return HEADER_BYTES + index * (self.chunk + TAG_BYTES), length

    @property
    def table(self) -> tuple[int, int]:
        """Offset and length of the table, which is chunk number `chunks` and the last."""
        return HEADER_BYTES + self.padded + self.chunks * TAG_BYTES, self.chunks * DIGEST_BYTES + TAG_BYTES

    @property
    def size(self) -> int:
        return sum(self.table)


@dataclass(frozen=True, slots=True)
class Media:
    """A sealed file: size and SHA-256 of its plaintext, its parts in order, the SHA-256 of each part's sealed table."""

    size: int
    sha256: bytes
    parts: tuple[ObjectRef, ...]
    tables: tuple[bytes, ...]

    @classmethod
    def of(cls, size: int, sha256: bytes, parts: Sequence[tuple[bytes, bytes]], limits: Limits = LIMITS) -> Media:
        """From name and table digest of each part; the parts' sizes follow from the file's."""
        if len(parts) != part_count(size, limits):  # spec: MEDIA-2
            raise UntrustedDataError(Failure.SCHEMA, "parts do not hold the file", subject="media")
        refs = [ObjectRef(name, part_shape(size, number, limits).size) for number, (name, _) in enumerate(parts)]
        return cls(size, sha256, tuple(refs), tuple(table for _, table in parts))

    @property
    def names(self) -> set[bytes]:
        """The objects that a head which carries this file has to add."""
        return {part.name for part in self.parts}

    def to_cbor(self) -> dict[int, Any]:
        pairs = [[part.name, table] for part, table in zip(self.parts, self.tables, strict=True)]
        return {1: 1, 2: self.size, 3: self.sha256, 4: pairs}

    def encode(self) -> bytes:
        """The descriptor, as an attachment carries it."""
        return cbor.encode(self.to_cbor())

    @classmethod
    def parse(cls, value: Any, limits: Limits = LIMITS) -> Media:
        fields = Fields(value, "media")
        fields.format()
        size = fields.uint(2, SIZE_MAX)
        sha256 = fields.fixed(3)
        parts = [_parse_part(part) for part in fields.array(4, minimum=1, maximum=limits.media_parts)]
        fields.done()
        return cls.of(size, sha256, parts, limits)

    @classmethod
    def decode(cls, descriptor: bytes, limits: Limits = LIMITS) -> Media:
        """Raises UntrustedDataError: ENCODING, SCHEMA; UpgradeRequired."""
        return cls.parse(cbor.decode(descriptor, subject="media"), limits)


def padded_size(size: int) -> int:
    """Plaintext bytes of all parts together: the file, the marker, zeros."""
    return padme(size + 1)


def part_bytes(limits: Limits = LIMITS) -> int:
    """Plaintext bytes of a full part."""
    return limits.media_part_chunks * limits.media_chunk_bytes


def part_count(size: int, limits: Limits = LIMITS) -> int:
    """Parts of a file of `size` bytes."""
    return -(-padded_size(size) // part_bytes(limits))


def part_shape(size: int, number: int, limits: Limits = LIMITS) -> PartShape:
    """The shape of part `number` of a file of `size` bytes."""
    full = part_bytes(limits)
    return PartShape(min(full, padded_size(size) - number * full), limits.media_chunk_bytes)


def _parse_part(value: Any) -> tuple[bytes, bytes]:
    pair = array(value, "media", minimum=2, maximum=2)
    return fixed(pair[0], 32, "media"), fixed(pair[1], DIGEST_BYTES, "media")
