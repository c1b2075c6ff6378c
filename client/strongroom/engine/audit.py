"""Going through what a version reaches: for `verify` from the relay alone, for `restore` into the cache.

What leads to other objects comes first, then segments by their newest message, latest first, then files in that order:
an interrupted restore has the end of every history, not its beginning.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from strongroom.cache import Cache
from strongroom.engine.depth import FULL, Depth, chance
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

CONTENT = (ObjectType.SEGMENT, ObjectType.MEDIA)

Progress = Callable[[int, int, int | None], None]
"""Called with bytes done, bytes in all, and the time (ms) after which all messages were gone through, if known."""

Gate = Callable[[], Awaitable[None]]
"""Awaited before more is fetched: it returns when going on is wanted."""


@dataclass(slots=True)
class Audit:
    """What was found. `damaged`: object name (hex) to the class of failure; `frames_lost` of `frames`.

    Of `content` objects, `examined` were fetched and opened, and `asked` more were there as far as their header.
    """

    objects: int = 0
    bytes: int = 0
    frames: int = 0
    rows: int = 0
    frames_lost: int = 0
    rows_lost: int = 0
    content: int = 0
    examined: int = 0
    asked: int = 0
    damaged: dict[str, Failure] = field(default_factory=dict)

    def chance(self, lost: int) -> float:
        """How likely this verification was to notice, had `lost` of the content objects been lost or damaged."""
        return chance(self.content, self.examined, lost)


async def audit(
    snapshot: Snapshot, *, keep: Cache | None = None, media: bool = True, depth: Depth = FULL,
    progress: Progress | None = None, gate: Gate | None = None,
) -> Audit:  # fmt: skip
    """Fetch what `depth` says, compare its names, open every seal, parse every frame; with `keep`, store what came.

    Nothing stops at the first damage. A damaged segment is kept too: its good frames are still read by digest. Without
    `media` files are left where they are. What is fetched next is on its way while the last is examined.
    """
    report = Audit()
    found = [item async for item in snapshot.objects() if media or item[1] is not ObjectType.MEDIA]
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
    latest = _latest(held)
    content = [item for item in found if item[1] in CONTENT]
    content.sort(key=lambda item: (item[1] is ObjectType.MEDIA, -latest.get(item[0].name, _NEVER)))
    drawn, others = depth.draw(content)
    report.content, report.examined = len(content), len(drawn)
    refs = [item for item in found if item[1] not in CONTENT] + drawn
    total, done = sum(ref.size for ref, _ in refs), 0
    groups = list(_groups(refs))
    ahead = _fetch(snapshot, groups, 0, gate)
    try:
        for place, group in enumerate(groups):
            answers = await ahead
            ahead = _fetch(snapshot, groups, place + 1, gate)
            await asyncio.to_thread(_examine_group, report, snapshot, group, answers, held, keep)
            done += sum(ref.size for ref, _ in group)
            if progress is not None:
                progress(done, total, _back_to(groups[place + 1] if place + 1 < len(groups) else [], latest))
        if depth.presence:
            await _ask(report, snapshot, others, held)
    finally:
        ahead.cancel()
        await asyncio.gather(ahead, return_exceptions=True)
    report.rows_lost += sum(rows for name, rows in batches.items() if name in report.damaged)
    return report


_NEVER = 2**63
"""Later than anything: what only the tail names."""


def _latest(held: Mapping[bytes, Sequence[Entry]]) -> dict[bytes, int]:
    """The time of the newest row of every segment, and of the newest message that names a part of media."""
    latest: dict[bytes, int] = {}
    for segment, entries in held.items():
        for _, frame in entries:
            for name in (segment, *(part.name for part in frame.media)):
                latest[name] = max(frame.last, latest.get(name, 0))
    return latest


def _back_to(following: Group, latest: Mapping[bytes, int]) -> int | None:
    """Every message later than this was gone through; 0 when only files are left, None while it is not known."""
    if not following:
        return 0
    ref, kind = following[0]
    return 0 if kind is ObjectType.MEDIA else latest.get(ref.name)


async def _ask(
    report: Audit, snapshot: Snapshot, refs: Sequence[tuple[ObjectRef, ObjectType]], held: dict[bytes, list[Entry]]
) -> None:
    """Read the header of each object, and nothing of its content: only somebody who kept the object has it."""
    headers = await snapshot.source.headers([ref.name for ref, _ in refs])
    report.asked = len(refs)
    for (ref, kind), header in zip(refs, headers, strict=True):
        name, source = ref.name.hex(), snapshot.source
        try:
            if header is None:  # spec: VER-1
                raise UntrustedDataError(Failure.MISSING, "the relay does not have it", subject=name)
            ObjectOpener(source.epochs, source.account, header, kind, subject=name)
        except UntrustedDataError as error:
            report.damaged.setdefault(name, error.failure)
            report.frames_lost += len(held.get(ref.name, []))
            report.rows_lost += sum(frame.rows for _, frame in held.get(ref.name, []))


def _fetch(
    snapshot: Snapshot, groups: Sequence[Group], place: int, gate: Gate | None
) -> asyncio.Future[list[bytes | None]]:
    refs = [ref for ref, _ in groups[place]] if place < len(groups) else []

    async def whole() -> list[bytes | None]:
        if gate is not None and refs:
            await gate()
        return await snapshot.source.whole(refs)

    return asyncio.ensure_future(whole())


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
