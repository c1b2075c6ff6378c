"""Media: streams around every boundary, read from the middle, refused when they changed (chapter 05)."""

from __future__ import annotations

import hashlib
import itertools
import tracemalloc
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from protocol.builders import ACCOUNT, WRITER, epoch_keys, opening, random_bytes, refused
from protocol.test_padding import padme_of_the_paper
from strongroom_protocol.errors import Failure
from strongroom_protocol.limits import LIMITS, Limits
from strongroom_protocol.seal.media import Media, MediaSealer, open_chunk, padded_size, part_chunks
from strongroom_protocol.seal.objects import HEADER_BYTES, TAG_BYTES, ObjectOpener, ObjectType

CHUNK, PER_PART = 64, 4
SMALL = replace(LIMITS, media_chunk_bytes=CHUNK, object_bytes=HEADER_BYTES + PER_PART * (CHUNK + TAG_BYTES))


def content(size: int) -> bytes:
    return random_bytes("file", size)


def cut(data: bytes, size: int) -> Iterator[bytes]:
    return (data[start : start + size] for start in range(0, len(data), size))


def sealer(data: bytes) -> MediaSealer:
    return MediaSealer(epoch_keys(), WRITER, len(data), hashlib.sha256(data).digest())


def seal(data: bytes, piece: int = 50, limits: Limits = SMALL) -> tuple[Media, dict[bytes, bytes]]:
    """The descriptor and the part objects by name."""
    made = sealer(data)
    numbers = itertools.count(1)
    random = (random_bytes(f"part {number}") for number in itertools.count())
    parts = [b"".join(part) for part in made.parts(cut(data, piece), numbers, random, limits)]
    media = made.media(limits)
    names = [hashlib.sha256(part).digest() for part in parts]
    assert [name for name, _ in media.parts] == names
    assert [size for _, size in media.parts] == list(map(len, parts))
    return media, dict(zip(names, parts, strict=True))


def read(media: Media, parts: dict[bytes, bytes], index: int, limits: Limits = SMALL) -> bytes:
    name, offset, length, _, _ = media.locate(index, limits)
    opener = ObjectOpener(opening(), ACCOUNT, parts[name][:HEADER_BYTES], ObjectType.MEDIA, subject="x")
    return open_chunk(media, index, opener, parts[name][offset : offset + length], subject="x", limits=limits)


