"""One device's view of one account: keys, pin, and the steps that bring in something new (spec chapter 13).

Everything fetched is weighed against the pin (`manifest.pin`) and the pin is stored durably before anything is used.
"""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from hashlib import sha256
from types import MappingProxyType

from strongroom import evidence
from strongroom.cache import Cache
from strongroom.engine.recent import RecentFrames
from strongroom.engine.snapshot import Snapshot
from strongroom.engine.source import ObjectSource
from strongroom.fetching import SYNC_ATTEMPTS, Shown, fetch_newest
from strongroom.journal import Attempt, Journal, Settled
from strongroom.state import State
from strongroom.transport.base import HeadResponse, Transport
from strongroom_protocol.errors import Failure, ReadOnly, RelayConflict, UntrustedDataError
from strongroom_protocol.keys.epochs import EpochKeys, chain_epochs, open_epochs
from strongroom_protocol.keys.hpke import KemKey
from strongroom_protocol.keys.secrets import EpochSecret, KemSeed, SigningSeed
from strongroom_protocol.keys.signing import SignKey
from strongroom_protocol.limits import LIMITS
from strongroom_protocol.manifest.head import Head, parse_head
from strongroom_protocol.manifest.keyring import Keyring, device_id, parse_keyring
from strongroom_protocol.manifest.pin import Pin, accept_sequences
from strongroom_protocol.wire import cbor

SEQUENCE_BLOCK = 256
"""Writer sequences reserved durably at a time; a crash skips what is left of a block, never reuses a number."""

SEQUENCE_GAP = 2**20
"""A block begins fewer than this many numbers after the last: 2^53 numbers are enough for 2^33 blocks."""

LATEST_MS = 2**47 - 2**40
"""The year 6394. Times 2^16 it leaves a clock of rows 2^56 numbers below 2^63, where no reader would take them."""

NOTHING = Settled({}, 0)

AGAIN = "`strongroom login --again` makes this folder a new device; what waits in its outbox is kept"


class DeviceKeys:
    """The key pairs that are made on this device and never leave it."""

    def __init__(self, sign_seed: SigningSeed, kem_seed: KemSeed) -> None:
        self.sign = SignKey(sign_seed)
        self.kem = KemKey(kem_seed)
        self.id = device_id(self.sign.public, self.kem.public)


