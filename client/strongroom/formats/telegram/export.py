"""The rows of one export: every chat is a conversation; what belongs to none is kept in one of its own."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from strongroom.formats.archive import ZIP_MAGIC, Archive, open_archive
from strongroom.formats.base import (
    Imported,
    ImportOptions,
    ImportReport,
    Opener,
    Ordinals,
    SourceFile,
    examine,
    head_of,
)
from strongroom.formats.beside import beside
from strongroom.formats.telegram.fields import Fields, ident, text
from strongroom.formats.telegram.message import rows_of
from strongroom.formats.telegram.walking import Broken, Walker
from strongroom_protocol.errors import ImportRefused
from strongroom_protocol.rows.model import ConversationKind, Flag, Kind, Op, Row

VERSION = "telegram/1"
RESULT = "result.json"
ACCOUNT = "telegram:account"
_TYPES = {
    "personal_chat": ("user", ConversationKind.DIRECT), "bot_chat": ("user", ConversationKind.BOT),
    "saved_messages": ("saved", ConversationKind.SAVED), "private_group": ("chat", ConversationKind.GROUP),
    "private_supergroup": ("channel", ConversationKind.SUPERGROUP),
    "public_supergroup": ("channel", ConversationKind.SUPERGROUP),
    "private_channel": ("channel", ConversationKind.BROADCAST),
    "public_channel": ("channel", ConversationKind.BROADCAST),
}  # fmt: skip
_UNTIMED = int(Flag.DAYS | Flag.INHERITED)


class Telegram:
    """Importer of Telegram Desktop's JSON: one chat or all of them, a file, its folder, or a zip of that."""

    name = "telegram"

    def sniff(self, path: Path, head: bytes) -> bool:
        if path.is_dir() or head.startswith(ZIP_MAGIC):
            try:
                with open_archive(path) as archive:
                    if not archive.enter((RESULT,)):
                        return False
                    with archive.open(RESULT) as file:
                        return _is_result(file.read(65_536))
            except (ImportRefused, OSError):
                return False
        return _is_result(head)

    def read(self, path: Path, options: ImportOptions, report: ImportReport) -> Iterator[Imported]:
        with _opened(path) as (archive, name):
            source = examine(path) if path.is_file() else SourceFile(path.name, archive.sizes[name], "")
            report.sources.append(source)
            try:
                with archive.open(name) as file:
                    yield from _Export(Walker(file), source, options, report).rows()
            except OSError as error:
                raise ImportRefused(f"{path.name} cannot be read to its end", hint="fetch the export again") from error
            archive.check(name)
            report.records += source.records
            for problem, count in sorted(archive.problems.items()):
                report.warnings.append(f"{count:,} files of the export left out: {problem}")

    def files(self, path: Path) -> AbstractContextManager[Opener]:
        return _files(path)


class _Alone(Archive):
    """A document by itself: what lies beside it is looked for by name, and not listed, for that may be anything."""

    def __init__(self, path: Path) -> None:
        super().__init__({path.name: path.stat().st_size}, Counter())
        self._path = path

    def _open(self, name: str) -> BinaryIO:
        return self._path.open("rb")

    def _is_changed(self, name: str) -> bool:
        return self._path.stat().st_size != self.sizes[name]


def _is_alone(path: Path) -> bool:
    return path.is_file() and not head_of(path).startswith(ZIP_MAGIC)


@contextmanager
def _opened(path: Path) -> Iterator[tuple[Archive, str]]:
    """The export's archive, and the name of the JSON in it."""
    if _is_alone(path):
        yield _Alone(path), path.name
        return
    with open_archive(path) as archive:
        if not archive.enter((RESULT,)):  # spec: IMP-40
            raise ImportRefused(f"{path.name} has no result.json", hint="export from Telegram Desktop as JSON")
        yield archive, RESULT


@contextmanager
def _files(path: Path) -> Iterator[Opener]:
    if _is_alone(path):
        yield partial(beside, path.parent)
        return
    with _opened(path) as (archive, _):
        yield lambda name: archive.open(name) if name in archive.sizes else None


