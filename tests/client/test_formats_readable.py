"""Exports for reading: all of a message is in them, and no word of it is more than a word (chapter 06)."""

from __future__ import annotations

import asyncio
import io
import re
import tracemalloc
from collections import Counter
from collections.abc import Callable, Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hostile_words import PAYLOADS
from strongroom import InvalidArgument, NotFound
from strongroom.exporting import exporter
from strongroom.formats.export_json import Chat
from strongroom.formats.export_txt import export_txt
from strongroom.formats.html import export_html
from strongroom.formats.html.media import PlacedFile, file_markup
from strongroom.formats.html.words import linked
from strongroom.formats.names import inert
from strongroom.formats.readable import People
from strongroom.formats.readable_parts import ShownFile
from strongroom.formats.visible import visible
from strongroom_protocol.rows.merge import Order, fold
from strongroom_protocol.rows.model import DeleteKind, Flag, Kind, Op, Origin, Row
from vaults import Bench

START = 1_700_000_000_000
FIRST = re.compile(r"\d\d:\d\d(:\d\d)?  |--- \d{4}-\d\d-\d\d [A-Z][a-z]+day ---$| {10}\S| {8}\|( |$)|$")
"""How a line of a text may begin, its head and end aside."""

ROWS = [
    Row(Op.PUT, START, id="1", sender="ann", text="Dinner at seven?"),
    Row(Op.EDIT, START, id="1", sender="ann", text="Dinner at eight?\nOr nine", detail={1: START + 5000}),
    Row(Op.PUT, START + 60_000, id="2", sender="bob", text="yes 你好 שלום 👋", detail={5: {3: "ann", 4: "Dinner?"}}),
    Row(Op.REACT, START + 60_000, id="2", sender="ann", kind=1, text="👍", detail={1: START + 9}),
    Row(Op.PUT, START + 120_000, id="3", kind=Kind.SYSTEM, text="bob added eve"),
    Row(Op.PUT, START + 180_000, id="4", sender="eve", detail={21: {1: "When?", 2: [{1: "now", 2: 2}]}}),
    Row(Op.PUT, START + 240_000, id="5", sender="eve", text="gone soon"),
    Row(Op.DELETE, START + 240_000, id="5", kind=DeleteKind.BY_SENDER, detail={1: START + 300_000}),
    Row(Op.PUT, START + 300_000, id="6", sender="eve", kind=Kind.MEDIA,
        detail={4: [{4: "cat.jpg", 6: "photo", 7: "omitted", 8: "<Media omitted>", 12: "my cat"}]}),
    Row(Op.PUT, START + 86_400_000, id="7", sender="me", text="minutes only", flags=Flag.MINUTES | Flag.ZONE_UNKNOWN),
    Row(Op.PUT, START + 86_460_000, id="8", sender="ann", detail={22: {1: "video", 2: 125_000, 3: "missed"}}),
    Row(Op.PUT, START + 86_520_000, id="9", sender="ann",
        detail={24: {1: "1.5", 2: "2.5"}, 6: {2: "Zoe"}, 23: [{1: "Max"}]}),
]  # fmt: skip
FACTS = [
    Row(Op.CONVERSATION, 0, text="Family & Friends"),
    Row(Op.MEMBER, 0, sender="bob", text="Bob B."),
    Row(Op.MEMBER, 0, sender="me", text="Me", detail={8: True}),
]


def _chat(rows: list[Row], facts: list[Row] = FACTS, name: str = "family") -> Chat:
    written = [row._replace(origin=Origin(place, bytes(16), 1, place)) for place, row in enumerate(rows)]
    ordered = sorted(written, key=lambda row: (row.time, row.op))
    return Chat(name, facts, list(fold(name, ordered, Order(START * 2))))


def _as_it_is(row: Row, folder: Path) -> Row:
    return row


def _text(tmp_path: Path, chat: Chat, zone: str = "UTC") -> str:
    counts = export_txt(tmp_path / "out", [chat], _as_it_is, zone=ZoneInfo(zone), zone_name=zone)
    assert counts == {"message": len(list(chat.messages))}
    (path,) = (tmp_path / "out" / "chats").iterdir()
    return path.read_text(encoding="utf-8")


