"""Edwards25519 by its equations (RFC 8032 section 5.1), to make signatures that no signer makes. Slow; for tests."""

from __future__ import annotations

import hashlib

P = 2**255 - 19
ORDER = 2**252 + 27742317777372353535851937790883648493
_D = -121665 * pow(121666, -1, P) % P
_ROOT = pow(2, (P - 1) // 4, P)
Point = tuple[int, int]

IDENTITY: Point = (0, 1)


def add(one: Point, other: Point) -> Point:
    (a, b), (c, d) = one, other
    k = _D * a * b * c * d % P
    return (a * d + b * c) * pow(1 + k, -1, P) % P, (b * d + a * c) * pow(1 - k, -1, P) % P


def times(scalar: int, point: Point) -> Point:
    """In projective coordinates, as an inversion for each step would take ten times as long."""
    found, other = (0, 1, 1), (*point, 1)
    while scalar:
        if scalar & 1:
            found = _add(found, other)
        other, scalar = _add(other, other), scalar >> 1
    x, y, z = found
    inverse = pow(z, -1, P)
    return x * inverse % P, y * inverse % P


def _add(one: tuple[int, int, int], other: tuple[int, int, int]) -> tuple[int, int, int]:
    (a, b, z), (c, d, w) = one, other
    both = z * w % P
    square, k = both * both % P, _D * a * b % P * c % P * d % P
    low, high = square - k, square + k
    return both * low * (a * d + b * c) % P, both * high * (b * d + a * c) % P, low * high % P


def on_y(y: int, sign: int = 0) -> Point | None:
    """The point with this y, when there is one."""
    square = (y * y - 1) * pow(_D * y * y + 1, -1, P) % P
    x = pow(square, (P + 3) // 8, P)
    if x * x % P != square:
        x = x * _ROOT % P
    if x * x % P != square:
        return None
    return (P - x if x % 2 != sign and x else x), y % P


def encode(point: Point, *, over: int = 0) -> bytes:
    """32 bytes; `over` adds P so often to y, which gives other encodings of the same point where there is room."""
    x, y = point
    return (y + over * P + (x & 1) * 2**255).to_bytes(32, "little")


def _base() -> Point:
    found = on_y(4 * pow(5, -1, P) % P)
    assert found is not None
    return found


BASE = _base()


def small_order() -> list[Point]:
    """The eight points whose order divides 8."""
    for y in range(2, 100):
        point = on_y(y)
        if point is not None:
            torsion = times(ORDER, point)
            if times(4, torsion) != IDENTITY:
                return [times(n, torsion) for n in range(8)]
    raise AssertionError


def challenge(r: bytes, key: bytes, message: bytes) -> int:
    return int.from_bytes(hashlib.sha512(r + key + message).digest(), "little") % ORDER
