"""Keeping and erasing: what is shown goes, nothing else does, nothing of it is left (ADR 0017, chapters 08.9, 10)."""

from __future__ import annotations

import asyncio
import io
import json
import tempfile
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from adversary.hostile import Hostile
from plaintexts import plaintexts
from strongroom import importing
from strongroom.columns import Columns
from strongroom.commit import commit
from strongroom.compose import message
from strongroom.engine import compaction, cutting, fold, grouping, run_writer
from strongroom.engine.listed import unlisted
from strongroom.engine.listing import read_rows
from strongroom.policies import Policy
from strongroom_protocol.errors import IncompleteError, InvalidArgument, NotFound, RelayUnreachable
from strongroom_protocol.limits import LIMITS
from strongroom_protocol.rows.detail import AT
from strongroom_protocol.rows.ids import conversation_key
from strongroom_protocol.rows.model import Op, Row
from vaults import Bench, Device, talk, titled

DAY = 86_400_000
NOW = 1_700_000_000_000


@pytest.fixture
async def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Bench]:
    made_small(monkeypatch)
    made = Bench(tmp_path)
    yield made
    made.close()


def made_small(patch: pytest.MonkeyPatch) -> None:
    """Frames of few rows, and merges of few runs."""
    for module in (cutting, grouping, run_writer):
        patch.setattr(module, "LIMITS", replace(LIMITS, head_frame_rows=4, frame_rows=16))
    patch.setattr(fold, "FAN_IN", 3)


async def exported(device: Device, folder: Path) -> dict[str, list[str]]:
    """The lines of every chat's file of an export, by the chat's id."""
    await device.vault.export(folder)
    return await asyncio.to_thread(lines_of, folder)


def lines_of(folder: Path) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for path in sorted(folder.rglob("*.jsonl")):
        lines = path.read_text().splitlines()
        if lines:  # an operation on a message that is not there yet is not exported
            found[json.loads(lines[0])["conversation"]] = lines
    return found


def times(lines: list[str]) -> list[int]:
    """The times of the messages of a chat."""
    return [item["time"] for item in map(json.loads, lines) if item["type"] == "message"]


async def test_old_messages_go_and_all_others_stay(bench: Bench, tmp_path: Path) -> None:
    device = await bench.create()
    await device.add(
        [titled("chat", "A chat"), *talk("chat", 40, start=NOW - 39 * DAY, step=DAY), *talk("new", 5, start=NOW)]
    )
    before = await exported(device, tmp_path / "before")
    await device.vault.set_policy(Policy(days=10))
    plan = await device.vault.keep(now=NOW)
    (cut,) = plan.cuts
    assert (cut.chat, cut.title, cut.messages, cut.files, cut.whole) == ("chat", "A chat", 29, 0, False)
    assert (cut.first, cut.last) == (NOW - 39 * DAY, NOW - 11 * DAY)
    assert await exported(device, tmp_path / "same") == before
    await device.vault.forget(plan)
    after = await exported(device, tmp_path / "after")
    assert after["new"] == before["new"]
    assert times(after["chat"]) == [NOW - n * DAY for n in range(10, -1, -1)]
    assert set(after["chat"]) < set(before["chat"])
    assert (await device.vault.keep(now=NOW)).cuts == ()
    assert [row.title for row in await device.vault.chats() if row.conversation == "chat"] == ["A chat"]
    texts = b"".join(content for _, content in await plaintexts(await device.snapshot(fresh=True)))
    assert b"chat says 28" not in texts
    assert b"chat says 29" in texts


# ---------------------------------------------------------------- any history, any policy


@st.composite
def _steps(draw: st.DrawFn) -> list[list[tuple[str, Row]]]:
    """Commits of rows about few messages of few chats, some of which come twice, are changed, or lie in the future."""
    rows = st.builds(_row, st.sampled_from("abc"), st.integers(-12, 3), st.integers(0, 5), st.integers(0, 2**16))
    return draw(st.lists(st.lists(rows, min_size=1, max_size=12), min_size=1, max_size=5))