def _page(tmp_path: Path, chat: Chat) -> str:
    export_html(tmp_path / "out", [chat], _as_it_is, zone=ZoneInfo("UTC"), zone_name="UTC")
    (path,) = (tmp_path / "out" / "chats").iterdir()
    return path.read_text(encoding="utf-8")


def test_a_text_says_everything(tmp_path: Path) -> None:
    said = _text(tmp_path, _chat(ROWS), "Europe/Rome")
    head, _, body = said.partition("\n\n--- ")
    assert head.startswith(
        """\
Family & Friends
================
Messages  9
Span      2023-11-14 to 2023-11-15
Times     Europe/Rome, or as the source had them
"""
    )
    assert (
        f"--- {body}"
        == """\
--- 2023-11-14 Tuesday ---
23:13:20  ann: Dinner at eight?
        | Or nine
          edited 23:13:25
          before: Dinner at seven?
23:14:20  Bob B.: yes 你好 שלום 👋
          in answer to ann: Dinner?
          reaction: 👍 ann
23:15:20  * bob added eve
23:16:20  eve:
          poll: When?
          option, 2 votes: now
23:17:20  eve: gone soon
          deleted by the sender 23:18:20
23:18:20  eve:
          photo (left out by the source): cat.jpg <Media omitted>
          caption: my cat

--- 2023-11-15 Wednesday ---
22:13     Me: minutes only
23:14:20  ann:
          call: video, missed, 2:05
23:15:20  ann:
          forwarded from: Zoe
          location: 1.5, 2.5
          contact: Max

--- end: 9 messages ---
"""
    )


WORDS: dict[int, Any] = {
    2: "NAME", 5: {1: "1", 4: "QUOTED", 8: "QUOTEE"}, 6: {2: "FORWARDED"}, 8: [{1: "COUNTED", 2: 1234}], 18: "SIGNED",
    4: [{4: "FILENAME", 6: "voice", 7: "expired", 8: "REASON", 12: "CAPTION", 13: "SONG", 14: "SINGER"}],
    7: [{3: "x", 4: "INNER", 6: "NESTED", 7: [{4: "NESTEDFILE"}], 8: [{4: "DEEPER", 6: "DEEPEST"}]}],
    15: {1: "PINNER"}, 21: {1: "QUESTION", 2: [{1: "OPTION", 2: 1, 3: ["VOTER"]}]}, 22: {1: "CALLED", 3: "OUTCOME"},
    23: [{1: "CONTACT", 2: "PHONE"}], 24: {1: "48.1", 2: "11.5", 3: "PLACE", 4: "ADDRESS"},
    25: [{1: "CARDURL", 2: "CARDTITLE", 3: "CARDTEXT"}], 27: {1: "GAME", 2: "GAMETEXT", 3: 42},
    26: {1: "gift", 2: "7.50", 3: "EUR", 4: "PAYNOTE", 5: "PAYSTATE"}, 29: {1: "STORYTELLER", 3: "STORYFACE"},
    30: {1: "COMMAND", 2: "VIA", 3: ["BUTTON"]},
}  # fmt: skip


@pytest.mark.parametrize("write", [_text, _page], ids=["txt", "html"])
def test_every_word_of_a_message_is_there(tmp_path: Path, write: Callable[[Path, Chat], str]) -> None:
    rows = [
        Row(Op.PUT, START, id="1", sender="a", text="FIRSTTEXT"),
        Row(Op.EDIT, START, id="1", sender="a", text="TEXT", detail={**WORDS, 1: START + 86_400_000}),
        Row(Op.DELETE, START, id="1", kind=DeleteKind.BY_ADMIN, detail={1: START + 90_000_000}),
        Row(Op.REACT, START, id="1", sender="REACTOR", kind=1, text="FACE", detail={1: START}),
        Row(Op.PUT, START + 1, id="2", kind=Kind.SYSTEM,
            detail={28: {1: "HAPPENED", 2: "ACTOR", 3: ["TARGET"], 4: {"k": "PARAM"}}}),
        Row(Op.PUT, START + 2, id="3", sender="b", kind=Kind.POKE),
        Row(Op.PUT, START + 3, id="4", sender="c", kind=Kind.UNSUPPORTED, raw=b"RAW"),
    ]  # fmt: skip
    facts = [Row(Op.CONVERSATION, 0, text="TITLE"), Row(Op.MEMBER, 0, sender="REACTOR", text="MEMBERNAME")]
    said = write(tmp_path, _chat(rows, facts))
    said = " ".join(_parsed(said).words) if said.startswith("<!doctype") else said
    expected = set(re.findall(r"\b[A-Z]{3,}\b", repr((WORDS, rows, facts)))) - {"REACTOR"}
    expected -= {name for kind in (Op, Kind, DeleteKind) for name in kind.__members__} - {"GAME", "CONTACT"}
    expected |= {"48.1", "11.5", "7.50", "42", "1,234", "poke", "deleted by an administrator 2023-11-15 23:13:20"}
    expected |= {"edited 2023-11-15 22:13:20", "22:13"}
    assert [word for word in expected if word not in said] == []


