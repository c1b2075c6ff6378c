"""Every bit, cut and splice of what a relay can change is refused by name, and before anything is parsed."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol.builders import (
    ACCOUNT,
    WRITER,
    after_revocation,
    chain,
    epoch_keys,
    handover,
    history,
    opening,
    person,
    random_bytes,
    receipt_key,
    refused,
    sealed,
    slot_set,
    unlock,
)
from strongroom_protocol.engine.batch import Batch, parse_batch
from strongroom_protocol.errors import Failure, UntrustedDataError
from strongroom_protocol.keys.slots import check_slots_hash
from strongroom_protocol.manifest.head import Delta, check_delta, parse_head
from strongroom_protocol.manifest.keyring import parse_keyring
from strongroom_protocol.manifest.receipt import Chain, Receipt, verify_receipt
from strongroom_protocol.manifest.slots import SlotSet
from strongroom_protocol.manifest.succession import check_succession
from strongroom_protocol.seal import chunks
from strongroom_protocol.seal.media import Media, PartShape, part_shape
from strongroom_protocol.seal.media_parts import MediaSealer, PartOpener
from strongroom_protocol.seal.objects import HEADER_BYTES, ObjectOpener, ObjectType, object_name, open_object
from strongroom_protocol.wire import cbor, cose

ANN = person("ann")
SIGNED = {Failure.ENCODING, Failure.SCHEMA, Failure.SIGNATURE, Failure.LIMIT}


@dataclass(frozen=True)
class Target:
    """Bytes as a relay serves them, how a reader takes them in, and the ways in which changed bytes may fail."""

    data: bytes
    read: Callable[[bytes], object]
    failures: frozenset[Failure]
    stride: int = 1  # every bit of a byte, or one bit of each when there are many


def _head() -> Target:
    return Target(history(2).heads[1].message, lambda data: parse_head(data, account=ACCOUNT), frozenset(SIGNED))


def _keyring(number: int, stride: int = 1) -> Target:
    message = chain()[number].message
    return Target(message, lambda data: parse_keyring(data, account=ACCOUNT), frozenset(SIGNED), stride)


def _handover() -> Target:
    """The old root's word inside a keyring that the new root signs: the relay with a stolen new root changes it."""
    new = after_revocation()

    def read(data: bytes) -> None:
        check_succession(chain()[1], replace(new, handover=data, message=b"any"))

    return Target(handover(new), read, frozenset(SIGNED))


def _receipt() -> Target:
    head = history(2).heads[1]
    receipt = Receipt(ACCOUNT, Chain.HEAD, 2, head.hash, head.previous, 5)

    def read(data: bytes) -> Receipt:
        return verify_receipt(
            data, receipt_key=receipt_key().public, account=ACCOUNT, chain=Chain.HEAD, version=2, hash_=head.hash,
            previous=head.previous,
        )  # fmt: skip

    return Target(receipt.sign(receipt_key().public, receipt_key().sign), read, frozenset(SIGNED))


def _batch() -> Target:
    content = Batch(ANN.id, 1, 5, (b"frame",)).sign(ACCOUNT, ANN.sign.public, ANN.sign.sign)

    def read(data: bytes) -> Batch:
        return parse_batch(data, account=ACCOUNT, device=ANN.id, sequence=1, key=ANN.sign.public)

    return Target(content, read, frozenset({Failure.SIGNATURE, Failure.LIMIT}))


def _object() -> Target:
    name, data = sealed(b"a body", ObjectType.BODY)

    def read(given: bytes) -> bytes:
        return open_object(opening(), ACCOUNT, name, given, ObjectType.BODY)[1]

    return Target(data, read, frozenset({Failure.NAME}))


def _object_under_any_name() -> Target:
    """Whoever signs the parent names the changed bytes too: a removed device that kept its keys, with a stolen head."""
    _, data = sealed(b"a body", ObjectType.BODY)

    def read(given: bytes) -> bytes:
        return open_object(opening(1, 2), ACCOUNT, object_name(given), given, ObjectType.BODY)[1]

    failures = {Failure.CONTEXT, Failure.NEWER_FORMAT, Failure.EPOCH, Failure.COMMITMENT, Failure.SEAL}
    return Target(data, read, frozenset(failures))


