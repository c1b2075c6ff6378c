"""Sealed objects: a 94-byte header and one or more chunks (spec chapter 05).

    header = version (1) || type (1) || epoch (4) || writer (16) || sequence (8) || salt (32) || commitment (32)
    AD     = "strongroom/v1/object" || account || header[0:30]
    key || commitment = HKDF(object root of the epoch, salt, info(SHA-256(AD)))
    chunk i = ChaCha20-Poly1305(key, nonce = 0^7 || i (4) || last (1), plaintext)

The key is the object's own, so a counter is a safe nonce; the commitment is compared before anything is opened, so no
ciphertext opens under two keys; the salt is hedged, so neither a cloned machine nor a broken generator repeats a key
over two plaintexts. An object's name is the SHA-256 of all its bytes.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

from strongroom_protocol.errors import Failure, UntrustedDataError, UpgradeRequired
from strongroom_protocol.keys.epochs import EpochKeys
from strongroom_protocol.keys.table import Key, derive
from strongroom_protocol.limits import LIMITS, Limits
from strongroom_protocol.seal.sizes import HEADER_BYTES as HEADER_BYTES
from strongroom_protocol.seal.sizes import TAG_BYTES as TAG_BYTES
from strongroom_protocol.wire.padding import pad, unpad

VERSION = 1


class ObjectType(IntEnum):
    """What an object is; part of its associated data, so one kind can never be served as another."""

    BATCH = 1
    BODY = 2
    ROOT = 3
    INDEX = 4
    SEGMENT = 5
    DIRECTORY = 6
    MEDIA = 7
    KEYRING_PRIVATE = 8
    MEDIA_DIGESTS = 9
    INDEX_PAGES = 10


@dataclass(frozen=True, slots=True)
class Header:
    """The clear part of an object: bounded framing, all of it authenticated by the commitment."""

    type: ObjectType
    epoch: int
    writer: bytes
    sequence: int
    salt: bytes
    commitment: bytes

    def identity(self) -> bytes:
        """The 30 bytes that the associated data binds."""
        numbers = bytes((VERSION, self.type)) + self.epoch.to_bytes(4, "big")
        return numbers + self.writer + self.sequence.to_bytes(8, "big")

    def encode(self) -> bytes:
        return self.identity() + self.salt + self.commitment

    @classmethod
    def parse(cls, data: bytes, subject: str) -> Header:
        if len(data) < HEADER_BYTES:  # spec: OBJ-1
            raise UntrustedDataError(Failure.CONTEXT, "shorter than a header", subject=subject)
        if data[0] > VERSION:  # spec: OBJ-2
            raise UpgradeRequired(f"object version {data[0]} is newer than {VERSION}", subject=subject)
        if data[0] != VERSION or data[1] not in ObjectType._value2member_map_:  # spec: OBJ-3
            raise UntrustedDataError(Failure.CONTEXT, "not an object of this protocol", subject=subject)
        return cls(
            ObjectType(data[1]), int.from_bytes(data[2:6], "big"), data[6:22], int.from_bytes(data[22:30], "big"),
            data[30:62], data[62:94],
        )  # fmt: skip


class ObjectSealer:
    """Seals one object chunk by chunk. Use it once; `header` comes first in the object."""

    def __init__(
        self, keys: EpochKeys, kind: ObjectType, *, writer: bytes, sequence: int, randomness: bytes, digest: bytes
    ) -> None:
        """`digest` is the SHA-256 of what will be sealed (`plaintext_digest`), `randomness` 32 fresh bytes."""
        hedge = randomness + writer + sequence.to_bytes(8, "big") + bytes((kind,)) + digest
        salt = hmac.digest(keys.salt_key(), hedge, "sha256")  # spec: OBJ-4
        self._begin(keys, Header(kind, keys.number, writer, sequence, salt, bytes(32)))

    @classmethod
    def of_media(cls, keys: EpochKeys, salt: bytes) -> ObjectSealer:
        """For a media part, whose salt is a keyed function of all that will be sealed (section 5.6).

        Nothing is fresh here: the caller answers for it that one salt never stands for two plaintexts. No writer is
        named, so that the same part is the same object whichever device seals it.
        """
        sealer = cls.__new__(cls)
        sealer._begin(keys, Header(ObjectType.MEDIA, keys.number, bytes(16), 0, salt, bytes(32)))
        return sealer

    def _begin(self, keys: EpochKeys, bare: Header) -> None:
        key, commitment = _object_key(keys, bare)
        self.header = bare.identity() + bare.salt + commitment
        self._cipher = ChaCha20Poly1305(key)
        self._next = 0
        self._ended = False

    def chunk(self, plaintext: bytes, *, last: bool) -> bytes:
        """The next sealed chunk. Nothing may follow the last."""
        return self._cipher.encrypt(self._next_nonce(last), plaintext, None)

    def chunk_into(self, plaintext: bytes | memoryview, room: memoryview, *, last: bool) -> None:
        """The same, written to `room`, which is TAG_BYTES longer than the plaintext."""
        self._cipher.encrypt_into(self._next_nonce(last), plaintext, None, room)

    def _next_nonce(self, last: bool) -> bytes:
        if self._ended or self._next >= LIMITS.object_chunks:
            raise RuntimeError("the object has ended")
        nonce = _nonce(self._next, last)
        self._next += 1
        self._ended = last
        return nonce


class ObjectOpener:
    """Opens chunks of one object, once its commitment has been compared."""

    def __init__(
        self, epochs: Mapping[int, EpochKeys], account: bytes, header: bytes, kind: ObjectType, *, subject: str
    ) -> None:
        """Raises UntrustedDataError: CONTEXT, NEWER_FORMAT, EPOCH, COMMITMENT."""
        self.header = Header.parse(header, subject)
        self._subject = subject
        if self.header.type != kind:  # spec: OBJ-5
            raise UntrustedDataError(Failure.CONTEXT, "an object of another type", subject=subject)
        keys = epochs.get(self.header.epoch)
        if keys is None or keys.account != account:  # spec: OBJ-6
            raise UntrustedDataError(Failure.EPOCH, "sealed in an epoch that is not ours", subject=subject)
        key, commitment = _object_key(keys, self.header)
        if not hmac.compare_digest(commitment, self.header.commitment):  # spec: OBJ-7
            raise UntrustedDataError(Failure.COMMITMENT, "commitment does not match", subject=subject)
        self._cipher = ChaCha20Poly1305(key)

    def chunk(self, sealed: bytes, index: int, *, last: bool) -> bytes:
        """The plaintext of chunk `index`; SEAL when it is not that chunk of this object."""
        try:
            return self._cipher.decrypt(_nonce(index, last), sealed, None)
        except InvalidTag as error:
            raise UntrustedDataError(Failure.SEAL, f"chunk {index} does not open", subject=self._subject) from error


def object_name(data: bytes) -> bytes:
    """SHA-256 of the sealed bytes."""
    return hashlib.sha256(data).digest()


def check_name(name: bytes, data: bytes) -> None:
    """The bytes are those the signed parent names, or NAME is raised. The first check of every whole object."""
    if object_name(data) != name:  # spec: OBJ-8
        raise UntrustedDataError(Failure.NAME, "bytes are not those of this name", subject=name.hex())


def check_digest(digest: bytes, sealed: bytes, subject: str) -> None:
    """The same for a range read alone: without it, whoever once held the epoch could have made the range."""
    if hashlib.sha256(sealed).digest() != digest:  # spec: OBJ-10
        raise UntrustedDataError(Failure.DIGEST, "range does not have the signed digest", subject=subject)


def plaintext_digest(chunks: Sequence[bytes]) -> bytes:
    """SHA-256 over each chunk's length (8 bytes, big-endian) and bytes."""
    digest = hashlib.sha256()
    for chunk in chunks:
        digest.update(len(chunk).to_bytes(8, "big"))
        digest.update(chunk)
    return digest.digest()


