"""One device of the example: a chat page on loopback, backed up through the SDK as people write.

    python device.py FOLDER --port 8001 --name Ada

There is no chat service behind it: what is written on one device reaches the others through the relay alone, which can
read none of it. A messenger would show its own messages and use the vault for what it has no longer.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import hmac
import json
import secrets
import signal
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

from aiohttp import BodyPartReader, web

from strongroom import ChatMessage, InvalidArgument, MessageRef, NotFound, StrongroomError, Vault, message, title

PAGE = Path(__file__).with_name("page")
RASTER = ("image/png", "image/jpeg", "image/gif", "image/webp")
"""What a browser shows as a picture and never runs; every other file is offered for download."""

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

FILE_BYTES = 64 * 1024 * 1024
TEXT_CHARACTERS = 20_000
PAGE_MESSAGES = 50
KEY_HEADER = "X-Chat-Key"
"""Carries the key with every request. A cookie would go to every server on this computer's loopback, whatever its port
and whoever started it; and a form or an image of another site cannot set a header."""

HEADERS = {
    "Content-Security-Policy": "default-src 'self'; img-src 'self' blob:; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-store",
}


class Device:
    """A vault, the browsers that look at it, and the routes between them."""

    def __init__(self, vault: Vault, name: str, port: int) -> None:
        self.vault, self.name = vault, name
        self.key = secrets.token_urlsafe(24)
        self._hosts = {f"127.0.0.1:{port}", f"localhost:{port}"}
        self._listeners: set[asyncio.Queue[dict[str, Any]]] = set()

    def app(self) -> web.Application:
        app = web.Application(middlewares=[self._guarded], client_max_size=FILE_BYTES)
        app.add_routes(
            [
                web.get("/", self._page),
                web.get("/api/chats", self._chats),
                web.post("/api/chats", self._new_chat),
                web.get("/api/messages", self._messages),
                web.post("/api/messages", self._say),
                web.post("/api/files", self._attach),
                web.get("/api/file", self._file),
                web.get("/api/live", self._live),
                web.static("/page", PAGE),
            ]
        )
        app.cleanup_ctx.append(self._background)
        return app

    @web.middleware
    async def _guarded(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Only this page may ask: other sites that the browser has open, and other users of this computer, may not."""
        if request.host not in self._hosts:  # a name of somebody else that leads to loopback
            raise web.HTTPForbidden(text="unknown host")
        if request.path != "/" and not request.path.startswith("/page/"):
            given = request.headers.get(KEY_HEADER, "").encode("utf-8", "replace")
            if not hmac.compare_digest(given, self.key.encode()):
                raise web.HTTPForbidden(text="open the address that was printed at the start")
            if request.headers.get("Sec-Fetch-Site", "same-origin") != "same-origin":
                raise web.HTTPForbidden(text="from another site")
        try:
            return await handler(request)
        except NotFound as error:
            return web.json_response({"error": str(error)}, status=404)
        except (InvalidArgument, ValueError) as error:
            return web.json_response({"error": f"not understood: {error}"}, status=400)
        except StrongroomError as error:
            return web.json_response({"error": str(error)}, status=503)

    async def _page(self, _: web.Request) -> web.StreamResponse:
        return web.FileResponse(PAGE / "index.html", headers=HEADERS)

    async def _chats(self, _: web.Request) -> web.Response:
        rows = await self.vault.chats()
        return _json(
            {
                "name": self.name,
                "chats": [{"id": row.conversation, "title": row.title or row.conversation} for row in rows],
            }
        )

    async def _new_chat(self, request: web.Request) -> web.Response:
        name = _text(await request.json(), "title", 100)
        ident = secrets.token_hex(8)
        await self.vault.append(ident, title(name))
        return _json({"id": ident, "title": name})

    async def _messages(self, request: web.Request) -> web.Response:
        chat, before = request.query.get("chat", ""), request.query.get("before")
        if before is None:
            found = await self.vault.newest(chat, count=PAGE_MESSAGES)
        else:
            ref = MessageRef(chat, before, int(request.query.get("time", "0")))
            found = await self.vault.older(ref, count=PAGE_MESSAGES)
        return _json({"messages": [_shown(item) for item in found], "more": len(found) == PAGE_MESSAGES})

    async def _say(self, request: web.Request) -> web.Response:
        given = await request.json()
        (ref,) = await self.vault.append(
            _text(given, "chat", 200),
            message(_text(given, "text", TEXT_CHARACTERS), sender=self.name.lower(), sender_name=self.name),
        )
        await self._tell(await self.vault.message(ref.chat, ref.id, time=ref.time))
        return _json({"id": ref.id})

    async def _attach(self, request: web.Request) -> web.Response:
        chat = request.query.get("chat", "")
        reader = await request.multipart()
        part = await reader.next()
        if not isinstance(part, BodyPartReader) or not part.filename:
            raise InvalidArgument("no file was sent")
        folder = self.vault.folder / "uploads"
        folder.mkdir(mode=0o700, exist_ok=True)
        path = folder / secrets.token_hex(8)
        try:
            with path.open("wb") as file:
                while piece := await part.read_chunk():
                    if file.tell() + len(piece) > FILE_BYTES:
                        raise InvalidArgument(f"a file has at most {FILE_BYTES:,} bytes")
                    file.write(piece)
            with path.open("rb") as file:
                ref = await self.vault.attach(
                    chat, (Path(part.filename).name, file), sender=self.name.lower(), sender_name=self.name
                )
        finally:
            path.unlink(missing_ok=True)  # it is sealed in the outbox now
        await self._tell(await self.vault.message(ref.chat, ref.id, time=ref.time))
        return _json({"id": ref.id})

    async def _file(self, request: web.Request) -> web.StreamResponse:
        query = request.query
        found = await self.vault.message(query.get("chat", ""), query.get("id", ""), time=int(query.get("time", "0")))
        number = int(query.get("file", "0"))
        if not 0 <= number < len(found.attachments):
            raise NotFound("that message has no such file")
        attachment = found.attachments[number]
        shown = attachment.mime in RASTER
        answer = web.StreamResponse(headers=HEADERS | {
            "Content-Type": attachment.mime if shown and attachment.mime else "application/octet-stream",
            "Content-Disposition": "inline" if shown else "attachment",
        })  # fmt: skip
        await answer.prepare(request)
        async for piece in self.vault.media(attachment):
            await answer.write(piece)
        return answer

    async def _live(self, request: web.Request) -> web.StreamResponse:
        """What happens, as server-sent events: to this device's browsers, from this device's vault."""
        answer = web.StreamResponse(headers=HEADERS | {"Content-Type": "text/event-stream"})
        await answer.prepare(request)
        queue: asyncio.Queue[dict[str, Any]] = asyncio.Queue(1000)
        self._listeners.add(queue)
        try:
            with contextlib.suppress(ConnectionError):  # the page was closed
                await answer.write(b": open\n\n")
                while True:
                    event = await queue.get()
                    await answer.write(f"data: {json.dumps(event)}\n\n".encode())
        finally:
            self._listeners.discard(queue)
        return answer

    async def _background(self, _: web.Application) -> AsyncIterator[None]:
        tasks = [asyncio.create_task(work()) for work in (self._follow, self._report)]
        await self.vault.backfill()  # everything comes here, newest first, and is readable without the relay then
        yield
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _follow(self) -> None:
        """What other devices wrote, as it arrives."""
        async for update in self.vault.watch():
            for item in update.messages:
                await self._tell(item)
            if update.chats:
                await self._event({"kind": "chats"})

    async def _report(self) -> None:
        """Whether all is saved, once a second for whoever looks."""
        while True:
            await asyncio.sleep(1)
            if self._listeners:
                waiting, problem = self.vault.waiting()
                await self._event({"kind": "saved", "waiting": waiting, "problem": problem})

    async def _tell(self, item: ChatMessage) -> None:
        await self._event({"kind": "message", "message": _shown(item)})

    async def _event(self, event: dict[str, Any]) -> None:
        for queue in list(self._listeners):
            with contextlib.suppress(asyncio.QueueFull):  # a page that does not read is told nothing more
                queue.put_nowait(event)


