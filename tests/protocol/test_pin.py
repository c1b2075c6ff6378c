"""What a device remembers only moves forward (chapter 09)."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import pytest

from protocol.builders import (
    ACCOUNT,
    OTHER_ACCOUNT,
    History,
    chain,
    history,
    person,
    random_bytes,
    refused,
    signed,
    with_device,
)
from strongroom_protocol.errors import Failure
from strongroom_protocol.limits import LIMITS
from strongroom_protocol.manifest.head import Head
from strongroom_protocol.manifest.keyring import Cut, Keyring
from strongroom_protocol.manifest.pin import Pin, accept_head, accept_keyrings, accept_sequences
from strongroom_protocol.wire import cbor, merkle

ANN, BOB = person("ann").id, person("bob").id


def accept(
    pin: Pin | None,
    past: History,
    version: int,
    keyring: Keyring | None = None,
    *,
    consistency: Sequence[bytes] | None = None,
    peaks: Sequence[bytes] | None = None,
    cut_path: Sequence[bytes] = (),
    head_step: int = LIMITS.head_step,
) -> Pin:
    """Weigh head `version` of `past`, with an honest relay's proofs unless others are given."""
    if consistency is None:
        consistency = past.consistency(pin.head_version, version) if pin is not None else []
    return accept_head(
        pin, keyring or chain()[0], past.heads[version - 1], peaks=past.peaks[version - 1] if peaks is None else peaks,
        consistency=consistency, cut_path=cut_path, limits=replace(LIMITS, head_step=head_step),
    )  # fmt: skip


def pinned(keyring: Keyring) -> Pin:
    return Pin(ACCOUNT, keyring.version, keyring.hash)


def follow(first: Keyring, cut: int, past: History, count: int) -> Keyring:
    """A keyring after `first` whose cut is head `cut` of `past`, and `count` heads under it."""
    keyring = signed(replace(with_device(), previous=first.hash, cut=Cut(cut, past.heads[cut - 1].hash)))
    for _ in range(count):
        past.add(keyring)
    return keyring


def test_a_pin_comes_back() -> None:
    past = history(5)
    full = accept(None, past, 5)
    full = accept_sequences(replace(full, sequence=9), {ANN: 9, BOB: 3}, device=ANN)
    for pin in (pinned(chain()[0]), accept(None, past, 1), full):
        assert Pin.parse(pin.encode()) == pin
    assert full.head_version == 5
    assert full.peaks == past.peaks[4]
    assert full.log() == (5, past.peaks[5])
    assert pinned(chain()[0]).log() == (0, ())


@pytest.mark.parametrize(
    ("field", "values"),
    [
        (1, [0]), (2, [b""]), (3, [0, None]), (4, [b""]), (5, [-1, 2**53]), (6, [None]), (7, [-1]),
        (8, [None, [b""], [bytes(32)] * 65]), (9, [-1, 2**32]), (10, [-1]), (11, [[], {b"": 1}, {bytes(16): -1}, None]),
        (12, [None]),
    ],
)  # fmt: skip
def test_another_shape_of_a_stored_pin_is_refused(field: int, values: list[Any]) -> None:
    fields = cbor.decode(accept(None, history(2), 2).encode())
    for value in values:
        assert refused(Pin.parse, cbor.encode({**fields, field: value})) is Failure.SCHEMA


# Keyrings


def test_a_device_without_a_pin_takes_a_whole_chain_and_one_with_a_pin_its_continuation() -> None:
    one, two, three = chain()
    assert accept_keyrings(None, None, chain(), account=ACCOUNT) == three
    for known, given in itertools.product((one, two), ((one, two, three), (two, three), (two,), ())):
        continuation = [keyring for keyring in given if keyring.version >= known.version]
        newest = given[-1] if given else known
        assert accept_keyrings(pinned(known), known, continuation, account=ACCOUNT) == newest
    assert accept_keyrings(pinned(one), one, (one, two, three), account=ACCOUNT) == three
    assert accept_keyrings(pinned(three), three, (three,), account=ACCOUNT) == three


