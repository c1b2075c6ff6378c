"""WhatsApp exports, by the facts of the format: heads, orders of dates, clocks, lines, names."""

from __future__ import annotations

from pathlib import Path

import pytest

from strongroom_protocol.errors import ImportRefused
from strongroom_protocol.rows.model import ConversationKind, Flag, Kind, Op
from whatsapp_exports import (
    ARABIC,
    AT,
    PERSIAN,
    days,
    file,
    one,
    puts,
    read,
    settled,
    when,
)


@pytest.mark.parametrize(
    ("dates", "expected", "order", "why"),
    [
        (["13/01/2024"], ["2024-01-13"], "dmy", "numbers"),
        (["01/13/2024"], ["2024-01-13"], "mdy", "numbers"),
        (["2024/01/13"], ["2024-01-13"], "ymd", "numbers"),
        (["2024/13/01"], ["2024-01-13"], "ydm", "numbers"),
        (["30/04/24", "01/05/24"], ["2024-04-30", "2024-05-01"], "dmy", "numbers"),
        (["05/01/2024", "02/02/2024"], ["2024-01-05", "2024-02-02"], "dmy", "lines"),
        (["02/05/2024", "03/01/2024"], ["2024-02-05", "2024-03-01"], "mdy", "lines"),
        (["24/01/31", "24/02/01", "24/03/01"], ["2024-01-31", "2024-02-01", "2024-03-01"], "ymd", "lines"),
        (["01.02.24"], ["2024-02-01"], "dmy", "marks"),
        (["01/02/2024", "02/02/2024", "03/02/2024"], ["2024-02-01", "2024-02-02", "2024-02-03"], "dmy", "gaps"),
        (["02/01/2024", "02/02/2024", "02/03/2024"], ["2024-02-01", "2024-02-02", "2024-02-03"], "mdy", "gaps"),
        (["01/02/2024"], ["2024-02-01"], "dmy", "usual"),
    ],
)  # fmt: skip
def test_the_order_is_settled_over_the_whole_file(
    dates: list[str], expected: list[str], order: str, why: str, tmp_path: Path
) -> None:
    rows, report = read(file(tmp_path, "".join(f"{day}, 10:30 - Ann: hi\n" for day in dates)))
    assert days(puts(rows)) == expected
    assert (settled(rows)["order"], settled(rows)["order_by"]) == (order, why)
    assert bool(report.warnings) == (why in ("gaps", "usual"))
    assert len(report.notes) == 1


def test_the_american_way_of_writing(tmp_path: Path) -> None:
    rows, report = read(file(tmp_path, "1/5/24, 9:30 PM - Ann: hi\n"))
    assert days(puts(rows)) == ["2024-01-05"]
    assert settled(rows) == {
        "order": "mdy", "order_by": "habit", "clock": "12", "zone": "unknown, read as UTC", "precision": "minute",
        "calendar": "gregorian",
    }  # fmt: skip
    assert "--option order=dmy" in report.warnings[0]


def test_the_order_and_zone_that_are_given(tmp_path: Path) -> None:
    path = file(tmp_path, "05/06/2024, 10:30 - Ann: hi\n")
    rows, report = read(path, order="mdy", zone="Europe/Berlin")
    assert puts(rows)[0].time == when(2024, 5, 6, 8, 30).timestamp() * 1000
    assert puts(rows)[0].flags == Flag.MINUTES  # so that an export shows it in the reader's zone
    assert (settled(rows)["order_by"], settled(rows)["zone"]) == ("given", "Europe/Berlin")
    assert report.warnings == []
    assert puts(read(path, order="mdy", zone="-03:30")[0])[0].time == when(2024, 5, 6, 14, 0).timestamp() * 1000


@pytest.mark.parametrize(
    "options", [{"order": "dym"}, {"order": "ymd"}, {"order": "mdy"}, {"zone": "Mars/Olympus"}, {"zone": "../x"}]
)
def test_options_that_do_not_fit(options: dict[str, str], tmp_path: Path) -> None:
    with pytest.raises(ImportRefused) as refused:
        read(file(tmp_path, "15/06/2024, 10:30 - Ann: hi\n"), **options)
    assert refused.value.hint


