"""What can still be read of every file on a device that restored a damaged vault: `python -m bench.salvage FOLDER`.

A file that does not read whole is read again chunk by chunk. Prints {"files", "damaged", "chunks_lost"}.
"""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path

from bench.app_reader import FILE_CHATS
from strongroom import Attachment, Vault
from strongroom_protocol.errors import StrongroomError
from strongroom_protocol.limits import LIMITS

CHUNK = LIMITS.media_chunk_bytes


async def salvage(folder: Path) -> dict[str, int]:
    """Chunks that no read gives back, of all files of all chats that hold files."""
    found = {"files": 0, "damaged": 0, "chunks_lost": 0}
    async with await Vault.open(folder) as vault:
        for chat in [row.conversation for row in await vault.chats() if row.conversation in FILE_CHATS]:
            for message in await vault.newest(chat, count=100_000):
                for attachment in message.attachments:
                    found["files"] += 1
                    if not await _reads(vault, attachment, 0, None):
                        found["damaged"] += 1
                        pieces = range(0, attachment.size or 0, CHUNK)
                        found["chunks_lost"] += sum(
                            [not await _reads(vault, attachment, offset, CHUNK) for offset in pieces]
                        )  # fmt: skip
    return found


async def _reads(vault: Vault, attachment: Attachment, offset: int, length: int | None) -> bool:
    size, wanted = 0, length or attachment.size or 0
    try:
        async for piece in vault.media(attachment, offset=offset, length=length):
            size += len(piece)
    except StrongroomError:
        return False
    return size == min(wanted, (attachment.size or 0) - offset)


def main() -> None:
    """The counts on stdout."""
    print(json.dumps(asyncio.run(salvage(Path(sys.argv[1])))))


if __name__ == "__main__":
    main()
