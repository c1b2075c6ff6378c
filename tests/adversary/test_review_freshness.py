"""What a review of freshness and undo broke, kept as tests (docs/reviews/0005)."""

from __future__ import annotations

import contextlib
import secrets
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from adversary.hostile import Hostile
from adversary.test_attacks_undo import START, erasing, family, lied, says, undo
from forks import fork, move, witness_of
from strongroom import Depth, account, freshness, importing, relinking
from strongroom import commit as committing
from strongroom.commit import advance, commit, names_only, sealer_for
from strongroom.engine.change import Change
from strongroom.engine.sealer import Sealer
from strongroom.importing import write_rows
from strongroom.session import Session
from strongroom.staging import Staging
from strongroom.transport.base import CommitRequest, CommitResponse
from strongroom.witnessing import WitnessAddress
from strongroom_protocol.engine.body import Body, TailEntry
from strongroom_protocol.engine.refs import ObjectRef
from strongroom_protocol.errors import Failure, RelayConflict, RelayUnreachable, UntrustedDataError
from strongroom_protocol.manifest.head import parse_head
from strongroom_protocol.manifest.witness import WitnessResponse
from strongroom_protocol.rows.ids import conversation_key
from strongroom_protocol.rows.table import Frame
from strongroom_protocol.seal.objects import ObjectType, object_name
from strongroom_relay.service import witness as service
from strongroom_relay.service.objects import sweep
from vaults import NAME, Bench, Device, quick_state, rows_of, talk


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[Bench]:
    made = Bench(tmp_path)
    yield made
    made.close()


async def _foretell(thief: Device, victim: Device, count: int) -> None:
    """Commit a body whose tail lists batches of the victim that it has not written yet, under its next sequences."""
    last = next(victim.session.sequences())  # the numbers go on from here, and a block is used in order

    async def build(change: Change) -> bool:
        for number in range(1, count + 1):
            entry = TailEntry(ObjectRef(secrets.token_bytes(32), 300), victim.session.device.id, last + number, 1)
            change._tail.append(entry)
        change.uploaded |= set()
        return True

    await commit(thief.session, build)


@pytest.mark.spec("UNDO-12")
async def test_an_import_under_foretold_sequences_survives_the_undo(bench: Bench) -> None:
    owner, thief, other = await family(bench)
    to = (await owner.session.sync()).version
    before = await says(owner)
    await _foretell(thief, other, 20)
    await other.session.snapshot()
    await other.add(talk("chat new", 40_000))
    await undo(bench, owner, to, thief, revoke=True)
    after = await says(owner)
    assert len(after.pop("chat new")) == 40_000
    assert after == before


@pytest.mark.spec("BODY-6")
@pytest.mark.spec("BODY-5")
async def test_messages_under_foretold_sequences_are_read_and_survive_the_undo(bench: Bench) -> None:
    owner, thief, other = await family(bench)
    to = (await owner.session.sync()).version
    before = await says(owner)
    await _foretell(thief, other, 4)
    await other.session.snapshot()
    for number in range(3):
        await other.add(talk("chat new", 1, start=1_800_000_000_000 + number))
    assert len((await says(owner))["chat new"]) == 3  # readable before anything is undone
    await undo(bench, owner, to, thief, revoke=True)
    after = await says(owner)
    assert len(after.pop("chat new")) == 3
    assert after == before


async def _drop_everything(thief: Device) -> int:
    """One head that drops all that the state needs and changes nothing else."""

    async def build(change: Change) -> bool:
        change.drops |= {ref.name async for ref, kind in change.base.objects() if kind is not ObjectType.BODY}
        return True

    await commit(thief.session, build)
    return len({ref.name async for ref, kind in (await thief.snapshot()).objects() if kind is not ObjectType.BODY})


@pytest.mark.spec("LIFE-20")
@pytest.mark.parametrize("idle", [False, True])
async def test_what_a_stolen_device_marked_for_deletion_is_kept_again(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, idle: bool
) -> None:
    """Reading finds nothing for a month; verifying, and a device's idle day, find it at once and undo it."""
    owner, thief, _ = await family(bench)
    before = await says(owner)
    needed = await _drop_everything(thief)
    found = await owner.vault.verify(Depth.quick())
    assert (found.damaged, found.leaving) == ({}, needed)
    if idle:
        await owner.vault._sender._tidy()
    else:
        assert await owner.vault.keep_all() == needed
    assert (await owner.vault.verify()).leaving == 0
    assert await owner.vault.keep_all() == 0
    relay = await bench.open()
    later = relay.clock() + 40 * 24 * 3600 * 1000
    monkeypatch.setattr(relay, "clock", lambda: later)
    await sweep(relay)
    assert await says(owner) == before
    assert not (await owner.vault.verify()).damaged


