"""What reading costs in the engine model: the first screen of a new device, and one chat in a running client.

A round is a set of reads that need no answer from each other; the relay answers a list of (object, range) in one
request, so a round is one round trip. Bytes are those of the objects and ranges, padding included.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

import engine_costs as cost
from engine_costs import Ints
from engine_directory import newest_frames
from engine_structures import Engine

SCREEN_LIST = 200  # chats listed on the first screen with their previews
SCREEN_CHATS = 20  # chats whose newest messages the first screen shows
FALLBACK_ROUNDS = 3  # fence, page and frames, when a row does not reach far enough back


@dataclass(frozen=True)
class Tail:
    """Batches since the last fold: their conversations in order, and their sizes."""

    convs: Ints
    sizes: tuple[int, ...]

    @property
    def head_bytes(self) -> int:
        """Header and body."""
        return cost.HEAD_HEADER + cost.body_object(len(self.sizes))


def newest_chats(engine: Engine, tail: Tail, count: int) -> Ints:
    """The ``count`` conversations with the newest messages."""
    active = engine.directory.last_active.copy()
    active[tail.convs] = engine.clock + np.arange(len(tail.convs))
    order: Ints = np.argsort(-active, kind="stable")[:count]
    return order[active[order] >= 0]


def first_screen(engine: Engine, tail: Tail) -> tuple[int, int]:
    """Bytes and rounds: header; body; root and tail; directory; frames and cold pages; frames the pages named.

    A listed chat is named by the tail, whose windows repeat the title, or by a hot row, else by a cold page.
    """
    chats = newest_chats(engine, tail, SCREEN_CHATS)
    need = np.maximum(0, engine.p.cover - np.bincount(tail.convs, minlength=engine.conversations)[chats])
    refs = newest_frames(engine.runs, chats, need, engine.p.max_refs)
    cold = engine.directory.cold[chats] & (need > 0)
    total = tail.head_bytes + engine.root_bytes + sum(tail.sizes) + engine.directory.hot_bytes
    total += int(refs.size.sum()) + int(cold.sum()) * cost.COLD_PAGE
    total += int((~refs.covered).sum()) * fallback_bytes(engine)
    listed = newest_chats(engine, tail, SCREEN_LIST)
    named = engine.directory.hot.copy()
    named[tail.convs] = True
    unnamed = int((~named[listed]).sum())
    total += unnamed * cost.COLD_PAGE
    return total, 5 + bool(cold.any() or unnamed) + (FALLBACK_ROUNDS if not refs.covered.all() else 0)


def fallback_bytes(engine: Engine) -> int:
    """Bytes to look a conversation up in every run: the fence and one page of each index."""
    return sum(cost.index_fence(r.entries, len(r.segments)) + min(cost.INDEX_PAGE, r.index_bytes) for r in engine.runs)


def last_fifty(engine: Engine) -> tuple[Ints, Ints]:
    """Bytes and rounds for each conversation that has messages, in order of rank, as if the tail held none of them."""
    chats = np.flatnonzero(engine.totals)
    need = np.minimum(engine.p.cover, engine.totals[chats])
    refs = newest_frames(engine.runs, chats, need, engine.p.max_refs)
    cold = engine.directory.cold[chats]
    extra = np.where(refs.covered, 0, fallback_bytes(engine))
    rounds: Ints = 1 + cold + np.where(refs.covered, 0, FALLBACK_ROUNDS)
    return refs.size + cold * cost.COLD_PAGE + extra, rounds


def last_fifty_probing(engine: Engine) -> tuple[Ints, Ints]:
    """The same where each run has its own directory rows: runs are asked, from the newest, until enough is found."""
    chats = np.flatnonzero(engine.totals)
    need = np.minimum(engine.p.cover, engine.totals[chats])
    refs = newest_frames(engine.runs, chats, need, 2 * len(engine.runs))
    size = refs.size.copy()
    left = need.copy()
    for run in engine.runs:
        size += np.where(left > 0, cost.index_fence(run.entries, 0) + min(cost.INDEX_PAGE, run.index_bytes), 0)
        found = np.bincount(run.frames.conv, run.frames.rows, engine.conversations).astype(np.int64)
        left = left - found[chats]
    return size, np.full(len(chats), 3, np.int64)
