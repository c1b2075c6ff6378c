"""Vectors of linking: codes, SPAKE2's shares, answers, verdicts, sealed messages."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from nacl.bindings import crypto_core_ed25519_add, crypto_scalarmult_ed25519_noclamp

from strongroom_protocol.errors import Failure
from strongroom_protocol.keys.hpke import wrap
from strongroom_protocol.keys.table import Key
from strongroom_protocol.link import spake2
from strongroom_protocol.link.code import Kind, LinkSecret, long_text, parse, short_code, short_secret
from strongroom_protocol.link.exchange import (
    NEWCOMER_FLOOR,
    WELCOME_FLOOR,
    Mailbox,
    make_answer,
    seal,
    unseal,
    wrap_info,
)
from strongroom_protocol.link.messages import (
    DECLINED,
    REFUSED,
    Answer,
    Newcomer,
    Offer,
    Verdict,
    Welcome,
    parse_welcome,
)
from strongroom_protocol.link.new import New, Step
from strongroom_protocol.link.old import Old, Phase
from strongroom_protocol.wire import cbor
from vectors.case import Area, Case, Json, bad, good, stream, unhex
from vectors.recorded import recorded

ORIGIN, NUMBER = "https://relay.example", 482193
MAILBOX = Mailbox(ORIGIN, NUMBER)
SHORT, LONG = LinkSecret(b"K7QM2X"), LinkSecret(stream("long secret", 20))
RANDOMNESS = stream("old device", 224)
SCALAR = stream("new device", 64)
SHARED = stream("shared")
FAR = 2**47

SMALL = (
    "00" * 32, "01" + "00" * 31, "00" * 31 + "80", "ec" + "ff" * 30 + "7f",
    "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
    "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc85",
    "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
    "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac03fa",
)  # fmt: skip
"""The points whose order divides 8."""


def _old(given: Mapping[str, Any]) -> Old:
    mailbox = Mailbox(given["origin"], given["number"])
    short, long = LinkSecret(unhex(given["short"])), LinkSecret(unhex(given["long"]))
    return Old(mailbox, short, long, FAR, unhex(given["randomness"]), given["run"])


def _parse_code(given: Mapping[str, Any]) -> Json:
    found = parse(given["typed"])
    return {"number": found.number, "secret": found.secret.reveal(), "relay": found.relay}


def _render(given: Mapping[str, Any]) -> Json:
    secret = short_secret(unhex(given["uniform"]))
    code = short_code(given["number"], secret)
    return {"code": code, "text": long_text(given["relay"], given["number"], LinkSecret(unhex(given["long"])))}


def _password(given: Mapping[str, Any]) -> Json:
    return {"w": Mailbox(given["origin"], given["number"]).password(LinkSecret(unhex(given["secret"])))}


def _offer(given: Mapping[str, Any]) -> Json:
    return {"offer": _old(given).offer()}


def _answer(given: Mapping[str, Any]) -> Json:
    answer, found = make_answer(
        Mailbox(given["origin"], given["number"]), given["run"], LinkSecret(unhex(given["secret"])),
        unhex(given["offer"]), scalar=spake2.scalar_of(unhex(given["uniform"])), shared=unhex(given["shared"]),
        wrapped=unhex(given["wrap"]),
    )  # fmt: skip
    return {"answer": answer, "verdict": Verdict(found.of_old).encode(), "key": found.key}


def _judge(given: Mapping[str, Any]) -> Json:
    judged = _old(given).take(unhex(given["answer"]), 0).judge(bytes(224))
    if judged.phase is not Phase.CONFIRMED:
        return {"confirmed": False, "verdict": REFUSED}
    return {"confirmed": True, "verdict": judged.verdict(), "key": judged.key}


def _agree(given: Mapping[str, Any]) -> Json:
    password, uniform = unhex(given["w"]), unhex(given["uniform"])
    agree = {"old": spake2.agree_as_a, "new": spake2.agree_as_b}[given["role"]]
    found = agree(
        spake2.scalar_of(uniform), password, share_a=unhex(given["pA"]), share_b=unhex(given["pB"]),
        identities=(b"A", b"B"), bound=b"",
    )  # fmt: skip
    return {"key": found.key, "of_a": found.of_a, "of_b": found.of_b}


def _verdict(given: Mapping[str, Any]) -> Json:
    new = New(MAILBOX, FAR, 1, 1, Step.ANSWERED, b"", unhex(given["expected"]), bytes(48))
    judged = new.judged(unhex(given["verdict"]), Newcomer(bytes(32), bytes(1216), ""), 0)
    return {"confirmed": judged.step is Step.CONFIRMED}


def _newcomer(given: Mapping[str, Any]) -> Json:
    content = unseal(Key.LINK_NEW, unhex(given["key"]), unhex(given["sealed"]), floor=NEWCOMER_FLOOR)
    found = Newcomer.parse(content)
    return {"device": found.id, "fingerprint": found.fingerprint, "name": found.name}


def _welcome(given: Mapping[str, Any]) -> Json:
    content = unseal(Key.LINK_OLD, unhex(given["key"]), unhex(given["sealed"]), floor=WELCOME_FLOOR)
    found = parse_welcome(content)
    return {"name": None, "anchor": None} if found is None else {"name": found.name, "anchor": found.anchor}


def _cases() -> Iterator[Case]:
    yield from _codes()
    yield from _shares()
    yield from _runs()
    yield from _sealed()


def _codes() -> Iterator[Case]:
    yield good("render", "LINK-5", "render", number=193, uniform=b"\x12\x34\x56\x78", relay=ORIGIN, long=LONG.reveal())
    text = long_text(ORIGIN, NUMBER, LONG)
    for name, typed in {
        "as-shown": "482193-K7Q-M2X", "lower-case-and-blanks": " 482 193 k7q\tm2x\n",
        "look-alikes": "O8ZI93-olu-000".replace("Z", "2"), "text": text, "text-in-lower-case": text.lower(),
        "text-with-line-ends": text[:40] + "\n" + text[40:],
    }.items():  # fmt: skip
        yield good(name, "LINK-5" if name.startswith("text") else "LINK-2 LINK-3 LINK-4", "parse-code", typed=typed)
    for name, ids, typed in (
        ("too-short", "LINK-2", "482193-K7Q-M2"), ("too-long", "LINK-2", "482193-K7Q-M2XX"), ("empty", "LINK-2", ""),
        ("letter-in-number", "LINK-3", "48219K-K7Q-M2X"), ("other-digits", "LINK-3", "٤٨٢١٩٣-K7Q-M2X"),
        ("character-not-used", "LINK-4", "482193-K7Q-M2?"), ("text-cut", "LINK-5", text[:-8]),
        ("text-changed", "LINK-5", text[:30] + ("A" if text[30] != "A" else "B") + text[31:]),
        ("text-empty", "LINK-5", "strongroom-link:"), ("text-no-base32", "LINK-5", "strongroom-link:01189"),
        ("text-endless", "LINK-5", "strongroom-link:" + "A" * 2048),
    ):  # fmt: skip
        yield bad(name, Failure.CODE, ids, "parse-code", typed=typed)


def _shares() -> Iterator[Case]:
    yield good("password-short", "KEY-1", "password", secret=SHORT.reveal(), number=NUMBER, origin=ORIGIN)
    yield good("password-long", "KEY-1", "password", secret=LONG.reveal(), number=NUMBER, origin=ORIGIN)
    yield good(
        "password-elsewhere", "KEY-1", "password", secret=SHORT.reveal(), number=7, origin="http://127.0.0.1:8790"
    )
    password = MAILBOX.password(SHORT)
    x, y = spake2.scalar_of(stream("x", 64)), spake2.scalar_of(stream("y", 64))
    sides = {"old": stream("x", 64), "new": stream("y", 64)}
    a, b = spake2.share_of_a(x, password), spake2.share_of_b(y, password)
    for role, uniform in sides.items():
        yield good(f"agree-as-{role}", "LINK-1", "agree", role=role, uniform=uniform, w=password, pA=a, pB=b)
    torsion = bytes.fromhex(SMALL[4])
    wrong = {f"small-order-{at}": bytes.fromhex(point) for at, point in enumerate(SMALL)} | {
        "not-canonical-zero": bytes.fromhex("ed" + "ff" * 30 + "7f"),
        "not-canonical-one": bytes.fromhex("ee" + "ff" * 30 + "7f"),
        "minus-zero": bytes.fromhex("01" + "00" * 30 + "80"),
        "not-on-the-curve": bytes.fromhex("02" + "00" * 31),
    }
    for role, uniform in sides.items():
        honest = b if role == "old" else a
        base = spake2.N if role == "old" else spake2.M
        more = {
            "of-mixed-order": crypto_core_ed25519_add(honest, torsion),
            "without-a-key": crypto_scalarmult_ed25519_noclamp(password, base),
        }
        for name, share in {**wrong, **more}.items():
            shares = {"pA": a, "pB": share} if role == "old" else {"pA": share, "pB": b}
            yield bad(
                f"{role}-{name}", Failure.LINK, "LINK-1", "agree", role=role, uniform=uniform, w=password, **shares
            )


def _side(**change: Any) -> dict[str, Any]:
    return {
        "origin": ORIGIN, "number": NUMBER, "short": SHORT.reveal(), "long": LONG.reveal(), "randomness": RANDOMNESS,
        "run": 1,
    } | change  # fmt: skip


def _runs() -> Iterator[Case]:
    yield good("offer", "LINK-1", "offer", **_side())
    offer = Old(MAILBOX, SHORT, LONG, FAR, RANDOMNESS).offer()
    key = Offer.parse(offer).kem_key
    sealed = recorded("link wrap", lambda: wrap(key, SHARED, info=wrap_info(offer)))
    about = {
        "origin": ORIGIN, "number": NUMBER, "run": 1, "offer": offer, "uniform": SCALAR, "shared": SHARED,
        "wrap": sealed,
    }  # fmt: skip
    made = {}
    for secret in (SHORT, LONG):
        kind = "short" if secret.kind is Kind.SHORT else "long"
        yield good(f"answer-{kind}", "LINK-1", "answer", secret=secret.reveal(), **about)
        made[kind], _ = make_answer(
            MAILBOX, 1, secret, offer, scalar=spake2.scalar_of(SCALAR), shared=SHARED, wrapped=sealed
        )
        yield good(f"judge-{kind}", "LINK-11", "judge", answer=made[kind], **_side())
    answer, parsed = made["short"], Answer.parse(made["short"])
    for name, change in {
        "another-code": _side(short=b"K7QM2Y"), "another-mailbox": _side(number=NUMBER + 1),
        "another-run": _side(run=2),
        "another-relay": _side(origin="https://relay.example:8443"),
        "another-offer": _side(randomness=stream("o", 224)),
    }.items():  # fmt: skip
        yield good(f"judge-{name}", "LINK-11", "judge", answer=answer, **change)
    short_offer = Offer.parse(offer)
    for name, wrong in {
        "the-other-secret": Answer(2, parsed.share, parsed.wrap, parsed.confirmation).encode(),
        "reflected-share": Answer(1, short_offer.short, parsed.wrap, parsed.confirmation).encode(),
        "changed-wrap": Answer(1, parsed.share, b"\0" + parsed.wrap[1:], parsed.confirmation).encode(),
        "changed-proof": Answer(1, parsed.share, parsed.wrap, bytes(32)).encode(),
        "small-share": Answer(1, bytes.fromhex(SMALL[1]), parsed.wrap, parsed.confirmation).encode(),
        "an-offer-back": offer, "nonsense": b"\xff", "too-long": answer + bytes(4096),
    }.items():  # fmt: skip
        yield good(
            f"judge-{name}", "LINK-6 LINK-11" if name == "too-long" else "LINK-11", "judge", answer=wrong, **_side()
        )
    expected = stream("expected")
    yield good("verdict", "LINK-13", "verdict", expected=expected, verdict=Verdict(expected).encode())
    yield good("verdict-null", "LINK-13", "verdict", expected=expected, verdict=REFUSED)
    yield bad(
        "verdict-wrong", Failure.LINK, "LINK-13", "verdict", expected=expected, verdict=Verdict(bytes(32)).encode()
    )
    yield bad("verdict-too-long", Failure.LIMIT, "LINK-6", "verdict", expected=expected, verdict=bytes(4097))
    newer = cbor.encode({1: 2, 2: expected})
    yield bad("verdict-newer", Failure.NEWER_FORMAT, "ENC-10", "verdict", expected=expected, verdict=newer)
    more = cbor.encode({1: 1, 2: expected, 3: 0})
    yield bad("verdict-field-more", Failure.SCHEMA, "ENC-12", "verdict", expected=expected, verdict=more)


def _sealed() -> Iterator[Case]:
    key = stream("link key", 48)
    newcomer = Newcomer(stream("sign key"), stream("kem key", 1216), "phone")
    sealed = seal(Key.LINK_NEW, key, newcomer.encode(), floor=NEWCOMER_FLOOR)
    yield good("newcomer", "LINK-7", "newcomer", key=key, sealed=sealed)
    welcome = Welcome("ada", stream("anchor", 200))
    kept = seal(Key.LINK_OLD, key, welcome.encode(), floor=WELCOME_FLOOR)
    yield good("welcome", "LINK-7", "welcome", key=key, sealed=kept)
    no = seal(Key.LINK_OLD, key, DECLINED, floor=WELCOME_FLOOR)
    yield good("declined", "LINK-7", "welcome", key=key, sealed=no)
    yield bad("newcomer-reflected", Failure.LINK, "LINK-7", "welcome", key=key, sealed=sealed)
    yield bad("welcome-reflected", Failure.LINK, "LINK-7", "newcomer", key=key, sealed=kept)
    yield bad("newcomer-changed", Failure.LINK, "LINK-7", "newcomer", key=key, sealed=b"\0" + sealed[1:])
    other = stream("another key", 48)
    yield bad("newcomer-other-key", Failure.LINK, "LINK-7", "newcomer", key=other, sealed=sealed)
    half = seal(Key.LINK_OLD, key, cbor.encode({1: 1, 2: "ada", 3: None}), floor=WELCOME_FLOOR)
    yield bad("welcome-half", Failure.SCHEMA, "LINK-7", "welcome", key=key, sealed=half)
    long_name = cbor.encode({1: 1, 2: bytes(32), 3: bytes(1216), 4: "x" * 129})
    named = seal(Key.LINK_NEW, key, long_name, floor=NEWCOMER_FLOOR)
    yield bad("newcomer-long-name", Failure.SCHEMA, "LINK-7", "newcomer", key=key, sealed=named)
    unpadded = seal(Key.LINK_NEW, key, newcomer.encode(), floor=64)
    yield bad("newcomer-unpadded", Failure.PADDING, "OBJ-9", "newcomer", key=key, sealed=unpadded)


LINK = Area(
    "link",
    _cases,
    {
        "parse-code": _parse_code, "render": _render, "password": _password, "offer": _offer, "answer": _answer,
        "judge": _judge, "agree": _agree, "verdict": _verdict, "newcomer": _newcomer, "welcome": _welcome,
    },
)  # fmt: skip
