"""A relay that lies about the history: attacks 036, 037, 040, 041, 045, 046, 051, 052, 056, 084, 094, 010, 031."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

import pytest

from adversary.conftest import Scene
from adversary.hostile import shape
from strongroom import fetching
from strongroom import session as session_module
from strongroom.session import DeviceKeys
from strongroom.state import State
from strongroom.transport.base import CommitResponse, HeadResponse
from strongroom.transport.reading import read_all
from strongroom_protocol.errors import Failure, ReadOnly, UntrustedDataError, VaultLocked
from strongroom_protocol.keys.root import Root
from strongroom_protocol.keys.secrets import KemSeed, RootSecret, SigningSeed
from strongroom_protocol.manifest.head import Delta, parse_head, sign_head
from strongroom_protocol.manifest.keyring import Device as KeyringDevice
from strongroom_protocol.manifest.keyring import Keyring, parse_keyring, recipient_id
from strongroom_protocol.manifest.receipt import Chain, Receipt
from strongroom_protocol.rows.detail import AT
from strongroom_protocol.rows.model import Op, Row
from strongroom_protocol.wire import merkle
from vaults import messages_of, rows_of, talk


async def _heads(scene: Scene) -> list[HeadResponse]:
    """What the relay answered for each version so far, oldest first, with the proofs of its time."""
    account = scene.writer.session.account
    transport = await scene.bench.transport()
    transport.authenticate(scene.writer.session.device.sign.public, scene.writer.session.device.sign.sign)
    newest = scene.writer.session.pin.head_version
    found, peaks = [], ()
    for version in range(1, newest + 1):
        answer = await transport.head_at(account, version)
        found.append(replace(answer, peaks=peaks))
        head = parse_head(answer.head, account=account)
        peaks = tuple(merkle.append(version - 1, peaks, head.hash))  # type: ignore[assignment]
    return found


async def test_attack_036_rollback_to_every_earlier_version(scene: Scene) -> None:
    await scene.victim.vault.chats()
    assert set(scene.hostile.calls) == {"head", "read"}
    heads = await _heads(scene)
    for old in heads[:-1]:
        scene.hostile.instead("head", lambda *_, old=old: old)
        calls = await scene.refused(scene.victim.vault.chats, Failure.ROLLBACK, Failure.KEYRING)
        assert set(calls) <= {"head", "keyrings", "head_at"}  # the last for a proof, once
        assert calls.count("head_at") <= 1
        assert len(calls) <= 3 * fetching.SYNC_ATTEMPTS + 1
    scene.hostile.behave()
    await scene.victim.vault.chats()


async def test_attack_036_a_rollback_is_refused_before_anything_is_written(scene: Scene) -> None:
    heads = await _heads(scene)
    scene.hostile.instead("head", lambda *_: heads[2])
    calls = await scene.refused(lambda: scene.victim.add(talk("new", 3)), Failure.ROLLBACK, Failure.KEYRING)
    assert {"put", "commit", "missing"}.isdisjoint(calls)


async def test_attack_037_mix_and_match_of_heads_receipts_and_logs(scene: Scene) -> None:
    """Every other version's receipt or peaks under the newest head."""
    heads = await _heads(scene)
    await scene.writer.add(talk("late", 3))
    for old in heads:
        scene.hostile.replace("head", lambda honest, *_, old=old: replace(honest, receipt=old.receipt))
        await scene.refused(scene.victim.vault.chats, Failure.RECEIPT)
        scene.hostile.replace("head", lambda honest, *_, old=old: replace(honest, peaks=old.peaks))
        await scene.refused(scene.victim.vault.chats, Failure.LOG)
    scene.hostile.behave()
    await scene.victim.vault.chats()


