"""The relay's HTTP face, against a real process: forms of answers, and what hostile clients send (chapter 12)."""

from __future__ import annotations

import contextlib
import itertools
import os
import socket
import sqlite3
import time
import zlib
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import pytest

from relay_process import RelayProcess
from server.account_builder import Account, Answer, DeviceKeys, ask, name_of, signature_headers
from server.conftest import Served, enrolled
from strongroom_protocol.limits import LIMITS
from strongroom_protocol.manifest.head import Delta, parse_head
from strongroom_protocol.relay_api import messages
from strongroom_protocol.wire import cbor, merkle

LARGE = os.urandom(3_000_000)
SMALL = os.urandom(1000)


def signed(served: Served, method: str, rest: str, body: bytes = b"", **headers: str) -> Answer:
    return ask(
        served.process.address, method, served.base + rest, body, keys=served.account.device,
        headers={name.replace("_", "-"): value for name, value in headers.items()},
    )  # fmt: skip


def stored(served: Served, data: bytes) -> str:
    rest = f"/objects/{name_of(data).hex()}"
    assert signed(served, "PUT", rest, data).status in (200, 201)
    return rest


def raw(served: Served, data: bytes, *, seconds: float = 1.0) -> bytes:
    """Everything that comes back for these bytes until the relay closes or is silent."""
    with socket.create_connection(served.process.address, timeout=seconds) as connection:
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            connection.sendall(data)
        found = b""
        try:
            while part := connection.recv(65_536):
                found += part
                connection.settimeout(0.3)
        except (TimeoutError, ConnectionResetError):
            pass
    return found


def alive(served: Served) -> bool:
    return ask(served.process.address, "GET", "/healthz").status == 200


def memory(served: Served) -> int:
    """Resident KiB of the relay."""
    status = Path(f"/proc/{served.process.pid}/status").read_text()
    return int(status.split("VmRSS:")[1].split()[0])


@pytest.mark.parametrize("data", [SMALL, LARGE, b""], ids=["small", "large", "empty"])
def test_an_object_is_put_and_read_whole_and_in_ranges(served: Served, data: bytes) -> None:
    rest = stored(served, data)
    assert signed(served, "PUT", rest, data).status == 200
    whole = signed(served, "GET", rest)
    assert (whole.status, whole.body) == (200, data)
    head = signed(served, "HEAD", rest)
    assert (head.status, head.headers["Content-Length"], head.body) == (200, str(len(data)), b"")
    assert head.headers["Accept-Ranges"] == "bytes"
    if not data:
        return
    for text, first, last in (
        ("0-0", 0, 0),
        ("5-99", 5, 99),
        ("900-", 900, len(data) - 1),
        ("1-99999999", 1, len(data) - 1),
    ):
        part = signed(served, "GET", rest, Range=f"bytes={text}")
        assert (part.status, part.body) == (206, data[first : last + 1])
        assert part.headers["Content-Range"] == f"bytes {first}-{last}/{len(data)}"


@pytest.mark.spec("API-30", "API-31")
@pytest.mark.parametrize(
    "text", ["bytes=5000-", "bytes=10-5", "bytes=-5", "bytes=0-1,3-4", "items=0-1", "bytes=\u0665-", "x"]
)
def test_ranges_outside_the_object_or_of_another_form_are_refused(served: Served, text: str) -> None:
    answer = signed(served, "GET", stored(served, SMALL), Range=text.encode().decode("latin-1"))
    assert (answer.status, answer.problem) == (416, "range")


@pytest.mark.spec("API-29")
def test_a_body_under_another_name_is_refused(served: Served) -> None:
    data, other = os.urandom(100), os.urandom(100)
    target = served.base + f"/objects/{name_of(data).hex()}"
    headers = signature_headers(served.account.device, served.process.authority, "PUT", target, data)
    answer = ask(served.process.address, "PUT", target, other, headers=headers)
    assert (answer.status, answer.problem) == (400, "bad-request")
    assert signed(served, "GET", f"/objects/{name_of(data).hex()}").status == 404
    assert signed(served, "GET", f"/objects/{name_of(other).hex()}").status == 404


