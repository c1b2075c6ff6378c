"""Keeping the index up to date: pieces of the newest version are filed in slices, newest first (ADR 0018)."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping, Sequence
from contextlib import closing
from hashlib import sha256
from itertools import chain
from pathlib import Path

from strongroom.engine.snapshot import Snapshot
from strongroom.search import store
from strongroom.search.content import Found, content
from strongroom.search.work import Piece, Read
from strongroom.search.writing import Writer
from strongroom_protocol.engine.directory import DirectoryRow
from strongroom_protocol.errors import StorageFull
from strongroom_protocol.rows.forget import Forgotten
from strongroom_protocol.rows.merge import Order, fold
from strongroom_protocol.rows.model import TIME_MAX, Op
from strongroom_protocol.rows.table import Frame, sort_key
from strongroom_protocol.wire import cbor

_IDENTITY, _THROUGH, _BACK, _REMNANTS = "identity", "through", "back-to", "remnants"


def identity(snapshot: Snapshot, device: bytes) -> bytes:
    """Which history an index is of. Undo and a new identity of the device make it another: then it is begun anew."""
    parts = [[item.device, item.first, item.last] for item in snapshot.discards]
    return sha256(cbor.encode([snapshot.source.account, device, parts])).digest()


class Index:
    """The index of a vault folder, open for filing. Every method is one transaction, or none."""

    def __init__(self, folder: Path, ident: bytes) -> None:
        """Open or begin it; `begun` says why one that was there is begun anew. Raises sqlite3.Error (a full disk)."""
        self.begun = ""
        self._gone: dict[str, int] = {}  # conversation to the time up to which its messages are forgotten
        try:
            self._writer = Writer(store.connect(folder, create=True))
            if self._writer.get(_IDENTITY) not in (None, ident):
                self.begun = "the history was changed by an undo, or this device has a new identity"
        except (sqlite3.DatabaseError, ValueError, TypeError) as error:
            if store.is_of_disk(error):
                raise
            self.begun = "the index on this device was damaged, or of another version"
        if self.begun:
            self._anew(folder)
        if self._writer.get(_IDENTITY) is None:
            with self._writer.change():
                self._writer.put(_IDENTITY, ident)
                self._writer.put(_BACK, TIME_MAX)

    def _anew(self, folder: Path) -> None:
        if hasattr(self, "_writer"):
            self._writer.database.close()
        store.remove(folder)
        self._writer = Writer(store.connect(folder, create=True))

    def identity(self) -> bytes | None:
        """Which history it is of."""
        return self._writer.get(_IDENTITY)

    def done(self) -> set[bytes]:
        """Names of the pieces that are filed."""
        return {name for (name,) in self._writer.database.execute("SELECT piece FROM done")}

    def back_to(self) -> int:
        """Messages later than this (ms) are filed; 0: all are."""
        return int(self._writer.get(_BACK) or 0)

    def messages(self) -> int:
        """How many messages are filed."""
        return int(self._writer.database.execute("SELECT count(*) FROM message").fetchone()[0])

    def name_chats(self, rows: Sequence[DirectoryRow], latest: int, *, every: bool) -> None:
        """Take over titles, and take out what was forgotten. `every`: a conversation that is not among them is gone.

        `latest`: what says that it forgets up to a later time (ms) counts for nothing.
        """
        removed = False
        with self._writer.change():
            known = dict(self._writer.database.execute("SELECT conversation, title FROM chat"))
            for row in rows:
                if known.pop(row.conversation, None) != row.title:
                    chat = self._writer.chat(row.conversation)
                    self._writer.database.execute("UPDATE chat SET title = ? WHERE chat = ?", (row.title, chat))
                gone = Forgotten.of(row.forgets, latest)
                if gone.messages > self._gone.get(row.conversation, -1):
                    self._gone[row.conversation] = gone.messages
                    names = gone.facts >= gone.messages
                    removed |= self._writer.forget(row.conversation, gone.messages, names=names)
            for conversation in known if every else ():
                removed |= self._writer.forget(conversation, TIME_MAX, names=True)
            if removed:
                self._writer.put(_REMNANTS, 1)

    @property
    def has_remnants(self) -> bool:
        """Whether something was taken out of which unused places of the file may still hold a word."""
        return bool(self._writer.get(_REMNANTS))

    def clean(self) -> None:
        """Write the file anew, without any remnant. About half a second for each 100 MB."""
        if self._writer.clean():
            with self._writer.change():
                self._writer.put(_REMNANTS, 0)

    def file(self, pieces: Sequence[Piece], read: Sequence[Read | None], order: Order, back_to: int) -> None:
        """File what was read; what is filed and has not changed stays. Then all messages later than `back_to` are."""
        through = self._through()
        with self._writer.change():
            added: list[tuple[int, Found]] = []
            for found in read:
                if found is not None and not _known(found, through):
                    self._file(found, order, added)
            self._writer.add(added)
            filed = {piece.name for piece, found in zip(pieces, read, strict=True) if found is not None and found.whole}
            names = ((name,) for name in filed if name)
            self._writer.database.executemany("INSERT OR IGNORE INTO done VALUES(?)", names)
            self._writer.put(_BACK, back_to)

    def complete(self, names: set[bytes], sequences: Mapping[bytes, int] | None) -> None:
        """All pieces of a version, these, are filed; nothing of it was damaged when `sequences` of devices are given.

        Rows of these batches are known then, whatever frames later merges write them into.
        """
        with self._writer.change():
            gone = [(name,) for name in self.done() - names]
            self._writer.database.executemany("DELETE FROM done WHERE piece = ?", gone)
            self._writer.put(_BACK, 0)
            if sequences is not None:
                self._writer.put(_THROUGH, cbor.encode(dict(sequences)))

    def close(self) -> None:
        self._writer.database.close()

    def _through(self) -> dict[bytes, int]:
        stored = self._writer.get(_THROUGH)
        return {} if stored is None else cbor.decode(stored, subject="index")

    def _file(self, read: Read, order: Order, added: list[tuple[int, Found]]) -> None:
        """Bring what is filed of the times of a piece to what the rows say; what is new goes to `added`."""
        writer, frame = self._writer, read.frame
        if frame is None:
            return
        chat = writer.chat(frame.conversation)
        for op, sender, name in zip(frame.op, frame.sender, frame.text, strict=True):
            if op == Op.MEMBER and sender and name:
                writer.database.execute("INSERT OR IGNORE INTO member VALUES(?, ?, ?)", (chat, sender, name))
        times = {time for time, op in zip(frame.time, frame.op, strict=True) if op <= Op.REACT}
        if not times:
            return
        wanted = _messages(frame, read.others, times, order)
        if read.piece.ref is not None:
            filed = writer.between(chat, min(times), max(times))
        else:
            filed = {doc: found for time in times for doc, found in writer.between(chat, time, time).items()}
        stale = {doc: found for doc, found in filed.items() if found.time in times and found not in wanted}
        if stale:
            writer.remove(stale)
            if not {(found.time, found.id) for found in stale.values()} <= {(found.time, found.id) for found in wanted}:
                writer.put(_REMNANTS, 1)  # a message is gone: not merely edited, its earlier text still in the vault
        wanted.difference_update(filed.values(), (found for of, found in added if of == chat))
        added += [(chat, found) for found in sorted(wanted)]


def _known(read: Read, through: Mapping[bytes, int]) -> bool:
    """Whether all rows of a frame came with batches that are filed."""
    frame = read.frame
    if read.piece.ref is None or frame is None:
        return False
    return all(batch <= through.get(device, 0) for device, batch in {*zip(frame.device, frame.batch, strict=True)})


def _messages(frame: Frame, others: Sequence[Frame], times: set[int], order: Order) -> set[Found]:
    """The messages of these times, as all rows of those times leave them."""
    every = chain(frame.rows(), *map(Frame.rows, others))
    rows = [row for row in every if row.time in times and row.op <= Op.REACT]
    if others:
        rows.sort(key=sort_key)
    found: set[Found] = set()
    place, time = 0, -1
    for message in fold(frame.conversation, rows, order):
        place, time = (place + 1, time) if message.time == time else (0, message.time)
        item = content(message, place)
        if item is not None:
            found.add(item)
    return found


def stored_back_to(folder: Path) -> int:
    """How far back the index in a vault folder was when it was last written to (ms)."""
    with closing(store.connect(folder)) as database:
        return int(Writer(database).get(_BACK) or 0)


def forget(folder: Path, chat: str, *, until: int | None = None) -> bool:
    """Take a conversation, or its messages up to a time (ms), out of the index in a vault folder, so that nothing of it
    is left in the file; whether it was there.

    An index that cannot be read is deleted: it is made again from what the vault holds then.
    """
    if not (folder / store.NAME).exists():
        return False
    try:
        with store.checked(), closing(store.connect(folder)) as database:
            writer = Writer(database)
            if database.execute("SELECT 1 FROM chat WHERE conversation = ?", (chat,)).fetchone() is None:
                return False
            with writer.change():
                writer.forget(chat, TIME_MAX if until is None else until, names=until is None)
                writer.put(_REMNANTS, 1)
            if writer.clean():  # else whoever reads now keeps the log: the next search does it
                with writer.change():
                    writer.put(_REMNANTS, 0)
            return True
    except (sqlite3.DatabaseError, StorageFull):
        return store.remove(folder)