async def test_attack_037_mix_and_match_of_head_and_body(scene: Scene) -> None:
    """An earlier version's body under the newest head is damage, not another history."""
    account = scene.writer.session.account
    heads = [parse_head(answer.head, account=account) for answer in await _heads(scene)]
    bodies = {head.body for head in heads}
    for old in heads[:-1]:
        (data,) = await scene.hostile.honest.read(account, [(old.body, 0, old.body_size)])

        def swapped(honest: list[bytes | None], _: bytes, ranges: Any, data: bytes | None = data) -> list[bytes | None]:
            return [data if name in bodies else piece for piece, (name, _, _) in zip(honest, ranges, strict=True)]

        scene.hostile.replace("read", swapped)
        await scene.refused(lambda: scene.victim.session.snapshot(fresh=True), Failure.NAME)


async def test_attack_040_fast_forward(scene: Scene) -> None:
    """A device of the account signs a head a million versions ahead; even the relay's receipt does not help."""
    scene.hostile.instead("head", lambda *_: _forged(scene, scene.victim.session.pin.head_version + 1_000_001))
    calls = await scene.refused(scene.victim.vault.chats, Failure.LIMIT, Failure.LOG)
    assert calls == ["head"]


def _forged(
    scene: Scene, version: int, *, keyring: Keyring | None = None, device: DeviceKeys | None = None
) -> HeadResponse:
    writer = scene.writer.session
    used, signer = keyring or writer.keyring, device or writer.device
    peaks = tuple(bytes([n]) * 32 for n in range((version - 1).bit_count()))
    head = sign_head(
        account=writer.account, version=version, previous=bytes(32), keyring_version=used.version,
        keyring_hash=used.hash, epoch=used.epoch, device=signer.id, sequence=10**6, body=bytes(32), body_size=300,
        log_root=merkle.root_of(peaks), delta=Delta(), time=session_module.now_ms(),
        key=signer.sign.public, signer=signer.sign.sign,
    )  # fmt: skip
    return HeadResponse(head.message, _receipt(scene, Chain.HEAD, version, head.hash, head.previous), peaks)


def _receipt(scene: Scene, chain: Chain, version: int, hash_: bytes, previous: bytes | None) -> bytes:
    assert scene.bench.relay is not None
    return scene.bench.relay.sign_receipt(
        Receipt(scene.writer.session.account, chain, version, hash_, previous, session_module.now_ms())
    )


async def test_attack_041_fresh_device_and_an_old_snapshot(scene: Scene) -> None:
    """The documented limit: a fresh device has nothing to compare with. It takes the old state, but may not write."""
    from adversary.hostile import Hostile

    heads = await _heads(scene)
    keyrings = scene.writer.session.keyrings

    def wrap(transport: Any) -> Hostile:
        hostile = Hostile(transport)
        hostile.instead("head", lambda *_: heads[2])
        hostile.replace("keyrings", lambda honest, *_: [item for item in honest if item[0] == keyrings[0].message])
        return hostile

    fresh = await scene.bench.login("fresh", wrap=wrap)
    status = await fresh.vault.status()
    assert (status.version, status.writable) == (3, False)
    with pytest.raises(ReadOnly):
        await fresh.add(talk("chat", 2))
    # From then on it is pinned: an even older state is a rollback.
    assert isinstance(fresh.session.transport, Hostile)
    fresh.session.transport.instead("head", lambda *_: heads[1])
    with pytest.raises(UntrustedDataError) as caught:
        await fresh.vault.chats()
    assert caught.value.failure is Failure.ROLLBACK


async def test_attack_045_084_race_of_two_devices_loses_nothing(scene: Scene) -> None:
    for n in range(4):
        await asyncio.gather(
            scene.writer.add(talk(f"race {n}", 3, ids="w")), scene.victim.add(talk(f"race {n}", 3, ids="v"))
        )
    left, right = await rows_of(await scene.writer.snapshot()), await rows_of(await scene.victim.snapshot())
    assert left == right
    for n in range(4):
        assert {row.id for row in left[f"race {n}"]} == {
            row.id for _, row in [*talk("", 3, ids="w"), *talk("", 3, ids="v")]
        }