@pytest.mark.spec("PIN-1")
def test_a_stored_keyring_that_is_not_the_pinned_one_is_a_fork() -> None:
    one, two, _ = chain()
    assert refused(accept_keyrings, pinned(two), one, chain(), account=ACCOUNT) is Failure.FORK
    assert (
        refused(accept_keyrings, replace(pinned(one), keyring_hash=bytes(32)), one, (), account=ACCOUNT) is Failure.FORK
    )


@pytest.mark.spec("PIN-2")
def test_another_keyring_under_a_known_version_is_a_fork() -> None:
    two = chain()[1]
    other = signed(replace(with_device(), time=1))
    assert refused(accept_keyrings, pinned(two), two, (other,), account=ACCOUNT) is Failure.FORK
    assert refused(accept_keyrings, pinned(two), two, (two, other), account=ACCOUNT) is Failure.FORK


@pytest.mark.spec("PIN-3")
def test_attack_036_an_older_keyring_is_a_rollback() -> None:
    one, two, three = chain()
    for known, served in (
        (two, (one,)),
        (three, (one,)),
        (three, (two,)),
        (three, (three, two)),
        (two, (two, three, one)),
    ):
        assert refused(accept_keyrings, pinned(known), known, served, account=ACCOUNT) is Failure.ROLLBACK


def test_a_gap_and_another_account_are_refused() -> None:
    one, _, three = chain()
    assert refused(accept_keyrings, pinned(one), one, (three,), account=ACCOUNT) is Failure.CHAIN
    assert refused(accept_keyrings, None, None, (one, three), account=ACCOUNT) is Failure.CHAIN
    assert refused(accept_keyrings, pinned(one), one, (), account=OTHER_ACCOUNT) is Failure.ACCOUNT


# Heads


def test_every_step_forward_is_accepted() -> None:
    past = history(12)
    for seen, version in itertools.combinations_with_replacement(range(1, 13), 2):
        pin = accept(accept(None, past, seen), past, version)
        assert pin == replace(accept(None, past, version))
        assert accept(pinned(chain()[0]), past, version, consistency=[]) == pin


@pytest.mark.spec("PIN-6")
def test_attack_036_every_step_back_is_a_rollback_whatever_proof_comes_with_it() -> None:
    past = history(9)
    for version, seen in itertools.combinations(range(1, 10), 2):
        pin = accept(None, past, seen)
        for proof in ([], past.consistency(version, seen)):
            assert refused(accept, pin, past, version, consistency=proof) is Failure.ROLLBACK


@pytest.mark.spec("PIN-7")
def test_another_head_under_the_pinned_version_is_a_fork() -> None:
    past, other = history(6), history(6, label="fork")
    for version in range(1, 7):
        pin = accept(None, past, version)
        assert refused(accept, pin, other, version) is Failure.FORK
        assert accept(pin, past, version) == pin


@pytest.mark.spec("PIN-7")
def test_a_head_made_twice_on_the_same_past_is_a_fork() -> None:
    past, twin = history(3), history(3)
    past.add(chain()[0])
    twin.add(chain()[0], time=1)
    assert refused(accept, accept(None, past, 4), twin, 4) is Failure.FORK


@pytest.mark.spec("PIN-8")
def test_attack_040_a_head_too_far_ahead_is_refused() -> None:
    past = history(9)
    pin = accept(None, past, 2)
    assert accept(pin, past, 5, head_step=3).head_version == 5
    for version in (6, 9):
        assert refused(accept, pin, past, version, head_step=3) is Failure.LIMIT
    # Where no head was seen, the newest is taken however long the history is.
    assert accept(pinned(chain()[0]), past, 9, head_step=3, consistency=[]).head_version == 9


