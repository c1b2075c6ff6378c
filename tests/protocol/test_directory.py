"""Directory pages: what a chat list shows (chapter 08)."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol.builders import random_bytes, refused
from protocol.test_cbor import by_hand
from strongroom_protocol.engine.directory import DirectoryRow, encode_rows, parse_rows
from strongroom_protocol.engine.hot import ColdPage, HotPage, places
from strongroom_protocol.engine.refs import ChunkRef, FrameRef, ObjectRef
from strongroom_protocol.errors import Failure
from strongroom_protocol.rows.model import Origin

ONE, TWO = random_bytes("segment one"), random_bytes("segment two")
CHUNK: list[Any] = [3, 700, 90, bytes(32)]


def frame(first: int, last: int, segment: bytes) -> FrameRef:
    return FrameRef(first, last, 5, segment, ChunkRef(3, 700, 90, bytes(32)))


ROWS = (
    DirectoryRow(random_bytes("a", 16), "a", "Ann", 1, 900, "see you", "ann", 12,
                 (frame(800, 900, TWO), frame(100, 799, ONE)), named=(77, Origin(5, bytes(16), 3, 1))),
    DirectoryRow(random_bytes("b", 16), "b", "", 0, 0, "", "", 0, (frame(5, 5, TWO),), 4),
    DirectoryRow(random_bytes("c", 16), "c", "Ann & Bob 🦔", 2, 7, "", "bob", 2**40, ()),
)  # fmt: skip
ROW: dict[int, Any] = {
    1: random_bytes("a", 16), 2: "a", 3: "Ann", 4: 1, 5: 900, 6: "see you", 7: "ann", 8: 12,
    9: [[800, 900, 5, 0, CHUNK], [100, 799, 5, 1, CHUNK]], 10: -1, 11: [77, 5, bytes(16), 3, 1],
}  # fmt: skip
OTHERS: list[dict[int, Any]] = [
    {1: random_bytes("b", 16), 2: "b", 3: "", 4: 0, 5: 0, 6: "", 7: "", 8: 0, 9: [[5, 5, 5, 0, CHUNK]], 10: 4,
     11: None},
    {1: random_bytes("c", 16), 2: "c", 3: "Ann & Bob 🦔", 4: 2, 5: 7, 6: "", 7: "bob", 8: 2**40, 9: [],
     10: -1, 11: None},
]  # fmt: skip
FIELDS: dict[int, Any] = {1: 1, 2: [TWO, ONE], 3: [ROW, *OTHERS]}


def row_changed(**other: Any) -> Failure:
    """How a page fails with other values in its first row, by number of field."""
    row = {**ROW, **{int(key[1:]): value for key, value in other.items()}}
    return refused(parse_rows, by_hand({**FIELDS, 3: [row, *OTHERS]}))


def test_pages_come_back_and_are_what_the_chapter_says() -> None:
    assert encode_rows(ROWS) == by_hand(FIELDS)
    assert parse_rows(by_hand(FIELDS)) == ROWS
    assert parse_rows(encode_rows(())) == ()


@pytest.mark.spec("ENG-9")
@pytest.mark.parametrize("number", [2, 3, 2**32 - 1])
def test_a_frame_lies_in_a_segment_of_the_table(number: int) -> None:
    assert row_changed(_9=[[1, 2, 3, number, CHUNK]]) is Failure.SCHEMA


@pytest.mark.spec("ENG-9")
def test_a_page_without_segments_has_no_frames() -> None:
    assert refused(parse_rows, by_hand({1: 1, 2: [], 3: [{**ROW, 9: [[1, 2, 3, 0, CHUNK]]}]})) is Failure.SCHEMA


@pytest.mark.spec("ENG-1")
def test_a_frame_does_not_end_before_it_begins() -> None:
    assert row_changed(_9=[[901, 900, 5, 0, CHUNK]]) is Failure.SCHEMA


GOOD = ROW[9][0]
NAMED: list[Any] = [1, 2, bytes(16), 3, 4]


@pytest.mark.parametrize(
    ("field", "values"),
    [
        (1, [b"", bytes(32), None]), (2, ["", "x" * 513, None, b"a"]), (3, ["x" * 513, "ü" * 257, None, b""]),
        (4, [-1, 2**32, None]), (5, [-1, 2**48]), (6, ["x" * 513, None]), (7, ["x" * 513, None]), (8, [-1, 2**40 + 1]),
        (9, [None, {}, [GOOD] * 17, [GOOD[:4]], [[*GOOD, 0]], [[-1, *GOOD[1:]]], [[1, 2, 0, 0, CHUNK]],
             [[1, 2, 4097, 0, CHUNK]], [[1, 2, 3, ONE, CHUNK]], [[1, 2, 3, -1, CHUNK]], [[1, 2, 3, 0, []]], [None]]),
        (10, [-2, 2**48, None]), (12, [None, 0]),
        (11, [0, [], NAMED[:4], [*NAMED, 5], [-1, *NAMED[1:]], [2**48, *NAMED[1:]], [1, 2**63, *NAMED[2:]],
              [1, 2, bytes(15), 3, 4], [1, 2, bytes(16), 2**53, 4], [*NAMED[:4], 2**32], [*NAMED[:4], None]]),
    ],
)  # fmt: skip
def test_another_shape_of_a_row_is_refused(field: int, values: list[Any]) -> None:
    for value in values:
        assert row_changed(**{f"_{field}": value}) is Failure.SCHEMA, value


@pytest.mark.parametrize(
    ("field", "values"),
    [
        (1, [0, None]), (2, [None, {}, [b""], [bytes(33)], [1]]), (3, [None, {}, [None], [[]], [{**OTHERS[1]}] * 4097]),
        (4, [None, 0]),
    ],
)  # fmt: skip
def test_another_shape_of_a_page_is_refused(field: int, values: list[Any]) -> None:
    for value in values:
        assert refused(parse_rows, by_hand({**FIELDS, field: value})) is Failure.SCHEMA


def test_every_field_is_required_and_a_newer_format_asks_for_an_upgrade() -> None:
    for key in FIELDS:
        assert refused(parse_rows, by_hand({k: v for k, v in FIELDS.items() if k != key})) is Failure.SCHEMA
    for key in ROW:
        short = {k: v for k, v in ROW.items() if k != key}
        assert refused(parse_rows, by_hand({**FIELDS, 3: [short]})) is Failure.SCHEMA
    assert refused(parse_rows, by_hand({**FIELDS, 1: 2})) is Failure.NEWER_FORMAT


@given(st.text(max_size=20), st.text(max_size=20))
def test_no_row_has_a_say_in_the_size_of_another(title: str, preview: str) -> None:
    """Rows lie side by side uncompressed: a page is as long as its rows are, whatever stands in the others."""

    def row(key: str, title: str, preview: str) -> DirectoryRow:
        return DirectoryRow(random_bytes(key, 16), key, title, 0, 1, preview, "", 1, ())

    alone = [len(encode_rows([made])) for made in (row("a", title, preview), row("b", "secret", "word"))]
    together = len(encode_rows([row("a", title, preview), row("b", "secret", "word")]))
    assert together == sum(alone) - len(encode_rows(()))


KEYS = [bytes((number,)) * 16 for number in range(3)]
COLD: list[Any] = [[[random_bytes("cold"), 400], 30], [[random_bytes("later"), 300], 2]]
MAP = KEYS[0][:4] + b"\0\1" + KEYS[1][:4] + b"\0\0" + KEYS[1][:4] + b"\0\1"
HOT: dict[int, Any] = {**FIELDS, 4: COLD, 5: MAP}


def test_hot_pages_come_back_and_are_what_the_chapter_says() -> None:
    cold = tuple(ColdPage(ObjectRef(name, size), rows) for (name, size), rows in COLD)
    made = HotPage(ROWS, cold, places([(KEYS[1], 1), (KEYS[0], 1), (KEYS[1], 0), (KEYS[1][:4] + bytes(12), 0)]))
    assert made.encode() == by_hand(HOT)
    assert HotPage.parse(by_hand(HOT)) == made
    assert [made.pages_of(key) for key in KEYS] == [(1,), (0, 1), ()]
    assert HotPage.parse(HotPage().encode()) == HotPage()


@pytest.mark.spec("ENG-11")
@pytest.mark.parametrize("data", [MAP[:-1], MAP[:1], MAP + b"\xff", MAP[:6] + b"\xff" * 3])
def test_a_map_is_of_whole_entries(data: bytes) -> None:
    assert refused(HotPage.parse, by_hand({**HOT, 5: data})) is Failure.SCHEMA


@pytest.mark.spec("ENG-12")
@pytest.mark.parametrize("data", [MAP[6:] + MAP[:6], MAP[:6] * 2, MAP[12:] + MAP[6:12]])
def test_a_map_rises(data: bytes) -> None:
    assert refused(HotPage.parse, by_hand({**HOT, 5: data})) is Failure.SCHEMA


@pytest.mark.spec("ENG-13")
@pytest.mark.parametrize(("pages", "data"), [(0, MAP), (1, MAP), (2, MAP + b"\2\2\2\2\0\2"), (2, bytes(4) + b"\1\0")])
def test_a_map_names_pages_of_the_list(pages: int, data: bytes) -> None:
    assert refused(HotPage.parse, by_hand({**HOT, 4: COLD[:pages], 5: data})) is Failure.SCHEMA


@pytest.mark.parametrize(
    ("field", "values"),
    [(4, [None, {}, [None], [[]], [COLD[0][:1]], [[*COLD[0], 0]], [[COLD[0][0], -1]], [COLD[0]] * 4097]),
     (5, [None, [], "x"]), (6, [None, 0])],
)  # fmt: skip
def test_another_shape_of_a_hot_page_is_refused(field: int, values: list[Any]) -> None:
    for value in values:
        assert refused(HotPage.parse, by_hand({**HOT, field: value})) is Failure.SCHEMA
    for key in HOT:
        assert refused(HotPage.parse, by_hand({k: v for k, v in HOT.items() if k != key})) is Failure.SCHEMA
