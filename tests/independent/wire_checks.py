"""Answers to the vectors of encodings, names and keys."""

from __future__ import annotations

import base64
import re
from typing import Any

import argon2.low_level
import crypto
from crypto import derive, public, sha, unhex
from plain import Bad, Cddl, decode, encode

Json = dict[str, Any]


def shown(value: Any) -> Any:
    match value:
        case bool() | None:
            return value
        case int():
            return {"int": str(value)}
        case bytes():
            return {"bytes": value.hex()}
        case str():
            return {"text": value}
        case list():
            return {"array": [shown(item) for item in value]}
        case _:
            return {"map": [[shown(key), shown(item)] for key, item in value.items()]}


def cbor_decode(given: Json, _: Cddl) -> Json:
    data = unhex(given["data"]) + bytes(given.get("zeros", 0))
    value = decode(data)
    if encode(value) != data:
        raise Bad("encoding")
    return {"value": shown(value)}


def cose_sign(given: Json, _: Cddl) -> Json:
    seed, payload = unhex(given["seed"]), unhex(given["payload"])
    key = public(seed)
    header = crypto.protected(key)
    text = crypto.to_sign(given["context"], header, payload)
    message = encode([header, {}, payload, crypto.sign(seed, text)])
    return {"key": key, "signed_bytes": text, "message": message}


def cose_verify(given: Json, cddl: Cddl) -> Json:
    payload, key = crypto.cose_verify(cddl, given["context"], unhex(given["message"]), given["maximum"])
    return {"payload": payload, "key": key}


def leaves(given: Json) -> list[bytes]:
    return [crypto.leaf(unhex(entry)) for entry in given["entries"]]


def merkle_log(given: Json, _: Cddl) -> Json:
    peaks = crypto.peaks_of(leaves(given))
    if crypto.bagged(peaks) != crypto.tree(leaves(given)):
        raise Bad("log")
    return {"peaks": peaks, "root": crypto.tree(leaves(given))}


def check_peaks(size: int, peaks: list[bytes], root: bytes) -> None:
    if f"{size:b}".count("1") != len(peaks) or crypto.bagged(peaks) != root:
        raise Bad("log")


def merkle_peaks(given: Json, _: Cddl) -> Json:
    check_peaks(given["size"], [unhex(peak) for peak in given["peaks"]], unhex(given["root"]))
    return {}


def merkle_consistency(given: Json, _: Cddl) -> Json:
    proof = [unhex(node) for node in given["proof"]]
    crypto.check_consistency(given["old"], unhex(given["old_root"]), given["new"], unhex(given["new_root"]), proof)
    return {}


def merkle_inclusion(given: Json, _: Cddl) -> Json:
    path = [unhex(node) for node in given["path"]]
    crypto.check_inclusion(given["index"], unhex(given["entry"]), given["size"], unhex(given["root"]), path)
    return {}


def code_parse(given: Json, _: Cddl) -> Json:
    try:
        return {"code": crypto.parse_code(given["typed"])[0]}
    except crypto.CodeError as error:
        if error.group != given["names_group"]:
            raise Bad("another group") from None
        raise


def argon2_salt(name: str, salt: bytes) -> bytes:
    return sha(b"strongroom/v1/login-salt\0", name.encode(), b"\0", salt)


def check_kdf(memory: int, passes: int, lanes: int) -> None:
    if not (262_144 <= memory <= 1_048_576 and 3 <= passes <= 8 and lanes == 4):
        raise Bad("kdf")


def kdf_unlock(given: Json, _: Cddl) -> Json:
    memory, passes, lanes = given["kdf"]
    check_kdf(memory, passes, lanes)
    name, salt = given["name"], unhex(given["salt"])
    typed, code = unhex(given["passphrase"]), unhex(given["code"])
    secret, kind = b"", 2
    if typed is not None:
        secret = argon2.low_level.hash_secret_raw(
            typed, argon2_salt(name, salt), passes, memory, lanes, 32, argon2.low_level.Type.ID, 0x13
        )
        kind = 1
    if code is not None:
        label = "unlock-from-code" if typed is None else "unlock-from-both"
        secret, kind = derive(label, secret + code, salt, name.encode()), 2 if typed is None else 3
    return {
        "kind": kind,
        "unlock_key": public(derive("unlock-sign", secret)),
        "slot_key": crypto.kem_public(derive("slot-kem", secret)),
    }


def keys_derive(given: Json, _: Cddl) -> Json:
    return {
        "key": derive(given["label"], unhex(given["ikm"]), unhex(given["salt"]), unhex(given["context"])),
    }


