"""Answers to the vectors of slots, epochs, keyrings, heads, receipts, pins."""

from __future__ import annotations

import itertools
from typing import Any

import crypto
from crypto import derive, public, sha, unhex, unseal
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from plain import Bad, Cddl, decode, encode
from wire_checks import account_id, check_kdf, check_peaks, device_id

Json = dict[str, Any]
Map = dict[int, Any]

# ---------------------------------------------------------------- slots


def slot_set(given: Json, cddl: Cddl) -> Map:
    data, account = unhex(given["slots"]), unhex(given["account"])
    if len(data) > 65_536:
        raise Bad("limit")
    slots: Map = decode(data)
    kdf = slots.get(5) if isinstance(slots, dict) else None
    if isinstance(kdf, dict) and all(type(kdf.get(key)) is int for key in (1, 2, 3)):
        check_kdf(kdf[1], kdf[2], kdf[3])
    cddl.check("slot-set", slots)
    if slots[2] != account:
        raise Bad("account")
    if len({slot[2] for slot in slots[7]}) != len(slots[7]):
        raise Bad("slots")
    return slots


def check_slots(given: Json, cddl: Cddl) -> Json:
    slots = slot_set(given, cddl)
    if sha(b"strongroom/v1/slot-set", unhex(given["slots"])) != unhex(given["hash"]):
        raise Bad("slots")
    return {"version": slots[3], "kinds": [slot[1] for slot in slots[7]]}


def open_slot(given: Json, cddl: Cddl) -> Json:
    slots, secret = slot_set(given, cddl), unhex(given["secret"])
    unlock_key, kem_seed = public(derive("unlock-sign", secret)), derive("slot-kem", secret)
    mine = [slot for slot in slots[7] if slot[2] == unlock_key and slot[3] == crypto.kem_public(kem_seed)]
    if not mine:
        raise Bad("wrong-secret")
    slot = mine[0]
    if slot[5] != derive("slot-account", secret, context=slots[2]):
        raise Bad("account")
    context = encode([slots[2], slot[1], slot[2], slot[3], slots[4], slots[5]])
    record = decode(crypto.hpke_open(kem_seed, slot[4], b"strongroom/v1/slot-wrap\0" + sha(context)))
    cddl.check("root-record", record)
    if record[2] != slots[2]:
        raise Bad("account")
    return {"root": record[1], "label": record[3]}


def open_wrap(given: Json, _: Cddl) -> Json:
    return {"plaintext": crypto.hpke_open(unhex(given["seed"]), unhex(given["wrap"]), unhex(given["info"]))}


# ---------------------------------------------------------------- epochs


def epoch_context(account: bytes, number: int) -> bytes:
    return account + number.to_bytes(4, "big")


def make_epoch(given: Json, _: Cddl) -> Json:
    account, number, previous = unhex(given["account"]), given["number"], unhex(given["previous"])
    context = epoch_context(account, number)
    chain = bytes(32) if previous is None else derive("epoch-chain", previous, context=account)
    secret = derive("epoch", unhex(given["fresh"]) + chain, context=context)
    sealed = None
    if previous is not None:
        cipher = ChaCha20Poly1305(derive("epoch-previous", secret, context=context))
        sealed = cipher.encrypt(bytes(12), previous, None)
    return {
        "secret": secret, "check": derive("epoch-check", secret, context=context), "sealed_previous": sealed,
    }  # fmt: skip


def open_epochs(given: Json, cddl: Cddl) -> Json:
    account, seed = unhex(given["account"]), unhex(given["kem_seed"])
    keyring = Keyring(unhex(given["keyring"]), account, cddl)
    me = sha(crypto.kem_public(seed))
    mine = [wrap[2] for wrap in keyring.map[11] if wrap[1] == me]
    if not mine:
        raise Bad("wrap")
    number = keyring.map[10][-1][1]
    info = b"strongroom/v1/epoch-wrap\0" + epoch_context(account, number) + me
    secret = crypto.hpke_open(seed, mine[0], info)
    secrets: list[bytes] = []
    for epoch in reversed(keyring.map[10]):
        context = epoch_context(account, epoch[1])
        if len(secret) != 32 or derive("epoch-check", secret, context=context) != epoch[2]:
            raise Bad("epoch")
        secrets.insert(0, secret)
        if epoch[3] is not None:
            secret = unseal(derive("epoch-previous", secret, context=context), bytes(12), epoch[3], "epoch")
    return {
        "secrets": secrets,
        "object_roots": [derive("object-root", secret, context=account) for secret in secrets],
        "salt_keys": [derive("salt", secret, context=account) for secret in secrets],
    }


# ---------------------------------------------------------------- keyring


