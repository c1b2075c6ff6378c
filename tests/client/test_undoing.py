"""Undo: what a stolen device or a mistake did is taken out, what all others wrote stays (spec chapter 11.5)."""

from __future__ import annotations

import contextlib
import random
import sqlite3
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from adversary.hostile import Hostile
from strongroom import commit as committing
from strongroom.compose import message
from strongroom.engine.sealer import Sealer
from strongroom.engine.snapshot import Snapshot
from strongroom.engine.tail import load_tail
from strongroom.transport.base import CommitRequest, CommitResponse
from strongroom_protocol.engine.body import Body
from strongroom_protocol.engine.refs import ObjectRef
from strongroom_protocol.errors import Failure, InvalidArgument, NotFound, UntrustedDataError
from strongroom_protocol.manifest.head import parse_head
from strongroom_protocol.rows.detail import AT
from strongroom_protocol.rows.model import DeleteKind, Op, Row
from strongroom_protocol.seal.objects import ObjectType
from vaults import Bench, Device, messages_of, talk, texts

LATER = 1_800_000_000_000


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[Bench]:
    made = Bench(tmp_path)
    yield made
    made.close()


async def _family(bench: Bench, *folders: str) -> list[Device]:
    devices = [await bench.create()]
    devices += [await bench.login(folder, confirm=True) for folder in folders]
    await devices[0].add(talk("chat", 3))
    for device in devices:
        await device.session.sync()
    return devices


async def _says(device: Device) -> dict[str, list[str | None]]:
    found = await messages_of(await device.snapshot())
    return {chat: list(texts(messages)) for chat, messages in found.items()}


def _erase(ident: str, time: int) -> Row:
    return Row(Op.DELETE, time, id=ident, kind=DeleteKind.ERASE, detail={AT: LATER})


async def _undo(
    bench: Bench, by: Device, to: int, *devices: Device, revoke: bool = False, anyway: bool = False
) -> None:
    async with await bench.owner(by) as owner:
        await owner.undo(to, *(device.session.device.id for device in devices), revoke=revoke, anyway=anyway)


async def test_what_a_device_wrote_goes_and_what_others_wrote_stays(bench: Bench) -> None:
    first, thief, other = await _family(bench, "b", "c")
    to = first.session.pin.head_version
    await thief.add(talk("chat", 2, start=LATER, ids="spam"))
    await other.add(talk("chat", 2, start=LATER + 10**6, ids="good"))
    await thief.add([("chat", _erase("m1700000000000-0", 1_700_000_000_000))])
    await first.add(talk("new chat", 1, start=LATER))
    before = first.session.pin.head_version
    assert len((await _says(first))["chat"]) == 7
    await _undo(bench, first, to, thief)
    expected = {"chat": ["chat says 0", "chat says 1", "chat says 2", "chat says 0", "chat says 1"],
                "new chat": ["new chat says 0"]}  # fmt: skip
    for device in (first, thief, other):
        assert await _says(device) == expected
    assert first.session.pin.head_version == before + 1
    fresh = await bench.login("d")
    assert await _says(fresh) == expected


async def test_history_goes_on_after_it(bench: Bench) -> None:
    first, thief, other = await _family(bench, "b", "c")
    to = first.session.pin.head_version
    await thief.add(talk("chat", 2, start=LATER, ids="spam"))
    await _undo(bench, first, to, thief)
    for number, device in enumerate((thief, other, first)):  # the discarded device is still a device: it may write on
        await device.add(talk("chat", 1, start=LATER + number, ids="after"))
    assert len((await _says(other))["chat"]) == 6
    await first.vault.compact()
    assert len((await _says(thief))["chat"]) == 6


async def test_a_stolen_device_that_was_removed(bench: Bench) -> None:
    first, thief = await _family(bench, "b")
    to = first.session.pin.head_version
    await thief.add(talk("chat", 2, start=LATER, ids="spam"))
    async with await bench.owner(first) as owner:
        await owner.revoke(thief.session.device.id)
        done = await owner.undo(to)  # without a name: those that were removed
    assert done.commits == {thief.session.device.id.hex(): 1}
    assert (await _says(first))["chat"] == ["chat says 0", "chat says 1", "chat says 2"]
    assert first.session.keyring.discards[0].last == 2**53 - 1


