"""`strongroom export`: leave with everything."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from strongroom.cli.context import Context, accepted, common, context
from strongroom.cli.errors import EXIT_INCOMPLETE
from strongroom.cli.progress import Meter
from strongroom.cli.text import number


@click.command("export")
@common
@accepted
@click.argument("folder", type=click.Path(path_type=Path))
@click.argument("chat", required=False)
@click.option(
    "--format",
    "format_name",
    default="json",
    show_default=True,
    type=click.Choice(["json", "txt", "html"]),
    help="json: the native, lossless form; txt, html: to read",
)
@click.option("--zone", metavar="ZONE", help="the time zone that txt and html show times in, such as Europe/Rome (UTC)")
@click.option("--no-media", is_flag=True, help="leave the files out")
def command(folder: Path, chat: str | None, format_name: str, zone: str | None, no_media: bool, **given: Any) -> int:
    """Write all chats and their files to FOLDER, or only CHAT.

    `json` is lossless, and can be imported again: two devices in one state write the same bytes. `html` makes pages
    that look like a chat app and open from disk, `txt` plain text; both leave out what a reader does not need.
    """
    called = context(**given)
    return called.run(_export(called, folder, chat, format_name, zone, media=not no_media))


async def _export(
    given: Context, folder: Path, chat: str | None, format_name: str, zone: str | None, *, media: bool
) -> int:
    async with await given.open() as vault:
        with Meter("exporting", "records") as meter:
            written = await vault.export(
                folder, format=format_name, chat=chat, zone=zone, media=media, progress=meter.on
            )
        damaged = vault.damage()
        data = {"folder": str(folder), "format": format_name, "damaged": damaged, **written}
        chats, messages = number(written["conversations"], "chats"), number(written.get("message", 0), "messages")
        given.emit(data, f"exported {chats}, {messages} and {number(written['files'], 'files')} to {folder}")
        if format_name == "html":
            given.note(f"open {folder / 'index.html'} in a browser")
        if damaged:
            given.note(f"{number(len(damaged), 'objects')} damaged or missing: what they held is not in the export")
        return EXIT_INCOMPLETE if damaged else 0
