"""Sealed parts that wait on this device for the relay, and sealing again after an epoch change (section 13.9).

What waits is sealed as it will be uploaded: no plaintext is ever written.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import secrets
from collections.abc import Collection
from pathlib import Path

from strongroom.media import Progress, Sealing, Stream, together
from strongroom.media_reading import read, sync_folder
from strongroom.session import Session
from strongroom_protocol.errors import Failure, StorageFull, UntrustedDataError
from strongroom_protocol.limits import LIMITS
from strongroom_protocol.seal.media import Media
from strongroom_protocol.seal.objects import check_name, object_name

PUTS = 3
"""Parts read and put at once."""


async def stage(
    session: Session, stream: Stream, folder: Path, *, conversation: str, scope: bytes | None = None,
    progress: Progress | None = None,
) -> Media:  # fmt: skip
    """Seal what `stream` holds into `folder`, one file a part by its name; durable on return.

    Parts that are there already stay. Raises ReadOnly, InvalidArgument (too large), StorageFull, OSError of the stream.
    """
    session.require_writer()
    media = await _to_folder(session, folder, progress).file(stream, conversation, scope)
    await asyncio.to_thread(sync_folder, folder)
    return media


async def upload_staged(session: Session, folder: Path, media: Media) -> None:
    """Bring the staged parts of a file to the relay, durably; those that are there already are not read.

    A part that is not staged, or damaged, may be one that a head has dropped: it is read there and put again. Raises
    UntrustedDataError (NAME, MISSING) for one that is nowhere, RelayError.
    """
    session.require_writer()
    room = asyncio.Semaphore(PUTS)

    async def put(name: bytes) -> None:
        async with room:
            data = await asyncio.to_thread(_staged, folder / name.hex())
            if data is None or object_name(data) != name:
                (data,) = await session.transport.read(session.account, [(name, 0, sizes[name])])
            if data is None:
                raise UntrustedDataError(Failure.MISSING, "neither here nor at the relay", subject=name.hex())
            await asyncio.to_thread(check_name, name, data)
            await session.transport.put(session.account, name, data)

    sizes = {part.name: part.size for part in media.parts}
    names = sorted(sizes)
    async with together() as group:
        for start in range(0, len(names), LIMITS.read_items):
            asked = names[start : start + LIMITS.read_items]
            for name in await session.transport.missing(session.account, asked):
                group.create_task(put(name))


def _staged(path: Path) -> bytes | None:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return None


def unstage(folder: Path, media: Media, needed: Collection[bytes] = ()) -> None:
    """Remove the staged parts of a file, but for the `needed`, once a head that carries it is accepted."""
    for name in media.names.difference(needed):
        (folder / name.hex()).unlink(missing_ok=True)


async def reseal(
    session: Session, media: Media, folder: Path | None, *, conversation: str, scope: bytes | None = None
) -> Media:
    """The same file under the newest epoch: staged into `folder`, or uploaded when there is none.

    It is read from `folder`, this device's copies or the relay, a stretch at a time. The old parts stay where they
    are: whoever puts the new descriptor into place removes or drops them. Raises UntrustedDataError, RelayError.
    """
    session.require_writer()
    pieces = read(session.source(), media, staged=folder)
    if folder is None:
        return await Sealing.to_relay(session).pieces(pieces, conversation, scope)
    made = await _to_folder(session, folder, None).pieces(pieces, conversation, scope)
    await asyncio.to_thread(sync_folder, folder)
    return made


def _to_folder(session: Session, folder: Path, progress: Progress | None) -> Sealing:
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)

    async def keep(name: bytes, data: memoryview) -> None:
        await asyncio.to_thread(_write, folder / name.hex(), data)

    return Sealing(session.epochs()[session.keyring.epoch], keep, progress)


def _write(path: Path, data: memoryview) -> None:
    """Whole or not at all. The caller makes the name durable, once for all parts of a file."""
    if path.exists():
        return
    temporary = path.with_name(f"{secrets.token_hex(8)}.tmp")
    try:
        with temporary.open("xb") as file:
            os.fchmod(file.fileno(), 0o600)
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except OSError as error:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise StorageFull("the disk that holds the vault is full") from error
        raise