async def test_attack_045_the_relay_tells_both_that_they_won(scene: Scene) -> None:
    """It acknowledges the victim's head with a valid receipt and shows others another: a fork, never joined again."""

    def lie(_: bytes, request: Any) -> CommitResponse:
        head = parse_head(request.head, account=scene.writer.session.account)
        return CommitResponse(_receipt(scene, Chain.HEAD, head.version, head.hash, head.previous), None)

    scene.hostile.instead("commit", lie)
    await scene.victim.add(talk("mine", 2))
    with pytest.raises(UntrustedDataError) as caught:
        await scene.victim.vault.chats()
    assert caught.value.failure is Failure.ROLLBACK
    pinned = scene.victim.session.pin
    await scene.writer.add(talk("theirs", 2))
    scene.hostile.behave()
    await scene.refused(scene.victim.vault.chats, Failure.FORK)
    await scene.writer.add(talk("theirs", 2, start=1_710_000_000_000))
    await scene.refused(scene.victim.vault.chats, Failure.LOG)
    assert scene.victim.session.pin.head_hash == pinned.head_hash


async def test_attack_046_a_skipped_head(scene: Scene) -> None:
    """A history from which one head was taken out does not contain the pinned one, or is not the signed log."""
    for n in range(3):
        await scene.writer.add(talk("more", 2, start=1_720_000_000_000 + n * 10**6))
    answers = await _heads(scene)
    hashes = [parse_head(a.head, account=scene.writer.session.account).hash for a in answers]
    for gone in range(len(hashes) - 1):
        peaks: tuple[bytes, ...] = ()
        for size, leaf in enumerate(hashes[:gone] + hashes[gone + 1 : -1]):
            peaks = tuple(merkle.append(size, peaks, leaf))
        scene.hostile.replace("head", lambda honest, *_, peaks=peaks: replace(honest, peaks=peaks))
        await scene.refused(scene.victim.vault.chats, Failure.LOG)
    scene.hostile.replace("head", lambda honest, *_: replace(honest, consistency=()))
    await scene.refused(scene.victim.vault.chats, Failure.LOG)
    scene.hostile.behave()
    await scene.victim.vault.chats()


async def test_attack_051_deleted_stays_deleted_and_a_replayed_delete_changes_nothing(scene: Scene) -> None:
    rows = talk("secret", 3)
    await scene.writer.add(rows)
    (chat, first) = rows[0]
    gone = (chat, Row(Op.DELETE, first.time, id=first.id, kind=0, detail={AT: first.time + 1}))
    await scene.writer.add([gone])
    before = await messages_of(await scene.victim.snapshot())
    assert before["secret"][0].current is None
    added = await scene.victim.add([*rows, gone])  # the same export and the same delete again, from another device
    assert sum(added.written.values()) == 0
    assert await messages_of(await scene.victim.snapshot()) == before


@pytest.mark.spec("CLIENT-7")
async def test_attack_052_endless_keyrings(scene: Scene) -> None:
    """A chain that repeats itself for ever: bounded requests, then LIMIT."""
    keyring = scene.writer.session.keyrings[0]
    receipt = _receipt(scene, Chain.KEYRING, keyring.version, keyring.hash, None)
    # Not quite endless, so that a client without the bound fails here instead of hanging.
    scene.hostile.instead(
        "keyrings", lambda *_: [(keyring.message, receipt)] * 64 if len(scene.hostile.trace) < 20 else []
    )
    scene.hostile.instead("head", lambda *_: _forged(scene, 50, keyring=replace(keyring, version=9)))
    calls = await scene.refused(scene.victim.vault.chats, Failure.LIMIT)
    assert calls == ["head", "keyrings"]


@pytest.mark.parametrize("count", [0, 2, 50])
async def test_attack_052_other_answers_than_asked_for(count: int) -> None:
    async def ask(ranges: Any) -> list[bytes | None]:
        return [b"x"] * count

    with pytest.raises(UntrustedDataError) as caught:
        await read_all(ask, [(bytes(32), 0, 1)])
    assert caught.value.failure is Failure.SCHEMA


async def test_attack_052_answers_longer_than_asked_for() -> None:
    async def ask(ranges: Any) -> list[bytes | None]:
        return [b"xy"]

    with pytest.raises(UntrustedDataError) as caught:
        await read_all(ask, [(bytes(32), 0, 1)])
    assert caught.value.failure is Failure.SCHEMA


