"""Rows as columns: what is accepted can be read again, what cannot is refused by its row."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from strongroom.columns import Columns, portions
from strongroom.encoding import Job, encode, rows_of
from strongroom_protocol.errors import InvalidArgument
from strongroom_protocol.limits import LIMITS
from strongroom_protocol.rows.frame import decode_frame, encode_frame
from strongroom_protocol.rows.model import INDEX_MAX, SEQ_MAX, TIME_MAX, Op, Row
from strongroom_protocol.rows.table import Frame

TEXTS = st.one_of(
    st.none(), st.text(max_size=12), st.text(st.characters(codec="utf-8"), max_size=6),
    st.sampled_from(("\ud800", "한국어 ퟿", "x" * (LIMITS.text_bytes + 1), "é" * (LIMITS.text_bytes // 2))),
)  # fmt: skip
NAMES = st.one_of(TEXTS, st.sampled_from(("0123456789abcdef", "n" * LIMITS.id_bytes, "é" * LIMITS.id_bytes)))
NUMBERS = st.one_of(st.integers(-1, 300), st.sampled_from((TIME_MAX, TIME_MAX + 1, SEQ_MAX, SEQ_MAX + 1, INDEX_MAX)))
CHATS = NAMES.map(lambda name: name or "")
IDS = st.one_of(NAMES, st.integers(-1, 10**18), st.sampled_from(("007", "7", "")))
DETAILS = st.one_of(
    st.none(), st.just({}), st.just({1: 5}), st.just({1: -5}), st.just({2: "name"}), st.just({2: 1.5}),
    st.just({99: ["kept"]}),
    st.recursive(st.just({200: 1}), lambda inner: st.builds(lambda value: {200: value}, inner), max_leaves=40),
)  # fmt: skip


@st.composite
def columns(draw: st.DrawFn) -> Columns:
    rows = draw(st.integers(1, 6))

    def column(values: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
        return st.one_of(st.none(), st.lists(values, min_size=rows, max_size=rows))

    return Columns(
        conversation=draw(
            st.one_of(st.just("c"), st.lists(st.sampled_from("ab"), min_size=rows, max_size=rows), CHATS)
        ),
        time=draw(st.lists(NUMBERS, min_size=rows, max_size=rows)),
        id=draw(column(IDS)), sender=draw(column(NAMES)), kind=draw(column(NUMBERS)), text=draw(column(TEXTS)),
        raw=draw(column(st.one_of(st.none(), st.binary(max_size=9)))), flags=draw(column(NUMBERS)),
        seq=draw(column(NUMBERS)), ordinal=draw(column(NUMBERS)), op=draw(column(st.integers(0, 8))),
        detail=draw(column(DETAILS)),
    )  # fmt: skip


def pack(given: Columns) -> dict[str, list[bytes]]:
    packed: dict[str, list[bytes]] = defaultdict(list)
    for conversation, portion in portions(given, 0, {}):
        packed[conversation].append(portion.data)
    return packed


def content(frame: Frame) -> list[Row]:
    return [
        row._replace(id=None if row.id is None else str(row.id), origin=row.origin._replace(hlc=0))
        for row in frame.rows()
    ]


@given(columns())
def test_what_is_accepted_can_be_read_again_and_is_the_same(given: Columns) -> None:
    try:
        packed = pack(given)
    except InvalidArgument:
        return
    total = 0
    for conversation, data in packed.items():
        rows = rows_of(conversation, data)
        read = decode_frame(encode_frame(conversation, rows))
        assert content(read) == content(rows)
        total += len(read)
    assert total == len(given)


GOOD: dict[str, Any] = {"conversation": "c", "time": [1000, 2000, 3000]}


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("time", [1, -1, 2]),
        ("time", [1, TIME_MAX + 1, 2]),
        ("time", [1, 2.5, 3]),
        ("conversation", ["a", "", "b"]),
        ("conversation", ["a", None, "b"]),
        ("conversation", ["a", "\udc00", "b"]),
        ("conversation", ["a", "c" * (LIMITS.id_bytes + 1), "b"]),
        ("text", ["a", b"b", "c"]),
        ("text", ["a", "half \ud83d", "c"]),
        ("text", ["a", "é" * (LIMITS.text_bytes // 2 + 1), "c"]),
        ("sender", [None, "s" * (LIMITS.id_bytes + 1), None]),
        ("sender", [None, "\ud83d", None]),
        ("id", [1, -2, 3]),
        ("id", [1, 10**18, 3]),
        ("id", ["1", "\ud83d", "3"]),
        ("kind", [0, 256, 0]),
        ("flags", [0, -1, 0]),
        ("ordinal", [0, INDEX_MAX + 1, 0]),
        ("seq", [0, SEQ_MAX + 1, 0]),
        ("op", [0, Op.FORGET, 0]),
        ("op", [0, Op.EDIT, 0]),
        ("raw", [None, "text", None]),
        ("raw", [None, bytes(LIMITS.raw_bytes + 1), None]),
        ("detail", [None, {}, None]),
        ("detail", [None, {2: 1.5}, None]),
        ("detail", [None, {200: "x" * 9_000_000}, None]),
    ],
)
def test_a_bad_row_is_refused_by_its_number(name: str, values: Sequence[Any]) -> None:
    with pytest.raises(InvalidArgument, match=r"row 102 "):
        list(portions(Columns(**GOOD | {name: values}), 100, {}))


def test_columns_of_different_lengths_are_refused() -> None:
    with pytest.raises(InvalidArgument, match="column text has 1 entries, time has 3"):
        list(portions(Columns(**GOOD | {"text": ["a"]}), 0, {}))


def test_numbers_as_ids_are_their_digits() -> None:
    texts = pack(Columns(conversation="c", time=[1, 2, 3], id=["5", "17", "3"]))
    numbers = pack(Columns(conversation="c", time=[1, 2, 3], id=[5, 17, 3]))
    plain = [encode_frame("c", rows_of("c", data["c"])) for data in (texts, numbers)]
    assert plain[0] == plain[1]
    mixed = pack(Columns(conversation="c", time=[1, 2, 3], id=["a", 17, None]))
    assert rows_of("c", mixed["c"]).id == ["a", "17", None]


def test_no_portion_spans_the_end_of_a_full_frame() -> None:
    many = Columns(conversation="c", time=range(10_000))
    assert [portion.rows for _, portion in portions(many, 0, {})] == [4096, 4096, 1808]
    assert [portion.rows for _, portion in portions(many, 0, {"c": 4000})] == [96, 4096, 4096, 1712]


def test_a_job_says_what_the_chat_list_shows_and_where_rows_come_from() -> None:
    rows = Columns(
        conversation="c", time=[3, 1, 2, 3], op=[0, 4, 0, 2], id=["m3", None, "m2", "m2"],
        text=["newest", "title", "older", None], sender=["s", None, "s", None], kind=[0, 2, 0, 0],
    )  # fmt: skip
    answer = encode(Job("c", pack(rows)["c"], True, [], 77, b"d" * 16, 5, 1000))
    assert (answer.written, answer.known) == ({0: 2, 4: 1, 2: 1}, 0)
    assert [row.text for row in decode_frame(answer.summary).rows()] == ["title", "newest", None]
    frames = [decode_frame(frame.framed) for frame in answer.frames]
    assert [row.origin.position for frame in frames for row in frame.rows()] == [1000, 1001, 1002, 1003]
    assert {(row.origin.hlc, row.origin.batch) for frame in frames for row in frame.rows()} == {(77, 5)}
    assert [frame.erases for frame in answer.frames] == [True]
