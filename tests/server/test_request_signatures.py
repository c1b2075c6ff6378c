"""The request signature profile (RFC 9421, RFC 9530; chapter 12)."""

from __future__ import annotations

import pytest

from strongroom_protocol.keys.secrets import SigningSeed
from strongroom_protocol.keys.signing import SignKey
from strongroom_protocol.limits import LIMITS
from strongroom_protocol.relay_api.problems import Problem, ProblemError
from strongroom_protocol.relay_api.signature import (
    RequestParts,
    check_body,
    content_digest,
    sign_request,
    verify_request,
)

KEY = SignKey(SigningSeed(bytes(range(32))))
PARTS = RequestParts("PUT", "127.0.0.1:8790", "/v1/accounts/aa/objects/bb", "?x=1")
CREATED = 1_800_000_000
NOW = CREATED * 1000


def headers(parts: RequestParts = PARTS, body: bytes = b"body", created: int = CREATED) -> dict[str, str]:
    return sign_request(parts, content_digest(body), created=created, key=KEY.public, signer=KEY.sign)


def refusal(sent: dict[str, str], parts: RequestParts = PARTS, now: int = NOW) -> Problem:
    with pytest.raises(ProblemError) as caught:
        verify_request(parts, sent, now_ms=now)
    return caught.value.problem


@pytest.mark.spec("HSIG-4")
def test_the_signed_bytes_are_those_of_the_chapter() -> None:
    seen: list[bytes] = []
    sign_request(
        PARTS, content_digest(b"body"), created=CREATED, key=KEY.public,
        signer=lambda message: seen.append(message) or bytes(64),  # type: ignore[func-returns-value]
    )  # fmt: skip
    lines = [
        '"@method": PUT',
        '"@authority": 127.0.0.1:8790',
        '"@path": /v1/accounts/aa/objects/bb',
        '"@query": ?x=1',
        '"content-digest": sha-256=:Iw2DWNyOiJC0xY3utikS7i8gNXrpKlzIYbmOaP4xrLU=:',
        '"@signature-params": ("@method" "@authority" "@path" "@query" "content-digest");created=1800000000;'
        'keyid="03a107bff3ce10be1d70dd18e74bc09967e4d6309ba50d5f1ddc8664125531b8";alg="ed25519";tag="strongroom-v1"',
    ]
    assert seen == ["\n".join(lines).encode()]


def test_a_signed_request_verifies() -> None:
    key, digest = verify_request(PARTS, headers(), now_ms=NOW)
    assert key == KEY.public
    assert digest == content_digest(b"body")
    bare = RequestParts("GET", "127.0.0.1:8790", "/v1/x", "")
    assert verify_request(bare, headers(bare, b""), now_ms=NOW)[0] == KEY.public


@pytest.mark.parametrize(
    "parts",
    [
        RequestParts("GET", PARTS.authority, PARTS.path, PARTS.query),
        RequestParts("PUT", "127.0.0.1:8791", PARTS.path, PARTS.query),
        RequestParts("PUT", PARTS.authority, PARTS.path + "0", PARTS.query),
        RequestParts("PUT", PARTS.authority, PARTS.path, "?x=2"),
        RequestParts("PUT", PARTS.authority, PARTS.path, ""),
    ],
)
def test_attack_089_a_signature_is_for_one_method_place_and_path(parts: RequestParts) -> None:
    assert refusal(headers(), parts) is Problem.SIGNATURE


def test_attack_089_every_character_of_the_headers_counts() -> None:
    good = headers()
    for name, value in good.items():
        for at in range(len(value)):
            changed = chr(ord(value[at]) ^ 1)
            assert refusal(good | {name: value[:at] + changed + value[at + 1 :]}) is Problem.SIGNATURE
        assert refusal({other: kept for other, kept in good.items() if other != name}) is Problem.SIGNATURE


@pytest.mark.spec("HSIG-1")
@pytest.mark.parametrize(
    ("header", "old", "new"),
    [
        ("Signature-Input", "sr=", "sig1="),
        ("Signature-Input", ' "content-digest"', ""),
        ("Signature-Input", "ed25519", "hmac-sha256"),
        ("Signature-Input", ";created=1800000000", ""),
        ("Signature-Input", "1800000000", "١٨٠٠٠٠٠٠٠٠"),
        ("Signature-Input", "strongroom-v1", "other"),
        ("Signature-Input", ";alg=", ";nonce=1;alg="),
        ("Signature", "sr=:", "sr=:AA"),
        ("Content-Digest", "sha-256", "sha-512"),
        ("Content-Digest", "=:", "=: "),
        ("Content-Digest", "sha-256", "\udcff"),
    ],
)
def test_other_forms_of_the_headers_are_refused(header: str, old: str, new: str) -> None:
    good = headers()
    assert old in good[header]
    assert refusal(good | {header: good[header].replace(old, new, 1)}) is Problem.SIGNATURE


@pytest.mark.spec("HSIG-1")
def test_a_digest_in_another_form_is_refused_even_when_it_is_signed() -> None:
    for digest in ("", "sha-512=:AAAA:", content_digest(b"") + ", " + content_digest(b""), "sha-256=:A:"):
        sent = sign_request(PARTS, digest, created=CREATED, key=KEY.public, signer=KEY.sign)
        assert refusal(sent) is Problem.SIGNATURE


@pytest.mark.spec("HSIG-2")
def test_attack_089_old_and_early_signatures_are_refused_with_the_relays_time() -> None:
    age = LIMITS.signature_age_ms
    for now in (NOW + age + 1, NOW - age - 1):
        with pytest.raises(ProblemError) as caught:
            verify_request(PARTS, headers(), now_ms=now)
        assert caught.value.problem is Problem.CLOCK
        assert caught.value.extra == {"relay_time": now}
    for now in (NOW + age, NOW - age):
        verify_request(PARTS, headers(), now_ms=now)


@pytest.mark.spec("HSIG-3")
def test_attack_089_a_signature_is_for_one_body() -> None:
    import hashlib

    _, digest = verify_request(PARTS, headers(), now_ms=NOW)
    check_body(digest, hashlib.sha256(b"body").digest())
    with pytest.raises(ProblemError) as caught:
        check_body(digest, hashlib.sha256(b"other").digest())
    assert caught.value.problem is Problem.SIGNATURE


def test_a_query_of_any_bytes_is_signed_as_it_was_sent() -> None:
    parts = RequestParts("GET", PARTS.authority, "/v1/x", "?\udcff")
    assert verify_request(parts, headers(parts), now_ms=NOW)[0] == KEY.public
