"""Sealing a file part by part in one pass, and opening chunks of a part (spec section 5.6).

`MediaSealer` takes the file once, in any pieces, and needs to know neither its size nor its hash before; a part that it
gives out is sealed by `PartToSeal.seal`, in any thread and in any order.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from strongroom_protocol.errors import Failure, InvalidArgument, UntrustedDataError
from strongroom_protocol.keys.epochs import EpochKeys
from strongroom_protocol.limits import LIMITS, Limits
from strongroom_protocol.seal.media import DIGEST_BYTES, Media, PartShape, padded_size, part_bytes, part_shape
from strongroom_protocol.seal.objects import (
    HEADER_BYTES,
    TAG_BYTES,
    ObjectOpener,
    ObjectSealer,
    ObjectType,
    check_digest,
)

ACCOUNT_SCOPE = bytes(16)
"""The scope that finds equal files in all conversations of an account. Any other scope is a conversation's key."""


@dataclass(frozen=True, slots=True)
class SealedPart:
    """A part object: its name, its bytes, the SHA-256 of its sealed table."""

    name: bytes
    data: bytes
    table: bytes


@dataclass(frozen=True, slots=True)
class PartToSeal:
    """Plaintext of one part: `content`, then zeros to the shape's length."""

    keys: EpochKeys
    salt: bytes
    content: bytes
    shape: PartShape

    def seal(self) -> SealedPart:
        """The part object. Two calls give the same bytes."""
        data = bytearray(self.shape.size)
        name, table = self.seal_into(data)
        return SealedPart(name, bytes(data), table)

    def seal_into(self, buffer: bytearray) -> tuple[bytes, bytes]:
        """The same, written to the beginning of `buffer`; returns the name and the SHA-256 of the sealed table."""
        sealer = ObjectSealer.of_media(self.keys, self.salt)
        name, digests = hashlib.sha256(sealer.header), bytearray()
        shape, data, content = self.shape, memoryview(buffer), memoryview(self.content)
        data[:HEADER_BYTES] = sealer.header
        for index in range(shape.chunks):
            offset, length = shape.place(index)
            plaintext = content[index * shape.chunk : (index + 1) * shape.chunk]
            zeros = length - TAG_BYTES - len(plaintext)
            sealed = data[offset : offset + length]
            sealer.chunk_into(bytes(plaintext) + bytes(zeros) if zeros else plaintext, sealed, last=False)
            digests += hashlib.sha256(sealed).digest()
            name.update(sealed)
        table = sealer.chunk(bytes(digests), last=True)
        data[shape.table[0] : shape.size] = table
        name.update(table)
        return name.digest(), hashlib.sha256(table).digest()


class MediaSealer:
    """One file on its way into an epoch. `scope` is the 16-byte key of its conversation, or ACCOUNT_SCOPE."""

    def __init__(self, keys: EpochKeys, scope: bytes, limits: Limits = LIMITS) -> None:
        self._keys = keys
        self._scope = scope
        self._dedup = keys.dedup_key()
        self._limits = limits
        self._full = part_bytes(limits)
        self._hash = hashlib.sha256()
        self._size = 0
        self._held = bytearray()
        self._count = 0

    @property
    def wanted(self) -> int:
        """Bytes that complete the next part; a piece of just that length is not copied."""
        return self._full - len(self._held)

    def take(self, piece: bytes) -> list[PartToSeal]:
        """Go on with the file; returns the parts that are complete now. However a file is cut, its parts are the same.

        Raises InvalidArgument for a file that is too large.
        """
        found, start = [], 0
        while len(piece) - start >= self.wanted:
            stop = start + self.wanted
            content = piece if stop - start == len(piece) == self._full else bytes(self._held) + piece[start:stop]
            found.append(self._full_part(content))
            self._held.clear()
            start = stop
        self._held += memoryview(piece)[start:]
        return found

    def end(self) -> list[PartToSeal]:
        """The file has ended; returns the parts that are left, at least one."""
        self._hash.update(self._held)
        self._size += len(self._held)
        self._require_room()
        ended = self._hash.copy()
        ended.update(b"\x80")
        self._held += b"\x80"
        found, content = [], bytes(self._held)
        self._held.clear()  # this outlives its parts, and so would a copy of the last one
        for start in range(self._count * self._full, padded_size(self._size), self._full):
            found.append(self._part(content, min(self._full, padded_size(self._size) - start), ended.digest()))
            content = b""
        return found

    def media(self, sealed: Sequence[tuple[bytes, bytes]]) -> Media:
        """The descriptor, after `end`: from name and table digest of every part, in order."""
        return Media.of(self._size, self._hash.digest(), sealed, self._limits)

    def _full_part(self, content: bytes) -> PartToSeal:
        self._hash.update(content)
        self._size += self._full
        self._require_room()
        return self._part(content, self._full, self._hash.digest())

    def _require_room(self) -> None:
        if padded_size(self._size) > self._full * self._limits.media_parts:
            raise InvalidArgument("a file of 64 GiB or more cannot be stored", hint="split it")

    def _part(self, content: bytes, padded: int, prefix: bytes) -> PartToSeal:
        # No randomness, and still no key ever seals two plaintexts: `prefix` is the hash of the file up to the end of
        # this part, its marker included, so with number and length it fixes every byte of the part; what follows the
        # content is zeros. The HMAC key is the epoch's, so a name says nothing of the file to who does not hold it.
        bound = self._scope + self._count.to_bytes(8, "big") + padded.to_bytes(8, "big") + prefix
        salt = hmac.digest(self._dedup, bound, "sha256")  # spec: MEDIA-5
        self._count += 1
        return PartToSeal(self._keys, salt, content, PartShape(padded, self._limits.media_chunk_bytes))


