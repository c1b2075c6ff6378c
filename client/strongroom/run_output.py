"""Encoded frames become a run of a change, or a batch when there turn out to be few (chapters 08.7 and 13.7)."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field, replace

from strongroom.encoding import Answer, Encoded
from strongroom.engine.change import Change
from strongroom.engine.fold import level_of
from strongroom.engine.rows import joined
from strongroom.engine.run_writer import RunWriter
from strongroom.session import Session
from strongroom_protocol.engine.refs import ObjectRef
from strongroom_protocol.rows.frame import decode_frame
from strongroom_protocol.rows.ids import conversation_key
from strongroom_protocol.rows.table import Frame

BATCH_ROWS = 512
"""Rows up to which an import is an ordinary batch in the tail, not a run."""


@dataclass(slots=True)
class RunOutput:
    """Takes frames of any conversations in any order; they are sealed once it is clear that they are a run."""

    session: Session
    change: Change
    media: set[bytes]
    _rows: int = 0
    _held: list[tuple[str, Answer]] = field(default_factory=list)
    _writer: RunWriter | None = None

    async def add(self, conversation: str, answer: Answer) -> None:
        """Frames of one conversation."""
        if not answer.frames:
            return
        self._rows += sum(frame.rows for frame in answer.frames)
        self._held.append((conversation, answer))
        if self._rows > BATCH_ROWS:
            await self._seal()

    async def finish(self) -> bool:
        """Complete the change; False when there was nothing."""
        if self._writer is not None:
            await self._seal()
            self._writer.level = level_of(self._rows)
            run = self._writer.finish()
            await self.change.directory.locate(self._writer.entries)
            self.change.add_run(run)
        elif self._held:
            await self._batch()
        return self._rows > 0

    async def _seal(self) -> None:
        if self._writer is None:
            self._writer = self.change.run_writer(0)
        held, self._held = self._held, []
        for conversation, answer in held:
            key = conversation_key(conversation)
            for frame in answer.frames:
                self._use(frame)
                media = [ObjectRef(*part) for part in frame.media]
                self._writer.add_encoded(
                    key, frame.first, frame.last, frame.rows, frame.framed, media, erases=frame.erases
                )
            summary = decode_frame(answer.summary)
            await self.change.directory.describe(summary)
            row = self.change.directory.touched[key]
            missing = sum(frame.rows for frame in answer.frames) - len(summary)
            self.change.directory.touched[key] = replace(row, rows=row.rows + missing)
            await self.change.relieve()

    async def _batch(self) -> None:
        from strongroom.importing import write_rows

        grouped: dict[bytes, list[Frame]] = defaultdict(list)
        for conversation, answer in self._held:
            for frame in answer.frames:
                self._use(frame)
                grouped[conversation_key(conversation)].append(decode_frame(frame.framed))
        await write_rows(self.session, self.change, {key: joined(frames) for key, frames in grouped.items()})

    def _use(self, frame: Encoded) -> None:
        """The head adds the media that this frame refers to; what was uploaded for rows that are known expires."""
        self.change.uploaded |= self.media & {name for name, _ in frame.media}
