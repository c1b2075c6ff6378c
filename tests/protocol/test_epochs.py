"""Epochs: fresh randomness, one chain, wraps to the readers of the signed keyring (chapter 04)."""

from __future__ import annotations

import itertools
from dataclasses import replace

import pytest
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

from protocol.builders import (
    ACCOUNT,
    OTHER_ACCOUNT,
    chain,
    epoch_keys,
    epochs,
    first_keyring,
    person,
    random_bytes,
    refused,
    root,
    wraps_for,
)
from protocol.test_slots import hkdf
from strongroom_protocol.errors import Failure
from strongroom_protocol.keys.epochs import EpochKeys, chain_epochs, check_value, make_epoch, open_epochs, wrap_epoch
from strongroom_protocol.keys.hpke import wrap
from strongroom_protocol.keys.secrets import EpochSecret
from strongroom_protocol.manifest.keyring import Epoch, Keyring, recipient_id


def three_epochs() -> Keyring:
    """A keyring with epochs 1 to 3, wrapped to ann and the root."""
    made = epochs(3)
    wraps = wraps_for(made[2][0], 3, root(), [person("ann")])
    return replace(first_keyring(), epochs=tuple(epoch for _, epoch in made), wraps=wraps)


def info(number: int, account: bytes = ACCOUNT) -> bytes:
    return account + number.to_bytes(4, "big")


def test_epochs_are_derived_as_the_chapter_says() -> None:
    chaining, previous = bytes(32), None
    for number, (secret, epoch) in enumerate(epochs(3), 1):
        fresh = random_bytes(f"epoch {number}")
        value = hkdf(fresh + chaining, b"", b"strongroom/v1/epoch\0" + info(number), 32)
        assert secret.reveal() == value
        assert epoch.number == number
        assert epoch.check == hkdf(value, b"", b"strongroom/v1/epoch-check\0" + info(number), 32)
        if previous is None:
            assert epoch.sealed_previous is None
        else:
            key = hkdf(value, b"", b"strongroom/v1/epoch-previous\0" + info(number), 32)
            assert epoch.sealed_previous == ChaCha20Poly1305(key).encrypt(bytes(12), previous, None)
        chaining = hkdf(value, b"", b"strongroom/v1/epoch-chain\0" + ACCOUNT, 32)
        previous = value


def test_fresh_randomness_and_the_chain_both_make_an_epoch() -> None:
    first, second = epochs(2, "a")[0][0], epochs(2, "b")[0][0]
    made = {
        make_epoch(2, fresh, previous, account)[0].reveal()
        for fresh in (bytes(32), b"\x01" * 32)
        for previous in (first, second)
        for account in (ACCOUNT, OTHER_ACCOUNT)
    }
    assert len(made) == 8
    assert make_epoch(2, bytes(32), first, ACCOUNT)[0] == make_epoch(2, bytes(32), first, ACCOUNT)[0]


def test_keys_of_an_epoch_differ_by_purpose_epoch_and_account() -> None:
    keys = [
        key
        for number, account in itertools.product((1, 2), (ACCOUNT, OTHER_ACCOUNT))
        for key in (epoch_keys(number, account).object_root(), epoch_keys(number, account).salt_key())
    ]
    assert len(set(keys)) == 8
    secret = EpochSecret(bytes(32))
    assert EpochKeys(ACCOUNT, 1, secret).object_root() != EpochKeys(OTHER_ACCOUNT, 1, secret).object_root()
    assert EpochKeys(ACCOUNT, 1, secret).object_root() == hkdf(
        bytes(32), b"", b"strongroom/v1/object-root\0" + ACCOUNT, 32
    )
    assert EpochKeys(ACCOUNT, 1, secret).salt_key() == hkdf(bytes(32), b"", b"strongroom/v1/salt\0" + ACCOUNT, 32)


def test_every_reader_opens_all_epochs() -> None:
    keyring = three_epochs()
    for key in (person("ann").kem, root().kem):
        opened = open_epochs(keyring, key)
        assert sorted(opened) == [1, 2, 3]
        for number, (secret, _) in enumerate(epochs(3), 1):
            assert opened[number] == EpochKeys(ACCOUNT, number, secret)


def test_who_is_no_reader_opens_nothing() -> None:
    keyring = three_epochs()
    assert refused(open_epochs, keyring, person("eve").kem) is Failure.WRAP
    # The wrap of another reader under her name, as a relay could serve it if nobody checked the signature.
    stolen = keyring.wraps[recipient_id(person("ann").kem.public)]
    planted = replace(keyring, wraps={**keyring.wraps, recipient_id(person("eve").kem.public): stolen})
    assert refused(open_epochs, planted, person("eve").kem) is Failure.WRAP


