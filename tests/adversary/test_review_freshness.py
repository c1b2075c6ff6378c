"""What a review of freshness and undo broke, kept as tests (docs/reviews/0005)."""

from __future__ import annotations

import contextlib
import secrets
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from adversary.hostile import Hostile
from adversary.test_attacks_undo import family, says, undo
from forks import fork, move, witness_of
from strongroom import Depth
from strongroom.commit import advance, commit, sealer_for
from strongroom.engine.change import Change
from strongroom.staging import Staging
from strongroom_protocol.engine.body import TailEntry
from strongroom_protocol.engine.refs import ObjectRef
from strongroom_protocol.errors import Failure, RelayUnreachable, UntrustedDataError
from strongroom_protocol.seal.objects import ObjectType
from strongroom_relay.service.objects import sweep
from vaults import Bench, Device, talk


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
