"""Fork proofs: two receipts that no honest relay signs both (spec chapter 16).

A proof needs no trust in whoever hands it on: the genesis core makes the account id and names the only key that signs
receipts for it, and an honest relay never signs two that contradict each other, whatever its devices send it.
"""

from __future__ import annotations

from dataclasses import dataclass

from strongroom_protocol.errors import Failure, UntrustedDataError
from strongroom_protocol.limits import LIMITS, Limits
from strongroom_protocol.manifest.account import GenesisCore
from strongroom_protocol.manifest.anchor import Anchor
from strongroom_protocol.manifest.receipt import Chain, Receipt, open_receipt
from strongroom_protocol.wire import cbor
from strongroom_protocol.wire.parse import Fields, blob


@dataclass(frozen=True, slots=True)
class ForkProof:
    """A verified proof: the account's core, and the two receipts (with their COSE_Sign1 bytes) that contradict."""

    core: GenesisCore
    one: Receipt
    other: Receipt
    messages: tuple[bytes, bytes]

    def encode(self) -> bytes:
        return cbor.encode({1: 1, 2: self.core.to_cbor(), 3: self.messages[0], 4: self.messages[1]})

    @classmethod
    def of(cls, core: GenesisCore, one: bytes, other: bytes, limits: Limits = LIMITS) -> ForkProof:
        """Verify that two receipts contradict each other. Raises UntrustedDataError, RECEIPT when they do not."""
        account = core.account_id()
        first, second = (
            open_receipt(message, receipt_key=core.receipt_key, account=account, limits=limits)
            for message in (one, other)
        )
        if not first.contradicts(second):  # spec: FORK-1
            raise UntrustedDataError(Failure.RECEIPT, "the two receipts do not contradict each other", subject="proof")
        return cls(core, first, second, (one, other))

    @classmethod
    def parse(cls, data: bytes, limits: Limits = LIMITS) -> ForkProof:
        """Verify a proof; nothing else is needed."""
        if len(data) > limits.evidence_bytes:  # spec: FORK-2
            raise UntrustedDataError(Failure.LIMIT, "longer than the limit", subject="proof")
        fields = Fields(cbor.decode(data, limits=limits, subject="proof"), "proof")
        fields.format()
        core = GenesisCore.parse(fields.take(2))
        one, other = fields.blob(3, limits.receipt_bytes), fields.blob(4, limits.receipt_bytes)
        fields.done()
        return cls.of(core, one, other, limits)


@dataclass(frozen=True, slots=True)
class Evidence:
    """What one device holds against its relay: its anchor, and the receipts of that head and keyring.

    Brought to another device it shows whether the relay tells both the same. `keyring_receipt` may be missing on a
    device that made that keyring itself and lost the answer.
    """

    core: GenesisCore
    anchor: Anchor
    head_receipt: bytes
    keyring_receipt: bytes | None

    def receipts(self) -> tuple[bytes, ...]:
        """The receipts that are there."""
        return (self.head_receipt,) if self.keyring_receipt is None else (self.head_receipt, self.keyring_receipt)

    def encode(self) -> bytes:
        return cbor.encode(
            {
                1: 1,
                2: self.core.to_cbor(),
                3: self.anchor.encode(),
                4: self.head_receipt,
                5: self.keyring_receipt,
            }
        )

    @classmethod
    def parse(cls, data: bytes, limits: Limits = LIMITS) -> Evidence:
        """The evidence, its receipts verified and those of its anchor."""
        if len(data) > limits.evidence_bytes:  # spec: FORK-3
            raise UntrustedDataError(Failure.LIMIT, "longer than the limit", subject="evidence")
        fields = Fields(cbor.decode(data, limits=limits, subject="evidence"), "evidence")
        fields.format()
        found = cls(
            GenesisCore.parse(fields.take(2)),
            Anchor.parse(fields.blob(3, limits.receipt_bytes)),
            fields.blob(4, limits.receipt_bytes),
            fields.optional(5, lambda value: blob(value, limits.receipt_bytes, "evidence")),
        )
        fields.done()
        found._check(limits)
        return found

    def _check(self, limits: Limits) -> None:
        anchor, account = self.anchor, self.core.account_id()
        if anchor.account != account:  # spec: FORK-4
            raise UntrustedDataError(Failure.ACCOUNT, "anchor and core are of two accounts", subject="evidence")
        said = {(Chain.HEAD, anchor.head_version, anchor.head_hash)}
        said |= {(Chain.KEYRING, anchor.keyring_version, anchor.keyring_hash)}
        for message in self.receipts():
            found = open_receipt(message, receipt_key=self.core.receipt_key, account=account, limits=limits)
            if (found.chain, found.version, found.hash) not in said:  # spec: FORK-5
                raise UntrustedDataError(Failure.RECEIPT, "receipt of another state", subject="evidence")
