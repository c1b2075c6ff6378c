"""The budgets: every figure that is measured, and what it must be."""

from __future__ import annotations

from bench.results import Among, Measure

_DEDUP = Among.DEDUPLICATING

_QUERY = "peers restore chat.db and query it"

BUDGETS: tuple[Measure, ...] = (
    Measure("first_backup", "first backup of the messages", "s", times=1.5, among=_DEDUP, versus=True),
    Measure("at_rest", "size at rest after it", "MB", times=0.60, versus=True),
    Measure("at_rest_compacted", "size at rest after compaction", "MB", times=0.55, versus=True,
            about="without what waits out its window; peers as above"),
    Measure("commit_bytes", "+100 messages: bytes sent", "KB", times=1.0, versus=True,
            about="batch, head and framing, median; peers: growth of the repository"),
    Measure("commit_batch", "+100 messages: the batch", "bytes", most=6 * 1024),
    Measure("commit_head", "+100 messages: the head", "bytes", most=2 * 1024),
    Measure("commit_p99", "+100 messages: 99th percentile sent", "bytes", about="a commit that folds"),
    Measure("commit_upkeep", "+100 messages: upkeep", "bytes", about="folds and merges, mean for a commit"),
    Measure("commit_warm", "+100 messages, warm", "ms", most=15,
            about="append_many, then flush: durable here and acknowledged by the relay"),
    Measure("commit_cold", "+100 messages, cold process", "s", most=0.35, versus=True),
    Measure("screen_s", "new device: first screen", "s", most=0.3, versus=True, about=f"after the unlock; {_QUERY}"),
    Measure("screen_bytes", "first screen: bytes", "KiB", most=1024),
    Measure("screen_requests", "first screen: requests", "requests", most=12),
    Measure("screen_http", "first screen over HTTP", "s", most=0.3, about="loopback"),
    Measure("last50_warm", "last 50 of a chat, warm", "ms", most=10),
    Measure("last50_bytes", "last 50 of a chat: bytes", "KiB", most=32),
    Measure("last50_cold", "last 50 of a chat, cold process", "s", most=0.4, versus=True, about=_QUERY),
    Measure("media_file", "all media up, to a folder", "s", most=1.5, per_gb=True, versus=True),
    Measure("media_http", "all media up, over HTTP", "s", most=2.5, per_gb=True),
    Measure("restore", "full restore with media", "s", times=1.5, versus=True),
    Measure("verify", "verify every byte", "s", times=1.0, versus=True),
    Measure("flip", "one flipped byte", "lost", most=1, versus=True, worst=True,
            about="frames or media chunks, peers: files; worst of all trials"),
    Measure("relay_puts", "relay: durable PUTs", "/s", least=2000, about="4 KiB, signed, 16 connections"),
    Measure("relay_reads", "relay: reads", "/s", share=0.8,
            about="4 KiB, signed, beside a bare handler that does the same I/O"),
    Measure("memory_client", "memory of the client", "MB", most=150, about="highest of all rows, all processes"),
    Measure("memory_relay", "memory of the relay", "MB", most=120, about="highest of all rows"),
)  # fmt: skip