class Keyring:
    """A keyring that is good alone."""

    def __init__(self, message: bytes, account: bytes, cddl: Cddl) -> None:
        payload, key = crypto.cose_verify(cddl, "keyring", message, 524_288)
        self.map: Map = decode(payload)
        self.hash = sha(message)
        cddl.check("keyring", self.map)
        m = self.map
        self.version: int = m[3]
        if any(device_id(device[2], device[3]) != device[1] for device in m[8]):
            raise Bad("keyring")
        self._distinct([item[1] for item in m[9]])
        self._distinct([item[1] for item in m[11]])
        if m[2] != account:
            raise Bad("account")
        if key != m[6]:
            raise Bad("signer")
        first = m[3] == 1
        if not (first == (m[4] is None) == (m[17] is not None) == (m[14] is None)):
            raise Bad("schema")
        if m[17] is not None and (account_id(m[17]), m[17][2], m[17][3]) != (m[2], m[6], m[12]):
            raise Bad("account")
        if any(discard[3] < discard[2] for discard in m[18]):
            raise Bad("keyring")
        if first and (m[9] or m[18] or any(device[4] != 1 for device in m[8])):
            raise Bad("keyring")
        ids = [device[1] for device in m[8]]
        self._distinct(ids + [item[1] for item in m[9]])
        self._distinct([device[2] for device in m[8]])
        self._distinct([m[7], *(device[3] for device in m[8])])
        if {wrap[1] for wrap in m[11]} != {sha(m[7]), *(sha(device[3]) for device in m[8])}:
            raise Bad("keyring")
        if not {discard[1] for discard in m[18]} <= {*ids, *(item[1] for item in m[9])}:
            raise Bad("keyring")
        if any(e[1] != n or (e[3] is None) != (n == 1) for n, e in enumerate(m[10], 1)):
            raise Bad("epoch")

    def _distinct(self, items: list[bytes]) -> None:
        if len(set(items)) != len(items):
            raise Bad("keyring")


def parse_keyring(given: Json, cddl: Cddl) -> Json:
    keyring = Keyring(unhex(given["message"]), unhex(given["account"]), cddl)
    m = keyring.map
    return {
        "hash": keyring.hash, "version": m[3], "epoch": m[10][-1][1], "root_key": m[6],
        "devices": [device[1] for device in m[8]], "revoked": [item[1] for item in m[9]],
    }  # fmt: skip


def succession(old: Keyring, new: Keyring, cddl: Cddl) -> None:
    a, b = old.map, new.map
    if b[3] != a[3] + 1 or b[4] != old.hash:
        raise Bad("chain")
    if b[10][: len(a[10])] != a[10] or len(b[10]) > len(a[10]) + 1:
        raise Bad("epoch")
    if a[12] != b[12]:
        raise Bad("keyring")
    revoked = {item[1]: item[2] for item in b[9]}
    if any(revoked.get(item[1]) != item[2] for item in a[9]):
        raise Bad("keyring")
    before = {device[1]: device for device in a[8]}
    if any(device != before[device[1]] if device[1] in before else device[4] != b[3] for device in b[8]):
        raise Bad("keyring")
    gone = {device[1] for device in a[8]} - {device[1] for device in b[8]}
    further = [item for item in b[9] if item not in a[9]]
    if any(item[1] not in gone or item[2] != b[3] for item in further):
        raise Bad("keyring")
    if not gone <= set(revoked):
        raise Bad("keyring")
    if gone and (len(a[10]) == len(b[10]) or a[6] == b[6]):
        raise Bad("epoch")
    if b[18][: len(a[18])] != a[18]:
        raise Bad("keyring")
    if (a[6], a[7]) == (b[6], b[7]):
        if b[16] is not None:
            raise Bad("signer")
    else:
        if b[16] is None:
            raise Bad("signer")
        payload, key = crypto.cose_verify(cddl, "root-handover", b[16], 4096)
        if key != a[6]:
            raise Bad("signer")
        if payload != encode({1: b[2], 2: b[3], 3: b[4], 4: b[6], 5: b[7]}):
            raise Bad("context")
        if len(a[10]) == len(b[10]):
            raise Bad("epoch")


def whole_chain(keyrings: list[Keyring], cddl: Cddl) -> Keyring:
    if not keyrings or keyrings[0].version != 1:
        raise Bad("chain")
    for old, new in itertools.pairwise(keyrings):
        succession(old, new, cddl)
    return keyrings[-1]


def check_chain(given: Json, cddl: Cddl) -> Json:
    account = unhex(given["account"])
    newest = whole_chain([Keyring(unhex(message), account, cddl) for message in given["chain"]], cddl)
    return {"hash": newest.hash, "version": newest.version}


# ---------------------------------------------------------------- head