def _shown(item: ChatMessage) -> dict[str, Any]:
    return {
        "chat": item.chat, "id": item.id, "time": item.time, "sender": item.sender_name or item.sender or "",
        "text": item.text or "", "deleted": item.deleted, "edited": item.edited, "pending": item.pending,
        "files": [
            {"name": one.name or "file", "size": one.size, "picture": one.mime in RASTER} for one in item.attachments
        ],
    }  # fmt: skip


def _text(given: Any, name: str, most: int) -> str:
    value = given.get(name) if isinstance(given, dict) else None
    if not isinstance(value, str) or not 0 < len(value) <= most:
        raise InvalidArgument(f"{name} is a text of 1 to {most:,} characters")
    return value


def _json(data: dict[str, Any]) -> web.Response:
    return web.json_response(data, headers=HEADERS)


async def serve(folder: Path, port: int, name: str) -> None:
    """Until it is interrupted or told to stop; what waits is saved then, if that takes no longer than a few seconds."""
    stopped = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stopped.set)
    async with await Vault.open(folder) as vault:
        device = Device(vault, name, port)
        runner = web.AppRunner(device.app(), access_log=None, shutdown_timeout=1)
        await runner.setup()
        try:
            await web.TCPSite(runner, "127.0.0.1", port).start()
            print(f"{name}: http://127.0.0.1:{port}/#key={device.key}", flush=True)
            await stopped.wait()
        finally:
            await runner.cleanup()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--port", type=int, default=8001)
    parser.add_argument("--name", default="Ada")
    given = parser.parse_args()
    asyncio.run(serve(given.folder, given.port, given.name))


if __name__ == "__main__":
    main()
