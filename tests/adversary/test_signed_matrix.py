"""Everything signed in a small vault, left out, swapped, cut or aged, through the whole client: sync, login, unlock.

Heads, their receipts and proofs, keyrings and their receipts, slot sets and unlock answers, statements of batches. Each
case is refused with a typed error, nothing that is remembered moves, nothing is written or sent but the usual requests.
By default a part of the cases runs, of every kind; STRONGROOM_FULL=1 runs all.

Not among the cases, as they are no attack that can be seen: for a fresh device, whole states since the newest keyring
(a limit, case 041); for a device with a pin, states between its own and the newest (a delay).
"""

from __future__ import annotations

import hashlib
import os
import shutil
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from adversary.hostile import Hostile
from adversary.signed import Case, Held, build, chain_cases, cuts, head_cases, slot_cases
from strongroom import account
from strongroom.commit import next_head, seal_body, sealer_for
from strongroom.fetching import SYNC_ATTEMPTS
from strongroom.owner import Owner
from strongroom_protocol.errors import Failure, UntrustedDataError, WrongSecret
from strongroom_protocol.manifest.head import parse_head
from strongroom_protocol.manifest.receipt import Chain, Receipt
from strongroom_protocol.relay_api.messages import HeadResponse
from strongroom_protocol.seal.objects import ObjectType
from strongroom_protocol.wire import merkle
from vaults import NAME, Bench, Device, messages_of, talk

FULL = os.environ.get("STRONGROOM_FULL") == "1"
SHARE = 1 if FULL else 4
MODULE = pytest.mark.asyncio(loop_scope="module")
WRITES = {"put", "commit", "missing", "register", "block"}


@dataclass(slots=True)
class Scene:
    bench: Bench
    held: Held
    writer: Device
    leaves: list[bytes] = field(default_factory=list)
    """The log's entries, for proofs that the tests make themselves."""


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def scene(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Scene]:
    bench = Bench(tmp_path_factory.mktemp("signed"))
    held, writer = await build(bench)
    yield Scene(bench, held, writer)
    bench.close()


def chosen(cases: list[Case]) -> list[Case]:
    """A share of the cases that stays the same from run to run, with all kinds in it."""
    if FULL:
        return cases
    picked = [case for case in cases if hashlib.sha256(f"{case.kind} {case.label}".encode()).digest()[0] % SHARE == 0]
    return picked + [case for kind in _kinds(cases) - _kinds(picked) for case in [_first(cases, kind)]]


def _kinds(cases: list[Case]) -> set[str]:
    return {case.kind for case in cases}


def _first(cases: list[Case], kind: str) -> Case:
    return next(case for case in cases if case.kind == kind)


def told(capsys: pytest.CaptureFixture[str], what: str, ran: list[Case], cases: list[Case], seen: Counter[str]) -> None:
    with capsys.disabled():
        found = ", ".join(f"{failure} {count}" for failure, count in sorted(seen.items()))
        print(f"\nsigned matrix, {what}: {len(ran)} of {len(cases)} cases; {found}")


async def _behind(scene: Scene, folder: str) -> tuple[Device, Hostile]:
    scene.bench.copy(folder, f"{folder} case")
    device = await scene.bench.reopen(f"{folder} case", wrap=Hostile)
    assert isinstance(device.session.transport, Hostile)
    return device, device.session.transport


@MODULE
async def test_the_vault_has_something_of_each_kind(scene: Scene) -> None:
    held = scene.held
    assert (len(held.heads), len(held.chain), len(held.slots)) == (18, 7, 4)
    newest = held.since["behind"]
    assert min(map(len, (newest.peaks, newest.consistency, newest.cut_path))) > 1
    assert all(answer.peaks == held.heads[-1].peaks for answer in held.since.values())


