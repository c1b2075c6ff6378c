"""Serving: listen, stop in order, close connections that never say anything."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import resource
import signal
import socket
import sqlite3
from collections.abc import Awaitable, Callable

from aiohttp import web

from strongroom_protocol.errors import StrongroomError
from strongroom_relay.http.app import TRAFFIC, Traffic, make_app
from strongroom_relay.service.objects import sweep, sweep_files
from strongroom_relay.service.relay import Relay

SWEEP_SECONDS = 600.0
STOP_SECONDS = 20.0
"""Requests under way when the relay is stopped have this time to finish."""

HEADER_SECONDS = 15.0
"""A connection must finish its first request's headers in this time."""

log = logging.getLogger("strongroom.relay")
_SILENT = logging.getLogger("strongroom.relay.http")
_SILENT.disabled = True  # aiohttp would log the address of whoever sent a malformed request, and parts of it


CONNECTIONS = 1000
"""Open connections at a time."""

UNREAD_SECONDS = 60
"""A connection whose other side takes nothing of what was sent to it is closed after that time."""


async def serve(
    relay: Relay, host: str, port: int, ready: Callable[[int], None], *, header_seconds: float = HEADER_SECONDS,
    connections: int = CONNECTIONS, stop_seconds: float = STOP_SECONDS,
) -> None:  # fmt: skip
    """Serve until SIGTERM or SIGINT; what is under way is finished first. `ready` gets the real port.

    That takes up to `stop_seconds`; a second signal ends the process at once. The caller closes the store.
    """
    app = make_app(relay)
    runner = web.AppRunner(
        app, access_log=None, keepalive_timeout=60, max_line_size=8190, max_headers=64, max_field_size=8190,
        shutdown_timeout=2, auto_decompress=False, logger=_SILENT,
    )  # fmt: skip
    await runner.setup()
    if runner.server is None:
        raise RuntimeError("the runner has no server")
    _allow_files(2 * connections + 256)
    watched = _watched(runner.server, header_seconds, connections)
    server = await asyncio.get_running_loop().create_server(watched, host, port, backlog=512)
    for listening in server.sockets:
        _close_unread(listening)
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, _stop, stop, number, app[TRAFFIC], stop_seconds)
    sweeper = asyncio.create_task(_sweeping(relay))
    ready(server.sockets[0].getsockname()[1])
    await stop.wait()
    sweeper.cancel()
    server.close()
    relay.streams.end()  # spec: LIVE-6
    await app[TRAFFIC].drained(stop_seconds)
    await runner.cleanup()


def _stop(stop: asyncio.Event, number: int, traffic: Traffic, seconds: float) -> None:
    if stop.is_set():  # as kill -9 would: nothing that was acknowledged is lost
        log.warning("stopped at once; requests under way were cut off")
        os._exit(128 + number)
    if traffic.active:
        log.info("stopping: requests under way have %.0f s to finish; a second signal ends them", seconds)
    stop.set()


class _Refused(asyncio.Protocol):
    """A connection too many: closed at once."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        transport.close()


def _watched(server: web.Server, seconds: float, connections: int) -> Callable[[], asyncio.Protocol]:
    """aiohttp bounds neither the connections nor the time for the headers of the first request."""

    def make() -> asyncio.Protocol:
        if len(server.connections) >= connections:  # spec: API-41
            return _Refused()
        protocol: asyncio.Protocol = server()
        asyncio.get_running_loop().call_later(seconds, _close_if_silent, protocol)
        return protocol

    return make


def _close_unread(listening: socket.socket) -> None:
    """Connections that are accepted take this over. Linux has it; elsewhere the deadline of the request must do."""
    option = getattr(socket, "TCP_USER_TIMEOUT", None)
    if option is not None:
        listening.setsockopt(socket.IPPROTO_TCP, option, UNREAD_SECONDS * 1000)


def _allow_files(wanted: int) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        most = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        with contextlib.suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, most), hard))


def _close_if_silent(protocol: asyncio.Protocol) -> None:
    served = getattr(protocol, "_request_count", None) or getattr(protocol, "_current_request", None)
    transport = getattr(protocol, "transport", None)
    if not served and transport is not None:
        transport.close()


async def _sweeping(relay: Relay) -> None:
    with contextlib.suppress(asyncio.CancelledError):
        await _tried(sweep_files(relay))
        while True:
            await _tried(sweep(relay))
            await asyncio.sleep(SWEEP_SECONDS)


async def _tried(work: Awaitable[object]) -> None:
    try:
        await work
    except (StrongroomError, OSError, sqlite3.Error) as error:
        log.error("sweep failed, tried again later: %s", type(error).__name__)
