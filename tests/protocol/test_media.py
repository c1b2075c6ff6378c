"""Media: one pass around every boundary, equal parts, read from the middle, refused when tampered with (05.6)."""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import pytest
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from hypothesis import given, settings
from hypothesis import strategies as st

from protocol.builders import ACCOUNT, epoch_keys, opening, random_bytes, refused
from protocol.test_padding import padme_of_the_paper
from strongroom_protocol.engine.refs import ObjectRef
from strongroom_protocol.errors import Failure, InvalidArgument
from strongroom_protocol.limits import LIMITS, Limits
from strongroom_protocol.seal import objects
from strongroom_protocol.seal.media import Media, padded_size, part_bytes, part_count, part_shape
from strongroom_protocol.seal.media_parts import ACCOUNT_SCOPE, MediaSealer, PartOpener, SealedPart, check_part
from strongroom_protocol.seal.objects import HEADER_BYTES, TAG_BYTES, Header, ObjectOpener, ObjectSealer, ObjectType

CHUNK, PER_PART = 64, 4
PART = CHUNK * PER_PART
SMALL = replace(LIMITS, media_chunk_bytes=CHUNK, media_part_chunks=PER_PART, media_parts=64)
SCOPE, OTHER = bytes(range(16)), bytes(range(1, 17))


def content(size: int) -> bytes:
    return random_bytes("file", size)


def cut(data: bytes, size: int) -> Iterator[bytes]:
    return (data[start : start + size] for start in range(0, len(data), size))


@dataclass(frozen=True)
class Sealed:
    """A sealed file: descriptor, and parts in order."""

    media: Media
    parts: list[SealedPart]

    def range(self, number: int, place: tuple[int, int]) -> bytes:
        offset, length = place
        return self.parts[number].data[offset : offset + length]

    def chunk(self, number: int, index: int) -> bytes:
        return self.range(number, part_shape(self.media.size, number, SMALL).place(index))

    def opener(self, number: int) -> PartOpener:
        shape = part_shape(self.media.size, number, SMALL)
        return opener_of(self.media, number, self.parts[number].data[:HEADER_BYTES], self.range(number, shape.table))

    def places(self) -> list[tuple[int, int]]:
        """(part, chunk) of every chunk."""
        counts = [part_shape(self.media.size, number, SMALL).chunks for number in range(len(self.parts))]
        return [(number, index) for number, count in enumerate(counts) for index in range(count)]

    def read(self, number: int, index: int) -> bytes:
        return self.opener(number).chunk(index, self.chunk(number, index))


def opener_of(media: Media, number: int, header: bytes, table: bytes) -> PartOpener:
    return PartOpener(media, number, opening(), ACCOUNT, header, table, SMALL)


def seal(data: bytes, piece: int = 50, *, scope: bytes = SCOPE, epoch: int = 1, limits: Limits = SMALL) -> Sealed:
    sealer = MediaSealer(epoch_keys(epoch), scope, limits)
    parts = [part.seal() for taken in cut(data, piece) for part in sealer.take(taken)]
    parts += [part.seal() for part in sealer.end()]
    return Sealed(sealer.media([(part.name, part.table) for part in parts]), parts)