def test_an_option_that_nobody_knows(tmp_path: Path) -> None:
    _, report = read(file(tmp_path, f"{AT}Ann: hi\n"), ordr="mdy")
    assert report.warnings == ["WhatsApp has no option ordr"]


def test_the_hour_that_the_end_of_summer_time_repeats(tmp_path: Path) -> None:
    lines = ["01:30", "02:10", "02:50", "02:20", "03:10"]
    rows, _ = read(file(tmp_path, "".join(f"27/10/2024, {at} - Ann: {at}\n" for at in lines)), zone="Europe/Berlin")
    utc = [(23, 30), (24, 10), (24, 50), (25, 20), (26, 10)]
    assert [row.time for row in puts(rows)] == [
        (int(when(2024, 10, 26).timestamp()) + (hour * 60 + minute) * 60) * 1000 for hour, minute in utc
    ]


@pytest.mark.parametrize(
    ("head", "expected", "calendar"),
    [
        ("15/1/2567, 10:30 - ", "2024-01-15", "buddhist"),
        ("۱۴۰۲/۱۰/۲۵, ۱۰:۳۰ - ", "2024-01-15", "persian"),
        ("1403/01/01, 10:30 - ", "2024-03-20", "persian"),
        ("1402/12/29, 10:30 - ", "2024-03-19", "persian"),
        ("1445/07/03, 10:30 - ", "2024-01-14", "hijri"),  # as the arithmetic calendar says; by the moon it was the 15th
    ],
)
def test_other_calendars_are_read_and_told(head: str, expected: str, calendar: str, tmp_path: Path) -> None:
    rows, report = read(file(tmp_path, f"{head}Ann: hi\n"))
    assert days(puts(rows)) == [expected]
    assert settled(rows)["calendar"] == calendar
    assert any(calendar.capitalize() in warning for warning in report.warnings)


@pytest.mark.parametrize("digits", [ARABIC, PERSIAN])
def test_digits_of_other_scripts(digits: dict[int, int], tmp_path: Path) -> None:
    assert one(tmp_path, f"{AT.translate(digits)}Ann: 15\n")[1:7] == one(tmp_path, f"{AT}Ann: 15\n")[1:7]


@pytest.mark.parametrize(
    ("written", "hour"),
    [
        ("12:05 AM", 0),
        ("12:05 PM", 12),
        ("00:05 a. m.", 0),
        ("13:05 PM", 13),
        ("上午12:05", 0),
        ("下午12:05", 12),
        ("凌晨3:05", 3),
        ("晚上11:05", 23),
        ("中午12:05", 12),
        ("中午1:05", 13),
        ("午後3:05", 15),
        ("오후 3:05", 15),
        ("3:05 ΜΜ", 15),
        ("3:05 μ.μ.", 15),
        ("3:05 م", 15),
        ("3:05 em", 15),
        ("3:05 du.", 15),
        ("3:05 CH", 15),
        ("24:05", 0),
        ("3.05", 3),
        ("3 h 05", 3),
    ],
)
def test_clocks(written: str, hour: int, tmp_path: Path) -> None:
    assert one(tmp_path, f"15/01/2024, {written} - Ann: hi\n").time == when(2024, 1, 15, hour, 5).timestamp() * 1000


@pytest.mark.spec("IMP-31")
def test_a_quoted_chat_stays_in_its_message(tmp_path: Path) -> None:
    quoted = (
        "look:\n[15/01/2024, 10:31:02] Bob: forged\n1/15/24, 10:31 PM - Bob: forged\n31/02/2024, 10:00 - Bob: forged"
    )
    rows, report = read(
        file(tmp_path, f"{AT}Ann: {quoted}\n15/01/2024, 10:31 - Bob: real\n16/01/2024, 08:00 - Ann: yes\n")
    )
    assert [(row.sender, row.text) for row in puts(rows)] == [("Ann", quoted), ("Bob", "real"), ("Ann", "yes")]
    assert any("as the others are: 2;" in warning for warning in report.warnings)


