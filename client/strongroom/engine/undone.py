"""The history without what was discarded: an earlier state and all that others wrote since (spec chapter 11.5)."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field

from strongroom.engine.change import Change
from strongroom.engine.fold import write_run
from strongroom.engine.rows import joined
from strongroom.engine.run_writer import media_of
from strongroom.engine.snapshot import Snapshot
from strongroom_protocol.engine.body import Body
from strongroom_protocol.limits import LIMITS
from strongroom_protocol.manifest.keyring import Discard
from strongroom_protocol.rows.ids import conversation_key
from strongroom_protocol.rows.table import Frame

WINDOW = 64
"""Frames read at once."""

NAMES = LIMITS.delta_names // 2
"""Objects that one head adds without having sealed them, or drops."""

PIECE_ROWS = 65_536
"""Rows that become one run; memory holds no more of them."""


@dataclass(slots=True)
class UndoneChange(Change):
    """Goes on from the state that `base` holds under a later head. `current` is what that head reaches, `kept` what the
    earlier state does: the first is dropped, the second pinned again, as far as they differ."""

    current: set[bytes] = field(default_factory=set)
    kept: set[bytes] = field(default_factory=set)
    late: tuple[list[bytes], list[bytes]] = ([], [])
    """Objects that one head has no room to add or drop: heads after it do."""

    async def finish(self, *, acknowledged: int) -> Body:
        body = await Change.finish(self, acknowledged=acknowledged)
        # All of it is added, also what the newest state reaches: a head may name what it has dropped all the same.
        kept = sorted(self.kept - self.drops)
        drops = sorted((self.drops | self.current).difference(kept))
        self.late = kept[NAMES:], drops[NAMES:]
        self.uploaded |= set(kept[:NAMES])
        self.drops = set(drops[:NAMES])
        return body


@dataclass(slots=True)
class Carried:
    """Finds the rows that honest devices wrote after `start`, in whatever later state still has them.

    A device that is discarded may have erased or dropped what others wrote: so each later state is looked through, not
    the last one alone. A row is known by its origin, and taken once.
    """

    start: Snapshot
    discards: Sequence[Discard]
    rows: int = 0
    media: set[bytes] = field(default_factory=set)
    _known: set[bytes] = field(default_factory=set)
    _seen: set[tuple[bytes, int, int]] = field(default_factory=set)
    _frames: defaultdict[bytes, list[Frame]] = field(default_factory=lambda: defaultdict(list))
    _held: int = 0

    def __post_init__(self) -> None:
        self._known |= {entry.ref.name for entry in self.start.body.tail}
        self._known |= {run.index.primary.name for run in self.start.root.runs}

    def wants(self, name: bytes) -> bool:
        """Whether a batch, or a run (by its index), has not been looked through yet."""
        return name not in self._known

    async def take(self, state: Snapshot, change: Change | None) -> None:
        """What `state` has beyond what was seen; with `change`, written as runs when it has become much."""
        for entry, frames in state.tail:
            if self.wants(entry.ref.name):
                self._known.add(entry.ref.name)
                for frame in frames:
                    self._add(frame)
        for run in state.root.runs:
            if not self.wants(run.index.primary.name):
                continue
            self._known.add(run.index.primary.name)
            entries = list(await state.entries(run))
            for at in range(0, len(entries), WINDOW):
                for found in await state.frames_of(entries[at : at + WINDOW]):
                    if found is not None:
                        self._add(found)
                if self._held >= PIECE_ROWS:
                    await self.write(change)

    async def write(self, change: Change | None) -> None:
        """What is held becomes a run, whose rows keep their origins; without a change it was only counted."""
        if self._held and change is not None:
            await write_run(change, {key: joined(frames) for key, frames in self._frames.items()})
            await change.relieve()
        self._frames.clear()
        self._held = 0

    def _add(self, frame: Frame) -> None:
        before = self.start.body.sequences
        places = []
        for place, origin in enumerate(zip(frame.device, frame.batch, frame.index, strict=True)):
            device, sequence, _ = origin
            if sequence <= before.get(device, 0) or origin in self._seen:
                continue
            if any(discard.covers(device, sequence) for discard in self.discards):
                continue
            self._seen.add(origin)
            places.append(place)
        if places:
            chosen = frame.take(places)
            self._frames[conversation_key(frame.conversation)].append(chosen)
            self.media |= {part.name for part in media_of(chosen.detail)}
            self._held += len(places)
            self.rows += len(places)