@pytest.mark.spec("EXP-5")
@pytest.mark.parametrize("path", [
    "../../../etc/passwd", "/etc/passwd", "files/../../x.png", "file:///etc/passwd", "javascript:window.ran=1",
    "//host/share/x.png", "\\\\host\\share", "files/cat.png", f"files/{'a' * 64}.png/../x", f"files/{'a' * 64}.png\n", "https://a.b/",
])  # fmt: skip
def test_attack_095_no_path_of_others_is_followed(tmp_path: Path, path: str) -> None:
    rows = [Row(Op.PUT, START, id="1", sender="a", detail={4: [{1: bytes(32), 3: "image/png", 4: "n", 5: path}]})]
    page = _page(tmp_path / "html", _chat(rows))
    assert _parsed(page).links == ["../index.html", "#end"]
    assert "not in this export" in page
    assert path.strip() not in page
    assert path.strip() not in _text(tmp_path / "txt", _chat(rows))


@pytest.mark.spec("EXP-6")
def test_attack_095_nobody_comes_under_the_name_of_another(tmp_path: Path) -> None:
    told = [
        "Ann", "ANN", "Ann\u200b", "\uff21nn", " Ann ", "Ann (u1)", "Ann\u3164", "\u2800Ann", "Ann\u1160", "Ann\ufffc",
        "\u0410nn", "\u0391nn", "An\u0578", "Ann (u1\uff09", "Ann (u1)\u3164", "Ann (u1\u2769", "Ann (u1)\u0301", None,
    ]  # fmt: skip
    rows = [
        Row(Op.PUT, START + n, id=f"{n}", sender=f"eve{n}", text="pay me", detail={2: name} if name else None)
        for n, name in enumerate(told)
    ]  # fmt: skip
    rows.append(Row(Op.PUT, START + 100, id="own", sender="u1", text="it is me"))
    facts = [Row(Op.MEMBER, 0, sender="u1", text="Ann"), Row(Op.MEMBER, 0, sender="a", text="Max")]
    facts += [Row(Op.MEMBER, 0, sender="b", text="max")]
    lines = [line for line in _text(tmp_path, _chat(rows, facts)).splitlines() if line.startswith("22:13:2")]
    assert lines[-1].endswith("  Ann: it is me")
    assert [line for line in lines[:-2] if "(eve" not in line] == []
    assert lines[-2].endswith(f"  eve{len(told) - 1}: pay me")
    people = People.of(facts)
    assert (people.sender(None, "ann"), people.sender(None, "Zoe")) == ("ann (?)", "Zoe")
    assert (people.name("a"), people.name("b"), people.name("c", "Zoe")) == ("Max (a)", "max (b)", "Zoe")


@pytest.mark.spec("EXP-6")
@pytest.mark.parametrize(("one", "other"), [
    ("Alex", "AIex"), ("Bob", "B0b"), ("Lily", "1ily"), ("Bernie", "Bemie"), ("\u0412\u0435\u0440\u0430", "Bepa"),
    ("\u039d\u0399\u039d\u0391", "\u03bd\u03b9\u03bd\u03b1"),
])  # fmt: skip
def test_attack_095_letters_that_look_the_same(one: str, other: str) -> None:
    people = People.of([Row(Op.MEMBER, 0, sender="a", text=one), Row(Op.MEMBER, 0, sender="b", text=other)])
    assert (people.name("a"), people.name("b")) == (f"{one} (a)", f"{other} (b)")