def test_a_removed_device_does_not_open_the_next_epoch() -> None:
    _, two, three = chain()
    bob = person("bob", 2)
    known = open_epochs(two, bob.kem)
    assert sorted(known) == [1]
    assert refused(open_epochs, three, bob.kem) is Failure.WRAP
    assert refused(chain_epochs, three, known[1].secret) is Failure.EPOCH
    assert sorted(open_epochs(three, person("ann").kem)) == [1, 2]


def test_a_wrap_is_for_one_account_epoch_and_reader() -> None:
    keyring = three_epochs()
    ann, secret = person("ann").kem, epochs(3)[2][0]
    ident = recipient_id(ann.public)
    others = [
        wrap_epoch(secret, ann.public, account=OTHER_ACCOUNT, number=3),
        wrap_epoch(secret, ann.public, account=ACCOUNT, number=2),
        wrap_epoch(secret, root().kem.public, account=ACCOUNT, number=3),
        wrap(ann.public, secret.reveal(), info=b""),
        keyring.wraps[ident][:-1],
    ]
    for other in others:
        assert refused(open_epochs, replace(keyring, wraps={**keyring.wraps, ident: other}), ann) is Failure.WRAP


@pytest.mark.parametrize("content", [b"", bytes(31), bytes(33)])
def test_a_wrap_that_holds_something_else_is_refused(content: bytes) -> None:
    keyring, ann = three_epochs(), person("ann").kem
    ident = recipient_id(ann.public)
    said = b"strongroom/v1/epoch-wrap\x00" + info(3) + ident
    planted = replace(keyring, wraps={**keyring.wraps, ident: wrap(ann.public, content, info=said)})
    assert refused(open_epochs, planted, ann) is Failure.WRAP


@pytest.mark.spec("EPOCH-1")
def test_a_secret_other_than_the_signed_check_value_is_never_used() -> None:
    """Wrapped-key overwrite (pCloud, Sync, Nextcloud): anyone can wrap a secret of his own to a public key."""
    keyring = three_epochs()
    ann = person("ann").kem
    for secret in (EpochSecret(bytes(32)), epochs(3)[1][0], epochs(3, "other")[2][0]):
        own = wrap_epoch(secret, ann.public, account=ACCOUNT, number=3)
        planted = replace(keyring, wraps={**keyring.wraps, recipient_id(ann.public): own})
        assert refused(open_epochs, planted, ann) is Failure.EPOCH
        assert refused(chain_epochs, keyring, secret) is Failure.EPOCH


@pytest.mark.spec("EPOCH-1")
def test_every_epoch_down_the_chain_is_compared() -> None:
    keyring = three_epochs()
    for place in range(3):
        wrong = [*keyring.epochs]
        wrong[place] = replace(wrong[place], check=bytes(32))
        assert refused(chain_epochs, replace(keyring, epochs=tuple(wrong)), epochs(3)[2][0]) is Failure.EPOCH


@pytest.mark.spec("EPOCH-1")
def test_a_predecessor_that_opens_and_is_another_is_refused() -> None:
    """The author of an epoch seals something else than the epoch before: nobody reads under it."""
    newest, keyring = epochs(3)[2][0], three_epochs()
    key = hkdf(newest.reveal(), b"", b"strongroom/v1/epoch-previous\0" + info(3), 32)
    other = Epoch(3, keyring.epochs[2].check, ChaCha20Poly1305(key).encrypt(bytes(12), bytes(32), None))
    assert refused(chain_epochs, replace(keyring, epochs=(*keyring.epochs[:2], other)), newest) is Failure.EPOCH


@pytest.mark.spec("EPOCH-2")
def test_a_sealed_predecessor_that_does_not_open_is_refused() -> None:
    keyring, newest = three_epochs(), epochs(3)[2][0]
    good = keyring.epochs[2].sealed_previous
    assert good is not None
    damaged = [good[:place] + bytes((good[place] ^ 1,)) + good[place + 1 :] for place in range(48)]
    for sealed in [*damaged, keyring.epochs[1].sealed_previous, bytes(48)]:
        wrong = (*keyring.epochs[:2], replace(keyring.epochs[2], sealed_previous=sealed))
        assert refused(chain_epochs, replace(keyring, epochs=wrong), newest) is Failure.EPOCH


def test_check_values_commit_to_account_and_number() -> None:
    secret = EpochSecret(bytes(32))
    values = {check_value(secret, account, number) for account in (ACCOUNT, OTHER_ACCOUNT) for number in (1, 2, 256)}
    assert len(values) == 6
