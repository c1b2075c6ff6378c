"""What bounds a relay's memory and connections against clients that do not read, or never finish sending."""

from __future__ import annotations

import asyncio
import os
import socket
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from aiohttp import web

from relay_process import RelayProcess
from server.account_builder import Account, ask, name_of, signature_headers
from server.conftest import Bench, Served, enrolled
from strongroom_protocol.limits import Limits
from strongroom_protocol.relay_api import messages
from strongroom_relay.http import app as app_module
from strongroom_relay.http import serve as serve_module
from strongroom_relay.http.app import make_app
from strongroom_relay.service import pieces

READERS = 12


def request_bytes(account: Account, authority: str, method: str, rest: str, body: bytes) -> bytes:
    target = f"/v1/accounts/{account.id.hex()}/{rest}"
    headers = signature_headers(account.device, authority, method, target, body)
    headers |= {"Host": authority, "Content-Length": str(len(body))}
    lines = [f"{method} {target} HTTP/1.1", *(f"{name}: {value}" for name, value in headers.items())]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


def memory_kib(pid: int) -> int:
    status = Path(f"/proc/{pid}/status").read_text()
    return int(next(line for line in status.splitlines() if line.startswith("VmRSS")).split()[1])


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="measures memory through /proc")
def test_attack_079_clients_that_do_not_read_hold_little_memory(tmp_path: Path) -> None:
    with RelayProcess(tmp_path / "relay", open_registration=True) as process:
        account = enrolled(process)
        data = os.urandom(16_000_000)
        rest = f"objects/{name_of(data).hex()}"
        target = f"/v1/accounts/{account.id.hex()}/{rest}"
        assert ask(process.address, "PUT", target, data, keys=account.device).status == 201
        body = messages.encode_ranges([(name_of(data), 0, 0)])
        before = memory_kib(process.pid)
        held = []
        for method, path, sent in (("POST", "objects/read", body), ("GET", rest, b"")):
            for _ in range(READERS):
                reader = socket.socket()
                reader.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
                reader.connect(process.address)
                reader.sendall(request_bytes(account, process.authority, method, path, sent))
                held.append(reader)
        time.sleep(1.5)
        assert ask(process.address, "GET", "/healthz").status == 200
        assert memory_kib(process.pid) - before < 2 * READERS * 2048
        for reader in held:
            reader.close()