class PartOpener:
    """Opens the chunks of one part, once its header and its table have been checked."""

    def __init__(
        self, media: Media, number: int, epochs: Mapping[int, EpochKeys], account: bytes, header: bytes, table: bytes,
        limits: Limits = LIMITS,
    ) -> None:  # fmt: skip
        """`header` and `table` are ranges of the part. Raises UntrustedDataError, as for every range, and SCHEMA."""
        self._subject = media.parts[number].name.hex()
        self._opener = ObjectOpener(epochs, account, header, ObjectType.MEDIA, subject=self._subject)
        self._shape = part_shape(media.size, number, limits)
        self._content = max(0, media.size - number * part_bytes(limits))
        check_digest(media.tables[number], table, self._subject)
        self._digests = self._opener.chunk(table, self._shape.chunks, last=True)
        self._require(len(self._digests), self._shape.chunks * DIGEST_BYTES)

    def chunk(self, index: int, sealed: bytes) -> bytes:
        """The file's bytes in chunk `index` of the part; none where there is only padding."""
        check_digest(self._digests[DIGEST_BYTES * index : DIGEST_BYTES * (index + 1)], sealed, self._subject)
        plaintext = self._opener.chunk(sealed, index, last=False)
        start = index * self._shape.chunk
        self._require(len(plaintext), min(self._shape.chunk, self._shape.padded - start))
        return plaintext if start + len(plaintext) <= self._content else plaintext[: max(0, self._content - start)]

    def _require(self, length: int, expected: int) -> None:
        if length != expected:  # spec: MEDIA-4
            raise UntrustedDataError(Failure.SCHEMA, "a part is not as long as it must be", subject=self._subject)


def check_part(
    epochs: Mapping[int, EpochKeys], account: bytes, data: bytes, *, subject: str, limits: Limits = LIMITS
) -> None:
    """Open every seal of a whole part, whose name has been compared, and compare its chunks with its table.

    Its chunks follow from its length, so no descriptor is needed. Raises UntrustedDataError.
    """
    opener = ObjectOpener(epochs, account, data[:HEADER_BYTES], ObjectType.MEDIA, subject=subject)
    sealed = limits.media_chunk_bytes + TAG_BYTES
    count = -(-(len(data) - HEADER_BYTES - TAG_BYTES) // (sealed + DIGEST_BYTES))
    table = len(data) - count * DIGEST_BYTES - TAG_BYTES
    digests = opener.chunk(data[table:], count, last=True)
    for index in range(count):
        start = HEADER_BYTES + index * sealed
        chunk = data[start : min(start + sealed, table)]
        check_digest(digests[DIGEST_BYTES * index : DIGEST_BYTES * (index + 1)], chunk, subject)
        opener.chunk(chunk, index, last=False)
