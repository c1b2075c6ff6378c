"""What Strongroom does inside one process when it is measured; prints one JSON object.

    python -m bench.subject create|login FOLDER RELAY       a device on a new account, or a fresh one
    python -m bench.subject backup FOLDER DATABASE          everything in an app's database
    python -m bench.subject media FOLDER FILES              every file below FILES, as messages
    python -m bench.subject commits FOLDER DATA COUNT SECS  COUNT times 100 newer messages, or for SECS seconds
    python -m bench.subject tidy FOLDER                     what an idle device does
    python -m bench.subject screen FOLDER RELAY             a fresh device's first screen
    python -m bench.subject chats FOLDER                    the newest 50 messages of 50 chats, and the page before
    python -m bench.subject verify FOLDER quick|full        a verification
    python -m bench.subject search FOLDER DATABASE          a search index, and the first page of a common word

A random secret stands for the passphrase, so nothing is stretched (Argon2 costs what it costs, by choice).
"""

from __future__ import annotations

import asyncio
import json
import sqlite3
import statistics
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Awaitable, Callable
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from bench.app_data import AppData
from strongroom import Row, Vault, account
from strongroom.engine.reading import newest_of, recent_rows
from strongroom.transport import open_transport
from strongroom_protocol.keys.secrets import UnlockSecret
from strongroom_protocol.keys.slots import Unlock
from strongroom_protocol.manifest.slots import Kdf, SlotKind

T = TypeVar("T")

NAME = "bench"
SCREEN_CHATS = 200
SCREEN_OPEN = 20
NEWEST = 50


def opener(name: str, salt: bytes, kdf: Kdf) -> Unlock:
    """A slot that no Argon2 stands before."""
    return Unlock(SlotKind.RECOVERY, UnlockSecret(bytes(32)))


async def create(folder: Path, relay: str) -> dict[str, Any]:
    transport = await open_transport(relay, create=True)
    session = await account.create(
        folder, transport, relay=relay, name=NAME, device_name="", openers=[(opener, "code")]
    )
    await Vault(session, name=NAME, relay=relay).close()
    return {}


async def login(folder: Path, relay: str) -> dict[str, Any]:
    await (await _login(folder, relay)).close()
    return {}


async def _login(folder: Path, relay: str) -> Vault:
    transport = await open_transport(relay)
    session = await account.login(folder, transport, relay=relay, name=NAME, opener=opener)
    return Vault(session, name=NAME, relay=relay)


async def backup(folder: Path, database: Path) -> dict[str, Any]:
    from bench.app_reader import columns_of

    async with await Vault.open(folder) as vault:
        start = time.perf_counter()
        added = await vault.import_(columns_of(database))
        seconds = time.perf_counter() - start
        return {"seconds": seconds, "rows": sum(added.written.values())} | await _at_rest(vault)


async def media(folder: Path, files: Path) -> dict[str, Any]:
    from bench.app_reader import file_rows
    from strongroom.importing import import_rows

    async with await Vault.open(folder) as vault:
        start = time.perf_counter()
        added = await import_rows(vault._session, file_rows(files), files=lambda path: (files / path).open("rb"))
        return {"seconds": time.perf_counter() - start, "rows": sum(added.written.values())}


async def commits(folder: Path, data: Path, count: int, seconds: float) -> dict[str, Any]:
    """Bytes at the transport and time of each commit: append returns when durable here, flush when at the relay."""
    sent: list[int] = []
    heads: list[int] = []
    batches: list[int] = []
    whole: list[float] = []
    durable: list[float] = []
    source = AppData.read(data)
    async with await Vault.open(folder) as vault:
        session = vault._session
        await vault.chats()  # warm: the newest state is here
        until = time.perf_counter() + seconds
        for number in range(count):
            if time.perf_counter() > until:
                break
            lots = _lots(source, number)
            before, start = session.transport.bytes_sent, time.perf_counter()
            await vault.append_many([(chat, row) for chat, rows in lots.items() for row in rows])
            durable.append(time.perf_counter() - start)
            await vault.flush()
            whole.append(time.perf_counter() - start)
            sent.append(session.transport.bytes_sent - before)
            head = session.stored_head()
            heads.append(len(head.message) + head.body_size)
            if session.base is not None and session.base.body.tail:
                batches.append(session.base.body.tail[-1].ref.size)
        return {
            "ms": [1000 * value for value in whole], "append_ms": [1000 * value for value in durable],
            "sent": sent, "heads": heads, "batches": batches,
        } | await _at_rest(vault)  # fmt: skip


def _lots(data: AppData, number: int) -> dict[str, list[Row]]:
    from bench.app_reader import app_rows

    lots: defaultdict[str, list[Row]] = defaultdict(list)
    for chat, row in app_rows(data, number):
        lots[chat].append(row)
    return lots


async def tidy(folder: Path) -> dict[str, Any]:
    from strongroom.importing import tidy as merge

    async with await Vault.open(folder) as vault:
        before, start = vault._session.transport.bytes_sent, time.perf_counter()
        await merge(vault._session)
        found = {"seconds": time.perf_counter() - start, "sent": vault._session.transport.bytes_sent - before}
        return found | await _at_rest(vault)


