"""What a device remembers, and the one place where something new is weighed against it (spec chapter 09).

A pin only ever moves forward. Everything a relay serves is checked here against the pin before any of it is used; a
failure leaves the pin as it was. The caller stores the returned pin durably and atomically before it acts on it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from strongroom_protocol.errors import Failure, UntrustedDataError
from strongroom_protocol.limits import LIMITS, Limits
from strongroom_protocol.manifest.account import require_account
from strongroom_protocol.manifest.head import Head
from strongroom_protocol.manifest.keyring import Keyring, check_cut, check_writer
from strongroom_protocol.manifest.succession import check_chain, check_succession
from strongroom_protocol.wire import cbor, merkle
from strongroom_protocol.wire.parse import SMALL_MAX, VERSION_MAX, Fields, bad, fixed, uint


@dataclass(frozen=True, slots=True)
class Pin:
    """Account, keyring version and hash, head version, hash and log peaks (of all earlier heads), epoch, own highest
    writer sequence, highest sequence seen per device. Version 0 of a head means none was seen yet."""

    account: bytes
    keyring_version: int
    keyring_hash: bytes
    head_version: int = 0
    head_hash: bytes = bytes(32)
    head_keyring: int = 0
    peaks: tuple[bytes, ...] = ()
    epoch: int = 0
    sequence: int = 0
    sequences: Mapping[bytes, int] = field(default_factory=dict)

    def encode(self) -> bytes:
        return cbor.encode(
            {
                1: 1,
                2: self.account,
                3: self.keyring_version,
                4: self.keyring_hash,
                5: self.head_version,
                6: self.head_hash,
                7: self.head_keyring,
                8: list(self.peaks),
                9: self.epoch,
                10: self.sequence,
                11: dict(self.sequences),
            }
        )

    @classmethod
    def parse(cls, data: bytes) -> Pin:
        fields = Fields(cbor.decode(data, subject="pin"), "pin")
        fields.format()
        pin = cls(
            fields.fixed(2),
            fields.version(3),
            fields.fixed(4),
            fields.uint(5, VERSION_MAX),
            fields.fixed(6),
            fields.uint(7, VERSION_MAX),
            tuple(fixed(peak, 32, "pin") for peak in fields.array(8, maximum=64)),
            fields.uint(9, SMALL_MAX),
            fields.uint(10, VERSION_MAX),
            _sequences(fields.take(11)),
        )
        fields.done()
        return pin

    def after_undo(self, device: bytes) -> Pin:
        """Without the sequences of other devices: the root's word says that what was last read of them may be a lie."""
        return replace(self, sequences={ident: last for ident, last in self.sequences.items() if ident == device})

    def log(self) -> tuple[int, tuple[bytes, ...]]:
        """Size and peaks of the log with the pinned head as its last entry."""
        if self.head_version == 0:
            return 0, ()
        return self.head_version, merkle.append(self.head_version - 1, self.peaks, self.head_hash)


def accept_keyrings(pin: Pin | None, known: Keyring | None, chain: Sequence[Keyring], *, account: bytes) -> Keyring:
    """The newest keyring of `chain`, which continues `known` (the pinned one) or, without a pin, begins at version 1.

    Raises UntrustedDataError: ROLLBACK, FORK, CHAIN and what `check_succession` raises.
    """
    if pin is None or known is None:
        return check_chain(chain, account=account)
    require_account(known.account, account, "keyring")
    if known.hash != pin.keyring_hash:  # spec: PIN-1
        raise UntrustedDataError(Failure.FORK, "stored keyring is not the pinned one", subject="keyring")
    for new in chain:
        if new.version == known.version and new.hash != known.hash:  # spec: PIN-2
            raise UntrustedDataError(Failure.FORK, "another keyring under a version seen before", subject="keyring")
        if new.version < known.version:  # spec: PIN-3
            raise UntrustedDataError(Failure.ROLLBACK, "older than one seen before", subject="keyring")
        if new.version > known.version:
            check_succession(known, new)
            known = new
    return known


