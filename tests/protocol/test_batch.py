"""Batches: signed by the device that made them, before anything of them is parsed (chapter 08)."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from typing import Any

import pytest

from protocol.builders import ACCOUNT, OTHER_ACCOUNT, opening, person, random_bytes, refused, sealed
from protocol.test_cbor import by_hand
from strongroom_protocol.engine.batch import CLOCK_MAX, Batch, parse_batch
from strongroom_protocol.errors import Failure
from strongroom_protocol.limits import LIMITS
from strongroom_protocol.seal.objects import ObjectType, open_object
from strongroom_protocol.wire import cbor

ANN, BOB = person("ann"), person("bob")
BATCH = Batch(ANN.id, 7, 1_000, (b"frame one", b"frame two"))
CONTENT = BATCH.sign(ACCOUNT, ANN.sign.public, ANN.sign.sign)
FIELDS: dict[int, Any] = {1: 1, 2: ANN.id, 3: 7, 4: [b"frame one", b"frame two"], 5: 1_000}


def entry(**other: Any) -> dict[str, Any]:
    """What the tail says of the batch."""
    return {"account": ACCOUNT, "device": ANN.id, "sequence": 7, "key": ANN.sign.public, **other}


def signed(body: bytes, *, context: bytes = b"batch", device: bytes = ANN.id, sequence: int = 7) -> bytes:
    """Any body, signed by ann for the entry that `device` and `sequence` make; the statement written by hand."""
    said = by_hand({1: ACCOUNT, 2: device, 3: sequence, 4: hashlib.sha256(body).digest()})
    protected = by_hand({1: -19, 4: ANN.sign.public})
    return ANN.sign.sign(by_hand(["Signature1", protected, b"strongroom/v1/" + context, said])) + body


def changed(**other: Any) -> Failure:
    """How the batch fails with other values, by number of field (`_3=…`), signed again."""
    fields = {**FIELDS, **{int(key[1:]): value for key, value in other.items()}}
    return refused(parse_batch, signed(by_hand(fields)), **entry())


def test_a_batch_comes_back_and_is_what_the_chapter_says() -> None:
    assert parse_batch(CONTENT, **entry()) == BATCH
    assert signed(by_hand(FIELDS)) == CONTENT
    assert BATCH.body() == by_hand(FIELDS)


@pytest.mark.spec("BATCH-1")
@pytest.mark.parametrize("length", [0, 1, 63, 64])
def test_a_batch_without_a_body_is_refused_before_anything_else(length: int) -> None:
    assert refused(parse_batch, CONTENT[:length], **entry()) is Failure.LIMIT


@pytest.mark.spec("BATCH-1")
def test_a_batch_over_the_limit_is_refused_before_anything_else() -> None:
    assert refused(parse_batch, bytes(4 * 1024 * 1024 + 1), **entry()) is Failure.LIMIT
    limits = replace(LIMITS, batch_bytes=len(CONTENT))
    assert parse_batch(CONTENT, **entry(), limits=limits) == BATCH
    limits = replace(LIMITS, batch_bytes=len(CONTENT) - 1)
    assert refused(parse_batch, CONTENT, **entry(), limits=limits) is Failure.LIMIT


@pytest.mark.spec("BATCH-2")
@pytest.mark.parametrize("other", [{2: BOB.id}, {3: 8}, {3: 6}, {2: BOB.id, 3: 8}])
def test_the_device_cannot_say_another_origin_inside_than_the_tail_says(other: dict[int, Any]) -> None:
    assert refused(parse_batch, signed(by_hand({**FIELDS, **other})), **entry()) is Failure.CONTEXT


@pytest.mark.parametrize(
    "other",
    [{"account": OTHER_ACCOUNT}, {"device": BOB.id}, {"sequence": 8}, {"key": BOB.sign.public}, {"key": bytes(32)}],
)
def test_a_batch_of_another_account_place_or_device_is_refused(other: dict[str, Any]) -> None:
    assert refused(parse_batch, CONTENT, **entry(**other)) is Failure.SIGNATURE


def test_a_batch_of_a_friend_does_not_pass_for_ones_own() -> None:
    by_bob = replace(BATCH, device=BOB.id).sign(ACCOUNT, BOB.sign.public, BOB.sign.sign)
    assert parse_batch(by_bob, **entry(device=BOB.id, key=BOB.sign.public)).device == BOB.id
    assert refused(parse_batch, by_bob, **entry()) is Failure.SIGNATURE
    assert refused(parse_batch, by_bob, **entry(device=BOB.id)) is Failure.SIGNATURE


@pytest.mark.parametrize("context", [b"head", b"keyring", b"receipt", b"unlock", b"root-handover", b""])
def test_what_the_device_signed_for_another_purpose_is_no_batch(context: bytes) -> None:
    assert refused(parse_batch, signed(by_hand(FIELDS), context=context), **entry()) is Failure.SIGNATURE


def test_nothing_is_decoded_before_the_signature_is_checked(monkeypatch: pytest.MonkeyPatch) -> None:
    decoded: list[bytes] = []
    decode = cbor.decode

    def count(data: bytes, **named: Any) -> Any:
        decoded.append(data)
        return decode(data, **named)

    monkeypatch.setattr(cbor, "decode", count)
    for bad in (CONTENT[:64] + b"\x81" * 60, CONTENT[:64] + b"\xff" * 100, bytes(64) + CONTENT[64:], CONTENT + b"\0"):
        assert refused(parse_batch, bad, **entry()) is Failure.SIGNATURE
    assert decoded == []
    parse_batch(CONTENT, **entry())
    assert decoded == [CONTENT[64:]]


@pytest.mark.parametrize(
    ("field", "values"),
    [
        (1, [0, None]), (2, [b"", bytes(15), bytes(32), None]), (3, [0, -1, 2**53, None]),
        (4, [[], None, {}, b"frame", [None], ["frame"], [b"f"] * 4097]), (5, [-1, CLOCK_MAX + 1, None, True]),
        (6, [None, 0]),
    ],
)  # fmt: skip
def test_another_shape_is_refused(field: int, values: list[Any]) -> None:
    for value in values:
        assert changed(**{f"_{field}": value}) is Failure.SCHEMA


def test_every_field_is_required_and_a_newer_format_asks_for_an_upgrade() -> None:
    for key in FIELDS:
        body = by_hand({k: v for k, v in FIELDS.items() if k != key})
        assert refused(parse_batch, signed(body), **entry()) is Failure.SCHEMA
    assert changed(_1=2) is Failure.NEWER_FORMAT
    assert refused(parse_batch, signed(by_hand(FIELDS) + b"\0"), **entry()) is Failure.ENCODING


def test_the_ends_of_the_ranges_are_accepted() -> None:
    most = Batch(ANN.id, 2**53 - 1, CLOCK_MAX, (b"",) * LIMITS.frame_rows)
    content = most.sign(ACCOUNT, ANN.sign.public, ANN.sign.sign)
    assert parse_batch(content, **entry(sequence=2**53 - 1)) == most


def test_a_batch_sealed_again_in_another_epoch_is_the_same_batch() -> None:
    names = set()
    for epoch in (1, 2):
        name, data = sealed(CONTENT, ObjectType.BATCH, epoch, sequence=7, randomness=random_bytes(f"epoch {epoch}"))
        _, content = open_object(opening(1, 2), ACCOUNT, name, data, ObjectType.BATCH)
        assert parse_batch(content, **entry()) == BATCH
        names.add(name)
    assert len(names) == 2