@pytest.mark.spec("API-27")
def test_an_object_over_the_limit_is_refused_before_it_is_read(served: Served) -> None:
    name = os.urandom(32)
    request = request_bytes(served, "PUT", f"/objects/{name.hex()}", digest_of=name, length=LIMITS.object_bytes + 1)
    assert raw(served, request).startswith(b"HTTP/1.1 413 ")


@pytest.mark.spec("API-28")
def test_an_upload_says_its_length(served: Served) -> None:
    data = b"chunked"
    request = request_bytes(served, "PUT", f"/objects/{name_of(data).hex()}", digest_of=name_of(data), length=None)
    assert raw(served, request + b"7\r\nchunked\r\n0\r\n\r\n").startswith(b"HTTP/1.1 400 ")
    assert signed(served, "GET", f"/objects/{name_of(data).hex()}").status == 404


def request_bytes(served: Served, method: str, rest: str, *, digest_of: bytes, length: int | None) -> bytes:
    """A signed request's head, for a body that need not come."""
    from strongroom_protocol.relay_api.signature import RequestParts, digest_header, sign_request

    parts = RequestParts(method, served.process.authority, served.base + rest, "")
    keys = served.account.device.sign
    headers = sign_request(parts, digest_header(digest_of), created=int(time.time()), key=keys.public, signer=keys.sign)
    headers |= {"Host": served.process.authority}
    headers |= {"Transfer-Encoding": "chunked"} if length is None else {"Content-Length": str(length)}
    lines = [f"{method} {served.base}{rest} HTTP/1.1", *(f"{name}: {value}" for name, value in headers.items())]
    return "\r\n".join(lines).encode() + b"\r\n\r\n"


@pytest.mark.spec("API-24")
def test_a_body_over_the_limit_is_refused_by_its_declared_length(served: Served) -> None:
    head = b"POST /v1/login HTTP/1.1\r\nHost: x\r\nContent-Length: 100000000000\r\n\r\n"
    assert raw(served, head).startswith(b"HTTP/1.1 413 ")


@pytest.mark.spec("API-25")
def test_a_body_over_the_limit_is_refused_when_it_arrives(served: Served) -> None:
    head = b"POST /v1/login HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
    answer = raw(served, head + b"3000\r\n" + bytes(0x3000) + b"\r\n0\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 413 ")


@pytest.mark.spec("API-26")
@pytest.mark.parametrize("query", ["since=-1", "since=1e3", "since=" + "9" * 17, "since=", "since=%D9%A1"])
def test_other_numbers_in_a_query_are_refused(served: Served, query: str) -> None:
    assert signed(served, "GET", f"/head?{query}").problem == "bad-request"
    assert signed(served, "GET", "/head?since=1").status == 200


def test_unsigned_requests_are_refused(served: Served) -> None:
    for rest in ("/head", "/keyring", "/usage", "/heads/1", f"/objects/{bytes(32).hex()}"):
        answer = ask(served.process.address, "GET", served.base + rest)
        assert (answer.status, answer.problem) == (401, "signature")


@pytest.mark.spec("HSIG-5")
def test_attack_089_a_request_signed_for_another_relay_is_refused(served: Served) -> None:
    target = served.base + "/head"
    headers = signature_headers(served.account.device, "other.example", "GET", target) | {"Host": "other.example"}
    assert ask(served.process.address, "GET", target, headers=headers).problem == "signature"


@pytest.mark.spec("HSIG-6")
@pytest.mark.parametrize("header", ["Signature-Input", "Signature", "Content-Digest"])
def test_attack_089_a_header_given_twice_is_refused(served: Served, header: str) -> None:
    head = request_bytes(served, "GET", "/head", digest_of=name_of(b""), length=0)
    assert raw(served, head).startswith(b"HTTP/1.1 200 ")
    twice = head.replace(b"\r\n\r\n", f"\r\n{header}: other\r\n\r\n".encode())
    assert raw(served, twice).startswith(b"HTTP/1.1 401 ")


