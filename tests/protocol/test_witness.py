"""A witness only moves forward, along one log; what it says counts only with the relay's receipt (chapter 16)."""

from __future__ import annotations

from dataclasses import replace

import pytest

from protocol.builders import ACCOUNT, History, core, history, random_bytes, receipt_key, refused
from strongroom_protocol.errors import Failure
from strongroom_protocol.limits import LIMITS
from strongroom_protocol.manifest import witness
from strongroom_protocol.manifest.receipt import Chain, Receipt
from strongroom_protocol.manifest.witness import (
    Remembered,
    Statement,
    WitnessRequest,
    WitnessResponse,
    advance,
    check_witnessed,
    remembered_of,
    verify_statement,
)
from strongroom_protocol.wire import merkle

CORE, WITNESS, NONCE = core(), receipt_key("witness"), random_bytes("nonce")
PAST, OTHER = history(9), history(9, label="other")


def receipt(past: History, version: int, relay: str = "relay", chain: Chain = Chain.HEAD) -> bytes:
    head, key = past.heads[version - 1], receipt_key(relay)
    return Receipt(ACCOUNT, chain, version, head.hash, head.previous, 1).sign(key.public, key.sign)


def told(past: History, version: int, since: int = 0) -> WitnessRequest:
    """Head `version`, with a proof from head `since` on."""
    proof = past.consistency(since, version) if since else []
    head, peaks = past.heads[version - 1], past.peaks[version - 1]
    return WitnessRequest(CORE, head.message, receipt(past, version), NONCE, peaks, tuple(proof))


def after(known: Remembered | None, request: WitnessRequest) -> Remembered:
    assert WitnessRequest.parse(request.encode()) == request
    head, new = remembered_of(request)
    return advance(known, head, new, request.consistency)


@pytest.mark.spec("WIT-1", "WIT-2")
@pytest.mark.parametrize("known", range(1, 10))
@pytest.mark.parametrize("shown", range(1, 10))
def test_every_head_after_every_other(known: int, shown: int) -> None:
    before = after(None, told(PAST, known))
    assert before.log_root == merkle.tree_root(PAST.leaves(known))
    now = after(before, told(PAST, shown, known))
    assert now.version == max(known, shown)
    assert now.hash == PAST.heads[now.version - 1].hash
    assert after(before, told(OTHER, shown, min(known, shown))) == before


@pytest.mark.spec("WIT-2")
def test_a_gap_needs_its_proof() -> None:
    before = after(None, told(PAST, 3))
    assert after(before, told(PAST, 9)) == before
    assert after(before, told(PAST, 9, 2)) == before


@pytest.mark.spec("WIT-13")
def test_it_moves_on_by_no_leap(monkeypatch: pytest.MonkeyPatch) -> None:
    before = after(None, told(PAST, 3))
    monkeypatch.setattr(witness, "LIMITS", replace(LIMITS, head_step=5))
    assert after(before, told(PAST, 9, 3)) == before
    assert after(before, told(PAST, 8, 3)).version == 8


@pytest.mark.spec("RCPT-1", "RCPT-2", "ACC-1", "LOG-2")
def test_it_believes_nothing_without_the_relays_receipt() -> None:
    good = told(PAST, 5)
    assert refused(remembered_of, replace(good, receipt=receipt(PAST, 5, "forger"))) is Failure.SIGNER
    assert refused(remembered_of, replace(good, receipt=receipt(PAST, 4))) is Failure.RECEIPT
    assert refused(remembered_of, replace(good, receipt=receipt(PAST, 5, chain=Chain.KEYRING))) is Failure.RECEIPT
    assert refused(remembered_of, replace(good, core=core("other account"))) is Failure.ACCOUNT
    assert refused(remembered_of, replace(good, peaks=OTHER.peaks[4])) is Failure.LOG


def said(version: int = 5, *, nonce: bytes = NONCE, past: History = PAST) -> Statement:
    return Statement.of(after(None, told(past, version)), nonce=nonce, time=9, known=0)


def answer(statement: Statement, signer: str = "witness", of: bytes | None = None) -> WitnessResponse:
    key = receipt_key(signer)
    return WitnessResponse(statement.sign(key.public, key.sign), receipt(PAST, 5) if of is None else of)


def verified(given: WitnessResponse) -> Statement:
    found = WitnessResponse.parse(given.encode())
    return verify_statement(found, witness_key=WITNESS.public, core=CORE, nonce=NONCE)


@pytest.mark.spec("WIT-3", "WIT-4", "WIT-5", "ACC-1")
def test_a_statement() -> None:
    assert verified(answer(said())) == said()
    assert refused(verified, answer(said(), "relay")) is Failure.SIGNER
    assert refused(verified, answer(said(nonce=random_bytes("earlier")))) is Failure.CONTEXT
    assert refused(verified, answer(replace(said(), account=core("other account").account_id()))) is Failure.ACCOUNT


@pytest.mark.spec("WIT-5")
def test_a_witness_accuses_nobody_of_what_the_relay_did_not_sign() -> None:
    invented = replace(said(), version=6), replace(said(), hash=random_bytes("no head")), said(9)
    for statement in invented:
        assert refused(verified, answer(statement)) is Failure.RECEIPT
    assert refused(verified, answer(said(), of=receipt(PAST, 5, chain=Chain.KEYRING))) is Failure.RECEIPT
    assert refused(verified, answer(said(), of=receipt(PAST, 5, "forger"))) is Failure.SIGNER


@pytest.mark.spec("WIT-6", "WIT-7", "WIT-8")
@pytest.mark.parametrize("shown", range(1, 10))
def test_what_a_relay_shows_against_what_the_witness_knows(shown: int) -> None:
    statement = said()
    proof = PAST.consistency(5, shown)
    if shown < 5:
        assert refused(check_witnessed, statement, PAST.heads[shown - 1], proof) is Failure.ROLLBACK
        return
    check_witnessed(statement, PAST.heads[shown - 1], proof)
    expected = Failure.FORK if shown == 5 else Failure.LOG
    assert refused(check_witnessed, statement, OTHER.heads[shown - 1], OTHER.consistency(5, shown)) is expected
    if shown > 6:
        assert refused(check_witnessed, statement, PAST.heads[shown - 1], []) is Failure.LOG
