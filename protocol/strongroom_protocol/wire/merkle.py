"""The Merkle log of heads: tree hashes and consistency proofs of RFC 9162 section 2.1 (spec chapter 09).

A log is carried as its peaks: the roots of its full subtrees, largest first. That is all a device needs to append
the next head and to compute any later root, and it can be checked against the root that a signed head names.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

from strongroom_protocol.errors import Failure, UntrustedDataError

EMPTY_ROOT = hashlib.sha256(b"").digest()


def leaf_hash(entry: bytes) -> bytes:
    return hashlib.sha256(b"\x00" + entry).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    return hashlib.sha256(b"\x01" + left + right).digest()


def append(size: int, peaks: tuple[bytes, ...], entry: bytes) -> tuple[bytes, ...]:
    """The peaks of a log of `size` entries after one more."""
    stack = list(peaks)
    node = leaf_hash(entry)
    while size & 1:
        node = node_hash(stack.pop(), node)
        size >>= 1
    return (*stack, node)


def root_of(peaks: Sequence[bytes]) -> bytes:
    """The root of the log with these peaks; of the empty log, SHA-256 of nothing."""
    if not peaks:
        return EMPTY_ROOT
    node = peaks[-1]
    for left in reversed(peaks[:-1]):
        node = node_hash(left, node)
    return node


def check_peaks(size: int, peaks: Sequence[bytes], root: bytes) -> tuple[bytes, ...]:
    """Peaks from a relay are those of the log of `size` entries with `root`, or LOG is raised."""
    if len(peaks) != size.bit_count() or root_of(peaks) != root:  # spec: LOG-2
        raise UntrustedDataError(Failure.LOG, "peaks do not match the signed log root")
    return tuple(peaks)


def check_consistency(old: int, old_root: bytes, new: int, new_root: bytes, proof: Sequence[bytes]) -> None:
    """RFC 9162 section 2.1.4.2: the log of `new` entries begins with the log of `old` entries, or LOG is raised."""
    if not _consistent(old, old_root, new, new_root, list(proof)):  # spec: LOG-3
        raise UntrustedDataError(Failure.LOG, "history does not descend from the one seen before")


def _consistent(old: int, old_root: bytes, new: int, new_root: bytes, proof: list[bytes]) -> bool:
    if not 0 <= old <= new:
        return False
    if old in (0, new):
        return not proof and (old == 0 or old_root == new_root)
    if old.bit_count() == 1:
        proof = [old_root, *proof]
    if not proof:
        return False
    fn, sn = old - 1, new - 1
    while fn & 1:
        fn >>= 1
        sn >>= 1
    fr = sr = proof[0]
    for node in proof[1:]:
        if sn == 0:
            return False
        if fn & 1 or fn == sn:
            fr = node_hash(node, fr)
            sr = node_hash(node, sr)
            while fn and not fn & 1:
                fn >>= 1
                sn >>= 1
        else:
            sr = node_hash(sr, node)
        fn >>= 1
        sn >>= 1
    return sn == 0 and fr == old_root and sr == new_root


def consistency_proof(old: int, leaves: Sequence[bytes]) -> list[bytes]:
    """RFC 9162 section 2.1.4.1, from the leaf hashes of the newer log. Used by relays."""
    if not 0 < old < len(leaves):
        return []
    return _subproof(old, leaves, True)


def tree_root(leaves: Sequence[bytes]) -> bytes:
    """The root of a log from its leaf hashes."""
    if not leaves:
        return EMPTY_ROOT
    if len(leaves) == 1:
        return leaves[0]
    split = 1 << (len(leaves) - 1).bit_length() - 1
    return node_hash(tree_root(leaves[:split]), tree_root(leaves[split:]))


def _subproof(old: int, leaves: Sequence[bytes], whole: bool) -> list[bytes]:
    if old == len(leaves):
        return [] if whole else [tree_root(leaves)]
    split = 1 << (len(leaves) - 1).bit_length() - 1
    if old <= split:
        return [*_subproof(old, leaves[:split], whole), tree_root(leaves[split:])]
    return [*_subproof(old - split, leaves[split:], False), tree_root(leaves[:split])]


def check_inclusion(index: int, entry: bytes, size: int, root: bytes, path: Sequence[bytes]) -> None:
    """RFC 9162 section 2.1.3.2: `entry` is number `index` (from 0) of the log of `size` entries, or LOG is raised."""
    if not _included(index, leaf_hash(entry), size, root, path):  # spec: LOG-4
        raise UntrustedDataError(Failure.LOG, "not an entry of this history")


def _included(index: int, node: bytes, size: int, root: bytes, path: Sequence[bytes]) -> bool:
    fn, sn = index, size - 1
    if not 0 <= fn <= sn:
        return False
    for other in path:
        if sn == 0:
            return False
        if fn & 1 or fn == sn:
            node = node_hash(other, node)
            while fn and not fn & 1:
                fn >>= 1
                sn >>= 1
        else:
            node = node_hash(node, other)
        fn >>= 1
        sn >>= 1
    return sn == 0 and node == root


def inclusion_path(index: int, leaves: Sequence[bytes]) -> list[bytes]:
    """RFC 9162 section 2.1.3.1, from the leaf hashes of the log. Used by relays."""
    if len(leaves) <= 1:
        return []
    split = 1 << (len(leaves) - 1).bit_length() - 1
    if index < split:
        return [*inclusion_path(index, leaves[:split]), tree_root(leaves[split:])]
    return [*inclusion_path(index - split, leaves[split:]), tree_root(leaves[:split])]
