"""An account with some history, and devices whose relay can turn hostile."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from adversary.hostile import Hostile
from strongroom_protocol.errors import Failure, UntrustedDataError
from vaults import Bench, Device, talk

VERSIONS = 6


@dataclass(slots=True)
class Scene:
    """`writer` talks to the honest relay, `victim` (a device of the same account) to the hostile one."""

    bench: Bench
    writer: Device
    victim: Device
    hostile: Hostile

    async def refused(self, call: Callable[[], Awaitable[Any]], *failures: Failure) -> list[str]:
        """`call` fails with one of these, the pin does not move in memory or on disk; returns the calls made."""
        session = self.victim.session
        pin, stored, head = session.pin, session.state.get("pin"), session.state.get("head")
        keyrings = session.state.get("keyrings")
        self.hostile.trace.clear()
        with pytest.raises(UntrustedDataError) as caught:
            await call()
        assert caught.value.failure in failures
        assert (session.pin.head_hash, session.pin.keyring_hash) == (pin.head_hash, pin.keyring_hash)
        assert session.state.get("pin") == stored
        assert session.state.get("head") == head
        assert session.state.get("keyrings") == keyrings
        return self.hostile.calls


@pytest.fixture
async def scene(tmp_path: Path) -> AsyncIterator[Scene]:
    """Six versions, then a second, confirmed device behind a relay that is honest until told otherwise."""
    bench = Bench(tmp_path)
    writer = await bench.create()
    for n in range(VERSIONS - 1):
        await writer.add(talk(f"chat {n % 2}", 5, start=1_700_000_000_000 + n * 10**6))
    held: list[Hostile] = []

    def wrap(transport: Any) -> Hostile:
        held.append(Hostile(transport))
        return held[-1]

    victim = await bench.login("b", wrap=wrap, confirm=True)
    await writer.session.sync()
    victim.session.base = None  # it begins by asking the relay, not on what it committed itself
    held[0].trace.clear()
    yield Scene(bench, writer, victim, held[0])
    bench.close()
