"""The rows of one export: every chat is a conversation; what belongs to none is kept in one of its own."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, BinaryIO
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from strongroom.formats.base import (
    Imported,
    ImportOptions,
    ImportReport,
    Opener,
    Ordinals,
    SourceFile,
    examine,
    name_of,
)
from strongroom.formats.telegram.fields import Fields, ident
from strongroom.formats.telegram.heads import HEAD, Head, heads, short
from strongroom.formats.telegram.message import rows_of
from strongroom.formats.telegram.opening import files, is_export, opened
from strongroom.formats.telegram.walking import Broken, Walker
from strongroom_protocol.errors import ImportRefused
from strongroom_protocol.rows.model import Flag, Kind, Op, Row

VERSION = "telegram/1"
ACCOUNT = "telegram:account"
_OPTIONS = frozenset(("chat", "zone"))
_UNTIMED = int(Flag.DAYS | Flag.INHERITED)


class Telegram:
    """Importer of Telegram Desktop's JSON: one chat or all of them, a file, its folder, or a zip of that."""

    name = "telegram"

    def sniff(self, path: Path, head: bytes) -> bool:
        return is_export(path, head)

    def read(self, path: Path, options: ImportOptions, report: ImportReport) -> Iterator[Imported]:
        with opened(path) as (archive, name):
            source = examine(path) if path.is_file() else SourceFile(name_of(path), archive.sizes[name], "")
            report.sources.append(source)
            report.warnings += [f"Telegram has no option {name}" for name in sorted(options.extra.keys() - _OPTIONS)]
            try:
                yield from _Export(lambda: archive.open(name), source, options, report).rows()
            except OSError as error:
                raise ImportRefused(f"{path.name} cannot be read to its end", hint="fetch the export again") from error
            archive.check(name)
            report.records += source.records
            for problem, count in sorted(archive.problems.items()):
                report.warnings.append(f"{count:,} files of the export left out: {problem}")

    def files(self, path: Path) -> AbstractContextManager[Opener]:
        return files(path)


