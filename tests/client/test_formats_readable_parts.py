"""What readable exports say beside a text."""

from __future__ import annotations

from strongroom.formats.readable_parts import Note, notes

GROUP_MADE = {28: {1: "create_group", 2: "ann", 3: ["bob"], 4: {"title": "Climbing"}}}


def _named(person: str | None, _told: str | None = None) -> str:
    return (person or "").title()


def test_an_event_is_said_in_words_and_its_sender_once() -> None:
    by_sender = list(notes(GROUP_MADE, _named, said="", event=True, sender="ann"))
    assert by_sender == [Note("event", "create group Bob Climbing")]
    by_another = list(notes(GROUP_MADE, _named, said="", event=True, sender="eve"))
    by_nobody = list(notes(GROUP_MADE, _named, said="", event=True))
    assert by_another == by_nobody == [Note("event", "Ann create group Bob Climbing")]
