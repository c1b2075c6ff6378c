"""What every importer of a chat format is: a name, a way to recognise its files, a stream of rows."""

from __future__ import annotations

import functools
import hashlib
import os
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO, Protocol, runtime_checkable

from strongroom_protocol.errors import ImportRefused
from strongroom_protocol.limits import LIMITS
from strongroom_protocol.rows.model import Kind, Op, Row

HEAD_BYTES = 64 * 1024
_BLOCK = 1024 * 1024

Imported = tuple[str, Row]
"""Conversation id, and a row that has no origin yet."""


@dataclass(frozen=True, slots=True)
class ImportOptions:
    """How to read an export where it does not say itself."""

    chat: str | None = None  # conversation id to use
    title: str | None = None
    extra: Mapping[str, str] = field(default_factory=dict)  # options of one format, by name


@dataclass(slots=True)
class SourceFile:
    """One file that was read."""

    name: str
    size: int  # bytes
    sha256: str
    records: int = 0


@dataclass(slots=True)
class ImportReport:
    """What an import found. Counts only what was handed over; nothing is dropped without a trace here."""

    rows: Counter[str] = field(default_factory=Counter)  # per operation
    kinds: Counter[str] = field(default_factory=Counter)  # per kind of message
    records: int = 0  # lines or other units of the sources
    not_understood: int = 0  # kept verbatim
    warnings: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)  # how the sources were read, where they do not say themselves
    sources: list[SourceFile] = field(default_factory=list)

    def count(self, row: Row) -> None:
        """Count one row."""
        self.rows[_OP_NAMES[row.op]] += 1
        if row.op == Op.PUT:
            self.kinds[_KIND_NAMES.get(row.kind, "unsupported")] += 1

    def to_dict(self) -> dict[str, Any]:
        """For `--json`."""
        return {
            "rows": dict(sorted(self.rows.items())),
            "kinds": dict(sorted(self.kinds.items())),
            "records": self.records,
            "not_understood": self.not_understood,
            "warnings": list(self.warnings),
            "notes": list(self.notes),
            "sources": [
                {"name": file.name, "size": file.size, "sha256": file.sha256, "records": file.records}
                for file in self.sources
            ],
        }


class Importer(Protocol):
    """One chat format. An implementation is a module with one class and one line in the registry."""

    name: str

    def sniff(self, path: Path, head: bytes) -> bool:
        """Whether the file that begins with `head` is of this format; of a folder, `head` is empty."""
        ...

    def read(self, path: Path, options: ImportOptions, report: ImportReport) -> Iterator[Imported]:
        """Stream the rows of a file or folder in bounded memory.

        Raises ImportRefused before the first row of a file that cannot be read.
        """
        ...


Opener = Callable[[str], BinaryIO | None]
"""Opens a file of an export by the `path` of an attachment; None when it is not there. Raises OSError."""


@runtime_checkable
class WithFiles(Protocol):
    """An importer of exports that may hold the bytes of attachments."""

    def files(self, path: Path) -> AbstractContextManager[Opener]:
        """The opener for the attachments of an export; valid within the context. Raises ImportRefused."""
        ...


def files_of(importer: Importer, path: Path) -> AbstractContextManager[Opener | None]:
    """The opener for the attachments of an export; None for formats that hold none."""
    return importer.files(path) if isinstance(importer, WithFiles) else nullcontext()


def head_of(path: Path) -> bytes:
    """The first bytes of a file, none of a folder. Raises ImportRefused."""
    if path.is_dir():
        return b""
    try:
        with path.open("rb") as file:
            return file.read(HEAD_BYTES)
    except OSError as error:
        raise ImportRefused(f"cannot read {path.name}", hint=error.strerror or "check that the file exists") from error


def files_under(path: Path) -> list[Path]:
    """The file itself, or all files of a folder in sorted order; links are not followed, hidden files skipped."""
    if not path.is_dir():
        return [path]
    found = (entry for entry in path.rglob("*") if entry.is_file() and not entry.is_symlink())
    return sorted(entry for entry in found if not any(part.startswith(".") for part in entry.relative_to(path).parts))


def examine(path: Path) -> SourceFile:
    """Size and hash of a whole file, so that nothing of one that cannot be read is imported."""
    digest, size = hashlib.sha256(), 0
    problem: OSError | None = None
    try:
        with path.open("rb") as file:
            while block := file.read(_BLOCK):
                digest.update(block)
                size += len(block)
    except OSError as error:
        problem = error
    if problem is not None:  # spec: IMP-1
        raise ImportRefused(f"cannot read {path.name}", hint=problem.strerror or "") from problem
    return SourceFile(name_of(path), size, digest.hexdigest())


def name_of(path: Path) -> str:
    """The name of a file as text. One that is no UTF-8 was most likely Latin-1, and stays different from others."""
    try:
        return os.fsencode(path.name).decode()
    except UnicodeDecodeError:
        return os.fsencode(path.name).decode("latin-1")


def lines_of(path: Path, source: SourceFile) -> Iterator[bytes]:
    """The lines of a file with their terminators (LF ends a line); counts them in `source.records`."""
    limit = LIMITS.raw_bytes
    left = source.size
    with path.open("rb") as file:
        for line in iter(functools.partial(file.readline, limit + 1), b""):
            if len(line) > limit:  # spec: IMP-2
                raise ImportRefused(
                    f"{path.name}: line {source.records + 1} is over {limit} bytes", hint="is it a chat export?"
                )
            source.records += 1
            left -= len(line)
            yield line
    if left:  # spec: IMP-3
        raise ImportRefused(f"{path.name} changed while it was read", hint="import it again")


REMEMBERED = 16_384


class Ordinals:
    """Numbers messages without ids that are equal in sender, time, kind and text.

    They need not stand together: at least the last REMEMBERED different messages are known, in two generations, so
    that memory stays bounded.
    """

    __slots__ = ("_new", "_old")

    def __init__(self) -> None:
        self._new: dict[tuple[object, ...], int] = {}
        self._old: dict[tuple[object, ...], int] = {}

    def next(self, chat: str, sender: str | None, time: int, kind: int, text: str | None) -> int:
        """0 for the first of its kind, 1 for the second, …"""
        key = (time, chat, sender, kind, text)
        number = self._new.get(key) or self._old.get(key, 0)
        self._new[key] = number + 1
        if len(self._new) >= REMEMBERED:
            self._old, self._new = self._new, {}
        return number  # spec: IMP-4


_OP_NAMES = {int(op): op.name.lower() for op in Op}
_KIND_NAMES = {int(kind): kind.name.lower() for kind in Kind}
