"""The example in two real browsers: a message typed in one is on the other, through a relay that may be away."""

from __future__ import annotations

import asyncio
import io
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web

from browser.chromium import Chromium, Page, program
from relay_process import RelayProcess

START = Path(__file__).resolve().parents[2] / "examples" / "chat-app" / "start.py"
AWAY_S = float(os.environ.get("STRONGROOM_AWAY_SECONDS") or 4)
"""How long the relay is stopped: a minute in `make browser`, a few seconds in CI."""

pytestmark = pytest.mark.skipif(program() is None, reason="no Chromium on this machine: nothing was looked at")

ENTER = 13
PNG = bytes.fromhex(
    "89504e470d0a1a0a0000000d4948445200000001000000010802000000907753de0000000c49444154789c63f8cfc0000003"
    "010100c9fe92ef0000000049454e44ae426082"
)
"""A picture of one pixel."""

FILE_BYTES = 64 * 1024 * 1024
"""Of the longest file that the example takes."""

TEXTS = "[...document.querySelectorAll('.message')].map(item => item.children[item.children.length - 2].textContent)"


@dataclass(slots=True)
class App:
    """The example, running."""

    process: subprocess.Popen[str]
    relay: int
    relay_url: str
    phone: str
    tablet: str


def _free_ports(count: int) -> int:
    """The first of some neighbouring ports that nobody uses."""
    for first in range(20_000, 30_000, 10):
        try:
            for port in range(first, first + count):
                with socket.socket() as one:
                    one.bind(("127.0.0.1", port))
        except OSError:
            continue
        return first
    raise RuntimeError("no free ports")


@pytest.fixture
async def app(tmp_path: Path) -> AsyncIterator[App]:
    port = _free_ports(3) + 1
    command = [sys.executable, str(START), "--data", str(tmp_path / "data"), "--port", str(port)]
    process = await asyncio.to_thread(subprocess.Popen, command, stdout=subprocess.PIPE, text=True, bufsize=1)
    assert process.stdout is not None
    try:
        lines = [await asyncio.to_thread(process.stdout.readline) for _ in range(3)]
        found = re.fullmatch(r"relay: (\S+) \(process (\d+)\)\n", lines[0])
        assert found is not None, lines
        yield App(process, int(found[2]), found[1], lines[1].split()[-1], lines[2].split()[-1])
    finally:
        process.terminate()
        await asyncio.to_thread(process.wait, 60)
        process.stdout.close()


async def _say(page: Page, text: str) -> None:
    await page.run("document.getElementById('text').focus()")
    await page.type(text)
    await page.press("Enter", code=ENTER)


async def _opened(browser: Chromium, url: str) -> Page:
    """The pages of both devices stand side by side in one browser, as the example says."""
    page = await browser.open(url)
    await page.until("document.querySelector('.message') !== null")
    assert "key=" not in await page.run("location.href")
    return page


async def test_a_message_typed_on_one_device_is_on_the_other(app: App) -> None:
    hostile = "<img src=x onerror=alert(1)><script>alert(2)</script> 你好 שלום 👋"
    async with Chromium() as browser:
        phone, tablet = await _opened(browser, app.phone), await _opened(browser, app.tablet)
        await _say(phone, "hello from the phone")
        await tablet.until(f"{TEXTS}.includes('hello from the phone')")
        await _say(tablet, hostile)
        await phone.until(f"{TEXTS}.includes({hostile!r})")
        for page in (phone, tablet):
            assert (page.complaints, page.dialogs) == ([], [])
            assert await page.run("document.querySelectorAll('#messages img, #messages script').length") == 0
            assert {url.split("/")[2].split(":")[0] for url in page.requests} == {"127.0.0.1"}


@pytest.mark.parametrize("how", ["killed", "silent"])
async def test_a_relay_that_is_away_loses_nothing(app: App, tmp_path: Path, how: str) -> None:
    """Killed and started again, or hanging: it takes connections and answers none."""
    relay = RelayProcess(tmp_path / "data" / "relay", port=int(app.relay_url.rsplit(":", 1)[1]))
    async with Chromium() as browser:
        phone, tablet = await _opened(browser, app.phone), await _opened(browser, app.tablet)
        os.kill(app.relay, signal.SIGKILL if how == "killed" else signal.SIGSTOP)
        said = [f"written while the relay was away {number}" for number in range(6)]
        for number, text in enumerate(said):
            await _say((phone, tablet)[number % 2], text)
        for page in (phone, tablet):
            await page.until("document.getElementById('saved').textContent.includes('on this device only')")
        await asyncio.sleep(AWAY_S)
        if how == "killed":
            await asyncio.to_thread(relay.start)
        else:
            os.kill(app.relay, signal.SIGCONT)
        for page in (phone, tablet):
            for text in said:
                await page.until(f"{TEXTS}.includes({text!r})", seconds=90)
            await page.until("document.getElementById('saved').textContent.includes('all saved')", seconds=90)
            shown = await page.run(TEXTS)
            assert sorted(text for text in shown if text in said) == sorted(said)  # each once
    if how == "killed":
        await asyncio.to_thread(relay.stop)


