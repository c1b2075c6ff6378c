"""`strongroom import` of a WhatsApp chat, as a person sees it."""

from __future__ import annotations

from pathlib import Path

import pytest

from cli.command import Person

LINES = """\
1/5/24, 9:30\u202fPM - Messages and calls are end-to-end encrypted. No one outside of this chat can read them.
1/5/24, 9:31\u202fPM - Ann: Dinner
at seven?
1/6/24, 8:00\u202fAM - Bob: <Media omitted>
1/5/2024, 8:00 - Bob: looks like one
"""


@pytest.fixture(scope="module")
def cara(tmp_path_factory: pytest.TempPathFactory) -> Person:
    person = Person(tmp_path_factory.mktemp("cara"))
    person.init(f"file://{person.folder}/store", "cara")
    person.write("WhatsApp Chat with Ann.txt", LINES)
    return person


def test_the_report_says_how_it_was_read(cara: Person) -> None:
    run = cara.run("import", "WhatsApp Chat with Ann.txt", "--vault", "vault")
    assert run.out == (
        "7 records added, 0 were there already\n"
        "read 3 records of 1 file, 0 not understood\n"
        "Ann: dates are month, day, year (guessed by the way dates are written), 12-hour clock, exact to the minute, "
        "times taken as UTC, for the file has no zone (--option zone=Europe/Berlin, then with every import)\n"
        "warning: Ann: the order of day and month is not certain; if dates are wrong: strongroom undo, then "
        "--option order=dmy or --option order=ymd\n"
        "warning: Ann: lines that look like messages, but are not written as the others are: 1; each was kept as text "
        "of the message before it\n"
    )
    assert "0 records added" in cara.run("import", "WhatsApp Chat with Ann.txt", "--vault", "vault").out
    shown = cara.run("show", "Ann", "--vault", "vault").out
    assert "Ann: Dinner" in shown
    assert "omitted]" in shown


def test_options_reach_the_format(cara: Person) -> None:
    data = cara.json(
        "import", "WhatsApp Chat with Ann.txt", "--vault", "vault", "--chat", "whatsapp:other", "--option", "order=dmy",
        "--option", "zone=Europe/Berlin",
    )  # fmt: skip
    assert data["report"]["notes"] == [
        "Ann: dates are day, month, year (as the option says), 12-hour clock, exact to the minute, "
        "times of Europe/Berlin"
    ]
    first = cara.json("show", "whatsapp:other", "--vault", "vault")["messages"][0]
    assert first["time"] == 1_714_591_800_000  # 2024-05-01 21:30 in Berlin, in UTC


@pytest.mark.parametrize("option", ["order", "=mdy", "order=xyz"])
def test_options_that_are_none(cara: Person, option: str) -> None:
    refused = cara.run("import", "WhatsApp Chat with Ann.txt", "--vault", "vault", "--option", option, expect=None)
    assert refused.code == 2
    assert "hint: " in refused.err


def test_a_text_that_is_no_chat(cara: Person, tmp_path: Path) -> None:
    cara.write("letter.txt", "Dear Ann,\n")
    refused = cara.run("import", "letter.txt", "--format", "whatsapp", "--vault", "vault", expect=2)
    assert "no line begins with a date and time" in refused.err
    assert "_chat.txt" in refused.err


def test_an_export_read_in_another_zone_is_warned_of_and_taken_back(tmp_path: Path) -> None:
    person = Person(tmp_path)
    person.init(f"file://{tmp_path}/store", "dan")
    lines = "".join(f"15/01/2024, 10:{minute:02} - Ann: number {minute}\n" for minute in range(30))
    chat = person.write("WhatsApp Chat with Ann.txt", lines)
    first = person.run("import", chat, "--vault", "vault", "--json").data
    assert (first["known"], first["perhaps_twice"]) == (0, [])
    again = person.run("import", chat, "--vault", "vault", "--json").data
    assert (again["known"], again["perhaps_twice"]) == (30, [])
    longer = person.write("WhatsApp Chat with Ann.txt", lines + lines.replace("15/01", "25/01"))
    newer = person.run("import", longer, "--vault", "vault", "--json").data
    assert (newer["known"], newer["perhaps_twice"]) == (30, [])
    version = person.run("status", "--vault", "vault", "--json").data["version"]

    other = person.run("import", longer, "--vault", "vault", "--option", "zone=Europe/Berlin")
    assert "warning: Ann: about as many messages came as there were, and none much newer" in other.out
    back = ("undo", "--to", str(version), "--all-after", "--yes", "--vault", "vault", "--passphrase-file", "pw")
    person.run(*back)
    shown = person.run("show", "Ann", "--last", "1000", "--vault", "vault", "--json").data["messages"]
    assert len(shown) == 60
