"""A relay that forks, freezes, rolls back fresh devices or lies about races: attacks 14, 38, 39, 41, 45."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from forks import fork, move, proofs, witness_of
from strongroom import account, freshness
from strongroom import session as session_module
from strongroom import vault as vault_module
from strongroom.session import Session
from strongroom.witnessing import WitnessAddress
from strongroom_protocol.errors import Failure, StrongroomError, UntrustedDataError
from strongroom_protocol.manifest.anchor import Anchor
from strongroom_protocol.manifest.slots import Kdf
from vaults import NAME, Bench, Device, opener, talk

STEPS = 50
DAY = 86_400_000


async def _two(tmp_path: Path) -> tuple[Bench, Device, Device]:
    bench = Bench(tmp_path / "main")
    first = await bench.create()
    second = await bench.login("b", confirm=True)
    await first.session.sync()
    return bench, first, second


async def _refused(device: Device) -> UntrustedDataError:
    """The next synchronisation fails, and the pin stays as it was, in memory and on disk."""
    session = device.session
    before, stored = session.pin, session.state.get("pin")
    with pytest.raises(UntrustedDataError) as caught:
        await session.sync()
    assert session.pin == before
    assert session.state.get("pin") == stored
    return caught.value


async def test_attack_039_fork_at_every_step_of_a_run(tmp_path: Path) -> None:
    """The relay goes on in two ways from each step of a run; whoever sees the other way refuses it and can prove it."""
    bench, first, second = await _two(tmp_path)
    bench.drop(second)
    seen = set()
    for step in range(STEPS):
        await first.add(talk("chat", 1, start=1_700_000_000_000 + step * 1000))
        second = await bench.reopen("b")
        await second.session.sync()
        bench.drop(second)
        other = fork(bench, tmp_path / f"fork {step}", "b")
        strayed = await other.reopen("b")
        await strayed.add(talk("other", 1, start=1_800_000_000_000 + step * 1000))
        theirs = await strayed.vault.evidence()
        for n in range(1 + step % 3):
            await first.add(talk("chat", 1, start=1_750_000_000_000 + step * 1000 + n))

        await move(strayed, bench)  # it is shown what the other device saw
        error = await _refused(strayed)
        seen.add(error.failure)
        (proof,) = proofs(strayed.session.state.folder)
        assert proof.core.account_id() == first.session.account
        assert "fork-proof-" in error.hint
        again = await _refused(strayed)  # and does not get used to it
        assert again.failure is error.failure

        with pytest.raises(UntrustedDataError) as caught:  # nor the first one, when evidence is carried over by hand
            await first.vault.compare(theirs)
        assert caught.value.failure in (Failure.FORK, Failure.LOG)
        assert len(proofs(first.session.state.folder)) == 1
        next(first.session.state.folder.glob("fork-proof-*")).unlink()
        other.close()
    assert seen == {Failure.FORK, Failure.LOG}
    bench.close()


async def test_attack_039_fork_of_the_list_of_devices(tmp_path: Path) -> None:
    """Two keyrings of one version: each device refuses the other's, and their receipts prove it."""
    bench, first, second = await _two(tmp_path)
    bench.drop(second)
    other = fork(bench, tmp_path / "fork", "b")
    strayed = await other.reopen("b")
    await other.login("ghost", confirm=True)
    await strayed.session.sync()
    await bench.login("c", confirm=True)
    await first.session.sync()
    theirs = await strayed.vault.evidence()
    assert theirs.keyring_receipt is not None

    await move(strayed, bench)
    error = await _refused(strayed)
    assert error.failure is Failure.FORK
    assert len(proofs(strayed.session.state.folder)) == 1
    with pytest.raises(UntrustedDataError) as caught:
        await first.vault.compare(theirs)
    assert caught.value.failure is Failure.FORK
    assert proofs(first.session.state.folder)
    other.close()
    bench.close()


async def test_attack_039_fork_a_relay_that_hides_it_signs_nothing_it_could_show(tmp_path: Path) -> None:
    """Shown an older state of the other branch a device refuses it too; there is no proof, and none is made up."""
    bench, _, second = await _two(tmp_path)
    bench.drop(second)
    other = fork(bench, tmp_path / "fork", "b")
    strayed = await other.reopen("b")
    for n in range(3):
        await strayed.add(talk("other", 1, start=1_800_000_000_000 + n))
    await move(strayed, bench)
    assert (await _refused(strayed)).failure is Failure.ROLLBACK
    assert proofs(strayed.session.state.folder) == []
    other.close()
    bench.close()


# ---------------------------------------------------------------- a race that is no race


