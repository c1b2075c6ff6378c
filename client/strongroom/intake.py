"""Rows on their way in: read, checked, and waiting by conversation until a frame is full (chapter 13.7)."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass, field

from strongroom.columns import Columns, Portion, portions
from strongroom_protocol.errors import CallError
from strongroom_protocol.limits import LIMITS, MIB

FULL_ROWS = LIMITS.frame_rows + LIMITS.head_frame_rows
"""Rows of a conversation from which a full frame is taken: what is left is enough for its small newest frame."""

FULL_BYTES = 4 * MIB
"""Packed bytes of a conversation that go on, full or not: rows with large records."""

Chunk = tuple[Columns, set[bytes]]
"""Rows, and the names of the media objects that were uploaded for them."""

Taken = tuple[str, list[Portion]]
"""Rows of one conversation, in the order in which they came."""


@dataclass(slots=True)
class _Waiting:
    portions: list[Portion] = field(default_factory=list)
    rows: int = 0
    bytes: int = 0


@dataclass(slots=True)
class Intake:
    """Takes chunks from `source`; `committed` tells how many rows of it are in the history already.

    `size` is the packed bytes that wait.
    """

    source: AsyncIterator[Chunk]
    progress: Callable[[int], None] | None = None
    rows: int = 0
    committed: int = 0
    size: int = 0
    media: set[bytes] = field(default_factory=set)
    ended: bool = False
    _waiting: dict[str, _Waiting] = field(default_factory=dict)

    @property
    def waiting(self) -> int:
        """Rows that have been read and not taken out."""
        return sum(waiting.rows for waiting in self._waiting.values())

    async def read(self) -> bool:
        """Take the next chunk; False at the end. Raises InvalidArgument for a row that cannot be stored."""
        try:
            chunk = await anext(self.source, None)
            if chunk is None:
                self.ended = True
                return False
            columns, media = chunk
            counts = {conversation: waiting.rows for conversation, waiting in self._waiting.items()}
            for conversation, portion in portions(columns, self.rows, counts):
                waiting = self._waiting.setdefault(conversation, _Waiting())
                waiting.portions.append(portion)
                waiting.rows += portion.rows
                waiting.bytes += len(portion.data)
                self.size += len(portion.data)
        except CallError as error:
            # Pieces before this one are committed for good; the person must know what a corrected import will skip.
            had = f"{self.committed:,} rows before it were imported" if self.committed else "nothing was imported"
            error.args = (f"{error}; {had}",)
            raise
        self.rows += len(columns)
        self.media |= media
        if self.progress is not None:
            self.progress(self.rows)
        return True

    def full(self) -> Iterator[Taken]:
        """What suffices for full frames is taken out: each time the rows of one."""
        for conversation, waiting in self._waiting.items():
            while waiting.rows >= FULL_ROWS or waiting.bytes >= FULL_BYTES:
                taken: list[Portion] = []
                rows = 0
                while waiting.portions and rows + waiting.portions[0].rows <= LIMITS.frame_rows:
                    rows += waiting.portions[0].rows
                    taken.append(self._take(waiting))
                yield conversation, taken

    def rest(self) -> Iterator[Taken]:
        """All that waits is taken out, by conversation."""
        for conversation in sorted(self._waiting):
            waiting = self._waiting.pop(conversation)
            taken = waiting.portions
            self.size -= waiting.bytes
            if taken:
                yield conversation, taken

    def _take(self, waiting: _Waiting) -> Portion:
        portion = waiting.portions.pop(0)
        waiting.rows -= portion.rows
        waiting.bytes -= len(portion.data)
        self.size -= len(portion.data)
        return portion
