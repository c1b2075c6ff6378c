"""Where sealed bytes come from: the device's cache, else the relay; nothing leaves here unchecked (chapter 13).

Whole objects are compared with their name, ranges with the digest in their signed parent, before anything is opened,
inflated or parsed. What fails is noted in `damage` by object name, so that one bad object never hides the others.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

from strongroom.cache import Cache
from strongroom.engine.recent import RecentFrames
from strongroom.transport.base import Transport
from strongroom_protocol.engine.refs import ChunkRef, Mirrored, ObjectRef
from strongroom_protocol.errors import Failure, RelayUnreachable, UntrustedDataError
from strongroom_protocol.keys.epochs import EpochKeys
from strongroom_protocol.limits import LIMITS
from strongroom_protocol.seal.chunks import open_chunk
from strongroom_protocol.seal.objects import HEADER_BYTES, ObjectOpener, ObjectType, object_name, open_object

READ_BYTES = 8 * 1024 * 1024
"""Bytes asked for in one batched read: bounds what is in memory at once."""

Wanted = tuple[bytes, ChunkRef]
"""A chunk of an object: object name, reference."""


@dataclass(slots=True)
class ObjectSource:
    """Objects of one account. `offline` reads the cache alone; `fresh` the relay alone (verification)."""

    transport: Transport
    cache: Cache
    account: bytes
    epochs: Mapping[int, EpochKeys]
    fresh: bool = False
    damage: dict[str, Failure] = field(default_factory=dict)
    recent: RecentFrames = field(default_factory=RecentFrames)
    """Of the same account, shared by what reads page after page."""

    async def object(self, ref: ObjectRef, kind: ObjectType) -> bytes:
        """The content of a one-chunk object. Raises UntrustedDataError (MISSING when it is nowhere)."""
        (data,) = await self.whole([ref])
        return self._noted(ref.name, lambda: self._open(ref, kind, data))

    async def objects(self, refs: Sequence[ObjectRef], kind: ObjectType) -> list[bytes | UntrustedDataError]:
        """The contents of several one-chunk objects; an error stands in the place of a bad one."""
        found: list[bytes | UntrustedDataError] = []
        for ref, data in zip(refs, await self.whole(refs), strict=True):
            try:
                found.append(self._noted(ref.name, lambda ref=ref, data=data: self._open(ref, kind, data)))  # type: ignore[misc]
            except UntrustedDataError as error:
                found.append(error)
        return found

    async def mirrored(self, pair: Mirrored, kind: ObjectType) -> bytes:
        """The content kept twice: the primary, or the mirror when the primary is damaged."""
        try:
            return await self.object(pair.primary, kind)
        except UntrustedDataError:
            return await self.object(pair.mirror, kind)

    async def whole(self, refs: Sequence[ObjectRef]) -> list[bytes | None]:
        """The sealed bytes of whole objects, not yet checked; None where there are none."""
        kept = [None if self.fresh else self.cache.get(ref.name) for ref in refs]
        # A damaged copy on this device never stands in the way of a good one at the relay.
        absent = [i for i, data in enumerate(kept) if data is None or object_name(data) != refs[i].name]
        with self._offline(all(kept[i] is not None for i in absent)):
            for group in _groups(absent, [refs[index].size for index in absent]):
                answers = await self.transport.read(
                    self.account, [(refs[index].name, 0, refs[index].size) for index in group]
                )
                for index, data in zip(group, answers, strict=True):
                    kept[index] = kept[index] if data is None else data
        return kept

    async def headers(self, names: Sequence[bytes]) -> list[bytes | None]:
        """The headers of objects, by the relay's word alone; None where there are none."""
        return await self._ranges([(name, 0, HEADER_BYTES) for name in names], cached=False)

    async def chunks(self, kind: ObjectType, wanted: Sequence[Wanted]) -> list[bytes | UntrustedDataError]:
        """The contents of chunks of multi-chunk objects, in order; an error stands in the place of a bad one."""
        found = await self._chunks(kind, wanted, cached=not self.fresh)
        bad = [index for index, content in enumerate(found) if isinstance(content, UntrustedDataError)]
        again = [index for index in bad if not self.fresh and wanted[index][0] in self.cache]
        with self._offline(True):
            mended = await self._chunks(kind, [wanted[index] for index in again], cached=False)
            for index, content in zip(again, mended, strict=True):
                found[index] = content
        for index in bad:
            content = found[index]
            if isinstance(content, UntrustedDataError):
                self.damage.setdefault(wanted[index][0].hex(), content.failure)
        return found

    async def _chunks(
        self, kind: ObjectType, wanted: Sequence[Wanted], *, cached: bool
    ) -> list[bytes | UntrustedDataError]:
        if not wanted:
            return []
        headers = dict.fromkeys(name for name, _ in wanted)
        ranges = [(name, 0, HEADER_BYTES) for name in headers]
        ranges += [(name, ref.offset, ref.length) for name, ref in wanted]
        pieces = await self._ranges(ranges, cached=cached)
        openers: dict[bytes, ObjectOpener | UntrustedDataError] = {}
        for name, header in zip(headers, pieces, strict=False):
            openers[name] = self._opener(name, header, kind)
        found: list[bytes | UntrustedDataError] = []
        for (name, ref), sealed in zip(wanted, pieces[len(headers) :], strict=True):
            opener = openers[name]
            try:
                if isinstance(opener, UntrustedDataError):
                    raise opener
                found.append(open_chunk(opener, ref, _present(sealed, name), subject=name.hex()))
            except UntrustedDataError as error:
                found.append(error)
        return found

    async def chunk(self, kind: ObjectType, name: bytes, ref: ChunkRef) -> bytes:
        """One chunk; raises what is wrong with it."""
        (content,) = await self.chunks(kind, [(name, ref)])
        if isinstance(content, UntrustedDataError):
            raise content
        return content

    @contextmanager
    def _offline(self, tolerated: bool) -> Iterator[None]:
        """Without the relay, a damaged copy stays what it is: damage, not an error of the whole read."""
        try:
            yield
        except RelayUnreachable:
            if not tolerated:
                raise

    async def _ranges(self, ranges: Sequence[tuple[bytes, int, int]], *, cached: bool) -> list[bytes | None]:
        kept = [self.cache.read(*item) if cached else None for item in ranges]
        absent = [index for index, data in enumerate(kept) if data is None]
        for group in _groups(absent, [ranges[index][2] for index in absent]):
            answers = await self.transport.read(self.account, [ranges[index] for index in group])
            for index, data in zip(group, answers, strict=True):
                kept[index] = data
        return kept

    def _opener(self, name: bytes, header: bytes | None, kind: ObjectType) -> ObjectOpener | UntrustedDataError:
        try:
            subject = name.hex()
            return ObjectOpener(self.epochs, self.account, _present(header, name), kind, subject=subject)
        except UntrustedDataError as error:
            return error

    def _open(self, ref: ObjectRef, kind: ObjectType, data: bytes | None) -> bytes:
        _, content = open_object(self.epochs, self.account, ref.name, _present(data, ref.name), kind)
        return content

    def _noted(self, name: bytes, action: Callable[[], bytes]) -> bytes:
        try:
            return action()
        except UntrustedDataError as error:
            self.damage.setdefault(name.hex(), error.failure)
            raise


def _present(data: bytes | None, name: bytes) -> bytes:
    if data is None:  # spec: ENG-6
        raise UntrustedDataError(Failure.MISSING, "the relay does not have it", subject=name.hex())
    return data


def _groups(items: Iterable[int], sizes: Iterable[int]) -> list[list[int]]:
    """Split into groups that one batched read answers."""
    groups: list[list[int]] = []
    total = 0
    for item, size in zip(items, sizes, strict=True):
        if not groups or total + size > READ_BYTES or len(groups[-1]) >= LIMITS.read_items:
            groups.append([])
            total = 0
        groups[-1].append(item)
        total += size
    return groups
