"""Slack exports: a zip or folder of users.json, channels.json and others, and <conversation>/YYYY-MM-DD.json."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from strongroom.formats.archive import ZIP_MAGIC, open_archive
from strongroom.formats.base import Imported, ImportOptions, ImportReport, Opener, SourceFile, examine, name_of
from strongroom.formats.slack.layout import LISTS, USERS
from strongroom_protocol.errors import ImportRefused


class Slack:
    """Importer of Slack exports, also of those that other tools made and put the attachments into."""

    name = "slack"

    def sniff(self, path: Path, head: bytes) -> bool:
        if not path.is_dir() and not head.startswith(ZIP_MAGIC):
            return False
        try:
            with open_archive(path) as archive:
                return archive.enter(LISTS) and archive.enter(USERS)
        except ImportRefused:
            return False

    def read(self, path: Path, options: ImportOptions, report: ImportReport) -> Iterator[Imported]:
        from strongroom.formats.slack.export import Export  # much code, for those who have such an export

        source = SourceFile(name_of(path), 0, "") if path.is_dir() else examine(path)
        with open_archive(path) as archive:
            if not archive.enter(LISTS):  # spec: IMP-15
                raise ImportRefused(
                    f"{path.name} is no Slack export: it has no channels.json, groups.json, dms.json or mpims.json",
                    hint="name the zip that Slack made, or the folder with these files",
                )
            source.size = source.size or sum(archive.sizes.values())
            report.sources.append(source)
            export = Export(archive, source, options, report)
            try:
                for imported in export.rows():
                    report.count(imported[1])
                    yield imported
            except OSError as error:  # of a folder; damage in a zip is told file by file
                raise ImportRefused(f"{path.name} cannot be read to its end", hint=error.strerror or "") from error
            report.records += source.records
            report.warnings += export.warnings()

    @contextmanager
    def files(self, path: Path) -> Iterator[Opener]:
        """Opens the attachments of an export by their paths."""
        with open_archive(path) as archive:
            archive.enter(LISTS)
            yield lambda name: archive.open(name) if name in archive.sizes else None
