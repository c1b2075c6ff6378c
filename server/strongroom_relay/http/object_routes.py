"""Endpoints of objects."""

from __future__ import annotations

import hashlib
import os
import re
from pathlib import Path

from aiohttp import web

from strongroom_protocol.relay_api import messages
from strongroom_protocol.relay_api.problems import Problem, ProblemError
from strongroom_protocol.relay_api.signature import check_body
from strongroom_relay.http.account_routes import ACCOUNT
from strongroom_relay.http.app import RELAY, cbor_response, principal, signed
from strongroom_relay.service import objects
from strongroom_relay.service.relay import Relay, require_writer
from strongroom_relay.store.embedded import disk_problem

OBJECT = ACCOUNT + "/objects/{name:[0-9a-f]{64}}"
_RANGE = re.compile(r"bytes=([0-9]{1,12})-([0-9]{1,12})?")
NAMES_BODY = 4 * 1024 * 1024
PIECE = 1024 * 1024


def routes() -> list[web.RouteDef]:
    return [
        web.post(ACCOUNT + "/objects/missing", missing),
        web.post(ACCOUNT + "/objects/read", read),
        web.get(OBJECT, get),
        web.put(OBJECT, put),
    ]


async def missing(request: web.Request) -> web.Response:
    relay = request.app[RELAY]
    who, body = await signed(request, NAMES_BODY)
    names = messages.parse_names(body, relay.limits)
    return cbor_response(messages.encode_names(await objects.missing(relay, who, names)))


async def read(request: web.Request) -> web.Response:
    relay = request.app[RELAY]
    who, body = await signed(request, NAMES_BODY)
    ranges = messages.parse_ranges(body, relay.limits)
    return cbor_response(messages.encode_pieces(await objects.read(relay, who, ranges)))


async def get(request: web.Request) -> web.StreamResponse:
    """A whole object or one range (RFC 9110 section 14). HEAD gives the size."""
    relay = request.app[RELAY]
    who, _ = await signed(request)
    name = _name(request)
    size = await objects.size_of(relay, who, name)
    if size is None:
        raise ProblemError(Problem.NOT_FOUND)
    start, end = _range(request.headers.get("Range"), size)
    if request.method == "HEAD":
        return web.Response(
            headers={"Accept-Ranges": "bytes", "Content-Length": str(size)}, content_type="application/octet-stream"
        )
    answer = web.StreamResponse(headers={"Accept-Ranges": "bytes"})
    answer.content_type = "application/octet-stream"
    answer.content_length = end - start
    if "Range" in request.headers:
        answer.set_status(206)
        answer.headers["Content-Range"] = f"bytes {start}-{end - 1}/{size}"
    for at in range(start, end, PIECE) or [start]:
        (piece,) = await objects.read(relay, who, [(name, at, min(PIECE, end - at))]) if end > at else (b"",)
        if not answer.prepared:
            if piece is None:
                raise ProblemError(Problem.NOT_FOUND)
            await answer.prepare(request)
        if piece is None or len(piece) != min(PIECE, end - at):
            raise ConnectionResetError("the object went away while it was sent")
        await answer.write(piece)
    await answer.write_eof()
    return answer


async def put(request: web.Request) -> web.Response:
    """Store an object under its SHA-256: 201 when new, 200 when it was there. It streams to a file when large."""
    relay = request.app[RELAY]
    who, digest = await principal(request)
    require_writer(who)
    name = _name(request)
    check_body(digest, name)  # the signature covers the digest, and the digest is the name
    if request.content_length is None:  # spec: API-28
        raise ProblemError(Problem.BAD_REQUEST, failure="length")
    if request.content_length > relay.limits.object_bytes:  # spec: API-27
        raise ProblemError(Problem.TOO_LARGE)
    temporary = relay.store.temporary()
    try:
        async with objects.reserved(relay, who, name, request.content_length):
            size, small = await _receive(request, relay, temporary, name)
            if small is not None:
                new = await objects.put_small(relay, who, name, small)
            else:
                new = await objects.put_file(relay, who, name, size, temporary)
    except OSError as error:
        raise disk_problem(error) from error
    finally:
        temporary.unlink(missing_ok=True)
    return web.Response(status=201 if new else 200)


async def _receive(request: web.Request, relay: Relay, temporary: Path, name: bytes) -> tuple[int, bytes | None]:
    """The body's size, and its bytes when small; a large one is in the synced temporary file. Constant memory."""
    hasher = hashlib.sha256()
    head = bytearray()
    size = 0
    file = None
    try:
        async for chunk in request.content.iter_chunked(256 * 1024):
            size += len(chunk)
            hasher.update(chunk)
            if file is None and size < objects.INLINE:
                head += chunk
                continue
            if file is None:
                file = temporary.open("xb")
                os.fchmod(file.fileno(), 0o600)
                file.write(head)
            await relay.store.in_thread(lambda chunk=chunk, file=file: file.write(chunk))  # type: ignore[misc]
        if hasher.digest() != name:  # spec: API-29
            raise ProblemError(Problem.BAD_REQUEST, failure="name")
        if file is None:
            return size, bytes(head)
        file.flush()
        await relay.store.in_thread(lambda: os.fsync(file.fileno()))
        return size, None
    finally:
        if file is not None:
            file.close()


def _name(request: web.Request) -> bytes:
    return bytes.fromhex(request.match_info["name"])


def _range(header: str | None, size: int) -> tuple[int, int]:
    if header is None:
        return 0, size
    found = _RANGE.fullmatch(header)
    if found is None:  # spec: API-30
        raise ProblemError(Problem.RANGE)
    start = int(found.group(1))
    end = min(size, int(found.group(2)) + 1) if found.group(2) else size
    if start >= end:  # spec: API-31
        raise ProblemError(Problem.RANGE)
    return start, end