@pytest.mark.spec("WIT-12")
async def test_a_relay_that_leaves_one_question_without_an_answer_is_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It freezes a device that only reads, and refuses the one proof that would show it. A relay that is away does not
    count, and when all is shown again the alarm ends."""
    bench = Bench(tmp_path)
    first = await bench.create()
    second = await bench.login("b", confirm=True)
    witness = await witness_of(Bench(tmp_path / "witness"), monkeypatch)
    await first.vault.use_witness(witness)
    await second.vault.use_witness(witness)
    frozen = fork(bench, tmp_path / "frozen")
    await first.add(talk("chat", 5))
    assert await first.vault.ask_witness()
    held: list[Hostile] = []

    def wrap(transport: Any) -> Hostile:
        held.append(Hostile(transport))
        return held[-1]

    await move(second, frozen, wrap)
    (relay,) = held
    silent = False

    async def head(account: bytes, since: int | None) -> Any:
        if silent or (since is not None and since != second.session.pin.head_version):
            raise RelayUnreachable("no answer")
        return await relay.honest.head(account, since)

    relay.instead("head", head)

    async def ask() -> str:
        with contextlib.suppress(RelayUnreachable):
            await second.vault.ask_witness()
        return (await second.vault.status()).alarm

    silent = True
    assert [await ask() for _ in range(5)] == [""] * 5  # it is away
    silent = False
    assert [bool(await ask()) for _ in range(4)] == [False, False, True, True]
    assert "hiding" in await ask()
    await move(second, bench)
    assert await second.vault.ask_witness()
    assert (await second.vault.status()).alarm == ""
    frozen.close()
    bench.close()


@pytest.mark.spec("BODY-5")
async def test_a_body_that_nobody_reads_is_not_committed(bench: Bench) -> None:
    device = await bench.create()
    await device.add(talk("chat", 3))
    session = device.session
    base = await session.snapshot()
    version = session.pin.head_version
    staging = Staging(session.transport, session.account)
    change = await Change.begin(base, sealer_for(session, session.epochs()[session.keyring.epoch], staging.emit))
    change._tail += change._tail[:1]
    body = await change.finish(acknowledged=base.head.version)
    with pytest.raises(UntrustedDataError) as caught:
        await advance(session, change, body, staging)
    assert caught.value.failure is Failure.SCHEMA
    assert (await session.sync()).version == version


async def _watched(tmp_path: Path, patch: pytest.MonkeyPatch) -> tuple[Bench, Device, str, Bench]:
    """An account whose witness knows nothing of it yet, its device, and that witness."""
    bench, watcher = Bench(tmp_path / "main"), Bench(tmp_path / "witness")
    device = await bench.create()
    return bench, device, await witness_of(watcher, patch), watcher


async def _fresh(bench: Bench, folder: Path, witness: str) -> Session:
    with quick_state():
        return await account.login(
            folder, await bench.transport(), relay="file:///bench", name=NAME, opener=bench.opener,
            witness=WitnessAddress.parse(witness),
        )  # fmt: skip


@pytest.mark.spec("WIT-14", "WIT-15")
@pytest.mark.parametrize("reported", [False, True])
async def test_a_relay_that_keeps_its_proofs_to_itself_does_not_hold_the_witness_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, reported: bool
) -> None:
    """The witness knows an old version, by the relay or by a report, and the relay answers no device that asks to go on
    from there: what a device tells the witness counts all the same, and nobody is shown the old version as new."""
    bench, device, witness, watcher = await _watched(tmp_path, monkeypatch)
    frozen = fork(bench, tmp_path / "frozen")
    if reported:
        await device.vault.use_witness(witness)
    else:
        (await _fresh(frozen, tmp_path / "relays-own", witness)).state.close()
    for number in range(3):
        await device.add(talk("chat", 5, ids=str(number)))
    honest = device.session.transport
    hostile = Hostile(honest)
    device.session.transport = hostile

    async def head(account: bytes, since: int | None) -> Any:
        if since is not None and since != device.session.pin.head_version:
            raise RelayUnreachable("no answer")
        return await honest.head(account, since)

    hostile.instead("head", head)
    with pytest.raises(RelayUnreachable):
        await (device.vault.ask_witness() if reported else device.vault.use_witness(witness))
    with pytest.raises(UntrustedDataError) as caught:
        await _fresh(frozen, tmp_path / "fresh", witness)
    assert caught.value.failure is Failure.ROLLBACK
    session = await _fresh(bench, tmp_path / "good", witness)
    assert freshness.known(session).startswith("witnessed at")
    session.state.close()
    hostile.behave()
    await device.vault.use_witness(witness)
    for each in (bench, frozen, watcher):
        each.close()


@pytest.mark.spec("WIT-5", "LOG-2")
async def test_a_witness_that_makes_up_a_log_accuses_nobody_but_itself(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench, device, witness, watcher = await _watched(tmp_path, monkeypatch)
    await device.add(talk("chat", 1))
    await device.vault.use_witness(witness)
    await device.add(talk("chat", 1, ids="later"))
    assert watcher.relay is not None
    relay, honest = watcher.relay, service.witness

    async def lie(*given: Any) -> WitnessResponse:
        answer = await honest(*given)
        (signed,) = answer.signed
        return replace(answer, signed=(replace(signed, peaks=tuple(bytes(32) for _ in signed.peaks)),))

    monkeypatch.setattr("strongroom_relay.service.witness.witness", lie)
    for _ in range(2):
        with pytest.raises(UntrustedDataError) as caught:
            await device.vault.ask_witness()
        assert caught.value.failure is Failure.LOG
        assert "nothing of the relay" in caught.value.hint
    assert (await device.vault.status()).alarm == ""
    monkeypatch.setattr("strongroom_relay.service.witness.witness", honest)
    assert await device.vault.ask_witness()
    assert relay.witness is not None
    bench.close()
    watcher.close()


@pytest.mark.spec("UNDO-15")
async def test_an_import_that_goes_on_over_an_undo_of_its_device_is_read(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The undo lands between two attempts, and takes out what the device wrote up to a head of its own, which has a
    higher sequence than the rows."""
    monkeypatch.setattr(importing, "BULK_ROWS", 1_000)
    owner, _, other = await family(bench)
    to = (await owner.session.sync()).version
    send, undone = other.session.transport.commit, False

    async def commit(account: bytes, request: CommitRequest) -> CommitResponse:
        nonlocal undone
        if not undone:
            undone = True
            await names_only(other.session, await other.snapshot(), drops=[bytes(32)])
            await undo(bench, owner, to, other)
        return await send(account, request)

    monkeypatch.setattr(other.session.transport, "commit", commit)
    added = await other.add(talk("chat new", 3_000))
    assert (undone, sum(added.written.values())) == (True, 3_000)
    for device in (owner, other):
        assert len((await says(device))["chat new"]) == 3_000
    assert not (await owner.vault.verify()).damaged


