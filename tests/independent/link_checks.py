"""Answers to the vectors of linking: edwards25519 and SPAKE2 once more, in integers, from RFC 8032 and RFC 9382."""

from __future__ import annotations

import base64
import hashlib
import hmac
from typing import Any

import crypto
from crypto import D, L, P, derive, hkdf, sha, unhex, unseal
from plain import Bad, Cddl, decode, encode

Json = dict[str, Any]
Point = tuple[int, int]

ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
NEUTRAL: Point = (0, 1)
ROOT_OF_MINUS_ONE = pow(2, (P - 1) // 4, P)


# ---------------------------------------------------------------- the group


def recover(data: bytes) -> Point | None:
    """RFC 8032 section 5.1.3, strict."""
    number = int.from_bytes(data, "little")
    sign, y = number >> 255, number & (1 << 255) - 1
    if y >= P:
        return None
    square = (y * y - 1) * pow(D * y * y + 1, -1, P) % P
    x = pow(square, (P + 3) // 8, P)
    if x * x % P != square:
        x = x * ROOT_OF_MINUS_ONE % P
    if x * x % P != square or (x == 0 and sign):
        return None
    return (P - x if x & 1 != sign else x), y


def add(one: Point, two: Point) -> Point:
    (x1, y1), (x2, y2) = one, two
    shared = D * x1 * x2 * y1 * y2 % P
    x = (x1 * y2 + x2 * y1) * pow(1 + shared, -1, P) % P
    return x, (y1 * y2 + x1 * x2) * pow(1 - shared, -1, P) % P


def times(scalar: int, point: Point) -> Point:
    out = NEUTRAL
    while scalar:
        if scalar & 1:
            out = add(out, point)
        point, scalar = add(point, point), scalar >> 1
    return out


def minus(point: Point) -> Point:
    return -point[0] % P, point[1]


def encoded(point: Point) -> bytes:
    return (point[1] | (point[0] & 1) << 255).to_bytes(32, "little")


BASE = (0, 4 * pow(5, -1, P) % P)
BASE = recover(encoded(BASE)) or NEUTRAL


def generated(name: str) -> Point:
    """RFC 9382 appendix A: the first hash, iterated from the seed, that is a point of the subgroup."""
    data = f"edwards25519 point generation seed ({name})".encode()
    while True:
        data = sha(data)
        point = recover(data)
        if point is not None and point != NEUTRAL and times(L, point) == NEUTRAL:
            return point


M, N = generated("M"), generated("N")


# ---------------------------------------------------------------- SPAKE2


def password(secret: bytes, number: int, origin: str) -> int:
    return int.from_bytes(derive("link-password", secret, context=place(number, origin)), "little") % L


def place(number: int, origin: str) -> bytes:
    return b"%06d" % number + b"\0" + origin.encode()


def identities(number: int, origin: str, run: int) -> tuple[bytes, bytes]:
    about = bytes((run,)) + place(number, origin)
    return b"strongroom/v1/link-old\0" + about, b"strongroom/v1/link-new\0" + about


def scalar(uniform: bytes) -> int:
    return int.from_bytes(uniform, "little") % L


def share(secret: int, w: int, blind: Point) -> bytes:
    return encoded(add(times(secret, BASE), times(w, blind)))


def agreed(
    secret: int,
    w: int,
    blind: Point,
    theirs: bytes,
    shares: tuple[bytes, bytes],
    names: tuple[bytes, bytes],
    bound: bytes,
) -> tuple[bytes, bytes, bytes]:
    """Ke, cA, cB."""
    point = recover(theirs)
    if point is None or point == NEUTRAL or times(L, point) != NEUTRAL:
        raise Bad("link")
    key = times(8 * secret, add(point, minus(times(w, blind))))
    if key == NEUTRAL:
        raise Bad("link")
    parts = (*names, *shares, encoded(key), w.to_bytes(32, "big"))
    transcript = b"".join(len(part).to_bytes(8, "little") + part for part in parts)
    digest = sha(transcript)
    keys = hkdf(digest[16:], b"", b"ConfirmationKeys" + bound, 32)
    of_a, of_b = (hmac.digest(key, transcript, "sha256") for key in (keys[:16], keys[16:]))
    return digest[:16], of_a, of_b


# ---------------------------------------------------------------- answers


def read(cddl: Cddl, rule: str, data: bytes) -> dict[int, Any]:
    if len(data) > 4096:
        raise Bad("limit")
    return read_content(cddl, rule, data)


def read_content(cddl: Cddl, rule: str, data: bytes) -> dict[int, Any]:
    value = decode(data)
    if isinstance(value, dict) and type(value.get(1)) is int and value[1] > 1:
        raise Bad("newer-format")
    cddl.check(rule, value)
    return value  # type: ignore[no-any-return]


def parse_code(given: Json, cddl: Cddl) -> Json:
    entered = "".join(given["typed"].split())
    scheme = "strongroom-link:"
    if entered.lower().startswith(scheme):
        return parse_text(entered[len(scheme) :], cddl)
    cleaned = entered.replace("-", "").upper()
    for wrong, right in ("O0", "I1", "L1", "UV"):
        cleaned = cleaned.replace(wrong, right)
    digits, letters = cleaned[:6], cleaned[6:]
    if len(cleaned) != 12 or set(digits) - set("0123456789") or set(letters) - set(ALPHABET):
        raise Bad("code")
    return {"number": int(digits), "secret": letters.encode(), "relay": None}


def parse_text(letters: str, cddl: Cddl) -> Json:
    if len(letters) > 1024:
        raise Bad("code")
    try:
        raw = base64.b32decode(letters.upper() + "=" * (-len(letters) % 8))
    except ValueError:
        raise Bad("code") from None
    content, check = raw[:-4], raw[-4:]
    if not content or sha(b"strongroom/v1/link-text\0", content)[:4] != check:
        raise Bad("code")
    try:
        found = read_content(cddl, "link-text", content)
    except Bad:
        raise Bad("code") from None
    return {"number": found[3], "secret": found[4], "relay": found[2]}


def render(given: Json, _: Cddl) -> Json:
    number = int.from_bytes(unhex(given["uniform"]), "big")
    letters = "".join(ALPHABET[number >> 5 * at & 31] for at in range(6))
    content = encode({1: 1, 2: given["relay"], 3: given["number"], 4: unhex(given["long"])})
    check = hashlib.sha256(b"strongroom/v1/link-text\0" + content).digest()[:4]
    text = base64.b32encode(content + check).decode().rstrip("=")
    return {"code": f"{given['number']:06}-{letters[:3]}-{letters[3:]}", "text": "strongroom-link:" + text}


def the_password(given: Json, _: Cddl) -> Json:
    return {"w": password(unhex(given["secret"]), given["number"], given["origin"]).to_bytes(32, "little")}


def old_side(given: Json) -> tuple[list[int], list[int], bytes]:
    """Scalars and w of both secrets, and the offer."""
    randomness = unhex(given["randomness"])
    scalars = [scalar(randomness[:64]), scalar(randomness[64:128])]
    words = [password(unhex(given[name]), given["number"], given["origin"]) for name in ("short", "long")]
    shares = [share(secret, w, M) for secret, w in zip(scalars, words, strict=True)]
    offer = {1: 1, 2: shares[0], 3: shares[1], 4: crypto.kem_public(randomness[128:])}
    return scalars, words, encode(offer)


def offer(given: Json, cddl: Cddl) -> Json:
    made = old_side(given)[2]
    cddl.check("link-offer", decode(made))
    return {"offer": made}


def answer(given: Json, cddl: Cddl) -> Json:
    message = unhex(given["offer"])
    asked = read(cddl, "link-offer", message)
    secret, shared, wrapped = unhex(given["secret"]), unhex(given["shared"]), unhex(given["wrap"])
    kind = 2 if len(secret) == 20 else 1
    w, y = password(secret, given["number"], given["origin"]), scalar(unhex(given["uniform"]))
    mine, theirs = share(y, w, N), asked[2 if kind == 1 else 3]
    bound = sha(encode([message, mine, wrapped]))
    names = identities(given["number"], given["origin"], given["run"])
    ke, of_a, of_b = agreed(y, w, M, theirs, (theirs, mine), names, bound)
    made = encode({1: 1, 2: kind, 3: mine, 4: wrapped, 5: of_b})
    cddl.check("link-answer", decode(made))
    return {"answer": made, "verdict": encode({1: 1, 2: of_a}), "key": ke + shared}


def judge(given: Json, cddl: Cddl) -> Json:
    refused = {"confirmed": False, "verdict": encode({1: 1, 2: None})}
    scalars, words, message = old_side(given)
    try:
        found = read(cddl, "link-answer", unhex(given["answer"]))
        at = found[2] - 1
        mine = decode(message)[2 + at]
        bound = sha(encode([message, found[3], found[4]]))
        names = identities(given["number"], given["origin"], given["run"])
        ke, of_a, of_b = agreed(scalars[at], words[at], N, found[3], (mine, found[3]), names, bound)
        if of_b != found[5]:
            return refused
        info = b"strongroom/v1/link-wrap\0" + sha(message)
        shared = crypto.hpke_open(unhex(given["randomness"])[128:], found[4], info)
    except Bad:
        return refused
    return {"confirmed": True, "verdict": encode({1: 1, 2: of_a}), "key": ke + shared}


def agree(given: Json, _: Cddl) -> Json:
    w, secret = int.from_bytes(unhex(given["w"]), "little"), scalar(unhex(given["uniform"]))
    shares = unhex(given["pA"]), unhex(given["pB"])
    blind, theirs = (N, shares[1]) if given["role"] == "old" else (M, shares[0])
    ke, of_a, of_b = agreed(secret, w, blind, theirs, shares, (b"A", b"B"), b"")
    return {"key": ke, "of_a": of_a, "of_b": of_b}


def verdict(given: Json, cddl: Cddl) -> Json:
    found = read(cddl, "link-verdict", unhex(given["verdict"]))[2]
    if found is not None and found != unhex(given["expected"]):
        raise Bad("link")
    return {"confirmed": found is not None}


def newcomer(given: Json, cddl: Cddl) -> Json:
    sealed = unseal(derive("link-new", unhex(given["key"])), bytes(12), unhex(given["sealed"]), "link")
    found = read(cddl, "link-newcomer", crypto.unpad(sealed, 1536))
    device = sha(b"strongroom/v1/device-id", found[2], found[3])[:16]
    digits = device.hex()
    groups = " ".join(digits[at : at + 4] for at in range(0, 32, 4))
    return {"device": device, "fingerprint": groups, "name": found[4]}


def welcome(given: Json, cddl: Cddl) -> Json:
    sealed = unseal(derive("link-old", unhex(given["key"])), bytes(12), unhex(given["sealed"]), "link")
    found = read(cddl, "link-welcome", crypto.unpad(sealed, 768))
    return {"name": found[2], "anchor": found[3]}


CHECKS = {
    "link": {
        "parse-code": parse_code, "render": render, "password": the_password, "offer": offer, "answer": answer,
        "judge": judge, "agree": agree, "verdict": verdict, "newcomer": newcomer, "welcome": welcome,
    }
}  # fmt: skip
