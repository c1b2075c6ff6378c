"""What a search hands out."""

from __future__ import annotations

from dataclasses import dataclass

from strongroom.records import MessageRef


@dataclass(frozen=True, slots=True)
class Hit:
    """A message that was found. Times in ms since 1970.

    `snippet` is a part of what was searched, `marks` the places in it that matched (start, end; code points).
    `labels` say what the message has, as `has:` names it.
    """

    chat: str
    title: str
    id: str
    time: int
    sender: str | None
    sender_name: str | None
    labels: tuple[str, ...]
    snippet: str
    marks: tuple[tuple[int, int], ...]

    @property
    def ref(self) -> MessageRef:
        """What `Vault.message`, `around`, edit, delete and react take."""
        return MessageRef(self.chat, self.id, self.time)


@dataclass(frozen=True, slots=True)
class SearchPage:
    """Hits, newest first, and what they are worth.

    `following` goes into the next call as `before`; None: there are no more. `complete`: everything this device can
    know of was searched; else messages later than `back_to` (ms since 1970) all were, or `damaged` objects were left
    out. `rebuilt` says why an index that was there was begun anew.
    """

    hits: tuple[Hit, ...]
    following: str | None
    complete: bool
    back_to: int
    damaged: tuple[str, ...]
    rebuilt: str = ""


@dataclass(frozen=True, slots=True)
class IndexState:
    """How far an index is: messages that are filed, rows that are still to be looked at, and everything later than
    `back_to` (ms since 1970) is filed."""

    messages: int
    waiting: int
    back_to: int
    size: int  # bytes on disk
