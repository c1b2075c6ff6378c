"""One device of a crowd, as a process: it writes, reads and packs until it is told to stop, or killed.

    python tests/crowd/phone.py VAULT JOURNAL [pack]

The journal is written through: `try ID` before a message is appended, `done ID` when `append` has returned, `safe` when
everything appended before is acknowledged by the relay. With `pack` it compacts the history every few seconds.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import signal
import sys
import time
from pathlib import Path

from strongroom import StrongroomError, Vault, message, sending

CHATS = 6
WAIT_S = (0.01, 0.3)
PACK_S = 4.0


async def live(folder: Path, journal: Path, *, pack: bool) -> None:
    """Until SIGTERM; errors that a relay's absence or other devices explain are waited out, as an app would."""
    stopped = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stopped.set)
    sending.BACKOFF_S = (0.05, 1.0)
    dice = random.Random(f"{folder.name} {os.getpid()}")
    notes = os.open(journal, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    async with await Vault.open(folder) as vault:
        packed = time.monotonic()
        while not stopped.is_set():
            await _say(vault, dice, notes)
            with contextlib.suppress(StrongroomError):
                if dice.random() < 0.3:
                    await vault.flush()
                    _note(notes, "safe")
                if dice.random() < 0.1:
                    await vault.newest(f"chat {dice.randrange(CHATS)}", count=20)
                if pack and time.monotonic() - packed > PACK_S:
                    packed = time.monotonic()
                    if await vault.compact():
                        _note(notes, "packed")
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(stopped.wait(), dice.uniform(*WAIT_S))


async def _say(vault: Vault, dice: random.Random, notes: int) -> None:
    chat = f"chat {dice.randrange(CHATS)}"
    names = [f"{vault.device_id[:6]}-{dice.getrandbits(64):016x}" for _ in range(dice.choice([1, 1, 1, 3, 20]))]
    _note(notes, "try", *names)
    await vault.append(chat, [message(f"{name} says hello", id=name, sender=vault.device_id[:6]) for name in names])
    _note(notes, "done", *names)


def _note(file: int, *words: str) -> None:
    """One line, durable on return."""
    os.write(file, (" ".join(words) + "\n").encode())
    os.fsync(file)


if __name__ == "__main__":
    asyncio.run(live(Path(sys.argv[1]), Path(sys.argv[2]), pack=sys.argv[3:] == ["pack"]))
