"""Copies of a relay's store, each with an honest relay on it, which snapshot, roll back and fork.

A branch is a folder and the relay that serves it on a port of its own; whoever asks from outside asks the hostile
server, whose address all branches take for theirs. Snapshots are folders too, copied while nothing is open.
"""

from __future__ import annotations

import hashlib
import shutil
import sqlite3
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from aiohttp import web

from strongroom_protocol.manifest.receipt import Chain, Receipt
from strongroom_relay.http.app import make_app
from strongroom_relay.service.relay import Relay
from strongroom_relay.store.embedded import EmbeddedStore


class UnsyncedStore(EmbeddedStore):
    """The embedded store without syncs: nobody cuts the power here, and scenarios begin anew many times."""

    def _connect(self) -> sqlite3.Connection:
        database = super()._connect()
        database.execute("PRAGMA synchronous = OFF")
        return database


class Branch:
    """One store and its honest relay over HTTP. `url` is where the hostile server reaches it."""

    def __init__(self, folder: Path, origin: str) -> None:
        self.folder = folder
        self.origin = origin
        self.url = ""
        self._relay: Relay | None = None
        self._runner: web.AppRunner | None = None

    @property
    def relay(self) -> Relay:
        """The open relay."""
        if self._relay is None:
            raise RuntimeError("the branch is closed")
        return self._relay

    async def open(self) -> None:
        """Serve the folder; an empty one gets a new relay's keys."""
        self.folder.mkdir(parents=True, exist_ok=True)
        self._relay = Relay(UnsyncedStore(self.folder), origins=(self.origin,), open_registration=True)
        await self._relay.start()
        self._runner = web.AppRunner(
            make_app(self._relay), access_log=None, max_line_size=8190, max_field_size=8190, auto_decompress=False,
            shutdown_timeout=0.1,
        )  # fmt: skip
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        host, port = self._runner.addresses[0][:2]
        self.url = f"http://{host}:{port}"

    async def close(self) -> None:
        """Stop serving; the folder can be copied then."""
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None
        if self._relay is not None:
            self._relay.store.close()
            self._relay = None

    def receipt(self, account: bytes, chain: int, version: int, hash_: bytes, previous: bytes | None) -> bytes:
        """A receipt for whatever it is asked for: the key is the relay's own."""
        return self.relay.sign_receipt(Receipt(account, Chain(chain), version, hash_, previous, self.relay.clock()))

    async def history(self, account: bytes) -> dict[str, Any]:
        """Heads and keyrings, oldest first, each with its receipt, and the slot set."""

        def work(database: sqlite3.Connection) -> dict[str, Any]:
            heads, keyrings = (
                database.execute(
                    f"SELECT message, receipt FROM {table} WHERE account = ? ORDER BY version",  # noqa: S608 two words
                    (account,),
                ).fetchall()
                for table in ("heads", "keyrings")
            )
            (slots,) = database.execute("SELECT slots FROM accounts WHERE id = ?", (account,)).fetchone()
            return {"heads": _hex(heads), "keyrings": _hex(keyrings), "slots": bytes(slots).hex()}

        return await self.relay.store.read(work)

    async def objects(self, account: bytes) -> dict[str, str]:
        """All objects of an account: name to bytes (hexadecimal). Scenarios store little."""

        def work(database: sqlite3.Connection) -> dict[str, str]:
            rows = database.execute("SELECT name, data FROM objects WHERE account = ?", (account,)).fetchall()
            files = self.relay.store.files
            found = {}
            for name, data in rows:
                kept = files.path_of(account, bytes(name)).read_bytes() if data is None else bytes(data)
                found[bytes(name).hex()] = kept.hex()
            return found

        return await self.relay.store.read(work)

    async def accounts(self) -> dict[str, str]:
        """Name of account to its id (hexadecimal)."""

        def work(database: sqlite3.Connection) -> dict[str, str]:
            return {name: bytes(ident).hex() for name, ident in database.execute("SELECT name, id FROM accounts")}

        return await self.relay.store.read(work)


class Branches:
    """All branches and snapshots of one hostile relay, below one folder."""

    def __init__(self, folder: Path, origin: str) -> None:
        self._folder = folder
        self._origin = origin
        self._open: dict[str, Branch] = {}

    async def branch(self, name: str = "main") -> Branch:
        """A branch, made empty when there is none of the name."""
        if name not in self._open:
            made = Branch(self._folder / "branches" / name, self._origin)
            await made.open()
            self._open[name] = made
        return self._open[name]

    async def snapshot(self, name: str, branch: str = "main") -> None:
        """Keep the branch as it is now."""
        source = await self.branch(branch)
        await source.close()
        _replace(source.folder, self._snapshot(name))
        await source.open()

    async def reset(self, name: str | None, branch: str = "main") -> None:
        """Make the branch what a snapshot kept; without a name, empty and with keys of its own."""
        found = await self.branch(branch)
        await found.close()
        if name is None:
            shutil.rmtree(found.folder)
        else:
            _replace(self._snapshot(name), found.folder)
        await found.open()

    async def close(self) -> None:
        for branch in self._open.values():
            await branch.close()
        self._open.clear()

    def _snapshot(self, name: str) -> Path:
        return self._folder / "snapshots" / hashlib.sha256(name.encode()).hexdigest()[:16]


def _replace(source: Path, target: Path) -> None:
    shutil.rmtree(target, ignore_errors=True)
    shutil.copytree(source, target)


def _hex(rows: Sequence[tuple[bytes, bytes]]) -> list[tuple[str, str]]:
    return [(bytes(message).hex(), bytes(receipt).hex()) for message, receipt in rows]
