"""Filing messages in an index and taking them out of it again (`store`)."""

from __future__ import annotations

import sqlite3
from array import array
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager

from strongroom.search.content import Found
from strongroom.search.folding import plain, terms
from strongroom.search.store import BUCKET_BITS, SHARD_BITS, SHARD_ROWS, chat_term, person_term
from strongroom_protocol.rows.model import TIME_MAX

_UPSERT = """INSERT INTO post VALUES(?, ?, ?)
ON CONFLICT(shard, term) DO UPDATE SET docs = CAST(docs || excluded.docs AS BLOB)"""


class Writer:
    """Changes to an index, within `change`."""

    def __init__(self, database: sqlite3.Connection) -> None:
        self.database = database
        self._load()

    def _load(self) -> None:
        query = self.database.execute
        self._chats: dict[str, int] = dict(query("SELECT conversation, chat FROM chat"))
        self._people = {row[1:]: row[0] for row in query("SELECT person, chat, sender, name FROM person")}
        self._open: dict[int, tuple[int, int]] = {}
        (self._seen,) = query("PRAGMA data_version").fetchone()

    @contextmanager
    def change(self) -> Iterator[None]:
        """A transaction: all of it or nothing is there afterwards."""
        if self.database.execute("PRAGMA data_version").fetchone()[0] != self._seen:
            self._load()  # another connection has changed something, such as `forget`
        try:
            with self.database:
                yield
        except BaseException:
            self._load()
            raise

    def chat(self, conversation: str) -> int:
        """The number of a conversation."""
        if conversation not in self._chats:
            added = self.database.execute("INSERT INTO chat(conversation) VALUES(?)", (conversation,)).lastrowid or 0
            self._chats[conversation] = added
        return self._chats[conversation]

    def get(self, name: str) -> bytes | None:
        row = self.database.execute("SELECT value FROM meta WHERE name = ?", (name,)).fetchone()
        return None if row is None else row[0]

    def put(self, name: str, value: bytes | int) -> None:
        self.database.execute("INSERT OR REPLACE INTO meta VALUES(?, ?)", (name, value))

    def between(self, chat: int, first: int, last: int) -> dict[int, Found]:
        """What is filed of a conversation from `first` to `last` (ms), by document."""
        return {
            doc: Found(*values)
            for doc, *values in self.database.execute(
                "SELECT doc, time, place, id, sender, name, labels, text FROM message JOIN person USING(person) "
                "WHERE message.chat = ? AND time BETWEEN ? AND ?", (chat, first, last),
            )
        }  # fmt: skip

    def add(self, messages: Sequence[tuple[int, Found]]) -> None:
        """File messages, each with the number of its conversation."""
        posts: dict[int, dict[str, array[int]]] = {}
        times: dict[int, array[int]] = {}
        rows = []
        for chat, found in messages:
            shard, local = self._next(found.time >> BUCKET_BITS)
            person = self._person(chat, found.sender, found.name)
            lists = posts.setdefault(shard, {})
            for term in filed(chat, person, found.labels, found.text):
                if term in lists:
                    lists[term].append(local)
                else:
                    lists[term] = array("H", (local,))
            times.setdefault(shard, array("q")).append(found.time)
            rows.append(
                (shard << SHARD_BITS | local, chat, found.time, found.place, person, found.labels, found.id, found.text)
            )
        self.database.executemany("INSERT INTO message VALUES(?, ?, ?, ?, ?, ?, ?, ?)", rows)
        for shard, lists in posts.items():
            changes = ((shard, term, docs.tobytes()) for term, docs in sorted(lists.items()))
            self.database.executemany(_UPSERT, changes)
        self.database.executemany(
            "UPDATE shard SET used = used + ?, times = CAST(times || ? AS BLOB) WHERE shard = ?",
            ((len(added), added.tobytes(), shard) for shard, added in times.items()),
        )

    def remove(self, docs: Iterable[int]) -> int:
        """Take messages out, of every list they are in; how many."""
        gone: defaultdict[tuple[int, str], set[int]] = defaultdict(set)
        count = 0
        for doc in docs:
            shard, local = doc >> SHARD_BITS, doc & SHARD_ROWS - 1
            row = self.database.execute(
                "SELECT chat, person, labels, text FROM message WHERE doc = ?", (doc,)
            ).fetchone()
            for term in filed(*row):
                gone[shard, term].add(local)
            self.database.execute("DELETE FROM message WHERE doc = ?", (doc,))
            count += 1
        for (shard, term), locals_ in sorted(gone.items()):
            (blob,) = self.database.execute(
                "SELECT docs FROM post WHERE shard = ? AND term = ?", (shard, term)
            ).fetchone()
            left = array("H", (local for local in array("H", blob) if local not in locals_))
            if left:
                change = (left.tobytes(), shard, term)
                self.database.execute("UPDATE post SET docs = ? WHERE shard = ? AND term = ?", change)
            else:
                self.database.execute("DELETE FROM post WHERE shard = ? AND term = ?", (shard, term))
        return count

    def forget(self, conversation: str, until: int, *, names: bool) -> bool:
        """Take out a conversation's messages up to a time (ms), with `names` its title and members too; whether any."""
        chat = self.chat(conversation)
        query = self.database.execute
        removed = self.remove(
            doc for (doc,) in query("SELECT doc FROM message WHERE chat = ? AND time <= ?", (chat, until)).fetchall()
        )
        if names:
            query("DELETE FROM member WHERE chat = ?", (chat,))
            query(
                "DELETE FROM person WHERE chat = ? AND person NOT IN (SELECT person FROM message WHERE chat = ?)",
                (chat, chat),
            )
        if names and until == TIME_MAX:
            query("DELETE FROM chat WHERE chat = ?", (chat,))
        self._load()
        return removed > 0 or names

    def clean(self) -> bool:
        """Write the file anew: nothing of what was taken out is left in unused places of pages or in the log.

        False when somebody who reads kept the log in use.
        """
        self.database.execute("VACUUM")
        (busy, _, _) = self.database.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
        return not busy

    def _person(self, chat: int, sender: str, name: str) -> int:
        key = (chat, sender, name)
        if key not in self._people:
            added = self.database.execute("INSERT INTO person(chat, sender, name) VALUES(?, ?, ?)", key).lastrowid or 0
            self._people[key] = added
        return int(self._people[key])

    def _next(self, bucket: int) -> tuple[int, int]:
        """A shard of this stretch of time that has room, and the next number in it."""
        shard, used = self._open.get(bucket) or self._shard(bucket)
        if used == SHARD_ROWS:
            shard, used = self._new(bucket), 0
        self._open[bucket] = (shard, used + 1)
        return shard, used

    def _shard(self, bucket: int) -> tuple[int, int]:
        query = "SELECT shard, used FROM shard WHERE bucket = ? ORDER BY shard DESC LIMIT 1"
        row = self.database.execute(query, (bucket,)).fetchone()
        return (self._new(bucket), 0) if row is None else (row[0], row[1])

    def _new(self, bucket: int) -> int:
        insert = "INSERT INTO shard(bucket, used, times) VALUES(?, 0, x'')"
        return self.database.execute(insert, (bucket,)).lastrowid or 0


def filed(chat: int, person: int, labels: int, text: str) -> set[str]:
    """All terms a message is filed under."""
    found = terms(plain(text))
    found |= {chat_term(chat), person_term(person)}
    bit = 0
    while labels >> bit:
        if labels >> bit & 1:
            found.add(f" h{bit}")
        bit += 1
    return found
