"""A relay that loses or moves what it acknowledged: attacks 009, 044, 050, 100."""

from __future__ import annotations

import itertools
import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

from adversary.collision import colliding
from adversary.conftest import Scene
from strongroom.session import Session
from strongroom_protocol.errors import Failure, StrongroomError, UntrustedDataError
from strongroom_protocol.rows.model import Op, Row
from strongroom_protocol.seal import objects
from strongroom_protocol.seal.objects import (
    HEADER_BYTES,
    Header,
    ObjectOpener,
    ObjectType,
    object_name,
    open_object,
    seal_object,
)
from vaults import messages_of, rows_of, talk, texts

# Acknowledged, then dropped -------------------------------------------------------------------------------------------


def _without(gone: set[bytes]) -> Any:
    def answer(honest: list[bytes | None], _: bytes, ranges: Sequence[tuple[bytes, int, int]]) -> list[bytes | None]:
        return [None if name in gone else piece for piece, (name, _, _) in zip(honest, ranges, strict=True)]

    return answer


@pytest.mark.parametrize("share", [0.02, 0.1, 0.5])
async def test_attack_044_verify_finds_every_object_that_was_dropped(scene: Scene, share: float) -> None:
    """Each is named, at every share, also those that this device wrote itself and still has: `verify` fetches all that
    the head reaches, from the relay. So one dropped object is found by one run."""
    await scene.victim.add(talk("big", 600))
    for n in range(20):
        await scene.victim.add(talk("small", 1, start=1_720_000_000_000 + n * 10**6))
    assert not (await scene.victim.vault.verify()).damaged
    leaves = (ObjectType.BATCH, ObjectType.SEGMENT)  # what leads to others is there twice: another test
    reached = [ref.name async for ref, kind in (await scene.victim.snapshot()).objects() if kind in leaves]
    assert len(reached) > 20
    chosen = random.Random(44)
    for _ in range(8):
        gone = {name for name in reached if chosen.random() < share} or {chosen.choice(reached)}
        scene.hostile.replace("read", _without(gone))
        assert (await scene.victim.vault.verify()).damaged == {name.hex(): Failure.MISSING for name in gone}
        scene.hostile.behave()
    assert not (await scene.victim.vault.verify()).damaged


async def test_attack_044_a_dropped_root_is_an_error_that_names_it(scene: Scene) -> None:
    await scene.victim.add(talk("big", 600))
    roots = {ref.name async for ref, kind in (await scene.victim.snapshot()).objects() if kind is ObjectType.ROOT}
    assert len(roots) == 2
    scene.hostile.replace("read", _without(roots))
    pin = scene.victim.session.pin
    with pytest.raises(UntrustedDataError) as caught:
        await scene.victim.vault.verify()
    assert caught.value.failure is Failure.MISSING
    assert any(name.hex() in str(caught.value) for name in roots)
    assert scene.victim.session.pin == pin


# Moved ----------------------------------------------------------------------------------------------------------------


async def test_attack_050_batches_in_another_order(scene: Scene) -> None:
    """Three messages in three batches; the relay answers for each with another: all permutations, and each reflected
    as its neighbour. What is moved is named as damage, what is not is shown in its place and order."""
    for n in range(3):
        await scene.writer.add([("talk", row) for _, row in talk("talk", 1, start=1_730_000_000_000 + n * 1000)])
    snapshot = await scene.victim.snapshot()
    refs = [entry.ref for entry in snapshot.body.tail[-3:]]
    account = scene.victim.session.account
    data = await scene.hostile.honest.read(account, [(ref.name, 0, ref.size) for ref in refs])
    shown = [text for text in texts((await messages_of(snapshot))["talk"]) if text]
    assert len(shown) == 3
    orders = [*itertools.permutations(range(3)), (0, 0, 0), (1, 1, 1), (2, 2, 2), (0, 0, 2), (1, 1, 2)]
    for order in orders:

        def moved(
            honest: list[bytes | None], _: bytes, ranges: Any, order: tuple[int, ...] = order
        ) -> list[bytes | None]:
            instead = {ref.name: data[order[place]] for place, ref in enumerate(refs)}
            return [instead.get(name, piece) for piece, (name, _, _) in zip(honest, ranges, strict=True)]

        scene.hostile.replace("read", moved)
        pin = scene.victim.session.pin
        found = await scene.victim.snapshot(fresh=True)
        left = list(texts((await messages_of(found)).get("talk", [])))
        assert left == [text for place, text in enumerate(shown) if order[place] == place]
        assert found.source.damage == {
            ref.name.hex(): Failure.NAME for place, ref in enumerate(refs) if order[place] != place
        }
        assert scene.victim.session.pin.head_hash == pin.head_hash
    scene.hostile.behave()
    assert list(texts((await messages_of(await scene.victim.snapshot(fresh=True)))["talk"])) == shown


