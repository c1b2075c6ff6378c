"""The witness: a second relay that remembers the highest head of an account (spec chapter 16).

It knows no keys and trusts nobody: what it is told it checks by the receipt, whose key the genesis core ties to the
account id, and what it says comes with heads, receipts and peaks. So a witness can be wrong about a relay only in its
favour: it cannot name a head that the relay has not signed for, nor a log that this head has not.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from strongroom_protocol.errors import Failure, UntrustedDataError
from strongroom_protocol.limits import LIMITS, Limits
from strongroom_protocol.manifest.account import GenesisCore, require_account
from strongroom_protocol.manifest.head import Head, parse_head
from strongroom_protocol.manifest.receipt import Chain, verify_receipt
from strongroom_protocol.wire import cbor, cose, merkle
from strongroom_protocol.wire.parse import VERSION_MAX, Fields, array, blob, fixed


@dataclass(frozen=True, slots=True)
class Signed:
    """A head as somebody hands it on, not checked yet: its bytes, the relay's receipt, peaks of all earlier heads."""

    head: bytes
    receipt: bytes
    peaks: tuple[bytes, ...]

    def to_cbor(self) -> list[Any]:
        return [self.head, self.receipt, list(self.peaks)]

    @classmethod
    def parse(cls, value: Any, limits: Limits = LIMITS) -> Signed:
        head, receipt, peaks = array(value, "witness", minimum=3, maximum=3)
        return cls(
            blob(head, limits.head_bytes, "witness"), blob(receipt, limits.receipt_bytes, "witness"), _hashes(peaks)
        )


@dataclass(frozen=True, slots=True)
class Seen:
    """A head that its relay has signed for, with the root of the log that ends in it."""

    head: Head
    log_root: bytes
    signed: Signed

    @property
    def version(self) -> int:
        return self.head.version

    @classmethod
    def check(cls, signed: Signed, core: GenesisCore, limits: Limits = LIMITS) -> Seen:
        """Raises UntrustedDataError when the relay has not signed for it, or the peaks are not those of its log."""
        account = core.account_id()
        head = parse_head(signed.head, account=account, limits=limits)
        verify_receipt(
            signed.receipt, receipt_key=core.receipt_key, account=account, chain=Chain.HEAD,
            version=head.version, hash_=head.hash, previous=head.previous, limits=limits,
        )  # fmt: skip
        peaks = merkle.check_peaks(head.version - 1, signed.peaks, head.log_root)
        return cls(head, merkle.root_of(merkle.append(head.version - 1, peaks, head.hash)), signed)


@dataclass(frozen=True, slots=True)
class WitnessRequest:
    """A head as its relay shows it, a nonce, and a consistency proof from the head that the witness is thought to
    remember (empty when that is not known)."""

    core: GenesisCore
    signed: Signed
    nonce: bytes
    consistency: tuple[bytes, ...]

    def encode(self) -> bytes:
        return cbor.encode({1: self.core.to_cbor(), 2: self.signed.to_cbor(), 3: self.nonce, 4: list(self.consistency)})

    @classmethod
    def parse(cls, data: bytes, limits: Limits = LIMITS) -> WitnessRequest:
        fields = Fields(cbor.decode(data, limits=limits, subject="witness"), "witness")
        found = cls(
            GenesisCore.parse(fields.take(1)), Signed.parse(fields.take(2), limits), fields.fixed(3),
            _hashes(fields.take(4)),
        )  # fmt: skip
        fields.done()
        return found


@dataclass(frozen=True, slots=True)
class WitnessResponse:
    """A signed statement, and the heads that it is about."""

    statement: bytes
    signed: tuple[Signed, ...]

    def encode(self) -> bytes:
        return cbor.encode({1: self.statement, 2: [item.to_cbor() for item in self.signed]})

    @classmethod
    def parse(cls, data: bytes, limits: Limits = LIMITS) -> WitnessResponse:
        fields = Fields(cbor.decode(data, limits=limits, subject="witness"), "witness")
        heads = array(fields.take(2), "witness", minimum=1, maximum=2)
        found = cls(fields.blob(1, limits.receipt_bytes), tuple(Signed.parse(item, limits) for item in heads))
        fields.done()
        return found


