"""How a fresh device knows that what its relay shows is the newest: an anchor, a witness, or not (spec chapter 16)."""

from __future__ import annotations

import contextlib
from dataclasses import replace
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path

from strongroom import evidence, witnessing
from strongroom.fetching import SYNC_ATTEMPTS, Newest, Shown, fetch_keyrings, fetch_newest
from strongroom.session import Session, now_ms
from strongroom.transport.base import HeadResponse, Transport
from strongroom.witnessing import Witness, WitnessAddress
from strongroom_protocol.errors import RelayConflict, StrongroomError, UntrustedDataError
from strongroom_protocol.manifest.account import GenesisCore, require_account
from strongroom_protocol.manifest.anchor import Anchor, check_anchored_head, check_anchored_keyrings
from strongroom_protocol.manifest.keyring import Keyring
from strongroom_protocol.manifest.pin import Pin
from strongroom_protocol.manifest.proof import Evidence
from strongroom_protocol.manifest.receipt import open_receipt
from strongroom_protocol.manifest.witness import Statement

FRESHNESS = "freshness"
"""Name in the state: how the state of the login was known to be new."""

UNPROVEN, PINNED = "unproven", "pinned"


class FirstState:
    """The newest state a relay shows to a device that has no pin, weighed against an anchor when there is one."""

    def __init__(self, transport: Transport, anchor: Anchor | None) -> None:
        self.shown = Shown()
        self._transport = transport
        self._anchor = anchor

    async def fetch(self, account: bytes, chain: list[Keyring] | None = None) -> Newest:
        """Fetch and check it; `chain` saves asking for keyrings that were fetched just now."""
        if chain is None:
            chain = await fetch_keyrings(self._transport, account, None, [], self.shown)
        anchor = self._anchor
        pin = Pin(account, chain[-1].version, chain[-1].hash)
        since = None if anchor is None else anchor.head_version
        newest = await fetch_newest(self._transport, pin, chain, since=since, shown=self.shown)
        if anchor is not None:
            check_anchored_keyrings(anchor, newest.keyrings)
            check_anchored_head(anchor, newest.head, newest.answer.consistency)
        return newest

    async def witnessed(self, newest: Newest, address: WitnessAddress, folder: Path) -> tuple[Newest, str | None]:
        """Ask a witness too; the state that it and the relay agree on, and how fresh that is known to be by that: None
        when the witness had never heard of the account.

        A proof that the witness holds goes into `folder`; nothing else is written. Raises RelayError when the witness
        cannot be asked: whoever named one does not want to go on without.
        """
        account = newest.head.account

        async def showing(since: int | None) -> HeadResponse:
            nonlocal newest
            if since is None:
                return newest.answer
            for _ in range(SYNC_ATTEMPTS):
                answer = await self._transport.head(account, since)
                self.shown.heads.append(answer.receipt)
                if sha256(answer.head).digest() == newest.head.hash:
                    return answer
                newest = await self.fetch(account)
            raise RelayConflict("other devices were quicker, again and again")

        core = evidence.core_of(newest.keyrings)
        async with await Witness.reach(address) as witness:
            try:
                said = await witnessing.consult(witness, core, showing)
            except UntrustedDataError as error:
                held = evidence.Held(self._transport, core, 0, [], folder)
                await witnessing.accuse(error, witness, held, self.shown)
                raise
        return newest, witnessed(said, core)

    def words(self) -> str:
        """How fresh the state is known to be without a witness."""
        return UNPROVEN if self._anchor is None else f"anchor of {moment(self._anchor.time)}"


def witnessed(said: Statement, core: GenesisCore) -> str | None:
    """How fresh a state is known to be by a witness: None when it had never heard of the account.

    It names when the relay accepted the newest state that the witness knows: where nobody reported, that is long ago.
    """
    if said.known == 0:
        return None
    account, receipt = core.account_id(), said.newest.signed.receipt
    news = open_receipt(receipt, receipt_key=core.receipt_key, account=account).time
    return f"witnessed at {moment(said.time)}, last news of {moment(news)}"


def known(session: Session) -> str:
    """How this device knows that what it has is the newest: `pinned`, or what its login found out."""
    stored = session.state.get(FRESHNESS)
    return PINNED if session.may_write else UNPROVEN if stored is None else stored.decode()


def accepted(session: Session) -> int | None:
    """When the relay accepted the newest state this device has seen, by its receipt (ms)."""
    message = session.state.get(evidence.HEAD_RECEIPT)
    if message is None:
        return None
    return open_receipt(message, receipt_key=session.keyring.receipt_key, account=session.account).time


def asked(session: Session) -> int:
    """When the relay last answered with a verified head, by this device's clock (ms); 0: not known."""
    return int.from_bytes(session.state.get("asked") or b"", "big")


def anchor_of(session: Session) -> Anchor:
    """The state this device has accepted, for a person to carry to another one."""
    return Anchor.of(session.pin, now_ms())


async def evidence_of(session: Session) -> Evidence:
    """The same with the relay's receipts, which are fetched when they are not here yet."""
    head = session.state.get(evidence.HEAD_RECEIPT)
    if head is None:
        await session.sync()
        head = session.state.require(evidence.HEAD_RECEIPT)
    return Evidence(evidence.core_of(session.keyrings), anchor_of(session), head, _keyring_receipt(session))


def _keyring_receipt(session: Session) -> bytes | None:
    """The receipt of the newest keyring; None on a device that has only an older one's."""
    message = session.state.get(evidence.KEYRING_RECEIPT)
    if message is None:
        return None
    receipt = open_receipt(message, receipt_key=session.keyring.receipt_key, account=session.account)
    return message if receipt.hash == session.keyring.hash else None


async def compare(session: Session, other: Evidence) -> Anchor:
    """Weigh what this device's relay shows against another device's evidence; returns its anchor when all is well.

    Raises UntrustedDataError ROLLBACK, FORK or LOG with the pin where it was, and a proof in the vault's folder where
    the receipts make one.
    """
    anchor = other.anchor
    require_account(other.core.account_id(), session.account, "evidence")
    await session.sync()
    shown = Shown()
    answer = await session.proof_from(anchor.head_version, shown)
    try:
        check_anchored_keyrings(anchor, session.keyrings)
        check_anchored_head(anchor, session.stored_head(), answer.consistency)
    except UntrustedDataError as error:
        shown.heads += evidence.kept(session.state)
        with contextlib.suppress(StrongroomError):
            chain = await session.transport.keyrings(session.account, anchor.keyring_version)
            shown.keyrings = [receipt for _, receipt in chain]
        held = replace(session.held(), version=anchor.head_version, receipts=list(other.receipts()))
        await evidence.accuse(error, held, shown)
        raise
    return anchor


def moment(time: int) -> str:
    """A time in milliseconds as day and minute in UTC."""
    try:
        return datetime.fromtimestamp(time / 1000, UTC).strftime("%Y-%m-%d %H:%M UTC")
    except (OverflowError, ValueError, OSError):
        return "a time far in the future"
