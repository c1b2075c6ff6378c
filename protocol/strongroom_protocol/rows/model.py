"""The row: the one carrier of everything that is stored about a conversation (spec chapter 06).

A row is an operation on one conversation. Its columns are what almost every row has; whatever else the message
model knows lies in `detail`, a map with integer keys (`rows/detail.py`). Rows never name another conversation,
so no compression window spans two of them.
"""

from __future__ import annotations

from enum import IntEnum, IntFlag
from typing import Any, NamedTuple

Detail = dict[int, Any]
"""The rest of a row: keys are those of `rows/detail.py`; unknown keys are kept."""

TIME_MAX = 2**48 - 1  # milliseconds
SEQ_MAX = 2**63 - 1
HLC_MAX = 2**63 - 1  # the year 6429: differences of two clocks stay within 64 bits
VERSION_MAX = 2**53 - 1
INDEX_MAX = 2**32 - 1
BYTE_MAX = 255


class Op(IntEnum):
    """What a row does."""

    PUT = 0  # a message
    EDIT = 1  # a complete new version of a message
    DELETE = 2  # a tombstone; `kind` is a DeleteKind
    REACT = 3  # `sender` adds (kind 1) or removes (kind 0) the emoji in `text`
    CONVERSATION = 4  # `text` is the title, `kind` a ConversationKind; valid from `time`
    MEMBER = 5  # `sender` is the person, `text` the display name; valid from `time`
    SOURCE = 6  # where rows came from; `text` is the file name
    FORGET = 7  # all up to `time` is gone for good; `kind` is a ForgetKind


class Kind(IntEnum):
    """Kinds of messages. An unknown number is kept and shown as UNSUPPORTED."""

    TEXT = 0
    MEDIA = 1
    STICKER = 2
    CONTACT = 3
    LOCATION = 4
    POLL = 5
    CALL = 6
    LINK = 7
    PAYMENT = 8
    GAME = 9
    POKE = 10
    INVITATION = 11
    STORY = 12
    SYSTEM = 13
    ACTION = 14  # "/me waves"
    BOT = 15
    FORWARDED = 16  # nested messages, forwarded as one
    UNSUPPORTED = 17  # a record nobody understood, verbatim in `raw`


class ConversationKind(IntEnum):
    """Kinds of conversations."""

    UNKNOWN = 0
    DIRECT = 1
    GROUP = 2
    CHANNEL = 3
    SUPERGROUP = 4
    BROADCAST = 5
    SAVED = 6
    BOT = 7
    THREAD = 8
    COMMUNITY = 9


class DeleteKind(IntEnum):
    """Why a message is gone. ERASE removes the content; the others record what the platform did."""

    ERASE = 0
    BY_SENDER = 1
    BY_ADMIN = 2
    EXPIRED = 3


class ForgetKind(IntEnum):
    """What of a conversation a FORGET row takes out, up to its time."""

    MESSAGES = 0  # messages with their edits, deletions, reactions and files
    FILES = 1  # the bytes of files; messages stay and say that there was one
    ALL = 2  # messages, titles, members and sources


class Flag(IntFlag):
    """What is known of a row's time and direction; one byte."""

    SECONDS = 1  # the time is exact to the second
    MINUTES = 2  # … to the minute
    DAYS = 3  # … to the day (SECONDS and MINUTES together); neither bit: to the millisecond
    ZONE_UNKNOWN = 4  # the source gave a local time without a zone: it was read as UTC or as the import option says
    INHERITED = 8  # the source gave no time: that of the record before it
    INCOMING = 16
    OUTGOING = 32
    EDITED = 64  # the source says "edited" and does not keep the earlier versions


class Origin(NamedTuple):
    """Who wrote a row, and its place in the total order of operations: tuples compare as the spec orders."""

    hlc: int  # hybrid logical clock: unix ms * 2**16 + counter
    device: bytes  # 16 bytes
    batch: int  # the device's batch sequence
    position: int  # within the batch


UNSTAMPED = Origin(0, bytes(16), 0, 0)
"""The origin of a row that no device has committed yet."""


class Row(NamedTuple):
    """One operation on one conversation."""

    op: int
    time: int  # ms since 1970; of EDIT, DELETE and REACT the time of the message they change
    seq: int = 0  # order within the conversation where the source has one, e.g. a line number
    id: str | None = None  # the platform's message id; None: derived from the content (`ids.content_id`)
    sender: str | None = None
    kind: int = 0
    text: str | None = None
    raw: bytes | None = None  # the verbatim source record
    flags: int = 0
    ordinal: int = 0  # of a derived id: number among messages equal in sender, time, kind and text
    detail: Detail | None = None
    origin: Origin = UNSTAMPED
