"""Files from the relay: verified plaintext from any position in constant memory, and downloads that go on (5.6).

What this device has comes first, then the relay; every chunk is checked before it is opened, and a bad one costs no
other. The next stretch is fetched while the last one is used.
"""

from __future__ import annotations

import asyncio
import errno
import hashlib
import os
import stat
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from io import BufferedRandom
from pathlib import Path
from typing import BinaryIO

from strongroom.engine.source import ObjectSource
from strongroom.transport.base import Range
from strongroom_protocol.errors import Failure, RelayUnreachable, StorageFull, UntrustedDataError
from strongroom_protocol.limits import LIMITS
from strongroom_protocol.seal.media import Media, part_shape
from strongroom_protocol.seal.media_parts import PartOpener
from strongroom_protocol.seal.objects import HEADER_BYTES

STRETCH_CHUNKS = 8
"""Chunks of a part that are fetched at once, 2 MiB: one stretch is in use while the next is on its way."""

Fetch = Callable[[Sequence[Range]], Awaitable[list[bytes | None]]]
Progress = Callable[[int], None]
"""Gets the bytes of the file that are there so far."""


async def read(
    source: ObjectSource, media: Media, offset: int = 0, length: int | None = None, *, staged: Path | None = None
) -> AsyncIterator[bytes]:
    """The file's bytes from `offset` on, `length` of them or all; only the chunks they lie in are fetched.

    `staged` is a folder with parts that may not be at the relay yet. Raises UntrustedDataError at the first bad byte,
    whose subject is the object; what was yielded before is good, and what lies behind can still be read. DIGEST when
    the whole file was read and is not the one that the descriptor says.
    """
    end = media.size if length is None else min(media.size, offset + length)
    reader = _Reader(source, media, staged)
    whole = hashlib.sha256()
    ahead: asyncio.Task[tuple[bytes, UntrustedDataError | None]] | None = None
    try:
        for stretch in [*_stretches(offset, end), None]:
            before, ahead = ahead, asyncio.create_task(reader.stretch(*stretch)) if stretch else None
            if before is not None:
                content, error = await before
                whole.update(content)
                yield content
                if error is not None:
                    raise error
    finally:
        if ahead is not None:
            ahead.cancel()
            await asyncio.gather(ahead, return_exceptions=True)
    if (offset, end) == (0, media.size) and whole.digest() != media.sha256:  # spec: MEDIA-6
        raise UntrustedDataError(Failure.DIGEST, "not the file that the message names", subject="media")


async def download(
    source: ObjectSource, media: Media, path: Path, *, staged: Path | None = None, progress: Progress | None = None
) -> None:
    """Write the file to `path`, durably and all or nothing.

    It grows beside it, in `part_of`; what is there of an earlier try is hashed and continued. Raises
    UntrustedDataError, StorageFull, RelayError and leaves the part to go on from.
    """
    part = part_of(path, media)
    with _translated():
        while not await _grown(source, media, part, staged, progress):
            part.unlink()  # it was of another file; from the beginning, reading checks itself
        os.replace(part, path)
        await asyncio.to_thread(sync_folder, path.parent)


def part_of(path: Path, media: Media) -> Path:
    """Where the file for `path` grows: named by its content too, so that it is no file of anybody else."""
    return path.with_name(f"{path.name}.{media.sha256[:8].hex()}.part")


def _grows(part: Path) -> BufferedRandom:
    """For reading and writing, made when it is not there. Raises OSError for a link or anything but a regular file."""
    flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK
    handle = os.open(part, flags, 0o666)
    if not stat.S_ISREG(os.fstat(handle).st_mode):
        os.close(handle)
        raise FileExistsError(errno.EEXIST, "is not a regular file", str(part))
    return os.fdopen(handle, "r+b")


async def _grown(
    source: ObjectSource, media: Media, part: Path, staged: Path | None, progress: Progress | None
) -> bool:
    """Bring the file at `part` to its whole length, durably; whether it is the right one."""
    with _grows(part) as file:
        start = min(file.seek(0, os.SEEK_END), media.size) // LIMITS.media_chunk_bytes * LIMITS.media_chunk_bytes
        file.truncate(start)  # what stands behind the last whole chunk may be half written
        file.seek(0)
        whole = await asyncio.to_thread(hashlib.file_digest, file, "sha256")
        done = start
        async for piece in read(source, media, start, media.size - start, staged=staged):
            await asyncio.to_thread(_append, file, whole, piece)
            done += len(piece)
            if progress is not None:
                progress(done)
        await asyncio.to_thread(_sync, file)
        return whole.digest() == media.sha256


