"""What was asked and what was found: measures with their budgets, samples, medians, verdicts."""

from __future__ import annotations

import statistics
from collections import defaultdict
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

OURS = "strongroom"
TIMES = "\N{MULTIPLICATION SIGN}"


class Among(Enum):
    """Which peers a ratio is taken to."""

    ALL = "the best peer"
    DEDUPLICATING = "the best deduplicating peer"


@dataclass(frozen=True, slots=True)
class Measure:
    """One figure of a row and what it must be.

    Of `most`, `least` (absolute), `times` and `share` (ratio to the best of `among`, at most and at least) at most one
    is given; without any the figure is told and not judged. `per_gb`: the bound grows with the media. `versus`: peers
    are measured too; one that is missing fails the measure. `worst`: the highest sample counts, not the median.
    `about`: what one must know to compare. `at`: the point of a series of measures with one name.
    """

    key: str
    what: str
    unit: str
    most: float | None = None
    least: float | None = None
    times: float | None = None
    share: float | None = None
    among: Among = Among.ALL
    versus: bool = False
    per_gb: bool = False
    worst: bool = False
    about: str = ""
    at: str = ""

    @property
    def more_is_better(self) -> bool:
        return self.least is not None or self.share is not None

    def budget(self, gigabytes: float) -> str:
        """In words."""
        if self.times is not None:
            return f"at most {self.times:g} {TIMES} {self.among.value}"
        if self.share is not None:
            return f"at least {self.share:.0%} of it"
        if self.least is not None:
            return f"at least {amount(self.least, self.unit)}"
        limit = self.limit(gigabytes)
        return "reported" if limit is None else f"at most {amount(limit, self.unit)}"

    def limit(self, gigabytes: float) -> float | None:
        """The absolute bound, None for one that is a ratio."""
        if self.most is None:
            return self.least
        return round(self.most * gigabytes, 3) if self.per_gb else self.most


@dataclass(slots=True)
class Results:
    """Everything of one run. Subjects are OURS, peers by name, and floors: what the machine needs for the bare work."""

    measures: dict[str, Measure]
    peers: tuple[str, ...]
    deduplicating: tuple[str, ...]
    gigabytes: float
    samples: defaultdict[str, defaultdict[str, list[float]]] = field(
        default_factory=lambda: defaultdict(lambda: defaultdict(list))
    )
    failures: defaultdict[str, dict[str, str]] = field(default_factory=lambda: defaultdict(dict))
    notes: dict[str, str] = field(default_factory=dict)
    peaks: defaultdict[str, dict[str, float]] = field(default_factory=lambda: defaultdict(dict))

    def add(self, key: str, subject: str, *values: float) -> None:
        """Samples of one measure."""
        if key not in self.measures:
            raise KeyError(key)
        self.samples[key][subject] += values

    def fail(self, keys: tuple[str, ...], subject: str, reason: str) -> None:
        """A subject that gave no figure, and why: that makes a failed row, not a shorter table."""
        for key in keys:
            self.failures[key].setdefault(subject, reason)

    def peak(self, subject: str, row: str, megabytes: float) -> None:
        """Memory of a subject while a row ran; the highest is kept."""
        self.peaks[subject][row] = max(megabytes, self.peaks[subject].get(row, 0.0))

    def median(self, key: str, subject: str) -> float | None:
        values = self.samples[key].get(subject)
        return statistics.median(values) if values else None

    def to_dict(self) -> list[dict[str, Any]]:
        """One object for each measure, in order."""
        return [self._judged(measure) for measure in self.measures.values() if self._touched(measure.key)]

    def _touched(self, key: str) -> bool:
        return bool(self.samples.get(key) or self.failures.get(key))

    def _judged(self, measure: Measure) -> dict[str, Any]:
        key = measure.key
        of = max if measure.worst else statistics.median
        medians = {name: of(values) for name, values in self.samples[key].items() if values}
        own = medians.get(OURS)
        among = self.deduplicating if measure.among is Among.DEDUPLICATING else self.peers
        rivals = {name: medians[name] for name in among if name in medians}
        if measure.share is not None:
            rivals = {name: value for name, value in medians.items() if name != OURS}
        best = (max if measure.more_is_better else min)(rivals, key=rivals.__getitem__, default=None)
        ratio = own / rivals[best] if own is not None and best is not None and rivals[best] else None
        return {
            "key": key, "what": measure.what, "about": measure.about, "at": measure.at, "unit": measure.unit,
            "budget": measure.budget(self.gigabytes),
            "bound": measure.times or measure.share or measure.limit(self.gigabytes),
            "more_is_better": measure.more_is_better,
            "relative": measure.times is not None or measure.share is not None,
            "samples": {name: [_short(value) for value in values] for name, values in self.samples[key].items()},
            "medians": {name: _short(value) for name, value in medians.items()}, "best": best,
            "ratio": None if ratio is None else round(ratio, 3), "verdict": self._verdict(measure, own, ratio),
            "failures": self.failures.get(key, {}), "note": self.notes.get(key, ""),
        }  # fmt: skip

    def _verdict(self, measure: Measure, own: float | None, ratio: float | None) -> str:
        needed = {OURS, *self.peers} if measure.versus else {OURS}
        if own is None or needed & set(self.failures.get(measure.key, {})):
            return "failed"
        limit = measure.limit(self.gigabytes)
        if measure.times is not None or measure.share is not None:
            if ratio is None:
                return "failed" if self.peers else "reported"
            good = ratio <= measure.times if measure.times is not None else ratio >= (measure.share or 0)
        elif limit is None:
            return "reported"
        else:
            good = own >= limit if measure.more_is_better else own <= limit
        return "met" if good else "missed"


def amount(value: float, unit: str) -> str:
    """Three digits that count, thousands apart, and the unit."""
    digits = f"{value:,.0f}" if value >= 100 or value == int(value) else f"{value:.3g}"
    return f"{digits}{'' if unit.startswith('/') else ' '}{unit}"


def _short(value: float) -> float:
    """Four significant digits and no more: nothing here is known better."""
    return value if value == int(value) else float(f"{value:.4g}")
