"""Attack 026: Ed25519 at its edges. Every verdict of the one verifier, written down (SIG-1).

Each signature here satisfies S·B = R + h·A in the sense that its test says, so a verifier that only looks at the
equation takes it. The verdicts follow from the rule of chapter 03.1, not from the code.
"""

from __future__ import annotations

import pytest

from adversary.curve import BASE, IDENTITY, ORDER, P, Point, add, challenge, encode, small_order, times
from strongroom_protocol.errors import Failure, UntrustedDataError
from strongroom_protocol.wire.cose import check

SECRET, NONCE = 0x1234567890ABCDEF << 180 | 7, 0xFEDCBA0987654321 << 150 | 11
KEY = times(SECRET, BASE)
TORSION = small_order()
EIGHT = TORSION[1]
"""A point of order exactly 8."""


def accepted(key: bytes, message: bytes, signature: bytes) -> bool:
    try:
        check(key, message, signature, subject="vector")
    except UntrustedDataError as error:
        return error.failure is not Failure.SIGNATURE  # another failure would be a wrong verdict, too
    return True


def signed(message: bytes, *, key: Point = KEY, key_bytes: bytes = b"", r: Point | None = None, r_bytes: bytes = b"",
           nonce: int = NONCE, secret: int = SECRET) -> tuple[bytes, bytes]:  # fmt: skip
    """(key, R ‖ S) with S = nonce + h·secret, whatever stands for key and R."""
    key_bytes = key_bytes or encode(key)
    r_bytes = r_bytes or encode(times(nonce, BASE) if r is None else r)
    s = (nonce + challenge(r_bytes, key_bytes, message) * secret) % ORDER
    return key_bytes, r_bytes + s.to_bytes(32, "little")


@pytest.mark.spec("SIG-1")
def test_attack_026_what_a_signer_makes_is_accepted() -> None:
    """The control: the arithmetic here and the verifier agree on ordinary signatures."""
    for n in range(8):
        key, signature = signed(b"%d" % n, nonce=NONCE + n)
        assert accepted(key, b"%d" % n, signature)
        assert not accepted(key, b"%d!" % n, signature)


@pytest.mark.spec("SIG-1")
def test_attack_026_every_other_form_of_the_scalar_is_refused() -> None:
    key, signature = signed(b"m")
    s = int.from_bytes(signature[32:], "little")
    others = [s + n * ORDER for n in range(1, 16) if s + n * ORDER < 2**256] + [s | 2**bit for bit in (253, 254, 255)]
    assert len(others) > 15
    for other in others:
        assert not accepted(key, b"m", signature[:32] + other.to_bytes(32, "little"))


def _encodings(point: Point) -> list[bytes]:
    """All 32-byte strings that a careless decoder takes for the point."""
    x, y = point
    found = [encode(point, over=over) for over in range(2) if y + over * P < 2**255]
    if x == 0:
        found += [(int.from_bytes(data, "little") | 2**255).to_bytes(32, "little") for data in found]
    return found


SMALL = [data for point in TORSION for data in _encodings(point)]


def test_the_encodings_of_small_order() -> None:
    """Eight points; y of 0 and 1 have a second encoding, x of 0 a second sign."""
    assert len(set(TORSION)) == 8
    assert len(set(SMALL)) == 14


@pytest.mark.spec("SIG-1")
@pytest.mark.parametrize("key", SMALL, ids=bytes.hex)
def test_attack_026_a_key_of_small_order_signs_nothing(key: bytes) -> None:
    """For such a key anybody makes signatures: h·A is one of eight points, and some messages give the identity."""
    point = next(point for point in TORSION if key in _encodings(point))
    tried = 0
    for n in range(64):
        message = b"%d" % n
        key_bytes, signature = signed(message, key_bytes=key, secret=0)
        if times(challenge(signature[:32], key_bytes, message) % 8, point) == IDENTITY:
            tried += 1
            assert not accepted(key_bytes, message, signature)
    assert tried


@pytest.mark.spec("SIG-1")
@pytest.mark.parametrize("r", SMALL, ids=bytes.hex)
def test_attack_026_an_r_of_small_order_is_refused(r: bytes) -> None:
    """Of an honest key, with a nonce of 0; it fits where R is the identity."""
    assert not accepted(*_with_message(signed(b"m", r_bytes=r, nonce=0), b"m"))


def _with_message(made: tuple[bytes, bytes], message: bytes) -> tuple[bytes, bytes, bytes]:
    return made[0], message, made[1]


@pytest.mark.spec("SIG-1")
def test_attack_026_torsion_in_r_is_refused() -> None:
    """R + T fits when both sides are multiplied by 8: verifiers must not differ about such a signature."""
    for torsion in TORSION[1:]:
        key, signature = signed(b"m", r=add(times(NONCE, BASE), torsion))
        assert not accepted(key, b"m", signature)


@pytest.mark.spec("SIG-1")
def test_attack_026_a_key_with_torsion_is_taken_where_the_plain_equation_holds() -> None:
    """A + T, made by who holds a: accepted when h·T is the identity and refused otherwise, as by the equation without
    a cofactor. It gives nobody a signature of somebody else's key; the bytes of the key are in what is signed."""
    key = add(KEY, EIGHT)
    verdicts = {True: 0, False: 0}
    for n in range(64):
        message = b"%d" % n
        key_bytes, signature = signed(message, key=key, nonce=NONCE + n)
        plain = challenge(signature[:32], key_bytes, message) % 8 == 0
        assert accepted(key_bytes, message, signature) is plain
        verdicts[plain] += 1
        assert not accepted(encode(KEY), message, signature)
    assert min(verdicts.values()) > 0
