"""Pages of a chat against the whole of it: every window is a slice of what a full reading gives."""

from __future__ import annotations

import asyncio
import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from strongroom import windows
from strongroom.commit import commit
from strongroom.engine import compaction
from strongroom_protocol.rows.detail import AT
from strongroom_protocol.rows.model import DeleteKind, Op, Row
from vaults import Bench

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
