"""Blocking a device's key, and unlocks that a device signs (chapters 04 and 12)."""

from __future__ import annotations

import asyncio
import os

import pytest

from server.account_builder import DeviceKeys
from server.conftest import ORIGIN, Bench, refused
from strongroom_protocol.keys.secrets import UnlockSecret
from strongroom_protocol.keys.signing import SignKey
from strongroom_protocol.keys.slots import Unlock
from strongroom_protocol.manifest.slots import SlotKind
from strongroom_protocol.relay_api.messages import UnlockRequest
from strongroom_protocol.relay_api.problems import Problem, ProblemError
from strongroom_protocol.wire import cbor, cose
from strongroom_relay.service import accounts, blocks
from strongroom_relay.service.relay import Principal

HOUR = 3_600_000


async def _two(bench: Bench) -> DeviceKeys:
    """A second device in the keyring."""
    other = DeviceKeys()
    keyring = bench.account.next_keyring(add=(other,))
    request = bench.account.commit(keyring=keyring)
    await bench.commit(request)
    bench.account.done(request, keyring)
    return other


def word(bench: Bench, device: DeviceKeys, *, signer: SignKey | None = None, **fields: object) -> bytes:
    """A block of `device`, with other fields (`f3=…`) where given."""
    keyring = bench.account.keyring
    payload = {1: keyring.account, 2: keyring.version, 3: keyring.hash, 4: device.listed(1).id, 5: bench.clock.now}
    payload |= {int(name[1:]): value for name, value in fields.items()}
    key = signer or bench.account.root.sign
    return cose.sign(cose.Context.BLOCK, cbor.encode(payload), key.public, key.sign)


async def known(bench: Bench, keys: DeviceKeys) -> bool:
    try:
        await accounts.identify(bench.relay, bench.account.id, keys.sign.public)
    except ProblemError:
        return False
    return True


@pytest.mark.spec("BLOCK-3")
async def test_a_blocked_key_is_a_strangers_for_an_hour(bench: Bench) -> None:
    other = await _two(bench)
    assert await known(bench, other)
    await blocks.block(bench.relay, bench.who, word(bench, other))
    assert not await known(bench, other)
    assert await known(bench, bench.account.device)
    bench.clock.now += HOUR - 1
    assert not await known(bench, other)
    bench.clock.now += 1
    assert await known(bench, other)


@pytest.mark.spec("BLOCK-3")
async def test_the_next_keyring_ends_a_block(bench: Bench) -> None:
    other = await _two(bench)
    await blocks.block(bench.relay, bench.who, word(bench, other))
    keyring = bench.account.next_keyring(add=(DeviceKeys(),))
    await bench.commit(bench.account.commit(keyring=keyring))
    assert await known(bench, other)


@pytest.mark.spec("BLOCK-1")
async def test_only_the_newest_root_blocks(bench: Bench) -> None:
    other = await _two(bench)
    for signer in (other.sign, bench.account.device.sign):
        message = word(bench, other, signer=signer)
        assert await refused(blocks.block(bench.relay, bench.who, message)) is Problem.SIGNATURE
    assert await known(bench, other)


@pytest.mark.spec("BLOCK-2")
async def test_a_block_is_for_the_newest_keyring(bench: Bench) -> None:
    other = await _two(bench)
    for fields in ({"f2": 1}, {"f3": bytes(32)}):
        message = word(bench, other, **fields)
        assert await refused(blocks.block(bench.relay, bench.who, message)) is Problem.CONFLICT
    assert await known(bench, other)


@pytest.mark.spec("BLOCK-4")
async def test_a_block_is_for_a_device_of_it(bench: Bench) -> None:
    await _two(bench)
    assert await refused(blocks.block(bench.relay, bench.who, word(bench, DeviceKeys()))) is Problem.NOT_FOUND


async def test_a_block_of_another_shape_or_account_is_refused(bench: Bench) -> None:
    other = await _two(bench)
    key = bench.account.root.sign
    messages = [
        b"", b"x" * 2000, word(bench, other, f6=0), word(bench, other, f1=bytes(32)), word(bench, other, f4=b""),
        cose.sign(cose.Context.UNLOCK, cbor.encode({1: 1}), key.public, key.sign),
    ]  # fmt: skip
    for message in messages:
        assert await refused(blocks.block(bench.relay, bench.who, message)) is Problem.BAD_REQUEST
    assert await known(bench, other)


@pytest.mark.spec("BLOCK-5")
async def test_of_two_devices_that_block_each_other_one_goes_on(bench: Bench) -> None:
    """Both requests have passed the first look at who sent them before either block is written."""
    other = await _two(bench)
    them = Principal(bench.account.id, other.sign.public, True)
    await asyncio.gather(
        blocks.block(bench.relay, bench.who, word(bench, other)),
        blocks.block(bench.relay, them, word(bench, bench.account.device)),
        return_exceptions=True,
    )
    assert [await known(bench, keys) for keys in (bench.account.device, other)].count(True) == 1


async def _unlock(bench: Bench, keys: Unlock | None, who: Principal, *, name: str = "anna") -> None:
    asked = await accounts.login(bench.relay, name)
    statement = bench.account.statement(asked, bench.account.device, unlock=keys, origin=ORIGIN, name=name)
    await accounts.unlock(bench.relay, UnlockRequest(name, statement), "203.0.113.7", who=who)


def _wrong() -> Unlock:
    return Unlock(SlotKind.PASSPHRASE, UnlockSecret(os.urandom(32)))


@pytest.mark.spec("API-43")
async def test_attack_013_strangers_guesses_do_not_hold_up_a_device_nor_a_devices_others(bench: Bench) -> None:
    other = await _two(bench)
    them = Principal(bench.account.id, other.sign.public, True)
    for _ in range(10):
        asked = await accounts.login(bench.relay, "anna")
        statement = bench.account.statement(asked, DeviceKeys(), unlock=_wrong(), origin=ORIGIN)
        await refused(accounts.unlock(bench.relay, UnlockRequest("anna", statement), "203.0.113.7"))
    await _unlock(bench, None, bench.who)
    for _ in range(10):
        assert await refused(_unlock(bench, _wrong(), them)) is Problem.UNLOCK_REFUSED
    assert await refused(_unlock(bench, None, them)) is Problem.RATE
    await _unlock(bench, None, bench.who)
    bench.clock.now += 30_000
    await _unlock(bench, None, them)


@pytest.mark.spec("API-44")
async def test_a_device_unlocks_its_own_account_only(bench: Bench) -> None:
    other = await bench.second()
    asked = await accounts.login(bench.relay, "berta")
    statement = other.statement(asked, DeviceKeys(), origin=ORIGIN)
    request = UnlockRequest("berta", statement)
    assert await refused(accounts.unlock(bench.relay, request, who=bench.who)) is Problem.UNLOCK_REFUSED
    await accounts.unlock(bench.relay, request)
