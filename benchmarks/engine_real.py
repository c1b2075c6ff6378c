"""Measure the real engine: bytes and requests counted at the transport, on a folder vault, no network.

    python benchmarks/engine_real.py [--messages 100000] [--conversations 200] [--commits 1000] [--json]

First backup by bulk ingest, then commits of 100 messages, then what a new device reads. Times are wall clock of this
one process and drift with the machine; bytes do not.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import secrets
import statistics
import tempfile
import time
from collections import defaultdict
from pathlib import Path
from typing import Any

from corpus import Corpus
from strongroom import account
from strongroom.commit import commit
from strongroom.engine import compaction
from strongroom.engine.change import Change
from strongroom.engine.reading import newest, newest_of, recent_rows
from strongroom.importing import import_rows, tidy, write_rows
from strongroom.session import Session
from strongroom.transport import open_transport
from strongroom_protocol.keys.secrets import UnlockSecret
from strongroom_protocol.keys.slots import Unlock
from strongroom_protocol.manifest.slots import Kdf, SlotKind
from strongroom_protocol.rows.ids import conversation_key
from strongroom_protocol.rows.model import Row
from strongroom_protocol.rows.table import Frame, unstamped

SECRET = UnlockSecret(bytes(32))


def opener(name: str, salt: bytes, kdf: Kdf) -> Unlock:
    """A slot without Argon2: what is measured is the engine."""
    return Unlock(SlotKind.RECOVERY, SECRET)


async def measure(messages: int, conversations: int, commits: int, folder: Path) -> dict[str, Any]:
    """All figures of one run; bytes unless the name says otherwise."""
    found: dict[str, Any] = {"messages": messages, "conversations": conversations, "commits": commits}
    relay = f"file://{folder}/vault"
    corpus = Corpus(conversations=conversations)
    rows = list(corpus.messages(messages))
    transport = await open_transport(relay, create=True)
    session = await account.create(
        folder / "device", transport, relay=relay, name="bench", device_name="", openers=[(opener, "")]
    )
    start = time.perf_counter()
    await import_rows(session, rows)
    found["first_backup_s"] = round(time.perf_counter() - start, 2)
    usage = await transport.usage(session.account)
    live = await _live(session)
    found["at_rest"] = live
    found["at_rest_per_message"] = round(live / messages, 2)
    found["kept_with_window"] = usage.stored
    found |= await _commits(session, corpus, commits)
    found["at_rest_after_per_message"] = round(await _live(session) / (messages + 100 * commits), 2)
    found |= await _reading(session)
    found |= await _compacted(session, messages + 100 * commits)
    await transport.close()
    session.state.close()
    return found


async def _live(session: Session) -> int:
    snapshot = await session.snapshot()
    return sum([ref.size async for ref, _ in snapshot.objects()])


async def _commits(session: Session, corpus: Corpus, commits: int) -> dict[str, Any]:
    sent: list[int] = []
    batches: list[int] = []
    heads: list[int] = []
    seconds: list[float] = []
    for _ in range(commits):
        piece: defaultdict[str, list[Row]] = defaultdict(list)
        for conversation, row in corpus.messages(100):
            piece[conversation].append(row)
        before = session.transport.bytes_sent
        start = time.perf_counter()
        head = await commit(session, _append(session, piece))
        seconds.append(time.perf_counter() - start)
        sent.append(session.transport.bytes_sent - before)
        if head is not None:
            snapshot = await session.snapshot()
            heads.append(len(head.message) + head.body_size)
            batches.append(snapshot.body.tail[-1].ref.size)
    start_tidy = session.transport.bytes_sent
    await tidy(session)
    return {
        "batch_median": statistics.median(batches),
        "head_median": statistics.median(heads),
        "commit_sent_median": statistics.median(sent),
        "commit_sent_p99": sorted(sent)[int(len(sent) * 0.99) - 1],
        "folded_per_message": round(sum(sent) / (100 * commits) - statistics.median(sent) / 100, 2),
        "compaction_sent": session.transport.bytes_sent - start_tidy,
        "commit_ms_median": round(1000 * statistics.median(seconds), 2),
    }


def _append(session: Session, piece: dict[str, list[Row]]) -> Any:
    async def build(change: Change) -> bool:
        frames: dict[bytes, Frame] = {conversation_key(name): unstamped(name, rows) for name, rows in piece.items()}
        await write_rows(session, change, frames)
        return True

    return build


async def _reading(session: Session) -> dict[str, Any]:
    transport = session.transport
    before = (transport.requests, transport.bytes_received)
    start = time.perf_counter()
    snapshot = await session.load(await session.sync())
    rows = await recent_rows(snapshot)
    await newest_of(snapshot, rows[:20], 50)
    screen = time.perf_counter() - start
    rounds, received = transport.requests - before[0], transport.bytes_received - before[1]
    one = []
    for row in rows[:50]:
        had = transport.bytes_received
        await newest(snapshot, row, 50)
        one.append(transport.bytes_received - had)
    return {
        "first_screen_bytes": received,
        "first_screen_requests": rounds,
        "first_screen_s": round(screen, 3),
        "last_50_bytes_median": statistics.median(one),
        "last_50_bytes_worst": max(one),
        "runs": len(snapshot.root.runs),
    }


async def _compacted(session: Session, messages: int) -> dict[str, Any]:
    before, start = session.transport.bytes_sent, time.perf_counter()
    await commit(session, compaction.fold_tail)
    await commit(session, compaction.compact)
    return {
        "compacted_per_message": round(await _live(session) / messages, 2),
        "compacted_sent": session.transport.bytes_sent - before,
        "compacted_s": round(time.perf_counter() - start, 2),
    }


def main() -> None:
    """Print the figures as a table or JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--messages", type=int, default=100_000)
    parser.add_argument("--conversations", type=int, default=200)
    parser.add_argument("--commits", type=int, default=1000)
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix=f"strongroom-{secrets.token_hex(4)}-") as folder:
        found = asyncio.run(measure(given.messages, given.conversations, given.commits, Path(folder)))
    if given.json:
        print(json.dumps(found))
    else:
        for name, value in found.items():
            print(f"{name:<28}{value:>14,}")


if __name__ == "__main__":
    main()
