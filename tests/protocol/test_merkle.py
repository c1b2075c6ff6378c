"""The log of heads against RFC 9162, written a second time from its definitions (chapter 09)."""

from __future__ import annotations

import hashlib
import itertools

import pytest

from protocol.builders import random_bytes, refused
from strongroom_protocol.errors import Failure
from strongroom_protocol.wire import merkle

SIZES = range(1, 41)
ENTRIES = [random_bytes(f"entry {number}") for number in range(40)]
LEAVES = [hashlib.sha256(b"\x00" + entry).digest() for entry in ENTRIES]


def mth(entries: list[bytes]) -> bytes:
    """RFC 9162 section 2.1.1."""
    if not entries:
        return hashlib.sha256(b"").digest()
    if len(entries) == 1:
        return hashlib.sha256(b"\x00" + entries[0]).digest()
    k = 1
    while 2 * k < len(entries):
        k *= 2
    return hashlib.sha256(b"\x01" + mth(entries[:k]) + mth(entries[k:])).digest()


ROOTS = [mth(ENTRIES[:size]) for size in range(41)]


def path(m: int, entries: list[bytes]) -> list[bytes]:
    """RFC 9162 section 2.1.3.1."""
    if len(entries) == 1:
        return []
    k = 1
    while 2 * k < len(entries):
        k *= 2
    if m < k:
        return [*path(m, entries[:k]), mth(entries[k:])]
    return [*path(m - k, entries[k:]), mth(entries[:k])]


def flips(proof: list[bytes]) -> list[list[bytes]]:
    """Each node with a bit changed, left out, doubled; a node more at either end; neighbours swapped."""
    found = []
    for place, node in enumerate(proof):
        before, after = proof[:place], proof[place + 1 :]
        found.append([*before, bytes((node[0] ^ 1, *node[1:])), *after])
        found.append([*before, *after])
        found.append([*before, node, node, *after])
        if after:
            found.append([*before, after[0], node, *after[1:]])
    return [*found, [*proof, bytes(32)], [bytes(32), *proof]]


def test_roots_and_peaks_of_every_size() -> None:
    # RFC 9162 section 2.1.1: the hash of an empty list is the hash of an empty string.
    assert merkle.root_of(()) == merkle.tree_root([]) == hashlib.sha256(b"").digest()
    peaks: tuple[bytes, ...] = ()
    for size in SIZES:
        peaks = merkle.append(size - 1, peaks, ENTRIES[size - 1])
        assert len(peaks) == size.bit_count()
        assert merkle.root_of(peaks) == merkle.tree_root(LEAVES[:size]) == ROOTS[size]
        assert merkle.check_peaks(size, list(peaks), ROOTS[size]) == peaks


@pytest.mark.spec("LOG-2")
def test_peaks_of_another_log_are_refused() -> None:
    peaks: tuple[bytes, ...] = ()
    for size in SIZES:
        peaks = merkle.append(size - 1, peaks, ENTRIES[size - 1])
        for wrong in flips(list(peaks)):
            if wrong != list(peaks):
                assert refused(merkle.check_peaks, size, wrong, ROOTS[size]) is Failure.LOG
        assert refused(merkle.check_peaks, size, peaks, ROOTS[size - 1]) is Failure.LOG
        assert refused(merkle.check_peaks, size, (), ROOTS[size]) is Failure.LOG
        # The one root in place of the peaks it is made of: right hash, wrong number.
        if len(peaks) > 1:
            assert refused(merkle.check_peaks, size, (ROOTS[size],), ROOTS[size]) is Failure.LOG
        assert refused(merkle.check_peaks, 2 * size + 1, peaks, ROOTS[size]) is Failure.LOG


def test_every_older_log_is_the_beginning_of_every_newer_one() -> None:
    for old, new in itertools.combinations_with_replacement(range(41), 2):
        merkle.check_consistency(old, ROOTS[old], new, ROOTS[new], merkle.consistency_proof(old, LEAVES[:new]))


@pytest.mark.spec("LOG-3")
def test_no_other_proof_shows_consistency() -> None:
    for old, new in itertools.combinations(range(1, 18), 2):
        proof = merkle.consistency_proof(old, LEAVES[:new])
        for wrong in flips(proof):
            assert refused(merkle.check_consistency, old, ROOTS[old], new, ROOTS[new], wrong) is Failure.LOG
        for root in (ROOTS[old - 1], bytes(32)):
            assert refused(merkle.check_consistency, old, root, new, ROOTS[new], proof) is Failure.LOG
            assert refused(merkle.check_consistency, old, ROOTS[old], new, root, proof) is Failure.LOG


@pytest.mark.spec("LOG-3")
def test_a_log_with_one_entry_changed_does_not_descend_from_the_old_one() -> None:
    for old, new in itertools.combinations(range(1, 12), 2):
        for place in range(old):
            other = [*LEAVES[:place], bytes(32), *LEAVES[place + 1 : new]]
            proof = merkle.consistency_proof(old, other)
            new_root = merkle.tree_root(other)
            assert refused(merkle.check_consistency, old, ROOTS[old], new, new_root, proof) is Failure.LOG


@pytest.mark.spec("LOG-3")
def test_a_log_does_not_shrink_and_one_of_the_same_size_is_the_same() -> None:
    for old in range(1, 20):
        for new in range(old):
            assert refused(merkle.check_consistency, old, ROOTS[old], new, ROOTS[new], []) is Failure.LOG
        assert refused(merkle.check_consistency, old, ROOTS[old], old, bytes(32), []) is Failure.LOG
        assert refused(merkle.check_consistency, old, ROOTS[old], old, ROOTS[old], [bytes(32)]) is Failure.LOG
        assert refused(merkle.check_consistency, 0, ROOTS[0], old, ROOTS[old], [bytes(32)]) is Failure.LOG
    assert refused(merkle.check_consistency, -1, ROOTS[0], 3, ROOTS[3], []) is Failure.LOG


def test_every_entry_is_in_every_log_that_holds_it() -> None:
    for size in SIZES:
        for index in range(size):
            shown = merkle.inclusion_path(index, LEAVES[:size])
            assert shown == path(index, ENTRIES[:size])
            merkle.check_inclusion(index, ENTRIES[index], size, ROOTS[size], shown)


@pytest.mark.spec("LOG-4")
def test_no_other_path_shows_inclusion() -> None:
    for size in range(1, 18):
        for index in range(size):
            shown = merkle.inclusion_path(index, LEAVES[:size])
            for wrong in flips(shown):
                given = (index, ENTRIES[index], size, ROOTS[size], wrong)
                assert refused(merkle.check_inclusion, *given) is Failure.LOG
            for other in range(-1, size + 2):
                if other != index:
                    given = (other, ENTRIES[index], size, ROOTS[size], shown)
                    assert refused(merkle.check_inclusion, *given) is Failure.LOG
            entry = ENTRIES[index + 1]
            assert refused(merkle.check_inclusion, index, entry, size, ROOTS[size], shown) is Failure.LOG
            assert refused(merkle.check_inclusion, index, ENTRIES[index], size, ROOTS[size - 1], shown) is Failure.LOG
    assert refused(merkle.check_inclusion, 0, ENTRIES[0], 0, ROOTS[0], []) is Failure.LOG


def test_a_node_is_no_leaf() -> None:
    left, right = LEAVES[:2]
    assert merkle.leaf_hash(left + right) != merkle.node_hash(left, right)
    assert refused(merkle.check_inclusion, 0, left + right, 1, ROOTS[2], []) is Failure.LOG
