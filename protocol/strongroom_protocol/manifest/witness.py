"""The witness: a second relay that remembers the highest head of an account (spec chapter 16).

It knows no keys and trusts nobody: what it is told it checks by the receipt, whose key the genesis core ties to the
account id. So a witness can be wrong about a relay only in its favour: it cannot name a head that the relay has not
signed for, and what it does remember it never takes back.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from strongroom_protocol.errors import Failure, UntrustedDataError
from strongroom_protocol.limits import LIMITS, Limits
from strongroom_protocol.manifest.account import GenesisCore, require_account
from strongroom_protocol.manifest.head import Head, parse_head
from strongroom_protocol.manifest.receipt import Chain, open_receipt, verify_receipt
from strongroom_protocol.wire import cbor, cose, merkle
from strongroom_protocol.wire.parse import VERSION_MAX, Fields, array, fixed


@dataclass(frozen=True, slots=True)
class WitnessRequest:
    """A head as its relay shows it: core, head, receipt, a nonce, peaks of all earlier heads, and a consistency proof
    from the head that the witness is thought to remember (empty when that is not known)."""

    core: GenesisCore
    head: bytes
    receipt: bytes
    nonce: bytes
    peaks: tuple[bytes, ...]
    consistency: tuple[bytes, ...]

    def encode(self) -> bytes:
        return cbor.encode(
            {
                1: self.core.to_cbor(),
                2: self.head,
                3: self.receipt,
                4: self.nonce,
                5: list(self.peaks),
                6: list(self.consistency),
            }
        )

    @classmethod
    def parse(cls, data: bytes, limits: Limits = LIMITS) -> WitnessRequest:
        fields = Fields(cbor.decode(data, limits=limits, subject="witness"), "witness")
        found = cls(
            GenesisCore.parse(fields.take(1)),
            fields.blob(2, limits.head_bytes),
            fields.blob(3, limits.receipt_bytes),
            fields.fixed(4),
            *(
                tuple(fixed(item, 32, "witness") for item in array(fields.take(key), "witness", maximum=64))
                for key in (5, 6)
            ),
        )
        fields.done()
        return found


@dataclass(frozen=True, slots=True)
class WitnessResponse:
    """A signed statement, and the relay's receipt for the head that it names."""

    statement: bytes
    receipt: bytes

    def encode(self) -> bytes:
        return cbor.encode({1: self.statement, 2: self.receipt})

    @classmethod
    def parse(cls, data: bytes, limits: Limits = LIMITS) -> WitnessResponse:
        fields = Fields(cbor.decode(data, limits=limits, subject="witness"), "witness")
        found = cls(fields.blob(1, limits.receipt_bytes), fields.blob(2, limits.receipt_bytes))
        fields.done()
        return found


@dataclass(frozen=True, slots=True)
class Remembered:
    """What a witness keeps of an account: its highest head, the log root that ends in it, and the receipt."""

    account: bytes
    version: int
    hash: bytes
    log_root: bytes
    keyring_version: int
    keyring_hash: bytes
    receipt: bytes


def remembered_of(request: WitnessRequest, limits: Limits = LIMITS) -> tuple[Head, Remembered]:
    """The head of a request and what there is to remember of it. Raises UntrustedDataError when its relay has not
    signed for it, or the peaks are not those of its log."""
    account = request.core.account_id()
    head = parse_head(request.head, account=account, limits=limits)
    verify_receipt(
        request.receipt, receipt_key=request.core.receipt_key, account=account, chain=Chain.HEAD,
        version=head.version, hash_=head.hash, previous=head.previous, limits=limits,
    )  # fmt: skip
    peaks = merkle.check_peaks(head.version - 1, request.peaks, head.log_root)
    root = merkle.root_of(merkle.append(head.version - 1, peaks, head.hash))
    return head, Remembered(
        account, head.version, head.hash, root, head.keyring_version, head.keyring_hash, request.receipt
    )


