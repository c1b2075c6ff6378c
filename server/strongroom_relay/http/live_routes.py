"""The stream of an account's news, as server-sent events (spec chapter 18)."""

from __future__ import annotations

import asyncio
import contextlib

from aiohttp import web

from strongroom_protocol.relay_api.live import HEARTBEAT, HEARTBEAT_S, MEDIA_TYPE
from strongroom_protocol.relay_api.problems import ProblemError
from strongroom_relay.http.account_routes import ACCOUNT
from strongroom_relay.http.app import RELAY, TIMER, signed
from strongroom_relay.service import accounts, reading
from strongroom_relay.service.relay import Principal, Relay
from strongroom_relay.service.streams import Stream

HEADERS = {
    "Content-Type": MEDIA_TYPE,
    "Cache-Control": "no-store",
    "X-Accel-Buffering": "no",  # nginx would hold events back until a buffer is full
}


def routes() -> list[web.RouteDef]:
    return [web.get(ACCOUNT + "/events", events, allow_head=False)]


async def events(request: web.Request) -> web.StreamResponse:
    """The present versions at once, then at every change, until the key is no longer admitted or the relay stops."""
    relay = request.app[RELAY]
    who, _ = await signed(request)
    with relay.streams.listen(who.account, who.key) as stream:
        request[TIMER].reschedule(None)  # it lasts as long as the other side takes what is sent
        answer = web.StreamResponse(headers=HEADERS)
        await answer.prepare(request)
        with contextlib.suppress(ConnectionError, ProblemError):
            await _tell(relay, who, stream, answer)
        return answer


async def _tell(relay: Relay, who: Principal, stream: Stream, answer: web.StreamResponse) -> None:
    told = None
    while not stream.ended:
        stream.woken.clear()  # before looking: what changes meanwhile wakes it again
        await accounts.identify(relay, who.account, who.key)  # spec: LIVE-3
        versions = await reading.versions(relay, who)
        if versions != told:
            await _send(answer, versions.encode())
            told = versions
        try:
            async with asyncio.timeout(HEARTBEAT_S):
                await stream.woken.wait()
        except TimeoutError:
            await _send(answer, HEARTBEAT)  # spec: LIVE-2


async def _send(answer: web.StreamResponse, data: bytes) -> None:
    """Write it; TimeoutError, which cuts the connection, when the other side makes no room for it."""
    async with asyncio.timeout(HEARTBEAT_S):  # spec: LIVE-14
        await answer.write(data)
