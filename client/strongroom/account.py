"""Accounts: making one, and logging in as a read-only device (spec chapter 13)."""

from __future__ import annotations

import contextlib
import secrets
from dataclasses import replace
from pathlib import Path

from strongroom import evidence
from strongroom.commit import accept_own, note_attempt, seal_body, sealer_for
from strongroom.fetching import fetch_keyrings
from strongroom.freshness import FRESHNESS, FirstState
from strongroom.session import DeviceKeys, Session, now_ms
from strongroom.state import FILES, State
from strongroom.transport.base import RegisterRequest, Transport
from strongroom.unlocking import SecretsOrUnlock, parameters, unlock_at, with_secrets
from strongroom.witnessing import WITNESS, WitnessAddress
from strongroom_protocol.engine.body import Body
from strongroom_protocol.errors import InvalidArgument, NotFound, ReadOnly, RelayUnreachable, StrongroomError
from strongroom_protocol.keys.epochs import EpochKeys, make_epoch, open_epochs, wrap_epoch
from strongroom_protocol.keys.private import KeyEvent, KeyringPrivate
from strongroom_protocol.keys.root import Root
from strongroom_protocol.keys.secrets import EpochSecret, KemSeed, RootSecret, SigningSeed
from strongroom_protocol.keys.slots import make_slot
from strongroom_protocol.manifest.account import GenesisCore
from strongroom_protocol.manifest.anchor import Anchor
from strongroom_protocol.manifest.head import Delta, sign_head
from strongroom_protocol.manifest.keyring import Device, Epoch, Keyring, recipient_id
from strongroom_protocol.manifest.pin import Pin
from strongroom_protocol.manifest.slots import Kdf, SlotSet
from strongroom_protocol.wire import cbor, merkle

__all__ = ["SecretsOrUnlock", "create", "login", "with_secrets"]


async def create(
    folder: Path, transport: Transport, *, relay: str, name: str, device_name: str,
    openers: list[tuple[SecretsOrUnlock, str]], registration_token: str = "", witness: WitnessAddress | None = None,
) -> Session:  # fmt: skip
    """Make an account whose slots are opened by `openers` (with their labels), and this device as its first.

    Keys are stored before the relay is asked, so no crash leaves an account that nobody can open. Without an answer
    they stay, and calling this again finds out whether the account was made.
    """
    if not openers:
        raise InvalidArgument("an account needs at least one slot")
    info = await transport.relay_info()
    await _clear(folder, transport, relay)
    device = _new_device()
    root = Root(RootSecret(secrets.token_bytes(32)))
    core = GenesisCore(root.sign.public, info.receipt_key, secrets.token_bytes(32))
    account = core.account_id()
    secret, epoch = make_epoch(1, secrets.token_bytes(32), None, account)
    slots = _slot_set(account, name, root.secret, openers)
    first = Device(device[1].sign.public, device[1].kem.public, 1)
    labels = [label for _, label in openers]
    private = KeyringPrivate().with_events(
        KeyEvent(1, now_ms(), "account created", first.id), names={first.id: device_name}
    )
    private = replace(private, slots={slot.unlock_key: label for slot, label in zip(slots.slots, labels, strict=True)})
    keys = EpochKeys(account, 1, secret)
    keyring = Keyring(
        account=account, version=1, previous=None, time=now_ms(), root_key=root.sign.public,
        root_kem_key=root.kem.public, devices=(first,), revoked={}, epochs=(epoch,),
        wraps=_wraps(secret, epoch, root, (first,), account), receipt_key=info.receipt_key, slots_hash=slots.hash(),
        cut=None, private=private.seal(keys, writer=first.id, sequence=1, randomness=secrets.token_bytes(32)),
        handover=None, core=core,
    ).sign(root.sign.sign)  # fmt: skip
    pin = Pin(account, keyring.version, keyring.hash, sequence=1)
    more = parameters(slots) | {WITNESS: None if witness is None else str(witness).encode()}
    state = _store(State.create(folder), device, relay, name, pin, [keyring], more)
    try:
        session = Session.open(state, transport)
        await _register(session, keys, slots, name, registration_token)
    except BaseException as error:
        state.close()
        if isinstance(error, RelayUnreachable) or not isinstance(error, StrongroomError):  # spec: CLIENT-35
            raise  # the account may have been made: then this folder is its first device
        _forget(folder)
        raise
    return session


