"""Searching: how fast the index is built, how large it is, how long queries take. Figures are printed, never asserted.

    python benchmarks/search_speed.py [--messages 1000000] [--conversations 200] [--pages 20] [--keep FOLDER]
        [--profile]

The app database of `first_backup.py` is backed up into a folder vault, then the index of that device is made from
the sealed history. Printed are messages a second, the size of `search.db` and what of it are texts and lists; for each
query the median and the slowest of `--pages` first pages of 20 hits, by the index alone (warm: asked before by the same
process) and what a whole `Vault.search` takes, which asks the relay for newer messages first; the time from an appended
message to a page that shows it; and what a page would take if texts were read from the sealed frames.
With `--keep`, the vault stays in that folder and is used again.
"""

from __future__ import annotations

import argparse
import asyncio
import cProfile
import pstats
import secrets
import sqlite3
import statistics
import sys
import tempfile
import time
from collections import Counter
from contextlib import nullcontext
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

from first_backup import chunks, database, session_in
from strongroom import message
from strongroom.importing import import_columns
from strongroom.search import store
from strongroom.search.finding import Finder
from strongroom.search.folding import is_run, terms
from strongroom.search.folding import plain as plain_form
from strongroom.search.query import Query
from strongroom.session import Session
from strongroom.state import State
from strongroom.transport import open_transport
from strongroom.vault import Vault
from strongroom_protocol.errors import NotFound

LIMIT = 20


def queries(path: Path) -> dict[str, str]:
    """Queries of every shape for this corpus, the words taken from a sample of it."""
    source = sqlite3.connect(f"file:{path}?mode=ro", uri=True)
    rows = source.execute("SELECT text, sender, conversation FROM messages WHERE text > '' AND id % 50 = 0").fetchall()
    source.close()
    words: Counter[str] = Counter()
    people: Counter[str] = Counter()
    chats: Counter[str] = Counter()
    for text, sender, chat in rows:
        words.update(terms(plain_form(text)))
        people[sender] += 1
        chats[chat] += 1
    latin = [word for word, _ in words.most_common() if not is_run(word[0]) and len(word) > 2]
    pairs = [word for word, _ in words.most_common() if is_run(word[0]) and len(word) == 2]
    text = next(text for text, _, _ in rows if is_run(text[0]) and len(text) > 12)
    return {
        "common word": latin[0], "rare word": latin[-1], "two common words": f"{latin[0]} {latin[1]}",
        "common and rare": f"{latin[0]} {latin[-1]}", "two rare words": f"{latin[-1]} {latin[-2]}",
        "one latin letter": latin[0][0], "phrase of common words": f'"{latin[0]} {latin[1]}"',
        "one CJK character": pairs[0][0], "rare CJK character": pairs[-1][0], "two CJK characters": pairs[0],
        "rare CJK pair": pairs[-1], "six CJK characters": text[3:9], "no such word": "zzzzqqqq",
        "not a common word": f"-{latin[0]}", "common, not another": f"{pairs[0]} -{pairs[1]}",
        "from: alone": f"from:{people.most_common()[-1][0]}", "in: alone": f"in:{chats.most_common()[-1][0]}",
        "in: and word": f"in:{chats.most_common(1)[0][0]} {latin[0]}", "before: alone": "before:2021-06",
        "a month": "after:2021-06 before:2021-07", "has:photo alone": "has:photo", "has:link alone": "has:link",
    }  # fmt: skip


async def device(path: Path, folder: Path) -> Session:
    """The vault in a folder, made from the database when it is not there."""
    if (folder / "device").exists():
        state = State.open(folder / "device")
        return Session.open(state, await open_transport(f"file://{folder / 'store'}"))
    session = await session_in(folder)
    start = time.perf_counter()
    added = await import_columns(session, chunks(path, "time"))
    print(f"first backup       {time.perf_counter() - start:8.2f} s  {sum(added.written.values()):,} messages")
    return session


