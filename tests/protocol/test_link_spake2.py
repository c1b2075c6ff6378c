"""SPAKE2 against RFC 9382: its points, its key schedule, and that both sides agree or fail together (chapter 15.2)."""

from __future__ import annotations

import hashlib
import os

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from nacl.bindings import crypto_core_ed25519_is_valid_point

from strongroom_protocol.errors import Failure, UntrustedDataError
from strongroom_protocol.link import spake2
from vectors.link_area import SMALL

# RFC 9382 appendix B, first vector: P256-SHA256-HKDF-HMAC, A = server, B = client. The schedule is the same
# in any group.
W = "2ee57912099d31560b3a44b1184b9b4866e904c49d12ac5042c97dca461b1a5f"
PA = (
    "04a56fa807caaa53a4d28dbb9853b9815c61a411118a6fe516a8798434751470f9"
    "010153ac33d0d5f2047ffdb1a3e42c9b4e6be662766e1eeb4116988ede5f912c"
)
PB = (
    "0406557e482bd03097ad0cbaa5df82115460d951e3451962f1eaf4367a420676d0"
    "9857ccbc522686c83d1852abfa8ed6e4a1155cf8f1543ceca528afb591a1e0b7"
)
K = (
    "0412af7e89717850671913e6b469ace67bd90a4df8ce45c2af19010175e37eed69"
    "f75897996d539356e2fa6a406d528501f907e04d97515fbe83db277b715d3325"
)
KE = "0e0672dc86f8e45565d338b0540abe69"
OF_A = "58ad4aa88e0b60d5061eb6b5dd93e80d9c4f00d127c65b3b35b1b5281fee38f0"
OF_B = "d3e2e547f1ae04f2dbdbf0fc4b79f8ecff2dff314b5d32fe9fcef2fb26dc459b"

NAMES = (b"old", b"new")


def scalar() -> bytes:
    return spake2.scalar_of(os.urandom(64))


def both(w_a: bytes, w_b: bytes, bound: tuple[bytes, bytes] = (b"", b"")) -> tuple[spake2.Agreed, spake2.Agreed]:
    x, y = scalar(), scalar()
    a, b = spake2.share_of_a(x, w_a), spake2.share_of_b(y, w_b)
    return (
        spake2.agree_as_a(x, w_a, share_a=a, share_b=b, identities=NAMES, bound=bound[0]),
        spake2.agree_as_b(y, w_b, share_a=a, share_b=b, identities=NAMES, bound=bound[1]),
    )


@pytest.mark.parametrize(("point", "name"), [(spake2.M, "M"), (spake2.N, "N")])
def test_m_and_n_are_the_first_points_of_their_seeds(point: bytes, name: str) -> None:
    data = f"edwards25519 point generation seed ({name})".encode()
    data = hashlib.sha256(data).digest()
    while not crypto_core_ed25519_is_valid_point(data):
        data = hashlib.sha256(data).digest()
    assert data == point


def test_the_key_schedule_is_the_rfcs() -> None:
    found = spake2._schedule(
        bytes.fromhex(K), bytes.fromhex(W)[::-1], bytes.fromhex(PA), bytes.fromhex(PB), (b"server", b"client"), b""
    )
    assert (found.key.hex(), found.of_a.hex(), found.of_b.hex()) == (KE, OF_A, OF_B)


def test_one_password_gives_one_key_and_two_give_two() -> None:
    w = scalar()
    a, b = both(w, w)
    assert (a.key, a.of_a, a.of_b) == (b.key, b.of_a, b.of_b)
    assert a.of_a != a.of_b
    c, d = both(w, scalar())
    assert c.key != d.key
    assert c.of_a != d.of_a
    assert c.of_b != d.of_b


def test_what_is_bound_is_confirmed() -> None:
    w = scalar()
    a, b = both(w, w, (b"one", b"two"))
    assert a.key == b.key
    assert a.of_a != b.of_a
    assert a.of_b != b.of_b


@pytest.mark.spec("LINK-1")
@pytest.mark.parametrize("share", [bytes.fromhex(point) for point in SMALL], ids=str)
def test_attack_029_low_order_points_are_refused_by_both_sides(share: bytes) -> None:
    """With one of these the key would be a small set of values, whatever the code is."""
    w, x = scalar(), scalar()
    for agree, shares in (
        (spake2.agree_as_a, {"share_a": spake2.share_of_a(x, w), "share_b": share}),
        (spake2.agree_as_b, {"share_a": share, "share_b": spake2.share_of_b(x, w)}),
    ):
        with pytest.raises(UntrustedDataError) as caught:
            agree(x, w, identities=NAMES, bound=b"", **shares)
        assert caught.value.failure is Failure.LINK


@given(st.binary(min_size=32, max_size=32))
@settings(max_examples=200, deadline=None)
def test_attack_029_any_bytes_are_a_good_share_or_refused(share: bytes) -> None:
    w, x = scalar(), scalar()
    mine = spake2.share_of_a(x, w)
    if crypto_core_ed25519_is_valid_point(share):
        spake2.agree_as_a(x, w, share_a=mine, share_b=share, identities=NAMES, bound=b"")
        return
    with pytest.raises(UntrustedDataError) as caught:
        spake2.agree_as_a(x, w, share_a=mine, share_b=share, identities=NAMES, bound=b"")
    assert caught.value.failure is Failure.LINK