class Head:
    """A head that is good alone."""

    def __init__(self, message: bytes, account: bytes, cddl: Cddl) -> None:
        payload, self.signer = crypto.cose_verify(cddl, "head", message, 2048)
        self.map: Map = decode(payload)
        self.hash = sha(message)
        cddl.check("head", self.map)
        if self.map[2] != account:
            raise Bad("account")
        if (self.map[3] == 1) != (self.map[4] is None):
            raise Bad("schema")


def parse_head(given: Json, cddl: Cddl) -> Json:
    head = Head(unhex(given["message"]), unhex(given["account"]), cddl)
    names = [
        "version",
        "previous",
        "keyring_version",
        "keyring_hash",
        "epoch",
        "device",
        "sequence",
        "body",
        "body_size",
        "log_root",
        "delta_hash",
        "time",
    ]
    found = {name: head.map[number] for number, name in enumerate(names, 3)}
    return found | {"hash": head.hash, "signer": head.signer}


def follows(given: Json, cddl: Cddl) -> Json:
    new, old = (Head(unhex(given[name]), unhex(given["account"]), cddl) for name in ("head", "previous"))
    if new.map[3] != old.map[3] + 1 or new.map[4] != old.hash:
        raise Bad("chain")
    if new.map[5] < old.map[5]:
        raise Bad("keyring")
    if new.map[7] < old.map[7]:
        raise Bad("epoch")
    return {}


def check_writer(head: Head, keyring: Keyring) -> None:
    m = head.map
    if (m[5], m[6]) != (keyring.version, keyring.hash):
        raise Bad("keyring")
    if not any(device[1] == m[8] and device[2] == head.signer for device in keyring.map[8]):
        raise Bad("signer")
    if m[7] != keyring.map[10][-1][1]:
        raise Bad("epoch")


def check_cut(head: Head, keyring: Keyring) -> None:
    cut = keyring.map[14]
    if cut is not None and (head.map[3] != cut[1] + 1 or head.map[4] != cut[2]):
        raise Bad("cut")


def writer(given: Json, cddl: Cddl) -> Json:
    account = unhex(given["account"])
    check_writer(Head(unhex(given["head"]), account, cddl), Keyring(unhex(given["keyring"]), account, cddl))
    return {}


def cut(given: Json, cddl: Cddl) -> Json:
    account = unhex(given["account"])
    check_cut(Head(unhex(given["head"]), account, cddl), Keyring(unhex(given["keyring"]), account, cddl))
    return {}


def parse_delta(data: bytes, cddl: Cddl) -> list[list[bytes]]:
    delta: list[list[bytes]] = decode(data)
    cddl.check("delta", delta)
    for names in delta:
        if any(a >= b for a, b in itertools.pairwise(names)):
            raise Bad("schema")
    if set(delta[0]) & set(delta[1]):
        raise Bad("schema")
    return delta


def delta_hash(delta: Any) -> bytes:
    return sha(b"strongroom/v1/delta", encode(delta))


def delta(given: Json, cddl: Cddl) -> Json:
    found = parse_delta(unhex(given["delta"]), cddl)
    return {"hash": delta_hash(found), "adds": len(found[0]), "drops": len(found[1])}


def head_delta(given: Json, cddl: Cddl) -> Json:
    head = Head(unhex(given["head"]), unhex(given["account"]), cddl)
    if delta_hash(parse_delta(unhex(given["delta"]), cddl)) != head.map[13]:
        raise Bad("delta")
    return {}


# ---------------------------------------------------------------- receipt


def receipt_map(message: bytes, cddl: Cddl, key: bytes | None = None) -> Map:
    payload, signer = crypto.cose_verify(cddl, "receipt", message, 1024)
    if key is not None and signer != key:
        raise Bad("signer")
    found: Map = decode(payload)
    cddl.check("receipt", found)
    return found


def receipt(given: Json, cddl: Cddl) -> Json:
    m = receipt_map(unhex(given["message"]), cddl, unhex(given["receipt_key"]))
    if m[1] != unhex(given["account"]):
        raise Bad("account")
    if (m[2], m[3], m[4], m[5]) != (
        given["chain"], given["version"], unhex(given["hash"]), unhex(given["previous"]),
    ):  # fmt: skip
        raise Bad("receipt")
    return {"time": m[6]}


def contradiction(given: Json, cddl: Cddl) -> Json:
    a, b = (receipt_map(unhex(given[name]), cddl) for name in ("one", "other"))
    return {"fork": contradict(a, b)}


def contradict(a: Map, b: Map) -> bool:
    """Whether no one chain has both."""
    if (a[1], a[2]) != (b[1], b[2]):
        return False
    if a[3] == b[3]:
        return (a[4], a[5]) != (b[4], b[5])
    low, high = sorted((a, b), key=lambda m: m[3])
    return bool(high[3] - low[3] == 1 and high[5] != low[4])


