"""The directory of the engine model: a hot object rewritten at every fold, and a cold log of pages.

A row names a conversation, its title and preview, and the frames that hold its newest messages. The hot object has the
rows of the most recently active conversations and, for all others, which page of the cold log holds their row. A cold
row is written when a conversation leaves the hot object or when a merge moved the frames its row points to; the newest
row wins. The log is written anew instead, once it would hold too many rows that no longer count.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

import engine_costs as cost
from engine_costs import Bools, Ints, Params
from engine_runs import Run


@dataclass(frozen=True)
class Refs:
    """What rows would point to: frames, the bytes of them, whether they cover what a row must."""

    count: Ints
    size: Ints
    covered: Bools


def newest_frames(runs: list[Run], convs: Ints, need: Ints, limit: int) -> Refs:
    """Frames that hold the newest ``need`` messages of ``convs``; ``runs`` go from newest to oldest."""
    left = need.copy()
    count = np.zeros(len(convs), np.int64)
    size = np.zeros(len(convs), np.int64)
    for run in runs:
        at = run.newest[convs]
        for _ in range(2):  # a newest frame smaller than the need has at most one useful predecessor
            valid = (at >= 0) & (left > 0) & (count < limit)
            if not valid.any():
                break
            safe = np.maximum(at, 0)
            left = left - np.where(valid, run.frames.rows[safe], 0)
            size = size + np.where(valid, run.frames.size[safe], 0)
            count = count + valid
            previous = np.maximum(safe - 1, 0)
            at = np.where(valid & (safe > 0) & (run.frames.conv[previous] == convs), previous, -1)
    return Refs(count, size, (left <= 0) | (count < limit))


class Directory:
    """The state of the directory and the bytes each change of it uploads."""

    def __init__(self, conversations: int, p: Params) -> None:
        self.p = p
        self.last_active: Ints = np.full(conversations, -1, np.int64)
        self.hot: Bools = np.zeros(conversations, np.bool_)
        self.cold: Bools = np.zeros(conversations, np.bool_)
        self.cold_row: Ints = np.zeros(conversations, np.int64)
        self.log_rows = self.log_bytes = self.log_pages = 0
        self.log_objects: list[int] = []
        self.hot_bytes = 0
        self.dropped = 0

    def update(self, runs: list[Run], moved: Bools, whole: bool = False) -> int:
        """After a fold or merge: new hot object, evicted rows and rows of ``moved`` frames to the log. Bytes up."""
        known = np.flatnonzero(self.last_active >= 0)
        recent = known[np.argsort(-self.last_active[known], kind="stable")][: self.p.hot_rows]
        hot = np.zeros_like(self.hot)
        hot[recent] = True
        append = ~hot & (self.last_active >= 0) & (self.hot | moved | ~self.cold)
        self.cold = ~hot & (self.last_active >= 0)
        self.hot = hot
        live = int(self.cold.sum())
        if whole or self.log_rows + int(append.sum()) > self.p.cold_growth * live:
            uploaded = self._rewrite(runs)
        else:
            uploaded = self._append(runs, np.flatnonzero(append))
        self.dropped += self.hot_bytes
        rows = self.row_sizes(runs, recent)
        pages = self.log_pages * cost.COLD_PAGE_REF + live * cost.COLD_MAP
        self.hot_bytes = cost.sealed(int(rows.sum()) + pages)
        return uploaded + self.hot_bytes

    def row_sizes(self, runs: list[Run], convs: Ints) -> Ints:
        """Bytes of the rows of ``convs``."""
        refs = newest_frames(runs, convs, np.full(len(convs), self.p.cover, np.int64), self.p.max_refs)
        return cost.ROW_FIXED + cost.ROW_REF * refs.count

    def _append(self, runs: list[Run], convs: Ints) -> int:
        if not len(convs):
            return 0
        sizes = self.row_sizes(runs, convs)
        self.cold_row[convs] = sizes
        total = int(sizes.sum())
        pages = -(-total // (cost.COLD_PAGE - cost.TAG))
        padded = cost.padme(total + pages * cost.TAG + cost.OBJECT_HEADER, cost.OBJECT_FLOOR)
        self.log_rows += len(convs)
        self.log_bytes += padded
        self.log_pages += pages
        self.log_objects.append(padded)
        return padded

    def _rewrite(self, runs: list[Run]) -> int:
        self.dropped += self.log_bytes
        self.log_rows = self.log_bytes = self.log_pages = 0
        self.log_objects = []
        return self._append(runs, np.flatnonzero(self.cold))

    @property
    def at_rest(self) -> int:
        """Bytes kept. There is no mirror: the frames hold titles as rows too, so runs can rebuild the directory."""
        return self.hot_bytes + self.log_bytes

    @property
    def garbage(self) -> int:
        """Bytes of log rows that no longer count."""
        return max(0, self.log_bytes - int(self.cold_row[self.cold].sum()))
