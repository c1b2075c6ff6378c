"""Vectors of request signatures (RFC 9421, RFC 9530)."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from typing import Any

from strongroom_protocol.keys.secrets import SigningSeed
from strongroom_protocol.keys.signing import SignKey
from strongroom_protocol.relay_api.problems import Problem
from strongroom_protocol.relay_api.signature import (
    RequestParts,
    check_body,
    content_digest,
    sign_request,
    verify_request,
)
from vectors.case import Area, Case, Json, bad, good, stream, unhex

CREATED = 1_700_000_000


def _parts(given: Mapping[str, Any]) -> RequestParts:
    return RequestParts(given["method"], given["authority"], given["path"], given["query"])


def _sign(given: Mapping[str, Any]) -> Json:
    key = SignKey(SigningSeed(unhex(given["seed"])))
    digest = content_digest(unhex(given["body"]))
    headers = sign_request(_parts(given), digest, created=given["created"], key=key.public, signer=key.sign)
    return {"headers": headers}


def _verify(given: Mapping[str, Any]) -> Json:
    key, digest = verify_request(_parts(given), given["headers"], now_ms=given["now_ms"])
    check_body(digest, hashlib.sha256(unhex(given["body"])).digest())
    return {"key": key}


def _cases() -> Iterator[Case]:
    base = {"method": "POST", "authority": "relay.example:8443", "path": "/v1/accounts/ab/commit", "query": ""}
    body, seed = b"the body", stream("device a sign")
    yield good("sign", "HSIG-4", "sign", **base, body=body, seed=seed, created=CREATED)
    get = base | {"method": "GET", "path": "/v1/accounts/ab/head", "query": "?since=3"}
    yield good("sign-query-empty-body", "HSIG-4", "sign", **get, body=b"", seed=seed, created=CREATED)
    headers: dict[str, str] = _sign({**base, "body": body.hex(), "seed": seed.hex(), "created": CREATED})["headers"]

    def verify(name: str, problem: Problem | None, ids: str, **change: Any) -> Case:
        given = {**base, "headers": headers, "body": body, "now_ms": CREATED * 1000} | change
        return (
            good(name, ids, "verify", **given) if problem is None else bad(name, problem.code, ids, "verify", **given)
        )

    def header(name: str, old: str, new: str) -> dict[str, str]:
        return headers | {name: headers[name].replace(old, new)}

    yield verify("verify", None, "HSIG-1 HSIG-3 HSIG-4")
    yield verify("300-seconds-late", None, "HSIG-2", now_ms=(CREATED + 300) * 1000)
    yield verify("300-seconds-early", None, "HSIG-2", now_ms=(CREATED - 300) * 1000)
    yield verify("too-late", Problem.CLOCK, "HSIG-2", now_ms=(CREATED + 300) * 1000 + 1)
    yield verify("too-early", Problem.CLOCK, "HSIG-2", now_ms=(CREATED - 300) * 1000 - 1)
    yield verify("another-method", Problem.SIGNATURE, "HSIG-4", method="PUT")
    yield verify("another-authority", Problem.SIGNATURE, "HSIG-4", authority="relay.example")
    yield verify("another-path", Problem.SIGNATURE, "HSIG-4", path="/v1/accounts/ac/commit")
    yield verify("a-query-added", Problem.SIGNATURE, "HSIG-4", query="?since=3")
    yield verify("another-body", Problem.SIGNATURE, "HSIG-3", body=b"another body")
    digest = content_digest(b"another body")
    both = {"headers": headers | {"Content-Digest": digest}, "body": b"another body"}
    yield verify("another-body-and-digest", Problem.SIGNATURE, "HSIG-4", **both)
    redated = header("Signature-Input", str(CREATED), str(CREATED + 1))
    yield verify("created-changed", Problem.SIGNATURE, "HSIG-4", headers=redated)
    key = SignKey(SigningSeed(seed)).public.hex()
    other = header("Signature-Input", key, SignKey(SigningSeed(stream("device b sign"))).public.hex())
    yield verify("another-key", Problem.SIGNATURE, "HSIG-4", headers=other)
    for name in ("Signature", "Signature-Input", "Content-Digest"):
        left = {key: value for key, value in headers.items() if key != name}
        yield verify(f"no-{name.lower()}", Problem.SIGNATURE, "HSIG-1", headers=left)
    fewer = header("Signature-Input", ' "@query"', "")
    yield verify("component-left-out", Problem.SIGNATURE, "HSIG-1", headers=fewer)
    yield verify("another-tag", Problem.SIGNATURE, "HSIG-1", headers=header("Signature-Input", "strongroom-v1", "x"))
    yield verify("another-algorithm", Problem.SIGNATURE, "HSIG-1", headers=header("Signature-Input", "ed25519", "rsa"))
    yield verify("another-label", Problem.SIGNATURE, "HSIG-1", headers=header("Signature", "sr=", "sig1="))
    upper = header("Signature-Input", key, key.upper())
    yield verify("key-in-capitals", Problem.SIGNATURE, "HSIG-1", headers=upper)


REQUEST_SIGNATURE = Area("request-signature", _cases, {"sign": _sign, "verify": _verify})
