"""Recovery codes: what people write down comes back, and typing errors are found (chapter 04)."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol.builders import random_bytes, refused
from strongroom_protocol.errors import Failure, UntrustedDataError
from strongroom_protocol.keys import recovery_code
from strongroom_protocol.keys.secrets import RecoveryCode

ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"  # Crockford: no I, L, O, U
CODE = RecoveryCode(random_bytes("code", 20))


def by_hand(value: bytes) -> str:
    """The form of chapter 04, computed with a table of GF(32) (x^5 + x^2 + 1) instead of shifts."""
    powers = [1]
    while len(powers) < 31:
        double = powers[-1] * 2
        powers.append(double ^ 0b100101 if double >= 32 else double)

    def times(value: int, exponent: int) -> int:
        return 0 if value == 0 else powers[(powers.index(value) + exponent) % 31]

    bits = "".join(f"{byte:08b}" for byte in value)
    symbols = [int(bits[place : place + 5], 2) for place in range(0, 160, 5)]
    groups = []
    for number in range(8):
        four = symbols[4 * number : 4 * number + 4]
        check = times(number, 4)
        for place, symbol in enumerate(four):
            check ^= times(symbol, 4 - place)
        groups.append("".join(ALPHABET[symbol] for symbol in [*four, check]))
    return "-".join(groups)


@given(st.binary(min_size=20, max_size=20))
def test_codes_come_back(value: bytes) -> None:
    text = recovery_code.render(RecoveryCode(value))
    assert text == by_hand(value)
    assert recovery_code.parse(text).reveal() == value


def test_what_people_type_is_understood() -> None:
    text = recovery_code.render(CODE)
    looks = text.replace("0", "o").replace("1", "l").replace("V", "u")
    for typed in (
        text.lower(), text.replace("-", ""), text.replace("-", " "), f"  {text}\n", text.replace("-", " - "),
        looks, text.replace("1", "I"), text.replace("0", "O"), "-".join(text.replace("-", "")),
    ):  # fmt: skip
        assert recovery_code.parse(typed) == CODE
    everything = RecoveryCode(int("00001000010000100001" * 8, 2).to_bytes(20, "big"))
    assert recovery_code.parse(recovery_code.render(everything).replace("1", "i").replace("0", "O")) == everything


@pytest.mark.spec("CODE-1")
@pytest.mark.parametrize("change", [-40, -39, -5, -1, 1, 5])
def test_a_code_of_another_length_is_refused(change: int) -> None:
    text = recovery_code.render(CODE).replace("-", "")
    typed = text[:change] if change < 0 else text + text[:change]
    assert refused(recovery_code.parse, typed) is Failure.CODE
    assert refused(recovery_code.parse, "") is Failure.CODE


@pytest.mark.spec("CODE-1")
def test_a_whole_group_too_many_is_refused() -> None:
    text = recovery_code.render(CODE)
    assert refused(recovery_code.parse, f"{text}-00000") is Failure.CODE
    assert refused(recovery_code.parse, f"{text}-{text}") is Failure.CODE


@pytest.mark.spec("CODE-2")
@pytest.mark.parametrize("char", ["*", "!", "é", "\u0660", "\uff10", ".", "\u0130"])
def test_a_character_outside_the_alphabet_is_refused(char: str) -> None:
    text = recovery_code.render(CODE)
    for place in range(len(text)):
        if text[place] != "-":
            assert refused(recovery_code.parse, text[:place] + char + text[place + 1 :]) is Failure.CODE


@pytest.mark.spec("CODE-2")
def test_a_wrong_character_is_never_taken_for_the_one_with_its_number() -> None:
    """A group that checks out with the missing character counted as -1 is refused all the same."""
    text = recovery_code.render(CODE)
    for group in range(8):
        for place in range(5):
            groups = text.split("-")
            for check in ALPHABET:
                groups[group] = (groups[group][:4] + check)[:5]
                typed = [*groups[group]]
                typed[place] = "*"
                with pytest.raises(UntrustedDataError) as caught:
                    recovery_code.parse("-".join([*groups[:group], "".join(typed), *groups[group + 1 :]]))
                assert "has a character that is not used" in str(caught.value)


@pytest.mark.spec("CODE-3")
def test_every_wrong_character_is_found_and_its_group_named() -> None:
    text = recovery_code.render(CODE)
    for place, right in enumerate(text):
        for wrong in ALPHABET:
            if right != "-" and wrong != right:
                with pytest.raises(UntrustedDataError) as caught:
                    recovery_code.parse(text[:place] + wrong + text[place + 1 :])
                assert caught.value.failure is Failure.CODE
                assert f"group {place // 6 + 1} " in str(caught.value)


@pytest.mark.spec("CODE-3")
@given(st.binary(min_size=20, max_size=20))
def test_swapped_neighbours_and_swapped_groups_are_found(value: bytes) -> None:
    text = by_hand(value)
    groups = text.split("-")
    for place in range(len(text) - 1):
        one, two = text[place], text[place + 1]
        if "-" not in (one, two) and one != two:
            assert refused(recovery_code.parse, text[:place] + two + one + text[place + 2 :]) is Failure.CODE
    for number in range(7):
        swapped = [*groups[:number], groups[number + 1], groups[number], *groups[number + 2 :]]
        assert refused(recovery_code.parse, "-".join(swapped)) is Failure.CODE


def test_no_typo_repeats_the_code() -> None:
    text = recovery_code.render(CODE)
    with pytest.raises(UntrustedDataError) as caught:
        recovery_code.parse(text[:-1] + ("0" if text[-1] != "0" else "1"))
    assert not any(group in f"{caught.value} {caught.value.hint}" for group in text.split("-"))
