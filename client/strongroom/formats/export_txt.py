"""Export to plain text: what a person reads in any editor, prints, or hands on (docs/formats.md).

A message begins at the margin with its time; whatever else belongs to it is set in. Further lines of what somebody
wrote begin with `|`, what the export says with a word of its own. So no text can pass for the beginning of another
message, nor for what the export says about one.
"""

from __future__ import annotations

import os
import re
import shutil
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from datetime import date, tzinfo
from pathlib import Path

from strongroom.formats.export_json import Chat, Files, chat_file
from strongroom.formats.placing import placed
from strongroom.formats.readable import People, Shown, shown
from strongroom.formats.readable_parts import ShownFile
from strongroom.formats.visible import one_line
from strongroom_protocol.rows.model import Op, Row

INDEX = "index.txt"
MARK = "Chats exported by Strongroom as plain text"
_OURS = re.compile(r"index\.txt|chats|files|chats/[a-z0-9-]+\.txt|files/[0-9a-f]{64}(\.[a-z0-9]{1,12})?")
_IN, _MORE = " " * 10, " " * 8 + "| "
_UNCLEAR = re.compile(
    r"^[*\[|\u2217\u204e\u2502\u2758\u2223\uff0a\uff3b\uff5c\ufe61]|[:\u02d0\u02f8\u0589\u05c3\u2236\ua789\ufe13\ufe55\uff1a](?=\s|$)"
)
"""The marks of this export in a name, and what looks like them."""
_DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
_HOW = """\
A line that begins with a time begins a message. Further lines of what was written begin with "|"; every other line
that is set in is said by this export. \\u and four digits stand for a character that cannot be seen."""


def export_txt(target: Path, chats: Iterable[Chat], files: Files, *, zone: tzinfo, zone_name: str) -> dict[str, int]:
    """Write a text for every chat under `target`, and a list of them. Returns the counts. Raises as `placed`."""
    counts: Counter[str] = Counter()
    lines: list[str] = []
    with placed(target, _is_ours) as new:
        for chat in chats:
            title = title_of(chat)
            name = chat_file(chat.conversation, title, "txt")
            count, span = _write(new / name, chat, title, lambda row: files(row, new), zone, zone_name)
            counts["message"] += count
            lines.append(f"{count:>9,}  {span or '-':24}  {title}\n{'':37}{name}")
        head = f"{MARK}\n\n{'messages':>9}  {'from and to':24}  chat and file\n\n"
        with (new / INDEX).open("x", encoding="utf-8", newline="\n") as file:
            file.write(head + "\n".join(lines) + "\n")
            _settle(file.fileno(), file.flush)
    return dict(counts)


def title_of(chat: Chat) -> str:
    """The title that holds now, else the chat's id."""
    titles = [row.text for row in chat.facts if row.op == Op.CONVERSATION and row.text]
    return one_line(titles[-1] if titles else chat.conversation)


def weekday(day: str) -> str:
    """The name of an ISO date's day."""
    return _DAYS[date.fromisoformat(day).weekday()]


def _settle(handle: int, flush: Callable[[], None]) -> None:
    """Bring a file to the disk: the folder is renamed next, and must not be whole before what is in it is."""
    flush()
    os.fsync(handle)


def _write(
    path: Path, chat: Chat, title: str, files: Callable[[Row], Row], zone: tzinfo, zone_name: str
) -> tuple[int, str]:
    """The text of a chat: its messages go to a file beside it first, because the head says how many there are."""
    people = People.of(chat.facts)
    first = day = ""
    count = 0
    body = path.with_suffix(".part")
    with body.open("x", encoding="utf-8", newline="\n") as file:
        for message in chat.messages:
            item = shown(message, people, zone, files)
            if item.day != day:
                day, first = item.day, first or item.day
                file.write(f"\n--- {day} {weekday(day)} ---\n")
            file.writelines(f"{line}\n" for line in _lines(item))
            count += 1
    span = f"{first} to {day}" if count else ""
    head = [
        title, "=" * min(max(len(title), 3), 80), f"Messages  {count:,}", f"Span      {span or 'none'}",
        f"Times     {zone_name}, or as the source had them", "Files     by their path in the folder above this text's",
        "", _HOW,
    ]  # fmt: skip
    with path.open("x", encoding="utf-8", newline="\n") as file, body.open(encoding="utf-8", newline="\n") as rest:
        file.writelines(f"{line}\n" for line in head)
        shutil.copyfileobj(rest, file)
        file.write(f"\n--- end: {count:,} messages ---\n")
        _settle(file.fileno(), file.flush)
    body.unlink()
    return count, span


def _lines(item: Shown) -> Iterator[str]:
    said = f"{item.clock:8}  {_saying(item)}"
    if item.deleted and not (item.text or item.files or item.notes):
        yield f"{item.clock:8}  [{item.deleted}]"
    else:
        yield from _words(f"{said}{' ' if item.text else ''}", item.text)
        if item.deleted:
            yield f"{_IN}{item.deleted}"
    if item.edited:
        yield f"{_IN}{item.edited}"
    for before in item.earlier:
        yield from _words(f"{_IN}before: ", before)
    if item.reply is not None:
        who = f"{_name(item.reply.who) or 'somebody'}"
        yield f"{_IN}in answer to {who}: {item.reply.text}".rstrip()
    for note in item.notes:
        yield f"{_IN}{note.label}: {note.words}".rstrip()
    for file in item.files:
        yield f"{_IN}{_file(file)}"
        if file.caption:
            yield f"{_IN}caption: {file.caption}"
    for face in item.reactions:
        names = ", ".join(_name(name) for name in face.names)
        yield f"{_IN}reaction: {face.emoji} " + (
            names if len(face.names) == face.count else f"{face.count:,} {names}".rstrip()
        )


def _saying(item: Shown) -> str:
    """Who says it: a name that looks like the export's own words has its odd characters written out."""
    if item.event:
        return f"* {_name(item.who)}:" if item.who else "*"
    return f"{_name(item.who) or '?'}:"


def _name(name: str) -> str:
    return _UNCLEAR.sub(lambda found: f"\\u{ord(found[0]):04x}", name)


def _words(before: str, text: str) -> Iterator[str]:
    first, *rest = text.split("\n")
    yield f"{before}{first}".rstrip()
    yield from (f"{_MORE}{line}".rstrip() for line in rest)  # spec: EXP-4


def _file(file: ShownFile) -> str:
    about = f" ({', '.join(filter(None, (file.about, file.state)))})" if file.about or file.state else ""
    path = f" {file.path}" if file.path else ""
    words = " ".join(filter(None, (file.name, file.reason)))
    return f"{file.role}{path}{about}{f': {words}' if words else ''}"


def _is_ours(folder: Path) -> bool:
    try:
        with (folder / INDEX).open(encoding="utf-8") as file:
            if file.readline().rstrip("\n") != MARK:
                return False
    except (OSError, ValueError):
        return False
    return all(_OURS.fullmatch(path.relative_to(folder).as_posix()) for path in folder.rglob("*"))
