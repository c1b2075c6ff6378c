"""Slots: what unlocks an account, and what a relay learns from trying (chapter 04)."""

from __future__ import annotations

import hashlib
import hmac
import itertools
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from cryptography.hazmat.primitives.kdf.argon2 import Argon2id

from protocol.builders import ACCOUNT, OTHER_ACCOUNT, SALT, chain, core, random_bytes, refused, root, slot_set, unlock
from protocol.test_cbor import by_hand
from strongroom_protocol.errors import Failure, InvalidArgument, WrongSecret
from strongroom_protocol.keys import slots as slots_module
from strongroom_protocol.keys.hpke import KemKey, wrap
from strongroom_protocol.keys.names import passphrase
from strongroom_protocol.keys.root import Root
from strongroom_protocol.keys.secrets import Passphrase, RecoveryCode, RootSecret, UnlockSecret
from strongroom_protocol.keys.slots import Unlock, argon2_salt, check_slots_hash, make_slot, open_slot
from strongroom_protocol.keys.table import Key, derive
from strongroom_protocol.limits import LIMITS
from strongroom_protocol.manifest.slots import SLOT_SET_BYTES, Kdf, Slot, SlotKind, SlotSet, slot_set_hash
from strongroom_protocol.wire import cbor

ONE, TWO, STRANGER = unlock("one"), unlock("two", SlotKind.BOTH), unlock("stranger")
PRESET = Kdf(262_144, 3, 4)
CODE = RecoveryCode(random_bytes("code", 20))


