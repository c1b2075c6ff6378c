"""A real Chromium without a window, driven over its DevTools protocol: what a page shows, asks for and complains of.

async with Chromium() as browser:
    page = await browser.open("file:///…/index.html")
    assert await page.run("document.title") == "Family"
    assert page.complaints == [] and page.requests == [...]
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
import shutil
import tempfile
from pathlib import Path
from types import TracebackType
from typing import Any

import aiohttp

PROGRAMS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
START_S = 30.0
ANSWER_S = 30.0
MESSAGE_BYTES = 64 * 1024 * 1024


def program() -> str | None:
    """A browser of this machine, None when there is none."""
    return next(filter(None, map(shutil.which, PROGRAMS)), None)


class Page:
    """A tab. `requests` are the addresses asked for, `complaints` console errors and exceptions, `dialogs` what popped
    up, since the page was opened."""

    def __init__(self, browser: Chromium, session: str) -> None:
        self._browser, self._session = browser, session
        self.requests: list[str] = []
        self.complaints: list[str] = []
        self.dialogs: list[str] = []
        self.loaded = asyncio.Event()

    async def go(self, url: str) -> None:
        """Load an address and wait until it has loaded."""
        self.loaded.clear()
        answer = await self.send("Page.navigate", url=url)
        if "errorText" in answer:
            raise RuntimeError(f"{url}: {answer['errorText']}")
        await asyncio.wait_for(self.loaded.wait(), ANSWER_S)

    async def run(self, script: str) -> Any:
        """The value of an expression, a promise's when it is fulfilled. Raises what the page raises."""
        answer = await self.send(
            "Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True, userGesture=True
        )
        if "exceptionDetails" in answer:
            raise RuntimeError(json.dumps(answer["exceptionDetails"])[:2000])
        return answer["result"].get("value")

    async def until(self, script: str, *, seconds: float = ANSWER_S) -> Any:
        """The value of an expression as soon as it is true."""
        deadline = asyncio.get_running_loop().time() + seconds
        while not (found := await self.run(script)):
            if asyncio.get_running_loop().time() > deadline:
                raise AssertionError(f"never true: {script}\n{str(await self.run('document.body.innerText'))[:2000]}")
            await asyncio.sleep(0.05)
        return found

    async def type(self, text: str) -> None:
        """Text at the place of the cursor."""
        await self.send("Input.insertText", text=text)

    async def press(self, key: str, *, code: int) -> None:
        """A key that is no text, by its name and virtual key code."""
        for kind in ("rawKeyDown", "keyUp"):
            await self.send("Input.dispatchKeyEvent", type=kind, key=key, code=key, windowsVirtualKeyCode=code)

    async def look(self, path: Path, *, width: int = 1200, height: int = 800, dark: bool = False) -> None:
        """A screenshot as PNG."""
        await self.shape(width=width, height=height, dark=dark)
        answer = await self.send("Page.captureScreenshot", format="png")
        await asyncio.to_thread(path.write_bytes, base64.b64decode(answer["data"]))

    async def shape(self, *, width: int, height: int, dark: bool = False) -> None:
        """The size of the window, and whether the person likes it dark."""
        await self.send(
            "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=width < 600
        )
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        await self.send("Emulation.setEmulatedMedia", features=[scheme])

    async def send(self, method: str, **params: Any) -> dict[str, Any]:
        """A command of the DevTools protocol to this tab."""
        return await self._browser.send(method, params, self._session)

    def heard(self, method: str, params: dict[str, Any]) -> None:
        """An event of this tab."""
        match method:
            case "Network.requestWillBeSent":
                self.requests.append(params["request"]["url"])
            case "Runtime.exceptionThrown":
                self.complaints.append(json.dumps(params["exceptionDetails"]))
            case "Runtime.consoleAPICalled" if params["type"] in ("error", "warning", "assert"):
                self.complaints.append(json.dumps(params["args"]))
            case "Log.entryAdded" if params["entry"]["level"] in ("error", "warning"):
                self.complaints.append(json.dumps(params["entry"]))
            case "Page.javascriptDialogOpening":
                self.dialogs.append(params["message"])
                self._browser.later(self.send("Page.handleJavaScriptDialog", accept=False))
            case "Page.loadEventFired":
                self.loaded.set()


