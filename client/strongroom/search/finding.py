"""Answering a query from the index: shards from the newest on, as far as a page needs (docs/search.md)."""

from __future__ import annotations

import json
import sqlite3
from array import array
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

from strongroom.search.content import LABELS
from strongroom.search.folding import TERM_CHARACTERS, is_run, pieces, places, plain, terms
from strongroom.search.query import Query, Term
from strongroom.search.records import Hit
from strongroom.search.snippets import snippet
from strongroom.search.store import BUCKET_BITS, SHARD_BITS, chat_term, label_term, person_term
from strongroom_protocol.errors import NotFound

Key = tuple[int, str, int]
"""The order of hits: time, conversation, place among the messages of that time."""

ROWS_AT_ONCE = 256

_ONE = "SELECT docs FROM post WHERE shard = ? AND term = ?"
_PREFIX = "SELECT docs FROM post WHERE shard = ? AND term >= ? AND term < ?"
_EXACT = "SELECT docs FROM post WHERE shard = ? AND term IN (SELECT value FROM json_each(?))"
_ROWS = """SELECT time, conversation, place, message.id, sender, name, labels, text, title
FROM message JOIN chat USING(chat) JOIN person USING(person) WHERE doc IN (SELECT value FROM json_each(?))"""


@dataclass(frozen=True, slots=True)
class Lists:
    """What a term says about lists: all of `exact`, and some list that begins with `prefix`.

    `sure`: whoever is in these lists matches, so the text need not be looked at.
    """

    exact: tuple[str, ...]
    prefix: str
    sure: bool

    @classmethod
    def of(cls, term: Term) -> Lists:
        """The lists of a plain form."""
        *before, last = pieces(term.plain)
        exact = {found for piece in before for found in _inner(piece)}
        if is_run(last[0]):
            if len(last) == 1:
                return cls(tuple(sorted(exact)), last, sure=not before)
            exact.update(map(str.__add__, last, last[1:]))
            return cls(tuple(sorted(exact)), "", sure=not before and len(last) == 2)
        cut = last[:TERM_CHARACTERS]
        sure = not before and cut == last and len(last) < TERM_CHARACTERS
        if term.whole:
            return cls(tuple(sorted({*exact, cut})), "", sure)
        return cls(tuple(sorted(exact)), cut, sure)


def _inner(piece: str) -> Iterable[str]:
    """Terms of a piece that another follows. Of a run at the beginning only the neighbours: it may go on before it."""
    return terms(piece) if is_run(piece[0]) else (piece[:TERM_CHARACTERS],)


