"""Primitives of the specification, from the standard library and `cryptography`, combined here once more."""

from __future__ import annotations

import hashlib
import hmac
import unicodedata
from typing import Any

from cryptography.exceptions import InvalidSignature, InvalidTag
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.mlkem import MLKEM768PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from plain import Bad, Cddl, decode, encode

P = 2**255 - 19
L = 2**252 + 27742317777372353535851937790883648493
D = -121665 * pow(121666, -1, P) % P

LENGTHS = {
    "unlock-from-code": 32, "unlock-from-both": 32, "unlock-sign": 32, "slot-kem": 96, "slot-account": 32,
    "root-sign": 32,
    "root-kem": 96, "epoch": 32, "epoch-chain": 32, "epoch-check": 32, "epoch-previous": 32, "object-root": 32,
    "salt": 32, "dedup": 32, "object": 64,
    "link-password": 64, "link-old": 32, "link-new": 32,
}  # fmt: skip


def sha(*parts: bytes) -> bytes:
    return hashlib.sha256(b"".join(parts)).digest()


def hkdf(ikm: bytes, salt: bytes, info: bytes, length: int) -> bytes:
    return _expand(hmac.digest(salt or bytes(32), ikm, "sha256"), info, length)


def _expand(key: bytes, info: bytes, length: int) -> bytes:
    out = block = b""
    while len(out) < length:
        block = hmac.digest(key, block + info + bytes((len(out) // 32 + 1,)), "sha256")
        out += block
    return out[:length]


def derive(label: str, ikm: bytes, salt: bytes = b"", context: bytes = b"") -> bytes:
    return hkdf(ikm, salt, b"strongroom/v1/" + label.encode() + b"\0" + context, LENGTHS[label])


def unseal(key: bytes, nonce: bytes, sealed: bytes, kind: str) -> bytes:
    try:
        return ChaCha20Poly1305(key).decrypt(nonce, sealed, None)
    except InvalidTag:
        raise Bad(kind) from None


# ---------------------------------------------------------------- Ed25519


def public(seed: bytes) -> bytes:
    return Ed25519PrivateKey.from_private_bytes(seed).public_key().public_bytes_raw()


def sign(seed: bytes, message: bytes) -> bytes:
    return Ed25519PrivateKey.from_private_bytes(seed).sign(message)


def check_signature(key: bytes, message: bytes, signature: bytes) -> None:
    """Strict: canonical scalar, canonical points of large order."""
    if int.from_bytes(signature[32:], "little") >= L or _small(key) or _small(signature[:32]):
        raise Bad("signature")
    try:
        Ed25519PublicKey.from_public_bytes(key).verify(signature, message)
    except (InvalidSignature, ValueError):
        raise Bad("signature") from None


def _small(point: bytes) -> bool:
    """Not canonical, or of an order that divides 8."""
    y = int.from_bytes(point, "little") & (2**255 - 1)
    if y >= P:
        return True
    for _ in range(3):  # doubling by y alone: y2 = (y^2 + x^2) / (2 - y^2 + x^2), x^2 = (y^2 - 1) / (d y^2 + 1)
        yy = y * y % P
        xx = (yy - 1) * pow(D * yy + 1, -1, P) % P
        bottom = (2 - yy + xx) % P
        if bottom == 0:
            return True
        y = (yy + xx) * pow(bottom, -1, P) % P
    return y == 1


# ---------------------------------------------------------------- COSE


def protected(key: bytes) -> bytes:
    return encode({1: -19, 4: key})


def to_sign(context: str, header: bytes, payload: bytes) -> bytes:
    return encode(["Signature1", header, b"strongroom/v1/" + context.encode(), payload])


def cose_verify(cddl: Cddl, context: str, message: bytes, maximum: int) -> tuple[bytes, bytes]:
    """(payload, key)."""
    if len(message) > maximum:
        raise Bad("limit")
    parts = decode(message)
    cddl.check("cose-sign1", parts)
    header = decode(parts[0])
    cddl.check("cose-protected", header)
    check_signature(header[4], to_sign(context, parts[0], parts[2]), parts[3])
    return parts[2], header[4]


# ---------------------------------------------------------------- the hybrid KEM and HPKE


def kem_public(seed: bytes) -> bytes:
    mlkem = MLKEM768PrivateKey.from_seed_bytes(seed[:64]).public_key().public_bytes_raw()
    return mlkem + X25519PrivateKey.from_private_bytes(seed[64:]).public_key().public_bytes_raw()


def hpke_open(seed: bytes, wrap: bytes, info: bytes) -> bytes:
    """RFC 9180 base mode, KEM 0x647a (X-Wing), HKDF-SHA-256, ChaCha20-Poly1305."""
    if len(wrap) < 1120 + 16:
        raise Bad("wrap")
    one, two, ciphertext = wrap[:1088], wrap[1088:1120], wrap[1120:]
    x25519 = X25519PrivateKey.from_private_bytes(seed[64:])
    try:
        first = MLKEM768PrivateKey.from_seed_bytes(seed[:64]).decapsulate(one)
        second = x25519.exchange(X25519PublicKey.from_public_bytes(two))
    except ValueError:
        raise Bad("wrap") from None
    label = rb"\./" + rb"/^" + b"\\"
    shared = hashlib.sha3_256(first + second + two + x25519.public_key().public_bytes_raw() + label).digest()
    suite = b"HPKE" + bytes.fromhex("647a00010003")

    def extract(salt: bytes, name: bytes, ikm: bytes) -> bytes:
        return hmac.digest(salt or bytes(32), b"HPKE-v1" + suite + name + ikm, "sha256")

    def expand(secret: bytes, name: bytes, context: bytes, length: int) -> bytes:
        return _expand(secret, length.to_bytes(2, "big") + b"HPKE-v1" + suite + name + context, length)

    context = b"\0" + extract(b"", b"psk_id_hash", b"") + extract(b"", b"info_hash", info)
    secret = extract(shared, b"secret", b"")
    key, nonce = expand(secret, b"key", context, 32), expand(secret, b"base_nonce", context, 12)
    return unseal(key, nonce, ciphertext, "wrap")


# ---------------------------------------------------------------- padding


def padme(length: int) -> int:
    if length < 2:
        return length
    e = length.bit_length() - 1
    zeros = e - e.bit_length()
    step = 1 << zeros
    return -(-length // step) * step


def pad(content: bytes, floor: int) -> bytes:
    size = max(floor, padme(len(content) + 1))
    return content + b"\x80" + bytes(size - len(content) - 1)


def unpad(padded: bytes, floor: int) -> bytes:
    end = padded.rfind(b"\x80")
    if end < 0 or any(padded[end + 1 :]) or len(padded) != max(floor, padme(end + 1)):
        raise Bad("padding")
    return padded[:end]


# ---------------------------------------------------------------- Merkle log, recursively from RFC 9162 section 2.1.1

EMPTY = hashlib.sha256(b"").digest()


def leaf(entry: bytes) -> bytes:
    return sha(b"\0", entry)


def tree(leaves: list[bytes]) -> bytes:
    if len(leaves) < 2:
        return leaves[0] if leaves else EMPTY
    k = _split(len(leaves))
    return sha(b"\1", tree(leaves[:k]), tree(leaves[k:]))


def _split(n: int) -> int:
    k = 1
    while 2 * k < n:
        k *= 2
    return k


def peaks_of(leaves: list[bytes]) -> list[bytes]:
    found, at = [], 0
    for bit in range(len(leaves).bit_length() - 1, -1, -1):
        if len(leaves) >> bit & 1:
            found.append(tree(leaves[at : at + (1 << bit)]))
            at += 1 << bit
    return found


def bagged(peaks: list[bytes]) -> bytes:
    if len(peaks) < 2:
        return peaks[0] if peaks else EMPTY
    return sha(b"\1", peaks[0], bagged(peaks[1:]))


def consistency_proof(m: int, leaves: list[bytes], whole: bool = True) -> list[bytes]:
    if m == 0 or (m == len(leaves) and whole):
        return []
    if m == len(leaves):
        return [tree(leaves)]
    k = _split(len(leaves))
    if m <= k:
        return [*consistency_proof(m, leaves[:k], whole), tree(leaves[k:])]
    return [*consistency_proof(m - k, leaves[k:], False), tree(leaves[:k])]


def check_consistency(m: int, old: bytes, n: int, new: bytes, proof: list[bytes]) -> None:
    """Rebuilds both roots from the proof by the recursion that makes it."""
    if m > n or m < 0:
        raise Bad("log")
    if m in (0, n):
        if proof or (m == n and old != new and m > 0) or (m == 0 and proof):
            raise Bad("log")
        return
    left = list(proof)

    def walk(m: int, n: int, whole: bool) -> tuple[bytes, bytes]:
        """(root of the first m, root of all n)."""
        if m == n:
            if whole:
                return old, old
            if not left:
                raise Bad("log")
            node = left.pop(0)
            return node, node
        k = _split(n)
        if m <= k:
            small, full = walk(m, k, whole)
            if not left:
                raise Bad("log")
            return small, sha(b"\1", full, left.pop(0))
        small, full = walk(m - k, n - k, False)
        if not left:
            raise Bad("log")
        node = left.pop(0)
        return sha(b"\1", node, small), sha(b"\1", node, full)

    if walk(m, n, True) != (old, new) or left:
        raise Bad("log")


def inclusion_path(index: int, leaves: list[bytes]) -> list[bytes]:
    if len(leaves) < 2:
        return []
    k = _split(len(leaves))
    if index < k:
        return [*inclusion_path(index, leaves[:k]), tree(leaves[k:])]
    return [*inclusion_path(index - k, leaves[k:]), tree(leaves[:k])]


def check_inclusion(index: int, entry: bytes, size: int, root: bytes, path: list[bytes]) -> None:
    left = list(path)

    def walk(index: int, size: int) -> bytes:
        if size == 1:
            return leaf(entry)
        k = _split(size)
        node = walk(index, k) if index < k else walk(index - k, size - k)
        if not left:
            raise Bad("log")
        other = left.pop(0)
        return sha(b"\1", node, other) if index < k else sha(b"\1", other, node)

    if not 0 <= index < size or walk(index, size) != root or left:
        raise Bad("log")


# ---------------------------------------------------------------- what people type


def passphrase(typed: str) -> bytes:
    if typed.endswith("\n"):
        typed = typed[:-1]
    if typed.endswith("\r"):
        typed = typed[:-1]
    spaced = "".join(" " if unicodedata.category(c) == "Zs" else c for c in typed)
    data = unicodedata.normalize("NFC", spaced).encode("utf-8", "surrogatepass")
    if not 1 <= len(data) <= 1024 or any(unicodedata.category(c) in ("Cc", "Cs") for c in spaced):
        raise Bad("refused")
    return data


def account_name(typed: str) -> str:
    name = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", typed).casefold())
    if not 1 <= len(name.encode()) <= 128 or not all(c.isalnum() or c in "._@+-" for c in name):
        raise Bad("refused")
    return name


ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_POWERS = [1]
while len(_POWERS) < 31:
    _POWERS.append((_POWERS[-1] << 1) ^ (0x25 if _POWERS[-1] & 16 else 0))


def _times(a: int, b: int) -> int:
    return _POWERS[(_POWERS.index(a) + _POWERS.index(b)) % 31] if a and b else 0


def group_check(group: int, symbols: list[int]) -> int:
    """group·α⁴ + s₀·α⁴ + s₁·α³ + s₂·α² + s₃·α over GF(32)."""
    total = _times(group, _POWERS[4])
    for place, symbol in enumerate(symbols):
        total ^= _times(symbol, _POWERS[4 - place])
    return total


def render_code(code: bytes) -> str:
    bits = "".join(f"{byte:08b}" for byte in code)
    symbols = [int(bits[i : i + 5], 2) for i in range(0, 160, 5)]
    groups = [symbols[i : i + 4] for i in range(0, 32, 4)]
    return "-".join("".join(ALPHABET[s] for s in [*g, group_check(n, g)]) for n, g in enumerate(groups))


def parse_code(typed: str) -> tuple[bytes, int | None]:
    """(code, None), or (nothing, the group with the typo) and so on: Bad carries the class."""
    text = "".join(c for c in typed.upper() if not c.isspace() and c != "-")
    text = text.replace("O", "0").replace("I", "1").replace("L", "1").replace("U", "V")
    if len(text) != 40:
        raise CodeError(None)
    bits = ""
    for number in range(8):
        part = text[5 * number : 5 * number + 5]
        if any(c not in ALPHABET for c in part):
            raise CodeError(number + 1)
        symbols = [ALPHABET.index(c) for c in part]
        if group_check(number, symbols[:4]) != symbols[4]:
            raise CodeError(number + 1)
        bits += "".join(f"{symbol:05b}" for symbol in symbols[:4])
    return int(bits, 2).to_bytes(20, "big"), None


class CodeError(Bad):
    """A typo in a recovery code, and the group it is in."""

    def __init__(self, group: int | None) -> None:
        super().__init__("code")
        self.group = group


def unhex(value: Any) -> Any:
    """Bytes of a hexadecimal field, or None."""
    return None if value is None else bytes.fromhex(value)