class Chromium:
    """A browser with a profile of its own, that is thrown away."""

    def __init__(self) -> None:
        self._profile = tempfile.TemporaryDirectory(prefix="chromium-", ignore_cleanup_errors=True)
        self._pages: dict[str, Page] = {}
        self._answers: dict[int, asyncio.Future[dict[str, Any]]] = {}
        self._tasks: set[asyncio.Task[Any]] = set()
        self._last = 0

    async def open(self, url: str = "about:blank", *, profile: bool = False) -> Page:
        """A new tab at an address; with `profile` of a person of its own, who shares no cookies with the others."""
        more = {}
        if profile:
            more = {"browserContextId": (await self.send("Target.createBrowserContext"))["browserContextId"]}
        target = (await self.send("Target.createTarget", {"url": "about:blank", **more}))["targetId"]
        session = (await self.send("Target.attachToTarget", {"targetId": target, "flatten": True}))["sessionId"]
        page = self._pages[session] = Page(self, session)
        for domain in ("Page", "Runtime", "Network", "Log"):
            await page.send(f"{domain}.enable")
        if url != "about:blank":
            await page.go(url)
        return page

    async def send(
        self, method: str, params: dict[str, Any] | None = None, session: str | None = None
    ) -> dict[str, Any]:
        """A command of the DevTools protocol; its result. Raises RuntimeError."""
        self._last += 1
        number, answer = self._last, asyncio.get_running_loop().create_future()
        self._answers[number] = answer
        call = {"id": number, "method": method, "params": params or {}}
        await self._socket.send_json(call | ({"sessionId": session} if session else {}))
        return await asyncio.wait_for(answer, ANSWER_S)

    def later(self, work: Any) -> None:
        """Do it without waiting for it here."""
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def __aenter__(self) -> Chromium:
        found = program()
        if found is None:
            raise RuntimeError("no Chromium on this machine")
        self._process = await asyncio.create_subprocess_exec(
            found, "--headless=new", "--no-sandbox", "--disable-gpu", "--remote-debugging-port=0", "--no-first-run",
            "--disable-background-networking", "--disable-component-update", "--disable-dev-shm-usage",
            f"--user-data-dir={self._profile.name}", "about:blank",
            stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.PIPE,
        )  # fmt: skip
        address = await asyncio.wait_for(self._address(), START_S)
        self._client = aiohttp.ClientSession()
        self._socket = await self._client.ws_connect(address, max_msg_size=MESSAGE_BYTES)
        self._reading = asyncio.create_task(self._read())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._reading.cancel()
        await asyncio.gather(self._reading, *self._tasks, return_exceptions=True)
        await self._socket.close()
        await self._client.close()
        with contextlib.suppress(ProcessLookupError):
            self._process.kill()
        await self._process.wait()
        await self._draining
        self._profile.cleanup()

    async def _address(self) -> str:
        """Where it listens, by its own words; what else it says is read and forgotten."""
        assert self._process.stderr is not None
        said = b""
        while line := await self._process.stderr.readline():
            said += line
            if b"DevTools listening on " in line:
                self._draining = asyncio.create_task(self._drain(self._process.stderr))
                return line.split(b" on ", 1)[1].decode().strip()
        raise RuntimeError(f"the browser did not start: {said.decode(errors='replace')[-2000:]}")

    @staticmethod
    async def _drain(stream: asyncio.StreamReader) -> None:
        while await stream.read(65536):
            pass

    async def _read(self) -> None:
        async for message in self._socket:
            said = json.loads(message.data)
            if "id" in said:
                answer = self._answers.pop(said["id"])
                if answer.done():
                    continue
                if "error" in said:
                    answer.set_exception(RuntimeError(said["error"]["message"]))
                else:
                    answer.set_result(said["result"])
            elif (page := self._pages.get(said.get("sessionId", ""))) is not None:
                page.heard(said["method"], said["params"])