async def test_attack_045_cas_lie_two_devices_are_told_that_each_was_first(tmp_path: Path) -> None:
    """Both hold a receipt for the same version; nothing of either is lost, and any contact proves the lie."""
    bench, first, second = await _two(tmp_path)
    bench.drop(second)
    other = fork(bench, tmp_path / "fork", "b")
    strayed = await other.reopen("b")
    await first.add(talk("chat", 3))
    await strayed.add(talk("other", 3))
    assert first.session.pin.head_version == strayed.session.pin.head_version
    for device, elsewhere in ((first, other), (strayed, bench)):
        await move(device, elsewhere)
        assert (await _refused(device)).failure is Failure.FORK
        (proof,) = proofs(device.session.state.folder)
        assert proof.one.version == proof.other.version
    await move(first, bench)
    await move(strayed, other)
    for device, chat in ((first, "chat"), (strayed, "other")):
        assert [row.conversation for row in await device.vault.chats()] == [chat]
    other.close()
    bench.close()


async def test_attack_045_cas_lie_an_honest_loser_of_a_race_makes_no_proof(tmp_path: Path) -> None:
    """Commits that collide, again and again: retried, never taken for a fork."""
    bench, first, second = await _two(tmp_path)
    for n in range(6):
        await asyncio.gather(
            first.add(talk("chat", 2, start=1_700_000_000_000 + n * 10_000)),
            second.add(talk("other", 2, start=1_800_000_000_000 + n * 10_000)),
        )
    assert (await first.snapshot()).head.version >= 2 + 12
    await first.vault.compare(await second.vault.evidence())
    await second.session.sync()
    await second.vault.compare(await first.vault.evidence())
    assert proofs(first.session.state.folder) == proofs(second.session.state.folder) == []
    bench.close()


# ---------------------------------------------------------------- freeze


async def test_attack_038_freeze_a_device_that_writes_finds_out_at_once(tmp_path: Path) -> None:
    bench, first, second = await _two(tmp_path)
    old = fork(bench, tmp_path / "frozen")
    await first.add(talk("chat", 1))
    await move(first, old)
    assert (await _refused(first)).failure is Failure.ROLLBACK
    assert second.session.pin.head_version < first.session.pin.head_version
    old.close()
    bench.close()


