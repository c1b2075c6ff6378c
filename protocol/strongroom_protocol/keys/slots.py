"""Slots: how a passphrase, a recovery code or both open the root secret (spec chapter 04).

A slot holds two public keys derived from its secret. A client derives them again and compares before it opens
anything: a mismatch is a wrong secret, so a relay that serves ciphertexts made to open under many guesses learns
nothing from what the client does (no partitioning oracle).
"""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import replace

from argon2.low_level import ARGON2_VERSION, Type, hash_secret_raw

from strongroom_protocol.errors import Failure, InvalidArgument, UntrustedDataError, WrongSecret
from strongroom_protocol.keys.hpke import KemKey, wrap
from strongroom_protocol.keys.secrets import KemSeed, Passphrase, RecoveryCode, RootSecret, SigningSeed, UnlockSecret
from strongroom_protocol.keys.signing import SignKey
from strongroom_protocol.keys.table import Key, derive
from strongroom_protocol.limits import LIMITS, Limits
from strongroom_protocol.manifest.account import require_account
from strongroom_protocol.manifest.slots import Kdf, Slot, SlotKind, SlotSet
from strongroom_protocol.wire import cbor
from strongroom_protocol.wire.parse import Fields


class Unlock:
    """The key pairs of one slot, derived from its unlock secret."""

    __slots__ = ("_secret", "kem", "kind", "sign")

    def __init__(self, kind: SlotKind, secret: UnlockSecret) -> None:
        self.kind = kind
        self._secret = secret
        self.sign = SignKey(SigningSeed(derive(Key.UNLOCK_SIGN, secret.reveal())))
        self.kem = KemKey(KemSeed(derive(Key.SLOT_KEM, secret.reveal())))

    def tag(self, account: bytes) -> bytes:
        """What only who knows the secret can compute: that this slot was made for this account.

        The wrap cannot say so: it is made to a public key that the relay knows, so that root secrets can be rotated
        without every slot's secret at hand. Account ids outlive every rotation, and so does the tag.
        """
        return derive(Key.SLOT_ACCOUNT, self._secret.reveal(), context=account)


def unlock(
    *,
    name: str,
    salt: bytes,
    kdf: Kdf,
    passphrase: Passphrase | None = None,
    code: RecoveryCode | None = None,
    limits: Limits = LIMITS,
) -> Unlock:
    """The keys that these secrets unlock with. Argon2id runs only when there is a passphrase, and only within limits.

    `name` is the normalised account name, `salt` the 32-byte login salt from the relay.
    """
    kdf.require(limits)  # before any work: a relay's parameters are neither too weak nor too dear
    if passphrase is None:
        if code is None:
            raise InvalidArgument("a passphrase or a recovery code is needed")
        return Unlock(SlotKind.RECOVERY, UnlockSecret(_from_code(Key.UNLOCK_FROM_CODE, code.reveal(), name, salt)))
    stretched = _stretch(passphrase, name, salt, kdf)
    if code is None:
        return Unlock(SlotKind.PASSPHRASE, UnlockSecret(stretched))
    both = _from_code(Key.UNLOCK_FROM_BOTH, stretched + code.reveal(), name, salt)
    return Unlock(SlotKind.BOTH, UnlockSecret(both))


def make_slot(opener: Unlock, root: RootSecret, *, account: bytes, salt: bytes, kdf: Kdf, label: str) -> Slot:
    """A slot that `opener` opens: the root record sealed to its KEM key."""
    bare = Slot(opener.kind, opener.sign.public, opener.kem.public, b"", opener.tag(account))
    return rewrap_slot(bare, root, account=account, salt=salt, kdf=kdf, label=label)


def rewrap_slot(slot: Slot, root: RootSecret, *, account: bytes, salt: bytes, kdf: Kdf, label: str) -> Slot:
    """The same slot with the root record of `root`: its own secret is not needed.

    Safe only for a slot whose public keys the newest keyring commits to: whoever has their secret can open it.
    """
    record = cbor.encode({1: root.reveal(), 2: account, 3: label})
    return replace(slot, wrap=wrap(slot.kem_key, record, info=_wrap_info(account, salt, kdf, slot)))


def open_slot(slots: SlotSet, opener: Unlock, *, account: bytes) -> tuple[RootSecret, str]:
    """The root secret and the label of the slot that `opener` opens.

    Raises WrongSecret when no slot has its keys (nothing is opened then), UntrustedDataError otherwise.
    """
    slot = next((slot for slot in slots.slots if slot.unlock_key == opener.sign.public), None)
    if slot is None or not hmac.compare_digest(slot.kem_key, opener.kem.public):  # spec: SLOT-10
        raise WrongSecret("no slot of this account opens with that secret")
    if not hmac.compare_digest(slot.tag, opener.tag(account)):  # spec: SLOT-12
        raise UntrustedDataError(Failure.ACCOUNT, "the slot was not made for this account", subject="slot")
    info = _wrap_info(account, slots.salt, slots.kdf, slot)
    fields = Fields(cbor.decode(opener.kem.open(slot.wrap, info=info, subject="slot"), subject="slot"), "slot")
    root, owner, label = RootSecret(fields.fixed(1)), fields.fixed(2), fields.text(3, 64)
    fields.done()
    require_account(owner, account, "slot")
    return root, label


def check_slots_hash(slots: SlotSet, expected: bytes) -> None:
    """The slot set is the one the signed keyring commits to."""
    if slots.hash() != expected:  # spec: SLOT-11
        raise UntrustedDataError(Failure.SLOTS, "not the slot set the keyring names", subject="slots")


def argon2_salt(name: str, salt: bytes) -> bytes:
    """SHA-256("strongroom/v1/login-salt" || 0x00 || name || 0x00 || stored random): binds the account's name."""
    return hashlib.sha256(b"strongroom/v1/login-salt\x00" + name.encode() + b"\x00" + salt).digest()  # spec: KDF-6


def _stretch(passphrase: Passphrase, name: str, salt: bytes, kdf: Kdf) -> bytes:
    return hash_secret_raw(
        passphrase.reveal(), argon2_salt(name, salt), time_cost=kdf.passes, memory_cost=kdf.memory_kib,
        parallelism=kdf.lanes, hash_len=32, type=Type.ID, version=ARGON2_VERSION,
    )  # fmt: skip


def _from_code(key: Key, ikm: bytes, name: str, salt: bytes) -> bytes:
    return derive(key, ikm, salt=salt, context=name.encode())


def _wrap_info(account: bytes, salt: bytes, kdf: Kdf, slot: Slot) -> bytes:
    # Everything public about the slot, so that no header of another slot, account or strength fits this wrap.
    context = [account, int(slot.kind), slot.unlock_key, slot.kem_key, salt, kdf.to_cbor()]
    return b"strongroom/v1/slot-wrap\x00" + hashlib.sha256(cbor.encode(context)).digest()