EDGES = (CHUNK, 3 * CHUNK, PART, 2 * PART, 5 * PART)
SIZES = sorted({0, 1, 2} | {edge + d for edge in EDGES for d in (-2, -1, 0, 1)})


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("piece", [1, CHUNK - 1, PART - 1, PART, PART + 1, 100_000])
def test_files_come_back_around_every_boundary(size: int, piece: int) -> None:
    data = content(size)
    made = seal(data, piece)
    padded = padme_of_the_paper(size + 1) if size else 1
    assert (made.media.size, made.media.sha256) == (size, hashlib.sha256(data).digest())
    assert len(made.parts) == part_count(size, SMALL) == -(-padded // PART)
    for ref, part in zip(made.media.parts, made.parts, strict=True):
        assert ref == ObjectRef(hashlib.sha256(part.data).digest(), len(part.data))
    assert Media.decode(made.media.encode(), SMALL) == made.media
    assert b"".join(itertools.starmap(made.read, made.places())) == data
    assert seal(data, 7) == made  # however it was read


@given(st.integers(0, 3000), st.lists(st.integers(1, 700), min_size=1), st.randoms(use_true_random=False))
@settings(max_examples=40)
def test_any_split_gives_the_same_and_any_chunk_is_read_alone(size: int, splits: list[int], random: Any) -> None:
    data = content(size)
    sealer = MediaSealer(epoch_keys(), SCOPE, SMALL)
    parts, at = [], 0
    for split in itertools.cycle(splits):
        if at >= size:
            break
        parts += sealer.take(data[at : at + split])
        at += split
    parts += sealer.end()
    sealed = [part.seal() for part in reversed(parts)][::-1]  # in any order
    made = seal(data)
    assert Sealed(sealer.media([(part.name, part.table) for part in sealed]), sealed) == made
    places = made.places()
    random.shuffle(places)
    for number, index in places:
        start = number * PART + index * CHUNK
        assert made.read(number, index) == data[start : start + CHUNK]


def test_a_part_is_given_out_as_soon_as_it_is_there() -> None:
    """A pipe without an end is sealed as it comes; what is held is less than a part."""
    sealer = MediaSealer(epoch_keys(), SCOPE, SMALL)
    assert sealer.wanted == PART
    assert sealer.take(content(PART - 1)) == []
    assert sealer.wanted == 1
    assert len(sealer.take(b"x")) == 1
    assert [part.shape.padded for part in sealer.take(bytes(3 * PART + 5))] == [PART] * 3
    assert sealer.wanted == PART - 5


def test_the_padding_is_a_marker_and_zeros_to_the_padme_length() -> None:
    for size in (0, 1, 63, 64, 65, 250, 255, 256, 1000, 5000):
        made, whole = seal(content(size)), b""
        for number, index in made.places():
            header = made.parts[number].data[:HEADER_BYTES]
            opener = ObjectOpener(opening(), ACCOUNT, header, ObjectType.MEDIA, subject="x")
            whole += opener.chunk(made.chunk(number, index), index, last=False)
        assert whole == content(size) + b"\x80" + bytes(padded_size(size) - size - 1)
        assert len(whole) == padme_of_the_paper(size + 1) if size else len(whole) == 1


def test_a_part_fits_an_object_and_the_greatest_file_is_64_gib() -> None:
    assert part_shape(part_bytes(), 0).size < LIMITS.object_bytes
    assert part_shape(part_bytes(), 0).chunks < LIMITS.object_chunks
    assert part_bytes() * LIMITS.media_parts == 64 * 2**30
    sealer = MediaSealer(epoch_keys(), SCOPE, replace(SMALL, media_parts=2))
    assert len(sealer.take(bytes(2 * PART - 1)) + sealer.end()) == 2
    for data in (bytes(2 * PART), bytes(3 * PART)):
        sealer = MediaSealer(epoch_keys(), SCOPE, replace(SMALL, media_parts=2))
        with pytest.raises(InvalidArgument):
            sealer.take(data)


# What is equal and what is not (attacks 68, 69, 70) ---------------------------------------------------------------


@pytest.mark.spec("MEDIA-5")
def test_the_same_file_has_the_same_parts_in_one_conversation_and_epoch_only() -> None:
    data = content(1000)
    here = seal(data)
    assert seal(data) == here
    for other in (seal(data, scope=OTHER), seal(data, scope=ACCOUNT_SCOPE), seal(data, epoch=2)):
        assert not other.media.names & here.media.names
        assert not {part.data[30:62] for part in other.parts} & {part.data[30:62] for part in here.parts}
        assert other.media.size == here.media.size


@pytest.mark.spec("MEDIA-5")
def test_files_that_begin_equally_share_those_parts() -> None:
    longer = seal(content(5 * PART + 10))
    shorter = seal(content(3 * PART + 10))
    assert longer.media.parts[:3] == shorter.media.parts[:3]
    assert not {part.name for part in longer.media.parts[3:]} & shorter.media.names
    changed = seal(b"\0" + content(5 * PART + 10)[1:])
    assert not changed.media.names & longer.media.names


def test_equal_chunks_and_parts_of_one_file_are_sealed_differently() -> None:
    made = seal(bytes(16 * CHUNK))
    assert len(made.media.names) == len(made.parts)
    sealed = [made.chunk(number, index) for number, index in made.places()]
    assert len(set(sealed)) == len(sealed)


def test_attack_070_sizes_say_nothing_of_the_content() -> None:
    files = [content(1000), bytes(1000), b"\x80" * 1000, content(900) + bytes(100), content(1007)]
    assert len({tuple(part.size for part in seal(data).media.parts) for data in files}) == 1


def test_a_header_names_no_writer() -> None:
    header = Header.parse(seal(b"x").parts[0].data[:HEADER_BYTES], "x")
    assert (header.type, header.epoch, header.writer, header.sequence) == (ObjectType.MEDIA, 1, bytes(16), 0)


@given(st.lists(st.tuples(st.sampled_from(SIZES), st.sampled_from([b"\0", b"\x80", b"a"])), min_size=2, max_size=8))
@settings(max_examples=60)
def test_attack_024_068_no_key_seals_two_plaintexts(files: list[tuple[int, bytes]]) -> None:
    """Without randomness: files of zeros and of markers, whose padded forms differ least, around every boundary."""
    seen: dict[tuple[bytes, bytes], bytes] = {}

    class Recorder:
        real = ChaCha20Poly1305

        def __init__(self, key: bytes) -> None:
            self.key, self.cipher = key, self.real(key)

        def encrypt(self, nonce: bytes, data: bytes, associated: bytes | None) -> bytes:
            assert seen.setdefault((self.key, nonce), bytes(data)) == bytes(data)
            return self.cipher.encrypt(nonce, data, associated)

        def encrypt_into(self, nonce: bytes, data: bytes, associated: bytes | None, room: memoryview) -> None:
            room[:] = self.encrypt(nonce, data, associated)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(objects, "ChaCha20Poly1305", Recorder)
        for size, fill in files:
            for data in (fill * size, b"b" + fill * size, fill * size + b"\x80"):
                seal(data, 100_000)
    assert seen


# Descriptors ------------------------------------------------------------------------------------------------------


@pytest.mark.spec("MEDIA-2")
def test_the_parts_hold_exactly_the_file() -> None:
    made = seal(content(1000)).media
    pairs = made.to_cbor()[4]
    assert len(pairs) == 4
    for parts in (pairs[:-1], [*pairs, pairs[0]], pairs[:1]):
        assert refused(Media.parse, made.to_cbor() | {4: parts}, SMALL) is Failure.SCHEMA
    for size in (0, 500, 1024, 5000, 2**40):
        assert refused(Media.parse, made.to_cbor() | {2: size}, SMALL) is Failure.SCHEMA


@pytest.mark.parametrize(
    ("field", "values"),
    [
        (1, [0]), (2, [-1, 2**40 + 1, "1"]), (3, [b"", bytes(31), None]), (5, [0]),
        (4, [[], [[bytes(32)]], [[bytes(32), 93]], [[b"", bytes(32)]], [[bytes(32)] * 3], None]),
    ],
)  # fmt: skip
def test_another_shape_of_a_descriptor_is_refused(field: int, values: list[Any]) -> None:
    fields = seal(content(100)).media.to_cbor()
    for value in values:
        assert refused(Media.parse, {**fields, field: value}, SMALL) is Failure.SCHEMA
    for key in fields:
        assert refused(Media.parse, {k: v for k, v in fields.items() if k != key}, SMALL) is Failure.SCHEMA
    assert refused(Media.decode, b"\xff") is Failure.ENCODING


# Tampering (attacks 18 to 21) -------------------------------------------------------------------------------------


def test_attack_021_chunks_and_tables_swapped_between_places_parts_and_files_are_found() -> None:
    made, other = seal(content(700)), seal(content(699))
    pieces = [(which, number, index) for which in (made, other) for number, index in which.places()]
    for number, index in made.places():
        opener = made.opener(number)
        for which, taken, place in pieces:
            sealed = which.chunk(taken, place)
            if (which, taken, place) != (made, number, index) and sealed != made.chunk(number, index):
                assert refused(opener.chunk, index, sealed) is Failure.DIGEST
    for number, part in enumerate(made.parts):
        header = part.data[:HEADER_BYTES]
        table = made.range(number, part_shape(700, number, SMALL).table)
        for which, taken in [(made, n) for n in range(len(made.parts))] + [(other, n) for n in range(len(other.parts))]:
            if which.parts[taken].name != part.name:
                wrong = which.range(taken, part_shape(which.media.size, taken, SMALL).table)
                assert refused(opener_of, made.media, number, header, wrong) is Failure.DIGEST
                theirs = which.parts[taken].data[:HEADER_BYTES]
                assert refused(opener_of, made.media, number, theirs, table) is Failure.SEAL


@pytest.mark.spec("OBJ-10")
def test_attack_018_019_every_bit_and_every_length_of_what_is_read() -> None:
    made = seal(content(100))
    opener, sealed = made.opener(0), made.chunk(0, 0)
    table = made.range(0, part_shape(100, 0, SMALL).table)
    header = made.parts[0].data[:HEADER_BYTES]
    for place, bit in itertools.product(range(len(sealed)), range(8)):
        flipped = sealed[:place] + bytes((sealed[place] ^ 1 << bit,)) + sealed[place + 1 :]
        assert refused(opener.chunk, 0, flipped) is Failure.DIGEST
    for place, bit in itertools.product(range(len(table)), range(8)):
        flipped = table[:place] + bytes((table[place] ^ 1 << bit,)) + table[place + 1 :]
        assert refused(opener_of, made.media, 0, header, flipped) is Failure.DIGEST
    for length in [*range(len(sealed)), *range(len(sealed) + 1, len(sealed) + 65)]:
        assert refused(opener.chunk, 0, (sealed + bytes(64))[:length]) is Failure.DIGEST
    for length in [*range(len(table)), *range(len(table) + 1, len(table) + 65)]:
        assert refused(opener_of, made.media, 0, header, (table + bytes(64))[:length]) is Failure.DIGEST
    assert refused(opener.chunk, 2, sealed) is Failure.DIGEST  # behind the end


SALT = random_bytes("salt")


def lying(chunks: list[tuple[bytes, int, bool]], table: tuple[bytes | None, int, bool]) -> tuple[Sealed, PartOpener]:
    """A part of somebody who holds the epoch: chunks and table sealed as any number, ending or not."""

    def sealed(plaintext: bytes, index: int, last: bool) -> bytes:
        sealer = ObjectSealer.of_media(epoch_keys(), SALT)
        for _ in range(index):
            sealer.chunk(b"", last=False)
        return sealer.chunk(plaintext, last=last)

    body = [sealed(*chunk) for chunk in chunks]
    digests = b"".join(hashlib.sha256(chunk).digest() for chunk in body)
    closed = sealed(digests if table[0] is None else table[0], *table[1:])
    header = ObjectSealer.of_media(epoch_keys(), SALT).header
    data = header + b"".join(body) + closed
    name = hashlib.sha256(data).digest()
    media = Media.of(100, bytes(32), [(name, hashlib.sha256(closed).digest())], SMALL)
    made = Sealed(media, [SealedPart(name, data, media.tables[0])])
    return made, opener_of(media, 0, header, closed)


PLAIN = [bytes(CHUNK), bytes(padded_size(100) - CHUNK)]


def test_attack_020_chunks_reordered_repeated_or_with_a_moved_last_flag_do_not_open() -> None:
    made, opener = lying([(PLAIN[0], 0, False), (PLAIN[1], 1, False)], (None, 2, True))
    assert opener.chunk(0, made.chunk(0, 0)) == PLAIN[0]
    for first in ((PLAIN[0], 1, False), (PLAIN[0], 0, True), (PLAIN[0], 2, False)):
        made, opener = lying([first, (PLAIN[1], 1, False)], (None, 2, True))
        assert refused(opener.chunk, 0, made.chunk(0, 0)) is Failure.SEAL
    chunks = [(PLAIN[0], 0, False), (PLAIN[1], 1, False)]
    for index, last in ((2, False), (1, True), (3, True)):
        assert refused(lying, chunks, (None, index, last)) is Failure.SEAL


@pytest.mark.spec("MEDIA-4")
def test_tables_and_chunks_of_another_length_are_refused() -> None:
    good = [(PLAIN[0], 0, False), (PLAIN[1], 1, False)]
    for digests in (bytes(32), bytes(63), bytes(65), bytes(96), b""):
        assert refused(lying, good, (digests, 2, True)) is Failure.SCHEMA
    for length in (0, 1, CHUNK - 1, CHUNK + 1):
        short = bytes(length)
        _, opener = lying([(short, 0, False), (PLAIN[1], 1, False)], (None, 2, True))
        sealer = ObjectSealer.of_media(epoch_keys(), SALT)
        assert refused(opener.chunk, 0, sealer.chunk(short, last=False)) is Failure.SCHEMA


def test_what_another_epoch_or_account_sealed_does_not_open() -> None:
    made = seal(content(100))
    header, table = made.parts[0].data[:HEADER_BYTES], made.range(0, part_shape(100, 0, SMALL).table)
    later = opening(2)
    assert refused(PartOpener, made.media, 0, later, ACCOUNT, header, table, SMALL) is Failure.EPOCH
    assert refused(PartOpener, made.media, 0, opening(), bytes(32), header, table, SMALL) is Failure.EPOCH
    assert len(table) - 32 * 2 == TAG_BYTES


@pytest.mark.parametrize("size", SIZES)
def test_a_whole_part_is_checked_without_its_descriptor(size: int) -> None:
    """Every seal of it is opened: one changed byte anywhere, a cut or an addition is found, whatever its name."""
    for part in seal(content(size)).parts:
        data = bytes(part.data)
        check_part(opening(), ACCOUNT, data, subject="part", limits=SMALL)
        for place in range(0, len(data), 7):
            changed = data[:place] + bytes((data[place] ^ 1,)) + data[place + 1 :]
            refused(check_part, opening(), ACCOUNT, changed, subject="part", limits=SMALL)
        for wrong in (data[:-1], data + b"\x00", data[: -TAG_BYTES - 32]):
            refused(check_part, opening(), ACCOUNT, wrong, subject="part", limits=SMALL)
