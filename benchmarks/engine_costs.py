"""What a byte costs in the engine model: every constant with its unit and source, and the sizes made of them.

The model of the storage engine counts; it neither compresses nor encrypts. This module holds what it counts with, so
that a measurement of the real engine replaces one number here and nothing else. Sizes are in bytes unless said.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]

KIB = 1024
MIB = 1024 * KIB

# --- the sealed object format -------------------------------------------------------------------------------------
OBJECT_HEADER = 94  # version 1, type 1, epoch 4, writer 16, writer sequence 8, salt 32, commitment 32
TAG = 16  # ChaCha20-Poly1305 tag of one chunk or frame
CHUNK = 64 * KIB  # plaintext of one chunk of an object that is read whole
OBJECT_FLOOR = 256  # smallest padded object
FRAME_FLOOR = 64  # smallest padded frame inside a segment
SEGMENT_CAP = MIB  # a segment with its padding is at most this
SIGNATURE = 64  # Ed25519

# --- compressed content ---------------------------------------------------------------------------------------------
# A window (one conversation, compressed alone) of n messages costs WINDOW_FIXED + n * b(n). b(n) is measured: columns
# of the seeded synthetic corpus (300 k messages, 200 conversations), zstd level 3, 64 KiB dictionary trained on the
# other half of the conversations. Up to 8 messages the figure is rounded up to 44, because the dictionary that ships is
# trained on public data and fits less well. (The same columns over all conversations in one window, which privacy
# forbids, take 31.) Folds and the first backup compress at level 3; merges, which nobody waits for, at level 9,
# measured at 0.94 to 0.96 of that for every n from 32 to 4,096.
WINDOW_FIXED = 45
WINDOW_ROWS = (8, 32, 100, 256, 1024, 2048, 4096)  # n, messages
WINDOW_B = (44.0, 40.0, 37.5, 36.9, 36.0, 35.0, 33.3)  # b(n), bytes per message
LEVEL_9 = 0.955  # size at level 9 over size at level 3
OP_ROW = 24  # an edit, delete or reaction not yet joined to its message: target, clock, device, value; estimate
OP_JOINED = 14  # the same once it shares a frame with its message; estimate
TITLE = 13  # a conversation's title, repeated in each batch window so that a restore can name an awakened chat

# --- structures, estimated from their fields ------------------------------------------------------------------------
HEAD_HEADER = 390  # signed header: COSE_Sign1, six hashes, log root, signature; kept for ever
BODY_FIXED = 2 * 34 + 8 * (17 + 5) + 20  # root and its mirror, what eight devices have seen, counts
TAIL_REF = 58  # object hash 32, size 3, device, sequence 4, count, epoch
ROOT_FIXED = 200  # directory reference and its mirror, counts, policy
ROOT_RUN = 80  # index reference and its mirror, fold range, frame and row counts
INDEX_PAGE = 16 * KIB
INDEX_ENTRY = 70  # conversation 16, time range 8, rows 2, how far its operations reach 4, place 8, SHA-256 32
INDEX_FENCE = 52  # first key 16, SHA-256 32, length 4: one per page
SEGMENT_ROW = 34  # object hash and index in a run's segment table
ROW_FIXED = 60 + 12 + 60  # directory row: id, clocks and counts; title; preview
ROW_REF = 60  # SHA-256 of a frame 32, place and rows 12, its share of the page's segment table 16
COLD_PAGE = 8 * KIB  # a page of the cold directory, read alone
COLD_MAP = 6  # conversation prefix 4, page number 2, for each cold conversation
COLD_PAGE_REF = 40  # SHA-256 32, object and place 8, for each page of the cold directory


@dataclass(frozen=True)
class Params:
    """The choices the engine makes; the defaults are the structure that was chosen."""

    tail: int = 32  # batches in the head body before a fold
    fan_in: int = 8  # runs of a level that merge into one of the next
    newest_rows: int = 128  # messages in a conversation's newest frame of a run
    frame_rows: int = 4096  # messages in any other frame
    final_rows: int = 4096  # a frame this long is referenced by later merges, not joined again
    erase: bool = True  # rewrite a final frame for a single delete, when the merge makes the oldest run
    op_share: int = 0  # rewrite a final frame once operations on it reach 1/op_share of its rows; 0: never for that
    live_floor: float = 0.5  # a segment that falls below this live share has its live frames copied out
    hot_rows: int = 256  # directory rows in the hot object
    cold_growth: float = 3  # the cold log is rewritten when it would hold more than this many times the live rows
    max_refs: int = 16  # frame references in one directory row
    cover: int = 50  # messages the references of a row must cover
    batch: int = 100  # messages in a commit


def padme(size: int, floor: int) -> int:
    """PADMÉ: round up so that only the top bits of the length vary; at most 12 % more. Bytes in, bytes out."""
    if size <= floor:
        return floor
    exponent = size.bit_length() - 1
    low_bits = exponent - exponent.bit_length()
    mask = (1 << low_bits) - 1
    return (size + mask) & ~mask


def padme_array(sizes: Ints, floor: int) -> Ints:
    """:func:`padme` over an array (lengths below 2**48, so log2 in double precision is exact enough)."""
    n = np.maximum(sizes, 2)
    exponent = np.floor(np.log2(n)).astype(np.int64)
    low_bits = exponent - (np.floor(np.log2(np.maximum(exponent, 1))).astype(np.int64) + 1)
    mask = (np.int64(1) << np.maximum(low_bits, 0)) - 1
    padded: Ints = np.where(sizes <= floor, floor, (n + mask) & ~mask)
    return padded


def window(rows: Ints) -> Ints:
    """Bytes of compressed windows of ``rows`` messages each, interpolated in log(rows)."""
    b = np.interp(np.log2(np.maximum(rows, 1)), np.log2(WINDOW_ROWS), WINDOW_B)
    cost: Ints = np.ceil(WINDOW_FIXED + rows * b).astype(np.int64)
    return cost


def frame(rows: Ints, ops: Ints, merged: bool) -> Ints:
    """Bytes of sealed, padded message frames with ``rows`` messages and ``ops`` operations; merges compress harder."""
    plain = window(rows) + ops * OP_JOINED
    return padme_array((plain * LEVEL_9).astype(np.int64) + TAG if merged else plain + TAG, FRAME_FLOOR)


def op_frame(ops: Ints) -> Ints:
    """Bytes of sealed, padded frames holding only operations on older messages."""
    return padme_array(WINDOW_FIXED + ops * OP_ROW + TAG, FRAME_FLOOR)


def sealed(plain: int) -> int:
    """Bytes of one sealed, padded object around ``plain`` bytes."""
    return padme(OBJECT_HEADER + plain + TAG * max(1, math.ceil(plain / CHUNK)), OBJECT_FLOOR)


def batch_object(rows: Ints, ops: int) -> int:
    """Bytes of a sealed batch whose windows hold ``rows`` messages each (zeros allowed) and ``ops`` operations."""
    touched = rows[rows > 0]
    return sealed(SIGNATURE + int(window(touched).sum()) + TITLE * len(touched) + OP_ROW * ops)


def body_object(tail: int) -> int:
    """Bytes of a sealed head body with ``tail`` batches."""
    return sealed(BODY_FIXED + TAIL_REF * tail)


def root_object(runs: int) -> int:
    """Bytes of one copy of the sealed engine root."""
    return sealed(ROOT_FIXED + ROOT_RUN * runs)


def index_pages(entries: int) -> int:
    """Pages in the index of a run with ``entries`` frames."""
    return max(1, math.ceil(entries * INDEX_ENTRY / (INDEX_PAGE - TAG)))


def index_fence(entries: int, segments: int) -> int:
    """Bytes of the part of a run index that is read first: the pages' fence and the segment table."""
    return OBJECT_HEADER + TAG + INDEX_FENCE * index_pages(entries) + SEGMENT_ROW * segments


def index_object(entries: int, segments: int) -> int:
    """Bytes of one copy of a sealed run index."""
    pages = index_pages(entries)
    return padme(index_fence(entries, segments) + entries * INDEX_ENTRY + TAG * pages, OBJECT_FLOOR)
