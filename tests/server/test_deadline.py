"""Slow bodies end at the deadline and leave nothing behind (chapter 12)."""

from __future__ import annotations

import asyncio
import os
import time

import pytest
from aiohttp import web

from server.account_builder import name_of, signature_headers
from server.conftest import Bench
from strongroom_relay.http import app as app_module
from strongroom_relay.http.app import make_app


async def test_attack_079_a_body_that_stalls_ends_at_the_deadline(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(app_module, "DEADLINE", -2.8)  # and 3.05 s for the declared length of 100,000 bytes
    bench.clock.now = time.time_ns() // 1_000_000
    runner = web.AppRunner(make_app(bench.relay), access_log=None, lingering_time=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    host, port = runner.addresses[0]
    authority = f"{host}:{port}"
    bench.relay.origins = (f"http://{authority}",)
    data = os.urandom(100_000)
    target = f"/v1/accounts/{bench.account.id.hex()}/objects/{name_of(data).hex()}"
    headers = signature_headers(bench.account.device, authority, "PUT", target, data)
    headers |= {"Host": authority, "Content-Length": str(len(data))}
    lines = [f"PUT {target} HTTP/1.1", *(f"{name}: {value}" for name, value in headers.items())]
    reader, writer = await asyncio.open_connection(host, port)
    writer.write("\r\n".join(lines).encode() + b"\r\n\r\n" + data[:70_000])
    async with asyncio.timeout(5):
        answer = await reader.readuntil(b"\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 503 ")
    assert bench.relay.arriving == {}
    assert [path for path in (bench.relay.store.folder / "objects").rglob("*") if path.is_file()] == []
    assert await bench.get(name_of(data)) is None
    writer.close()
    await runner.cleanup()
