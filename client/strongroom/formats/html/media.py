"""Files beside a page: shown in place when their first bytes say that they are pictures, sounds or films.

What a sender says a file is, is not believed: not its name's ending, and not its media type.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from strongroom.formats.html.words import text
from strongroom.formats.names import inert, safe_name
from strongroom.formats.readable_parts import ShownFile
from strongroom.sniffing import SNIFF_BYTES, media_type

PICTURES = ("image/jpeg", "image/png", "image/gif", "image/webp", "image/avif")
SOUNDS = ("audio/mpeg", "audio/mp4", "audio/ogg", "audio/wav", "audio/flac")
VIDEOS = ("video/mp4", "video/webm", "video/quicktime", "video/3gpp")


@dataclass(frozen=True, slots=True)
class PlacedFile:
    """A file of a message: `source` is its address as seen from a page, `kind` its media type; empty if not here."""

    shown: ShownFile
    source: str
    kind: str


def placed_file(file: ShownFile, folder: Path) -> PlacedFile:
    """Look at a file that was written to the export's folder."""
    if file.path is None:
        return PlacedFile(file, "", "")
    try:
        with (folder / file.path).open("rb") as opened:
            kind = media_type(opened.read(SNIFF_BYTES)) or ""
    except OSError:  # another message's file that was never written: nothing to lead to
        return PlacedFile(file, "", "")
    return PlacedFile(file, f"../{inert(file.path)}", kind)


def settle_names(folder: Path) -> None:
    """Give the files the names that the pages call them by."""
    if folder.is_dir():
        for path in list(folder.iterdir()):
            settled = path.with_name(inert(path.name))
            if settled != path:
                path.rename(settled)


def file_markup(file: PlacedFile) -> str:
    """A file as HTML: in place, or to be fetched, or words about why it is not here."""
    item, source = file.shown, text(file.source)
    name = text(item.name or item.role)
    caption = f'<figcaption dir="auto">{text(item.caption)}</figcaption>' if item.caption else ""
    about = text(", ".join(filter(None, (item.role, item.about))))
    if not source:
        called = f'<i>{about}</i> <span dir="auto">{text(item.name)}</span> '
        why = f'<i>({text(item.state or "not in this export")})</i> <span dir="auto">{text(item.reason)}</span>'
        return f'<p class="missing">{called}{why}</p>{caption}'
    if file.kind in PICTURES:
        size = f' width="{item.width}" height="{item.height}"' if item.width and item.height else ""
        return (
            f'<figure class="{"sticker" if item.role == "sticker" else "picture"}"><a href="{source}" target="_blank" '
            f'rel="noopener"><img loading="lazy" src="{source}" alt="{name}"{size}></a>{caption}</figure>'
        )
    if file.kind in VIDEOS:
        return (
            f'<figure><video controls preload="none" src="{source}" aria-label="{name}"></video>'
            f'<p class="note"><span dir="auto">{name}</span> <i>{about}</i></p>{caption}</figure>'
        )
    if file.kind in SOUNDS:
        return (
            f'<figure><audio controls preload="none" src="{source}" aria-label="{name}"></audio>'
            f'<p class="note"><span dir="auto">{name}</span> <i>{about}</i></p>{caption}</figure>'
        )
    # The name that a browser would save it under is somebody else's, too: served from a site, it decides what runs.
    saved = text(inert(safe_name(item.name or item.role)))  # spec: EXP-3
    return f'<p class="file"><a href="{source}" download="{saved}" dir="auto">{name}</a> <i>{about}</i></p>{caption}'
