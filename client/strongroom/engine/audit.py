"""Going through everything a version reaches: for `verify` from the relay alone, for `restore` into the cache."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

from strongroom.cache import Cache
from strongroom.engine.snapshot import Snapshot
from strongroom_protocol.engine.index import Entry
from strongroom_protocol.engine.refs import ObjectRef
from strongroom_protocol.errors import Failure, UntrustedDataError
from strongroom_protocol.rows.frame import decode_frame
from strongroom_protocol.seal.chunks import cut_out, open_chunk
from strongroom_protocol.seal.media_parts import check_part
from strongroom_protocol.seal.objects import HEADER_BYTES, ObjectOpener, ObjectType, check_name, open_object

GROUP_BYTES = 8 * 1024 * 1024
"""Sealed bytes in memory at once."""

Group = list[tuple[ObjectRef, ObjectType]]

Progress = Callable[[int, int], None]
"""Called with bytes done and bytes in all."""


@dataclass(slots=True)
class Audit:
    """What was found. `damaged`: object name (hex) to the class of failure; `frames_lost` of `frames`."""

    objects: int = 0
    bytes: int = 0
    frames: int = 0
    rows: int = 0
    frames_lost: int = 0
    rows_lost: int = 0
    damaged: dict[str, Failure] = field(default_factory=dict)


async def audit(
    snapshot: Snapshot, *, keep: Cache | None = None, media: bool = True, progress: Progress | None = None
) -> Audit:
    """Fetch every object, compare its name, open every seal, parse every frame; with `keep`, store what came.

    Nothing stops at the first damage. A damaged segment is kept too: its good frames are still read by digest. Without
    `media` files are left where they are. What is fetched next is on its way while the last is examined.
    """
    report = Audit()
    refs = [item async for item in snapshot.objects() if media or item[1] is not ObjectType.MEDIA]
    held: defaultdict[bytes, list[Entry]] = defaultdict(list)
    for run in snapshot.root.runs:
        for entry in await snapshot.entries(run):
            held[entry[1].segment].append(entry)
        report.frames += run.frames
        report.rows += run.rows
    _count_unreachable(report, held)
    report.rows += sum(entry.rows for entry in snapshot.body.tail)
    report.damaged |= snapshot.source.damage
    batches = {entry.ref.name.hex(): entry.rows for entry in snapshot.body.tail}
    total, done = sum(ref.size for ref, _ in refs), 0
    groups = list(_groups(refs))
    ahead = _fetch(snapshot, groups, 0)
    try:
        for place, group in enumerate(groups):
            answers = await ahead
            ahead = _fetch(snapshot, groups, place + 1)
            await asyncio.to_thread(_examine_group, report, snapshot, group, answers, held, keep)
            done += sum(ref.size for ref, _ in group)
            if progress is not None:
                progress(done, total)
    finally:
        ahead.cancel()
        await asyncio.gather(ahead, return_exceptions=True)
    report.rows_lost += sum(rows for name, rows in batches.items() if name in report.damaged)
    return report


def _fetch(snapshot: Snapshot, groups: Sequence[Group], place: int) -> asyncio.Future[list[bytes | None]]:
    refs = [ref for ref, _ in groups[place]] if place < len(groups) else []
    return asyncio.ensure_future(snapshot.source.whole(refs))


def _examine_group(
    report: Audit, snapshot: Snapshot, group: Group, answers: list[bytes | None], held: dict[bytes, list[Entry]],
    keep: Cache | None,
) -> None:  # fmt: skip
    for (ref, kind), data in zip(group, answers, strict=True):
        report.objects += 1
        report.bytes += ref.size
        _examine(report, snapshot, ref, kind, data, held.get(ref.name, []))
        # An empty copy says that the relay did not have it: without the relay that is damage, and hides nothing else.
        kept = data or b""
        if keep is not None and not keep.holds(ref.name, kept):
            keep.put(ref.name, kept)


def _examine(
    report: Audit, snapshot: Snapshot, ref: ObjectRef, kind: ObjectType, data: bytes | None, entries: list[Entry]
) -> None:
    source = snapshot.source
    name = ref.name.hex()
    try:
        if data is None:
            raise UntrustedDataError(Failure.MISSING, "the relay does not have it", subject=name)
        check_name(ref.name, data)
        if kind is ObjectType.MEDIA:
            check_part(source.epochs, source.account, data, subject=name)
        elif kind not in (ObjectType.SEGMENT, ObjectType.INDEX_PAGES):  # opened by their chunks
            open_object(source.epochs, source.account, ref.name, data, kind)
    except UntrustedDataError as error:
        report.damaged.setdefault(name, error.failure)
    if kind is ObjectType.SEGMENT:
        _examine_frames(report, snapshot, ref, data, entries)


def _examine_frames(
    report: Audit, snapshot: Snapshot, ref: ObjectRef, data: bytes | None, entries: list[Entry]
) -> None:
    name = ref.name.hex()
    opener: ObjectOpener | None = None
    for key, frame in entries:
        try:
            if data is None:
                raise UntrustedDataError(Failure.MISSING, "the relay does not have it", subject=name)
            if opener is None:
                source = snapshot.source
                opener = ObjectOpener(
                    source.epochs, source.account, data[:HEADER_BYTES], ObjectType.SEGMENT, subject=name
                )
            sealed = cut_out(data, frame.chunk, subject=name)
            snapshot.checked(decode_frame(open_chunk(opener, frame.chunk, sealed, subject=name)), key, frame)
        except UntrustedDataError as error:
            report.damaged.setdefault(name, error.failure)
            report.frames_lost += 1
            report.rows_lost += frame.rows


def _count_unreachable(report: Audit, held: dict[bytes, list[Entry]]) -> None:
    found = [frame for entries in held.values() for _, frame in entries]
    report.frames_lost += report.frames - len(found)
    report.rows_lost += report.rows - sum(frame.rows for frame in found)


def _groups(refs: Sequence[tuple[ObjectRef, ObjectType]]) -> Iterator[Group]:
    group: Group = []
    size = 0
    for item in refs:
        if group and size + item[0].size > GROUP_BYTES:
            yield group
            group, size = [], 0
        group.append(item)
        size += item[0].size
    if group:
        yield group