async def _list(thief: Device, entry: TailEntry) -> None:
    """The thief's head lists somebody's batch, and has its object kept."""

    async def build(change: Change) -> bool:
        change._tail.append(entry)
        change.uploaded.add(entry.ref.name)
        return True

    thief.session.base = None
    await commit(thief.session, build)


@pytest.mark.spec("UNDO-13")
async def test_rows_that_a_thief_committed_first_survive_its_undo(bench: Bench) -> None:
    """The relay calls an honest commit a lost race, the thief commits the very batch, and its device is told that it is
    there already."""
    owner, thief, other = await family(bench)
    to = (await owner.session.sync()).version
    honest = other.session.transport
    hostile = Hostile(honest)
    other.session.transport = hostile

    async def steal(account: bytes, request: CommitRequest) -> CommitResponse:
        hostile.behave()
        for data in request.objects:
            await thief.session.transport.put(account, object_name(data), data)
        head = parse_head(request.head, account=account)
        body = await thief.session.source().object(ObjectRef(head.body, head.body_size), ObjectType.BODY)
        await _list(thief, Body.parse(body).tail[-1])
        raise RelayConflict("another device was first")

    hostile.instead("commit", steal)
    before = await says(owner)
    added = await other.add(talk("chat new", 1))
    assert (added.known, sum(added.written.values())) == (1, 0)
    await other.add(talk("chat more", 1))
    await undo(bench, owner, to, thief, revoke=True)
    for device in (owner, other):
        after = await says(device)
        assert (after.pop("chat new"), after.pop("chat more")) == (["chat new says 0"], ["chat more says 0"])
        assert after == before
    assert not (await owner.vault.verify()).damaged


