"""The malicious relay by itself: what it answers when it is told to lie, and when it is not."""

from __future__ import annotations

import http.client
import json
import time
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import cbor2
import pytest

from strongroom_conformance.control import Control
from strongroom_conformance.exchanges import Answer, Asked, shape
from strongroom_conformance.mutations import LIES
from strongroom_protocol.errors import UntrustedDataError
from strongroom_protocol.relay_api.messages import RelayInfo
from strongroom_protocol.wire import cbor

ACCOUNT = "ab" * 32
NAME = "cd" * 32


@pytest.fixture
def evil(control: Control) -> Iterator[Control]:
    control.ask("forget")
    yield control
    control.ask("forget")


def _get(evil: Control, path: str = "/v1/relay", *, method: str = "GET") -> tuple[int, dict[str, str], bytes]:
    parts = urlsplit(evil.url)
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=10)
    try:
        connection.request(method, path)
        answer = connection.getresponse()
        return answer.status, dict(answer.headers), answer.read()
    finally:
        connection.close()


def _lies(evil: Control, **rule: Any) -> None:
    evil.ask("script", rules=[{"on": "GET relay"} | rule])


def test_without_rules_it_is_an_honest_relay_under_its_own_address(evil: Control) -> None:
    status, _, body = _get(evil)
    assert status == 200
    assert RelayInfo.parse(body).origin == evil.url
    assert _get(evil, "/v1/nothing")[0] == 404
    first, second = evil.ask("log")
    assert (first["shape"], first["status"], first["answered"], first["rule"]) == ("GET relay", 200, len(body), "")
    assert (second["shape"], second["status"]) == ("GET nothing", 404)


def test_bits_and_lengths(evil: Control) -> None:
    honest = cbor.decode(_get(evil)[2])
    _lies(evil, do="flip", path=[1], at=0, mask=128)
    lied = cbor.decode(_get(evil)[2])
    assert lied[1][0] == honest[1][0] ^ 128
    assert lied[1][1:] == honest[1][1:]
    _lies(evil, do="cut", keep=7)
    assert len(_get(evil)[2]) == 7
    _lies(evil, do="extend", by="00ff")
    assert _get(evil)[2].endswith(b"\x00\xff")
    _lies(evil, do="put", path=[2], value=5)
    assert cbor.decode(_get(evil)[2]) == {1: honest[1], 2: 5, 3: honest[3]}


@pytest.mark.parametrize("how", ["long", "indefinite", "twice", "trailing", "tagged"])
def test_loose_encodings_mean_the_same_to_a_lenient_reader_and_nothing_to_a_strict_one(evil: Control, how: str) -> None:
    _lies(evil, do="loose", how=how)
    body = _get(evil)[2]
    with pytest.raises(UntrustedDataError):
        cbor.decode(body)
    assert set(cbor2.loads(body[:-1] if how == "trailing" else body)) == {1, 2, 3}


def test_which_requests_are_lied_to(evil: Control) -> None:
    _lies(evil, do="answer", body="a0", skip=1, times=2)
    assert [_get(evil)[2] == b"\xa0" for _ in range(4)] == [False, True, True, False]
    assert [entry["rule"] for entry in evil.ask("log")] == ["", "answer", "answer", ""]
    _lies(evil, do="answer", body="a0", key="00" * 32)
    assert _get(evil)[2] != b"\xa0"


