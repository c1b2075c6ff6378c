"""The stream of an account's news: what it says, how many there are, when it ends (chapter 18)."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web

from relay_process import RelayProcess
from server.account_builder import DeviceKeys, ask, signature_headers
from server.conftest import ORIGIN, Bench, Served, enrolled
from server.test_blocks import word
from strongroom_protocol.relay_api.live import HEARTBEAT_S
from strongroom_protocol.relay_api.problems import Problem, ProblemError
from strongroom_relay.http import live_routes
from strongroom_relay.http.app import make_app
from strongroom_relay.service import blocks, reading
from strongroom_relay.service.relay import Principal
from strongroom_relay.service.streams import Streams

AUTHORITY = ORIGIN.removeprefix("https://")
PATIENCE_S = 10.0
"""How long a test waits for what has to come; what must not come is never waited for."""


class Site:
    """The relay of a bench over HTTP in this process."""

    def __init__(self, bench: Bench, port: int, session: aiohttp.ClientSession) -> None:
        self.bench, self._url, self._session = bench, f"http://127.0.0.1:{port}", session

    @contextlib.asynccontextmanager
    async def stream(self, keys: DeviceKeys, account: bytes | None = None) -> AsyncIterator[aiohttp.ClientResponse]:
        path = f"/v1/accounts/{(account or self.bench.account.id).hex()}/events"
        created = self.bench.clock.now // 1000
        headers = signature_headers(keys, AUTHORITY, "GET", path, created=created) | {"Host": AUTHORITY}
        async with self._session.get(self._url + path, headers=headers) as answer:
            yield answer


@pytest.fixture
async def site(bench: Bench) -> AsyncIterator[Site]:
    runner = web.AppRunner(make_app(bench.relay), shutdown_timeout=0.1)
    await runner.setup()
    place = web.TCPSite(runner, "127.0.0.1", 0)
    await place.start()
    port = runner.addresses[0][1]
    async with aiohttp.ClientSession() as session:
        yield Site(bench, port, session)
    bench.relay.streams.end()
    await runner.cleanup()


async def line(answer: aiohttp.ClientResponse) -> bytes:
    """The next line that is not empty; nothing at the stream's end."""
    async with asyncio.timeout(PATIENCE_S):
        while (found := await answer.content.readline()) == b"\n":
            pass
    return found


async def _second(bench: Bench) -> DeviceKeys:
    other = DeviceKeys()
    keyring = bench.account.next_keyring(add=(other,))
    request = bench.account.commit(keyring=keyring)
    await bench.commit(request)
    bench.account.done(request, keyring)
    return other


async def _commit(bench: Bench) -> None:
    request = bench.account.commit()
    await bench.commit(request)
    bench.account.done(request)


@pytest.mark.spec("LIVE-1")
async def test_the_present_versions_at_once_and_every_change(site: Site) -> None:
    async with site.stream(site.bench.account.device) as answer:
        assert (answer.status, answer.content_type) == (200, "text/event-stream")
        assert answer.headers["X-Accel-Buffering"] == "no"
        assert await line(answer) == b"data: 1 1\n"
        await _commit(site.bench)
        assert await line(answer) == b"data: 2 1\n"
        await _second(site.bench)
        assert await line(answer) == b"data: 3 2\n"
    async with site.stream(site.bench.account.device) as answer:
        assert await line(answer) == b"data: 3 2\n"


