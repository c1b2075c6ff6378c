"""Wraps: HPKE base mode with the hybrid KEM, one recipient and one purpose each (chapter 03)."""

from __future__ import annotations

import pytest
from cryptography.hazmat.primitives.asymmetric.mlkem import MLKEM768PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from protocol.builders import person, random_bytes, refused
from strongroom_protocol.errors import Failure
from strongroom_protocol.keys.hpke import KemKey, wrap
from strongroom_protocol.keys.secrets import KemSeed

KEY, OTHER = person("ann").kem, person("bob").kem
INFO = b"what it is for"


def test_wraps_come_back() -> None:
    for plaintext in (b"", b"x", bytes(32), bytes(300)):
        sealed = wrap(KEY.public, plaintext, info=INFO)
        assert len(sealed) == 1088 + 32 + len(plaintext) + 16
        assert KEY.open(sealed, info=INFO, subject="x") == plaintext


def test_a_public_key_is_made_of_both_halves_of_the_seed() -> None:
    seed = random_bytes("ann kem", 96)
    mlkem = MLKEM768PrivateKey.from_seed_bytes(seed[:64]).public_key().public_bytes_raw()
    x25519 = X25519PrivateKey.from_private_bytes(seed[64:]).public_key().public_bytes_raw()
    assert KEY.public == mlkem + x25519 == KemKey(KemSeed(seed)).public
    assert len(KEY.public) == 1216


def test_two_wraps_of_one_secret_have_nothing_in_common() -> None:
    one, two = (wrap(KEY.public, bytes(32), info=INFO) for _ in range(2))
    assert one[:1120] != two[:1120]
    assert one[1120:] != two[1120:]


def test_another_recipient_or_purpose_does_not_open_it() -> None:
    sealed = wrap(KEY.public, b"secret", info=INFO)
    assert refused(OTHER.open, sealed, info=INFO, subject="x") is Failure.WRAP
    for info in (b"", INFO + b"!", INFO[:-1]):
        assert refused(KEY.open, sealed, info=info, subject="x") is Failure.WRAP


def test_one_half_of_the_key_opens_nothing() -> None:
    seed, other = random_bytes("ann kem", 96), random_bytes("bob kem", 96)
    sealed = wrap(KEY.public, b"secret", info=INFO)
    for mixed in (seed[:64] + other[64:], other[:64] + seed[64:]):
        assert refused(KemKey(KemSeed(mixed)).open, sealed, info=INFO, subject="x") is Failure.WRAP


def test_every_damaged_byte_and_every_cut_is_found() -> None:
    sealed = wrap(KEY.public, b"secret", info=INFO)
    for place in range(len(sealed)):
        bad = sealed[:place] + bytes((sealed[place] ^ 1 << place % 8,)) + sealed[place + 1 :]
        # X25519 ignores the last bit of a point, but the KEM's combiner hashes the bytes as they came.
        assert refused(KEY.open, bad, info=INFO, subject="x") is Failure.WRAP, place
    for length in range(len(sealed)):
        assert refused(KEY.open, sealed[:length], info=INFO, subject="x") is Failure.WRAP
    assert refused(KEY.open, sealed + b"\0", info=INFO, subject="x") is Failure.WRAP


@pytest.mark.parametrize("public", [b"", bytes(32), bytes(1184), bytes(1215), bytes(1217), b"\xff" * 1216])
def test_what_is_no_public_key_is_refused(public: bytes) -> None:
    assert refused(wrap, public, b"secret", info=INFO) is Failure.WRAP


def test_attack_029_a_point_that_makes_the_shared_secret_zero_is_refused() -> None:
    public = KEY.public[:1184] + bytes(32)
    assert refused(wrap, public, b"secret", info=INFO) is Failure.WRAP
