"""The printed kit: whatever names are in it, it is a page without script, links or surprises (chapter 17)."""

from __future__ import annotations

import re
from dataclasses import replace
from html.parser import HTMLParser
from typing import Any

import pytest
import segno
from hypothesis import given, settings
from hypothesis import strategies as st

from protocol.test_kit import KIT
from strongroom.kit import MARK, read_kit
from strongroom.kit_page import kit_page
from strongroom_protocol.keys import recovery_code
from strongroom_protocol.keys.kit import Kit
from strongroom_protocol.manifest.slots import SlotKind

HARMLESS = {
    "html", "head", "meta", "title", "style", "body", "header", "h1", "h2", "p", "div", "span", "table", "tr", "th",
    "td", "bdi", "code", "pre", "ol", "li", "section", "svg", "path",
}  # fmt: skip
NAMES = [
    "</title><script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    f"{MARK}strongroom-kit:AAAA</code>",
    "</style><svg onload=alert(1)>",
    "&lt;b&gt; {{7*7}} ${HOME} `id`",
    "'; rm -rf ~ #",
    "\u202egnp.exe",
    "]]><!--",
]


class Page(HTMLParser):
    """What a browser would make of a page: elements, attributes, text."""

    def __init__(self, page: str) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.text = ""
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += attrs

    def handle_data(self, data: str) -> None:
        self.text += data


def require_harmless(page: Page) -> None:
    assert set(page.tags) <= HARMLESS
    assert not {
        name for name, _ in page.attributes if name.startswith("on") or name in ("src", "href", "style", "action")
    }


@pytest.mark.parametrize("hostile", NAMES)
def test_nobody_writes_into_the_page(hostile: str) -> None:
    plain = Page(kit_page(replace(KIT, name="x", relay="x", witness="x")))
    for fields in ({"name": hostile}, {"relay": hostile}, {"witness": hostile}):
        change: dict[str, Any] = {"name": "x", "relay": "x", "witness": "x"} | fields
        kit = replace(KIT, **change)
        page = Page(kit_page(kit))
        require_harmless(page)
        assert page.tags == plain.tags
        assert hostile in page.text
        if "name" not in fields:  # a name like that is in no kit
            assert read_kit(kit_page(kit)) == replace(kit)


@settings(max_examples=25)
@given(st.text(st.characters(codec="utf-8", exclude_categories=["Cc"]), min_size=1, max_size=60))
def test_any_text(text: str) -> None:
    page = Page(kit_page(replace(KIT, relay=text, witness=text)))
    require_harmless(page)
    assert page.text.count(text) >= 2


def test_it_is_self_contained_and_says_what_it_may_load() -> None:
    page = kit_page(KIT)
    parsed = Page(page)
    assert ("content", "default-src 'none'; style-src 'unsafe-inline'") in parsed.attributes
    assert page.index("Content-Security-Policy") < page.index("<title>")
    assert "@media print" in page
    assert not re.search(r"url\(|@import|https?://(?!relay\.example)", page)


def test_a_person_finds_what_they_need() -> None:
    text = Page(kit_page(KIT)).text
    for group in recovery_code.render(KIT.code).split("-"):
        assert group in text
    for said in ("ada", "https://relay.example", "2023-11-14", f"{KIT.anchor.head_version}, seen 2023-11-14 22:13 UTC"):
        assert said in text
    assert "strongroom login --recovery-code \\\n  --relay https://relay.example \\\n  --account ada" in text
    assert "passphrase" not in text.lower()
    both = Page(kit_page(replace(KIT, kind=SlotKind.BOTH))).text
    assert "together with your passphrase, which is not on it" in both
    assert "It asks for your passphrase." in both
    assert "--account ada \\\n  --passphrase-file FILE" in both


def test_what_is_typed_in_a_shell_is_quoted() -> None:
    text = Page(kit_page(replace(KIT, relay="https://x; rm -rf ~"))).text
    assert "--relay 'https://x; rm -rf ~' \\" in text


def test_the_square_is_the_kit(monkeypatch: pytest.MonkeyPatch) -> None:
    shown: list[str] = []
    make = segno.make

    def watched(content: str, **options: Any) -> segno.QRCode:
        shown.append(content)
        return make(content, **options)

    monkeypatch.setattr(segno, "make", watched)
    kit_page(KIT)
    assert [Kit.from_text(content) for content in shown] == [KIT]
    code = make(shown[0], error="m", micro=False)
    assert code.mode == "alphanumeric"
