"""Heads this device has sent and not yet heard of: what landed, what did not, and who else writes as us (chapter 13).

A commit whose answer was lost may have landed or not, and may still land. Before it is sent it is noted here; the next
body that is read settles it. A sequence of ours that nothing here explains is a copy of this device at work.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from strongroom.state import State
from strongroom.transport.base import Transport
from strongroom_protocol.engine.body import Body
from strongroom_protocol.errors import Failure, RelayConflict, UntrustedDataError
from strongroom_protocol.manifest.head import Head, parse_head
from strongroom_protocol.wire import cbor, merkle

ATTEMPTS = "attempts"
"""Name in the state."""

KEPT = 4_096
"""Attempts that are remembered: a relay that never answers must not make the list longer than can be read."""


@dataclass(frozen=True, slots=True)
class Settled:
    """Changes of the state to store with the pin, and the last outbox entry that is committed now (0: none)."""

    changes: dict[str, bytes | None]
    sent: int


@dataclass(frozen=True, slots=True)
class Attempt:
    """A head that was sent: version, hash, its sequence, root of the log that ends with it, last entry it carries."""

    version: int
    hash: bytes
    sequence: int
    log_root: bytes
    entries: int

    def to_cbor(self) -> list[Any]:
        return [self.version, self.hash, self.sequence, self.log_root, self.entries]


class Journal:
    """The attempts of one device, kept in its state. The caller stores what settles them together with the pin."""

    def __init__(self, state: State) -> None:
        self._state = state

    def sending(self, attempt: Attempt, more: dict[str, bytes | None]) -> None:
        """Note an attempt durably, with more changes of the state; only then may it be sent."""
        # One that is forgotten and lands after all looks like a copy of this device: it stops, and loses nothing.
        self._state.put(_stored([*self._attempts()[1 - KEPT :], attempt]) | more)

    def accepted(self, head: Head) -> Settled:
        """An own head has its receipt."""
        attempts = self._attempts()
        sent = max((attempt.entries for attempt in attempts if attempt.hash == head.hash), default=0)
        return Settled(_stored([attempt for attempt in attempts if attempt.version > head.version]), sent)

    async def settle(
        self, transport: Transport, account: bytes, head: Head, body: Body, *, me: bytes, known: int
    ) -> Settled:
        """What a newest accepted head and its body tell; `known` is the pinned sequence of this device.

        Raises UntrustedDataError(CLONE); RelayConflict when the history moved on while it was looked at.
        """
        attempts = self._attempts()
        own = body.sequences.get(me, 0)
        landed = next((attempt for attempt in attempts if attempt.sequence == own), None)
        if landed is None and own != known:  # spec: CLIENT-31
            raise _clone()
        history = _History(transport, account, head)
        if landed is not None and not await history.holds(landed):  # spec: CLIENT-30
            raise _clone()
        left = [attempt for attempt in attempts if attempt.version > head.version]
        for attempt in attempts:
            # A body that another device made can tell too low a number of ours; an undo will tell the true one.
            if attempt.version <= head.version and attempt.sequence > own and await history.holds(attempt):
                left.append(attempt)  # spec: CLIENT-62
        if left == attempts:
            return Settled({}, 0)
        return Settled(_stored(left), 0 if landed is None else landed.entries)

    def _attempts(self) -> list[Attempt]:
        stored = self._state.get(ATTEMPTS)
        return [] if stored is None else [Attempt(*item) for item in cbor.decode(stored, subject="attempts")]


def _stored(attempts: list[Attempt]) -> dict[str, bytes | None]:
    return {ATTEMPTS: cbor.encode([attempt.to_cbor() for attempt in attempts])}


@dataclass(frozen=True, slots=True)
class _History:
    """The history up to an accepted head: by the log that it signs, not by the relay's word."""

    transport: Transport
    account: bytes
    head: Head
    _proofs: dict[int, tuple[bytes, ...]] = field(default_factory=dict)

    async def holds(self, attempt: Attempt) -> bool:
        """Raises RelayConflict when the history moved on meanwhile."""
        head, version = self.head, attempt.version
        if version >= head.version:
            return (version, attempt.hash) == (head.version, head.hash)
        if version not in self._proofs:
            answer = await self.transport.head(self.account, version)
            if parse_head(answer.head, account=self.account).hash != head.hash:  # the proof is for another log
                raise RelayConflict("the history moved on meanwhile")
            self._proofs[version] = answer.consistency
        try:
            merkle.check_consistency(version, attempt.log_root, head.version - 1, head.log_root, self._proofs[version])
        except UntrustedDataError:
            return False
        return True


def _clone() -> UntrustedDataError:
    return UntrustedDataError(
        Failure.CLONE, "a copy of this device has written", subject="device",
        hint="`strongroom login --again` makes this folder a device of its own; what waits in its outbox is kept",
    )  # fmt: skip
