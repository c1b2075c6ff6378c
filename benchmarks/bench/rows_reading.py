"""Rows about reading a little: a new device's first screen, and the newest messages of one chat."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable
from pathlib import Path

from bench.process import Sample, ours
from bench.results import OURS
from bench.world import World, command_line, query_chat, query_screen, relay_in

CHAT = Path("chat.db")


def first_screen(world: World) -> None:
    """A fresh device each round. Peers have no smaller unit than the file, so they restore it and query it."""
    results = world.results

    def work(subject: str, number: int) -> Sample:
        place = world.kept(subject, "messages")
        if subject == OURS:
            device = _fresh(place / "screen")
            sample = ours("bench.subject", "screen", device, relay_in(place))
            found = sample.json
            results.add("screen_s", subject, found["seconds"])
            results.add("screen_bytes", subject, found["bytes"] / 1024)
            results.add("screen_requests", subject, found["requests"])
            results.notes["screen_s"] = f"{found['chats']} chats, {found['messages']:,} rows"
            return sample
        sample, seconds = _restored(world, subject, place, query_screen)
        results.add("screen_s", subject, seconds)
        return sample

    world.each("first screen", ("screen_s", "screen_bytes", "screen_requests"), work)


def last_messages(world: World) -> None:
    """Inside a running client many chats, each for the first time; as a process the busiest chat of a fresh device."""
    results = world.results

    def work(subject: str, number: int) -> Sample:
        place = world.kept(subject, "messages")
        if subject == OURS:
            device = _fresh(place / "chats")
            ours("bench.subject", "login", device, relay_in(place))
            found = ours("bench.subject", "chats", device)
            results.peak(subject, "last 50", found.peak_mb)
            results.add("last50_warm", subject, found.json["ms"])
            results.add("last50_bytes", subject, found.json["bytes"] / 1024)
            results.notes["last50_warm"] = f"slowest of 50 chats {found.json['ms_worst']:.1f} ms"
            results.notes["last50_bytes"] = f"most {found.json['bytes_worst'] / 1024:.1f} KiB"
            sample = command_line("show", found.json["busiest"], "--last", "50", "--json", "--vault", device)
            seconds = sample.seconds
        else:
            sample, seconds = _restored(world, subject, place, query_chat)
        results.add("last50_cold", subject, seconds)
        return sample

    world.each("last 50", ("last50_warm", "last50_bytes", "last50_cold"), work)


def _restored(world: World, subject: str, place: Path, query: Callable[[Path], int]) -> tuple[Sample, float]:
    """Restore the database and ask it; seconds of both."""
    target = _fresh(place / "out")
    target.mkdir()
    sample = world.peer(subject).restore(place, target, CHAT)
    start = time.perf_counter()
    if not query(next(target.rglob("chat.db"))):
        raise ValueError("the restored database has no messages")
    return sample, sample.seconds + time.perf_counter() - start


def _fresh(folder: Path) -> Path:
    shutil.rmtree(folder, ignore_errors=True)
    return folder
