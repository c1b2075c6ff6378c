"""Objects under attack at the entry points that the client uses: 018 to 022, 024, 025, and every bit of each kind."""

from __future__ import annotations

import hashlib
import itertools
import os
import secrets
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

from adversary.conftest import Scene
from adversary.damage import Store, World, fresh_copy, make_world
from adversary.hostile import Hostile
from strongroom import commit as commit_module
from strongroom import session as session_module
from strongroom.commit import commit
from strongroom.engine.fold import fold
from strongroom.engine.sealer import Sealer
from strongroom.engine.snapshot import Snapshot
from strongroom_protocol.engine.batch import parse_batch
from strongroom_protocol.errors import Failure, UntrustedDataError
from strongroom_protocol.seal import objects
from strongroom_protocol.seal.chunks import open_chunk
from strongroom_protocol.seal.objects import HEADER_BYTES, ObjectOpener, ObjectType, object_name, open_object
from vaults import Bench, talk

MODULE = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def world(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[World]:
    made = await make_world(tmp_path_factory.mktemp("objects"))
    yield made
    made.bench.close()


@pytest.fixture
def store(world: World) -> Store:
    return Store(world.bench.folder / "relay", world.account)


def _flipped(data: bytes, bit: int) -> bytes:
    changed = bytearray(data)
    changed[bit // 8] ^= 1 << bit % 8
    return bytes(changed)


def _failure(call: Any, *arguments: Any, **named: Any) -> Failure:
    with pytest.raises(UntrustedDataError) as caught:
        call(*arguments, **named)
    return caught.value.failure


@MODULE
async def test_attack_018_every_bit_of_an_object_of_each_kind(world: World, store: Store) -> None:
    """By its name, and, as if somebody had found another object of the name, by header, commitment and seal."""
    device = await world.bench.reopen(fresh_copy(world))
    epochs, account = device.session.epochs(), world.account
    world.bench.close()
    seen: set[ObjectType] = set()
    for ref, kind in world.objects:
        if kind in seen or kind in (ObjectType.SEGMENT, ObjectType.INDEX_PAGES):
            continue
        seen.add(kind)
        data = store.get(ref.name)
        open_object(epochs, account, ref.name, data, kind)
        failures = set()
        for bit in range(len(data) * 8):
            changed = _flipped(data, bit)
            assert _failure(open_object, epochs, account, ref.name, changed, kind) is Failure.NAME
            if bit < HEADER_BYTES * 8 or bit % 8 == 0:
                failures.add(_failure(open_object, epochs, account, object_name(changed), changed, kind))
        assert failures == {
            Failure.NEWER_FORMAT, Failure.CONTEXT, Failure.EPOCH, Failure.COMMITMENT, Failure.SEAL,
        }  # fmt: skip


@MODULE
async def test_attack_018_every_bit_of_a_chunk_and_its_header(world: World, store: Store) -> None:
    """Ranges read alone: the digest first; behind it the seal."""
    device = await world.bench.reopen(fresh_copy(world))
    snapshot = await device.snapshot()
    (key, ref), *_ = await snapshot.entries(snapshot.root.runs[0])
    assert key
    data, epochs, account = store.get(ref.segment), device.session.epochs(), world.account
    world.bench.close()
    header, kind = data[:HEADER_BYTES], ObjectType.SEGMENT
    sealed = data[ref.chunk.offset : ref.chunk.offset + ref.chunk.length]
    opener = ObjectOpener(epochs, account, header, kind, subject="segment")
    open_chunk(opener, ref.chunk, sealed, subject="segment")
    for bit in range(HEADER_BYTES * 8):
        assert _failure(ObjectOpener, epochs, account, _flipped(header, bit), kind, subject="segment") in (
            Failure.NEWER_FORMAT, Failure.CONTEXT, Failure.EPOCH, Failure.COMMITMENT,
        )  # fmt: skip
    for bit in range(len(sealed) * 8):
        changed = _flipped(sealed, bit)
        assert _failure(open_chunk, opener, ref.chunk, changed, subject="segment") is Failure.DIGEST
        forged = replace(ref.chunk, digest=hashlib.sha256(changed).digest())
        assert _failure(open_chunk, opener, forged, changed, subject="segment") is Failure.SEAL
    for length in range(len(sealed)):
        assert _failure(open_chunk, opener, ref.chunk, sealed[:length], subject="segment") is Failure.DIGEST


@MODULE
async def test_attack_018_every_bit_of_a_batch_and_of_the_chain_to_it(world: World) -> None:
    device = await world.bench.reopen(fresh_copy(world))
    snapshot = await device.snapshot()
    entry, _ = snapshot.tail[0]
    content = await snapshot.source.object(entry.ref, ObjectType.BATCH)
    key = device.session.device_keys()[entry.device]
    given: dict[str, Any] = {
        "account": world.account, "device": entry.device, "sequence": entry.sequence, "key": key,
    }  # fmt: skip
    world.bench.close()
    parse_batch(content, **given)
    for bit in range(len(content) * 8):
        assert _failure(parse_batch, _flipped(content, bit), **given) is Failure.SIGNATURE
    for name in ("account", "device", "key"):
        assert _failure(parse_batch, content, **given | {name: bytes(len(given[name]))}) is Failure.SIGNATURE


@MODULE
async def test_attack_018_every_byte_of_what_a_snapshot_loads(world: World, store: Store) -> None:
    """Body, root and tail through `Snapshot.load`: body stops it, the root's mirror stands in, a batch is left out."""
    device = await world.bench.reopen(fresh_copy(world))
    hostile = Hostile(device.session.transport)
    device.session.transport = hostile
    head = await device.session.sync()
    for kind, failed in ((ObjectType.BODY, True), (ObjectType.ROOT, False), (ObjectType.BATCH, False)):
        ref = next(ref for ref, k in world.objects if k is kind)
        for place in range(ref.size):

            def bad(honest: list[bytes | None], _: bytes, ranges: Any, place: int = place) -> list[bytes | None]:
                names = [name for name, _, _ in ranges]
                return [
                    _flipped(piece, place * 8 + place % 8) if name == ref.name and piece else piece  # noqa: B023
                    for piece, name in zip(honest, names, strict=True)
                ]

            hostile.replace("read", bad)
            source = device.session.source(fresh=True)
            if failed:
                with pytest.raises(UntrustedDataError) as caught:
                    await Snapshot.load(source, head, device.session.device_keys())
                assert caught.value.failure is Failure.NAME
            else:
                snapshot = await Snapshot.load(source, head, device.session.device_keys())
                assert len(snapshot.root.runs) == 3
                assert len(snapshot.tail) == (3 if kind is ObjectType.BATCH else 4)
            assert source.damage == {ref.name.hex(): Failure.NAME}
    world.bench.close()


@MODULE
async def test_attack_020_chunks_in_another_order(world: World) -> None:
    """The relay answers one range of a segment with another: every order of the first frames, each is refused."""
    device = await world.bench.reopen(fresh_copy(world))
    hostile = Hostile(device.session.transport)
    device.session.transport = hostile
    snapshot = await device.snapshot()
    entries = (await snapshot.entries(snapshot.root.runs[0]))[:4]
    assert all(await snapshot.frames_of(entries))
    for order in itertools.permutations(range(4)):

        def moved(honest: list[bytes | None], *_: Any, order: tuple[int, ...] = order) -> list[bytes | None]:
            headers = honest[: len(honest) - 4]
            return headers + [honest[len(headers) + place] for place in order]

        hostile.replace("read", moved)
        found = await snapshot.frames_of(entries)
        assert [frame is not None for frame in found] == [place == at for at, place in enumerate(order)]
    world.bench.close()


@MODULE
async def test_attack_021_object_swap_n_by_n(world: World, store: Store) -> None:
    """Every object served for every other: the signed name refuses all of them."""
    device = await world.bench.reopen(fresh_copy(world))
    epochs = device.session.epochs()
    world.bench.close()
    data = {ref.name: store.get(ref.name) for ref, _ in world.objects}
    swaps = 0
    for (ref, kind), (other, _) in itertools.permutations(world.objects, 2):
        assert _failure(open_object, epochs, world.account, ref.name, data[other.name], kind) is Failure.NAME
        swaps += 1
    assert swaps == len(data) * (len(data) - 1)


@MODULE
async def test_attack_022_type_confusion(world: World, store: Store) -> None:
    """Even under its own name no object opens as another kind."""
    device = await world.bench.reopen(fresh_copy(world))
    epochs = device.session.epochs()
    world.bench.close()
    for ref, kind in world.objects:
        data = store.get(ref.name)
        for claimed in ObjectType:
            if claimed is not kind:
                assert _failure(open_object, epochs, world.account, ref.name, data, claimed) is Failure.CONTEXT
                relabelled = data[:1] + bytes((claimed,)) + data[2:]
                name = object_name(relabelled)
                assert _failure(open_object, epochs, world.account, name, relabelled, claimed) is Failure.COMMITMENT


class _Recorder:
    """ChaCha20-Poly1305 that remembers what every (key, nonce) sealed."""

    seen: dict[tuple[bytes, bytes], bytes]
    real = ChaCha20Poly1305

    def __init__(self, key: bytes) -> None:
        self._key = key
        self._cipher = self.real(key)

    def encrypt(self, nonce: bytes, data: bytes, associated: bytes | None) -> bytes:
        assert self.seen.setdefault((self._key, nonce), data) == data, "one key and nonce over two plaintexts"
        return self._cipher.encrypt(nonce, data, associated)

    def decrypt(self, nonce: bytes, data: bytes, associated: bytes | None) -> bytes:
        return self._cipher.decrypt(nonce, data, associated)


@pytest.fixture
def recorder(monkeypatch: pytest.MonkeyPatch) -> dict[tuple[bytes, bytes], bytes]:
    seen: dict[tuple[bytes, bytes], bytes] = {}
    monkeypatch.setattr(_Recorder, "seen", seen, raising=False)
    monkeypatch.setattr(objects, "ChaCha20Poly1305", _Recorder)
    return seen


async def test_attack_024_025_constant_generator_and_cloned_devices(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, recorder: dict[tuple[bytes, bytes], bytes]
) -> None:
    """Two copies of one device with a generator that always says zero write different histories under the same
    sequences: no key and nonce ever seals two plaintexts."""
    bench = Bench(tmp_path)
    await bench.create()

    def stuck(session: Any, keys: Any, emit: Any) -> Sealer:
        return Sealer(keys, session.device.id, session.sequences(), emit, randomness=bytes)

    monkeypatch.setattr(commit_module, "sealer_for", stuck)
    monkeypatch.setattr(session_module, "SEQUENCE_GAP", 1)
    bench.close()
    bench.copy("a", "clone")
    bench.copy("relay", "relay-clone")
    for number, (folder, relay) in enumerate((("a", "relay"), ("clone", "relay-clone"))):
        side = Bench(tmp_path, opener=bench.opener)
        if relay != "relay":
            (tmp_path / "relay").rename(tmp_path / "relay-kept")
            (tmp_path / relay).rename(tmp_path / "relay")
        device = await side.reopen(folder)
        for n in range(8):
            await device.add(talk("same chat", 4, start=1_700_000_000_000 + n, ids=f"{number}-{n}"))
        await device.add(talk("big", 600, ids=str(number)))
        await commit(device.session, _folding)
        side.close()
    assert len(recorder) > 60


async def _folding(change: Any) -> bool:
    await fold(change)
    return True


def test_attack_024_many_seals_under_one_sequence(recorder: dict[tuple[bytes, bytes], bytes]) -> None:
    from strongroom_protocol.keys.epochs import EpochKeys
    from strongroom_protocol.keys.secrets import EpochSecret

    keys = EpochKeys(bytes(32), 1, EpochSecret(bytes(range(32))))
    count = 250_000 if os.environ.get("STRONGROOM_FULL") == "1" else 4000
    for n in range(count):
        content, writer = secrets.token_bytes(8) + n.to_bytes(4, "big"), bytes([n % 8]) * 16
        objects.seal_object(keys, ObjectType.BATCH, content, writer=writer, sequence=1 + n % 3, randomness=bytes(32))
    assert len(recorder) == count


async def test_attack_043_each_object_withheld_alone(scene: Scene) -> None:
    """The head lists it, the relay does not have it: the rest is read, and the report names it."""
    snapshot = await scene.victim.snapshot(fresh=True)
    for ref, kind in [item async for item in snapshot.objects()]:
        if kind is ObjectType.BODY:
            continue

        def without(honest: list[bytes | None], _: bytes, ranges: Any, gone: bytes = ref.name) -> list[bytes | None]:
            return [None if name == gone else piece for piece, (name, _, _) in zip(honest, ranges, strict=True)]

        scene.hostile.replace("read", without)
        found = await scene.victim.vault.verify()
        assert found.damaged == {ref.name.hex(): Failure.MISSING}
        scene.hostile.behave()
    assert (await scene.victim.vault.verify()).damaged == {}
