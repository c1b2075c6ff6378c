"""Drives one history through the three structures and gathers their rows."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np

import engine_costs as cost
from engine_baselines import RUN_ROW, PlainTree, run_rows_at_rest, run_rows_screen
from engine_costs import Ints, Params
from engine_reads import Tail, first_screen, last_fifty, last_fifty_probing
from engine_report import Row
from engine_structures import Engine
from engine_traffic import CAS_LOST, Far, Traffic

SIZES = {"S": 100_000, "M": 1_000_000, "L": 10_000_000}  # messages
MEASURED = 1_000  # commits whose uploads are kept one by one
SCREEN_EVERY = 7  # commits between two modelled restores
PUTS = 2  # a batch and a head
FOLD_PUTS = 7  # and with a fold: segment, index and root with mirrors, hot directory, cold pages


@dataclass
class Samples:
    """What the measured commits and reads cost, in bytes."""

    batch: list[int] = field(default_factory=list)
    head: list[int] = field(default_factory=list)
    commit: list[int] = field(default_factory=list)
    tree_commit: list[int] = field(default_factory=list)
    screens: list[tuple[int, int]] = field(default_factory=list)
    run_screens: list[int] = field(default_factory=list)
    tree_screens: list[int] = field(default_factory=list)
    transient: int = 0  # bytes of batches and bodies dropped


def weighted_median(values: Ints, weights: Ints) -> float:
    """The value below which half of the weight lies."""
    order = np.argsort(values, kind="stable")
    reached = np.cumsum(weights[order])
    return float(values[order][np.searchsorted(reached, reached[-1] / 2)])


class History:
    """One history: traffic, the chosen engine, and the plain tree beside it."""

    def __init__(self, conversations: int, p: Params, seed: int) -> None:
        self.p = p
        self.traffic = Traffic(conversations, seed)
        self.engine = Engine(conversations, p)
        self.tree = PlainTree(conversations)
        self.samples = Samples()
        self.commits = 0

    def _rows(self, convs: Ints) -> Ints:
        return np.bincount(convs, minlength=self.traffic.conversations)

    def warm(self, folds: int) -> None:
        """Commits not looked at one by one, a fold at a time."""
        for _ in range(folds):
            convs = self.traffic.messages(self.p.tail * self.p.batch)
            near, far = self.traffic.operations(convs)
            self.engine.fold(convs, near, far)
            self.engine.compact()
            self.tree.put(self._rows(convs), far)
            self.commits += self.p.tail

    def bulk(self, messages: int) -> tuple[int, int]:
        """A first backup, then a compaction at leisure; bytes at rest after either."""
        convs = self.traffic.messages(messages)
        self.engine.bulk(convs)
        self.tree.put(self._rows(convs), Far.join([]))
        self.tree.written, self.tree.news = 0, 0.0
        head = cost.HEAD_HEADER + cost.body_object(0)
        first = self.engine.at_rest() + head
        self.engine.compact_all()
        self.engine.mark()
        return first, self.engine.at_rest() + head + cost.HEAD_HEADER

    def measured(self) -> Tail:
        """The commits looked at one by one; the tail they leave."""
        s = self.samples
        convs: list[Ints] = []
        nears: list[Ints] = []
        fars: list[Far] = []
        sizes: list[int] = []
        for number in range(MEASURED):
            fold = tree_fold = 0
            if len(sizes) == self.p.tail:
                far = Far.join(fars)
                fold = self.engine.fold(np.concatenate(convs), np.sum(nears, axis=0), far)
                tree_fold = self.tree.put(self._rows(np.concatenate(convs)), far)
                self.engine.compact()
                s.transient += sum(sizes)
                convs, nears, fars, sizes = [], [], [], []
            mine = self.traffic.messages(self.p.batch)
            near, far = self.traffic.operations(mine)
            convs, nears, fars = [*convs, mine], [*nears, near], [*fars, far]
            sizes.append(cost.batch_object(self._rows(mine), int(near.sum()) + len(far.conv)))
            tail = Tail(np.concatenate(convs), tuple(sizes))
            sends = 2 if self.traffic.rng.random() < CAS_LOST else 1
            s.transient += tail.head_bytes - cost.HEAD_HEADER
            s.batch.append(sizes[-1])
            s.head.append(tail.head_bytes * sends)
            s.commit.append(sizes[-1] + tail.head_bytes * sends + fold)
            s.tree_commit.append(sizes[-1] + tail.head_bytes * sends + tree_fold)
            if number % SCREEN_EVERY == 0 and self.engine.clock:
                screen = first_screen(self.engine, tail)
                s.screens.append(screen)
                s.run_screens.append(run_rows_screen(self.engine, screen[0]))
                s.tree_screens.append(self.tree.first_screen(tail, self.engine.directory.hot_bytes))
        self.commits += MEASURED
        return tail


def simulate(size: str, conversations: int, bulk: bool, p: Params, seed: int) -> list[Row]:
    """One history of ``size``; the rows of A, B and C."""
    history = History(conversations, p, seed)
    first = (0, 0)
    if bulk:
        first = history.bulk(SIZES[size])
    else:
        history.warm((SIZES[size] - MEASURED * p.batch) // (p.tail * p.batch))
    window_from = history.engine.ledger.dropped
    tail = history.measured()
    return _rows(history, size, bulk, first, window_from, tail)


def _rows(history: History, size: str, bulk: bool, first: tuple[int, int], window_from: int, tail: Tail) -> list[Row]:
    engine, tree, s, p = history.engine, history.tree, history.samples, history.p
    ledger = engine.ledger
    committed = history.commits * p.batch  # messages that came in commits
    batches = float(np.mean(s.batch)) * history.commits
    kept = sum(tail.sizes) + tail.head_bytes + cost.HEAD_HEADER * (history.commits + ledger.merges)
    messages = engine.clock + len(tail.convs)
    live = engine.at_rest() - engine.garbage()
    window = (ledger.dropped - window_from + s.transient) / live
    weights = engine.totals[engine.totals > 0]
    chat, rounds = last_fifty(engine)
    probing, probing_rounds = last_fifty_probing(engine)
    leaf = tree.last_fifty()
    garbage = engine.garbage() / live
    rest = engine.at_rest()
    run_rows = run_rows_at_rest(engine)
    directory = engine.directory.at_rest
    folds_measured = sum(1 for c, b in zip(s.commit, s.batch, strict=True) if c - b > 16 * cost.KIB)
    upkeep_b = ledger.upkeep - ledger.directory + ledger.run_rows * RUN_ROW
    counts = (ledger.max_runs, ledger.largest_fold, ledger.largest_merge, ledger.merge, ledger.upkeep)
    rewrites = (ledger.fold_frames + ledger.merge_frames) / max(1, ledger.fold_frames)
    leisure = engine.compact_all()
    garbage_after = engine.garbage() / (engine.at_rest() - engine.garbage())
    compacted = engine.at_rest()
    c = Row(
        structure="C",
        size=size,
        conversations=engine.conversations,
        bulk=bulk,
        batch_median=float(np.median(s.batch)),
        head_median=float(np.median(s.head)),
        commit_p99=_p99(s.commit),
        requests_per_commit=PUTS + CAS_LOST + FOLD_PUTS * folds_measured / MEASURED,
        fold_largest=counts[1],
        merge_largest=counts[2],
        compaction_per_message=counts[3] / committed,
        upkeep_per_message=counts[4] / committed,
        rewrites=rewrites,
        upkeep_ratio=counts[4] / batches,
        garbage=garbage,
        garbage_compacted=garbage_after,
        leisure_bytes=leisure,
        heads_per_message=cost.HEAD_HEADER * (history.commits + ledger.merges) / messages,
        window=window,
        runs=counts[0],
        screen=max(total for total, _ in s.screens),
        screen_rounds=max(trips for _, trips in s.screens),
        chat_median=weighted_median(chat, weights),
        chat_median_uniform=float(np.median(chat)),
        chat_worst=int(chat.max()),
        chat_rounds_median=weighted_median(rounds, weights),
        chat_rounds_median_uniform=float(np.median(rounds)),
        chat_rounds_worst=int(rounds.max()),
        first_per_message=first[0] / SIZES[size],
        first_compacted_per_message=first[1] / SIZES[size],
        rest_per_message=(rest + kept) / messages,
        compacted_per_message=(compacted + kept) / messages,
    )
    b = replace(
        c,
        structure="B",
        upkeep_per_message=upkeep_b / committed,
        upkeep_ratio=upkeep_b / batches,
        screen=max(s.run_screens),
        chat_median=weighted_median(probing, weights),
        chat_median_uniform=float(np.median(probing)),
        chat_worst=int(probing.max()),
        chat_rounds_median=weighted_median(probing_rounds, weights),
        chat_rounds_median_uniform=float(np.median(probing_rounds)),
        chat_rounds_worst=int(probing_rounds.max()),
        rest_per_message=(rest - directory + run_rows + kept) / messages,
    )
    a = replace(
        c,
        structure="A",
        commit_p99=_p99(s.tree_commit),
        fold_largest=int(max(s.tree_commit)),
        merge_largest=0,
        compaction_per_message=0.0,
        upkeep_per_message=tree.written / committed,
        rewrites=tree.written / tree.news,
        upkeep_ratio=tree.written / batches,
        garbage=0.0,
        garbage_compacted=0.0,
        leisure_bytes=0,
        window=(tree.written * MEASURED / history.commits + s.transient) / live,
        runs=1,
        screen=max(s.tree_screens),
        chat_median=weighted_median(leaf, weights),
        chat_median_uniform=float(np.median(leaf)),
        chat_worst=int(leaf.max()),
        chat_rounds_median=2.0,
        chat_rounds_median_uniform=2.0,
        chat_rounds_worst=2,
        first_per_message=tree.at_rest() / messages if bulk else 0.0,
        first_compacted_per_message=tree.at_rest() / messages if bulk else 0.0,
        rest_per_message=(tree.at_rest() + kept) / messages,
        compacted_per_message=(tree.at_rest() + kept) / messages,
    )
    return [a, b, c]


def _p99(values: list[int]) -> float:
    return float(np.percentile(np.array(values), 99))
