"""An export that is a zip or an unpacked folder, read in place: nothing is ever extracted.

What is in an archive was chosen by somebody else. A member is read only when its name is a plain relative path, it is
a regular file, stored or deflated, not encrypted, and does not inflate beyond reason; the others are left out and named
in `problems`. Since no member's name becomes a path on disk, a bad name can at most be displayed.
"""

from __future__ import annotations

import io
import os
import re
import stat
import struct
import zipfile
import zlib
from collections import Counter
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, cast

from strongroom_protocol.errors import ImportRefused

ZIP_MAGIC = b"PK\x03\x04"
RATIO = 200  # inflated bytes per byte of the zip; texts of chats reach 40, a bomb of deflate 1,032
RATIO_FLOOR = 16 * 1024 * 1024  # bytes up to which a member may inflate as it likes
MEMBERS = 4_000_000  # ten thousand conversations of four hundred days
_NAME_BYTES = 1024
_ENCRYPTED, _UTF8 = 0x1, 0x800  # general purpose bits of a zip
_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
_DRIVE = re.compile(r"[A-Za-z]:")
_JUNK = re.compile(r"(?:.*/)?(?:__MACOSX/.*|\.DS_Store|Thumbs\.db)")
_BROKEN = (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, ValueError, struct.error)


class Damaged(OSError):
    """A member of a zip is not what the zip says of it; the others may be."""


class Archive:
    """The regular files of a zip or folder: `sizes` by name, in sorted order."""

    def __init__(self, sizes: dict[str, int], problems: Counter[str]) -> None:
        self.sizes = dict(sorted(sizes.items()))
        self.problems = problems  # why members were left out, and how many
        self._prefix = ""

    def enter(self, marks: Collection[str]) -> bool:
        """Whether a file of `marks` is at the top, or in the one folder at the top, which is then the top."""
        if any(mark in self.sizes for mark in marks):
            return True
        tops = {name.partition("/")[0] for name in self.sizes}
        top = f"{tops.pop()}/" if len(tops) == 1 else ""
        if not top or not any(f"{top}{mark}" in self.sizes for mark in marks):
            return False
        self._prefix += top
        self.sizes = {name.removeprefix(top): size for name, size in self.sizes.items()}
        return True

    def open(self, name: str) -> BinaryIO:
        """Read a member that is in `sizes`. What is wrong with its bytes is an OSError when it is come upon."""
        return self._open(self._prefix + name)

    def check(self, name: str) -> None:
        """Raises ImportRefused when a member, or the zip it is in, is not as it was when the archive was opened."""
        if self._is_changed(self._prefix + name):  # spec: IMP-3
            raise ImportRefused("the export changed while it was read", hint="import it again")

    def _open(self, name: str) -> BinaryIO:
        raise NotImplementedError

    def _is_changed(self, name: str) -> bool:
        raise NotImplementedError


@contextmanager
def open_archive(path: Path) -> Iterator[Archive]:
    """The archive at a path. Raises ImportRefused when it cannot be read, or its directory contradicts itself."""
    if path.is_dir():
        yield _Folder(path)
        return
    try:
        file = zipfile.ZipFile(path)
    except OSError as error:
        raise ImportRefused(f"cannot read {path.name}", hint=error.strerror or "check that the file exists") from error
    except _BROKEN as error:
        raise ImportRefused(f"{path.name} is no zip that can be read", hint="fetch the export again") from error
    with file:
        yield _Zip(file, path)


