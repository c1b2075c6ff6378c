"""An anchor refuses what is older, other, or of another log; its text shows typos (chapter 16)."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol.builders import ACCOUNT, OTHER_ACCOUNT, chain, history, person, random_bytes, refused, signed, with_device
from strongroom_protocol.errors import Failure, InvalidArgument, UntrustedDataError
from strongroom_protocol.manifest.anchor import PREFIX, Anchor, check_anchored_head, check_anchored_keyrings
from strongroom_protocol.manifest.pin import Pin, accept_head
from strongroom_protocol.wire import merkle

PAST = history(9)
OTHER = history(9, label="other")


def anchor_at(version: int) -> Anchor:
    """What a device that has pinned head `version` of the history gives out."""
    keyring = chain()[0]
    pin = Pin(
        ACCOUNT, keyring.version, keyring.hash, version, PAST.heads[version - 1].hash, 1, PAST.peaks[version - 1]
    )  # fmt: skip
    return Anchor.of(pin, 1_700_000_000_000)


@pytest.mark.parametrize("at", range(1, 10))
def test_its_root_is_that_of_the_log_that_ends_in_its_head(at: int) -> None:
    assert anchor_at(at).log_root == merkle.tree_root(PAST.leaves(at))


@pytest.mark.spec("ANCH-5", "ANCH-6", "ANCH-7")
@pytest.mark.parametrize("at", range(1, 10))
@pytest.mark.parametrize("shown", range(1, 10))
def test_every_head_against_every_anchor(at: int, shown: int) -> None:
    anchor, proof = anchor_at(at), PAST.consistency(at, shown)
    if shown < at:
        assert refused(check_anchored_head, anchor, PAST.heads[shown - 1], proof) is Failure.ROLLBACK
    else:
        check_anchored_head(anchor, PAST.heads[shown - 1], proof)
    stray = OTHER.consistency(at, shown)
    expected = Failure.ROLLBACK if shown < at else Failure.FORK if shown == at else Failure.LOG
    assert refused(check_anchored_head, anchor, OTHER.heads[shown - 1], stray) is expected


@pytest.mark.spec("ANCH-7")
def test_a_newer_head_needs_its_proof() -> None:
    assert refused(check_anchored_head, anchor_at(3), PAST.heads[8], []) is Failure.LOG
    assert refused(check_anchored_head, anchor_at(3), PAST.heads[8], PAST.consistency(2, 9)) is Failure.LOG


@pytest.mark.spec("ANCH-3", "ANCH-4")
def test_the_chain_must_hold_the_anchors_keyring() -> None:
    first, second, third = chain()
    anchor = replace(anchor_at(3), keyring_version=2, keyring_hash=second.hash)
    check_anchored_keyrings(anchor, [first, second])
    check_anchored_keyrings(anchor, [first, second, third])
    assert refused(check_anchored_keyrings, anchor, [first]) is Failure.ROLLBACK
    other = signed(replace(with_device(), time=2001))
    assert refused(check_anchored_keyrings, anchor, [first, other]) is Failure.FORK


@pytest.mark.spec("ACC-1")
def test_of_another_account() -> None:
    anchor = replace(anchor_at(3), account=OTHER_ACCOUNT)
    assert refused(check_anchored_keyrings, anchor, [chain()[0]]) is Failure.ACCOUNT
    assert refused(check_anchored_head, anchor, PAST.heads[2], []) is Failure.ACCOUNT


def test_there_is_none_before_a_head_was_seen() -> None:
    with pytest.raises(InvalidArgument):
        Anchor.of(Pin(ACCOUNT, 1, random_bytes("keyring")), 0)


def test_what_was_accepted_is_what_is_anchored() -> None:
    keyring = chain()[0]
    pin = Pin(ACCOUNT, keyring.version, keyring.hash)
    head = PAST.heads[4]
    pin = accept_head(pin, keyring, head, peaks=PAST.peaks[4], consistency=[], cut_path=[])
    check_anchored_head(Anchor.of(pin, 0), head, [])
    assert person("ann").id == head.device


@pytest.mark.spec("ANCH-1")
def test_the_text_can_be_wrapped_and_retyped() -> None:
    anchor = anchor_at(5)
    text = anchor.to_text()
    assert text.startswith(PREFIX)
    assert len(text) < 300
    for typed in (
        text,
        text.lower(),
        text.upper(),
        "  ".join(text),
        "\n".join(text[at : at + 7] for at in range(0, 300, 7)),
    ):
        assert Anchor.from_text(typed) == anchor
    for typed in ("", "strongroom-link:" + text, text.removeprefix(PREFIX), text + "\n" * 1024):
        assert refused(Anchor.from_text, typed) is Failure.CODE


@pytest.mark.spec("ANCH-2")
def test_every_cut_is_noticed() -> None:
    text = anchor_at(5).to_text()
    for end in range(len(PREFIX), len(text)):
        assert refused(Anchor.from_text, text[:end]) is Failure.CODE


@pytest.mark.spec("ANCH-8")
@pytest.mark.parametrize("letter", ["0", "1", "8", "=", "-", "\u00e9", "\u017f"])
def test_a_letter_that_is_none(letter: str) -> None:
    text = anchor_at(5).to_text()
    assert refused(Anchor.from_text, text[:50] + letter + text[51:]) is Failure.CODE
    assert refused(Anchor.from_text, PREFIX + "A" * 9) is Failure.CODE


@given(st.integers(min_value=len(PREFIX), max_value=270), st.sampled_from("ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"))
def test_a_wrong_letter_is_noticed_or_changes_nothing(at: int, letter: str) -> None:
    anchor = anchor_at(5)
    text = anchor.to_text()
    typed = text[:at] + letter + text[at + 1 :]
    if typed.lower() == text.lower():
        assert Anchor.from_text(typed) == anchor
    else:
        with pytest.raises(UntrustedDataError) as caught:
            Anchor.from_text(typed)
        assert caught.value.failure is Failure.CODE
