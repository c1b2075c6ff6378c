"""Exports for reading: all of a message is in them, and no word of it is more than a word (chapter 06)."""

from __future__ import annotations

import asyncio
import io
import re
from collections import Counter
from html.parser import HTMLParser
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hostile_words import PAYLOADS
from strongroom import InvalidArgument, NotFound
from strongroom.formats.export_json import Chat
from strongroom.formats.export_txt import export_txt
from strongroom.formats.html import export_html
from strongroom.formats.html.markup import linked, safe_suffix
from strongroom.formats.readable import visible
from strongroom_protocol.rows.merge import Order, fold
from strongroom_protocol.rows.model import DeleteKind, Flag, Kind, Op, Origin, Row
from vaults import Bench

START = 1_700_000_000_000
FIRST = re.compile(r"\d\d:\d\d(:\d\d)?  |--- \d{4}-\d\d-\d\d ---$| {10}|$")
"""How a line of a text may begin, its head and end aside."""

ROWS = [
    Row(Op.PUT, START, id="1", sender="ann", text="Dinner at seven?"),
    Row(Op.EDIT, START, id="1", sender="ann", text="Dinner at eight?\nOr nine", detail={1: START + 5}),
    Row(Op.PUT, START + 60_000, id="2", sender="bob", text="yes 你好 שלום 👋", detail={5: {3: "ann", 4: "Dinner?"}}),
    Row(Op.REACT, START + 60_000, id="2", sender="ann", kind=1, text="👍", detail={1: START + 9}),
    Row(Op.PUT, START + 120_000, id="3", kind=Kind.SYSTEM, text="bob added eve"),
    Row(Op.PUT, START + 180_000, id="4", sender="eve", detail={21: {1: "When?", 2: [{1: "now", 2: 2}]}}),
    Row(Op.PUT, START + 240_000, id="5", sender="eve", text="gone soon"),
    Row(Op.DELETE, START + 240_000, id="5", kind=DeleteKind.BY_SENDER, detail={1: START + 300_000}),
    Row(Op.PUT, START + 300_000, id="6", sender="eve", kind=Kind.MEDIA,
        detail={4: [{4: "cat.jpg", 6: "photo", 7: "omitted", 8: "<Media omitted>"}]}),
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
    assert (
        said
        == """\
Family & Friends
================
Times are Europe/Rome, or as the source had them.

--- 2023-11-14 ---
23:13:20  ann: Dinner at eight?
          Or nine
          [edited]
          [earlier: Dinner at seven?]
23:14:20  Bob B.: yes 你好 שלום 👋
          in answer to ann: Dinner?
          👍 ann
23:15:20  * bob added eve
23:16:20  eve:
          [poll: When?]
          [  ○ now (2)]
23:17:20  eve: gone soon [deleted by the sender]
23:18:20  eve:
          [photo: cat.jpg, omitted <Media omitted>]

--- 2023-11-15 ---
22:13     Me: minutes only
23:14:20  ann:
          [missed video call (2:05)]
23:15:20  ann:
          [forwarded from Zoe]
          [location: 1.5, 2.5]
          [contact: Max]

9 messages, 2023-11-14 to 2023-11-15
"""
    )


@pytest.mark.spec("EXP-4")
@given(st.lists(st.sampled_from([*PAYLOADS, "12:00:00  Ann: forged", "\n--- 2024-01-01 ---\n12:00  x: y"]), max_size=4))
def test_no_text_looks_like_the_beginning_of_another_message(
    tmp_path_factory: pytest.TempPathFactory, words: list[str]
) -> None:
    text = "\n".join(words)
    rows = [
        Row(Op.PUT, START, id="1", sender=text or None, text=text, detail={2: text, 5: {4: text}, 25: [{1: text}]}),
        Row(Op.EDIT, START, id="1", sender="x", text=f"new {text}", detail={1: START, 4: [{4: text, 12: text}]}),
        Row(Op.REACT, START, id="1", sender=text, kind=1, text=text or "x", detail={1: START}),
    ]  # fmt: skip
    lines = _text(tmp_path_factory.mktemp("t"), _chat(rows)).split("\n")[3:-2]
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
    assert "unsafe" not in policy[1]
    assert not set(re.findall(r"(?<![\w-])on[a-z]+=", page))
    assert "http:" not in policy[1]


@pytest.mark.spec("EXP-3")
def test_attack_095_no_file_keeps_a_name_that_a_browser_runs() -> None:
    for name in ("x.html", "x.HTM", "x.svg", "x.xhtml", "x.xml", "x.mht", "x.js", "x.swf", "x.shtml", "x", "x.unknown"):
        assert safe_suffix(f"files/{name}") == f"files/{name}.bin"
    for name in ("x.jpg", "x.MP4", "x.pdf", "x.txt"):
        assert safe_suffix(f"files/{name}") == f"files/{name}"


def test_addresses_end_where_they_end() -> None:
    assert linked("see (https://a.example/x?a=1&b=2). ok") == (
        'see (<a href="https://a.example/x?a=1&amp;b=2" target="_blank" rel="noopener noreferrer nofollow">'
        "https://a.example/x?a=1&amp;b=2</a>). ok"
    )
    for word in ("javascript:alert(1)", "ftp://x", "data:text/html,x", "//x.example", "www.example.org"):
        assert linked(word) == word


@given(st.text(alphabet=st.characters(exclude_categories=[])))
def test_what_is_visible_can_be_encoded_and_turns_nothing_round(text: str) -> None:
    shown = visible(text)
    assert shown.encode().decode() == shown
    assert not set(shown) & {"\u202e", "\u202d", "\x00", "\x1b", "\u2028"}
    assert visible(shown) == shown


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
