"""Reading heads and keyrings (spec chapters 09 and 12)."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from typing import TypeVar

from strongroom_protocol.manifest.head import parse_head
from strongroom_protocol.relay_api.live import Versions
from strongroom_protocol.relay_api.messages import HeadResponse
from strongroom_protocol.relay_api.problems import Problem, ProblemError
from strongroom_relay.service import log
from strongroom_relay.service.commits import newest_keyring
from strongroom_relay.service.pieces import read_range
from strongroom_relay.service.relay import Principal, Relay

T = TypeVar("T")
KEYRINGS = 64
"""Keyrings in one answer; a client asks on from the last."""


async def head(relay: Relay, who: Principal, since: int | None) -> HeadResponse:
    """The newest head with its receipt, its body when small, and the proofs that a device needs to accept it."""

    def work(database: sqlite3.Connection) -> HeadResponse:
        version, message, receipt = database.execute(
            "SELECT version, message, receipt FROM heads WHERE account = ? ORDER BY version DESC LIMIT 1",
            (who.account,),
        ).fetchone()
        parsed = parse_head(bytes(message), account=who.account)
        (peaks,) = database.execute("SELECT peaks FROM accounts WHERE id = ?", (who.account,)).fetchone()
        size = version - 1
        cut = newest_keyring(relay, database, who.account).cut
        return HeadResponse(
            bytes(message),
            bytes(receipt),
            tuple(bytes(peaks[at : at + 32]) for at in range(0, len(peaks), 32)),
            tuple(log.consistency_proof(database, who.account, since, size)) if since and since < size else (),
            read_range(relay, database, who.account, parsed.body, 0, relay.limits.body_bytes),
            tuple(log.inclusion_path(database, who.account, cut.version - 1, size))
            if cut and cut.version < size
            else (),
        )

    return await relay.store.read(lambda database: _at_one_moment(database, work))


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
        found: list[tuple[bytes, bytes]] = []
        room = relay.limits.read_response_bytes
        for message, receipt in rows:
            room -= len(message) + len(receipt) + 16
            if found and room < 0:  # spec: API-38
                break
            found.append((bytes(message), bytes(receipt)))
        return found

    return await relay.store.read(work)


async def versions(relay: Relay, who: Principal) -> Versions:
    """The versions of the newest head and keyring."""

    def work(database: sqlite3.Connection) -> Versions:
        row = database.execute(
            "SELECT (SELECT max(version) FROM heads WHERE account = ?1), "
            "(SELECT max(version) FROM keyrings WHERE account = ?1)",
            (who.account,),
        ).fetchone()
        return Versions(*row)

    return await relay.store.peek(work)


def _at_one_moment(database: sqlite3.Connection, work: Callable[[sqlite3.Connection], T]) -> T:
    """Run several reads on one committed state: no commit in between can make them disagree."""
    database.execute("BEGIN")  # spec: API-39
    try:
        return work(database)
    finally:
        database.execute("ROLLBACK")