# ---------------------------------------------------------------- pin


def pin_map(data: bytes | None, cddl: Cddl) -> Map | None:
    if data is None:
        return None
    found: Map = decode(data)
    cddl.check("pin", found)
    return found


def pin_log(pin: Map) -> tuple[int, bytes]:
    """Size and root of the log with the pinned head in it, by merging equal subtrees."""
    if pin[5] == 0:
        return 0, crypto.EMPTY
    size, stack, node = pin[5] - 1, list(pin[8]), crypto.leaf(pin[6])
    for bit in range(size.bit_length()):
        if not size >> bit & 1:
            break
        node = sha(b"\1", stack.pop(), node)
    return pin[5], crypto.bagged([*stack, node])


def pin_parse(given: Json, cddl: Cddl) -> Json:
    data = unhex(given["pin"])
    pin = pin_map(data, cddl)
    assert pin is not None
    size, root = pin_log(pin)
    return {"again": encode(pin), "log_size": size, "log_root": root}


def pin_keyrings(given: Json, cddl: Cddl) -> Json:
    account = unhex(given["account"])
    pin = pin_map(unhex(given["pin"]), cddl)
    chain = [Keyring(unhex(message), account, cddl) for message in given["chain"]]
    if pin is None:
        newest = whole_chain(chain, cddl)
        return {"version": newest.version, "hash": newest.hash}
    known = Keyring(unhex(given["known"]), account, cddl)
    if known.hash != pin[4]:
        raise Bad("fork")
    for new in chain:
        if new.version < known.version:
            raise Bad("rollback")
        if new.version == known.version:
            if new.hash != known.hash:
                raise Bad("fork")
            continue
        succession(known, new, cddl)
        known = new
    return {"version": known.version, "hash": known.hash}


def pin_head(given: Json, cddl: Cddl) -> Json:
    account = unhex(given["account"])
    pin = pin_map(unhex(given["pin"]), cddl)
    keyring = Keyring(unhex(given["keyring"]), account, cddl)
    head = Head(unhex(given["head"]), account, cddl)
    peaks, proof, path = ([unhex(item) for item in given[name]] for name in ("peaks", "consistency", "cut_path"))
    m = head.map
    check_writer(head, keyring)
    check_peaks(m[3] - 1, peaks, m[12])
    if pin is not None:
        if m[3] < pin[5] or m[5] < pin[7] or m[7] < pin[9]:
            raise Bad("rollback")
        if m[3] == pin[5] and head.hash != pin[6]:
            raise Bad("fork")
        if pin[5] and m[3] - pin[5] > 1_000_000:
            raise Bad("limit")
        if pin[5] not in (0, m[3]):
            size, root = pin_log(pin)
            crypto.check_consistency(size, root, m[3] - 1, m[12], proof)
    at = keyring.map[14]
    if at is not None:
        if m[3] <= at[1] or (pin is not None and pin[7] < keyring.version and pin[5] > at[1]):
            raise Bad("cut")
        if m[3] == at[1] + 1:
            check_cut(head, keyring)
        else:
            crypto.check_inclusion(at[1] - 1, at[2], m[3] - 1, m[12], path)
    new = dict(pin) if pin else {1: 1, 2: account, 10: 0, 11: {}}
    new |= {3: keyring.version, 4: keyring.hash, 5: m[3], 6: head.hash, 7: m[5], 8: peaks, 9: m[7]}
    return {"pin": encode(new)}


def pin_sequences(given: Json, cddl: Cddl) -> Json:
    pin = pin_map(unhex(given["pin"]), cddl)
    assert pin is not None
    found = {unhex(key): value for key, value in given["sequences"].items()}
    if any(found.get(device, 0) < highest for device, highest in pin[11].items()):
        raise Bad("rollback")
    if found.get(unhex(given["device"]), 0) > pin[10]:
        raise Bad("clone")
    return {"pin": encode(pin | {11: found})}


CHECKS: dict[str, dict[str, Any]] = {
    "hpke-slots": {"open-wrap": open_wrap, "open-slot": open_slot, "check-slots": check_slots},
    "epochs": {"make": make_epoch, "open": open_epochs},
    "keyring": {"parse": parse_keyring, "chain": check_chain},
    "head": {
        "parse": parse_head, "follows": follows, "writer": writer, "cut": cut, "delta": delta,
        "head-delta": head_delta,
    },
    "receipt": {"verify": receipt, "contradiction": contradiction},
    "pin": {"parse": pin_parse, "keyrings": pin_keyrings, "head": pin_head, "sequences": pin_sequences},
}  # fmt: skip
