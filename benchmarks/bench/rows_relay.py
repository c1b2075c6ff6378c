"""Rows about the relay alone: durable writes and reads under signed requests, and its memory."""

from __future__ import annotations

import json
import sys
from typing import Any

from bench.process import ROOT, Sample, timed
from bench.results import OURS
from bench.world import World

BARE = "bare handler"


def puts(world: World) -> None:
    with world.failing(("relay_puts",), OURS):
        for _ in range(world.rounds):
            sample = _script("relay_puts.py", "--seconds", str(world.relay_seconds))
            world.results.add("relay_puts", OURS, _object(sample)["puts_per_second"])
            world.results.peak("relay", "PUTs", sample.part_mb)


def reads(world: World) -> None:
    with world.failing(("relay_reads",), OURS):
        sample = _script("relay_reads.py", "--seconds", str(world.relay_seconds), "--rounds", str(world.rounds),
                         "--objects", str(world.relay_objects))  # fmt: skip
        found = _object(sample)
        world.results.add("relay_reads", OURS, *found["relay"])
        world.results.add("relay_reads", BARE, *found["bare"])
        world.results.peak("relay", "reads", sample.part_mb)


def _script(name: str, *arguments: str) -> Sample:
    return timed([sys.executable, ROOT / "benchmarks" / name, *arguments], part="strongroom_relay")


def _object(sample: Sample) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(sample.output)
    return found
