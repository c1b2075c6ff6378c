"""Answers to the vectors of recovery kits."""

from __future__ import annotations

import base64
from typing import Any

from crypto import account_name, sha
from freshness_checks import LETTERS, anchor_map
from plain import Bad, Cddl, decode

Json = dict[str, Any]

PREFIX = "STRONGROOM-KIT:"


def normal(name: str) -> bool:
    try:
        return account_name(name) == name
    except Bad:
        return False


def text(given: Json, cddl: Cddl) -> Json:
    typed: str = given["text"]
    letters = "".join(typed.split()).upper()
    if len(typed) > 4096 or not letters.startswith(PREFIX):
        raise Bad("code")
    letters = letters[len(PREFIX) :]
    if any(letter not in LETTERS for letter in letters) or len(letters) % 8 in (1, 3, 6):
        raise Bad("code")
    bits = "".join(f"{LETTERS.index(letter):05b}" for letter in letters)
    data = bytes(int(bits[at : at + 8], 2) for at in range(0, len(bits) - 7, 8))
    if data[-4:] != sha(data[:-4])[:4]:
        raise Bad("code")
    m = decode(data[:-4])
    cddl.check("recovery-kit", m)
    if not normal(m[2]):
        raise Bad("schema")
    if anchor_map(m[6], cddl)[2] != m[4]:
        raise Bad("account")
    return {
        "kit": data[:-4], "text": PREFIX.lower() + base64.b32encode(data).decode().rstrip("="), "name": m[2],
        "relay": m[3], "account": m[4], "code": m[5], "witness": m[7], "time": m[8], "kind": m[9],
    }  # fmt: skip


CHECKS = {"kit": {"text": text}}
