"""Asking a witness: another relay that remembers the newest state any device has reported (spec chapter 16.4)."""

from __future__ import annotations

import asyncio
import contextlib
import re
import secrets
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from strongroom import evidence
from strongroom.fetching import Shown
from strongroom.session import Session, now_ms
from strongroom.transport import open_transport
from strongroom.transport.base import HeadResponse, Transport
from strongroom_protocol.errors import (
    InvalidArgument,
    NotFound,
    RelayError,
    RelayUnreachable,
    StrongroomError,
    UntrustedDataError,
)
from strongroom_protocol.manifest.account import GenesisCore
from strongroom_protocol.manifest.head import parse_head
from strongroom_protocol.manifest.witness import Signed, Statement, WitnessRequest, check_witnessed, verify_statement

WITNESS = "witness"
"""Name in the state: the witness's address with its key."""

ALARM = "alarm"
"""Name in the state: what the last report to the witness found wrong."""

_REPORTED = "witnessed"

_UNSHOWN = "unshown"
"""Name in the state: a version that the relay was asked to go on from and has not shown to, how often, since when."""

DOUBTS = 2
"""So many times in a row, of a relay that answers everything else, are an alarm."""

REPORT_MS = 60_000
"""Between two reports of one device."""

REPORT_S = 5.0
"""How long a commit or a close waits for a report; the next one makes up for it."""

_ADDRESS = re.compile(r"(?P<url>[^#\s]+)#(?P<key>[0-9a-fA-F]{64})")


@dataclass(frozen=True, slots=True)
class WitnessAddress:
    """Where a witness is, and the key it signs with: from the person, never from a relay."""

    url: str
    key: bytes

    @classmethod
    def parse(cls, text: str) -> WitnessAddress:
        """`URL#KEY` as the witness prints it. Raises InvalidArgument."""
        found = _ADDRESS.fullmatch(text.strip())
        if found is None:
            raise InvalidArgument(
                "a witness is URL#KEY, with a key of 64 hexadecimal digits",
                hint="copy the line that `strongroom-relay serve --witness` prints",
            )
        return cls(found["url"], bytes.fromhex(found["key"]))

    def __str__(self) -> str:
        return f"{self.url}#{self.key.hex()}"


class Witness:
    """A witness that can be asked. Use as `async with`."""

    def __init__(self, address: WitnessAddress, transport: Transport) -> None:
        self.address = address
        self.said: Statement | None = None
        """The last statement."""
        self._transport = transport

    @classmethod
    async def reach(cls, address: WitnessAddress) -> Witness:
        """Nothing is sent yet. Raises InvalidArgument for an address that would send anything unencrypted."""
        return cls(address, await open_transport(address.url))

    async def __aenter__(self) -> Witness:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._transport.close()

    async def ask(self, core: GenesisCore, answer: HeadResponse) -> Statement:
        """Show it a head as its relay shows it. Raises UntrustedDataError, RelayError."""
        nonce = secrets.token_bytes(32)
        request = WitnessRequest(core, Signed(answer.head, answer.receipt, answer.peaks), nonce, answer.consistency)
        try:
            found = await self._transport.witness(request)
        except NotFound as error:
            raise RelayUnreachable("there is no witness at that address", hint="check the witness's URL") from error
        try:
            self.said = verify_statement(found, witness_key=self.address.key, core=core, nonce=nonce)
        except UntrustedDataError as error:
            error.subject = "witness"
            error.hint = "the witness's answer is wrong, which says nothing of the relay: check its key, or use another"
            raise
        return self.said


Showing = Callable[[int | None], Awaitable[HeadResponse]]
"""The newest accepted head as the relay shows it, with the consistency proof from a version on."""


async def consult(witness: Witness, core: GenesisCore, showing: Showing, since: int | None = None) -> Statement:
    """Weigh what a relay shows against what the witness remembers, and let the witness move on to it.

    `since` is the version that the witness is thought to remember; it saves a round. Raises UntrustedDataError
    ROLLBACK, FORK or LOG when the relay hides what some device has reported.
    """
    account = core.account_id()
    try:
        answer = await showing(since)
    except RelayError:  # the witness hears of it all the same: a relay could keep the proof to itself for that
        await witness.ask(core, await showing(None))  # spec: WIT-15
        raise
    said = await witness.ask(core, answer)
    for seen in reversed(said.seen):  # the one it keeps comes last: the proof from there on is for the witness too
        if seen.version != parse_head(answer.head, account=account).version:
            # It knows a newer one: another device may have committed and reported meanwhile, so the relay is asked once
            # more before that is believed. An older one: it lacks the proof from there on.
            answer = await showing(seen.version)
        check_witnessed(seen, parse_head(answer.head, account=account), answer.consistency)
    if said.seen[0].version < parse_head(answer.head, account=account).version:
        with contextlib.suppress(StrongroomError):
            await witness.ask(core, answer)
    return said


