"""Bodies of the relay API: what the code makes is what the CDDL says, and is read back alike (chapter 12)."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pycddl
import pytest

from server.account_builder import Account
from strongroom_protocol.errors import UntrustedDataError
from strongroom_protocol.manifest.slots import Kdf
from strongroom_protocol.relay_api import messages as m
from strongroom_protocol.relay_api.problems import Problem, ProblemError, parse_problem, to_error
from strongroom_protocol.wire import cbor

CDDL = (Path(__file__).resolve().parents[2] / "spec" / "strongroom.cddl").read_text()
HASH = bytes(range(32))
ACCOUNT = Account("anna", HASH)
REGISTER = ACCOUNT.registration("token")
COMMIT = ACCOUNT.commit(keyring=ACCOUNT.keyring, slots=ACCOUNT.slots)
UNLOCK = m.UnlockStatement(bytes(56), "https://relay.example", "anna", 1, HASH)

Case = tuple[str, bytes, Callable[[bytes], Any], Any]
CASES: list[Case] = [
    ("register-request", REGISTER.encode(), m.RegisterRequest.parse, REGISTER),
    ("relay-info", m.RelayInfo(HASH, 1, "https://a").encode(), m.RelayInfo.parse, m.RelayInfo(HASH, 1, "https://a")),
    ("login-request", m.encode_login("anna"), m.parse_login, "anna"),
    (
        "login-response",
        m.LoginResponse(bytes(56), HASH, Kdf.preset(), 1, HASH).encode(),
        m.LoginResponse.parse,
        m.LoginResponse(bytes(56), HASH, Kdf.preset(), 1, HASH),
    ),
    ("unlock-statement", UNLOCK.encode(), m.UnlockStatement.parse, UNLOCK),
    ("unlock-request", m.UnlockRequest("anna", b"x").encode(), m.UnlockRequest.parse, m.UnlockRequest("anna", b"x")),
    (
        "unlock-response",
        m.UnlockResponse(HASH, b"s", 1).encode(),
        m.UnlockResponse.parse,
        m.UnlockResponse(HASH, b"s", 1),
    ),
    ("keyring-response", m.encode_keyrings([(b"k", b"r")]), m.parse_keyrings, [(b"k", b"r")]),
    (
        "head-response",
        m.HeadResponse(b"h", b"r", (HASH,), (HASH,), b"b", (HASH,)).encode(),
        m.HeadResponse.parse,
        m.HeadResponse(b"h", b"r", (HASH,), (HASH,), b"b", (HASH,)),
    ),
    ("head-response", m.HeadResponse(b"h", b"r").encode(), m.HeadResponse.parse, m.HeadResponse(b"h", b"r")),
    ("missing-request", m.encode_names([HASH]), m.parse_names, [HASH]),
    ("missing-response", m.encode_names([]), m.parse_names, []),
    ("read-request", m.encode_ranges([(HASH, 1, 2)]), m.parse_ranges, [(HASH, 1, 2)]),
    ("read-response", m.encode_pieces([b"a", None]), m.parse_pieces, [b"a", None]),
    ("commit-request", COMMIT.encode(), m.CommitRequest.parse, COMMIT),
    ("commit-response", m.CommitResponse(b"h").encode(), m.CommitResponse.parse, m.CommitResponse(b"h")),
    ("usage-response", m.Usage(1, 2, 3).encode(), m.Usage.parse, m.Usage(1, 2, 3)),
]
NAMES = [f"{number}-{case[0]}" for number, case in enumerate(CASES)]


@pytest.mark.parametrize("case", CASES, ids=NAMES)
def test_a_body_is_of_its_rule_and_is_read_back(case: Case) -> None:
    rule, encoded, parse, value = case
    pycddl.Schema(f"start = {rule}\n{CDDL}").validate_cbor(encoded)
    assert parse(encoded) == value


@pytest.mark.parametrize("case", CASES, ids=NAMES)
def test_attack_082_anything_else_is_an_error_of_one_type(case: Case) -> None:
    _, encoded, parse, _ = case
    value = cbor.decode(encoded)
    wrong: list[Any] = [None, 1, "a", HASH, {}, [1], {1: 1}, [[1]], [[HASH, -1, 0]], [HASH[:31]]]
    bads: list[Any] = [True, -1, 2**63, [], {}, "", bytes(3), [None]]
    if type(value) is dict:
        wrong += [{key: item for key, item in value.items() if key != gone} for gone in value]
        wrong += [value | {key: bad} for key in value for bad in bads]
        wrong.append(value | {99: 1})
    for item in wrong:
        if cbor.encode(item) == encoded:
            continue
        try:
            parse(cbor.encode(item))  # some are of the form after all: an empty name list, a null
        except UntrustedDataError:
            continue
    for data in (b"", encoded + b"\x00", encoded[:-1], b"\xff", os.urandom(40)):
        with pytest.raises(UntrustedDataError):
            parse(data)


@pytest.mark.parametrize("problem", list(Problem))
def test_a_problem_is_read_back_and_becomes_an_error(problem: Problem) -> None:
    read = parse_problem(problem.status, ProblemError(problem, relay_time=5).to_json())
    assert (read.problem, read.extra) == (problem, {"relay_time": 5})
    assert str(to_error(read))


def test_an_unknown_problem_counts_by_its_status() -> None:
    for status, expected in ((400, Problem.BAD_REQUEST), (503, Problem.INTERNAL)):
        for body in (b"", b"{}", b"[]", b"null", b'{"type": 5}', b'{"type": "urn:strongroom:problem:new"}'):
            assert parse_problem(status, body).problem is expected
