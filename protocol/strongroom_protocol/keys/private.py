"""The sealed part of a keyring: device names and the log of key events, which a relay does not see (chapter 04)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from strongroom_protocol.keys.epochs import EpochKeys
from strongroom_protocol.seal.objects import ObjectType, object_name, open_object, seal_object
from strongroom_protocol.wire import cbor
from strongroom_protocol.wire.parse import Fields, fixed, text

NAME_BYTES = 128
EVENTS = 4096


@dataclass(frozen=True, slots=True)
class KeyEvent:
    """What happened to keys: keyring version, time (ms), what, device concerned."""

    version: int
    time: int
    what: str
    device: bytes | None

    def to_cbor(self) -> dict[int, Any]:
        return {1: self.version, 2: self.time, 3: self.what, 4: self.device}

    @classmethod
    def parse(cls, value: Any) -> KeyEvent:
        fields = Fields(value, "keyring private")
        event = cls(
            fields.version(1),
            fields.time(2),
            fields.text(3, 64, 1),
            fields.optional(4, lambda ident: fixed(ident, 16, "keyring private")),
        )
        fields.done()
        return event


@dataclass(frozen=True, slots=True)
class KeyringPrivate:
    """Device names by id, and events oldest first."""

    names: Mapping[bytes, str] = field(default_factory=dict)
    events: tuple[KeyEvent, ...] = ()

    def with_device(self, event: KeyEvent, name: str) -> KeyringPrivate:
        """One device more, and the event that tells of it. A name is cut to its limit in UTF-8 bytes."""
        names = dict(self.names)
        if event.device is not None:
            names[event.device] = name.encode()[:NAME_BYTES].decode(errors="ignore")
        return replace(self, names=names, events=(*self.events, event)[-EVENTS:])

    def seal(self, keys: EpochKeys, *, writer: bytes, sequence: int, randomness: bytes) -> bytes:
        events = [event.to_cbor() for event in self.events]
        content = cbor.encode({1: 1, 2: dict(self.names), 3: events})
        return seal_object(
            keys, ObjectType.KEYRING_PRIVATE, content, writer=writer, sequence=sequence, randomness=randomness
        )

    @classmethod
    def open(cls, data: bytes, epochs: Mapping[int, EpochKeys], account: bytes) -> KeyringPrivate:
        """From a verified keyring's field, whose bytes the root's signature covers."""
        _, content = open_object(epochs, account, object_name(data), data, ObjectType.KEYRING_PRIVATE)
        fields = Fields(cbor.decode(content, subject="keyring private"), "keyring private")
        fields.format()
        names = fields.take(2)
        if type(names) is not dict:
            raise fields.wrong("expected a map of names")
        private = cls(
            {fixed(k, 16, fields.subject): text(v, NAME_BYTES, fields.subject) for k, v in names.items()},
            tuple(map(KeyEvent.parse, fields.array(3, maximum=EVENTS))),
        )
        fields.done()
        return private
