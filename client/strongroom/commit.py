"""Committing: seal, upload, advance the head; on losing a race, rebase and try again (spec chapter 13)."""

from __future__ import annotations

import contextlib
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace

from strongroom import evidence
from strongroom.cache import Cache
from strongroom.engine.change import Change
from strongroom.engine.sealer import Emit, Sealer
from strongroom.engine.snapshot import Snapshot
from strongroom.journal import Attempt
from strongroom.session import Session, now_ms
from strongroom.staging import Staging
from strongroom.transport.base import CommitRequest, CommitResponse
from strongroom_protocol.engine.body import Body
from strongroom_protocol.engine.refs import ObjectRef
from strongroom_protocol.errors import Failure, RelayConflict, StorageFull, UntrustedDataError
from strongroom_protocol.keys.epochs import EpochKeys
from strongroom_protocol.limits import LIMITS
from strongroom_protocol.manifest.head import Delta, Head, sign_head
from strongroom_protocol.manifest.keyring import Keyring
from strongroom_protocol.manifest.receipt import Chain, verify_receipt
from strongroom_protocol.manifest.slots import SlotSet
from strongroom_protocol.seal.objects import ObjectType, object_name
from strongroom_protocol.wire import merkle

ATTEMPTS = 8

NAMES = LIMITS.delta_names // 2
"""Objects that one head adds without having sealed them, or drops. What is more takes further heads."""


def _none() -> int:
    return 0


Build = Callable[[Change], Awaitable[bool]]
"""Puts a change together on a fresh base; returns False when there is nothing to commit."""


async def commit(session: Session, build: Build, *, entries: Callable[[], int] = _none) -> Head | None:
    """Run `build` on the newest state and commit it; again from the start when another device was first.

    A running client builds on what it committed last without asking: the swap at the relay finds out whether that was
    the newest. `entries` tells the last outbox entry that the change carries. Returns the new head, None when `build`
    had nothing to do. When this returns, the relay has it durably.
    """
    async with session.lock:
        head = await _commit(session, build, entries)
    if head is not None and session.state.get("witness") is not None:
        from strongroom import witnessing

        await witnessing.report(session)
    return head


async def _commit(session: Session, build: Build, entries: Callable[[], int]) -> Head | None:
    session.require_writer()
    pinned: set[bytes] = set()
    for attempt in range(ATTEMPTS):
        base, session.base = session.base, None
        if base is None or base.head.hash != session.pin.head_hash:
            base = await session.snapshot()
        staging = Staging(session.transport, session.account)
        try:
            keys = session.epochs()[session.keyring.epoch]
            change = await Change.begin(base, sealer_for(session, keys, staging.emit))
            change.relieve = staging.relieve
            if not await build(change):
                session.base = base
                return None
            change.uploaded -= pinned
            if len(change.uploaded) > NAMES:
                # Pinned by heads of their own, then built anew on those: what refers to them comes last.
                surplus = sorted(change.uploaded)[NAMES:]
                await names_only(session, base, adds=surplus)
                pinned |= {*surplus}
                continue
            body = await change.finish(acknowledged=base.head.version)
            late = sorted(change.drops)[NAMES:]
            change.drops.difference_update(late)
            head = await advance(session, change, body, staging, entries())
            if late:
                await _drop(session, late)
            return head
        except RelayConflict:
            if attempt + 1 == ATTEMPTS:
                raise
        finally:
            await staging.stop()
    raise RelayConflict("other devices were first, again and again")


async def _drop(session: Session, names: Sequence[bytes]) -> None:
    """Drop what is too much for one head, by heads of its own; what the newest state needs again by then stays.

    A device that is quicker, again and again, leaves some of it at the relay for good.
    """
    needed: set[bytes] = set()
    for _ in range(ATTEMPTS):
        with contextlib.suppress(RelayConflict):
            base = session.base or await session.snapshot()
            await names_only(session, base, drops=[name for name in names if name not in needed])
            return
        base = await session.snapshot()
        needed = {ref.name async for ref, _ in base.objects()}  # spec: LIFE-21
        if base.source.damage:  # what cannot be read may need any of it
            return
        session.base = base


async def names_only(
    session: Session, base: Snapshot, *, adds: Sequence[bytes] = (), drops: Sequence[bytes] = ()
) -> None:
    """Heads on `base` that change nothing but which objects are kept."""
    for start in range(0, max(len(adds), len(drops)), NAMES):
        staging = Staging(session.transport, session.account)
        change = await Change.begin(base, sealer_for(session, session.epochs()[session.keyring.epoch], staging.emit))
        change.uploaded |= {*adds[start : start + NAMES]}
        change.drops |= {*drops[start : start + NAMES]}
        body = await change.finish(acknowledged=base.head.version)
        await advance(session, change, body, staging)
        base = session.base or base


