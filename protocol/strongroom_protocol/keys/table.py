"""The key table: every derived key, its label, inputs and length (spec chapter 03, same names).

key = HKDF-SHA-256(ikm, salt, info = "strongroom/v1/" || label || 0x00 || context, length)   (RFC 5869)
"""

from __future__ import annotations

from enum import Enum

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.kdf.hkdf import HKDF


class Key(Enum):
    """(label, length in bytes). The docstring column of the spec's table says what each is for."""

    UNLOCK_FROM_CODE = ("unlock-from-code", 32)  # ikm recovery code, context account name, salt login salt
    UNLOCK_FROM_BOTH = ("unlock-from-both", 32)  # ikm stretched passphrase || recovery code, same context
    UNLOCK_SIGN = ("unlock-sign", 32)  # ikm unlock secret: Ed25519 seed that admits at the relay
    SLOT_KEM = ("slot-kem", 96)  # ikm unlock secret: key pair that the root record is sealed to
    SLOT_ACCOUNT = ("slot-account", 32)  # ikm unlock secret, context account: binds a slot to its account
    ROOT_SIGN = ("root-sign", 32)  # ikm root secret: Ed25519 seed that signs keyrings
    ROOT_KEM = ("root-kem", 96)  # ikm root secret: key pair that every epoch is sealed to
    EPOCH = ("epoch", 32)  # ikm fresh randomness || previous epoch's chaining key
    EPOCH_CHAIN = ("epoch-chain", 32)  # ikm epoch secret: goes into the next epoch
    EPOCH_CHECK = ("epoch-check", 32)  # ikm epoch secret: public value that commits to it
    EPOCH_PREVIOUS = ("epoch-previous", 32)  # ikm epoch secret: seals the predecessor
    OBJECT_ROOT = ("object-root", 32)  # ikm epoch secret: parent of all object keys of the epoch
    SALT = ("salt", 32)  # ikm epoch secret: HMAC key that hedges object salts
    DEDUP = ("dedup", 32)  # ikm epoch secret: HMAC key of the salts of media parts
    LINK_PASSWORD = ("link-password", 64)  # ikm secret of a link code, context mailbox: reduced to SPAKE2's w
    LINK_OLD = ("link-old", 32)  # ikm Ke || KEM secret: seals what the old device says while linking
    LINK_NEW = ("link-new", 32)  # the same for the new device
    OBJECT = ("object", 64)  # ikm object root, salt object salt, context SHA-256(associated data): key || commitment


def derive(key: Key, ikm: bytes, *, salt: bytes = b"", context: bytes = b"") -> bytes:
    """The key of the table's row `key`."""
    label, length = key.value
    info = b"strongroom/v1/" + label.encode() + b"\x00" + context  # spec: KEY-1
    return HKDF(algorithm=hashes.SHA256(), length=length, salt=salt or None, info=info).derive(ikm)
