"""What a person types into a search, read: words, phrases, filters (docs/search.md). No text can be a wrong query but
for a filter whose value says nothing."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime

from strongroom.search.content import LABELS
from strongroom.search.folding import plain
from strongroom_protocol.errors import InvalidArgument
from strongroom_protocol.rows.model import TIME_MAX

QUERY_CHARACTERS = 1_000
QUERY_TERMS = 32

_PART = re.compile(r'(?P<minus>-?)(?:(?P<name>[A-Za-z]+):)?(?:"(?P<quoted>[^"]*)"?|(?P<bare>[^\s"]+))')
_DATE = re.compile(r"\d{4}(-\d\d(-\d\d)?)?")
_FILTERS = ("from", "in", "before", "after", "has")


@dataclass(frozen=True, slots=True)
class Term:
    """A plain form to be found in the plain form of a text; `whole`: to the end of its last word."""

    plain: str
    whole: bool = False


@dataclass(frozen=True, slots=True)
class Query:
    """All of `terms` and `labels`, none of `without`, one of `people`, of `chats`; `first` <= time < `until` (ms)."""

    terms: tuple[Term, ...] = ()
    without: tuple[Term, ...] = ()
    people: tuple[str, ...] = ()
    chats: tuple[str, ...] = ()
    labels: frozenset[str] = frozenset()
    first: int = 0
    until: int = TIME_MAX + 1

    @classmethod
    def read(cls, text: str) -> Query:
        """Raises InvalidArgument when it is too long, asks for nothing, or a filter's value means nothing."""
        if len(text) > QUERY_CHARACTERS:
            raise InvalidArgument(f"a search is at most {QUERY_CHARACTERS:,} characters long")
        terms: list[Term] = []
        without: list[Term] = []
        values: dict[str, list[str]] = {name: [] for name in _FILTERS}
        for minus, name, value, quoted in _parts(text):
            if name in values and not minus:
                values[name].append(value)
            elif found := plain(value if name is None else f"{name}:{value}"):
                (without if minus else terms).append(Term(found, quoted))
        if len(terms) + len(without) > QUERY_TERMS:
            raise InvalidArgument(f"a search has at most {QUERY_TERMS} words and phrases")
        if not terms and not without and not any(values.values()):
            raise InvalidArgument("nothing to search for", hint='give a word, a "phrase" or a filter such as from:anna')
        return cls(
            tuple(terms), tuple(without), tuple(values["from"]), tuple(values["in"]),
            frozenset(map(_label, values["has"])),
            max((_time("after", value) for value in values["after"]), default=0),
            min((_time("before", value) for value in values["before"]), default=TIME_MAX + 1),
        )  # fmt: skip


def _parts(text: str) -> Iterator[tuple[bool, str | None, str, bool]]:
    """Of each part: whether it is negated, the name before its colon, its value, whether that stood in quotes."""
    for part in _PART.finditer(text):
        quoted = part["quoted"] is not None
        name = part["name"]
        yield bool(part["minus"]), name.lower() if name else None, part["quoted"] if quoted else part["bare"], quoted


def _label(value: str) -> str:
    label = value.lower()
    if label not in LABELS:
        raise InvalidArgument(f"has: knows no {label!r}", hint="one of " + ", ".join(LABELS))
    return label


def _time(name: str, value: str) -> int:
    """Milliseconds since 1970 of an ISO date or time; UTC unless it says otherwise. A month or year means its start."""
    try:
        whole = value + "-01-01"[len(value) - 4 :] if _DATE.fullmatch(value) else value
        moment = datetime.fromisoformat(whole)
        moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
        return min(max(0, int(moment.timestamp() * 1000)), TIME_MAX)
    except (ValueError, OverflowError) as error:
        raise InvalidArgument(
            f"{name}: takes a date", hint="such as 2021-03-01, 2021-03 or 2021-03-01T18:30Z"
        ) from error