def test_names_that_differ_to_the_eye_need_no_id() -> None:
    names = [
        "Jos\u00e9",
        "Jose",
        "H\u00e0",
        "H\u1ea1",
        "Ana",
        "Anna",
        "\u5f20",
        "\u738b",
        "Bob [work]",
        "Bob",
        "Zo\u00eb",
    ]
    people = People.of(Row(Op.MEMBER, 0, sender=f"{n}", text=name) for n, name in enumerate(names))
    assert [people.name(f"{n}") for n in range(len(names))] == names


def test_a_name_is_no_mark_of_the_export(tmp_path: Path) -> None:
    names = [
        "* Ann left", "[erased]", "Ann: pay me", "| more", "Eve\uff1a pay me", "Zoe\ua789 pay", "\uff0a Max left",
        "\u2800* Tom left", "\u2502 less",
    ]  # fmt: skip
    rows = [Row(Op.PUT, START + n, id=f"{n}", sender=name, text="x") for n, name in enumerate(names)]
    said = _text(tmp_path, _chat(rows))
    for shown in ("22:13:20  \\u002a Ann left: x", "\\u005berased]: x", "Ann\\u003a pay me: x", "\\u007c more: x",
                  "Eve\\uff1a pay me: x", "Zoe\\ua789 pay: x", "\\uff0a Max left: x", "\\u2800* Tom left: x",
                  "\\u2502 less: x"):  # fmt: skip
        assert shown in said


@pytest.mark.spec("EXP-4")
@given(st.lists(st.sampled_from([*PAYLOADS, "12:00:00  Ann: forged", "\n--- 2024-01-01 ---\n12:00  x: y"]), max_size=4))
def test_attack_095_no_text_looks_like_the_beginning_of_another_message(
    tmp_path_factory: pytest.TempPathFactory, words: list[str]
) -> None:
    text = "\n".join(words)
    rows = [
        Row(Op.PUT, START, id="1", sender=text or None, text=text, detail={2: text, 5: {4: text}, 25: [{1: text}]}),
        Row(Op.EDIT, START, id="1", sender="x", text=f"new {text}", detail={1: START, 4: [{4: text, 12: text}]}),
        Row(Op.REACT, START, id="1", sender=text, kind=1, text=text or "x", detail={1: START}),
    ]  # fmt: skip
    _, _, body = _text(tmp_path_factory.mktemp("t"), _chat(rows)).partition("\n\n--- ")
    lines = f"--- {body}".split("\n")[:-2]
    assert [line for line in lines if not FIRST.match(line)] == []
    assert sum(line[:1].isdigit() for line in lines) == 1  # the message's own


