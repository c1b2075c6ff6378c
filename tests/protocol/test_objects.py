"""Sealed objects: one type, account, epoch, writer and key each (chapter 05)."""

from __future__ import annotations

import hashlib
import hmac
import itertools
from collections.abc import Mapping
from typing import Any

import pytest
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from hypothesis import given
from hypothesis import strategies as st

from protocol.builders import ACCOUNT, OTHER_ACCOUNT, WRITER, epoch_keys, opening, random_bytes, refused, sealed
from protocol.test_slots import hkdf
from strongroom_protocol.errors import Failure, UpgradeRequired
from strongroom_protocol.keys.epochs import EpochKeys
from strongroom_protocol.limits import LIMITS
from strongroom_protocol.seal import objects
from strongroom_protocol.seal.objects import (
    HEADER_BYTES,
    Header,
    ObjectOpener,
    ObjectSealer,
    ObjectType,
    check_digest,
    check_name,
    object_name,
    open_object,
    plaintext_digest,
)

CONTENT = b"what is kept"


def open_(
    name: bytes, data: bytes, kind: ObjectType = ObjectType.BODY, epochs: Mapping[int, EpochKeys] | None = None,
    account: bytes = ACCOUNT,
) -> bytes:  # fmt: skip
    return open_object(opening() if epochs is None else epochs, account, name, data, kind)[1]


def renamed(data: bytes) -> Failure:
    """How changed bytes fail when even their name is right (a signed parent that names them)."""
    return refused(open_, object_name(data), data)


@given(st.binary(max_size=2000), st.sampled_from(ObjectType))
def test_contents_come_back(content: bytes, kind: ObjectType) -> None:
    name, data = sealed(content, kind)
    header, opened = open_object(opening(), ACCOUNT, name, data, kind)
    assert opened == content
    assert (header.type, header.epoch, header.writer, header.sequence) == (kind, 1, WRITER, 1)


@pytest.mark.spec("KEY-2", "OBJ-4")
def test_an_object_is_sealed_as_the_chapter_says() -> None:
    keys = epoch_keys(2)
    randomness = random_bytes("randomness")
    _, data = sealed(CONTENT, ObjectType.INDEX, 2, sequence=77, randomness=randomness)
    plaintext = CONTENT + b"\x80" + bytes(256 - len(CONTENT) - 1)
    identity = bytes((1, 4)) + (2).to_bytes(4, "big") + WRITER + (77).to_bytes(8, "big")
    digest = hashlib.sha256(len(plaintext).to_bytes(8, "big") + plaintext).digest()
    salt_key = hkdf(keys.secret.reveal(), b"", b"strongroom/v1/salt\0" + ACCOUNT, 32)
    salt = hmac.digest(salt_key, randomness + WRITER + (77).to_bytes(8, "big") + b"\x04" + digest, "sha256")
    parent = hkdf(keys.secret.reveal(), b"", b"strongroom/v1/object-root\0" + ACCOUNT, 32)
    associated = hashlib.sha256(b"strongroom/v1/object" + ACCOUNT + identity).digest()
    okm = hkdf(parent, salt, b"strongroom/v1/object\0" + associated, 64)
    ciphertext = ChaCha20Poly1305(okm[:32]).encrypt(bytes(11) + b"\x01", plaintext, None)
    assert data == identity + salt + okm[32:] + ciphertext
    assert Header.parse(data, "x").encode() == data[:HEADER_BYTES]


@pytest.mark.spec("OBJ-1")
@pytest.mark.parametrize("length", range(HEADER_BYTES))
def test_less_than_a_header_is_no_object(length: int) -> None:
    _, data = sealed()
    assert renamed(data[:length]) is Failure.CONTEXT
    assert refused(Header.parse, data[:length], "x") is Failure.CONTEXT


@pytest.mark.spec("OBJ-2")
@pytest.mark.parametrize("version", [2, 3, 255])
def test_a_newer_version_asks_for_an_upgrade(version: int) -> None:
    data = bytes((version,)) + sealed()[1][1:]
    with pytest.raises(UpgradeRequired):
        open_(object_name(data), data)


