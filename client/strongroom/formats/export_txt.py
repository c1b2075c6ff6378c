"""Export to plain text: what a person reads in any editor, prints, or hands on (docs/formats.md).

A message begins at the margin with its time; whatever else belongs to it is set in. So no text can pass for the
beginning of another message.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from datetime import tzinfo
from pathlib import Path

from strongroom.formats.export_json import Chat, Files, chat_file
from strongroom.formats.placing import placed
from strongroom.formats.readable import People, Shown, shown, visible
from strongroom_protocol.rows.merge import Message
from strongroom_protocol.rows.model import Op, Row

INDEX = "index.txt"
MARK = "Chats exported by Strongroom as plain text"
_OURS = re.compile(r"index\.txt|chats|files|chats/[a-z0-9-]+\.txt|files/[0-9a-f]{64}(\.[a-z0-9]{1,12})?")
_IN = " " * 10


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
            lines.append(f"{count:>9,}  {span:23}  {title}\n{'':36}{name}")
        head = f"{MARK}\n\n{'messages':>9}  {'from and to':23}  chat and file\n\n"
        (new / INDEX).write_text(head + "\n".join(lines) + "\n", encoding="utf-8")
    return dict(counts)


def title_of(chat: Chat) -> str:
    """The title that holds now, else the chat's id."""
    facts = list(chat.facts)
    titles = [row.text for row in facts if row.op == Op.CONVERSATION and row.text]
    return visible(titles[-1] if titles else chat.conversation).replace("\n", " ")


def _write(
    path: Path, chat: Chat, title: str, files: Callable[[Row], Row], zone: tzinfo, zone_name: str
) -> tuple[int, str]:
    people = People.of(chat.facts)
    first = day = ""
    count = 0
    with path.open("x", encoding="utf-8", errors="backslashreplace", newline="\n") as file:
        file.write(f"{title}\n{'=' * min(max(len(title), 3), 80)}\nTimes are {zone_name}, or as the source had them.\n")
        for message in chat.messages:
            item = shown(message, people, zone, files)
            if item.day != day:
                day, first = item.day, first or item.day
                file.write(f"\n--- {day} ---\n")
            file.writelines(f"{line}\n" for line in _lines(item, message, people))
            count += 1
        span = f"{first} to {day}" if count else ""
        file.write(f"\n{count:,} messages{f', {span}' if span else ''}\n")
    return count, span


def _lines(item: Shown, message: Message, people: People) -> Iterator[str]:
    if item.deleted and not item.text and not item.files:
        yield f"{item.clock:8}  [{item.deleted}]"
    else:
        marks = "".join(f" [{mark}]" for mark in (("edited" if item.edited else ""), item.deleted) if mark)
        first, *rest = (item.text or ("" if item.files or item.notes else "(no text)")).split("\n")
        said = f"* {first}" if item.event else f"{item.who or '?'}: {first}"
        yield f"{item.clock:8}  {said}{marks if not rest else ''}".rstrip()
        yield from (f"{_IN}{line}" for line in rest)  # spec: EXP-4
        if rest and marks:
            yield f"{_IN}{marks.strip()}"
    if item.reply is not None:
        yield f"{_IN}in answer to {item.reply[0] or 'somebody'}: {item.reply[1]}".rstrip(": ")
    yield from (f"{_IN}[{note}]" for note in item.notes)
    for file in item.files:
        yield f"{_IN}[{file.role}: {file.name}{f', {file.path}' if file.path else f', {file.state}'}]"
        if file.caption:
            yield f"{_IN}{file.caption}"
    for emoji, names in item.reactions:
        known = ", ".join(filter(None, names))
        yield f"{_IN}{emoji} {known or len(names)}"
    for row in message.versions[:-1]:
        first, *rest = f"[earlier: {visible(row.text or '')}]".split("\n")
        yield f"{_IN}{first}"
        yield from (f"{_IN} {line}" for line in rest)


def _is_ours(folder: Path) -> bool:
    try:
        with (folder / INDEX).open(encoding="utf-8") as file:
            if file.readline().rstrip("\n") != MARK:
                return False
    except (OSError, ValueError):
        return False
    return all(_OURS.fullmatch(path.relative_to(folder).as_posix()) for path in folder.rglob("*"))
