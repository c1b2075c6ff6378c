"""A relay that never comes to an end, and a guest that is asked to write."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from adversary.hostile import Hostile
from strongroom.commit import commit
from strongroom.engine.change import Change
from strongroom.fetching import SYNC_ATTEMPTS
from strongroom_protocol.errors import Failure, ReadOnly, UntrustedDataError
from strongroom_protocol.relay_api.messages import HeadResponse
from vaults import Bench, talk


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    found = Bench(tmp_path)
    yield found
    found.close()


@pytest.mark.spec("CLIENT-7")
async def test_attack_052_keyrings_that_repeat_without_end_are_refused(bench: Bench) -> None:
    first = await bench.create()
    await first.add(talk("a", 3))
    asked = 0

    def again(honest: list[tuple[bytes, bytes]], account: bytes, version: int) -> list[tuple[bytes, bytes]]:
        nonlocal asked
        asked += 1
        if asked > 20:
            return []  # so that a client without the check ends, and is seen to have gone on
        return chain

    honest = await bench.transport()
    honest.authenticate(first.session.device.sign.public, first.session.device.sign.sign)
    chain = await honest.keyrings(first.session.account, 1)

    def wrap(transport: Any) -> Hostile:
        hostile = Hostile(transport)
        hostile.replace("keyrings", again)
        return hostile

    with pytest.raises(UntrustedDataError) as error:
        await bench.login("b", wrap=wrap)
    assert error.value.failure is Failure.LIMIT
    assert asked == 2
    assert not (bench.folder / "b" / "device.db").exists()


async def test_attack_052_a_head_under_an_old_keyring_is_not_asked_for_without_end(bench: Bench) -> None:
    first = await bench.create()
    old = await first.session.transport.head(first.session.account, None)
    await bench.login("b", confirm=True)
    await first.session.sync()
    pin = first.session.pin

    def stale(honest: HeadResponse, account: bytes, since: int | None) -> HeadResponse:
        return old

    hostile = Hostile(first.session.transport)
    hostile.replace("head", stale)
    first.session.transport = hostile
    with pytest.raises(UntrustedDataError):
        await first.session.sync()
    assert hostile.calls.count("head") <= SYNC_ATTEMPTS
    assert first.session.pin == pin


@pytest.mark.spec("CLIENT-1")
async def test_a_guest_commits_nothing(bench: Bench) -> None:
    first = await bench.create()
    await first.add(talk("a", 3))

    def record(transport: Any) -> Hostile:
        return Hostile(transport)

    guest = await bench.login("b", wrap=record)
    hostile = guest.session.transport
    assert isinstance(hostile, Hostile)
    hostile.trace.clear()

    async def build(change: Change) -> bool:
        raise AssertionError("a change was begun")

    with pytest.raises(ReadOnly):
        await commit(guest.session, build)
    with pytest.raises(ReadOnly):
        await guest.add(talk("a", 9))
    assert hostile.calls == []
