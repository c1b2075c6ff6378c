"""Going through what a version reaches: for `verify` from the relay alone, for `restore` into the cache.

What leads to other objects comes first, then segments by their newest message, latest first, and files in that order,
beside the segments or after them.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from strongroom.cache import Cache
from strongroom.engine.depth import FULL, Depth, chance
from strongroom.engine.examining import Gate, Group, Lane
from strongroom.engine.snapshot import Snapshot
from strongroom_protocol.engine.index import Entry
from strongroom_protocol.engine.refs import ObjectRef
from strongroom_protocol.errors import Failure, UntrustedDataError
from strongroom_protocol.seal.objects import ObjectOpener, ObjectType

CONTENT = (ObjectType.SEGMENT, ObjectType.MEDIA)

Progress = Callable[[int, int, int | None], None]
"""Called with bytes done, bytes in all, and the time (ms) after which all messages were gone through, if known."""


@dataclass(slots=True)
class Audit:
    """What was found. `damaged`: object name (hex) to the class of failure; `frames_lost` of `frames`.

    Of `content` objects, `examined` were fetched and opened, and `asked` more were there as far as their header.
    `leaving` are there, and the relay was told to delete them although this version needs them (`Vault.verify`).
    `planted` conversations have a row that would hide all that is written in them until some day to come,
    and of `unlisted` ones the chat list leaves out something that is there (there, too).
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
    leaving: int = 0
    planted: int = 0
    unlisted: int = 0
    damaged: dict[str, Failure] = field(default_factory=dict)

    def chance(self, lost: int) -> float:
        """How likely this verification was to notice, had `lost` of the content objects been lost or damaged."""
        return chance(self.content, self.examined, lost)


async def audit(
    snapshot: Snapshot, *, keep: Cache | None = None, media: bool = True, depth: Depth = FULL,
    progress: Progress | None = None, gate: Gate | None = None,
) -> Audit:  # fmt: skip
    """Fetch what `depth` says, compare its names, open every seal, parse every frame; with `keep`, store what came.

    Nothing stops at the first damage. Without `media` files are left where they are. With a `gate` files come after all
    messages, else beside them: parsing messages keeps one core busy, hashing files another.
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
    content.sort(key=lambda item: -latest.get(item[0].name, _NEVER))
    drawn, others = depth.draw(content)
    report.content, report.examined = len(content), len(drawn)
    texts = [item for item in found if item[1] not in CONTENT]
    texts += [item for item in drawn if item[1] is not ObjectType.MEDIA]
    files = [item for item in drawn if item[1] is ObjectType.MEDIA]
    total, done, back = sum(ref.size for ref, _ in texts + files), 0, None

    def went(group: Group, following: Group) -> None:
        nonlocal done, back
        done += sum(ref.size for ref, _ in group)
        if group[0][1] is not ObjectType.MEDIA:
            back = _back_to(following, latest)
        if progress is not None:
            progress(done, total, back)

    lane = Lane(snapshot, held, keep, gate, went)
    if gate is not None:
        lanes = [await lane.run(texts), await lane.run(files)]
    else:
        running = [asyncio.create_task(lane.run(refs)) for refs in (texts, files)]
        try:
            lanes = await asyncio.gather(*running)
        finally:  # what ends one ends both
            for task in running:
                task.cancel()
            await asyncio.gather(*running, return_exceptions=True)
    for seen in lanes:
        report.objects += seen.objects
        report.bytes += seen.bytes
        report.frames_lost += seen.frames_lost
        report.rows_lost += seen.rows_lost
        for name, failure in seen.damaged.items():
            report.damaged.setdefault(name, failure)
    if depth.presence:
        await _ask(report, snapshot, others, held)
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
    """Every message later than this was gone through; 0: all were, None while it is not known."""
    return latest.get(following[0][0].name) if following else 0


async def _ask(
    report: Audit, snapshot: Snapshot, refs: Sequence[tuple[ObjectRef, ObjectType]], held: dict[bytes, list[Entry]]
) -> None:
    """Read the header of each object, and nothing of its content: only somebody who kept it has so many."""
    headers = await snapshot.source.headers([ref.name for ref, _ in refs])
    report.asked = len(refs)
    known: set[bytes] = set()
    for (ref, kind), header in zip(refs, headers, strict=True):
        name, source = ref.name.hex(), snapshot.source
        try:
            if header is None:  # spec: VER-1
                raise UntrustedDataError(Failure.MISSING, "the relay does not have it", subject=name)
            ObjectOpener(source.epochs, source.account, header, kind, subject=name)
            if header in known:  # spec: VER-3
                raise UntrustedDataError(Failure.CONTEXT, "the header of another object", subject=name)
            known.add(header)
        except UntrustedDataError as error:
            report.damaged.setdefault(name, error.failure)
            report.frames_lost += len(held.get(ref.name, []))
            report.rows_lost += sum(frame.rows for _, frame in held.get(ref.name, []))


def _count_unreachable(report: Audit, held: dict[bytes, list[Entry]]) -> None:
    found = [frame for entries in held.values() for _, frame in entries]
    report.frames_lost += report.frames - len(found)
    report.rows_lost += report.rows - sum(frame.rows for frame in found)