@pytest.mark.spec("LIVE-2")
async def test_a_stream_without_news_says_that_it_is_alive(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    assert HEARTBEAT_S == 20
    monkeypatch.setattr(live_routes, "HEARTBEAT_S", 0.01)
    async with site.stream(site.bench.account.device) as answer:
        assert await line(answer) == b"data: 1 1\n"
        assert await line(answer) == b":\n"
        assert await line(answer) == b":\n"


@pytest.mark.spec("LIVE-3")
async def test_a_blocked_device_hears_no_more(site: Site) -> None:
    other = await _second(site.bench)
    async with site.stream(other) as answer, site.stream(site.bench.account.device) as mine:
        assert await line(answer) == await line(mine) == b"data: 2 2\n"
        await blocks.block(site.bench.relay, site.bench.who, word(site.bench, other))
        assert await line(answer) == b""
        await _commit(site.bench)
        assert await line(mine) == b"data: 3 2\n"
    async with site.stream(other) as answer:
        assert answer.status == 404


@pytest.mark.spec("LIVE-3")
async def test_a_device_that_a_keyring_leaves_out_hears_no_more(site: Site) -> None:
    other = await _second(site.bench)
    async with site.stream(other) as answer, site.stream(site.bench.account.device) as mine:
        assert await line(answer) == await line(mine) == b"data: 2 2\n"
        removed, _ = site.bench.account.keyring_without(other)
        await site.bench.commit(site.bench.account.commit(keyring=removed))
        assert await line(answer) == b""
        assert await line(mine) == b"data: 3 3\n"


async def test_a_guest_hears_too(site: Site) -> None:
    await site.bench.guest()
    async with site.stream(site.bench.guests[-1]) as answer:
        assert await line(answer) == b"data: 1 1\n"
        await _commit(site.bench)
        assert await line(answer) == b"data: 2 1\n"


async def test_a_connection_that_the_other_side_closed_gives_its_place_back(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At the next heartbeat at the latest: aiohttp tells of it when something is written."""
    monkeypatch.setattr(live_routes, "HEARTBEAT_S", 0.01)
    streams = site.bench.relay.streams
    streams.most = 1
    other = await _second(site.bench)
    async with site.stream(site.bench.account.device) as answer:
        assert await line(answer) == b"data: 2 2\n"
        async with site.stream(other) as refused:
            assert refused.status == 503
    async with asyncio.timeout(PATIENCE_S):
        while streams != Streams(most=1):  # noqa: ASYNC110
            await asyncio.sleep(0.01)
    async with site.stream(other) as answer:
        assert await line(answer) == b"data: 2 2\n"


class _Long:
    """News that fill every buffer on the way."""

    def encode(self) -> bytes:
        return b":" * 2**20


@pytest.mark.spec("LIVE-14")
async def test_attack_079_a_device_that_reads_nothing_loses_its_stream(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else each stream that a new one ends would leave a connection behind that waits for ever."""
    monkeypatch.setattr(live_routes, "HEARTBEAT_S", 0.2)

    async def versions(*_: object) -> _Long:
        return _Long()

    monkeypatch.setattr(reading, "versions", versions)
    streams = site.bench.relay.streams
    async with site.stream(site.bench.account.device) as answer:
        assert answer.status == 200
        async with asyncio.timeout(PATIENCE_S):
            while streams != Streams():
                streams.changed(site.bench.account.id)
                await asyncio.sleep(0.01)


async def test_strangers_and_unsigned_requests_get_no_stream(site: Site) -> None:
    async with site.stream(DeviceKeys()) as answer:
        assert answer.status == 404
    berta = await site.bench.second()
    async with site.stream(site.bench.account.device, berta.id) as answer:
        assert answer.status == 404


async def test_other_accounts_hear_nothing(site: Site) -> None:
    berta = await site.bench.second()
    async with site.stream(berta.device, berta.id) as answer:
        assert await line(answer) == b"data: 1 1\n"
        await _commit(site.bench)
        request = berta.commit()
        await site.bench.commit(request, Principal(berta.id, berta.device.sign.public, True))
        assert await line(answer) == b"data: 2 1\n"
    streams = Streams()
    with streams.listen(b"a", b"1") as one, streams.listen(b"b", b"1") as two:
        streams.changed(b"a")
        assert (one.woken.is_set(), two.woken.is_set()) == (True, False)


@pytest.mark.spec("LIVE-4")
async def test_a_second_stream_of_a_key_ends_the_first(site: Site) -> None:
    async with site.stream(site.bench.account.device) as old:
        assert await line(old) == b"data: 1 1\n"
        async with site.stream(site.bench.account.device) as new:
            assert await line(old) == b""
            assert await line(new) == b"data: 1 1\n"
            await _commit(site.bench)
            assert await line(new) == b"data: 2 1\n"


@pytest.mark.spec("LIVE-5")
def test_attack_079_all_streams_are_bounded_and_places_are_given_back() -> None:
    streams = Streams(most=3)
    with contextlib.ExitStack() as held:
        for n in range(3):
            held.enter_context(streams.listen(b"account %d" % n, b"key"))
        with pytest.raises(ProblemError) as caught, streams.listen(b"another", b"key"):
            pass
        assert caught.value.problem is Problem.UNAVAILABLE
        with streams.listen(b"account 0", b"key"):  # in the place of the first
            pass
        with streams.listen(b"another", b"key"), pytest.raises(ProblemError):
            held.enter_context(streams.listen(b"one more", b"key"))
    for n in range(3):
        held.enter_context(streams.listen(b"account %d" % n, b"key"))
    held.close()
    assert streams == Streams(most=3)  # nothing stays of accounts that nobody listens to


@pytest.mark.spec("LIVE-12")
def test_attack_079_the_streams_of_an_account_are_bounded() -> None:
    streams = Streams(most_of_one=2)
    with streams.listen(b"a", b"1"), streams.listen(b"a", b"2"), streams.listen(b"b", b"1"):
        with pytest.raises(ProblemError) as caught, streams.listen(b"a", b"3"):
            pass
        assert caught.value.problem is Problem.RATE
        with streams.listen(b"a", b"2"):
            pass
    assert streams == Streams(most_of_one=2)


async def test_a_relay_that_is_full_says_so(site: Site) -> None:
    site.bench.relay.streams.most = 0
    async with site.stream(site.bench.account.device) as answer:
        assert answer.status == 503


@pytest.mark.spec("LIVE-6")
def test_a_relay_that_stops_ends_its_streams_in_order(tmp_path: Path) -> None:
    process = RelayProcess(tmp_path, "--stop-seconds", "3600", open_registration=True).start()
    served = Served(process, enrolled(process))
    target = f"{served.base}/events"
    headers = signature_headers(served.account.device, process.authority, "GET", target) | {"Host": process.authority}
    lines = [f"GET {target} HTTP/1.1", *(f"{name}: {value}" for name, value in headers.items())]
    with socket.create_connection(process.address, timeout=30) as connection:
        connection.sendall("\r\n".join(lines).encode() + b"\r\n\r\n")
        said = b""
        while b"data: 1 1\n\n" not in said:
            said += connection.recv(4000)
        assert process.stop() == 0
        while piece := connection.recv(4000):
            said += piece
    assert said.endswith(b"\r\n0\r\n\r\n")  # the end of the answer, not of the connection alone
    process.start()
    assert ask(process.address, "GET", f"{served.base}/head", keys=served.account.device).status == 200
    assert process.stop() == 0
