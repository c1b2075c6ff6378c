"""A seeded synthetic corpus of app-like messages: no numbers of a real person, the statistics of real chats.

Conversations by Zipf (s = 1.05), bursts (a message stays in the conversation of the one before with p = 0.85), text
lengths lognormal (median 20 characters, sigma 0.9), words by Zipf from a made-up vocabulary; 60 % of the conversations
in hanzi, the rest in latin letters; ids grow by one; 7 % of the messages are a picture's caption of no text.
"""

from __future__ import annotations

import random
from bisect import bisect
from collections.abc import Iterator
from itertools import accumulate

from strongroom_protocol.rows.model import Kind, Op, Row

SPAN_MS = 115_000_000_000
START_MS = 1_600_000_000_000
WORDS = 12_000


class Corpus:
    """Messages of one account; `messages(n)` continues where the last call ended."""

    def __init__(self, *, conversations: int, seed: int = 1, step_ms: int = 115_000) -> None:
        self._random = random.Random(seed)
        self._step = step_ms
        self._time = START_MS
        self._id = 0
        self._place = 0
        draw = self._random
        weights = [1 / rank**1.05 for rank in range(1, conversations + 1)]
        self._cumulative = list(accumulate(weights))
        self._chats = [
            (
                f"c_{draw.getrandbits(64):016x}",
                [f"{draw.getrandbits(64):016x}" for _ in range(draw.choice((2, 2, 2, draw.randint(3, 60))))],
                draw.random() < 0.6,
            )
            for _ in range(conversations)
        ]
        self._zipf = list(accumulate(1 / rank**1.25 for rank in range(1, WORDS + 1)))
        self._words = _vocabulary(random.Random(7))

    def messages(self, count: int) -> Iterator[tuple[str, Row]]:
        """The next `count` messages: conversation id and row without origin."""
        draw = self._random
        for _ in range(count):
            if draw.random() > 0.85 or self._id == 0:
                self._place = bisect(self._cumulative, draw.random() * self._cumulative[-1])
                self._time += int(draw.expovariate(1) * self._step * 5.6)
            else:
                self._time += int(draw.expovariate(1) * self._step * 0.17)
            self._id += 1
            conversation, members, hanzi = self._chats[self._place]
            sender = members[int(draw.random() ** 2 * len(members))]
            media = draw.random() < 0.07
            text = None if media else self._text(hanzi)
            yield conversation, Row(
                op=Op.PUT, time=self._time, id=str(self._id), sender=sender,
                kind=Kind.MEDIA if media else Kind.TEXT, text=text,
            )  # fmt: skip

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
