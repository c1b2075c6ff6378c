"""Commits whose answer never came, and copies of a device: what landed is known by the log, not by the relay's word."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from adversary.hostile import Hostile
from strongroom import session as session_module
from strongroom_protocol.errors import Failure, RelayUnreachable, UntrustedDataError
from vaults import Bench, Device, rows_of, talk


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[Bench]:
    made = Bench(tmp_path)
    yield made
    made.close()


def _lost(*_: Any) -> None:
    raise RelayUnreachable("no answer")


async def _unanswered(device: Device, text: str, *, landed: bool) -> None:
    """A commit whose answer is lost, after or before the relay has it."""
    honest = device.session.transport
    hostile = Hostile(honest)
    device.session.transport = hostile
    (hostile.replace if landed else hostile.instead)("commit", _lost)
    with pytest.raises(RelayUnreachable):
        await device.add(talk("c", 1, ids=text))
    device.session.transport = honest


@pytest.mark.parametrize("landed", [True, False])
@pytest.mark.parametrize("others", [0, 1, 3])
async def test_an_unanswered_commit_is_settled_after_a_restart(bench: Bench, landed: bool, others: int) -> None:
    """Directly at the next start, and after other devices have gone on: no false alarm, and it is known what landed."""
    await bench.create()
    other = await bench.login("b", confirm=True)
    device = bench.devices[0]
    await _unanswered(device, "first", landed=landed)
    bench.drop(device)
    for n in range(others):
        await other.add(talk("theirs", 1, ids=str(n)))
    again = await bench.reopen("a")
    added = await again.add(talk("c", 1, ids="first"))
    assert sum(added.written.values()) == (0 if landed else 1)
    assert again.session.journal._attempts() == []


@pytest.mark.spec("CLIENT-31")
async def test_a_sequence_nobody_here_used(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """A copy restored from a snapshot writes, even from the very same numbers: the original stops at its next look."""
    monkeypatch.setattr(session_module, "SEQUENCE_GAP", 1)
    device = await bench.create()
    bench.drop(device)
    bench.copy("a", "copy")
    copy = await bench.reopen("copy")
    await copy.add(talk("c", 1, ids="by the copy"))
    bench.drop(copy)
    original = await bench.reopen("a")
    # Same block reserved by both: within what PIN-5 lets pass.
    next(original.session.sequences())
    for _ in range(2):
        with pytest.raises(UntrustedDataError) as caught:
            await original.add(talk("c", 1, ids="by the original"))
        assert caught.value.failure is Failure.CLONE


@pytest.mark.spec("CLIENT-30")
@pytest.mark.parametrize("others", [0, 1, 3])
async def test_a_copy_under_the_same_sequence_is_not_taken_for_our_own(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, others: int
) -> None:
    """Original and copy send heads with the same version and sequence; only the copy's landed."""
    monkeypatch.setattr(session_module, "SEQUENCE_GAP", 1)
    await bench.create()
    other = await bench.login("b", confirm=True)
    bench.drop(bench.devices[0])
    bench.copy("a", "copy")
    original = await bench.reopen("a")
    await _unanswered(original, "by the original", landed=False)
    sent = original.session.journal._attempts()
    copy = await bench.reopen("copy")
    await copy.add(talk("c", 1, ids="by the copy"))
    assert copy.session.pin.sequences[copy.session.device.id] == sent[0].sequence
    for n in range(others):
        await other.add(talk("theirs", 1, ids=str(n)))
    with pytest.raises(UntrustedDataError) as caught:
        await original.vault.chats()
    assert caught.value.failure is Failure.CLONE
    assert original.session.journal._attempts() == sent
    ids = {str(row.id) for row in (await rows_of(await other.snapshot()))["c"]}
    assert [ident.startswith("by the copy") for ident in ids] == [True]


async def test_a_running_device_does_not_ask_before_each_commit(bench: Bench) -> None:
    device = await bench.create()
    await device.add(talk("c", 1, ids="warm"))
    hostile = Hostile(device.session.transport)
    device.session.transport = hostile
    for n in range(3):
        await device.add(talk("c", 1, start=1_720_000_000_000 + n, ids=str(n)))
    assert hostile.calls == ["commit"] * 3