# One ciphertext, two plaintexts ---------------------------------------------------------------------------------------


async def test_attack_009_an_object_whose_ciphertext_opens_in_two_epochs(scene: Scene) -> None:
    """A device that knows both epochs makes a ciphertext that opens in either. As an object it has one header, so one
    name; with the other header, or with one bit of it, it is another object, which no head names."""
    async with await scene.bench.owner(scene.writer) as owner:
        await owner.revoke(scene.victim.session.device.id)
    session = scene.writer.session
    epochs, account = session.epochs(), session.account
    assert len(epochs) > 1
    headers, keys = [], []
    for number in sorted(epochs)[:2]:
        sealed = seal_object(
            epochs[number], ObjectType.BATCH, b"x" * 40, writer=session.device.id, sequence=1, randomness=bytes(32)
        )
        headers.append(sealed[:HEADER_BYTES])
        key, commitment = objects._object_key(epochs[number], objects.Header.parse(headers[-1], "x"))
        assert commitment == headers[-1][62:94]
        keys.append((key, bytes(11) + b"\1"))
    shared = colliding(keys)
    for key, nonce in keys:
        ChaCha20Poly1305(key).decrypt(nonce, shared, None)  # the fixture: it opens under both
    named = [object_name(header + shared) for header in headers]
    assert named[0] != named[1]
    for name in named:
        for header in headers:
            with pytest.raises(UntrustedDataError) as caught:
                open_object(epochs, account, name, header + shared, ObjectType.BATCH)
            own = object_name(header + shared) == name
            assert caught.value.failure is (Failure.PADDING if own else Failure.NAME)
    crossed = headers[0][:62] + headers[1][62:]
    with pytest.raises(UntrustedDataError) as caught:
        open_object(epochs, account, object_name(crossed + shared), crossed + shared, ObjectType.BATCH)
    assert caught.value.failure is Failure.COMMITMENT


# Deleted --------------------------------------------------------------------------------------------------------------


def _files(folder: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def _opens(data: bytes, session: Session) -> bool:
    """Whether the object's holder can still open it, if it is one."""
    try:
        header = Header.parse(data[:HEADER_BYTES], "file")
        ObjectOpener(session.epochs(), session.account, data[:HEADER_BYTES], header.type, subject="file")
    except StrongroomError:
        return False
    return True


async def test_attack_100_a_thief_of_a_device_finds_no_deleted_message(scene: Scene) -> None:
    """Written, sent and read on two devices, then erased there, folded, compacted, restored: the device keys open
    nothing any more that has it, and neither the databases, their logs nor the outbox hold a copy."""
    canary = "a canary in a deleted message"
    writer, reader = scene.writer, scene.victim
    await writer.add(talk("chat 0", 300, start=1_750_000_000_000))
    await writer.vault.append("chat 0", Row(Op.PUT, 1_790_000_000_000, id="secret", text=canary))
    await writer.vault.flush()
    await reader.vault.restore()
    kept = [data for data in _files(reader.session.state.folder).values() if _opens(data, reader.session)]
    assert len(kept) > 5
    shown = await writer.vault.message("chat 0", "secret", time=1_790_000_000_000)
    await writer.vault.delete(shown)
    await writer.vault.flush()
    await writer.vault.compact()
    for device in (writer, reader):
        await device.vault.restore()
        snapshot = await device.snapshot()
        rows = [row for some in (await rows_of(snapshot)).values() for row in some]
        assert not any(canary in (row.text or "") for row in rows)
        reached = {ref.name async for ref, _ in snapshot.objects()}
        files = _files(device.session.state.folder)
        opened = [path for path, data in files.items() if _opens(data, device.session)]
        assert opened
        assert {object_name(files[path]) for path in opened} <= reached
        assert [path for path, data in files.items() if canary.encode() in data] == []
    await writer.vault._sender.stop()
    assert [path for path, data in _files(scene.bench.folder / "relay").items() if canary.encode() in data] == []
