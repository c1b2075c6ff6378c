"""How much of a version's content a verification fetches, and what finding nothing then says (spec chapter 13.8)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from random import SystemRandom
from typing import TypeVar

from strongroom_protocol.errors import InvalidArgument

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Depth:
    """The share of the content objects (segments, parts of media) that is fetched, and whether the rest is asked for.

    The structure, which says what content there is, is fetched whole always.
    """

    share: float = 1.0
    presence: bool = False

    @classmethod
    def sample(cls, percent: float) -> Depth:
        """So many percent of the content, drawn anew each time. Raises InvalidArgument."""
        if not 0 < percent <= 100:  # also when it is not a number
            raise InvalidArgument("a sample is more than 0 and at most 100 percent")
        return cls(percent / 100)

    @classmethod
    def quick(cls) -> Depth:
        """No content, but of everything the header."""
        return cls(0.0, presence=True)

    def draw(self, content: Sequence[T]) -> tuple[list[T], list[T]]:
        """What to fetch, rounded up, and the rest; both in the order given."""
        count = min(len(content), math.ceil(self.share * len(content)))
        # Of the system's randomness, and only now: a relay cannot know beforehand what it will be asked for.
        drawn = set(SystemRandom().sample(range(len(content)), count))  # spec: VER-2
        return (
            [item for place, item in enumerate(content) if place in drawn],
            [item for place, item in enumerate(content) if place not in drawn],
        )


FULL = Depth()


def chance(population: int, examined: int, lost: int) -> float:
    """The chance that of `lost` objects among `population` at least one is among `examined` drawn without replacement.

    1 - C(population - lost, examined) / C(population, examined), the hypergeometric distribution.
    """
    if lost <= 0:
        return 0.0
    if lost > population - examined:
        return 1.0
    missed = sum(math.log1p(-lost / (population - place)) for place in range(examined))
    return -math.expm1(missed)
