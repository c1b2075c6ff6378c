"""A client that lives on while its relay dies, or dies itself over HTTP: what it does, and what must be true then.

What an app does is a list of single steps; each is noted before it is tried and when it was acknowledged. So it is
known of each row of the history how often it may be there: once, and twice only where a step was broken off and tried
again. Merged messages would not show it, for a second copy of a message is the same message.
"""

from __future__ import annotations

import asyncio
import hashlib
import io
import json
import os
import random
from collections import Counter as Tally
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from strongroom import Vault, account, importing, message, sending
from strongroom.columns import Columns
from strongroom.records import MessageRef
from strongroom.session import Session
from strongroom.transport import open_transport
from strongroom.transport.base import Transport
from strongroom_protocol.errors import RelayRefused, RelayUnreachable
from strongroom_protocol.rows.merge import Message
from strongroom_protocol.rows.model import Kind, Op, Row
from vaults import NAME, messages_of, opener, rows_of, talk

START = 1_700_000_000_000
OPENER = opener(bytes(32))
BIG = random.Random(7).randbytes(700_000)
ROWS = 1500
TRIES = 400
CHAT = "chat"

Step = tuple[str, Callable[[Vault], Awaitable[object]]]
"""A name and what to do: each is one row of the history."""


def quick() -> None:
    """Wait little for a relay that is away; imports of a few hundred rows take the path of large ones."""
    sending.BACKOFF_S = (0.02, 0.1)
    sending.GATHER_S = 0.02
    importing.BULK_ROWS = 400


def _put(name: str) -> Step:
    row = message(name, id=name, sender="anna", time=START + 1000)
    return name, lambda vault: vault.append(CHAT, row)


def _file(name: str, size: int) -> Step:
    def attach(vault: Vault) -> Awaitable[object]:
        # Of each its own bytes: the relay may have them already, and then nothing goes up.
        return vault.attach(CHAT, (name, io.BytesIO(name.encode() + BIG[:size])), id=name, time=START + 2000)

    return name, attach


def _about(name: str, what: Callable[[Vault, MessageRef], Awaitable[object]]) -> Step:
    return name, lambda vault: what(vault, MessageRef(CHAT, "b1", START + 1))


STEPS = [
    *(_put(f"a{n}") for n in range(6)),
    _about("edit", lambda vault, ref: vault.edit(ref, "edited", at=START + 5000)),
    _about("react", lambda vault, ref: vault.react(ref, "+", sender="ben")),
    ("delete", lambda vault: vault.delete(MessageRef(CHAT, "b2", START + 2))),
    _file("small", 9_000),
]
UPLOADS = [_file("small", 9_000), *(_file(f"large {n}", 700_000 - n) for n in range(3))]


@dataclass(slots=True)
class Journal:
    """What was tried and what was acknowledged, written through before anything goes on."""

    path: Path

    def note(self, what: str, name: str) -> None:
        with self.path.open("a") as file:
            file.write(f"{what}\t{name}\n")
            file.flush()
            os.fsync(file.fileno())

    def read(self) -> tuple[Tally[str], set[str]]:
        """How often each was tried; what was acknowledged."""
        lines = self.path.read_text().splitlines() if self.path.exists() else []
        pairs = [line.split("\t") for line in lines]
        return Tally(name for what, name in pairs if what == "try"), {name for what, name in pairs if what == "done"}


async def take(vault: Vault, journal: Journal, steps: list[Step]) -> None:
    """Each step that was not acknowledged yet."""
    _, done = journal.read()
    for name, what in steps:
        if name not in done:
            journal.note("try", name)
            # What raises has taken nothing: trying again is no second row.
            await until_reached(lambda what=what: what(vault))  # type: ignore[misc]
            journal.note("done", name)


async def until_reached(what: Callable[[], Awaitable[Any]]) -> Any:
    """Again and again while the relay is away; every other error is one."""
    for _ in range(TRIES):
        try:
            return await what()
        except RelayUnreachable:
            await asyncio.sleep(0.02)
    raise AssertionError("the relay was away for too long")


# Histories and deeds ------------------------------------------------------------------------------------------------