@MODULE
@pytest.mark.parametrize("folder", ["behind", "near"])
async def test_nothing_signed_can_be_changed_for_a_device(
    scene: Scene, folder: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Of a device with a pin: `behind` has keyrings to fetch, `near` has them all."""
    held = scene.held
    device, hostile = await _behind(scene, folder)
    session = device.session
    known, honest = len(session.keyrings), held.since[folder]
    cases = list(head_cases(held, honest, oldest=session.pin.head_version))
    cases += chain_cases(held, honest, known=known)
    ran, seen = chosen(cases), Counter[str]()
    scene.bench.copy(folder, "unmutated")
    same = await scene.bench.reopen("unmutated", wrap=Hostile)
    assert isinstance(same.session.transport, Hostile)
    Case("", "", honest, held.chain, held.slots[-1]).serve(same.session.transport)
    assert (await same.session.sync()).version == len(held.heads)
    scene.bench.drop(same)
    before = (session.pin, list(session.keyrings))
    stored = {name: session.state.get(name) for name in ("pin", "head", "keyrings", "head-receipt", "keyring-receipt")}
    for case in ran:
        hostile.trace.clear()
        case.serve(hostile)
        try:
            with pytest.raises(UntrustedDataError) as caught:
                await session.sync()
            assert (session.pin, session.keyrings) == before
            assert {name: session.state.get(name) for name in stored} == stored
            assert WRITES.isdisjoint(hostile.calls)
            assert len(hostile.calls) <= 3 * SYNC_ATTEMPTS + 1  # and a look at the pinned head, for a proof
        except BaseException as error:
            error.add_note(f"{case.kind}: {case.label}")
            raise
        seen[caught.value.failure] += 1
    told(capsys, folder, ran, cases, seen)
    hostile.behave()
    await session.sync()  # the same device, unmutated: nothing that it refused has stayed with it
    assert session.pin.head_version >= len(held.heads)
    scene.bench.drop(device)


@MODULE
async def test_nothing_signed_can_be_changed_for_a_login(scene: Scene, capsys: pytest.CaptureFixture[str]) -> None:
    """A fresh device, which knows a secret and nothing else."""
    held, honest, bench = scene.held, scene.held.since["fresh"], scene.bench
    cut = parse_head(held.heads[-1].head, account=held.account).keyring_version
    oldest = next(
        version for version, answer in enumerate(held.heads, 1)
        if parse_head(answer.head, account=held.account).keyring_version == cut
    )  # fmt: skip
    cases = [*head_cases(held, honest, oldest=oldest, descent=False), *chain_cases(held, honest)]
    cases += slot_cases(held, honest)
    ran, seen = chosen(cases), Counter[str]()
    hostile = Hostile(await bench.transport())
    folder = bench.folder / "login"
    for case in [None, *ran]:
        hostile.trace.clear()
        if case is None:  # first the same run without a change
            Case("", "", honest, held.chain, held.slots[-1]).serve(hostile)
            await _login(bench, folder, hostile)
            continue
        case.serve(hostile)
        try:
            with pytest.raises((UntrustedDataError, WrongSecret)) as caught:
                await _login(bench, folder, hostile)
            assert not (folder / "device.db").exists()
            assert {*WRITES, "read"}.isdisjoint(hostile.calls)
            assert len(hostile.calls) <= 4 + 3 * SYNC_ATTEMPTS
        except BaseException as error:
            error.add_note(f"{case.kind}: {case.label}")
            raise
        seen[caught.value.failure if isinstance(caught.value, UntrustedDataError) else "wrong secret"] += 1
    told(capsys, "login", ran, cases, seen)


async def _login(bench: Bench, folder: Path, hostile: Hostile) -> None:
    session = await account.login(folder, hostile, relay="file:///x", name=NAME, opener=bench.opener)
    session.state.close()
    shutil.rmtree(folder)


@MODULE
async def test_nothing_in_an_unlock_can_be_changed_for_an_owner(
    scene: Scene, capsys: pytest.CaptureFixture[str]
) -> None:
    """A device that is a member, and its owner who unlocks the account to change keys."""
    held = scene.held
    device, hostile = await _behind(scene, "near")
    session, honest = device.session, held.since["near"]
    known = len(session.keyrings)
    cases = [*slot_cases(held, honest), *chain_cases(held, honest, known=known - 1)]
    # A keyring that the device has already may be left out: nothing of it is needed.
    cases = [case for case in cases if len(case.chain) >= known]
    ran, seen = chosen(cases), Counter[str]()
    (await Owner.unlock(session, NAME, scene.bench.opener)).close()  # unmutated
    pin, stored = session.pin, session.state.get("pin")
    for case in ran:
        hostile.trace.clear()
        case.serve(hostile)
        try:
            with pytest.raises((UntrustedDataError, WrongSecret)) as caught:
                await Owner.unlock(session, NAME, scene.bench.opener)
            assert (session.pin, session.state.get("pin")) == (pin, stored)
            assert {*WRITES, "head", "read"}.isdisjoint(hostile.calls)
        except BaseException as error:
            error.add_note(f"{case.kind}: {case.label}")
            raise
        seen[caught.value.failure if isinstance(caught.value, UntrustedDataError) else "wrong secret"] += 1
    told(capsys, "unlock", ran, cases, seen)
    hostile.behave()
    (await Owner.unlock(session, NAME, scene.bench.opener)).close()
    scene.bench.drop(device)


# Statements of batches ------------------------------------------------------------------------------------------------


@MODULE
async def test_no_statement_of_a_batch_can_be_changed(scene: Scene, capsys: pytest.CaptureFixture[str]) -> None:
    """Sealed and named by a malicious member, with receipts of a malicious relay: what another device signed is left
    out, cut, put under another entry or replaced by an earlier batch. The batch is damage, its rows are not shown,
    those of others are."""
    bench = scene.bench
    for n in range(3):
        await scene.writer.add([("signed", row) for _, row in talk("signed", 1, start=1_900_000_000_000 + n * 1000)])
    member, _ = await _behind(scene, "near")
    base = await member.snapshot()
    entries = base.body.tail[-3:]
    contents = [await base.source.object(entry.ref, ObjectType.BATCH) for entry in entries]
    earlier = await base.source.object(base.body.tail[0].ref, ObjectType.BATCH)
    assert entries[0].device == scene.writer.session.device.id
    cases: list[tuple[str, int, bytes]] = []
    for place, content in enumerate(contents):
        cases += [(label, place, data) for label, data in cuts(content)]
        cases += [("without its signature", place, content[64:]), ("an earlier batch", place, earlier)]
        cases += [("the signature of an earlier one", place, earlier[:64] + content[64:])]
        for other, their in enumerate(contents):
            if other != place:
                cases += [(f"batch {other}", place, their), (f"signature of {other}", place, their[:64] + content[64:])]
    ran = cases if FULL else cases[::SHARE]
    seen: Counter[str] = Counter()
    before = await messages_of(base)
    assert len(before["signed"]) == 3
    for version in range(1, base.head.version + 1):
        answer = await member.session.transport.head_at(scene.held.account, version)
        scene.leaves.append(merkle.leaf_hash(parse_head(answer.head, account=scene.held.account).hash))
    victim, hostile = await _behind(scene, "behind")
    await victim.session.sync()
    bench.drop(victim)
    bench.copy("behind case", "reader")
    for label, place, content in [("as it is", 0, contents[0]), *ran]:
        bench.copy("reader", "reader case")
        victim = await bench.reopen("reader case", wrap=Hostile)
        hostile = victim.session.transport  # type: ignore[assignment]
        made, name, answer = _forged(scene, member, base, entries[place], content)
        _serve_objects(hostile, made)
        hostile.instead("head", lambda *_, answer=answer: answer)
        try:
            snapshot = await victim.session.snapshot()
            shown = await messages_of(snapshot)
            if label == "as it is":
                assert (shown, snapshot.source.damage) == (before, {})
            else:
                failure = snapshot.source.damage[name.hex()]
                assert failure in (Failure.SIGNATURE, Failure.LIMIT)
                assert len(snapshot.source.damage) == 1
                assert shown["signed"] == before["signed"][:place] + before["signed"][place + 1 :]
                seen[failure] += 1
        except BaseException as error:
            error.add_note(f"batch {place}: {label}")
            raise
        bench.drop(victim)
    with capsys.disabled():
        print(f"\nsigned matrix, batches: {len(ran)} of {len(cases)} cases; {dict(seen)}")
    bench.drop(member)


def _forged(
    scene: Scene, member: Device, base: Any, entry: Any, content: bytes
) -> tuple[dict[bytes, bytes], bytes, Any]:
    """Objects and head answer of a version in which `entry` has this content, signed by a member."""
    session = member.session
    made: dict[bytes, bytes] = {}
    sealer = sealer_for(session, session.epochs()[session.keyring.epoch], made.__setitem__)
    ref = sealer.object(ObjectType.BATCH, content, sequence=entry.sequence)
    tail = tuple(replace(old, ref=ref) if old == entry else old for old in base.body.tail)
    body, sealed = seal_body(sealer, replace(base.body, tail=tail))
    head, _ = next_head(session, base.head, session.keyring, sealer, sealed, {ref.name}, {entry.ref.name})
    _, peaks = session.pin.log()
    assert scene.bench.relay is not None
    receipt = scene.bench.relay.sign_receipt(
        Receipt(session.account, Chain.HEAD, head.version, head.hash, head.previous, head.time)
    )
    assert body.tail == tail
    cut = session.keyring.cut
    assert cut is not None
    path = merkle.inclusion_path(cut.version - 1, scene.leaves)
    return made, ref.name, HeadResponse(head.message, receipt, peaks, cut_path=tuple(path))


def _serve_objects(hostile: Hostile, made: dict[bytes, bytes]) -> None:
    async def read(account_id: bytes, ranges: Any) -> list[bytes | None]:
        known = [item for item in ranges if item[0] not in made]
        honest = iter(await hostile.honest.read(account_id, known) if known else [])
        return [
            made[name][offset : offset + length] if name in made else next(honest) for name, offset, length in ranges
        ]

    hostile.instead("read", read)