@pytest.mark.spec("LOG-1")
def test_a_fork_is_found_at_every_later_version() -> None:
    for split, seen, served in itertools.product(range(5), range(1, 7), range(1, 9)):
        if not split < seen < served:
            continue
        past = history(seen)
        fork = history(split)
        while len(fork.heads) < served:
            fork.add(chain()[0], time=1)
        pin = accept(None, past, seen)
        for proof in (fork.consistency(seen, served), [], past.consistency(split, seen)):
            assert refused(accept, pin, fork, served, consistency=proof) is Failure.LOG


@pytest.mark.spec("LOG-1")
def test_a_wrong_proof_of_descent_is_refused() -> None:
    past = history(8)
    pin = accept(None, past, 3)
    good = past.consistency(3, 8)
    assert accept(pin, past, 8, consistency=good).head_version == 8
    for bad in ([], good[1:], good[:-1], good[::-1], [*good, bytes(32)], [bytes(32), *good[1:]]):
        assert refused(accept, pin, past, 8, consistency=bad) is Failure.LOG


@pytest.mark.spec("LOG-2")
def test_peaks_that_the_signed_root_does_not_have_are_refused() -> None:
    past = history(8)
    good = past.peaks[7]
    for bad in ((), good[1:], good[:-1], good[::-1], (*good, bytes(32)), past.peaks[6], past.peaks[8]):
        assert refused(accept, None, past, 8, peaks=bad) is Failure.LOG
    lying = history(3)
    lying.add(chain()[0], log_root=bytes(32))
    assert refused(accept, None, lying, 4) is Failure.LOG


def test_only_a_writer_of_the_keyring_moves_the_pin() -> None:
    past = history(2)
    past.add(chain()[0], "bob")
    assert refused(accept, None, past, 3) is Failure.SIGNER
    assert refused(accept, None, past, 2, chain()[1]) is Failure.KEYRING


def test_a_head_of_another_account_is_refused() -> None:
    past = history(1)
    stranger = replace(past.heads[0], account=OTHER_ACCOUNT)
    given: dict[str, Any] = {"peaks": (), "consistency": (), "cut_path": ()}
    assert refused(accept_head, None, chain()[0], stranger, **given) is Failure.ACCOUNT


@pytest.mark.spec("PIN-9")
def test_a_head_under_an_older_keyring_than_one_seen_is_a_rollback() -> None:
    past = history(3)
    keyring = follow(chain()[0], 3, past, 1)
    pin = accept(None, past, 4, keyring)
    assert pin.head_keyring == 2
    past.add(chain()[0])
    assert refused(accept, pin, past, 5, chain()[0]) is Failure.ROLLBACK


@pytest.mark.spec("PIN-10")
def test_a_head_in_an_older_epoch_than_one_seen_is_a_rollback() -> None:
    past = history(3)
    pin = accept(None, past, 2)
    assert accept(replace(pin, epoch=1), past, 3).epoch == 1
    assert refused(accept, replace(pin, epoch=2), past, 3) is Failure.ROLLBACK


# The cut


@pytest.mark.spec("PIN-11")
def test_a_head_before_the_cut_is_refused() -> None:
    past = history(5)
    for version in range(1, 8):
        keyring = signed(replace(with_device(), cut=Cut(version, random_bytes("cut"))))
        early = history(4)
        early.add(keyring)
        if version >= 5:
            assert refused(accept, None, early, 5, keyring) is Failure.CUT
            path = past.inclusion(min(version, 4), 5)
            assert refused(accept, None, early, 5, keyring, cut_path=path) is Failure.CUT


@pytest.mark.spec("PIN-12")
def test_a_cut_before_a_head_already_seen_is_refused() -> None:
    """A stolen root cuts off what this device has seen and puts another history in its place."""
    past = history(6)
    for seen, cut, count in itertools.product((2, 4, 6), range(1, 7), (1, 2)):
        pin = accept(None, past, seen)
        other = history(6)
        keyring = follow(chain()[0], cut, other, count)
        version = 6 + count
        path = other.inclusion(cut, version) if cut + 1 < version else []
        if cut >= seen:
            moved = accept(pin, other, version, keyring, cut_path=path)
            assert (moved.head_version, moved.head_keyring) == (version, 2)
            # Seen once under the new keyring, its old cut says nothing any more.
            assert accept(moved, other, version, keyring, cut_path=path) == moved
        else:
            assert refused(accept, pin, other, version, keyring, cut_path=path) is Failure.CUT


