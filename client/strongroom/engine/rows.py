"""Rows of one conversation from several frames, as one (spec chapters 07 and 08)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields

from strongroom_protocol.rows.table import Frame

_COLUMNS = tuple(column.name for column in fields(Frame))[1:]


def joined(frames: Sequence[Frame]) -> Frame:
    """One frame of all rows, in frame order."""
    if len(frames) == 1:
        return frames[0].sorted()
    columns = ([item for frame in frames for item in getattr(frame, name)] for name in _COLUMNS)
    return Frame(frames[0].conversation, *columns).sorted()
