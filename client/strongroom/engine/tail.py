"""The tail of a version: the newest batches, each signed by the device that wrote it (spec section 8.1)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from strongroom.engine.source import ObjectSource
from strongroom_protocol.engine.batch import parse_batch
from strongroom_protocol.engine.body import TailEntry
from strongroom_protocol.errors import Failure, UntrustedDataError
from strongroom_protocol.manifest.keyring import Discard
from strongroom_protocol.rows.frame import decode_frame
from strongroom_protocol.rows.model import Origin
from strongroom_protocol.rows.table import Frame
from strongroom_protocol.seal.objects import ObjectType

DeviceKeys = Mapping[bytes, bytes]
"""Signing key of every device that any keyring of the account has listed, by id."""


async def load_tail(
    source: ObjectSource, tail: Sequence[TailEntry], devices: DeviceKeys, discards: Sequence[Discard] = ()
) -> list[tuple[TailEntry, tuple[Frame, ...]]]:
    """The batches that can be read; of the others it is noted what is wrong."""
    loaded = []
    contents = await source.objects([entry.ref for entry in tail], ObjectType.BATCH)
    for entry, content in zip(tail, contents, strict=True):
        if isinstance(content, UntrustedDataError):
            continue
        try:
            if any(discard.covers(entry.device, entry.sequence) for discard in discards):  # spec: UNDO-1
                raise UntrustedDataError(Failure.CONTEXT, "batch that was undone", subject=entry.ref.name.hex())
            loaded.append((entry, open_batch(source.account, entry, content, devices)))
        except UntrustedDataError as error:
            source.damage.setdefault(entry.ref.name.hex(), error.failure)
    return loaded


def open_batch(account: bytes, entry: TailEntry, content: bytes, devices: DeviceKeys) -> tuple[Frame, ...]:
    """The frames of a batch, signed by a device that some keyring of the account lists."""
    key = devices.get(entry.device)
    if key is None:  # spec: BATCH-3
        raise UntrustedDataError(Failure.SIGNER, "batch of a device that was never listed", subject="batch")
    batch = parse_batch(content, account=account, device=entry.device, sequence=entry.sequence, key=key)
    frames: list[Frame] = []
    for framed in batch.frames:
        before = sum(map(len, frames))
        frames.append(decode_frame(framed, base=Origin(batch.clock, batch.device, batch.sequence, before)))
    if sum(map(len, frames)) != entry.rows:  # spec: BATCH-4
        raise UntrustedDataError(Failure.CONTEXT, "batch has other rows than the head says", subject="batch")
    return tuple(frames)
