"""Pages of a chat against the whole of it: every window is a slice of what a full reading gives."""

from __future__ import annotations

import asyncio
import tempfile
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from strongroom import windows
from strongroom.commit import commit
from strongroom.engine import compaction, recent
from strongroom_protocol.errors import Failure
from strongroom_protocol.manifest.keyring import Discard
from strongroom_protocol.rows.detail import AT
from strongroom_protocol.rows.model import DeleteKind, Op, Row
from vaults import Bench, Device, talk

START = 1_700_000_000_000

_Step = tuple[str, int, int]

steps = st.lists(
    st.tuples(st.sampled_from(["put", "put", "put", "edit", "delete", "react", "again", "fold"]), st.integers(0, 4),
              st.integers(0, 3)),
    min_size=1, max_size=40,
)  # fmt: skip


def _rows(step: _Step, place: int) -> list[tuple[str, Row]]:
    what, at, which = step
    time, ident = START + at, f"m{at}-{which}"
    made = {
        "put": Row(Op.PUT, time, id=ident, sender="a", text=f"text {place}"),
        "again": Row(Op.PUT, time, id=ident, sender="a", text="twice"),
        "edit": Row(Op.EDIT, time, id=ident, sender="a", text=f"edited {place}", detail={AT: START + place}),
        "delete": Row(Op.DELETE, time, id=ident, kind=DeleteKind.ERASE, detail={AT: START + place}),
        "react": Row(Op.REACT, time, id=ident, sender="b", kind=1, text="+", detail={AT: START + place}),
    }
    return [("chat", made[what])] if what in made else []


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps, st.integers(1, 9))
def test_every_window_is_a_slice_of_the_whole(script: list[_Step], count: int) -> None:
    async def run(folder: Path) -> None:
        bench = Bench(folder)
        device = await bench.create()
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(windows, "ROWS", 1)  # every page begins with too few rows
            for place, step in enumerate(script):
                if step[0] == "fold":
                    await commit(device.session, compaction.fold_tail)
                else:
                    await device.add(_rows(step, place))
            vault = device.vault
            if not await vault.chats():
                return
            whole = await vault.newest("chat", count=10_000)
            walked = whole[-count:]
            while walked and (page := await vault.older(walked[0], count=count)):
                assert len(page) <= count
                walked = page + walked
            assert walked == whole
            for time in range(START - 1, START + 6):
                before = [message for message in whole if message.time < time]
                after = [message for message in whole if message.time >= time]
                assert await vault.around("chat", time, count=count) == before[-count:] + after[:count]
        bench.close()

    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(run(Path(folder)))


async def _imported(folder: Path, count: int = 600) -> tuple[Bench, Device, Device]:
    """A chat in one frame, and another device that has nothing here yet."""
    bench = Bench(folder)
    phone = await bench.create()
    desk = await bench.login("b", confirm=True)
    await phone.add(talk("chat", count))
    await commit(phone.session, compaction.fold_tail)
    return bench, phone, desk


async def test_who_leafs_through_a_chat_gets_each_frame_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bench, _, desk = await _imported(tmp_path)
    taken: list[int] = []
    pages = []
    for rows in (0, recent.ROWS):
        monkeypatch.setattr(recent, "ROWS", rows)
        page = await desk.vault.newest("chat", count=20)
        page = await desk.vault.older(page[0], count=20)
        before, pages = desk.session.transport.bytes_received, [page]
        for _ in range(10):
            pages.append(await desk.vault.older(pages[-1][0], count=20))
        taken.append(desk.session.transport.bytes_received - before)
    assert [message.id for page in reversed(pages) for message in page] == [f"m{START}-{at}" for at in range(360, 580)]
    assert taken[0] > 3 * taken[1]  # what is left are the questions for the newest head
    bench.close()


async def test_what_was_opened_before_is_not_shown_once_it_is_forgotten(tmp_path: Path) -> None:
    bench, phone, desk = await _imported(tmp_path)
    (last,) = await desk.vault.newest("chat", count=1)
    assert len(await desk.vault.older(last, count=500)) == 500
    await phone.vault.forget(await phone.vault.erasure("chat"))
    assert await desk.vault.older(last, count=500) == []
    bench.close()


async def test_what_was_opened_before_is_not_read_once_it_was_undone(tmp_path: Path) -> None:
    """A frame whose device was undone is damage, whether it is read or was kept."""
    bench, phone, desk = await _imported(tmp_path)
    snapshot = await desk.session.snapshot()
    (found,) = await windows.at(snapshot, "chat", START)
    discard = Discard(phone.session.device.id, 1, 2**40)
    after = replace(snapshot, discards=(discard,))
    assert await windows.at(after, "chat", found.time) == []
    assert set(after.source.damage.values()) == {Failure.CONTEXT}
    bench.close()