def sealer_for(session: Session, keys: EpochKeys, emit: Emit) -> Sealer:
    """A sealer of this device."""
    return Sealer(keys, session.device.id, session.sequences(), emit)


async def advance(
    session: Session, change: Change, body: Body, staging: Staging, entries: int = 0, *,
    keyring: Keyring | None = None, slots: SlotSet | None = None,
) -> Head:  # fmt: skip
    """Seal the body, upload what the change has sealed, and swap the head; with it the keyring and slot set, if any."""
    base = change.base
    body, sealed = seal_body(change.sealer, body)
    drops = change.drops | {base.head.body}
    adds = staging.names | change.uploaded
    under = keyring or session.keyring
    head, delta = next_head(session, base.head, under, change.sealer, sealed, adds, drops)
    inline = await staging.finish()
    note_attempt(session, head, entries)
    request = CommitRequest(
        head.message, delta, inline, None if keyring is None else keyring.message,
        None if slots is None else slots.encode(),
    )  # fmt: skip
    answer = await session.transport.commit(session.account, request)
    keyrings = session.keyrings if keyring is None else [*session.keyrings, keyring]
    accept_own(session, head, answer, keyrings)
    _keep(session, inline)
    session.base = change.successor(session.source(), head, body)
    return head


def _keep(session: Session, objects: Sequence[bytes]) -> None:
    """Keep small objects of an own commit where everything else was restored to, so that it stays readable offline."""
    folder = session.state.folder / "objects"
    if folder.exists():
        with contextlib.suppress(StorageFull, OSError):  # the commit is done, and the relay has them
            for data in objects:
                Cache(folder).put(object_name(data), data)


def seal_body(sealer: Sealer, body: Body) -> tuple[Body, tuple[ObjectRef, int]]:
    """Seal the body; it names the sequence that it is sealed with, the highest this device has used."""
    sequence = next(sealer.sequences)
    body = replace(body, sequences=dict(body.sequences) | {sealer.device: sequence})
    content = body.encode()
    if len(content) > LIMITS.body_bytes:  # spec: BODY-3
        raise UntrustedDataError(
            Failure.LIMIT, "no reader would take the next version", subject="body",
            hint="a device has filled the newest version with noise: see strongroom undo",
        )  # fmt: skip
    Body.parse(content)  # spec: BODY-5
    return body, (sealer.object(ObjectType.BODY, content, sequence=sequence), sequence)


def note_attempt(session: Session, head: Head, entries: int = 0) -> None:
    """Note durably that `head` is about to be sent."""
    size, peaks = session.pin.log()
    root = merkle.root_of(merkle.append(size, peaks, head.hash))
    session.sending(Attempt(head.version, head.hash, head.sequence, root, entries))


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


def accept_own(session: Session, head: Head, answer: CommitResponse, keyrings: list[Keyring]) -> None:
    """The relay has acknowledged our head, and the last keyring when it came with it: check the receipts and pin it."""
    newest = keyrings[-1]
    if answer.keyring_receipt is None and newest.version > session.pin.head_keyring:  # spec: RCPT-3
        raise UntrustedDataError(Failure.RECEIPT, "no receipt for the keyring", subject="receipt")
    if answer.keyring_receipt is not None:
        verify_receipt(
            answer.keyring_receipt, receipt_key=newest.receipt_key, account=session.account, chain=Chain.KEYRING,
            version=newest.version, hash_=newest.hash, previous=newest.previous,
        )  # fmt: skip
    verify_receipt(
        answer.head_receipt, receipt_key=keyrings[-1].receipt_key, account=session.account, chain=Chain.HEAD,
        version=head.version, hash_=head.hash, previous=head.previous,
    )  # fmt: skip
    _, peaks = session.pin.log()
    pin = replace(
        session.pin, head_version=head.version, head_hash=head.hash, head_keyring=head.keyring_version,
        keyring_version=keyrings[-1].version, keyring_hash=keyrings[-1].hash, peaks=peaks, epoch=head.epoch,
        sequences=dict(session.pin.sequences) | {session.device.id: head.sequence},
    )  # fmt: skip
    receipts = {evidence.HEAD_RECEIPT: answer.head_receipt}
    if answer.keyring_receipt is not None:
        receipts[evidence.KEYRING_RECEIPT] = answer.keyring_receipt
    settled = session.journal.accepted(head)
    session.remember(pin, keyrings, message=head.message, settled=settled, receipts=receipts)