def accept_head(
    pin: Pin | None,
    keyring: Keyring,
    head: Head,
    *,
    peaks: Sequence[bytes],
    consistency: Sequence[bytes],
    cut_path: Sequence[bytes],
    limits: Limits = LIMITS,
) -> Pin:
    """The pin after `head`, the newest head under `keyring`; `pin` is unchanged when anything is wrong.

    `peaks` are those of the log of all earlier heads, `consistency` the RFC 9162 proof from the pinned head on,
    `cut_path` the inclusion path of the keyring's cut in that log (empty when the head stands directly on the cut).
    """
    require_account(head.account, keyring.account, "head")
    check_writer(head, keyring)
    checked = merkle.check_peaks(head.version - 1, peaks, head.log_root)
    if pin is not None:
        _check_forward(pin, head, limits)
    _check_descent(pin, head, checked, consistency)
    _check_from_cut(pin, keyring, head, cut_path)
    base = pin or Pin(keyring.account, keyring.version, keyring.hash)
    return replace(
        base, keyring_version=keyring.version, keyring_hash=keyring.hash, head_version=head.version,
        head_hash=head.hash, head_keyring=head.keyring_version, peaks=checked, epoch=head.epoch,
    )  # fmt: skip


def accept_sequences(pin: Pin, sequences: Mapping[bytes, int], *, device: bytes) -> Pin:
    """Writer sequences in a body never fall, and this device's own is one that it knows (else a clone wrote it)."""
    for ident, highest in pin.sequences.items():
        if sequences.get(ident, 0) < highest:  # spec: PIN-4
            raise UntrustedDataError(Failure.ROLLBACK, "a device's batches are gone from the history", subject="head")
    if sequences.get(device, 0) > pin.sequence:  # spec: PIN-5
        raise UntrustedDataError(
            Failure.CLONE,
            "a copy of this device has written",
            subject="device",
            hint="`strongroom login --again` makes this folder a device of its own; nothing it holds is lost",
        )
    return replace(pin, sequences=dict(sequences))


def _check_forward(pin: Pin, head: Head, limits: Limits) -> None:
    if head.version < pin.head_version:  # spec: PIN-6
        raise UntrustedDataError(Failure.ROLLBACK, "older than a head seen before", subject="head")
    if head.version == pin.head_version and head.hash != pin.head_hash:  # spec: PIN-7
        raise UntrustedDataError(Failure.FORK, "another head under a version seen before", subject="head")
    if pin.head_version and head.version > pin.head_version + limits.head_step:  # spec: PIN-8
        raise UntrustedDataError(Failure.LIMIT, "too far ahead of the head seen before", subject="head")
    if head.keyring_version < pin.head_keyring:  # spec: PIN-9
        raise UntrustedDataError(Failure.ROLLBACK, "under an older keyring than one seen before", subject="head")
    if head.epoch < pin.epoch:  # spec: PIN-10
        raise UntrustedDataError(Failure.ROLLBACK, "in an older epoch than one seen before", subject="head")


def _check_descent(pin: Pin | None, head: Head, peaks: tuple[bytes, ...], proof: Sequence[bytes]) -> None:
    if pin is None or pin.head_version in (0, head.version):
        return
    size, old = pin.log()
    merkle.check_consistency(size, merkle.root_of(old), head.version - 1, merkle.root_of(peaks), proof)  # spec: LOG-1


def _check_from_cut(pin: Pin | None, keyring: Keyring, head: Head, path: Sequence[bytes]) -> None:
    cut = keyring.cut
    if cut is None:
        return
    if head.version <= cut.version:  # spec: PIN-11
        raise UntrustedDataError(Failure.CUT, "head is before the keyring's cut", subject="head")
    if pin is not None and pin.head_keyring < keyring.version and pin.head_version > cut.version:  # spec: PIN-12
        raise UntrustedDataError(Failure.CUT, "the cut is before a head seen under the old keyring", subject="keyring")
    if head.version == cut.version + 1:
        check_cut(head, keyring)
    else:
        merkle.check_inclusion(cut.version - 1, cut.hash, head.version - 1, head.log_root, path)


def _sequences(value: Any) -> dict[bytes, int]:
    if type(value) is not dict:
        raise bad("pin", "expected a map of devices")
    return {fixed(key, 16, "pin"): uint(item, VERSION_MAX, "pin") for key, item in value.items()}
