"""What the SDK hands out: messages, attachments, how things stand. All are values; nothing here talks to a relay."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from strongroom_protocol.rows.detail import ATTACHMENTS, SENDER_NAME
from strongroom_protocol.rows.merge import Message
from strongroom_protocol.rows.model import Detail, Row

if TYPE_CHECKING:
    from strongroom.engine.audit import Audit
    from strongroom.formats.base import ImportReport


@dataclass(frozen=True, slots=True)
class MessageRef:
    """Which message: chat id, message id, the message's time (ms). Enough to edit, delete or react to it."""

    chat: str
    id: str
    time: int


@dataclass(frozen=True, slots=True)
class Attachment:
    """A file of a message. `state` is "present", or why the bytes are not here (with `reason`, the source's words)."""

    chat: str
    name: str | None
    mime: str | None
    role: str | None
    size: int | None  # bytes
    sha256: bytes | None
    state: str
    reason: str | None
    raw: Detail = field(repr=False)

    @classmethod
    def of(cls, chat: str, raw: Detail) -> Attachment:
        """From the map of a row (`rows.detail.ATTACHMENT`)."""
        state = raw.get(7) or ("present" if 22 in raw else "not_downloaded")
        return cls(
            chat, raw.get(4), raw.get(3) or raw.get(17), raw.get(6), raw.get(2), raw.get(1), state, raw.get(8), raw
        )


@dataclass(frozen=True, slots=True)
class ChatMessage:
    """A message as all its edits, reactions and deletions leave it. Times in ms since 1970.

    `text` and the rest are those of the newest version; `versions` are all, oldest first. A deleted message whose
    content the platform kept has both. `pending`: on this device only, until a commit carries it.
    """

    chat: str
    id: str
    time: int
    sender: str | None
    sender_name: str | None
    kind: int
    text: str | None
    attachments: tuple[Attachment, ...]
    reactions: tuple[tuple[str, str], ...]  # person, emoji
    edited: bool
    deleted: bool
    pending: bool
    versions: tuple[Row, ...] = field(repr=False)

    @property
    def ref(self) -> MessageRef:
        """What edit, delete and react take."""
        return MessageRef(self.chat, self.id, self.time)

    @classmethod
    def of(cls, chat: str, message: Message) -> ChatMessage:
        """From a merged message of the protocol."""
        row = message.current
        detail: dict[int, Any] = (row.detail if row else None) or {}
        rows = (*message.versions, *message.reactions, *((message.deletion,) if message.deletion else ()))
        return cls(
            chat=chat, id=message.id, time=message.time, sender=row.sender if row else None,
            sender_name=detail.get(SENDER_NAME), kind=int(row.kind) if row else 0, text=row.text if row else None,
            attachments=tuple(Attachment.of(chat, raw) for raw in detail.get(ATTACHMENTS, ())),
            reactions=tuple((item.sender or "", item.text or "") for item in message.reactions),
            edited=len(message.versions) > 1, deleted=message.deletion is not None,
            pending=any(item.origin.batch == PENDING for item in rows), versions=message.versions,
        )  # fmt: skip


@dataclass(frozen=True, slots=True)
class Update:
    """What other devices did since the update before: up to head `version`, in `chats` (ids).

    `messages` are those that are new, edited, deleted or reacted to, as they are now, by chat and time. Where it was
    too much to tell one by one, as after an import, `complete` is false: read again what you show. Then `chats` are
    those whose line in the chat list is another, and old messages may have changed in others too.
    """

    version: int
    chats: tuple[str, ...]
    messages: tuple[ChatMessage, ...]
    complete: bool = True


PENDING = 0
"""Batch number of rows that wait in the outbox: no committed batch has it."""


Step = Literal["import", "restore", "verify", "export", "upload", "keep"]


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a long step is. `total` is None where it is not known; `unit` says of what.

    `back_to`, of a restore: messages later than this (ms since 1970) are all here; 0: all messages are.
    """

    step: Step
    done: int
    total: int | None
    unit: Literal["bytes", "records"]
    back_to: int | None = None


OnProgress = Callable[[Progress], None]


def measured(step: Step, progress: OnProgress | None) -> Callable[[int, int, int | None], None] | None:
    """What reports (bytes done, bytes in all, how far back) as progress of a step."""
    if progress is None:
        return None
    return lambda done, total, back_to: progress(Progress(step, done, total, "bytes", back_to))


def counted(step: Step, total: int | None, progress: OnProgress) -> Callable[[int], None]:
    """What reports bytes done as progress of a step."""
    return lambda done: progress(Progress(step, done, total, "bytes"))


@dataclass(frozen=True, slots=True)
class ImportResult:
    """What an import did: records written by operation, messages that were there already, commits, what was read, and
    messages kept out because they were erased with their chat or with all that was as old."""

    written: dict[str, int]
    known: int
    commits: int
    report: ImportReport
    kept_out: int = 0


@dataclass(frozen=True, slots=True)
class DeviceInfo:
    """A device of the keyring: id (hex), name, whether it is this one, when it was added (ms since 1970, if known)."""

    id: str
    name: str
    this: bool
    added: int | None = None


@dataclass(frozen=True, slots=True)
class SlotInfo:
    """What opens an account: key (hex, names the slot), kind in words, label, whether this unlock used it."""

    key: str
    kind: str
    label: str
    this: bool


@dataclass(frozen=True, slots=True)
class KeyEventInfo:
    """A change of keys: version of the keyring, time (ms since 1970), what happened and by what authority, device (id
    in hex, and name) concerned."""

    version: int
    time: int
    what: str
    device: str
    name: str


@dataclass(frozen=True, slots=True)
class VersionInfo:
    """A version of the history: when (ms since 1970) and by which device (id in hex and name; empty: by none of the
    account) it was committed, its records in all (None: it is not kept any more, or cannot be read), and whether an
    undo has taken out what it brought."""

    version: int
    time: int
    device: str
    name: str
    rows: int | None
    undone: bool


@dataclass(frozen=True, slots=True)
class Status:
    """How things stand. Times in ms since 1970, sizes in bytes.

    The freshness receipt: everything that this account's devices committed up to `saved` is at the relay, which signed
    for it at `accepted`, its time (`version`); from there `age_ms` counts, and no relay can make it smaller. `asked` is
    when the relay last answered, this device's time; 0: not known. `freshness` says how it is known that nothing newer
    is hidden: `pinned` (this device goes on from its own commits), `unproven`, `anchor of DATE`, `witnessed at DATE`;
    `alarm` is what the witness contradicts. `fresh` is false when the relay could not be asked now; then `chats` and
    what follows may be 0.
    `unread`: objects of that version that could not be read just now; then nothing of it is called safe.
    `waiting` rows are on this device only, the oldest since `waiting_since`, and `problem` says why if saving them
    fails; `waiting_damaged` entries of them cannot be read. When neither is and `unread` is 0, everything that was
    appended here is safe.
    """

    account: str
    name: str
    relay: str
    device: str
    writable: bool
    version: int
    keyring_version: int
    epoch: int
    saved: int
    accepted: int
    age_ms: int
    asked: int
    freshness: str
    alarm: str
    chats: int
    rows: int
    runs: int
    tail: int
    stored: int
    cap: int
    objects: int
    devices: tuple[DeviceInfo, ...]
    fresh: bool
    waiting: int
    waiting_since: int
    waiting_damaged: int
    problem: str
    unread: int = 0


@dataclass(frozen=True, slots=True)
class Restored:
    """What a restore brought: the audit, and whether an earlier version had to stand in for a damaged newest one."""

    audit: Audit
    version: int
    fallback: bool
