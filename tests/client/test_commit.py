"""Commits: a bounded number of attempts, typed errors, and a lost answer does no harm."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from adversary.hostile import Hostile
from strongroom import staging as staging_module
from strongroom.commit import ATTEMPTS
from strongroom_protocol.errors import Failure, RelayConflict, RelayUnreachable, UntrustedDataError
from strongroom_protocol.rows.model import Op, Row
from vaults import Bench, Device, rows_of, talk


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[Bench]:
    made = Bench(tmp_path)
    yield made
    made.close()


async def _behind(bench: Bench) -> tuple[Device, Hostile]:
    device = await bench.create()
    hostile = Hostile(device.session.transport)
    device.session.transport = hostile
    return device, hostile


async def test_attack_084_a_relay_that_always_says_conflict(bench: Bench) -> None:
    device, hostile = await _behind(bench)

    def conflict(*_: Any) -> None:
        raise RelayConflict("somebody else was first")

    hostile.instead("commit", conflict)
    pin = device.session.pin
    with pytest.raises(RelayConflict):
        await device.add(talk("c", 3))
    assert hostile.calls.count("commit") == ATTEMPTS
    assert device.session.pin.head_hash == pin.head_hash
    hostile.behave()
    await device.add(talk("c", 3))
    assert len((await rows_of(await device.snapshot()))["c"]) == 3


async def test_a_failed_upload_is_one_typed_error(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    device, hostile = await _behind(bench)
    monkeypatch.setattr(staging_module, "INLINE_OBJECT", 100)

    def lost(*_: Any) -> None:
        raise RelayUnreachable("gone")

    hostile.instead("put", lost)
    with pytest.raises(RelayUnreachable):
        await device.add(talk("c", 600))
    assert "commit" not in hostile.calls


async def test_a_lost_answer_is_found_again(bench: Bench) -> None:
    """The relay committed, the answer never came: the import repeated writes nothing twice."""
    device, hostile = await _behind(bench)

    def lost(*_: Any) -> None:
        raise RelayUnreachable("no answer")

    hostile.replace("commit", lost)
    with pytest.raises(RelayUnreachable):
        await device.add(talk("c", 3))
    hostile.behave()
    again = await device.add(talk("c", 3))
    assert (sum(again.written.values()), again.known) == (0, 3)


async def test_a_receipt_for_something_else_is_refused(bench: Bench) -> None:
    device, hostile = await _behind(bench)
    first = await hostile.honest.head(device.session.account, None)
    hostile.replace("commit", lambda honest, *_: type(honest)(first.receipt, None))
    pin = device.session.pin
    with pytest.raises(UntrustedDataError) as caught:
        await device.add(talk("c", 3))
    assert caught.value.failure is Failure.RECEIPT
    assert device.session.pin.head_hash == pin.head_hash


async def test_large_objects_are_uploaded_before_the_commit(bench: Bench) -> None:
    device, hostile = await _behind(bench)
    noise = random.Random(3)
    await device.add([("c", Row(Op.PUT, n, id=str(n), text=noise.randbytes(100).hex())) for n in range(3000)])
    calls = hostile.calls
    assert calls.index("missing") < calls.index("put") < calls.index("commit")
    snapshot = await device.snapshot(fresh=True)
    assert len((await rows_of(snapshot))["c"]) == 3000