def _row(chat: str, day: int, what: int, salt: int) -> tuple[str, Row]:
    at = NOW + day * DAY + salt % 2
    name = f"m{salt % 3}"
    if what == 0:
        return chat, Row(Op.EDIT, at, id=name, sender="s", text=f"edited {salt}", detail={AT: at + salt})
    if what == 1:
        return chat, Row(Op.REACT, at, id=name, sender="t", kind=1, text="+", detail={AT: at})
    if what == 2:
        return chat, Row(Op.DELETE, at, id=name, kind=salt % 2, detail={AT: at})
    if what == 3:
        op = Op.CONVERSATION if salt % 2 else Op.MEMBER
        return chat, Row(op, at, sender=None if salt % 2 else "s", text=f"title {salt}", kind=0)
    return chat, Row(Op.PUT, at, id=name, sender="s", text=f"text {salt} of {chat}")


MESSAGES = ("message", "edit", "reaction", "delete")


def left(lines: list[str], until: int) -> list[str]:
    """What an export holds when messages up to a time have gone: an oracle that knows nothing of rows."""
    found = [(json.loads(line), line) for line in lines]
    return [line for item, line in found if item["type"] not in MESSAGES or item["time"] > until]


def shown(lines: list[str]) -> list[int]:
    """The times of messages with content."""
    return [item["time"] for item in map(json.loads, lines) if item["type"] == "message"]


async def written(device: Device, steps: list[list[tuple[str, Row]]], tidy: int) -> None:
    """The steps as commits, some of them folded or packed."""
    for place, rows in enumerate(steps):
        await device.add(rows)
        if tidy >> place & 1:
            await commit(device.session, compaction.fold_tail)
        if tidy >> place & 2:
            await commit(device.session, compaction.compact)


@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
@given(_steps(), st.integers(0, 255), st.integers(1, 12), st.sampled_from([None, "a"]), st.integers(1, 300))
async def test_what_was_shown_goes_and_every_other_byte_stays(
    steps: list[list[tuple[str, Row]]], tidy: int, days: int, own: str | None, room: int
) -> None:
    """The plan against exports before and after, with days for one chat and bytes for the others."""
    with tempfile.TemporaryDirectory() as name, pytest.MonkeyPatch.context() as patch:
        folder = Path(name)
        made_small(patch)
        bench = Bench(folder)
        device = await bench.create()
        await written(device, steps, tidy)
        before = await exported(device, folder / "before")
        await device.vault.set_policy(Policy(days=days))
        if own in before:
            await device.vault.set_policy(Policy(bytes=room), chat=own)
        plan = await device.vault.keep(now=NOW)
        cuts = {cut.chat: cut for cut in plan.cuts}
        expected = {}
        for chat, lines in before.items():
            if chat == own:
                until = by_bytes(lines, room)
            else:
                until = max((time for time in shown(lines) if time < NOW - days * DAY), default=-1)
            gone = [time for time in shown(lines) if time <= until]
            assert (cuts[chat].messages if chat in cuts else 0) == len(gone)
            assert chat not in cuts or (cuts[chat].first, cuts[chat].last) == (gone[0], gone[-1])
            kept = left(lines, until) if gone else lines
            if kept:
                expected[chat] = kept
        await device.vault.forget(plan)
        after = await exported(device, folder / "after")
        assert after == expected
        assert (await device.vault.keep(now=NOW)).cuts == ()
        assert await unlisted(await device.snapshot()) == set()
        other = await bench.login("b")
        assert await exported(other, folder / "other") == after
        bench.close()


@settings(max_examples=20, deadline=None, suppress_health_check=list(HealthCheck))
@given(_steps(), st.integers(0, 255), st.sampled_from("abc"))
async def test_erasing_a_chat_leaves_every_byte_of_the_others(
    steps: list[list[tuple[str, Row]]], tidy: int, chat: str
) -> None:
    with tempfile.TemporaryDirectory() as name, pytest.MonkeyPatch.context() as patch:
        folder = Path(name)
        made_small(patch)
        bench = Bench(folder)
        device = await bench.create()
        await written(device, steps, tidy)
        before = await exported(device, folder / "before")
        if chat not in {row.conversation for row in await device.vault.chats()}:
            with pytest.raises(NotFound):
                await device.vault.erasure(chat)
        else:
            plan = await device.vault.erasure(chat)
            assert plan.messages == len(shown(before.get(chat, [])))
            await device.vault.forget(plan)
            assert chat not in {row.conversation for row in await device.vault.chats()}
        after = await exported(device, folder / "after")
        assert after == {other: lines for other, lines in before.items() if other != chat}
        assert await unlisted(await device.snapshot()) == set()
        kept = {row.op for row in (await stored(device)).get(chat, [])}
        assert kept <= {Op.FORGET}
        bench.close()


