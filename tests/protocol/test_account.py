"""The account id commits to the root, the relay's receipt key and randomness (chapter 04)."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from typing import Any

import pytest

from protocol.builders import ACCOUNT, OTHER_ACCOUNT, core, refused
from protocol.test_cbor import by_hand
from strongroom_protocol.errors import Failure
from strongroom_protocol.manifest.account import GenesisCore, require_account


def test_the_id_is_a_labelled_hash_of_the_core() -> None:
    made = core()
    encoded = by_hand({1: 1, 2: made.root_key, 3: made.receipt_key, 4: made.randomness})
    assert made.account_id() == hashlib.sha256(b"strongroom/v1/account-id" + encoded).digest()


def test_every_part_of_the_core_changes_the_id() -> None:
    parts: list[dict[str, Any]] = [{"root_key": bytes(32)}, {"receipt_key": bytes(32)}, {"randomness": bytes(32)}]
    ids = {replace(core(), **part).account_id() for part in parts}
    assert len(ids | {ACCOUNT}) == 4


def test_a_core_comes_back_and_another_shape_is_refused() -> None:
    fields = core().to_cbor()
    assert GenesisCore.parse(fields) == core()
    assert refused(GenesisCore.parse, {**fields, 5: 0}) is Failure.SCHEMA
    assert refused(GenesisCore.parse, {**fields, 1: 2}) is Failure.NEWER_FORMAT
    for key in fields:
        assert refused(GenesisCore.parse, {k: v for k, v in fields.items() if k != key}) is Failure.SCHEMA
        assert refused(GenesisCore.parse, {**fields, key: b"short"}) is Failure.SCHEMA


@pytest.mark.spec("ACC-1")
def test_a_structure_of_another_account_is_refused() -> None:
    require_account(ACCOUNT, ACCOUNT, "x")
    for other in (OTHER_ACCOUNT, bytes(32), b"", ACCOUNT[:31], ACCOUNT + b"\0"):
        assert refused(require_account, other, ACCOUNT, "x") is Failure.ACCOUNT
