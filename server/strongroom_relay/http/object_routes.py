"""Endpoints of objects."""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import sqlite3
from functools import partial
from pathlib import Path
from typing import BinaryIO

from aiohttp import web

from strongroom_protocol.relay_api import messages
from strongroom_protocol.relay_api.problems import Problem, ProblemError
from strongroom_protocol.relay_api.signature import check_body
from strongroom_relay.http.account_routes import ACCOUNT
from strongroom_relay.http.answers import send
from strongroom_relay.http.app import RELAY, body_of, cbor_response, principal, signed
from strongroom_relay.service import objects, pieces
from strongroom_relay.service.relay import Principal, Relay, require_writer
from strongroom_relay.store.connection import disk_problem

OBJECT = ACCOUNT + "/objects/{name:[0-9a-f]{64}}"
_RANGE = re.compile(r"bytes=([0-9]{1,12})-([0-9]{1,12})?")
NAMES_BODY = 4 * 1024 * 1024


def routes() -> list[web.RouteDef]:
    """The most frequent first: paths are compared one after the other."""
    return [
        web.put(OBJECT, put),
        web.get(OBJECT, get),
        web.post(ACCOUNT + "/objects/read", read),
        web.post(ACCOUNT + "/objects/missing", missing),
    ]


async def missing(request: web.Request) -> web.Response:
    relay = request.app[RELAY]
    who, body = await signed(request, NAMES_BODY)
    names = messages.parse_names(body, relay.limits)
    return cbor_response(messages.encode_names(await objects.missing(relay, who, names)))


async def read(request: web.Request) -> web.StreamResponse:
    relay = request.app[RELAY]
    who, body = await signed(request, NAMES_BODY)
    ranges = messages.parse_ranges(body, relay.limits)

    def begin(database: sqlite3.Connection) -> tuple[list[list[pieces.Step]], bytes]:
        planned = pieces.plan(relay, database, who.account, ranges)
        steps = [(messages.piece_head(found and found[2]), *(found or (b"", 0, 0))) for found in planned]
        blocks = pieces.blocks([(messages.pieces_head(len(planned)), b"", 0, 0), *steps])
        return blocks, pieces.fill(relay, who.account, blocks[0], database)

    blocks, first = await relay.store.read(begin)
    return await send(request, who.account, blocks, first, {"Content-Type": "application/cbor"})


async def get(request: web.Request) -> web.StreamResponse:
    """A whole object or one range (RFC 9110 section 14). HEAD gives the size."""
    relay = request.app[RELAY]
    who, _ = await signed(request)
    account, name = who.account, _name(request)
    asked = request.headers.get("Range") if request.method == "GET" else None

    def look(database: sqlite3.Connection) -> tuple[int, int, int, bytes | None]:
        size = pieces.held(relay, database, account, name)
        if size is None:
            raise ProblemError(Problem.NOT_FOUND)
        start, end = _range(asked, size)
        small = size < objects.INLINE
        return (
            size,
            start,
            end,
            pieces.read_range(relay, database, account, name, start, end - start) if small else None,
        )

    size, start, end, first = await relay.store.peek(look)
    headers = {"Accept-Ranges": "bytes", "Content-Type": "application/octet-stream"}
    if request.method == "HEAD":
        return web.Response(headers=headers | {"Content-Length": str(size)})
    if asked is not None:
        headers["Content-Range"] = f"bytes {start}-{end - 1}/{size}"
    status = 200 if asked is None else 206
    blocks = pieces.blocks([(b"", name, start, end - start)])
    if first is None:
        first = await relay.store.read(partial(pieces.fill, relay, account, blocks[0]))
    return await send(request, account, blocks, first, headers, status)


async def put(request: web.Request) -> web.Response:
    """Store an object under its SHA-256: 201 when new, 200 when it was there. It streams to a file when large."""
    relay = request.app[RELAY]
    who, digest = await principal(request)
    require_writer(who)
    name, size = _name(request), request.content_length
    check_body(digest, name)  # the signature covers the digest, and the digest is the name
    if size is None:  # spec: API-28
        raise ProblemError(Problem.BAD_REQUEST, failure="length")
    if size > relay.limits.object_bytes:  # spec: API-27
        raise ProblemError(Problem.TOO_LARGE)
    if size < objects.INLINE:
        data = await body_of(request, size, known=True)
        _require_named(name, hashlib.sha256(data).digest())
        new = await objects.put_small(relay, who, name, data)
    else:
        async with objects.reserved(relay, who, name, size):
            new = await _put_large(request, who, name)
    return web.Response(status=201 if new else 200)


async def _put_large(request: web.Request, who: Principal, name: bytes) -> bool:
    relay = request.app[RELAY]
    temporary = relay.store.files.temporary()
    try:
        size = await _receive(request, relay, temporary, name)
        return await objects.put_file(relay, who, name, size, temporary)
    except OSError as error:
        raise disk_problem(error) from error
    finally:
        with contextlib.suppress(OSError):  # what cannot be removed now is removed at the next start
            temporary.unlink(missing_ok=True)


async def _receive(request: web.Request, relay: Relay, temporary: Path, name: bytes) -> int:
    """The body into a synced temporary file, in constant memory; returns its size."""
    hasher = hashlib.sha256()
    size = 0
    with temporary.open("xb") as file:
        os.fchmod(file.fileno(), 0o600)
        async for chunk in request.content.iter_chunked(256 * 1024):
            size += len(chunk)
            await relay.store.in_thread(partial(_keep, hasher, file, chunk))
        _require_named(name, hasher.digest())
        file.flush()
        await relay.store.in_thread(lambda: relay.store.files.sync(file.fileno()))
    return size


def _keep(hasher: hashlib._Hash, file: BinaryIO, chunk: bytes) -> None:
    hasher.update(chunk)
    file.write(chunk)


def _require_named(name: bytes, sha256: bytes) -> None:
    if sha256 != name:  # spec: API-29
        raise ProblemError(Problem.BAD_REQUEST, failure="name")


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
