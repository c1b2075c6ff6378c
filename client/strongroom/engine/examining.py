"""Fetching whole objects and looking into every one: what `audit` does with each group of them, ahead of itself."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
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
"""Sealed bytes in memory at once, in each lane, and as many on their way."""

Group = list[tuple[ObjectRef, ObjectType]]

Gate = Callable[[], Awaitable[None]]
"""Awaited before more is fetched: it returns when going on is wanted."""

Done = Callable[[Group, Group], None]
"""Called with a group that was gone through, and the next one of its lane (empty: none)."""


@dataclass(slots=True)
class Seen:
    """What was found in one lane. `damaged`: object name (hex) to the class of failure."""

    objects: int = 0
    bytes: int = 0
    frames_lost: int = 0
    rows_lost: int = 0
    damaged: dict[str, Failure] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Lane:
    """Objects gone through one group after the other; the next group is on its way while one is examined.

    Two lanes may run at once: each has counts of its own, for they are examined in threads.
    """

    snapshot: Snapshot
    held: Mapping[bytes, Sequence[Entry]]
    """The frames of every segment."""
    keep: Cache | None
    gate: Gate | None
    done: Done

    async def run(self, refs: Sequence[tuple[ObjectRef, ObjectType]]) -> Seen:
        """Nothing stops at the first damage. A damaged segment is kept too: its good frames are read by digest."""
        seen, groups = Seen(), list(_groups(refs))
        ahead = self._fetch(groups, 0)
        try:
            for place, group in enumerate(groups):
                answers = await ahead
                ahead = self._fetch(groups, place + 1)
                await asyncio.to_thread(self._examine_group, seen, group, answers)
                self.done(group, groups[place + 1] if place + 1 < len(groups) else [])
        finally:
            ahead.cancel()
            await asyncio.gather(ahead, return_exceptions=True)
        return seen

    def _fetch(self, groups: Sequence[Group], place: int) -> asyncio.Future[list[bytes | None]]:
        refs = [ref for ref, _ in groups[place]] if place < len(groups) else []

        async def whole() -> list[bytes | None]:
            if self.gate is not None and refs:
                await self.gate()
            return await self.snapshot.source.whole(refs)

        return asyncio.ensure_future(whole())

    def _examine_group(self, seen: Seen, group: Group, answers: Sequence[bytes | None]) -> None:
        for (ref, kind), data in zip(group, answers, strict=True):
            seen.objects += 1
            seen.bytes += ref.size
            self._examine(seen, ref, kind, data)
            # An empty copy says that the relay did not have it: without the relay that is damage, and hides nothing.
            kept = data or b""
            if self.keep is not None and not self.keep.holds(ref.name, kept):
                self.keep.put(ref.name, kept)

    def _examine(self, seen: Seen, ref: ObjectRef, kind: ObjectType, data: bytes | None) -> None:
        source = self.snapshot.source
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
            seen.damaged.setdefault(name, error.failure)
        if kind is ObjectType.SEGMENT:
            self._examine_frames(seen, ref, data)

    def _examine_frames(self, seen: Seen, ref: ObjectRef, data: bytes | None) -> None:
        name, source = ref.name.hex(), self.snapshot.source
        opener: ObjectOpener | None = None
        for key, frame in self.held.get(ref.name, ()):
            try:
                if data is None:
                    raise UntrustedDataError(Failure.MISSING, "the relay does not have it", subject=name)
                if opener is None:
                    opener = ObjectOpener(
                        source.epochs, source.account, data[:HEADER_BYTES], ObjectType.SEGMENT, subject=name
                    )
                sealed = cut_out(data, frame.chunk, subject=name)
                self.snapshot.checked(decode_frame(open_chunk(opener, frame.chunk, sealed, subject=name)), key, frame)
            except UntrustedDataError as error:
                seen.damaged.setdefault(name, error.failure)
                seen.frames_lost += 1
                seen.rows_lost += frame.rows


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
