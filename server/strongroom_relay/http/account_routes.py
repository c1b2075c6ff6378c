"""Endpoints of accounts, keyrings, heads and commits."""

from __future__ import annotations

from aiohttp import web

from strongroom_protocol.relay_api import messages
from strongroom_protocol.relay_api.problems import Problem, ProblemError
from strongroom_relay.http.app import RELAY, body_of, cbor_response, signed
from strongroom_relay.service import accounts, blocks, commits, objects, reading
from strongroom_relay.service.attempts import source_of

ACCOUNT = "/v1/accounts/{account:[0-9a-f]{64}}"
SMALL_BODY = 8 * 1024
REGISTER_BODY = 1024 * 1024


def routes() -> list[web.RouteDef]:
    return [
        web.get("/healthz", health),
        web.get("/v1/relay", relay_info),
        web.post("/v1/accounts", register),
        web.post("/v1/login", login),
        web.post("/v1/unlock", unlock),
        web.post(ACCOUNT + "/unlock", unlock_signed),
        web.post(ACCOUNT + "/block", block),
        web.get(ACCOUNT + "/keyring", keyring, allow_head=False),
        web.get(ACCOUNT + "/head", head, allow_head=False),
        web.get(ACCOUNT + "/heads/{version:[0-9]{1,16}}", head_at, allow_head=False),
        web.get(ACCOUNT + "/usage", usage, allow_head=False),
        web.post(ACCOUNT + "/commit", commit),
    ]


async def health(request: web.Request) -> web.Response:
    """200 when the store answers."""
    await request.app[RELAY].store.read(lambda database: database.execute("SELECT 1").fetchone())
    return web.json_response({"status": "ok"})


async def relay_info(request: web.Request) -> web.Response:
    relay = request.app[RELAY]
    return cbor_response(messages.RelayInfo(relay.receipt_key, relay.clock(), relay.origins[0]).encode())


async def register(request: web.Request) -> web.Response:
    relay = request.app[RELAY]
    parsed = messages.RegisterRequest.parse(await body_of(request, REGISTER_BODY), relay.limits)
    return cbor_response((await accounts.register(relay, parsed)).encode(), status=201)


async def login(request: web.Request) -> web.Response:
    name = messages.parse_login(await body_of(request, SMALL_BODY))
    return cbor_response((await accounts.login(request.app[RELAY], name)).encode())


async def unlock(request: web.Request) -> web.Response:
    relay = request.app[RELAY]
    parsed = messages.UnlockRequest.parse(await body_of(request, SMALL_BODY))
    forwarded = ",".join(request.headers.getall("X-Forwarded-For", [])) if relay.trust_forwarded else None
    return cbor_response((await accounts.unlock(relay, parsed, source_of(request.remote, forwarded))).encode())


async def unlock_signed(request: web.Request) -> web.Response:
    relay = request.app[RELAY]
    who, body = await signed(request, SMALL_BODY)
    parsed = messages.UnlockRequest.parse(body)
    return cbor_response((await accounts.unlock(relay, parsed, who=who)).encode())


async def block(request: web.Request) -> web.Response:
    who, body = await signed(request, SMALL_BODY)
    await blocks.block(request.app[RELAY], who, body)
    return web.Response()


async def keyring(request: web.Request) -> web.Response:
    who, _ = await signed(request)
    found = await reading.keyrings(request.app[RELAY], who, number(request, "from", 1))
    return cbor_response(messages.encode_keyrings(found))


async def head(request: web.Request) -> web.Response:
    who, _ = await signed(request)
    since = number(request, "since", 0) or None
    return cbor_response((await reading.head(request.app[RELAY], who, since)).encode())


async def head_at(request: web.Request) -> web.Response:
    who, _ = await signed(request)
    version = int(request.match_info["version"])
    return cbor_response((await reading.head_at(request.app[RELAY], who, version)).encode())


async def usage(request: web.Request) -> web.Response:
    who, _ = await signed(request)
    return cbor_response((await objects.usage(request.app[RELAY], who)).encode())


async def commit(request: web.Request) -> web.Response:
    relay = request.app[RELAY]
    who, body = await signed(request, relay.limits.request_bytes)
    parsed = messages.CommitRequest.parse(body, relay.limits)
    return cbor_response((await commits.commit(relay, who, parsed)).encode())


def number(request: web.Request, name: str, default: int) -> int:
    """A decimal query parameter of at most 16 digits."""
    text = request.query.get(name)
    if text is None:
        return default
    if not (text.isascii() and text.isdigit() and len(text) <= 16):  # spec: API-26
        raise ProblemError(Problem.BAD_REQUEST)
    return int(text)
