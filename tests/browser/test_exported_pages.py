"""Exported pages in a real Chromium, from disk, with everything hostile that a message can hold."""

from __future__ import annotations

import asyncio
import io
import zlib
from pathlib import Path
from typing import Any

import pytest

from browser.chromium import Chromium, Page, program
from hostile_words import PAYLOADS
from strongroom_protocol.rows.model import ConversationKind, Kind, Op, Row
from vaults import Bench

pytestmark = pytest.mark.skipif(program() is None, reason="no Chromium on this machine: nothing was looked at")

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


def _about(payload: str, place: int) -> list[tuple[str, Row]]:
    """A message in every field of which somebody else's words stand."""
    time = START + place * 3_600_000
    detail: dict[int, Any] = {
        2: payload,
        4: [{4: payload, 3: payload, 6: payload, 7: "expired", 8: payload, 12: payload}],
        5: {1: payload[:100], 4: payload, 8: payload},
        6: {2: payload},
        21: {1: payload, 2: [{1: payload, 2: 3}]},
        23: [{1: payload, 2: payload}],
        24: {1: payload[:50], 2: payload[:50], 3: payload, 4: payload},
        25: [{1: payload, 2: payload, 3: payload}],
    }
    made = [("chat", Row(Op.PUT, time, id=f"m{place}", sender=f"p{place}", text=payload, detail=detail))]
    made.append(("chat", Row(Op.PUT, time + 1, id=f"s{place}", kind=Kind.SYSTEM, text=payload)))
    made.append(("chat", Row(Op.PUT, time + 2, id=f"u{place}", kind=Kind.UNSUPPORTED, raw=payload.encode())))
    made.append(("chat", Row(Op.MEMBER, 0, sender=f"p{place}", text=payload)))
    made.append(
        ("chat", Row(Op.REACT, time, id=f"m{place}", sender=f"r{place}", kind=1, text=payload, detail={1: time}))
    )
    made.append((f"titled {place}", Row(Op.CONVERSATION, time, kind=ConversationKind.GROUP, text=payload)))
    made.append((f"titled {place}", Row(Op.PUT, time, id="1", sender="a", text="a message")))
    return made


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pages")
    asyncio.run(_exported(folder))
    return folder / "out"


async def _exported(folder: Path) -> None:
    bench = Bench(folder)
    device = await bench.create()
    await device.add([row for place, payload in enumerate(PAYLOADS) for row in _about(payload, place)])
    for number, (name, data, mime) in enumerate(FILES):
        await device.vault.attach(
            "chat", (name, io.BytesIO(data)), text="zebra file", sender="eve", mime=mime, time=START + 400 * DAY + number
        )
    await device.vault.flush()
    await device.vault.export(folder / "out", format="html")
    bench.close()


def _chat(pages: Path) -> str:
    """The page with everything."""
    return max((pages / "chats").glob("*.html"), key=lambda path: path.stat().st_size).as_uri()


async def _inert(page: Page) -> None:
    """Nothing ran, nothing was asked for but from disk, nothing was complained of."""
    assert await page.run("window.ran") is None
    assert page.dialogs == []
    assert page.complaints == []
    assert {url.split(":", 1)[0] for url in page.requests} <= {"file", "data"}
    assert all(url.startswith(("file:///", "data:image/svg+xml;base64,")) for url in page.requests)  # the date's icon
    assert await page.run("document.querySelectorAll('script').length") == 1


async def test_attack_095_no_message_runs_or_asks_for_anything(pages: Path) -> None:
    async with Chromium() as browser:
        page = await browser.open(_chat(pages))
        await page.shape(width=1000, height=800)
        await page.run("document.querySelectorAll('section').forEach(item => item.style.contentVisibility = 'visible')")
        for part in range(0, 11):  # all of it comes into view once
            await page.run(f"scrollTo(0, document.body.scrollHeight * {part} / 10)")
            await asyncio.sleep(0.1)
        await _inert(page)
        shown = await page.run("[...document.querySelectorAll('.m > p:not(.note)')].map(item => item.textContent)")
        for payload in PAYLOADS:
            if payload.isprintable():
                assert payload in shown, "shown as it was written"
        index = await browser.open((pages / "index.html").as_uri())
        await _inert(index)
        assert await index.run("document.querySelectorAll('.chats li').length") == len(PAYLOADS) + 1
        for chat in sorted((pages / "chats").glob("*.html"))[
            :: max(1, len(PAYLOADS) // 12)
        ]:  # each has one in its title
            await _inert(await browser.open(chat.as_uri()))


async def test_attack_095_links_lead_where_they_say_and_files_open_as_what_they_are(pages: Path) -> None:
    async with Chromium() as browser:
        page = await browser.open(_chat(pages))
        links = await page.run(
            "[...document.querySelectorAll('.m p a')].map(item => [item.getAttribute('href'), item.textContent])"
        )
        web = [(href, text) for href, text in links if not href.startswith("../files/")]
        assert web
        assert all(href.startswith(("http://", "https://", "mailto:")) and href == text for href, text in web)
        names = [path.name for path in (pages / "files").iterdir()]
        assert len(names) == len(FILES)
        assert not [name for name in names if name.rpartition(".")[2] in ("html", "xhtml", "svg", "htm", "xml")]
        pictures = await page.run("[...document.querySelectorAll('.m img')].map(item => item.getAttribute('src'))")
        assert [source.rpartition(".")[2] for source in pictures] == ["png", "png"]  # what says it is one, is read as one
        for name in names:
            opened = await browser.open(
                (pages / "files" / name).as_uri() if name.endswith((".png", ".txt")) else "about:blank"
            )
            assert await opened.run("window.ran") is None


async def test_search_days_and_themes(pages: Path) -> None:
    async with Chromium() as browser:
        page = await browser.open(_chat(pages))
        await page.shape(width=1000, height=800)
        await page.run("document.getElementById('find').focus()")
        await page.type("ZWINGLI")
        await page.until("document.getElementById('said').textContent === '0 found'")
        await page.run("document.getElementById('find').value = ''")
        await page.type("ZEBRA fil")
        await page.until(f"document.getElementById('said').textContent === '{len(FILES)} found'")
        assert await page.run(
            "[...document.querySelectorAll('.m')].filter(item => item.offsetParent !== null).length"
        ) == len(FILES)
        await page.run("document.querySelector('.m.hit').click()")
        assert await page.run("document.querySelectorAll('.at').length") == 1
        assert await page.run("document.body.classList.contains('searching')") is False
        await page.run("document.getElementById('day').value = '2023-11-16'")
        await page.run("document.getElementById('day').dispatchEvent(new Event('change'))")
        top = "document.querySelector('section[data-d=\"2023-11-16\"]').getBoundingClientRect().top"
        assert -800 < await page.run(top) < 800
        light = await page.run("getComputedStyle(document.body).backgroundColor")
        await page.run("document.getElementById('theme').click()")
        assert await page.run("getComputedStyle(document.body).backgroundColor") != light
        await page.shape(width=390, height=800, dark=False)
        assert await page.run("document.documentElement.scrollWidth <= 390")
        await _inert(page)
