"""Frames: rows of one conversation, compressed on their own and framed (spec chapter 07).

A framed frame is one byte codec, the plaintext's length (32 bits, big-endian), and the payload. No compressor
state ever spans two frames.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import IntEnum

from strongroom_protocol.errors import Failure, InvalidArgument, UntrustedDataError
from strongroom_protocol.limits import LIMITS, Limits
from strongroom_protocol.rows.compression import LEVEL, deflate, inflate
from strongroom_protocol.rows.layout import SUBJECT, decode_plain, encode_plain
from strongroom_protocol.rows.model import Origin, Row
from strongroom_protocol.rows.table import Frame

__all__ = ["Codec", "Frame", "decode_frame", "encode_frame"]

HEADER = 5  # bytes


class Codec(IntEnum):
    """How the payload is compressed."""

    STORED = 0
    ZSTD = 1
    ZSTD_DICTIONARY_1 = 2


def encode_frame(
    conversation_id: str,
    rows: Frame | Sequence[Row],
    *,
    codec: Codec = Codec.ZSTD_DICTIONARY_1,
    bare: bool = False,
    level: int = LEVEL,
) -> bytes:
    """The framed bytes of rows, sorted first where they are not; stored where compression gains nothing.

    `bare` leaves out the origins: those of a batch's rows follow from the batch, see `decode_frame`.
    Raises InvalidArgument for no rows, two rows of one origin and place, or a text that is not Unicode.
    """
    frame = rows if isinstance(rows, Frame) else Frame.from_rows(conversation_id, rows)
    if frame.conversation != conversation_id:
        raise InvalidArgument("the frame is of another conversation")
    plain = encode_plain(frame.sorted(), bare=bare)
    trained = codec is Codec.ZSTD_DICTIONARY_1
    payload = plain if codec is Codec.STORED else deflate(plain, dictionary=trained, level=level)
    if len(payload) >= len(plain):
        codec, payload = Codec.STORED, plain
    return bytes((codec,)) + len(plain).to_bytes(4, "big") + payload


def decode_frame(framed: bytes, *, base: Origin | None = None, limits: Limits = LIMITS) -> Frame:
    """The rows of a framed frame, in frame order; never more memory than the declared length and its columns.

    `base` is for a frame inside a batch: the batch's clock, device and sequence, and the number of rows in the
    frames before this one. Without it the frame states its rows' origins.

    Raises UntrustedDataError: FRAME, LIMIT, COMPRESSION, ENCODING, SCHEMA, NEWER_FORMAT.
    """
    if len(framed) <= HEADER:  # spec: FRAME-20
        raise UntrustedDataError(Failure.FRAME, "frame is cut short", subject=SUBJECT)
    codec, length = framed[0], int.from_bytes(framed[1:HEADER], "big")
    if length > limits.frame_ratio_bytes:  # spec: FRAME-21
        raise UntrustedDataError(Failure.LIMIT, "frame declares more than the limit", subject=SUBJECT)
    if codec > max(Codec):  # spec: FRAME-22
        raise UntrustedDataError(Failure.FRAME, "unknown codec", subject=SUBJECT)
    payload = framed[HEADER:]
    if codec != Codec.STORED:
        payload = inflate(payload, length, dictionary=codec == Codec.ZSTD_DICTIONARY_1)
    if len(payload) != length:  # spec: FRAME-23
        raise UntrustedDataError(Failure.COMPRESSION, "length is not the declared one", subject=SUBJECT)
    return decode_plain(payload, base=base, limits=limits)
