"""Runs of the engine model: building them from batches or in bulk, and merging them by reference.

A run lists frames in order of (conversation, time); the frames lie in segments. A frame belongs to exactly one run at a
time, so the live frames of a segment all belong to the run that last took it over.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np

import engine_costs as cost
from engine_costs import Bools, Ints, Params
from engine_traffic import Far

LEISURE_LIVE_FLOOR = 0.9  # the live share below which a compaction at leisure copies a segment's frames out
FRAME_COLUMNS = ("conv", "pos", "rows", "ops", "size", "seg", "dense")


@dataclass(frozen=True)
class Frames:
    """Message frames as parallel arrays; ``pos`` is the place of the first message in its conversation."""

    conv: Ints
    pos: Ints
    rows: Ints
    ops: Ints
    size: Ints
    seg: Ints
    dense: Ints  # 1 if compressed at level 9, by a merge

    def take(self, pick: Ints | Bools) -> Frames:
        """The frames that an index or mask selects."""
        return Frames(*(getattr(self, name)[pick] for name in FRAME_COLUMNS))

    @staticmethod
    def join(parts: list[Frames]) -> Frames:
        """All of several, sorted by (conversation, position)."""
        whole = Frames.concatenate(parts)
        return whole.take(np.lexsort((whole.pos, whole.conv)))

    @staticmethod
    def concatenate(parts: list[Frames]) -> Frames:
        """All of several, as they come."""
        return Frames(*(np.concatenate([getattr(part, name) for part in parts]) for name in FRAME_COLUMNS))


@dataclass
class Segments:
    """What every kept segment holds: bytes of frames written into it, and its padded size."""

    payload: dict[int, int] = field(default_factory=dict)
    padded: dict[int, int] = field(default_factory=dict)
    made: int = 0

    def pack(self, sizes: Ints) -> tuple[Ints, int]:
        """Put frames of ``sizes`` into new segments in order; their segments, and the bytes uploaded."""
        placed = np.zeros(len(sizes), np.int64)
        ends = np.cumsum(sizes)
        start = uploaded = 0
        while start < len(sizes):
            before = int(ends[start - 1]) if start else 0
            stop = int(np.searchsorted(ends, before + cost.SEGMENT_CAP - cost.OBJECT_HEADER, "right"))
            stop = max(stop, start + 1)
            self.made += 1
            ident = self.made
            placed[start:stop] = ident
            self.payload[ident] = int(ends[stop - 1]) - before
            self.padded[ident] = cost.padme(self.payload[ident] + cost.OBJECT_HEADER, cost.OBJECT_FLOOR)
            uploaded += self.padded[ident]
            start = stop
        return placed, uploaded


@dataclass(frozen=True)
class Run:
    """One run: its message frames, the far operations it carries and the frames they take, and its index size."""

    level: int
    frames: Frames
    far: Far
    op_frames: Frames  # rows counts operations
    segments: Ints  # distinct
    newest: Ints  # per conversation: index of its newest frame, or -1

    @property
    def entries(self) -> int:
        """Entries of the index."""
        return len(self.frames.conv) + len(self.op_frames.conv)

    @property
    def index_bytes(self) -> int:
        """Bytes of one copy of the index."""
        return cost.index_object(self.entries, len(self.segments))

    def live(self) -> dict[int, int]:
        """Live bytes per segment."""
        seg = np.concatenate((self.frames.seg, self.op_frames.seg))
        size = np.concatenate((self.frames.size, self.op_frames.size))
        ids, inverse = np.unique(seg, return_inverse=True)
        return dict(zip(ids.tolist(), np.bincount(inverse, size).astype(np.int64).tolist(), strict=True))


@dataclass(frozen=True)
class Written:
    """What making a run cost: bytes of segments uploaded, frame bytes in them, and segments left without a reader."""

    segments: int
    frames: int
    dropped: list[int]


def finish(
    level: int, kept: Frames, fresh: Frames, far: Far, segments: Segments, conversations: int, p: Params
) -> tuple[Run, Written]:
    """Place ``fresh`` frames and the operations' frames into segments and make the run.

    Frames that no later merge will touch get segments of their own, so they never share one with frames that will
    soon be garbage.
    """
    counts = np.bincount(far.conv, minlength=conversations)
    touched = np.flatnonzero(counts)
    nothing = np.zeros(len(touched), np.int64)
    op_size = cost.op_frame(counts[touched])
    final = fresh.rows >= p.final_rows
    young = fresh.take(~final)
    seg, uploaded_young = segments.pack(np.concatenate((young.size, op_size)))
    old = fresh.take(final)
    old_seg, uploaded_old = segments.pack(old.size)
    frames = Frames.join(
        [
            kept,
            replace(young, seg=seg[: len(young.conv)]),
            replace(old, seg=old_seg),
        ]
    )
    op_frames = Frames(touched, nothing, counts[touched], nothing, op_size, seg[len(young.conv) :], nothing)
    newest = np.full(conversations, -1, np.int64)
    newest[frames.conv] = np.arange(len(frames.conv))  # sorted: the last assignment is the newest
    used = np.unique(np.concatenate((frames.seg, op_frames.seg)))
    run = Run(level, frames, far, op_frames, used, newest)
    return run, Written(uploaded_young + uploaded_old, int(fresh.size.sum() + op_size.sum()), [])


def cut(conv: Ints, pos: Ints, rows: Ints, ops: Ints, newest: Bools, merged: bool, p: Params) -> Frames:
    """Cut stretches of ``rows`` messages, oldest first, into full frames, a remainder, and a small newest frame."""
    sliver = (rows > p.newest_rows) & (rows < p.newest_rows * 5 // 4)  # halves rather than a frame of a few rows
    head = np.where(newest, np.where(sliver, rows // 2, np.minimum(rows, p.newest_rows)), 0)
    rest = rows - head
    parts = -(-rest // p.frame_rows)
    total = parts + newest
    owner = np.repeat(np.arange(len(rows)), total)
    nth = np.arange(len(owner)) - np.repeat(np.cumsum(total) - total, total)
    old_rows = np.minimum(p.frame_rows, rest[owner] - nth * p.frame_rows)
    is_head = nth == parts[owner]
    out_rows = np.where(is_head, head[owner], old_rows)
    ends = np.cumsum(out_rows)
    first = np.concatenate(([0], ends))[np.cumsum(total) - total] if len(rows) else ends
    out_pos = pos[owner] + (ends - out_rows) - np.repeat(first, total)
    out_ops = ops[owner] * out_rows // np.maximum(rows[owner], 1)
    size = cost.frame(out_rows, out_ops, merged)
    nowhere = np.zeros(len(owner), np.int64)
    return Frames(conv[owner], out_pos, out_rows, out_ops, size, nowhere, np.full(len(owner), int(merged)))


def target_frames(frames: Frames, far: Far) -> Ints:
    """For each far operation the index of the frame that holds its message, or -1."""
    keys = (frames.conv << 32) | frames.pos
    at = np.searchsorted(keys, (far.conv << 32) | far.pos, "right") - 1
    safe = np.maximum(at, 0)
    hit = (at >= 0) & (frames.conv[safe] == far.conv) & (far.pos < frames.pos[safe] + frames.rows[safe])
    found: Ints = np.where(hit, safe, -1)
    return found


def merge(
    runs: list[Run], level: int, oldest: bool, segments: Segments, conversations: int, p: Params, whole: bool = False
) -> tuple[Run, Written]:
    """Merge ``runs`` into one of ``level``; ``oldest`` if no older run remains, ``whole`` to join all it can.

    A stretch of adjacent frames of one conversation that are not final is joined if more than one input run has part
    in it, or an operation can be joined to its message; everything else is referenced where it lies.
    """
    source = np.concatenate([np.full(len(r.frames.conv), i, np.int64) for i, r in enumerate(runs)])
    everything = Frames.concatenate([r.frames for r in runs])
    order = np.lexsort((everything.pos, everything.conv))
    frames, source = everything.take(order), source[order]
    far = Far.join([r.far for r in runs])
    target = target_frames(frames, far)
    hit = np.bincount(target[target >= 0], minlength=len(source))
    deleted = np.bincount(target[(target >= 0) & far.delete], minlength=len(source))
    final = frames.rows >= p.final_rows
    worn = np.where(final, bool(p.op_share) & (hit * p.op_share >= frames.rows), hit > 0)
    if oldest and p.erase:
        worn |= deleted > 0
    if whole:
        worn |= frames.dense == 0

    new_conv = np.ones(len(source), np.bool_)
    new_conv[1:] = frames.conv[1:] != frames.conv[:-1]
    first = new_conv | final
    first[1:] |= final[:-1]
    starts = np.flatnonzero(first)
    group = np.cumsum(first) - 1
    rows = np.add.reduceat(frames.rows, starts)
    members = np.diff(np.append(starts, len(source)))
    several = np.minimum.reduceat(source, starts) != np.maximum.reduceat(source, starts)
    rewrite = several | np.logical_or.reduceat(worn, starts) | ((members > 2) if whole else (members > 3))
    last = np.append(new_conv[starts[1:]], True)
    ops = np.add.reduceat(frames.ops + np.where(rewrite[group], hit, 0), starts)

    fresh = cut(
        frames.conv[starts[rewrite]], frames.pos[starts[rewrite]], rows[rewrite], ops[rewrite], last[rewrite], True, p
    )
    kept = frames.take(~rewrite[group])
    before = {s for r in runs for s in r.segments.tolist()}
    ids, inverse = np.unique(kept.seg, return_inverse=True)
    live = np.bincount(inverse, kept.size)
    payload = np.array([segments.payload[i] for i in ids.tolist()], np.float64)
    thin = (
        (live < payload * (LEISURE_LIVE_FLOOR if whole else p.live_floor))[inverse]
        if len(ids)
        else np.zeros(0, np.bool_)
    )
    fresh = Frames.join([fresh, kept.take(thin)])
    stays = far.where(~((target >= 0) & rewrite[group[np.maximum(target, 0)]]))
    run, written = finish(level, kept.take(~thin), fresh, stays, segments, conversations, p)
    dropped = sorted(before - set(run.segments.tolist()))
    return run, Written(written.segments, written.frames, dropped)