def by_bytes(lines: list[str], room: int) -> int:
    """The time up to which messages have to go, oldest first, so that their texts fit; the future takes no room."""
    sizes: list[tuple[int, int]] = []
    for item in map(json.loads, lines):
        if item["type"] in ("message", "edit"):
            sizes.append((item["time"], len(item.get("text", "").encode())))
    until, total = -1, sum(size for time, size in sizes if time <= NOW)
    for time in sorted({time for time, _ in sizes}):
        if total <= room or time > NOW:
            break
        total -= sum(size for at, size in sizes if at == time)
        until = time
    return until


# ---------------------------------------------------------------- whole chats


def contents(folder: Path) -> bytes:
    """Every byte of a device's folder, names of files included."""
    found = [str(path.relative_to(folder)).replace("/", "").encode() for path in folder.rglob("*")]
    return b"".join(found + [path.read_bytes() for path in folder.rglob("*") if path.is_file()])


async def test_nothing_of_an_erased_chat_is_left_on_the_device_or_named_by_the_head(
    bench: Bench, tmp_path: Path
) -> None:
    """Plaintexts and sealed objects, here and, after its next restore, on a device that had all of it."""
    device = await bench.create()
    other = await bench.login("b", confirm=True)
    await device.add([titled("secret-chat", "Canary title"), *talk("secret-chat", 60), *talk("stays", 60)])
    await device.add([("secret-chat", Row(Op.MEMBER, NOW - 1, sender="s1", text="Canary member"))])
    await device.vault.attach("secret-chat", ("canary.bin", io.BytesIO(bytes(70_000))), time=NOW)
    await device.vault.flush()
    await device.vault.edit((await device.vault.newest("secret-chat"))[-1], "Canary edit", at=NOW)
    await device.vault.flush()
    for one in (device, other):
        await one.vault.restore()
    before = {ref.name async for ref, _ in (await device.snapshot()).objects()}
    kept = await exported(device, tmp_path / "before")

    plan = await device.vault.erasure("Canary title")
    (cut,) = plan.cuts
    assert (cut.chat, cut.messages, cut.files, cut.whole) == ("secret-chat", 61, 1, True)
    await device.vault.set_policy(Policy(days=1), chat="secret-chat")
    await device.vault.forget(plan)
    snapshot = await device.snapshot(fresh=True)
    after = {ref.name async for ref, _ in snapshot.objects()}
    assert [row.conversation for row in await device.vault.chats()] == ["stays"]
    assert await exported(device, tmp_path / "after") == {"stays": kept["stays"]}
    assert device.vault.policies().own == {}
    opened = b"".join(content for _, content in await plaintexts(snapshot))
    for canary in (b"Canary title", b"Canary member", b"Canary edit", b"canary.bin", b"secret-chat says 7"):
        assert canary not in opened
    folder = tmp_path / "a"
    everything = contents(folder)
    assert b"secret-chat" not in everything
    assert [name for name in before - after if name.hex().encode() in everything] == []
    assert any(name.hex().encode() in contents(tmp_path / "b") for name in before - after)

    assert [row.conversation for row in await other.vault.chats()] == ["stays"]
    with pytest.raises(NotFound):
        await other.vault.newest("secret-chat")
    await other.vault.restore()
    everything = contents(tmp_path / "b")
    assert [name for name in before - after if name.hex().encode() in everything] == []


