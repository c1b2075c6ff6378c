"""Which frames of a conversation a merge writes anew together (spec chapter 08): a function of the entries alone.

So two devices that merge the same runs write the same rows into the same frames.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from strongroom.engine.erasing import Message
from strongroom.engine.run_writer import is_final
from strongroom_protocol.engine.refs import FrameRef
from strongroom_protocol.limits import LIMITS

GROUP_FRAMES = 8
"""Full frames' worth of rows that are in memory at once when a stretch of small frames is written anew."""
GROUP_BYTES = 2 * 1024 * 1024
"""Sealed bytes after which a stretch ends early: so much is in memory, inflated, at once."""

Numbered = tuple[int, FrameRef]
"""The number of the run a frame is from, and the frame."""


@dataclass(slots=True)
class Group:
    """Neighbouring frames of a conversation: written anew as one stretch of rows, or all left as they are.

    `newest`: none later follows. Of an erasure: whether the group has part in it, and the messages whose tombstones
    leave the group or come to it.
    """

    frames: list[FrameRef]
    rewrite: bool
    newest: bool = False
    erasing: bool = False
    without: frozenset[Message] = frozenset()  # there is a group for every final frame: sets of their own would add up
    more: frozenset[Message] = frozenset()

    @property
    def final(self) -> bool:
        """Whether this is one final frame."""
        return is_final(self.frames[0].rows, self.frames[0].chunk.length)

    @property
    def sealed(self) -> int:
        """Sealed bytes of the frames."""
        return sum(frame.chunk.length for frame in self.frames)


def groups_of(frames: Iterable[Numbered], *, leisure: bool) -> list[Group]:
    """The groups of one conversation's frames, in order of time.

    A final frame is a group by itself. A stretch of others is written anew when more than one run has part in it, and
    at `leisure` when a frame is not packed as tightly as it could be; so is then a final frame.
    """
    groups: list[Group] = []
    stretch: set[int] = set()
    for run, frame in sorted(frames, key=lambda item: (item[1].first, item[1].last, item[1].chunk.digest)):
        loose = leisure and not frame.packed
        if is_final(frame.rows, frame.chunk.length):
            groups.append(Group([frame], loose))
            stretch = set()
        elif stretch and _has_room(groups[-1], frame):
            stretch.add(run)
            groups[-1].frames.append(frame)
            groups[-1].rewrite |= loose or len(stretch) > 1
        else:
            groups.append(Group([frame], loose))
            stretch = {run}
    if groups:
        groups[-1].newest = True
    return groups


def _has_room(group: Group, frame: FrameRef) -> bool:
    rows = sum(ref.rows for ref in group.frames) + frame.rows
    return rows <= GROUP_FRAMES * LIMITS.frame_rows and group.sealed + frame.chunk.length <= GROUP_BYTES
