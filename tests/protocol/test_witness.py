"""A witness only moves forward, along one log; what it says counts only with the relay's receipt (chapter 16)."""

from __future__ import annotations

from dataclasses import replace

import pytest

from protocol.builders import ACCOUNT, History, core, history, random_bytes, receipt_key, refused
from strongroom_protocol.errors import Failure
from strongroom_protocol.limits import LIMITS
from strongroom_protocol.manifest import witness
from strongroom_protocol.manifest.account import GenesisCore
from strongroom_protocol.manifest.receipt import Chain, Receipt
from strongroom_protocol.manifest.witness import (
    Remembered,
    Seen,
    Signed,
    Statement,
    WitnessRequest,
    WitnessResponse,
    advance,
    check_witnessed,
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
    return WitnessRequest(CORE, Signed(head.message, receipt(past, version), peaks), NONCE, tuple(proof))


def seen(past: History, version: int) -> Seen:
    return Seen.check(told(past, version).signed, CORE)


def after(known: Remembered | None, request: WitnessRequest) -> Remembered:
    assert WitnessRequest.parse(request.encode()) == request
    return advance(known, Seen.check(request.signed, CORE), request.consistency)


@pytest.mark.spec("WIT-1", "WIT-2", "WIT-14")
@pytest.mark.parametrize("known", range(1, 10))
@pytest.mark.parametrize("shown", range(1, 10))
def test_every_head_after_every_other(known: int, shown: int) -> None:
    before = after(None, told(PAST, known))
    assert before.kept.log_root == merkle.tree_root(PAST.leaves(known))
    assert after(before, told(PAST, shown, known)) == Remembered(seen(PAST, max(known, shown)))
    strange = Remembered(before.kept, seen(OTHER, shown)) if shown > known else before
    assert after(before, told(OTHER, shown, min(known, shown))) == strange


@pytest.mark.spec("WIT-2", "WIT-14")
def test_what_comes_without_its_proof_is_known_beside_and_the_highest_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    kept, six, eight = seen(PAST, 3), seen(PAST, 6), seen(PAST, 8)
    before = after(None, told(PAST, 3))
    assert after(before, told(PAST, 8, 2)) == after(before, told(PAST, 8)) == Remembered(kept, eight)
    both = Remembered(kept, six)
    assert after(both, told(PAST, 5)) == after(both, told(OTHER, 6)) == both
    assert after(both, told(PAST, 8)) == Remembered(kept, eight)
    assert after(both, told(PAST, 5, 3)) == Remembered(seen(PAST, 5), six)
    assert after(both, told(PAST, 6, 3)) == Remembered(six)
    assert after(both, told(PAST, 7, 3)) == Remembered(seen(PAST, 7))


@pytest.mark.spec("WIT-13")
def test_it_moves_on_by_no_leap(monkeypatch: pytest.MonkeyPatch) -> None:
    before = after(None, told(PAST, 3))
    monkeypatch.setattr(witness, "LIMITS", replace(LIMITS, head_step=5))
    assert after(before, told(PAST, 9, 3)) == after(before, told(PAST, 9)) == before
    assert after(before, told(PAST, 8, 3)) == Remembered(seen(PAST, 8))


@pytest.mark.spec("RCPT-1", "RCPT-2", "ACC-1", "LOG-2")
def test_nobody_believes_anything_without_the_relays_receipt() -> None:
    good = told(PAST, 5).signed

    def check(bad: Signed, under: GenesisCore = CORE) -> Failure:
        return refused(Seen.check, bad, under)

    assert check(replace(good, receipt=receipt(PAST, 5, "forger"))) is Failure.SIGNER
    assert check(replace(good, receipt=receipt(PAST, 4))) is Failure.RECEIPT
    assert check(replace(good, receipt=receipt(PAST, 5, chain=Chain.KEYRING))) is Failure.RECEIPT
    assert check(good, core("other account")) is Failure.ACCOUNT
    assert check(replace(good, peaks=OTHER.peaks[4])) is Failure.LOG


def said(*versions: int, nonce: bytes = NONCE, past: History = PAST) -> Statement:
    return Statement(ACCOUNT, tuple(seen(past, version) for version in versions), nonce, 9, 0)


def answer(statement: Statement, signer: str = "witness") -> WitnessResponse:
    key = receipt_key(signer)
    return statement.sign(key.public, key.sign)


def verified(given: WitnessResponse) -> Statement:
    found = WitnessResponse.parse(given.encode())
    return verify_statement(found, witness_key=WITNESS.public, core=CORE, nonce=NONCE)


@pytest.mark.spec("WIT-3", "WIT-4", "WIT-5", "ACC-1")
def test_a_statement() -> None:
    assert verified(answer(said(5))) == said(5)
    assert verified(answer(said(5, 8))) == said(5, 8)
    assert said(5, 8).newest == seen(PAST, 8)
    assert refused(verified, answer(said(5), "relay")) is Failure.SIGNER
    assert refused(verified, answer(said(5, nonce=random_bytes("earlier")))) is Failure.CONTEXT
    assert refused(verified, answer(replace(said(5), account=core("other account").account_id()))) is Failure.ACCOUNT


@pytest.mark.spec("WIT-5")
def test_a_witness_accuses_nobody_of_what_the_relay_did_not_sign() -> None:
    good = answer(said(5))
    (signed,) = good.signed
    for others in (answer(said(6)).signed, answer(said(5, past=OTHER)).signed, (*good.signed, *good.signed)):
        assert refused(verified, replace(good, signed=others)) is Failure.RECEIPT
    assert refused(verified, replace(answer(said(5, 6)), signed=good.signed)) is Failure.RECEIPT
    forged = replace(signed, receipt=receipt(PAST, 5, "forger"))
    assert refused(verified, replace(good, signed=(forged,))) is Failure.SIGNER
    invented = replace(signed, peaks=(random_bytes("peak"),))
    assert refused(verified, replace(good, signed=(invented,))) is Failure.LOG


@pytest.mark.spec("WIT-6", "WIT-7", "WIT-8")
@pytest.mark.parametrize("shown", range(1, 10))
def test_what_a_relay_shows_against_what_the_witness_knows(shown: int) -> None:
    known = seen(PAST, 5)
    proof = PAST.consistency(5, shown)
    if shown < 5:
        assert refused(check_witnessed, known, PAST.heads[shown - 1], proof) is Failure.ROLLBACK
        return
    check_witnessed(known, PAST.heads[shown - 1], proof)
    expected = Failure.FORK if shown == 5 else Failure.LOG
    assert refused(check_witnessed, known, OTHER.heads[shown - 1], OTHER.consistency(5, shown)) is expected
    if shown > 6:
        assert refused(check_witnessed, known, PAST.heads[shown - 1], []) is Failure.LOG