@pytest.mark.spec("OBJ-3")
def test_another_version_or_type_is_no_object_of_this_protocol() -> None:
    _, data = sealed()
    assert renamed(b"\x00" + data[1:]) is Failure.CONTEXT
    for kind in {0, *range(256)} - set(ObjectType):
        assert refused(Header.parse, data[:1] + bytes((kind,)) + data[2:], "x") is Failure.CONTEXT


@pytest.mark.spec("OBJ-3")
def test_an_old_version_is_not_opened_even_when_everything_else_fits() -> None:
    assert refused(Header.parse, b"\x00" + sealed()[1][1:], "x") is Failure.CONTEXT


def hedged(**other: Any) -> bytes:
    """The header of an object whose randomness is constant."""
    given: dict[str, Any] = {
        "keys": epoch_keys(), "kind": ObjectType.BATCH, "writer": WRITER, "sequence": 1, "randomness": bytes(32),
        "digest": plaintext_digest([b"a"]), **other,
    }  # fmt: skip
    return ObjectSealer(given.pop("keys"), given.pop("kind"), **given).header


@pytest.mark.spec("OBJ-4")
def test_attack_025_a_broken_generator_repeats_no_key_over_two_plaintexts() -> None:
    """VM snapshots, constant randomness: plaintext, device, sequence, type, epoch and account go into the salt."""
    made = [
        hedged(), hedged(digest=plaintext_digest([b"b"])), hedged(digest=plaintext_digest([b"a", b""])),
        hedged(writer=bytes(16)), hedged(sequence=2), hedged(sequence=2**63), hedged(kind=ObjectType.BODY),
        hedged(keys=epoch_keys(2)), hedged(keys=epoch_keys(1, OTHER_ACCOUNT)), hedged(randomness=b"\x01" * 32),
    ]  # fmt: skip
    assert len({header[30:62] for header in made}) == len(made)
    assert len({header[62:] for header in made}) == len(made)
    assert hedged() == made[0]


@pytest.mark.spec("OBJ-4")
def test_no_key_and_nonce_seal_two_plaintexts(monkeypatch: pytest.MonkeyPatch) -> None:
    used: dict[tuple[bytes, bytes], bytes] = {}

    class Watched:
        def __init__(self, key: bytes) -> None:
            self._key, self._true = key, ChaCha20Poly1305(key)

        def encrypt(self, nonce: bytes, plaintext: bytes, associated: bytes | None) -> bytes:
            assert used.setdefault((self._key, nonce), plaintext) == plaintext
            return self._true.encrypt(nonce, plaintext, associated)

    monkeypatch.setattr(objects, "ChaCha20Poly1305", Watched)
    count = 0
    for content, writer, sequence, kind, epoch in itertools.product(
        (b"", b"a", b"b", bytes(300)), (WRITER, bytes(16)), (1, 2), (ObjectType.BATCH, ObjectType.ROOT), (1, 2)
    ):
        sealed(content, kind, epoch, writer=writer, sequence=sequence)
        count += 1
    assert len(used) == count == 64


@pytest.mark.spec("KEY-2")
def test_the_key_depends_on_everything_the_header_says() -> None:
    """With the salt held fixed, every other field still changes the key."""

    def with_salt(keys: EpochKeys, kind: ObjectType, epoch: int, writer: bytes, sequence: int) -> bytes:
        header = Header(kind, epoch, writer, sequence, bytes(32), bytes(32))
        key, commitment = objects._object_key(keys, header)
        return key + commitment

    keys = epoch_keys()
    made = {
        with_salt(keys, ObjectType.BATCH, 1, WRITER, 1), with_salt(keys, ObjectType.BODY, 1, WRITER, 1),
        with_salt(keys, ObjectType.BATCH, 2, WRITER, 1), with_salt(keys, ObjectType.BATCH, 1, bytes(16), 1),
        with_salt(keys, ObjectType.BATCH, 1, WRITER, 2), with_salt(epoch_keys(2), ObjectType.BATCH, 1, WRITER, 1),
        with_salt(EpochKeys(OTHER_ACCOUNT, 1, keys.secret), ObjectType.BATCH, 1, WRITER, 1),
    }  # fmt: skip
    assert len(made) == 7


