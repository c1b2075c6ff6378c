"""The sealed part of a keyring: device names and the log of key events, which a relay does not see (chapter 04)."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from strongroom_protocol.errors import UntrustedDataError, UpgradeRequired
from strongroom_protocol.keys.epochs import EpochKeys
from strongroom_protocol.seal.objects import ObjectType, object_name, open_object, seal_object
from strongroom_protocol.wire import cbor
from strongroom_protocol.wire.parse import Fields, fixed, text

NAME_BYTES = 128
LABEL_BYTES = 64
EVENT_BYTES = 64
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
            fields.text(3, EVENT_BYTES, 1),
            fields.optional(4, lambda ident: fixed(ident, 16, "keyring private")),
        )
        fields.done()
        return event


@dataclass(frozen=True, slots=True)
class KeyringPrivate:
    """Device names by id, events oldest first, labels of slots by unlock key."""

    names: Mapping[bytes, str] = field(default_factory=dict)
    events: tuple[KeyEvent, ...] = ()
    slots: Mapping[bytes, str] = field(default_factory=dict)

    def with_events(
        self, *events: KeyEvent, names: Mapping[bytes, str] | None = None, listed: Collection[bytes] = ()
    ) -> KeyringPrivate:
        """Further events, and names of devices, cut to what a reader takes.

        When it becomes too much for a keyring, names of devices that are not `listed` any more go, then the oldest
        events: an account must not become unable to change its keys because it changed them often.
        """
        given = {ident: _cut(name, NAME_BYTES) for ident, name in (names or {}).items()}
        added = tuple(replace(event, what=_cut(event.what, EVENT_BYTES)) for event in events)
        known = {**self.names, **given}
        made = replace(self, names=known, events=(*self.events, *added)[-EVENTS:])
        if len(made._content()) > CONTENT_BYTES:
            made = replace(made, names={id_: known[id_] for id_ in known if id_ in listed or id_ in given})
        while len(made._content()) > CONTENT_BYTES:
            made = replace(made, events=made.events[1 + len(made.events) // 16 :])
        return made

    def _content(self) -> bytes:
        events = [event.to_cbor() for event in self.events]
        labels = {key: _cut(label, LABEL_BYTES) for key, label in self.slots.items()}
        return cbor.encode({1: 1, 2: dict(self.names), 3: events, 4: labels})

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
        private = cls(
            _texts(fields, 2, 16, NAME_BYTES),
            tuple(map(KeyEvent.parse, fields.array(3, maximum=EVENTS))),
            _texts(fields, 4, 32, LABEL_BYTES),
        )
        fields.done()
        return private

    @classmethod
    def read(cls, data: bytes, epochs: Mapping[int, EpochKeys], account: bytes) -> KeyringPrivate:
        """The same, but empty when it cannot be used: nothing is decided by it, so whoever once held the root secret
        cannot stop later changes of keys with a part that nobody can read. Raises UpgradeRequired."""
        try:
            return cls.open(data, epochs, account)
        except UpgradeRequired:
            raise
        except UntrustedDataError:
            return cls()  # spec: KR-30


def _texts(fields: Fields, number: int, key_bytes: int, text_bytes: int) -> dict[bytes, str]:
    value = fields.take(number)
    if type(value) is not dict:
        raise fields.wrong("expected a map of texts")
    return {fixed(k, key_bytes, fields.subject): text(v, text_bytes, fields.subject) for k, v in value.items()}


def _cut(given: str, most: int) -> str:
    """As much of a text as a reader takes, in UTF-8 bytes: one that is too long would make all of it unreadable."""
    return given.encode()[:most].decode(errors="ignore")  # spec: KR-29