def seal_object(
    keys: EpochKeys, kind: ObjectType, content: bytes, *, writer: bytes, sequence: int, randomness: bytes
) -> bytes:
    """A whole object of one padded chunk."""
    plaintext = pad(content, floor=LIMITS.object_floor)
    sealer = ObjectSealer(
        keys, kind, writer=writer, sequence=sequence, randomness=randomness, digest=plaintext_digest([plaintext])
    )
    return sealer.header + sealer.chunk(plaintext, last=True)


def open_object(
    epochs: Mapping[int, EpochKeys],
    account: bytes,
    name: bytes,
    data: bytes,
    kind: ObjectType,
    *,
    limits: Limits = LIMITS,
) -> tuple[Header, bytes]:
    """Header and content of a one-chunk object: name, type, epoch, commitment, seal and padding, in this order."""
    check_name(name, data)
    subject = name.hex()
    opener = ObjectOpener(epochs, account, data[:HEADER_BYTES], kind, subject=subject)
    padded = opener.chunk(data[HEADER_BYTES:], 0, last=True)
    return opener.header, unpad(padded, floor=limits.object_floor, subject=subject)


def _object_key(keys: EpochKeys, header: Header) -> tuple[bytes, bytes]:
    associated = b"strongroom/v1/object" + keys.account + header.identity()
    context = hashlib.sha256(associated).digest()
    okm = derive(Key.OBJECT, keys.object_root(), salt=header.salt, context=context)  # spec: KEY-2
    return okm[:32], okm[32:]


def _nonce(index: int, last: bool) -> bytes:
    return bytes(7) + index.to_bytes(4, "big") + bytes((last,))