@pytest.mark.parametrize("by_erasing", [False, True])
@pytest.mark.spec("ENG-17", "FORGET-3")
async def test_what_is_forgotten_shows_nowhere_before_it_is_taken_out(
    bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, by_erasing: bool
) -> None:
    """Killed after the first commit: nobody shows it any more, and the next call takes it out."""
    device = await bench.create()
    other = await bench.login("b", confirm=True)
    await device.add([*talk("gone", 30), *talk("cut", 30), titled("cut", "Cut")])
    await commit(device.session, compaction.fold_tail)
    await device.vault.set_policy(Policy(bytes=60))
    await device.vault.set_policy(Policy(days=9), chat="gone")

    async def killed(change: object) -> bool:
        raise KeyboardInterrupt

    plan = await device.vault.keep(now=NOW + DAY, chat="cut")
    with monkeypatch.context() as patch:
        patch.setattr(compaction, "purge", killed)
        for chosen in (plan, await device.vault.erasure("gone")):
            with pytest.raises(KeyboardInterrupt):
                await device.vault.forget(chosen if chosen is not plan else plan)
            plan = await device.vault.keep(now=NOW + DAY, chat="cut")
    assert b"cut says 3" in b"".join(content for _, content in await plaintexts(await device.snapshot()))
    seen: list[dict[str, list[str]]] = []
    for one in (device, other):
        assert [row.conversation for row in await one.vault.chats()] == ["cut"]
        rows = await read_rows(await one.snapshot())
        assert {(row.conversation, row.preview) for row in rows.values()} == {("cut", "cut says 29"), ("gone", "")}
        found = [item.text for item in await one.vault.newest("cut", count=100)]
        assert found == [item.text for item in await one.vault.around("cut", NOW + 15_000, count=100)]
        assert found
        assert found == [f"cut says {n}" for n in range(30 - len(found), 30)]
        seen.append(await exported(one, tmp_path / str(len(seen))))
    assert seen[0] == seen[1]
    bench.drop(device)
    again = await bench.reopen("a")
    if by_erasing:
        with pytest.raises(NotFound):
            await again.vault.erasure("gone")
    else:
        await again.vault.forget(await again.vault.keep(now=NOW + DAY))
    assert conversation_key("gone") not in again.vault.policies().own
    assert b"says" not in contents(tmp_path / "a")
    assert await exported(again, tmp_path / "last") == seen[0]
    texts = b"".join(content for _, content in await plaintexts(await again.snapshot(fresh=True)))
    assert b"gone says" not in texts
    assert b"cut says 3 " not in texts + b" "


async def test_an_erased_chat_begins_anew_and_what_was_on_its_way_stays_out(bench: Bench) -> None:
    device = await bench.create()
    other = await bench.login("b", confirm=True)
    await device.add(talk("chat", 5))
    hostile = other.session.transport = Hostile(other.session.transport)
    hostile.instead("commit", unreachable)
    await other.vault.append("chat", message("written before, sent after", time=NOW + 99, id="late"))
    await device.vault.forget(await device.vault.erasure("chat"))
    hostile.behave()
    await other.vault.flush()
    for one in (device, other):
        assert await one.vault.chats() == []
    assert "late" in [row.id for rows in (await stored(device)).values() for row in rows]
    await device.vault.append("chat", message("anew", id="new"))
    await device.vault.flush()
    for one in (device, other):
        assert [item.text for item in await one.vault.newest("chat")] == ["anew"]
    assert (await device.add(talk("chat", 5))).kept_out == 5
    await device.vault.compact()
    assert [row.id for row in (await stored(device))["chat"] if row.op == Op.PUT] == ["new"]


async def unreachable(*_: object, **__: object) -> object:
    raise RelayUnreachable("away")


async def stored(device: Device) -> dict[str, list[Row]]:
    """Every row as it lies in frames and batches."""
    snapshot = await device.snapshot(fresh=True)
    found: dict[str, list[Row]] = {}
    for run in snapshot.root.runs:
        for frame in await snapshot.frames_of(await snapshot.entries(run)):
            assert frame is not None
            found.setdefault(frame.conversation, []).extend(frame.rows())
    for _, frames in snapshot.tail:
        for frame in frames:
            found.setdefault(frame.conversation, []).extend(frame.rows())
    return found


@pytest.mark.spec("FORGET-5")
@pytest.mark.parametrize("bulk", [False, True])
async def test_an_export_imported_again_is_kept_out_and_counted(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, bulk: bool
) -> None:
    if bulk:
        monkeypatch.setattr(importing, "BULK_ROWS", 10)
        monkeypatch.setattr(importing, "CHUNK_ROWS", 5)
    device = await bench.create()
    old = [titled("gone", "Gone"), *talk("gone", 20), *talk("cut", 20), titled("cut", "Cut")]
    await device.add(old)
    await device.vault.set_policy(Policy(bytes=60), chat="cut")
    await device.vault.forget(await device.vault.erasure("gone"))
    plan = await device.vault.keep(now=NOW + DAY)
    await device.vault.forget(plan)
    before = await stored(device)
    version = device.session.pin.head_version
    added = await device.add(old)
    assert (dict(added.written), added.kept_out) == ({}, 20 + plan.messages)
    assert added.known == 20 - plan.messages
    assert (device.session.pin.head_version, await stored(device)) == (version, before)


