"""A mailbox at a relay, as one of two linking devices uses it: write a slot, wait for a slot (spec chapter 12.10)."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

from strongroom.transport.base import Transport
from strongroom_protocol.errors import InvalidArgument, RelayConflict, RelayUnreachable
from strongroom_protocol.link.exchange import Slot, broken, over, slot_number

POLL_S = 1.0
"""Between two looks for a message: people are slower than that."""

UNREACHABLE_S = 30.0
"""How long a relay that restarts, or a network that drops, is waited for before the command ends."""

T = TypeVar("T")


def require_relay(transport: Transport) -> None:
    """Raises InvalidArgument for a vault in a folder: there is nobody to carry messages to and fro."""
    if transport.origin.startswith("file:"):  # spec: LINK-23
        raise InvalidArgument(
            "devices that share a folder cannot be linked", hint="log in there with the passphrase: strongroom login"
        )


class Post:
    """One mailbox. `alive` raises when its time is over; `waiting` is called at each look for a message."""

    def __init__(
        self, transport: Transport, number: int, alive: Callable[[], None], waiting: Callable[[], None]
    ) -> None:
        self._transport = transport
        self._number = number
        self._alive = alive
        self._waiting = waiting
        self.poll = POLL_S

    async def put(self, run: int, slot: Slot, message: bytes) -> None:
        """Write a slot; again is no more than once. Raises UntrustedDataError(LINK) when another has, NotFound."""
        try:
            await self._asked(lambda: self._transport.put_link(self._number, slot_number(run, slot), message))
        except RelayConflict as error:
            raise broken("somebody else has written in this device's place") from error

    async def look(self, run: int, slot: Slot) -> bytes:
        """What is in a slot now; nothing when it is not written."""
        return await self._asked(lambda: self._transport.get_link(self._number, slot_number(run, slot)))

    async def wait(self, run: int, slot: Slot) -> bytes:
        """The message in a slot, when there is one. Raises NotFound when the time is over before."""
        while True:
            message = await self.look(run, slot)
            if message:
                return message
            await self._pause()

    async def first_free_run(self, runs: int) -> int:
        """The first run that nobody has answered yet. Raises NotFound when all were."""
        for run in range(1, runs + 1):
            if not await self.look(run, Slot.ANSWER):
                return run
        raise over("this code was answered three times already")

    async def _asked(self, call: Callable[[], Awaitable[T]]) -> T:
        since = time.monotonic()
        while True:
            try:
                return await call()
            except RelayUnreachable:  # what was asked can be asked again; each is kept or repeated, never lost
                if time.monotonic() - since > UNREACHABLE_S:
                    raise
                await self._pause()

    async def _pause(self) -> None:
        self._alive()
        self._waiting()
        await asyncio.sleep(self.poll)
