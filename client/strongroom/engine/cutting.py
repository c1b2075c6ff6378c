"""Cutting rows of one conversation into frames (spec chapter 08.3)."""

from __future__ import annotations

from collections.abc import Iterator

from strongroom_protocol.limits import LIMITS
from strongroom_protocol.rows.model import Op
from strongroom_protocol.rows.table import Frame
from strongroom_protocol.wire import cbor

FRAME_TEXT_BYTES = 2 * 1024 * 1024
"""Plaintext after which a frame ends early: a reader of one message never fetches more than about that."""

_ABOUT_OLDER = (Op.EDIT, Op.DELETE, Op.REACT)


def split(frame: Frame, *, newest: bool = True) -> Iterator[Frame]:
    """Frames within the limits: the newest small, for reading a chat's end; older ones large, for compression.

    Operations on messages older than any message here come first and get frames of their own, so that a frame of new
    messages does not seem to reach back to the oldest one somebody reacted to. Without `newest` later rows follow
    elsewhere, and nothing is kept small.
    """
    count = len(frame)
    start = next((place for place, op in enumerate(frame.op) if op not in _ABOUT_OLDER), count)
    first = 0
    for bound in (start, max(start, count - LIMITS.head_frame_rows if newest else count), count):
        while first < bound:
            part = frame.slice(first, min(bound, first + LIMITS.frame_rows))
            fits = _fitting(part)
            yield part if fits == len(part) else part.slice(0, fits)
            first += fits


def _fitting(part: Frame) -> int:
    """How many rows from the first on make one frame."""
    bare = part.raw.count(None) == len(part) == part.detail.count(None)
    if bare and 2 * sum(map(len, filter(None, part.text))) <= FRAME_TEXT_BYTES:
        return len(part)
    total = 0
    for row, detail in enumerate(part.detail):
        total += len(part.text[row] or "") * 2 + len(part.raw[row] or b"")
        total += 0 if detail is None else len(cbor.encode(detail))
        if total > FRAME_TEXT_BYTES and row:
            return row
    return len(part)