async def accuse(error: UntrustedDataError, witness: Witness, held: evidence.Held, shown: Shown) -> None:
    """Make a proof of the witness's receipt and those that this relay has shown, if they contradict each other."""
    if witness.said is None:
        return
    shown.heads.extend(held.receipts)
    receipts = [seen.signed.receipt for seen in witness.said.seen]
    await evidence.accuse(error, replace(held, version=witness.said.newest.version, receipts=receipts), shown)


async def check(session: Session, address: WitnessAddress | None = None) -> Statement | None:
    """Ask the witness of this vault, if it has one, or the one at `address`, which is its witness then.

    Raises RelayError, and UntrustedDataError when the relay hides something.
    """
    stored = session.state.get(WITNESS)
    if address is None and stored is None:
        return None
    asked = address or WitnessAddress.parse((stored or b"").decode())
    since = _reported(session)[0] if address is None else 0
    shown = Shown()

    async def showing(since: int | None) -> HeadResponse:
        if since is None or since == session.pin.head_version:
            return await _stored(session)
        await _doubt(session, since)
        return await session.proof_from(since, shown)

    async with session.lock, await Witness.reach(asked) as witness:
        try:
            said = await consult(witness, evidence.core_of(session.keyrings), showing, since or None)
        except UntrustedDataError as error:
            await accuse(error, witness, session.held(), shown)
            if address is None and error.subject != "witness":
                session.state.put({ALARM: f"{error}; {error.hint}".encode()})
            raise
        version = session.pin.head_version
        reported = version.to_bytes(8, "big") + now_ms().to_bytes(8, "big")
        session.state.put({WITNESS: str(asked).encode(), _REPORTED: reported, ALARM: None, _UNSHOWN: None})
    return said


async def _doubt(session: Session, since: int) -> None:
    """Note durably, before the relay is asked to show that its state goes on from version `since`, that it has not.

    A relay that hides something need only leave this one question without an answer. One that is away answers nothing.
    """
    await session.transport.head(session.account, None)  # raises when it is away: then it refuses nothing
    stored = session.state.get(_UNSHOWN) or bytes(24)
    times, began = (int.from_bytes(stored[at : at + 8], "big") for at in (8, 16))
    times, began = times + 1, began or now_ms()
    changes: dict[str, bytes | None] = {_UNSHOWN: b"".join(item.to_bytes(8, "big") for item in (since, times, began))}
    if times > DOUBTS:  # spec: WIT-12
        day = datetime.fromtimestamp(began / 1000, UTC).strftime("%Y-%m-%d %H:%M UTC")
        changes[ALARM] = (
            f"the relay does not show that what it has goes on from version {since}, though it was asked {times - 1} "
            f"times since {day}; it may be hiding what other devices wrote"
        ).encode()
    session.state.put(changes)


async def report(session: Session, *, closing: bool = False) -> None:
    """Tell the witness about this device's newest state, at most once a minute. Raises nothing.

    What it finds wrong is stored, and `Vault.status` shows it until a check finds all well again.
    """
    if session.state.get(WITNESS) is None:
        return
    version, last = _reported(session)
    now = now_ms()
    known = closing and version != session.pin.head_version
    if not known and 0 <= now - max(last, session.tried) < REPORT_MS:
        return
    session.tried = now
    with contextlib.suppress(StrongroomError, TimeoutError):
        async with asyncio.timeout(REPORT_S):
            await check(session)


async def _stored(session: Session) -> HeadResponse:
    receipt = session.state.get(evidence.HEAD_RECEIPT)
    if receipt is None:
        await session.sync()
        receipt = session.state.require(evidence.HEAD_RECEIPT)
    return HeadResponse(session.state.require("head"), receipt, session.pin.peaks)


def _reported(session: Session) -> tuple[int, int]:
    """Version and time (ms) of the last report."""
    stored = session.state.get(_REPORTED) or bytes(16)
    return int.from_bytes(stored[:8], "big"), int.from_bytes(stored[8:], "big")
