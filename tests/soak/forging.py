"""Heads that a removed device signs with the keys it still has, as well made as can be, with its relay's help."""

from __future__ import annotations

import hashlib

from soak.history import History, Node
from soak.lies import NOW
from soak.phones import Phone
from soak.wires import Branch
from strongroom.transport.base import HeadResponse
from strongroom_protocol.manifest.head import Delta, sign_head
from strongroom_protocol.manifest.receipt import Chain, Receipt
from strongroom_protocol.wire import merkle


def forge(history: History, branch: Branch, thief: Phone, victim: Phone, pick: int) -> HeadResponse | None:
    """The next head after the victim's, by the thief; None when the victim has not seen that it was removed.

    Under the newest keyring, or the last one that lists the thief; with a good receipt, log, and path of the cut.
    """
    past = victim.node
    if past is None or thief.ident in past.members:
        return None
    listed = [node.keyring for node in past.line() if thief.ident in node.members]
    keyring = listed[0] if listed and pick % 2 else past.keyring
    _size, peaks = victim.session.pin.log()
    body = hashlib.sha256(pick.to_bytes(8, "big")).digest()
    key = thief.session.device.sign
    head = sign_head(
        account=keyring.account, version=past.version + 1, previous=past.hash, keyring_version=keyring.version,
        keyring_hash=keyring.hash, epoch=keyring.epoch, device=thief.ident, sequence=2**40 + pick, body=body,
        body_size=400, log_root=merkle.root_of(peaks), delta=Delta((body,), ()), time=NOW, key=key.public,
        signer=key.sign,
    )  # fmt: skip
    history.forged(Node(head.hash, head.version, past, head.device, (), past.keyring, past.intents, past.unlock))
    receipt = branch.relay.sign_receipt(Receipt(head.account, Chain.HEAD, head.version, head.hash, head.previous, NOW))
    hashes = [node.hash for node in past.line()][::-1]
    cut = past.keyring.cut
    path = () if cut is None else tuple(inclusion(cut.version - 1, hashes))
    return HeadResponse(head.message, receipt, peaks, (), None, path)


def inclusion(index: int, leaves: list[bytes]) -> list[bytes]:
    """The inclusion path of a leaf, by the recursion of RFC 9162 section 2.1.3.1."""
    if len(leaves) == 1:
        return []
    half = 1 << (len(leaves) - 1).bit_length() - 1
    if index < half:
        return [*inclusion(index, leaves[:half]), _root(leaves[half:])]
    return [*inclusion(index - half, leaves[half:]), _root(leaves[:half])]


def _root(leaves: list[bytes]) -> bytes:
    if len(leaves) == 1:
        return hashlib.sha256(b"\x00" + leaves[0]).digest()
    half = 1 << (len(leaves) - 1).bit_length() - 1
    return hashlib.sha256(b"\x01" + _root(leaves[:half]) + _root(leaves[half:])).digest()
