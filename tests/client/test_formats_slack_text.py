"""mrkdwn as people read it: what stays, what goes, where the spans are; never slow."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from strongroom.formats.slack.text import Names, emoji, readable

NAMES = Names({"U1": "Ann", "W2": "Bob B"}.get, {"C1": "general"}.get)


def spans(source: str) -> list[tuple[str, str, str | None]]:
    """(text, type, target) of every span."""
    found = readable(source, NAMES)
    return [(found.text[span[1] : span[1] + span[2]], span[3], span.get(4)) for span in found.spans]


@pytest.mark.parametrize(
    ("source", "text", "found"),
    [
        ("plain", "plain", []),
        ("a &lt;b&gt; &amp;amp; c", "a <b> &amp; c", []),
        ("<@U1> hi", "@Ann hi", [("@Ann", "mention", "U1")]),
        ("<@U9|eve>", "@eve", [("@eve", "mention", "U9")]),
        ("<@U9>", "@U9", [("@U9", "mention", "U9")]),
        ("<#C1>", "#general", [("#general", "channel", "C1")]),
        ("<#C1|>", "#general", [("#general", "channel", "C1")]),
        ("<#C9|other>", "#other", [("#other", "channel", "C9")]),
        ("<!here>", "@here", [("@here", "broadcast", "here")]),
        ("<!channel|@all>", "@all", [("@all", "broadcast", "channel")]),
        ("<!subteam^S1|@ops>", "@ops", [("@ops", "group", "S1")]),
        ("<!date^1700000000^{date}|then>", "then", [("then", "date", "1700000000")]),
        ("<https://x.example/?a=1&amp;b=2>", "https://x.example/?a=1&b=2", [("https://x.example/?a=1&b=2", "link", "https://x.example/?a=1&b=2")]),
        ("<https://x.example|a &gt; b>", "a > b", [("a > b", "text_link", "https://x.example")]),
        ("<mailto:a@x.example>", "a@x.example", [("a@x.example", "link", "mailto:a@x.example")]),
        ("*b* _i_ ~s~", "b i s", [("b", "bold", None), ("i", "italic", None), ("s", "strikethrough", None)]),
        ("*a _b_ c*.", "a b c.", [("a b c", "bold", None), ("b", "italic", None)]),
        ("snake_case_name 2*3*4 a~b", "snake_case_name 2*3*4 a~b", []),
        ("* a * b", "* a * b", []),
        ("*one\ntwo*", "*one\ntwo*", []),
        ("**", "**", []),
        ("`*a* <@U1>`", "*a* <@U1>", [("*a* <@U1>", "code", None)]),
        ("```x = &lt;1&gt;\n*y*```", "x = <1>\n*y*", [("x = <1>\n*y*", "pre", None)]),
        ("*<@U1>*", "@Ann", [("@Ann", "mention", "U1"), ("@Ann", "bold", None)]),
        (":tada: :our-logo: 10:30:45", "\N{PARTY POPPER} :our-logo: 10:30:45", []),
        ("<>", "<>", []),
        ("a < b", "a < b", []),
    ],
)  # fmt: skip
def test_what_people_read(source: str, text: str, found: list[tuple[str, str, str | None]]) -> None:
    assert readable(source, NAMES).text == text
    assert sorted(spans(source), key=str) == sorted(found, key=str)


def test_mentions_in_order_and_once() -> None:
    assert readable("<@W2> <@U1> <@W2> <@U9>", NAMES).mentions == ["W2", "U1", "U9"]


@pytest.mark.parametrize(
    ("name", "sign"),
    [
        ("+1", "\N{THUMBS UP SIGN}"),
        ("thumbsup", "\N{THUMBS UP SIGN}"),
        ("heart", "\N{HEAVY BLACK HEART}\N{VARIATION SELECTOR-16}"),
        ("hash", "#\N{VARIATION SELECTOR-16}\N{COMBINING ENCLOSING KEYCAP}"),
        ("wave::skin-tone-6", "\N{WAVING HAND SIGN}\N{EMOJI MODIFIER FITZPATRICK TYPE-6}"),
        ("wave::skin-tone-9", None),
        ("our-logo", None),
        ("our-logo::skin-tone-2", None),
        ("", None),
    ],
)
def test_names_of_emoji(name: str, sign: str | None) -> None:
    assert emoji(name) == sign


MARKUP = st.text(alphabet="ab \n*_~`<>@#!|&lt;amp:U1^") | st.text()


@given(MARKUP)
def test_spans_lie_within_the_text(source: str) -> None:
    found = readable(source, NAMES)
    for span in found.spans:
        assert span[1] >= 0
        assert span[2] > 0
        assert span[1] + span[2] <= len(found.text)
    assert all(a[1] <= b[1] for a, b in pairwise(found.spans))


@given(st.text())
def test_what_slack_escapes_comes_back(text: str) -> None:
    """Letters and digits of every script and what is escaped; marks of formatting are another matter."""
    plain = "".join(letter for letter in text if letter not in "*_~`:")
    source = plain.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    assert readable(source, NAMES) == (plain, [], [])


@pytest.mark.parametrize("part", ["<", "`", "```", "*", "*a", "_a ", "~*_", ":q", ":", "&", "&lt", "<@", "*a\n", "` `"])
def test_long_texts_of_marks_come_to_an_end(part: str) -> None:
    """Work that grows with the square of these lengths would take hours."""
    source = part * 100_000
    found = readable(source, NAMES)
    shown = found.text.replace("`", "").replace("*", "").replace("_", "").replace("~", "")
    assert shown == source.replace("`", "").replace("*", "").replace("_", "").replace("~", "")