class _Zip(Archive):
    def __init__(self, file: zipfile.ZipFile, path: Path) -> None:
        infos = file.infolist()
        # Members that share their bytes are how a small zip holds petabytes: together they claim more than there is.
        if len(infos) > MEMBERS or sum(info.compress_size for info in infos) > path.stat().st_size:  # spec: IMP-14
            raise ImportRefused(
                f"{path.name}: its members overlap or are too many", hint="unpack it and name the folder"
            )
        self._path, self._mark = path, _mark(path)
        self._file = file
        self._infos: dict[str, zipfile.ZipInfo] = {}
        problems: Counter[str] = Counter()
        for info in infos:
            name = _name(info)
            if info.is_dir() or _JUNK.fullmatch(name):
                continue
            problem = _problem(name, info)
            if problem is None and name in self._infos:  # spec: IMP-13
                problem = "a second member of the same name"
            if problem is None:
                self._infos[name] = info
            else:
                problems[problem] += 1
        claimed = sum(info.file_size for info in self._infos.values())
        if claimed > max(RATIO_FLOOR, RATIO * path.stat().st_size):  # spec: IMP-18
            raise ImportRefused(f"{path.name} inflates too far", hint="unpack it and name the folder")
        super().__init__({name: info.file_size for name, info in self._infos.items()}, problems)

    def _open(self, name: str) -> BinaryIO:
        try:
            return _buffered(self._file.open(self._infos[name]))
        except (OSError, *_BROKEN) as error:  # an OSError: an offset that no file has
            raise Damaged("damaged in the zip") from error

    def _is_changed(self, name: str) -> bool:
        return _mark(self._path) != self._mark


class _Folder(Archive):
    def __init__(self, path: Path) -> None:
        self._path = path
        sizes: dict[str, int] = {}
        problems: Counter[str] = Counter()
        for folder, _, files in os.walk(path):  # links to folders are not followed
            base = Path(folder).relative_to(path)
            for file in files:
                name = (base / file).as_posix()
                status = (path / base / file).lstat()
                if _JUNK.fullmatch(name):
                    continue
                if stat.S_ISREG(status.st_mode) and _is_plain(name):
                    sizes[name] = status.st_size
                else:
                    problems["not a regular file with a plain name"] += 1
        self._listed = sizes
        super().__init__(sizes, problems)

    def _open(self, name: str) -> BinaryIO:
        # A link put there since the folder was listed is not followed either.
        descriptor = os.open(self._path / name, os.O_RDONLY | os.O_NOFOLLOW)
        return os.fdopen(descriptor, "rb")

    def _is_changed(self, name: str) -> bool:
        return (self._path / name).lstat().st_size != self._listed[name]


class _Member(io.RawIOBase):
    """A member of a zip whose damage is an OSError, as it is for a file."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        try:
            block = self._file.read(len(buffer))
        except _BROKEN as error:
            raise Damaged("damaged in the zip") from error
        buffer[: len(block)] = block
        return len(block)

    def close(self) -> None:
        self._file.close()
        super().close()


def _mark(path: Path) -> tuple[int, int]:
    status = path.stat()
    return status.st_size, status.st_mtime_ns


def _buffered(file: object) -> BinaryIO:
    return cast(BinaryIO, io.BufferedReader(_Member(cast(BinaryIO, file)), 64 * 1024))


def _name(info: zipfile.ZipInfo) -> str:
    """The name as it was meant: some exporters write UTF-8 without saying so, which reads as code page 437."""
    name = info.orig_filename
    if info.flag_bits & _UTF8 or name.isascii():
        return name
    try:
        return name.encode("cp437").decode()
    except UnicodeError:
        return name


def _problem(name: str, info: zipfile.ZipInfo) -> str | None:
    """Why a member of a zip is not read; None: it is."""
    mode = info.external_attr >> 16
    if not _is_plain(name):  # spec: IMP-13
        return "not a plain relative name"
    if stat.S_IFMT(mode) not in (0, stat.S_IFREG):  # spec: IMP-13
        return "a link or another special file"
    if info.flag_bits & _ENCRYPTED:  # spec: IMP-13
        return "encrypted"
    if info.compress_type not in _METHODS:  # spec: IMP-13
        return "compressed in another way than deflate"
    if info.file_size > max(RATIO_FLOOR, RATIO * info.compress_size):  # spec: IMP-13
        return "inflates too far"
    return None


def _is_plain(name: str) -> bool:
    parts = name.split("/")
    try:
        size = len(name.encode())
    except UnicodeEncodeError:  # bytes of a folder's listing that are no UTF-8
        return False
    return (
        size <= _NAME_BYTES
        and not any(mark in name for mark in "\0\\")
        and not _DRIVE.match(name)
        and not any(part in ("", ".", "..") for part in parts)
    )
