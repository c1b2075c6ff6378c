"""Exported pages in a real Chromium, from disk, with everything hostile that a message can hold.

Whatever asks for anything is heard twice: by the browser's own account, and by a listener that the words point at.
"""

from __future__ import annotations

import asyncio
import html
import io
import socket
import threading
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from browser.chromium import Chromium, Page, program
from hostile_words import PAYLOADS
from strongroom.formats.html.page import POLICY
from strongroom.formats.names import INERT
from strongroom_protocol.rows.model import ConversationKind, Kind, Op, Row
from vaults import Bench

pytestmark = pytest.mark.skipif(program() is None, reason="no Chromium on this machine: nothing was looked at")

NOWHERE = "127.0.0.1:9"
"""Where the hostile words point. A browser refuses that port by itself, so here they point at a listener."""

START = 1_700_000_000_000
DAY = 86_400_000


def _png() -> bytes:
    """The smallest picture: one pixel."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return len(data).to_bytes(4, "big") + kind + data + zlib.crc32(kind + data).to_bytes(4, "big")

    header = (1).to_bytes(4, "big") * 2 + bytes([8, 2, 0, 0, 0])
    body = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(bytes([0, 200, 30, 30]))) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + body


SVG = b'<svg xmlns="http://www.w3.org/2000/svg"><script>window.ran=1;parent.ran=1</script></svg>'
FILES = [
    ("photo.png", _png(), "image/png"),
    ("evil.svg", SVG, "image/svg+xml"),
    ("lies.png", SVG + b" ", "image/png"),  # says one thing, is another
    ("page.html", b"<script>opener.ran=1;window.ran=1</script>", "text/html"),
    ("quo\"te'<b>.xhtml", b"<html><script>window.ran=1</script></html>", "application/xhtml+xml"),
    ("sound.mp3", b"ID3" + bytes(100), "audio/mpeg"),
    ("film.mp4", bytes(4) + b"ftypmp42" + bytes(100), "video/mp4"),
]


class Canary:
    """A listener that answers nobody, and counts who came."""

    def __init__(self) -> None:
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.place = f"127.0.0.1:{self._socket.getsockname()[1]}"
        self.visits = 0
        threading.Thread(target=self._listen, daemon=True).start()

    def _listen(self) -> None:
        while True:
            try:
                visitor, _ = self._socket.accept()
            except OSError:
                return
            self.visits += 1
            visitor.close()

    def words(self) -> list[str]:
        """The hostile words, pointing here."""
        return [payload.replace(NOWHERE, self.place) for payload in PAYLOADS]

    def close(self) -> None:
        """Stop listening."""
        self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()


@pytest.fixture(scope="module")
def canary() -> Iterator[Canary]:
    made = Canary()
    yield made
    made.close()


def _about(payload: str, place: int) -> list[tuple[str, Row]]:
    """A message in every field of which somebody else's words stand."""
    time = START + place * 3_600_000
    detail: dict[int, Any] = {
        2: payload,
        4: [{4: payload, 3: payload, 5: payload, 6: payload, 7: "expired", 8: payload, 12: payload, 13: payload}],
        5: {1: payload[:100], 4: payload, 8: payload},
        6: {2: payload},
        7: [{4: payload, 6: payload}],
        8: [{1: payload, 2: 3}],
        18: payload,
        21: {1: f"{payload}?", 2: [{1: payload, 2: 3, 3: [payload]}]},
        22: {1: payload, 3: payload},
        23: [{1: payload, 2: payload}],
        24: {1: payload[:50], 2: payload[:50], 3: payload, 4: payload},
        25: [{1: payload, 2: payload, 3: payload, 6: {4: payload, 5: payload}}],
        26: {1: payload, 4: payload},
        27: {1: payload, 2: payload},
        30: {1: payload, 3: [payload]},
    }
    made = [("chat", Row(Op.PUT, time, id=f"m{place}", sender=f"p{place}", text=f"first {payload}"))]
    made.append(
        ("chat", Row(Op.EDIT, time, id=f"m{place}", sender=f"p{place}", text=payload, detail=detail | {1: time}))
    )
    made.append(("chat", Row(Op.PUT, time + 1, id=f"s{place}", kind=Kind.SYSTEM, text=payload)))
    made.append(("chat", Row(Op.PUT, time + 2, id=f"u{place}", kind=Kind.UNSUPPORTED, raw=payload.encode())))
    made.append(("chat", Row(Op.PUT, time + 3, id=payload[:100], sender=payload[:100], text="an id of theirs")))
    made.append(("chat", Row(Op.MEMBER, 0, sender=f"p{place}", text=payload)))
    made.append(
        ("chat", Row(Op.REACT, time, id=f"m{place}", sender=f"r{place}", kind=1, text=payload, detail={1: time}))
    )
    made.append((f"titled {place}", Row(Op.CONVERSATION, time, kind=ConversationKind.GROUP, text=payload)))
    made.append((f"titled {place}", Row(Op.PUT, time, id="1", sender="a", text=payload)))
    return made


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory, canary: Canary) -> Path:
    folder = tmp_path_factory.mktemp("pages")
    asyncio.run(_exported(folder, canary.words()))
    return folder / "out"