@pytest.mark.spec("KR-18")
def test_the_head_on_the_cut_stands_directly_on_it() -> None:
    past = history(4)
    lost = history(4, label="lost")
    keyring = signed(replace(with_device(), cut=Cut(4, lost.heads[3].hash)))
    past.add(keyring)
    assert refused(accept, None, past, 5, keyring) is Failure.CUT


@pytest.mark.spec("LOG-4")
def test_a_later_head_shows_that_the_cut_is_in_its_past() -> None:
    past = history(4)
    keyring = follow(chain()[0], 4, past, 5)
    good = past.inclusion(4, 9)
    assert accept(None, past, 9, keyring, cut_path=good).head_keyring == 2
    for bad in ([], good[1:], good[::-1], past.inclusion(3, 9)):
        assert refused(accept, None, past, 9, keyring, cut_path=bad) is Failure.LOG
    elsewhere = signed(replace(keyring, cut=Cut(4, bytes(32))))
    past.add(elsewhere)
    assert refused(accept, None, past, 10, elsewhere, cut_path=past.inclusion(4, 10)) is Failure.LOG


# Sequences


@pytest.mark.spec("PIN-4")
@pytest.mark.parametrize("served", [{}, {ANN: 5}, {ANN: 5, BOB: 2}, {ANN: 4, BOB: 3}, {BOB: 3}])
def test_sequences_never_fall(served: dict[bytes, int]) -> None:
    pin = replace(pinned(chain()[0]), sequence=5, sequences={ANN: 5, BOB: 3})
    assert refused(accept_sequences, pin, served, device=ANN) is Failure.ROLLBACK


def test_sequences_grow_and_new_devices_come() -> None:
    pin = replace(pinned(chain()[0]), sequence=9, sequences={ANN: 5, BOB: 3})
    for served in ({ANN: 5, BOB: 3}, {ANN: 9, BOB: 70}, {ANN: 6, BOB: 3, bytes(16): 1}):
        assert accept_sequences(pin, served, device=ANN).sequences == served


@pytest.mark.spec("PIN-5")
def test_a_sequence_of_ones_own_that_one_never_used_tells_of_a_clone() -> None:
    pin = replace(pinned(chain()[0]), sequence=5, sequences={ANN: 5})
    for own in (6, 7, 1000):
        assert refused(accept_sequences, pin, {ANN: own}, device=ANN) is Failure.CLONE
    assert accept_sequences(pin, {ANN: 5, BOB: 1000}, device=ANN).sequences == {ANN: 5, BOB: 1000}


def test_nothing_that_is_refused_moves_the_pin() -> None:
    past, fork = history(5), history(6, label="fork")
    pin = replace(accept(None, past, 3), sequence=1, sequences={BOB: 4})
    before = pin.encode()
    refusals: list[Callable[[], object]] = [
        lambda: accept(pin, past, 2, consistency=[]),
        lambda: accept(pin, fork, 3),
        lambda: accept(pin, fork, 6),
        lambda: accept(pin, past, 5, peaks=()),
        lambda: accept_sequences(pin, {ANN: 2, BOB: 5}, device=ANN),
        lambda: accept_keyrings(pin, chain()[0], [signed(replace(with_device(), previous=bytes(32)))], account=ACCOUNT),
    ]
    for refusal in refusals:
        refused(refusal)
        assert pin.encode() == before


def test_the_pinned_log_grows_with_the_head() -> None:
    past = history(8)
    heads: list[Head] = past.heads
    for version in range(1, 9):
        size, peaks = accept(None, past, version).log()
        assert size == version
        assert merkle.root_of(peaks) == merkle.tree_root([merkle.leaf_hash(head.hash) for head in heads[:version]])