def keys_root(given: Json, _: Cddl) -> Json:
    secret = unhex(given["secret"])
    return {
        "root_key": public(derive("root-sign", secret)),
        "root_kem_key": crypto.kem_public(derive("root-kem", secret)),
    }


def device_id(sign_key: bytes, kem_key: bytes) -> bytes:
    return sha(b"strongroom/v1/device-id", sign_key, kem_key)[:16]


def account_id(core: Any) -> bytes:
    return sha(b"strongroom/v1/account-id", encode(core))


def keys_account(given: Json, cddl: Cddl) -> Json:
    core = decode(unhex(given["core"]))
    cddl.check("genesis-core", core)
    return {"account": account_id(core)}


# ---------------------------------------------------------------- request signatures

COMPONENTS = '("@method" "@authority" "@path" "@query" "content-digest")'


def _base(given: Json, digest: str, parameters: str) -> bytes:
    return (
        f'"@method": {given["method"]}\n"@authority": {given["authority"]}\n"@path": {given["path"]}\n'
        f'"@query": {given["query"] or "?"}\n"content-digest": {digest}\n"@signature-params": {parameters}'
    ).encode()


def _b64(data: bytes) -> str:
    return base64.b64encode(data).decode()


def request_sign(given: Json, _: Cddl) -> Json:
    seed = unhex(given["seed"])
    digest = f"sha-256=:{_b64(sha(unhex(given['body'])))}:"
    parameters = (
        f'{COMPONENTS};created={given["created"]};keyid="{public(seed).hex()}";alg="ed25519";tag="strongroom-v1"'
    )
    signature = _b64(crypto.sign(seed, _base(given, digest, parameters)))
    headers = {"Content-Digest": digest, "Signature-Input": f"sr={parameters}", "Signature": f"sr=:{signature}:"}
    return {"headers": headers}


def request_verify(given: Json, _: Cddl) -> Json:
    headers = given["headers"]
    pattern = re.escape(COMPONENTS) + r';created=([0-9]{1,12});keyid="([0-9a-f]{64})";alg="ed25519";tag="strongroom-v1"'
    parameters = headers.get("Signature-Input", "")
    found = re.fullmatch("sr=" + pattern, parameters)
    proof = re.fullmatch(r"sr=:([A-Za-z0-9+/]{86}==):", headers.get("Signature", ""))
    if not found or not proof:
        raise Bad("signature")
    key, digest = unhex(found[2]), headers.get("Content-Digest", "")
    crypto.check_signature(key, _base(given, digest, parameters[3:]), base64.b64decode(proof[1]))
    if abs(given["now_ms"] - int(found[1]) * 1000) > 300_000:
        raise Bad("clock")
    if digest != f"sha-256=:{_b64(sha(unhex(given['body'])))}:":
        raise Bad("signature")
    return {"key": key}


CHECKS: dict[str, dict[str, Any]] = {
    "cbor": {"decode": cbor_decode},
    "cose": {"sign": cose_sign, "verify": cose_verify},
    "padding": {
        "padme": lambda given, _: {"padded": crypto.padme(given["length"])},
        "pad": lambda given, _: {"padded": crypto.pad(unhex(given["content"]), given["floor"])},
        "unpad": lambda given, _: {"content": crypto.unpad(unhex(given["padded"]), given["floor"])},
    },
    "merkle": {
        "log": merkle_log,
        "consistency-proof": lambda given, _: {"proof": crypto.consistency_proof(given["old"], leaves(given))},
        "inclusion-path": lambda given, _: {"path": crypto.inclusion_path(given["index"], leaves(given))},
        "check-peaks": merkle_peaks,
        "consistency": merkle_consistency,
        "inclusion": merkle_inclusion,
    },
    "names": {
        "passphrase": lambda given, _: {"normal": crypto.passphrase(given["typed"])},
        "account": lambda given, _: {"normal": crypto.account_name(given["typed"])},
    },
    "recovery-code": {
        "render": lambda given, _: {"text": crypto.render_code(unhex(given["code"]))},
        "parse": code_parse,
    },
    "kdf": {
        "argon2-salt": lambda given, _: {"salt": argon2_salt(given["name"], unhex(given["salt"]))},
        "unlock": kdf_unlock,
    },
    "keys": {
        "derive": keys_derive,
        "sign-key": lambda given, _: {"public": public(unhex(given["seed"]))},
        "kem-key": lambda given, _: {"public": crypto.kem_public(unhex(given["seed"]))},
        "root": keys_root,
        "device-id": lambda given, _: {"id": device_id(unhex(given["sign_key"]), unhex(given["kem_key"]))},
        "recipient-id": lambda given, _: {"id": sha(unhex(given["kem_key"]))},
        "account-id": keys_account,
    },
    "request-signature": {"sign": request_sign, "verify": request_verify},
}