def _is_result(head: bytes) -> bool:
    if not head.lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"{"):
        return False
    told = b'"messages"' in head or b'"personal_information"' in head or b'"chats"' in head
    return told and (
        b'"date_unixtime"' in head or b'"from_id"' in head or any(f'"{kind}"'.encode() in head for kind in _TYPES)
    )


class _Export:
    """One document while it is walked through."""

    def __init__(self, walker: Walker, source: SourceFile, options: ImportOptions, report: ImportReport) -> None:
        self._walker, self._source, self._options, self._report = walker, source, options, report
        self._zone = _zone(options)
        self._wanted = options.extra.get("chat")
        self._place = (options.chat or ACCOUNT, 0)  # where pieces go that are no messages
        self._chats = 0

    def rows(self) -> Iterator[Imported]:
        """Everything; where the document breaks off, what is left is kept as it stands."""
        if not self._walker.begin():  # spec: IMP-41
            raise ImportRefused("no JSON object", hint="name the result.json that Telegram Desktop made")
        try:
            yield from self._top()
        except Broken as broken:
            self._report.warnings.append(
                f"{self._source.name}: {broken}; what came before is imported, the rest kept as it is. Export it again"
            )
            for place, raw in enumerate(self._walker.rest(str(broken))):  # spec: IMP-42
                yield self._told(self._place[0], self._kept(raw, self._place[1], f"rest-{place}"))

    def _top(self) -> Iterator[Imported]:
        """A single chat has its messages at the top; a full export lists its chats."""
        head: Fields = {}
        for name in self._walker.object():
            if name == "messages" and self._walker.peek() == "[":
                yield from self._chat(head)
            elif name in ("chats", "left_chats") and self._walker.peek() == "{":
                yield from self._listed()
            else:
                raw, value = self._walker.value()
                head[name] = value
                if name not in ("name", "type", "id", "about") and not self._options.chat:
                    yield self._told(ACCOUNT, self._kept(raw, 0, name))

    def _listed(self) -> Iterator[Imported]:
        for name in self._walker.object():
            if name != "list" or self._walker.peek() != "[":
                self._walker.value()
                continue
            for _ in self._walker.array():
                head: Fields = {}
                for field in self._walker.object():
                    if field == "messages" and self._walker.peek() == "[":
                        yield from self._chat(head)
                    else:
                        head[field] = self._walker.value()[1]

    def _chat(self, head: Fields) -> Iterator[Imported]:
        name, ident_ = text(head, "name", 10_000), ident(head, "id")
        letter, kind = _TYPES.get(str(head.get("type")), ("chat", ConversationKind.UNKNOWN))
        key = f"{letter}{ident_}" if ident_ is not None else f"named:{(name or 'unnamed')[:100]}"
        if self._wanted is not None and self._wanted not in (name, ident_, key):
            for _ in self._walker.array():
                self._walker.value()
            return
        self._chats += 1
        if self._options.chat is not None and self._chats > 1:
            raise ImportRefused("the export has more than one chat", hint="choose one with --option chat=NAME")
        chat = self._options.chat or f"telegram:{key}"
        self._place = (chat, 0)
        detail: dict[int, Any] = {3: ident_ or key, 13: "telegram"}
        yield self._told(
            chat, Row(Op.CONVERSATION, 0, kind=kind, text=self._options.title or name or key, detail=detail)
        )
        met: set[str] = set()
        ordinals = Ordinals()
        counts: Counter[str] = Counter()
        first: int | None = None
        for _ in self._walker.array():
            raw, fields = self._walker.value()
            self._source.records += 1
            rows = rows_of(fields, raw, self._zone) if type(fields) is dict else None
            if rows is None:
                rows = [self._kept(raw, self._place[1], f"record-{self._source.records}")]
            message = rows[0]
            if message.id is None:
                number = ordinals.next(chat, message.sender, message.time, message.kind, message.text)
                rows[0] = message = message._replace(ordinal=number)
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

    def _kept(self, raw: bytes, time: int, name: str) -> Row:
        """What is no message, as it stands."""
        self._report.not_understood += 1
        return Row(Op.PUT, time, id=name[:100], kind=Kind.UNSUPPORTED, raw=raw, flags=_UNTIMED)

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
