"""`strongroom export`: leave with everything."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from strongroom.cli.context import Context, accepted, common, context
from strongroom.cli.errors import EXIT_INCOMPLETE
from strongroom.cli.progress import Meter


@click.command("export")
@common
@accepted
@click.argument("folder", type=click.Path(path_type=Path))
@click.option(
    "--format",
    "format_name",
    default="json",
    show_default=True,
    type=click.Choice(["json"]),
    help="json: the native, lossless form",
)
@click.option("--no-media", is_flag=True, help="leave the files out")
def command(folder: Path, format_name: str, no_media: bool, **given: Any) -> int:
    """Write all chats and their files to FOLDER. `json` is lossless: two devices in one state write the same bytes."""
    called = context(**given)
    return called.run(_export(called, folder, media=not no_media))


async def _export(given: Context, folder: Path, *, media: bool) -> int:
    async with await given.open() as vault:
        with Meter("exporting", "records") as meter:
            written = await vault.export(folder, media=media, progress=meter.on)
        damaged = vault.damage()
        data = {"folder": str(folder), "damaged": damaged, **written}
        given.emit(
            data,
            f"exported {written['conversations']} chats, {written.get('message', 0):,} messages and "
            f"{written['files']:,} files to {folder}",
        )
        if damaged:
            given.note(f"{len(damaged)} objects are damaged or missing: what they held is not in the export")
        return EXIT_INCOMPLETE if damaged else 0
