"""Parsed keyrings that are kept: found by their exact bytes only, and bounded."""

from __future__ import annotations

import pytest

from server.account_builder import Account, DeviceKeys
from server.conftest import Bench
from strongroom_protocol.errors import UntrustedDataError
from strongroom_relay.service import keyrings
from strongroom_relay.service.keyrings import Keyrings


def test_a_keyring_is_parsed_once(monkeypatch: pytest.MonkeyPatch) -> None:
    account = Account("anna", bytes(32))
    kept = Keyrings()
    first = kept.parsed(account.keyring.message, account.id)
    monkeypatch.setattr(keyrings, "parse_keyring", None)
    assert kept.parsed(bytes(bytearray(account.keyring.message)), account.id) is first


def test_one_changed_byte_or_another_account_is_another_keyring() -> None:
    account, other = Account("anna", bytes(32)), Account("berta", bytes(32))
    kept = Keyrings()
    message = account.keyring.message
    kept.parsed(message, account.id)
    for wrong, whose in ((message[:-1] + bytes([message[-1] ^ 1]), account.id), (message, other.id)):
        with pytest.raises(UntrustedDataError):
            kept.parsed(wrong, whose)


def test_what_was_not_used_for_longest_goes(monkeypatch: pytest.MonkeyPatch) -> None:
    accounts = [Account(name, bytes(32)) for name in "abc"]
    kept = Keyrings(sum(len(account.keyring.message) for account in accounts) - 1)
    a, b = (kept.parsed(account.keyring.message, account.id) for account in accounts[:2])
    assert kept.parsed(a.message, accounts[0].id) is a
    kept.parsed(accounts[2].keyring.message, accounts[2].id)
    assert kept.parsed(a.message, accounts[0].id) is a
    assert kept.parsed(b.message, accounts[1].id) is not b
    tiny = Keyrings(10)
    assert tiny.parsed(a.message, accounts[0].id).hash == a.hash


async def test_a_commit_is_checked_against_the_keyring_in_force(bench: Bench) -> None:
    """The keyring before it is kept, and must not be what a commit is checked against."""
    request = bench.account.commit()
    await bench.commit(request)
    bench.account.done(request)
    added = DeviceKeys()
    keyring = bench.account.next_keyring(add=(added,))
    request = bench.account.commit(keyring=keyring)
    await bench.commit(request)
    bench.account.done(request, keyring)
    request = bench.account.commit()
    await bench.commit(request)
