"""Request signatures: RFC 9421 with RFC 9530 digests, one fixed profile (spec chapter 12).

Every request is idempotent or guarded by a version, so a replay within the allowance changes nothing and no relay
needs to remember nonces.
"""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass

from strongroom_protocol.errors import UntrustedDataError
from strongroom_protocol.limits import LIMITS, Limits
from strongroom_protocol.relay_api.problems import Problem, ProblemError
from strongroom_protocol.wire import cose

COMPONENTS = '("@method" "@authority" "@path" "@query" "content-digest")'
TAG = "strongroom-v1"
_INPUT = re.compile(
    re.escape("sr=" + COMPONENTS) + r';created=([0-9]{1,12});keyid="([0-9a-f]{64})";alg="ed25519";tag="strongroom-v1"'
)
_SIGNATURE = re.compile(r"sr=:([A-Za-z0-9+/]{85}[AQgw]==):")
_DIGEST = re.compile(r"sha-256=:[A-Za-z0-9+/]{42}[AEIMQUYcgkosw048]=:")


@dataclass(frozen=True, slots=True)
class RequestParts:
    """What is signed of a request: method, authority (host:port, lower case), path, query with its `?`."""

    method: str
    authority: str
    path: str
    query: str


def content_digest(body: bytes) -> str:
    """The Content-Digest header of a body, also of an empty one."""
    return digest_header(hashlib.sha256(body).digest())


def digest_header(digest: bytes) -> str:
    """The Content-Digest header for a SHA-256."""
    return "sha-256=:" + base64.b64encode(digest).decode() + ":"


def sign_request(parts: RequestParts, digest: str, *, created: int, key: bytes, signer: cose.Signer) -> dict[str, str]:
    """The three headers of a signed request; `created` in seconds since 1970."""
    parameters = f'{COMPONENTS};created={created};keyid="{key.hex()}";alg="ed25519";tag="{TAG}"'
    signature = signer(_base(parts, digest, parameters))
    return {
        "Content-Digest": digest,
        "Signature-Input": f"sr={parameters}",
        "Signature": "sr=:" + base64.b64encode(signature).decode() + ":",
    }


def verify_request(
    parts: RequestParts, headers: Mapping[str, str], *, now_ms: int, limits: Limits = LIMITS
) -> tuple[bytes, str]:
    """The key that signed the request and the digest its body must have. Raises ProblemError SIGNATURE or CLOCK.

    The caller compares the digest with the body (`check_body`) and decides what the key may do.
    """
    given = _INPUT.fullmatch(headers.get("Signature-Input", ""))
    proof = _SIGNATURE.fullmatch(headers.get("Signature", ""))
    digest = headers.get("Content-Digest", "")
    if given is None or proof is None or not _DIGEST.fullmatch(digest):  # spec: HSIG-1
        raise ProblemError(Problem.SIGNATURE)
    created, key = int(given.group(1)), bytes.fromhex(given.group(2))
    parameters = headers["Signature-Input"].removeprefix("sr=")
    try:
        cose.check(key, _base(parts, digest, parameters), base64.b64decode(proof.group(1)), subject="request")
    except UntrustedDataError as error:
        raise ProblemError(Problem.SIGNATURE) from error
    if abs(now_ms - created * 1000) > limits.signature_age_ms:  # spec: HSIG-2
        raise ProblemError(Problem.CLOCK, relay_time=now_ms)
    return key, digest


def check_body(digest: str, sha256: bytes) -> None:
    """The body is the one that was signed."""
    if digest != digest_header(sha256):  # spec: HSIG-3
        raise ProblemError(Problem.SIGNATURE)


def _base(parts: RequestParts, digest: str, parameters: str) -> bytes:
    lines = [
        f'"@method": {parts.method}',
        f'"@authority": {parts.authority}',
        f'"@path": {parts.path}',
        f'"@query": {parts.query or "?"}',
        f'"content-digest": {digest}',
        f'"@signature-params": {parameters}',
    ]
    # A path or query of other bytes than UTF-8 reaches us with surrogates; it is signed as it was sent.
    return "\n".join(lines).encode("utf-8", "surrogateescape")  # spec: HSIG-4
