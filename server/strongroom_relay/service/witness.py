"""The relay as a witness: it remembers the highest head of accounts that live at other relays (spec chapter 16).

It signs with a key of its own: what it says as a witness is worthless as a receipt, and the other way round.
"""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass, field

from nacl.signing import SigningKey

from strongroom_protocol.errors import UntrustedDataError
from strongroom_protocol.manifest.head import Head
from strongroom_protocol.manifest.witness import (
    Remembered,
    Statement,
    WitnessRequest,
    WitnessResponse,
    advance,
    remembered_of,
)
from strongroom_protocol.relay_api.problems import Problem, ProblemError
from strongroom_relay.service.attempts import Attempts
from strongroom_relay.service.relay import Relay

_COLUMNS = "account, version, hash, log_root, keyring_version, keyring_hash, receipt"


def _asked() -> Attempts:
    """120 at once, then one a second: a household's devices ask once a minute each."""
    return Attempts(120, 1_000)


def _introduced() -> Attempts:
    """20 at once, then one an hour: anybody can make up accounts, and what is remembered is never given up."""
    return Attempts(20, 3_600_000)


@dataclass(slots=True)
class Witnessing:
    """The witness's key, and who asked how often."""

    key: SigningKey
    asked: Attempts = field(default_factory=_asked)
    introduced: Attempts = field(default_factory=_introduced)

    @property
    def public(self) -> bytes:
        return bytes(self.key.verify_key)


async def start_witness(relay: Relay) -> bytes:
    """Be a witness from now on; returns the public key, which is made at the first time and stays."""
    relay.witness = Witnessing(SigningKey(await relay.seed("witness-seed")))
    return relay.witness.public


async def witness(relay: Relay, request: WitnessRequest, source: str | None = None) -> WitnessResponse:
    """Remember the head of a request when it goes on from the one remembered; state what is remembered then.

    `source` is the network address that requests are counted by, None where there is none to count.
    """
    role = relay.witness
    if role is None:
        raise ProblemError(Problem.NOT_FOUND)
    now = relay.clock()
    if source is not None:
        if not role.asked.allowed(source, now):  # spec: WIT-10
            raise ProblemError(Problem.RATE)
        role.asked.count(source, now)
    try:
        head, new = remembered_of(request, relay.limits)
    except UntrustedDataError as error:
        raise ProblemError(Problem.BAD_REQUEST, failure=str(error.failure)) from error
    known = await relay.store.read(lambda database: _known(database, new.account))
    if known is None and source is not None:
        if not role.introduced.allowed(source, now):  # spec: WIT-11
            raise ProblemError(Problem.RATE)
        role.introduced.count(source, now)
    if known is not None and known.version >= head.version:
        kept = known  # durable long since: nothing to write
    else:
        known, kept = await relay.store.write(lambda database: _advance(relay, database, head, new, request))
    statement = Statement.of(kept, nonce=request.nonce, time=now, known=0 if known is None else known.version)
    signed = statement.sign(role.public, lambda message: role.key.sign(message).signature)
    return WitnessResponse(signed, kept.receipt)


def _advance(
    relay: Relay, database: sqlite3.Connection, head: Head, new: Remembered, request: WitnessRequest
) -> tuple[Remembered | None, Remembered]:
    """What was remembered and what is from now on. In one transaction: of two askers at once one comes second."""
    known = _known(database, new.account)
    if known is None:
        (count,) = database.execute("SELECT count(*) FROM witnessed").fetchone()
        if count >= relay.limits.witness_accounts:  # spec: WIT-9
            raise ProblemError(Problem.UNAVAILABLE)
    kept = advance(known, head, new, request.consistency)
    if kept is not known:
        database.execute(
            f"INSERT OR REPLACE INTO witnessed({_COLUMNS}) VALUES(?,?,?,?,?,?,?)",
            (
                kept.account, kept.version, kept.hash, kept.log_root, kept.keyring_version, kept.keyring_hash,
                kept.receipt,
            ),
        )  # fmt: skip
    return known, kept


def _known(database: sqlite3.Connection, account: bytes) -> Remembered | None:
    row = database.execute(f"SELECT {_COLUMNS} FROM witnessed WHERE account = ?", (account,)).fetchone()  # noqa: S608
    return None if row is None else Remembered(*row)
