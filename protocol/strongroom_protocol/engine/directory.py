"""Directory rows: what a chat list shows of one conversation (spec chapter 08).

Rows lie uncompressed beside each other, so no title or preview can influence the size of another's.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from strongroom_protocol.engine.refs import FrameRef, small
from strongroom_protocol.limits import LIMITS, Limits
from strongroom_protocol.wire import cbor
from strongroom_protocol.wire.parse import SIZE_MAX, TIME_MAX, Fields, array

HOT_ROWS = 256
NEWEST_FRAMES = 6
PREVIEW_CHARS = 80


@dataclass(frozen=True, slots=True)
class DirectoryRow:
    """Key and id of a conversation, title, kind, newest time (ms), preview and its sender, rows, newest frames.

    Every frame whose last row is later than `floor` (ms; -1: every frame there is) is among `frames`.
    """

    key: bytes
    conversation: str
    title: str
    kind: int
    newest: int
    preview: str
    sender: str
    rows: int
    frames: tuple[FrameRef, ...]
    floor: int = -1

    def to_cbor(self) -> dict[int, Any]:
        return {
            1: self.key,
            2: self.conversation,
            3: self.title,
            4: self.kind,
            5: self.newest,
            6: self.preview,
            7: self.sender,
            8: self.rows,
            9: [frame.to_cbor() for frame in self.frames],
            10: self.floor,
        }

    @classmethod
    def parse(cls, value: Any, limits: Limits = LIMITS) -> DirectoryRow:
        fields = Fields(value, "directory")
        row = cls(
            fields.fixed(1, 16),
            fields.text(2, limits.id_bytes, 1),
            fields.text(3, limits.id_bytes),
            small(fields.take(4), "directory"),
            fields.time(5),
            fields.text(6, limits.id_bytes),
            fields.text(7, limits.id_bytes),
            fields.uint(8, SIZE_MAX),
            tuple(FrameRef.parse(frame, "directory") for frame in fields.array(9, maximum=8)),
            fields.uint(10, TIME_MAX, -1),
        )
        fields.done()
        return row


def encode_rows(rows: Iterable[DirectoryRow]) -> bytes:
    return cbor.encode([row.to_cbor() for row in rows])


def parse_rows(content: bytes, limits: Limits = LIMITS) -> tuple[DirectoryRow, ...]:
    items = array(cbor.decode(content, limits=limits, subject="directory"), "directory", maximum=4096)
    return tuple(DirectoryRow.parse(item, limits) for item in items)
