"""Watches every parser and the decompressor: what they get must have been verified before (attack 032).

Bytes of a relay become authentic in three ways only: out of an opened seal whose input had been compared with its name
or digest, out of a verified signature, or out of this device's own state. The envelope of a signature and the relay's
answers are bounded framing and are parsed before.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest

from strongroom.engine import examining, snapshot, tail
from strongroom.state import State
from strongroom_protocol.engine import batch
from strongroom_protocol.rows import compression, frame
from strongroom_protocol.seal import chunks, objects
from strongroom_protocol.wire import cbor, cose


@dataclass(slots=True)
class Ledger:
    """What was compared, what is authentic, and what was parsed although it is not."""

    compared: list[bytes] = field(default_factory=list)
    authentic: list[bytes] = field(default_factory=list)
    parsed: int = 0
    inflated: int = 0
    opened: int = 0
    violations: list[str] = field(default_factory=list)
    envelope: int = 0

    def require(self, data: bytes, known: list[bytes], what: str) -> None:
        if not any(data == item for item in reversed(known)) and not any(data in item for item in reversed(known)):
            self.violations.append(f"{what}: {len(data)} bytes that nothing verified")

    def forget(self) -> None:
        """Begin again, so that one case's bytes do not excuse another's."""
        self.compared.clear()
        self.authentic.clear()


@contextmanager
def watching() -> Iterator[Ledger]:
    """Patch the verification entry points, the parsers and the decompressor."""
    ledger = Ledger()
    with pytest.MonkeyPatch.context() as patch:
        _watch_checks(ledger, patch)
        _watch_parsers(ledger, patch)
        yield ledger


def _watch_checks(ledger: Ledger, patch: pytest.MonkeyPatch) -> None:
    check_name, check_digest = objects.check_name, objects.check_digest
    open_piece, get = objects.ObjectOpener.chunk, State.get
    verify, check = cose.verify, cose.check

    def named(name: bytes, data: bytes) -> None:
        check_name(name, data)
        ledger.compared.append(data)

    def digested(digest: bytes, sealed: bytes, subject: str) -> None:
        check_digest(digest, sealed, subject)
        ledger.compared.append(sealed)

    def opened(self: objects.ObjectOpener, sealed: bytes, index: int, *, last: bool) -> bytes:
        ledger.opened += 1
        ledger.require(sealed, ledger.compared, "AEAD")
        plain = open_piece(self, sealed, index, last=last)
        ledger.authentic.append(plain)
        return plain

    def stored(self: State, name: str) -> bytes | None:
        value = get(self, name)
        if value is not None:
            ledger.authentic.append(value)
        return value

    def verified(*given: Any, **named: Any) -> cose.Signed:
        ledger.envelope += 1
        try:
            signed = verify(*given, **named)
        finally:
            ledger.envelope -= 1
        ledger.authentic.append(signed.payload)
        return signed

    def checked(key: bytes, message: bytes, signature: bytes, *, subject: str) -> None:
        check(key, message, signature, subject=subject)

    for module in (objects, examining):
        patch.setattr(module, "check_name", named)
    patch.setattr(chunks, "check_digest", digested)
    patch.setattr(objects.ObjectOpener, "chunk", opened)
    patch.setattr(State, "get", stored)
    patch.setattr(cose, "verify", verified)
    patch.setattr(cose, "check", checked)


def _watch_parsers(ledger: Ledger, patch: pytest.MonkeyPatch) -> None:
    decode, inflate, decode_frame, parse_batch = cbor.decode, compression.inflate, frame.decode_frame, batch.parse_batch

    def decoded(data: bytes | memoryview, **options: Any) -> Any:
        if not ledger.envelope:
            ledger.parsed += 1
            ledger.require(bytes(data), ledger.authentic, f"CBOR {options.get('subject')}")
        return decode(data, **options)

    def inflated(payload: bytes, length: int, *, dictionary: bool) -> bytes:
        ledger.inflated += 1
        ledger.require(payload, ledger.authentic, "decompressor")
        plain = inflate(payload, length, dictionary=dictionary)
        ledger.authentic.append(plain)
        return plain

    def framed(data: bytes, **options: Any) -> Any:
        ledger.require(data, ledger.authentic, "frame")
        return decode_frame(data, **options)

    def batched(content: bytes, **options: Any) -> Any:
        ledger.require(content, ledger.authentic, "batch")
        return parse_batch(content, **options)

    patch.setattr(cbor, "decode", decoded)
    patch.setattr(frame, "inflate", inflated)
    for module in (snapshot, tail, examining):
        patch.setattr(module, "decode_frame", framed)
    patch.setattr(tail, "parse_batch", batched)
