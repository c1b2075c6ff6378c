"""The chosen structure as a whole: tail, folds, merges, directory and what stays at rest, counted as they happen."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

import engine_costs as cost
from engine_costs import Bools, Ints, Params
from engine_directory import Directory
from engine_runs import Run, Segments, Written, cut, finish, merge
from engine_traffic import Far


@dataclass
class Ledger:
    """Bytes uploaded since the last :meth:`Engine.mark`, by reason, and bytes that fell into the delete window."""

    fold: int = 0  # segments of level-0 runs
    fold_frames: int = 0  # frame bytes in them
    merge: int = 0  # segments written by merges
    merge_frames: int = 0
    index: int = 0  # run indexes, both copies
    directory: int = 0
    root: int = 0  # both copies
    dropped: int = 0
    largest_fold: int = 0  # level-0 segment and index with its mirror
    largest_merge: int = 0
    merges: int = 0
    max_runs: int = 0
    run_rows: int = 0  # conversations in the runs written: the rows a directory inside the runs would repeat

    @property
    def upkeep(self) -> int:
        """Every byte uploaded besides batches and heads."""
        return self.fold + self.merge + self.index + self.directory + self.root


class Engine:
    """Counts what the tiered engine does for the messages of ``conversations`` chats."""

    def __init__(self, conversations: int, p: Params) -> None:
        self.conversations = conversations
        self.p = p
        self.segments = Segments()
        self.directory = Directory(conversations, p)
        self.levels: list[list[Run]] = []  # each from oldest to newest
        self.totals: Ints = np.zeros(conversations, np.int64)
        self.clock = 0
        self.ledger = Ledger()
        self.root_bytes = 0

    @property
    def runs(self) -> list[Run]:
        """All runs from newest to oldest."""
        return [run for level in self.levels for run in reversed(level)]

    def mark(self) -> None:
        """Start a new ledger."""
        self.ledger = Ledger()

    def bulk(self, convs: Ints) -> None:
        """The first backup: one run written straight at the level of its size."""
        rows = np.bincount(convs, minlength=self.conversations)
        level, size = 0, self.p.tail * self.p.batch
        while size * self.p.fan_in <= len(convs):
            level, size = level + 1, size * self.p.fan_in
        self._seen(convs)
        run, written = self._build(level, rows, np.zeros(self.conversations, np.int64), Far.join([]))
        self._add(run)
        self.ledger.fold += written.segments
        self.ledger.index += 2 * run.index_bytes
        self._publish(np.zeros(self.conversations, np.bool_))

    def fold(self, convs: Ints, near: Ints, far: Far) -> int:
        """Write the tail's messages as a level-0 run, as the commit that finds the tail full does. Bytes uploaded."""
        before = self.ledger.upkeep
        self._seen(convs)
        rows = np.bincount(convs, minlength=self.conversations)
        run, written = self._build(0, rows, near, far)
        self._add(run)
        self.ledger.fold += written.segments
        self.ledger.fold_frames += written.frames
        self.ledger.index += 2 * run.index_bytes
        self.ledger.largest_fold = max(self.ledger.largest_fold, written.segments + 2 * run.index_bytes)
        self._publish(np.zeros(self.conversations, np.bool_))
        self.ledger.max_runs = max(self.ledger.max_runs, len(self.runs))
        return self.ledger.upkeep - before

    def compact(self) -> int:
        """The merge that is due, if any: every level it would fill is merged at once. Bytes uploaded."""
        level, inputs = 0, list[Run]()
        while level < len(self.levels) and len(self.levels[level]) + (1 if inputs else 0) >= self.p.fan_in:
            inputs = self.levels[level] + inputs
            self.levels[level] = []
            level += 1
        return self._merge(inputs, level, whole=False) if inputs else 0

    def compact_all(self) -> int:
        """What an idle device does at leisure: one run, everything joined. Bytes uploaded."""
        inputs = list(reversed(self.runs))
        level = max(r.level for r in inputs)
        self.levels = [[] for _ in self.levels]
        return self._merge(inputs, level, whole=True)

    def _merge(self, inputs: list[Run], level: int, whole: bool) -> int:
        before = self.ledger.upkeep
        oldest = not any(self.levels[level:])
        run, written = merge(inputs, level, oldest, self.segments, self.conversations, self.p, whole)
        moved = np.zeros(self.conversations, np.bool_)
        for old in inputs:
            moved |= old.newest >= 0
            self.ledger.dropped += 2 * old.index_bytes
        for ident in written.dropped:
            self.ledger.dropped += self.segments.padded.pop(ident)
            del self.segments.payload[ident]
        self._add(run)
        self.ledger.merge += written.segments
        self.ledger.merge_frames += written.frames
        self.ledger.index += 2 * run.index_bytes
        self.ledger.merges += 1
        self._publish(moved, whole)
        uploaded = self.ledger.upkeep - before
        self.ledger.largest_merge = max(self.ledger.largest_merge, uploaded)
        return uploaded

    def _seen(self, convs: Ints) -> None:
        self.directory.last_active[convs] = self.clock + np.arange(len(convs))  # the last of each wins
        self.clock += len(convs)

    def _build(self, level: int, rows: Ints, near: Ints, far: Far) -> tuple[Run, Written]:
        touched = np.flatnonzero(rows)
        newest = np.ones(len(touched), np.bool_)
        fresh = cut(touched, self.totals[touched], rows[touched], near[touched], newest, False, self.p)
        self.totals = self.totals + rows
        nothing = fresh.take(np.zeros(0, np.int64))
        return finish(level, nothing, fresh, far, self.segments, self.conversations, self.p)

    def _add(self, run: Run) -> None:
        while len(self.levels) <= run.level:
            self.levels.append([])
        self.levels[run.level].append(run)
        self.ledger.run_rows += int((run.newest >= 0).sum())

    def _publish(self, moved: Bools, whole: bool = False) -> None:
        dropped = self.directory.dropped
        self.ledger.directory += self.directory.update(self.runs, moved, whole)
        self.ledger.dropped += self.directory.dropped - dropped + 2 * self.root_bytes
        self.root_bytes = cost.root_object(len(self.runs))
        self.ledger.root += 2 * self.root_bytes

    def live_frames(self) -> int:
        """Bytes of the frames that runs list."""
        return sum(int(r.frames.size.sum() + r.op_frames.size.sum()) for r in self.runs)

    def garbage(self) -> int:
        """Bytes in kept objects that nothing refers to."""
        return sum(self.segments.payload.values()) - self.live_frames() + self.directory.garbage

    def at_rest(self) -> int:
        """Bytes the relay keeps for the engine: segments, indexes, directory and root, delete window not counted."""
        indexes = sum(2 * r.index_bytes for r in self.runs)
        return sum(self.segments.padded.values()) + indexes + self.directory.at_rest + 2 * self.root_bytes
