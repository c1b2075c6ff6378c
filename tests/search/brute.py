"""What docs/search.md says, done the slow way: every message looked at, nothing of the product imported."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from datetime import UTC, datetime

GONE = (
    "\u0300-\u036f\u1ab0-\u1aff\u1dc0-\u1dff\u20d0-\u20ff\ufe20-\ufe2f"
    "\ufe00-\ufe0f\U000e0100-\U000e01ef\U0001f3fb-\U0001f3ff"
)
RUNS = (
    "\u0e00-\u0eff\u1000-\u109f\u1100-\u11ff\u1780-\u17ff\u2190-\u2bff\u3005-\u3007\u3040-\u318f\u31a0-\u31bf"
    "\u31f0-\u31ff\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7ff\uf900-\ufaff\U0001f000-\U0001faff\U00020000-\U0003ffff"
)
REMOVED, RUN = re.compile(f"[{GONE}]"), re.compile(f"[{RUNS}]")


def is_run(char: str) -> bool:
    return bool(RUN.match(char))


def is_word(char: str) -> bool:
    return not is_run(char) and unicodedata.category(char)[0] in "LNM"


def plain(text: str) -> str:
    """The five steps of "The plain form"."""
    text = unicodedata.normalize("NFKD", unicodedata.normalize("NFKC", text).casefold())
    text = "".join(char for char in REMOVED.sub("", text) if unicodedata.category(char) != "Cf")
    text = "".join(char if is_run(char) or is_word(char) else " " for char in text)
    return re.sub(" +", " ", unicodedata.normalize("NFC", text)).strip(" ")


def matches(text: str, part: str, *, quoted: bool) -> bool:
    """ "What matches" of one part; both in plain form."""
    for at in range(len(text) - len(part) + 1):
        if text[at : at + len(part)] != part:
            continue
        end = at + len(part)
        before = at > 0 and is_word(part[0]) and is_word(text[at - 1])
        after = quoted and end < len(text) and is_word(part[-1]) and is_word(text[end])
        if not before and not after:
            return True
    return False


@dataclass(frozen=True, slots=True)
class Said:
    """A message as a person knows it."""

    chat: str
    id: str
    time: int
    sender: str
    text: str
    has: frozenset[str] = frozenset()


def parts_of(query: str) -> list[tuple[bool, str, str, bool]]:
    """(negated, filter, value, quoted): split at white space, quotes kept together."""
    found: list[tuple[bool, str, str, bool]] = []
    rest = query.strip()
    while rest:
        minus = rest.startswith("-")
        body = rest[1:] if minus else rest
        name = ""
        told = re.match(r"([A-Za-z]+):", body)
        if told and body[told.end() :][:1].strip():  # without a value it is text
            name, body = told[1].lower(), body[told.end() :]
        if body.startswith('"'):
            value, _, rest = body[1:].partition('"')
            quoted = True
        else:
            end = re.search(r'[\s"]|$', body)
            assert end
            value, rest, quoted = body[: end.start()], body[end.start() :], False
        found.append((minus, name, value, quoted))
        rest = rest.strip()
    return found


def search(said: list[Said], query: str) -> list[tuple[str, str]]:
    """Chat and id of what is found, in order. Of filters `from:`, `in:` by id, `has:`, dates of a day."""
    chosen = []
    parts = parts_of(query)
    for item in said:
        text = plain(item.text)
        wanted: dict[str, list[bool]] = {}
        good = True
        for minus, name, value, quoted in parts:
            if name in ("from", "in", "before", "after", "has") and not minus:
                day = 0
                if name in ("before", "after"):
                    day = int(datetime.fromisoformat(value).replace(tzinfo=UTC).timestamp() * 1000)
                held = {
                    "from": lambda: item.sender == value or matches(plain(item.sender), plain(value), quoted=False),  # noqa: B023
                    "in": lambda: item.chat == value,  # noqa: B023
                    "before": lambda: item.time < day,  # noqa: B023
                    "after": lambda: item.time >= day,  # noqa: B023
                    "has": lambda: value in item.has,  # noqa: B023
                }[name]()
                wanted.setdefault(name, []).append(held)
                continue
            part = plain(f"{name}:{value}" if name else value)
            if part and matches(text, part, quoted=quoted) == minus:
                good = False
        for name, held_all in wanted.items():
            good = good and (any(held_all) if name in ("from", "in") else all(held_all))
        if good:
            chosen.append(item)
    chosen.sort(key=lambda item: (item.time, item.chat, said.index(item)), reverse=True)
    return [(item.chat, item.id) for item in chosen]
