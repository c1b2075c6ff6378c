"""`strongroom import`: read exports, commit what is new."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from strongroom.cli.context import Context, accepted, common, context
from strongroom.cli.progress import Meter
from strongroom.cli.text import safe
from strongroom_protocol.errors import InvalidArgument


@click.command("import")
@common
@accepted
@click.argument("paths", metavar="PATH...", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option(
    "--format", "format_name", default=None, metavar="NAME", help="the format, when not recognised (help: list them)"
)
@click.option("--chat", default=None, metavar="ID", help="id of the conversation, for formats that do not name it")
@click.option(
    "--option",
    "extra",
    multiple=True,
    metavar="NAME=VALUE",
    help="how to read the format, as docs/formats.md lists; repeatable",
)
def command(
    paths: tuple[Path, ...], format_name: str | None, chat: str | None, extra: tuple[str, ...], **given: Any
) -> int:
    """Read chat exports and commit them. Again and again: what is there already is not added twice."""
    called = context(**given)
    return called.run(_import(called, paths, format_name, chat, _named(extra)))


def _named(extra: tuple[str, ...]) -> dict[str, str]:
    """The options of a format by name. Raises InvalidArgument."""
    pairs = [text.partition("=") for text in extra]
    if any(not name or not equals for name, equals, _ in pairs):
        raise InvalidArgument("--option takes NAME=VALUE", hint="such as --option order=mdy")
    return {name: value for name, _, value in pairs}


async def _import(
    given: Context, paths: tuple[Path, ...], format_name: str | None, chat: str | None, extra: dict[str, str]
) -> int:
    from strongroom.formats import ImportOptions

    async with await given.open() as vault:
        options = ImportOptions(chat=chat, extra=extra)
        with Meter("importing", "records") as meter:
            added = await vault.import_(paths, format=format_name, options=options, progress=meter.on)
        report, total = added.report, sum(added.written.values())
        lines = [
            f"{total:,} records added, {added.known:,} were there already",
            f"read {report.records:,} records of {len(report.sources)} files, {report.not_understood:,} not understood"
            + (" (kept as they are)" if report.not_understood else ""),
        ]
        if added.kept_out:
            lines.append(
                f"{added.kept_out:,} messages stay out: they were taken out by strongroom erase or keep, and only "
                "strongroom undo brings them back, while the relay's window lasts"
            )
        lines += [safe(note) for note in report.notes]
        lines += [f"warning: {safe(warning)}" for warning in report.warnings]
        data = {"added": total, "written": added.written, "known": added.known, "commits": added.commits}
        given.emit(data | {"kept_out": added.kept_out, "report": report.to_dict()}, "\n".join(lines))
    return 0
