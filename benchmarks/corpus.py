"""A seeded synthetic corpus of app-like messages: no numbers of a real person, the statistics of real chats.

    python benchmarks/corpus.py --size S|M|L [--conversations 200] [--seed 1] --out DIR

writes an app's `chat.db` and its media folder (`bench/app_data.py`). Conversations by Zipf (s = 1.05), bursts (a
message stays in the conversation of the one before with p = 0.85), text lengths lognormal (median 20 characters, sigma
0.9), words by Zipf from a made-up vocabulary; 60 % of the conversations in hanzi, the rest in latin letters; ids grow
by one; 7 % of the messages are a picture's caption of no text, 6 % answer one of the last thirty, 5 % have reactions.
"""

from __future__ import annotations

import argparse
import random
from bisect import bisect
from collections import deque
from collections.abc import Iterator
from itertools import accumulate
from pathlib import Path
from typing import NamedTuple

from strongroom_protocol.rows.model import Kind, Op, Row

SPAN_MS = 115_000_000_000
START_MS = 1_600_000_000_000
WORDS = 12_000
FACES = ("👍", "❤", "😂", "😮", "😢", "🙏")


class Extras(NamedTuple):
    """What some messages have besides a row: the message they answer, and (person, emoji) reactions."""

    reply_to: int | None
    reactions: list[tuple[str, str]]


class Corpus:
    """Messages of one account; `messages(n)` continues where the last call ended.

    `block` > 0 is another stretch of the same chats, drawn apart so that processes can make them side by side.
    """

    def __init__(
        self, *, conversations: int, seed: int = 1, step_ms: int = 115_000, block: int = 0, first_id: int = 0,
        start_ms: int = START_MS,
    ) -> None:  # fmt: skip
        self._random = random.Random(seed)
        self._step = step_ms
        self._time = start_ms
        self._id = self._first = first_id
        self._place = 0
        draw = self._random
        weights = [1 / rank**1.05 for rank in range(1, conversations + 1)]
        self._cumulative = list(accumulate(weights))
        self.chats = [
            (
                f"c_{draw.getrandbits(64):016x}",
                [f"{draw.getrandbits(64):016x}" for _ in range(draw.choice((2, 2, 2, draw.randint(3, 60))))],
                draw.random() < 0.6,
            )
            for _ in range(conversations)
        ]
        self._zipf = list(accumulate(1 / rank**1.25 for rank in range(1, WORDS + 1)))
        self._words = _vocabulary(random.Random(7))
        self._extra = random.Random(seed * 1_000_003 + block)  # apart: `messages` alone stays the same without it
        self._recent: dict[int, deque[int]] = {}
        if block:
            draw.seed(seed * 1_000_003 + block)

    def messages(self, count: int) -> Iterator[tuple[str, Row]]:
        """The next `count` messages: conversation id and row without origin."""
        draw = self._random
        for _ in range(count):
            if draw.random() > 0.85 or self._id == self._first:
                self._place = bisect(self._cumulative, draw.random() * self._cumulative[-1])
                self._time += int(draw.expovariate(1) * self._step * 5.6)
            else:
                self._time += int(draw.expovariate(1) * self._step * 0.17)
            self._id += 1
            conversation, members, hanzi = self.chats[self._place]
            sender = members[int(draw.random() ** 2 * len(members))]
            media = draw.random() < 0.07
            text = None if media else self._text(hanzi)
            yield conversation, Row(
                op=Op.PUT, time=self._time, id=str(self._id), sender=sender,
                kind=Kind.MEDIA if media else Kind.TEXT, text=text,
            )  # fmt: skip

    def extras(self) -> Extras:
        """Those of the message that `messages` has just yielded."""
        draw, members = self._extra, self.chats[self._place][1]
        recent = self._recent.setdefault(self._place, deque(maxlen=30))
        reply = draw.choice(recent) if recent and draw.random() < 0.06 else None
        count = 0 if draw.random() > 0.05 else 1 + (draw.random() < 0.3)
        people = draw.sample(members, min(count, len(members)))
        recent.append(self._id)
        return Extras(reply, [(person, FACES[int(draw.random() ** 2 * len(FACES))]) for person in people])

    def _text(self, hanzi: bool) -> str:
        draw = self._random
        length = max(1, min(2000, round(draw.lognormvariate(2.9957, 0.9))))
        vocabulary = self._words[0 if hanzi else 1]
        words: list[str] = []
        have = 0
        while have < length:
            word = vocabulary[min(bisect(self._zipf, draw.random() * self._zipf[-1]), WORDS - 1)]
            words.append(word)
            have += len(word) + (not hanzi)
        return ("" if hanzi else " ").join(words)


def _vocabulary(draw: random.Random) -> tuple[list[str], list[str]]:
    characters = draw.sample([chr(code) for code in range(0x4E00, 0x9FA5)], 3000)
    weights = list(accumulate(1 / rank**0.9 for rank in range(1, 3001)))
    hanzi = [
        "".join(draw.choices(characters, cum_weights=weights, k=draw.choice((1, 2, 2, 2, 3)))) for _ in range(WORDS)
    ]
    syllables = tuple(map("".join, zip(*[iter("aningertaconproredeinlymention")] * 2, strict=True)))
    latin = ["".join(draw.choices(syllables, k=draw.choice((1, 2, 2, 3)))) for _ in range(WORDS)]
    return hanzi, latin


def main() -> None:
    """Write one size into a folder; what is there already stays."""
    from bench.app_data import SIZES, AppData

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", choices=sorted(SIZES), default="S")
    parser.add_argument("--conversations", type=int, default=None)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--out", type=Path, required=True)
    given = parser.parse_args()
    size = SIZES[given.size]
    if given.conversations:
        size = size._replace(conversations=given.conversations)
    data = AppData(given.out, size, given.seed)
    data.make()
    print(f"{data.database}  {data.database.stat().st_size / 1e6:.1f} MB, {size.messages:,} messages")
    print(f"{data.media}  {data.media_bytes() / 1e6:.1f} MB in {len(data.files()):,} files")


if __name__ == "__main__":
    main()
