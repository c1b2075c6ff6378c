"""WhatsApp exports: `_chat.txt`, `WhatsApp Chat with X.txt`, the zip around them, or a folder of them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from strongroom.formats.archive import ZIP_MAGIC, open_archive
from strongroom.formats.base import Imported, ImportOptions, ImportReport, Opener, SourceFile, examine, head_of, name_of
from strongroom.formats.beside import beside
from strongroom_protocol.errors import ImportRefused

_OPTIONS = frozenset(("order", "zone", "me"))


class WhatsApp:
    """Importer of the chats that WhatsApp exports on Android and iOS, in any language, with their media."""

    name = "whatsapp"

    def sniff(self, path: Path, head: bytes) -> bool:
        from strongroom.formats.whatsapp.recognising import looks_like_chat

        if not path.is_dir() and not head.startswith(ZIP_MAGIC):
            return looks_like_chat(path.name, head)
        try:
            from strongroom.formats.whatsapp.export import open_export

            with open_export(path) as export:
                return bool(export.chats)
        except (ImportRefused, OSError):
            return False

    def read(self, path: Path, options: ImportOptions, report: ImportReport) -> Iterator[Imported]:
        from strongroom.formats.whatsapp.chat import Chat  # much code, for those who have such an export
        from strongroom.formats.whatsapp.export import open_export

        source = SourceFile(name_of(path), 0, "") if path.is_dir() else examine(path)
        with open_export(path) as export:
            if not export.chats:  # spec: IMP-30
                raise ImportRefused(
                    f"{path.name} holds no chat of WhatsApp",
                    hint="name the _chat.txt, .txt or .zip that WhatsApp exported; of several zips, each",
                )
            if options.chat is not None and len(export.chats) > 1:
                raise ImportRefused("the export has more than one chat", hint="name one file, or give no --chat")
            report.warnings += [f"WhatsApp has no option {name}" for name in sorted(options.extra.keys() - _OPTIONS)]
            source.size = source.size or sum(file.size for file in export.chats)
            report.sources.append(source)
            try:
                for chat in [Chat(file, options, report) for file in export.chats]:
                    for imported in chat.rows(source):
                        report.count(imported[1])
                        yield imported
            except OSError as error:
                raise ImportRefused(f"{path.name} cannot be read to its end", hint=error.strerror or "") from error
            report.records += source.records
            report.warnings += [f"left out: {count} ({why})" for why, count in sorted(export.problems.items())]

    @contextmanager
    def files(self, path: Path) -> Iterator[Opener]:
        """Opens the media of an export by their paths."""
        if not path.is_dir() and not head_of(path).startswith(ZIP_MAGIC):
            yield lambda name: beside(path.absolute().parent, name)
            return
        with open_archive(path) as archive:
            yield lambda name: archive.open(name) if name in archive.sizes else None