async def build(vault: Vault, folder: Path, profile: bool) -> None:
    """Make the index; print rate and size."""
    watch = cProfile.Profile()
    start = time.perf_counter()
    if profile:
        watch.enable()
    state = await vault.index()
    watch.disable()
    seconds = time.perf_counter() - start
    print(f"index made         {seconds:8.2f} s  {state.messages:,} messages, {state.messages / seconds:,.0f} a second")
    if profile:
        pstats.Stats(watch).sort_stats("tottime").print_stats(25)
    with sqlite3.connect(folder / store.NAME) as found:
        print(f"search.db          {state.size / 1e6:8.1f} MB")
        (texts,) = found.execute("SELECT sum(length(CAST(text AS BLOB))) FROM message").fetchone()
        sizes = "SELECT count(*), sum(length(docs)), sum(length(CAST(term AS BLOB))) FROM post"
        lists, listed, named = found.execute(sizes).fetchone()
        print(f"  texts {texts / 1e6:.1f} MB, {lists:,} lists {listed / 1e6:.1f} MB, their terms {named / 1e6:.1f} MB")
        for name, size in found.execute("SELECT name, sum(pgsize) FROM dbstat GROUP BY name ORDER BY 2 DESC LIMIT 4"):
            print(f"  {name:16s} {size / 1e6:8.1f} MB")


async def ask(vault: Vault, folder: Path, asked: dict[str, str], pages: int) -> None:
    """Print what each query takes."""
    print(f"{'':24s} {'hits':>5s} {'index ms':>9s} {'slowest':>8s} {'vault ms':>9s}")
    for name, text in asked.items():
        alone: list[float] = []
        whole: list[float] = []
        hits = 0
        for _ in range(pages + 1):
            start = time.perf_counter()
            opened = store.connect(folder)
            try:
                found, _ = Finder(opened, Query.read(text)).page(LIMIT, None)
                hits = len(found)
            except NotFound:
                hits = -1
            finally:
                opened.close()
            alone.append((time.perf_counter() - start) * 1000)
        for _ in range(3 if hits >= 0 else 0):
            start = time.perf_counter()
            await vault.search(text, limit=LIMIT)
            whole.append((time.perf_counter() - start) * 1000)
        del alone[0]
        last = statistics.median(whole) if whole else 0.0
        print(f"{name:24s} {hits:5d} {statistics.median(alone):9.1f} {max(alone):8.1f} {last:9.1f}")


async def appended(vault: Vault, chat: str) -> None:
    """Print how soon a new message is found."""
    times = []
    for number in range(5):
        word = f"unheardof{number}x{secrets.token_hex(8)}"
        await vault.append(chat, [message(word, sender="bench")])
        start = time.perf_counter()
        page = await vault.search(word, patience=5)
        times.append((time.perf_counter() - start) * 1000)
        if len(page.hits) != 1:
            raise SystemExit("an appended message was not found")
    print(f"appended, found    {statistics.median(times):8.1f} ms after `append` returned")


async def from_frames(vault: Vault, text: str) -> None:
    """Print what reading the texts of a page from the sealed frames takes: what an index without texts would add."""
    page = await vault.search(text, limit=LIMIT)
    start = time.perf_counter()
    for hit in page.hits:
        await vault.message(hit.chat, hit.id, time=hit.time)
    print(f"texts of {len(page.hits)} hits from sealed frames {(time.perf_counter() - start) * 1000:8.1f} ms")


async def run(path: Path, folder: Path, pages: int, profile: bool) -> None:
    session = await device(path, folder)
    vault = Vault(session, name="bench", relay=f"file://{folder / 'store'}")
    await build(vault, folder / "device", profile)
    asked = queries(path)
    await ask(vault, folder / "device", asked, pages)
    await from_frames(vault, asked["common word"])
    await from_frames(vault, asked["rare CJK character"])
    await appended(vault, asked["in: alone"].removeprefix("in:"))
    await vault.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--messages", type=int, default=1_000_000)
    parser.add_argument("--conversations", type=int, default=200)
    parser.add_argument("--pages", type=int, default=20)
    parser.add_argument("--keep", type=Path)
    parser.add_argument("--profile", action="store_true")
    given = parser.parse_args()
    path = database(given.messages, given.conversations)
    with nullcontext(str(given.keep)) if given.keep else tempfile.TemporaryDirectory() as folder:
        Path(folder).mkdir(exist_ok=True)
        asyncio.run(run(path, Path(folder), given.pages, given.profile))


if __name__ == "__main__":
    main()
