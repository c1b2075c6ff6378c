"""Signatures: COSE_Sign1 (RFC 9052) with Ed25519 (RFC 8032, RFC 9864) in one fixed profile (spec chapter 03).

The signed bytes name the signer's whole public key and a context, so a signature made for one purpose or by one
key is worthless for another (protocol confusion, key substitution).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

from nacl.bindings import crypto_sign_open
from nacl.exceptions import BadSignatureError, CryptoError

from strongroom_protocol.errors import Failure, UntrustedDataError
from strongroom_protocol.limits import LIMITS, Limits
from strongroom_protocol.wire import cbor
from strongroom_protocol.wire.parse import array, blob, fixed

ALG_ED25519 = -19


class Context(StrEnum):
    """What a signature is for; part of the signed bytes."""

    KEYRING = "keyring"
    ROOT_HANDOVER = "root-handover"
    HEAD = "head"
    RECEIPT = "receipt"
    BATCH = "batch"
    UNLOCK = "unlock"
    BLOCK = "block"
    WITNESS = "witness"


Signer = Callable[[bytes], bytes]
"""Signs a message with Ed25519 and returns the 64-byte signature."""


@dataclass(frozen=True, slots=True)
class Signed:
    """A verified COSE_Sign1: the payload bytes exactly as signed, and the key that signed."""

    payload: bytes
    key: bytes


def sign(context: Context, payload: bytes, key: bytes, signer: Signer) -> bytes:
    """COSE_Sign1 bytes over `payload`; `key` is the signer's 32-byte public key."""
    protected = _protected(key)
    signature = signer(_sig_structure(context, protected, payload))
    return cbor.encode([protected, {}, payload, signature])


def verify(context: Context, message: bytes, *, maximum: int, limits: Limits = LIMITS) -> Signed:
    """Check form and signature; the caller checks that `key` is allowed to sign.

    Raises UntrustedDataError: LIMIT, ENCODING, SCHEMA or SIGNATURE. Nothing of the payload is decoded here.
    """
    subject = str(context)
    if len(message) > maximum:
        raise UntrustedDataError(Failure.LIMIT, "longer than the limit", subject=subject)
    parts = array(cbor.decode(message, limits=limits, subject=subject), subject, minimum=4, maximum=4)
    protected = blob(parts[0], 128, subject)
    key = fixed(_kid(protected, subject), 32, subject)
    if parts[1] != {}:  # spec: SIG-3
        raise UntrustedDataError(Failure.SCHEMA, "unprotected header fields", subject=subject)
    payload = blob(parts[2], maximum, subject)
    signature = fixed(parts[3], 64, subject)
    check(key, _sig_structure(context, protected, payload), signature, subject=subject)
    return Signed(payload, key)


def check(key: bytes, message: bytes, signature: bytes, *, subject: str) -> None:
    """One strict Ed25519 check (canonical S, no small-order keys: what libsodium does)."""
    if len(key) != 32 or len(signature) != 64:  # callers have checked it; libsodium reads what it is told to
        raise UntrustedDataError(Failure.SIGNATURE, "not a key and a signature", subject=subject)
    try:
        crypto_sign_open(signature + message, key)  # spec: SIG-1
    except (BadSignatureError, CryptoError, ValueError) as error:
        raise UntrustedDataError(Failure.SIGNATURE, "signature does not verify", subject=subject) from error


def detached(context: Context, payload: bytes, key: bytes) -> bytes:
    """The bytes that a signature kept apart from its payload covers (batches)."""
    return _sig_structure(context, _protected(key), payload)


def _protected(key: bytes) -> bytes:
    return cbor.encode({1: ALG_ED25519, 4: key})


def _sig_structure(context: Context, protected: bytes, payload: bytes) -> bytes:
    return cbor.encode(["Signature1", protected, b"strongroom/v1/" + context.encode(), payload])


def _kid(protected: bytes, subject: str) -> object:
    header = cbor.decode(protected, subject=subject)
    if type(header) is not dict or set(header) != {1, 4} or header[1] != ALG_ED25519:  # spec: SIG-2
        raise UntrustedDataError(Failure.SCHEMA, "signature header is not the fixed profile", subject=subject)
    return header[4]