@dataclass(slots=True)
class Session:
    """A device's open vault. Not for two tasks at once: the state's lock keeps other processes out."""

    state: State
    transport: Transport
    device: DeviceKeys
    account: bytes
    keyrings: list[Keyring]
    pin: Pin
    guest_epoch: EpochSecret | None
    journal: Journal
    base: Snapshot | None = None
    """The state that this device's last commit made; while it runs, the next commit begins here."""
    tried: int = 0
    """When a report to the witness was last tried (ms)."""
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    """Held while pin and base move: by a commit, and by a read until it has its state."""
    recent: RecentFrames = field(default_factory=RecentFrames)
    _free: range = range(0)
    _clock: int = 0
    _epochs: tuple[bytes, Mapping[int, EpochKeys]] | None = field(default=None)

    @classmethod
    def open(cls, state: State, transport: Transport) -> Session:
        """From the local state alone; nothing is fetched."""
        device = DeviceKeys(SigningSeed(state.require("sign-seed")), KemSeed(state.require("kem-seed")))
        pin = Pin.parse(state.require("pin"))
        stored = state.require("keyrings")
        # This device wrote it, of keyrings it had verified: no limit on what comes from outside may lock it out.
        own = replace(LIMITS, cbor_bytes=len(stored))
        chain = cbor.decode(stored, limits=own, subject="stored keyrings")
        keyrings = [parse_keyring(message, account=pin.account) for message in chain]
        guest = state.get("guest-epoch")
        transport.authenticate(device.sign.public, device.sign.sign)
        return cls(
            state, transport, device, pin.account, keyrings, pin, EpochSecret(guest) if guest else None, Journal(state)
        )

    @property
    def keyring(self) -> Keyring:
        """The newest keyring this device has accepted."""
        return self.keyrings[-1]

    @property
    def may_write(self) -> bool:
        return self.keyring.device(self.device.id) is not None

    def require_writer(self) -> None:
        """Raises ReadOnly on a device that is not (yet) in the keyring."""
        if not self.may_write:  # spec: CLIENT-1
            raise ReadOnly(
                "this device is read-only: nobody has confirmed it yet",
                hint="check the listed devices with `strongroom status`, then run `strongroom login --confirm-devices`",
            )

    def epochs(self) -> Mapping[int, EpochKeys]:
        """Every epoch this device can open under the newest keyring."""
        keyring = self.keyring
        if self._epochs is None or self._epochs[0] != keyring.hash:
            opened: Mapping[int, EpochKeys]
            if self.may_write:
                opened = open_epochs(keyring, self.device.kem)
            elif self.guest_epoch is not None:
                opened = self._guest_epochs(keyring, self.guest_epoch)
            else:
                raise ReadOnly("this device was removed from the account", hint=AGAIN)
            self._epochs = (keyring.hash, opened)
        return self._epochs[1]

    def source(self, *, fresh: bool = False) -> ObjectSource:
        cache = Cache(self.state.folder / "objects")
        return ObjectSource(self.transport, cache, self.account, self.epochs(), fresh, recent=self.recent)

    async def sync(self) -> Head:
        """Fetch the newest keyring and head, verify both against the pin, store the new pin.

        Raises UntrustedDataError with the pin unmoved; RelayUnreachable.
        """
        shown = Shown()
        try:
            newest = await fetch_newest(
                self.transport, self.pin, self.keyrings, since=self.pin.head_version or None, shown=shown
            )
        except UntrustedDataError as error:
            await evidence.accuse(error, self.held(), shown)
            raise
        receipts = {evidence.HEAD_RECEIPT: newest.answer.receipt}
        if len(newest.keyrings) != len(self.keyrings):
            receipts[evidence.KEYRING_RECEIPT] = shown.keyrings[-1]
        self.remember(newest.pin, newest.keyrings, message=newest.answer.head, receipts=receipts)
        return newest.head

    async def proof_from(self, since: int, shown: Shown) -> HeadResponse:
        """The newest head, accepted, with the consistency proof from version `since` on."""
        for _ in range(SYNC_ATTEMPTS):
            answer = await self.transport.head(self.account, since)
            shown.heads.append(answer.receipt)
            if sha256(answer.head).digest() == self.pin.head_hash:
                return answer
            await self.sync()
        raise RelayConflict("other devices were quicker, again and again")

    async def snapshot(self, *, fresh: bool = False) -> Snapshot:
        """The newest state of the account, verified."""
        for attempt in range(SYNC_ATTEMPTS):
            try:
                return await self.load(await self.sync(), fresh=fresh)
            except RelayConflict:  # other devices are quick
                if attempt + 1 == SYNC_ATTEMPTS:
                    raise
        raise AssertionError

    async def load(self, head: Head, *, fresh: bool = False) -> Snapshot:
        """The state at an accepted head. Settles what this device has sent; finds out whether a copy of it wrote."""
        snapshot = await Snapshot.load(self.source(fresh=fresh), head, self.device_keys(), self.keyring.discards)
        if head.version == self.pin.head_version:
            sequences, me = snapshot.body.sequences, self.device.id
            pin = accept_sequences(self.pin, sequences, device=me)
            settled = await self.journal.settle(
                self.transport, self.account, head, snapshot.body, me=me, known=self.pin.sequences.get(me, 0)
            )
            self.remember(pin, self.keyrings, settled=settled)
        return snapshot

    def held(self) -> evidence.Held:
        """What this device holds against its relay."""
        core, version = evidence.core_of(self.keyrings), self.pin.head_version
        return evidence.Held(self.transport, core, version, evidence.kept(self.state), self.state.folder)

    def stored_head(self) -> Head:
        """The pinned head, for reading without the relay."""
        return parse_head(self.state.require("head"), account=self.account)

    def device_keys(self) -> dict[bytes, bytes]:
        """Signing keys of every device that any accepted keyring lists."""
        return {device.id: device.sign_key for keyring in self.keyrings for device in keyring.devices}

    def remember(
        self, pin: Pin, keyrings: list[Keyring], *, message: bytes | None = None, settled: Settled = NOTHING,
        receipts: Mapping[str, bytes] = MappingProxyType({}),
    ) -> None:  # fmt: skip
        """Store pin, keyrings, head bytes with receipts, and what became of attempts in one transaction; then use them.

        `message` comes with every verified answer of the relay about its newest head, and with its time here.
        """
        if keyrings[-1].discards != self.keyring.discards:  # spec: UNDO-4
            pin = pin.after_undo(self.device.id)
        if pin != self.pin or len(keyrings) != len(self.keyrings) or message is not None or settled.changes:
            changes: dict[str, bytes | None] = {**settled.changes, **receipts, "pin": pin.encode()}
            if len(keyrings) != len(self.keyrings):
                changes["keyrings"] = cbor.encode([keyring.message for keyring in keyrings])
            if message is not None:
                changes |= {"head": message, "asked": now_ms().to_bytes(8, "big")}
            if self.guest_epoch is not None and keyrings[-1].device(self.device.id) is not None:
                self.guest_epoch, changes["guest-epoch"] = None, None  # the keyring has a wrap for this device now
            self.state.put(changes, sent=settled.sent)  # spec: CLIENT-32
        self.pin, self.keyrings = pin, keyrings

    def sequences(self) -> Iterator[int]:
        """This device's next writer sequences, each reserved durably before it is given out."""
        while True:
            yield self._next_sequence()

    def _next_sequence(self) -> int:
        if not self._free:
            # A copy of this device begins at the same number: a random gap keeps the two apart from here on.
            start = self.pin.sequence + 1 + secrets.randbelow(SEQUENCE_GAP)
            self.remember(replace(self.pin, sequence=start + SEQUENCE_BLOCK - 1), self.keyrings)
            self._free = range(start, start + SEQUENCE_BLOCK)
        number, self._free = self._free[0], self._free[1:]
        return number

    def next_clock(self) -> int:
        """A hybrid logical clock value later than any that was sent: unix ms * 2**16 + counter.

        It is durable when `sending` returns, which is before anybody else sees it.
        """
        last = self._clock or int.from_bytes(self.state.get("clock") or b"", "big")
        self._clock = max(now_ms() << 16, last + 1)
        return self._clock

    def sending(self, attempt: Attempt) -> None:
        """Note durably what is about to be sent."""
        self.journal.sending(attempt, {"clock": self._clock.to_bytes(8, "big")} if self._clock else {})

    def _guest_epochs(self, keyring: Keyring, secret: EpochSecret) -> Mapping[int, EpochKeys]:
        try:
            return chain_epochs(keyring, secret)
        except UntrustedDataError as error:
            if error.failure is not Failure.EPOCH:
                raise
            raise ReadOnly(
                "the account has moved to a new epoch since this read-only device logged in",
                hint="run `strongroom login` again",
            ) from error


def now_ms() -> int:
    """This machine's time in milliseconds since 1970, within what rows and heads can hold, however wrong it is."""
    return min(max(time.time_ns() // 1_000_000, 0), LATEST_MS)
