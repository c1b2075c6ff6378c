"""Receipts: the relay's signature over each head and keyring it accepted (spec chapter 09).

A head without a receipt is a proposal: honest losers of a race sign those too. Two receipts that contradict each
other prove that the relay forked the account (`proof`).
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

from strongroom_protocol.errors import Failure, UntrustedDataError
from strongroom_protocol.limits import LIMITS, Limits
from strongroom_protocol.manifest.account import require_account
from strongroom_protocol.wire import cbor, cose
from strongroom_protocol.wire.parse import Fields, fixed


class Chain(IntEnum):
    KEYRING = 1
    HEAD = 2


@dataclass(frozen=True, slots=True)
class Receipt:
    """{account, chain, version, hash, previous hash} and the time of acceptance in milliseconds."""

    account: bytes
    chain: Chain
    version: int
    hash: bytes
    previous: bytes | None
    time: int

    def sign(self, key: bytes, signer: cose.Signer) -> bytes:
        """COSE_Sign1 bytes under the relay's receipt key."""
        payload = {
            1: self.account,
            2: int(self.chain),
            3: self.version,
            4: self.hash,
            5: self.previous,
            6: self.time,
        }
        return cose.sign(cose.Context.RECEIPT, cbor.encode(payload), key, signer)

    def contradicts(self, other: Receipt) -> bool:
        """Whether no one chain has both: one version with two contents, or a version not on the one before it."""
        if (self.account, self.chain) != (other.account, other.chain):
            return False
        if self.version == other.version:
            return (self.hash, self.previous) != (other.hash, other.previous)
        older, newer = (self, other) if self.version < other.version else (other, self)
        return newer.version == older.version + 1 and newer.previous != older.hash


def verify_receipt(
    message: bytes,
    *,
    receipt_key: bytes,
    account: bytes,
    chain: Chain,
    version: int,
    hash_: bytes,
    previous: bytes | None,
    limits: Limits = LIMITS,
) -> Receipt:
    """The receipt for exactly this version of this chain, signed by the account's relay."""
    receipt = open_receipt(message, receipt_key=receipt_key, account=account, limits=limits)
    if (receipt.chain, receipt.version, receipt.hash, receipt.previous) != (
        chain,
        version,
        hash_,
        previous,
    ):  # spec: RCPT-2
        raise UntrustedDataError(Failure.RECEIPT, "receipt is for something else", subject="receipt")
    return receipt


def open_receipt(message: bytes, *, receipt_key: bytes, account: bytes, limits: Limits = LIMITS) -> Receipt:
    """A receipt for anything of this account, signed by its relay."""
    signed = cose.verify(cose.Context.RECEIPT, message, maximum=limits.receipt_bytes, limits=limits)
    if signed.key != receipt_key:  # spec: RCPT-1
        raise UntrustedDataError(Failure.SIGNER, "not signed by the account's relay", subject="receipt")
    fields = Fields(cbor.decode(signed.payload, limits=limits, subject="receipt"), "receipt")
    receipt = Receipt(
        fields.fixed(1),
        Chain(fields.uint(2, 2, 1)),
        fields.version(3),
        fields.fixed(4),
        fields.optional(5, lambda value: fixed(value, 32, "receipt")),
        fields.time(6),
    )
    fields.done()
    require_account(receipt.account, account, "receipt")
    return receipt
