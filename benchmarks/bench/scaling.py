"""How ours scales: the same small steps on 100 thousand, 1 million and 10 million messages in 5,000 conversations.

What must not grow with the history: what a commit of 100 messages sends, what a first screen fetches, what the newest
50 of a chat cost. The history of each size is imported as an app's whole database.
"""

from __future__ import annotations

import statistics

from bench.app_data import SIZES, AppData
from bench.process import ours
from bench.results import OURS, Measure
from bench.world import World, account, backed_up, relay_in

CONVERSATIONS = 5_000
COMMITS = 200
COUNTS = {"100k": 100_000, "1M": 1_000_000, "10M": 10_000_000}
GROWTH = 1.2


def _measures() -> tuple[Measure, ...]:
    found = [
        Measure(f"{key}_{size}", f"{what}, {size}", unit, most=most)
        for key, what, unit, most in (
            ("scale_backup", "first backup", "s", None),
            ("scale_rest", "at rest", "bytes a message", None),
            ("scale_commit", "+100: batch and head", "bytes", 8 * 1024),
            ("scale_screen", "first screen: bytes", "KiB", 1024),
            ("scale_requests", "first screen: requests", "requests", 12),
            ("scale_screen_s", "first screen", "s", 0.3),
            ("scale_chat", "last 50 of a chat: bytes", "KiB", 32),
            ("scale_memory", "memory of the client", "MB", 150),
        )
        for size in COUNTS
    ]
    growth = Measure(
        "scale_growth", "+100: 10M over 100k messages", "times", most=GROWTH
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
            _one(world, name, messages)
    first, last = (results.median(f"scale_commit_{name}", OURS) for name in ("100k", "10M"))
    if first and last:
        results.add("scale_growth", OURS, last / first)


def _one(world: World, name: str, messages: int) -> None:
    results = world.results
    chats = min(CONVERSATIONS, world.data.size.conversations)
    data = world.data
    if data.size.messages != messages:
        size = SIZES["L"]._replace(messages=messages)
        data = AppData(world.data.folder.parent / f"data-{messages}-{chats}-{data.seed}", size, data.seed)
        data.make()
    there = World(data, world.work, (), results)
    place = there.place(OURS, f"scale-{name}")
    account(place)
    backup = backed_up(place)
    results.add(f"scale_backup_{name}", OURS, backup.seconds)
    results.add(f"scale_rest_{name}", OURS, backup.json["live"] / messages)
    screen = ours("bench.subject", "screen", place / "screen", relay_in(place))
    results.add(f"scale_screen_{name}", OURS, screen.json["bytes"] / 1024)
    results.add(f"scale_requests_{name}", OURS, screen.json["requests"])
    results.add(f"scale_screen_s_{name}", OURS, screen.json["seconds"])
    chat = ours("bench.subject", "chats", place / "screen")
    results.add(f"scale_chat_{name}", OURS, chat.json["bytes"] / 1024)
    often = str(min(COMMITS, world.commits)), str(world.commit_seconds)
    commits = ours("bench.subject", "commits", place / "device", data.folder, *often)
    pairs = zip(commits.json["batches"], commits.json["heads"], strict=True)
    results.add(f"scale_commit_{name}", OURS, statistics.median(batch + head for batch, head in pairs))
    peak = max(sample.peak_mb for sample in (backup, screen, chat, commits))
    results.add(f"scale_memory_{name}", OURS, peak)
