"""Changing keys: the next keyring and the head that follows its cut, in one commit (spec chapter 04.7).

Whatever is changed, it is done here: who may read and write, the secrets that open the account, what was discarded.
A commit that slips in between means a new cut, so the change is put together anew on the newest state.
"""

from __future__ import annotations

import secrets
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Protocol

from strongroom.commit import ATTEMPTS, advance, sealer_for
from strongroom.engine.change import Change
from strongroom.engine.sealer import Sealer
from strongroom.engine.snapshot import Snapshot
from strongroom.reslotting import Reslot
from strongroom.session import Session, now_ms
from strongroom.staging import Staging
from strongroom_protocol.errors import InvalidArgument, RelayConflict, UntrustedDataError
from strongroom_protocol.keys.epochs import EpochKeys, make_epoch, wrap_epoch
from strongroom_protocol.keys.private import KeyEvent, KeyringPrivate
from strongroom_protocol.keys.root import Root
from strongroom_protocol.keys.secrets import EpochSecret, RootSecret
from strongroom_protocol.limits import LIMITS
from strongroom_protocol.manifest.head import Head
from strongroom_protocol.manifest.keyring import Cut, Device, Discard, Epoch, Keyring, device_id, recipient_id
from strongroom_protocol.manifest.slots import SlotSet
from strongroom_protocol.manifest.succession import handover_payload
from strongroom_protocol.wire import cose


@dataclass(frozen=True, slots=True)
class NewDevice:
    """A device to add: its public keys and what its owner calls it."""

    sign_key: bytes
    kem_key: bytes
    name: str

    @property
    def id(self) -> bytes:
        return device_id(self.sign_key, self.kem_key)


@dataclass(frozen=True, slots=True)
class KeyChange:
    """What the next keyring changes; all else stays.

    `rotate` makes a new root secret and a new epoch, and needs `reslot`, which wraps that secret to the slots and is
    called again for each attempt. `events` are (what happened, device concerned) for the log that people read.
    """

    events: tuple[tuple[str, bytes | None], ...]
    add: tuple[NewDevice, ...] = ()
    remove: frozenset[bytes] = frozenset()
    new_epoch: bool = False
    rotate: bool = False
    discards: tuple[Discard, ...] = ()
    names: Mapping[bytes, str] = field(default_factory=dict)
    reslot: Reslot | None = None


class Ground(Protocol):
    """The state that a change of keys goes on from, and what it changes of the history: nothing, but for undo."""

    async def base(self) -> Snapshot:
        """The state, under the newest head."""
        ...

    async def begin(self, base: Snapshot, sealer: Sealer, relieve: Callable[[], Awaitable[None]]) -> Change:
        """The change on it, ready to be finished; `relieve` uploads what has been sealed when it is much."""
        ...


@dataclass(frozen=True, slots=True)
class Newest:
    """The newest state, unchanged."""

    session: Session

    async def base(self) -> Snapshot:
        head = await self.session.sync()
        try:
            return await self.session.load(head)
        except UntrustedDataError as error:
            if head.device != self.session.device.id:  # its body can say anything, also of this device
                error.hint = (
                    f"nothing can be changed on a state that does not hold; device {head.device.hex()[:8]} made it: if "
                    f"you do not trust it, `strongroom undo --to {head.version - 1} --device {head.device.hex()[:8]} "
                    f"--revoke` goes back before it; else: {error.hint}"
                )
            raise

    async def begin(self, base: Snapshot, sealer: Sealer, relieve: Callable[[], Awaitable[None]]) -> Change:
        return await Change.begin(base, sealer)


@dataclass(frozen=True, slots=True)
class Rekeyed:
    """The head that a change of keys made; the root secret and, when it was made anew, the slot set from then on."""

    head: Head
    root: Root
    slots: SlotSet | None


Prepare = Callable[[], Awaitable[tuple[Root, KeyChange]]]
"""The root secret that owns the session's keyring, and the change to make on it."""


async def change_keys(session: Session, prepare: Prepare, ground: Ground) -> Rekeyed:
    """Make the change on the newest state, again when another device was first.

    It is made whole or not at all, whatever crashes. Raises what `prepare` and a commit raise.
    """
    async with session.lock:
        for attempt in range(ATTEMPTS):
            try:
                base = await ground.base()
                root, change = await prepare()
                return await _Attempt(session, base, root, change).commit(ground)
            except RelayConflict:
                if attempt + 1 == ATTEMPTS:
                    raise
    raise RelayConflict("other devices were first, again and again")


