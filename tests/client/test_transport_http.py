"""The HTTP transport against a relay that answers whatever it likes (chapter 12)."""

from __future__ import annotations

import asyncio
import os
import resource
import zlib
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import pytest

from strongroom.transport import http as transport_module
from strongroom.transport import open_transport
from strongroom.transport.http import HttpTransport
from strongroom_protocol.errors import (
    CallError,
    ClockSkew,
    NotFound,
    RelayConflict,
    RelayError,
    RelayRefused,
    RelayUnreachable,
    StorageFull,
    StrongroomError,
    UntrustedDataError,
    WrongSecret,
)
from strongroom_protocol.keys.secrets import SigningSeed
from strongroom_protocol.keys.signing import SignKey
from strongroom_protocol.relay_api import messages
from strongroom_protocol.relay_api.problems import MEDIA_TYPE, Problem, ProblemError
from strongroom_protocol.wire import cbor

ACCOUNT = bytes(32)
NAME = bytes(range(32))
KEY = SignKey(SigningSeed(bytes(32)))
Answers = Callable[[bytes, asyncio.StreamWriter], Awaitable[None]]


@dataclass(slots=True)
class Hostile:
    """A server that answers with prepared bytes; it keeps what it was asked."""

    transport: HttpTransport
    requests: list[bytes] = field(default_factory=list)


