"""Media: files in fixed-size chunks that stream in constant memory and can be read from the middle (chapter 05).

A file is padded (marker, zeros to the PADMÉ length), cut into chunks of a fixed size and the chunks into part objects.
No content-defined chunking: its sizes fingerprint known files. The descriptor lies in the sealed message and carries
the SHA-256 of every sealed chunk, so a chunk fetched alone is checked before it is opened.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from strongroom_protocol.errors import Failure, UntrustedDataError
from strongroom_protocol.keys.epochs import EpochKeys
from strongroom_protocol.limits import LIMITS, Limits
from strongroom_protocol.seal.objects import (
    HEADER_BYTES,
    TAG_BYTES,
    ObjectOpener,
    ObjectSealer,
    ObjectType,
    check_digest,
)
from strongroom_protocol.wire.padding import padme
from strongroom_protocol.wire.parse import SIZE_MAX, Fields, array, blob, fixed, uint


@dataclass(frozen=True, slots=True)
class Media:
    """Where a file's bytes are: plaintext size and SHA-256, chunk size, parts (name, sealed size), chunk digests."""

    size: int
    chunk: int
    sha256: bytes
    parts: tuple[tuple[bytes, int], ...]
    digests: bytes

    @property
    def chunks(self) -> int:
        """Number of chunks, the padding included."""
        return -(-padded_size(self.size) // self.chunk)

    def to_cbor(self) -> dict[int, Any]:
        return {
            1: 1, 2: self.size, 3: self.chunk, 4: self.sha256, 5: [list(part) for part in self.parts], 6: self.digests,
        }  # fmt: skip

    @classmethod
    def parse(cls, value: Any, limits: Limits = LIMITS) -> Media:
        fields = Fields(value, "media")
        fields.format()
        size = fields.uint(2, SIZE_MAX)
        chunk = fields.uint(3, limits.media_chunk_bytes, limits.media_chunk_bytes)
        sha256 = fields.fixed(4)
        parts = tuple(_parse_part(part, limits) for part in fields.array(5, minimum=1, maximum=65_536))
        media = cls(size, chunk, sha256, parts, blob(fields.take(6), limits.cbor_bytes, "media"))
        fields.done()
        if len(media.digests) != 32 * media.chunks:  # spec: MEDIA-1
            raise UntrustedDataError(Failure.SCHEMA, "not one digest per chunk", subject="media")
        if len(parts) != -(-media.chunks // part_chunks(limits)):  # spec: MEDIA-2
            raise UntrustedDataError(Failure.SCHEMA, "parts do not hold the chunks", subject="media")
        return media

    def locate(self, index: int, limits: Limits = LIMITS) -> tuple[bytes, int, int, int, bool]:
        """Part name, offset and length of sealed chunk `index` in it, its number in the part, whether it is last."""
        per_part = part_chunks(limits)
        part, number = divmod(index, per_part)
        length = min(self.chunk, padded_size(self.size) - index * self.chunk) + TAG_BYTES
        last = index + 1 == self.chunks or number + 1 == per_part
        return self.parts[part][0], HEADER_BYTES + number * (self.chunk + TAG_BYTES), length, number, last


def part_chunks(limits: Limits = LIMITS) -> int:
    """Chunks in a full part object."""
    return (limits.object_bytes - HEADER_BYTES) // (limits.media_chunk_bytes + TAG_BYTES)


def padded_size(size: int) -> int:
    """Plaintext bytes of all chunks together, marker and zeros included."""
    return padme(size + 1)


@dataclass(slots=True)
class MediaSealer:
    """Seals one file. Feed `sealed()` with the file's bytes in any pieces; `media()` when it has ended."""

    keys: EpochKeys
    writer: bytes
    size: int
    sha256: bytes
    _digests: list[bytes] = field(default_factory=list)
    _parts: list[tuple[bytes, int]] = field(default_factory=list)

    def parts(
        self, pieces: Iterable[bytes], sequences: Iterator[int], randomness: Iterator[bytes], limits: Limits = LIMITS
    ) -> Iterator[Iterator[bytes]]:
        """Part objects, each an iterator over its bytes in order; consume one before taking the next.

        Each part draws a writer sequence and 32 random bytes. Raises InvalidArgument-free: the caller's `size` and
        `sha256` come from a first pass, and a file that changed since is refused with SCHEMA.
        """
        chunks = self._chunks(pieces, limits.media_chunk_bytes)
        total = -(-padded_size(self.size) // limits.media_chunk_bytes)
        per_part = part_chunks(limits)
        for start in range(0, total, per_part):
            count = min(per_part, total - start)
            digest = hashlib.sha256(self.sha256 + start.to_bytes(8, "big")).digest()
            sealer = ObjectSealer(
                self.keys, ObjectType.MEDIA, writer=self.writer, sequence=next(sequences),
                randomness=next(randomness), digest=digest,
            )  # fmt: skip
            yield self._part(sealer, chunks, count)

    def media(self, limits: Limits = LIMITS) -> Media:
        """The descriptor of what was sealed."""
        return Media(self.size, limits.media_chunk_bytes, self.sha256, tuple(self._parts), b"".join(self._digests))

    def _part(self, sealer: ObjectSealer, chunks: Iterator[bytes], count: int) -> Iterator[bytes]:
        name = hashlib.sha256(sealer.header)
        size = len(sealer.header)
        yield sealer.header
        for number in range(count):
            sealed = sealer.chunk(next(chunks), last=number + 1 == count)
            self._digests.append(hashlib.sha256(sealed).digest())
            name.update(sealed)
            size += len(sealed)
            yield sealed
        self._parts.append((name.digest(), size))

    def _chunks(self, pieces: Iterable[bytes], chunk: int) -> Iterator[bytes]:
        buffer = bytearray()
        seen = hashlib.sha256()
        length = 0
        for piece in pieces:
            length += len(piece)
            if length > self.size:
                break  # it grew: refused below, before its last chunk is made
            buffer += piece
            seen.update(piece)
            while len(buffer) > chunk:
                yield bytes(buffer[:chunk])
                del buffer[:chunk]
        if (length, seen.digest()) != (self.size, self.sha256):  # spec: MEDIA-3
            raise UntrustedDataError(Failure.SCHEMA, "the file changed while it was read", subject="media")
        buffer += b"\x80"
        zeros = padded_size(self.size) - self.size - 1
        while buffer or zeros:
            more = max(0, min(zeros, chunk - len(buffer)))
            buffer += bytes(more)
            zeros -= more
            yield bytes(buffer[:chunk])
            del buffer[:chunk]


def open_chunk(
    media: Media, index: int, opener: ObjectOpener, sealed: bytes, *, subject: str, limits: Limits = LIMITS
) -> bytes:
    """The file's bytes in chunk `index`, its range digest checked before it is opened."""
    check_digest(media.digests[32 * index : 32 * index + 32], sealed, subject)
    _, _, _, number, last = media.locate(index, limits)
    plaintext = opener.chunk(sealed, number, last=last)
    return plaintext[: max(0, media.size - index * media.chunk)]


def _parse_part(value: Any, limits: Limits) -> tuple[bytes, int]:
    pair = array(value, "media", minimum=2, maximum=2)
    return fixed(pair[0], 32, "media"), uint(pair[1], limits.object_bytes, "media", HEADER_BYTES)
