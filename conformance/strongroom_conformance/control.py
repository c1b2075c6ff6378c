"""The control port of the hostile server: what a scenario tells it and asks it, as JSON over HTTP on loopback.

`serve` is the process; `Control` is the scenario's side of it. The port wants a random token, which only the
starter of the process knows, since other users of the machine can reach it too.
"""

from __future__ import annotations

import asyncio
import hmac
import http.client
import json
import secrets
import signal
import subprocess
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from types import TracebackType
from typing import Any
from urllib.parse import urlsplit

from aiohttp import web

from strongroom_conformance.evil import Evil, Served

START_SECONDS = 30.0
REQUEST_BYTES = 64 * 1024 * 1024
TOKEN = "X-Control"  # noqa: S105 the name of a header
Verb = Callable[[Evil, dict[str, Any]], Awaitable[Any]]


async def serve(folder: Path, listen: str = "127.0.0.1") -> None:
    """Run the hostile server and its control port until SIGTERM; says on stdout where they are, as one JSON line."""
    token = secrets.token_hex(16)
    held: list[Evil] = []

    async def handle(request: web.Request) -> web.StreamResponse:
        return await held[0].handle(request)

    async def control(request: web.Request) -> web.Response:
        if not hmac.compare_digest(request.headers.get(TOKEN, ""), token):
            return web.json_response({"error": "the token of the process is needed"}, status=403)
        verb = VERBS.get(request.match_info["verb"])
        if verb is None:
            return web.json_response({"error": "no such verb"}, status=404)
        try:
            return web.json_response({"result": await verb(held[0], await request.json())})
        except (ValueError, KeyError, TypeError, IndexError) as error:
            return web.json_response({"error": f"{type(error).__name__}: {error}"}, status=400)

    outside, inside = web.Application(client_max_size=REQUEST_BYTES), web.Application(client_max_size=REQUEST_BYTES)
    outside.router.add_route("*", "/{tail:.*}", handle)
    inside.router.add_post("/{verb}", control)
    runners = []
    places = []
    for app in (outside, inside):
        runner = web.AppRunner(app, access_log=None, auto_decompress=False, shutdown_timeout=0.5)
        await runner.setup()
        await web.TCPSite(runner, listen, 0).start()
        runners.append(runner)
        places.append("http://{}:{}".format(*runner.addresses[0][:2]))
    held.append(Evil(folder, places[0]))
    print(json.dumps({"url": places[0], "control": places[1], "token": token}), flush=True)
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    await stop.wait()
    for runner in runners:
        await runner.cleanup()
    await held[0].close()


async def _script(evil: Evil, given: dict[str, Any]) -> None:
    evil.script(given["rules"])


async def _served(evil: Evil, given: dict[str, Any]) -> None:
    evil.served = Served(given.get("default", "main"), dict(given.get("keys", {})))


async def _forget(evil: Evil, given: dict[str, Any]) -> None:
    evil.forget()


async def _clear(evil: Evil, given: dict[str, Any]) -> None:
    evil.log.entries.clear()


async def _log(evil: Evil, given: dict[str, Any]) -> list[dict[str, Any]]:
    return [entry.to_json() for entry in evil.log.entries]


async def _snapshot(evil: Evil, given: dict[str, Any]) -> None:
    await evil.branches.snapshot(given["name"], given.get("branch", "main"))


async def _reset(evil: Evil, given: dict[str, Any]) -> None:
    await evil.branches.reset(given["name"], given.get("branch", "main"))


async def _history(evil: Evil, given: dict[str, Any]) -> dict[str, Any]:
    branch = await evil.branches.branch(given.get("branch", "main"))
    return await branch.history(bytes.fromhex(given["account"]))


async def _objects(evil: Evil, given: dict[str, Any]) -> dict[str, str]:
    branch = await evil.branches.branch(given.get("branch", "main"))
    return await branch.objects(bytes.fromhex(given["account"]))


async def _accounts(evil: Evil, given: dict[str, Any]) -> dict[str, str]:
    return await (await evil.branches.branch(given.get("branch", "main"))).accounts()


async def _receipt(evil: Evil, given: dict[str, Any]) -> str:
    branch = await evil.branches.branch(given.get("branch", "main"))
    previous = given["previous"]
    account, hash_ = bytes.fromhex(given["account"]), bytes.fromhex(given["hash"])
    signed = branch.receipt(
        account, given["chain"], given["version"], hash_, None if previous is None else bytes.fromhex(previous)
    )
    return signed.hex()


VERBS: dict[str, Verb] = {
    "script": _script, "serve": _served, "forget": _forget, "clear": _clear, "log": _log, "snapshot": _snapshot,
    "reset": _reset, "history": _history, "objects": _objects, "accounts": _accounts, "receipt": _receipt,
}  # fmt: skip


class Control:
    """The hostile relay in its own process: `with Control(folder) as relay: … relay.url …`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.url = ""
        self._token = ""
        self._port = 0
        self._process: subprocess.Popen[str] | None = None

    def __enter__(self) -> Control:
        self.folder.mkdir(parents=True, exist_ok=True)
        command = [sys.executable, "-m", "strongroom_conformance", "relay", "--data", str(self.folder)]
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        if self._process.stdout is None:
            raise RuntimeError("the hostile relay has no stdout")
        line = self._process.stdout.readline()  # it says where it is, or ends
        if not line:
            raise RuntimeError(f"the hostile relay did not start: exit {self._process.wait(START_SECONDS)}")
        said = json.loads(line)
        self.url, self._token = said["url"], said["token"]
        self._port = urlsplit(said["control"]).port or 0
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._process is not None:
            self._process.terminate()
            try:
                self._process.wait(10)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
            if self._process.stdout is not None:
                self._process.stdout.close()

    def ask(self, verb: str, **given: Any) -> Any:
        """One verb of the control port. Raises RuntimeError with what the server says."""
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=60)
        try:
            connection.request("POST", f"/{verb}", json.dumps(given), {TOKEN: self._token})
            answer = connection.getresponse()
            said = json.loads(answer.read())
        finally:
            connection.close()
        if answer.status != 200:
            raise RuntimeError(f"{verb}: {said['error']}")
        return said["result"]
