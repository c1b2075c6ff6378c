"""A thousand strings that occur nowhere else, and a chat history that has one in every place a person could name."""

from __future__ import annotations

import json
import random
import string
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

COUNT = 1000
CHATS = 30
PEOPLE = 60
FILES = 10
LOGS = 5
TIME = 1_700_000_000_000


@dataclass(slots=True)
class Canaries:
    """Strings by the place they are put in."""

    seed: int
    places: dict[str, list[str]] = field(default_factory=dict)
    _random: random.Random = field(init=False)
    _made: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        self._random = random.Random(self.seed)

    def new(self, place: str) -> str:
        """One more. 20 characters; the tildes make base64 and its URL-safe variant differ at every alignment."""
        letters = [self._random.choice(string.ascii_letters + string.digits) for _ in range(17)]
        canary = "".join([*letters[:8], "~~~", *letters[8:]])
        if canary in self._made:
            raise RuntimeError("a canary came twice")
        self._made.add(canary)
        self.places.setdefault(place, []).append(canary)
        return canary

    def some(self, place: str, count: int) -> list[str]:
        return [self.new(place) for _ in range(count)]

    def all(self) -> set[str]:
        return set(self._made)


def plant(folder: Path, canaries: Canaries) -> None:
    """Write `folder/native/*.jsonl` and `folder/irc/*.txt`, and fill up to 998: two are for names of devices."""
    chats = [(canaries.new("conversation ids"), canaries.new("titles")) for _ in range(CHATS)]
    people = canaries.some("senders", PEOPLE)
    lines: list[list[str]] = [[] for _ in range(FILES)]
    for number, (chat, title) in enumerate(chats):
        target = lines[number % FILES]
        target.append(_line(type="conversation", conversation=chat, title=title, kind="group"))
        for at in range(12):
            person, moment = people[(12 * number + at) % PEOPLE], TIME + 100_000 * number + at
            target += _messages(canaries, chat, person, moment, full=(number + at) % 6 == 0)
    (folder / "native").mkdir(parents=True)
    for written in lines:
        name = f"{canaries.new('file names')}.jsonl"
        (folder / "native" / name).write_text("".join(f"{line}\n" for line in written))
    (folder / "irc").mkdir()
    for day in range(1, LOGS + 1):
        name = f"2020-01-{day:02} {canaries.new('file names')}.txt"
        nick, said = canaries.new("IRC nicks"), canaries.some("IRC lines", 4)
        log = [f"[10:0{at}] <{nick}> {text}" for at, text in enumerate(said)] + [f"=== {canaries.new('IRC lines')}"]
        (folder / "irc" / name).write_text("".join(f"{line}\n" for line in log))
    rest = [
        _line(type="message", conversation=chats[0][0], time=TIME + 9_000_000 + at, text=canaries.new("texts"))
        for at in range(COUNT - 2 - len(canaries.all()) - 1)
    ]
    (folder / "native" / f"{canaries.new('file names')}.jsonl").write_text("".join(f"{line}\n" for line in rest))


def _messages(canaries: Canaries, chat: str, person: str, moment: int, *, full: bool) -> Iterator[str]:
    common: dict[str, Any] = {"conversation": chat, "time": moment, "sender": person}
    if not full:
        yield _line(type="message", text=canaries.new("texts"), **common)
        return
    common["id"] = canaries.new("message ids")
    attachment = {"name": canaries.new("attachment names"), "mime": "image/jpeg", "path": canaries.new("paths")}
    reply = {"id": "1", "text": canaries.new("quoted texts")}
    yield _line(type="message", text=canaries.new("texts"), attachments=[attachment], reply=reply, **common)
    yield _line(type="edit", at=moment + 1, text=canaries.new("edits"), **common)
    yield _line(type="reaction", at=moment + 2, emoji=canaries.new("reactions"), **common)
    yield _line(type="nobody-knows", secret=canaries.new("raw records"), **common)


def _line(**fields: Any) -> str:
    return json.dumps(fields, ensure_ascii=False)
