"""Heads: form, signature, succession, and the delta they cover (chapter 09)."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol.builders import (
    ACCOUNT,
    OTHER_ACCOUNT,
    chain,
    head_fields,
    history,
    person,
    random_bytes,
    raw_head,
    refused,
)
from protocol.test_cbor import by_hand
from strongroom_protocol.errors import Failure
from strongroom_protocol.limits import LIMITS
from strongroom_protocol.manifest.head import Delta, Head, check_delta, check_follows, parse_head
from strongroom_protocol.wire import cose

NAMES = sorted(random_bytes(f"name {number}") for number in range(6))


def parse(message: bytes) -> Head:
    return parse_head(message, account=ACCOUNT)


def changed(**other: Any) -> Failure:
    """How head 2 fails with other values, by number of field (`_3=…`), signed again."""
    fields = head_fields(history(2).heads[1])
    return refused(parse, raw_head({**fields, **{int(key[1:]): value for key, value in other.items()}}))


def test_heads_come_back_with_their_signer_and_hash() -> None:
    for head in history(3).heads:
        assert parse(head.message) == head
        assert head.hash == hashlib.sha256(head.message).digest()
        assert head.signer == person("ann").sign.public


def test_the_fields_are_where_the_chapter_says() -> None:
    head = history(2).heads[1]
    assert head_fields(head) == {
        1: 1, 2: head.account, 3: 2, 4: head.previous, 5: 1, 6: chain()[0].hash, 7: 1, 8: person("ann").id,
        9: 2, 10: head.body, 11: 400, 12: head.log_root, 13: Delta().hash(), 14: 2000,
    }  # fmt: skip


@pytest.mark.spec("HEAD-1")
def test_only_version_1_has_no_predecessor() -> None:
    assert changed(_4=None) is Failure.SCHEMA
    assert changed(_3=1) is Failure.SCHEMA
    first = head_fields(history(1).heads[0])
    assert parse(raw_head(first)).previous is None
    assert refused(parse, raw_head({**first, 3: 2})) is Failure.SCHEMA
    assert refused(parse, raw_head({**first, 4: bytes(32)})) is Failure.SCHEMA


def test_a_head_of_another_account_is_refused() -> None:
    assert refused(parse_head, history(1).heads[0].message, account=OTHER_ACCOUNT) is Failure.ACCOUNT
    assert changed(_2=OTHER_ACCOUNT) is Failure.ACCOUNT


@pytest.mark.parametrize(
    ("field", "values"),
    [
        (1, [0, None]), (2, [b""]), (3, [0, -1, 2**53, None, "2"]), (4, [bytes(31)]), (5, [0, 2**53]), (6, [bytes(31)]),
        (7, [0, 2**32]), (8, [bytes(32)]), (9, [0, 2**53]), (10, [bytes(33)]), (11, [0, 2**40 + 1]), (12, [None]),
        (13, [None]), (14, [-1, 2**48]), (15, [None, 0]),
    ],
)  # fmt: skip
def test_another_shape_is_refused(field: int, values: list[Any]) -> None:
    for value in values:
        assert changed(**{f"_{field}": value}) is Failure.SCHEMA


def test_every_field_is_required_and_a_newer_format_asks_for_an_upgrade() -> None:
    fields = head_fields(history(2).heads[1])
    for key in fields:
        assert refused(parse, raw_head({k: v for k, v in fields.items() if k != key})) is Failure.SCHEMA
    assert changed(_1=2) is Failure.NEWER_FORMAT


def test_a_head_is_no_longer_than_the_limit() -> None:
    message = history(1).heads[0].message
    limits = replace(LIMITS, head_bytes=len(message) - 1)
    assert refused(parse_head, message, account=ACCOUNT, limits=limits) is Failure.LIMIT
    assert len(message) < LIMITS.head_bytes


def test_the_signature_of_another_structure_is_not_a_heads() -> None:
    head = history(1).heads[0]
    key = person("ann").sign
    for context in set(cose.Context) - {cose.Context.HEAD}:
        message = cose.sign(context, by_hand(head_fields(head)), key.public, key.sign)
        assert refused(parse, message) is Failure.SIGNATURE


@pytest.mark.spec("HEAD-2")
def test_a_successor_names_the_version_and_the_hash_before_it() -> None:
    heads = history(4).heads
    forked = history(4, label="fork").heads
    for new in heads:
        for old in heads:
            if new.version == old.version + 1:
                check_follows(new, old)
                assert refused(check_follows, new, forked[old.version - 1]) is Failure.CHAIN
            else:
                assert refused(check_follows, new, old) is Failure.CHAIN


@pytest.mark.spec("HEAD-2")
def test_the_right_predecessor_does_not_excuse_another_version() -> None:
    made = history(1)
    skipped = made.add(chain()[0], version=3)
    assert refused(check_follows, skipped, made.heads[0]) is Failure.CHAIN


@pytest.mark.spec("HEAD-3")
def test_a_head_never_goes_back_to_an_older_keyring() -> None:
    made = history(1, chain()[2])
    older = made.add(chain()[2], keyring_version=2)
    assert refused(check_follows, older, made.heads[0]) is Failure.KEYRING
    newer = history(1, chain()[0])
    check_follows(newer.add(chain()[1]), newer.heads[0])


@pytest.mark.spec("HEAD-4")
def test_a_head_never_goes_back_to_an_older_epoch() -> None:
    made = history(1, chain()[2])
    older = made.add(chain()[2], epoch=1)
    assert refused(check_follows, older, made.heads[0]) is Failure.EPOCH


def test_a_delta_is_sorted_distinct_and_disjoint() -> None:
    made = Delta.of([NAMES[3], NAMES[0], NAMES[3], NAMES[5]], [NAMES[5], NAMES[2], NAMES[1]])
    assert made == Delta((NAMES[0], NAMES[3]), (NAMES[1], NAMES[2]))
    assert made.hash() == hashlib.sha256(
        b"strongroom/v1/delta" + by_hand([[NAMES[0], NAMES[3]], [NAMES[1], NAMES[2]]])
    ).digest()  # fmt: skip


@given(st.lists(st.sampled_from(NAMES)), st.lists(st.sampled_from(NAMES)))
def test_deltas_come_back(adds: list[bytes], drops: list[bytes]) -> None:
    made = Delta.of(adds, drops)
    assert Delta.parse(made.to_cbor()) == made
    assert set(made.adds) == set(adds) - set(drops)
    assert set(made.drops) == set(drops) - set(adds)


@pytest.mark.spec("HEAD-9")
@pytest.mark.parametrize("names", [[1, 0], [0, 0], [0, 2, 1], [0, 1, 1]])
def test_names_out_of_order_or_twice_are_refused(names: list[int]) -> None:
    listed = [NAMES[number] for number in names]
    assert refused(Delta.parse, [listed, []]) is Failure.SCHEMA
    assert refused(Delta.parse, [[], listed]) is Failure.SCHEMA


@pytest.mark.spec("HEAD-10")
def test_no_name_is_both_added_and_dropped() -> None:
    assert refused(Delta.parse, [NAMES[:2], NAMES[1:3]]) is Failure.SCHEMA
    assert Delta.parse([NAMES[:2], NAMES[2:3]]).drops == (NAMES[2],)


@pytest.mark.parametrize("value", [[], [[]], [[], [], []], {}, None, [[b"short"], []], [[], [1]], [None, []]])
def test_another_shape_of_a_delta_is_refused(value: Any) -> None:
    assert refused(Delta.parse, value) is Failure.SCHEMA


def test_a_delta_has_a_bounded_number_of_names() -> None:
    limits = replace(LIMITS, delta_names=2)
    assert Delta.parse([NAMES[:2], NAMES[2:4]], limits)
    assert refused(Delta.parse, [NAMES[:3], []], limits) is Failure.SCHEMA
    assert refused(Delta.parse, [[], NAMES[:3]], limits) is Failure.SCHEMA


@pytest.mark.spec("HEAD-5")
def test_the_delta_is_the_signed_one() -> None:
    said = Delta((NAMES[0], NAMES[1]), (NAMES[2],))
    head = history(1).add(chain()[0], delta=said)
    check_delta(head, said)
    others = [
        Delta(), Delta(said.adds, ()), Delta((), said.drops), Delta(said.drops, said.adds),
        Delta((NAMES[0],), said.drops),        Delta(said.adds, (NAMES[3],)), Delta((NAMES[0], NAMES[1], NAMES[2])),
    ]  # fmt: skip
    for other in others:
        assert refused(check_delta, head, other) is Failure.DELTA
