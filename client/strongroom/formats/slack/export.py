"""The rows of one Slack export (docs/formats.md).

Every conversation of the export is one here, named by its id, which stays when it is renamed. What concerns none of
them (people, apps, canvases, files nobody knows) is in one more, the workspace, a community that is their parent.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from typing import Any

from strongroom.formats.archive import Archive, Damaged
from strongroom.formats.base import Imported, ImportOptions, ImportReport, SourceFile
from strongroom.formats.json_stream import Unread, records
from strongroom.formats.slack.fields import Odd, text
from strongroom.formats.slack.files import stored_files
from strongroom.formats.slack.layout import CANVASES, LISTS, LOG, USERS, day_of, folders_of, is_id, normal, short
from strongroom.formats.slack.message import Setting, message_rows, unsupported
from strongroom.formats.slack.notes import Notes
from strongroom.formats.slack.text import Names
from strongroom.formats.slack.workspace import PLATFORM, Records, bot_member, canvas, conversation, log_entry, member
from strongroom_protocol.errors import ImportRefused
from strongroom_protocol.rows.detail import AT
from strongroom_protocol.rows.model import ConversationKind, Flag, Kind, Op, Row

VERSION = "slack/1"
_ID = re.compile(r"[A-Z][A-Z0-9]{2,63}")
_UNTIMED = Flag.DAYS | Flag.INHERITED


class Export:
    """One export while it is read: people and names of conversations are known, the rest streams."""

    def __init__(self, archive: Archive, source: SourceFile, options: ImportOptions, report: ImportReport) -> None:
        self._archive, self._source, self._options, self._report = archive, source, options, report
        self._notes = Notes()
        self._stored = stored_files(archive.sizes)
        self._people: dict[str, Row] = {}
        teams: Counter[str] = Counter()
        for file in USERS:
            for _, user in self._records(file, quiet=True):
                if type(user) is dict and type(team := user.get("team_id")) is str and _ID.fullmatch(team):
                    teams[team] += 1
                self._learn(user)
        self._channels: dict[str, str] = {}
        self._listed = 0
        for file in LISTS:
            for _, entry in self._records(file, quiet=True):
                if type(entry) is dict and type(entry.get("id")) is str:
                    self._listed += 1
                    if type(entry.get("name")) is str:
                        self._channels[entry["id"]] = entry["name"]
        team = min(teams, key=lambda name: (-teams[name], name), default="workspace")
        self._workspace = f"{PLATFORM}:{team}"
        self._folders = folders_of(archive.sizes, self._notes)
        self._setting = Setting(Names(self._name, self._channels.get), self._stored)

    def rows(self) -> Iterator[Imported]:
        wanted = self._options.extra.get("channel")
        listed = [self._listed, len(self._folders)]
        if self._options.chat is not None and wanted is None and max(listed) > 1:
            raise ImportRefused(
                "the export has more than one conversation",
                hint="choose one with the option channel=NAME, or give no --chat",
            )
        if wanted is None:
            for row in self._workspace_rows():
                yield self._workspace, row
        known, found = Records(), False
        for file in LISTS:
            for raw, entry in self._records(file):
                try:
                    if type(entry) is not dict or not _ID.fullmatch(text(entry, "id") or ""):
                        raise Odd("id")
                    opening = conversation(entry, file, self._workspace, self._name_or_id, raw)
                except Odd:
                    if wanted is None:
                        yield self._workspace, self._kept(0, raw, known.id(file, raw))
                    continue
                folders = [self._folders.pop(normal(name), []) for name in (entry.get("name"), entry["id"]) if name]
                if wanted in (None, entry["id"], entry.get("name")):
                    found = True
                    days = [day for folder in folders for day in folder]
                    yield from self._conversation(
                        f"{PLATFORM}:{entry['id']}", opening, entry.get("members") or [], days
                    )
        unlisted = self._folders
        if wanted is not None and not found and wanted not in unlisted:
            raise ImportRefused("the export has no such conversation", hint="name it as the export does, or by its id")
        for folder, days in unlisted.items():
            if wanted in (None, folder):
                self._notes.tell(f"{folder}: in none of the lists of conversations; imported under its folder's name")
                opening = Row(Op.CONVERSATION, 0, text=folder, detail={3: folder, 4: self._workspace, 13: PLATFORM})
                yield from self._conversation(
                    f"{PLATFORM}:{folder}" if is_id(folder) else f"{self._workspace}:{short(folder)}", opening, [], days
                )

    def warnings(self) -> list[str]:
        """What a person should know who imported this."""
        return self._notes.lines(self._archive.problems)

    def _learn(self, user: Any) -> None:
        try:
            row = member(user, self._stored) if type(user) is dict else None
        except Odd:
            return  # it is kept, with the workspace
        if row is not None and row.sender is not None:
            self._people[row.sender] = row

    def _name(self, person: str) -> str | None:
        row = self._people.get(person)
        return None if row is None else row.text

    def _name_or_id(self, person: str) -> str:
        return self._name(person) or person

    def _records(self, file: str, *, quiet: bool = False) -> Iterator[tuple[bytes, Any]]:
        """The records of a file that may not be there; `quiet` the first time, of two, that it is read."""
        if file not in self._archive.sizes:
            return
        told = quiet
        try:
            opened = self._archive.open(file)
        except Damaged:
            if not quiet:
                self._notes.tell(f"{file}: damaged in the zip, left out")
            return
        with opened:
            for raw, value in records(opened):
                if type(value) is Unread:
                    if not told:
                        self._notes.tell(f"{file}: {value.why}; what can be read is imported, the rest kept as it is")
                    told = True
                    if not raw:
                        continue
                if not quiet:
                    self._source.records += 1
                yield raw, value
        self._archive.check(file)

    def _kept(self, time: int, raw: bytes, id: str) -> Row:
        self._report.not_understood += 1
        return unsupported(time, raw, id=id, flags=_UNTIMED)

    def _workspace_rows(self) -> Iterator[Row]:
        yield Row(Op.CONVERSATION, 0, kind=ConversationKind.COMMUNITY, text=self._workspace, detail={13: PLATFORM})
        ids = Records()
        handled = (*USERS, *LISTS)
        others = [file for file in self._archive.sizes if "/" not in file and file.endswith(".json")]
        for file in (*USERS, *(name for name in others if name not in handled)):
            for raw, value in self._records(file):
                id = ids.id(file, raw)
                try:
                    if type(value) is not dict:
                        raise Odd("record")
                    if file in USERS:
                        yield member(value, self._stored)._replace(raw=raw)
                    elif file == LOG:
                        yield log_entry(value, raw, id)
                    elif file == CANVASES:
                        yield canvas(value, raw, self._stored)
                    else:
                        raise Odd("file")
                except Odd:
                    yield self._kept(0, raw, id)
        yield self._source_row(0, Counter())

    def _conversation(self, chat: str, opening: Row, people: list[str], days: list[str]) -> Iterator[Imported]:
        chat = self._options.chat or chat
        if self._options.chat is not None and self._options.title:
            opening = opening._replace(text=self._options.title)
        yield chat, opening
        met: set[str] = set()
        for person in people:
            if person in self._people and person not in met:
                yield chat, self._people[person]
            met.add(person)
        counts: Counter[str] = Counter()
        first: int | None = None
        for row in self._messages(days, met):
            if row.op == Op.PUT:
                first = row.time if first is None else first
                counts[Kind(row.kind).name.lower()] += 1
            yield chat, row
        if counts:
            yield chat, self._source_row(first or 0, counts)

    def _messages(self, days: list[str], met: set[str]) -> Iterator[Row]:
        ids = Records()
        before: dict[str, int] = {}
        for file in days:
            here: dict[str, int] = {}
            for raw, fields in self._records(file):
                try:
                    if type(fields) is not dict:
                        raise Odd("record")
                    rows = message_rows(fields, raw, self._setting)
                except Odd:
                    yield self._kept(day_of(file), raw, ids.id(file.rpartition("/")[2], raw))
                    continue
                found = rows[0]
                if found.kind == Kind.UNSUPPORTED and found.op == Op.PUT:
                    self._report.not_understood += 1
                    self._notes.count("messages not understood, by subtype", fields.get("subtype"))
                for name in self._setting.unread_fields:
                    self._notes.count("fields that are only in the verbatim record", name)
                # A message may stand twice, in its thread and in its channel; what differs is a version of it.
                ts = found.id or ""
                same = here.get(ts, before.get(ts))
                here[ts] = hash(raw)
                if same is not None and found.op == Op.PUT:  # spec: IMP-16
                    if same == here[ts]:
                        self._notes.count("records that the export repeats, imported once", "messages")
                        continue
                    rows[0] = found._replace(op=Op.EDIT, detail={AT: 0, **(found.detail or {})})
                if found.sender not in met or len(rows) > 1 or (found.detail and 10 in found.detail):
                    yield from self._met(fields, rows, met)
                yield from rows
            before = here

    def _met(self, fields: dict[str, Any], rows: list[Row], met: set[str]) -> Iterator[Row]:
        """The people of a message's rows who were not met before in this conversation."""
        names = {row.sender for row in rows}
        mentioned = (rows[0].detail or {}).get(10)
        if mentioned:
            names.update(mentioned)
        for name in sorted(name for name in names if name is not None and name not in met):
            met.add(name)
            if name in self._people:
                yield self._people[name]
            elif type(profile := fields.get("bot_profile")) is dict and profile.get("id") == name:
                try:
                    yield bot_member(profile)
                except Odd:
                    self._notes.count("fields that are only in the verbatim record", "bot_profile")

    def _source_row(self, time: int, counts: Counter[str]) -> Row:
        source = self._source
        detail: dict[int, Any] = {1: PLATFORM, 4: "slack-export", 9: VERSION}
        if source.sha256:
            detail |= {6: source.size, 7: bytes.fromhex(source.sha256)}
        if counts:
            detail[10] = dict(counts)
        return Row(Op.SOURCE, time, text=source.name, detail=detail)