def test_refusals_and_other_http(evil: Control) -> None:
    _lies(evil, do="problem", code="rate")
    status, headers, body = _get(evil)
    assert (status, headers["Content-Type"]) == (429, "application/problem+json")
    assert json.loads(body)["type"].endswith(":rate")
    _lies(evil, do="http", status=307, headers=[["Location", "/elsewhere"]])
    status, headers, _ = _get(evil)
    assert (status, headers["Location"]) == (307, "/elsewhere")
    _lies(evil, do="raw", body=b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi".hex())
    assert _get(evil)[2] == b"hi"
    _lies(evil, do="raw", body="")
    with pytest.raises(http.client.RemoteDisconnected):
        _get(evil)
    _lies(evil, do="short")
    with pytest.raises(http.client.IncompleteRead):
        _get(evil)


def test_answers_that_never_come_or_never_end(evil: Control) -> None:
    parts = urlsplit(evil.url)
    for do in ("stall", "drip"):
        _lies(evil, do=do)
        connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=0.5)
        connection.request("GET", "/v1/relay")
        with pytest.raises(TimeoutError):
            connection.getresponse().read()
        connection.close()
    _lies(evil, do="endless", body="07")
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=10)
    connection.request("GET", "/v1/relay")
    assert connection.getresponse().read(1 << 20) == b"\x07" * (1 << 20)
    connection.close()
    assert [entry["shape"] for entry in evil.ask("log")] == ["GET relay"] * 3


def test_an_earlier_answer_again(evil: Control) -> None:
    first = _get(evil)[2]
    time.sleep(0.01)  # the answer has the time in it
    assert _get(evil)[2] != first
    _lies(evil, do="replay", number=0)
    assert _get(evil)[2] == first


def test_snapshots_and_branches_are_other_relays(evil: Control) -> None:
    def key() -> bytes:
        return RelayInfo.parse(_get(evil)[2]).receipt_key

    evil.ask("reset", name=None)
    first = key()
    evil.ask("snapshot", name="kept")
    evil.ask("reset", name=None)
    second = key()
    assert second != first
    evil.ask("reset", name="kept", branch="other")
    assert key() == second
    evil.ask("serve", default="other")
    assert key() == first
    evil.ask("serve", default="main", keys={"11" * 32: "other"})
    assert key() == second
    evil.ask("reset", name="kept")
    assert key() == first


def test_the_control_port_wants_its_token_and_knows_its_verbs(evil: Control) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", evil._port, timeout=10)
    connection.request("POST", "/log", "{}", {"X-Control": "guessed"})
    assert connection.getresponse().status == 403
    connection.close()
    with pytest.raises(RuntimeError, match="no such verb"):
        evil.ask("nothing")
    with pytest.raises(RuntimeError, match="no such lie"):
        evil.ask("script", rules=[{"on": "*", "do": "nothing"}])


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/healthz", "healthz"), ("/v1/login", "login"), (f"/v1/accounts/{ACCOUNT}/head", "head"),
        (f"/v1/accounts/{ACCOUNT}/heads/17", "heads"), (f"/v1/accounts/{ACCOUNT}/objects/{NAME}", "objects"),
        (f"/v1/accounts/{ACCOUNT}/objects/read", "objects/read"), ("/v1/links/000123/4", "links/slot"), ("/", "/"),
    ],
)  # fmt: skip
def test_shapes_have_no_ids_in_them(path: str, kind: str) -> None:
    assert shape(path) == kind


def test_objects_are_others_wherever_they_are_asked_for() -> None:
    given = {"objects": {NAME: b"other bytes".hex(), "ee" * 32: None}, "body": NAME}
    name, gone, kept = bytes.fromhex(NAME), b"\xee" * 32, b"\x01" * 32

    def lied(asked: Asked, honest: bytes) -> Answer:
        return LIES["objects"](given, asked, Answer(200, honest))

    base = f"/v1/accounts/{ACCOUNT}"
    assert lied(Asked("GET", f"{base}/objects/{NAME}", "", b""), b"honest").body == b"other bytes"
    assert lied(Asked("GET", f"{base}/objects/{'ee' * 32}", "", b""), b"honest").status == 404
    ranges = cbor.encode([[name, 6, 3], [gone, 0, 0], [kept, 0, 2], [name, 0, 0]])
    pieces = cbor.encode([b"xxx", b"yyy", b"zz", b"honest"])
    found = cbor.decode(lied(Asked("POST", f"{base}/objects/read", "", ranges), pieces).body)
    assert found == [b"byt", None, b"zz", b"other bytes"]
    head = cbor.encode({1: b"h", 5: b"honest"})
    assert cbor.decode(lied(Asked("GET", f"{base}/head", "", b""), head).body)[5] == b"other bytes"
