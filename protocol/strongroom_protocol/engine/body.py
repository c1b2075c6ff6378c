"""The head's body: where the engine stands in this version (spec chapter 09)."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from strongroom_protocol.engine.refs import Mirrored, ObjectRef, small
from strongroom_protocol.errors import Failure, UntrustedDataError
from strongroom_protocol.limits import LIMITS, Limits
from strongroom_protocol.wire import cbor
from strongroom_protocol.wire.parse import SIZE_MAX, VERSION_MAX, Fields, array, bad, fixed, uint


@dataclass(frozen=True, slots=True)
class TailEntry:
    """A batch that no run holds yet: object, device that wrote it, its sequence, rows."""

    ref: ObjectRef
    device: bytes
    sequence: int
    rows: int

    def to_cbor(self) -> list[Any]:
        return [self.ref.name, self.ref.size, self.device, self.sequence, self.rows]

    @classmethod
    def parse(cls, value: Any) -> TailEntry:
        parts = array(value, "body", minimum=5, maximum=5)
        ref = ObjectRef(fixed(parts[0], 32, "body"), uint(parts[1], SIZE_MAX, "body", 1))
        return cls(ref, fixed(parts[2], 16, "body"), uint(parts[3], VERSION_MAX, "body", 1), small(parts[4], "body"))


@dataclass(frozen=True, slots=True)
class Body:
    """Engine root (None in an empty vault), tail, newest head each device acknowledged, highest sequence it used."""

    root: Mirrored | None = None
    tail: tuple[TailEntry, ...] = ()
    seen: dict[bytes, int] = field(default_factory=dict)
    sequences: dict[bytes, int] = field(default_factory=dict)

    def encode(self) -> bytes:
        root = None if self.root is None else self.root.to_cbor()
        return cbor.encode({1: 1, 2: root, 3: [e.to_cbor() for e in self.tail], 4: self.seen, 5: self.sequences})

    @classmethod
    def parse(cls, content: bytes, limits: Limits = LIMITS) -> Body:
        if len(content) > limits.body_bytes:  # spec: BODY-1
            raise UntrustedDataError(Failure.LIMIT, "body is longer than the limit", subject="body")
        fields = Fields(cbor.decode(content, limits=limits, subject="body"), "body")
        fields.format()
        body = cls(
            fields.optional(2, lambda value: Mirrored.parse(value, "body")),
            tuple(map(TailEntry.parse, fields.array(3, maximum=limits.tail_batches))),
            _versions(fields.take(4)),
            _versions(fields.take(5)),
        )
        fields.done()
        origins = {(entry.device, entry.sequence) for entry in body.tail}
        if len(origins) != len(body.tail):  # spec: BODY-2
            raise bad("body", "a batch is listed twice")
        return body


def _versions(value: Any) -> dict[bytes, int]:
    if type(value) is not dict or len(value) > 65_536:
        raise bad("body", "expected a map of devices")
    return {fixed(key, 16, "body"): uint(item, VERSION_MAX, "body", 1) for key, item in value.items()}
