"""`strongroom files CHAT ID FOLDER`: save the files of a message."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from strongroom.cli.context import Context, accepted, common, context
from strongroom.cli.errors import EXIT_INCOMPLETE
from strongroom.cli.progress import Meter
from strongroom.cli.text import safe

if TYPE_CHECKING:
    from strongroom.records import Attachment


@click.command("files")
@common
@accepted
@click.argument("chat")
@click.argument("ident", metavar="ID")
@click.argument("folder", type=click.Path(path_type=Path, file_okay=False))
def command(chat: str, ident: str, folder: Path, **given: Any) -> int:
    """Save the files of a message into FOLDER. What is there already is not overwritten; Ctrl-C, and it goes on."""
    called = context(**given)
    folder.mkdir(parents=True, exist_ok=True)
    return called.run(_files(called, chat, ident, folder))


async def _files(given: Context, chat: str, ident: str, folder: Path) -> int:
    async with await given.open() as vault:
        message = await vault.message(chat, ident)
        shown: list[dict[str, Any]] = []
        lines: list[str] = []
        for number, attachment in enumerate(message.attachments, 1):
            item: dict[str, Any] = {"name": attachment.name, "state": attachment.state, "path": None}
            if attachment.state == "present":
                target = free(folder, attachment, number)
                with Meter(safe(target.name), "bytes") as meter:
                    await vault.save(attachment, target, progress=meter.on)
                item["path"] = str(target)
                lines.append(f"saved {safe(str(target))}")
            else:
                lines.append(f"not here ({safe(attachment.state)}): {safe(attachment.name or '?')}")
            shown.append(item)
        given.emit({"chat": message.chat, "id": ident, "files": shown}, "\n".join(lines) or "no files")
        return EXIT_INCOMPLETE if any(item["path"] is None for item in shown) else 0


def free(folder: Path, attachment: Attachment, number: int) -> Path:
    """A path in `folder` that does not exist, by the name that somebody else chose and nothing else of it."""
    from strongroom.formats.names import safe_name

    name = Path(safe_name(attachment.name or f"file-{number}"))
    target = folder / name
    counter = 1
    while target.exists():
        counter += 1
        target = folder / f"{name.stem} ({counter}){name.suffix}"
    return target
