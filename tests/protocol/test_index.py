"""The index of a run: references, top and pages (chapter 08)."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol.builders import random_bytes, refused
from protocol.test_cbor import by_hand
from strongroom_protocol.engine.index import Fence, IndexTop, encode_page, parse_page
from strongroom_protocol.engine.refs import ChunkRef, FrameRef, ObjectRef
from strongroom_protocol.errors import Failure
from strongroom_protocol.wire import cbor

KEYS = sorted(random_bytes(f"conversation {number}", 16) for number in range(3))
SEGMENTS = [random_bytes(f"segment {number}") for number in range(3)]
CHUNK: list[Any] = [4, 1000, 80, bytes(32)]
TOP_FIELDS: dict[int, Any] = {
    1: 1,
    2: [random_bytes("pages"), 900],
    3: [[name, 5000 + place] for place, name in enumerate(SEGMENTS)],
    4: [[KEYS[0], 10, CHUNK], [KEYS[0], 30, CHUNK], [KEYS[2], 5, CHUNK]],
}
PARTS = sorted(random_bytes(f"part {number}") for number in range(3))
MEDIA: list[Any] = [[name, 70_000 + place] for place, name in enumerate(PARTS)]
PAGE: list[Any] = [
    [KEYS[0], [[10, 20, 128, 0, CHUNK, 0, []], [20, 20, 1, 2, CHUNK, 3, MEDIA]]],
    [KEYS[1], [[5, 900, 4096, 1, CHUNK, 2, MEDIA[1:2]]]],
]


def top() -> IndexTop:
    return IndexTop.parse(by_hand(TOP_FIELDS))


def top_changed(**other: Any) -> Failure:
    fields = {**TOP_FIELDS, **{int(key[1:]): value for key, value in other.items()}}
    return refused(IndexTop.parse, by_hand(fields))


def frame(first: int, last: int, rows: int, segment: int) -> FrameRef:
    return FrameRef(first, last, rows, SEGMENTS[segment], ChunkRef(4, 1000, 80, bytes(32)))


def test_tops_come_back_and_are_what_the_chapter_says() -> None:
    chunk = ChunkRef(4, 1000, 80, bytes(32))
    made = IndexTop(
        ObjectRef(random_bytes("pages"), 900), tuple(ObjectRef(name, 5000 + n) for n, name in enumerate(SEGMENTS)),
        (Fence(KEYS[0], 10, chunk), Fence(KEYS[0], 30, chunk), Fence(KEYS[2], 5, chunk)),
    )  # fmt: skip
    assert top() == made
    assert made.encode() == by_hand(TOP_FIELDS)


def test_pages_come_back_and_are_what_the_chapter_says() -> None:
    entries = ((KEYS[0], frame(10, 20, 128, 0)), (KEYS[0], frame(20, 20, 1, 2)), (KEYS[1], frame(5, 900, 4096, 1)))
    found = parse_page(by_hand(PAGE), top())
    assert found == entries
    media = [ObjectRef(name, size) for name, size in MEDIA]
    said = [(ref.packed, ref.erases, list(ref.media)) for _, ref in found]
    assert said == [(False, False, []), (True, True, media), (False, True, media[1:2])]
    assert encode_page(found, {name: number for number, name in enumerate(SEGMENTS)}) == by_hand(PAGE)


@pytest.mark.spec("ENG-1")
@pytest.mark.parametrize(("first", "last"), [(1, 0), (20, 19), (2**48 - 1, 0)])
def test_a_frame_does_not_end_before_it_begins(first: int, last: int) -> None:
    value = [first, last, 1, SEGMENTS[0], CHUNK]
    assert refused(FrameRef.parse, value, "x") is Failure.SCHEMA
    assert refused(parse_page, by_hand([[KEYS[0], [[first, last, 1, 0, CHUNK, 0, []]]]]), top()) is Failure.SCHEMA
    same = FrameRef.parse([last, last, 1, SEGMENTS[0], CHUNK], "x")
    assert same.to_cbor() == [last, last, 1, SEGMENTS[0], CHUNK]


@pytest.mark.spec("ENG-3")
def test_pages_of_a_run_are_in_order() -> None:
    fences = TOP_FIELDS[4]
    for order in itertools.permutations(fences):
        if list(order) != fences:
            assert top_changed(_4=list(order)) is Failure.SCHEMA
    # Two pages may begin at the same key and time: frames of one conversation may share their first time.
    assert len(IndexTop.parse(by_hand({**TOP_FIELDS, 4: [fences[0], fences[0]]})).fences) == 2


@pytest.mark.spec("ENG-4")
def test_frames_of_a_page_are_in_order() -> None:
    one, two = PAGE
    later_first = [KEYS[0], [one[1][1], one[1][0]]]
    for bad in ([two, one], [later_first, two], [one, two, one], [one, [KEYS[0], [[5, 900, 1, 0, CHUNK, 0, []]]]]):
        assert refused(parse_page, by_hand(bad), top()) is Failure.SCHEMA
    # A key may come again while the order holds: what is compared is the entries.
    again = [[KEYS[0], one[1][:1]], [KEYS[0], one[1][1:]], two]
    assert parse_page(by_hand(again), top()) == parse_page(by_hand(PAGE), top())


@pytest.mark.spec("ENG-5")
@pytest.mark.parametrize("number", [3, 4, 2**32 - 1])
def test_a_frame_lies_in_a_segment_of_the_table(number: int) -> None:
    assert refused(parse_page, by_hand([[KEYS[0], [[1, 2, 3, number, CHUNK, 0, []]]]]), top()) is Failure.SCHEMA


@pytest.mark.spec("ENG-5")
def test_a_run_without_segments_has_no_frames() -> None:
    empty = IndexTop.parse(by_hand({**TOP_FIELDS, 3: []}))
    assert refused(parse_page, by_hand([[KEYS[0], [[1, 2, 3, 0, CHUNK, 0, []]]]]), empty) is Failure.SCHEMA


REF = [bytes(32), 5]
BAD_CHUNKS: list[Any] = [
    None, [], CHUNK[:3], [*CHUNK, 0], [-1, *CHUNK[1:]], [65_537, *CHUNK[1:]], [0, -1, 80, bytes(32)],
    [0, 2**26 + 1, 80, bytes(32)], [0, 0, 16, bytes(32)], [0, 0, 2**24 + 17, bytes(32)], [0, 0, 80, bytes(31)],
]  # fmt: skip


@pytest.mark.parametrize("chunk", BAD_CHUNKS)
def test_a_chunk_has_a_number_a_place_a_length_and_a_digest(chunk: Any) -> None:
    assert refused(ChunkRef.parse, chunk, "x") is Failure.SCHEMA
    assert top_changed(_4=[[KEYS[0], 1, chunk]]) is Failure.SCHEMA
    assert refused(parse_page, by_hand([[KEYS[0], [[1, 2, 3, 0, chunk, 0, []]]]]), top()) is Failure.SCHEMA


@pytest.mark.parametrize(
    ("field", "values"),
    [
        (1, [0, None]), (2, [None, [], [bytes(32)], [*REF, 0], [bytes(31), 5], [bytes(32), 0], [bytes(32), 2**26 + 1]]),
        (3, [None, {}, [None], [[]], [REF[:1]], [[b"", 1]]]),
        (4, [None, {}, [None], [[KEYS[0], 1]], [[KEYS[0], 1, CHUNK, 0]], [[b"", 1, CHUNK]], [[KEYS[0], -1, CHUNK]],
             [[KEYS[0], 2**48, CHUNK]], [[None, 1, CHUNK]], [[KEYS[0], None, CHUNK]]]),
        (5, [None, 0]),
    ],
)  # fmt: skip
def test_another_shape_of_a_top_is_refused(field: int, values: list[Any]) -> None:
    for value in values:
        assert top_changed(**{f"_{field}": value}) is Failure.SCHEMA, value


ENTRY: list[Any] = [1, 2, 3, 0, CHUNK, 0, []]


@pytest.mark.spec("ENG-10")
def test_parts_of_media_are_listed_once_and_in_order() -> None:
    for parts in itertools.product(MEDIA, repeat=2):
        page = by_hand([[KEYS[0], [[*ENTRY[:6], list(parts)]]]])
        if parts[0][0] < parts[1][0]:
            ((_, ref),) = parse_page(page, top())
            assert [[part.name, part.size] for part in ref.media] == list(parts)
        else:
            assert refused(parse_page, page, top()) is Failure.SCHEMA


@pytest.mark.parametrize(
    "page",
    [
        [], None, {}, [None], [[]], [[KEYS[0]]], [[KEYS[0], []]], [[KEYS[0], [ENTRY], 0]], [[b"", [ENTRY]]],
        [[None, [ENTRY]]], [[KEYS[0], [ENTRY[:5]]]], [[KEYS[0], [ENTRY[:6]]]], [[KEYS[0], [[*ENTRY, 0]]]],
        [[KEYS[0], [[-1, *ENTRY[1:]]]]], [[KEYS[0], [[1, 2**48, *ENTRY[2:]]]]], [[KEYS[0], [[1, 2, 0, *ENTRY[3:]]]]],
        [[KEYS[0], [[1, 2, 4097, *ENTRY[3:]]]]], [[KEYS[0], [[1, 2, 3, -1, *ENTRY[4:]]]]],
        [[KEYS[0], [[1, 2, 3, 2**32, *ENTRY[4:]]]]], [[KEYS[0], [[1, 2, 3, b"", *ENTRY[4:]]]]],
        [[KEYS[0], [[*ENTRY[:5], 4, []]]]], [[KEYS[0], [[*ENTRY[:5], -1, []]]]], [[KEYS[0], [[*ENTRY[:5], True, []]]]],
        [[KEYS[0], [[*ENTRY[:6], None]]]], [[KEYS[0], [[*ENTRY[:6], [PARTS[0]]]]]],
        [[KEYS[0], [[*ENTRY[:6], [[b"", 5]]]]]], [[KEYS[0], [[*ENTRY[:6], [[PARTS[0], 0]]]]]],
    ],
)  # fmt: skip
def test_another_shape_of_a_page_is_refused(page: Any) -> None:
    assert refused(parse_page, by_hand(page), top()) is Failure.SCHEMA


def test_every_field_of_a_top_is_required_and_a_newer_format_asks_for_an_upgrade() -> None:
    for key in TOP_FIELDS:
        short = by_hand({k: v for k, v in TOP_FIELDS.items() if k != key})
        assert refused(IndexTop.parse, short) is Failure.SCHEMA
    assert top_changed(_1=2) is Failure.NEWER_FORMAT


@given(
    st.lists(st.tuples(st.integers(0, 5), st.integers(0, 30)), min_size=1, max_size=40),
    st.integers(1, 6),
    st.integers(0, 6),
)
def test_the_pages_for_a_conversation_hold_every_frame_of_it(
    frames: list[tuple[int, int]], page_size: int, wanted: int
) -> None:
    """Against reading every page: entries are cut into pages anywhere, also in the middle of a conversation."""
    entries = [(bytes((key,)) * 16, FrameRef(time, time, 1, SEGMENTS[0], ChunkRef(0, 94, 80, bytes(32))))
               for key, time in sorted(frames)]  # fmt: skip
    pages = [entries[place : place + page_size] for place in range(0, len(entries), page_size)]
    fences = tuple(
        Fence(page[0][0], page[0][1].first, ChunkRef(number, 94, 80, bytes(32))) for number, page in enumerate(pages)
    )
    made = IndexTop.parse(IndexTop(ObjectRef(bytes(32), 5), (ObjectRef(SEGMENTS[0], 5),), fences).encode())
    key = bytes((wanted,)) * 16
    chosen = {fence.chunk.index for fence in made.pages_for(key)}
    needed = {number for number, page in enumerate(pages) if any(found == key for found, _ in page)}
    assert needed <= chosen
    # No page beyond those that could hold it: at most one before and one after.
    assert len(chosen) <= len(needed) + 2
    for page in pages:
        encoded = encode_page(page, {SEGMENTS[0]: 0})
        assert list(parse_page(encoded, made)) == page
        assert cbor.decode(encoded)[0][0] == page[0][0]


@given(*(st.integers(0, 20) for _ in range(4)))
def test_overlap_is_sharing_an_instant(first: int, last: int, since: int, until: int) -> None:
    first, last, since, until = *sorted((first, last)), *sorted((since, until))
    shared = set(range(first, last + 1)) & set(range(since, until + 1))
    assert frame(first, last, 1, 0).overlaps(since, until) is bool(shared)
