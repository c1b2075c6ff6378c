"""How ours scales: the same steps on 100 thousand, 1 million and 10 million messages in 5,000 conversations.

What must not grow with the history: what a commit of 100 messages sends and takes, what a first screen fetches, what
the newest 50 of a chat and the page before them cost, the memory of the client. What may grow with it: a backup, a
verification, an index. The history of each size is imported as an app's whole database.
"""

from __future__ import annotations

import statistics

from bench.app_data import SIZES, AppData
from bench.process import Sample, ours
from bench.results import OURS, Measure
from bench.world import World, account, backed_up, relay_in

CONVERSATIONS = 5_000
COMMITS = 200
COUNTS = {"100k": 100_000, "1M": 1_000_000, "10M": 10_000_000}
GROWTH = 1.2

SEARCHED = ("100k", "1M")
"""Sizes of which a search index is made: for 10 million messages that alone takes longer than all the rest."""

PHASES = {"backup": "first backup", "screen": "first screen", "commits": "commits", "verify": "verify every byte"}
"""What the memory of the client is told for."""

_ROWS: tuple[tuple[str, str, str, float | None, str], ...] = (
    ("backup", "first backup", "s", None, ""),
    ("rate", "first backup: speed", "messages/s", None, ""),
    ("rest", "at rest", "bytes a message", None, "what the newest version consists of, sealed, with its index"),
    ("commit", "+100 messages: batch and head", "bytes", 8 * 1024, "median"),
    ("commit_ms", "+100 messages, warm", "ms", 15, "median, durable here and acknowledged by the relay"),
    ("commit_p99", "+100 messages, warm: 99th percentile", "ms", None, "a commit that folds"),
    ("upkeep", "+100 messages: upkeep", "bytes a message", None, "folds and merges, mean"),
    ("screen", "first screen: bytes", "KiB", 1024, "200 chats, the newest 50 messages of 20"),
    ("requests", "first screen: requests", "requests", 12, ""),
    ("screen_s", "first screen", "s", 0.3, "after the unlock"),
    ("chat", "last 50 of a chat: bytes", "KiB", 32, "median of 50 chats"),
    ("chat_ms", "last 50 of a chat", "ms", 10, "median of 50 chats"),
    ("older", "the page of 50 before them: bytes", "KiB", 32, "median; of the chats that have one"),
    ("older_ms", "the page of 50 before them", "ms", 10, "median; of the chats that have one"),
    ("quick_s", "verify --quick", "s", None, "whether the relay has all of it"),
    ("quick", "verify --quick: bytes", "KiB", None, ""),
    ("verify", "verify every byte", "s", None, ""),
    ("index", "search: index made", "s", None, "up to 1M only: it is made at a steady speed, in the background"),
    ("index_rest", "search: index", "bytes a message", None, "on the device"),
    ("found_ms", "search: first page", "ms", None, "a common word, median"),
    *(
        (f"memory_{phase}", f"memory of the client: {name}", "MB", 150.0, "all its processes")
        for phase, name in PHASES.items()
    ),
)  # fmt: skip


def _measures() -> tuple[Measure, ...]:
    found = [
        Measure(f"scale_{key}_{size}", what, unit, most=most, about=about, at=size)
        for key, what, unit, most, about in _ROWS
        for size in COUNTS
        if size in SEARCHED or key not in ("index", "index_rest", "found_ms")
    ]
    growth = Measure(
        "scale_growth", "+100 messages: bytes, over those at 100k", "times", most=GROWTH, at="10M"
    )  # fmt: skip
    return (*found, growth)


BUDGETS = _measures()


def measure(world: World) -> None:
    """Every size in turn; a smaller one is made as its own data set, not cut from the largest."""
    results = world.results
    sizes = COUNTS if world.data.size.messages >= max(COUNTS.values()) else {"100k": world.data.size.messages}
    for name, messages in sizes.items():
        keys = tuple(key for key in results.measures if key.endswith(f"_{name}"))
        with world.failing(keys, OURS):
            _Size(world, name, messages).measure()
    first, last = (results.median(f"scale_commit_{name}", OURS) for name in ("100k", "10M"))
    if first and last:
        results.add("scale_growth", OURS, last / first)


class _Size:
    """One size: its data, its vault, its figures."""

    def __init__(self, world: World, name: str, messages: int) -> None:
        data = world.data
        if data.size.messages != messages:
            size = SIZES["L"]._replace(messages=messages)
            data = AppData(data.folder.parent / f"data-{messages}-{CONVERSATIONS}-{data.seed}", size, data.seed)
            data.make()
        self.name, self.messages, self.data = name, messages, data
        self.world = World(data, world.work, (), world.results, commits=world.commits,
                           commit_seconds=world.commit_seconds)  # fmt: skip
        self.place = self.world.place(OURS, f"scale-{name}")

    def measure(self) -> None:
        """Everything, in the order in which a person would do it."""
        self._backup()
        self._reads()
        self._commits()
        self._verify()
        if self.name in SEARCHED:
            self._search()

    def _add(self, key: str, value: float) -> None:
        self.world.results.add(f"scale_{key}_{self.name}", OURS, value)

    def _memory(self, phase: str, sample: Sample) -> None:
        self._add(f"memory_{phase}", sample.peak_mb)

    def _backup(self) -> None:
        account(self.place)
        backup = backed_up(self.place)
        self._add("backup", backup.seconds)
        self._add("rate", self.messages / backup.seconds)
        self._add("rest", backup.json["live"] / self.messages)
        self._memory("backup", backup)

    def _reads(self) -> None:
        screen = ours("bench.subject", "screen", self.place / "screen", relay_in(self.place))
        self._add("screen", screen.json["bytes"] / 1024)
        self._add("requests", screen.json["requests"])
        self._add("screen_s", screen.json["seconds"])
        self._memory("screen", screen)
        found = ours("bench.subject", "chats", self.place / "screen").json
        self._add("chat", found["bytes"] / 1024)
        self._add("chat_ms", found["ms"])
        if found["older_ms"] is not None:
            self._add("older", found["older_bytes"] / 1024)
            self._add("older_ms", found["older_ms"])

    def _commits(self) -> None:
        often = str(min(COMMITS, self.world.commits)), str(self.world.commit_seconds)
        commits = ours("bench.subject", "commits", self.place / "device", self.data.folder, *often)
        found = commits.json
        pairs = list(zip(found["batches"], found["heads"], strict=True))
        self._add("commit", statistics.median(batch + head for batch, head in pairs))
        self._add("commit_ms", statistics.median(found["ms"]))
        self._add("commit_p99", sorted(found["ms"])[max(0, int(len(found["ms"]) * 0.99) - 1)])
        upkeep = statistics.fmean(found["sent"]) - statistics.median(found["sent"])
        self._add("upkeep", max(0.0, upkeep) / 100)
        self._memory("commits", commits)

    def _verify(self) -> None:
        quick = ours("bench.subject", "verify", self.place / "screen", "quick").json
        self._add("quick_s", quick["seconds"])
        self._add("quick", quick["bytes"] / 1024)
        whole = ours("bench.subject", "verify", self.place / "screen", "full")
        self._add("verify", whole.json["seconds"])
        self._memory("verify", whole)

    def _search(self) -> None:
        found = ours("bench.subject", "search", self.place / "screen", self.data.database).json
        self._add("index", found["seconds"])
        self._add("index_rest", found["size"] / self.messages)
        self._add("found_ms", found["ms"])