async def test_removing_and_undoing_in_one_step(bench: Bench) -> None:
    first, thief = await _family(bench, "b")
    to = first.session.pin.head_version
    await thief.add(talk("chat", 2, start=LATER, ids="spam"))
    await _undo(bench, first, to, thief, revoke=True)
    assert len(first.session.keyring.devices) == 1
    assert (await _says(first))["chat"] == ["chat says 0", "chat says 1", "chat says 2"]
    with pytest.raises(NotFound):
        await thief.session.sync()


async def test_a_plan_changes_nothing(bench: Bench) -> None:
    first, thief = await _family(bench, "b")
    to = first.session.pin.head_version
    await thief.add(talk("chat", 2, start=LATER, ids="spam"))
    await first.add(talk("chat", 3, start=LATER + 10**6, ids="mine"))
    version = first.session.pin.head_version
    async with await bench.owner(first) as owner:
        plan = await owner.undo(to, thief.session.device.id, plan=True)
    assert (plan.commits, plan.carried, plan.version) == ({thief.session.device.id.hex(): 1}, 3, 0)
    assert first.session.pin.head_version == version


async def test_wrong_versions_and_devices_are_refused(bench: Bench) -> None:
    first, thief = await _family(bench, "b")
    async with await bench.owner(first) as owner:
        for to in (0, first.session.pin.head_version, 10**6):
            with pytest.raises(InvalidArgument):
                await owner.undo(to, thief.session.device.id)
        with pytest.raises(NotFound):
            await owner.undo(1, bytes(16))
        with pytest.raises(NotFound):
            await owner.undo(1)  # nobody was removed
        with pytest.raises(InvalidArgument):
            await owner.undo(1, first.session.device.id, revoke=True)


async def test_an_own_mistake_is_undone_too(bench: Bench) -> None:
    first, other = await _family(bench, "b")
    to = first.session.pin.head_version
    await first.add([("chat", _erase(f"m1700000000000-{n}", 1_700_000_000_000 + n * 1000)) for n in range(3)])
    assert (await _says(first))["chat"] != ["chat says 0", "chat says 1", "chat says 2"]
    await first.vault.compact()
    await _undo(bench, first, to, first)
    assert (await _says(other))["chat"] == ["chat says 0", "chat says 1", "chat says 2"]
    await first.add(talk("chat", 1, start=LATER))
    assert len((await _says(other))["chat"]) == 4


async def test_large_histories_and_runs_are_carried(bench: Bench) -> None:
    """More than a batch: runs of honest devices, folds and merges between, by whoever."""
    first, thief, other = await _family(bench, "b", "c")
    to = first.session.pin.head_version
    for number in range(5):
        await other.add(talk(f"chat {number}", 700, start=LATER + number * 10**7, ids="bulk"))
        await thief.add(talk(f"chat {number}", 40, start=LATER + number * 10**7, ids="spam"))
        for part in range(9):
            await first.add(talk("chat", 3, start=LATER + (number * 10 + part) * 10**5, ids="mine"))
    await thief.vault.compact()
    await _undo(bench, first, to, thief)
    says = await _says(other)
    assert {chat: len(found) for chat, found in says.items()} == {
        "chat": 3 + 135,
        **{f"chat {number}": 700 for number in range(5)},
    }
    status = await first.vault.verify()
    assert not status.damaged


async def test_titles_reactions_and_edits_go_along(bench: Bench) -> None:
    first, thief, other = await _family(bench, "b", "c")
    (ref,) = await first.vault.append("chat", message("hello", sender="anna", id="x1", time=LATER))
    await first.vault.flush()
    to = first.session.pin.head_version
    await other.vault.edit(ref, "hello there")
    await other.vault.react(ref, "👍", sender="bob")
    await other.vault.flush()
    await thief.vault.edit(ref, "pwned")
    await thief.vault.flush()
    await _undo(bench, first, to, thief)
    found = (await other.vault.newest("chat", count=1))[0]
    assert found.text == "hello there"
    assert found.reactions


