"""Batches: the unit of saving, sealed like every object and signed by the device inside (spec chapter 08).

The signature is over (account, device, sequence, digest of the body) and not over the epoch, so an uncommitted batch
is resealed after an epoch change without being another batch.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any

from strongroom_protocol.errors import Failure, UntrustedDataError
from strongroom_protocol.limits import LIMITS, Limits
from strongroom_protocol.wire import cbor, cose
from strongroom_protocol.wire.parse import Fields, blob

SIGNATURE_BYTES = 64
CLOCK_MAX = 2**63 - 1


@dataclass(frozen=True, slots=True)
class Batch:
    """Device, its sequence, hybrid logical clock, and bare framed frames (`rows.frame`), one conversation in each.

    The rows' origins are the batch's own, so a device cannot put rows under another's name.
    """

    device: bytes
    sequence: int
    clock: int
    frames: tuple[bytes, ...]

    def body(self) -> bytes:
        return cbor.encode({1: 1, 2: self.device, 3: self.sequence, 4: list(self.frames), 5: self.clock})

    def sign(self, account: bytes, key: bytes, signer: cose.Signer) -> bytes:
        """The content to seal: signature, body."""
        body = self.body()
        return signer(_statement(account, self.device, self.sequence, body, key)) + body


def parse_batch(
    content: bytes, *, account: bytes, device: bytes, sequence: int, key: bytes, limits: Limits = LIMITS
) -> Batch:
    """The batch of `device` with `sequence` (as the signed head's tail names it), signed by the device's `key`.

    The signature is checked before the body is parsed. Raises UntrustedDataError: LIMIT, SIGNATURE, CONTEXT, ….
    """
    if not SIGNATURE_BYTES < len(content) <= limits.batch_bytes:  # spec: BATCH-1
        raise UntrustedDataError(Failure.LIMIT, "batch is of an impossible length", subject="batch")
    signature, body = content[:SIGNATURE_BYTES], content[SIGNATURE_BYTES:]
    cose.check(key, _statement(account, device, sequence, body, key), signature, subject="batch")
    fields = Fields(cbor.decode(body, limits=limits, subject="batch"), "batch")
    fields.format()
    ident, number, frames = fields.fixed(2, 16), fields.version(3), _frames(fields.take(4), limits)
    batch = Batch(ident, number, fields.uint(5, CLOCK_MAX), frames)
    fields.done()
    if (batch.device, batch.sequence) != (device, sequence):  # spec: BATCH-2
        raise UntrustedDataError(Failure.CONTEXT, "batch is another one than the head names", subject="batch")
    return batch


def _statement(account: bytes, device: bytes, sequence: int, body: bytes, key: bytes) -> bytes:
    payload = cbor.encode({1: account, 2: device, 3: sequence, 4: hashlib.sha256(body).digest()})
    return cose.detached(cose.Context.BATCH, payload, key)


def _frames(value: Any, limits: Limits) -> tuple[bytes, ...]:
    if type(value) is not list or not 0 < len(value) <= limits.frame_rows:
        raise UntrustedDataError(Failure.SCHEMA, "batch without frames", subject="batch")
    return tuple(blob(frame, limits.batch_bytes, "batch") for frame in value)
