"""IRC logs: `[HH:MM] <nick> text`, `[HH:MM]  * nick action`, `=== system line`; the day is in the file's name.

Every line gives one row, in file order, whose `raw` is the line with its terminator: joined, they are the file.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from strongroom.formats.base import (
    Imported,
    ImportOptions,
    ImportReport,
    Ordinals,
    SourceFile,
    examine,
    files_under,
    head_of,
    lines_of,
    name_of,
)
from strongroom_protocol.errors import ImportRefused
from strongroom_protocol.rows.model import ConversationKind, Flag, Kind, Op, Row

VERSION = "irc/1"
_DAY = re.compile(r"(\d{4})-(\d{2})-(\d{2})")
_STAMP = re.compile(rb"\[\d\d:\d\d\] (<|\(| \* |-)|=== ")
_CHANNEL = re.compile(rb"has (?:joined|left) (#[^\s\[]+)")
_LINE = re.compile(
    r"\[([01]\d|2[0-3]):([0-5]\d)\] "
    r"(?:<(?P<nick>[^>]*)>(?: (?P<said>.*))?"
    r"| \* (?P<actor>\S+)(?: (?P<action>.*))?"
    r"|-(?P<noticer>[^-:\s]+)(?::\S*)?- (?P<notice>.*)"
    r"|\((?P<speaker>[^/)]+)/[^)]*\) (?P<op_said>.*))",
    re.DOTALL,
)
_TEXT, _SYSTEM = int(Kind.TEXT), int(Kind.SYSTEM)
_ACTION, _UNSUPPORTED = int(Kind.ACTION), int(Kind.UNSUPPORTED)
_TIMED = Flag.MINUTES | Flag.ZONE_UNKNOWN
_MINUTE = 60_000
_HALF_DAY = 720  # minutes
_WRAP = 600  # minutes: a clock that falls by more has passed twelve or midnight


class Irc:
    """Importer of IRC logs; a folder of logs is one conversation."""

    name = "irc"

    def sniff(self, path: Path, head: bytes) -> bool:
        if path.is_dir():
            return any(self.sniff(file, head_of(file)) for file in files_under(path)[:20])
        if b"\0" in head:
            return False
        lines = head.split(b"\n")[:50]
        full = [line for line in lines[: -1 if len(lines) > 1 else None] if line]
        return bool(full) and sum(1 for line in full if _STAMP.match(line)) * 2 > len(full)

    def read(self, path: Path, options: ImportOptions, report: ImportReport) -> Iterator[Imported]:
        files = [file for file in files_under(path) if self._is_log(file, path, report)]
        if not files:  # spec: IMP-5
            raise ImportRefused("no IRC log found", hint="name a file or folder of [HH:MM] <nick> logs")
        channel = (
            options.extra.get("channel")
            or _channel(files[0])
            or name_of(path.with_suffix("") if path.is_file() else path)
        )
        chat = options.chat or f"irc:{channel}"
        title = Row(
            Op.CONVERSATION,
            0,
            kind=ConversationKind.CHANNEL,
            text=options.title or channel,
            detail={3: channel, 13: "irc"},
        )
        report.count(title)
        yield chat, title
        for file in files:
            yield from _read_file(file, chat, options, report)

    def _is_log(self, file: Path, path: Path, report: ImportReport) -> bool:
        if file == path or self.sniff(file, head_of(file)):
            return True
        report.warnings.append(f"{file.name}: not an IRC log, left out")
        return False


def _read_file(path: Path, chat: str, options: ImportOptions, report: ImportReport) -> Iterator[Imported]:
    start = _day(path, options)
    source = examine(path)
    report.sources.append(source)
    ordinals = Ordinals()
    first: int | None = None
    counts: Counter[str] = Counter()
    for row in _rows(path, source, start, ordinals, chat):
        first = row.time if first is None else first
        if row.kind == Kind.UNSUPPORTED:
            report.not_understood += 1
        counts[Kind(row.kind).name.lower()] += 1
        report.count(row)
        yield chat, row
    report.records += source.records
    last = Row(
        Op.SOURCE,
        start if first is None else first,
        text=name_of(path),
        detail={
            1: "irc",
            4: "irc-log",
            6: source.size,
            7: bytes.fromhex(source.sha256),
            8: {"clock": "nearest later", "zone": "unknown"},
            9: VERSION,
            **({10: dict(counts)} if counts else {}),
        },
    )
    report.count(last)
    yield chat, last


def _rows(path: Path, source: SourceFile, start: int, ordinals: Ordinals, chat: str) -> Iterator[Row]:
    """One row per line. Times never fall: they are what keeps the order of the lines."""
    minute = shift = 0
    known: int = Flag.DAYS
    for number, line in enumerate(lines_of(path, source), 1):
        body = line.decode("utf-8", "replace").rstrip("\r\n")
        found = _LINE.fullmatch(body)
        flags = int(_TIMED)
        sender, text, detail = None, None, None
        if found is not None:
            clock = int(found[1]) * 60 + int(found[2]) + shift
            if minute - clock >= _WRAP:  # spec: IMP-6
                turns = -(-(minute - clock) // _HALF_DAY)
                shift += turns * _HALF_DAY
                clock += turns * _HALF_DAY
            if clock < minute:
                clock = minute
                flags |= int(Flag.INHERITED)
            minute, known = clock, Flag.MINUTES
            group = found.lastgroup
            if found["nick"] is not None:
                sender, text, kind = found["nick"], found["said"] or "", _TEXT
            elif found["actor"] is not None:
                sender, text, kind = found["actor"], found["action"] or "", _ACTION
            elif group == "notice":
                sender, text, kind, detail = found["noticer"], found["notice"], _TEXT, {19: ["notice"]}
            else:
                sender, text, kind = found["speaker"], found["op_said"], _TEXT
        else:
            flags = int(known | Flag.ZONE_UNKNOWN | Flag.INHERITED)
            kind = _UNSUPPORTED
            if body.startswith("==="):
                kind, text = _SYSTEM, body[3:].strip()
        time = start + minute * _MINUTE
        ordinal = ordinals.next(chat, sender, time, kind, text)
        yield Row(Op.PUT, time, number, None, sender, kind, text, line, flags, ordinal, detail)


def _day(path: Path, options: ImportOptions) -> int:
    """Midnight of the log's day, in ms. Raises ImportRefused when no day is known."""
    found = _DAY.search(path.name) or _DAY.fullmatch(options.extra.get("date", ""))
    try:
        if found is None:  # spec: IMP-7
            raise ImportRefused(
                f"{path.name}: the day of this log is unknown",
                hint="put YYYY-MM-DD into the file name, or give the option date=YYYY-MM-DD",
            )
        day = datetime(int(found[1]), int(found[2]), int(found[3]), tzinfo=UTC)
        return max(0, int(day.timestamp())) * 1000
    except ValueError as error:
        raise ImportRefused(f"{path.name}: no such day", hint="check the date in the file name") from error


def _channel(path: Path) -> str | None:
    """The channel that the log's own lines name most often."""
    named = Counter(_CHANNEL.findall(head_of(path)))
    return named.most_common(1)[0][0].decode("utf-8", "replace").lower() if named else None
