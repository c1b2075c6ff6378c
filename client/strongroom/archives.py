"""Bringing in archives: export files of any known format, and an app's own rows as columns (spec chapter 13.7)."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING

from strongroom.formats import ImportOptions, ImportReport, detect, files_of, importer_named
from strongroom.importing import Added, import_columns, import_rows
from strongroom.records import ImportResult, Progress

if TYPE_CHECKING:
    from strongroom.columns import Columns
    from strongroom.session import Session


async def import_paths(
    session: Session, paths: Iterable[Path], *, format: str | None, options: ImportOptions,
    progress: Callable[[Progress], None] | None,
) -> ImportResult:  # fmt: skip
    """Commit what is new in export files and folders. Every path is recognised before anything is read."""
    chosen = [(path, importer_named(format) if format else detect(path)) for path in paths]
    report = ImportReport()
    found = Added()
    plain = []
    for path, importer in chosen:
        with files_of(importer, path) as files:
            if files is None:
                plain.append(importer.read(path, options, report))
                continue
            rows = importer.read(path, options, report)
            found = found.plus(await import_rows(session, rows, files=files, progress=_from(found, progress)))
    if plain:  # together: many small files share a commit
        found = found.plus(
            await import_rows(session, chain.from_iterable(plain), progress=_from(found, progress))
        )  # fmt: skip
    return _result(found, report)


async def import_chunks(
    session: Session, chunks: Iterable[Columns], *, progress: Callable[[Progress], None] | None
) -> ImportResult:
    """Commit an app's own rows."""
    return _result(await import_columns(session, chunks, progress=_from(Added(), progress)), ImportReport())


def _from(before: Added, progress: Callable[[Progress], None] | None) -> Callable[[int], None] | None:
    if progress is None:
        return None
    start = sum(before.written.values()) + before.known
    return lambda done: progress(Progress("import", start + done, None, "records"))


def _result(added: Added, report: ImportReport) -> ImportResult:
    written = {op.name.lower(): count for op, count in sorted(added.written.items()) if count}
    return ImportResult(written, added.known, added.commits, report, added.kept_out)