@pytest.mark.spec("UNDO-13")
async def test_a_thief_brings_back_nothing_that_was_erased_before(bench: Bench) -> None:
    """It lists the batch again, whose object the relay still keeps."""
    owner, thief, other = await family(bench)
    await other.add(talk("secret", 1))
    entry = (await other.snapshot()).body.tail[-1]
    await other.add(erasing("secret", 1, start=START))
    await other.vault.compact()
    assert "secret says 0" not in str(await rows_of(await owner.snapshot()))
    to = (await owner.session.sync()).version
    await _list(thief, entry)
    await undo(bench, owner, to, thief, revoke=True)
    assert "secret says 0" not in str(await rows_of(await owner.snapshot()))


@pytest.mark.spec("UNDO-13")
async def test_a_thief_brings_in_nothing_by_a_device_that_was_removed(bench: Bench) -> None:
    owner, thief, other = await family(bench)
    async with await bench.owner(owner) as unlocked:
        await unlocked.revoke(other.session.device.id)
    to = (await owner.session.sync()).version
    await thief.session.snapshot()
    other.session.keyrings, other.session.pin = thief.session.keyrings, thief.session.pin
    session = other.session
    staging = Staging(thief.session.transport, session.account)
    sealer = sealer_for(session, thief.session.epochs()[session.keyring.epoch], staging.emit)
    change = await Change.begin(await thief.snapshot(), sealer)
    frame = Frame.from_rows("strange", [row for _, row in talk("strange", 1)])
    await write_rows(session, change, {conversation_key("strange"): frame})
    for data in await staging.finish():
        await thief.session.transport.put(session.account, object_name(data), data)
    await _list(thief, change.tail[-1])
    assert "strange" in await says(owner)
    await undo(bench, owner, to, thief)
    assert "strange" not in await says(owner)


@pytest.mark.spec("UNDO-14")
async def test_noise_that_was_undone_stands_in_the_way_of_no_later_undo(bench: Bench) -> None:
    owner, thief, other = await family(bench)
    to = (await owner.session.sync()).version
    await other.add(talk("honest", 1))
    before = await says(owner)
    await lied(thief)
    await undo(bench, owner, to, thief, revoke=True)
    await owner.add(talk("mistake", 1))
    assert "mistake" in await says(other)
    await undo(bench, other, to, owner)
    assert await says(other) == before


async def _tell(thief: Device, victim: Device, number: int) -> None:
    """Commit a body that names this as the victim's highest sequence."""
    honest = committing.seal_body

    def lie(sealer: Sealer, body: Body) -> tuple[Body, tuple[ObjectRef, int]]:
        return honest(sealer, replace(body, sequences=dict(body.sequences) | {victim.session.device.id: number}))

    async def build(change: Change) -> bool:
        return True

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(committing, "seal_body", lie)
        await commit(thief.session, build)


async def test_the_hint_of_a_removal_that_a_lie_stops_names_the_undo_that_goes_on(bench: Bench) -> None:
    """A body that names a sequence its owner never used looks like a copy of the owner's device."""
    owner, thief, _ = await family(bench)
    before = await says(owner)
    to = (await owner.session.sync()).version
    await _tell(thief, owner, 2**50)
    async with await bench.owner(owner) as unlocked:
        with pytest.raises(UntrustedDataError) as caught:
            await unlocked.revoke(thief.session.device.id)
    assert caught.value.failure is Failure.CLONE
    assert f"undo --to {to} --device {thief.session.device.id.hex()[:8]} --revoke" in caught.value.hint
    assert "login --again" in caught.value.hint
    await undo(bench, owner, to, thief, revoke=True)
    assert await says(owner) == before