async def some(vault: Vault) -> None:
    """A history with a bit of everything, and a file."""
    await importing.import_rows(vault._session, talk("old", 600, ids="old"))
    await vault.append(CHAT, [message(f"b{n}", id=f"b{n}", time=START + n) for n in range(20)])
    await vault.attach(CHAT, ("a.bin", io.BytesIO(BIG)), id="file", time=START + 100)
    await vault.flush()


async def many_runs(vault: Vault) -> None:
    """Runs to join, rows and files to take out."""
    await some(vault)
    for n in range(3):
        dice = random.Random(n)
        rows = talk(f"run {n % 2}", 600, start=START + 10**7 * n, ids=f"r{n}")
        long = [(chat, row._replace(text=dice.randbytes(150).hex())) for chat, row in rows]  # packs badly
        await importing.import_rows(vault._session, long)
    await vault.delete(MessageRef(CHAT, "b1", START + 1))
    await vault.delete(MessageRef(CHAT, "file", START + 100))
    await vault.flush()


async def full_tail(vault: Vault) -> None:
    """A tail that takes no more batches."""
    await vault.append(CHAT, [message(f"b{n}", id=f"b{n}", time=START + n) for n in range(4)])
    await vault.flush()
    for n in range(31):
        await importing.import_rows(vault._session, talk("tail", 3, start=START + n * 10_000, ids=f"t{n}"))


async def garbage(vault: Vault) -> None:
    """What a sweep takes: drops, and uploads that no head ever named."""
    await many_runs(vault)
    await vault.compact()
    for number in range(6):
        data = random.Random(number).randbytes(1_000 if number % 2 else 100_000)
        await vault._session.transport.put(vault._session.account, hashlib.sha256(data).digest(), data)


async def _steps(vault: Vault, folder: Path) -> None:
    await take(vault, Journal(folder / "journal"), STEPS)
    await until_reached(vault.flush)


async def _uploads(vault: Vault, folder: Path) -> None:
    await take(vault, Journal(folder / "journal"), UPLOADS)
    await until_reached(vault.flush)


async def _import(vault: Vault, folder: Path) -> None:
    path = folder / "many.jsonl"
    lines = (
        {"type": "message", "conversation": f"i{n % 5}", "id": f"i{n}", "time": START + n, "text": f"i{n}"}
        for n in range(300)
    )
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    await until_reached(lambda: vault.import_(path))


async def _bulk(vault: Vault, folder: Path) -> None:
    def rows() -> Columns:
        count = range(ROWS)
        return Columns(
            conversation=[f"i{n % 5}" for n in count], time=[START + n for n in count], id=[f"i{n}" for n in count],
            text=[f"i{n} {random.Random(n).randbytes(60).hex()}" for n in count],
        )  # fmt: skip

    await until_reached(lambda: vault.import_([rows()]))


async def _compact(vault: Vault, folder: Path) -> None:
    await until_reached(vault.compact)


async def _restore(vault: Vault, folder: Path) -> None:
    restored = await until_reached(vault.restore)
    assert not restored.audit.damaged


async def _export(vault: Vault, folder: Path) -> None:
    if not (folder / "export" / "strongroom.json").exists():
        await until_reached(lambda: vault.export(folder / "export"))


async def _nothing(vault: Vault, folder: Path) -> None:
    return None


@dataclass(frozen=True, slots=True)
class Deed:
    """A history, and what is done to it while somebody is killed. The last may be repeated."""

    before: Callable[[Vault], Awaitable[None]]
    during: Callable[[Vault, Path], Awaitable[None]]


DEEDS = {
    "import": Deed(some, _import),
    "bulk import": Deed(some, _bulk),
    "append": Deed(some, _steps),
    "fold": Deed(full_tail, _steps),
    "compaction": Deed(many_runs, _compact),
    "upload": Deed(some, _uploads),
    "restore": Deed(some, _restore),
    "export": Deed(some, _export),
    "gc": Deed(garbage, _nothing),
}


