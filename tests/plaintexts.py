"""What lies in the objects of a state when everything is opened: for tests that look for what should not be there."""

from __future__ import annotations

from strongroom.engine.snapshot import Snapshot
from strongroom_protocol.rows.compression import inflate
from strongroom_protocol.seal.objects import ObjectType
from strongroom_protocol.wire import cbor

ONE_CHUNK = (ObjectType.ROOT, ObjectType.INDEX, ObjectType.DIRECTORY, ObjectType.BODY, ObjectType.BATCH)


async def plaintexts(snapshot: Snapshot) -> list[tuple[ObjectType, bytes]]:
    """Contents of all objects that the state reaches, media aside; frames inflated."""
    source = snapshot.source
    found: list[tuple[ObjectType, bytes]] = []
    async for ref, kind in snapshot.objects():
        if kind in ONE_CHUNK:
            content = await source.object(ref, kind)
            found.append((kind, content))
            if kind is ObjectType.BATCH:
                found += [(kind, inflated(bare)) for bare in cbor.decode(content[64:])[4]]
    for run in snapshot.root.runs:
        for _, frame in await snapshot.entries(run):
            framed = await source.chunk(ObjectType.SEGMENT, frame.segment, frame.chunk)
            found.append((ObjectType.SEGMENT, inflated(framed)))
    return found


def inflated(framed: bytes) -> bytes:
    """The plaintext of a framed frame."""
    codec, length = framed[0], int.from_bytes(framed[1:5], "big")
    return inflate(framed[5:], length, dictionary=codec == 2) if codec else framed[5:]
