"""Rows about messages: the first backup, what it takes at rest, and 100 more."""

from __future__ import annotations

import json
import sqlite3
import statistics
import sys
from contextlib import closing
from pathlib import Path

from bench.app_data import append
from bench.app_reader import app_rows
from bench.peers import stored
from bench.process import Sample, ours, shell, size_of
from bench.results import OURS
from bench.world import World, account, backed_up, command_line, done

CHAT = Path("chat.db")
FLOOR = "two processes, SELECT *"


def first_backup(world: World) -> None:
    """A new repository each round; the last one stays for the rows after this."""
    results = world.results

    def work(subject: str, number: int) -> Sample:
        place = world.place(subject, "messages")
        if subject == OURS:
            account(place)
            sample = backed_up(place)
            results.add("at_rest", subject, size_of(place / "store") / 1e6)
            results.notes["first_backup"] = (
                f"of that {sample.json['seconds']:.2f} s inside the running client; "
                f"{sample.json['live'] / 1e6:.2f} MB of objects in {sample.json['runs']} runs"
            )
        else:
            peer = world.peer(subject)
            peer.create(place)
            sample = peer.backup(place, place / "app", [CHAT])
            for key in ("at_rest", "at_rest_compacted"):
                results.add(key, subject, stored(place) / 1e6)
        results.add("first_backup", subject, sample.seconds)
        done(place)
        return sample

    for _ in range(world.rounds):
        results.add("first_backup", FLOOR, _select_all(world.data.database))
    world.each("first backup", ("first_backup", "at_rest"), work)


def compaction(world: World) -> None:
    """Merge what there is to merge; dropped objects wait out their window and do not count."""
    with world.failing(("at_rest_compacted",), OURS):
        place = world.kept(OURS, "messages")
        sample = ours("bench.subject", "tidy", place / "device", target=place / "store")
        world.results.add("at_rest_compacted", OURS, sample.json["live"] / 1e6)
        world.results.peak(OURS, "compaction", sample.peak_mb)


def more_messages(world: World) -> None:
    """100 newer messages: peers back their database up again, our client commits them, running and from cold."""
    results = world.results

    def work(subject: str, number: int) -> Sample:
        place = world.kept(subject, "messages")
        if subject == OURS:
            lot = place / f"lot{number}.jsonl"
            _write_lot(world, lot, 100_000 + number)
            sample = command_line("import", lot, "--vault", place / "device", "--json", target=place / "store")
        else:
            peer, had = world.peer(subject), stored(place)
            append(place / "app" / CHAT, world.data.newer(number))
            sample = peer.backup(place, place / "app", [CHAT])
            written = stored(place) - had if peer.deduplicates else stored(place)
            results.add("commit_bytes", subject, written / 1e3)
        results.add("commit_cold", subject, sample.seconds)
        return sample

    world.each("+100 messages", ("commit_bytes", "commit_cold"), work)


def commits(world: World) -> None:
    """Many commits in one running client, after the rows that want the repository as it was."""
    keys = ("commit_batch", "commit_head", "commit_p99", "commit_upkeep", "commit_warm", "commit_bytes")
    with world.failing(keys, OURS):
        place = world.kept(OURS, "messages")
        sample = ours("bench.subject", "commits", place / "device", world.data.folder, str(world.commits),
                      str(world.commit_seconds))  # fmt: skip
        found, results = sample.json, world.results
        sent = sorted(found["sent"])
        results.peak(OURS, "commits", sample.peak_mb)
        results.add("commit_bytes", OURS, *(value / 1e3 for value in found["sent"]))
        results.add("commit_batch", OURS, *found["batches"])
        results.add("commit_head", OURS, *found["heads"])
        results.add("commit_p99", OURS, sent[max(0, int(len(sent) * 0.99) - 1)])
        results.add("commit_upkeep", OURS, max(0.0, statistics.fmean(sent) - statistics.median(sent)))
        results.add("commit_warm", OURS, *found["ms"])
        results.notes["commit_warm"] = (
            f"{len(sent):,} commits; of that {statistics.median(found['append_ms']):.1f} ms until durable on the device"
        )


def _write_lot(world: World, path: Path, number: int) -> None:
    from strongroom.formats.native_rows import to_json

    lines = (json.dumps(to_json(chat, row), ensure_ascii=False) for chat, row in app_rows(world.data, number))
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def _select_all(database: Path) -> float:
    """Seconds in which two processes read every row, half each, and do nothing with it."""
    with closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True)) as opened:
        ((last,),) = opened.execute("SELECT max(id) FROM messages")
    halves = [(0, last // 2), (last // 2, last)]
    script = (
        "import sqlite3, sys\n"
        "for row in sqlite3.connect(sys.argv[1]).execute("
        "'SELECT * FROM messages WHERE id > ? AND id <= ?', sys.argv[2:]): pass"
    )
    pipeline = '"$1" -c "$2" "$3" $4 $5 & "$1" -c "$2" "$3" $6 $7; wait $!'
    bounds = [str(bound) for half in halves for bound in half]
    return shell(pipeline, sys.executable, script, database, *bounds).seconds