class _Export:
    """One document while it is walked through."""

    def __init__(
        self, open_: Callable[[], BinaryIO], source: SourceFile, options: ImportOptions, report: ImportReport
    ) -> None:
        self._open, self._source, self._options, self._report = open_, source, options, report
        self._zone = _zone(options)
        self._wanted = options.extra.get("chat")
        self._place = (options.chat or ACCOUNT, 0)  # where pieces go that are no messages
        self._chats = self._elsewhere = self._zoneless = 0
        self._heads: list[Head] | None = None
        self._kept_before = Ordinals()

    def rows(self) -> Iterator[Imported]:
        """Everything; where the document breaks off, what is left is kept as it stands."""
        if self._wanted is not None or self._options.chat is not None:
            self._choose()
        with self._open() as file:
            self._walker = Walker(file)
            if not self._walker.begin():  # spec: IMP-41
                raise ImportRefused("no JSON object", hint="name the result.json that Telegram Desktop made")
            try:
                yield from self._top()
            except Broken as broken:
                self._report.warnings.append(
                    f"{self._source.name}: {broken}; what came before is imported, the rest kept as it is. "
                    "Export it again"
                )
                for raw in self._walker.rest(str(broken)):  # spec: IMP-42
                    yield self._kept(raw, "rest")
        if self._elsewhere:
            self._report.warnings.append(
                f"{self._elsewhere} parts of the export belong to no chat and are left out, since --chat names one"
            )
        if self._zoneless:
            self._report.warnings.append(
                f"{self._zoneless:,} messages have local times without a zone, taken as UTC; if that is wrong: "
                "strongroom undo, then --option zone=Europe/Berlin"
            )

    def _choose(self) -> None:
        """Whether the chat that a person named is there, before the first row. Raises ImportRefused."""
        there = [head for head in self._all_heads() if self._wanted is None or head.is_called(self._wanted)]
        if self._wanted is not None and not there:  # spec: IMP-44
            raise ImportRefused("the export has no chat of this name or id", hint="its name as Telegram shows it")
        if self._options.chat is not None and len({head.key for head in there}) > 1:  # spec: IMP-44
            raise ImportRefused(
                "the export has more than one chat for --chat", hint="choose one by its id, as in --option chat=user42"
            )

    def _all_heads(self) -> list[Head]:
        if self._heads is None:
            with self._open() as file:
                self._heads = list(heads(Walker(file)))
        return self._heads

    def _top(self) -> Iterator[Imported]:
        """A single chat has its messages at the top; a full export lists its chats."""
        head: Fields = {}
        for name in self._walker.object():
            if name == "messages" and self._walker.peek() == "[":
                yield from self._chat(head)
            elif name in ("chats", "left_chats") and self._walker.peek() == "{":
                yield from self._listed()
            elif name in HEAD:
                head[name] = short(self._walker)
            elif name == "about":
                short(self._walker)
            else:
                yield from self._account(name)

    def _listed(self) -> Iterator[Imported]:
        for name in self._walker.object():
            if name == "about":
                short(self._walker)
                continue
            if name != "list" or self._walker.peek() != "[":
                yield from self._account(name)
                continue
            for _ in self._walker.array():
                if self._walker.peek() != "{":
                    yield from self._account("chat")
                    continue
                head: Fields = {}
                for field in self._walker.object():
                    if field == "messages" and self._walker.peek() == "[":
                        yield from self._chat(head)
                    elif field in HEAD:
                        head[field] = short(self._walker)
                    else:
                        yield from self._account(field)

    def _account(self, name: str) -> Iterator[Imported]:
        """What belongs to no chat, or to a chat and is no message."""
        for raw, _ in self._walker.value():
            if self._options.chat is None:
                self._place = (ACCOUNT, 0)
                yield self._kept(raw, name[:80])
            else:
                self._elsewhere += 1

    def _chat(self, fields: Fields) -> Iterator[Imported]:
        # A document that was written anew may have sorted its fields: what follows the messages names the chat, too.
        head = Head.of(fields) if fields.keys() >= {"type", "id"} else self._all_heads()[self._chats]  # spec: IMP-43
        self._chats += 1
        chat = self._options.chat or f"telegram:{head.key}"
        self._place = (chat, 0)
        if self._wanted is not None and not head.is_called(self._wanted):
            for _ in self._walker.array():
                for _ in self._walker.value():
                    pass
            return
        detail: dict[int, Any] = {3: head.ident or head.key, 13: "telegram"}
        title = self._options.title or head.name or head.key
        yield self._told(chat, Row(Op.CONVERSATION, 0, kind=head.kind, text=title, detail=detail))
        met: set[str] = set()
        ordinals = Ordinals()
        counts: Counter[str] = Counter()
        first: int | None = None
        for _ in self._walker.array():
            self._source.records += 1
            for raw, value in self._walker.value():
                rows = rows_of(value, raw, self._zone) if type(value) is dict else None
                if rows is None:
                    counts["unsupported"] += 1
                    yield self._kept(raw, "record", ident(value, "id") if type(value) is dict else None)
                    continue
                message = rows[0]
                if message.id is None:
                    number = ordinals.next(chat, message.sender, message.time, message.kind, message.text)
                    rows[0] = message = message._replace(ordinal=number)
                self._zoneless += bool(message.flags & Flag.ZONE_UNKNOWN)
                first = message.time if first is None else first
                self._place = (chat, message.time)
                counts[Kind(message.kind).name.lower()] += 1
                shown = (message.detail or {}).get(2)
                if message.sender is not None and message.sender not in met and shown:
                    met.add(message.sender)
                    yield self._told(
                        chat, Row(Op.MEMBER, 0, sender=message.sender, text=shown, detail={1: [message.sender]})
                    )
                for row in rows:
                    yield self._told(chat, row)
        yield self._told(chat, self._source_row(first or 0, counts))

    def _told(self, chat: str, row: Row) -> Imported:
        self._report.count(row)
        return chat, row

    def _kept(self, raw: bytes, name: str, found: str | None = None) -> Imported:
        """What is no message, as it stands: under its own id, or what its bytes make, the same in every export."""
        self._report.not_understood += 1
        chat, time = self._place
        if found is None:
            found = f"{name}-{hashlib.sha256(raw).hexdigest()[:32]}"
            number = self._kept_before.next(chat, None, time, int(Kind.UNSUPPORTED), found)
            found += f"-{number}" if number else ""
        return self._told(chat, Row(Op.PUT, time, id=found, kind=Kind.UNSUPPORTED, raw=raw, flags=_UNTIMED))

    def _source_row(self, time: int, counts: Counter[str]) -> Row:
        source = self._source
        detail: dict[int, Any] = {1: "telegram", 2: "Telegram Desktop", 4: "telegram-json", 6: source.size, 9: VERSION}
        if source.sha256:
            detail[7] = bytes.fromhex(source.sha256)
        if self._zone is not None:
            detail[8] = {"zone": str(self._zone)}
        if counts:
            detail[10] = dict(counts)
        return Row(Op.SOURCE, time, text=source.name, detail=detail)


def _zone(options: ImportOptions) -> ZoneInfo | None:
    name = options.extra.get("zone")
    if name is None:
        return None
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise ImportRefused(f"there is no time zone {name!r}", hint="name it as in zone=Europe/Berlin") from error
