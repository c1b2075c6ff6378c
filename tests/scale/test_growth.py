"""What everyday steps cost does not grow with the history: bytes and requests at the transport, never a time.

The same newest messages with 10,000, 40,000 and 200,000 messages in all, in 200 chats; the same 96 commits of 100
messages after each. At 10,000 many chats hold fewer messages than the newest frame of a longer one (128 rows), so less
is there to be fetched: what is fetched of single chats is compared for those that fill a frame, and for all of them
from 40,000 on.
"""

from __future__ import annotations

import asyncio

import pytest

from corpus import Corpus
from scale.measure import Growth, Spent, figures, growth, histories, mean, median, worst
from strongroom_protocol.limits import LIMITS

SHORT, MIDDLE, LONG = 10_000, 40_000, 200_000
CONVERSATIONS = 200
MOST = 1.2
KIB = 1024

Histories = dict[int, Growth]


@pytest.fixture(scope="session")
def found(tmp_path_factory: pytest.TempPathFactory) -> Histories:
    """One measurement of each length for all tests here: the vaults are imported once."""
    corpus = Corpus(conversations=CONVERSATIONS)
    return {
        len(history): asyncio.run(growth(tmp_path_factory.mktemp(f"growth-{len(history)}"), history, corpus))
        for history in histories(corpus, SHORT, MIDDLE, LONG)
    }


def same(short: Spent, long: Spent) -> bool:
    """As many requests, and no more than 1.2 times the bytes."""
    return long.requests <= short.requests and long.size <= MOST * short.size


def test_a_commit_of_100_messages(found: Histories) -> None:
    for length in (MIDDLE, LONG):
        for pick in (median, mean, worst):
            assert same(pick(found[SHORT].commits), pick(found[length].commits))
    assert len(found[LONG].commits) >= 64
    assert median(found[LONG].commits).sent <= 8 * KIB
    assert median(found[LONG].commits).requests == 1


def test_what_folding_adds_to_commits(found: Histories) -> None:
    for length in (MIDDLE, LONG):
        assert len(found[length].folds) == len(found[SHORT].folds) >= 2
        assert same(mean(found[SHORT].folds), mean(found[length].folds))
        assert same(worst(found[SHORT].folds), worst(found[length].folds))
        assert same(every(found[SHORT]), every(found[length]))


def test_the_first_screen_of_a_fresh_device(found: Histories) -> None:
    assert same(found[SHORT].lived_in.screen, found[LONG].lived_in.screen)
    assert same(found[MIDDLE].imported.screen, found[LONG].imported.screen)
    assert same(found[MIDDLE].lived_in.screen, found[LONG].lived_in.screen)
    for screen in (found[LONG].imported.screen, found[LONG].lived_in.screen):
        assert screen.size <= 1024 * KIB
        assert screen.requests <= 12


def test_the_first_screen_grows_by_the_messages_that_are_on_it_alone(found: Histories) -> None:
    """Right after the import of 10,000, the 20 chats do not have 50 messages each; the rest must not grow."""
    short, long = found[SHORT], found[LONG]
    assert short.imported.screen.requests == long.imported.screen.requests
    assert rest(long.imported.screen) <= MOST * rest(short.imported.screen)
    assert long.imported.screen.size / long.shown <= MOST * short.imported.screen.size / short.shown


@pytest.mark.parametrize("when", ["imported", "lived_in"])
def test_the_last_50_of_chats_that_fill_a_frame(found: Histories, when: str) -> None:
    filled = [chat for chat in found[SHORT].imported.cold if found[SHORT].rows[chat] >= LIMITS.head_frame_rows]
    assert len(filled) >= 10
    short, long = (getattr(found[length], when) for length in (SHORT, LONG))
    for chat in filled:
        assert same(short.cold[chat], long.cold[chat])
        assert same(short.known[chat], long.known[chat])


@pytest.mark.parametrize("when", ["imported", "lived_in"])
def test_the_last_50_of_any_chat(found: Histories, when: str) -> None:
    middle, long = (getattr(found[length], when) for length in (MIDDLE, LONG))
    assert len(long.cold) == 30
    for pick in (median, worst):
        assert same(pick(middle.cold.values()), pick(long.cold.values()))
        assert same(pick(middle.known.values()), pick(long.known.values()))
    assert worst(long.known.values()).size <= 32 * KIB


def test_every_byte_is_of_a_known_kind(found: Histories) -> None:
    """Else what grows could not be named."""
    for measured in found.values():
        for name, spent in figures(measured).items():
            assert "unknown" not in spent.kinds, name


def every(growth: Growth) -> Spent:
    """A commit of 100 messages in the long run."""
    return mean(growth.commits + growth.folds)


def rest(spent: Spent) -> float:
    """All but the messages' own frames."""
    return spent.size - spent.kinds["segment"]
