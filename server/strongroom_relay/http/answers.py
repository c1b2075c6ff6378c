"""Answers that are longer than a block: sent as they are read, within a time that grows with their length."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial

from aiohttp import web

from strongroom_relay.http.app import RELAY, TIMER
from strongroom_relay.service import pieces


async def send(
    request: web.Request, account: bytes, blocks: Sequence[Sequence[pieces.Step]], first: bytes,
    headers: Mapping[str, str], status: int = 200,
) -> web.StreamResponse:  # fmt: skip
    """All blocks, of which the first is here. A client that does not read holds one block, and only for a time."""
    if len(blocks) < 2:
        return web.Response(status=status, headers=headers, body=first)
    relay = request.app[RELAY]
    size = sum(len(step[0]) + step[3] for block in blocks for step in block)
    timer = request[TIMER]
    timer.reschedule((timer.when() or 0) + size / relay.limits.slowest_bytes_s)
    answer = web.StreamResponse(status=status, headers={**headers, "Content-Length": str(size)})
    await answer.prepare(request)
    await answer.write(first)
    for block in blocks[1:]:
        await answer.write(await relay.store.read(partial(pieces.fill, relay, account, block)))
    await answer.write_eof()
    return answer
