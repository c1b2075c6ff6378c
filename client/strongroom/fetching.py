"""Fetching the newest state of an account and weighing it against a pin (spec chapter 13.4). Nothing is stored here."""

from __future__ import annotations

from dataclasses import dataclass, field

from strongroom.transport.base import HeadResponse, Transport
from strongroom_protocol.errors import Failure, UntrustedDataError
from strongroom_protocol.manifest.head import Head, parse_head
from strongroom_protocol.manifest.keyring import Keyring, parse_keyring
from strongroom_protocol.manifest.pin import Pin, accept_head, accept_keyrings
from strongroom_protocol.manifest.receipt import Chain, verify_receipt

KEYRINGS_BYTES = 64 * 1024 * 1024
"""Keyrings taken from a relay in one synchronisation: some 800 changes of keys with three devices, 350 with 64."""

SYNC_ATTEMPTS = 4
"""Times a head and a keyring that do not fit are asked for again; then the misfit is the error."""


@dataclass(slots=True)
class Shown:
    """The receipts that a relay showed while something was fetched, whatever became of it: evidence, if it lied."""

    heads: list[bytes] = field(default_factory=list)
    keyrings: list[bytes] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Newest:
    """The newest state a relay shows, accepted: `pin` is what to remember now."""

    head: Head
    answer: HeadResponse
    keyrings: list[Keyring]
    pin: Pin


async def fetch_newest(
    transport: Transport, pin: Pin, keyrings: list[Keyring], *, since: int | None, shown: Shown
) -> Newest:
    """The newest head and keyring, verified against the pin and the chain that is known.

    `since` is the head version the consistency proof of the answer begins at: with a pinned head that head's.
    Raises UntrustedDataError, RelayError.
    """
    account = pin.account
    for _ in range(SYNC_ATTEMPTS):
        answer = await transport.head(account, since)
        shown.heads.append(answer.receipt)
        head = parse_head(answer.head, account=account)
        known = keyrings[-1]
        chain = keyrings
        if (head.keyring_version, head.keyring_hash) != (known.version, known.hash):
            chain = await fetch_keyrings(transport, account, pin, keyrings, shown)
        if head.keyring_version >= chain[-1].version:
            break  # else a new keyring and head arrived between the two requests: ask again, a few times
    keyring = chain[-1]
    verify_receipt(
        answer.receipt, receipt_key=keyring.receipt_key, account=account, chain=Chain.HEAD,
        version=head.version, hash_=head.hash, previous=head.previous,
    )  # fmt: skip
    consistency = answer.consistency if pin.head_version else ()
    accepted = accept_head(
        pin, keyring, head, peaks=answer.peaks, consistency=consistency, cut_path=answer.cut_path
    )  # fmt: skip
    return Newest(head, answer, chain, accepted)


async def fetch_keyrings(
    transport: Transport, account: bytes, pin: Pin | None, known: list[Keyring], shown: Shown | None = None
) -> list[Keyring]:
    """The keyring chain continued from `known`, verified with its receipts."""
    first = known[-1].version if known else 1
    parsed: list[Keyring] = []
    size = 0
    while answer := await transport.keyrings(account, first):
        for message, receipt in answer:
            size += len(message)
            if shown is not None:
                shown.keyrings.append(receipt)
            keyring = parse_keyring(message, account=account)
            if size > KEYRINGS_BYTES or keyring.version < first:  # spec: CLIENT-7
                raise UntrustedDataError(Failure.LIMIT, "an endless or repeating chain", subject="keyring")
            verify_receipt(
                receipt, receipt_key=(known or [keyring])[0].receipt_key, account=account, chain=Chain.KEYRING,
                version=keyring.version, hash_=keyring.hash, previous=keyring.previous,
            )  # fmt: skip
            parsed.append(keyring)
            first = keyring.version + 1
    accept_keyrings(pin, known[-1] if known else None, parsed, account=account)
    if known:
        return known + [keyring for keyring in parsed if keyring.version > known[-1].version]
    return parsed
