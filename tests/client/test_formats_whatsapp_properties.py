"""WhatsApp exports that Hypothesis makes up: whatever phone wrote them, what was said comes out."""

from __future__ import annotations

import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from strongroom.formats import detect
from strongroom_protocol.errors import ImportRefused
from strongroom_protocol.rows.ids import message_id
from strongroom_protocol.rows.model import Flag, Kind, Op
from whatsapp_exports import LRM, PHONES, Phone, Said, chat, file, milliseconds, puts, read, settled

NAMES = ["Ann", "Bob Lee", "~ Eve", "+49 170 1234567", "אבי", "王小明", "Zoë 🎉", "O'Neil - work"]
WORDS = st.sampled_from(
    [
        "hello",
        "see you at 10:30 - ok?",
        "مرحبا كيف حالك",
        "שלום",
        "你好。",
        "ありがとう",
        "👍🏽👨‍👩‍👧",
        "a: b: c",
        "50% (maybe)",
        "x < y",
    ]
)
LINE = st.builds(
    "w{}{}".format,
    WORDS,
    st.text(st.characters(exclude_categories=["Cc", "Cs", "Cf", "Zl", "Zp", "Zs"]), max_size=12),
)
TEXT = st.lists(LINE | st.just("") | st.just("[12/13/20"), min_size=1, max_size=4).map(
    lambda lines: "w" + "\n".join(lines) + "w"
)
STEPS = st.lists(st.tuples(st.integers(0, 200_000), st.sampled_from(NAMES), TEXT), min_size=1, max_size=12)
START = st.datetimes(datetime(2012, 1, 1), datetime(2026, 1, 1)).map(
    lambda at: at.replace(day=13 + at.day % 15, microsecond=0, tzinfo=UTC)
)


@settings(max_examples=250, deadline=None)
@given(st.sampled_from(PHONES), START, STEPS, st.sampled_from(["\n", "\r\n"]), st.booleans(), st.booleans())
def test_what_was_said_comes_out(
    phone: Phone, start: datetime, steps: list[tuple[int, str, str]], newline: str, bom: bool, marked: bool
) -> None:
    said, at = [], start
    for seconds, sender, text in steps:
        said.append(Said(at, sender, text))
        at += timedelta(seconds=seconds)
    content = chat(phone, said, newline=newline, bom=bom, mark=LRM if marked else "")
    with tempfile.TemporaryDirectory() as place:
        path = file(Path(place), content)
        assert detect(path).name == "whatsapp"
        rows, report = read(path)
        assert read(path)[0] == rows
    found = puts(rows)
    assert [(row.time, row.sender, row.text) for row in found] == [
        (milliseconds(item, phone), item.sender, item.text) for item in said
    ]
    assert b"".join(row.raw or b"" for row in found) == content
    assert {row.flags for row in found} == {int((Flag.SECONDS if phone.seconds else Flag.MINUTES) | Flag.ZONE_UNKNOWN)}
    assert len({message_id("c", row) for row in found}) == len(said)
    assert report.records == len(said)
    assert report.not_understood == 0
    assert settled(rows)["order_by"] == "numbers"
    order = [(row.time, row.seq) for row in found]
    assert order == sorted(order)


@settings(max_examples=150, deadline=None)
@given(
    st.lists(
        st.binary(max_size=40)
        | st.sampled_from(
            [
                b"1/1/20, 10:00 - Ann: hi",
                b"[1/1/20, 10:00:00] Ann: <attached: x",
                b"\xe2\x80\x8e[",
                b"31/31/31, 10:00 - x",
                b"1/1/20, 99:99 - A: b",
                b"1/1/20, 10:00 - Ann: POLL:\nq\nOPTION: a (1 vote)",
                b"1/1/20, 10:00 - : ",
                b"1/1/20, 10:00 - Ann:",
                b"1/1/20, 10:00 - ",
            ]
        ),
        max_size=8,
    )
)
def test_no_bytes_are_lost_or_make_it_fail(lines: list[bytes]) -> None:
    content = b"\n".join(lines)
    with tempfile.TemporaryDirectory() as place:
        path = file(Path(place), content)
        try:
            rows, report = read(path)
        except ImportRefused:
            return
    assert b"".join(row.raw or b"" for row in puts(rows)) == content
    kinds = [row.kind for row in puts(rows)]
    assert report.not_understood == kinds.count(Kind.UNSUPPORTED)
    assert {row.op for _, row in rows} <= {Op.PUT, Op.CONVERSATION, Op.MEMBER, Op.SOURCE}


@pytest.mark.parametrize("phone", PHONES, ids=lambda phone: phone.name)
def test_every_hour_of_the_day(phone: Phone, tmp_path: Path) -> None:
    said = [Said(datetime(2024, 3, 17, hour, 5, 9, tzinfo=UTC), "Ann", f"at {hour}") for hour in range(24)]
    rows, report = read(file(tmp_path, chat(phone, said)))
    assert [row.time for row in puts(rows)] == [milliseconds(item, phone) for item in said]
    assert settled(rows)["clock"] == ("12" if "{half}" in phone.form else "24")
    assert report.warnings == []
