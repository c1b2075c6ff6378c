"""What really happened: the tree of every head that any device sent to any relay, whatever became of it.

Nothing here is taken from what clients remember. The tree is made of the requests themselves, as they pass the wires;
so it tells for any two states which of them continues the other.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace

from strongroom.transport.base import CommitRequest, RegisterRequest
from strongroom_protocol.errors import StrongroomError
from strongroom_protocol.keys.epochs import EpochKeys, open_epochs
from strongroom_protocol.keys.hpke import KemKey
from strongroom_protocol.keys.private import KeyringPrivate
from strongroom_protocol.keys.secrets import EpochSecret
from strongroom_protocol.keys.slots import Unlock, open_slot
from strongroom_protocol.manifest.head import parse_head
from strongroom_protocol.manifest.keyring import Keyring, parse_keyring, recipient_id
from strongroom_protocol.manifest.slots import SlotSet
from strongroom_protocol.seal.objects import HEADER_BYTES, Header, open_object


class Broken(AssertionError):
    """A promise was broken."""


@dataclass(slots=True)
class Outcast:
    """Who has lost access, with all it ever held: epoch secrets, key pairs that wraps were made to, unlock keys."""

    name: str
    device: bytes | None = None
    kems: list[KemKey] = field(default_factory=list)
    secrets: dict[bytes, EpochSecret] = field(default_factory=dict)
    unlocks: list[Unlock] = field(default_factory=list)

    looked_at: set[bytes] = field(default_factory=set)

    def hold(self, epochs: Iterable[EpochKeys]) -> None:
        """It has these epochs' secrets."""
        for epoch in epochs:
            self.secrets[epoch.secret.reveal()] = epoch.secret


@dataclass(frozen=True, slots=True)
class Intent:
    """What a change of keys is for: who loses access, and which secret opens the account then (None: as before)."""

    outcasts: tuple[Outcast, ...] = ()
    unlock: Unlock | None = None


@dataclass(slots=True)
class Node:
    """A head, what it stands on, and what is true of the account from it on."""

    hash: bytes
    version: int
    parent: Node | None
    device: bytes
    names: tuple[bytes, ...]
    keyring: Keyring
    intents: tuple[Intent, ...]
    unlock: Unlock
    slots: bytes | None = None
    changed: bool = False
    """The keyring came with this head."""

    def line(self) -> Iterator[Node]:
        """This head and all it stands on, newest first."""
        node: Node | None = self
        while node is not None:
            yield node
            node = node.parent

    def continues(self, other: Node) -> bool:
        """Whether `other` is this head or one it stands on."""
        return any(node is other for node in self.line())

    @property
    def outcasts(self) -> Iterator[Outcast]:
        """Who has lost access by now."""
        return (outcast for intent in self.intents for outcast in intent.outcasts)

    @property
    def members(self) -> set[bytes]:
        return {device.id for device in self.keyring.devices}


class History:
    """All heads by their hash, and every object that any relay was ever given."""

    def __init__(self) -> None:
        self.nodes: dict[bytes, Node] = {}
        self.objects: dict[bytes, bytes] = {}
        self._unread: list[Node] = []

    def put(self, data: bytes | memoryview) -> None:
        """An object was uploaded."""
        self.objects.setdefault(hashlib.sha256(data).digest(), bytes(data))

    def registered(self, request: RegisterRequest, account: bytes, unlock: Unlock) -> Node:
        """The first head."""
        return self._add(request.head, account, request.keyring, request.slots, request.delta.adds, request.objects,
                         Intent(unlock=unlock))  # fmt: skip

    def proposed(self, request: CommitRequest, account: bytes, intent: Intent) -> Node:
        """A head that a device asks a relay to accept."""
        return self._add(
            request.head, account, request.keyring, request.slots, request.delta.adds, request.objects, intent
        )

    def _add(
        self, message: bytes, account: bytes, keyring: bytes | None, slots: bytes | None, names: Sequence[bytes],
        objects: Sequence[bytes], intent: Intent,
    ) -> Node:  # fmt: skip
        head = parse_head(message, account=account)
        if head.hash in self.nodes:
            return self.nodes[head.hash]
        for data in objects:
            self.put(data)
        parent = self.nodes[head.previous] if head.previous is not None else None
        newest, unlock, intents = _inherited(parent)
        if keyring is not None:
            newest, unlock = parse_keyring(keyring, account=account), intent.unlock or unlock
        if newest is None or unlock is None:
            raise Broken("the first head came without a keyring")
        node = Node(
            head.hash, head.version, parent, head.device, tuple(names), newest,
            (*intents, intent) if keyring is not None else intents, unlock, slots, keyring is not None,
        )  # fmt: skip
        self.nodes[head.hash] = node
        self._unread.append(node)
        return node

    def forged(self, node: Node) -> None:
        """A head that no relay was asked for, made by somebody to be shown to others."""
        self.nodes[node.hash] = node

    def unread_by_outcasts(self) -> int:
        """Try all that an outcast holds on everything that came after it was cast out; attempts made. Raises Broken."""
        tried = 0
        while self._unread:
            node = self._unread.pop()
            for outcast in node.outcasts:
                tried += self._try(outcast, node)
        return tried

    def _try(self, outcast: Outcast, node: Node) -> int:
        self._collect(outcast, node)
        account = node.keyring.account
        if node.changed:
            for epoch in _as_any(outcast, node.keyring.epoch, account):
                with suppress(StrongroomError):
                    KeyringPrivate.open(node.keyring.private, {epoch.number: epoch}, account)
                    raise Broken(f"{outcast.name} reads the private part of a keyring made after it lost access")
        if node.slots is not None:
            for unlock in outcast.unlocks:
                with suppress(StrongroomError):
                    open_slot(SlotSet.parse(node.slots, account=account), unlock, account=account)
                    raise Broken(f"{outcast.name} opens a slot made after it was replaced")
        tried = 0
        for name in node.names:
            data = self.objects.get(name)
            if data is None:
                continue
            header = Header.parse(data[:HEADER_BYTES], "object")
            for epoch in _as_any(outcast, header.epoch, account):
                tried += 1
                with suppress(StrongroomError):
                    open_object({epoch.number: epoch}, account, name, data, header.type)
                    raise Broken(f"{outcast.name} opens an object that was committed after it lost access")
        return tried

    def _collect(self, outcast: Outcast, node: Node) -> None:
        """With its key pairs it opens the wraps made to it; of a keyring made after it lost access, no wrap at all."""
        earlier = [other for other in self.nodes.values() if other.changed and outcast not in other.outcasts]
        for other in earlier:
            if other.hash in outcast.looked_at:
                continue
            outcast.looked_at.add(other.hash)
            for kem in outcast.kems:
                with suppress(StrongroomError):
                    outcast.hold(open_epochs(other.keyring, kem).values())
        if not node.changed:
            return
        for kem in outcast.kems:
            for wrap in node.keyring.wraps.values():
                with suppress(StrongroomError):
                    open_epochs(replace(node.keyring, wraps={recipient_id(kem.public): wrap}), kem)
                    raise Broken(f"{outcast.name} opens a wrap of a keyring made after it lost access")


def _inherited(parent: Node | None) -> tuple[Keyring | None, Unlock | None, tuple[Intent, ...]]:
    return (None, None, ()) if parent is None else (parent.keyring, parent.unlock, parent.intents)


def _as_any(outcast: Outcast, number: int, account: bytes) -> list[EpochKeys]:
    """Every secret it holds, taken for that of epoch `number`."""
    return [EpochKeys(account, number, secret) for secret in outcast.secrets.values()]
