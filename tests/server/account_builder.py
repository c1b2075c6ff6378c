"""Accounts with real keys for tests of a relay: keyrings, heads, unlock statements, signed HTTP requests."""

from __future__ import annotations

import hashlib
import http.client
import os
import time
from collections.abc import Iterable
from dataclasses import dataclass, field, replace

from strongroom_protocol.keys.epochs import make_epoch, wrap_epoch
from strongroom_protocol.keys.hpke import KemKey
from strongroom_protocol.keys.root import Root
from strongroom_protocol.keys.secrets import EpochSecret, KemSeed, RootSecret, SigningSeed, UnlockSecret
from strongroom_protocol.keys.signing import SignKey
from strongroom_protocol.keys.slots import Unlock, make_slot
from strongroom_protocol.manifest.account import GenesisCore
from strongroom_protocol.manifest.head import Delta, Head, sign_head
from strongroom_protocol.manifest.keyring import Cut, Device, Epoch, Keyring, recipient_id
from strongroom_protocol.manifest.slots import Kdf, SlotKind, SlotSet
from strongroom_protocol.manifest.succession import handover_payload
from strongroom_protocol.relay_api.messages import CommitRequest, LoginResponse, RegisterRequest, UnlockStatement
from strongroom_protocol.relay_api.signature import RequestParts, content_digest, sign_request
from strongroom_protocol.wire import cose, merkle


def name_of(data: bytes) -> bytes:
    return hashlib.sha256(data).digest()


class DeviceKeys:
    """The keys of one device, or of a guest."""

    def __init__(self) -> None:
        self.sign = SignKey(SigningSeed(os.urandom(32)))
        self.kem = KemKey(KemSeed(os.urandom(96)))

    def listed(self, version: int) -> Device:
        return Device(self.sign.public, self.kem.public, version)


