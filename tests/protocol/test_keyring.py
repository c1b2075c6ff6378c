"""Keyrings: one alone, one after another, and heads under them (chapter 04)."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from protocol.builders import (
    ACCOUNT,
    CUT,
    OTHER_ACCOUNT,
    after_revocation,
    chain,
    core,
    epochs,
    first_keyring,
    handover,
    history,
    keyring_message,
    person,
    random_bytes,
    raw_keyring,
    receipt_key,
    refused,
    root,
    signed,
    with_device,
    wraps_for,
)
from strongroom_protocol.errors import Failure
from strongroom_protocol.limits import LIMITS
from strongroom_protocol.manifest.head import Head
from strongroom_protocol.manifest.keyring import (
    Cut,
    Device,
    Epoch,
    Keyring,
    check_cut,
    check_writer,
    device_id,
    parse_keyring,
    recipient_id,
)
from strongroom_protocol.manifest.succession import check_chain, check_succession, handover_payload
from strongroom_protocol.wire import cbor, cose

Fields = dict[int, Any]


def parse(message: bytes) -> Keyring:
    return parse_keyring(message, account=ACCOUNT)


def alone(keyring: Keyring, owner: str = "root") -> Failure:
    """How a keyring, well signed, fails by itself."""
    return refused(parse, keyring_message(keyring, owner))


def raw(change: Callable[[Fields], object], keyring: Keyring | None = None) -> Failure:
    """How the payload fails after `change`, signed again."""
    fields: Fields = cbor.decode(cbor.encode((keyring or first_keyring("ann", "bob")).to_cbor()))
    change(fields)
    return refused(parse, raw_keyring(fields))


def after(old: Keyring, new: Keyring, owner: str = "root") -> Failure:
    """How `new`, well signed and good by itself, fails as the successor of `old`."""
    return refused(check_succession, old, parse(keyring_message(new, owner)))


def test_keyrings_come_back_as_they_were_made() -> None:
    for made in chain():
        parsed = parse(made.message)
        assert parsed == made
        assert parsed.hash == hashlib.sha256(made.message).digest()
        assert cbor.decode(cbor.decode(made.message)[2]) == cbor.decode(cbor.encode(parsed.to_cbor()))
        assert check_chain(chain()[: made.version], account=ACCOUNT) == made
    unsigned = replace(first_keyring(), message=b"")
    assert unsigned.sign(root().sign.sign) == chain()[0]


def test_what_a_keyring_tells() -> None:
    _, two, three = chain()
    bob = person("bob", 2)
    assert two.device(bob.id) == bob.device
    assert three.device(bob.id) is None
    assert (two.epoch, three.epoch) == (1, 2)


def test_ids_are_labelled_hashes_of_keys() -> None:
    device = person("ann").device
    together = b"strongroom/v1/device-id" + device.sign_key + device.kem_key
    assert device.id == device_id(device.sign_key, device.kem_key) == hashlib.sha256(together).digest()[:16]
    assert recipient_id(device.kem_key) == hashlib.sha256(device.kem_key).digest()


@pytest.mark.spec("KR-1")
@pytest.mark.parametrize(("field", "value"), [(1, bytes(16)), (2, bytes(32)), (3, person("bob").kem.public)])
def test_a_device_id_cannot_be_given_to_other_keys(field: int, value: bytes) -> None:
    fields = person("ann").device.to_cbor()
    assert Device.parse(fields) == person("ann").device
    assert refused(Device.parse, {**fields, field: value}) is Failure.KEYRING


@pytest.mark.spec("KR-1")
def test_a_device_id_of_other_keys_is_refused_in_a_signed_keyring() -> None:
    assert raw(lambda f: f[8][1].update({1: person("eve").id})) is Failure.KEYRING
    # The wraps are for the keys, so nothing else is wrong with it.
    assert raw(lambda f: f[8][0].update({2: person("eve").sign.public})) is Failure.KEYRING


@pytest.mark.spec("KR-2")
@pytest.mark.parametrize("owner", ["root 2", "ann"])
def test_only_the_root_it_names_signs_a_keyring(owner: str) -> None:
    for keyring in (first_keyring(), with_device()):
        assert alone(keyring, owner) is Failure.SIGNER
        key = person("ann").sign
        message = cose.sign(cose.Context.KEYRING, cbor.encode(keyring.to_cbor()), key.public, key.sign)
        assert refused(parse, message) is Failure.SIGNER


def test_a_keyring_of_another_account_is_refused() -> None:
    assert refused(parse_keyring, chain()[0].message, account=OTHER_ACCOUNT) is Failure.ACCOUNT


@pytest.mark.spec("KR-3")
@pytest.mark.parametrize("number", range(6))
def test_only_the_first_has_a_core_and_neither_predecessor_nor_cut(number: int) -> None:
    one, two = first_keyring(), with_device()
    wrong = [
        replace(one, previous=bytes(32)),
        replace(one, cut=CUT),
        replace(one, core=None),
        replace(two, previous=None),
        replace(two, cut=None),
        replace(two, core=core()),
    ]
    assert alone(wrong[number]) is Failure.SCHEMA


@pytest.mark.spec("KR-3")
def test_the_first_keyring_is_no_second_and_the_second_no_first() -> None:
    assert alone(replace(first_keyring(), version=2)) is Failure.SCHEMA
    assert alone(replace(with_device(), version=1)) is Failure.SCHEMA


@pytest.mark.spec("KR-4")
def test_the_core_makes_the_account_and_names_its_keys() -> None:
    one = first_keyring()
    assert alone(replace(one, core=core("other account"))) is Failure.ACCOUNT
    assert alone(replace(one, receipt_key=receipt_key("mallory").public)) is Failure.ACCOUNT
    # The relay puts its own root under an account id that exists.
    own = root("mallory")
    wraps = wraps_for(epochs(1)[0][0], 1, own, [person("ann")])
    mallory = replace(one, root_key=own.sign.public, root_kem_key=own.kem.public, wraps=wraps)
    assert alone(mallory, "mallory") is Failure.ACCOUNT
    assert alone(replace(mallory, core=core("account", "mallory")), "mallory") is Failure.ACCOUNT


@pytest.mark.spec("KR-5")
def test_attack_048_a_device_is_listed_once_and_not_both_in_and_out() -> None:
    one = first_keyring()
    ann = one.devices[0]
    assert alone(replace(one, devices=(ann, ann))) is Failure.KEYRING
    assert alone(replace(one, devices=(ann, replace(ann, added=2)))) is Failure.KEYRING
    assert alone(replace(one, revoked={ann.id: 1})) is Failure.KEYRING
    two = replace(with_device(), revoked={bytes(16): 2})
    assert parse(keyring_message(two)).revoked == {bytes(16): 2}


@pytest.mark.spec("KR-6")
def test_wraps_are_for_exactly_the_readers() -> None:
    one, secret = first_keyring("ann", "bob"), epochs(1)[0][0]
    ann, bob, eve = person("ann"), person("bob"), person("eve")
    for people, owner in (([ann], root()), ([ann, bob, eve], root()), ([ann, eve], root()), ([ann, bob], root("x"))):
        assert raw_wraps(one, wraps_for(secret, 1, owner, people)) is Failure.KEYRING
    without_root = {key: wrap for key, wrap in one.wraps.items() if key != recipient_id(root().kem.public)}
    assert raw_wraps(one, without_root) is Failure.KEYRING


def raw_wraps(keyring: Keyring, wraps: dict[bytes, bytes]) -> Failure:
    return alone(replace(keyring, wraps=wraps))


@pytest.mark.spec("KR-7")
@pytest.mark.parametrize(
    "numbers", [(2,), (1, 3), (1, 1), (2, 1), (1, 2, 4)], ids=lambda numbers: "-".join(map(str, numbers))
)
def test_epochs_are_numbered_without_gaps(numbers: tuple[int, ...]) -> None:
    made = tuple(Epoch(number, bytes(32), None if place == 0 else bytes(48)) for place, number in enumerate(numbers))
    assert alone(replace(first_keyring(), epochs=made)) is Failure.EPOCH


@pytest.mark.spec("KR-7")
def test_every_epoch_but_the_first_seals_its_predecessor() -> None:
    assert alone(replace(first_keyring(), epochs=(Epoch(1, bytes(32), bytes(48)),))) is Failure.EPOCH
    broken = (Epoch(1, bytes(32), None), Epoch(2, bytes(32), None))
    assert alone(replace(first_keyring(), epochs=broken)) is Failure.EPOCH


@pytest.mark.spec("KR-8")
def test_a_successor_names_the_version_and_the_hash_before_it() -> None:
    one, two, three = chain()
    assert refused(check_succession, one, three) is Failure.CHAIN
    assert refused(check_succession, two, two) is Failure.CHAIN
    assert refused(check_succession, two, one) is Failure.CHAIN
    assert after(one, replace(with_device(), previous=bytes(32))) is Failure.CHAIN
    assert after(one, replace(with_device(), version=3)) is Failure.CHAIN


@pytest.mark.spec("KR-9")
def test_earlier_epochs_are_never_rewritten() -> None:
    one, two, _ = chain()
    other = tuple(epoch for _, epoch in epochs(3, "other"))
    mine = tuple(epoch for _, epoch in epochs(3))
    assert after(one, replace(with_device(), epochs=other[:1])) is Failure.EPOCH
    assert after(one, replace(with_device(), epochs=other[:2])) is Failure.EPOCH
    assert after(one, replace(with_device(), epochs=mine)) is Failure.EPOCH
    check_succession(one, parse(keyring_message(replace(with_device(), epochs=mine[:2]))))
    # An epoch less than before.
    grown = signed(replace(with_device(), epochs=mine[:2]))
    shrunk = replace(with_device(), version=3, previous=grown.hash, epochs=mine[:1])
    assert after(grown, shrunk) is Failure.EPOCH
    assert two.epochs == one.epochs


@pytest.mark.spec("KR-10")
def test_the_receipt_key_stays() -> None:
    assert after(chain()[0], replace(with_device(), receipt_key=receipt_key("x").public)) is Failure.KEYRING


@pytest.mark.spec("KR-11")
def test_a_revocation_is_never_forgotten() -> None:
    three = chain()[2]
    bob = person("bob", 2).id
    four = replace(three, version=4, previous=three.hash, cut=Cut(3, bytes(32)), handover=None)
    check_succession(three, parse(keyring_message(four, "root 2")))
    for revoked in ({}, {bob: 4}, {bob: 2}, {bytes(16): 3}):
        assert after(three, replace(four, revoked=revoked), "root 2") is Failure.KEYRING


@pytest.mark.spec("KR-11")
def test_a_revoked_device_does_not_come_back() -> None:
    three = chain()[2]
    people = [person("ann"), person("bob", 2)]
    wraps = wraps_for(epochs(2)[1][0], 2, root("root 2"), people)
    back = replace(
        three, version=4, previous=three.hash, devices=tuple(one.device for one in people), wraps=wraps, revoked={}
    )
    assert after(three, back, "root 2") is Failure.KEYRING


@pytest.mark.spec("KR-12")
def test_no_device_leaves_without_being_revoked() -> None:
    two = chain()[1]
    for revoked in ({}, {bytes(16): 3}):
        silent = replace(after_revocation(), revoked=revoked)
        assert after(two, replace(silent, handover=handover(silent)), "root 2") is Failure.KEYRING


@pytest.mark.spec("KR-13")
def test_a_revocation_takes_a_new_epoch_and_a_new_root() -> None:
    two, good = chain()[1], after_revocation()
    old_epoch = replace(good, epochs=two.epochs, wraps=wraps_for(epochs(1)[0][0], 1, root("root 2"), [person("ann")]))
    assert after(two, replace(old_epoch, handover=handover(old_epoch)), "root 2") is Failure.EPOCH
    old_root = replace(
        good, root_key=two.root_key, root_kem_key=two.root_kem_key, handover=None,
        wraps=wraps_for(epochs(2)[1][0], 2, root(), [person("ann")]),
    )  # fmt: skip
    assert after(two, old_root) is Failure.EPOCH


@pytest.mark.spec("KR-14")
def test_a_new_root_needs_the_word_of_the_old_one() -> None:
    assert after(chain()[1], replace(after_revocation(), handover=None), "root 2") is Failure.SIGNER


@pytest.mark.spec("KR-14")
def test_a_new_root_kem_key_alone_needs_it_too() -> None:
    other = root("root 2").kem.public
    people = [person("ann"), person("bob", 2)]
    wraps = wraps_for(epochs(1)[0][0], 1, root("root 2"), people)
    assert after(chain()[0], replace(with_device(), root_kem_key=other, wraps=wraps)) is Failure.SIGNER


@pytest.mark.spec("KR-15")
@pytest.mark.parametrize("owner", ["root 2", "mallory"])
def test_nobody_but_the_old_root_hands_over(owner: str) -> None:
    new = after_revocation()
    assert after(chain()[1], replace(new, handover=handover(new, owner)), "root 2") is Failure.SIGNER


@pytest.mark.spec("KR-16")
def test_a_handover_is_for_one_keyring() -> None:
    new = after_revocation()
    others = [
        replace(new, account=OTHER_ACCOUNT), replace(new, version=4), replace(new, previous=bytes(32)),
        replace(new, root_key=root("x").sign.public), replace(new, root_kem_key=root("x").kem.public),
    ]  # fmt: skip
    for payload in [*(handover_payload(other) for other in others), b"", handover_payload(new) + b"\0"]:
        bad = replace(new, handover=handover(new, payload=payload))
        assert after(chain()[1], bad, "root 2") is Failure.CONTEXT


def test_a_handover_of_another_purpose_or_without_form_is_refused() -> None:
    new = after_revocation()
    key = root().sign
    as_keyring = cose.sign(cose.Context.KEYRING, handover_payload(new), key.public, key.sign)
    assert after(chain()[1], replace(new, handover=as_keyring), "root 2") is Failure.SIGNATURE
    assert after(chain()[1], replace(new, handover=b""), "root 2") is Failure.ENCODING


@pytest.mark.spec("KR-17")
def test_a_chain_begins_with_version_1() -> None:
    for given in ((), chain()[1:], chain()[2:]):
        assert refused(check_chain, given, account=ACCOUNT) is Failure.CHAIN


@pytest.mark.spec("KR-8")
def test_a_chain_has_no_gaps_and_no_other_order() -> None:
    one, two, three = chain()
    for given in ((one, three), (one, two, two), (one, three, two), (one, one)):
        assert refused(check_chain, given, account=ACCOUNT) is Failure.CHAIN
    assert refused(check_chain, chain(), account=OTHER_ACCOUNT) is Failure.ACCOUNT


@pytest.mark.spec("KR-18")
def test_the_first_head_under_a_keyring_stands_on_its_cut() -> None:
    one = chain()[0]
    before = history(3)
    for version in (1, 2, 3):
        cut = Cut(version, before.heads[version - 1].hash)
        two = signed(replace(with_device(), cut=cut))
        made = history(version)
        check_cut(made.add(two), two)
        for other in {1, 2, 3} - {version}:
            assert refused(check_cut, history(other).add(two), two) is Failure.CUT
        forked = history(version, label="fork")
        assert refused(check_cut, forked.add(two), two) is Failure.CUT
    check_cut(before.heads[0], one)


@pytest.mark.spec("KR-19")
def test_attack_048_no_revocation_and_no_wrap_is_listed_twice() -> None:
    assert raw(lambda f: f[9].extend([{1: bytes(16), 2: 1}, {1: bytes(16), 2: 1}])) is Failure.KEYRING
    assert raw(lambda f: f[9].extend([{1: bytes(16), 2: 1}, {1: bytes(16), 2: 2}])) is Failure.KEYRING
    with_one_device = first_keyring()
    assert raw(lambda f: f[11].__setitem__(1, f[11][0]), with_one_device) is Failure.KEYRING
    # Room for one wrap more is there with 64 devices only; a limit of 64 applies to devices, not to this check.
    assert raw(lambda f: f[11].append(f[11][0]), with_one_device) is Failure.KEYRING


def under(keyring: Keyring, writer: str = "ann", **other: Any) -> Head:
    return history(1).add(keyring, writer, **other)


@pytest.mark.spec("HEAD-6")
def test_a_head_names_the_keyring_it_was_made_under() -> None:
    two = chain()[1]
    check_writer(under(two), two)
    assert refused(check_writer, under(two, keyring_version=1), two) is Failure.KEYRING
    assert refused(check_writer, under(two, keyring_hash=bytes(32)), two) is Failure.KEYRING
    assert refused(check_writer, under(chain()[0]), two) is Failure.KEYRING


@pytest.mark.spec("HEAD-7")
def test_only_a_device_of_the_keyring_writes() -> None:
    one, _, three = chain()
    ann, bob = person("ann"), person("bob", 2)
    for keyring in (one, three):
        assert refused(check_writer, under(keyring, "bob"), keyring) is Failure.SIGNER
    as_ann = under(one, device=ann.id, key=bob.sign.public, signer=bob.sign.sign)
    assert refused(check_writer, as_ann, one) is Failure.SIGNER
    as_bob = under(chain()[1], device=bob.id)
    assert refused(check_writer, as_bob, chain()[1]) is Failure.SIGNER
    assert refused(check_writer, under(one, device=bytes(16)), one) is Failure.SIGNER
    by_root = under(one, key=root().sign.public, signer=root().sign.sign)
    assert refused(check_writer, by_root, one) is Failure.SIGNER


@pytest.mark.spec("HEAD-8")
@pytest.mark.parametrize("epoch", [1, 3])
def test_a_head_is_in_the_keyrings_epoch(epoch: int) -> None:
    three = chain()[2]
    check_writer(under(three), three)
    assert refused(check_writer, under(three, epoch=epoch), three) is Failure.EPOCH


SHAPES: dict[str, Callable[[Fields], object]] = {
    "no devices": lambda f: f.update({8: []}),
    "65 devices": lambda f: f.update({8: f[8] * 33}),
    "no epochs": lambda f: f.update({10: []}),
    "one wrap": lambda f: f.update({11: f[11][:1]}),
    "a wrap too short": lambda f: f[11][0].update({2: bytes(1167)}),
    "a wrap too long": lambda f: f[11][0].update({2: bytes(1425)}),
    "an unknown field": lambda f: f.update({18: None}),
    "an unknown field of a device": lambda f: f[8][0].update({5: None}),
    "an unknown field of an epoch": lambda f: f[10][0].update({4: None}),
    "an unknown field of a wrap": lambda f: f[11][0].update({3: None}),
    "an unknown field of the core": lambda f: f[17].update({5: None}),
    "a private part too long": lambda f: f.update({15: bytes(65_537)}),
    "a handover too long": lambda f: f.update({16: bytes(4097)}),
    "version 0": lambda f: f.update({3: 0}),
    "a device of version 0": lambda f: f[8][0].update({4: 0}),
    "a sealed epoch of 47 bytes": lambda f: f[10][0].update({3: bytes(47)}),
    "a cut without a hash": lambda f: f.update({14: {1: 1}}),
    "an unknown field of a cut": lambda f: f.update({14: {1: 1, 2: bytes(32), 3: 0}}),
}


@pytest.mark.parametrize("change", SHAPES.values(), ids=SHAPES)
def test_another_shape_is_refused(change: Callable[[Fields], object]) -> None:
    assert raw(change) is Failure.SCHEMA


def test_every_field_is_required() -> None:
    for key in range(1, 18):
        assert raw(lambda f, key=key: f.pop(key)) is Failure.SCHEMA  # type: ignore[misc]


def test_a_newer_format_asks_for_an_upgrade() -> None:
    assert raw(lambda f: f.update({1: 2})) is Failure.NEWER_FORMAT


def test_a_keyring_over_the_limit_is_refused() -> None:
    message = chain()[0].message
    limits = replace(LIMITS, keyring_bytes=len(message) - 1)
    assert refused(parse_keyring, message, account=ACCOUNT, limits=limits) is Failure.LIMIT


def test_64_devices_fit_and_65_do_not() -> None:
    names = [f"device {number}" for number in range(65)]
    limits = replace(LIMITS, keyring_bytes=2**20)
    people = [person(name).device for name in names]
    wrap = bytes(1168)
    readers = [recipient_id(key) for key in (root().kem.public, *(device.kem_key for device in people))]
    full = replace(first_keyring(), devices=tuple(people[:64]), wraps=dict.fromkeys(readers[:65], wrap))
    assert len(parse(keyring_message(full)).devices) == 64
    assert len(keyring_message(full)) < LIMITS.keyring_bytes
    over = keyring_message(replace(full, devices=tuple(people), wraps=dict.fromkeys(readers, wrap)))
    assert refused(parse_keyring, over, account=ACCOUNT, limits=limits) is Failure.SCHEMA


def test_the_builders_make_the_same_account_every_time() -> None:
    assert core().account_id() == ACCOUNT
    assert random_bytes("x")[:4] == hashlib.sha256(b"x/0").digest()[:4]
