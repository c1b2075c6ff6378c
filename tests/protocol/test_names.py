"""One normal form of what people type (chapter 04)."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from strongroom_protocol.errors import InvalidArgument
from strongroom_protocol.keys.names import account_name, passphrase

_PRINTED = st.characters(exclude_categories=("Cc", "Cs", "Cn"))


@pytest.mark.spec("KDF-4")
@given(st.text(_PRINTED, min_size=1, max_size=60))
def test_attack_015_a_passphrase_is_the_same_on_every_keyboard(typed: str) -> None:
    normal = passphrase(unicodedata.normalize("NFC", typed))
    assert passphrase(unicodedata.normalize("NFD", typed)) == normal
    for end in ("\n", "\r\n", "\r"):
        assert passphrase(typed + end) == passphrase(typed)
    assert passphrase(normal.reveal().decode()) == normal


@pytest.mark.spec("KDF-4")
@pytest.mark.parametrize("space", [c for c in map(chr, range(0x3001)) if unicodedata.category(c) == "Zs"])
def test_attack_015_every_space_is_a_space(space: str) -> None:
    assert passphrase(f"correct{space}horse").reveal() == b"correct horse"


@pytest.mark.spec("KDF-4")
def test_attack_015_composed_and_decomposed_letters_are_one() -> None:
    assert passphrase("caf\u00e9").reveal() == passphrase("cafe\u0301").reveal() == b"caf\xc3\xa9"
    assert passphrase("\u212b").reveal() == "\u00c5".encode()


def test_what_tells_passphrases_apart_is_kept() -> None:
    kinds = ["Horse", "horse", " horse", "horse ", "ho rse", "ho  rse", "ﬁn", "fin", "①", "1", "\uff21", "A"]
    assert len({passphrase(typed).reveal() for typed in kinds}) == len(kinds)


@pytest.mark.parametrize(
    "typed", ["", "\n", "\r\n", "a\tb", "a\nb", "\x00", "a\x7f", "\n\n", "a\n\n", "\x1b[2J", "\ud800"]
)
def test_control_characters_and_nothing_are_no_passphrase(typed: str) -> None:
    with pytest.raises(InvalidArgument):
        passphrase(typed)


def test_a_refusal_does_not_repeat_what_was_typed() -> None:
    for typed in ("correct\thorse", "horse" * 300):
        with pytest.raises(InvalidArgument) as caught:
            passphrase(typed)
        assert "horse" not in f"{caught.value!r} {caught.value.hint}"


def test_a_passphrase_has_a_bounded_length_in_bytes_after_normalisation() -> None:
    assert len(passphrase("e\u0301" * 512).reveal()) == 1024
    for typed in ("e\u0301" * 513, "x" * 1025, "🔑" * 257):
        with pytest.raises(InvalidArgument):
            passphrase(typed)


@pytest.mark.spec("KDF-5")
@pytest.mark.parametrize(
    ("typed", "normal"),
    [
        ("Ann", "ann"), ("ANN", "ann"), ("Straße", "strasse"), ("\uff21\uff4e\uff4e", "ann"), ("ﬁn", "fin"), ("①", "1"),
        ("Å", "å"), ("cafe\u0301", "café"), ("\u0391\u03a3", "\u03b1\u03c3"),
        ("ann.b_c@d+e-f", "ann.b_c@d+e-f"), ("徐", "徐"),
        ("\u01c4", "d\u017e"), ("\u212a", "k"),
    ],
)  # fmt: skip
def test_an_account_name_is_the_same_name_everywhere(typed: str, normal: str) -> None:
    assert account_name(typed) == normal


@pytest.mark.spec("KDF-5")
@given(st.text(st.characters(categories=("L", "Nd")), min_size=1, max_size=20))
def test_a_normal_name_stays_as_it_is(typed: str) -> None:
    try:
        normal = account_name(typed)
    except InvalidArgument:
        return  # its normal form has a character that names do not have
    assert account_name(normal) == normal == unicodedata.normalize("NFKC", normal)
    for other in (unicodedata.normalize("NFD", typed), unicodedata.normalize("NFKC", typed)):
        assert account_name(other) == normal


@pytest.mark.parametrize(
    "typed",
    ["", " ", "a b", "a/b", "../a", "a\0", "a\n", "a%2e", "a\u202eb", "a\u200bb", "a:b", "a\\b", "x" * 129, "ü" * 65],
)
def test_what_is_no_account_name_is_refused(typed: str) -> None:
    with pytest.raises(InvalidArgument):
        account_name(typed)
    assert len(account_name("x" * 128)) == 128
