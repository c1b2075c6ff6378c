"""Undo against an oracle: random histories of three devices, one of which turns evil at some version.

The oracle keeps every row that was committed, with its origin, by whom and in which version. After undo the history is
that of all rows up to the version and of those that the honest devices committed after it, whatever the evil one did:
erase, empty the head, compact, put rows into runs under another device's name. And: versions rise, the relay keeps
exactly what the newest head reaches, nothing is damaged, and it stays so through everything that comes after.
"""

from __future__ import annotations

import asyncio
import tempfile
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from strongroom import commit as committing
from strongroom import importing, introduced
from strongroom.commit import commit
from strongroom.engine import compaction, cutting, directory, fold, grouping, listing, run_writer, undone
from strongroom.engine.change import Change
from strongroom.engine.sealer import Sealer
from strongroom.importing import write_rows
from strongroom_protocol.engine.body import Body
from strongroom_protocol.engine.refs import ObjectRef
from strongroom_protocol.limits import LIMITS
from strongroom_protocol.rows.detail import AT
from strongroom_protocol.rows.ids import conversation_key
from strongroom_protocol.rows.merge import Message, Order
from strongroom_protocol.rows.merge import fold as merged
from strongroom_protocol.rows.model import Op, Row
from strongroom_protocol.rows.table import Frame, sort_key, unstamped
from strongroom_protocol.seal.objects import ObjectType
from vaults import Bench, Device, messages_of

SMALL = replace(LIMITS, head_frame_rows=3, frame_rows=8, segment_bytes=2048)
EVIL = 2


@pytest.fixture(autouse=True)
def _small_engine(monkeypatch: pytest.MonkeyPatch) -> None:
    """Sizes at which a few rows reach every branch."""
    for module in (run_writer, grouping, cutting):
        monkeypatch.setattr(module, "LIMITS", SMALL)
    monkeypatch.setattr(fold, "FAN_IN", 3)
    monkeypatch.setattr(fold, "LEVEL_ROWS", 16)
    monkeypatch.setattr(listing, "NEWEST_FRAMES", 3)
    monkeypatch.setattr(listing, "NEWEST_ROWS", 6)
    monkeypatch.setattr(directory, "HOT_ROWS", 2)
    monkeypatch.setattr(importing, "BATCH_ROWS", 5)
    monkeypatch.setattr(introduced, "TOGETHER", 3)
    monkeypatch.setattr(undone, "HELD_ROWS", 7)
    monkeypatch.setattr(undone, "WINDOW_BYTES", 300)


@st.composite
def _rows(draw: st.DrawFn) -> list[tuple[str, Row]]:
    rows = []
    for _ in range(draw(st.integers(1, 9))):
        chat, time = draw(st.sampled_from("ABC")), draw(st.integers(1, 30))
        ident = f"{chat}{time}"
        op = draw(st.sampled_from([Op.PUT, Op.PUT, Op.PUT, Op.EDIT, Op.DELETE, Op.REACT, Op.CONVERSATION]))
        match op:
            case Op.CONVERSATION:
                row = Row(op, time, text=draw(st.sampled_from(["x", "y"])), kind=1)
            case Op.PUT:
                row = Row(op, time, id=ident, sender="s", text="first " + ident)
            case Op.REACT:
                row = Row(op, time, id=ident, sender="t", text="👍", kind=draw(st.integers(0, 1)), detail={AT: time})
            case Op.DELETE:
                row = Row(op, time, id=ident, kind=draw(st.sampled_from([0, 0, 1])), detail={AT: time})
            case _:
                row = Row(op, time, id=ident, text=draw(st.sampled_from("xyz")), detail={AT: time})
        rows.append((chat, row))
    return rows


WHO = st.integers(0, 2)
STEP = st.one_of(
    st.tuples(st.just("add"), WHO, _rows()),
    st.tuples(st.just("add"), WHO, _rows()),
    st.tuples(st.sampled_from(["fold", "merge", "compact"]), WHO, st.none()),
)
LATER = st.one_of(
    STEP, STEP, st.tuples(st.sampled_from(["wipe", "forge"]), st.just(EVIL), _rows())
)  # fmt: skip


