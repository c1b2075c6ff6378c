"""Receipts: for exactly one version of one chain, by the account's relay, and proofs of a fork (chapter 09)."""

from __future__ import annotations

import itertools
from dataclasses import replace
from typing import Any

import pytest

from protocol.builders import ACCOUNT, OTHER_ACCOUNT, person, random_bytes, receipt_key, refused
from protocol.test_cbor import by_hand
from strongroom_protocol.errors import Failure
from strongroom_protocol.limits import LIMITS
from strongroom_protocol.manifest.receipt import Chain, Receipt, verify_receipt
from strongroom_protocol.wire import cbor, cose

RECEIPT = Receipt(ACCOUNT, Chain.HEAD, 7, random_bytes("seven"), random_bytes("six"), 7000)
MESSAGE = RECEIPT.sign(receipt_key().public, receipt_key().sign)


def asked(**other: Any) -> dict[str, Any]:
    return {
        "receipt_key": receipt_key().public, "account": ACCOUNT, "chain": Chain.HEAD, "version": 7,
        "hash_": random_bytes("seven"), "previous": random_bytes("six"), **other,
    }  # fmt: skip


def raw(payload: Any, context: cose.Context = cose.Context.RECEIPT) -> bytes:
    return cose.sign(context, by_hand(payload), receipt_key().public, receipt_key().sign)


FIELDS = {1: ACCOUNT, 2: 2, 3: 7, 4: random_bytes("seven"), 5: random_bytes("six"), 6: 7000}


def test_a_receipt_comes_back() -> None:
    assert verify_receipt(MESSAGE, **asked()) == RECEIPT
    assert raw(FIELDS) == MESSAGE
    first = Receipt(ACCOUNT, Chain.KEYRING, 1, bytes(32), None, 0)
    message = first.sign(receipt_key().public, receipt_key().sign)
    named = asked(chain=Chain.KEYRING, version=1, hash_=bytes(32), previous=None)
    assert verify_receipt(message, **named) == first


@pytest.mark.spec("RCPT-1")
@pytest.mark.parametrize("key", [receipt_key("other").public, person("ann").sign.public, bytes(32)])
def test_only_the_accounts_relay_gives_receipts(key: bytes) -> None:
    assert refused(verify_receipt, MESSAGE, **asked(receipt_key=key)) is Failure.SIGNER


@pytest.mark.spec("RCPT-2")
@pytest.mark.parametrize(
    "other",
    [{"chain": Chain.KEYRING}, {"version": 8}, {"version": 6}, {"hash_": bytes(32)}, {"previous": None},
     {"previous": random_bytes("seven")}],
)  # fmt: skip
def test_a_receipt_is_for_one_version_of_one_chain(other: dict[str, Any]) -> None:
    assert refused(verify_receipt, MESSAGE, **asked(**other)) is Failure.RECEIPT


def test_a_receipt_of_another_account_is_refused() -> None:
    assert refused(verify_receipt, MESSAGE, **asked(account=OTHER_ACCOUNT)) is Failure.ACCOUNT


@pytest.mark.parametrize("context", sorted(set(cose.Context) - {cose.Context.RECEIPT}))
def test_what_the_relay_signed_for_another_purpose_is_no_receipt(context: cose.Context) -> None:
    assert refused(verify_receipt, raw(FIELDS, context), **asked()) is Failure.SIGNATURE


@pytest.mark.parametrize(
    "other", [{1: b""}, {2: 0}, {2: 3}, {2: True}, {3: 0}, {4: b""}, {5: b""}, {6: -1}, {6: 2**48}, {7: 0}]
)
def test_another_shape_is_refused(other: dict[int, Any]) -> None:
    assert refused(verify_receipt, raw({**FIELDS, **other}), **asked()) is Failure.SCHEMA


def test_every_field_is_required_and_the_length_is_bounded() -> None:
    for key in FIELDS:
        message = raw({k: v for k, v in FIELDS.items() if k != key})
        assert refused(verify_receipt, message, **asked()) is Failure.SCHEMA
    limits = replace(LIMITS, receipt_bytes=len(MESSAGE) - 1)
    assert refused(verify_receipt, MESSAGE, **asked(), limits=limits) is Failure.LIMIT


def test_two_receipts_prove_a_fork_exactly_when_they_cannot_both_be_true() -> None:
    later = replace(RECEIPT, time=9000)
    for one, other in itertools.product((RECEIPT, later), repeat=2):
        assert not one.contradicts(other)
    following = replace(RECEIPT, version=RECEIPT.version + 1, hash=bytes(32), previous=RECEIPT.hash)
    preceding = replace(RECEIPT, version=RECEIPT.version - 1, hash=RECEIPT.previous or b"", previous=None)
    distant = replace(following, version=RECEIPT.version + 2)
    for honest in (following, preceding, distant):
        assert not RECEIPT.contradicts(honest)
        assert not honest.contradicts(RECEIPT)
    for forked in (
        replace(RECEIPT, hash=bytes(32)),
        replace(RECEIPT, previous=bytes(32)),
        replace(later, previous=None),
        replace(following, previous=bytes(32)),
        replace(following, previous=None),
        replace(preceding, hash=bytes(32)),
    ):
        assert RECEIPT.contradicts(forked)
        assert forked.contradicts(RECEIPT)
        for elsewhere in (
            replace(forked, account=OTHER_ACCOUNT), replace(forked, chain=Chain.KEYRING),
            replace(forked, version=forked.version + 5),
        ):  # fmt: skip
            assert not RECEIPT.contradicts(elsewhere)


def test_the_payload_is_deterministic() -> None:
    assert cbor.decode(cbor.decode(MESSAGE)[2]) == FIELDS
    assert RECEIPT.sign(receipt_key().public, receipt_key().sign) == MESSAGE