async def test_attack_056_ghost_device_in_the_keyring(scene: Scene) -> None:
    """The relay adds its own device: signed by nobody, by the ghost, or by a root of its own."""
    old = scene.writer.session.keyring
    ghost = DeviceKeys(SigningSeed(bytes([7]) * 32), KemSeed(bytes([8]) * 96))
    root = Root(RootSecret(bytes([9]) * 32))
    listed = KeyringDevice(ghost.sign.public, ghost.kem.public, old.version + 1)
    wraps = dict(old.wraps) | {recipient_id(ghost.kem.public): next(iter(old.wraps.values()))}
    bare = replace(
        old, version=old.version + 1, previous=old.hash, devices=(*old.devices, listed), wraps=wraps, core=None
    )
    from strongroom_protocol.wire import cbor, cose

    payload = cbor.encode(bare.to_cbor())
    forged = [
        (cose.sign(cose.Context.KEYRING, payload, old.root_key, ghost.sign.sign), Failure.SIGNATURE),
        (cose.sign(cose.Context.KEYRING, payload, ghost.sign.public, ghost.sign.sign), Failure.SIGNER),
    ]
    own_wraps = {recipient_id(root.kem.public): next(iter(wraps.values()))}
    own_wraps |= {recipient_id(device.kem_key): wraps[recipient_id(device.kem_key)] for device in bare.devices}
    own = replace(bare, root_key=root.sign.public, root_kem_key=root.kem.public, wraps=own_wraps).sign(root.sign.sign)
    forged.append((own.message, Failure.SIGNER))
    for message, failure in forged:
        receipt = _receipt(scene, Chain.KEYRING, own.version, parse_keyring(
            own.message, account=own.account).hash, own.previous)  # fmt: skip
        scene.hostile.instead("head", lambda *_: _forged(scene, 50, keyring=own, device=ghost))
        scene.hostile.instead(
            "keyrings", lambda _, first, m=message, r=receipt: [(m, r)] if first <= own.version else []
        )
        calls = await scene.refused(lambda: scene.victim.add(talk("new", 1)), failure)
        assert set(calls) == {"head", "keyrings"}  # nothing was wrapped or sent to the ghost


async def test_attack_056_head_of_a_device_that_is_not_listed(scene: Scene) -> None:
    ghost = DeviceKeys(SigningSeed(bytes([7]) * 32), KemSeed(bytes([8]) * 96))
    version = scene.victim.session.pin.head_version + 1
    scene.hostile.instead("head", lambda *_: _forged(scene, version, device=ghost))
    assert await scene.refused(scene.victim.vault.chats, Failure.SIGNER) == ["head"]


async def test_attack_010_031_the_same_requests_after_every_failure(scene: Scene) -> None:
    """Whatever is wrong with an object, the relay sees the same requests of the same sizes: no oracle."""
    await scene.victim.vault.chats()
    flips = [0, 1, 5, 6, 29, 30, 61, 62, 93, 94, 200, -1]
    traces = []
    for place in flips:

        def bad(honest: list[bytes | None], *_: Any, place: int = place) -> list[bytes | None]:
            pieces = [bytearray(piece or b"") for piece in honest]
            for piece in pieces:
                piece[place] ^= 1
            return [bytes(piece) for piece in pieces]

        scene.hostile.replace("read", bad)
        await scene.refused(lambda: scene.victim.session.snapshot(fresh=True), Failure.NAME)
        traces.append(shape(scene.hostile.trace))
    scene.hostile.replace("read", lambda honest, *_: [None] * len(honest))
    await scene.refused(lambda: scene.victim.session.snapshot(fresh=True), Failure.MISSING)
    traces.append(shape(scene.hostile.trace))
    assert all(trace == traces[0] for trace in traces)


async def test_attack_094_two_processes_on_one_vault(scene: Scene) -> None:
    with pytest.raises(VaultLocked):
        State.open(scene.bench.folder / "a")
    stored = scene.writer.session.pin
    scene.bench.drop(scene.writer)
    again = await scene.bench.reopen("a")
    assert again.session.pin == stored
