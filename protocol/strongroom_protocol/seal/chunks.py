"""Objects of several chunks that are read alone: segments of frames and run indexes (spec chapter 05).

Every chunk is padded on its own; a filler chunk ends the object and brings its total length to a PADMÉ length.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

from strongroom_protocol.engine.refs import ChunkRef
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
    plaintext_digest,
)
from strongroom_protocol.wire.padding import pad, padme, unpad


def seal_chunks(
    keys: EpochKeys,
    kind: ObjectType,
    contents: Sequence[bytes],
    *,
    writer: bytes,
    sequence: int,
    randomness: bytes,
    limits: Limits = LIMITS,
) -> tuple[bytes, tuple[ChunkRef, ...]]:
    """The object's bytes and one reference per content."""
    padded = [pad(content, floor=limits.chunk_floor) for content in contents]
    sealer = ObjectSealer(
        keys, kind, writer=writer, sequence=sequence, randomness=randomness, digest=plaintext_digest(padded)
    )
    out = bytearray(sealer.header)
    refs = []
    for index, plaintext in enumerate(padded):
        sealed = sealer.chunk(plaintext, last=False)
        refs.append(ChunkRef(index, len(out), len(sealed), hashlib.sha256(sealed).digest()))
        out += sealed
    out += sealer.chunk(bytes(padme(len(out) + TAG_BYTES) - len(out) - TAG_BYTES), last=True)
    return bytes(out), tuple(refs)


def open_chunk(opener: ObjectOpener, ref: ChunkRef, sealed: bytes, *, subject: str, limits: Limits = LIMITS) -> bytes:
    """The content of one chunk: range digest first, then seal, then padding."""
    check_digest(ref.digest, sealed, subject)
    return unpad(opener.chunk(sealed, ref.index, last=False), floor=limits.chunk_floor, subject=subject)


def cut_out(data: bytes, ref: ChunkRef, *, subject: str) -> bytes:
    """The sealed bytes of `ref` in a whole object."""
    end = ref.offset + ref.length
    if ref.offset < HEADER_BYTES or end > len(data):  # spec: OBJ-11
        raise UntrustedDataError(Failure.DIGEST, "range lies outside the object", subject=subject)
    return data[ref.offset : end]


def chunk_length(content: int, limits: Limits = LIMITS) -> int:
    """The sealed length of a chunk of so many bytes."""
    return max(limits.chunk_floor, padme(content + 1)) + TAG_BYTES


def chunked_length(chunks: int) -> int:
    """The length of an object whose sealed chunks, the filler aside, are so many bytes together."""
    return padme(HEADER_BYTES + chunks + TAG_BYTES)
