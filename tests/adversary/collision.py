"""One ciphertext that opens under many keys: what an AEAD does not promise to prevent.

ChaCha20-Poly1305 (RFC 8439) authenticates with a polynomial over 2^130 - 5 whose key comes from the AEAD key. A tag
that fits k keys at once is k linear equations for k blocks of ciphertext; each solution must fit in 16 bytes, which one
in four does, so a few tries a key give one (Len, Grubbs, Ristenpart: Partitioning Oracle Attacks, 2021).
"""

from __future__ import annotations

import hashlib
import hmac
import random
from collections.abc import Sequence

from cryptography.hazmat.primitives.asymmetric.mlkem import MLKEM768PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms

KeyAndNonce = tuple[bytes, bytes]

ENC_BYTES = 1120
_P = 2**130 - 5
_BLOCK = 2**128


def colliding(keys: Sequence[KeyAndNonce], *, seed: int = 1) -> bytes:
    """Ciphertext and tag that open under every one of `keys`, whatever comes out. No associated data."""
    drawn = random.Random(seed)
    count, pairs = len(keys), [_one_time(key, nonce) for key, nonce in keys]
    lengths = _BLOCK + int.from_bytes(bytes(8) + (16 * (count + 1)).to_bytes(8, "little"), "little")
    inverse = _inverse([[pow(r, count + 2 - i, _P) for i in range(count)] for r, _ in pairs])
    while True:
        tag, last = drawn.randbytes(16), drawn.randbytes(16)
        free, wanted = _BLOCK + int.from_bytes(last, "little"), int.from_bytes(tag, "little")
        right = [((wanted - s) % _BLOCK - free * r * r - lengths * r) % _P for r, s in pairs]
        blocks = [sum(a * b for a, b in zip(row, right, strict=True)) % _P for row in inverse]
        if all(block >> 128 == 1 for block in blocks):
            return b"".join((block - _BLOCK).to_bytes(16, "little") for block in blocks) + last + tag


def hpke_key(seed: bytes, enc: bytes, info: bytes) -> KeyAndNonce:
    """AEAD key and nonce of the one sealing that HPKE (chapter 03.2) makes from `enc` for the recipient of `seed`."""
    one, two = enc[:1088], enc[1088:]
    x25519 = X25519PrivateKey.from_private_bytes(seed[64:])
    shared = hashlib.sha3_256(
        MLKEM768PrivateKey.from_seed_bytes(seed[:64]).decapsulate(one)
        + x25519.exchange(X25519PublicKey.from_public_bytes(two))
        + two + x25519.public_key().public_bytes_raw() + rb"\./" + rb"/^" + b"\\"
    ).digest()  # fmt: skip
    suite = b"HPKE" + bytes.fromhex("647a00010003")

    def extract(name: bytes, ikm: bytes, salt: bytes = bytes(32)) -> bytes:
        return hmac.digest(salt, b"HPKE-v1" + suite + name + ikm, "sha256")

    context = b"\0" + extract(b"psk_id_hash", b"") + extract(b"info_hash", info)
    secret = extract(b"secret", b"", shared)
    key, nonce = (
        hmac.digest(secret, length.to_bytes(2, "big") + b"HPKE-v1" + suite + name + context + b"\1", "sha256")[:length]
        for name, length in ((b"key", 32), (b"base_nonce", 12))
    )
    return key, nonce


def _one_time(key: bytes, nonce: bytes) -> tuple[int, int]:
    """Poly1305's r and s: the first 32 bytes of the key stream (RFC 8439 section 2.6)."""
    stream = Cipher(algorithms.ChaCha20(key, bytes(4) + nonce), mode=None).encryptor().update(bytes(32))
    clamped = int.from_bytes(stream[:16], "little") & 0x0FFFFFFC0FFFFFFC0FFFFFFC0FFFFFFF
    return clamped, int.from_bytes(stream[16:], "little")


def _inverse(matrix: list[list[int]]) -> list[list[int]]:
    size = len(matrix)
    rows = [row[:] + [int(i == j) for j in range(size)] for i, row in enumerate(matrix)]
    for column in range(size):
        pivot = next(row for row in range(column, size) if rows[row][column])
        rows[column], rows[pivot] = rows[pivot], rows[column]
        factor = pow(rows[column][column], -1, _P)
        rows[column] = [value * factor % _P for value in rows[column]]
        for row in range(size):
            if row != column:
                factor = rows[row][column]
                rows[row] = [(x - factor * y) % _P for x, y in zip(rows[row], rows[column], strict=True)]
    return [row[size:] for row in rows]
