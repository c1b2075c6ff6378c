"""Frames that were opened last, for who leafs through a chat: a page is fifty messages, a frame of old ones thousands.

A frame is known by its chunk's digest, which is authenticated before it is looked up here as before it would be read;
whether a reader of this version may see its rows is asked each time.
"""

from __future__ import annotations

from collections import OrderedDict

from strongroom_protocol.engine.refs import ChunkRef, FrameRef
from strongroom_protocol.rows.table import Frame

ROWS = 3 * 4096
"""Rows that are kept, about 6 MB: of two chats, or two frames of one that a page lies across."""


class RecentFrames:
    """The last opened frames by segment and chunk. They are shared: nobody writes to them."""

    def __init__(self) -> None:
        self._frames: OrderedDict[tuple[bytes, ChunkRef], Frame] = OrderedDict()
        self._rows = 0

    def get(self, ref: FrameRef) -> Frame | None:
        key = (ref.segment, ref.chunk)
        if key in self._frames:
            self._frames.move_to_end(key)
        return self._frames.get(key)

    def keep(self, ref: FrameRef, frame: Frame) -> None:
        if (ref.segment, ref.chunk) in self._frames:
            return
        self._frames[ref.segment, ref.chunk] = frame
        self._rows += len(frame)
        while self._rows > ROWS:
            self._rows -= len(self._frames.popitem(last=False)[1])
