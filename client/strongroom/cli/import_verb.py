"""`strongroom import`: read exports, commit what is new."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from strongroom.cli.main import Context, common, context
from strongroom.cli.progress import Meter


@click.command("import")
@common
@click.argument("paths", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--format", "format_name", default=None, help="the export's format, when it is not recognised")
@click.option("--chat", default=None, help="id of the conversation, for formats that do not name it")
def command(paths: tuple[Path, ...], format_name: str | None, chat: str | None, **given: Any) -> int:
    """Read chat exports and commit them. Again and again: what is there already is not added twice."""
    called = context(**given)
    return called.run(_import(called, paths, format_name, chat))


async def _import(given: Context, paths: tuple[Path, ...], format_name: str | None, chat: str | None) -> int:
    from strongroom.formats import read_exports
    from strongroom.vault import Vault

    async with await Vault.open(given.vault, relay=given.relay) as vault:
        rows, reports = read_exports(paths, format_name=format_name, chat=chat)
        with Meter("importing", "records") as meter:
            added = await vault.import_rows(rows, progress=meter.to)
        written = {op.name.lower(): count for op, count in sorted(added.written.items())}
        total = sum(written.values())
        data = {
            "added": total, "written": written, "known": added.known, "commits": added.commits,
            "reports": [report.to_dict() for report in reports],
        }  # fmt: skip
        lines = [f"{total} records added, {added.known} were there already"]
        lines += [line for report in reports for line in report.lines()]
        given.emit(data, "\n".join(lines))
    return 0
