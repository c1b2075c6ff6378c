"""The sealed part of a keyring: device names and the log of key events, which a relay does not see (chapter 04)."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from strongroom_protocol.keys.epochs import EpochKeys
from strongroom_protocol.seal.objects import ObjectType, object_name, open_object, seal_object
from strongroom_protocol.wire import cbor
from strongroom_protocol.wire.parse import Fields, fixed, text

NAME_BYTES = 128
EVENTS = 4096
CONTENT_BYTES = 60 * 1024
"""Content that, padded and sealed, is always within the 64 KiB that a keyring has for it."""


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

    def with_device(self, event: KeyEvent, name: str, *, listed: Collection[bytes] = ()) -> KeyringPrivate:
        """One device more, and the event that tells of it. A name is cut to its limit in UTF-8 bytes.

        When it becomes too much for a keyring, names of devices that are not `listed` any more go, then the oldest
        events: an account must not become unable to change its keys because it changed them often.
        """
        names = dict(self.names)
        if event.device is not None:
            names[event.device] = name.encode()[:NAME_BYTES].decode(errors="ignore")
        made = replace(self, names=names, events=(*self.events, event)[-EVENTS:])
        if len(made._content()) > CONTENT_BYTES:
            made = replace(made, names={id_: names[id_] for id_ in names if id_ in listed or id_ == event.device})
        while len(made._content()) > CONTENT_BYTES:
            made = replace(made, events=made.events[1 + len(made.events) // 16 :])
        return made

    def _content(self) -> bytes:
        return cbor.encode({1: 1, 2: dict(self.names), 3: [event.to_cbor() for event in self.events]})

    def seal(self, keys: EpochKeys, *, writer: bytes, sequence: int, randomness: bytes) -> bytes:
        return seal_object(
            keys, ObjectType.KEYRING_PRIVATE, self._content(), writer=writer, sequence=sequence, randomness=randomness
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
