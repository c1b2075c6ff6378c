"""A recovery kit as text: what is typed, scanned or damaged on its way (chapter 17)."""

from __future__ import annotations

import base64
import hashlib
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol.builders import ACCOUNT, OTHER_ACCOUNT, random_bytes, refused
from strongroom_protocol.errors import Failure, UntrustedDataError, UpgradeRequired
from strongroom_protocol.keys.kit import PREFIX, TEXT_MAX, Kit
from strongroom_protocol.keys.secrets import RecoveryCode
from strongroom_protocol.manifest.anchor import Anchor
from strongroom_protocol.manifest.slots import SlotKind
from strongroom_protocol.wire import cbor

ANCHOR = Anchor(ACCOUNT, 2, random_bytes("keyring"), 9, random_bytes("head"), random_bytes("log"), 1_700_000_000_000)
KIT = Kit(
    "ada", "https://relay.example", RecoveryCode(bytes(range(20))), ANCHOR, None, 1_700_000_000_001, SlotKind.RECOVERY
)  # fmt: skip


def text_of(**fields: Any) -> str:
    """The text of a kit in which some fields are other than they can be."""
    payload = cbor.decode(KIT.encode()) | {int(name[1:]): value for name, value in fields.items()}
    data = cbor.encode(payload)
    return PREFIX + base64.b32encode(data + hashlib.sha256(data).digest()[:4]).decode().rstrip("=")


@given(
    st.sampled_from(["ada", "b.c_d@e+f-1", "ß".casefold(), "łódź", "n" * 128]),
    st.text(st.characters(codec="utf-8"), min_size=1, max_size=200),
    st.binary(min_size=20, max_size=20),
    st.none() | st.text(st.characters(codec="ascii"), min_size=1, max_size=100),
    st.integers(0, 2**48 - 1),
    st.sampled_from([SlotKind.RECOVERY, SlotKind.BOTH]),
)
def test_what_is_written_is_read(
    name: str, relay: str, code: bytes, witness: str | None, time: int, kind: SlotKind
) -> None:
    kit = Kit(name, relay, RecoveryCode(code), ANCHOR, witness, time, kind)
    for form in (kit.to_text(), kit.to_text().upper(), kit.to_text().lower(), f" {kit.to_text()}\r\n"):
        found = Kit.from_text(form)
        assert found == kit
        assert found.two_secret == (kind is SlotKind.BOTH)


@pytest.mark.spec("KIT-1")
def test_of_another_kind_or_endless() -> None:
    text = KIT.to_text()
    wrapped = "\n".join(text[at : at + 13] for at in range(0, len(text), 13))
    assert Kit.from_text(wrapped) == KIT
    assert Kit.from_text(text.ljust(TEXT_MAX)) == KIT
    for typed in ("", text[1:], text.ljust(TEXT_MAX + 1), "strongroom-anchor:" + text.removeprefix(PREFIX)):
        assert refused(Kit.from_text, typed) is Failure.CODE


@pytest.mark.spec("KIT-2")
@pytest.mark.parametrize("typed", ["1", "0", "8", "9", "=", "ä", "A" * 1, "A" * 3, "A" * 6])
def test_letters_and_lengths_that_no_bytes_give(typed: str) -> None:
    assert refused(Kit.from_text, KIT.to_text() + typed) is Failure.CODE
    assert refused(Kit.from_text, PREFIX + typed) is Failure.CODE


@pytest.mark.spec("KIT-3")
@given(st.data())
def test_a_typo_is_found(data: st.DataObject) -> None:
    text = KIT.to_text()
    at = data.draw(st.integers(len(PREFIX), len(text) - 2))  # the last letter has spare bits
    letter = data.draw(st.sampled_from("ABCDEFGHIJKLMNOPQRSTUVWXYZ234567").filter(lambda other: other != text[at]))
    assert refused(Kit.from_text, text[:at] + letter + text[at + 1 :]) is Failure.CODE
    assert refused(Kit.from_text, text[: at - 8 * ((at - len(PREFIX)) // 8)]) is Failure.CODE


@pytest.mark.spec("KIT-4")
def test_of_two_accounts() -> None:
    assert refused(Kit.from_text, text_of(f4=OTHER_ACCOUNT)) is Failure.ACCOUNT
    assert refused(Kit.from_text, text_of(f6=replace(ANCHOR, account=OTHER_ACCOUNT).encode())) is Failure.ACCOUNT


@pytest.mark.spec("KIT-5")
@pytest.mark.parametrize("name", ["Ada", "\uff41da", "a b", "<script>", "ada\n", "\u202eada", "ⅷ"])
def test_a_name_that_nobody_can_have(name: str) -> None:
    assert refused(Kit.from_text, text_of(f2=name)) is Failure.SCHEMA


def test_shapes() -> None:
    for change in ({"f3": ""}, {"f3": "x" * 1025}, {"f5": bytes(21)}, {"f7": ""}, {"f8": -1}, {"f9": 1}, {"f10": 0}):
        fields: dict[str, Any] = change
        assert refused(Kit.from_text, text_of(**fields)) is Failure.SCHEMA
    with pytest.raises(UpgradeRequired):
        Kit.from_text(text_of(f1=2))


def test_the_code_is_in_no_message() -> None:
    assert KIT.code.reveal().hex() not in repr(KIT)
    assert "redacted" in repr(KIT)
    with pytest.raises(UntrustedDataError) as caught:
        Kit.from_text(KIT.to_text()[:-8])
    assert KIT.to_text()[40:60] not in f"{caught.value!r} {caught.value.hint}"
