"""How one keyring follows another: what its owner may change, and what nobody may (spec chapter 04).

Relays and devices check the same rules, so what an honest relay accepted every device accepts.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import replace

from strongroom_protocol.errors import Failure, UntrustedDataError
from strongroom_protocol.manifest.account import require_account
from strongroom_protocol.manifest.keyring import Keyring
from strongroom_protocol.wire import cbor, cose


def check_succession(old: Keyring, new: Keyring) -> None:
    """`new` is the direct successor of `old` in the chain."""
    if new.version != old.version + 1 or new.previous != old.hash:  # spec: KR-8
        raise UntrustedDataError(Failure.CHAIN, "does not follow the previous keyring", subject="keyring")
    if new.epochs[: len(old.epochs)] != old.epochs or len(new.epochs) > len(old.epochs) + 1:  # spec: KR-9
        raise UntrustedDataError(Failure.EPOCH, "rewrites earlier epochs", subject="keyring")
    if new.receipt_key != old.receipt_key:  # spec: KR-10
        raise UntrustedDataError(Failure.KEYRING, "changes the relay's receipt key", subject="keyring")
    for ident, version in old.revoked.items():
        if new.revoked.get(ident) != version:  # spec: KR-11
            raise UntrustedDataError(Failure.KEYRING, "forgets a revocation", subject="keyring")
    before = {device.id: device for device in old.devices}
    allowed = [before.get(device.id, replace(device, added=new.version)) for device in new.devices]
    if list(new.devices) != allowed:  # spec: KR-20
        raise UntrustedDataError(Failure.KEYRING, "a device is not added by this version", subject="keyring")
    gone = set(before) - {device.id for device in new.devices}
    added = {ident: version for ident, version in new.revoked.items() if ident not in old.revoked}
    if added != dict.fromkeys(gone & set(added), new.version):  # spec: KR-21
        raise UntrustedDataError(Failure.KEYRING, "revokes no device, or at another version", subject="keyring")
    if not gone <= set(new.revoked):  # spec: KR-12
        raise UntrustedDataError(Failure.KEYRING, "drops a device without revoking it", subject="keyring")
    if gone and (new.epoch == old.epoch or new.root_key == old.root_key):  # spec: KR-13
        raise UntrustedDataError(Failure.EPOCH, "revokes without a new epoch and root", subject="keyring")
    if new.discards[: len(old.discards)] != old.discards:  # spec: KR-24
        raise UntrustedDataError(Failure.KEYRING, "takes a discarded range back", subject="keyring")
    if (new.root_key, new.root_kem_key) != (old.root_key, old.root_kem_key):
        _check_handover(old, new)
    elif new.handover is not None:  # spec: KR-22
        raise UntrustedDataError(Failure.SIGNER, "a handover without another root", subject="keyring")


def _check_handover(old: Keyring, new: Keyring) -> None:
    if new.handover is None:  # spec: KR-14
        raise UntrustedDataError(Failure.SIGNER, "root changed without the old root's word", subject="keyring")
    signed = cose.verify(cose.Context.ROOT_HANDOVER, new.handover, maximum=4096)
    if signed.key != old.root_key:  # spec: KR-15
        raise UntrustedDataError(Failure.SIGNER, "handover is not by the old root", subject="keyring")
    if signed.payload != handover_payload(new):  # spec: KR-16
        raise UntrustedDataError(Failure.CONTEXT, "handover is for another keyring", subject="keyring")
    if new.epoch == old.epoch:  # spec: KR-23
        raise UntrustedDataError(Failure.EPOCH, "another root in the same epoch", subject="keyring")


def handover_payload(new: Keyring) -> bytes:
    """What the old root signs when the root key changes."""
    return cbor.encode({1: new.account, 2: new.version, 3: new.previous, 4: new.root_key, 5: new.root_kem_key})


def check_chain(keyrings: Sequence[Keyring], *, account: bytes) -> Keyring:
    """A whole chain from version 1 on belongs to `account`; returns the newest."""
    if not keyrings or keyrings[0].version != 1:  # spec: KR-17
        raise UntrustedDataError(Failure.CHAIN, "chain does not begin with version 1", subject="keyring")
    for old, new in itertools.pairwise(keyrings):
        check_succession(old, new)
    require_account(keyrings[-1].account, account, "keyring")
    return keyrings[-1]
