"""Receipts are kept with the pin, a proof is made when there is one, and a witness is told and asked (chapter 16)."""

from __future__ import annotations

import asyncio
import os
import stat
import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from adversary.hostile import Hostile
from forks import fork, move, proofs, witness_of
from strongroom import account, evidence, freshness, witnessing
from strongroom import session as session_module
from strongroom.witnessing import WitnessAddress
from strongroom_protocol.errors import (
    Failure,
    InvalidArgument,
    NotFound,
    RelayUnreachable,
    StrongroomError,
    UntrustedDataError,
)
from strongroom_protocol.manifest.proof import Evidence
from strongroom_protocol.manifest.receipt import open_receipt
from vaults import NAME, Bench, Device, talk

KEY = bytes(range(32))


def held(device: Device) -> tuple[int, int]:
    """Versions of the head and the keyring that this device has receipts of, as they are on disk."""
    session = device.session
    found = [
        open_receipt(message, receipt_key=session.keyring.receipt_key, account=session.account)
        for message in evidence.kept(session.state)
    ]
    head, keyring = found
    assert (head.hash, keyring.hash) == (session.pin.head_hash, session.keyring.hash)
    return head.version, keyring.version


async def test_the_receipts_are_those_of_the_pin_at_every_step(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    first = await bench.create()
    assert held(first) == (1, 1)
    await first.add(talk("chat", 2))
    assert held(first) == (2, 1)
    second = await bench.login("b")
    assert held(second) == (2, 1)
    await bench.confirm(second)
    assert held(second) == (3, 2)
    await first.session.sync()
    assert held(first) == (3, 2)
    found = Evidence.parse((await first.vault.evidence()).encode())
    assert (found.anchor.head_version, len(found.receipts())) == (3, 2)
    bench.close()


async def test_evidence_without_the_keyrings_receipt(tmp_path: Path) -> None:
    """A device whose answer got lost has none; an older one's receipt would not be its anchor's."""
    bench = Bench(tmp_path)
    device = await bench.create()
    older = device.session.state.get(evidence.KEYRING_RECEIPT)
    await bench.login("b", confirm=True)
    await device.session.sync()
    for stored in (older, None):
        device.session.state.put({evidence.KEYRING_RECEIPT: stored})
        assert Evidence.parse((await device.vault.evidence()).encode()).keyring_receipt is None
    device.session.state.put({evidence.HEAD_RECEIPT: None})
    await device.vault.evidence()
    assert device.session.state.get(evidence.HEAD_RECEIPT) is not None
    bench.close()


async def _forked(tmp_path: Path) -> tuple[Bench, Bench, Device]:
    """A device that went on with one branch and is shown the other."""
    bench = Bench(tmp_path / "main")
    first = await bench.create()
    bench.drop(await bench.login("b", confirm=True))
    await first.session.sync()
    other = fork(bench, tmp_path / "fork", "b")
    strayed = await other.reopen("b")
    await strayed.add(talk("other", 1))
    await first.add(talk("chat", 1))
    return bench, other, strayed


async def test_a_proof_is_for_the_owner_alone_and_the_error_names_it(tmp_path: Path) -> None:
    bench, other, strayed = await _forked(tmp_path)
    await move(strayed, bench)
    with pytest.raises(UntrustedDataError) as caught:
        await strayed.session.sync()
    (path,) = strayed.session.state.folder.glob("fork-proof-*")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert path.name == f"fork-proof-{strayed.session.pin.head_version}.cbor"
    assert f"strongroom prove {path}" in caught.value.hint
    bench.close()
    other.close()


async def test_where_no_proof_can_be_written_the_failure_is_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench, other, strayed = await _forked(tmp_path)
    await move(strayed, bench)
    before = {path.name for path in strayed.session.state.folder.iterdir()}

    def full(*_: Any) -> None:
        raise OSError(28, "no space")

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(UntrustedDataError) as caught:
        await strayed.session.sync()
    assert caught.value.failure is Failure.FORK
    assert "prove" not in caught.value.hint
    assert {path.name for path in strayed.session.state.folder.iterdir()} == before
    bench.close()
    other.close()


@pytest.mark.parametrize("answer", [NotFound("nothing"), RelayUnreachable("gone")])
async def test_a_relay_that_does_not_say_what_it_has_under_the_pin(tmp_path: Path, answer: StrongroomError) -> None:
    """Shown a later head of another branch, with nothing that contradicts by itself: refused all the same."""
    bench, other, strayed = await _forked(tmp_path)
    for n in range(3):
        await (bench.devices[0]).add(talk("chat", 1, start=1_750_000_000_000 + n))

    def refuse(*_: Any) -> None:
        raise answer

    hostile: list[Hostile] = []

    def wrap(transport: Any) -> Hostile:
        hostile.append(Hostile(transport))
        hostile[0].instead("head_at", refuse)
        return hostile[0]

    await move(strayed, bench, wrap)
    with pytest.raises(UntrustedDataError) as caught:
        await strayed.session.sync()
    assert caught.value.failure is Failure.LOG
    assert hostile[0].calls == ["head", "head_at"]
    assert proofs(strayed.session.state.folder) == []
    bench.close()
    other.close()


# ---------------------------------------------------------------- honest relays


class Deaf(Hostile):
    """Hears no answer to the commits in `lost`: they happened, or not, and the device cannot know."""

    lost = False

    async def commit(self, account: bytes, request: Any) -> Any:
        if self.lost:
            await self.honest.commit(account, request)
            raise RelayUnreachable("broke off")
        return await self.honest.commit(account, request)


STEPS = st.lists(
    st.tuples(st.integers(0, 2), st.sampled_from(["add", "lost", "sync", "race", "reopen"])), min_size=4, max_size=14
)


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(STEPS)
def test_no_run_of_honest_devices_makes_a_proof(steps: list[tuple[int, str]]) -> None:
    """Races, answers that get lost, restarts: nothing is ever refused, no proof is ever made, all evidence agrees."""
    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(_honest(Path(folder), steps))


async def _honest(folder: Path, steps: list[tuple[int, str]]) -> None:
    bench = Bench(folder)
    names = ["a", "b", "c"]
    devices = [await bench.create(wrap=Deaf)]
    devices += [await bench.login(name, wrap=Deaf, confirm=True) for name in names[1:]]
    for n, (which, step) in enumerate(steps):
        device = devices[which]
        deaf = device.session.transport
        assert isinstance(deaf, Deaf)
        rows = talk(names[which], 1, start=1_700_000_000_000 + n * 1000)
        if step == "lost":
            deaf.lost = True
            with pytest.raises(RelayUnreachable):
                await device.add(rows)
            deaf.lost = False
        elif step == "sync":
            await device.snapshot()
        elif step == "race":
            other = devices[(which + 1) % 3]
            await asyncio.gather(device.add(rows), other.add(talk("race", 1, start=1_800_000_000_000 + n * 1000)))
        elif step == "reopen":
            bench.drop(device)
            devices[which] = await bench.reopen(names[which], wrap=Deaf)
        else:
            await device.add(rows)
    for device in devices:
        await device.snapshot()
    for device in devices:
        for other in devices:
            await device.vault.compare(Evidence.parse((await other.vault.evidence()).encode()))
        assert proofs(device.session.state.folder) == []
    bench.close()


# ---------------------------------------------------------------- the witness


def test_the_address_of_a_witness() -> None:
    text = f"https://w.example:8790#{KEY.hex()}"
    assert WitnessAddress.parse(f" {text.upper().replace('HTTPS://W.EXAMPLE', 'https://w.example')}\n").key == KEY
    assert str(WitnessAddress.parse(text)) == text
    for wrong in (
        "https://w.example",
        "https://w.example#",
        f"#{KEY.hex()}",
        text[:-1],
        text + "00",
        "a b#" + KEY.hex(),
    ):
        with pytest.raises(InvalidArgument):
            WitnessAddress.parse(wrong)


async def test_a_witness_is_not_reached_unencrypted(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    device = await bench.create()
    with pytest.raises(InvalidArgument):
        await device.vault.use_witness(f"http://w.example#{KEY.hex()}")
    assert device.session.state.get("witness") is None
    bench.close()


@pytest.mark.spec("FRESH-1")
async def test_a_login_that_names_a_witness_does_not_go_on_without(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench, watcher = Bench(tmp_path / "main"), Bench(tmp_path / "witness")
    await bench.create()
    address = WitnessAddress.parse(await witness_of(watcher, monkeypatch))
    assert watcher.relay is not None
    watcher.relay.witness = None  # a relay that is no witness any more
    with pytest.raises(RelayUnreachable):
        await account.login(
            tmp_path / "fresh", await bench.transport(), relay="file:///bench", name=NAME, opener=bench.opener,
            witness=address,
        )  # fmt: skip
    assert not (tmp_path / "fresh").exists()
    bench.close()
    watcher.close()


async def test_a_witness_with_another_key_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bench, watcher = Bench(tmp_path / "main"), Bench(tmp_path / "witness")
    device = await bench.create()
    address = await witness_of(watcher, monkeypatch)
    with pytest.raises(UntrustedDataError) as caught:
        await device.vault.use_witness(address.partition("#")[0] + "#" + KEY.hex())
    assert caught.value.failure is Failure.SIGNER
    bench.close()
    watcher.close()


async def test_a_race_with_another_device_is_no_rollback(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Between what the relay shows and what the witness says, another device commits and reports."""
    bench, watcher = Bench(tmp_path / "main"), Bench(tmp_path / "witness")
    first = await bench.create()
    address = await witness_of(watcher, monkeypatch)
    await first.vault.use_witness(address)
    ask = witnessing.Witness.ask
    raced: list[bool] = []

    async def slow(self: witnessing.Witness, *given: Any) -> Any:
        if not raced:
            raced.append(True)
            await first.add(talk("chat", 1))
            assert await first.vault.ask_witness()
        return await ask(self, *given)

    monkeypatch.setattr(witnessing.Witness, "ask", slow)
    session = await account.login(
        tmp_path / "fresh", await bench.transport(), relay="file:///bench", name=NAME, opener=bench.opener,
        witness=WitnessAddress.parse(address),
    )  # fmt: skip
    assert session.pin == first.session.pin or session.pin.head_hash == first.session.pin.head_hash
    assert freshness.known(session).startswith("witnessed at")
    session.state.close()
    bench.close()
    watcher.close()


async def test_reports_are_rare_and_never_fail_a_commit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bench, watcher = Bench(tmp_path / "main"), Bench(tmp_path / "witness")
    device = await bench.create()
    await device.vault.use_witness(await witness_of(watcher, monkeypatch))
    now = session_module.now_ms()
    times = [now]
    monkeypatch.setattr(witnessing, "now_ms", lambda: times[0])
    asked: list[int] = []
    ask = witnessing.Witness.ask

    async def counted(self: witnessing.Witness, *given: Any) -> Any:
        asked.append(times[0])
        return await ask(self, *given)

    monkeypatch.setattr(witnessing.Witness, "ask", counted)
    for n in range(10):
        times[0] = now + n * 20_000
        await device.add(talk("chat", 1, start=1_700_000_000_000 + n))
    assert len(set(asked)) == 3
    assert watcher.relay is not None
    watcher.relay.witness = None
    times[0] += 3_600_000
    await device.add(talk("chat", 1, start=1_710_000_000_000))
    await device.vault.close()
    assert (await bench.reopen("a")).session.pin.head_version == 12
    bench.devices = [one for one in bench.devices if one is not device]
    bench.close()
    watcher.close()


async def test_closing_reports_and_what_it_finds_is_shown_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench, other, strayed = await _forked(tmp_path)
    watcher = Bench(tmp_path / "witness")
    address = await witness_of(watcher, monkeypatch)
    first = bench.devices[0]
    await first.vault.use_witness(address)
    strayed.session.state.put({"witness": address.encode()})
    await strayed.vault.close()  # raises nothing
    other.devices.clear()
    strayed = await other.reopen("b")
    status = await strayed.vault.status()
    assert "the witness has seen" in status.alarm
    assert "strongroom prove" in status.alarm
    assert proofs(strayed.session.state.folder)
    bench.close()
    other.close()
    watcher.close()


async def test_a_witness_is_told_of_an_account_from_its_start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bench, watcher = Bench(tmp_path / "main"), Bench(tmp_path / "witness")
    address = WitnessAddress.parse(await witness_of(watcher, monkeypatch))
    session = await account.create(
        tmp_path / "a", await bench.transport(), relay="file:///bench", name=NAME, device_name="a",
        openers=[(bench.opener, "code")], witness=address,
    )  # fmt: skip
    said = await witnessing.check(session)
    assert said is not None
    assert (said.newest.version, said.known) == (1, 0)
    session.state.close()
    other = await bench.create("berta", folder="b")
    both = await account.login(
        tmp_path / "fresh", await bench.transport(), relay="file:///bench", name="berta", opener=bench.opener,
        anchor=other.vault.anchor(), witness=address,
    )  # fmt: skip
    assert freshness.known(both).startswith("anchor of")  # a witness that had never heard of it takes nothing away
    both.state.close()
    bench.close()
    watcher.close()


# ---------------------------------------------------------------- what a person is told


async def test_status_says_when_the_relay_took_it_and_was_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench = Bench(tmp_path)
    device = await bench.create()
    relay = await bench.open()
    relay.clock = lambda: 1_700_000_000_000
    await device.add(talk("chat", 1))
    monkeypatch.setattr(session_module, "now_ms", lambda: 1_700_000_900_000)
    device.session.base = None
    status = await device.vault.status()
    assert (status.accepted, status.asked) == (1_700_000_000_000, 1_700_000_900_000)
    assert (status.freshness, status.alarm) == ("pinned", "")
    device.session.state.put({evidence.HEAD_RECEIPT: None, "asked": None})
    assert freshness.accepted(device.session) is None
    assert freshness.asked(device.session) == 0
    bench.close()


def test_a_time_no_calendar_has() -> None:
    assert freshness.moment(0) == "1970-01-01 00:00 UTC"
    assert freshness.moment(2**48 - 1) == "a time far in the future"
