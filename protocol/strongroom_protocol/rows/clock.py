"""Hybrid logical clocks: unix milliseconds times 2**16 plus a counter (spec chapter 10)."""

from __future__ import annotations

from strongroom_protocol.limits import LIMITS, Limits
from strongroom_protocol.rows.model import HLC_MAX, TIME_MAX

COUNTER_BITS = 16


def ceiling(now_ms: int, *, limits: Limits = LIMITS) -> int:
    """The highest clock that counts at `now_ms`; whatever lies above is taken for it."""
    return min((now_ms + limits.clock_ahead_ms << COUNTER_BITS) + 0xFFFF, HLC_MAX)


def tick(last: int, now_ms: int, *, limits: Limits = LIMITS) -> int:
    """The clock of the next operation: above `last`, the highest seen, and not below `now_ms`.

    A clock that ran ahead by more than the allowance drags nobody along: `last` is clamped first.
    """
    now = min(max(now_ms, 0), TIME_MAX) << COUNTER_BITS
    seen = min(last, ceiling(now_ms, limits=limits))  # spec: MERGE-11
    return min(max(now, seen + 1), HLC_MAX)  # spec: MERGE-12