def _chunk() -> Target:
    data, refs = chunks.seal_chunks(
        epoch_keys(), ObjectType.SEGMENT, [b"one", b"two"], writer=WRITER, sequence=1, randomness=bytes(32)
    )
    opener = ObjectOpener(opening(), ACCOUNT, data[:HEADER_BYTES], ObjectType.SEGMENT, subject="x")

    def read(given: bytes) -> bytes:
        return chunks.open_chunk(opener, refs[1], given, subject="x")

    return Target(chunks.cut_out(data, refs[1], subject="x"), read, frozenset({Failure.DIGEST}))


def _chunk_with_any_digest() -> Target:
    data, refs = chunks.seal_chunks(
        epoch_keys(), ObjectType.SEGMENT, [b"one", b"two"], writer=WRITER, sequence=1, randomness=bytes(32)
    )
    opener = ObjectOpener(opening(), ACCOUNT, data[:HEADER_BYTES], ObjectType.SEGMENT, subject="x")

    def read(given: bytes) -> bytes:
        named = replace(refs[1], length=len(given), digest=hashlib.sha256(given).digest())
        return chunks.open_chunk(opener, named, given, subject="x")

    return Target(chunks.cut_out(data, refs[1], subject="x"), read, frozenset({Failure.SEAL}))


def _media() -> tuple[Media, bytes, PartShape]:
    content = b"a picture"
    sealer = MediaSealer(epoch_keys(), bytes(range(16)))
    (part,) = [part.seal() for part in [*sealer.take(content), *sealer.end()]]
    media = sealer.media([(part.name, part.table)])
    return media, part.data, part_shape(media.size, 0)


def _opener(media: Media, data: bytes, table: bytes) -> PartOpener:
    return PartOpener(media, 0, opening(), ACCOUNT, data[:HEADER_BYTES], table)


def _media_chunk() -> Target:
    media, data, shape = _media()
    opener = _opener(media, data, data[shape.table[0] :])
    chunk = data[HEADER_BYTES : shape.table[0]]
    return Target(chunk, lambda given: opener.chunk(0, given), frozenset({Failure.DIGEST}))


def _media_table() -> Target:
    media, data, shape = _media()
    return Target(
        data[shape.table[0] :], lambda given: _opener(media, data, given), frozenset({Failure.DIGEST})
    )  # fmt: skip


def _slot_set() -> Target:
    """Nothing signs a slot set; the keyring's hash is what holds it."""
    made = slot_set(unlock())

    def read(data: bytes) -> SlotSet:
        parsed = SlotSet.parse(data, account=ACCOUNT)
        check_slots_hash(parsed, made.hash())
        return parsed

    failures = {Failure.SLOTS, Failure.KDF, Failure.ACCOUNT, Failure.SCHEMA, Failure.ENCODING, Failure.NEWER_FORMAT}
    return Target(made.encode(), read, frozenset(failures))


TARGETS: dict[str, Callable[[], Target]] = {
    "head": _head, "first keyring": lambda: _keyring(0), "keyring with a handover": lambda: _keyring(2, 8),
    "handover": _handover, "receipt": _receipt, "batch": _batch, "object": _object,
    "object under any name": _object_under_any_name, "chunk": _chunk, "chunk with any digest": _chunk_with_any_digest,
    "media chunk": _media_chunk, "media table": _media_table, "slot set": _slot_set,
}  # fmt: skip
MADE: dict[str, Target] = {}


def target(name: str) -> Target:
    if name not in MADE:
        MADE[name] = TARGETS[name]()
    return MADE[name]


each = pytest.mark.parametrize("name", TARGETS)


def flips(found: Target) -> Iterator[bytes]:
    data = bytearray(found.data)
    for place in range(len(data)):
        for bit in range(place % found.stride, 8, found.stride):
            data[place] ^= 1 << bit
            yield bytes(data)
            data[place] ^= 1 << bit


@each
def test_what_is_served_unchanged_is_taken(name: str) -> None:
    found = target(name)
    found.read(found.data)


@pytest.mark.spec("SIG-1", "OBJ-7", "OBJ-8", "OBJ-10", "SLOT-11")
@each
def test_attack_018_every_bit_is_held_by_a_check(name: str) -> None:
    found = target(name)
    for bad in flips(found):
        assert refused(found.read, bad) in found.failures