def test_lines_before_the_first_head_and_bytes_that_are_no_text(tmp_path: Path) -> None:
    content = (
        b"\xef\xbb\xbfsaved by me\n" + AT.encode() + b"Ann: caf\xe9\r\nna\0ve\r\n" + AT.encode() + b"Ann: \xef\xbf\xbd"
    )
    rows, report = read(file(tmp_path, content))
    first, second, third = puts(rows)
    assert (first.kind, first.flags & Flag.DAYS, first.time) == (Kind.UNSUPPORTED, Flag.DAYS, second.time)
    assert first.flags & Flag.INHERITED
    assert (second.text, third.text) == ("caf\ufffd\nna\0ve", "\ufffd")
    assert b"".join(row.raw or b"" for row in puts(rows)) == content
    assert [warning for warning in report.warnings if "UTF-8" in warning] == [
        "Ann: messages that are not UTF-8: 1; replacement characters are shown, their bytes are kept"
    ]
    assert report.not_understood == 1


def test_a_message_that_is_too_long_for_one(tmp_path: Path) -> None:
    rows, report = read(
        file(tmp_path, f"{AT}Ann: {'a' * 1_100_000}\n{AT}Ann: b\n{'c' * 3_000_000}\n{'d' * 3_000_000}\n")
    )
    assert [(row.kind, row.text) for row in puts(rows)] == [(Kind.UNSUPPORTED, None)] * 3
    assert sum(len(row.raw or b"") for row in puts(rows)) == 7_100_000 + 2 * len(AT) + 5 + 5 + 1 + 4
    assert report.not_understood == 3


@pytest.mark.parametrize(
    ("line", "sender", "text"),
    [
        ("Ann: a: b", "Ann", "a: b"),
        ("~ Eve: hi", "~ Eve", "hi"),
        ("~\u202fEve: hi", "~ Eve", "hi"),
        ("\u202a+49 170 1234567\u202c: hi", "+49 170 1234567", "hi"),
        ("\u202bאבי\u202c: שלום", "אבי", "שלום"),
        ("🦊: ", "🦊", ""),
        ("Messages are gone", None, "Messages are gone"),
        ('Bob changed the subject to "Trip: Rome"', None, 'Bob changed the subject to "Trip: Rome"'),
        (f"{'x' * 101}: hi", None, f"{'x' * 101}: hi"),
    ],
)
def test_names(line: str, sender: str | None, text: str, tmp_path: Path) -> None:
    row = one(tmp_path, f"{AT}{line}\n")
    assert (row.sender, row.text) == (sender, text)


def test_names_with_a_colon(tmp_path: Path) -> None:
    lines = [
        "Ann: work: hi",
        "Bob: note: buy milk",
        "Ann: work: note: yes",
        "Bob: ok",
        "Ann: work: bye",
        "Bob: note: done",
    ]
    rows, report = read(file(tmp_path, "".join(f"{AT}{line}\n" for line in lines), "WhatsApp Chat with Trip.txt"))
    assert [(row.sender, row.text) for row in puts(rows)] == [
        ("Ann: work", "hi"), ("Bob", "note: buy milk"), ("Ann: work", "note: yes"), ("Bob", "ok"), ("Ann: work", "bye"),
        ("Bob", "note: done"),
    ]  # fmt: skip
    assert any("colon" in warning for warning in report.warnings)
    titled = file(tmp_path / "t", f"{AT}Ann: work: hi\n", "WhatsApp Chat with Ann: work.txt")
    assert puts(read(titled)[0])[0][4:7] == ("Ann: work", Kind.TEXT, "hi")


def test_people_and_who_is_me(tmp_path: Path) -> None:
    path = file(tmp_path, f"{AT}Ann: a\n{AT}~ Eve: b\n{AT}+49 170 1234567: c\n{AT}Ann: d\n")
    rows, _ = read(path, me="Ann")
    members = {row.sender: (row.text, row.detail) for _, row in rows if row.op == Op.MEMBER}
    assert members == {
        "Ann": ("Ann", {8: True}),
        "~ Eve": ("Eve", None),
        "+49 170 1234567": ("+49 170 1234567", {5: "+49 170 1234567"}),
    }
    assert [row.flags & (Flag.INCOMING | Flag.OUTGOING) for row in puts(rows)] == [32, 16, 16, 32]
    assert rows[0][1].kind == ConversationKind.GROUP
    assert "called as the option me" in "".join(read(path, me="Bob")[1].warnings)