async def _exported(folder: Path, words: list[str]) -> None:
    bench = Bench(folder)
    device = await bench.create()
    await device.add([row for place, payload in enumerate(words) for row in _about(payload, place)])
    for number, (name, data, mime) in enumerate(FILES):
        await device.vault.attach(
            "chat",
            (name, io.BytesIO(data)),
            text="zebra file",
            sender="eve",
            mime=mime,
            time=START + 400 * DAY + number,
        )
    await device.vault.flush()
    await device.vault.export(folder / "out", format="html")
    bench.close()


def _chat(pages: Path) -> Path:
    """The page with everything."""
    return max((pages / "chats").glob("*.html"), key=lambda path: path.stat().st_size)


async def _inert(page: Page, at: Path, canary: Canary) -> None:
    """Nothing ran, nothing was asked for but from disk, nothing was complained of, and it is still this page."""
    assert await page.run("window.ran") is None
    assert await page.run("[location.href, frames.length, document.scripts.length]") == [at.as_uri(), 0, 1]
    assert page.dialogs == []
    assert page.complaints == []
    assert all(url.startswith(("file:///", "data:image/svg+xml;base64,")) for url in page.requests)  # the date's icon
    assert canary.visits == 0


PICTURE = "document.querySelector('.m img').scrollIntoView()"
"""Into view, which is when it is fetched."""

EVERYTHING = """
document.querySelectorAll('section').forEach(item => item.style.contentVisibility = 'visible');
document.querySelectorAll('details').forEach(item => item.open = true);
document.querySelectorAll('.m, .m *').forEach(item => {
  for (const kind of ['pointerenter', 'mouseover', 'focus', 'input', 'animationstart', 'toggle', 'error', 'load'])
    item.dispatchEvent(new Event(kind, {bubbles: true}));
  item.focus();
  if (!item.closest('a, audio, video, summary')) item.click();
})"""
"""All of a page comes into view, is opened, pointed at, given the cursor and clicked."""


async def test_attack_095_no_message_runs_or_asks_for_anything(pages: Path, canary: Canary) -> None:
    async with Chromium() as browser:
        page = await browser.open(_chat(pages).as_uri())
        await page.shape(width=1000, height=800)
        await page.run(EVERYTHING)
        for part in range(0, 11):
            await page.run(f"scrollTo(0, document.body.scrollHeight * {part} / 10)")
            await asyncio.sleep(0.05)
        await _inert(page, _chat(pages), canary)
        shown = set(await page.run("[...document.querySelectorAll('.m > p')].map(item => item.textContent)"))
        told = [payload for payload in canary.words() if payload.isprintable()]
        assert len(told) > 150
        assert [payload for payload in told if payload not in shown] == [], "shown as they were written"
        index = await browser.open((pages / "index.html").as_uri())
        await _inert(index, pages / "index.html", canary)
        assert await index.run("document.querySelectorAll('.chats li').length") == len(PAYLOADS) + 1
        for chat in sorted((pages / "chats").glob("*.html")):  # each but one has a payload for a title
            if chat != _chat(pages):
                await index.go(chat.as_uri())
                await _inert(index, chat, canary)


async def test_the_words_would_run_and_ask_on_a_page_that_takes_no_care(tmp_path: Path) -> None:
    """What the tests above hear nothing of is really there to be heard; and a page's policy alone stops it running."""
    canary = Canary()
    open_to_all, ran = tmp_path / "open.html", 0
    async with Chromium() as browser:
        page = await browser.open()
        for words in canary.words()[:40]:
            if "refresh" in words:  # it would leave the page
                continue
            open_to_all.write_text(f"<!doctype html><body><p>{words}</p>", encoding="utf-8", errors="replace")
            await page.go(open_to_all.as_uri())
            ran += bool(await page.run("window.ran"))
            guarded = html.escape(POLICY)
            policed = f'<!doctype html><meta http-equiv="Content-Security-Policy" content="{guarded}"><p>{words}</p>'
            open_to_all.write_text(policed, encoding="utf-8", errors="replace")
            await page.go(open_to_all.as_uri())
            assert await page.run("window.ran") is None, words
        assert ran > 10
        await browser.open((tmp_path / "open.html").as_uri())
        open_to_all.write_text(f"<img src=http://{canary.place}/pixel.png>")
        await page.go(open_to_all.as_uri())
        assert canary.visits > 0
        assert any(canary.place in url for url in page.requests)
    canary.close()


