"""The HTTP transport: signed requests, bounded answers, deadlines, typed errors (spec chapter 12).

No redirect is followed, no content coding accepted, and nothing retried but with a relay's clock or, once, when a
connection ended before the answer to an idempotent request, so a relay (or whoever answers in its place) cannot lead a
client anywhere else.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from dataclasses import replace
from urllib.parse import urlsplit

import aiohttp

from strongroom.transport.base import (
    CommitRequest,
    CommitResponse,
    HeadResponse,
    LinkResponse,
    LoginResponse,
    Range,
    RegisterRequest,
    RelayInfo,
    UnlockResponse,
    Usage,
    Versions,
    WitnessRequest,
    WitnessResponse,
)
from strongroom.transport.reading import read_all
from strongroom_protocol.errors import ClockSkew, Failure, InvalidArgument, RelayUnreachable, UntrustedDataError
from strongroom_protocol.limits import LIMITS
from strongroom_protocol.relay_api import live, messages
from strongroom_protocol.relay_api.links import LinkRequest
from strongroom_protocol.relay_api.problems import parse_problem, to_error
from strongroom_protocol.relay_api.signature import RequestParts, digest_header, sign_request
from strongroom_protocol.wire.cose import Signer

DEADLINE = 120.0
"""Seconds for a whole request and answer, and more for long ones."""

CONNECT = 10.0
ANSWER_BYTES = LIMITS.read_response_bytes + 2 * 1024 * 1024
PROBLEM_BYTES = 64 * 1024
PIECE_BYTES = 256 * 1024
HEADERS = {"Accept-Encoding": "identity", "Content-Type": "application/cbor", "User-Agent": "strongroom"}
"""Of every request. The agent has no version: which Python or library a device runs is not the relay's business."""

EMPTY = hashlib.sha256(b"").digest()
READ_LIMITS = replace(LIMITS, cbor_bytes=ANSWER_BYTES)


