"""Any one damaged object in a relay's store: `verify` names exactly it, `restore` brings back everything else.

One mutation per object and byte class, through the whole client. Attacks 018, 019, 021, 022, 043, 088 and 032. By
default a third of the cases run, every object and every byte class among them; STRONGROOM_FULL=1 runs all.
"""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from adversary.damage import Mutation, Store, World, expected, fresh_copy, make_world, mutations, replaced
from adversary.ledger import Ledger, watching
from strongroom.cli.errors import EXIT_INCOMPLETE, EXIT_UNTRUSTED, exit_code
from strongroom.engine.audit import Audit
from strongroom_protocol.engine.refs import ObjectRef
from strongroom_protocol.errors import IncompleteError, UntrustedDataError
from strongroom_protocol.rows.model import Row
from strongroom_protocol.seal.objects import ObjectType
from vaults import Device, rows_of

FULL = os.environ.get("STRONGROOM_FULL") == "1"
SHARE = 1 if FULL else 3

Rows = dict[str, list[Row]]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def world(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[World]:
    made = await make_world(tmp_path_factory.mktemp("world"))
    yield made
    made.bench.close()


@pytest.mark.asyncio(loop_scope="module")
async def test_the_world_has_every_kind_of_object(world: World) -> None:
    kinds = world.kinds()
    assert kinds.pop(ObjectType.BODY) == 1
    assert kinds == {
        ObjectType.ROOT: 2, ObjectType.BATCH: 4, ObjectType.DIRECTORY: 5, ObjectType.INDEX: 6,
        ObjectType.INDEX_PAGES: 6, ObjectType.SEGMENT: 3,
    }  # fmt: skip
    store = Store(world.bench.folder / "relay", world.account)
    assert {store.is_file(ref.name) for ref, _ in world.objects} == {True, False}


@pytest.mark.asyncio(loop_scope="module")
async def test_undamaged_nothing_is_reported_and_nothing_is_lost(world: World) -> None:
    with watching() as ledger:
        device = await world.bench.reopen(fresh_copy(world))
        assert (await device.vault.verify()).damaged == {}
        restored = await device.vault.restore()
        assert (restored.audit.damaged, restored.audit.rows_lost, restored.fallback) == ({}, 0, False)
        assert await rows_of(await device.snapshot()) == world.rows
        world.bench.close()
    assert ledger.violations == []
    assert min(ledger.parsed, ledger.inflated, ledger.opened) > 10


@pytest.mark.asyncio(loop_scope="module")
async def test_attack_018_019_021_022_043_any_one_damaged_object(
    world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    """The matrix: object and byte class. No unverified byte reaches a parser or the decompressor in any case."""
    store = Store(world.bench.folder / "relay", world.account)
    cases = [(ref, kind, mutation) for ref, kind in world.objects for mutation in _mutations(world, store, ref, kind)]
    chosen = [case for number, case in enumerate(cases) if number % SHARE == 0]
    assert {ref.name for ref, _, _ in chosen} == {ref.name for ref, _ in world.objects}
    assert len({mutation.label for _, _, mutation in chosen}) == len({mutation.label for _, _, mutation in cases})
    with watching() as ledger:
        for ref, kind, mutation in chosen:
            ledger.forget()
            original, row = store.get(ref.name), store.row(ref.name)
            store.put(ref.name, mutation.apply(original))
            try:
                await _case(world, ref, kind, mutation, original)
                assert ledger.violations == []
            except BaseException as error:
                error.add_note(f"{kind.name} {ref.name.hex()[:8]} {mutation.label}")
                raise
            finally:
                world.bench.close()
                store.undo(ref.name, original, row)
    with capsys.disabled():
        print(f"\ndamage matrix: {len(chosen)} of {len(cases)} cases, {ledger.opened} seals opened")


def _mutations(world: World, store: Store, ref: ObjectRef, kind: ObjectType) -> list[Mutation]:
    same = next((other for other, k in world.objects if k is kind and other.name != ref.name), None)
    other = next(other for other, k in world.objects if k is not kind)
    found = mutations()
    if same is not None:
        found.append(replaced("the same type", store.get(same.name)))
    return [*found, replaced("another type", store.get(other.name))]


async def _case(world: World, ref: ObjectRef, kind: ObjectType, mutation: Mutation, original: bytes) -> None:
    device = await world.bench.reopen(fresh_copy(world))
    pin = device.session.pin
    body = kind is ObjectType.BODY and mutation.seen
    wanted = {ref.name.hex()} if mutation.seen else set()
    if body:
        with pytest.raises(UntrustedDataError, match=ref.name.hex()) as refused:
            await device.vault.verify()
        assert exit_code(refused.value) == EXIT_UNTRUSTED
    else:
        assert set((await device.vault.verify()).damaged) == wanted
    left = world.previous if body else expected(world, ref.name, iter([mutation.touched(original)]))
    restored = await device.vault.restore()
    assert set(restored.audit.damaged) == wanted
    assert restored.fallback is body
    await _same_rows(world, device, restored.audit, left, lossless=body)
    assert {row.conversation for row in await device.vault.chats()} == set(world.previous if body else world.rows)
    assert set(device.vault.damage()) <= wanted
    if kind in (ObjectType.DIRECTORY, ObjectType.BATCH, ObjectType.BODY):
        assert set(device.vault.damage()) == wanted
    assert device.session.pin.head_hash == pin.head_hash


async def _same_rows(world: World, device: Device, audit: Audit, left: Rows, *, lossless: bool) -> None:
    """Message by message, and the report counts what is missing."""
    snapshot = await device.vault._reader._committed()
    assert await rows_of(snapshot) == left
    total = sum(map(len, (left if lossless else world.rows).values()))
    assert (audit.rows, audit.rows_lost) == (total, total - sum(map(len, left.values())))


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize("kind", [ObjectType.ROOT, ObjectType.INDEX, ObjectType.INDEX_PAGES])
async def test_both_mirrors_gone(world: World, kind: ObjectType) -> None:
    """A typed error for the root; for an index its run is lost and everything else is there."""
    store = Store(world.bench.folder / "relay", world.account)
    pair = [ref for ref, k in world.objects if k is kind][:2]
    if kind is ObjectType.INDEX_PAGES:
        tops = [number for number, (_, k) in enumerate(world.objects) if k is ObjectType.INDEX_PAGES]
        pair = [world.objects[number][0] for number in tops[:2]]
    saved = [(ref, store.get(ref.name), store.row(ref.name)) for ref in pair]
    for ref, _, _ in saved:
        store.put(ref.name, None)
    try:
        device = await world.bench.reopen(fresh_copy(world))
        if kind is ObjectType.ROOT:
            for call in (device.vault.verify, device.vault.restore, device.vault.chats):
                with pytest.raises(UntrustedDataError, match=pair[1].name.hex()) as refused:
                    await call()
                assert exit_code(refused.value) == EXIT_UNTRUSTED
            return
        found = await device.vault.verify()
        assert set(found.damaged) == {ref.name.hex() for ref in pair}
        restored = await device.vault.restore()
        lost = restored.audit.rows_lost
        assert 0 < lost < restored.audit.rows
        rows = await rows_of(await device.snapshot())
        assert sum(map(len, rows.values())) == restored.audit.rows - lost
        await device.vault.chats()
        await device.vault.export(world.bench.folder / f"export-{kind.name}")
    finally:
        world.bench.close()
        for ref, data, row in saved:
            store.undo(ref.name, data, row)


@pytest.mark.asyncio(loop_scope="module")
async def test_a_mended_object_is_fetched_again(world: World) -> None:
    """What a relay damaged once does not stay damaged on a device after the relay has the good bytes again."""
    store = Store(world.bench.folder / "relay", world.account)
    first_of_kind = {kind: ref for ref, kind in reversed(world.objects) if kind is not ObjectType.BODY}
    for ref in first_of_kind.values():
        folder = fresh_copy(world)
        original, row = store.get(ref.name), store.row(ref.name)
        store.put(ref.name, original[:-1] + bytes((original[-1] ^ 1,)))
        device = await world.bench.reopen(folder)
        assert set((await device.vault.restore()).audit.damaged) == {ref.name.hex()}
        world.bench.close()
        store.undo(ref.name, original, row)
        device = await world.bench.reopen(folder)
        assert await rows_of(await device.snapshot()) == world.rows
        assert (await device.vault.restore()).audit.damaged == {}
        world.bench.close()


def test_the_ledger_sees_unverified_bytes(tmp_path: Path) -> None:
    """The control: without the comparison, opening is a violation; without any seal, parsing is."""
    from strongroom_protocol.wire import cbor

    with watching() as ledger:
        cbor.decode(b"\x01", subject="control")
    assert ledger.violations == ["CBOR control: 1 bytes that nothing verified"]
    ledger = Ledger()
    ledger.require(b"sealed", ledger.compared, "AEAD")
    assert ledger.violations == ["AEAD: 6 bytes that nothing verified"]


def test_the_exit_codes_of_damage() -> None:
    assert exit_code(IncompleteError("x")) == EXIT_INCOMPLETE