@pytest.mark.spec("KEY-2")
def test_a_header_rewritten_for_another_place_does_not_open() -> None:
    """Salt, commitment and ciphertext of one object under the identity of another."""
    _, one = sealed(sequence=1)
    for kind, sequence, writer in (
        (ObjectType.BODY, 2, WRITER),
        (ObjectType.BODY, 1, bytes(16)),
        (ObjectType.ROOT, 1, WRITER),
    ):
        _, two = sealed(b"another", kind, sequence=sequence, writer=writer)
        moved = two[:30] + one[30:]
        assert refused(open_, object_name(moved), moved, kind) is Failure.COMMITMENT


@pytest.mark.spec("OBJ-5")
@pytest.mark.parametrize("made", ObjectType)
def test_no_type_is_taken_for_another(made: ObjectType) -> None:
    name, data = sealed(CONTENT, made)
    for asked in ObjectType:
        if asked is made:
            assert open_(name, data, asked) == CONTENT
        else:
            assert refused(open_, name, data, asked) is Failure.CONTEXT
            claimed = data[:1] + bytes((asked,)) + data[2:]
            assert refused(open_, object_name(claimed), claimed, asked) is Failure.COMMITMENT


@pytest.mark.spec("OBJ-6")
def test_an_epoch_that_is_not_ours_does_not_open() -> None:
    name, data = sealed(epoch=2)
    for epochs in ({}, opening(1), opening(1, 3), opening(2, account=OTHER_ACCOUNT)):
        assert refused(open_, name, data, epochs=epochs) is Failure.EPOCH
    assert refused(open_, name, data, epochs=opening(2), account=OTHER_ACCOUNT) is Failure.EPOCH
    assert open_(name, data, epochs=opening(1, 2, 3)) == b"content"


@pytest.mark.spec("OBJ-6")
def test_keys_of_another_account_are_never_used_even_where_they_would_open() -> None:
    name, data = sealed(account=OTHER_ACCOUNT)
    assert open_(name, data, epochs=opening(account=OTHER_ACCOUNT), account=OTHER_ACCOUNT) == b"content"
    assert refused(open_, name, data, epochs=opening(account=OTHER_ACCOUNT)) is Failure.EPOCH


@pytest.mark.spec("OBJ-7")
def test_the_commitment_is_compared_before_anything_is_opened(monkeypatch: pytest.MonkeyPatch) -> None:
    _, data = sealed()
    monkeypatch.delattr(objects, "ChaCha20Poly1305")
    for place in range(30, HEADER_BYTES):
        assert renamed(data[:place] + bytes((data[place] ^ 1,)) + data[place + 1 :]) is Failure.COMMITMENT
    for place in [*range(6, 30)]:
        assert renamed(data[:place] + bytes((data[place] ^ 1,)) + data[place + 1 :]) is Failure.COMMITMENT


@pytest.mark.spec("OBJ-7")
def test_attack_009_a_ciphertext_that_opens_under_two_epochs_is_refused_in_one() -> None:
    """Without the commitment, one tag can be made to fit several keys: here it is made for the wrong epoch's."""
    name, data = sealed(epoch=1)
    header = data[:2] + (2).to_bytes(4, "big") + data[6:HEADER_BYTES]
    key, _ = objects._object_key(epoch_keys(2), Header.parse(header, "x"))
    forged = header + ChaCha20Poly1305(key).encrypt(bytes(11) + b"\x01", CONTENT + b"\x80" + bytes(243), None)
    assert refused(open_, object_name(forged), forged, epochs=opening(1, 2)) is Failure.COMMITMENT
    assert open_(name, data, epochs=opening(1, 2)) == b"content"


