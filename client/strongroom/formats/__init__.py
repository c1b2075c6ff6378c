"""Chat formats. Adding one is a module and a line in `IMPORTERS`."""

from __future__ import annotations

from pathlib import Path

from strongroom.formats.base import Imported, Importer, ImportOptions, ImportReport, files_of, head_of
from strongroom.formats.irc import Irc
from strongroom.formats.native import Native
from strongroom.formats.slack import Slack
from strongroom.formats.telegram import Telegram
from strongroom.formats.whatsapp import WhatsApp
from strongroom_protocol.errors import ImportRefused

__all__ = ["IMPORTERS", "ImportOptions", "ImportReport", "Imported", "Importer", "detect", "files_of", "importer_named"]

IMPORTERS: tuple[Importer, ...] = (
    Native(),
    Irc(),
    Slack(),
    Telegram(),
    WhatsApp(),
)


def importer_named(name: str) -> Importer:
    """The importer with this name. Raises ImportRefused."""
    for importer in IMPORTERS:
        if importer.name == name:
            return importer
    names = ", ".join(importer.name for importer in IMPORTERS)
    raise ImportRefused(f"there is no format {name!r}", hint=f"one of: {names}")


def detect(path: Path) -> Importer:
    """The importer that recognises a file or folder. Raises ImportRefused."""
    head = head_of(path)
    for importer in IMPORTERS:
        if importer.sniff(path, head):
            return importer
    raise ImportRefused(
        f"{path.name} is in no format that is known",
        hint="give the zip, folder or file as the app exported it (docs/formats.md), or name its format with --format",
    )
