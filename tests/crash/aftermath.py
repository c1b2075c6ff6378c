"""What must be true after a kill, whatever was broken off: nothing acknowledged is lost, nothing is there twice,
nothing is left over that a sweep does not take, and no repair was needed."""

from __future__ import annotations

import hashlib
import json
import os
import sqlite3
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path

from crash.phases import START, World
from strongroom.cache import Cache
from strongroom.records import ChatMessage
from strongroom_relay.service.objects import sweep, sweep_files
from vaults import Bench, Device, messages_of

MessageFacts = tuple[str | None, bool, tuple[str, ...]]
"""Text, whether it is deleted, hashes of its files."""


@dataclass(slots=True)
class Facts:
    """What a vault holds: chat and message id to what there is of it."""

    messages: dict[str, MessageFacts] = field(default_factory=dict)

    def write(self, path: Path) -> None:
        path.write_text(json.dumps(self.messages))

    @classmethod
    def read(cls, path: Path) -> Facts:
        found = json.loads(path.read_text())
        return cls({key: (text, deleted, tuple(files)) for key, (text, deleted, files) in found.items()})


async def facts_of(device: Device) -> Facts:
    """Of the newest state at the relay, read without this device's copies; files are read to their last byte."""
    snapshot = await device.snapshot(fresh=True)
    assert not snapshot.source.damage, snapshot.source.damage
    facts = Facts()
    for chat, messages in (await messages_of(snapshot)).items():
        for item in messages:
            assert f"{chat}/{item.id}" not in facts.messages, f"{item.id} is there twice"
            shown = ChatMessage.of(chat, item)
            files = []
            for attachment in shown.attachments:
                content = hashlib.sha256()
                async for piece in device.vault.media(attachment):
                    content.update(piece)
                files.append(content.hexdigest())
            text = item.current.text if item.current else None
            facts.messages[f"{chat}/{item.id}"] = (text, item.deletion is not None, tuple(files))
    return facts


async def inspect(
    world: World, again: Callable[[World], Awaitable[None]], expected: Facts, *,
    reopen: Callable[[], Awaitable[World]],
) -> None:  # fmt: skip
    """Look, repeat the deed, look again; the vault is closed at the end. Raises AssertionError."""
    vault = world.device.vault
    await _acknowledged_is_there(world)
    await again(world)
    await vault.flush()
    found = await facts_of(world.device)
    assert found.messages == expected.messages, _difference(found, expected)
    assert (await vault.status()).waiting == 0
    assert not (await vault.verify()).damaged
    await _restored_is_all_there_is(world)
    await vault.export(world.folder / "export")
    _export_is_whole(world.folder)
    await vault.close() if world.url else world.bench.close()
    staged = world.folder / "a" / "outbox"
    assert not staged.exists() or not list(staged.iterdir()) or await _cleaned(reopen, staged)


async def _acknowledged_is_there(world: World) -> None:
    """Before anything is repeated: what `append` acknowledged is shown, waiting or committed."""
    journal = world.folder / "journal"
    lines = journal.read_text().splitlines() if journal.exists() else []
    wanted = {line.split()[1] for line in lines if line.startswith("+")}
    if not wanted:
        return
    shown = {item.id: item for item in await world.device.vault.newest("chat", count=10_000)}
    assert wanted <= shown.keys(), f"lost: {sorted(wanted - shown.keys())}"
    for line in lines:
        match line.split():
            case ["=", ident, text]:
                assert shown[ident].text == text
            case ["-", ident]:
                assert shown[ident].deleted
    if lines[-1] == "flushed":
        assert not any(shown[ident].pending for ident in wanted)


async def _restored_is_all_there_is(world: World) -> None:
    restored = await world.device.vault.restore()
    assert not restored.audit.damaged
    snapshot = await world.device.snapshot()
    needed = {ref.name async for ref, _ in snapshot.objects()}
    folder = world.folder / "a" / "objects"
    kept = {path.parent.name + path.name for path in folder.glob("*/*")}
    assert kept == {name.hex() for name in needed}
    cache = Cache(folder)
    for name in needed:
        assert hashlib.sha256(cache.get(name) or b"").digest() == name


def _export_is_whole(folder: Path) -> None:
    export = folder / "export"
    index = json.loads((export / "strongroom.json").read_text())
    for chat in index["chats"]:
        assert hashlib.sha256((export / chat["file"]).read_bytes()).hexdigest() == chat["sha256"]
    for path in export.glob("files/*"):
        assert hashlib.sha256(path.read_bytes()).hexdigest() == path.name.partition(".")[0]
    assert [path.name for path in folder.glob(".export.*")] == []


async def _cleaned(reopen: Callable[[], Awaitable[World]], staged: Path) -> bool:
    """Sealed files of an append that was killed before it could acknowledge go when the vault is opened next."""
    from strongroom import outgoing

    world = await reopen()
    outgoing.clean(staged, world.device.vault._outbox)
    await world.device.vault.close() if world.url else world.bench.close()
    return not os.listdir(staged)


async def nothing_left_over(folder: Path) -> None:
    """Once every window is over, a sweep leaves exactly what the newest head reaches."""
    bench = Bench(folder)
    relay = await bench.open()
    relay.clock = lambda: START + 10**12
    await sweep(relay)
    await sweep_files(relay)
    database = sqlite3.connect(folder / "relay" / "relay.db")
    rows = {bytes(name): bool(large) for name, large in database.execute("SELECT name, data IS NULL FROM objects")}
    database.close()
    files = {name for _, name in relay.store.files.named()}
    bench.close()
    kept = {bytes.fromhex(path.parent.name + path.name) for path in (folder / "a" / "objects").glob("*/*")}
    assert rows.keys() == kept, f"{len(rows.keys() - kept)} objects too many, {len(kept - rows.keys())} too few"
    assert files == {name for name, large in rows.items() if large}


def _difference(found: Facts, expected: Facts) -> str:
    lost = sorted(expected.messages.keys() - found.messages.keys())
    new = sorted(found.messages.keys() - expected.messages.keys())
    other = [key for key in found.messages.keys() & expected.messages.keys()
             if found.messages[key] != expected.messages[key]]  # fmt: skip
    return f"lost {lost[:5]}, new {new[:5]}, other {[(key, found.messages[key]) for key in other[:3]]}"
