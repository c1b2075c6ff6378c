"""What the everyday steps cost on a history of a given length: bytes and requests, no time.

    PYTHONPATH=benchmarks:tests python -m scale.measure [--messages 10000 200000] [--conversations 200]

prints them side by side. A history of n messages is the last n of one corpus, so two lengths differ by what is old
and by nothing else: the same newest messages, and the same commits after them.
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import tempfile
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from corpus import Corpus
from scale.tap import Cost, Tap, kinds
from strongroom.columns import Columns
from strongroom.importing import Imported, import_columns
from strongroom.transport.base import Transport
from vaults import Bench, Device, Wrap, titled

SCREEN_CHATS, SCREEN_OPENED, NEWEST = 200, 20, 50
"""A first screen: chats, those of which messages are shown, and how many."""

COMMITS = 96
"""Enough for two folds."""

COMMIT_ROWS = 100
READ_CHATS = 30
LOT_ROWS = 8_192


@dataclass(frozen=True, slots=True)
class Spent:
    """One step: requests, bytes in both directions, of those the bytes sent, and the bytes by kind of object."""

    requests: float
    size: float
    sent: float
    kinds: dict[str, float]

    @classmethod
    def of(cls, cost: Cost, known: Mapping[bytes, str]) -> Spent:
        return cls(cost.requests, cost.size, cost.sent, dict(cost.by(known)))


@dataclass(frozen=True, slots=True)
class Reading:
    """What a fresh device fetches after the unlock.

    `cold` and `known` are of the same chats: the first thing a device does, and on one that has the list of chats.
    """

    screen: Spent
    cold: dict[str, Spent]
    known: dict[str, Spent]


@dataclass(frozen=True, slots=True)
class Growth:
    """All that is compared between two lengths of a history."""

    rows: Counter[str]
    """Messages of the imported history, by chat."""
    imported: Reading
    """After the import."""
    commits: list[Spent]
    """Of 100 messages, those that fold excepted."""
    folds: list[Spent]
    """Of 100 messages, where the tail was full before."""
    lived_in: Reading
    """After the commits, when messages lie in runs of several folds and in the tail."""
    shown: int
    """Messages on the first screen after the import."""


async def growth(folder: Path, history: Sequence[Imported], chats: Corpus, commits: int = COMMITS) -> Growth:
    """Import a history, read it, add to it, read it again. `chats` is where the history came from."""
    bench = Bench(folder)
    taps: list[Tap] = []
    steady: list[Spent] = []
    folds: list[Spent] = []
    try:
        with kinds() as known:
            writer = await bench.create(folder="writer", wrap=_tapped(taps))
            await import_columns(writer.session, columns(history, chats))
            wanted = [chat for chat, _, _ in chats.chats[:READ_CHATS]]
            imported, shown = await _read(bench, "imported", wanted, known)
            newer = Corpus(conversations=len(chats.chats), block=1, first_id=10**9, start_ms=history[-1][1].time + 1)
            for _ in range(commits):
                before = _tail(writer)
                taps[0].taken()
                await writer.vault.append_many(newer.messages(COMMIT_ROWS))
                await writer.vault.flush()
                spent = Spent.of(taps[0].taken(), known)
                (steady if _tail(writer) > before else folds).append(spent)
            lived_in, _ = await _read(bench, "lived-in", wanted, known)
            rows = Counter(chat for chat, _ in history)
            return Growth(rows, imported, steady, folds, lived_in, shown)
    finally:
        bench.close()


def histories(corpus: Corpus, *lengths: int) -> list[list[Imported]]:
    """The last messages of a corpus, as many as each of the lengths says."""
    whole = list(corpus.messages(max(lengths)))
    return [whole[-length:] for length in lengths]


def columns(history: Sequence[Imported], corpus: Corpus) -> Iterator[Columns]:
    """A history as an app hands it over: the titles of all chats, then a few thousand messages at a time."""
    yield Columns.from_rows([titled(chat, f"The chat {chat}", time=0) for chat, _, _ in corpus.chats])
    for start in range(0, len(history), LOT_ROWS):
        yield Columns.from_rows(history[start : start + LOT_ROWS])


def _tapped(taps: list[Tap]) -> Wrap:
    def wrap(transport: Transport) -> Transport:
        taps.append(Tap(transport))
        return taps[-1]

    return wrap


def _tail(device: Device) -> int:
    base = device.session.base
    return 0 if base is None else len(base.body.tail)


async def _read(bench: Bench, prefix: str, chats: Sequence[str], known: Mapping[bytes, str]) -> tuple[Reading, int]:
    """What each thing costs, and the messages on the first screen. Whatever is incomplete is an AssertionError."""
    taps: list[Tap] = []

    async def fresh(name: str) -> Device:
        device = await bench.login(f"{prefix}-{name}", wrap=_tapped(taps))
        taps[-1].taken()
        return device

    def spent(device: Device) -> Spent:
        assert not device.vault.damage(), "what cannot be read costs nothing"
        return Spent.of(taps[-1].taken(), known)

    device = await fresh("screen")
    shown = await device.vault.screen(chats=SCREEN_CHATS, opened=SCREEN_OPENED, messages=NEWEST)
    screen = spent(device)
    bench.drop(device)
    assert len(shown) == SCREEN_CHATS
    assert all(messages for _, messages in shown[:SCREEN_OPENED])
    cold = {}
    for number, chat in enumerate(chats):
        device = await fresh(f"cold-{number}")
        assert await device.vault.newest(chat, count=NEWEST)
        cold[chat] = spent(device)
        bench.drop(device)
    device = await fresh("known")
    await device.vault.chats()
    spent(device)
    warm = {}
    for chat in chats:
        assert await device.vault.newest(chat, count=NEWEST)
        warm[chat] = spent(device)
    bench.drop(device)
    return Reading(screen, cold, warm), sum(len(messages) for _, messages in shown)


def figures(found: Growth) -> dict[str, Spent]:
    """The steps by name; median, mean and worst are of requests and of bytes by themselves."""
    table = {
        "100 messages, median": median(found.commits),
        "100 messages, mean": mean(found.commits),
        "100 messages, folds included, mean": mean(found.commits + found.folds),
        "100 messages and a fold, mean": mean(found.folds),
    }
    for when, reading in (("import", found.imported), ("commits", found.lived_in)):
        table[f"first screen after {when}"] = reading.screen
        for name, several in (("cold", reading.cold), ("directory known", reading.known)):
            table[f"last 50 after {when}, {name}, median"] = median(several.values())
            table[f"last 50 after {when}, {name}, worst"] = worst(several.values())
    return table


def median(several: Collection[Spent]) -> Spent:
    """Of each figure by itself."""
    return _each(statistics.median, several)


def mean(several: Collection[Spent]) -> Spent:
    """Of each figure by itself."""
    return _each(statistics.fmean, several)


def worst(several: Collection[Spent]) -> Spent:
    """Of each figure by itself."""
    return _each(max, several)


def _each(pick: Callable[[list[float]], float], several: Collection[Spent]) -> Spent:
    names = sorted({name for spent in several for name in spent.kinds})
    return Spent(
        pick([spent.requests for spent in several]), pick([spent.size for spent in several]),
        pick([spent.sent for spent in several]),
        {name: pick([spent.kinds.get(name, 0) for spent in several]) for name in names},
    )  # fmt: skip


def main() -> None:
    """Measure, and print a table; the last column is the last length over the first."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--messages", type=int, nargs="+", default=[10_000, 200_000])
    parser.add_argument("--conversations", type=int, default=200)
    parser.add_argument("--commits", type=int, default=COMMITS)
    parser.add_argument("--kinds", action="store_true", help="the kinds of objects that the bytes are")
    given = parser.parse_args()
    corpus = Corpus(conversations=given.conversations)
    tables = []
    for history in histories(corpus, *given.messages):
        with tempfile.TemporaryDirectory(prefix="strongroom-") as folder:
            tables.append(figures(asyncio.run(growth(Path(folder), history, corpus, given.commits))))
    print(f"{'bytes (sent) in requests':<44}" + "".join(f"{count:>26,}" for count in given.messages) + "   growth")
    for name in tables[0]:
        row = [table[name] for table in tables]
        cells = "".join(f"{spent.size:>11,.0f} ({spent.sent:>7,.0f}) {spent.requests:>4.1f}" for spent in row)
        print(f"{name:<44}{cells}{row[-1].size / row[0].size:>9.3f}")
        for kind in sorted({kind for spent in row for kind in spent.kinds}) if given.kinds else ():
            print(f"    {kind:<40}" + "".join(f"{spent.kinds.get(kind, 0):>11,.0f}{'':>15}" for spent in row))


if __name__ == "__main__":
    main()