def hkdf(ikm: bytes, salt: bytes, info: bytes, length: int) -> bytes:
    """RFC 5869 over hmac."""
    prk = hmac.digest(salt or bytes(32), ikm, "sha256")
    okm = block = b""
    while len(okm) < length:
        block = hmac.digest(prk, block + info + bytes((len(okm) // 32 + 1,)), "sha256")
        okm += block
    return okm[:length]


@pytest.mark.spec("KEY-1")
def test_every_key_of_the_table_is_hkdf_with_its_own_label() -> None:
    for key, context, salt in itertools.product(Key, (b"", b"context"), (b"", bytes(32), b"salt")):
        label, length = key.value
        expected = hkdf(b"ikm", salt, b"strongroom/v1/" + label.encode() + b"\0" + context, length)
        assert derive(key, b"ikm", salt=salt, context=context) == expected


@pytest.mark.spec("KEY-1")
def test_attack_016_one_input_gives_unrelated_keys() -> None:
    starts = [derive(key, bytes(32))[:32] for key in Key]
    assert len(set(starts)) == len(Key) == len({key.value[0] for key in Key})
    assert not any("\0" in key.value[0] for key in Key)


def test_hkdf_here_is_that_of_the_standard() -> None:
    # RFC 5869, appendix A.1
    okm = hkdf(b"\x0b" * 22, bytes(range(13)), bytes(range(0xF0, 0xFA)), 42)
    assert okm.hex() == "3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf34007208d5b887185865"


# Key derivation parameters


def test_the_preset() -> None:
    assert Kdf.preset() == PRESET
    PRESET.require()


@pytest.mark.spec("KDF-1")
@pytest.mark.parametrize("memory", [0, 8, 65_536, 262_143, 1_048_577, 2**32 - 1])
def test_memory_outside_the_limits_is_refused(memory: int) -> None:
    assert refused(Kdf(memory, 3, 4).require) is Failure.KDF
    assert refused(Kdf.parse, {1: memory, 2: 3, 3: 4}) is Failure.KDF


@pytest.mark.spec("KDF-2")
@pytest.mark.parametrize("passes", [0, 1, 2, 9, 2**32 - 1])
def test_passes_outside_the_limits_are_refused(passes: int) -> None:
    assert refused(Kdf(262_144, passes, 4).require) is Failure.KDF
    assert refused(Kdf.parse, {1: 262_144, 2: passes, 3: 4}) is Failure.KDF


@pytest.mark.spec("KDF-3")
@pytest.mark.parametrize("lanes", [0, 1, 3, 5, 2**24])
def test_another_number_of_lanes_is_refused(lanes: int) -> None:
    assert refused(Kdf(262_144, 3, lanes).require) is Failure.KDF
    assert refused(Kdf.parse, {1: 262_144, 2: 3, 3: lanes}) is Failure.KDF


@pytest.mark.parametrize("value", [{}, {1: 1, 2: 3}, {1: "1", 2: 3, 3: 4}, {1: 1, 2: 3, 3: 4, 4: 0}, [], {1: 2**32}])
def test_another_shape_of_parameters_is_refused(value: Any) -> None:
    assert refused(Kdf.parse, value) is Failure.SCHEMA


@pytest.mark.spec("KDF-1", "KDF-2", "KDF-3")
def test_nothing_is_derived_outside_the_limits(monkeypatch: pytest.MonkeyPatch) -> None:
    """KDF downgrade and inflation (LastPass, Bitwarden, kdna): refused before one block is filled or a key made."""
    calls: list[object] = []

    def derived(*_: object, **__: object) -> bytes:
        calls.append(1)
        return bytes(32)

    monkeypatch.setattr(slots_module, "hash_secret_raw", derived)
    monkeypatch.setattr(slots_module, "derive", derived)
    memories, passes, lanes = (
        (0, 8, 262_143, 262_144, 1_048_576, 1_048_577, 2**32),
        (0, 1, 2, 3, 8, 9, 2**32),
        (0, 1, 4, 5),
    )
    tried = 0
    for kdf in itertools.starmap(Kdf, itertools.product(memories, passes, lanes)):
        good = kdf.memory_kib in (262_144, 1_048_576) and kdf.passes in (3, 8) and kdf.lanes == 4
        if good:
            continue
        for word, code in ((Passphrase(b"x"), None), (None, CODE), (Passphrase(b"x"), CODE)):
            given = {"name": "ann", "salt": SALT, "kdf": kdf, "passphrase": word, "code": code}
            assert refused(slots_module.unlock, **given) is Failure.KDF
            tried += 1
    assert tried == 3 * (7 * 7 * 4 - 4)
    assert calls == []


def test_a_passphrase_is_stretched_once_with_the_parameters_given(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[tuple[tuple[Any, ...], dict[str, Any]]] = []

    def stretch(*given: Any, **named: Any) -> bytes:
        calls.append((given, named))
        return bytes(32)

    monkeypatch.setattr(slots_module, "hash_secret_raw", stretch)
    for kdf in (PRESET, Kdf(1_048_576, 8, 4)):
        for code in (None, CODE):
            slots_module.unlock(name="ann", salt=SALT, kdf=kdf, passphrase=Passphrase(b"x"), code=code)
            (given, named), *more = calls
            assert more == []
            assert given == (b"x", argon2_salt("ann", SALT))
            assert (named["memory_cost"], named["time_cost"], named["parallelism"]) == (kdf.memory_kib, kdf.passes, 4)
            assert named["hash_len"] == 32
            calls.clear()
    slots_module.unlock(name="ann", salt=SALT, kdf=PRESET, code=CODE)
    with pytest.raises(InvalidArgument):
        slots_module.unlock(name="ann", salt=SALT, kdf=PRESET)
    assert calls == []


def test_the_real_thing_against_another_implementation() -> None:
    """The one run of Argon2id at full strength."""
    word = passphrase("correct horse battery staple")
    made = slots_module.unlock(name="ann", salt=SALT, kdf=PRESET, passphrase=word)
    salt = hashlib.sha256(b"strongroom/v1/login-salt\x00ann\x00" + SALT).digest()
    secret = Argon2id(salt=salt, length=32, iterations=3, lanes=4, memory_cost=262_144).derive(word.reveal())
    assert made.kind is SlotKind.PASSPHRASE
    assert made.sign.public == Unlock(SlotKind.PASSPHRASE, UnlockSecret(secret)).sign.public


@pytest.mark.spec("KDF-6")
def test_attack_004_the_salt_binds_the_name() -> None:
    assert argon2_salt("ann", SALT) == hashlib.sha256(b"strongroom/v1/login-salt\x00ann\x00" + SALT).digest()
    assert len({argon2_salt(name, salt) for name in ("ann", "bob", "") for salt in (SALT, bytes(32))}) == 6


def keys_of(**given: Any) -> tuple[bytes, bytes]:
    made = slots_module.unlock(**{"name": "ann", "salt": SALT, "kdf": PRESET, **given})
    return made.sign.public, made.kem.public


def test_name_salt_and_every_secret_change_the_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    def cheap(secret: bytes, salt: bytes, **_: object) -> bytes:
        return hmac.digest(salt, secret, "sha256")

    monkeypatch.setattr(slots_module, "hash_secret_raw", cheap)
    word, other = Passphrase(b"x"), RecoveryCode(bytes(20))
    made = [
        keys_of(code=CODE), keys_of(code=other), keys_of(code=CODE, name="bob"), keys_of(code=CODE, salt=bytes(32)),
        keys_of(passphrase=word), keys_of(passphrase=Passphrase(b"y")), keys_of(passphrase=word, name="bob"),
        keys_of(passphrase=word, salt=bytes(32)), keys_of(passphrase=word, code=CODE),
        keys_of(passphrase=word, code=other), keys_of(passphrase=Passphrase(b"y"), code=CODE),
    ]  # fmt: skip
    assert len({key for pair in made for key in pair}) == 2 * len(made)
    assert keys_of(code=CODE) == made[0]


@pytest.mark.parametrize(
    ("kind", "label", "ikm"),
    [(SlotKind.RECOVERY, "unlock-from-code", CODE.reveal()),
     (SlotKind.BOTH, "unlock-from-both", bytes(32) + CODE.reveal())],
)  # fmt: skip
def test_codes_become_keys_as_the_chapter_says(
    kind: SlotKind, label: str, ikm: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(slots_module, "hash_secret_raw", lambda *_, **__: bytes(32))
    word = Passphrase(b"x") if kind is SlotKind.BOTH else None
    made = slots_module.unlock(name="ann", salt=SALT, kdf=PRESET, passphrase=word, code=CODE)
    secret = hkdf(ikm, SALT, b"strongroom/v1/" + label.encode() + b"\0ann", 32)
    expected = Unlock(kind, UnlockSecret(secret))
    assert (made.kind, made.sign.public, made.kem.public) == (kind, expected.sign.public, expected.kem.public)


# Opening


def test_every_slot_opens_with_its_own_secret() -> None:
    made = SlotSet.parse(slot_set(ONE, TWO).encode(), account=ACCOUNT)
    for number, opener in enumerate((ONE, TWO)):
        secret, label = open_slot(made, opener, account=ACCOUNT)
        assert secret == root().secret
        assert label == f"slot {number}"
    assert made.slots[1].kind is SlotKind.BOTH


def count_opens(monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    opened: list[bytes] = []
    true_open = KemKey.open

    def count(self: KemKey, sealed: bytes, *, info: bytes, subject: str) -> bytes:
        opened.append(sealed)
        return true_open(self, sealed, info=info, subject=subject)

    monkeypatch.setattr(KemKey, "open", count)
    return opened


@pytest.mark.spec("SLOT-10")
def test_a_wrong_secret_opens_nothing_at_all(monkeypatch: pytest.MonkeyPatch) -> None:
    """No partitioning oracle (Len, Grubbs, Ristenpart 2021): without its own keys in a slot, a client opens no wrap."""
    made = slot_set(ONE, TWO)
    first = made.slots[0]
    # What a relay can try: the stranger's wrap under the slot's keys, the stranger's unlock key with another KEM key.
    record = by_hand({1: bytes(32), 2: ACCOUNT, 3: ""})
    planted = wrap(STRANGER.kem.public, record, info=b"")
    attempts = [
        made,
        replace(made, slots=(replace(first, wrap=planted),)),
        replace(made, slots=(replace(first, kem_key=STRANGER.kem.public),)),
        replace(made, slots=(replace(first, unlock_key=STRANGER.sign.public),)),
        replace(made, slots=(replace(first, unlock_key=STRANGER.sign.public, kem_key=TWO.kem.public, wrap=planted),)),
        replace(made, slots=()),
    ]
    opened = count_opens(monkeypatch)
    for attempt in attempts:
        with pytest.raises(WrongSecret):
            open_slot(attempt, STRANGER, account=ACCOUNT)
    assert opened == []
    open_slot(made, ONE, account=ACCOUNT)
    assert opened == [first.wrap]


_HEADERS: dict[str, Callable[[SlotSet], SlotSet]] = {
    "kind": lambda made: replace(made, slots=(replace(made.slots[0], kind=SlotKind.BOTH),)),
    "salt": lambda made: replace(made, salt=bytes(32)),
    "memory": lambda made: replace(made, kdf=Kdf(1_048_576, 3, 4)),
    "passes": lambda made: replace(made, kdf=Kdf(262_144, 4, 4)),
    "another slot's wrap": lambda made: replace(made, slots=(replace(made.slots[0], wrap=made.slots[1].wrap),)),
}


@pytest.mark.parametrize("change", _HEADERS.values(), ids=_HEADERS)
def test_attack_003_every_public_field_of_a_slot_is_bound_to_its_wrap(change: Callable[[SlotSet], SlotSet]) -> None:
    assert refused(open_slot, change(slot_set(ONE, TWO)), ONE, account=ACCOUNT) is Failure.WRAP


@pytest.mark.spec("SLOT-12")
def test_a_slot_made_for_another_account_is_refused_before_it_is_opened(monkeypatch: pytest.MonkeyPatch) -> None:
    """One secret, two accounts: the relay gives the header of one to the other. It knows every public key, so it can
    make the wrap too; only the tag takes the secret."""
    theirs = slot_set(ONE, account=OTHER_ACCOUNT)
    here = replace(theirs, account=ACCOUNT)
    opened = count_opens(monkeypatch)
    assert refused(open_slot, here, ONE, account=ACCOUNT) is Failure.ACCOUNT
    for tag in (bytes(32), STRANGER.tag(ACCOUNT), TWO.tag(ACCOUNT), ONE.tag(OTHER_ACCOUNT)):
        forged = replace(slot_set(ONE), slots=(replace(slot_set(ONE).slots[0], tag=tag),))
        assert refused(open_slot, forged, ONE, account=ACCOUNT) is Failure.ACCOUNT
    assert opened == []


@pytest.mark.spec("SLOT-12")
def test_a_tag_is_a_key_of_the_table() -> None:
    expected = hkdf(random_bytes("one"), b"", b"strongroom/v1/slot-account\0" + ACCOUNT, 32)
    assert slot_set(ONE).slots[0].tag == ONE.tag(ACCOUNT) == expected


@pytest.mark.parametrize(
    "record",
    [
        {1: bytes(31), 2: ACCOUNT, 3: ""}, {1: bytes(32), 2: ACCOUNT}, {1: bytes(32), 2: ACCOUNT, 3: "", 4: 0},
        {1: bytes(32), 2: ACCOUNT, 3: "x" * 65}, [],
    ],
)  # fmt: skip
def test_a_record_of_another_shape_is_refused(record: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(KemKey, "open", lambda *_, **__: by_hand(record))
    assert refused(open_slot, slot_set(ONE), ONE, account=ACCOUNT) is Failure.SCHEMA


@pytest.mark.spec("ACC-1")
def test_a_record_of_another_account_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    record = by_hand({1: bytes(32), 2: OTHER_ACCOUNT, 3: ""})
    monkeypatch.setattr(KemKey, "open", lambda *_, **__: record)
    assert refused(open_slot, slot_set(ONE), ONE, account=ACCOUNT) is Failure.ACCOUNT


# Slot sets


def test_a_slot_set_comes_back_and_its_hash_is_blinded() -> None:
    made = slot_set(ONE, TWO)
    assert SlotSet.parse(made.encode(), account=ACCOUNT) == made
    assert (
        made.hash()
        == slot_set_hash(made.encode())
        == hashlib.sha256(b"strongroom/v1/slot-set" + made.encode()).digest()
    )
    assert replace(made, blind=bytes(32)).hash() != made.hash()


@pytest.mark.spec("SLOT-1")
def test_a_slot_set_over_the_limit_is_refused_before_it_is_read() -> None:
    for data in (bytes(SLOT_SET_BYTES + 1), b"\xff" * (SLOT_SET_BYTES + 1)):
        assert refused(SlotSet.parse, data, account=ACCOUNT) is Failure.LIMIT
    assert refused(SlotSet.parse, b"\xff" * SLOT_SET_BYTES, account=ACCOUNT) is Failure.ENCODING


@pytest.mark.spec("SLOT-2")
def test_no_two_slots_have_one_unlock_key() -> None:
    one, two = slot_set(ONE, TWO).slots
    for slots in ((one, one), (one, two, replace(two, unlock_key=one.unlock_key))):
        assert refused(SlotSet.parse, replace(slot_set(ONE), slots=slots).encode(), account=ACCOUNT) is Failure.SLOTS


@pytest.mark.spec("SLOT-11")
def test_only_the_set_that_the_keyring_names_is_taken() -> None:
    made = slot_set(ONE, TWO)
    check_slots_hash(made, made.hash())
    for other in (slot_set(ONE), replace(made, version=2), replace(made, slots=made.slots[::-1]), slot_set(ONE, TWO)):
        assert refused(check_slots_hash, other, made.hash()) is Failure.SLOTS
    assert refused(check_slots_hash, made, chain()[0].slots_hash) is Failure.SLOTS


@pytest.mark.parametrize(
    ("field", "values"),
    [(1, [0, None]), (2, [b""]), (3, [0]), (4, [bytes(31)]), (6, [None]), (7, [[], [{}], [None], None]), (8, [0])],
)
def test_another_shape_of_a_slot_set_is_refused(field: int, values: list[Any]) -> None:
    fields = cbor.decode(slot_set(ONE).encode())
    for value in values:
        assert refused(SlotSet.parse, by_hand({**fields, field: value}), account=ACCOUNT) is Failure.SCHEMA


@pytest.mark.parametrize(
    "change", [{1: 0}, {1: 4}, {2: b""}, {3: bytes(1215)}, {4: bytes(1167)}, {4: bytes(1425)}, {6: 0}]
)
def test_another_shape_of_a_slot_is_refused(change: dict[int, Any]) -> None:
    slot = slot_set(ONE).slots[0].to_cbor()
    assert Slot.parse(slot) == Slot.parse(dict(slot))
    assert refused(Slot.parse, {**slot, **change}) is Failure.SCHEMA
    for key in slot:
        assert refused(Slot.parse, {k: v for k, v in slot.items() if k != key}) is Failure.SCHEMA


def test_a_set_has_16_slots_at_most() -> None:
    openers = [unlock(f"opener {number}") for number in range(17)]
    sixteen = slot_set(*openers[:16])
    assert len(SlotSet.parse(sixteen.encode(), account=ACCOUNT).slots) == 16
    assert refused(SlotSet.parse, slot_set(*openers).encode(), account=ACCOUNT) is Failure.SCHEMA
    assert len(sixteen.encode()) < SLOT_SET_BYTES


def test_parameters_outside_the_limits_are_refused_where_they_are_read() -> None:
    fields = cbor.decode(slot_set(ONE).encode())
    for kdf in ({1: 8, 2: 1, 3: 1}, {1: 262_144, 2: 3, 3: 1}):
        assert refused(SlotSet.parse, by_hand({**fields, 5: kdf}), account=ACCOUNT) is Failure.KDF


@pytest.mark.spec("ACC-1")
def test_a_slot_set_of_another_account_is_refused() -> None:
    assert refused(SlotSet.parse, slot_set(ONE).encode(), account=OTHER_ACCOUNT) is Failure.ACCOUNT


# The root


@pytest.mark.spec("ROOT-1")
def test_a_secret_of_an_older_state_does_not_own_the_newest_keyring() -> None:
    """The slot set from before a revocation, served again, opens the root that was replaced."""
    one, two, three = chain()
    for keyring in (one, two):
        root().require_owner_of(keyring)
        with pytest.raises(WrongSecret):
            root("root 2").require_owner_of(keyring)
    root("root 2").require_owner_of(three)
    for keyring in (three, replace(one, root_kem_key=bytes(1216)), replace(one, root_key=bytes(32))):
        with pytest.raises(WrongSecret):
            root().require_owner_of(keyring)


def test_root_keys_are_derived_from_the_root_secret_alone() -> None:
    again = Root(RootSecret(random_bytes("root")))
    assert (again.sign.public, again.kem.public) == (root().sign.public, root().kem.public)
    assert core().root_key == again.sign.public
    slot = make_slot(ONE, root().secret, account=ACCOUNT, salt=SALT, kdf=PRESET, label="")
    assert len(slot.wrap) < 1424
    assert LIMITS.kdf_lanes == 4
