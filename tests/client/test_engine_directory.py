"""The chat list: titles whatever comes late, chats that are not recent, and a log that does not grow (chapter 08.5)."""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from adversary.hostile import Hostile
from strongroom.commit import commit
from strongroom.engine import compaction, directory, listing
from strongroom.engine.listing import described, read_rows
from strongroom.engine.reading import chat_rows, newest, recent_rows, row_of
from strongroom.engine.snapshot import Snapshot
from strongroom_protocol.rows.detail import AT
from strongroom_protocol.rows.ids import conversation_key
from strongroom_protocol.rows.merge import Order, facts
from strongroom_protocol.rows.model import DeleteKind, Op, Origin, Row
from strongroom_protocol.rows.table import Frame, sort_key
from vaults import Bench, Device, rows_of, talk, titled

START = 1_700_000_000_000
NOW = Order(START)


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[Bench]:
    made = Bench(tmp_path)
    yield made
    made.close()


async def fold_in(device: Device, rows: list[tuple[str, Row]]) -> None:
    await device.add(rows)
    await commit(device.session, compaction.fold_tail)


# ---------------------------------------------------------------- rows


def title(text: str, time: int, clock: int, device: int = 0, kind: int = 1) -> Row:
    return Row(Op.CONVERSATION, time, text=text, kind=kind, origin=Origin(clock << 16, bytes((device,)) * 16, 1, 0))


def test_a_title_is_the_registers_whatever_order_the_rows_come_in() -> None:
    rows = [
        title("old", 10, 99),
        title("new", 30, 5),
        title("late, but older", 20, 120),
        title("same time", 30, 6, 1, kind=2),
    ]
    expected = facts(rows, Op.CONVERSATION, NOW)[-1]
    assert expected.text == "same time"
    for order in itertools.permutations(rows):
        row = None
        for found in order:
            row = described(Frame.from_rows("chat", [found]), row, NOW)
        assert row is not None
        assert (row.title, row.kind, row.named) == ("same time", 2, (30, expected.origin))
    for count in range(1, 4):  # or in larger pieces
        parts = [sorted(rows[:count], key=sort_key), sorted(rows[count:], key=sort_key)]
        row = described(Frame.from_rows("chat", parts[0]), None, NOW)
        assert described(Frame.from_rows("chat", parts[1]), row, NOW).title == "same time"


def test_a_row_without_a_title_takes_none_away() -> None:
    row = described(Frame.from_rows("chat", [title("named", 10, 1), title("", 20, 2, kind=3)]), None, NOW)
    assert (row.title, row.kind) == ("named", 1)
    row = described(Frame.from_rows("chat", [title("", 20, 2, kind=3)]), None, NOW)
    assert (row.title, row.kind) == ("", 3)
    assert described(Frame.from_rows("chat", [title("named", 10, 1)]), row, NOW).title == "named"


def test_a_title_of_the_far_future_counts_by_operations() -> None:
    """As in chapter 10: beyond a day from now the order of operations decides."""
    far = [title("first", 1 << 44, 1), title("second", 1 << 43, 2)]
    for order in (far, far[::-1]):
        row = None
        for found in order:
            row = described(Frame.from_rows("chat", [found]), row, NOW)
        assert row is not None
        assert row.title == "second"


def test_a_preview_that_was_erased_stays_empty() -> None:
    said = Row(Op.PUT, 50, id="m", sender="s", text="secret", origin=Origin(1, bytes(16), 1, 0))
    gone = Row(Op.DELETE, 50, id="m", kind=DeleteKind.ERASE, detail={AT: 60}, origin=Origin(2, bytes(16), 1, 1))
    for pieces in ([[said, gone]], [[gone, said]], [[said], [gone]], [[gone], [said]], [[said], [gone], [said]]):
        row = None
        for piece in pieces:
            row = described(Frame.from_rows("chat", piece), row, NOW)
        assert row is not None
        assert (row.newest, row.preview, row.sender) == (50, "", "")
    later = Row(Op.PUT, 51, id="n", sender="t", text="on", origin=Origin(3, bytes(16), 1, 2))
    row = described(Frame.from_rows("chat", [later]), row, NOW)
    assert (row.newest, row.preview, row.sender) == (51, "on", "t")


async def test_a_title_that_is_committed_late_does_not_win(bench: Bench) -> None:
    device = await bench.create()
    await fold_in(device, [titled("chat", "New", time=START + 5000), *talk("chat", 3)])
    await device.add([titled("chat", "Old", time=START - 5000)])
    assert [row.title for row in await device.vault.chats()] == ["New"]  # from the tail
    await commit(device.session, compaction.fold_tail)
    assert [row.title for row in await device.vault.chats()] == ["New"]
    await commit(device.session, compaction.compact)
    snapshot = await device.snapshot()
    assert [row.title for row in await chat_rows(snapshot)] == ["New"]
    rows = await rows_of(snapshot)
    assert facts(rows["chat"], Op.CONVERSATION, Order(snapshot.head.time))[-1].text == "New"


# ---------------------------------------------------------------- pages


