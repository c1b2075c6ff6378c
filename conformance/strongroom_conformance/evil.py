"""The malicious relay: honest relays behind a server that reads every request and changes any answer.

It has what a relay's operator has: the store in all its earlier states, the receipt key, and every byte that passes. A
scenario tells it over a control port (`control.py`) what to lie about. A request goes to the branch that its key is to
see; the honest answer, or none when the rule says `instead`, goes through the first rule that applies; the answer goes
out in the manner the rule wants. Everything is logged as a relay sees it.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import time
from dataclasses import dataclass, field, replace
from pathlib import Path

from aiohttp import ClientSession, ClientTimeout, DummyCookieJar, web

from strongroom_conformance.branches import Branch, Branches
from strongroom_conformance.exchanges import Answer, Asked, Entry, Log, Manner, key_of
from strongroom_conformance.mutations import LIES, Rule
from strongroom_protocol.relay_api.messages import CommitRequest, CommitResponse
from strongroom_protocol.wire import cbor

OWN = ("acknowledge", "replay")
"""Lies that need the receipt key or what was answered before."""

REMEMBERED = 512
FLOOD = 1 << 30
"""Bytes after which an endless answer ends, so that a client without a limit fails instead of filling the disk."""

_HOP = ("connection", "content-length", "transfer-encoding", "host", "keep-alive", "server", "date")


@dataclass(slots=True)
class Served:
    """Which branch each key is shown. Keys that are not named, and requests without key, see the default."""

    default: str = "main"
    keys: dict[str, str] = field(default_factory=dict)

    def of(self, key: str) -> str:
        return self.keys.get(key, self.default)


class Evil:
    """The server's state: branches, rules, log, and the answers it remembers."""

    def __init__(self, folder: Path, origin: str) -> None:
        self.branches = Branches(folder, origin)
        self.rules: list[Rule] = []
        self.served = Served()
        self.log = Log()
        self.origin = origin
        self._past: list[tuple[str, Answer]] = []
        self._session: ClientSession | None = None

    def script(self, rules: list[dict[str, object]]) -> None:
        """Lie like this from now on. Raises ValueError for a lie that is not known."""
        self.rules = [Rule.parse(rule, (*LIES, *OWN)) for rule in rules]

    def forget(self) -> None:
        """Be honest, show one branch to all, and begin a new log."""
        self.rules, self.served, self.log = [], Served(), Log()
        self._past.clear()

    async def close(self) -> None:
        if self._session is not None:
            await self._session.close()
        await self.branches.close()

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """One request of a client."""
        path, _, query = request.raw_path.partition("?")
        key = key_of(request.headers.get("Signature-Input", ""))
        asked = Asked(request.method, path, f"?{query}" if query else "", await request.read(), key)
        entry, began = self.log.add(asked), time.monotonic()
        branch = await self.branches.branch(self.served.of(key))
        rule = next((rule for rule in self.rules if rule.applies(asked)), None)
        answer = Answer(200)
        if rule is None or not rule.instead:
            answer = await self._honest(branch, asked, request)
            self._past.append((asked.shape, answer))
            del self._past[:-REMEMBERED]
        if rule is not None:
            entry.rule = rule.do
            answer = self._lie(rule, branch, asked, answer)
        entry.status = answer.status
        try:
            return await self._send(request, answer, entry)
        finally:
            entry.seconds = round(time.monotonic() - began, 3)

    def _lie(self, rule: Rule, branch: Branch, asked: Asked, honest: Answer) -> Answer:
        if rule.do == "acknowledge":
            return _acknowledged(branch, asked, wrong=bool(rule.given.get("wrong")))
        if rule.do == "replay":
            past = [answer for shape, answer in self._past if shape == asked.shape]
            return past[int(rule.given["number"])]
        return LIES[rule.do](rule.given, asked, honest)

    async def _honest(self, branch: Branch, asked: Asked, request: web.Request) -> Answer:
        if self._session is None:
            self._session = ClientSession(
                auto_decompress=False, cookie_jar=DummyCookieJar(), timeout=ClientTimeout(total=60),
                skip_auto_headers=("User-Agent", "Accept", "Accept-Encoding", "Content-Type"),
            )  # fmt: skip
        headers = [(name, value) for name, value in request.headers.items() if name.lower() not in _HOP]
        # The clients' signatures cover the name of the relay: the branch is asked under the one they know.
        headers.append(("Host", request.host))
        url = branch.url + asked.path + asked.query
        async with self._session.request(
            asked.method, url, data=asked.body, headers=headers, allow_redirects=False
        ) as honest:
            kept = tuple((name, value) for name, value in honest.headers.items() if name.lower() not in _HOP)
            return Answer(honest.status, await honest.read(), kept)

    async def _send(self, request: web.Request, answer: Answer, entry: Entry) -> web.StreamResponse:
        entry.answered = len(answer.body)
        if answer.manner is Manner.WHOLE:
            return web.Response(status=answer.status, body=answer.body, headers=list(answer.headers))
        with contextlib.suppress(ConnectionError):
            if answer.manner is Manner.RAW:
                _transport(request).write(answer.body)
                await asyncio.sleep(0.05)  # so that it is read before the end is
            elif answer.manner is Manner.STALL:
                while not _gone(request):  # noqa: ASYNC110 aiohttp has no event for a client that leaves
                    await asyncio.sleep(0.05)
            else:
                return await _trickle(request, answer, entry)
        return _broken(request)


async def _trickle(request: web.Request, answer: Answer, entry: Entry) -> web.StreamResponse:
    response = web.StreamResponse(status=answer.status, headers=list(answer.headers))
    if answer.manner in (Manner.CUT, Manner.DRIP):
        response.content_length = len(answer.body) + (1 if answer.manner is Manner.CUT else 0)
    await response.prepare(request)
    entry.answered = 0
    if answer.manner is Manner.CUT:
        await response.write(answer.body)
    elif answer.manner is Manner.DRIP:
        for byte in answer.body:
            if _gone(request):
                break
            await response.write(bytes([byte]))
            entry.answered += 1
            await asyncio.sleep(1)
    else:
        block = (answer.body or b"\0") * (1 + 65_536 // max(1, len(answer.body)))
        while entry.answered < FLOOD and not _gone(request):
            await response.write(block)
            entry.answered += len(block)
    return _broken(request)


def _transport(request: web.Request) -> asyncio.Transport:
    found = request.transport
    if not isinstance(found, asyncio.Transport):
        raise ConnectionResetError("the client is gone")
    return found


def _gone(request: web.Request) -> bool:
    return request.transport is None or request.transport.is_closing()


def _broken(request: web.Request) -> web.StreamResponse:
    """The end of the connection, with nothing more on it."""
    if request.transport is not None:
        request.transport.close()
    return web.Response()


def _acknowledged(branch: Branch, asked: Asked, *, wrong: bool) -> Answer:
    """ "Committed", with good receipts, for what nobody keeps; with `wrong`, receipts for something else."""
    commit = CommitRequest.parse(asked.body)

    def receipt(chain: int, message: bytes) -> bytes:
        fields = cbor.decode(cbor.decode(message)[2])  # 3 and 4 are version and previous hash in both (CDDL)
        hash_ = bytes(32) if wrong else hashlib.sha256(message).digest()
        return branch.receipt(asked.account, chain, fields[3], hash_, fields[4])

    keyring = None if commit.keyring is None else receipt(1, commit.keyring)
    return replace(Answer(200), body=CommitResponse(receipt(2, commit.head), keyring).encode())
