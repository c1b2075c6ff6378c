"""Endpoints of the mailboxes in which two devices link (spec chapter 12.10)."""

from __future__ import annotations

from aiohttp import web

from strongroom_protocol.relay_api.links import LinkRequest
from strongroom_relay.http.account_routes import ACCOUNT, SMALL_BODY
from strongroom_relay.http.app import RELAY, body_of, cbor_response, signed
from strongroom_relay.service import links
from strongroom_relay.service.attempts import source_of

SLOT = "/v1/links/{number:[0-9]{6}}/{slot:[0-9]{1,2}}"


def routes() -> list[web.RouteDef]:
    return [
        web.post(ACCOUNT + "/links", open_link),
        web.put(SLOT, put_slot),
        web.get(SLOT, get_slot, allow_head=False),
    ]


async def open_link(request: web.Request) -> web.Response:
    who, body = await signed(request, SMALL_BODY)
    answer = await links.open_link(request.app[RELAY], who, LinkRequest.parse(body))
    return cbor_response(answer.encode(), status=201)


async def put_slot(request: web.Request) -> web.Response:
    relay = request.app[RELAY]
    message = await body_of(request, relay.limits.link_message_bytes)
    await links.put_slot(relay, *_place(request), message, _source(request))
    return web.Response(status=201)


async def get_slot(request: web.Request) -> web.Response:
    message = await links.get_slot(request.app[RELAY], *_place(request), _source(request))
    return web.Response(body=message, content_type="application/octet-stream")


def _place(request: web.Request) -> tuple[int, int]:
    return int(request.match_info["number"]), int(request.match_info["slot"])


def _source(request: web.Request) -> str | None:
    forwarded = request.app[RELAY].trust_forwarded
    chain = ",".join(request.headers.getall("X-Forwarded-For", [])) if forwarded else None
    return source_of(request.remote, chain)
