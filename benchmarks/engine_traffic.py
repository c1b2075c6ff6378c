"""Seeded chat traffic for the engine model: which conversation each message is in, and what the operations target."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from engine_costs import Bools, Ints

ZIPF = 1.05  # exponent of the conversations' activity
STAY = 0.85  # probability that the next message is in the same conversation
EDITS, DELETES, REACTIONS = 0.02, 0.01, 0.05  # operations per message
NEAR_SHARE = 0.75  # operations whose target is a few messages back (exponential, mean NEAR_MEAN messages)
NEAR_MEAN = 10.0
SLOPE_SHARE = 0.15  # operations whose age is log-uniform over the conversation; the rest is uniform over it
NEAR_REACH = 128  # an operation on one of the conversation's last this many messages rides in the message frame
DEVICES = 8  # taking turns to commit
CAS_LOST = 0.05  # commits that lose one race and send their head again; assumption


@dataclass(frozen=True)
class Far:
    """Operations on old messages: conversation, position of the target in it, and whether it is a delete."""

    conv: Ints
    pos: Ints
    delete: Bools

    def where(self, keep: Bools) -> Far:
        """Those that ``keep`` marks."""
        return Far(self.conv[keep], self.pos[keep], self.delete[keep])

    @staticmethod
    def join(parts: list[Far]) -> Far:
        """All of several."""
        empty = np.zeros(0, np.int64)
        return Far(
            np.concatenate([empty, *(p.conv for p in parts)]),
            np.concatenate([empty, *(p.pos for p in parts)]),
            np.concatenate([np.zeros(0, np.bool_), *(p.delete for p in parts)]),
        )


class Traffic:
    """An endless stream of messages over ``conversations`` chats; the same seed gives the same stream."""

    def __init__(self, conversations: int, seed: int) -> None:
        self.conversations = conversations
        self.rng = np.random.default_rng(seed)
        weights = 1.0 / np.arange(1, conversations + 1) ** ZIPF
        self._cumulative = np.cumsum(weights / weights.sum())
        self._current = 0
        self.totals: Ints = np.zeros(conversations, np.int64)

    def messages(self, count: int) -> Ints:
        """The conversations of the next ``count`` messages, in order; :attr:`totals` moves on."""
        switch = self.rng.random(count) >= STAY
        draws = np.searchsorted(self._cumulative, self.rng.random(int(switch.sum())))
        picks = np.concatenate(([self._current], np.minimum(draws, self.conversations - 1)))
        convs: Ints = picks[np.cumsum(switch)].astype(np.int64)
        self._current = int(convs[-1])
        self.totals = self.totals + np.bincount(convs, minlength=self.conversations)
        return convs

    def operations(self, convs: Ints) -> tuple[Ints, Far]:
        """Operations sent along with ``convs``: how many near ones per conversation, and the far ones."""
        rng = self.rng
        chance = rng.random(len(convs))
        mine = convs[chance < EDITS + DELETES + REACTIONS]
        delete = chance[chance < EDITS + DELETES + REACTIONS] < DELETES
        size = np.maximum(self.totals[mine], 1)
        kind = rng.random(len(mine))
        u = rng.random(len(mine))
        age = np.where(
            kind < NEAR_SHARE,
            rng.exponential(NEAR_MEAN, len(mine)),
            np.where(kind < NEAR_SHARE + SLOPE_SHARE, size**u, size * u),
        ).astype(np.int64)
        age = np.minimum(age, size - 1)
        near = age < NEAR_REACH
        counts = np.bincount(mine[near], minlength=self.conversations)
        return counts, Far(mine[~near], (size - 1 - age)[~near], delete[~near])
