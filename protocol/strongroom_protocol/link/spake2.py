"""SPAKE2 (RFC 9382) with edwards25519, SHA-256, HKDF and HMAC, over libsodium's group operations (spec chapter 15).

Party A is the old device, B the new one. A transcript of an exchange, and being one side of it, give one guess at the
password and nothing to guess with afterwards.
"""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import dataclass

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from nacl.bindings import (
    crypto_core_ed25519_add,
    crypto_core_ed25519_is_valid_point,
    crypto_core_ed25519_scalar_mul,
    crypto_core_ed25519_scalar_reduce,
    crypto_core_ed25519_sub,
    crypto_scalarmult_ed25519_base_noclamp,
    crypto_scalarmult_ed25519_noclamp,
)

from strongroom_protocol.errors import Failure, UntrustedDataError

# RFC 9382 section 6. Nobody knows a relation between the two: each is the first point that iterated hashing of a fixed
# text arrives at, which a test does again.
M = bytes.fromhex("d048032c6ea0b6d697ddc2e86bda85a33adac920f1bf18e1b0c6d166a5cecdaf")
N = bytes.fromhex("d3bfb518f44f3430f29d0c92af503865a1ed3281dc69b35dd868ba85f886c4ab")

_COFACTOR = bytes([8]) + bytes(31)
_HALF = 16


@dataclass(frozen=True, slots=True, repr=False)
class Agreed:
    """What both sides have when they used the same password: `key` (Ke, 16 bytes) and the two confirmations."""

    key: bytes
    of_a: bytes
    of_b: bytes


def scalar_of(uniform: bytes) -> bytes:
    """A scalar (32 bytes, little-endian) from 64 uniform bytes, reduced by the group's order."""
    return crypto_core_ed25519_scalar_reduce(uniform)


def share_of_a(scalar: bytes, password: bytes) -> bytes:
    """pA = x*P + w*M."""
    return _share(scalar, password, M)


def share_of_b(scalar: bytes, password: bytes) -> bytes:
    """pB = y*P + w*N."""
    return _share(scalar, password, N)


def agree_as_a(
    scalar: bytes, password: bytes, *, share_a: bytes, share_b: bytes, identities: tuple[bytes, bytes], bound: bytes
) -> Agreed:
    """A's end: its scalar and share, and B's share. Raises UntrustedDataError(LINK) for a share that is no point."""
    return _schedule(_key(scalar, password, share_b, N), password, share_a, share_b, identities, bound)


def agree_as_b(
    scalar: bytes, password: bytes, *, share_a: bytes, share_b: bytes, identities: tuple[bytes, bytes], bound: bytes
) -> Agreed:
    """B's end, likewise. `bound` is what both confirm beside the transcript (the RFC's AAD)."""
    return _schedule(_key(scalar, password, share_a, M), password, share_a, share_b, identities, bound)


def confirms(given: bytes, expected: bytes) -> bool:
    """Whether a confirmation is the expected one, in constant time."""
    return hmac.compare_digest(given, expected)


def _share(scalar: bytes, password: bytes, base: bytes) -> bytes:
    return crypto_core_ed25519_add(
        crypto_scalarmult_ed25519_base_noclamp(scalar), crypto_scalarmult_ed25519_noclamp(password, base)
    )


def _key(scalar: bytes, password: bytes, share: bytes, base: bytes) -> bytes:
    """h * scalar * (share - w * base)."""
    # libsodium's check: canonical, on the curve, of the prime-order subgroup, not of small order. A share that passes
    # is x*P + w*base for some x, whatever w is, so it says nothing about w and cannot fix the key.
    if not crypto_core_ed25519_is_valid_point(share):  # spec: LINK-1
        raise _refused()
    unblinded = crypto_core_ed25519_sub(share, crypto_scalarmult_ed25519_noclamp(password, base))
    try:
        return crypto_scalarmult_ed25519_noclamp(crypto_core_ed25519_scalar_mul(scalar, _COFACTOR), unblinded)
    except RuntimeError as error:  # the share was w*base: the key would be the neutral element, known to everybody
        raise _refused() from error


def _schedule(
    key: bytes, password: bytes, share_a: bytes, share_b: bytes, identities: tuple[bytes, bytes], bound: bytes
) -> Agreed:
    # RFC 9382 sections 3.3 and 4: w as a big-endian number, Ke || Ka = Hash(TT).
    parts = (*identities, share_a, share_b, key, password[::-1])
    transcript = b"".join(len(part).to_bytes(8, "little") + part for part in parts)
    digest = hashlib.sha256(transcript).digest()
    info = b"ConfirmationKeys" + bound
    keys = HKDF(algorithm=hashes.SHA256(), length=2 * _HALF, salt=None, info=info).derive(digest[_HALF:])
    return Agreed(
        digest[:_HALF],
        hmac.digest(keys[:_HALF], transcript, "sha256"),
        hmac.digest(keys[_HALF:], transcript, "sha256"),
    )


def _refused() -> UntrustedDataError:
    return UntrustedDataError(Failure.LINK, "not a usable share", subject="link", hint=HINT)


HINT = "somebody is between the two devices, or a device is broken: start again with a new code"