@dataclass(slots=True)
class Finder:
    """A query over an open index."""

    database: sqlite3.Connection
    query: Query

    def page(self, limit: int, before: Key | None) -> tuple[list[Hit], Key | None]:
        """The newest `limit` hits that come after `before` in the order of hits, and where the next page goes on.

        Raises NotFound when `in:` names no chat.
        """
        found = list(islice(self._hits(before), limit + 1))
        following = found[limit - 1][0] if len(found) > limit else None
        return [hit for _, hit in found[:limit]], following

    def _hits(self, before: Key | None) -> Iterator[tuple[Key, Hit]]:
        query, database = self.query, self.database
        lists = [Lists.of(term) for term in query.terms]
        exact = {term for found in lists for term in found.exact} | {label_term(label) for label in query.labels}
        prefixes = sorted({found.prefix for found in lists if found.prefix}, key=len, reverse=True)
        choices = [choice for choice in (self._chats(), self._people()) if choice is not None]
        without = [Lists.of(term) for term in query.without]
        unsure = [term for term, found in zip(query.terms, lists, strict=True) if not found.sure]
        doubtful = [term for term, found in zip(query.without, without, strict=True) if not found.sure]
        last = query.until - 1 if before is None else min(query.until - 1, before[0])
        buckets = database.execute(
            "SELECT DISTINCT bucket FROM shard WHERE bucket BETWEEN ? AND ? ORDER BY bucket DESC",
            (query.first >> BUCKET_BITS, last >> BUCKET_BITS),
        ).fetchall()
        for (bucket,) in buckets:
            docs: list[tuple[int, int]] = []
            for (shard,) in database.execute("SELECT shard FROM shard WHERE bucket = ?", (bucket,)).fetchall():
                hits = self._in_shard(shard, exact, prefixes, choices)
                for found in without if hits else ():
                    if found.sure and hits is not None:
                        hits -= (
                            self._in_shard(shard, set(found.exact), [found.prefix] if found.prefix else [], []) or set()
                        )
                if hits:
                    times = self._times(shard)
                    base = shard << SHARD_BITS
                    docs += [(times[at], base | at) for at in hits if query.first <= times[at] <= last]
            docs.sort(reverse=True)
            yield from self._shown(docs, unsure, doubtful, before)

    def _in_shard(
        self, shard: int, exact: set[str], prefixes: Sequence[str], choices: Sequence[Sequence[str]]
    ) -> set[int] | None:
        """The numbers of messages in a shard that are in all these lists."""
        found: list[set[int]] = []
        if exact:
            rows = self.database.execute(_EXACT, (shard, json.dumps(sorted(exact)))).fetchall()
            if len(rows) < len(exact):
                return None
            found = [set(array("H", docs)) for (docs,) in sorted(rows, key=lambda row: len(row[0]))]
        for names in choices:
            union: set[int] = set()
            for name in names:
                union.update(*self._docs(_ONE, shard, name))
            found.append(union)
        for prefix in prefixes:
            if found and not found[0]:
                return None
            union = set()
            union.update(*self._docs(_PREFIX, shard, prefix, prefix + "\U0010ffff"))
            found.append(union)
        if not found:
            return self._every(shard)
        found.sort(key=len)
        return set.intersection(*found)

    def _docs(self, query: str, *values: int | str) -> Iterator[array[int]]:
        return (array("H", docs) for (docs,) in self.database.execute(query, values))

    def _every(self, shard: int) -> set[int]:
        query = "SELECT doc FROM message WHERE doc BETWEEN ? AND ?"
        first = shard << SHARD_BITS
        mask = (1 << SHARD_BITS) - 1
        return {doc & mask for (doc,) in self.database.execute(query, (first, first | mask))}

    def _times(self, shard: int) -> array[int]:
        (blob,) = self.database.execute("SELECT times FROM shard WHERE shard = ?", (shard,)).fetchone()
        return array("q", blob)

    def _shown(
        self, docs: list[tuple[int, int]], unsure: Sequence[Term], doubtful: Sequence[Term], before: Key | None
    ) -> Iterator[tuple[Key, Hit]]:
        """Hits of documents that come newest first, in the order of hits; what was only likely is looked at."""
        start, size = 0, 32
        while start < len(docs):
            end = min(start + size, len(docs))
            while end < len(docs) and docs[end][0] == docs[end - 1][0]:
                end += 1  # messages of one time are put into order together
            chosen = "[" + ",".join(str(doc) for _, doc in docs[start:end]) + "]"
            for row in sorted(self.database.execute(_ROWS, (chosen,)), key=lambda row: row[:3], reverse=True):
                key = row[:3]
                if (before is None or key < before) and _matches(row[7], unsure, doubtful):
                    yield key, self._hit(row)
            start, size = end, ROWS_AT_ONCE

    def _hit(self, row: tuple[int, str, int, str, str, str, int, str, str]) -> Hit:
        time, conversation, _, ident, sender, name, labels, text, title = row
        shown, marks = snippet(text, self.query.terms)
        found = tuple(label for bit, label in enumerate(LABELS) if labels >> bit & 1)
        if not name:
            query = "SELECT name FROM member JOIN chat USING(chat) WHERE conversation = ? AND sender = ? LIMIT 1"
            known = self.database.execute(query, (conversation, sender)).fetchone()
            name = known[0] if known else ""
        return Hit(conversation, title, ident, time, sender or None, name or None, found, shown, marks)

    def _chats(self) -> list[str] | None:
        """The lists of the chats that `in:` names, by id or by words of their title."""
        if not self.query.chats:
            return None
        rows = self.database.execute("SELECT chat, conversation, title FROM chat").fetchall()
        found = []
        for wanted in self.query.chats:
            here = [chat for chat, conversation, _ in rows if conversation == wanted]
            here = here or [chat for chat, _, title in rows if _has_text(title, wanted)]
            if not here:
                raise NotFound(
                    f"no chat is called {wanted!r}", hint="list them with `strongroom chats`, then use the id"
                )
            found += here
        return [chat_term(chat) for chat in found]

    def _people(self) -> list[str] | None:
        """The lists of the senders that `from:` names, by id or by words of a name they have or had."""
        if not self.query.people:
            return None
        named: dict[tuple[int, str], list[str]] = {}
        for chat, sender, name in self.database.execute("SELECT chat, sender, name FROM member"):
            named.setdefault((chat, sender), []).append(name)
        return [
            person_term(person)
            for person, chat, sender, name in self.database.execute("SELECT person, chat, sender, name FROM person")
            if any(
                sender == wanted
                or any(_has_text(text, wanted) for text in (sender, name, *named.get((chat, sender), ())))
                for wanted in self.query.people
            )
        ]


def _matches(text: str, unsure: Sequence[Term], doubtful: Sequence[Term]) -> bool:
    if not unsure and not doubtful:
        return True
    plained = plain(text)
    return all(_has(plained, term) for term in unsure) and not any(_has(plained, term) for term in doubtful)


def _has(plained: str, term: Term) -> bool:
    return next(places(plained, term.plain, whole=term.whole), None) is not None


def _has_text(text: str, wanted: str) -> bool:
    found = plain(wanted)
    return bool(found) and _has(plain(text), Term(found))
