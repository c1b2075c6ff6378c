"""Two devices that link in a test: a relay in this process that both call by an address of their own."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from strongroom import joining, linking, mailbox
from strongroom.linking import LinkOffer
from strongroom.owner import Owner
from strongroom.session import Session
from strongroom.transport.base import Transport
from strongroom.transport.inprocess import ORIGIN
from strongroom_protocol.link.messages import Newcomer
from strongroom_relay.service.relay import Relay
from vaults import NAME, Bench, Device, QuickStore, SharedTransport, Wrap, plain, quick_state

ADDRESS = "https://relay.example"


class Clock:
    """Milliseconds that tests move, for both devices and the relay."""

    def __init__(self) -> None:
        self.now = 1_800_000_000_000

    def __call__(self) -> int:
        return self.now


@dataclass(slots=True)
class Linking:
    """A relay, an old device whose account is unlocked, and a folder for a new one."""

    bench: Bench
    old: Device
    owner: Owner
    clock: Clock
    folder: Path
    wrap_new: Wrap = plain
    asked: list[tuple[str, str]] = field(default_factory=list)
    says: bool = True

    async def offer(self) -> LinkOffer:
        return await linking.offer(self.old.session, self.owner, name=NAME)

    def confirm(self, name: str, fingerprint: str) -> bool:
        self.asked.append((name, fingerprint))
        return self.says

    async def join(self, code: str | None, *, relay: str | None = ADDRESS, name: str = "phone") -> Session:
        with quick_state():
            return await joining.join(self.folder / "new", code=code, relay=relay, device_name=name)

    async def both(self, offer: LinkOffer, code: str) -> tuple[Newcomer | None, Session]:
        """Both devices at once, to the end."""
        async with asyncio.TaskGroup() as group:
            old = group.create_task(offer.complete(self.confirm))
            new = group.create_task(self.join(code))
        return old.result(), new.result()

    async def transport(self, address: str) -> Transport:
        """What the new device's `open_transport` gives."""
        transport = SharedTransport(await self.bench.open())
        transport.origin = address
        return self.wrap_new(transport)


async def linking_bench(folder: Path, patch: pytest.MonkeyPatch, *, wrap_old: Wrap = plain) -> Linking:
    """An account with its first device."""
    clock = Clock()
    bench = Bench(folder)
    bench.relay = Relay(QuickStore(folder / "relay"), origins=(ORIGIN, ADDRESS), open_registration=True, clock=clock)
    await bench.relay.start()

    def addressed(transport: Transport) -> Transport:
        transport.origin = ADDRESS
        return wrap_old(transport)

    old = await bench.create(wrap=addressed)
    owner = await Owner.unlock(old.session, NAME, bench.opener)
    link = Linking(bench, old, owner, clock, folder)
    patch.setattr(mailbox, "POLL_S", 0.001)
    patch.setattr(joining, "open_transport", link.transport)
    for module in (joining, linking):
        patch.setattr(module, "now_ms", clock)
    return link
