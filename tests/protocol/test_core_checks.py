"""Checks of the core that the vectors do not reach one by one."""

from __future__ import annotations

import secrets
from dataclasses import replace

import pytest

from strongroom_protocol.engine.refs import ChunkRef
from strongroom_protocol.errors import Failure, UntrustedDataError, WrongSecret
from strongroom_protocol.keys import recovery_code
from strongroom_protocol.keys.epochs import make_epoch, wrap_epoch
from strongroom_protocol.keys.hpke import KemKey
from strongroom_protocol.keys.root import Root
from strongroom_protocol.keys.secrets import KemSeed, RecoveryCode, RootSecret, SigningSeed, UnlockSecret
from strongroom_protocol.keys.signing import SignKey
from strongroom_protocol.keys.slots import Unlock, make_slot
from strongroom_protocol.limits import LIMITS
from strongroom_protocol.manifest.account import GenesisCore
from strongroom_protocol.manifest.head import Delta, Head, sign_head
from strongroom_protocol.manifest.keyring import Device, Keyring, recipient_id
from strongroom_protocol.manifest.pin import Pin, accept_head
from strongroom_protocol.manifest.slots import Kdf, SlotKind, SlotSet
from strongroom_protocol.seal.chunks import cut_out
from strongroom_protocol.wire import merkle


@pytest.mark.spec("CODE-2")
def test_a_character_outside_the_alphabet_is_named_by_its_group() -> None:
    text = recovery_code.render(RecoveryCode(bytes(20)))
    for group in range(8):
        groups = text.split("-")
        groups[group] = groups[group][:2] + "*" + groups[group][3:]
        with pytest.raises(UntrustedDataError) as error:
            recovery_code.parse("-".join(groups))
        assert error.value.failure is Failure.CODE
        assert f"group {group + 1} has a character" in str(error.value)


@pytest.mark.spec("SLOT-2")
def test_two_slots_with_one_unlock_key_are_refused() -> None:
    account, salt, kdf = bytes(32), bytes(32), Kdf.preset()
    opener = Unlock(SlotKind.RECOVERY, UnlockSecret(bytes(32)))
    slot = make_slot(opener, RootSecret(bytes(32)), account=account, salt=salt, kdf=kdf, label="")
    twice = SlotSet(account, 1, salt, kdf, bytes(32), (slot, slot))
    with pytest.raises(UntrustedDataError) as error:
        SlotSet.parse(twice.encode(), account=account)
    assert error.value.failure is Failure.SLOTS


@pytest.mark.spec("OBJ-11")
@pytest.mark.parametrize(("offset", "length"), [(0, 20), (93, 20), (190, 20), (94, 107)])
def test_a_range_outside_the_object_is_refused(offset: int, length: int) -> None:
    with pytest.raises(UntrustedDataError) as error:
        cut_out(bytes(200), ChunkRef(0, offset, length, bytes(32)), subject="x")
    assert error.value.failure is Failure.DIGEST


class World:
    """An account with one device and heads that follow each other."""

    def __init__(self) -> None:
        self.root = Root(RootSecret(bytes(32)))
        core = GenesisCore(self.root.sign.public, bytes(32), bytes(32))
        self.account = core.account_id()
        self.sign = SignKey(SigningSeed(bytes(31) + b"d"))
        device = Device(self.sign.public, KemKey(KemSeed(bytes(96))).public, 1)
        self.device = device.id
        secret, epoch = make_epoch(1, bytes(32), None, self.account)
        wraps = {
            recipient_id(key): wrap_epoch(secret, key, account=self.account, number=1)
            for key in (self.root.kem.public, device.kem_key)
        }
        self.keyring = Keyring(
            account=self.account, version=1, previous=None, time=0, root_key=self.root.sign.public,
            root_kem_key=self.root.kem.public, devices=(device,), revoked={}, epochs=(epoch,), wraps=wraps,
            receipt_key=bytes(32), slots_hash=bytes(32), cut=None, private=b"", handover=None, core=core,
        ).sign(self.root.sign.sign)  # fmt: skip
        self.heads: list[Head] = []
        self.peaks: list[tuple[bytes, ...]] = [()]

    def extend(self) -> Head:
        number = len(self.heads) + 1
        head = sign_head(
            account=self.account, version=number, previous=self.heads[-1].hash if self.heads else None,
            keyring_version=1, keyring_hash=self.keyring.hash, epoch=1, device=self.device, sequence=number,
            body=secrets.token_bytes(32), body_size=100, log_root=merkle.root_of(self.peaks[-1]), delta=Delta(),
            time=number, key=self.sign.public, signer=self.sign.sign,
        )  # fmt: skip
        self.heads.append(head)
        self.peaks.append(merkle.append(number - 1, self.peaks[-1], head.hash))
        return head

    def accept(self, pin: Pin | None, version: int, *, consistency: list[bytes] | None = None) -> Pin:
        head = self.heads[version - 1]
        if consistency is None:
            leaves = [merkle.leaf_hash(other.hash) for other in self.heads[: version - 1]]
            consistency = merkle.consistency_proof(pin.head_version, leaves) if pin else []
        return accept_head(pin, self.keyring, head, peaks=self.peaks[version - 1], consistency=consistency, cut_path=[])


@pytest.mark.spec("PIN-6")
def test_every_earlier_head_is_refused_and_every_later_one_accepted() -> None:
    world = World()
    for _ in range(9):
        world.extend()
    for seen in range(1, 10):
        pin = world.accept(None, seen)
        for version in range(1, 10):
            if version >= seen:
                assert world.accept(pin, version).head_version == version
                continue
            with pytest.raises(UntrustedDataError) as error:
                # Whatever proof comes with it: what is refused is that it is older.
                world.accept(pin, version, consistency=[])
            assert error.value.failure is Failure.ROLLBACK


@pytest.mark.spec("PIN-8")
def test_a_head_too_far_ahead_is_refused() -> None:
    world = World()
    for _ in range(4):
        world.extend()
    pin = world.accept(None, 1)
    limits = replace(LIMITS, head_step=2)
    leaves = [merkle.leaf_hash(head.hash) for head in world.heads[:3]]
    with pytest.raises(UntrustedDataError) as error:
        accept_head(
            pin, world.keyring, world.heads[3], peaks=world.peaks[3],
            consistency=merkle.consistency_proof(1, leaves), cut_path=[], limits=limits,
        )  # fmt: skip
    assert error.value.failure is Failure.LIMIT


@pytest.mark.spec("ROOT-1")
def test_a_root_of_an_earlier_state_does_not_own_the_newest_keyring() -> None:
    world = World()
    world.root.require_owner_of(world.keyring)
    with pytest.raises(WrongSecret):
        Root(RootSecret(b"\x01" * 32)).require_owner_of(world.keyring)