def advance(known: Remembered | None, head: Head, new: Remembered, consistency: Sequence[bytes]) -> Remembered:
    """What is remembered from now on: `new` when it descends from what is known, else what is known."""
    if known is None:
        return new
    if head.version > known.version + LIMITS.head_step:  # spec: WIT-13
        return known
    try:  # a head that is not newer has no proof: its log is too short to begin with the remembered one
        merkle.check_consistency(known.version, known.log_root, head.version - 1, head.log_root, consistency)
    except UntrustedDataError:
        return known  # spec: WIT-1 WIT-2
    return new


@dataclass(frozen=True, slots=True)
class Statement:
    """What a witness says: the highest head it remembers, for this nonce, at this time (ms, its clock).

    `known` is the version it remembered before it was asked; 0: it had never heard of the account.
    """

    account: bytes
    version: int
    hash: bytes
    log_root: bytes
    keyring_version: int
    keyring_hash: bytes
    nonce: bytes
    time: int
    known: int

    @classmethod
    def of(cls, kept: Remembered, *, nonce: bytes, time: int, known: int) -> Statement:
        return cls(
            kept.account, kept.version, kept.hash, kept.log_root, kept.keyring_version, kept.keyring_hash,
            nonce, time, known,
        )  # fmt: skip

    def sign(self, key: bytes, signer: cose.Signer) -> bytes:
        """COSE_Sign1 bytes under the witness's key."""
        payload = {
            1: self.account, 2: self.version, 3: self.hash, 4: self.log_root, 5: self.keyring_version,
            6: self.keyring_hash, 7: self.nonce, 8: self.time, 9: self.known,
        }  # fmt: skip
        return cose.sign(cose.Context.WITNESS, cbor.encode(payload), key, signer)


def verify_statement(
    answer: WitnessResponse, *, witness_key: bytes, core: GenesisCore, nonce: bytes, limits: Limits = LIMITS
) -> Statement:
    """The statement by the witness that the person named, for this request, about a head the relay has signed for."""
    signed = cose.verify(cose.Context.WITNESS, answer.statement, maximum=limits.receipt_bytes, limits=limits)
    if signed.key != witness_key:  # spec: WIT-3
        raise UntrustedDataError(Failure.SIGNER, "not signed by the witness that was named", subject="witness")
    fields = Fields(cbor.decode(signed.payload, limits=limits, subject="witness"), "witness")
    found = Statement(
        fields.fixed(1), fields.version(2), fields.fixed(3), fields.fixed(4), fields.version(5), fields.fixed(6),
        fields.fixed(7), fields.time(8), fields.uint(9, VERSION_MAX),
    )  # fmt: skip
    fields.done()
    account = core.account_id()
    require_account(found.account, account, "witness")
    if found.nonce != nonce:  # spec: WIT-4
        raise UntrustedDataError(Failure.CONTEXT, "the answer to another question", subject="witness")
    receipt = open_receipt(answer.receipt, receipt_key=core.receipt_key, account=account, limits=limits)
    if (receipt.chain, receipt.version, receipt.hash) != (Chain.HEAD, found.version, found.hash):  # spec: WIT-5
        raise UntrustedDataError(Failure.RECEIPT, "the relay has not signed for what it says", subject="witness")
    return found


def check_witnessed(statement: Statement, head: Head, consistency: Sequence[bytes]) -> None:
    """`head`, which a relay shows, is what the witness knows or descends from it; else ROLLBACK, FORK or LOG.

    `consistency` is the proof from the statement's version on, empty where there is nothing to prove.
    """
    require_account(head.account, statement.account, "head")
    if head.version < statement.version:  # spec: WIT-6
        raise UntrustedDataError(Failure.ROLLBACK, "older than what the witness has seen", subject="head")
    if head.version == statement.version:
        if head.hash != statement.hash:  # spec: WIT-7
            raise UntrustedDataError(Failure.FORK, "not the one that the witness has seen", subject="head")
        return
    size, root = statement.version, statement.log_root
    merkle.check_consistency(size, root, head.version - 1, head.log_root, consistency)  # spec: WIT-8