@pytest.mark.spec("UNDO-1", "UNDO-2")
async def test_nothing_discarded_is_read_whatever_a_later_head_names(bench: Bench) -> None:
    """A device that is still listed puts batches and runs from before the undo into its next head."""
    first, thief = await _family(bench, "b")
    to = first.session.pin.head_version
    await thief.add(talk("chat", 2, start=LATER, ids="spam"))
    old = await first.snapshot()
    await first.add(talk("chat", 600, start=LATER + 10**6, ids="mine"))  # a run
    await thief.add(talk("chat", 600, start=LATER + 10**7, ids="spam"))
    runs = await first.snapshot()
    await _undo(bench, first, to, thief)
    state = await first.snapshot()
    assert len((await _says(first))["chat"]) == 603
    # As a malicious member would commit it; its source is a reader's own, so what it notes as damage shows.
    for body, root in ((old.body, old.root), (runs.body, runs.root)):
        source = first.session.source()
        tail = await load_tail(source, body.tail, first.session.device_keys(), state.discards)
        again = Snapshot(source, state.head, body, root, tail, state.discards)
        said = [text for found in (await messages_of(again)).values() for text in texts(found)]
        assert len(said) <= 603
        assert Failure.CONTEXT in source.damage.values()


@pytest.mark.spec("UNDO-3")
async def test_the_version_gone_back_to_is_the_one_in_the_log(bench: Bench) -> None:
    first, thief = await _family(bench, "b")
    to = first.session.pin.head_version
    await thief.add(talk("chat", 2, start=LATER, ids="spam"))
    await first.add(talk("chat", 1, start=LATER + 10**6))
    hostile = Hostile(first.session.transport)
    first.session.transport = hostile
    honest = await hostile.head_at(first.session.account, 1)
    hostile.replace("head_at", lambda answer, account, version: replace(answer, head=honest.head))
    version = first.session.pin.head_version
    with pytest.raises(UntrustedDataError) as caught:
        await _undo(bench, first, to, thief)
    assert caught.value.failure is Failure.CHAIN
    assert first.session.pin.head_version == version


@pytest.mark.spec("UNDO-4")
async def test_what_a_device_said_of_others_sequences_is_forgotten(bench: Bench) -> None:
    """A stolen device claims high sequences for all others: they take themselves for copied until it is undone."""
    first, thief, other = await _family(bench, "b", "c")
    to = first.session.pin.head_version
    third = other.session.device.id
    honest = committing.seal_body

    def poisoned(sealer: Sealer, body: Body) -> tuple[Body, tuple[ObjectRef, int]]:
        return honest(sealer, replace(body, sequences=dict(body.sequences) | {third: 2**50}))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(committing, "seal_body", poisoned)
        await thief.add(talk("chat", 1, start=LATER, ids="spam"))
    with pytest.raises(UntrustedDataError) as caught:
        await other.add(talk("chat", 1, start=LATER))
    assert caught.value.failure is Failure.CLONE
    await first.snapshot()
    assert first.session.pin.sequences[third] == 2**50
    late = await bench.login("d")
    await late.snapshot()
    await _undo(bench, first, to, thief, revoke=True)
    for device in (other, first):
        await device.add(talk("chat", 1, start=LATER + 10**6, ids=str(device.session.device.id)))
    assert len((await _says(other))["chat"]) == 5


async def test_a_state_that_nobody_can_read_is_undone(bench: Bench) -> None:
    """A stolen device commits a body of noise: nothing can be read or written any more, until it is undone."""
    first, thief = await _family(bench, "b")
    to = first.session.pin.head_version
    honest = committing.seal_body

    def noise(sealer: Sealer, body: Body) -> tuple[Body, tuple[ObjectRef, int]]:
        made, (_, sequence) = honest(sealer, body)
        return made, (sealer.object(ObjectType.ROOT, b"noise", sequence=sequence), sequence)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(committing, "seal_body", noise)
        with contextlib.suppress(UntrustedDataError):
            await thief.add(talk("chat", 1, start=LATER, ids="spam"))
    with pytest.raises(UntrustedDataError):
        await first.add(talk("chat", 1, start=LATER))
    await _undo(bench, first, to, thief, revoke=True)
    await first.add(talk("chat", 1, start=LATER))
    assert len((await _says(first))["chat"]) == 4


