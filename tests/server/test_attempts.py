"""Counting of refused unlocks: by whom, and in bounded memory (chapter 12)."""

from __future__ import annotations

from pathlib import Path

import pytest

from relay_process import RelayProcess
from server.account_builder import Account, Answer, DeviceKeys, ask
from server.conftest import enrolled
from strongroom_protocol.keys.secrets import UnlockSecret
from strongroom_protocol.keys.slots import Unlock
from strongroom_protocol.manifest.slots import SlotKind
from strongroom_protocol.relay_api.messages import LoginResponse, UnlockRequest, encode_login
from strongroom_relay.service import attempts
from strongroom_relay.service.attempts import Attempts, by_address, source_of


def test_a_bucket_empties_by_one_at_a_time() -> None:
    counted = Attempts(3, 1000)
    for _ in range(3):
        assert counted.allowed("anna", 0)
        counted.count("anna", 0)
    assert not counted.allowed("anna", 999)
    assert counted.allowed("berta", 0)
    assert counted.allowed("anna", 1000)
    counted.count("anna", 1000)
    assert not counted.allowed("anna", 1999)


def test_attack_013_what_is_counted_takes_bounded_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(attempts, "ENTRIES", 100)
    counted = Attempts(3, 1000, _bound=100)
    for number in range(100):
        counted.count(str(number), 0)
    counted.count("late", 1000)  # nobody before is owed anything
    assert len(counted) == 1
    for number in range(5000):
        counted.count(str(number), 1000)
        assert len(counted) <= 2000


@pytest.mark.parametrize(
    ("peer", "forwarded", "source"),
    [
        ("203.0.113.7", None, "203.0.113.7"),
        ("::ffff:203.0.113.7", None, "203.0.113.7"),
        ("2001:db8:1:2:3:4:5:6", None, "2001:db8:1:2::/64"),
        ("127.0.0.1", None, None),  # a proxy on this machine: not who asks
        ("::1", None, None),
        (None, None, None),
        ("127.0.0.1", "203.0.113.7", "203.0.113.7"),
        ("127.0.0.1", "198.51.100.1, 203.0.113.7", "203.0.113.7"),  # the first is the asker's own word
        ("127.0.0.1", "", None),
        ("127.0.0.1", "unknown", None),
    ],
)
def test_who_asks(peer: str | None, forwarded: str | None, source: str | None) -> None:
    assert source_of(peer, forwarded) == source


def guess(process: RelayProcess, account: Account, name: str, forwarded: str) -> Answer:
    asked = LoginResponse.parse(ask(process.address, "POST", "/v1/login", encode_login(name)).body)
    wrong = Unlock(SlotKind.PASSPHRASE, UnlockSecret(bytes(32)))
    statement = account.statement(asked, DeviceKeys(), unlock=wrong, origin=process.url, name=name)
    body = UnlockRequest(name, statement).encode()
    return ask(process.address, "POST", "/v1/unlock", body, headers={"X-Forwarded-For": forwarded})


@pytest.mark.parametrize("trusted", [True, False])
def test_attack_013_addresses_are_taken_from_the_operators_proxy_only(tmp_path: Path, trusted: bool) -> None:
    options = ["--trust-forwarded"] if trusted else []
    with RelayProcess(tmp_path, *options, open_registration=True) as process:
        account = enrolled(process)
        burst = by_address().burst
        answers = [guess(process, account, f"n{number}", "203.0.113.1") for number in range(burst + 1)]
        assert [answer.status for answer in answers[:burst]] == [401] * burst
        assert answers[burst].status == (429 if trusted else 401)
        assert guess(process, account, "other", "203.0.113.2").status == 401
