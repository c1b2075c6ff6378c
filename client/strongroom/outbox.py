"""What an app appended and no accepted head carries yet, durable on this device (spec section 13.9).

Rows wait as bare frames, sealed under a key of this device alone. An entry leaves only in the transaction that stores
the pin of the head that carries it (`State.put`), so no crash loses a message or forgets that it was sent.
"""

from __future__ import annotations

import secrets
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from nacl.exceptions import CryptoError
from nacl.secret import SecretBox

from strongroom.engine.rows import joined
from strongroom.state import State
from strongroom_protocol.errors import InvalidArgument, UntrustedDataError
from strongroom_protocol.rows.frame import Codec, decode_frame, encode_frame
from strongroom_protocol.rows.ids import conversation_key
from strongroom_protocol.rows.media_refs import check_writable, part_refs
from strongroom_protocol.rows.model import Origin
from strongroom_protocol.rows.table import Frame

ENTRY_ROWS = 4_096
"""Rows in one entry: a frame's worth, so that taking one never needs much memory."""

COMMIT_ROWS = 65_536
"""Rows that one commit carries at most."""

WAITING_ROWS = 200_000
WAITING_BYTES = 256 * 1024 * 1024
"""What may wait before `append` does not take more."""

_KEY = "local-key"


@dataclass(slots=True)
class Taken:
    """The oldest entries: number of the last, rows, frames by conversation key."""

    last: int = 0
    rows: int = 0
    conversations: dict[bytes, Frame] = field(default_factory=dict)


class Outbox:
    """The outbox of one device. `changed` is called whenever something was added."""

    def __init__(self, state: State) -> None:
        self._state = state
        self.folder = state.folder / "outbox"
        """Where sealed parts of files wait."""
        self.staging = 0
        """Files that are being sealed into it, and that no entry names yet."""
        self.changed: Callable[[], None] = lambda: None
        key = state.get(_KEY)
        if key is None:
            key = secrets.token_bytes(SecretBox.KEY_SIZE)
            state.put({_KEY: key})
        self._box = SecretBox(key)

    def add(self, frames: Sequence[Frame]) -> int:
        """Store rows, durably and all together; the number of the last entry.

        Raises InvalidArgument for rows that no reader would accept, and then nothing is stored; StorageFull.
        """
        entries: list[tuple[int, bytes]] = []
        for frame in frames:
            for start in range(0, len(frame), ENTRY_ROWS):
                part = frame.slice(start, start + ENTRY_ROWS)
                entries.append((len(part), self._box.encrypt(_encoded(part))))
        last = self._state.add_entries(entries)
        self.changed()
        return last

    def take(self, *, rows: int = COMMIT_ROWS) -> Taken:
        """The oldest entries, together at most `rows` rows but at least one entry. Nothing is removed.

        What does not open is set aside, still on disk, and counted by `damaged`.
        """
        taken = Taken()
        grouped: defaultdict[bytes, list[Frame]] = defaultdict(list)
        for number, count, sealed in self._state.entries():
            if taken.rows and taken.rows + count > rows:
                break
            try:
                framed = self._box.decrypt(sealed)
                # Positions count up over all entries: two edits of one message keep the order they were made in.
                frame = decode_frame(framed, base=Origin(0, bytes(16), 0, taken.rows))
            except (CryptoError, UntrustedDataError):  # spec: CLIENT-33
                self._state.set_aside(number)
                continue
            grouped[conversation_key(frame.conversation)].append(frame)
            taken.last, taken.rows = number, taken.rows + count
        taken.conversations = {key: joined(frames) for key, frames in grouped.items()}
        return taken

    def staged(self) -> set[bytes]:
        """The media parts that waiting rows name."""
        return {
            part.name
            for frame in self.take(rows=WAITING_ROWS * 2).conversations.values()
            for detail in frame.detail
            for part in part_refs(detail)
        }

    def waiting(self) -> tuple[int, int]:
        """Rows and bytes that wait."""
        _, rows, size = self._state.waiting()
        return rows, size

    def since(self) -> int:
        """When the oldest row that waits was appended (ms), 0 when none waits."""
        return self._state.since()

    def damaged(self) -> int:
        """Entries that do not open any more."""
        return self._state.aside()

    @property
    def full(self) -> bool:
        rows, size = self.waiting()
        return rows >= WAITING_ROWS or size >= WAITING_BYTES


def _encoded(frame: Frame) -> bytes:
    """A bare frame that every reader accepts: what could not be read again is never taken over from the app."""
    framed = encode_frame(frame.conversation, frame, codec=Codec.STORED, bare=True)  # it waits for moments only
    try:
        decode_frame(framed, base=Origin(0, bytes(16), 0, 0))
        for detail in filter(None, frame.detail):
            check_writable(detail)
    except UntrustedDataError as error:
        raise InvalidArgument(f"a message cannot be stored: {error}", hint="nothing was appended") from error
    return framed