async def test_attack_095_links_lead_where_they_say_and_files_open_as_what_they_are(pages: Path) -> None:
    async with Chromium() as browser:
        page = await browser.open(_chat(pages).as_uri())
        links = await page.run(
            "[...document.querySelectorAll('main a[href]')].map(item =>"
            " [item.getAttribute('href'), item.textContent, item.rel, item.protocol])"
        )
        web = [link for link in links if not link[0].startswith(("../files/", "#m"))]
        assert web
        for href, words, rel, scheme in web:
            assert scheme in ("http:", "https:", "mailto:")
            assert (href, rel) == (words, "noopener noreferrer nofollow")
        names = sorted(path.name for path in (pages / "files").iterdir())
        assert len(names) == len(FILES)
        assert {link[0] for link in links if link[0].startswith("../files/")} <= {f"../files/{name}" for name in names}
        assert await page.run("document.querySelectorAll('.m img').length") == 1, "what is a picture, not what says so"
        await page.run(PICTURE)
        await page.until("document.querySelector('.m img').naturalWidth === 1")


async def test_attack_095_no_ending_that_a_file_keeps_makes_a_browser_run_it(tmp_path: Path) -> None:
    """Each with a page, an XHTML page and an SVG in it; those that a browser would not show, it offers to keep."""
    ran = "<script xmlns='http://www.w3.org/1999/xhtml'>window.ran = 1</script>"
    kinds = {
        "page": f"<!doctype html><html><body>{ran}</body></html>",
        "xhtml": f"<?xml version='1.0'?><html xmlns='http://www.w3.org/1999/xhtml'>{ran}</html>",
        "svg": f"<svg xmlns='http://www.w3.org/2000/svg'>{ran}</svg>",
    }
    async with Chromium() as browser:
        page = await browser.open()
        for name, inside in kinds.items():
            (tmp_path / f"{name}.html").write_text(inside)
            for ending in sorted(INERT):
                path = tmp_path / f"{name}.{ending}"
                path.write_text(inside)
                await page.send("Page.navigate", url=path.as_uri())
                assert await page.run("window.ran") is None, path.name
        await page.go((tmp_path / "page.html").as_uri())
        assert await page.run("window.ran") == 1, "and it would be seen if one did"


async def test_search_days_and_themes(pages: Path, canary: Canary) -> None:
    async with Chromium() as browser:
        page = await browser.open(_chat(pages).as_uri())
        await page.shape(width=1000, height=800)
        await page.press("/", code=191)
        assert await page.run("document.activeElement.id") == "find"
        await page.type("ZWINGLI")
        await page.until("document.getElementById('said').textContent === '0 found'")
        await page.run("document.getElementById('find').value = ''")
        await page.type("ZEBRA fil")
        await page.until(f"document.getElementById('said').textContent.startsWith('{len(FILES)} found')")
        seen = "[...document.querySelectorAll('.m')].filter(item => item.offsetParent !== null).length"
        assert await page.run(seen) == len(FILES)
        await page.run("document.querySelector('.m.hit').focus()")
        await page.press("Enter", code=13)
        assert await page.run("document.querySelector('.at').textContent.includes('zebra file')")
        assert await page.run("document.body.classList.contains('searching')") is False
        assert await page.run(seen) > len(PAYLOADS)
        await page.run("document.getElementById('day').value = '2023-11-16'")
        await page.run("document.getElementById('day').dispatchEvent(new Event('change'))")
        top = "document.querySelector('section[data-d=\"2023-11-16\"] h2').getBoundingClientRect().top"
        await page.until(f"(top => top >= 0 && top < 300)({top})")
        light = await page.run("getComputedStyle(document.body).backgroundColor")
        await page.shape(width=1000, height=800, dark=True)
        dark = await page.run("getComputedStyle(document.body).backgroundColor")
        assert dark != light
        await page.run("document.getElementById('theme').click()")
        assert await page.run("getComputedStyle(document.body).backgroundColor") == light
        await page.go((pages / "index.html").as_uri())  # what was chosen stays from page to page
        assert await page.run("getComputedStyle(document.body).backgroundColor") == light
        await page.go(_chat(pages).as_uri())
        await page.shape(width=390, height=800)
        assert await page.run("document.documentElement.scrollWidth <= 390")
        await _inert(page, _chat(pages), canary)


async def test_a_page_says_everything_to_who_listens_and_to_who_has_no_pointer(pages: Path) -> None:
    """What a screen reader is told: a name for every field, button, picture and sound, and who says each message."""
    async with Chromium() as browser:
        page = await browser.open(_chat(pages).as_uri())
        await page.run(PICTURE)
        await page.until("document.querySelector('.m img').naturalWidth === 1")
        tree = (await page.send("Accessibility.getFullAXTree"))["nodes"]
        named = ("button", "link", "searchbox", "image", "Audio", "Video", "Date")
        roles = [(node["role"]["value"], node.get("name", {}).get("value", "")) for node in tree if not node["ignored"]]
        assert {"button", "link", "searchbox", "image", "main", "article", "heading"} <= {role for role, _ in roles}
        assert [role for role, name in roles if role in named and not name.strip()] == []
        assert await page.run("[...document.querySelectorAll('.m.other, .m.own')].every(m => m.querySelector('.who'))")
        assert await page.run("document.documentElement.lang") == "en"