SIZES = sorted(
    {0, 1, 2} | {edge + d for edge in (CHUNK, 3 * CHUNK, 4 * CHUNK, 8 * CHUNK, 20 * CHUNK) for d in (-2, -1, 0, 1)}
)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("piece", [1, CHUNK - 1, CHUNK, CHUNK + 1, 100_000])
def test_files_come_back_around_every_boundary(size: int, piece: int) -> None:
    data = content(size)
    media, parts = seal(data, piece)
    assert part_chunks(SMALL) == PER_PART
    assert media.size == size
    assert media.sha256 == hashlib.sha256(data).digest()
    assert media.chunks == -(-padme_of_the_paper(size + 1) // CHUNK) if size else media.chunks == 1
    assert len(parts) == -(-media.chunks // PER_PART)
    assert Media.parse(media.to_cbor(), SMALL) == media
    assert b"".join(read(media, parts, index) for index in range(media.chunks)) == data
    assert seal(data, 7)[0] == media  # however it was read


@given(st.integers(0, 3000), st.integers(1, 700), st.randoms(use_true_random=False))
@settings(max_examples=40)
def test_any_chunk_is_read_alone_and_in_any_order(size: int, piece: int, random: Any) -> None:
    data = content(size)
    media, parts = seal(data, piece)
    order = list(range(media.chunks))
    random.shuffle(order)
    for index in order:
        assert read(media, parts, index) == data[CHUNK * index : CHUNK * (index + 1)]


def test_the_padding_is_a_marker_and_zeros_to_the_padme_length() -> None:
    for size in (0, 1, 63, 64, 65, 250, 256, 1000, 5000):
        media, parts = seal(content(size))
        whole = b""
        for index in range(media.chunks):
            name, offset, length, number, last = media.locate(index, SMALL)
            opener = ObjectOpener(opening(), ACCOUNT, parts[name][:HEADER_BYTES], ObjectType.MEDIA, subject="x")
            whole += opener.chunk(parts[name][offset : offset + length], number, last=last)
        assert whole == content(size) + b"\x80" + bytes(padded_size(size) - size - 1)
        assert len(whole) == padme_of_the_paper(size + 1) if size else len(whole) == 1


def test_zeros_are_streamed_in_constant_memory() -> None:
    """The padding of a large file is megabytes; it is never made in one piece."""
    size = 33 * 2**20  # padded to 34 MiB
    block = bytes(2**16)
    digest = hashlib.sha256()
    for _ in range(size // len(block)):
        digest.update(block)
    made = MediaSealer(epoch_keys(), WRITER, size, digest.digest())
    pieces = (block for _ in range(size // len(block)))
    chunks = made._chunks(pieces, LIMITS.media_chunk_bytes)
    tracemalloc.start()
    total = sum(map(len, chunks))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert total == padded_size(size) > size + 2**19
    assert peak < 4 * LIMITS.media_chunk_bytes


def unread(data: bytes, pieces: list[bytes]) -> Failure:
    """How sealing `data` fails when reading gives `pieces`."""
    made = sealer(data)
    parts = made.parts(pieces, itertools.count(1), itertools.repeat(bytes(32)), SMALL)
    return refused(lambda: [list(part) for part in parts])


@pytest.mark.spec("MEDIA-3")
@pytest.mark.parametrize("size", [1, 63, 64, 65, 255, 256, 257, 1000])
def test_a_file_that_changed_since_it_was_measured_is_refused(size: int) -> None:
    data = content(size)
    for other in (data[:-1], b"", data + b"\0", data + bytes(5000), bytes((data[0] ^ 1,)) + data[1:], bytes(size)):
        assert unread(data, list(cut(other, 50))) is Failure.SCHEMA
        assert unread(data, [other]) is Failure.SCHEMA


@pytest.mark.spec("MEDIA-3")
def test_a_file_that_grows_without_end_is_not_read_to_the_end() -> None:
    data = content(200)
    taken = itertools.count()

    def growing() -> Iterator[bytes]:
        for start in itertools.count(0, 10):
            next(taken)
            yield data[start : start + 10] if start < 200 else bytes(10)

    parts = sealer(data).parts(growing(), itertools.count(1), itertools.repeat(bytes(32)), SMALL)
    assert refused(lambda: [list(part) for part in parts]) is Failure.SCHEMA
    assert next(taken) == 21


@pytest.mark.spec("MEDIA-1")
def test_every_chunk_has_a_digest() -> None:
    media, _ = seal(content(1000))
    for digests in (b"", media.digests[:-32], media.digests + bytes(32), media.digests[:-1], media.digests + b"\0"):
        assert refused(Media.parse, replace(media, digests=digests).to_cbor(), SMALL) is Failure.SCHEMA
    assert refused(Media.parse, replace(media, size=5000).to_cbor(), SMALL) is Failure.SCHEMA


@pytest.mark.spec("MEDIA-2")
def test_the_parts_hold_exactly_the_chunks() -> None:
    media, _ = seal(content(1000))
    assert len(media.parts) == 4
    for parts in (media.parts[:-1], (*media.parts, media.parts[0]), media.parts[:1]):
        assert refused(Media.parse, replace(media, parts=parts).to_cbor(), SMALL) is Failure.SCHEMA


@pytest.mark.parametrize(
    ("field", "values"),
    [
        (1, [0]), (2, [-1, 2**40 + 1, "1"]), (3, [0, 63, 65, 2**18]), (4, [b""]), (6, [None]), (7, [0]),
        (5, [[], [[bytes(32)]], [[bytes(32), 93]], [[bytes(32), 2**26]], [[b"", 200]], None]),
    ],
)  # fmt: skip
def test_another_shape_of_a_descriptor_is_refused(field: int, values: list[Any]) -> None:
    fields = seal(content(100))[0].to_cbor()
    for value in values:
        assert refused(Media.parse, {**fields, field: value}, SMALL) is Failure.SCHEMA
    for key in fields:
        assert refused(Media.parse, {k: v for k, v in fields.items() if k != key}, SMALL) is Failure.SCHEMA


def test_chunks_swapped_between_places_parts_and_files_are_found() -> None:
    media, parts = seal(content(700))
    other, others = seal(content(699))
    stored = {**parts, **others}
    pieces = [(which, index) for which in (media, other) for index in range(which.chunks)]

    def piece(which: Media, index: int) -> bytes:
        name, offset, length, _, _ = which.locate(index, SMALL)
        return stored[name][offset : offset + length]

    for index in range(media.chunks):
        header = parts[media.locate(index, SMALL)[0]][:HEADER_BYTES]
        shown = ObjectOpener(opening(), ACCOUNT, header, ObjectType.MEDIA, subject="x")
        for which, taken in pieces:
            if (which, taken) == (media, index):
                continue
            given = (index, shown, piece(which, taken))
            assert refused(open_chunk, media, *given, subject="x", limits=SMALL) is Failure.DIGEST
            digest = hashlib.sha256(given[2]).digest()
            lying = replace(media, digests=media.digests[: 32 * index] + digest + media.digests[32 * index + 32 :])
            assert refused(open_chunk, lying, *given, subject="x", limits=SMALL) is Failure.SEAL


@pytest.mark.spec("OBJ-10")
def test_a_chunk_behind_the_end_has_no_digest() -> None:
    media, parts = seal(content(100))
    name, offset, length, _, _ = media.locate(0, SMALL)
    opener = ObjectOpener(opening(), ACCOUNT, parts[name][:HEADER_BYTES], ObjectType.MEDIA, subject="x")
    given = (media.chunks, opener, parts[name][offset : offset + length])
    assert refused(open_chunk, media, *given, subject="x", limits=SMALL) is Failure.DIGEST


def test_parts_fit_the_limit_of_an_object_and_two_sealings_share_nothing() -> None:
    full = HEADER_BYTES + part_chunks() * (LIMITS.media_chunk_bytes + TAG_BYTES)
    assert full <= LIMITS.object_bytes < full + LIMITS.media_chunk_bytes + TAG_BYTES
    # Equal chunks of one file, and equal parts under constant randomness, are sealed differently.
    media, _ = seal(bytes(16 * CHUNK))
    digests = [media.digests[start : start + 32] for start in range(0, len(media.digests), 32)]
    assert len(set(digests)) == len(digests)
    made = sealer(bytes(16 * CHUNK))
    parts = made.parts([bytes(16 * CHUNK)], itertools.repeat(1), itertools.repeat(bytes(32)), SMALL)
    assert len({b"".join(part)[30:62] for part in parts}) == len(media.parts)
