"""The stream over HTTP: a real relay that comes and goes, and servers that answer with anything (chapter 18)."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest

from relay_process import RelayProcess
from strongroom import Update, Vault, blocking, message
from strongroom import live as live_module
from strongroom.transport.http import HttpTransport
from strongroom_protocol.errors import ClockSkew, RelayRefused, RelayUnreachable
from strongroom_protocol.keys.secrets import SigningSeed
from strongroom_protocol.keys.signing import SignKey
from strongroom_protocol.relay_api import live
from strongroom_protocol.relay_api.live import Versions
from strongroom_protocol.relay_api.problems import Problem, ProblemError
from vaults import create_at, login_at, opener

ACCOUNT = bytes(32)
PATIENCE_S = 30.0
HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n"


async def _confirmed(relay: str, folder: Path, opened: object) -> Vault:
    from strongroom.owner import Owner

    vault = await login_at(relay, folder, opened)  # type: ignore[arg-type]
    async with await Owner.unlock(vault._session, vault.name, opened) as owner:  # type: ignore[arg-type]
        await owner.confirm("desk")
    return vault


async def test_a_relay_that_stops_and_starts_again_loses_nothing_and_tells_nothing_twice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("strongroom.sending.BACKOFF_S", (0.1, 1.0))
    monkeypatch.setattr(live_module, "BACKOFF_S", (0.1, 1.0))
    opened, told = opener(), asyncio.Queue[Update]()
    relay = RelayProcess(tmp_path / "relay", open_registration=True)
    await asyncio.to_thread(relay.start)
    try:
        async with (
            await create_at(relay.url, tmp_path / "phone", opened) as phone,
            await _confirmed(relay.url, tmp_path / "desk", opened) as desk,
        ):

            async def follow() -> None:
                async for update in desk.watch():
                    told.put_nowait(update)

            async def until(last: str, seen: list[str | None]) -> None:
                async with asyncio.timeout(PATIENCE_S):
                    while last not in seen:
                        seen += [item.text for item in (await told.get()).messages]

            task, seen = asyncio.create_task(follow()), list[str | None]()
            async with asyncio.timeout(PATIENCE_S):
                while desk._live is None or not desk._live.telling:  # noqa: ASYNC110
                    await asyncio.sleep(0.01)
            await phone.append("family", message("0"))
            await until("0", seen)
            for stop, n in ((relay.stop, 1), (relay.kill, 4)):
                await phone.append("family", message(f"{n}"))
                await asyncio.to_thread(stop)
                await phone.append("family", message(f"{n + 1}"))
                await asyncio.sleep(2)
                await asyncio.to_thread(relay.start)
                await phone.append("family", message(f"{n + 2}"))
                await until(f"{n + 2}", seen)
            await asyncio.sleep(0.5)
            assert not task.done()
            task.cancel()
            assert (seen, told.empty()) == ([str(n) for n in range(7)], True)
    finally:
        await asyncio.to_thread(relay.stop)


async def test_without_async_it_is_an_iterator_and_leaving_it_ends_the_stream(tmp_path: Path) -> None:
    opened = opener()
    with RelayProcess(tmp_path / "relay", open_registration=True) as relay:
        async with await create_at(relay.url, tmp_path / "phone", opened) as phone:
            await (await _confirmed(relay.url, tmp_path / "desk", opened)).close()
            begun = asyncio.Event()
            loop = asyncio.get_running_loop()

            def follow() -> tuple[list[str | None], list[str]]:
                with blocking.Vault.open(tmp_path / "desk") as desk:
                    loop.call_soon_threadsafe(begun.set)
                    updates = desk.watch()
                    update = next(updates)
                    updates.close()
                    left = [task.get_name() for task in asyncio.all_tasks(desk._loop)]
                return [item.text for item in update.messages], left

            following = asyncio.create_task(asyncio.to_thread(follow))
            await begun.wait()
            async with asyncio.timeout(PATIENCE_S):
                n = 0
                while not following.done():  # the first ones may come before it has begun
                    await phone.append("family", message(f"{n}"))
                    await phone.flush()
                    await asyncio.sleep(0.1)
                    n += 1
            texts, left = await following
            assert texts
            assert "live" not in left


# Servers that are no relay -------------------------------------------------------------------------------------------

Answer = Callable[[asyncio.StreamWriter], Awaitable[None]]


@contextlib.asynccontextmanager
async def served(answer: Answer) -> AsyncIterator[HttpTransport]:
    """A transport to a server that reads a request and says whatever `answer` writes."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError):
            await reader.readuntil(b"\r\n\r\n")
            await answer(writer)
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    transport = HttpTransport(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}")
    key = SignKey(SigningSeed(bytes(32)))
    transport.authenticate(key.public, key.sign)
    try:
        yield transport
    finally:
        await transport.close()
        server.close()


