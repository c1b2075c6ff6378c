"""Unlocking an account: from what a person typed to the root secret (spec chapters 04 and 13).

Order matters and is the defence: parameters are checked before anything is derived, the slot is recognised before its
wrap is opened, and the root secret is believed only when the newest keyring is its own.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from strongroom.fetching import fetch_keyrings
from strongroom.session import AGAIN, DeviceKeys, Session
from strongroom.state import State
from strongroom.transport.base import LoginResponse, Transport
from strongroom_protocol.errors import Failure, ReadOnly, UntrustedDataError
from strongroom_protocol.keys.epochs import open_epochs
from strongroom_protocol.keys.root import Root
from strongroom_protocol.keys.secrets import Passphrase, RecoveryCode
from strongroom_protocol.keys.slots import Unlock, check_slots_hash, open_slot, unlock
from strongroom_protocol.manifest.keyring import Keyring
from strongroom_protocol.manifest.slots import Kdf, SlotSet
from strongroom_protocol.relay_api.messages import UnlockStatement
from strongroom_protocol.wire import cbor, cose

SecretsOrUnlock = Callable[[str, bytes, Kdf], Unlock]
"""Gives the unlock keys for (normalised account name, login salt, kdf)."""

_PARAMETERS = "login"


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


@dataclass(frozen=True, slots=True)
class Unlocked:
    """What an unlock gave: account, slot set (not yet compared with the keyring), the keys it was opened with."""

    account: bytes
    slots: SlotSet
    opener: Unlock

    def root_for(self, keyring: Keyring) -> Root:
        """The root secret, when `keyring` is the newest and its own.

        In this order: the slot was made with our secret for this account; R made the newest keyring, which the chain
        ties to the account. The wrap alone proves nothing: a relay knows the public key it is made to.
        """
        secret, _ = open_slot(self.slots, self.opener, account=self.account)
        root = Root(secret)
        root.require_owner_of(keyring)
        check_slots_hash(self.slots, keyring.slots_hash)
        return root


async def unlock_at(
    transport: Transport, device: DeviceKeys, name: str, opener: SecretsOrUnlock, *, member_of: bytes | None = None,
    known: State | None = None,
) -> Unlocked:  # fmt: skip
    """Ask the relay for the slot set. The device's key is admitted for reading for a while.

    `member_of` is the account when the device can sign for it already: then guesses of others do not hold it up.
    `known` is its state: an account's salt and parameters never change.
    """
    asked = await transport.login(name)
    stored = None if known is None else known.get(_PARAMETERS)
    if stored is not None and stored != _encoded(asked):  # spec: KDF-7
        raise UntrustedDataError(Failure.KDF, "another salt or strength than this account has", subject="kdf")
    keys = opener(name, asked.salt, asked.kdf)
    statement = UnlockStatement(asked.challenge, transport.origin, name, asked.time, device.sign.public).encode()
    signed = cose.sign(cose.Context.UNLOCK, statement, keys.sign.public, keys.sign.sign)
    transport.authenticate(device.sign.public, device.sign.sign)
    answer = await transport.unlock(name, signed, member_of)
    if member_of not in (None, answer.account):
        raise UntrustedDataError(Failure.ACCOUNT, "slots of another account", subject="slots")
    slots = SlotSet.parse(answer.slots, account=answer.account)
    open_slot(slots, keys, account=answer.account)  # nothing is asked for an account that the slot was not made for
    return Unlocked(answer.account, slots, keys)


async def unlock_again(session: Session, name: str, opener: SecretsOrUnlock) -> tuple[Unlocked, Root]:
    """Unlock on a device that knows the account: slot set and root of the newest keyring, which is synced."""
    member = session.account if session.may_write else None
    unlocked = await unlock_at(session.transport, session.device, name, opener, member_of=member, known=session.state)
    if unlocked.account != session.account:
        raise UntrustedDataError(Failure.ACCOUNT, "slots of another account", subject="slots")
    keyrings = await fetch_keyrings(session.transport, session.account, session.pin, session.keyrings)
    root = unlocked.root_for(keyrings[-1])
    if session.device.id in keyrings[-1].revoked:  # spec: CLIENT-36
        # Whoever has the secret may log in, but not as the device that was removed: it would read on under its keys.
        raise ReadOnly("this device was removed from the account", hint=AGAIN)
    changes = parameters(unlocked.slots)
    if not session.may_write:
        session.guest_epoch = open_epochs(keyrings[-1], root.kem)[keyrings[-1].epoch].secret
        changes["guest-epoch"] = session.guest_epoch.reveal()
    session.state.put(changes)
    await session.sync()
    return unlocked, root


def parameters(slots: SlotSet) -> dict[str, bytes | None]:
    """What a device stores of an account's salt and KDF parameters."""
    return {_PARAMETERS: cbor.encode([slots.salt, slots.kdf.to_cbor()])}


def _encoded(asked: LoginResponse) -> bytes:
    return cbor.encode([asked.salt, asked.kdf.to_cbor()])
