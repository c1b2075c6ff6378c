"""Forgetting: what of a conversation is gone up to a time, whoever wrote it and whenever it comes (spec chapter 10).

One row of operation FORGET stands for any number of messages, where a tombstone stands for one. Of many such rows the
latest counts for each kind, so joining histories stays a join.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass, replace
from operator import is_

from strongroom_protocol.rows.clock import COUNTER_BITS
from strongroom_protocol.rows.media_refs import MEDIA, descriptors, with_attachments, without_media
from strongroom_protocol.rows.model import Detail, ForgetKind, Op
from strongroom_protocol.rows.table import Frame

STATE = 7
"""Field of an attachment: why its bytes are not there."""

REMOVED = "removed"

Mark = tuple[int, int]
"""A ForgetKind, and the time (ms) up to which that is forgotten."""


def marks_of(frame: Frame) -> tuple[Mark, ...]:
    """What the FORGET rows of a frame say, in order, each once.

    The time is at most that of the row's own clock: nobody forgets what is still to be written.
    """
    if Op.FORGET not in frame.op:
        return ()
    return tuple(sorted({_mark(frame, at) for at, op in enumerate(frame.op) if op == Op.FORGET}))


def _mark(frame: Frame, at: int) -> Mark:
    return int(frame.kind[at]), min(frame.time[at], frame.hlc[at] >> COUNTER_BITS)  # spec: FORGET-1


def pruned(marks: Iterable[Mark], latest: int) -> tuple[Mark, ...]:
    """The marks without those that others say as well. One after `latest` (ms) stays, and hides no other."""
    every = sorted(set(marks))
    return tuple(mark for mark in every if not any(_covers(other, mark, latest) for other in every))


def _covers(other: Mark, mark: Mark, latest: int) -> bool:
    wide = other[0] in (mark[0], ForgetKind.ALL)
    return other != mark and wide and mark[1] <= other[1] <= latest


@dataclass(frozen=True, slots=True)
class Forgotten:
    """Times (ms) up to which messages, the bytes of files, and facts (titles, members, sources) are gone; -1: none."""

    messages: int = -1
    files: int = -1
    facts: int = -1

    @classmethod
    def of(cls, marks: Iterable[Mark], latest: int) -> Forgotten:
        """What marks say together. Those over `latest`, a day after the time of the head that is read, say nothing."""
        until = [-1, -1, -1]
        for kind, time in marks:
            if time <= latest and kind <= ForgetKind.ALL:  # spec: FORGET-2
                until[kind] = max(until[kind], time)
        messages, files, facts = until
        messages = max(messages, facts)
        return cls(messages, max(files, messages), facts)

    def __bool__(self) -> bool:
        return self.files >= 0

    def hides(self, op: int, time: int) -> bool:
        """Whether a row is not to be shown, counted or exported."""
        if op == Op.FORGET:
            return True
        return time <= (self.messages if op <= Op.REACT else self.facts)  # spec: FORGET-3

    def touches(self, frame: Frame) -> bool:
        """Whether a frame holds more than this leaves, FORGET rows aside."""
        return any(
            (op != Op.FORGET and self.hides(op, time)) or self._strips(op, time, detail)
            for op, time, detail in zip(frame.op, frame.time, frame.detail, strict=True)
        )

    def shown(self, frame: Frame) -> Frame | None:
        """The rows that a reader sees; None when there are none."""
        if not self and Op.FORGET not in frame.op:
            return frame
        places = [at for at, op in enumerate(frame.op) if not self.hides(op, frame.time[at])]
        return self._stripped(frame, places)

    def kept(self, frame: Frame, every: Collection[Mark], latest: int) -> Frame | None:
        """The rows that stay when they are written anew: what is shown, and of FORGET rows those that no other of
        `every` covers, each mark once."""
        needed = set(pruned(every, latest))
        places = []
        for at, op in enumerate(frame.op):
            if op != Op.FORGET:
                if not self.hides(op, frame.time[at]):
                    places.append(at)
                continue
            mark = _mark(frame, at)
            if mark in needed:  # spec: FORGET-6
                needed.discard(mark)
                places.append(at)
        return self._stripped(frame, places)

    def _stripped(self, frame: Frame, places: list[int]) -> Frame | None:
        if not places:
            return None
        rows = frame.take(places) if len(places) < len(frame) else frame
        detail = [
            _without_files(op, found) if found is not None and self._strips(op, time, found) else found
            for op, time, found in zip(rows.op, rows.time, rows.detail, strict=True)
        ]
        return rows if all(map(is_, detail, rows.detail)) else replace(rows, detail=detail)

    def _strips(self, op: int, time: int, detail: Detail | None) -> bool:
        if detail is None or op > Op.REACT or time > self.files:  # spec: FORGET-4
            return False
        return next(descriptors(detail), None) is not None


NOTHING = Forgotten()


def _without_files(op: int, detail: Detail) -> Detail:
    """The detail without any descriptor of sealed media; an attachment that had one says that it was removed."""
    named = with_attachments(op, detail, lambda found: {**found, STATE: REMOVED} if MEDIA in found else found)
    stripped: Detail = without_media(named)
    return stripped