async def test_removing_a_device_that_left_noise_names_the_way_out(bench: Bench) -> None:
    first, thief = await _family(bench, "b")
    honest = committing.seal_body

    def noise(sealer: Sealer, body: Body) -> tuple[Body, tuple[ObjectRef, int]]:
        made, (_, sequence) = honest(sealer, body)
        return made, (sealer.object(ObjectType.ROOT, b"noise", sequence=sequence), sequence)

    with pytest.MonkeyPatch.context() as patch, contextlib.suppress(UntrustedDataError):
        patch.setattr(committing, "seal_body", noise)
        await thief.add(talk("chat", 1, start=LATER, ids="spam"))
    async with await bench.owner(first) as owner:
        with pytest.raises(UntrustedDataError) as caught:
            await owner.revoke(thief.session.device.id)
        assert "--revoke" in caught.value.hint
        await owner.undo(first.session.pin.head_version - 1, thief.session.device.id, revoke=True)
    await first.add(talk("chat", 1, start=LATER))


async def test_a_commit_that_slips_in_is_carried_too(bench: Bench) -> None:
    first, thief, other = await _family(bench, "b", "c")
    to = first.session.pin.head_version
    await thief.add(talk("chat", 2, start=LATER, ids="spam"))
    hostile = Hostile(first.session.transport)
    first.session.transport = hostile
    slipped: list[int] = []

    async def commit(account: bytes, request: CommitRequest) -> CommitResponse:
        if not slipped:
            slipped.append(1)
            await other.add(talk("chat", 1, start=LATER + 10**6, ids="late"))
        return await hostile.honest.commit(account, request)

    hostile.instead("commit", commit)
    await _undo(bench, first, to, thief)
    assert slipped
    assert len((await _says(thief))["chat"]) == 4


async def test_a_version_the_relay_does_not_keep(bench: Bench) -> None:
    first, thief = await _family(bench, "b")
    to = first.session.pin.head_version
    await thief.add(talk("chat", 2, start=LATER, ids="spam"))
    head = await first.session.transport.head_at(first.session.account, to)
    body = parse_head(head.head, account=first.session.account).body
    assert bench.relay is not None

    def forget(database: sqlite3.Connection) -> None:
        database.execute("DELETE FROM objects WHERE name = ?", (body,))

    await bench.relay.store.write(forget)
    with pytest.raises(NotFound):
        await _undo(bench, first, to, thief)
    assert len((await _says(first))["chat"]) == 5


@pytest.mark.parametrize("seed", range(12))
async def test_against_an_oracle(bench: Bench, seed: int) -> None:
    """Random histories of three devices, one of which turns evil at some version: afterwards all say what the oracle
    says, which never heard of what it did from there on."""
    rng = random.Random(seed)
    devices = await _family(bench, "b", "c")
    evil = rng.choice(devices[1:])
    wrote: list[tuple[int, Device, str]] = []  # version, by whom, id
    erased: list[tuple[int, Device, str]] = []
    ids = {f"m1700000000000-{n}": 1_700_000_000_000 + n * 1000 for n in range(3)}
    to = 0
    for step in range(rng.randrange(6, 14)):
        device = rng.choice(devices)
        if step == 3:
            to = (await devices[0].session.sync()).version
        if rng.random() < 0.3 and ids:
            ident = rng.choice(sorted(ids))
            await device.add([("chat", _erase(ident, ids[ident]))])
            erased.append((device.session.pin.head_version, device, ident))
            continue
        if rng.random() < 0.2:
            await device.vault.compact()
            continue
        count = rng.choice((1, 3, 40, 600))
        start = LATER + step * 10**8
        await device.add(talk("chat", count, start=start, ids=f"s{step}-"))
        for n in range(count):
            ident = f"s{step}-{start}-{n}"
            ids[ident] = start + n * 1000
            wrote.append((device.session.pin.head_version, device, ident))
    last = (await devices[0].session.sync()).version
    if not 0 < to < last:
        pytest.skip("nothing happened after the version to go back to: this seed tests nothing")
    owner = rng.choice([device for device in devices if device is not evil])
    await _undo(bench, owner, to, evil)
    gone = {ident for version, device, ident in erased if not (device is evil and version > to)}
    stays = [f"m1700000000000-{n}" for n in range(3)]
    stays += [ident for version, device, ident in wrote if not (device is evil and version > to)]
    for device in devices:
        found = (await messages_of(await device.snapshot()))["chat"]
        assert {item.id for item in found if item.current} == set(stays) - gone
        assert len({item.id for item in found}) == len(found)