@dataclass(frozen=True, slots=True)
class Remembered:
    """What a witness keeps of an account: the highest head of one log, and one above it that was not shown to go on
    from there, if somebody brought one: its relay has signed for it all the same."""

    kept: Seen
    above: Seen | None = None

    def seen(self) -> tuple[Seen, ...]:
        return (self.kept,) if self.above is None else (self.kept, self.above)


def advance(known: Remembered | None, new: Seen, consistency: Sequence[bytes]) -> Remembered:
    """What is remembered from now on, of an account of which `known` was."""
    if known is None:
        return Remembered(new)
    kept, above = known.kept, known.above
    if new.version > kept.version + LIMITS.head_step:  # spec: WIT-13
        return known
    try:  # a head that is not newer has no proof: its log is too short to begin with the remembered one
        merkle.check_consistency(kept.version, kept.log_root, new.version - 1, new.head.log_root, consistency)
    except UntrustedDataError:
        if new.version > known.seen()[-1].version:  # spec: WIT-14
            return Remembered(kept, new)
        return known  # spec: WIT-1 WIT-2
    return Remembered(new, above if above is not None and above.version > new.version else None)


@dataclass(frozen=True, slots=True)
class Statement:
    """What a witness says: the heads it remembers, one or two, for this nonce, at this time (ms, its clock).

    `known` is the version it remembered before it was asked; 0: it had never heard of the account.
    """

    account: bytes
    seen: tuple[Seen, ...]
    nonce: bytes
    time: int
    known: int

    @property
    def newest(self) -> Seen:
        return max(self.seen, key=lambda seen: seen.version)

    def sign(self, key: bytes, signer: cose.Signer) -> WitnessResponse:
        """The answer, under the witness's key."""
        hashes = [seen.head.hash for seen in self.seen]
        payload = {1: self.account, 2: hashes, 3: self.nonce, 4: self.time, 5: self.known}
        signed = cose.sign(cose.Context.WITNESS, cbor.encode(payload), key, signer)
        return WitnessResponse(signed, tuple(seen.signed for seen in self.seen))


def verify_statement(
    answer: WitnessResponse, *, witness_key: bytes, core: GenesisCore, nonce: bytes, limits: Limits = LIMITS
) -> Statement:
    """The statement by the witness that the person named, for this request, about heads the relay has signed for."""
    signed = cose.verify(cose.Context.WITNESS, answer.statement, maximum=limits.receipt_bytes, limits=limits)
    if signed.key != witness_key:  # spec: WIT-3
        raise UntrustedDataError(Failure.SIGNER, "not signed by the witness that was named", subject="witness")
    fields = Fields(cbor.decode(signed.payload, limits=limits, subject="witness"), "witness")
    account, hashes = fields.fixed(1), [fixed(item, 32, "witness") for item in fields.array(2, maximum=2)]
    said, time, known = fields.fixed(3), fields.time(4), fields.uint(5, VERSION_MAX)
    fields.done()
    require_account(account, core.account_id(), "witness")
    if said != nonce:  # spec: WIT-4
        raise UntrustedDataError(Failure.CONTEXT, "the answer to another question", subject="witness")
    seen = tuple(Seen.check(item, core, limits) for item in answer.signed)
    if [item.head.hash for item in seen] != hashes:  # spec: WIT-5
        raise UntrustedDataError(Failure.RECEIPT, "the relay has not signed for what it says", subject="witness")
    return Statement(account, seen, nonce, time, known)


def check_witnessed(seen: Seen, head: Head, consistency: Sequence[bytes]) -> None:
    """`head`, which a relay shows, is what the witness knows or descends from it; else ROLLBACK, FORK or LOG.

    `consistency` is the proof from that version on, empty where there is nothing to prove.
    """
    require_account(head.account, seen.head.account, "head")
    if head.version < seen.version:  # spec: WIT-6
        raise UntrustedDataError(Failure.ROLLBACK, "older than what the witness has seen", subject="head")
    if head.version == seen.version:
        if head.hash != seen.head.hash:  # spec: WIT-7
            raise UntrustedDataError(Failure.FORK, "not the one that the witness has seen", subject="head")
        return
    merkle.check_consistency(  # spec: WIT-8
        seen.version, seen.log_root, head.version - 1, head.log_root, consistency
    )


def _hashes(value: Any) -> tuple[bytes, ...]:
    return tuple(fixed(item, 32, "witness") for item in array(value, "witness", maximum=64))
