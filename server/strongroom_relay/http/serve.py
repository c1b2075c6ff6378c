"""Serving: listen, stop in order, close connections that never say anything."""

from __future__ import annotations

import asyncio
import contextlib
import signal
from collections.abc import Callable

from aiohttp import web

from strongroom_relay.http.app import make_app
from strongroom_relay.service.objects import sweep
from strongroom_relay.service.relay import Relay

SWEEP_SECONDS = 600.0
HEADER_SECONDS = 15.0
"""A connection must finish its first request's headers in this time."""


async def serve(relay: Relay, host: str, port: int, ready: Callable[[int], None]) -> None:
    """Serve until SIGTERM or SIGINT; what is under way is finished first. `ready` gets the real port."""
    app = make_app(relay)
    runner = web.AppRunner(
        app, access_log=None, keepalive_timeout=60, max_line_size=8190, max_headers=64, max_field_size=8190,
        shutdown_timeout=10,
    )  # fmt: skip
    await runner.setup()
    if runner.server is None:
        raise RuntimeError("the runner has no server")
    server = await asyncio.get_running_loop().create_server(_watched(runner.server), host, port, backlog=512)
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    sweeper = asyncio.create_task(_sweeping(relay))
    ready(server.sockets[0].getsockname()[1])
    await stop.wait()
    sweeper.cancel()
    server.close()
    await runner.cleanup()
    relay.store.close()


def _watched(factory: Callable[[], asyncio.Protocol]) -> Callable[[], asyncio.Protocol]:
    """aiohttp sets no time for the headers of the first request; a silent connection would stay for ever."""

    def make() -> asyncio.Protocol:
        protocol = factory()
        asyncio.get_running_loop().call_later(HEADER_SECONDS, _close_if_silent, protocol)
        return protocol

    return make


def _close_if_silent(protocol: asyncio.Protocol) -> None:
    served = getattr(protocol, "_request_count", None) or getattr(protocol, "_current_request", None)
    transport = getattr(protocol, "transport", None)
    if not served and transport is not None:
        transport.close()


async def _sweeping(relay: Relay) -> None:
    with contextlib.suppress(asyncio.CancelledError):
        while True:
            await sweep(relay)
            await asyncio.sleep(SWEEP_SECONDS)