@dataclass(slots=True)
class _World:
    bench: Bench
    devices: list[Device]
    wrote: list[tuple[int, int, str, Row]] = field(default_factory=list)
    """Version, device, chat, row with its origin."""
    forged: int = 0

    async def step(self, what: str, who: int, rows: list[tuple[str, Row]] | None) -> None:
        device = self.devices[who]
        match what:
            case "add":
                await self._add(who, rows or [])
            case "fold":
                await commit(device.session, _fold)
            case "merge":
                await commit(device.session, fold.merge_full_levels)
            case "compact":
                await commit(device.session, compaction.compact)
            case "wipe":
                await self._emptied(device)
            case "forge":
                await commit(device.session, lambda change: self._forge(change, rows or []))

    async def _add(self, who: int, rows: list[tuple[str, Row]]) -> None:
        device, made = self.devices[who], list[Frame]()

        async def build(change: Change) -> bool:
            made[:] = _frames(rows)
            await write_rows(device.session, change, {conversation_key(frame.conversation): frame for frame in made})
            return True

        head = await commit(device.session, build)
        assert head is not None
        self.wrote += [(head.version, who, frame.conversation, row) for frame in made for row in frame.rows()]

    async def _forge(self, change: Change, rows: list[tuple[str, Row]]) -> bool:
        """Rows in a run that name an honest device, with sequences that it is about to use."""
        victim = self.devices[1].session
        for frame in _frames(rows):
            # An origin is never used twice: with the same one again, merging would fail before anything is laundered.
            self.forged += 100
            frame.stamp(2**60, victim.device.id, victim.pin.sequences.get(victim.device.id, 1) + 2, self.forged)
            await fold.write_run(change, {conversation_key(frame.conversation): frame})
        return True

    async def _emptied(self, device: Device) -> None:
        snapshot = await device.snapshot()
        names = {ref.name async for ref, kind in snapshot.objects() if kind is not ObjectType.BODY}

        async def build(change: Change) -> bool:
            change.drops |= names
            return True

        honest = committing.seal_body

        def emptied(sealer: Sealer, body: Body) -> tuple[Body, tuple[ObjectRef, int]]:
            return honest(sealer, replace(body, root=None, tail=()))

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(committing, "seal_body", emptied)
            await commit(device.session, build)
        device.session.base = None

    def expected(self, to: int, order: Order) -> dict[str, list[Message]]:
        """What the oracle says that the history is."""
        chats: dict[str, list[Row]] = {}
        for version, who, chat, row in self.wrote:
            if version <= to or who != EVIL:
                chats.setdefault(chat, []).append(row)
        return {chat: list(merged(chat, sorted(rows, key=sort_key), order)) for chat, rows in chats.items()}

    async def check(self, to: int) -> None:
        for device in self.devices[:EVIL]:
            snapshot = await device.snapshot(fresh=True)
            found = {chat: messages for chat, messages in (await messages_of(snapshot)).items() if messages}
            wanted = self.expected(to, Order(snapshot.head.time))
            assert found == {chat: messages for chat, messages in wanted.items() if messages}
            assert snapshot.source.damage == {}
            listed = await listing.read_rows(snapshot)
            for key, row in listed.items():
                assert row.rows == sum(ref.rows for ref in await snapshot.refs(key))
        await self._pinned_is_reached()

    async def _pinned_is_reached(self) -> None:
        relay = await self.bench.open()
        reached = {ref.name async for ref, _ in (await self.devices[0].snapshot()).objects()}

        def pinned(database: Any) -> set[bytes]:
            return {bytes(name) for (name,) in database.execute("SELECT name FROM objects WHERE state = 1")}

        assert await relay.store.read(pinned) == reached


def _frames(rows: list[tuple[str, Row]]) -> list[Frame]:
    grouped: dict[str, list[Row]] = {}
    for chat, row in rows:
        grouped.setdefault(chat, []).append(row)
    return [unstamped(chat, some) for chat, some in grouped.items()]


async def _fold(change: Change) -> bool:
    had = bool(change.tail)
    await fold.fold(change)
    return had


# Shrinking whole histories takes minutes; a failing one is short enough to read.
@settings(
    max_examples=40, deadline=None, phases=[Phase.explicit, Phase.generate], suppress_health_check=list(HealthCheck)
)
@given(
    before=st.lists(STEP, max_size=6), after=st.lists(LATER, min_size=1, max_size=10),
    then=st.lists(STEP, max_size=4), revoke=st.booleans(), by=st.integers(0, 1),
)  # fmt: skip
def test_random_histories(before: list[Any], after: list[Any], then: list[Any], revoke: bool, by: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(_history(Path(folder), before, after, then, revoke, by))


async def _history(folder: Path, before: list[Any], after: list[Any], then: list[Any], revoke: bool, by: int) -> None:
    bench = Bench(folder)
    try:
        devices = [await bench.create(), await bench.login("b", confirm=True), await bench.login("c", confirm=True)]
        world = _World(bench, devices)
        for step in before:
            await world.step(*step)
        to = (await devices[0].session.sync()).version
        for step in after:
            await world.step(*step)
        last = (await devices[0].session.sync()).version
        if last == to:
            return
        for device in devices:
            await device.snapshot()
        async with await bench.owner(devices[by]) as owner:
            done = await owner.undo(to, devices[EVIL].session.device.id, revoke=revoke)
        assert done.version == last + 1
        await world.check(to)
        for what, who, rows in then:
            await world.step(what, who % 2, rows)
        await world.check(to)
        await commit(devices[0].session, compaction.fold_tail)
        await devices[1].snapshot()
        await commit(devices[1].session, compaction.compact)
        await world.check(to)
    finally:
        bench.close()
