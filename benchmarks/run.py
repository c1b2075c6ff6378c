"""Every row of the budgets, ours beside the peers, on the same data in the same run.

    python benchmarks/run.py --size S|M|L|tiny --out docs/benchmarks/S.json [--rows PART,PART] [--rounds 3] [--alone]

A peer that is not installed makes every row that needs it a failed row; how to install it is said before anything is
measured. L measures how ours scales. `--alone` leaves the peers out, for a quick look. Data is cached in
~/.cache/strongroom-bench (or --cache); what is made besides lies beside it and is removed. Needs no root.
"""

from __future__ import annotations

import argparse
import compileall
import json
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT / "benchmarks"), str(ROOT / "tests")]

from bench import rows_media, rows_messages, rows_reading, rows_relay, rows_whole, scaling  # noqa: E402
from bench.app_data import SIZES, AppData  # noqa: E402
from bench.budgets import BUDGETS  # noqa: E402
from bench.machine import machine  # noqa: E402
from bench.peers import CACHE, PEERS  # noqa: E402
from bench.results import OURS, Results  # noqa: E402
from bench.world import World  # noqa: E402

ROWS: dict[str, Callable[[World], None]] = {
    "first-backup": rows_messages.first_backup,
    "compaction": rows_messages.compaction,
    "first-screen": rows_reading.first_screen,
    "last-50": rows_reading.last_messages,
    "more-messages": rows_messages.more_messages,
    "commits": rows_messages.commits,
    "media": rows_media.media_to_folder,
    "http": rows_media.over_http,
    "whole": rows_media.whole,
    "restore": rows_whole.restore,
    "verify": rows_whole.verify,
    "flip": rows_whole.flip,
    "relay-puts": rows_relay.puts,
    "relay-reads": rows_relay.reads,
}
"""In this order: a later row may work on what an earlier one left."""

SCALING: dict[str, Callable[[World], None]] = {"scaling": scaling.measure}


def run(
    data: AppData, work: Path, *, rows: list[str], rounds: int, commits: int, alone: bool, quick: bool = False
) -> Results:
    """All rows; says on stderr what it is at."""
    wanted = () if alone else PEERS
    results = Results(
        {measure.key: measure for measure in (*BUDGETS, *scaling.BUDGETS)},
        tuple(peer.name for peer in wanted),
        tuple(peer.name for peer in wanted if peer.deduplicates),
        data.media_bytes() / 1e9,
    )
    for peer in wanted:
        if hint := peer.missing():
            say(f"{peer.name} is missing, its rows fail. To install it: {hint}")
            keys = tuple(measure.key for measure in BUDGETS if measure.versus)
            results.fail(keys, peer.name, f"not installed: {hint}")
    here = tuple(peer for peer in wanted if not peer.missing())
    world = World(data, work, here, results, rounds, commits)
    if quick:
        world.relay_seconds, world.relay_objects = 0.2, 20
    start = time.perf_counter()
    for name in rows:
        say(f"{time.perf_counter() - start:6.0f} s  {name}")
        {**ROWS, **SCALING}[name](world)
    for key, subject in (("memory_client", OURS), ("memory_relay", "relay")):
        if results.peaks[subject]:
            row, peak = max(results.peaks[subject].items(), key=lambda item: item[1])
            results.add(key, OURS, peak)
            results.notes[key] = f"highest in: {row}"
    for peer in here:
        if results.peaks[peer.name]:
            results.add("memory_client", peer.name, max(results.peaks[peer.name].values()))
    say(f"{time.perf_counter() - start:6.0f} s  done")
    return results


def document(size: str, data: AppData, work: Path, results: Results, seconds: float, rounds: int) -> dict[str, Any]:
    """What is kept of a run."""
    found = data.size
    return {
        "size": size, "messages": found.messages, "conversations": found.conversations, "seed": data.seed,
        "rounds": rounds, "database_bytes": data.database.stat().st_size, "media_files": len(data.files()),
        "media_bytes": data.media_bytes(), "seconds": round(seconds), "when": time.strftime("%Y-%m-%d"),
        "machine": machine(work), "measures": results.to_dict(),
        "memory_mb": {name: {row: round(mb, 1) for row, mb in rows.items()} for name, rows in results.peaks.items()},
    }  # fmt: skip


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", choices=list(SIZES), default="S")
    parser.add_argument("--out", type=Path, required=True, help="the JSON file to write")
    parser.add_argument("--rows", default="", help=f"some of {','.join(ROWS)}; default: all")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--commits", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--alone", action="store_true", help="without the peers")
    parser.add_argument("--quick", action="store_true", help="hardly measure the relay: only to see that all works")
    parser.add_argument("--cache", type=Path, default=CACHE, help="keeps data between runs; on the disk to measure")
    given = parser.parse_args()
    default = {"L": [*SCALING], "tiny": [*ROWS, *SCALING]}.get(given.size, [*ROWS])
    rows = given.rows.split(",") if given.rows else default
    if unknown := set(rows) - {*ROWS, *SCALING}:
        parser.error(f"no such rows: {', '.join(sorted(unknown))}")
    rounds = 1 if rows == list(SCALING) else given.rounds
    for package in ("client", "protocol", "server", "benchmarks/bench"):  # as an installer does, whatever is set here
        compileall.compile_dir(ROOT / package, quiet=1)
    start = time.perf_counter()
    size = SIZES[given.size]
    data = AppData(given.cache / f"data-{given.size}-{size.conversations}-{given.seed}", size, given.seed)
    say("making the data (cached for later runs)")
    data.make()
    with tempfile.TemporaryDirectory(dir=given.cache, prefix="run-") as work:
        results = run(
            data, Path(work), rows=rows, rounds=given.rounds, commits=given.commits, alone=given.alone,
            quick=given.quick,
        )  # fmt: skip
        kept = document(given.size, data, Path(work), results, time.perf_counter() - start, rounds)
    given.out.parent.mkdir(parents=True, exist_ok=True)
    given.out.write_text(json.dumps(kept, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    for measure in kept["measures"]:
        say(f"{measure['verdict']:9}{measure['key']:28}{measure['medians'].get(OURS, '-')} {measure['unit']}")
    for measure in kept["measures"]:
        for subject, reason in measure["failures"].items():
            say(f"failed: {measure['key']}, {subject}: {reason}")


if __name__ == "__main__":
    main()