def test_attack_089_a_signature_fits_one_request(served: Served) -> None:
    keys, authority, body = served.account.device, served.process.authority, messages.encode_names([bytes(32)])
    target = served.base + "/objects/missing"
    good = signature_headers(keys, authority, "POST", target, body)
    address = served.process.address
    assert ask(address, "POST", target, body, headers=good).status == 200
    assert ask(address, "POST", target, body, headers=good).status == 200  # again: the same question, the same answer
    other_body = messages.encode_names([bytes(31) + b"\x01"])
    forged = signature_headers(DeviceKeys(), authority, "POST", target, body)
    for method, place, sent, headers, problem in (
        ("POST", served.base + "/objects/read", body, good, "signature"),
        ("POST", target + "?x=1", body, good, "signature"),
        ("POST", target, other_body, good, "signature"),
        ("POST", target, body, good | {"Signature": forged["Signature"]}, "signature"),
        ("POST", target, body, forged, "not-found"),
        (
            "POST",
            target,
            body,
            signature_headers(keys, authority, "POST", target, body, int(time.time()) - 400),
            "clock",
        ),
        (
            "POST",
            target,
            body,
            signature_headers(keys, authority, "POST", target, body, int(time.time()) + 400),
            "clock",
        ),
    ):
        assert ask(address, method, place, sent, headers=headers).problem == problem


VERBS = [
    ("GET", "/head", b""),
    ("GET", "/head?since=1", b""),
    ("GET", "/heads/1", b""),
    ("GET", "/keyring", b""),
    ("GET", "/usage", b""),
    ("POST", "/commit", b"commit"),
    ("POST", "/objects/missing", b"\x80"),
    ("POST", "/objects/read", b"\x80"),
    ("GET", "/objects/" + "00" * 32, b""),
    ("GET", "/objects/OWN", b""),
    ("HEAD", "/objects/OWN", b""),
    ("PUT", "/objects/OWN", SMALL),
]


@pytest.mark.parametrize(("method", "rest", "body"), VERBS)
def test_attack_076_other_accounts_look_like_none(served: Served, method: str, rest: str, body: bytes) -> None:
    stored(served, SMALL)
    rest = rest.replace("OWN", name_of(SMALL).hex())
    stranger = Account("mallory", served.account.receipt_key)
    answers = [
        ask(served.process.address, method, f"/v1/accounts/{account.hex()}{rest}", body, keys=stranger.device)
        for account in (served.account.id, os.urandom(32))
    ]
    assert [answer.status for answer in answers] == [404, 404]
    assert answers[0].body == answers[1].body
    assert sorted(answers[0].headers) == sorted(answers[1].headers)


TRAVERSALS = [
    "../../relay.db", "..%2f..%2frelay.db", "%2e%2e/%2e%2e/relay.db", "....//relay.db", "/etc/passwd", "%00", "a\x00b",
    "..\\..\\relay.db", "%c0%ae%c0%ae/", "\u0660" * 64, "A" * 64, "g" * 64, "0" * 63, "0" * 65, "0" * 4000,
    "0" * 64 + "/..", "0" * 64 + "%2f..", "0" * 64 + "\n", "upload-00", ".",
]  # fmt: skip


def test_attack_075_only_hashes_name_objects(served: Served) -> None:
    before = sorted(path for path in served.process.folder.rglob("*"))
    for name, method in itertools.product(TRAVERSALS, ("GET", "PUT", "DELETE", "HEAD")):
        line = f"{method} {served.base}/objects/{name} HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\nConnection: close"
        answer = raw(served, line.encode() + b"\r\n\r\n")
        assert answer[9:12] in (b"400", b"404", b"405", b"401"), (name, method, answer)
        assert b"SQLite" not in answer
    for name in ("../keyring", "%2e%2e/keyring"):
        assert signed(served, "GET", f"/objects/{name}").status in (400, 404)
    assert sorted(path for path in served.process.folder.rglob("*")) == before


