"""The result of one modelled history, the bounds it is held to, and the tables."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass

from engine_costs import KIB, MIB

SPREAD_LIMIT = 1.2  # largest over smallest median upload of a commit, S to L


@dataclass(frozen=True)
class Row:
    """Counts of one structure over one history. Bytes unless the name says otherwise."""

    structure: str
    size: str
    conversations: int
    bulk: bool  # first backup in bulk and 1,000 commits, or commits from the first message
    batch_median: float
    head_median: float
    commit_p99: float  # all uploads of a commit, folds included
    requests_per_commit: float  # uploads, mean over the last 1,000 commits
    fold_largest: int  # level-0 segment and index with its mirror
    merge_largest: int  # all uploads of one merge
    compaction_per_message: float  # frames written by merges
    upkeep_per_message: float  # everything but batches and heads
    rewrites: float  # times a frame byte is written: fold and merges
    upkeep_ratio: float  # upkeep over batch bytes
    garbage: float  # share of live bytes, before any leisure compaction
    garbage_compacted: float  # the same after it
    leisure_bytes: int  # uploads of that compaction
    window: float  # share of live bytes that waits in the delete window of the last 1,000 commits
    runs: int
    screen: int
    screen_rounds: int
    chat_median: float  # last 50 of one chat, median over chats weighted by activity
    chat_median_uniform: float  # the same over all chats alike
    chat_worst: int
    chat_rounds_median: float
    chat_rounds_median_uniform: float
    chat_rounds_worst: int
    first_per_message: float  # at rest after the bulk backup; 0 where there was none
    first_compacted_per_message: float  # the same after a compaction at leisure
    heads_per_message: float  # headers kept for ever, a part of the next two
    rest_per_message: float  # at rest at the end, before leisure compaction
    compacted_per_message: float  # after it, head headers included

    def as_json(self) -> dict[str, object]:
        """Fields and missed bounds."""
        return {**asdict(self), "misses": misses(self)}


BOUNDS: tuple[tuple[str, str, float], ...] = (
    ("batch", "batch_median", 6 * KIB),
    ("head", "head_median", 2 * KIB),
    ("fold", "fold_largest", 256 * KIB),
    ("rewrites", "rewrites", 5),
    ("upkeep", "upkeep_ratio", 5),
    ("garbage", "garbage", 0.30),
    ("garbage", "garbage_compacted", 0.30),
    ("runs", "runs", 40),
    ("first screen", "screen", MIB),
    ("first screen rounds", "screen_rounds", 12),
    ("chat", "chat_median", 32 * KIB),
    ("chat", "chat_median_uniform", 32 * KIB),
    ("chat rounds", "chat_rounds_median", 2),
    ("chat rounds", "chat_rounds_median_uniform", 2),
)
SIZE_BOUNDS: tuple[tuple[str, str, float], ...] = (  # 200 conversations, first backup in bulk
    ("size at first backup", "first_per_message", 40.0),
    ("size after compaction", "first_compacted_per_message", 36.7),
)


def misses(row: Row) -> list[str]:
    """Names of the bounds that ``row`` exceeds."""
    bounds = BOUNDS + (SIZE_BOUNDS if row.bulk and row.conversations == 200 else ())
    return list(dict.fromkeys(name for name, field, limit in bounds if getattr(row, field) > limit))


def across_sizes(rows: Iterable[Row]) -> list[tuple[str, float, bool]]:
    """For the chosen structure: largest over smallest median upload of a commit, over the sizes."""
    groups: dict[str, list[float]] = {}
    for row in rows:
        if row.structure == "C":
            kind = f"{row.conversations} conversations, {'bulk' if row.bulk else 'commits'}"
            groups.setdefault(f"batch, {kind}", []).append(row.batch_median)
            groups.setdefault(f"head, {kind}", []).append(row.head_median)
    ratios = [(what, max(values) / min(values)) for what, values in groups.items()]
    return [(what, ratio, ratio <= SPREAD_LIMIT) for what, ratio in ratios]


COLUMNS = (
    "", "history", "batch", "head", "p99 commit KiB", "req.", "fold KiB", "merge B/msg", "rewrites", "upkeep",
    "garbage %", "window %", "runs", "screen KiB / rounds", "chat KiB / rounds (worst)", "first", "compacted",
    "end", "compacted", "verdict",
)  # fmt: skip


def _cells(row: Row) -> list[str]:
    missed = misses(row)
    return [
        f"{row.batch_median:.0f}",
        f"{row.head_median:.0f}",
        f"{row.commit_p99 / KIB:.0f}",
        f"{row.requests_per_commit:.2f}",
        f"{row.fold_largest / KIB:.0f}",
        f"{row.compaction_per_message:.0f}",
        f"{row.rewrites:.2f}",
        f"{row.upkeep_ratio:.2f}",
        f"{row.garbage * 100:.1f}, {row.garbage_compacted * 100:.1f}",
        f"{row.window * 100:.0f}",
        f"{row.runs}",
        f"{row.screen / KIB:.0f} / {row.screen_rounds}",
        f"{row.chat_median / KIB:.1f}, {row.chat_median_uniform / KIB:.1f} / "
        f"{row.chat_rounds_median:.0f}, {row.chat_rounds_median_uniform:.0f} "
        f"({row.chat_worst / KIB:.0f} / {row.chat_rounds_worst})",
        f"{row.first_per_message:.1f}" if row.first_per_message else "-",
        f"{row.first_compacted_per_message:.1f}" if row.first_compacted_per_message else "-",
        f"{row.rest_per_message:.1f}",
        f"{row.compacted_per_message:.1f}",
        "MISS: " + ", ".join(missed) if missed else "ok",
    ]


def markdown(rows: Iterable[Row], spread: Iterable[tuple[str, float, bool]]) -> str:
    """The main table and the comparison across sizes."""
    lines = ["| " + " | ".join(COLUMNS) + " |", "|" + "---|" * len(COLUMNS)]
    for row in rows:
        name = f"{row.size} {row.conversations} {'bulk' if row.bulk else 'commits'}"
        lines.append("| " + " | ".join([row.structure, name, *_cells(row)]) + " |")
    lines.append("")
    for what, ratio, ok in spread:
        lines.append(f"- largest over smallest median, {what}: {ratio:.3f} {'ok' if ok else 'MISS'}")
    return "\n".join(lines) + "\n"


def sensitivity_markdown(variants: Iterable[tuple[str, Row]]) -> str:
    """The chosen structure with one parameter changed at a time."""
    lines = ["| variant | " + " | ".join(COLUMNS[2:]) + " |", "|" + "---|" * (len(COLUMNS) - 1)]
    lines += ["| " + " | ".join([name, *_cells(row)]) + " |" for name, row in variants]
    return "\n".join(lines) + "\n"