async def heard(answer: Answer) -> tuple[list[Versions | None], int]:
    """What is heard until the stream is given up as unreachable, and how many bytes were read for it."""
    found: list[Versions | None] = []
    async with served(answer) as transport, asyncio.timeout(PATIENCE_S):
        with pytest.raises(RelayUnreachable):  # noqa: PT012 - events come before the end
            async for versions in transport.events(ACCOUNT):
                found.append(versions)
        return found, transport.bytes_received


def says(*parts: bytes, endless: bytes = b"") -> Answer:
    async def answer(writer: asyncio.StreamWriter) -> None:
        writer.write(b"".join(parts))
        await writer.drain()
        while endless:
            writer.write(endless)
            await writer.drain()

    return answer


MOST = live.STREAM_BYTES + 2**18
"""Read of a stream that is given up: its limit, and the piece that went over it."""


@pytest.mark.spec("LIVE-7")
async def test_attack_052_an_endless_line() -> None:
    found, read = await heard(says(HEAD, b"\r\n", endless=b"x" * 65_536))
    assert (found, read <= MOST) == ([], True)


@pytest.mark.spec("LIVE-11")
@pytest.mark.parametrize("flood", [b"data: 7 7\n\n" * 5_000, b":\n\n" * 20_000, b"\n" * 60_000])
async def test_attack_052_an_endless_stream(flood: bytes) -> None:
    found, read = await heard(says(HEAD, b"\r\n", endless=flood))
    assert set(found) <= {Versions(7, 7), None}
    assert read <= MOST


@pytest.mark.spec("LIVE-8")
@pytest.mark.parametrize(
    "answer",
    [
        HEAD + b"\r\n<html>please log in to the hotel's network</html>\n",
        HEAD + b"Content-Length: 3\r\n\r\n:\n\n",
        HEAD + b"Content-Encoding: gzip\r\n\r\n" + b"\x1f\x8b" * 9 + b"\n",
        HEAD + b"Content-Encoding: identity\r\nTransfer-Encoding: chunked\r\n\r\nZZ\r\n",
        b"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 500 Oops\r\nContent-Length: 2\r\n\r\n{}",
        b"HTTP/1.1 200 OK\r\nX: " + b"x" * 100_000,
        b"not HTTP at all\r\n\r\n",
        b"",
    ],
)
async def test_other_answers_are_no_stream(answer: bytes) -> None:
    found: list[Versions | None] = []
    async with served(says(answer)) as transport, asyncio.timeout(PATIENCE_S):
        with pytest.raises((RelayUnreachable, RelayRefused)):  # noqa: PT012
            async for versions in transport.events(ACCOUNT):
                found.append(versions)
    assert found in ([], [None])


async def test_a_coding_is_refused_whatever_it_holds() -> None:
    found, _ = await heard(says(HEAD, b"Content-Encoding: br\r\n\r\ndata: 5 5\n\n"))
    assert found == []


async def test_a_silent_stream_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    assert live.SILENCE_S > 2 * live.HEARTBEAT_S
    monkeypatch.setattr(live, "SILENCE_S", 0.1)
    silent = asyncio.Event()

    async def answer(writer: asyncio.StreamWriter) -> None:
        writer.write(HEAD + b"\r\ndata: 3 2\n\n")
        await silent.wait()

    found, _ = await heard(answer)
    silent.set()
    assert found == [Versions(3, 2)]


async def test_a_device_with_a_wrong_clock_follows_all_the_same() -> None:
    problem = ProblemError(Problem.CLOCK, relay_time=1_000_000_000_000)
    asked = 0

    async def answer(writer: asyncio.StreamWriter) -> None:
        nonlocal asked
        asked += 1
        if asked == 1:
            body = problem.to_json()
            writer.write(b"HTTP/1.1 401 No\r\nContent-Type: application/problem+json\r\nConnection: close\r\n")
            writer.write(b"Content-Length: %d\r\n\r\n" % len(body) + body)
        else:
            writer.write(HEAD + b"\r\ndata: 4 1\n\n")
        await writer.drain()

    found, _ = await heard(answer)
    assert (found, asked) == ([Versions(4, 1)], 2)

    async def never_right(writer: asyncio.StreamWriter) -> None:
        nonlocal asked
        asked = 0
        await answer(writer)

    async with served(never_right) as transport:
        with pytest.raises(ClockSkew):
            await anext(transport.events(ACCOUNT))