def chats(count: int, *, start: int = START) -> list[tuple[str, Row]]:
    """Chats of three messages; the later the number, the newer."""
    return [item for n in range(count) for item in talk(f"chat {n}", 3, start=start + n * 10**6)]


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ten chats on the hot page, a handful on a cold one."""
    monkeypatch.setattr(directory, "HOT_ROWS", 10)
    monkeypatch.setattr(directory, "COLD_PAGE_BYTES", 1500)


async def hostile(bench: Bench, folder: str = "b") -> tuple[Device, Hostile]:
    held: list[Hostile] = []

    def wrap(transport: Any) -> Any:
        held.append(Hostile(transport))
        return held[-1]

    return await bench.login(folder, wrap=wrap), held[0]


def read(trace: list[tuple[Any, ...]]) -> set[bytes]:
    """The objects that were asked for."""
    return {item[0] for call, *rest in trace if call == "read" for item in rest[1]}


async def test_a_chat_that_is_not_recent_costs_one_cold_page(bench: Bench, small: None) -> None:
    writer = await bench.create()
    await fold_in(writer, chats(200))
    device, relay = await hostile(bench)
    snapshot = await device.snapshot()
    hot = await snapshot.hot()
    assert hot is not None
    assert (len(hot.rows), len(hot.cold) > 20, len(hot.places)) == (10, True, 190)
    pages = {page.ref.name for page in hot.cold}
    tops = {ref.name for run in snapshot.root.runs for ref in run.index.refs}
    relay.trace.clear()
    row = await row_of(snapshot, "chat 7")
    assert row is not None
    frames = await newest(snapshot, row, 50)
    assert sum(map(len, frames)) == 3
    asked = read(relay.trace)
    assert len(asked & pages) == 1
    assert not asked & tops
    assert len([call for call, *_ in relay.trace if call == "read"]) == 2  # the page; the frames
    assert await row_of(snapshot, "no such chat") is None
    assert await row_of(snapshot, "chat 199") == hot.rows[0]


async def test_a_first_screen_reads_no_cold_page(bench: Bench, small: None) -> None:
    writer = await bench.create()
    await fold_in(writer, chats(100))
    await writer.add(talk("chat 3", 1, start=START + 10**9))  # in the tail, of a chat that is cold
    device, relay = await hostile(bench)
    relay.trace.clear()
    snapshot = await device.snapshot()
    rows = await recent_rows(snapshot)
    hot = await snapshot.hot()
    assert hot is not None
    assert [row.conversation for row in rows[:2]] == ["chat 3", "chat 99"]
    assert rows[0].rows == 4
    assert len(rows) == 11
    assert len(read(relay.trace) & {page.ref.name for page in hot.cold}) == 1
    assert len([call for call, *_ in relay.trace if call == "read"]) <= 12


async def test_the_log_is_written_anew_before_it_holds_three_times_what_counts(
    bench: Bench, small: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(directory, "LOG_SLACK", 4)
    device = await bench.create()
    await fold_in(device, chats(25))
    shrunk = 0
    before = 0
    for n in range(60):
        await fold_in(device, talk(f"chat {n * 7 % 25}", 1, start=START + 10**9 + n * 1000))
        snapshot = await device.snapshot()
        hot = await snapshot.hot()
        assert hot is not None
        rows = sum(page.rows for page in hot.cold)
        assert rows <= directory.LOG_TIMES * 15 + 4
        assert len(hot.rows) == 10
        shrunk += rows < before
        before = rows
        if n % 10 == 0:
            listed = await read_rows(snapshot)
            assert {row.conversation: row.newest for row in listed.values()} == await _newest(snapshot)
    assert shrunk


async def _newest(snapshot: Snapshot) -> dict[str, int]:
    return {chat: max(row.time for row in rows) for chat, rows in (await rows_of(snapshot)).items()}


async def test_a_damaged_cold_page_costs_only_its_own_chats(bench: Bench, small: None) -> None:
    """Those are made again from their frames; the frames of no other chat are opened for it."""
    writer = await bench.create()
    await fold_in(writer, chats(60))
    device, relay = await hostile(bench)
    snapshot = await device.snapshot()
    expected = await read_rows(snapshot)
    hot = await snapshot.hot()
    assert hot is not None
    lost = {row.conversation for row in (await snapshot.pages([hot.cold[0].ref]))[0] or ()}
    name = hot.cold[0].ref.name
    relay.replace("read", lambda found, account, ranges: [
        None if item[0] == name else piece for item, piece in zip(ranges, found, strict=True)
    ])  # fmt: skip
    opened: set[bytes] = set()
    frames_of = Snapshot.frames_of

    async def counted(self: Snapshot, wanted: Any) -> Any:
        opened.update(key for key, _ in wanted)
        return await frames_of(self, wanted)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Snapshot, "frames_of", counted)
        snapshot = await device.session.load(snapshot.head)
        assert await read_rows(snapshot) == expected
    assert opened == {conversation_key(chat) for chat in lost}
    assert set(snapshot.source.damage) == {name.hex()}
    assert 0 < len(lost) < 20


async def test_conversations_of_one_prefix_are_told_apart(
    bench: Bench, small: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Keys whose first four bytes agree, two by two, on hot and cold pages and moving between them."""

    def key(conversation: str) -> bytes:
        whole = conversation_key(conversation)
        return bytes((0, 0, 0, sum(conversation.encode()) % 8)) + whole[4:]

    for module in (
        "engine.listing", "engine.directory", "engine.fold", "engine.snapshot", "engine.reading", "importing",
        "run_output",
    ):  # fmt: skip
        monkeypatch.setattr(f"strongroom.{module}.conversation_key", key, raising=False)
    monkeypatch.setattr(listing, "conversation_key", key)
    device = await bench.create()
    await fold_in(device, chats(40))
    for n in range(30):
        await fold_in(device, talk(f"chat {n * 11 % 40}", 1, start=START + 10**9 + n * 1000))
        snapshot = await device.snapshot()
        rows = {row.conversation: row for row in (await read_rows(snapshot)).values()}
        assert {chat: row.newest for chat, row in rows.items()} == await _newest(snapshot)
        one = f"chat {n % 40}"
        assert await row_of(snapshot, one) == rows[one]
