"""What a process does while its memory is watched; prints one JSON object.

    python -m scale.subject create|login FOLDER RELAY [TOKEN]
    python -m scale.subject import FOLDER MESSAGES MEDIA      rows with files among them, from a stream
    python -m scale.subject columns FOLDER MESSAGES           rows as an app's columns
    python -m scale.subject restore|verify FOLDER
    python -m scale.subject export FOLDER TARGET
    python -m scale.subject upload|attach FOLDER BYTES        one file
    python -m scale.subject save|stream FOLDER TARGET         the largest file, to a path or to nowhere

Nothing is held here: messages and files are made while they are read.
"""

from __future__ import annotations

import asyncio
import io
import json
import random
import sys
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from corpus import Corpus
from strongroom import Columns, Vault, bulk
from strongroom.importing import Imported, import_rows
from strongroom_protocol.keys.secrets import UnlockSecret
from strongroom_protocol.keys.slots import Unlock
from strongroom_protocol.manifest.slots import Kdf, SlotKind
from strongroom_protocol.rows.detail import ATTACHMENTS
from strongroom_protocol.rows.model import Kind
from vaults import create_at, login_at

if TYPE_CHECKING:
    from typing_extensions import Buffer

CONVERSATIONS = 200
LOT_ROWS = 8_192
FILE_BYTES = 100_000
FILES_CHAT = "files"


def opener(name: str, salt: bytes, kdf: Kdf) -> Unlock:
    """A slot that no Argon2 stands before: its memory is the user's choice, not the history's."""
    return Unlock(SlotKind.RECOVERY, UnlockSecret(bytes(32)))


class Noise(io.RawIOBase):
    """`size` bytes that do not compress and do not repeat, made as they are read: the same for the same seed."""

    def __init__(self, size: int, seed: int = 0) -> None:
        self._left = size
        self._seed = seed
        self._number = 0

    def readable(self) -> bool:
        return True

    def readinto(self, target: Buffer, /) -> int:
        room = memoryview(target)
        size = min(self._left, len(room), 1 << 16)
        self._number += 1
        room[:size] = random.Random(f"{self._seed} {self._number}").randbytes(size)
        self._left -= size
        return size


async def create(folder: Path, relay: str, token: str = "") -> dict[str, Any]:
    await (await create_at(relay, folder, opener, token=token)).close()
    return {}


async def login(folder: Path, relay: str) -> dict[str, Any]:
    await (await login_at(relay, folder, opener)).close()
    return {}


async def import_(folder: Path, messages: int, media: int) -> dict[str, Any]:
    # Pieces of a quarter of their size, so that what is small enough for a test is several of them too.
    bulk.PIECE_BYTES, bulk.WAITING_BYTES = bulk.PIECE_BYTES // 4, bulk.WAITING_BYTES // 4

    def file(path: str) -> BinaryIO:
        return io.BufferedReader(Noise(FILE_BYTES, int(path)))

    async with await Vault.open(folder) as vault:
        added = await import_rows(vault._session, _with_files(messages, media // FILE_BYTES), files=file)
        return {"rows": sum(added.written.values()), "commits": added.commits}


async def columns(folder: Path, messages: int) -> dict[str, Any]:
    async with await Vault.open(folder) as vault:
        added = await vault.import_(_columns(messages))
        return {"rows": sum(added.written.values())}


async def restore(folder: Path) -> dict[str, Any]:
    async with await Vault.open(folder) as vault:
        found = await vault.restore()
        return {"rows": found.audit.rows, "bytes": found.audit.bytes, "damaged": len(found.audit.damaged)}


async def verify(folder: Path) -> dict[str, Any]:
    async with await Vault.open(folder) as vault:
        found = await vault.verify()
        return {"rows": found.rows, "bytes": found.bytes, "damaged": len(found.damaged)}


async def export(folder: Path, target: Path) -> dict[str, Any]:
    async with await Vault.open(folder) as vault:
        return await vault.export(target)


async def attach(folder: Path, size: int) -> dict[str, Any]:
    async with await Vault.open(folder) as vault:
        await vault.attach(FILES_CHAT, ("film", io.BufferedReader(Noise(size))), time=1_700_000_000_000 + size)
        await vault.flush()
        return {}


async def save(folder: Path, target: Path) -> dict[str, Any]:
    async with await Vault.open(folder) as vault:
        (message,) = await vault.newest(FILES_CHAT, count=1)
        (attachment,) = message.attachments
        await vault.save(attachment, target)
        return {"bytes": target.stat().st_size}  # noqa: ASYNC240 - nothing else runs here


async def stream(folder: Path) -> dict[str, Any]:
    async with await Vault.open(folder) as vault:
        (message,) = await vault.newest(FILES_CHAT, count=1)
        (attachment,) = message.attachments
        return {"bytes": sum([len(piece) async for piece in vault.media(attachment)])}


def _with_files(messages: int, files: int) -> Iterator[Imported]:
    """Messages of which so many, evenly spread, have a file."""
    every = messages // max(1, files)
    for number, (chat, row) in enumerate(Corpus(conversations=CONVERSATIONS).messages(messages)):
        place, rest = divmod(number, every)
        if rest or place >= files:
            yield chat, row
        else:
            file = {2: FILE_BYTES, 3: "image/jpeg", 4: f"{place}.jpg", 5: str(place)}
            yield chat, row._replace(kind=Kind.MEDIA, detail={ATTACHMENTS: [file]})


def _columns(messages: int) -> Iterator[Columns]:
    corpus = Corpus(conversations=CONVERSATIONS)
    while messages > 0:
        lot = list(corpus.messages(min(messages, LOT_ROWS)))
        messages -= len(lot)
        yield Columns.from_rows(lot)


_VERBS: dict[str, Callable[..., Awaitable[dict[str, Any]]]] = {
    "create": create, "login": login, "import": import_, "columns": columns, "restore": restore, "verify": verify,
    "export": export, "attach": attach, "save": save, "stream": stream,
}  # fmt: skip
_KINDS: dict[str, Callable[[str], Any]] = {"folder": Path, "target": Path, "messages": int, "media": int, "size": int}


def main() -> None:
    """The verb's object on stdout."""
    verb = _VERBS[sys.argv[1]]
    names = [name for name in verb.__annotations__ if name != "return"]
    arguments = [_KINDS.get(name, str)(text) for name, text in zip(names, sys.argv[2:], strict=False)]
    print(json.dumps(asyncio.run(verb(*arguments))))  # type: ignore[arg-type] # all are coroutines


if __name__ == "__main__":
    main()
