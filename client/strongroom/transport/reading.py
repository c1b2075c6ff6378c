"""Batched reads that a relay may answer in parts: ask again until everything has come (spec chapter 12)."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence

from strongroom_protocol.errors import Failure, UntrustedDataError
from strongroom_protocol.limits import LIMITS
from strongroom_protocol.relay_api.messages import Range

Ask = Callable[[list[Range]], Awaitable[list[bytes | None]]]


async def read_all(ask: Ask, ranges: Sequence[Range]) -> list[bytes | None]:
    """The answers to all ranges. Raises UntrustedDataError for an answer that cannot belong to the question."""
    found: list[bytes | None] = []
    while len(found) < len(ranges):
        rest = list(ranges[len(found) : len(found) + LIMITS.read_items])
        pieces = await ask(rest)
        if not 0 < len(pieces) <= len(rest):  # spec: CLIENT-3
            raise UntrustedDataError(Failure.SCHEMA, "answers other than what was asked", subject="read")
        for piece, (name, offset, length) in zip(pieces, rest, strict=False):
            found.append(await _completed(ask, piece, name, offset, length))
    return found


async def _completed(ask: Ask, piece: bytes | None, name: bytes, offset: int, length: int) -> bytes | None:
    if piece is None:
        return None
    if length and len(piece) > length:  # spec: CLIENT-4
        raise UntrustedDataError(Failure.SCHEMA, "more bytes than asked for", subject=name.hex())
    parts = [piece]
    have = len(piece)
    while length and piece and have < length and len(piece) >= LIMITS.read_response_bytes // 2:
        answer = await ask([(name, offset + have, length - have)])
        piece = answer[0] if len(answer) == 1 else None
        if piece is None or len(piece) > length - have:  # spec: CLIENT-20
            raise UntrustedDataError(Failure.SCHEMA, "not the rest that was asked for", subject=name.hex())
        parts.append(piece)
        have += len(piece)
    return b"".join(parts)