async def made(url: str, folder: Path) -> Vault:
    """An account on this relay; when the answer was lost and the account is there, a login to it."""
    try:
        session = await until_reached(lambda: _asked(url, _create(url, folder)))
    except RelayRefused as error:  # the name is taken: by the request whose answer was lost
        if error.code != "name-taken":
            raise
        session = await until_reached(lambda: _asked(url, _login(url, folder)))
    vault = Vault(session, name=NAME, relay=url, opener=OPENER)
    if not vault.writable:
        await until_reached(lambda: vault.confirm_devices(device_name="again"))
    return vault


async def _asked(url: str, what: Callable[[Transport], Awaitable[Session]]) -> Session:
    transport = await open_transport(url)
    try:
        return await what(transport)
    except BaseException:
        await transport.close()
        raise


def _create(url: str, folder: Path) -> Callable[[Transport], Awaitable[Session]]:
    openers = [(OPENER, "code")]
    return lambda transport: account.create(
        folder, transport, relay=url, name=NAME, device_name="a", openers=openers
    )  # fmt: skip


def _login(url: str, folder: Path) -> Callable[[Transport], Awaitable[Session]]:
    return lambda transport: account.login(folder, transport, relay=url, name=NAME, opener=OPENER)


# What must be true --------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class Facts:
    """What a history says, and the objects that it consists of."""

    messages: dict[str, list[Any]] = field(default_factory=dict)
    objects: dict[str, int] = field(default_factory=dict)
    export: dict[str, str] = field(default_factory=dict)

    def write(self, path: Path) -> None:
        path.write_text(json.dumps([self.messages, self.objects, self.export]))

    @classmethod
    def read(cls, path: Path) -> Facts:
        return cls(*json.loads(path.read_text()))


async def acknowledged_is_shown(vault: Vault, folder: Path) -> None:
    """What `append` took over is shown at once by the next process, waiting or committed."""
    _, done = Journal(folder / "journal").read()
    shown = {item.id: item for item in await vault.newest(CHAT, count=1000)}
    steps = {name for name, _ in (*STEPS, *UPLOADS)} - {"edit", "react", "delete"}
    assert done & steps <= shown.keys(), f"lost: {sorted(done & steps - shown.keys())}"
    if "edit" in done:
        assert shown["b1"].text == "edited"
    if "delete" in done:
        assert shown["b2"].deleted


async def facts_of(vault: Vault, folder: Path) -> Facts:
    """Of the newest state, read from the relay to the last byte. Raises AssertionError for a row too many."""
    assert not (await vault.verify()).damaged
    snapshot = await vault._session.snapshot(fresh=True)
    _rows_are_there_once(await rows_of(snapshot), Journal(folder / "journal"))
    facts = Facts()
    for chat, messages in (await messages_of(snapshot)).items():
        for item in messages:
            current = item.current
            facts.messages[f"{chat}/{item.id}"] = [
                current.text if current else None,
                item.deletion is not None,
                [[row.sender, row.text] for row in item.reactions],
                await _files(vault, chat, item) if current is not None and current.kind == Kind.MEDIA else [],
            ]
    facts.objects = {ref.name.hex(): ref.size async for ref, _ in snapshot.objects()}
    assert not snapshot.source.damage, snapshot.source.damage
    facts.export = digests(folder / "export")
    return facts


async def _files(vault: Vault, chat: str, item: Message) -> list[str]:
    """Hashes of a message's files."""
    found = []
    for file in (await vault.message(chat, item.id, time=item.time)).attachments:
        content = hashlib.sha256()
        async for piece in vault.media(file):
            content.update(piece)
        found.append(content.hexdigest())
    return found


def _rows_are_there_once(chats: dict[str, list[Row]], journal: Journal) -> None:
    tried, _ = journal.read()
    found: Tally[str] = Tally()
    special = {Op.EDIT: "edit", Op.REACT: "react"}
    for rows in chats.values():
        for row in rows:
            if row.op == Op.PUT:
                found[row.id or ""] += 1
            elif row.op in special:
                found[special[Op(row.op)]] += 1
    for name, count in found.items():
        allowed = max(1, tried[name])
        assert count <= allowed, f"{name}: {count} rows, tried {allowed} times"


def digests(folder: Path) -> dict[str, str]:
    """Every file of an export."""
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }
