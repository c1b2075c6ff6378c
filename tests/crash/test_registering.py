"""A device killed after the relay has registered it, and before it knows, goes on: it is no copy of itself."""

from __future__ import annotations

import asyncio
import shutil
from pathlib import Path

from strongroom import message
from strongroom.transport.base import CommitResponse, RegisterRequest, Transport
from vaults import Bench, SharedTransport


def test_a_device_killed_before_it_knows_of_its_registration_goes_on(tmp_path: Path) -> None:
    class Killed(SharedTransport):
        """Keeps the folder as a kill would leave it when the answer is on its way."""

        async def register(self, request: RegisterRequest) -> CommitResponse:
            answer = await super().register(request)
            shutil.copytree(tmp_path / "a", tmp_path / "killed")
            return answer

    async def run() -> None:
        bench = Bench(tmp_path)
        relay = await bench.open()

        def killed(_: Transport) -> Transport:
            return Killed(relay)

        first = await bench.create(wrap=killed)
        bench.drop(first)
        device = await bench.reopen("killed")
        await device.vault.append("chat", message("one", sender="anna"))
        await device.vault.flush()
        assert [item.text for item in await device.vault.newest("chat")] == ["one"]
        await device.vault._sender.stop()
        bench.close()

    asyncio.run(run())
