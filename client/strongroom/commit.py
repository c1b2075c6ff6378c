"""Committing: seal, upload, advance the head; on losing a race, rebase and try again (spec chapter 13)."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace

from strongroom.engine.change import Change
from strongroom.engine.sealer import Sealer
from strongroom.session import Session, now_ms
from strongroom.transport.base import CommitRequest
from strongroom_protocol.engine.body import Body
from strongroom_protocol.engine.refs import ObjectRef
from strongroom_protocol.errors import RelayConflict
from strongroom_protocol.keys.epochs import EpochKeys
from strongroom_protocol.limits import LIMITS
from strongroom_protocol.manifest.head import Delta, Head, sign_head
from strongroom_protocol.manifest.keyring import Keyring
from strongroom_protocol.manifest.receipt import Chain, verify_receipt
from strongroom_protocol.seal.objects import ObjectType
from strongroom_protocol.wire import merkle

ATTEMPTS = 8
INLINE_OBJECT = 64 * 1024
"""Objects up to this size travel inside the commit request: one round trip and one fsync for a small commit."""

UPLOADS = 4
"""Objects uploaded at once."""

Build = Callable[[Change], Awaitable[bool]]
"""Puts a change together on a fresh base; returns False when there is nothing to commit."""


async def commit(session: Session, build: Build) -> Head | None:
    """Run `build` on the newest state and commit it; again from the start when another device was first.

    Returns the new head, None when `build` had nothing to do. When this returns, the relay has it durably.
    """
    session.require_writer()
    for attempt in range(ATTEMPTS):
        base = await session.snapshot()
        staged: dict[bytes, bytes] = {}
        keys = session.epochs()[session.keyring.epoch]
        change = await Change.begin(base, sealer_for(session, keys, staged))
        if not await build(change):
            return None
        body = await change.finish(acknowledged=base.head.version)
        try:
            return await _advance(session, change, body, staged)
        except RelayConflict:
            if attempt + 1 == ATTEMPTS:
                raise
    return None


def sealer_for(session: Session, keys: EpochKeys, staged: dict[bytes, bytes]) -> Sealer:
    """A sealer of this device that stages what it makes."""
    return Sealer(keys, session.device.id, session.sequences(), staged.__setitem__)


async def _advance(session: Session, change: Change, body: Body, staged: dict[bytes, bytes]) -> Head:
    base = change.base
    sealed = seal_body(change.sealer, body)
    drops = change.drops | {base.head.body}
    head, delta = next_head(session, base.head, session.keyring, change.sealer, sealed, set(staged), drops)
    inline = await upload(session, staged)
    answer = await session.transport.commit(session.account, CommitRequest(head.message, delta, inline, None, None))
    accept_own(session, head, answer.head_receipt, session.keyrings)
    return head


def seal_body(sealer: Sealer, body: Body) -> tuple[ObjectRef, int]:
    """Seal the body; it names the sequence that it is sealed with, the highest this device has used."""
    sequence = next(sealer.sequences)
    sequences = dict(body.sequences) | {sealer.device: sequence}
    return sealer.object(ObjectType.BODY, replace(body, sequences=sequences).encode(), sequence=sequence), sequence


def next_head(
    session: Session, previous: Head, keyring: Keyring, sealer: Sealer, body: tuple[ObjectRef, int],
    adds: set[bytes], drops: set[bytes],
) -> tuple[Head, Delta]:  # fmt: skip
    """The head after `previous` under `keyring`, signed by this device, and its delta."""
    delta = Delta.of(adds, drops)
    _, peaks = session.pin.log()
    ref, sequence = body
    head = sign_head(
        account=session.account, version=previous.version + 1, previous=previous.hash,
        keyring_version=keyring.version, keyring_hash=keyring.hash, epoch=sealer.keys.number,
        device=session.device.id, sequence=sequence, body=ref.name, body_size=ref.size,
        log_root=merkle.root_of(peaks), delta=delta, time=now_ms(),
        key=session.device.sign.public, signer=session.device.sign.sign,
    )  # fmt: skip
    return head, delta


async def upload(session: Session, staged: dict[bytes, bytes]) -> tuple[bytes, ...]:
    """Put the large objects that the relay does not have yet, a few at a time; returns those left for the commit."""
    small = {name: data for name, data in staged.items() if len(data) <= INLINE_OBJECT}
    if sum(map(len, small.values())) > LIMITS.inline_bytes:
        small = {}
    large = [name for name in staged if name not in small]
    gate = asyncio.Semaphore(UPLOADS)

    async def put(name: bytes) -> None:
        async with gate:
            await session.transport.put(session.account, name, staged[name])

    if large:
        absent = await session.transport.missing(session.account, large)
        try:
            async with asyncio.TaskGroup() as group:
                for name in absent:
                    group.create_task(put(name))
        except ExceptionGroup as failed:
            raise _first(failed) from failed
    return tuple(small.values())


def _first(group: Exception) -> Exception:
    while isinstance(group, ExceptionGroup):
        group = group.exceptions[0]
    return group


def accept_own(session: Session, head: Head, receipt: bytes, keyrings: list[Keyring]) -> None:
    """The relay has acknowledged our head: check its receipt and pin it."""
    verify_receipt(
        receipt, receipt_key=keyrings[-1].receipt_key, account=session.account, chain=Chain.HEAD,
        version=head.version, hash_=head.hash, previous=head.previous,
    )  # fmt: skip
    _, peaks = session.pin.log()
    pin = replace(
        session.pin, head_version=head.version, head_hash=head.hash, head_keyring=head.keyring_version,
        keyring_version=keyrings[-1].version, keyring_hash=keyrings[-1].hash, peaks=peaks, epoch=head.epoch,
        sequences=dict(session.pin.sequences) | {session.device.id: head.sequence},
    )  # fmt: skip
    session.remember(pin, keyrings, message=head.message)
