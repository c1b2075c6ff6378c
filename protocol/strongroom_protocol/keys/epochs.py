"""Epoch secrets: made, chained, wrapped to readers and opened again (spec chapter 04)."""

from __future__ import annotations

import hmac
from dataclasses import dataclass

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

from strongroom_protocol.errors import Failure, UntrustedDataError
from strongroom_protocol.keys.hpke import KemKey, wrap
from strongroom_protocol.keys.secrets import EpochSecret
from strongroom_protocol.keys.table import Key, derive
from strongroom_protocol.manifest.keyring import Epoch, Keyring, recipient_id

_NONCE = bytes(12)  # safe: every key that uses it seals exactly one plaintext


@dataclass(frozen=True, slots=True)
class EpochKeys:
    """The keys of one epoch: parent of object keys, salt key, dedup key."""

    account: bytes
    number: int
    secret: EpochSecret

    def object_root(self) -> bytes:
        return derive(Key.OBJECT_ROOT, self.secret.reveal(), context=self.account)

    def salt_key(self) -> bytes:
        return derive(Key.SALT, self.secret.reveal(), context=self.account)

    def dedup_key(self) -> bytes:
        return derive(Key.DEDUP, self.secret.reveal(), context=self.account)


def make_epoch(number: int, fresh: bytes, previous: EpochSecret | None, account: bytes) -> tuple[EpochSecret, Epoch]:
    """Epoch `number` from 32 fresh random bytes and the previous epoch, which it seals.

    Fresh randomness keeps a removed device out; the chaining key keeps a broken generator from mattering.
    """
    chain = bytes(32) if previous is None else derive(Key.EPOCH_CHAIN, previous.reveal(), context=account)
    secret = EpochSecret(derive(Key.EPOCH, fresh + chain, context=_context(account, number)))
    sealed = None
    if previous is not None:
        sealed = ChaCha20Poly1305(_previous_key(secret, account, number)).encrypt(_NONCE, previous.reveal(), None)
    return secret, Epoch(number, check_value(secret, account, number), sealed)


def check_value(secret: EpochSecret, account: bytes, number: int) -> bytes:
    """The public value that commits to an epoch secret."""
    return derive(Key.EPOCH_CHECK, secret.reveal(), context=_context(account, number))


def wrap_epoch(secret: EpochSecret, kem_key: bytes, *, account: bytes, number: int) -> bytes:
    """The epoch secret sealed to one reader."""
    return wrap(kem_key, secret.reveal(), info=_wrap_info(account, number, kem_key))


def open_epochs(keyring: Keyring, key: KemKey) -> dict[int, EpochKeys]:
    """All epochs of a keyring that `key` is a reader of, newest from its wrap, the rest down the chain.

    Raises UntrustedDataError: WRAP when there is no wrap for the key or it does not open, EPOCH when a secret is not
    the one that the signed keyring commits to.
    """
    sealed = keyring.wraps.get(recipient_id(key.public))
    if sealed is None:
        raise UntrustedDataError(Failure.WRAP, "no wrap for this device", subject="keyring")
    info = _wrap_info(keyring.account, keyring.epoch, key.public)
    raw = key.open(sealed, info=info, subject="keyring")
    if len(raw) != EpochSecret.size:
        raise UntrustedDataError(Failure.WRAP, "wrap holds something else", subject="keyring")
    return chain_epochs(keyring, EpochSecret(raw))


def chain_epochs(keyring: Keyring, newest: EpochSecret) -> dict[int, EpochKeys]:
    """All epochs from the newest secret down; each is compared with its check value before use."""
    opened: dict[int, EpochKeys] = {}
    secret = newest
    for epoch in reversed(keyring.epochs):
        if not hmac.compare_digest(check_value(secret, keyring.account, epoch.number), epoch.check):  # spec: EPOCH-1
            raise UntrustedDataError(Failure.EPOCH, "not the epoch secret the keyring commits to", subject="keyring")
        opened[epoch.number] = EpochKeys(keyring.account, epoch.number, secret)
        if epoch.sealed_previous is not None:
            secret = _open_previous(secret, epoch, keyring.account)
    return opened


def _open_previous(secret: EpochSecret, epoch: Epoch, account: bytes) -> EpochSecret:
    cipher = ChaCha20Poly1305(_previous_key(secret, account, epoch.number))
    try:
        return EpochSecret(cipher.decrypt(_NONCE, epoch.sealed_previous or b"", None))
    except InvalidTag as error:  # spec: EPOCH-2
        raise UntrustedDataError(Failure.EPOCH, "previous epoch does not open", subject="keyring") from error


def _previous_key(secret: EpochSecret, account: bytes, number: int) -> bytes:
    return derive(Key.EPOCH_PREVIOUS, secret.reveal(), context=_context(account, number))


def _context(account: bytes, number: int) -> bytes:
    return account + number.to_bytes(4, "big")


def _wrap_info(account: bytes, number: int, kem_key: bytes) -> bytes:
    return b"strongroom/v1/epoch-wrap\x00" + _context(account, number) + recipient_id(kem_key)