@pytest.mark.spec("API-23")
@pytest.mark.parametrize("coding", ["gzip", "deflate", "br", "zstd", "identity, gzip", "GZIP", "x"])
def test_attack_078_coded_bodies_are_refused_unread(served: Served, coding: str) -> None:
    bomb = zlib.compress(bytes(50_000_000), wbits=31)
    before = memory(served)
    for target in ("/v1/login", "/v1/accounts", served.base + "/commit"):
        answer = ask(served.process.address, "POST", target, bomb, headers={"Content-Encoding": coding})
        assert (answer.status, answer.problem) == (415, "encoding")
    assert memory(served) - before < 20_000


@pytest.mark.spec("API-23")
def test_attack_078_a_second_coding_header_is_seen(served: Served) -> None:
    head = b"POST /v1/login HTTP/1.1\r\nHost: x\r\nContent-Encoding: identity\r\nContent-Encoding: gzip\r\n"
    assert raw(served, head + b"Content-Length: 0\r\n\r\n").startswith(b"HTTP/1.1 415 ")


FLOODS = [
    b"GET /" + b"a" * 20_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n",
    b"GET /healthz HTTP/1.1\r\nHost: x\r\nX: " + b"a" * 20_000 + b"\r\n\r\n",
    b"GET /healthz HTTP/1.1\r\nHost: x\r\n" + b"".join(b"X-%d: 1\r\n" % n for n in range(5000)) + b"\r\n",
    b"GET /healthz?" + b"&".join(b"a%d=1" % n for n in range(3000)) + b" HTTP/1.1\r\nHost: x\r\n\r\n",
    b"POST /v1/login HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n"
    + b"".join(b"T-%d: 1\r\n" % n for n in range(5000)) + b"\r\n",
    b"\x16\x03\x01" + b"a" * 5000,
    b"GET /healthz HTTP/9.9\r\nHost: x\r\n\r\n",
]  # fmt: skip


def test_attack_080_floods_of_headers_and_long_lines_are_refused(served: Served) -> None:
    before = memory(served)
    for flood in FLOODS:
        answer = raw(served, flood)
        assert answer[9:12] in (b"400", b"413", b"414", b"431", b""), (flood[:60], answer[:200])
    assert alive(served)
    assert memory(served) - before < 20_000


CANARY = b"GET /v1/relay HTTP/1.1\r\nHost: x\r\n\r\n"
SMUGGLES = [
    b"Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    b"Transfer-Encoding: chunked\r\nContent-Length: 0\r\n\r\n",
    b"Content-Length: 0\r\nContent-Length: 30\r\n\r\n",
    b"Content-Length: +5\r\n\r\nhello",
    b"Content-Length: 0x5\r\n\r\nhello",
    b"Content-Length: \xd9\xa5\r\n\r\nhello",
    b"Content-Length: 5, 5\r\n\r\nhello",
    b"Content-Length: -1\r\n\r\n",
    b"Transfer-Encoding: xchunked\r\n\r\n",
    b"Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n",
    b"Transfer-Encoding: \x0bchunked\r\n\r\n0\r\n\r\n",
    b"Transfer-Encoding: chunked\r\n\r\n0x5\r\nhello\r\n0\r\n\r\n",
    b"Transfer-Encoding: chunked\r\n\r\n-1\r\n\r\n0\r\n\r\n",
    b"Transfer-Encoding: chunked\r\n\r\nFFFFFFFFFFFFFFFFFF\r\n",
    b"Transfer-Encoding: chunked\r\n\r\n5\r\nhelloXX0\r\n\r\n",
    b"Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n",
    b" folded: x\r\n\r\n",
    b"X: a\x00b\r\n\r\n",
    b"No-Colon\r\n\r\n",
]


@pytest.mark.parametrize("smuggle", SMUGGLES)
def test_attack_081_a_request_that_two_parsers_could_read_differently_ends_the_connection(
    served: Served, smuggle: bytes
) -> None:
    answer = raw(served, b"POST /v1/login HTTP/1.1\r\nHost: x\r\n" + smuggle + CANARY)
    assert answer.count(b"HTTP/1.1 ") <= 1, answer
    assert b"200 OK" not in answer
    assert alive(served)


