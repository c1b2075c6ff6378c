"""Below CBOR: what is no HTTP, no answer, or no end; and other places to go to."""

from __future__ import annotations

import gzip

from strongroom_conformance.insider import forged_head, peaks_of
from strongroom_conformance.scenario import (
    HEAD,
    NOT_FOUND,
    RELAY,
    UNTRUSTED,
    USAGE,
    Expected,
    Scene,
    refusal,
    scenario,
    unreachable,
)
from strongroom_conformance.world import FAMILY
from strongroom_protocol.relay_api.messages import HeadResponse, encode_keyrings
from strongroom_protocol.wire import merkle

MEMORY = 256
"""MiB: a client that reads a bounded answer has no use for more."""

ONCE = unreachable(requests=3, memory=MEMORY, messages=FAMILY)
LOGIN = Expected(frozenset({RELAY}), pin="none", requests=2, never=("POST unlock",), memory=MEMORY)
IN_TIME = unreachable(requests=3, memory=MEMORY, seconds=25)
BOMB = gzip.compress(bytes(64 * 1024 * 1024))
ELSEWHERE = [["Location", "/elsewhere"]]


def _head(name: str, *attacks: int, do: str, does: str, expected: Expected = ONCE, **given: object) -> None:
    @scenario(name, *attacks, does=does, expected=expected)
    def attack(scene: Scene) -> None:
        scene.lie("GET head", do, **given)


def _redirect(name: str, status: int) -> None:
    expected = unreachable(requests=0, memory=MEMORY)
    _head(name, 93, 92, do="http", status=status, headers=ELSEWHERE, expected=expected, does=f"a redirect ({status})")


_redirect("redirect-302", 302)
_redirect("redirect-307", 307)
_redirect("redirect-308", 308)


@scenario(
    "login-redirect",
    93,
    does="a redirect (307) where the login begins",
    stage="story",
    command=("login",),
    vault="fresh",
    expected=LOGIN,
)
def _login_redirect(scene: Scene) -> None:
    scene.lie("POST login", "http", status=307, headers=ELSEWHERE)


@scenario(
    "login-silence",
    52,
    does="no answer where the login begins",
    stage="story",
    command=("login",),
    vault="fresh",
    expected=LOGIN,
)
def _login_silence(scene: Scene) -> None:
    scene.lie("POST login", "stall")


_head("coding", 92, do="http", headers=[["Content-Encoding", "gzip"]], does="an answer that says it is compressed")
_head(
    "coding-bomb", 92, 52, do="http", headers=[["Content-Encoding", "gzip"]], body=BOMB.hex(),
    does="64 MiB in 64 KiB, compressed",
)  # fmt: skip
for _status in (202, 206, 300, 418, 599):
    _head(f"status-{_status}", 92, do="http", status=_status, does=f"a good answer under status {_status}")
_head(
    "status-404",
    92,
    do="problem",
    code="not-found",
    does="that there is no such account",
    expected=Expected(frozenset({NOT_FOUND, RELAY}), requests=3),
)
_head("problem-rate", 92, do="problem", code="rate", does="that there were too many attempts")
_head("problem-unavailable", 92, do="problem", code="unavailable", does="that it is stopping")
_head(
    "problem-clock", 92, do="problem", code="clock", extra={"relay_time": 4_000_000_000_000},
    does="that the device's clock is wrong, each time",
)  # fmt: skip
_head("problem-long", 92, 52, do="http", status=503, body="20" * (4 << 20), does="4 MiB of refusal")
_head("problem-broken", 92, do="http", status=400, body="5b" * 50_000, does="a refusal of open brackets")
_head("no-http", 92, do="raw", body=(b"+OK ready\r\n" * 100).hex(), does="another protocol")
_head("no-bytes", 92, do="raw", body="", does="the end of the connection")
_head(
    "two-lengths", 92, do="raw", body=b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab".hex(),
    does="two lengths",
)  # fmt: skip
_head(
    "bad-chunk", 92, do="raw", body=b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\nab\r\n".hex(),
    does="a chunk without a length",
)  # fmt: skip
_head(
    "long-header", 92, 52, do="raw", body=(b"HTTP/1.1 200 OK\r\nX: " + b"x" * (2 << 20) + b"\r\n\r\n").hex(),
    does="2 MiB of header",
)  # fmt: skip
_head(
    "many-headers", 92, 52, do="raw", body=(b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 400_000 + b"\r\n").hex(),
    does="400,000 headers",
)  # fmt: skip
_head("short-answer", 92, do="short", does="one byte less than the length it declares")
_head("silence", 52, do="stall", expected=IN_TIME, does="nothing, ever")
_head("drip", 52, do="drip", expected=IN_TIME, does="one byte a second")
_head("endless", 52, do="endless", expected=IN_TIME, does="the same answer again and again")
_head(
    "endless-refusal", 52, do="endless", body="00", expected=IN_TIME, does="zeros without end",
)  # fmt: skip


ENDLESS = Expected(
    frozenset({RELAY, UNTRUSTED}), pin="any", requests=8, memory=MEMORY, seconds=25, subset=[]
)  # fmt: skip


@scenario(
    "endless-objects", 52, does="zeros without end where objects are read", stage="guest", vault="guest",
    expected=ENDLESS,
)  # fmt: skip
def _endless_objects(scene: Scene) -> None:
    scene.lie("POST objects/read", "endless", body="00")


@scenario(
    "endless-keyrings",
    52,
    does="a keyring chain that begins again and again",
    expected=refusal(requests=8, only=("GET head", "GET keyring", "GET heads")),
)
def _endless_keyrings(scene: Scene) -> None:
    heads, thief = scene.heads(), scene.world.insider("thief")
    leaves = [head.hash for head in heads]
    message = forged_head(heads[-1], thief.keyring, thief.keys, leaves, f5=60, f6=bytes(32))
    receipt = scene.receipt(message, chain=HEAD, version=heads[-1].version + 1, previous=heads[-1].hash)
    proof = tuple(merkle.consistency_proof(len(leaves) - 1, leaves))
    scene.show(HeadResponse(message, receipt, peaks_of(leaves), proof))
    chain = [tuple(map(bytes.fromhex, pair)) for pair in scene.history()["keyrings"]]
    body = encode_keyrings([(a, b) for a, b in chain] * 20)
    scene.lie("GET keyring", "answer", body=body.hex(), instead=True)


scenario(
    "no-tls", 93, does="nothing: its address is http:// on another machine", relay="http://192.0.2.1:8790",
    expected=Expected(frozenset({USAGE}), requests=0, seconds=10),
)(lambda scene: None)  # fmt: skip
