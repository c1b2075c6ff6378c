"""Devices that append, edit, delete, react, import, fold, merge, compact and restore in any order, online or not:
at the end every device exports the same bytes, and they hold what all the operations together mean.

The expected content is not taken from the engine: each example keeps its own record of what was said and done, and what
must hold whatever the order: nobody's message is missing or twice, what was deleted by anyone is empty, an edit that
nobody else contested is the text that shows.
"""

from __future__ import annotations

import asyncio
import json
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from adversary.hostile import Hostile
from strongroom import importing, message, sending
from strongroom.commit import commit
from strongroom.engine import compaction, directory, fold, grouping, listing, run_writer
from strongroom.records import MessageRef
from strongroom_protocol.errors import NotFound, RelayUnreachable
from strongroom_protocol.limits import LIMITS
from strongroom_protocol.rows.model import Op, Row
from vaults import Bench, Device

DEVICES = 3


@pytest.fixture(autouse=True)
def _small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Sizes at which a few rows reach every branch; commits only where a step says so."""
    small = LIMITS.__class__(head_frame_rows=3, frame_rows=8, segment_bytes=2048)
    monkeypatch.setattr(run_writer, "LIMITS", small)
    monkeypatch.setattr(grouping, "LIMITS", small)
    monkeypatch.setattr(fold, "FAN_IN", 2)
    monkeypatch.setattr(fold, "LEVEL_ROWS", 8)
    monkeypatch.setattr(listing, "NEWEST_FRAMES", 3)
    monkeypatch.setattr(listing, "NEWEST_ROWS", 6)
    monkeypatch.setattr(directory, "HOT_ROWS", 2)
    monkeypatch.setattr(importing, "BATCH_ROWS", 5)
    monkeypatch.setattr(sending.Sender, "start", lambda self: None)


WHO = st.integers(0, DEVICES - 1)
PICK = st.integers(0, 10**6)
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("append"), WHO, PICK),
        st.tuples(st.just("append"), WHO, PICK),
        st.tuples(st.just("edit"), WHO, PICK),
        st.tuples(st.just("delete"), WHO, PICK),
        st.tuples(st.just("react"), WHO, PICK),
        st.tuples(st.just("flush"), WHO, PICK),
        st.tuples(st.just("import"), WHO, PICK),
        st.tuples(st.just("fold"), WHO, PICK),
        st.tuples(st.just("merge"), WHO, PICK),
        st.tuples(st.just("compact"), WHO, PICK),
        st.tuples(st.just("restore"), WHO, PICK),
        st.tuples(st.just("offline"), WHO, PICK),
        st.tuples(st.just("online"), WHO, PICK),
        st.tuples(st.just("crash"), WHO, PICK),
    ),
    min_size=4,
    max_size=40,
)


@settings(
    max_examples=30, deadline=None, phases=[Phase.explicit, Phase.generate], suppress_health_check=list(HealthCheck)
)
@given(steps=STEPS)
def test_attack_050_any_interleaving_converges_to_the_same_bytes(steps: list[tuple[str, int, int]]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(_World(Path(folder)).live(steps))


@dataclass(slots=True)
class _Said:
    """What was said, by whom it was changed since, and what every device must show in the end."""

    ref: MessageRef
    texts: list[str]
    editors: set[int] = field(default_factory=set)
    deleted: bool = False
    emojis: set[str] = field(default_factory=set)


class _World:
    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.bench = Bench(folder)
        self.devices: list[Device] = []
        self.wires: list[Hostile] = []
        self.offline: set[int] = set()
        self.said: list[_Said] = []
        self.imported: set[int] = set()

    async def live(self, steps: list[tuple[str, int, int]]) -> None:
        try:
            await self.bench.create(folder="d0")
            for number in range(1, DEVICES):
                await self.bench.login(f"d{number}", confirm=True)
            self.devices = list(self.bench.devices)
            for device in self.devices:
                self._wire(device)
            for number, (what, who, pick) in enumerate(steps):
                try:
                    await getattr(self, f"_{what}")(who, pick, number)
                except RelayUnreachable:
                    assert who in self.offline
            await self._agree()
        finally:
            self.bench.close()

    def _wire(self, device: Device) -> None:
        wire = Hostile(device.session.transport)
        device.session.transport = wire
        self.wires.append(wire)

    async def _append(self, who: int, pick: int, number: int) -> None:
        chat, time = f"chat {pick % 3}", 1_700_000_000_000 + pick % 50
        (ref,) = await self.devices[who].vault.append(chat, message(f"said {number}", sender=f"p{who}", time=time))
        self.said.append(_Said(ref, [f"said {number}"]))

    async def _edit(self, who: int, pick: int, number: int) -> None:
        if self.said:
            said = self.said[pick % len(self.said)]
            try:
                await self.devices[who].vault.edit(
                    said.ref, f"edit {number}", sender="p", at=1_700_000_100_000 + number
                )
            except NotFound:  # not yet on this device
                return
            said.texts.append(f"edit {number}")
            said.editors.add(who)

    async def _delete(self, who: int, pick: int, number: int) -> None:
        if self.said:
            said = self.said[pick % len(self.said)]
            await self.devices[who].vault.delete(said.ref)
            said.deleted = True

    async def _react(self, who: int, pick: int, number: int) -> None:
        if self.said:
            said = self.said[pick % len(self.said)]
            await self.devices[who].vault.react(said.ref, "👍👎"[pick % 2], sender=f"p{who}")
            said.emojis.add("👍👎"[pick % 2])

    async def _import(self, who: int, pick: int, number: int) -> None:
        """Overlapping pieces of one export, by anyone, any number of times."""
        first = pick % 20
        rows = [
            (f"chat {n % 3}", Row(Op.PUT, 1_700_000_000_000 + n, id=f"old {n}", sender="x", text=f"old {n}"))
            for n in range(first, first + 9)
        ]
        await self.devices[who].add(rows)
        self.imported |= set(range(first, first + 9))

    async def _flush(self, who: int, pick: int, number: int) -> None:
        await self.devices[who].vault.flush()

    async def _fold(self, who: int, pick: int, number: int) -> None:
        await commit(self.devices[who].session, compaction.fold_tail)

    async def _merge(self, who: int, pick: int, number: int) -> None:
        await commit(self.devices[who].session, fold.merge_full_levels)

    async def _compact(self, who: int, pick: int, number: int) -> None:
        await commit(self.devices[who].session, compaction.compact)

    async def _restore(self, who: int, pick: int, number: int) -> None:
        assert not (await self.devices[who].vault.restore()).audit.damaged

    async def _offline(self, who: int, pick: int, number: int) -> None:
        def away(*_: Any) -> None:
            raise RelayUnreachable("away")

        self.offline.add(who)
        # Half of the time the relay has the commit and only the answer is lost.
        (self.wires[who].replace if pick % 2 else self.wires[who].instead)("commit", away)
        self.wires[who].instead("head", away)

    async def _online(self, who: int, pick: int, number: int) -> None:
        self.offline.discard(who)
        self.wires[who].behave()

    async def _crash(self, who: int, pick: int, number: int) -> None:
        """The process is gone in between; the next one knows what is on disk."""
        self.bench.drop(self.devices[who])
        self.devices[who] = await self.bench.reopen(f"d{who}")
        wire = Hostile(self.devices[who].session.transport)
        self.devices[who].session.transport = wire
        self.wires[who] = wire
        self.offline.discard(who)

    async def _agree(self) -> None:
        for who, device in enumerate(self.devices):
            await self._online(who, 0, 0)
            await device.vault.flush()
        exports = []
        for who, device in enumerate(self.devices):
            target = self.folder / f"export-{who}"
            await device.vault.export(target)
            exports.append({str(p.relative_to(target)): p.read_bytes() for p in target.rglob("*") if p.is_file()})
        assert exports[0] == exports[1] == exports[2]
        lines = [
            json.loads(line)
            for name, data in exports[0].items()
            if name.startswith("chats")
            for line in data.splitlines()
        ]
        self._means_what_was_done(lines)

    def _means_what_was_done(self, lines: list[dict[str, Any]]) -> None:
        by_type: dict[str, list[dict[str, Any]]] = {kind: [] for kind in ("message", "edit", "delete", "reaction")}
        for line in lines:
            by_type[line["type"]].append(line)
        once = [(line["conversation"], line["id"]) for line in by_type["message"]]
        assert len(once) == len(set(once))
        alive = {(said.ref.chat, said.ref.id) for said in self.said if not said.deleted}
        assert set(once) == alive | {(f"chat {number % 3}", f"old {number}") for number in self.imported}
        deletes = [(line["conversation"], line["id"]) for line in by_type["delete"]]
        assert sorted(deletes) == sorted((said.ref.chat, said.ref.id) for said in self.said if said.deleted)
        for said in self.said:
            mine = [line for line in lines if (line["conversation"], line["id"]) == (said.ref.chat, said.ref.id)]
            texts = [line["text"] for line in mine if line["type"] in ("message", "edit")]
            assert sorted(texts) == ([] if said.deleted else sorted(said.texts))
            if len(said.editors) == 1 and not said.deleted:
                assert texts == said.texts
            emojis = {line["emoji"] for line in mine if line["type"] == "reaction"}
            assert emojis == (set() if said.deleted else said.emojis)
