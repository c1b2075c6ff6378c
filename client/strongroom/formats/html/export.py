"""Writing the pages: one for every chat, which holds all of it, and a list of them; in memory of one message."""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import date, tzinfo
from pathlib import Path

from strongroom.formats.export_json import Chat, Files, chat_file
from strongroom.formats.export_txt import title_of, weekday
from strongroom.formats.html.markup import avatar, message
from strongroom.formats.html.media import placed_file, settle_names
from strongroom.formats.html.page import MARK, closing, opening
from strongroom.formats.html.words import text
from strongroom.formats.placing import placed
from strongroom.formats.readable import People, Shown, shown
from strongroom_protocol.rows.model import Row

INDEX = "index.html"
SECTION = 200
"""Messages that a browser lays out together, when they come into view."""
_OURS = re.compile(r"index\.html|chats|files|chats/[a-z0-9-]+\.html|files/[0-9a-f]{64}(\.[a-z0-9]{1,12}){0,2}")
_MONTHS = (
    "January", "February", "March", "April", "May", "June", "July", "August", "September", "October", "November",
    "December",
)  # fmt: skip
_LATER = "A time this export cannot name"
_PREVIEW = 120


@dataclass(frozen=True, slots=True)
class _Listed:
    title: str
    file: str
    count: int
    first: str
    last: str
    newest: str


def export_html(target: Path, chats: Iterable[Chat], files: Files, *, zone: tzinfo, zone_name: str) -> dict[str, int]:
    """Write a page for every chat under `target`, and `index.html`. Returns the counts. Raises as `placed`."""
    counts: Counter[str] = Counter()
    listed: list[_Listed] = []
    with placed(target, _is_ours) as new:
        for chat in chats:
            listed.append(_write(new, chat, lambda row: files(row, new), zone, zone_name))
            counts["message"] += listed[-1].count
        settle_names(new / "files")
        _put(new / INDEX, _index(listed))
    return dict(counts)


def _write(new: Path, chat: Chat, files: Callable[[Row], Row], zone: tzinfo, zone_name: str) -> _Listed:
    title = title_of(chat)
    name = chat_file(chat.conversation, title, "html")
    people = People.of(chat.facts)
    seen = _Seen(new)

    def pieces() -> Iterator[str]:
        yield opening(title, kind="chat")
        times = f"Times are {text(zone_name)}, or as the source had them"
        yield (
            f'<header><a class="home" href="../{INDEX}" aria-label="All chats">&#8249;</a>{avatar(title)}'
            f'<h1 dir="auto">{text(title)}</h1><search><input id="find" type="search" placeholder="Search this chat" '
            'aria-label="Search this chat" autocomplete="off"><input id="day" type="date" aria-label="Go to a day">'
            '<a class="button" href="#end">Newest</a><button id="theme" type="button">Light or dark</button></search>'
            f'<p id="said" role="status" data-all="{times}">{times}</p></header>\n<main>\n'
        )
        for found in chat.messages:
            yield from seen.message(shown(found, people, zone, files))
        yield f"{'</section>' if seen.count else '<p>No messages.</p>'}\n"
        yield f'<p id="end">The end: {seen.count:,} messages.</p>\n</main>\n{closing()}'

    _put(new / name, pieces())
    return _Listed(title, name, seen.count, seen.first, seen.day, seen.newest)


class _Seen:
    """The messages of a page as they pass: their days, and who spoke last."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._who = ""
        self._here = 0
        self.count = 0
        self.first = self.day = self.newest = ""

    def message(self, item: Shown) -> Iterator[str]:
        """The markup of the next one."""
        if item.day != self.day or self._here == SECTION:
            more = "" if item.day != self.day else ' class="more"'
            yield f'{"</section>" if self.day else ""}<section{more} data-d="{text(item.day)}">'
            if item.day != self.day:
                yield f"<h2>{text(_day(item.day))}</h2>\n"
                self._who = ""
            self.day, self.first, self._here = item.day, self.first or item.day, 0
        grouped = bool(item.who) and item.who == self._who and not item.event
        yield from message(item, [placed_file(file, self._folder) for file in item.files], grouped=grouped)
        yield "\n"
        self._who = "" if item.event else item.who
        self._here += 1
        self.count += 1
        words = item.text or item.deleted or " ".join([file.role for file in item.files] or [
            note.words for note in item.notes
        ])  # fmt: skip
        self.newest = f"{item.who}: {words}"[:_PREVIEW] if item.who else words[:_PREVIEW]


def _day(day: str) -> str:
    if day == "9999-12-31":
        return _LATER
    found = date.fromisoformat(day)
    return f"{weekday(day)}, {found.day} {_MONTHS[found.month - 1]} {found.year}"


def _put(path: Path, pieces: Iterable[str]) -> None:
    """Write a file and bring it to the disk: the folder is renamed next, and must not be whole before what is in it."""
    with path.open("x", encoding="utf-8", newline="\n") as file:
        file.writelines(pieces)
        file.flush()
        os.fsync(file.fileno())


def _index(listed: list[_Listed]) -> Iterator[str]:
    said = f"{len(listed):,} chat{'' if len(listed) == 1 else 's'}"
    yield opening("Chats", kind="index")
    yield (
        '<header><h1>Chats</h1><search><input id="find" type="search" placeholder="Search titles" '
        'aria-label="Search titles" autocomplete="off"><button id="theme" type="button">Light or dark</button></search>'
        f'<p id="said" role="status" data-all="{said}">{said}</p></header>\n<main>\n<ul class="chats">\n'
    )
    for chat in sorted(listed, key=lambda chat: (chat.last, chat.count), reverse=True):
        span = "" if not chat.count else chat.last if chat.first == chat.last else f"{chat.first} to {chat.last}"
        yield (
            f'<li><a href="{text(chat.file)}">{avatar(chat.title)}<span class="what">'
            f'<b><bdi>{text(chat.title)}</bdi></b><span class="newest"><bdi>{text(chat.newest)}</bdi></span></span>'
            f'<span class="span">{text(span)}<br>{chat.count:,} message{"" if chat.count == 1 else "s"}</span>'
            "</a></li>\n"
        )
    yield f"</ul>\n</main>\n{closing()}"


def _is_ours(folder: Path) -> bool:
    try:
        with (folder / INDEX).open(encoding="utf-8") as file:
            if MARK not in file.read(2048):
                return False
    except (OSError, ValueError):
        return False
    return all(_OURS.fullmatch(path.relative_to(folder).as_posix()) for path in folder.rglob("*"))