async def login(
    folder: Path, transport: Transport, *, relay: str, name: str, opener: SecretsOrUnlock,
    anchor: Anchor | None = None, witness: WitnessAddress | None = None,
) -> Session:  # fmt: skip
    """A new read-only device, by passphrase or recovery code.

    Without an anchor and without a witness nothing proves that the relay shows the newest state. With them it is
    checked before anything is stored. Raises RelayError also when the witness cannot be asked.
    """
    await _clear(folder, transport, relay)
    device = _new_device()
    first = FirstState(transport, anchor)
    unlocked = await unlock_at(transport, device[1], name, opener)
    keyrings = await fetch_keyrings(transport, unlocked.account, None, [], first.shown)
    unlocked.root_for(keyrings[-1])
    newest = await first.fetch(unlocked.account, keyrings)
    freshness = first.words()
    if witness is not None:  # spec: FRESH-1
        newest, witnessed = await first.witnessed(newest, witness, folder)
        freshness = witnessed or freshness
    keyring = newest.keyrings[-1]
    root = unlocked.root_for(keyring)  # again: another may have come with the head
    secret = open_epochs(keyring, root.kem)[keyring.epoch].secret
    more = {
        "guest-epoch": secret.reveal(), **parameters(unlocked.slots), "head": newest.answer.head,
        "asked": now_ms().to_bytes(8, "big"), evidence.HEAD_RECEIPT: newest.answer.receipt,
        evidence.KEYRING_RECEIPT: first.shown.keyrings[-1], FRESHNESS: freshness.encode(),
        WITNESS: None if witness is None else str(witness).encode(),
    }  # fmt: skip
    state = _store(State.create(folder), device, relay, name, newest.pin, newest.keyrings, more)
    try:
        return Session.open(state, transport)
    except BaseException:
        state.close()
        _forget(folder)
        raise


def unfinished(folder: Path) -> bool:
    """Whether a process was killed in `folder` while it made an account or logged in: nothing was ever saved there."""
    if not (folder / FILES[0]).exists():
        return False
    with State.open(folder) as state:
        stored = state.get("pin")
        return stored is None or Pin.parse(stored).head_version == 0


async def _clear(folder: Path, transport: Transport, relay: str) -> None:
    """Remove what such a process left, unless the account was made after all: then the folder is its first device."""
    if not unfinished(folder):
        return
    with State.open(folder) as state:
        if state.get("relay") not in (None, relay.encode()):
            return
        if state.get("pin") is not None:
            with contextlib.suppress(NotFound, ReadOnly):
                await Session.open(state, transport).sync()
                return
    _forget(folder)


def _new_device() -> tuple[dict[str, bytes | None], DeviceKeys]:
    seeds = {"sign-seed": secrets.token_bytes(32), "kem-seed": secrets.token_bytes(96)}
    return dict(seeds), DeviceKeys(SigningSeed(seeds["sign-seed"]), KemSeed(seeds["kem-seed"]))


def _store(
    state: State, device: tuple[dict[str, bytes | None], DeviceKeys], relay: str, name: str, pin: Pin,
    keyrings: list[Keyring], more: dict[str, bytes | None] | None = None,
) -> State:  # fmt: skip
    chain = cbor.encode([keyring.message for keyring in keyrings])
    known: dict[str, bytes | None] = {
        "relay": relay.encode(), "name": name.encode(), "pin": pin.encode(), "keyrings": chain,
    }  # fmt: skip
    try:
        state.put(device[0] | known | (more or {}))
    except BaseException:  # a full disk, for one: an empty state would keep a second try from its folder
        state.close()
        _forget(state.folder)
        raise
    return state


def _forget(folder: Path) -> None:
    for leftover in FILES:
        (folder / leftover).unlink(missing_ok=True)


def _slot_set(account: bytes, name: str, root: RootSecret, openers: list[tuple[SecretsOrUnlock, str]]) -> SlotSet:
    salt, kdf = secrets.token_bytes(32), Kdf.preset()
    made = [
        make_slot(opener(name, salt, kdf), root, account=account, salt=salt, kdf=kdf, label=label)
        for opener, label in openers
    ]
    return SlotSet(account=account, version=1, salt=salt, kdf=kdf, blind=secrets.token_bytes(32), slots=tuple(made))


def _wraps(
    secret: EpochSecret, epoch: Epoch, root: Root, devices: tuple[Device, ...], account: bytes
) -> dict[bytes, bytes]:
    readers = [root.kem.public, *(device.kem_key for device in devices)]
    return {recipient_id(key): wrap_epoch(secret, key, account=account, number=epoch.number) for key in readers}


async def _register(session: Session, keys: EpochKeys, slots: SlotSet, name: str, token: str) -> None:
    staged: dict[bytes, bytes] = {}
    sealer = sealer_for(session, keys, staged.__setitem__)
    _, (ref, sequence) = seal_body(sealer, Body(seen={session.device.id: 1}))
    delta = Delta.of(set(staged), ())
    head = sign_head(
        account=session.account, version=1, previous=None, keyring_version=1, keyring_hash=session.keyring.hash,
        epoch=1, device=session.device.id, sequence=sequence, body=ref.name, body_size=ref.size,
        log_root=merkle.EMPTY_ROOT, delta=delta, time=now_ms(),
        key=session.device.sign.public, signer=session.device.sign.sign,
    )  # fmt: skip
    core = session.keyring.core
    if core is None:
        raise RuntimeError("keyring version 1 has a core")
    note_attempt(session, head)
    answer = await session.transport.register(
        RegisterRequest(
            name=name, core=core, slots=slots.encode(), keyring=session.keyring.message, head=head.message,
            objects=tuple(staged.values()), token=token, delta=delta,
        )
    )  # fmt: skip
    accept_own(session, head, answer, session.keyrings)
