"""Closing comes to an end, at whatever moment of the sending task it is asked for."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from strongroom import message, sending
from vaults import Bench

HANGS = 5.0
"""Seconds after which something that takes none is called hanging."""


@pytest.mark.parametrize("turns", range(6))
def test_a_stop_right_after_something_was_added_ends_the_sending_task(
    turns: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sending, "GATHER_S", 0.0)

    async def run() -> None:
        bench = Bench(tmp_path)
        vault = (await bench.create()).vault
        await vault.append("chat", message("one", sender="anna"))
        await vault.flush()
        await asyncio.sleep(0.2)  # the task has nothing to do and waits
        vault._outbox.changed()
        for _ in range(turns):  # of the event loop: the task is about to wake, or has woken
            await asyncio.sleep(0)
        stopping = asyncio.ensure_future(vault._sender.stop())
        done, _ = await asyncio.wait({stopping}, timeout=HANGS)
        bench.close()
        assert done, "the cancellation was lost"

    asyncio.run(run())