@dataclass(slots=True)
class Account:
    """An account as its owner has it. `commit` gives the next request; `done` says that it was accepted."""

    name: str
    receipt_key: bytes
    root: Root = field(default_factory=lambda: Root(RootSecret(os.urandom(32))))
    device: DeviceKeys = field(default_factory=DeviceKeys)
    unlocks: tuple[Unlock, ...] = field(
        default_factory=lambda: tuple(
            Unlock(kind, UnlockSecret(os.urandom(32))) for kind in (SlotKind.PASSPHRASE, SlotKind.RECOVERY)
        )
    )
    heads: list[Head] = field(default_factory=list)
    peaks: tuple[bytes, ...] = ()
    core: GenesisCore = field(init=False)
    slots: SlotSet = field(init=False)
    keyring: Keyring = field(init=False)
    epoch_secret: EpochSecret = field(init=False)

    def __post_init__(self) -> None:
        self.core = GenesisCore(self.root.sign.public, self.receipt_key, os.urandom(32))
        self.slots = self.make_slots(1)
        self.epoch_secret, epoch = make_epoch(1, os.urandom(32), None, self.id)
        devices = (self.device.listed(1),)
        self.keyring = Keyring(
            account=self.id, version=1, previous=None, time=1, root_key=self.root.sign.public,
            root_kem_key=self.root.kem.public, devices=devices, revoked={}, epochs=(epoch,),
            wraps=self.wraps(self.epoch_secret, epoch, devices), receipt_key=self.receipt_key,
            slots_hash=self.slots.hash(), cut=None, private=b"sealed", handover=None, core=self.core,
        ).sign(self.root.sign.sign)  # fmt: skip

    @property
    def id(self) -> bytes:
        return self.core.account_id()

    @property
    def newest(self) -> Head:
        return self.heads[-1]

    def make_slots(self, version: int) -> SlotSet:
        salt, kdf = os.urandom(32), Kdf.preset()
        made = [
            make_slot(unlock, self.root.secret, account=self.id, salt=salt, kdf=kdf, label="test")
            for unlock in self.unlocks
        ]
        return SlotSet(self.id, version, salt, kdf, os.urandom(32), tuple(made))

    def wraps(
        self, secret: EpochSecret, epoch: Epoch, devices: Iterable[Device], root: Root | None = None
    ) -> dict[bytes, bytes]:
        keys = [(root or self.root).kem.public, *(device.kem_key for device in devices)]
        return {recipient_id(key): wrap_epoch(secret, key, account=self.id, number=epoch.number) for key in keys}

    def registration(self, token: str = "", body: bytes | None = None) -> RegisterRequest:
        body = os.urandom(300) if body is None else body
        delta = Delta.of([name_of(body)], ())
        head = self.head(1, None, body, delta, log_root=merkle.EMPTY_ROOT)
        self.heads.append(head)
        return RegisterRequest(
            self.name, self.core, self.slots.encode(), self.keyring.message, head.message, (body,), token, delta
        )

    def head(
        self, version: int, previous: bytes | None, body: bytes, delta: Delta, *, log_root: bytes,
        keyring: Keyring | None = None, device: DeviceKeys | None = None,
    ) -> Head:  # fmt: skip
        keyring, device = keyring or self.keyring, device or self.device
        return sign_head(
            account=self.id, version=version, previous=previous, keyring_version=keyring.version,
            keyring_hash=keyring.hash, epoch=keyring.epoch, device=device.listed(1).id, sequence=version,
            body=name_of(body), body_size=len(body), log_root=log_root, delta=delta, time=version,
            key=device.sign.public, signer=device.sign.sign,
        )  # fmt: skip

    def commit(
        self, *, adds: Iterable[bytes] = (), drops: Iterable[bytes] = (), objects: tuple[bytes, ...] = (),
        body: bytes | None = None, with_body: bool = True, keyring: Keyring | None = None,
        slots: SlotSet | None = None, device: DeviceKeys | None = None, log_root: bytes | None = None,
        version: int | None = None, previous: bytes | None = None,
    ) -> CommitRequest:  # fmt: skip
        """The request that follows the newest head; every part can be made wrong."""
        body = os.urandom(300) if body is None else body
        delta = Delta.of([*adds, *map(name_of, objects), *([name_of(body)] if with_body else [])], drops)
        root = merkle.root_of(merkle.append(len(self.heads) - 1, self.peaks, self.newest.hash))
        head = self.head(
            version or self.newest.version + 1, previous or self.newest.hash, body, delta,
            log_root=log_root or root, keyring=keyring, device=device,
        )  # fmt: skip
        return CommitRequest(
            head.message, delta, (*objects, body), None if keyring is None else keyring.message,
            None if slots is None else slots.encode(),
        )  # fmt: skip

    def done(self, request: CommitRequest, keyring: Keyring | None = None, slots: SlotSet | None = None) -> None:
        from strongroom_protocol.manifest.head import parse_head

        self.peaks = merkle.append(len(self.heads) - 1, self.peaks, self.newest.hash)
        self.heads.append(parse_head(request.head, account=self.id))
        self.keyring = keyring or self.keyring
        self.slots = slots or self.slots

    def next_keyring(
        self, *, add: tuple[DeviceKeys, ...] = (), slots_hash: bytes | None = None, cut: Cut | None = None,
        root: Root | None = None,
    ) -> Keyring:  # fmt: skip
        """A keyring with more devices (and a new epoch); signed by the account's root or another."""
        old = self.keyring
        devices = (*old.devices, *(keys.listed(old.version + 1) for keys in add))
        secret, epoch = make_epoch(old.epoch + 1, os.urandom(32), self.epoch_secret, self.id)
        signer = root or self.root
        return replace(
            old, version=old.version + 1, previous=old.hash, time=old.version + 1, devices=devices,
            epochs=(*old.epochs, epoch), wraps=self.wraps(secret, epoch, devices, signer),
            slots_hash=slots_hash or old.slots_hash, cut=cut or Cut(self.newest.version, self.newest.hash),
            handover=None, core=None, root_key=signer.sign.public, root_kem_key=signer.kem.public,
        ).sign(signer.sign.sign)  # fmt: skip

    def keyring_without(self, gone: DeviceKeys) -> tuple[Keyring, Root]:
        """A keyring that revokes a device: new epoch, new root, handover by the old one."""
        old = self.keyring
        root = Root(RootSecret(os.urandom(32)))
        ident = gone.listed(1).id
        devices = tuple(device for device in old.devices if device.id != ident)
        secret, epoch = make_epoch(old.epoch + 1, os.urandom(32), self.epoch_secret, self.id)
        bare = replace(
            old, version=old.version + 1, previous=old.hash, devices=devices, epochs=(*old.epochs, epoch),
            revoked=dict(old.revoked) | {ident: old.version + 1}, wraps=self.wraps(secret, epoch, devices, root),
            cut=Cut(self.newest.version, self.newest.hash), core=None, root_key=root.sign.public,
            root_kem_key=root.kem.public,
        )  # fmt: skip
        word = cose.sign(cose.Context.ROOT_HANDOVER, handover_payload(bare), self.root.sign.public, self.root.sign.sign)
        return replace(bare, handover=word).sign(root.sign.sign), root

    def statement(
        self, asked: LoginResponse, guest: DeviceKeys, *, unlock: Unlock | None = None, origin: str,
        name: str | None = None,
    ) -> bytes:  # fmt: skip
        """A signed unlock statement."""
        unlock = unlock or self.unlocks[0]
        said = UnlockStatement(asked.challenge, origin, name or self.name, asked.time, guest.sign.public)
        return cose.sign(cose.Context.UNLOCK, said.encode(), unlock.sign.public, unlock.sign.sign)


@dataclass(frozen=True, slots=True)
class Answer:
    status: int
    headers: http.client.HTTPMessage
    body: bytes

    @property
    def problem(self) -> str:
        """The problem code, or nothing."""
        import json

        if self.headers.get("Content-Type") != "application/problem+json":
            return ""
        return str(json.loads(self.body)["type"]).removeprefix("urn:strongroom:problem:")


def signature_headers(
    keys: DeviceKeys, authority: str, method: str, target: str, body: bytes = b"", created: int | None = None
) -> dict[str, str]:
    path, mark, query = target.partition("?")
    parts = RequestParts(method, authority, path, mark + query)
    return sign_request(
        parts, content_digest(body), created=int(time.time()) if created is None else created,
        key=keys.sign.public, signer=keys.sign.sign,
    )  # fmt: skip


def ask(
    address: tuple[str, int], method: str, target: str, body: bytes = b"", *, keys: DeviceKeys | None = None,
    headers: dict[str, str] | None = None,
) -> Answer:  # fmt: skip
    """One request, signed when there are keys."""
    connection = http.client.HTTPConnection(*address, timeout=20)
    sent = dict(headers or {})
    if keys is not None:
        sent = signature_headers(keys, f"{address[0]}:{address[1]}", method, target, body) | sent
    try:
        connection.request(method, target, body=body or None, headers=sent)
        answer = connection.getresponse()
        return Answer(answer.status, answer.headers, answer.read())
    finally:
        connection.close()
