"""Accounts: making one, logging in as a read-only device, being confirmed (spec chapter 13)."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from strongroom.commit import ATTEMPTS, accept_own, next_head, note_attempt, seal_body, sealer_for
from strongroom.session import DeviceKeys, Session, fetch_keyrings, now_ms
from strongroom.state import FILES, State
from strongroom.transport.base import CommitRequest, RegisterRequest, Transport
from strongroom_protocol.engine.body import Body
from strongroom_protocol.errors import InvalidArgument, RelayConflict
from strongroom_protocol.keys.epochs import EpochKeys, make_epoch, open_epochs, wrap_epoch
from strongroom_protocol.keys.private import KeyEvent, KeyringPrivate
from strongroom_protocol.keys.root import Root
from strongroom_protocol.keys.secrets import (
    EpochSecret,
    KemSeed,
    Passphrase,
    RecoveryCode,
    RootSecret,
    SigningSeed,
)
from strongroom_protocol.keys.slots import Unlock, check_slots_hash, make_slot, open_slot, unlock
from strongroom_protocol.manifest.account import GenesisCore
from strongroom_protocol.manifest.head import Delta, sign_head
from strongroom_protocol.manifest.keyring import Cut, Device, Epoch, Keyring, recipient_id
from strongroom_protocol.manifest.pin import Pin
from strongroom_protocol.manifest.receipt import Chain, verify_receipt
from strongroom_protocol.manifest.slots import Kdf, SlotSet
from strongroom_protocol.wire import cbor, cose, merkle

SecretsOrUnlock = Callable[[str, bytes, Kdf], Unlock]
"""Gives the unlock keys for (normalised account name, login salt, kdf)."""


def with_secrets(passphrase: Passphrase | None, code: RecoveryCode | None) -> SecretsOrUnlock:
    """Unlock by what a person typed: passphrase, recovery code, or both for a two-secret slot.

    Keys are derived once for each salt, however often they are asked for: Argon2id takes most of a second.
    """
    known: dict[tuple[str, bytes, Kdf], Unlock] = {}

    def opener(name: str, salt: bytes, kdf: Kdf) -> Unlock:
        asked = (name, salt, kdf)
        if asked not in known:
            known.clear()
            known[asked] = unlock(name=name, salt=salt, kdf=kdf, passphrase=passphrase, code=code)
        return known[asked]

    return opener


async def create(
    folder: Path, transport: Transport, *, relay: str, name: str, device_name: str,
    openers: list[tuple[SecretsOrUnlock, str]], registration_token: str = "",
) -> Session:  # fmt: skip
    """Make an account whose slots are opened by `openers` (with their labels), and this device as its first.

    Keys are stored before the relay is asked, so no crash leaves an account that nobody can open.
    """
    if not openers:
        raise InvalidArgument("an account needs at least one slot")
    info = await transport.relay_info()
    device = _new_device()
    root = Root(RootSecret(secrets.token_bytes(32)))
    core = GenesisCore(root.sign.public, info.receipt_key, secrets.token_bytes(32))
    account = core.account_id()
    secret, epoch = make_epoch(1, secrets.token_bytes(32), None, account)
    slots = _slot_set(account, name, root.secret, openers)
    first = Device(device[1].sign.public, device[1].kem.public, 1)
    private = KeyringPrivate().with_device(KeyEvent(1, now_ms(), "account created", first.id), device_name)
    keys = EpochKeys(account, 1, secret)
    keyring = Keyring(
        account=account, version=1, previous=None, time=now_ms(), root_key=root.sign.public,
        root_kem_key=root.kem.public, devices=(first,), revoked={}, epochs=(epoch,),
        wraps=_wraps(secret, epoch, root, (first,), account), receipt_key=info.receipt_key, slots_hash=slots.hash(),
        cut=None, private=private.seal(keys, writer=first.id, sequence=1, randomness=secrets.token_bytes(32)),
        handover=None, core=core,
    ).sign(root.sign.sign)  # fmt: skip
    pin = Pin(account, keyring.version, keyring.hash, sequence=1)
    state = _store(State.create(folder), device, relay, name, pin, [keyring])
    try:
        session = Session.open(state, transport)
        await _register(session, keys, slots, name, registration_token)
    except BaseException:
        state.close()
        _forget(folder)
        raise
    return session


async def login(folder: Path, transport: Transport, *, relay: str, name: str, opener: SecretsOrUnlock) -> Session:
    """A new read-only device, by passphrase or recovery code. Freshness is unproven until somebody confirms it."""
    device = _new_device()
    unlocked = await _unlock(transport, device[1], name, opener)
    keyrings = await fetch_keyrings(transport, unlocked.account, None, [])
    keyring = keyrings[-1]
    root = _root_for(unlocked, keyring)
    newest = open_epochs(keyring, root.kem)[keyring.epoch]
    state = _store(
        State.create(folder), device, relay, name, Pin(unlocked.account, keyring.version, keyring.hash), keyrings,
        {"guest-epoch": newest.secret.reveal()},
    )  # fmt: skip
    try:
        session = Session.open(state, transport)
        await session.sync()
    except BaseException:
        state.close()
        _forget(folder)
        raise
    return session


async def renew_guest(session: Session, *, name: str, opener: SecretsOrUnlock) -> Root:
    """Unlock again for a device that is already logged in; returns the root, which is not stored."""
    unlocked = await _unlock(session.transport, session.device, name, opener)
    keyrings = await fetch_keyrings(session.transport, session.account, session.pin, session.keyrings)
    root = _root_for(unlocked, keyrings[-1])
    if not session.may_write:
        newest = open_epochs(keyrings[-1], root.kem)[keyrings[-1].epoch]
        session.state.put({"guest-epoch": newest.secret.reveal()})
        session.guest_epoch = newest.secret
    await session.sync()
    return root


async def confirm(session: Session, root: Root, *, device_name: str) -> None:
    """Accept the devices listed in the keyring and add this one, under an epoch wrapped only to them.

    Until then nothing proves that the relay showed the newest state; the new epoch keeps whoever else may have been
    added in a state that was withheld from reading what is written from now on.
    """
    for attempt in range(ATTEMPTS):
        try:
            return await _confirm_once(session, root, device_name=device_name)
        except RelayConflict:
            if attempt + 1 == ATTEMPTS:
                raise


async def _confirm_once(session: Session, root: Root, *, device_name: str) -> None:
    base = await session.snapshot()
    old = session.keyring
    number = old.epoch + 1
    secret, epoch = make_epoch(number, secrets.token_bytes(32), session.epochs()[old.epoch].secret, session.account)
    keys = EpochKeys(session.account, number, secret)
    added = Device(session.device.sign.public, session.device.kem.public, old.version + 1)
    devices = (*old.devices, added)
    event = KeyEvent(old.version + 1, now_ms(), "device added, authority: root secret", added.id)
    private = KeyringPrivate.open(old.private, session.epochs(), session.account).with_device(
        event, device_name, listed=[device.id for device in devices]
    )
    staged: dict[bytes, bytes] = {}
    sealer = sealer_for(session, keys, staged.__setitem__)
    keyring = replace(
        old, version=old.version + 1, previous=old.hash, time=now_ms(), devices=devices,
        epochs=(*old.epochs, epoch), wraps=_wraps(secret, epoch, root, devices, session.account),
        cut=Cut(base.head.version, base.head.hash), handover=None, core=None,
        private=private.seal(
            keys, writer=added.id, sequence=next(sealer.sequences), randomness=secrets.token_bytes(32)
        ),
    ).sign(root.sign.sign)  # fmt: skip
    seen = dict(base.body.seen) | {added.id: base.head.version}
    _, sealed = seal_body(sealer, replace(base.body, seen=seen))
    head, delta = next_head(session, base.head, keyring, sealer, sealed, set(staged), {base.head.body})
    note_attempt(session, head)
    request = CommitRequest(head.message, delta, tuple(staged.values()), keyring.message, None)
    answer = await session.transport.commit(session.account, request)
    accept_own(session, head, answer.head_receipt, [*session.keyrings, keyring])
    session.state.put({"guest-epoch": None})
    session.guest_epoch = None


@dataclass(frozen=True, slots=True)
class _Unlocked:
    account: bytes
    slots: SlotSet
    opener: Unlock


async def _unlock(transport: Transport, device: DeviceKeys, name: str, opener: SecretsOrUnlock) -> _Unlocked:
    asked = await transport.login(name)
    keys = opener(name, asked.salt, asked.kdf)
    statement = cbor.encode(
        {1: asked.challenge, 2: transport.origin, 3: name, 4: "open", 5: asked.time, 6: device.sign.public}
    )
    signed = cose.sign(cose.Context.UNLOCK, statement, keys.sign.public, keys.sign.sign)
    answer = await transport.unlock(name, signed)
    transport.authenticate(device.sign.public, device.sign.sign)
    return _Unlocked(answer.account, SlotSet.parse(answer.slots, account=answer.account), keys)


def _root_for(unlocked: _Unlocked, keyring: Keyring) -> Root:
    # In this order: the slot was made with our secret for this account; R made the newest keyring, which the chain
    # ties to the account. The wrap alone proves nothing: a relay knows the public key it is made to.
    secret, _ = open_slot(unlocked.slots, unlocked.opener, account=unlocked.account)
    root = Root(secret)
    root.require_owner_of(keyring)
    check_slots_hash(unlocked.slots, keyring.slots_hash)
    return root


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
            name=name,
            core=core,
            slots=slots.encode(),
            keyring=session.keyring.message,
            head=head.message,
            objects=tuple(staged.values()),
            token=token,
            delta=delta,
        )
    )
    if answer.keyring_receipt is not None:
        verify_receipt(
            answer.keyring_receipt, receipt_key=core.receipt_key, account=session.account, chain=Chain.KEYRING,
            version=1, hash_=session.keyring.hash, previous=None,
        )  # fmt: skip
    accept_own(session, head, answer.head_receipt, session.keyrings)