@each
def test_attack_019_every_cut_is_found(name: str) -> None:
    found = target(name)
    for length in range(0, len(found.data), max(1, len(found.data) // 700)):
        assert refused(found.read, found.data[:length]) in found.failures
        if length:
            assert refused(found.read, found.data[length:]) in found.failures


@each
def test_attack_019_bytes_more_at_the_end_or_the_beginning_are_found(name: str) -> None:
    found = target(name)
    for more in range(1, 65):
        for filling in (bytes(more), b"\xf6" * more, found.data[:more], found.data[-more:]):
            assert refused(found.read, found.data + filling) in found.failures
            assert refused(found.read, filling + found.data) in found.failures


@each
@given(edit=st.data())
def test_attack_021_no_splice_is_taken(name: str, edit: st.DataObject) -> None:
    """A piece left out, doubled, moved or overwritten."""
    found = target(name)
    size = len(found.data)
    start = edit.draw(st.integers(0, size - 1))
    end = edit.draw(st.integers(start + 1, size))
    place = edit.draw(st.integers(0, size))
    piece = found.data[start:end]
    rest = found.data[:start] + found.data[end:]
    bad = edit.draw(
        st.sampled_from([
            rest, found.data[:place] + piece + found.data[place:], rest[:place] + piece + rest[place:],
            found.data[:start] + random_bytes("noise", end - start) + found.data[end:],
            found.data[:start] + piece[::-1] + found.data[end:], bytes(size), found.data[::-1],
        ])
    )  # fmt: skip
    if bad != found.data:
        assert refused(found.read, bad) in found.failures


PAYLOADS: dict[cose.Context, Callable[[bytes], object]] = {
    cose.Context.HEAD: lambda data: parse_head(data, account=ACCOUNT),
    cose.Context.KEYRING: lambda data: parse_keyring(data, account=ACCOUNT),
    cose.Context.RECEIPT: lambda data: verify_receipt(
        data, receipt_key=receipt_key().public, account=ACCOUNT, chain=Chain.HEAD, version=2, hash_=bytes(32),
        previous=None,
    ),
}  # fmt: skip


@pytest.mark.spec("SIG-1")
@pytest.mark.parametrize("context", PAYLOADS)
def test_attack_032_no_payload_is_decoded_before_its_signature_is_checked(
    context: cose.Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A payload that would be a bomb to a parser is never looked at without a signature."""
    decoded: list[bytes] = []
    decode = cbor.decode

    def watch(data: bytes, **named: Any) -> Any:
        decoded.append(bytes(data))
        return decode(data, **named)

    payload = b"\x81" * 10 + b"\x00"
    good = cose.sign(context, payload, ANN.sign.public, ANN.sign.sign)
    parts = cbor.decode(good)
    forged = cbor.encode([*parts[:3], bytes(64)])
    monkeypatch.setattr(cbor, "decode", watch)
    assert refused(PAYLOADS[context], forged) is Failure.SIGNATURE
    assert payload not in decoded
    with pytest.raises(UntrustedDataError):
        PAYLOADS[context](good)
    # A receipt by a stranger is not read even when the stranger's signature holds.
    assert (payload in decoded) is (context is not cose.Context.RECEIPT)


@pytest.mark.spec("SIG-1")
def test_attack_022_no_structure_is_taken_for_another() -> None:
    """Every signed structure, whole, in the place of every other."""
    readers = {name: target(name) for name in ("head", "first keyring", "handover", "receipt")}
    for given_name, given_target in readers.items():
        for name, found in readers.items():
            if name != given_name:
                assert refused(found.read, given_target.data) in found.failures


@pytest.mark.spec("HEAD-5")
def test_every_change_of_a_delta_is_found() -> None:
    names = sorted(random_bytes(f"object {number}") for number in range(4))
    said = Delta(tuple(names[:2]), tuple(names[2:]))
    head = history(1).add(chain()[0], delta=said)
    encoded = cbor.encode(said.to_cbor())
    for place in range(len(encoded)):
        for bit in range(8):
            bad = encoded[:place] + bytes((encoded[place] ^ 1 << bit,)) + encoded[place + 1 :]
            with pytest.raises(UntrustedDataError) as caught:
                check_delta(head, Delta.parse(cbor.decode(bad)))
            assert caught.value.failure in (Failure.ENCODING, Failure.SCHEMA, Failure.DELTA)
