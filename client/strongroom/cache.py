"""Sealed objects kept on this device, as the relay gave them (spec chapter 13).

They stay sealed, so a restored vault at rest is as unreadable as the relay's copy; every read checks digests again,
so a damaged cache can lose data but never change it.
"""

from __future__ import annotations

import errno
import os
import tempfile
from collections.abc import Iterable
from pathlib import Path

from strongroom_protocol.errors import StorageFull


class Cache:
    """Objects by name in `folder`, two hex digits a subfolder. Not durable: whatever is lost is fetched again."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def get(self, name: bytes) -> bytes | None:
        try:
            return self._path(name).read_bytes()
        except FileNotFoundError:
            return None

    def read(self, name: bytes, offset: int, length: int) -> bytes | None:
        """A range of a kept object; shorter when the object is."""
        try:
            with self._path(name).open("rb") as file:
                file.seek(offset)
                return file.read(length)
        except FileNotFoundError:
            return None

    def holds(self, name: bytes, data: bytes) -> bool:
        """Whether these very bytes are kept already; read only when the length is right."""
        try:
            return self._path(name).stat().st_size == len(data) and self.get(name) == data
        except FileNotFoundError:
            return False

    def __contains__(self, name: bytes) -> bool:
        return self._path(name).exists()

    def put(self, name: bytes, data: bytes) -> None:
        path = self._path(name)
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        descriptor, temporary = tempfile.mkstemp(dir=path.parent)
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(data)
            os.replace(temporary, path)
        except OSError as error:
            Path(temporary).unlink(missing_ok=True)
            if error.errno in (errno.ENOSPC, errno.EDQUOT):
                raise StorageFull("the disk that holds the vault is full") from error
            raise

    def keep_only(self, names: Iterable[bytes]) -> None:
        """Remove what is not in `names`."""
        kept = {name.hex() for name in names}
        for folder in self._folder.glob("??"):
            for path in folder.iterdir():
                if folder.name + path.name not in kept:
                    path.unlink()

    def _path(self, name: bytes) -> Path:
        text = name.hex()
        return self._folder / text[:2] / text[2:]