async def test_undo_brings_back_what_was_taken_out(bench: Bench, tmp_path: Path) -> None:
    device = await bench.create()
    other = await bench.login("b", confirm=True)
    await device.add([titled("gone", "Gone"), *talk("gone", 20), *talk("cut", 20)])
    await device.vault.attach("gone", ("a.bin", io.BytesIO(bytes(9000))), time=NOW)
    await device.vault.flush()
    before = await exported(device, tmp_path / "before")
    to = device.session.pin.head_version
    await device.vault.set_policy(Policy(bytes=60), chat="cut")
    await device.vault.forget(await device.vault.keep(now=NOW + DAY))
    await device.vault.forget(await device.vault.erasure("gone"))
    await other.add(talk("other", 1, start=NOW + DAY))
    async with await bench.owner(device) as owner:
        await owner.undo(to, device.session.device.id)
    after = await exported(device, tmp_path / "after")
    assert {chat: after[chat] for chat in before} == before
    assert times(after["other"]) == [NOW + DAY]
    assert (await device.vault.verify()).damaged == {}


async def test_messages_of_the_future_are_kept_by_policies_and_erased_one_by_one(bench: Bench) -> None:
    device = await bench.create()
    future = 4_000_000_000_000
    await device.add([*talk("chat", 3), *talk("chat", 2, start=future, ids="f")])
    await device.vault.set_policy(Policy(days=1, bytes=1))
    plan = await device.vault.keep()
    assert [(cut.messages, cut.last) for cut in plan.cuts] == [(3, NOW + 2000)]
    await device.vault.forget(plan)
    assert [item.time for item in await device.vault.newest("chat")] == [future, future + 1000]
    await device.vault.forget(await device.vault.erasure("chat"))
    rows = [row for row in (await stored(device))["chat"] if row.op == Op.PUT]
    assert rows == []
    await device.vault.append("chat", message("now", id="now"))
    await device.vault.flush()
    assert [item.text for item in await device.vault.newest("chat") if not item.deleted] == ["now"]


async def test_an_edit_does_not_make_a_message_younger(bench: Bench) -> None:
    device = await bench.create()
    await device.add([("chat", Row(Op.PUT, NOW - 9 * DAY, id="m", sender="s", text="old"))])
    await device.add([("chat", Row(Op.EDIT, NOW - 9 * DAY, id="m", sender="s", text="edited", detail={AT: NOW}))])
    await device.vault.set_policy(Policy(days=5))
    assert [cut.messages for cut in (await device.vault.keep(now=NOW)).cuts] == [1]


async def test_nothing_goes_that_was_not_shown(bench: Bench, tmp_path: Path) -> None:
    device = await bench.create()
    other = await bench.login("b", confirm=True)
    await device.add(talk("chat", 5))
    await device.vault.set_policy(Policy(days=5))
    plan = await device.vault.keep(now=NOW + 9 * DAY)
    await other.add(talk("new", 1, start=NOW + 20 * DAY))  # nothing that the plan is about
    await other.add(talk("chat", 1, start=NOW - DAY, ids="more"))
    before = await exported(other, tmp_path / "before")
    with pytest.raises(InvalidArgument, match="has changed since this was shown"):
        await device.vault.forget(plan)
    assert await exported(device, tmp_path / "after") == before
    plan = await device.vault.keep(now=NOW + 9 * DAY)
    await other.add(talk("new", 1, start=NOW + 21 * DAY))
    await device.vault.forget(plan)
    assert list(await exported(device, tmp_path / "last")) == ["new"]


@pytest.mark.spec("FORGET-4")
async def test_an_empty_chat_and_one_whose_files_alone_are_old(bench: Bench, tmp_path: Path) -> None:
    device = await bench.create()
    await device.add([titled("empty", "Empty")])
    await device.vault.attach("files", ("a.bin", io.BytesIO(b"a" * 9000)), time=NOW - 9 * DAY, text="with a")
    await device.vault.attach("files", ("b.bin", io.BytesIO(b"b" * 9000)), time=NOW, text="with b")
    await device.vault.flush()
    await device.vault.forget(await device.vault.erasure("Empty"))
    assert [row.conversation for row in await device.vault.chats()] == ["files"]
    await device.vault.set_policy(Policy(media_days=5))
    plan = await device.vault.keep(now=NOW)
    assert [(cut.messages, cut.files, cut.bytes, cut.last) for cut in plan.cuts] == [(0, 1, 9000, NOW - 9 * DAY)]
    await device.vault.forget(plan)
    first, second = await device.vault.newest("files")
    assert [(item.text, item.attachments[0].state) for item in (first, second)] == [
        ("with a", "removed"), ("with b", "present"),
    ]  # fmt: skip
    assert len(await (await device.snapshot(fresh=True)).media()) == 1
    await device.vault.save(second.attachments[0], tmp_path / "b.bin")
    assert (tmp_path / "b.bin").read_bytes() == b"b" * 9000
    # A policy by bytes takes files before it takes messages.
    await device.vault.set_policy(Policy(bytes=100))
    plan = await device.vault.keep(now=NOW)
    assert [(cut.messages, cut.files, cut.bytes) for cut in plan.cuts] == [(0, 1, 9000)]


