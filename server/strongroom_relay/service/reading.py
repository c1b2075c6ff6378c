"""Reading heads and keyrings (spec chapters 09 and 12)."""

from __future__ import annotations

import sqlite3

from strongroom_protocol.manifest.head import parse_head
from strongroom_protocol.relay_api.messages import HeadResponse
from strongroom_protocol.relay_api.problems import Problem, ProblemError
from strongroom_protocol.wire import merkle
from strongroom_relay.service.commits import newest_keyring
from strongroom_relay.service.objects import read_range
from strongroom_relay.service.relay import Principal, Relay

KEYRINGS = 64
"""Keyrings in one answer; a client asks on from the last."""


async def head(relay: Relay, who: Principal, since: int | None) -> HeadResponse:
    """The newest head with its receipt, its body when small, and the proofs that a device needs to accept it."""

    def work(database: sqlite3.Connection) -> HeadResponse:
        version, message, receipt = database.execute(
            "SELECT version, message, receipt FROM heads WHERE account = ? ORDER BY version DESC LIMIT 1",
            (who.account,),
        ).fetchone()
        (peaks,) = database.execute("SELECT peaks FROM accounts WHERE id = ?", (who.account,)).fetchone()
        parsed = parse_head(bytes(message), account=who.account)
        body = read_range(relay, database, who.account, parsed.body, 0, relay.limits.body_bytes)
        cut = newest_keyring(database, who.account).cut
        old = since if since is not None and since < version - 1 else 0
        leaves: list[bytes] = []
        if old or (cut is not None and cut.version < version - 1):
            leaves = _leaves(database, who.account, version - 1)
        return HeadResponse(
            bytes(message),
            bytes(receipt),
            tuple(bytes(peaks[at : at + 32]) for at in range(0, len(peaks), 32)),
            tuple(merkle.consistency_proof(old, leaves)) if old else (),
            body,
            tuple(merkle.inclusion_path(cut.version - 1, leaves)) if cut and cut.version < version - 1 else (),
        )

    return await relay.store.read(work)


async def head_at(relay: Relay, who: Principal, version: int) -> HeadResponse:
    """An earlier head and its receipt, without proofs."""

    def work(database: sqlite3.Connection) -> HeadResponse:
        row = database.execute(
            "SELECT message, receipt FROM heads WHERE account = ? AND version = ?", (who.account, version)
        ).fetchone()
        if row is None:  # spec: API-22
            raise ProblemError(Problem.NOT_FOUND)
        return HeadResponse(bytes(row[0]), bytes(row[1]))

    return await relay.store.read(work)


async def keyrings(relay: Relay, who: Principal, first: int) -> list[tuple[bytes, bytes]]:
    """The keyring chain from version `first` on, oldest first, a bounded number at a time."""

    def work(database: sqlite3.Connection) -> list[tuple[bytes, bytes]]:
        rows = database.execute(
            "SELECT message, receipt FROM keyrings WHERE account = ? AND version >= ? ORDER BY version LIMIT ?",
            (who.account, first, KEYRINGS),
        )
        return [(bytes(message), bytes(receipt)) for message, receipt in rows]

    return await relay.store.read(work)


def _leaves(database: sqlite3.Connection, account: bytes, count: int) -> list[bytes]:
    rows = database.execute(
        "SELECT hash FROM heads WHERE account = ? AND version <= ? ORDER BY version", (account, count)
    )
    return [merkle.leaf_hash(bytes(found)) for (found,) in rows]