@pytest.mark.spec("CLIENT-62")
async def test_an_undo_that_tells_the_true_number_makes_no_copy_of_anybody(bench: Bench) -> None:
    """A commit landed and its answer was lost; the thief's next body says that it never was."""
    owner, thief, other = await family(bench)
    to = (await owner.session.sync()).version
    number = (await other.snapshot()).body.sequences[other.session.device.id]
    honest = other.session.transport
    hostile = Hostile(honest)
    other.session.transport = hostile

    def lost(*_: Any) -> None:
        raise RelayUnreachable("no answer")

    hostile.replace("commit", lost)
    with pytest.raises(RelayUnreachable):
        await other.add(talk("chat new", 1))
    other.session.transport = honest
    await _tell(thief, other, number)
    for _ in range(2):
        await other.snapshot()
    before = await says(other)
    await undo(bench, owner, to, thief, revoke=True)
    assert await says(other) == before
    await other.add(talk("chat new", 1, ids="later"))
    assert other.session.journal._attempts() == []
    assert len((await says(owner))["chat new"]) == 2


@pytest.mark.spec("FRESH-1")
async def test_a_folder_becomes_no_new_device_without_its_witness(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The relay freezes it at what it has seen, and the witness knows better."""
    bench, device, witness, watcher = await _watched(tmp_path, monkeypatch)
    old = await bench.login("old", confirm=True)
    await old.vault.use_witness(witness)
    bench.drop(old)
    frozen = fork(bench, tmp_path / "frozen")
    await device.session.sync()
    await device.add(talk("chat", 1))
    await device.vault.use_witness(witness)

    async def again(relay: Bench, *, watched: bool = True) -> str:
        with quick_state():
            session = await relinking.relink(
                bench.folder / "old", await relay.transport(), relay="file:///bench", opener=bench.opener,
                watched=watched,
            )  # fmt: skip
        found = freshness.known(session)
        session.state.close()
        return found

    with pytest.raises(UntrustedDataError) as caught:
        await again(frozen)
    assert caught.value.failure is Failure.ROLLBACK
    assert watcher.relay is not None
    role, watcher.relay.witness = watcher.relay.witness, None
    with pytest.raises(RelayUnreachable):
        await again(frozen)
    bench.copy("old", "without")
    assert (await again(frozen, watched=False)).startswith("anchor of")
    bench.copy("without", "old")
    watcher.relay.witness = role
    assert (await again(bench)).startswith("witnessed at")
    for each in (bench, frozen, watcher):
        each.close()


async def test_what_an_undo_tells_is_what_it_did(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not what it had planned before another device wrote."""
    owner, thief, other = await family(bench)
    to = (await owner.session.sync()).version
    await thief.add(talk("spam", 1))
    send, late = owner.session.transport.commit, False

    async def commit(account: bytes, request: CommitRequest) -> CommitResponse:
        nonlocal late
        if not late:
            late = True
            await other.add(talk("late", 2))
        return await send(account, request)

    monkeypatch.setattr(owner.session.transport, "commit", commit)
    async with await bench.owner(owner) as unlocked:
        told = await unlocked.undo(to, thief.session.device.id)
    assert (told.carried, told.commits, told.version) == (2, {thief.session.device.id.hex(): 1}, to + 3)
    assert "late" in await says(owner)


async def test_rows_that_a_thief_imported_first_go_with_it_and_come_back_from_their_source(bench: Bench) -> None:
    """A limit (11.5): an honest device was told that they were there, so no head of its own has them."""
    owner, thief, other = await family(bench)
    to = (await owner.session.sync()).version
    await thief.add(talk("shared", 3))
    assert (await other.add(talk("shared", 3))).known == 3
    await undo(bench, owner, to, thief)
    assert "shared" not in await says(other)
    assert sum((await other.add(talk("shared", 3))).written.values()) == 3


async def test_evidence_that_was_changed_on_its_way_makes_no_proof(bench: Bench) -> None:
    """A limit (16.3): its log root is covered by no receipt, so a good relay looks bad to whoever believes it."""
    owner, _, other = await family(bench)
    found = await owner.vault.evidence()
    await owner.add(talk("chat", 1))
    await owner.add(talk("chat", 1, ids="more"))
    with pytest.raises(UntrustedDataError) as caught:
        await other.vault.compare(replace(found, anchor=replace(found.anchor, log_root=bytes(32))))
    assert caught.value.failure is Failure.LOG
    assert not list(other.session.state.folder.glob("fork-proof-*"))
    await other.vault.compare(found)