def test_every_object_in_every_other_place_of_other_accounts_and_epochs() -> None:
    """The whole n × n matrix: only on the diagonal does anything open."""
    places = list(itertools.product((ACCOUNT, OTHER_ACCOUNT), (1, 2, 3), (ObjectType.BATCH, ObjectType.ROOT), (1, 2)))
    stored = {place: sealed(repr(place).encode(), place[2], place[1], place[0], sequence=place[3]) for place in places}
    for here, there in itertools.product(places, repeat=2):
        account, epoch, kind, _ = here
        name, (other_name, data) = stored[here][0], stored[there]
        keys = opening(epoch, account=account)
        if here == there:
            assert open_(name, data, kind, keys, account) == repr(here).encode()
            continue
        assert refused(open_, name, data, kind, keys, account) is Failure.NAME
        if here[:3] != there[:3]:  # the sequence is the parent's to bind, by the name
            failure = refused(open_, other_name, data, kind, keys, account)
            assert failure in (Failure.CONTEXT, Failure.EPOCH, Failure.COMMITMENT)


@pytest.mark.spec("OBJ-8")
def test_the_bytes_are_those_of_the_name() -> None:
    name, data = sealed()
    check_name(name, data)
    assert name == hashlib.sha256(data).digest()
    for other in (data + b"\0", data[:-1], b"", sealed(sequence=2)[1]):
        assert refused(check_name, name, other) is Failure.NAME
        assert refused(open_, name, other) is Failure.NAME


@pytest.mark.spec("OBJ-8")
def test_what_a_reader_of_the_epoch_could_make_himself_has_another_name() -> None:
    name, _ = sealed(sequence=1)
    _, own = sealed(b"planted", sequence=1)
    assert refused(open_, name, own) is Failure.NAME


@pytest.mark.spec("OBJ-10")
def test_a_range_has_the_signed_digest() -> None:
    check_digest(hashlib.sha256(b"range").digest(), b"range", "x")
    for other in (b"", b"rang", b"range\0", b"Range"):
        assert refused(check_digest, hashlib.sha256(b"range").digest(), other, "x") is Failure.DIGEST


@pytest.mark.spec("OBJ-9")
def test_padding_is_checked_after_the_seal() -> None:
    for plaintext in (bytes(256), CONTENT, CONTENT + b"\x80", CONTENT + b"\x80" + bytes(500), b""):
        sealer = ObjectSealer(
            epoch_keys(), ObjectType.BODY, writer=WRITER, sequence=1, randomness=bytes(32), digest=bytes(32)
        )
        assert renamed(sealer.header + sealer.chunk(plaintext, last=True)) is Failure.PADDING


def test_a_chunk_is_in_its_place_and_the_last_is_the_last() -> None:
    sealer = ObjectSealer(
        epoch_keys(), ObjectType.MEDIA, writer=WRITER, sequence=1, randomness=bytes(32), digest=bytes(32)
    )
    made = [sealer.chunk(b"%d" % number, last=number == 3) for number in range(4)]
    opener = ObjectOpener(opening(), ACCOUNT, sealer.header, ObjectType.MEDIA, subject="x")
    for chunk, index, last in itertools.product(range(4), range(5), (False, True)):
        if (index, last) == (chunk, chunk == 3):
            assert opener.chunk(made[chunk], index, last=last) == b"%d" % chunk
        else:
            assert refused(opener.chunk, made[chunk], index, last=last) is Failure.SEAL
    with pytest.raises(RuntimeError):
        sealer.chunk(b"more", last=False)


def test_attack_034_no_nonce_comes_twice_however_many_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(objects, "LIMITS", type("Small", (), {"object_chunks": 3}))
    sealer = ObjectSealer(
        epoch_keys(), ObjectType.MEDIA, writer=WRITER, sequence=1, randomness=bytes(32), digest=bytes(32)
    )
    assert len({sealer.chunk(b"same", last=False) for _ in range(3)}) == 3
    with pytest.raises(RuntimeError):
        sealer.chunk(b"same", last=False)
    assert LIMITS.object_chunks < 2**32


def test_a_digest_of_plaintexts_is_not_ambiguous() -> None:
    parts: list[list[bytes]] = [[], [b""], [b"", b""], [b"ab"], [b"a", b"b"], [b"", b"ab"], [b"ab", b""]]
    assert len({plaintext_digest(chunks) for chunks in parts}) == len(parts)
