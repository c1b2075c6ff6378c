"""The endpoint of a relay that is a witness."""

from __future__ import annotations

from aiohttp import web

from strongroom_protocol.manifest.witness import WitnessRequest
from strongroom_relay.http.app import RELAY, body_of, cbor_response
from strongroom_relay.service.attempts import source_of
from strongroom_relay.service.witness import witness

REQUEST_BODY = 8 * 1024
"""A head, a receipt and two lists of at most 64 hashes."""


def routes() -> list[web.RouteDef]:
    return [web.post("/v1/witness", state)]


async def state(request: web.Request) -> web.Response:
    relay = request.app[RELAY]
    parsed = WitnessRequest.parse(await body_of(request, REQUEST_BODY), relay.limits)
    forwarded = ",".join(request.headers.getall("X-Forwarded-For", [])) if relay.trust_forwarded else None
    return cbor_response((await witness(relay, parsed, source_of(request.remote, forwarded))).encode())