async def test_attack_038_freeze_a_device_that_reads_sees_the_age_grow(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The relay goes on showing a valid old state, for years, whatever this device's clock says."""
    bench, first, second = await _two(tmp_path)
    await first.add(talk("chat", 1))
    await second.session.sync()
    frozen = fork(bench, tmp_path / "frozen")
    await first.add(talk("chat", 1, start=1_900_000_000_000))
    await move(second, frozen)
    start = session_module.now_ms()
    for days in (0, 3, 400, 4000):
        monkeypatch.setattr(session_module, "now_ms", lambda days=days: start + days * DAY)
        monkeypatch.setattr(vault_module, "now_ms", session_module.now_ms)
        second.session.base = None
        status = await second.vault.status()
        assert status.age_ms // DAY == days
        assert (status.asked, status.fresh) == (start + days * DAY, True)
        assert await second.vault.chats()  # no age keeps anybody from reading
    for early in (0, start - 4000 * DAY):  # nor does a clock that is wrong
        monkeypatch.setattr(vault_module, "now_ms", lambda early=early: early)
        assert (await second.vault.status()).age_ms == 0
    frozen.close()
    bench.close()


async def test_attack_038_freeze_is_seen_by_evidence_and_by_a_witness(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench, first, second = await _two(tmp_path)
    witness = await witness_of(Bench(tmp_path / "witness"), monkeypatch)
    await first.vault.use_witness(witness)
    await second.vault.use_witness(witness)
    frozen = fork(bench, tmp_path / "frozen")
    await move(second, frozen)
    assert await second.vault.ask_witness()
    await first.add(talk("chat", 1))
    theirs = await first.vault.evidence()
    with pytest.raises(UntrustedDataError) as caught:
        await second.vault.compare(theirs)
    assert caught.value.failure is Failure.ROLLBACK
    assert await first.vault.ask_witness()
    with pytest.raises(UntrustedDataError) as caught:
        await second.vault.ask_witness()
    assert caught.value.failure is Failure.ROLLBACK
    assert "older than what the witness has seen" in (await second.vault.status()).alarm
    await move(second, bench)
    assert await second.vault.ask_witness()  # the relay shows all again
    assert (await second.vault.status()).alarm == ""
    frozen.close()
    bench.close()


# ---------------------------------------------------------------- fresh devices


async def _fresh(
    bench: Bench, folder: Path, relay: Bench, anchor: Anchor | None = None, witness: str | None = None
) -> Session:
    return await account.login(
        folder, await relay.transport(), relay="file:///bench", name=NAME, opener=bench.opener, anchor=anchor,
        witness=None if witness is None else WitnessAddress.parse(witness),
    )  # fmt: skip


async def test_attack_041_fresh_device_rollback_without_an_anchor_is_told_as_unproven(tmp_path: Path) -> None:
    """Every earlier state is accepted: nothing a fresh device knows contradicts it. It says so."""
    bench, first, _ = await _two(tmp_path)
    old = fork(bench, tmp_path / "old")
    await first.add(talk("chat", 1))
    session = await _fresh(bench, tmp_path / "fresh", old)
    assert freshness.known(session) == "unproven"
    assert session.pin.head_version < first.session.pin.head_version
    session.state.close()
    old.close()
    bench.close()


async def test_attack_041_fresh_device_rollback_with_an_anchor_is_refused(tmp_path: Path) -> None:
    """Every state before the anchor's, every later one that does not descend from it; nothing is stored."""
    bench, first, _ = await _two(tmp_path)
    old = fork(bench, tmp_path / "old")
    for n in range(3):
        await first.add(talk("chat", 1, start=1_700_000_000_000 + n))
    other = fork(bench, tmp_path / "other")
    await first.add(talk("chat", 1, start=1_710_000_000_000))
    anchor = Anchor.from_text(first.vault.anchor().to_text())
    lagging = fork(bench, tmp_path / "lagging")
    writer = await other.login("w", confirm=True)  # one more keyring and head, on the other branch
    for n in range(3):
        await writer.add(talk("other", 1, start=1_720_000_000_000 + n))
    for relay, failures in ((old, {Failure.ROLLBACK}), (other, {Failure.LOG, Failure.FORK})):
        with pytest.raises(UntrustedDataError) as caught:
            await _fresh(bench, tmp_path / "fresh", relay, anchor)
        assert caught.value.failure in failures
        assert not (tmp_path / "fresh").exists()
    for n in range(2):
        await first.add(talk("chat", 1, start=1_730_000_000_000 + n))
    for relay in (lagging, bench):  # the anchor's own state, and a later one
        session = await _fresh(bench, tmp_path / f"fresh {relay.folder.name}", relay, anchor)
        assert freshness.known(session).startswith("anchor of 20")
        session.state.close()
        relay.close()
    old.close()
    other.close()


async def test_attack_041_fresh_device_rollback_an_anchor_of_another_account(tmp_path: Path) -> None:
    bench = Bench(tmp_path / "main")
    await bench.create()
    stranger = await bench.create("berta", folder="stranger")
    with pytest.raises(UntrustedDataError) as caught:
        await _fresh(bench, tmp_path / "fresh", bench, stranger.vault.anchor())
    assert caught.value.failure is Failure.ACCOUNT
    assert not (tmp_path / "fresh").exists()
    bench.close()


async def test_attack_041_fresh_device_rollback_with_a_witness_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench, first, _ = await _two(tmp_path)
    witness = await witness_of(Bench(tmp_path / "witness"), monkeypatch)
    old = fork(bench, tmp_path / "old")
    for n in range(3):
        await first.add(talk("chat", 1, start=1_700_000_000_000 + n))
    other = fork(bench, tmp_path / "other")
    session = await _fresh(bench, tmp_path / "early", old, witness=witness)
    assert freshness.known(session) == "unproven"  # the witness had never heard of the account
    session.state.close()
    await first.add(talk("chat", 1, start=1_710_000_000_000))
    await first.vault.use_witness(witness)
    with pytest.raises(UntrustedDataError) as caught:
        await _fresh(bench, tmp_path / "fresh", old, witness=witness)
    assert caught.value.failure is Failure.ROLLBACK
    assert not (tmp_path / "fresh").exists()
    session = await _fresh(bench, tmp_path / "good", bench, witness=witness)
    assert freshness.known(session).startswith("witnessed at 20")
    session.state.close()

    writer = await other.login("w", confirm=True)
    for n in range(3):
        await writer.add(talk("other", 1, start=1_720_000_000_000 + n))
        with pytest.raises(UntrustedDataError) as caught:
            await _fresh(bench, tmp_path / "fresh", other, witness=witness)
        assert caught.value.failure in (Failure.FORK, Failure.LOG)
        assert {path.suffix for path in (tmp_path / "fresh").iterdir()} == {".cbor"}
        assert proofs(tmp_path / "fresh")

    with pytest.raises(UntrustedDataError) as caught:  # the witness knows by now that there are two
        await _fresh(bench, tmp_path / "fresh", bench, witness=witness)
    assert caught.value.failure is Failure.ROLLBACK
    for relay in (bench, old, other):
        relay.close()


# ---------------------------------------------------------------- old secrets


async def test_attack_014_the_slots_of_before_a_change_of_passphrase(tmp_path: Path) -> None:
    """The old passphrase opens what the relay kept of before the change; an anchor or a pin made since refuses it."""
    bench, first, _ = await _two(tmp_path)
    before = fork(bench, tmp_path / "before")
    new = opener()
    async with await bench.owner(first) as owner:
        keys = new(NAME, b"", Kdf.preset())
        await owner.add_slot(lambda *_: keys, "new")
        old = next(slot for slot in owner.slots() if slot.this)
        await owner.remove_slot(old.key)
    session = await _fresh(bench, tmp_path / "fresh", before)  # the old secret, at the old state: nothing tells
    assert freshness.known(session) == "unproven"
    session.state.close()
    with pytest.raises(UntrustedDataError) as caught:
        await _fresh(bench, tmp_path / "warned", before, first.vault.anchor())
    assert caught.value.failure is Failure.ROLLBACK
    await move(first, before)
    assert (await _refused(first)).failure in (Failure.ROLLBACK, Failure.KEYRING)
    with pytest.raises(StrongroomError):
        await _fresh(bench, tmp_path / "late", bench)
    before.close()
    bench.close()
