"""The vault without a server: the relay's service on a folder, behind the same protocol (chapter 12)."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from server.account_builder import Account, DeviceKeys, name_of
from strongroom.transport import open_transport
from strongroom_protocol.errors import NotFound, RelayConflict, RelayRefused, VaultLocked, WrongSecret


async def test_a_folder_keeps_an_account_over_openings(tmp_path: Path) -> None:
    url = f"file://{tmp_path}/a%20folder"
    transport = await open_transport(url, create=True)
    account = Account("anna", (await transport.relay_info()).receipt_key)
    await transport.register(account.registration())
    transport.authenticate(account.device.sign.public, account.device.sign.sign)
    small, large = os.urandom(1000), os.urandom(200_000)
    for data in (small, large):
        await transport.put(account.id, name_of(data), data)
        await transport.put(account.id, name_of(data), data)
    request = account.commit(adds=map(name_of, (small, large)))
    loser = account.commit()
    await transport.commit(account.id, request)
    with pytest.raises(RelayConflict):
        await transport.commit(account.id, loser)
    with pytest.raises(VaultLocked):
        await open_transport(url)
    await transport.close()
    assert (tmp_path / "a folder" / "relay.db").stat().st_mode & 0o077 == 0
    transport = await open_transport(url)
    transport.authenticate(account.device.sign.public, account.device.sign.sign)
    ranges = [(name_of(large), 5, 10), (name_of(small), 0, 0), (bytes(32), 0, 0)]
    assert await transport.read(account.id, ranges) == [large[5:15], small, None]
    assert (await transport.head(account.id, None)).head == request.head
    assert (await transport.head_at(account.id, 1)).head == account.newest.message
    assert len(await transport.keyrings(account.id, 1)) == 1
    assert await transport.missing(account.id, [bytes(32)]) == [bytes(32)]
    assert (await transport.usage(account.id)).objects == 4
    await transport.close()


async def test_errors_are_those_of_the_other_transport(tmp_path: Path) -> None:
    with pytest.raises(NotFound):
        await open_transport(f"file://{tmp_path}/none")
    assert not (tmp_path / "none").exists()
    transport = await open_transport(f"file://{tmp_path}", create=True)
    account = Account("anna", (await transport.relay_info()).receipt_key)
    await transport.register(account.registration())
    with pytest.raises(RelayRefused):
        await transport.register(Account("anna", account.receipt_key).registration())
    with pytest.raises(NotFound):
        await transport.head(account.id, None)
    stranger = DeviceKeys()
    asked = await transport.login("anna")
    wrong = Account("anna", account.receipt_key).statement(asked, stranger, origin=transport.origin)
    with pytest.raises(WrongSecret):
        await transport.unlock("anna", wrong)
    unlocked = await transport.unlock("anna", account.statement(asked, stranger, origin=transport.origin))
    assert unlocked.slots == account.slots.encode()
    transport.authenticate(stranger.sign.public, stranger.sign.sign)
    await transport.head(account.id, None)
    with pytest.raises(RelayRefused):
        await transport.put(account.id, name_of(b"x"), b"x")
    await transport.close()
