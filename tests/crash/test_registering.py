"""A device killed after the relay has registered it, and before it knows, goes on: it is no copy of itself."""

from __future__ import annotations

import asyncio
import shutil
from pathlib import Path

import pytest

from strongroom import message
from strongroom.account import unfinished
from strongroom.transport.base import CommitResponse, RegisterRequest, Transport
from strongroom_protocol.errors import CallError, RelayUnreachable
from vaults import Bench, Device, SharedTransport


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


def test_a_folder_left_by_a_kill_before_the_relay_knew_is_used_again(tmp_path: Path) -> None:
    class Killed(SharedTransport):
        async def register(self, request: RegisterRequest) -> CommitResponse:
            shutil.copytree(tmp_path / "a", tmp_path / "killed")
            raise RelayUnreachable("cut off")

    async def run() -> None:
        bench = Bench(tmp_path)
        relay = await bench.open()
        with pytest.raises(RelayUnreachable):
            await bench.create(wrap=lambda _: Killed(relay))
        assert unfinished(tmp_path / "killed")
        again = await bench.create(folder="killed")
        await again.vault.append("chat", message("one", sender="anna"))
        await again.vault.flush()
        assert not unfinished_state(again)
        await again.vault._sender.stop()
        with pytest.raises(CallError):  # now it is a vault
            await bench.create("berta", folder="killed")
        bench.close()

    asyncio.run(run())


def test_a_folder_whose_account_was_made_is_no_place_for_another(tmp_path: Path) -> None:
    class Killed(SharedTransport):
        async def register(self, request: RegisterRequest) -> CommitResponse:
            answer = await super().register(request)
            shutil.copytree(tmp_path / "a", tmp_path / "killed")
            return answer

    async def run() -> None:
        bench = Bench(tmp_path)
        relay = await bench.open()
        await bench.create(wrap=lambda _: Killed(relay))
        with pytest.raises(CallError):
            await bench.create("berta", folder="killed")
        device = await bench.reopen("killed")
        assert await device.vault.chats() == []
        bench.close()

    asyncio.run(run())


def unfinished_state(device: Device) -> bool:
    return device.session.pin.head_version == 0