class _Tags(HTMLParser):
    """What a page is made of: elements with their attributes' names, and all of its text."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: Counter[tuple[str, ...]] = Counter()
        self.words: list[str] = []
        self.links: list[str] = []
        self.order: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags[(tag, *sorted(name for name, _ in attrs))] += 1
        self.order.append(f"{tag} {dict(attrs).get('http-equiv', '')}".strip())
        self.links += [value or "" for name, value in attrs if name in ("href", "src")]

    def handle_data(self, data: str) -> None:
        self.words.append(data)


def _parsed(page: str) -> _Tags:
    found = _Tags()
    found.feed(page)
    return found


@pytest.mark.spec("EXP-1")
@pytest.mark.parametrize("payload", PAYLOADS)
def test_attack_095_words_add_no_markup(tmp_path: Path, payload: str) -> None:
    """The page of a hostile message has the elements and attributes of a harmless one, and shows what was written."""

    def rows(word: str) -> list[Row]:
        one = word.replace("http", "xttp").replace("mailto:", "xailto:")  # addresses become links, in both or none
        detail = {2: one, 4: [{4: one, 6: one, 7: "expired", 8: one, 12: one}], 5: {4: one, 8: one}, 6: {2: one}}
        return [
            Row(Op.PUT, START, id="1", sender=one, text=one, detail=detail),
            Row(Op.EDIT, START, id="1", sender=one, text=f"new {one}", detail={1: START}),
            Row(Op.PUT, START + 1, id="2", kind=Kind.SYSTEM, text=one),
            Row(Op.REACT, START, id="1", sender=one, kind=1, text=one, detail={1: START}),
        ]

    def page(word: str, folder: str) -> str:
        return _page(tmp_path / folder, _chat(rows(word), [Row(Op.CONVERSATION, 0, text=word)]))

    hostile, harmless = page(payload, "a"), page("harmless", "b")
    assert _parsed(hostile).tags == _parsed(harmless).tags
    if payload.isprintable() and "http" not in payload and "mailto" not in payload:
        assert payload in _parsed(hostile).words


@pytest.mark.spec("EXP-2")
def test_attack_095_the_policy_stands_before_everything_it_holds(tmp_path: Path) -> None:
    page = _page(tmp_path, _chat(ROWS))
    order = _parsed(page).order
    assert order[:4] == ["html", "head", "meta", "meta Content-Security-Policy"]
    policy = re.search(r'Content-Security-Policy" content="([^"]*)"', page)
    assert policy is not None
    assert policy[1].startswith("default-src &#x27;none&#x27;; script-src &#x27;sha256-")
    assert policy[1].endswith("require-trusted-types-for &#x27;script&#x27;; trusted-types &#x27;none&#x27;")
    assert "unsafe" not in policy[1]
    assert not set(re.findall(r"(?<![\w-])on[a-z]+=", page))
    assert "http:" not in policy[1]


@pytest.mark.spec("EXP-3")
def test_attack_095_no_file_keeps_a_name_that_a_browser_runs() -> None:
    for name in ("x.html", "x.HTM", "x.svg", "x.xhtml", "x.xml", "x.mht", "x.js", "x.swf", "x.shtml", "x", "x.unknown"):
        assert inert(f"files/{name}") == f"files/{name}.bin"
    for name in ("x.jpg", "x.MP4", "x.pdf", "x.txt"):
        assert inert(f"files/{name}") == f"files/{name}"


@pytest.mark.spec("EXP-3")
@pytest.mark.parametrize("name", [
    "evil.html", "photo.jpg.svg", "x.hta", "x.exe", "../../x.html", "..\\x.js", "CON", "x.pdf.", "x.js ", "\u202el.x",
])  # fmt: skip
def test_attack_095_no_file_is_saved_under_a_name_that_runs(name: str) -> None:
    """Where the pages are served from a site, what a link calls a file is what the browser saves it as."""
    file = ShownFile("file", name, f"files/{'0' * 64}.bin", "", "", "", "")
    found = re.search('download="([^"]*)"', file_markup(PlacedFile(file, "../files/x.bin", "")))
    assert found is not None
    assert found[1].rpartition(".")[2].lower() in {"bin", "pdf"}
    assert not set(found[1]) & set('/\\:*?"<>|')


def test_addresses_end_where_they_end() -> None:
    assert linked("see (https://a.example/x?a=1&b=2). ok") == (
        'see (<a href="https://a.example/x?a=1&amp;b=2" target="_blank" rel="noopener noreferrer nofollow">'
        "https://a.example/x?a=1&amp;b=2</a>). ok"
    )
    for word in ("javascript:alert(1)", "ftp://x", "data:text/html,x", "//x.example", "www.example.org", "mailto:...",
                 "https://)", "http://", "https://?x", f"https://a.example/{'b' * 2000}"):  # fmt: skip
        assert linked(word) == word


def test_marks_in_pairs_stay_for_right_to_left_words() -> None:
    for text in ("\u202a+49 151\u202c", "\u2068@דנה\u2069 hi", "a\u200fb", "👩\u200d👧"):
        assert visible(text) == text
    assert visible("\u2067name\n\u2069") == "\\u2067name\n\\u2069"


@given(
    st.text(alphabet=st.characters(exclude_categories=[]))
    | st.text(alphabet="ab\n\u202a\u202b\u202c\u202e\u2067\u2068\u2069")
)
def test_what_is_visible_can_be_encoded_and_turns_nothing_round(text: str) -> None:
    shown = visible(text)
    assert shown.encode().decode() == shown
    assert not set(shown) & {"\u202e", "\u202d", "\x00", "\x1b", "\u2028"}
    for line in shown.split("\n"):  # what turns round is ended before the line is
        assert sum(map(line.count, "\u202a\u202b")) == line.count("\u202c")
        assert sum(map(line.count, "\u2066\u2067\u2068")) == line.count("\u2069")
    assert visible(shown) == shown


def _many(count: int) -> Iterator[Row]:
    for number in range(count):
        yield Row(Op.PUT, START + number * 60_000, id=f"{number}", sender="ann", text="word " * 40,
                  origin=Origin(number, bytes(16), 1, number))  # fmt: skip


@pytest.mark.parametrize("name", ["txt", "html"])
def test_memory_does_not_grow_with_a_chat(tmp_path: Path, name: str) -> None:
    def peak(count: int) -> int:
        chat = Chat("big", FACTS, fold("big", _many(count), Order(START * 2)))
        tracemalloc.start()
        try:
            assert exporter(name)(tmp_path / f"{count}", [chat], _as_it_is)["message"] == count
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    peak(500)  # what is loaded once
    assert peak(8_000) < peak(500) + 250_000, "1.6 MB of text more"


@pytest.mark.parametrize("name", ["txt", "html"])
def test_an_export_that_is_interrupted_leaves_nothing_and_takes_nothing(tmp_path: Path, name: str) -> None:
    def broken(count: int) -> Iterator[Row]:
        yield from _many(count)
        raise ConnectionError

    target = tmp_path / "out"
    interrupted = Chat("big", FACTS, fold("big", broken(300), Order(START * 2)))
    with pytest.raises(ConnectionError):
        exporter(name)(target, [_chat(ROWS), interrupted], _as_it_is)
    assert list(tmp_path.iterdir()) == []
    exporter(name)(target, [_chat(ROWS)], _as_it_is)
    before = {path.name: path.read_bytes() for path in target.rglob("*") if path.is_file()}
    assert len(before) == 2
    interrupted = Chat("big", FACTS, fold("big", broken(300), Order(START * 2)))
    with pytest.raises(ConnectionError):
        exporter(name)(target, [interrupted], _as_it_is)
    assert {path.name: path.read_bytes() for path in target.rglob("*") if path.is_file()} == before
    assert list(tmp_path.iterdir()) == [target]


async def test_one_chat_a_previous_export_and_what_is_refused(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    device = await bench.create()
    vault = device.vault
    for chat in ("family", "work"):
        await vault.append(chat, [row for row in ROWS if row.op in (Op.PUT, Op.EDIT)])
    await vault.attach("family", ("page.html", io.BytesIO(b"<script>1</script>")), text="file")
    await vault.flush()
    for kind in ("txt", "html"):
        target = tmp_path / kind
        both = await vault.export(target, format=kind)
        assert (both["conversations"], both["files"]) == (2, 1)
        first = {path.name: path.read_bytes() for path in target.rglob("*") if path.is_file()}
        one = await vault.export(target, format=kind, chat="family")  # takes the place of the one before
        assert one["conversations"] == 1
        assert len(list((target / "chats").iterdir())) == 1
        await vault.export(target, format=kind)
        assert {path.name: path.read_bytes() for path in target.rglob("*") if path.is_file()} == first
        (target / "mine.txt").write_text("a person's own")
        with pytest.raises(InvalidArgument):
            await vault.export(target, format=kind)
        assert (target / "mine.txt").read_text() == "a person's own"
    assert [path.suffix for path in (tmp_path / "html" / "files").iterdir()] == [".bin"]
    with pytest.raises(InvalidArgument):
        await vault.export(tmp_path / "txt2", format="odt")
    with pytest.raises(InvalidArgument):
        await vault.export(tmp_path / "txt2", format="txt", zone="Mars/Olympus")
    with pytest.raises(NotFound):
        await vault.export(tmp_path / "txt2", format="txt", chat="nobody")
    assert not (tmp_path / "txt2").exists()
    await asyncio.sleep(0)
    bench.close()