@dataclass(slots=True)
class _Reader:
    """Reads chunks of one file; keeps the opened table of the part that it reads."""

    source: ObjectSource
    media: Media
    staged: Path | None
    _opener: tuple[int, PartOpener] | None = None

    async def stretch(
        self, number: int, chunks: range, first: int, last: int
    ) -> tuple[bytes, UntrustedDataError | None]:
        """Bytes `first` to `last` of the file, which lie in `chunks` of part `number`; what is good before an error."""
        found: dict[int, bytes | UntrustedDataError] = {}
        for fetch in self._fetches():
            left = [index for index in chunks if not isinstance(found.get(index), bytes)]
            try:
                if left:
                    found |= await self._chunks(fetch, number, left)
            except RelayUnreachable:
                # Without the relay a damaged copy stays what it is, damage; what is not here was not read at all.
                known = [found.get(index) for index in left]
                if not all(isinstance(bad, UntrustedDataError) and bad.failure is not Failure.MISSING for bad in known):
                    raise
        good = bytearray()
        for index in chunks:
            content = found[index]
            if isinstance(content, UntrustedDataError):
                self.source.damage.setdefault(self.media.parts[number].name.hex(), content.failure)
                return bytes(good), content
            at = (number * LIMITS.media_part_chunks + index) * LIMITS.media_chunk_bytes
            good += content[max(0, first - at) : last - at]
        return bytes(good), None

    def _fetches(self) -> Iterator[Fetch]:
        if self.staged is not None:
            yield self._from_folder
        if not self.source.fresh:
            yield self._from_cache
        yield lambda ranges: self.source.transport.read(self.source.account, ranges)

    async def _chunks(self, fetch: Fetch, number: int, chunks: list[int]) -> dict[int, bytes | UntrustedDataError]:
        """Header, table and chunks come in one request."""
        name, shape = self.media.parts[number].name, part_shape(self.media.size, number)
        known = self._opener[1] if self._opener is not None and self._opener[0] == number else None
        before = [] if known else [(name, 0, HEADER_BYTES), (name, *shape.table)]
        pieces = await fetch([*before, *((name, *shape.place(index)) for index in chunks)])
        return await asyncio.to_thread(self._opened, known, number, pieces, chunks)

    def _opened(
        self, opener: PartOpener | None, number: int, pieces: list[bytes | None], chunks: list[int]
    ) -> dict[int, bytes | UntrustedDataError]:
        found: dict[int, bytes | UntrustedDataError] = {}
        subject = self.media.parts[number].name.hex()
        try:
            if opener is None:
                header, table = (_present(piece, subject) for piece in pieces[:2])
                opener = PartOpener(self.media, number, self.source.epochs, self.source.account, header, table)
                self._opener = number, opener
                pieces = pieces[2:]
        except UntrustedDataError as error:
            return dict.fromkeys(chunks, error)
        for index, sealed in zip(chunks, pieces, strict=True):
            try:
                found[index] = opener.chunk(index, _present(sealed, subject))
            except UntrustedDataError as error:
                found[index] = error
        return found

    async def _from_cache(self, ranges: Sequence[Range]) -> list[bytes | None]:
        return await asyncio.to_thread(lambda: [self.source.cache.read(*item) for item in ranges])

    async def _from_folder(self, ranges: Sequence[Range]) -> list[bytes | None]:
        folder = self.staged or Path()
        return await asyncio.to_thread(lambda: [_range(folder / name.hex(), *rest) for name, *rest in ranges])


def _stretches(offset: int, end: int) -> Iterator[tuple[int, range, int, int]]:
    """(part, chunks, offset, end): what is fetched at once, within one part."""
    if offset >= end:
        return
    chunk, per_part = LIMITS.media_chunk_bytes, LIMITS.media_part_chunks
    at, stop = offset // chunk, -(-end // chunk)
    while at < stop:
        number, index = divmod(at, per_part)
        count = min(STRETCH_CHUNKS, stop - at, per_part - index)
        yield number, range(index, index + count), offset, end
        at += count


def sync_folder(folder: Path) -> None:
    """Make the names in a folder durable."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _present(piece: bytes | None, subject: str) -> bytes:
    if piece is None:
        raise UntrustedDataError(Failure.MISSING, "the relay does not have it", subject=subject)
    return piece


def _range(path: Path, offset: int, length: int) -> bytes | None:
    try:
        with path.open("rb") as file:
            file.seek(offset)
            return file.read(length)
    except FileNotFoundError:
        return None


def _append(file: BinaryIO, whole: hashlib._Hash, piece: bytes) -> None:
    whole.update(piece)
    file.write(piece)


def _sync(file: BinaryIO) -> None:
    file.flush()
    os.fsync(file.fileno())


@contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise StorageFull("the disk that the file goes to is full") from error
        raise
