"""Routes, and what every request passes: limits, deadline, signature, problem details (spec chapter 12)."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import logging
import traceback
from collections.abc import Awaitable, Callable
from pathlib import Path

from aiohttp import web, web_response
from aiohttp.http import HttpProcessingError

from strongroom_protocol.errors import UntrustedDataError
from strongroom_protocol.limits import LIMITS
from strongroom_protocol.relay_api.problems import MEDIA_TYPE, Problem, ProblemError
from strongroom_protocol.relay_api.signature import RequestParts, check_body, verify_request
from strongroom_relay.service import accounts
from strongroom_relay.service.relay import Principal, Relay

RELAY = web.AppKey("relay", Relay)
DEADLINE = 60.0
"""Seconds for one request, and more for a long body."""

web_response.SERVER_SOFTWARE = "strongroom-relay"  # type: ignore[attr-defined]
# In the Server header of every answer, malformed requests' too: aiohttp would name its version and Python's.

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
log = logging.getLogger("strongroom.relay")


def make_app(relay: Relay) -> web.Application:
    """The aiohttp application of a started relay."""
    from strongroom_relay.http import account_routes, link_routes, live_routes, object_routes, witness_routes

    app = web.Application(middlewares=[guarded], client_max_size=relay.limits.request_bytes)
    app[RELAY] = relay
    app[TRAFFIC] = Traffic()
    app.add_routes([*object_routes.routes(), *account_routes.routes(), *link_routes.routes(), *live_routes.routes()])
    if relay.witness is not None:
        app.add_routes(witness_routes.routes())
    return app


class Traffic:
    """Requests under way, so that a stop can let them finish: aiohttp itself would stop reading their bodies."""

    def __init__(self) -> None:
        self.stopping = False
        self.bodies = {True: 0, False: 0}
        self.active = 0
        self._quiet = asyncio.Event()
        self._quiet.set()

    def __enter__(self) -> None:
        self.active += 1
        self._quiet.clear()

    def __exit__(self, *_: object) -> None:
        self.active -= 1
        if self.active == 0:
            self._quiet.set()

    async def drained(self, seconds: float) -> None:
        """Refuse what is new from now on, and wait for what is under way."""
        self.stopping = True
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._quiet.wait()


TRAFFIC = web.AppKey("traffic", Traffic)
TIMER = web.RequestKey("timer", asyncio.Timeout)
KNOWN_BODIES = 128 * 1024 * 1024
OTHER_BODIES = 16 * 1024 * 1024
"""Bytes of request bodies in memory at a time: of requests signed by devices and guests, and of others."""


@web.middleware
async def guarded(request: web.Request, handler: Handler) -> web.StreamResponse:
    """One deadline, one form of refusal; nothing of the request is logged."""
    traffic = request.app[TRAFFIC]
    if traffic.stopping:  # spec: API-35
        return refusal(ProblemError(Problem.UNAVAILABLE), close=True)
    with traffic:
        return await _answered(request, handler)


async def _answered(request: web.Request, handler: Handler) -> web.StreamResponse:
    try:
        codings = request.headers.getall("Content-Encoding", [])
        if any(coding.lower() != "identity" for coding in codings):  # spec: API-23
            raise ProblemError(Problem.ENCODING)
        # A longer body may take longer, but none may stall: its declared length over the slowest rate there is.
        length = min(request.content_length or 0, LIMITS.object_bytes)
        async with asyncio.timeout(DEADLINE + length / LIMITS.slowest_bytes_s) as timer:
            request[TIMER] = timer
            return await handler(request)
    except ProblemError as problem:
        return refusal(problem)
    except UntrustedDataError as error:
        return refusal(ProblemError(Problem.BAD_REQUEST, failure=str(error.failure)))
    except TimeoutError:
        _require_unanswered(request)
        return refusal(ProblemError(Problem.TIMEOUT), close=True)
    except web.HTTPRequestEntityTooLarge:
        return refusal(ProblemError(Problem.TOO_LARGE), close=True)
    except web.HTTPMethodNotAllowed:
        return refusal(ProblemError(Problem.METHOD))
    except web.HTTPException as error:
        return refusal(ProblemError(Problem.NOT_FOUND if error.status == 404 else Problem.BAD_REQUEST))
    except (HttpProcessingError, web.RequestPayloadError):
        return refusal(ProblemError(Problem.BAD_REQUEST), close=True)
    except ConnectionError:
        raise  # the other side is gone
    except Exception as error:
        log.error("request failed: %s", _place(error))
        _require_unanswered(request)
        return refusal(ProblemError(Problem.INTERNAL))


def _require_unanswered(request: web.Request) -> None:
    """A refusal cannot follow a part of another answer: the connection is cut instead."""
    if request.writer.output_size:
        if request.transport is not None:
            request.transport.abort()  # a plain close would wait until a client that reads nothing has read the rest
        raise ConnectionResetError("broke off in the middle of an answer")


def _place(error: Exception) -> str:
    """Type of an error and where it arose. Never its text, which could hold names, paths or bytes of a request."""
    frames = traceback.extract_tb(error.__traceback__)
    return f"{type(error).__name__} at {Path(frames[-1].filename).name}:{frames[-1].lineno}"


def refusal(problem: ProblemError, *, close: bool = False) -> web.Response:
    """A problem object (RFC 9457)."""
    response = web.Response(status=problem.problem.status, body=problem.to_json(), content_type=MEDIA_TYPE)
    if close:
        response.force_close()
    return response


async def body_of(request: web.Request, maximum: int, *, known: bool = False) -> bytes:
    """The whole body, refused by its declared length before it is read and by its real one while it is.

    `known` is for senders who are devices or guests of an account: others cannot use up their memory.
    """
    if (request.content_length or 0) > maximum:  # spec: API-24
        raise ProblemError(Problem.TOO_LARGE)
    bodies = request.app[TRAFFIC].bodies
    counted = maximum > 64 * 1024  # small ones are bounded by the number of connections
    data = bytearray()
    try:
        async for chunk in request.content.iter_chunked(64 * 1024):
            data += chunk
            bodies[known] += len(chunk) * counted
            if len(data) > maximum:  # spec: API-25
                raise ProblemError(Problem.TOO_LARGE)
            if bodies[known] > (KNOWN_BODIES if known else OTHER_BODIES):  # spec: API-40
                raise ProblemError(Problem.UNAVAILABLE)
    finally:
        bodies[known] -= len(data) * counted
    return bytes(data)


async def signed(request: web.Request, maximum: int = 0) -> tuple[Principal, bytes]:
    """Who signed the request, and its body, checked against the signature."""
    who, digest = await principal(request)
    body = await body_of(request, maximum, known=True)
    check_body(digest, hashlib.sha256(body).digest())
    return who, body


async def principal(request: web.Request) -> tuple[Principal, str]:
    """Who signed the request; the caller must compare the returned digest with the body."""
    relay = request.app[RELAY]
    for header in ("Signature-Input", "Signature", "Content-Digest", "Host"):
        if len(request.headers.getall(header, [])) > 1:  # spec: HSIG-6
            raise ProblemError(Problem.SIGNATURE)
    path, _, query = request.raw_path.partition("?")
    parts = RequestParts(request.method, request.host.lower(), path, f"?{query}" if query else "")
    key, digest = verify_request(parts, request.headers, now_ms=relay.clock(), limits=relay.limits)
    if parts.authority not in {origin.partition("://")[2] for origin in relay.origins}:  # spec: HSIG-5
        raise ProblemError(Problem.SIGNATURE)
    return await accounts.identify(relay, account_of(request), key), digest


def account_of(request: web.Request) -> bytes:
    """The account id of the path."""
    return bytes.fromhex(request.match_info["account"])


def cbor_response(body: bytes, *, status: int = 200) -> web.Response:
    return web.Response(status=status, body=body, content_type="application/cbor")
