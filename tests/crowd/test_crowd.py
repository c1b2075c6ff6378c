"""Eight devices that write at once through one relay, while devices and the relay are killed and the history is packed.

Every message that `append` took over is on all devices, exactly once, in the same order. `make crowd` runs it for two
minutes; CI for CI_SECONDS (STRONGROOM_CROWD_SECONDS says otherwise).
"""

from __future__ import annotations

import asyncio
import os
import random
import subprocess
import sys
import time
from collections import Counter as Tally
from collections.abc import Iterable
from pathlib import Path

import pytest

from relay_process import RelayProcess
from strongroom import RelayConflict, Vault
from strongroom.owner import Owner
from vaults import NAME, Device, create_at, login_at, opener, rows_of

PHONES = 8
CI_SECONDS = 20.0
SECONDS = float(os.environ.get("STRONGROOM_CROWD_SECONDS") or CI_SECONDS)
KILL_PHONE_S, KILL_RELAY_S = 1.0, 8.0
OPENER = opener(bytes(32))
ALL = 10**9


class Phone:
    """A device's process, restarted whenever it is killed."""

    def __init__(self, folder: Path, *, pack: bool) -> None:
        self.folder, self.journal, self.kills, self._pack = folder, folder.parent / f"{folder.name}.journal", 0, pack
        self._process = self._started()

    def kill(self) -> None:
        self._process.kill()
        self._process.communicate()
        self.kills += 1
        self._process = self._started()

    def alive(self) -> bool:
        return self._process.poll() is None

    def stop(self) -> str:
        self._process.terminate()
        _, complaints = self._process.communicate(timeout=120)
        return complaints

    def noted(self, word: str) -> list[str]:
        """The names after a word, in order; once for lines that have none."""
        lines = [line.split() for line in self.journal.read_text().splitlines()]
        return [name for line in lines if line[:1] == [word] for name in line[1:] or [""]]

    def _started(self) -> subprocess.Popen[str]:
        command = [sys.executable, str(Path(__file__).with_name("phone.py")), str(self.folder), str(self.journal)]
        command += ["pack"] * self._pack
        return subprocess.Popen(command, stderr=subprocess.PIPE, text=True)


async def test_eight_devices_at_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    relay = RelayProcess(tmp_path / "relay", open_registration=True).start()
    relay.listen = relay.authority  # the same address after each kill
    folders = [tmp_path / f"phone{n}" for n in range(PHONES)]
    await _accounts(relay.url, folders)
    phones = [Phone(folder, pack=number < 2) for number, folder in enumerate(folders)]
    try:
        relay_kills = await asyncio.to_thread(_havoc, relay, phones)
    finally:
        complaints = [phone.stop() for phone in phones]
    try:
        assert complaints == [""] * PHONES
        views = await _views(folders)
    finally:
        relay.stop()
    told = _judged(phones, views)
    with capsys.disabled():
        print(
            f"\n{SECONDS:.0f} s, {PHONES} devices: {told['done']:,} messages in {told['versions']:,} versions, "
            f"{told['safe']:,} times acknowledged by the relay, {told['packed']} packings; "
            f"{sum(phone.kills for phone in phones)} devices and {relay_kills} relays killed, "
            f"{told['broken off']} appends broken off"
        )


async def _accounts(url: str, folders: list[Path]) -> None:
    first, *others = folders
    await (await create_at(url, first, OPENER)).close()
    for folder in others:
        vault = await login_at(url, folder, OPENER)
        async with await Owner.unlock(vault._session, NAME, OPENER) as owner:
            await owner.confirm(folder.name)
        await vault.close()


def _havoc(relay: RelayProcess, phones: list[Phone]) -> int:
    """Kill somebody every second, and the relay every eighth; how often the relay."""
    dice, kills = random.Random(SECONDS), 0
    began = time.monotonic()
    next_phone, next_relay = began + 3, began + KILL_RELAY_S
    while (now := time.monotonic()) < began + SECONDS:
        if now >= next_relay:
            relay.kill()
            time.sleep(dice.uniform(0, 1.5))
            relay.start()
            kills += 1
            next_relay = time.monotonic() + KILL_RELAY_S
        if now >= next_phone:
            assert all(phone.alive() for phone in phones), "a device ended by itself"
            dice.choice(phones).kill()
            next_phone = now + KILL_PHONE_S
        time.sleep(0.05)
    return kills


async def _views(folders: Iterable[Path]) -> list[tuple[int, list[tuple[str, str]], Tally[str]]]:
    """Of each device: version, (chat, id) of all messages as shown, and how often each id stands in the history."""
    vaults = [await Vault.open(folder) for folder in folders]
    try:
        for vault in vaults:
            await _saved(vault)
        views = []
        for vault in vaults:
            shown = [
                (row.conversation, item.id)
                for row in sorted(await vault.chats(), key=lambda row: row.conversation)
                for item in await vault.newest(row.conversation, count=ALL)
            ]
            snapshot = await Device(vault, vault._session).snapshot()
            assert not snapshot.source.damage
            rows = Tally(row.id for found in (await rows_of(snapshot)).values() for row in found)
            views.append((snapshot.head.version, shown, Tally({str(name): count for name, count in rows.items()})))
        return views
    finally:
        for vault in vaults:
            await vault.close()


async def _saved(vault: Vault) -> None:
    for _ in range(20):
        try:
            return await vault.flush()
        except RelayConflict:  # the others are saving what their processes left
            await asyncio.sleep(0.2)
    await vault.flush()


def _judged(phones: list[Phone], views: list[tuple[int, list[tuple[str, str]], Tally[str]]]) -> dict[str, int]:
    done = [name for phone in phones for name in phone.noted("done")]
    tried = {name for phone in phones for name in phone.noted("try")}
    safe = sum(len(phone.noted("safe")) for phone in phones)
    packed = sum(len(phone.noted("packed")) for phone in phones)
    version, shown, rows = views[0]
    names = [name for _, name in shown]
    assert len(done) > 20 * PHONES
    assert packed > 0 or SECONDS < 60  # against eight writers a packing rarely wins: in a few seconds perhaps none
    assert safe > PHONES
    assert not set(done) - set(names), "lost"
    assert not set(names) - tried, "of nobody"
    assert len(names) == len(set(names)), "shown twice"
    assert set(rows.values()) == {1}, "stored twice"
    place = {name: (chat, at) for at, (chat, name) in enumerate(shown)}
    for phone in phones:
        for chat in {chat for chat, _ in shown}:
            own = [at for where, at in map(place.__getitem__, phone.noted("done")) if where == chat]
            assert own == sorted(own), "not in the order they were written"
    for other in views[1:]:
        assert other[1] == shown, "another order, or other messages"
    return {
        "done": len(done), "safe": safe, "packed": packed, "broken off": len(tried) - len(done), "versions": version,
    }  # fmt: skip