def bombs() -> dict[str, bytes]:
    deep = 5_000_000
    return {
        "deep arrays": b"\x81" * deep,
        "deep maps": b"\xa1\x01" * (deep // 2),
        "array of 2^63": b"\x9b" + b"\x7f" + b"\xff" * 7,
        "bytes of 2^63": b"\x5b" + b"\x7f" + b"\xff" * 7,
        "text of 2^63": b"\x7b" + b"\x7f" + b"\xff" * 7,
        "map of 2^63": b"\xbb" + b"\x7f" + b"\xff" * 7,
        "array of 2^32": b"\x9a\xff\xff\xff\xff" + bytes(1000),
        "indefinite": b"\x9f" * 1000,
        "tags": b"\xc2" * 1000 + b"\x41\x00",
        "bignum": b"\xc2\x5a\x00\x10\x00\x00" + bytes(0x100000),
        "shared": b"\xd8\x1c\x81\xd8\x1d\x00",
        "empty": b"",
        "trailing": cbor.encode({1: "a"}) + b"\x00",
        "wrong type": b"\x01",
    }


@pytest.mark.parametrize("name", list(bombs()))
def test_attack_082_cbor_bombs_are_refused_at_every_endpoint(served: Served, name: str) -> None:
    bomb = bombs()[name]
    before = memory(served)
    for target in ("/v1/login", "/v1/unlock", "/v1/accounts"):
        answer = ask(served.process.address, "POST", target, bomb)
        assert answer.problem in ("bad-request", "too-large"), target
    for rest in ("/commit", "/objects/missing", "/objects/read"):
        assert signed(served, "POST", rest, bomb).problem in ("bad-request", "too-large"), rest
    assert memory(served) - before < 60_000
    assert alive(served)


def test_attack_083_objects_are_never_overwritten_or_deleted(served: Served) -> None:
    rest = stored(served, SMALL)
    for method in ("DELETE", "POST", "PATCH", "MOVE", "OPTIONS"):
        assert signed(served, method, rest, b"other").status in (404, 405)
    target = served.base + rest
    forged = signature_headers(served.account.device, served.process.authority, "PUT", target, b"other")
    assert ask(served.process.address, "PUT", target, b"other", headers=forged).problem == "signature"
    assert signed(served, "PUT", rest, SMALL).status == 200
    assert signed(served, "GET", rest).body == SMALL


def test_attack_079_a_connection_that_never_finishes_its_headers_is_closed(served: Served) -> None:
    slow = [socket.create_connection(served.process.address, timeout=10) for _ in range(50)]
    begun = time.monotonic()
    for number, connection in enumerate(slow):
        if number % 2:
            connection.sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\nX-Slow: ")
    assert alive(served)
    for connection in slow:
        connection.settimeout(10)
        assert connection.recv(1000) == b""
        connection.close()
    assert time.monotonic() - begun < 6


def test_attack_077_parallel_uploads_over_http_stay_within_the_cap(tmp_path: Path) -> None:
    cap, size = 2_000_000, 150_000
    with RelayProcess(tmp_path, "--account-bytes", str(cap), open_registration=True) as process:
        small = Served(process, enrolled(process))
        statuses: list[int] = []

        def upload() -> None:
            for _ in range(10):
                data = os.urandom(size)
                statuses.append(signed(small, "PUT", f"/objects/{name_of(data).hex()}", data).status)

        with ThreadPoolExecutor(20) as pool:
            for done in [pool.submit(upload) for _ in range(20)]:
                done.result()
        assert set(statuses) == {201, 507}
        assert statuses.count(201) == cap // size
        on_disk = sum(path.stat().st_size for path in (tmp_path / "objects").rglob("*") if path.is_file())
        assert on_disk <= cap


def test_attack_091_logs_hold_no_names_tokens_addresses_nor_control_characters(tmp_path: Path) -> None:
    with RelayProcess(tmp_path) as process:
        token = process.token
        served = Served(process, enrolled(process, "canary-name"))
        for text in (b"\x1b[2J", b"\r\n\x1b]0;canary", b"%0d%0acanary", b"canary"):
            raw(served, b"GET /" + text + b" HTTP/1.1\r\nHost: canary\r\nUser-Agent: canary" + text + b"\r\n\r\n")
            raw(served, b"CANARY" + text + b"\r\n\r\n")
            raw(served, b"POST /v1/login HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz" + text)
            raw(served, b"GET /healthz HTTP/1.1\r\nX: " + text * 2000 + b"\r\n\r\n")
        ask(process.address, "POST", "/v1/login", messages.encode_login("canary-other"))
        served.account.name = "canary-again"
        again = served.account.registration("canary-token")
        assert ask(process.address, "POST", "/v1/accounts", again.encode()).status == 409
        (tmp_path / "relay.db").rename(tmp_path / "gone")
        sqlite3.connect(tmp_path / "relay.db").close()
        data = os.urandom(100)
        signed(served, "PUT", f"/objects/{name_of(data).hex()}", data)
        assert process.stop() == 0
        for secret in (token, "canary", "CANARY", "127.0.0.1", "\x1b", served.account.id.hex(), name_of(data).hex()):
            assert secret not in process.log, process.log
        assert process.log.count("\n") < 10


@pytest.mark.spec("API-35")
def test_a_stop_finishes_what_is_under_way_and_takes_nothing_new(tmp_path: Path) -> None:
    with RelayProcess(tmp_path, open_registration=True) as process:
        served = Served(process, enrolled(process))
        data = os.urandom(2_000_000)
        rest = f"/objects/{name_of(data).hex()}"
        head = request_bytes(served, "PUT", rest, digest_of=name_of(data), length=len(data))
        question = b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"
        connect = partial(socket.create_connection, process.address, timeout=15)
        with connect() as idle, connect() as late, connect() as busy:
            for connection in (idle, late):
                connection.sendall(question)
                assert connection.recv(1000).startswith(b"HTTP/1.1 200")
            busy.sendall(head + data[:1_000_000])
            time.sleep(0.3)
            with ThreadPoolExecutor() as pool:
                status = pool.submit(process.stop)
                time.sleep(0.3)
                late.sendall(question)
                assert late.recv(1000).startswith(b"HTTP/1.1 503")
                busy.sendall(data[1_000_000:])
                assert busy.recv(1000).startswith(b"HTTP/1.1 201 ")
                assert status.result(20) == 0
            assert idle.recv(1000) == b""
        process.start()
        assert signed(served, "GET", rest).body == data


def test_attack_084_racing_clients_over_http_make_one_chain(tmp_path: Path) -> None:
    """Six clients with their own idea of the newest head: every version is won once, and the chain has no gap."""
    wins: list[tuple[int, bytes, bytes | None]] = []
    with RelayProcess(tmp_path, open_registration=True) as process:
        served = Served(process, enrolled(process))
        account = served.account

        def client() -> None:
            won = 0
            while won < 4:
                newest = messages.HeadResponse.parse(signed(served, "GET", "/head").body)
                head = parse_head(newest.head, account=account.id)
                body = os.urandom(200)
                delta = Delta.of([name_of(body)], ())
                root = merkle.root_of(merkle.append(head.version - 1, newest.peaks, head.hash))
                mine = account.head(head.version + 1, head.hash, body, delta, log_root=root)
                request = messages.CommitRequest(mine.message, delta, (body,))
                answer = signed(served, "POST", "/commit", request.encode())
                assert (answer.status, answer.problem) in ((200, ""), (409, "conflict"))
                if answer.status == 200:
                    won += 1
                    wins.append((mine.version, mine.hash, mine.previous))

        with ThreadPoolExecutor(6) as pool:
            for done in [pool.submit(client) for _ in range(6)]:
                done.result()
    wins.sort()
    assert [version for version, _, _ in wins] == list(range(2, 26))
    before = account.newest.hash
    for _, own, previous in wins:
        assert previous == before
        before = own