@pytest.fixture
async def local(bench: Bench) -> AsyncIterator[tuple[web.AppRunner, str, int]]:
    """The application in this process, on the bench's relay and the real time."""
    bench.clock.now = time.time_ns() // 1_000_000
    runner = web.AppRunner(make_app(bench.relay), access_log=None, lingering_time=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    host, port = runner.addresses[0][:2]
    bench.relay.origins = (f"http://{host}:{port}",)
    yield runner, host, port
    await runner.cleanup()


async def test_attack_079_an_answer_that_nobody_reads_ends_at_its_deadline(
    bench: Bench, local: tuple[web.AppRunner, str, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    runner, host, port = local
    data = os.urandom(9_000_000)
    name = await bench.put(data)
    bench.clock.now = time.time_ns() // 1_000_000
    bench.relay.limits = Limits(slowest_bytes_s=1_000_000_000)
    monkeypatch.setattr(app_module, "DEADLINE", 0.5)
    reader, writer = await asyncio.open_connection(host, port, limit=4096)
    body = messages.encode_ranges([(name, 0, 0)])
    writer.write(request_bytes(bench.account, f"{host}:{port}", "POST", "objects/read", body))
    await asyncio.sleep(0.3)
    assert runner.server is not None
    assert len(runner.server.connections) == 1
    for _ in range(100):
        if not runner.server.connections:
            break
        await asyncio.sleep(0.05)
    assert not runner.server.connections
    got = 0
    try:
        while chunk := await reader.read(65536):
            got += len(chunk)
    except ConnectionError:
        pass
    assert got < len(data)
    writer.close()


@pytest.mark.parametrize("sizes", [[], [0], [10, 0, 700_000, 3], [pieces.BLOCK], [pieces.BLOCK * 3 + 1], [1] * 5000])
async def test_a_batch_sent_in_blocks_is_the_encoded_answer(
    bench: Bench, local: tuple[web.AppRunner, str, int], sizes: list[int]
) -> None:
    _, host, port = local
    stored = [os.urandom(size) for size in dict.fromkeys(sizes)]
    names = {len(data): await bench.put(data) for data in stored}
    ranges = [*[(names[size], 0, 0) for size in sizes][:4000], (bytes(32), 0, 5)]
    bench.clock.now = time.time_ns() // 1_000_000
    body = messages.encode_ranges(ranges)
    reader, writer = await asyncio.open_connection(host, port)
    writer.write(request_bytes(bench.account, f"{host}:{port}", "POST", "objects/read", body))
    head = (await reader.readuntil(b"\r\n\r\n")).lower()
    length = int(head.split(b"content-length: ")[1].split(b"\r\n")[0])
    answer = await reader.readexactly(length)
    assert answer == messages.encode_pieces(await pieces.read(bench.relay, bench.who, ranges))
    assert messages.parse_pieces(answer)[-1] is None
    writer.close()


async def test_attack_088_a_file_that_shrinks_under_an_answer_damages_only_itself(bench: Bench) -> None:
    data, other = os.urandom(100_000), os.urandom(100)
    names = [await bench.put(data), await bench.put(other)]
    path = bench.relay.store.files.path_of(bench.account.id, names[0])
    path.write_bytes(data[:1000])
    assert await pieces.read(bench.relay, bench.who, [(name, 0, 0) for name in names]) == [data[:1000], other]
    block = [(b"<", names[0], 0, 2000), (b"|", names[1], 0, 100)]
    account = bench.account.id
    filled = await bench.relay.store.read(lambda database: pieces.fill(bench.relay, account, block, database))
    assert filled == b"<" + data[:1000] + bytes(1000) + b"|" + other
    path.unlink()
    assert await pieces.read(bench.relay, bench.who, [(name, 0, 0) for name in names]) == [None, other]


async def status_of(host: str, port: int, request: bytes) -> int:
    reader, writer = await asyncio.open_connection(host, port)
    try:
        writer.write(request)
        async with asyncio.timeout(10):  # long before the request's own deadline
            return int((await reader.readuntil(b"\r\n")).split()[1])
    finally:
        writer.close()


@pytest.mark.spec("API-40")
async def test_attack_079_bodies_that_never_end_hold_bounded_memory(
    bench: Bench, local: tuple[web.AppRunner, str, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    _, host, port = local
    monkeypatch.setattr(app_module, "OTHER_BODIES", 310_000)
    start = f"POST /v1/accounts HTTP/1.1\r\nHost: {host}:{port}\r\nContent-Length: 300000\r\n\r\n".encode()
    login = messages.encode_login("anna")
    login = f"POST /v1/login HTTP/1.1\r\nHost: x\r\nContent-Length: {len(login)}\r\n\r\n".encode() + login
    commit = bench.account.commit(objects=(os.urandom(200_000),)).encode()
    stalled = [await asyncio.open_connection(host, port) for _ in range(2)]
    for _, writer in stalled:
        writer.write(start + bytes(150_000))
    await asyncio.sleep(0.3)
    assert await status_of(host, port, start + bytes(110_000)) == 503
    # Logging in and committing go on: their bodies are small, or of known senders.
    assert await status_of(host, port, login) == 200
    assert await status_of(host, port, request_bytes(bench.account, f"{host}:{port}", "POST", "commit", commit)) == 200
    for _, writer in stalled:
        writer.close()
    await asyncio.sleep(0.3)
    assert await status_of(host, port, start + bytes(300_000)) == 400


@pytest.mark.spec("API-41")
def test_attack_079_a_connection_too_many_is_closed_at_once(tmp_path: Path) -> None:
    with RelayProcess(tmp_path / "relay", "--connections", "3") as process:
        held = [socket.create_connection(process.address) for _ in range(3)]
        time.sleep(0.2)
        with socket.create_connection(process.address, timeout=5) as late:
            assert late.recv(1) == b""
        held.pop().close()
        time.sleep(0.2)
        assert ask(process.address, "GET", "/healthz").status == 200
        for connection in held:
            connection.close()


@pytest.mark.skipif(not hasattr(socket, "TCP_USER_TIMEOUT"), reason="Linux only")
def test_accepted_connections_end_when_nothing_is_taken_from_them() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        serve_module._close_unread(listening)
        with socket.create_connection(listening.getsockname()):
            accepted, _ = listening.accept()
            assert accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) == 60_000
            accepted.close()


def test_a_head_of_a_lost_file_is_not_found(served: Served) -> None:
    data = os.urandom(70_000)
    target = f"{served.base}/objects/{name_of(data).hex()}"
    keys = served.account.device
    assert ask(served.process.address, "PUT", target, data, keys=keys).status == 201
    folder = served.process.folder / "objects" / name_of(data).hex()[:2]
    (folder / f"{served.account.id.hex()}.{name_of(data).hex()}").unlink()
    for method in ("HEAD", "GET"):
        assert ask(served.process.address, method, target, keys=keys).status == 404
