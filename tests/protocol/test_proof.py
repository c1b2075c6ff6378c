"""Two receipts that contradict each other prove a fork to anybody; nothing else does (chapter 16)."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol.builders import ACCOUNT, OTHER_ACCOUNT, core, random_bytes, receipt_key, refused
from strongroom_protocol.errors import Failure
from strongroom_protocol.limits import LIMITS
from strongroom_protocol.manifest.anchor import Anchor
from strongroom_protocol.manifest.proof import Evidence, ForkProof
from strongroom_protocol.manifest.receipt import Chain, Receipt
from strongroom_protocol.wire import cbor

CORE = core()


def receipt(
    version: int = 7, head: str = "head", previous: str | None = "before", *, chain: Chain = Chain.HEAD, time: int = 1,
    account: bytes = ACCOUNT, relay: str = "relay",
) -> bytes:  # fmt: skip
    """A receipt for the head called `head` on the one called `previous`."""
    key = receipt_key(relay)
    before = None if previous is None else random_bytes(previous)
    return Receipt(account, chain, version, random_bytes(head), before, time).sign(key.public, key.sign)


@pytest.mark.spec("FORK-1")
@pytest.mark.parametrize(
    "other",
    [
        receipt(head="another"),
        receipt(previous="another"),
        receipt(previous=None),
        receipt(8, "next", "not head"),
        receipt(6, "not before", "long before"),
    ],
)
def test_contradictions(other: bytes) -> None:
    for pair in ((receipt(), other), (other, receipt())):
        made = ForkProof.of(CORE, *pair)
        assert ForkProof.parse(made.encode()) == made


@pytest.mark.spec("FORK-1")
@pytest.mark.parametrize(
    "other",
    [
        receipt(),
        receipt(time=2),
        receipt(8, "next", "head"),
        receipt(6, "before", "long before"),
        receipt(9, "another", "another"),
        receipt(5, "another"),
        receipt(head="another", chain=Chain.KEYRING),
    ],
)
def test_what_an_honest_relay_may_sign(other: bytes) -> None:
    assert refused(ForkProof.of, CORE, receipt(), other) is Failure.RECEIPT
    assert refused(ForkProof.of, CORE, other, receipt()) is Failure.RECEIPT


@pytest.mark.spec("RCPT-1", "ACC-1")
def test_nobody_else_can_be_made_to_look_guilty() -> None:
    assert refused(ForkProof.of, CORE, receipt(), receipt(head="another", relay="forger")) is Failure.SIGNER
    assert refused(ForkProof.of, CORE, receipt(), receipt(head="another", account=OTHER_ACCOUNT)) is Failure.ACCOUNT
    assert refused(ForkProof.of, core("other account"), receipt(), receipt(head="another")) is Failure.ACCOUNT


@pytest.mark.spec("FORK-2", "FORK-3")
def test_a_file_that_is_too_long_is_not_decoded() -> None:
    junk = b"\xff" * (LIMITS.evidence_bytes + 1)
    assert refused(ForkProof.parse, junk) is Failure.LIMIT
    assert refused(Evidence.parse, junk) is Failure.LIMIT
    assert refused(ForkProof.parse, junk[1:]) is Failure.ENCODING
    assert refused(Evidence.parse, junk[1:]) is Failure.ENCODING


@given(st.lists(st.booleans(), min_size=2, max_size=12), st.data())
def test_no_two_receipts_of_one_chain_are_a_proof(again: list[bool], data: st.DataObject) -> None:
    """One head a version, each on the one before, some of them signed a second time: whichever two are taken."""
    signed = []
    for version, twice in enumerate(again, 1):
        previous = None if version == 1 else f"head {version - 1}"
        signed += [receipt(version, f"head {version}", previous, time=time) for time in range(1 + twice)]
    one, other = data.draw(st.sampled_from(signed)), data.draw(st.sampled_from(signed))
    assert refused(ForkProof.of, CORE, one, other) is Failure.RECEIPT


ANCHOR = Anchor(ACCOUNT, 2, random_bytes("keyring"), 7, random_bytes("head"), random_bytes("root"), 5)
OF_KEYRING = receipt(2, "keyring", "keyring 1", chain=Chain.KEYRING)


@pytest.mark.spec("FORK-5")
def test_evidence_is_what_its_anchor_says() -> None:
    for of_keyring in (OF_KEYRING, None):
        made = Evidence(CORE, ANCHOR, receipt(), of_keyring)
        assert Evidence.parse(made.encode()) == made
    for wrong in (receipt(8), receipt(head="another"), receipt(chain=Chain.KEYRING)):
        assert refused(Evidence.parse, Evidence(CORE, ANCHOR, wrong, None).encode()) is Failure.RECEIPT
        assert refused(Evidence.parse, Evidence(CORE, ANCHOR, receipt(), wrong).encode()) is Failure.RECEIPT


@pytest.mark.spec("FORK-4")
def test_evidence_of_two_accounts() -> None:
    theirs = Anchor(OTHER_ACCOUNT, 2, ANCHOR.keyring_hash, 7, ANCHOR.head_hash, ANCHOR.log_root, 5)
    assert refused(Evidence.parse, Evidence(CORE, theirs, receipt(), None).encode()) is Failure.ACCOUNT


def test_every_field_is_checked() -> None:
    made = cbor.decode(ForkProof.of(CORE, receipt(), receipt(head="another")).encode())
    for key in made:
        left = {other: value for other, value in made.items() if other != key}
        assert refused(ForkProof.parse, cbor.encode(left)) is Failure.SCHEMA
    assert refused(ForkProof.parse, cbor.encode(made | {1: 2})) is Failure.NEWER_FORMAT
