"""Writing the pages: one for every chat, which holds all of it, and a list of them; in memory of one message."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from datetime import tzinfo
from pathlib import Path

from strongroom.formats.export_json import Chat, Files, chat_file
from strongroom.formats.export_txt import title_of
from strongroom.formats.html.markup import message, safe_suffix, text
from strongroom.formats.html.page import MARK, closing, opening
from strongroom.formats.placing import placed
from strongroom.formats.readable import People, Shown, shown
from strongroom_protocol.rows.model import Row

INDEX = "index.html"
_OURS = re.compile(r"index\.html|chats|files|chats/[a-z0-9-]+\.html|files/[0-9a-f]{64}(\.[a-z0-9]{1,12}){0,2}")
_TOOLS = (
    '<input id="find" type="search" placeholder="Search" aria-label="Search" autocomplete="off">{day}'
    '<button id="theme" type="button">Light or dark</button>'
)
_DAY = '<input id="day" type="date" aria-label="Go to a day">'


@dataclass(frozen=True, slots=True)
class _Listed:
    title: str
    file: str
    count: int
    first: str
    last: str


def export_html(target: Path, chats: Iterable[Chat], files: Files, *, zone: tzinfo, zone_name: str) -> dict[str, int]:
    """Write a page for every chat under `target`, and `index.html`. Returns the counts. Raises as `placed`."""
    counts: Counter[str] = Counter()
    listed: list[_Listed] = []
    with placed(target, _is_ours) as new:
        for chat in chats:
            listed.append(_write(new, chat, lambda row: files(row, new), zone, zone_name))
            counts["message"] += listed[-1].count
        _inert(new / "files")
        (new / INDEX).write_text(_index(listed), encoding="utf-8")
    return dict(counts)


def _write(new: Path, chat: Chat, files: Callable[[Row], Row], zone: tzinfo, zone_name: str) -> _Listed:
    title = title_of(chat)
    name = chat_file(chat.conversation, title, "html")
    people = People.of(chat.facts)
    first = day = who = ""
    count = 0
    with (new / name).open("x", encoding="utf-8", errors="backslashreplace", newline="\n") as file:
        file.write(opening(title, kind="chat"))
        file.write(
            f'<header><a class="home" href="../{INDEX}" aria-label="All chats">&#8249;</a>'
            f'<h1 dir="auto">{text(title)}</h1>'
            f'{_TOOLS.format(day=_DAY)}<p id="said" role="status" data-all="Times are {text(zone_name)}">'
            f"Times are {text(zone_name)}</p></header>\n<main>\n"
        )
        for found in chat.messages:
            item = _inert_files(shown(found, people, zone, files))
            if item.day != day:
                file.write(
                    f'{"</section>" if day else ""}<section data-d="{text(item.day)}"><h2>{text(item.day)}</h2>\n'
                )
                day, first, who = item.day, first or item.day, ""
            file.writelines(message(item, grouped=item.who == who and bool(who) and not item.event))
            file.write("\n")
            who = "" if item.event else item.who
            count += 1
        file.write(f"{'</section>' if day else '<p>No messages.</p>'}\n</main>\n{closing()}")
    return _Listed(title, name, count, first, day)


def _inert_files(item: Shown) -> Shown:
    """The message with files under names that no browser runs."""
    if not any(file.path for file in item.files):
        return item
    return replace(
        item, files=[replace(file, path=safe_suffix(file.path)) if file.path else file for file in item.files]
    )


def _inert(folder: Path) -> None:
    """Give the files the names that the pages call them by."""
    if folder.is_dir():
        for path in list(folder.iterdir()):
            inert = path.with_name(safe_suffix(path.name))
            if inert != path:
                path.rename(inert)


def _index(listed: list[_Listed]) -> str:
    lines = [
        f'<li><a href="{text(chat.file)}"><b dir="auto">{text(chat.title)}</b>'
        f"<span>{chat.count:,} messages<br>{text(f'{chat.first} to {chat.last}' if chat.count else '')}</span></a></li>"
        for chat in sorted(listed, key=lambda chat: (chat.last, chat.count), reverse=True)
    ]
    return (
        f"{opening('Chats', kind='index')}<header><h1>Chats</h1>{_TOOLS.format(day='')}"
        f'<p id="said" role="status" data-all="">{len(listed):,} chats</p></header>\n<main>\n<ul class="chats">\n'
        + "\n".join(lines)
        + f"\n</ul>\n</main>\n{closing()}"
    )


def _is_ours(folder: Path) -> bool:
    try:
        with (folder / INDEX).open(encoding="utf-8") as file:
            if MARK not in file.read(2048):
                return False
    except (OSError, ValueError):
        return False
    return all(_OURS.fullmatch(path.relative_to(folder).as_posix()) for path in folder.rglob("*"))