@asynccontextmanager
async def hostile(*answers: bytes | Answers) -> AsyncIterator[Hostile]:
    """The n-th request gets the n-th answer, later ones the last; the connection is closed after each."""
    found: list[Hostile] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = await reader.readuntil(b"\r\n\r\n")
            length = next(
                (int(line[15:]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length:")), 0
            )
            body = await reader.readexactly(length)
            answer = answers[min(len(found[0].requests), len(answers) - 1)]
            found[0].requests.append(head + body)
            if isinstance(answer, bytes):
                writer.write(answer)
                await writer.drain()
            else:
                await answer(head, writer)
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    transport = HttpTransport(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}")
    transport.authenticate(KEY.public, KEY.sign)
    found.append(Hostile(transport))
    try:
        async with asyncio.timeout(20):
            yield found[0]
    finally:
        await transport.close()
        server.close()
        await server.wait_closed()


def http(body: bytes, status: str = "200 OK", *headers: str) -> bytes:
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", "Connection: close", *headers]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


def problem(which: Problem, **extra: object) -> bytes:
    return http(ProblemError(which, **extra).to_json(), f"{which.status} X", f"Content-Type: {MEDIA_TYPE}")


USAGE = messages.Usage(1, 2, 3).encode()


async def test_a_good_answer_is_taken() -> None:
    async with hostile(http(USAGE)) as relay:
        assert await relay.transport.usage(ACCOUNT) == messages.Usage(1, 2, 3)
        assert relay.transport.requests == 1
        assert relay.transport.bytes_received == len(USAGE)


BROKEN = {
    "nothing": b"",
    "not http": b"hello\r\n\r\n",
    "cut in the headers": b"HTTP/1.1 200 OK\r\nContent-Le",
    "cut in the body": b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nab",
    "bad chunk": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
    "cut in a chunk": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab",
    "two lengths": b"HTTP/1.1 200 OK\r\nContent-Length: 8\r\nContent-Length: 9\r\n\r\n" + USAGE,
    "length and chunks": b"HTTP/1.1 200 OK\r\nContent-Length: 8\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "long header": b"HTTP/1.1 200 OK\r\nX: " + b"a" * 100_000 + b"\r\n\r\n",
    "long reason": b"HTTP/1.1 200 " + b"a" * 100_000 + b"\r\n\r\n",
    "wrong status line": b"HTTP/1.1 abc OK\r\n\r\n",
    "empty 200": http(b""),
    "wrong cbor": http(b"\xff\xff"),
    "other structure": http(cbor.encode([1, 2])),
    "trailing": http(USAGE + b"\x00"),
    "field of another type": http(cbor.encode({1: "a", 2: 2, 3: 3})),
    "204": b"HTTP/1.1 204 No Content\r\n\r\n",
    "206": http(USAGE, "206 Partial Content"),
    "304": b"HTTP/1.1 304 Not Modified\r\n\r\n",
    "401 with nonsense": http(b"{", "401 X", f"Content-Type: {MEDIA_TYPE}"),
    "418": http(b"\xff", "418 X"),
    "500": http(b"<html>", "500 X"),
    "502": http(b"", "502 X"),
    "deep json": http(b"[" * 60_000, "400 X", f"Content-Type: {MEDIA_TYPE}"),
    "json number": http(b"1" * 5000, "400 X"),
    "problem of another kind": http(b'{"type": ["a"], "relay_time": "x"}', "400 X"),
}


@pytest.mark.parametrize("name", list(BROKEN))
async def test_attack_092_broken_answers_are_typed_errors_after_one_request(name: str) -> None:
    async with hostile(BROKEN[name]) as relay:
        with pytest.raises((RelayError, UntrustedDataError)):
            await relay.transport.usage(ACCOUNT)
        # An idempotent request whose connection ends before any answer is sent once more.
        assert len(relay.requests) <= (2 if name in ("nothing", "cut in the headers") else 1)


@pytest.mark.spec("CLIENT-5")
@pytest.mark.parametrize("coding", ["gzip", "deflate", "br", "zstd"])
async def test_attack_092_a_coded_answer_is_refused_undecoded(coding: str) -> None:
    body = USAGE if coding != "gzip" else zlib.compress(bytes(100_000_000), wbits=31)
    async with hostile(http(body, "200 OK", f"Content-Encoding: {coding}")) as relay:
        with pytest.raises(RelayUnreachable):
            await relay.transport.usage(ACCOUNT)
        assert b"accept-encoding: identity\r\n" in relay.requests[0].lower()


@pytest.mark.spec("CLIENT-6")
@pytest.mark.parametrize("status", ["200 OK", "400 X"])
async def test_attack_092_an_endless_body_is_cut_off(status: str) -> None:
    sent = 0

    async def endless(_: bytes, writer: asyncio.StreamWriter) -> None:
        nonlocal sent
        writer.write(f"HTTP/1.1 {status}\r\nTransfer-Encoding: chunked\r\n\r\n".encode())
        chunk = b"10000\r\n" + bytes(65_536) + b"\r\n"
        while sent < 200_000_000:
            writer.write(chunk)
            await writer.drain()
            sent += 65_536

    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    async with hostile(endless) as relay:
        with pytest.raises(RelayUnreachable):
            await relay.transport.usage(ACCOUNT)
        assert sent < 60_000_000
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 100_000


async def test_attack_092_silence_ends_at_the_deadline(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transport_module, "DEADLINE", 0.3)

    async def silent(_: bytes, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nab")
        await writer.drain()
        await asyncio.sleep(3)

    async with hostile(silent) as relay:
        with pytest.raises(RelayUnreachable):
            await relay.transport.usage(ACCOUNT)


async def test_attack_092_a_flood_of_interim_answers_ends_at_the_deadline(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transport_module, "DEADLINE", 1.0)

    async def interim(_: bytes, writer: asyncio.StreamWriter) -> None:
        while True:
            writer.write(b"HTTP/1.1 102 Processing\r\n\r\n")
            await writer.drain()
            await asyncio.sleep(0.001)

    async with hostile(interim) as relay:
        with pytest.raises(RelayUnreachable):
            await relay.transport.usage(ACCOUNT)


@pytest.mark.parametrize("status", ["301", "302", "303", "307", "308"])
async def test_attack_093_a_redirect_is_not_followed(status: str) -> None:
    async with hostile(http(USAGE)) as target:
        place = f"Location: {target.transport.origin}/v1/x"
        async with hostile(http(b"", f"{status} Moved", place)) as relay:
            with pytest.raises(RelayError):
                await relay.transport.usage(ACCOUNT)
            assert len(relay.requests) == 1
        assert target.requests == []


@pytest.mark.spec("CLIENT-2")
@pytest.mark.parametrize("url", ["http://relay.example", "http://192.0.2.1:80", "http://127.0.0.1.example"])
async def test_attack_093_plain_http_is_for_loopback(url: str) -> None:
    with pytest.raises(CallError):
        await open_transport(url)


@pytest.mark.parametrize(
    "url", ["https://a/b", "https://u:p@a", "https://a?x", "ftp://a", "https://", "a", "file://h/x"]
)
async def test_other_addresses_are_refused(url: str) -> None:
    with pytest.raises(CallError):
        await open_transport(url)


async def test_attack_092_cookies_are_neither_kept_nor_sent() -> None:
    async with hostile(http(USAGE, "200 OK", "Set-Cookie: a=b")) as relay:
        for _ in range(2):
            await relay.transport.usage(ACCOUNT)
        assert all(b"cookie" not in request.lower() for request in relay.requests)


async def test_nobody_there_is_unreachable() -> None:
    transport = HttpTransport("http://127.0.0.1:1")
    with pytest.raises(RelayUnreachable):
        await transport.relay_info()
    await transport.close()


PROBLEMS: list[tuple[Problem, type[StrongroomError]]] = [
    (Problem.UNAVAILABLE, RelayUnreachable),
    (Problem.INTERNAL, RelayUnreachable),
    (Problem.CONFLICT, RelayConflict),
    (Problem.MISSING_OBJECTS, RelayConflict),
    (Problem.QUOTA, StorageFull),
    (Problem.DISK_FULL, StorageFull),
    (Problem.UNLOCK_REFUSED, WrongSecret),
    (Problem.NOT_FOUND, NotFound),
    (Problem.RATE, RelayRefused),
    (Problem.READ_ONLY, RelayRefused),
    (Problem.NAME_TAKEN, RelayRefused),
]


@pytest.mark.parametrize(("which", "error"), PROBLEMS)
async def test_problems_become_typed_errors(which: Problem, error: type[StrongroomError]) -> None:
    async with hostile(problem(which)) as relay:
        with pytest.raises(error) as caught:
            await relay.transport.usage(ACCOUNT)
        assert type(caught.value) is error
        assert len(relay.requests) == 1


async def test_a_clock_offset_is_learnt_once() -> None:
    import time

    later = int(time.time() + 5000) * 1000
    async with hostile(problem(Problem.CLOCK, relay_time=later), http(USAGE)) as relay:
        assert await relay.transport.usage(ACCOUNT) == messages.Usage(1, 2, 3)
        assert f";created={later // 1000}".encode()[:-1] in relay.requests[1]
    async with hostile(problem(Problem.CLOCK, relay_time=later)) as relay:
        with pytest.raises(ClockSkew):
            await relay.transport.usage(ACCOUNT)
        assert len(relay.requests) == 2


async def test_a_clock_that_is_set_while_the_program_runs() -> None:
    import time

    now = int(time.time())
    wrong, right = (problem(Problem.CLOCK, relay_time=seconds * 1000) for seconds in (now + 5000, now))
    async with hostile(wrong, http(USAGE), right, http(USAGE), http(USAGE)) as relay:
        for _ in range(3):
            assert await relay.transport.usage(ACCOUNT) == messages.Usage(1, 2, 3)
        signed = [int(request.split(b";created=")[1].split(b";")[0]) for request in relay.requests]
        ahead = [made > now + 2500 for made in signed]
        assert ahead == [False, True, True, False, False]


@pytest.mark.spec("CLIENT-3")
@pytest.mark.parametrize("pieces", [[], [b"a", b"b"], [None, None]])
async def test_attack_092_more_or_fewer_pieces_than_asked_are_refused(pieces: list[bytes | None]) -> None:
    async with hostile(http(messages.encode_pieces(pieces))) as relay:
        with pytest.raises(UntrustedDataError):
            await relay.transport.read(ACCOUNT, [(NAME, 0, 10)])
        assert len(relay.requests) == 1


@pytest.mark.spec("CLIENT-4")
async def test_attack_092_more_bytes_than_asked_are_refused() -> None:
    async with hostile(http(messages.encode_pieces([bytes(11)]))) as relay:
        with pytest.raises(UntrustedDataError):
            await relay.transport.read(ACCOUNT, [(NAME, 0, 10)])


async def test_an_answer_in_parts_is_asked_for_again() -> None:
    first, second = (http(messages.encode_pieces(list(pieces))) for pieces in ([b"a"], [None]))
    async with hostile(first, second) as relay:
        assert await relay.transport.read(ACCOUNT, [(NAME, 0, 1), (NAME, 1, 1)]) == [b"a", None]


@pytest.mark.spec("CLIENT-20")
@pytest.mark.parametrize("rest", [[], [None], [bytes(9_000_000)], [b"a", b"b"]], ids=["none", "gone", "long", "two"])
async def test_attack_092_the_rest_of_a_long_range_is_what_was_asked_for(rest: list[bytes | None]) -> None:
    half = os.urandom(8_400_000)
    first, second = (http(messages.encode_pieces(pieces)) for pieces in ([half], rest))
    async with hostile(first, second) as relay:
        with pytest.raises(UntrustedDataError):
            await relay.transport.read(ACCOUNT, [(NAME, 0, len(half) + 100)])
    async with hostile(first, http(messages.encode_pieces([bytes(100)]))) as relay:
        assert await relay.transport.read(ACCOUNT, [(NAME, 0, len(half) + 100)]) == [half + bytes(100)]


@pytest.mark.spec("CLIENT-21")
async def test_attack_092_names_that_nobody_asked_for_are_refused() -> None:
    async with hostile(http(messages.encode_names([NAME, bytes(32)]))) as relay:
        with pytest.raises(UntrustedDataError):
            await relay.transport.missing(ACCOUNT, [NAME])
        assert await relay.transport.missing(ACCOUNT, [NAME, bytes(32)]) == [NAME, bytes(32)]