class HttpTransport:
    """One relay over HTTP. Connections are opened at the first request."""

    def __init__(self, origin: str) -> None:
        scheme, _, place = origin.lower().partition("://")
        # As clients write Host: without a scheme's own port. Signatures and unlock statements name this form.
        self.origin = f"{scheme}://{place.removesuffix(':443' if scheme == 'https' else ':80')}"
        self._authority = urlsplit(self.origin).netloc
        self._key = b""
        self._signer: Signer | None = None
        self._offset = 0
        self._session: aiohttp.ClientSession | None = None
        self.requests = self.bytes_sent = self.bytes_received = 0

    def authenticate(self, key: bytes, signer: Signer) -> None:
        self._key, self._signer = key, signer

    async def relay_info(self) -> RelayInfo:
        return RelayInfo.parse(await self._ask("GET", "/v1/relay", signed=False))

    async def login(self, name: str) -> LoginResponse:
        return LoginResponse.parse(await self._ask("POST", "/v1/login", messages.encode_login(name), signed=False))

    async def unlock(self, name: str, statement: bytes, account: bytes | None = None) -> UnlockResponse:
        body = messages.UnlockRequest(name, statement).encode()
        path = "/v1/unlock" if account is None else _path(account, "unlock")
        return UnlockResponse.parse(await self._ask("POST", path, body, signed=account is not None))

    async def block(self, account: bytes, message: bytes) -> None:
        await self._ask("POST", _path(account, "block"), message)

    async def register(self, request: RegisterRequest) -> CommitResponse:
        return CommitResponse.parse(await self._ask("POST", "/v1/accounts", request.encode(), signed=False))

    async def keyrings(self, account: bytes, first: int) -> list[tuple[bytes, bytes]]:
        return messages.parse_keyrings(await self._ask("GET", _path(account, "keyring"), query=f"?from={first}"))

    async def head(self, account: bytes, since: int | None) -> HeadResponse:
        query = "" if since is None else f"?since={since}"
        return HeadResponse.parse(await self._ask("GET", _path(account, "head"), query=query))

    async def head_at(self, account: bytes, version: int) -> HeadResponse:
        return HeadResponse.parse(await self._ask("GET", _path(account, f"heads/{version}")))

    async def missing(self, account: bytes, names: Sequence[bytes]) -> list[bytes]:
        body = messages.encode_names(names)
        absent = messages.parse_names(await self._ask("POST", _path(account, "objects/missing"), body))
        if not set(absent) <= set(names):  # spec: CLIENT-21
            raise UntrustedDataError(Failure.SCHEMA, "names other than those asked for", subject="missing")
        return absent

    async def put(self, account: bytes, name: bytes, data: bytes | memoryview) -> None:
        await self._ask("PUT", _path(account, f"objects/{name.hex()}"), data, digest=name)  # the name is the digest

    async def read(self, account: bytes, ranges: Sequence[Range]) -> list[bytes | None]:
        async def ask(rest: list[Range]) -> list[bytes | None]:
            body = messages.encode_ranges(rest)
            return messages.parse_pieces(await self._ask("POST", _path(account, "objects/read"), body), READ_LIMITS)

        return await read_all(ask, ranges)

    async def commit(self, account: bytes, request: CommitRequest) -> CommitResponse:
        return CommitResponse.parse(await self._ask("POST", _path(account, "commit"), request.encode()))

    async def open_link(self, account: bytes, ident: bytes) -> LinkResponse:
        return LinkResponse.parse(await self._ask("POST", _path(account, "links"), LinkRequest(ident).encode()))

    async def put_link(self, number: int, slot: int, message: bytes) -> None:
        await self._ask("PUT", f"/v1/links/{number:06}/{slot}", message, signed=False)

    async def get_link(self, number: int, slot: int) -> bytes:
        message = await self._ask("GET", f"/v1/links/{number:06}/{slot}", signed=False)
        if len(message) > LIMITS.link_message_bytes:  # spec: LINK-22
            raise UntrustedDataError(Failure.LIMIT, "longer than the limit", subject="link")
        return message

    async def witness(self, request: WitnessRequest) -> WitnessResponse:
        return WitnessResponse.parse(await self._ask("POST", "/v1/witness", request.encode(), signed=False))

    async def events(self, account: bytes) -> AsyncGenerator[Versions | None, None]:
        path = _path(account, "events")
        for retry in (False, True):
            try:
                async for versions in self._stream(path):
                    yield versions
            except ClockSkew as error:
                if retry or not error.relay_time:
                    raise
                self._offset = error.relay_time // 1000 - _seconds()

    async def _stream(self, path: str) -> AsyncGenerator[Versions | None, None]:
        reader = live.Reader()
        self.requests += 1
        try:
            async with self._connected().get(
                f"{self.origin}{path}", headers=self._headers("GET", path, "", EMPTY), allow_redirects=False,
                timeout=aiohttp.ClientTimeout(total=None, connect=CONNECT, sock_read=live.SILENCE_S),
            ) as answer:  # fmt: skip
                if answer.status != 200:
                    raise to_error(parse_problem(answer.status, await _bounded(answer, PROBLEM_BYTES)))
                if answer.headers.get("Content-Encoding", "identity").lower() != "identity":
                    raise aiohttp.ClientPayloadError("content codings are not accepted")
                async for piece in answer.content.iter_any():
                    self.bytes_received += len(piece)
                    found = reader.feed(piece)
                    for versions in found[-1:] or (None,):  # the last says all
                        yield versions
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
            raise RelayUnreachable("the relay cannot be reached or broke off") from error
        raise RelayUnreachable("the stream has ended")

    async def usage(self, account: bytes) -> Usage:
        return Usage.parse(await self._ask("GET", _path(account, "usage")))

    async def close(self) -> None:
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def _ask(
        self, method: str, path: str, body: bytes | memoryview = b"", *, query: str = "", signed: bool = True,
        digest: bytes | None = None,
    ) -> bytes:  # fmt: skip
        digest = digest or hashlib.sha256(body).digest()
        try:
            return await self._once(method, path, body, query, signed, digest)
        except ClockSkew as error:
            if not signed or not error.relay_time:
                raise  # once for each request: a clock may be set right while an app runs for weeks
            self._offset = error.relay_time // 1000 - _seconds()
            return await self._once(method, path, body, query, signed, digest)

    async def _once(
        self, method: str, path: str, body: bytes | memoryview, query: str, signed: bool, digest: bytes
    ) -> bytes:
        headers = self._headers(method, path, query, digest) if signed else dict(HEADERS)
        sent: bytes | memoryview | _Pieces = body
        if len(body) > PIECE_BYTES:
            sent, headers["Content-Length"] = _Pieces(body), str(len(body))
        self.requests += 1
        self.bytes_sent += len(body)
        try:
            async with self._connected().request(
                method, f"{self.origin}{path}{query}", data=sent, headers=headers, allow_redirects=False,
                timeout=_timeout(len(body) + (ANSWER_BYTES if path.endswith("/objects/read") else 0)),
            ) as answer:  # fmt: skip
                good = answer.status in (200, 201)
                data = await _bounded(answer, ANSWER_BYTES if good else PROBLEM_BYTES)
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
            raise RelayUnreachable("the relay cannot be reached or broke off") from error
        self.bytes_received += len(data)
        if not good:
            raise to_error(parse_problem(answer.status, data))
        return data

    def _headers(self, method: str, path: str, query: str, digest: bytes) -> dict[str, str]:
        """Of a request that this device signs."""
        if self._signer is None:
            raise InvalidArgument("no device key to sign with")
        return HEADERS | sign_request(
            RequestParts(method, self._authority, path, query),
            digest_header(digest),
            created=_seconds() + self._offset, key=self._key, signer=self._signer,
        )  # fmt: skip

    def _connected(self) -> aiohttp.ClientSession:
        if self._session is None:
            self._session = aiohttp.ClientSession(
                auto_decompress=False,
                max_line_size=8190,
                max_field_size=8190,
                cookie_jar=aiohttp.DummyCookieJar(),
                trust_env=False,
            )
        return self._session


class _Pieces:
    """A long body that goes out in pieces, again from its beginning when it is sent again: as one it would be copied
    at every step of a slow connection."""

    def __init__(self, body: bytes | memoryview) -> None:
        self._body = memoryview(body)

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for start in range(0, len(self._body), PIECE_BYTES):
            yield bytes(self._body[start : start + PIECE_BYTES])


async def _bounded(answer: aiohttp.ClientResponse, maximum: int) -> bytes:
    if answer.headers.get("Content-Encoding", "identity").lower() != "identity":  # spec: CLIENT-5
        raise aiohttp.ClientPayloadError("content codings are not accepted")
    data = bytearray()
    async for chunk in answer.content.iter_chunked(256 * 1024):
        data += chunk
        if len(data) > maximum:  # spec: CLIENT-6
            raise aiohttp.ClientPayloadError("answer is longer than the limit")
    return bytes(data)


def _seconds() -> int:
    """This machine's time, within what a request can say: the relay answers a wrong one with its own."""
    return min(max(int(time.time()), 0), 2**38)


def _timeout(size: int) -> aiohttp.ClientTimeout:
    return aiohttp.ClientTimeout(total=DEADLINE + size / LIMITS.slowest_bytes_s, connect=CONNECT)


def _path(account: bytes, rest: str) -> str:
    return f"/v1/accounts/{account.hex()}/{rest}"
