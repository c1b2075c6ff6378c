"""The suite's own devices of the account under test: what a malicious or removed device, or its owner, can do.

A client under test makes the account; the suite, which knows the passphrase, joins with devices of its own. So a
scenario can commit beside the client, remove a device whose keys it keeps, and sign whatever such a device could sign.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

from nacl.signing import SigningKey

from strongroom import account, compose
from strongroom.owner import Owner
from strongroom.session import DeviceKeys, Session
from strongroom.state import State
from strongroom.transport import open_transport
from strongroom.unlocking import SecretsOrUnlock, with_secrets
from strongroom.vault import Vault
from strongroom_conformance.client import Secrets
from strongroom_protocol.keys import names
from strongroom_protocol.keys.secrets import KemSeed, SigningSeed
from strongroom_protocol.manifest.head import Delta, Head, parse_head
from strongroom_protocol.manifest.keyring import Device, Keyring, recipient_id
from strongroom_protocol.wire import cbor, cose, merkle

T = TypeVar("T")


@dataclass(slots=True)
class Insider:
    """One device of the suite. All of its methods are blocking; each opens and closes the vault."""

    folder: Path
    relay: str
    secrets: Secrets
    opener: SecretsOrUnlock

    @classmethod
    def of(cls, folder: Path, relay: str, secrets: Secrets, known: dict[str, SecretsOrUnlock]) -> Insider:
        """`known` keeps derived keys, so that Argon2id runs once for all devices of the suite."""
        if secrets.account not in known:
            known[secrets.account] = with_secrets(names.passphrase(secrets.passphrase), None)
        return cls(folder, relay, secrets, known[secrets.account])

    def create(self) -> None:
        """A new account with this device."""

        async def work() -> None:
            transport = await open_transport(self.relay)
            session = await account.create(
                self.folder, transport, relay=self.relay, name=self.secrets.account, device_name="suite",
                openers=[(self.opener, "passphrase")],
            )  # fmt: skip
            await Vault(session, name=self.secrets.account, relay=self.relay).close()

        asyncio.run(work())

    def join(self, name: str) -> None:
        """Log in and confirm: a device that may write."""

        async def work() -> None:
            transport = await open_transport(self.relay)
            session = await account.login(
                self.folder, transport, relay=self.relay, name=self.secrets.account, opener=self.opener
            )
            vault = Vault(session, name=self.secrets.account, relay=self.relay, opener=self.opener)
            async with vault, await Owner.unlock(session, vault.name, self.opener) as owner:
                await owner.confirm(name)

        asyncio.run(work())

    def append(self, chat: str, ident: str, text: str, time: int) -> None:
        """One committed message, sent at `time` (ms)."""

        async def work(vault: Vault) -> None:
            await vault.append(chat, compose.message(text, sender="suite", time=time, id=ident))
            await vault.flush()

        self._open(work)

    def delete(self, chat: str, ident: str) -> None:
        """Erase one message."""

        async def work(vault: Vault) -> None:
            await vault.delete(await vault.message(chat, ident))
            await vault.flush()

        self._open(work)

    def messages(self, chat: str) -> list[list[str]]:
        """Chat, id and text of all messages that this device reads now."""
        found: list[list[str]] = []

        async def work(vault: Vault) -> None:
            newest = await vault.newest(chat, count=1000)
            found.extend([chat, message.id, message.text or ""] for message in newest if not message.deleted)

        self._open(work)
        return sorted(found)

    def revoke(self, other: Insider) -> None:
        """Remove another device of the suite."""
        gone = bytes.fromhex(other.device_id)

        async def work(vault: Vault) -> None:
            async with await Owner.unlock(vault._session, vault.name, self.opener) as owner:
                await owner.revoke(gone)

        self._open(work)

    @property
    def device_id(self) -> str:
        return self._session(lambda session: session.device.id.hex())

    @property
    def account(self) -> bytes:
        return self._session(lambda session: session.account)

    @property
    def keyring(self) -> Keyring:
        """The newest keyring this device has accepted."""
        return self._session(lambda session: session.keyring)

    @property
    def keys(self) -> DeviceKeys:
        """Its own keys."""
        return self._session(lambda session: session.device)

    def _session(self, look: Callable[[Session], T]) -> T:
        async def work() -> T:
            with State.open(self.folder) as state:
                transport = await open_transport(self.relay)
                try:
                    return look(Session.open(state, transport))
                finally:
                    await transport.close()

        return asyncio.run(work())

    def _open(self, work: Callable[[Vault], Awaitable[None]]) -> None:
        async def opened() -> None:
            async with await Vault.open(self.folder, relay=self.relay) as vault:
                await work(vault)

        asyncio.run(opened())


def ghost() -> DeviceKeys:
    """Keys of a device that nobody ever added."""
    return DeviceKeys(SigningSeed(bytes([7]) * 32), KemSeed(bytes([8]) * 96))


def forged_head(
    past: Head | None, keyring: Keyring, device: DeviceKeys, leaves: Sequence[bytes], **other: Any
) -> bytes:
    """A head after `past` that `device` signs, right in everything but `other` (numbers of fields, as `f3`)."""
    if past is None:
        raise ValueError("the first head is the account's own")
    body = hashlib.sha256(b"no such body").digest()
    payload: dict[int, Any] = {
        1: 1, 2: past.account, 3: past.version + 1, 4: past.hash, 5: keyring.version, 6: keyring.hash,
        7: keyring.epoch, 8: device.id, 9: 2**40, 10: body, 11: 400, 12: merkle.root_of(peaks_of(leaves)),
        13: Delta((body,), ()).hash(), 14: past.time + 1,
    }  # fmt: skip
    payload |= {int(name[1:]): value for name, value in other.items()}
    return cose.sign(cose.Context.HEAD, cbor.encode(payload), device.sign.public, device.sign.sign)


def forged_keyring(old: Keyring, device: DeviceKeys, signer: SigningKey | None = None) -> bytes:
    """A keyring after `old` that lists `device` and is signed by it, or by a root key of the relay's own."""
    listed = Device(device.sign.public, device.kem.public, old.version + 1)
    wraps = dict(old.wraps) | {recipient_id(device.kem.public): next(iter(old.wraps.values()))}
    changed = replace(
        old, version=old.version + 1, previous=old.hash, devices=(*old.devices, listed), wraps=wraps, core=None
    )
    if signer is None:
        payload = cbor.encode(changed.to_cbor())
        return cose.sign(cose.Context.KEYRING, payload, device.sign.public, device.sign.sign)
    key = bytes(signer.verify_key)
    payload = cbor.encode(replace(changed, root_key=key).to_cbor())
    return cose.sign(cose.Context.KEYRING, payload, key, lambda message: signer.sign(message).signature)


def peaks_of(leaves: Sequence[bytes]) -> tuple[bytes, ...]:
    """The peaks of the log of these heads (their hashes)."""
    peaks: tuple[bytes, ...] = ()
    for size, leaf in enumerate(leaves):
        peaks = tuple(merkle.append(size, peaks, leaf))
    return peaks


def heads_of(account: bytes, messages: Sequence[str]) -> list[Head]:
    """Heads from their bytes in hexadecimal."""
    return [parse_head(bytes.fromhex(message), account=account) for message in messages]
