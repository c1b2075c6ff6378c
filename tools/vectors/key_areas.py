"""Vectors of secrets and keys: normal forms, recovery code, Argon2id, key table, slots, epochs."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from strongroom_protocol.errors import Failure, UntrustedDataError
from strongroom_protocol.keys import names, recovery_code
from strongroom_protocol.keys.epochs import make_epoch, open_epochs
from strongroom_protocol.keys.hpke import KemKey, wrap
from strongroom_protocol.keys.root import Root
from strongroom_protocol.keys.secrets import (
    EpochSecret,
    KemSeed,
    Passphrase,
    RecoveryCode,
    RootSecret,
    SigningSeed,
    UnlockSecret,
)
from strongroom_protocol.keys.signing import SignKey
from strongroom_protocol.keys.slots import Unlock, argon2_salt, check_slots_hash, make_slot, open_slot, unlock
from strongroom_protocol.keys.table import Key, derive
from strongroom_protocol.manifest.account import GenesisCore
from strongroom_protocol.manifest.keyring import device_id, parse_keyring, recipient_id
from strongroom_protocol.manifest.slots import Kdf, SlotKind, SlotSet
from strongroom_protocol.wire import cbor
from vectors import world
from vectors.case import REFUSED, WRONG_SECRET, Area, Case, Json, bad, good, maybe, stream, unhex
from vectors.recorded import recorded

# ---------------------------------------------------------------- normal forms


def _names_cases() -> Iterator[Case]:
    for name, typed in {
        "plain": "correct horse",
        "inner-spaces-kept": "  two  spaces  ",
        "line-end-dropped": "correct horse\n",
        "carriage-return-dropped": "correct horse\r\n",
        "decomposed": "Zu\u0308rich",
        "no-break-space": "a\u00a0b\u3000c",
        "width-kept": "\uff21\uff22",
        "case-kept": "ABC",
        "supplementary": "\U0001f510 key",
        "longest": "x" * 1024,
    }.items():
        yield good(f"passphrase-{name}", "KDF-4", "passphrase", typed=typed)
    for name, typed in {
        "empty": "",
        "only-line-end": "\n",
        "tab": "a\tb",
        "two-lines": "a\nb",
        "delete": "a\u007f",
        "too-long": "x" * 1025,
    }.items():
        yield bad(f"passphrase-{name}", REFUSED, "KDF-4", "passphrase", typed=typed)
    for name, typed in {
        "plain": "alice",
        "case": "Alice",
        "wide": "\uff21lice",
        "sharp-s": "stra\u00dfe",
        "decomposed": "Zu\u0308rich",
        "signs": "a.b_c@d+e-f",
        "digits": "42",
        "ligature": "\ufb01n",
        "sigma": "\u039f\u0394\u039f\u03a3",
    }.items():
        yield good(f"account-{name}", "KDF-5", "account", typed=typed)
    for name, typed in {
        "empty": "",
        "space": "a b",
        "slash": "a/b",
        "zero-byte": "a\0b",
        "too-long": "x" * 129,
    }.items():
        yield bad(f"account-{name}", REFUSED, "KDF-5", "account", typed=typed)


NAMES = Area(
    "names",
    _names_cases,
    {
        "passphrase": lambda given: {"normal": names.passphrase(given["typed"]).reveal()},
        "account": lambda given: {"normal": names.account_name(given["typed"])},
    },
)

# ---------------------------------------------------------------- recovery code


def _parse_code(given: Mapping[str, Any]) -> Json:
    try:
        return {"code": recovery_code.parse(given["typed"]).reveal()}
    except UntrustedDataError as error:
        # Not how errors are told apart: the requirement is that the person is told the group.
        named = re.search(r"group (\d)", str(error))
        if (int(named.group(1)) if named else None) != given["names_group"]:
            raise ValueError("the message does not name the group") from error
        raise


def _code_cases() -> Iterator[Case]:
    codes = {"zeros": bytes(20), "ones": b"\xff" * 20, "counting": bytes(range(20)), "mixed": stream("code", 20)}
    for name, code in codes.items():
        yield good(f"render-{name}", "CODE-3", "render", code=code)
        text = recovery_code.render(RecoveryCode(code))
        yield good(f"parse-{name}", "CODE-3", "parse", typed=text, names_group=None)
    text = recovery_code.render(RecoveryCode(codes["mixed"]))
    zeros = recovery_code.render(RecoveryCode(codes["zeros"]))
    yield good("parse-lower-case", "CODE-2", "parse", typed=text.lower(), names_group=None)
    yield good("parse-spaces", "CODE-1", "parse", typed=" " + text.replace("-", " ") + "\n", names_group=None)
    yield good("parse-no-hyphens", "CODE-1", "parse", typed=text.replace("-", ""), names_group=None)
    yield good("parse-look-alikes", "CODE-2", "parse", typed=zeros.replace("0", "O"), names_group=None)
    for place in (0, 9, 22, 34, 46):  # one character, the check character among them
        group = place // 6 + 1
        other = "2" if text[place] != "2" else "3"
        typo = text[:place] + other + text[place + 1 :]
        yield bad(f"typo-at-{place}", Failure.CODE, "CODE-3", "parse", typed=typo, names_group=group)
    place = next(i for i in range(12, 40) if "-" not in text[i : i + 2] and text[i] != text[i + 1])
    swapped = text[:place] + text[place + 1] + text[place] + text[place + 2 :]
    yield bad("neighbours-swapped", Failure.CODE, "CODE-3", "parse", typed=swapped, names_group=place // 6 + 1)
    groups = text.split("-")
    moved = "-".join([groups[1], groups[0], *groups[2:]])
    yield bad("groups-swapped", Failure.CODE, "CODE-3", "parse", typed=moved, names_group=1)
    yield bad("group-missing", Failure.CODE, "CODE-1", "parse", typed="-".join(groups[:7]), names_group=None)
    yield bad("character-too-many", Failure.CODE, "CODE-1", "parse", typed=text + "0", names_group=None)
    yield bad("empty", Failure.CODE, "CODE-1", "parse", typed="", names_group=None)
    strange = text[:13] + "*" + text[14:]
    yield bad("character-not-in-alphabet", Failure.CODE, "CODE-2", "parse", typed=strange, names_group=3)


RECOVERY_CODE = Area(
    "recovery-code",
    _code_cases,
    {"render": lambda given: {"text": recovery_code.render(RecoveryCode(unhex(given["code"])))}, "parse": _parse_code},
)

# ---------------------------------------------------------------- Argon2id


def _kdf_unlock(given: Mapping[str, Any]) -> Json:
    passphrase, code = maybe(given["passphrase"]), maybe(given["code"])
    memory, passes, lanes = given["kdf"]
    opened = unlock(
        name=given["name"], salt=unhex(given["salt"]), kdf=Kdf(memory, passes, lanes),
        passphrase=None if passphrase is None else Passphrase(passphrase),
        code=None if code is None else RecoveryCode(code),
    )  # fmt: skip
    return {"kind": int(opened.kind), "unlock_key": opened.sign.public, "slot_key": opened.kem.public}


def _kdf_cases() -> Iterator[Case]:
    salt = stream("login salt")
    preset = [262_144, 3, 4]
    yield good("argon2-salt", "KDF-6", "argon2-salt", name="alice", salt=salt)
    yield good("argon2-salt-not-ascii", "KDF-6", "argon2-salt", name="z\u00fcrich", salt=salt)
    code = stream("code", 20)

    def opened(name: str, /, **change: Any) -> Case:
        given = {"name": "alice", "salt": salt, "kdf": preset, "passphrase": None, "code": None} | change
        return good(name, "KDF-1 KDF-2 KDF-3", "unlock", **given)

    yield opened("unlock-passphrase-preset", passphrase=b"correct horse battery staple")
    yield opened("unlock-both-preset", passphrase=b"correct horse battery staple", code=code)
    yield opened("unlock-code", code=code)
    yield opened("unlock-code-other-name", code=code, name="bob")
    for name, kdf, ids in (
        ("memory-below-floor", [262_143, 3, 4], "KDF-1"),
        ("memory-above-ceiling", [1_048_577, 3, 4], "KDF-1"),
        ("memory-all-of-it", [4_294_967_295, 3, 4], "KDF-1"),
        ("passes-below-floor", [262_144, 2, 4], "KDF-2"),
        ("passes-above-ceiling", [262_144, 9, 4], "KDF-2"),
        ("one-lane", [262_144, 3, 1], "KDF-3"),
        ("eight-lanes", [262_144, 3, 8], "KDF-3"),
    ):
        yield bad(name, Failure.KDF, ids, "unlock", name="alice", salt=salt, kdf=kdf, passphrase=b"anything", code=None)


KDF = Area(
    "kdf",
    _kdf_cases,
    {
        "argon2-salt": lambda given: {"salt": argon2_salt(given["name"], unhex(given["salt"]))},
        "unlock": _kdf_unlock,
    },
)

# ---------------------------------------------------------------- the key table and key pairs


def _root(given: Mapping[str, Any]) -> Json:
    root = Root(RootSecret(unhex(given["secret"])))
    return {"root_key": root.sign.public, "root_kem_key": root.kem.public}


def _account(given: Mapping[str, Any]) -> Json:
    core = GenesisCore.parse(cbor.decode(unhex(given["core"])))
    return {"account": core.account_id()}


def _derive(given: Mapping[str, Any]) -> Json:
    key = next(key for key in Key if key.value[0] == given["label"])
    return {"key": derive(key, unhex(given["ikm"]), salt=unhex(given["salt"]), context=unhex(given["context"]))}


def _keys_cases() -> Iterator[Case]:
    for key in Key:
        label = key.value[0]
        given = {"ikm": stream(f"ikm {label}"), "context": stream(f"context {label}")}
        yield good(f"derive-{label}", "KEY-1", "derive", label=label, salt=stream(f"salt {label}"), **given)
    yield good("derive-no-salt-no-context", "KEY-1", "derive", label="root-sign", ikm=bytes(32), salt=b"", context=b"")
    yield good("sign-key", "KEY-1", "sign-key", seed=stream("sign seed"))
    yield good("kem-key", "KEY-1", "kem-key", seed=stream("kem seed", 96))
    yield good("root", "ROOT-1", "root", secret=stream("root secret"))
    sign, kem = stream("device sign"), stream("device kem", 1216)
    yield good("device-id", "KR-1", "device-id", sign_key=sign, kem_key=kem)
    yield good("recipient-id", "KR-6", "recipient-id", kem_key=kem)
    core = {1: 1, 2: stream("root key"), 3: stream("receipt key"), 4: stream("randomness")}
    yield good("account-id", "ACC-1", "account-id", core=cbor.encode(core))
    yield bad("core-newer", Failure.NEWER_FORMAT, "ENC-10", "account-id", core=cbor.encode(core | {1: 2}))
    yield bad("core-format-0", Failure.SCHEMA, "ENC-11", "account-id", core=cbor.encode(core | {1: 0}))
    yield bad("core-short-key", Failure.SCHEMA, "ENC-7", "account-id", core=cbor.encode(core | {2: bytes(31)}))
    yield bad("core-unknown-field", Failure.SCHEMA, "ENC-12", "account-id", core=cbor.encode(core | {5: 0}))


KEYS = Area(
    "keys",
    _keys_cases,
    {
        "derive": _derive,
        "sign-key": lambda given: {"public": SignKey(SigningSeed(unhex(given["seed"]))).public},
        "kem-key": lambda given: {"public": KemKey(KemSeed(unhex(given["seed"]))).public},
        "root": _root,
        "device-id": lambda given: {"id": device_id(unhex(given["sign_key"]), unhex(given["kem_key"]))},
        "recipient-id": lambda given: {"id": recipient_id(unhex(given["kem_key"]))},
        "account-id": _account,
    },
)

# ---------------------------------------------------------------- wraps and slots


def _open_wrap(given: Mapping[str, Any]) -> Json:
    key = KemKey(KemSeed(unhex(given["seed"])))
    return {"plaintext": key.open(unhex(given["wrap"]), info=unhex(given["info"]), subject="vector")}


def _slot_set(given: Mapping[str, Any]) -> SlotSet:
    return SlotSet.parse(unhex(given["slots"]), account=unhex(given["account"]))


def _open_slot(given: Mapping[str, Any]) -> Json:
    opener = Unlock(SlotKind(given["kind"]), UnlockSecret(unhex(given["secret"])))
    root, label = open_slot(_slot_set(given), opener, account=unhex(given["account"]))
    return {"root": root.reveal(), "label": label}


def _check_slots(given: Mapping[str, Any]) -> Json:
    slots = _slot_set(given)
    check_slots_hash(slots, unhex(given["hash"]))
    return {"version": slots.version, "kinds": [int(slot.kind) for slot in slots.slots]}


def _slots_cases() -> Iterator[Case]:
    seed, info = stream("kem seed", 96), b"strongroom/v1/any\x00info"
    key = KemKey(KemSeed(seed))
    sealed = recorded("wrap", lambda: wrap(key.public, b"what is wrapped", info=info))
    yield good("open-wrap", "KEY-1", "open-wrap", seed=seed, info=info, wrap=sealed)
    for name, change in {
        "wrap-other-info": {"info": info + b"!"},
        "wrap-other-key": {"seed": stream("another kem seed", 96)},
        "wrap-ciphertext-changed": {"wrap": sealed[:-1] + bytes((sealed[-1] ^ 1,))},
        "wrap-ml-kem-part-changed": {"wrap": bytes((sealed[0] ^ 1,)) + sealed[1:]},
        "wrap-x25519-part-changed": {"wrap": sealed[:1090] + bytes((sealed[1090] ^ 1,)) + sealed[1091:]},
        "wrap-cut-short": {"wrap": sealed[:-1]},
        "wrap-shorter-than-encapsulation": {"wrap": sealed[:1000]},
    }.items():
        yield bad(name, Failure.WRAP, "KEY-1", "open-wrap", **({"seed": seed, "info": info, "wrap": sealed} | change))
    account, salt, kdf = world.ACCOUNT, stream("login salt"), Kdf.preset()
    root = RootSecret(stream("root secret"))
    secrets = {"passphrase": stream("unlock a"), "recovery code": stream("unlock b")}
    slots = []
    for kind, (label, secret) in zip((SlotKind.PASSPHRASE, SlotKind.RECOVERY), secrets.items(), strict=True):
        opener = Unlock(kind, UnlockSecret(secret))
        made = recorded(
            f"slot {label}",
            lambda o=opener, t=label: make_slot(o, root, account=account, salt=salt, kdf=kdf, label=t).wrap,  # type: ignore[misc]
        )
        slots.append({1: int(kind), 2: opener.sign.public, 3: opener.kem.public, 4: made, 5: opener.tag(account)})
    full: dict[int, Any] = {1: 1, 2: account, 3: 1, 4: salt, 5: kdf.to_cbor(), 6: stream("blind"), 7: slots}
    whole = cbor.encode(full)
    digest = SlotSet.parse(whole, account=account).hash()

    def opening(**change: Any) -> dict[str, Any]:
        return {"slots": whole, "account": account, "kind": 1, "secret": secrets["passphrase"]} | change

    yield good("open-passphrase-slot", "SLOT-10", "open-slot", **opening())
    yield good("open-recovery-slot", "SLOT-10", "open-slot", **opening(kind=2, secret=secrets["recovery code"]))
    yield bad("wrong-secret", WRONG_SECRET, "SLOT-10", "open-slot", **opening(secret=stream("guess")))
    kem_swapped = cbor.encode(full | {7: [slots[0] | {3: slots[1][3]}, slots[1]]})
    yield bad("slot-key-replaced", WRONG_SECRET, "SLOT-10", "open-slot", **opening(slots=kem_swapped))
    swapped = cbor.encode(full | {7: [slots[0] | {4: slots[1][4]}, slots[1]]})
    planted = cbor.encode(full | {7: [slots[0] | {5: stream("tag")}, slots[1]]})
    yield bad("slot-tag-of-another-account", Failure.ACCOUNT, "SLOT-12", "open-slot", **opening(slots=planted))
    yield bad("wrap-of-another-slot", Failure.WRAP, "SLOT-10", "open-slot", **opening(slots=swapped))
    other_kind = cbor.encode(full | {7: [slots[0] | {1: 3}, slots[1]]})
    yield bad("slot-kind-changed", Failure.WRAP, "SLOT-10", "open-slot", **opening(slots=other_kind))
    salted = cbor.encode(full | {4: stream("another salt")})
    yield bad("login-salt-changed", Failure.WRAP, "SLOT-10", "open-slot", **opening(slots=salted))
    stronger = cbor.encode(full | {5: {1: 524_288, 2: 3, 3: 4}})
    yield bad("kdf-changed", Failure.WRAP, "SLOT-10", "open-slot", **opening(slots=stronger))

    def checking(
        name: str, expect: str, ids: str, *, hash_: bytes = digest, data: bytes | None = None, **change: Any
    ) -> Case:
        payload = dict(full)
        world.apply(payload, change)
        given = {"slots": cbor.encode(payload) if data is None else data, "account": account, "hash": hash_}
        make = good(name, ids, "check-slots", **given)
        return make if expect == "ok" else bad(name, expect, ids, "check-slots", **given)

    yield checking("slot-set", "ok", "SLOT-11")
    yield checking("hash-of-another-set", Failure.SLOTS, "SLOT-11", f6=stream("another blind"))
    yield checking("another-account", Failure.ACCOUNT, "ACC-1", f2=world.OTHER_ACCOUNT)
    yield checking("two-slots-one-key", Failure.SLOTS, "SLOT-2", f7=[slots[0], slots[0]])
    yield checking("longer-than-limit", Failure.LIMIT, "SLOT-1", data=whole + bytes(65_536 - len(whole) + 1))
    yield checking("no-slots", Failure.SCHEMA, "ENC-9", f7=[])
    yield checking("slot-set-newer", Failure.NEWER_FORMAT, "ENC-10", f1=2)
    yield checking("slot-set-weak-kdf", Failure.KDF, "KDF-1", f5={1: 8, 2: 3, 3: 4})
    yield checking("slot-kind-unknown", Failure.SCHEMA, "ENC-6", f7=[slots[0] | {1: 4}])
    yield checking("slot-wrap-too-short", Failure.SCHEMA, "ENC-8", f7=[slots[0] | {4: bytes(1167)}])
    yield checking("slot-key-too-short", Failure.SCHEMA, "ENC-7", f7=[slots[0] | {3: bytes(1215)}])
    yield checking("no-blind", Failure.SCHEMA, "ENC-12", f6=world.Drop)
    yield checking("unknown-field", Failure.SCHEMA, "ENC-12", f8=0)


SLOTS = Area(
    "hpke-slots", _slots_cases, {"open-wrap": _open_wrap, "open-slot": _open_slot, "check-slots": _check_slots}
)

# ---------------------------------------------------------------- epochs


def _make_epoch(given: Mapping[str, Any]) -> Json:
    previous = maybe(given["previous"])
    secret, epoch = make_epoch(
        given["number"],
        unhex(given["fresh"]),
        None if previous is None else EpochSecret(previous),
        unhex(given["account"]),
    )
    return {"secret": secret.reveal(), "check": epoch.check, "sealed_previous": epoch.sealed_previous}


def _open_epochs(given: Mapping[str, Any]) -> Json:
    keyring = parse_keyring(unhex(given["keyring"]), account=unhex(given["account"]))
    opened = open_epochs(keyring, KemKey(KemSeed(unhex(given["kem_seed"]))))
    numbers = sorted(opened)
    return {
        "secrets": [opened[number].secret.reveal() for number in numbers],
        "object_roots": [opened[number].object_root() for number in numbers],
        "salt_keys": [opened[number].salt_key() for number in numbers],
    }


def _epochs_cases() -> Iterator[Case]:
    account = world.ACCOUNT
    yield good("make-first", "EPOCH-1", "make", number=1, fresh=stream("epoch 1"), previous=None, account=account)
    first = world.SECRET_1.reveal()
    yield good("make-second", "EPOCH-2", "make", number=2, fresh=stream("epoch 2"), previous=first, account=account)
    one, three = world.keyring_1(), world.keyring_3()

    def opening(keyring: bytes, seed: bytes) -> dict[str, Any]:
        return {"keyring": keyring, "account": account, "kem_seed": seed}

    yield good("open-one", "EPOCH-1", "open", **opening(one.message, world.A.kem_seed))
    yield good("open-chain", "EPOCH-1 EPOCH-2", "open", **opening(three.message, world.B.kem_seed))
    root_seed = derive(Key.ROOT_KEM, world.ROOT_2.secret.reveal())
    yield good("open-chain-root", "EPOCH-1 EPOCH-2", "open", **opening(three.message, root_seed))
    yield bad("no-wrap-for-key", Failure.WRAP, "KR-6", "open", **opening(three.message, world.A.kem_seed))
    other_check = [world.EPOCH_1.to_cbor() | {2: stream("other check")}, world.EPOCH_2.to_cbor()]
    message = world.keyring_3_bytes(f10=other_check)
    yield bad("check-value-of-first", Failure.EPOCH, "EPOCH-1", "open", **opening(message, world.B.kem_seed))
    message = world.keyring_3_bytes(f10=[world.EPOCH_1.to_cbor(), world.EPOCH_2.to_cbor() | {2: stream("other check")}])
    yield bad("check-value-of-newest", Failure.EPOCH, "EPOCH-1", "open", **opening(message, world.B.kem_seed))
    message = world.keyring_3_bytes(f10=[world.EPOCH_1.to_cbor(), world.EPOCH_2.to_cbor() | {3: stream("sealed", 48)}])
    yield bad("sealed-previous-changed", Failure.EPOCH, "EPOCH-2", "open", **opening(message, world.B.kem_seed))
    wraps = [{1: key, 2: sealed} for key, sealed in three.wraps.items()]
    exchanged = [{1: wraps[0][1], 2: wraps[1][2]}, {1: wraps[1][1], 2: wraps[0][2]}]
    message = world.keyring_3_bytes(f11=exchanged)
    yield bad("wraps-exchanged", Failure.WRAP, "EPOCH-1", "open", **opening(message, world.B.kem_seed))
    key = world.B.kem.public
    info = b"strongroom/v1/epoch-wrap\x00" + account + (2).to_bytes(4, "big") + recipient_id(key)
    short = recorded("wrap of zeros", lambda: wrap(key, bytes(32), info=info))
    message = world.keyring_3_bytes(f11=[wraps[0], {1: wraps[1][1], 2: short}])
    yield bad("wrap-of-other-secret", Failure.EPOCH, "EPOCH-1", "open", **opening(message, world.B.kem_seed))


EPOCHS = Area("epochs", _epochs_cases, {"make": _make_epoch, "open": _open_epochs})
