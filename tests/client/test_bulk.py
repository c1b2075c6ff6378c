"""Large imports: full frames, few commits, the worker process, and what happens when something goes wrong."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from strongroom import bulk, importing, worker
from strongroom.columns import Columns
from strongroom.importing import Added, import_columns, import_rows
from strongroom.transport.base import CommitRequest, CommitResponse
from strongroom_protocol.errors import ImportRefused, InvalidArgument, RelayConflict
from strongroom_protocol.rows.model import Op, Row
from vaults import Bench, Device, messages_of, rows_of, sample_rows, talk

ROWS = 10_000


@pytest.fixture
async def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Bench]:
    monkeypatch.setattr(importing, "BULK_ROWS", 1_000)
    made = Bench(tmp_path)
    yield made
    made.close()


def chat(name: str = "c", count: int = ROWS, *, start: int = 1_700_000_000_000, text: str = "says") -> Columns:
    return Columns(
        conversation=name, time=range(start, start + count * 1000, 1000), id=range(count),
        sender=[f"s{n % 5}" for n in range(count)], text=[f"{text} {n}" for n in range(count)],
    )  # fmt: skip


def mixed(count: int, chats: int) -> Iterator[Columns]:
    """Messages of several chats in order of time, a few hundred at once."""
    for at in range(0, count, 500):
        places = range(at, min(count, at + 500))
        yield Columns(
            conversation=[f"c{place * 7 % chats}" for place in places], time=[10**12 + place for place in places],
            id=[None if place % 3 else f"x{place}" for place in places], text=[f"message {place}" for place in places],
        )  # fmt: skip


async def frames_of(device: Device) -> list[int]:
    snapshot = await device.snapshot()
    return [ref.rows for run in snapshot.root.runs for _, ref in await snapshot.entries(run)]


def said(added: Added) -> tuple[int, int, int]:
    return sum(added.written.values()), added.known, added.commits


async def test_an_import_lies_as_a_merge_would_leave_it(bench: Bench) -> None:
    device = await bench.create()
    added = await import_columns(device.session, [chat()])
    assert said(added) == (ROWS, 0, 1)
    assert await frames_of(device) == [4096, 4096, ROWS - 2 * 4096 - 128, 128]
    (row,) = await device.vault.chats()
    assert (row.rows, row.preview) == (ROWS, f"says {ROWS - 1}")


async def test_a_large_import_and_small_ones_give_the_same_history(bench: Bench, tmp_path: Path) -> None:
    rows = [*sample_rows(3), *talk("chat", 3000)]
    one = await bench.create()
    await import_rows(one.session, rows)
    other = await bench.create("berta", folder="b")
    for at in range(0, len(rows), 900):
        await import_rows(other.session, rows[at : at + 900])
    first, second = await messages_of(await one.snapshot()), await messages_of(await other.snapshot())
    assert {chat: [(m.id, m.time) for m in messages] for chat, messages in first.items()} == {
        chat: [(m.id, m.time) for m in messages] for chat, messages in second.items()
    }
    assert [row.preview for row in await one.vault.chats()] == [row.preview for row in await other.vault.chats()]


@pytest.mark.parametrize("limit", ["WAITING_BYTES", "PIECE_BYTES"])
async def test_pieces_are_bounded_and_none_is_lost(bench: Bench, monkeypatch: pytest.MonkeyPatch, limit: str) -> None:
    monkeypatch.setattr(bulk, limit, 60_000)
    monkeypatch.setattr(bulk, "SEND_ROWS", 1_000)
    device = await bench.create()
    added = await import_columns(device.session, mixed(40_000, 3))
    assert said(added)[:2] == (40_000, 0)
    assert added.commits > 1
    assert sum(map(len, (await rows_of(await device.snapshot())).values())) == 40_000
    again = await import_columns(device.session, mixed(40_000, 3))
    assert said(again) == (0, 40_000, 0)


async def test_a_changed_message_becomes_an_edit_once(bench: Bench) -> None:
    device = await bench.create()
    await import_columns(device.session, [chat()])
    changed = [f"says {n}" if n % 1000 else f"said {n}" for n in range(ROWS)]
    new = Columns(conversation="c", time=chat().time, id=chat().id, sender=chat().sender, text=changed)
    added = await import_columns(device.session, [new])
    assert (dict(added.written), added.known, added.commits) == ({Op.EDIT: 10}, ROWS - 10, 1)
    assert len((await device.snapshot()).tail) == 1, "ten rows are a batch"
    again = await import_columns(device.session, [new])
    assert said(again) == (0, ROWS, 0)


async def test_the_same_messages_twice_and_out_of_order_in_one_import_count_once(bench: Bench) -> None:
    device = await bench.create()
    added = await import_columns(device.session, [chat(), chat(count=3000), chat("d"), chat(count=9000)])
    assert said(added)[:2] == (2 * ROWS, 12_000)
    found = await rows_of(await device.snapshot())
    assert {name: len(rows) for name, rows in found.items()} == {"c": ROWS, "d": ROWS}


async def test_newest_first_is_stored_too(bench: Bench) -> None:
    device = await bench.create()
    times = range(10**12 + ROWS, 10**12, -1)
    await import_columns(device.session, [Columns(conversation="c", time=times, text=list(map(str, times)))])
    rows = (await rows_of(await device.snapshot()))["c"]
    assert [row.time for row in rows] == sorted(times)


@pytest.mark.parametrize("program", ["raise SystemExit", "import sys; sys.stdin.buffer.read(99); raise SystemExit"])
async def test_without_its_worker_an_import_goes_on(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, program: str
) -> None:
    monkeypatch.setattr(worker, "_PROGRAM", program)
    device = await bench.create()
    assert said(await import_columns(device.session, [chat(), chat("d")])) == (2 * ROWS, 0, 1)


async def test_without_an_interpreter_no_process_is_started(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "frozen", True, raising=False)
    monkeypatch.setattr(subprocess, "Popen", lambda *a, **k: pytest.fail("started"))
    device = await bench.create()
    assert said(await import_columns(device.session, [chat()])) == (ROWS, 0, 1)


def test_the_worker_loads_no_code_that_handles_keys() -> None:
    code = "import strongroom.worker, sys; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert not [name for name in loaded if name.startswith(("strongroom_protocol.keys", "nacl", "cryptography"))]


async def test_a_lost_race_commits_the_same_frames(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    device = await bench.create()
    other = await bench.login(confirm=True)
    await device.session.snapshot()
    send, lost = device.session.transport.commit, 0

    async def late(account: bytes, request: CommitRequest) -> CommitResponse:
        nonlocal lost
        if not lost:
            lost += 1
            await other.add(talk("other", 3))
        return await send(account, request)

    monkeypatch.setattr(device.session.transport, "commit", late)
    added = await import_columns(device.session, [chat()])
    assert said(added) == (ROWS, 0, 1)
    assert lost == 1
    found = await rows_of(await device.snapshot())
    assert {name: len(rows) for name, rows in found.items()} == {"c": ROWS, "other": 3}


async def test_an_error_says_how_much_was_committed_before(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bulk, "WAITING_BYTES", 1)
    device = await bench.create()

    def rows() -> Iterator[tuple[str, Row]]:
        yield from talk("c", 12_000)
        raise ImportRefused("the second file is none")

    with pytest.raises(ImportRefused, match=r"the second file is none; 8,192 rows before it were imported"):
        await import_rows(device.session, rows())
    assert len((await rows_of(await device.snapshot()))["c"]) == 8192
    assert said(await import_rows(device.session, talk("c", 12_000)))[:2] == (12_000 - 8192, 8192)
    with pytest.raises(InvalidArgument, match=r"row 2 cannot be stored: .*; nothing was imported"):
        await import_columns(device.session, [Columns(conversation="c", time=[1, -1])])


async def test_a_repeated_race_is_given_up(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    device = await bench.create()

    async def never(account: bytes, request: CommitRequest) -> CommitResponse:
        raise RelayConflict("somebody was first")

    monkeypatch.setattr(device.session.transport, "commit", never)
    with pytest.raises(RelayConflict):
        await import_columns(device.session, [chat()])