@dataclass(slots=True)
class _Attempt:
    session: Session
    base: Snapshot
    root: Root
    change: KeyChange
    staging: Staging = field(init=False)

    def __post_init__(self) -> None:
        self.staging = Staging(self.session.transport, self.session.account)

    async def commit(self, ground: Ground) -> Rekeyed:
        session, change = self.session, self.change
        root = self.root
        if change.rotate:  # spec: ROOT-3
            root = Root(RootSecret(secrets.token_bytes(32)))
        keys, epochs = self._epoch()
        sealer = sealer_for(session, keys, self.staging.emit)
        slots, labels = (None, None) if change.reslot is None else change.reslot(root)
        bare = self._bare(root, keys.secret, epochs, slots)
        private = self._private(bare, labels).seal(
            keys, writer=session.device.id, sequence=next(sealer.sequences), randomness=secrets.token_bytes(32)
        )
        keyring = replace(bare, private=private, handover=self._handover(bare)).sign(root.sign.sign)
        try:
            history = await ground.begin(self.base, sealer, self.staging.relieve)
            body = await history.finish(acknowledged=self.base.head.version)
            head = await advance(session, history, body, self.staging, keyring=keyring, slots=slots)
        finally:
            await self.staging.stop()
        return Rekeyed(head, root, slots)

    def _epoch(self) -> tuple[EpochKeys, tuple[Epoch, ...]]:
        old, account = self.session.keyring, self.session.account
        current = self.session.epochs()[old.epoch].secret
        if not (self.change.new_epoch or self.change.rotate):
            return EpochKeys(account, old.epoch, current), old.epochs
        # The new secret depends on the old one too: a generator that repeats itself does not repeat an epoch.
        secret, epoch = make_epoch(old.epoch + 1, secrets.token_bytes(32), current, account)
        return EpochKeys(account, old.epoch + 1, secret), (*old.epochs, epoch)

    def _bare(self, root: Root, secret: EpochSecret, epochs: tuple[Epoch, ...], slots: SlotSet | None) -> Keyring:
        old, head = self.session.keyring, self.base.head
        version = old.version + 1
        stay = [device for device in old.devices if device.id not in self.change.remove]
        devices = (*stay, *(Device(new.sign_key, new.kem_key, version) for new in self.change.add))
        if len(devices) > LIMITS.devices:
            raise InvalidArgument(f"an account has at most {LIMITS.devices} devices", hint="remove one first")
        # Wraps are for keys of the verified keyring and those that the owner's word adds: none is the relay's.
        readers = [root.kem.public, *(device.kem_key for device in devices)]
        wraps = {
            recipient_id(key): wrap_epoch(secret, key, account=old.account, number=epochs[-1].number) for key in readers
        }
        return replace(
            old, version=version, previous=old.hash, time=now_ms(), root_key=root.sign.public,
            root_kem_key=root.kem.public, devices=devices, epochs=epochs, wraps=wraps,
            revoked=old.revoked | dict.fromkeys(self.change.remove, version),
            slots_hash=old.slots_hash if slots is None else slots.hash(), cut=Cut(head.version, head.hash),
            discards=(*old.discards, *self.change.discards), handover=None, core=None,
        )  # fmt: skip

    def _private(self, bare: Keyring, labels: dict[bytes, str] | None) -> KeyringPrivate:
        old = self.session.keyring
        private = KeyringPrivate.read(old.private, self.session.epochs(), old.account)
        events = [KeyEvent(bare.version, bare.time, what, device) for what, device in self.change.events]
        names = {new.id: new.name for new in self.change.add} | dict(self.change.names)
        if labels is not None:
            private = replace(private, slots=labels)
        return private.with_events(*events, names=names, listed=[device.id for device in bare.devices])

    def _handover(self, bare: Keyring) -> bytes | None:
        if not self.change.rotate:
            return None
        old = self.root.sign
        return cose.sign(cose.Context.ROOT_HANDOVER, handover_payload(bare), old.public, old.sign)