async def screen(folder: Path, relay: str) -> dict[str, Any]:
    """From the unlocked device to 200 chats with previews and the newest messages of 20."""
    vault = await _login(folder, relay)
    session = vault._session
    transport = session.transport
    asked, got, start = transport.requests, transport.bytes_received, time.perf_counter()
    snapshot = await session.load(await session.sync())
    rows = (await recent_rows(snapshot))[:SCREEN_CHATS]
    found = await newest_of(snapshot, rows[:SCREEN_OPEN], NEWEST)
    seconds = time.perf_counter() - start
    if snapshot.source.damage or not all(found):
        raise SystemExit("the first screen is not complete")
    result = {
        "seconds": seconds, "bytes": transport.bytes_received - got, "requests": transport.requests - asked,
        "chats": len(rows), "messages": sum(sum(map(len, span)) for span in found),
    }  # fmt: skip
    await vault.close()
    return result


async def chats(folder: Path) -> dict[str, Any]:
    """The newest 50 of 50 chats, spread over the list, each read for the first time on this device; then those before.

    A page before is measured for chats whose newest 50 were not all they have; None where none has more.
    """
    newest = _Steps()
    older = _Steps()
    async with await Vault.open(folder) as vault:
        listed = await vault.chats()
        step = max(1, len(listed) // 50)
        for chat in listed[::step][:50]:
            found = await newest.take(vault, vault.newest(chat.conversation, count=NEWEST))
            if len(found) == NEWEST:
                await older.take(vault, vault.older(found[0], count=NEWEST))
        busiest = max(listed, key=lambda chat: chat.rows).conversation
    median = statistics.median
    return {
        "ms": median(newest.ms), "ms_worst": max(newest.ms), "bytes": median(newest.bytes),
        "bytes_worst": max(newest.bytes), "busiest": busiest, "older_ms": median(older.ms) if older.ms else None,
        "older_bytes": median(older.bytes) if older.bytes else None,
    }  # fmt: skip


@dataclass(slots=True)
class _Steps:
    """Milliseconds and received bytes of calls."""

    ms: list[float] = field(default_factory=list)
    bytes: list[int] = field(default_factory=list)

    async def take(self, vault: Vault, call: Awaitable[T]) -> T:
        transport = vault._session.transport
        got, start = transport.bytes_received, time.perf_counter()
        answer = await call
        self.ms.append(1000 * (time.perf_counter() - start))
        self.bytes.append(transport.bytes_received - got)
        return answer


async def verify(folder: Path, depth: str) -> dict[str, Any]:
    """A verification that must find everything well."""
    from strongroom.engine.depth import FULL, Depth

    async with await Vault.open(folder) as vault:
        transport = vault._session.transport
        got, start = transport.bytes_received, time.perf_counter()
        found = await vault.verify(Depth.quick() if depth == "quick" else FULL)
        if found.damaged:
            raise SystemExit("the verification found damage where there is none")
        return {"seconds": time.perf_counter() - start, "bytes": transport.bytes_received - got, "rows": found.rows}


async def search(folder: Path, database: Path) -> dict[str, Any]:
    """The index made from nothing, then the first page of a common word, asked twenty times."""
    milliseconds: list[float] = []
    async with await Vault.open(folder) as vault:
        start = time.perf_counter()
        state = await vault.index()
        seconds = time.perf_counter() - start
        word = _common_word(database)
        for _ in range(20):
            start = time.perf_counter()
            page = await vault.search(word)
            milliseconds.append(1000 * (time.perf_counter() - start))
            if not page.hits:
                raise SystemExit("a word of the messages was not found")
        return {"seconds": seconds, "size": state.size, "ms": statistics.median(milliseconds)}


def _common_word(database: Path) -> str:
    """The most frequent word of a sample of the messages, in Latin letters."""
    with closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True)) as opened:
        rows = opened.execute("SELECT text FROM messages WHERE id % 50 = 0 AND text > ''").fetchall()
    words = Counter(word for (text,) in rows for word in text.split() if word.isascii() and word.isalpha())
    ((word, _),) = words.most_common(1)
    return str(word)


async def _at_rest(vault: Vault) -> dict[str, Any]:
    """Sealed bytes that the newest state consists of; what was dropped stays for the window besides."""
    snapshot = await vault._session.snapshot()
    return {
        "live": sum([ref.size async for ref, _ in snapshot.objects()]),
        "runs": len(snapshot.root.runs),
    }


_VERBS: dict[str, Callable[..., Awaitable[dict[str, Any]]]] = {
    "create": create, "login": login, "backup": backup, "media": media, "commits": commits, "tidy": tidy,
    "screen": screen, "chats": chats, "verify": verify, "search": search,
}  # fmt: skip
_KINDS: dict[str, Callable[[str], Any]] = {
    "folder": Path, "database": Path, "files": Path, "data": Path, "count": int, "seconds": float,
}  # fmt: skip


def main() -> None:
    """The verb's object on stdout."""
    verb = _VERBS[sys.argv[1]]
    names = [name for name in verb.__annotations__ if name != "return"]
    arguments = [_KINDS.get(name, str)(text) for name, text in zip(names, sys.argv[2:], strict=True)]
    print(json.dumps(asyncio.run(verb(*arguments))))  # type: ignore[arg-type] # all are coroutines


if __name__ == "__main__":
    main()
