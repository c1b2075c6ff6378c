"""Files beside a page: shown in place when their first bytes say that they are pictures, sounds or films.

What a sender says a file is, is not believed: not its name's ending, and not its media type.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from strongroom.formats.html.words import text
from strongroom.formats.readable_parts import ShownFile
from strongroom.sniffing import SNIFF_BYTES, media_type

PICTURES = ("image/jpeg", "image/png", "image/gif", "image/webp", "image/avif")
SOUNDS = ("audio/mpeg", "audio/mp4", "audio/ogg", "audio/wav", "audio/flac")
VIDEOS = ("video/mp4", "video/webm", "video/quicktime", "video/3gpp")
_INERT = """
jpg jpeg png gif webp avif heic heif bmp mp3 m4a ogg oga opus wav flac aac amr mp4 m4v mov webm 3gp avi mkv pdf txt md
csv log rtf doc docx odt xls xlsx ods ppt pptx odp epub zip gz 7z rar tar vcf ics json
"""
INERT = frozenset(_INERT.split())
"""Endings that no browser takes for a page, whatever is in the file."""


@dataclass(frozen=True, slots=True)
class PlacedFile:
    """A file of a message: `source` is its address as seen from a page, `kind` its media type; empty if not here."""

    shown: ShownFile
    source: str
    kind: str


def safe_suffix(path: str) -> str:
    """The path of a file whose ending a browser would run gets another one."""
    return path if path.rpartition(".")[2].lower() in INERT else f"{path}.bin"  # spec: EXP-3


def placed_file(file: ShownFile, folder: Path) -> PlacedFile:
    """Look at a file that was written to the export's folder."""
    if file.path is None:
        return PlacedFile(file, "", "")
    try:
        with (folder / file.path).open("rb") as opened:
            kind = media_type(opened.read(SNIFF_BYTES)) or ""
    except OSError:  # another message's file that was never written: nothing to lead to
        return PlacedFile(file, "", "")
    return PlacedFile(file, f"../{safe_suffix(file.path)}", kind)


def settle_names(folder: Path) -> None:
    """Give the files the names that the pages call them by."""
    if folder.is_dir():
        for path in list(folder.iterdir()):
            inert = path.with_name(safe_suffix(path.name))
            if inert != path:
                path.rename(inert)


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
    return f'<p class="file"><a href="{source}" download="{name}" dir="auto">{name}</a> <i>{about}</i></p>{caption}'
