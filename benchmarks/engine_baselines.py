"""The structures the chosen one was compared with, kindly treated: both get its tail and its head.

A, the plain tree, keeps one leaf chain per conversation and rewrites the newest leaf and its path. B, the runs with a
directory inside, shares the chosen structure's frames and merges, but every run repeats the rows of its conversations
and a reader joins them.
"""

from __future__ import annotations

import numpy as np

import engine_costs as cost
from engine_costs import Ints
from engine_reads import SCREEN_CHATS, Tail
from engine_structures import Engine
from engine_traffic import Far

LEAF = 64 * cost.KIB
LEAF_ROW = 33.3 + cost.OP_JOINED * 0.08  # bytes of one message in a full leaf, its share of operations included
CHILD = 70  # key, hash and size of a child in an interior node
FANOUT = LEAF // CHILD
RUN_ROW = cost.ROW_FIXED + 2 * cost.ROW_REF  # directory row inside a run
RUN_SCREEN = 200  # rows of each run that the first screen reads


class PlainTree:
    """Bytes a tree of per-conversation leaves writes when a full tail is put into it."""

    def __init__(self, conversations: int) -> None:
        self.bytes = np.zeros(conversations, np.float64)
        self.written = 0
        self.news = 0.0

    def put(self, rows: Ints, far: Far) -> int:
        """Rewrite the newest leaves, the leaves of old messages that changed, and every path. Bytes uploaded."""
        touched = rows > 0
        partial = self.bytes % LEAF
        added = rows * LEAF_ROW
        leaves = -(-(partial + added)[touched] // LEAF).astype(np.int64)
        uploaded = int((partial + added)[touched].sum()) + int(leaves.sum()) * (cost.OBJECT_HEADER + cost.TAG)
        place = (far.pos * LEAF_ROW // LEAF).astype(np.int64)
        old = np.unique((far.conv << 32) | place)
        newest = (self.bytes // LEAF).astype(np.int64)
        old = old[(old & 0xFFFFFFFF) < newest[old >> 32]]
        uploaded += len(old) * LEAF
        self.bytes += added
        per_conv = np.ceil(self.bytes / LEAF).astype(np.int64)
        first = np.cumsum(per_conv) - 1
        nodes = np.unique(np.concatenate((first[touched], first[old >> 32])) // FANOUT)
        total_nodes = int(per_conv.sum()) // FANOUT + 1
        uploaded += len(nodes) * min(LEAF, int(per_conv.sum()) * CHILD) + total_nodes * CHILD
        self.written += uploaded
        self.news += float(added.sum())
        return uploaded

    def at_rest(self) -> int:
        """Bytes of all leaves and interior nodes."""
        leaves = np.ceil(self.bytes / LEAF)
        return int(self.bytes.sum() + leaves.sum() * (cost.OBJECT_HEADER + cost.TAG + CHILD))

    def last_fifty(self) -> Ints:
        """Bytes to reach and read the newest leaf of each conversation: one interior node, one leaf."""
        live = self.bytes > 0
        leaf = np.minimum(self.bytes[live], LEAF / 2 + self.bytes[live] % LEAF / 2).astype(np.int64)
        total = int(np.ceil(self.bytes / LEAF).sum()) * CHILD
        size: Ints = leaf + min(LEAF, total)
        return size

    def first_screen(self, tail: Tail, directory: int) -> int:
        """Bytes of head, tail, the same hot directory as the chosen structure, and twenty leaves with their paths."""
        nodes = min(SCREEN_CHATS, int(np.ceil(self.bytes / LEAF).sum()) // FANOUT + 1)
        leaves = np.sort(np.minimum(self.bytes, LEAF / 2))[-SCREEN_CHATS:]
        return tail.head_bytes + sum(tail.sizes) + directory + nodes * LEAF + int(leaves.sum())


def run_rows_screen(engine: Engine, chosen: int) -> int:
    """Bytes of B's first screen, given the chosen one's: the newest rows of every run, not a directory object."""
    rows = sum(min(RUN_SCREEN, int((run.newest >= 0).sum())) for run in engine.runs)
    return chosen - engine.directory.hot_bytes + rows * RUN_ROW


def run_rows_at_rest(engine: Engine) -> int:
    """Bytes of the directory rows in all of B's runs."""
    return sum(int((run.newest >= 0).sum()) for run in engine.runs) * RUN_ROW
