"""Objects of several chunks: each is read alone, in its place only (chapter 05)."""

from __future__ import annotations

import hashlib
import itertools
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol.builders import ACCOUNT, WRITER, epoch_keys, opening, refused
from protocol.test_padding import padme_of_the_paper
from strongroom_protocol.engine.refs import ChunkRef
from strongroom_protocol.errors import Failure, UntrustedDataError
from strongroom_protocol.limits import LIMITS
from strongroom_protocol.seal.chunks import cut_out, open_chunk, seal_chunks
from strongroom_protocol.seal.objects import HEADER_BYTES, ObjectOpener, ObjectType

CONTENTS = [b"first", b"second" * 30, b"", b"fourth"]


def seal(contents: list[bytes], sequence: int = 1) -> tuple[bytes, tuple[ChunkRef, ...]]:
    return seal_chunks(
        epoch_keys(), ObjectType.SEGMENT, contents, writer=WRITER, sequence=sequence, randomness=bytes(32)
    )


def opener(data: bytes) -> ObjectOpener:
    return ObjectOpener(opening(), ACCOUNT, data[:HEADER_BYTES], ObjectType.SEGMENT, subject="x")


def read(data: bytes, ref: ChunkRef) -> bytes:
    return open_chunk(opener(data), ref, cut_out(data, ref, subject="x"), subject="x")


@given(st.lists(st.binary(max_size=200), max_size=6))
def test_every_chunk_comes_back_alone(contents: list[bytes]) -> None:
    data, refs = seal(contents)
    assert [read(data, ref) for ref in refs] == contents
    assert [ref.index for ref in refs] == list(range(len(contents)))
    assert len(data) == padme_of_the_paper(len(data))


def test_sizes_tell_no_more_than_a_bucket() -> None:
    small = [[b"x" * length] for length in range(64)]
    assert len({len(seal(contents)[0]) for contents in small}) == 1
    lengths = {ref.length for contents in small for ref in seal(contents)[1]}
    assert lengths == {64 + 16}


@pytest.mark.parametrize("count", [1, 2, 3, 4])
def test_chunks_reordered_dropped_or_doubled_are_found(count: int) -> None:
    data, refs = seal(CONTENTS[:count])
    pieces = [cut_out(data, ref, subject="x") for ref in refs]
    shown = opener(data)
    for order in itertools.product(range(count), repeat=count):
        for place, taken in enumerate(order):
            if place == taken:
                assert open_chunk(shown, refs[place], pieces[taken], subject="x") == CONTENTS[place]
                continue
            assert refused(open_chunk, shown, refs[place], pieces[taken], subject="x") is Failure.DIGEST
            # Even with a reference that names these bytes, a chunk opens in its own place only.
            lying = replace(refs[place], digest=refs[taken].digest)
            assert refused(open_chunk, shown, lying, pieces[taken], subject="x") is Failure.SEAL


def test_a_chunk_of_another_object_is_found() -> None:
    (one, refs), (two, others) = seal(CONTENTS), seal(CONTENTS, 2)
    for ref, other in zip(refs, others, strict=True):
        piece = cut_out(two, other, subject="x")
        assert refused(open_chunk, opener(one), ref, piece, subject="x") is Failure.DIGEST
        assert refused(open_chunk, opener(one), replace(ref, digest=other.digest), piece, subject="x") is Failure.SEAL


def test_the_filler_is_no_chunk() -> None:
    data, refs = seal(CONTENTS)
    end = refs[-1].offset + refs[-1].length
    filler = data[end:]
    assert len(filler) >= 16
    assert opener(data).chunk(filler, len(refs), last=True) == bytes(len(filler) - 16)
    ref = ChunkRef(len(refs), end, len(filler), hashlib.sha256(filler).digest())
    with pytest.raises(UntrustedDataError) as caught:
        open_chunk(opener(data), ref, filler, subject="x")
    assert caught.value.failure is Failure.SEAL


@pytest.mark.spec("OBJ-10")
def test_the_digest_is_compared_before_the_seal_is_opened(monkeypatch: pytest.MonkeyPatch) -> None:
    data, refs = seal(CONTENTS)
    shown = opener(data)
    monkeypatch.setattr(ObjectOpener, "chunk", None)
    piece = cut_out(data, refs[0], subject="x")
    for bad in (piece[:-1], piece + b"\0", b"", bytes(len(piece))):
        assert refused(open_chunk, shown, refs[0], bad, subject="x") is Failure.DIGEST


@pytest.mark.spec("OBJ-9")
def test_a_chunk_has_one_padded_form() -> None:
    data, refs = seal(CONTENTS)
    floor = replace(LIMITS, chunk_floor=128)
    piece = cut_out(data, refs[0], subject="x")
    assert refused(open_chunk, opener(data), refs[0], piece, subject="x", limits=floor) is Failure.PADDING


@pytest.mark.spec("OBJ-11")
def test_a_range_lies_inside_the_object_and_behind_the_header() -> None:
    data, refs = seal(CONTENTS)
    for ref in refs:
        assert cut_out(data, ref, subject="x") == data[ref.offset : ref.offset + ref.length]
    ref = refs[0]
    for offset, length in ((0, 17), (93, 17), (len(data) - 16, 17), (len(data), 17), (2**26, 17), (94, len(data))):
        assert refused(cut_out, data, replace(ref, offset=offset, length=length), subject="x") is Failure.DIGEST
    whole = replace(ref, offset=94, length=len(data) - 94)
    assert cut_out(data, whole, subject="x") == data[94:]


def test_seals_are_hedged_over_all_chunks() -> None:
    headers = {seal(contents)[0][30:62] for contents in (CONTENTS, CONTENTS[::-1], CONTENTS[:3], [b"".join(CONTENTS)])}
    assert len(headers) == 4