async def test_nobody_else_may_ask(app: App) -> None:
    """Neither without the key, nor under another host's name, nor from another site."""
    base, key = app.phone.split("/#key=")
    async with aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar()) as client:
        for wrong in ({}, {"X-Chat-Key": "wrong"}, {"X-Chat-Key": "wröng"}, {"Cookie": f"chat-session={key}"}):
            for path in ("/api/chats", f"/api/chats?key={key}", "/api/live", "/api/file?chat=family&id=1"):
                async with client.get(f"{base}{path}", headers=wrong) as answer:
                    assert answer.status == 403
        mine = {"X-Chat-Key": key}
        async with client.get(f"{base}/api/chats", headers=mine) as answer:
            assert answer.status == 200
        async with client.get(f"{base}/api/chats", headers=mine | {"Host": "evil.example"}) as answer:
            assert answer.status == 403
        other = mine | {"Sec-Fetch-Site": "cross-site"}
        async with client.post(f"{base}/api/chats", json={"title": "x"}, headers=other) as answer:
            assert answer.status == 403
        async with client.post(f"{base}/api/chats", data="not json", headers=mine) as answer:
            assert answer.status == 400


async def test_another_server_of_the_same_computer_is_told_nothing(app: App) -> None:
    """A program of another user listens on loopback, too; its page is of the same site, and asks for all it can get."""
    heard: list[str] = []

    async def seen(request: web.Request) -> web.Response:
        heard.append(f"{request.raw_headers!r} {request.url}")
        return web.Response(text="<h1>hello</h1>", content_type="text/html")

    server = web.Application()
    server.router.add_get("/{any:.*}", seen)
    runner = web.AppRunner(server)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    address = f"http://127.0.0.1:{runner.addresses[0][1]}/"
    base, key = app.phone.split("/#key=")
    try:
        async with Chromium() as browser:
            await _opened(browser, app.phone)
            page = await browser.open(address)
            asked = f"fetch('{base}/api/chats', {{credentials: 'include', mode: 'no-cors'}}).then(() => 1, () => 1)"
            assert await page.run(f"fetch('/again', {{credentials: 'include'}}).then(() => {asked})") == 1
            assert await page.run("JSON.stringify([document.cookie, {...sessionStorage}, {...localStorage}])") == (
                '["",{},{}]'
            )
    finally:
        await runner.cleanup()
    assert len(heard) >= 2
    assert not any(key in line for line in heard)


async def test_files_come_with_the_key_alone(app: App) -> None:
    """A picture is shown from memory; what is none can be saved; neither has an address that opens without the key."""
    base, key = app.phone.split("/#key=")
    name = "<img src=x onerror=alert(1)>.html"
    async with Chromium() as browser, aiohttp.ClientSession(headers={"X-Chat-Key": key}) as client:
        page = await _opened(browser, app.phone)
        for file, data in (("dot.png", PNG), (name, b"<script>alert(1)</script>")):
            form = aiohttp.FormData(quote_fields=False)
            form.add_field("file", data, filename=file)
            async with client.post(f"{base}/api/files?chat=family", data=form) as answer:
                assert answer.status == 200
        form = aiohttp.FormData()
        form.add_field("file", io.BytesIO(bytes(FILE_BYTES + 1)), filename="long")
        async with client.post(f"{base}/api/files?chat=family", data=form) as answer:
            assert answer.status == 400
        await page.until("[...document.images].some(image => image.naturalWidth === 1)")
        shown = "[...document.querySelectorAll('.file')].map(item => item.textContent)"
        assert name in await page.until(f"{shown}.length === 2 && {shown}")
        assert all(url.startswith((f"{base}/", "blob:")) and "key" not in url.split("#")[0] for url in page.requests)
        assert (page.complaints, page.dialogs) == ([], [])