async def test_the_search_index_forgets_too(bench: Bench, tmp_path: Path) -> None:
    device = await bench.create()
    await device.add([*talk("gone", 5), *talk("cut", 5)])
    await device.add([("gone", Row(Op.PUT, NOW, id="x", sender="s", text="xylophone"))])
    await device.add([("cut", Row(Op.PUT, NOW - DAY, id="y", sender="s", text="zeppelin"))])
    await device.vault.index()
    folder = tmp_path / "a"
    assert b"xylophone" in contents(folder)
    assert b"zeppelin" in contents(folder)
    await device.vault.set_policy(Policy(days=1), chat="cut")
    await device.vault.forget(await device.vault.erasure("gone"))
    await device.vault.forget(await device.vault.keep(now=NOW + DAY))
    left = contents(folder)
    assert b"xylophone" not in left
    assert b"zeppelin" not in left
    found = await device.vault.search("says")
    assert {item.chat for item in found.hits} == {"cut"}
    assert len(found.hits) == 5


@pytest.mark.parametrize("stored", [b"\xa0", b"\x81\x82\x41a\x83\x00\xf6\xf6", b"\x01", b"\x81\x82\x40\x83\xf6\xf6"])
async def test_policies_that_cannot_be_read_are_not_guessed_at(bench: Bench, stored: bytes) -> None:
    device = await bench.create()
    await device.add(talk("chat", 3))
    device.session.state.put({"policies": stored})
    with pytest.raises(InvalidArgument):
        await device.vault.keep()
    assert len(await device.vault.newest("chat")) == 3


async def test_a_state_that_cannot_be_read_whole_lets_nothing_go(bench: Bench) -> None:
    device = await bench.create()
    await device.add(talk("chat", 60))
    await commit(device.session, compaction.fold_tail)
    hostile = device.session.transport = Hostile(device.session.transport)
    snapshot = await device.snapshot(fresh=True)
    lost = {frame.segment for run in snapshot.root.runs for _, frame in await snapshot.entries(run)}
    device.session.base = None

    def without(found: list[bytes | None], _: bytes, ranges: list[tuple[bytes, int, int]]) -> list[bytes | None]:
        return [None if name in lost else data for (name, _, _), data in zip(ranges, found, strict=True)]

    hostile.replace("read", without)
    await device.vault.set_policy(Policy(days=1))
    for asked in (device.vault.keep(), device.vault.erasure("chat")):
        with pytest.raises(IncompleteError):
            await asked


async def test_nobody_appends_what_forgets(bench: Bench) -> None:
    device = await bench.create()
    with pytest.raises(InvalidArgument):
        await device.vault.append("chat", Row(Op.FORGET, NOW, kind=2))
    with pytest.raises(InvalidArgument):
        await device.vault.import_(Columns(conversation="chat", time=[NOW], sender=None, text=None, op=[Op.FORGET]))


async def test_attack_what_a_stolen_device_forgets_comes_back_with_what_others_wrote_meanwhile(bench: Bench) -> None:
    device = await bench.create()
    thief = await bench.login("b", confirm=True)
    await device.add(talk("chat", 5))
    to = device.session.pin.head_version
    await thief.vault.forget(await thief.vault.erasure("chat"))
    await device.vault.append("chat", message("older than that", time=NOW + 99_000, id="late"))
    await device.vault.flush()
    assert await device.vault.chats() == []
    await device.vault.compact()
    async with await bench.owner(device) as owner:
        await owner.undo(to, thief.session.device.id)
    expected = [*(f"chat says {n}" for n in range(5)), "older than that"]
    assert [item.text for item in await device.vault.newest("chat")] == expected
    assert (await device.vault.verify()).damaged == {}
