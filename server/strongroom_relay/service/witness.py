"""The relay as a witness: it remembers the highest head of accounts that live at other relays (spec chapter 16).

It signs with a key of its own: what it says as a witness is worthless as a receipt, and the other way round.
"""

from __future__ import annotations

import ipaddress
import sqlite3
from dataclasses import dataclass, field

from nacl.signing import SigningKey

from strongroom_protocol.errors import UntrustedDataError
from strongroom_protocol.manifest.account import GenesisCore
from strongroom_protocol.manifest.witness import (
    Remembered,
    Seen,
    Signed,
    Statement,
    WitnessRequest,
    WitnessResponse,
    advance,
)
from strongroom_protocol.relay_api.problems import Problem, ProblemError
from strongroom_protocol.wire import cbor
from strongroom_relay.service.attempts import Attempts
from strongroom_relay.service.relay import Relay


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
        new = Seen.check(request.signed, request.core, relay.limits)
    except UntrustedDataError as error:
        raise ProblemError(Problem.BAD_REQUEST, failure=str(error.failure)) from error
    known = await relay.store.read(lambda database: _known(database, request.core))
    if known is None and source is not None:
        site = _site(source)
        if not role.introduced.allowed(site, now):  # spec: WIT-11
            raise ProblemError(Problem.RATE)
        role.introduced.count(site, now)
    if known is None or advance(known, new, request.consistency) != known:  # else there is nothing to write
        known, kept = await relay.store.write(lambda database: _advance(relay, database, new, request))
    else:
        kept = known.kept
    # What lies above is told as it was before this request: what the asker just brought proves nothing to it.
    above = None if known is None else known.above
    seen = Remembered(kept, above if above is not None and above.version > kept.version else None).seen()
    before = 0 if known is None else known.kept.version
    said = Statement(new.head.account, seen, request.nonce, now, before)
    return said.sign(role.public, lambda message: role.key.sign(message).signature)


def _site(source: str) -> str:
    """An IPv4 address, or the /48 of an IPv6 one: whoever has that has 65,536 networks to ask from."""
    network = ipaddress.ip_network(source)
    return str(network.supernet(new_prefix=48)) if isinstance(network, ipaddress.IPv6Network) else source


def _advance(
    relay: Relay, database: sqlite3.Connection, new: Seen, request: WitnessRequest
) -> tuple[Remembered | None, Seen]:
    """What was remembered, and the head kept from now on. In one transaction: of two askers at once one is second."""
    known = _known(database, request.core)
    if known is None:
        (count,) = database.execute("SELECT count(*) FROM witnessed").fetchone()
        if count >= relay.limits.witness_accounts:  # spec: WIT-9
            raise ProblemError(Problem.UNAVAILABLE)
    found = advance(known, new, request.consistency)
    heads = cbor.encode([seen.signed.to_cbor() for seen in found.seen()])
    database.execute("INSERT OR REPLACE INTO witnessed(account, heads) VALUES(?, ?)", (new.head.account, heads))
    return known, found.kept


def _known(database: sqlite3.Connection, core: GenesisCore) -> Remembered | None:
    row = database.execute("SELECT heads FROM witnessed WHERE account = ?", (core.account_id(),)).fetchone()
    if row is None:
        return None
    return Remembered(*(Seen.check(Signed.parse(item), core) for item in cbor.decode(row[0], subject="witnessed")))
