"""What a review of live updates, keeping and verifying broke, kept as tests (docs/reviews/0006)."""

from __future__ import annotations

import asyncio
import io
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from adversary.hostile import Hostile
from client.test_keeping import contents
from client.test_live import Scene
from client.test_live import scene as scene
from plaintexts import plaintexts
from strongroom import Depth, freshness, message, session, vault, vault_keeping
from strongroom import commit as commit_module
from strongroom.cli.status_verb import _safe
from strongroom.commit import commit
from strongroom.engine import compaction, directory
from strongroom.engine.change import Change
from strongroom.forgetting import UNFINISHED
from strongroom.importing import write_rows
from strongroom.pinning import keep_all_daily
from strongroom.policies import FOREVER, Policy
from strongroom.search import work
from strongroom.session import now_ms
from strongroom_protocol.engine.hot import HotPage
from strongroom_protocol.errors import Failure, IncompleteError, InvalidArgument, RelayRefused, RelayUnreachable
from strongroom_protocol.rows.ids import conversation_key
from strongroom_protocol.rows.model import ForgetKind, Op, Row
from strongroom_protocol.rows.table import unstamped
from strongroom_protocol.seal.objects import HEADER_BYTES, ObjectType
from vaults import Bench, Device, talk, titled

DAY = 86_400_000
NOW = 1_700_000_000_000

Ranges = Sequence[tuple[bytes, int, int]]


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[Bench]:
    made = Bench(tmp_path)
    yield made
    made.close()


async def hostile(bench: Bench) -> tuple[Device, Hostile]:
    """A device, and the relay that it has."""
    held: list[Hostile] = []

    def wrap(transport: Any) -> Hostile:
        held.append(Hostile(transport))
        return held[-1]

    return await bench.create(wrap=wrap), held[0]


def withhold(relay: Hostile, lost: set[bytes]) -> None:
    """Answer as if these objects were not there."""

    def read(honest: list[bytes | None], _: bytes, ranges: Ranges) -> list[bytes | None]:
        return [None if name in lost else data for data, (name, _, _) in zip(honest, ranges, strict=True)]

    relay.replace("read", read)


async def segments(device: Device) -> list[bytes]:
    """The names of the segments of the newest version."""
    return [ref.name async for ref, kind in (await device.snapshot()).objects() if kind is ObjectType.SEGMENT]


async def four_chats(device: Device) -> None:
    for n in range(4):
        await device.add(talk(f"chat {n}", 1000, start=NOW + n * 10**9))


# -- verify


@pytest.mark.spec("VER-3")
async def test_one_header_does_not_answer_for_every_object(bench: Bench) -> None:
    device, relay = await hostile(bench)
    await four_chats(device)
    content = await segments(device)
    (kept,) = await relay.honest.read(device.session.account, [(content[0], 0, HEADER_BYTES)])

    def read(honest: list[bytes | None], _: bytes, ranges: Ranges) -> list[bytes | None]:
        return [
            kept if name in content and length == HEADER_BYTES else data
            for data, (name, _, length) in zip(honest, ranges, strict=True)
        ]

    relay.replace("read", read)
    found = await device.vault.verify(Depth.quick())
    assert set(found.damaged.values()) == {Failure.CONTEXT}
    assert len(found.damaged) == len(content) - 1 > 1


@pytest.mark.spec("VER-4")
async def test_a_sample_hears_what_the_relay_itself_says_is_gone(bench: Bench) -> None:
    device, relay = await hostile(bench)
    await four_chats(device)
    content = await segments(device)

    def read(honest: list[bytes | None], _: bytes, ranges: Ranges) -> list[bytes | None]:
        return [None if length == 1 else data for data, (_, _, length) in zip(honest, ranges, strict=True)]

    relay.replace("read", read)
    relay.replace("missing", lambda _, account, names: [name for name in names if name in content])
    found = await device.vault.verify(Depth.sample(1))
    assert (found.examined, found.damaged) == (1, {name.hex(): Failure.MISSING for name in content})
    assert found.rows_lost == found.rows


@pytest.mark.spec("VER-5")
@pytest.mark.parametrize("depth", [Depth(), Depth.quick(), Depth.sample(50)])
async def test_history_without_its_keys_is_not_all_good(bench: Bench, depth: Depth) -> None:
    device, relay = await hostile(bench)
    await bench.login(confirm=True)
    await device.add(talk("chat", 20))
    assert (await device.vault.verify(depth)).damaged == {}
    relay.instead("keyrings", lambda *_: [])
    assert (await device.vault.verify(depth)).damaged == {"keyrings": Failure.CHAIN}
    # The first alone is a whole chain of its own; but this device knows of another.
    relay.instead("keyrings", lambda account, first: relay_first if first == 1 else [])
    relay_first = (await relay.honest.keyrings(device.session.account, 1))[:1]
    assert (await device.vault.verify(depth)).damaged == {"keyrings": Failure.MISSING}


# -- status


@pytest.mark.spec("CLIENT-60")
async def test_status_calls_nothing_safe_that_it_cannot_read(bench: Bench) -> None:
    device, relay = await hostile(bench)
    await device.add(talk("chat", 3))
    await device.vault.append("chat", message("one", sender="a"))
    await device.vault.flush()
    body = device.session.stored_head().body
    batches = {entry.ref.name for entry in (await device.snapshot()).body.tail}
    for lost in ({body}, batches):
        device.session.base = None
        withhold(relay, lost)
        status = await device.vault.status()
        assert (status.unread, status.version) == (len(lost), device.session.pin.head_version)
        assert _safe(status).startswith("not known: ")
        assert "everything" not in _safe(status)
    relay.behave()
    assert "everything this device appended, is at the relay" in _safe(await device.vault.status())


@pytest.mark.spec("CLIENT-61")
async def test_status_does_not_call_safe_what_the_outbox_cannot_read(bench: Bench) -> None:
    device, relay = await hostile(bench)

    def away(*_: Any) -> Any:
        raise RelayUnreachable("away")

    relay.instead("commit", away)
    await device.vault.append("chat", message("one", sender="a"))
    with pytest.raises(RelayUnreachable):
        await device.vault.flush()
    assert "everything this device appended" not in _safe(await device.vault.status())
    with device.session.state._database as database:
        database.execute("UPDATE outbox SET sealed = zeroblob(100)")
    relay.behave()
    await device.vault.flush()
    status = await device.vault.status()
    assert (status.waiting, status.waiting_damaged) == (0, 1)
    assert "everything this device appended" not in _safe(status)


async def test_no_clock_makes_the_newest_state_newer(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither the writer's, when it is ahead, nor that of a relay which signs a new receipt for the same head."""
    device = await bench.create()
    head = device.session.stored_head().time
    stored = device.session.stored_head()
    for writer, relay in ((0, 300 * DAY), (300 * DAY, 0)):
        monkeypatch.setattr(freshness, "accepted", lambda _, at=head + relay: at)
        monkeypatch.setattr(vault, "now_ms", lambda: head + 300 * DAY)
        monkeypatch.setattr(type(device.session), "stored_head", lambda _, at=head + writer: replace(stored, time=at))
        status = await device.vault.status()
        assert (status.saved, status.age_ms) == (head, 300 * DAY)
        monkeypatch.undo()


# -- keeping and erasing


@pytest.mark.spec("FORGET-8")
async def test_an_erasure_that_did_not_happen_leaves_policy_and_index_alone(bench: Bench) -> None:
    device, relay = await hostile(bench)
    await device.add([*talk("chat", 40, start=NOW), titled("chat", "A chat")])
    await device.vault.set_policy(Policy(days=10))
    await device.vault.set_policy(FOREVER, chat="chat")
    await device.vault.index()
    plan = await device.vault.erasure("chat")

    def away(*_: Any) -> Any:
        raise RelayUnreachable("away")

    relay.instead("commit", away)
    with pytest.raises(RelayUnreachable):
        await device.vault.forget(plan)
    relay.behave()
    await device.vault.forget(await device.vault.keep(now=NOW + 3 * DAY))
    assert (await device.vault.keep(now=NOW + 100 * DAY)).cuts == ()
    assert len((await device.vault.search("says", limit=50)).hits) == 40


@pytest.mark.spec("FORGET-7")
async def test_what_the_relay_withholds_is_taken_out_later_and_said(bench: Bench) -> None:
    device, relay = await hostile(bench)
    await device.add([*talk("chat", 40, start=NOW), titled("chat", "A chat"), *talk("other", 3000, start=NOW)])
    await commit(device.session, compaction.fold_tail)
    await commit(device.session, compaction.compact)
    before = {*await segments(device)}
    plan = await device.vault.erasure("chat")

    def landed(honest: Any, *_: Any) -> Any:
        withhold(relay, before)
        return honest

    relay.replace("commit", landed)
    with pytest.raises(IncompleteError):
        await device.vault.forget(plan)
    assert [row.conversation for row in await device.vault.chats()] == ["other"]
    relay.behave()
    await device.vault.forget(await device.vault.keep())
    opened = b"".join(content for _, content in await plaintexts(await device.snapshot(fresh=True)))
    assert b"chat says" not in opened
    assert b"other says" in opened
    assert device.session.state.get(UNFINISHED) is None


@pytest.mark.spec("FORGET-7")
async def test_what_is_left_to_do_is_not_given_up_because_the_rows_that_forget_cannot_be_read(bench: Bench) -> None:
    device, relay = await hostile(bench)
    await device.add([*talk("chat", 40, start=NOW), *talk("other", 40, start=NOW)])
    plan = await device.vault.erasure("chat")
    forgets: set[bytes] = set()

    async def landed(honest: Any, *_: Any) -> Any:
        relay.behave()
        if not forgets:
            reader = await bench.login()
            forgets.update(entry.ref.name for entry in (await reader.snapshot()).body.tail)
            withhold(relay, forgets)
        return honest

    relay.replace("commit", landed)
    with pytest.raises(IncompleteError):
        await device.vault.forget(plan)
    assert device.session.state.get(UNFINISHED) is not None
    relay.behave()
    await device.vault.forget(await device.vault.keep())
    assert device.session.state.get(UNFINISHED) is None
    opened = b"".join(content for _, content in await plaintexts(await device.snapshot(fresh=True)))
    assert b"chat says" not in opened


@pytest.mark.spec("LIFE-21")
async def test_what_one_head_cannot_drop_is_dropped_though_another_device_was_quicker(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(commit_module, "NAMES", 6)
    device, relay = await hostile(bench)
    other = await bench.login(confirm=True)
    await device.snapshot()
    for n in range(9):
        for chat in ("chat", "other"):
            await device.vault.attach(chat, ("a.bin", io.BytesIO(bytes([n]) * 9000)), time=NOW + n)
    await device.vault.flush()
    before = {ref.name async for ref, _ in (await device.snapshot()).objects()}
    plan = await device.vault.erasure("chat")
    commits = 0

    async def landed(honest: Any, *_: Any) -> Any:
        nonlocal commits
        commits += 1
        if commits == 3:  # the purge; what it could not drop comes next, and some of it is needed again by then
            for n in range(9):
                await other.vault.attach("chat", ("a.bin", io.BytesIO(bytes([n]) * 9000)))
            await other.vault.flush()
        return honest

    relay.replace("commit", landed)
    await device.vault.forget(plan)
    after = {ref.name async for ref, _ in (await device.snapshot(fresh=True)).objects()}
    gone = before - after
    assert len(await device.vault.newest("chat")) == 9
    assert gone
    assert {*await relay.honest.missing(device.session.account, sorted(gone))} == gone
    assert await relay.honest.missing(device.session.account, sorted(after)) == []


@pytest.mark.spec("FORGET-10")
@pytest.mark.parametrize("years", [-10, 10])
async def test_a_clock_that_is_set_wrong_lets_nothing_go(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, years: int
) -> None:
    device = await bench.create()
    await device.add(talk("chat", 3))
    await device.vault.set_policy(Policy(days=4000))
    real = now_ms()
    monkeypatch.setattr(vault_keeping, "now_ms", lambda: real + years * 365 * DAY)
    for asked in (device.vault.keep(), device.vault.erasure("chat")):
        with pytest.raises(InvalidArgument):
            await asked
    monkeypatch.undo()
    assert (await device.vault.keep()).cuts == ()
    assert (await device.vault.erasure("chat")).messages == 3


@pytest.mark.spec("FORGET-9")
async def test_other_devices_keep_nothing_of_what_was_erased(bench: Bench) -> None:
    phone = await bench.create()
    await phone.add([*talk("chat", 40, start=NOW), titled("chat", "A chat"), *talk("other", 40, start=NOW)])
    laptop = await bench.login(confirm=True)
    await laptop.vault.restore()
    await laptop.vault.index()
    folder = laptop.session.state.folder
    before = {ref.name async for ref, _ in (await laptop.snapshot()).objects()}
    assert b"chat says" in contents(folder)
    await phone.vault.forget(await phone.vault.erasure("chat"))
    after = {ref.name async for ref, _ in (await phone.snapshot()).objects()}
    assert [row.conversation for row in await laptop.vault.chats()] == ["other"]
    left = contents(folder)
    assert b"chat says" not in left
    assert b"other says" in left
    assert [name for name in before - after if name.hex().encode() in left] == []


@pytest.mark.spec("FORGET-9")
async def test_the_cache_follows_the_merge_that_comes_after_the_rows(bench: Bench) -> None:
    """A device that looks between the two finds old runs that still hold what is forgotten."""
    phone, relay = await hostile(bench)
    await phone.add([*talk("chat", 40, start=NOW), *talk("other", 40, start=NOW)])
    laptop = await bench.login(confirm=True)
    await laptop.vault.restore()
    folder = laptop.session.state.folder
    before = {ref.name async for ref, _ in (await laptop.snapshot()).objects()}
    plan = await phone.vault.erasure("chat")

    async def landed(honest: Any, *_: Any) -> Any:
        assert "chat" not in [row.conversation for row in await laptop.vault.chats()]
        return honest

    relay.replace("commit", landed)
    await phone.vault.forget(plan)
    after = {ref.name async for ref, _ in (await phone.snapshot()).objects()}
    await laptop.vault.chats()
    assert before - after
    assert [name for name in before - after if name.hex().encode() in contents(folder)] == []


async def test_what_files_in_the_background_does_not_bring_it_back(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(work, "SLICE_ROWS", 100)
    device = await bench.create()
    for n in range(6):
        await device.add(talk("chat", 1000, start=NOW + n * 10**9))
    await device.vault.search("says", patience=0.0)
    searching = device.vault._searching
    assert searching is not None
    filing = searching._task
    assert filing is not None
    assert not filing.done()
    await device.vault.forget(await device.vault.erasure("chat"))
    await asyncio.gather(filing, return_exceptions=True)
    assert b"chat says" not in contents(device.session.state.folder)


async def test_messages_of_the_future_do_not_push_out_all_others(bench: Bench) -> None:
    device = await bench.create()
    await device.add(talk("chat", 40, start=NOW))
    await device.add([("spam", Row(Op.PUT, NOW + 1000 * DAY, id="x", sender="s", text="x" * 100_000))])
    await device.vault.set_policy(Policy(bytes=50_000))
    assert (await device.vault.keep(now=NOW + DAY)).messages == 0
    assert (await device.vault.keep(now=NOW + 2000 * DAY)).messages == 41


# -- live


@pytest.mark.spec("LIVE-13")
async def test_a_message_that_was_withheld_is_told_when_it_can_be_read(scene: Scene) -> None:
    hiding = False

    def read(honest: list[bytes | None], _: bytes, ranges: Ranges) -> list[bytes | None]:
        body = scene.desk.session.stored_head().body
        return [None if hiding and name != body else data for data, (name, _, _) in zip(honest, ranges, strict=True)]

    scene.relay.replace("read", read)
    async with scene.following():
        await scene.say("one")
        assert await scene.texts() == ["one"]
        hiding = True
        await scene.say("two")
        update = await scene.next()
        assert (update.messages, update.complete) == ((), False)
        hiding = False
        await scene.say("three")
        update = await scene.next()
        assert [item.text for item in update.messages] == ["two", "three"]
        assert update.complete
        await scene.say("four")
        assert await scene.texts() == ["four"]


async def test_a_relay_that_is_asked_too_often_does_not_end_it(scene: Scene) -> None:
    async with scene.following() as task:
        refused = asyncio.Event()

        def refuse(*_: Any) -> Any:
            refused.set()
            raise RelayRefused("rate", "too many requests")

        scene.relay.instead("head", refuse)
        await scene.say("one")
        await refused.wait()
        scene.relay.behave()
        await scene.say("two")
        assert await scene.texts() == ["one", "two"]
        assert not task.done()


# -- a row for next year


async def _plant(thief: Device, monkeypatch: pytest.MonkeyPatch, time: int) -> None:
    """A FORGET row whose clock and time are those of a day to come, under a head of today."""

    async def build(change: Change) -> bool:
        row = Row(Op.FORGET, time, kind=ForgetKind.ALL)
        await write_rows(thief.session, change, {conversation_key("chat"): unstamped("chat", [row])})
        return True

    with monkeypatch.context() as patch:
        patch.setattr(session, "now_ms", lambda: time)
        await commit(thief.session, build)


@pytest.mark.spec("FORGET-11")
@pytest.mark.parametrize("packed", [False, True])
async def test_attack_065_what_a_stolen_device_planted_for_next_year_is_taken_out(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, packed: bool
) -> None:
    """Nothing shows it meanwhile, and removing the device does not help."""
    owner = await bench.create()
    thief = await bench.login(confirm=True)
    await owner.add([*talk("chat", 40, start=NOW), titled("chat", "A chat"), *talk("other", 5)])
    year = now_ms() + 365 * DAY
    await _plant(thief, monkeypatch, year)
    if packed:
        await thief.vault.compact()
    async with await bench.owner(owner) as unlocked:
        await unlocked.revoke(thief.session.device.id)
    await owner.add(talk("chat", 40, start=now_ms()))
    assert len(await owner.vault.newest("chat", count=100)) == 80
    found = await owner.vault.verify(Depth.quick())
    assert (found.planted, found.damaged) == (1, {})
    await keep_all_daily(owner.session)
    assert (await owner.vault.verify()).planted == 0
    assert len(await owner.vault.newest("chat", count=100)) == 80
    monkeypatch.setattr(session, "now_ms", lambda: year + 3 * DAY)
    monkeypatch.setattr(commit_module, "now_ms", lambda: year + 3 * DAY)
    await owner.vault.append("chat", message("a year later"))
    await owner.vault.flush()
    assert len(await owner.vault.newest("chat", count=100)) == 81
    assert {row.title for row in await owner.vault.chats() if row.conversation == "chat"} == {"A chat"}


async def test_what_was_erased_stays_out_when_something_planted_is_taken_out(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    owner = await bench.create()
    await owner.add([*talk("chat", 40, start=NOW), *talk("other", 5)])
    await owner.vault.forget(await owner.vault.erasure("chat"))
    assert await owner.vault.uproot() == 0
    await _plant(owner, monkeypatch, now_ms() + 365 * DAY)
    assert await owner.vault.uproot() == 1
    assert await owner.vault.uproot() == 0
    added = await owner.add(talk("chat", 40, start=NOW))
    assert (dict(added.written), added.kept_out) == ({}, 40)


@pytest.mark.spec("VER-6")
@pytest.mark.parametrize("hidden", ["chat", "frames"])
async def test_attack_065_a_chat_list_that_leaves_something_out_is_made_again(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, hidden: str
) -> None:
    """All of it is there, every seal opens, and nobody can see it."""
    owner = await bench.create()
    thief = await bench.login(confirm=True)
    await owner.add([*talk("chat", 700, start=NOW), titled("chat", "A chat"), *talk("other", 700, start=NOW)])
    divided = directory._divided

    def lying(rows: Any) -> Any:
        every = list(rows)
        if hidden == "chat":
            return divided([row for row in every if row.conversation != "chat"])
        return divided([replace(row, frames=(), floor=-1) if row.conversation == "chat" else row for row in every])

    with monkeypatch.context() as patch:
        patch.setattr(directory, "_divided", lying)
        patch.setattr(directory, "_log", lambda *_: HotPage())
        await thief.snapshot()
        await commit(thief.session, compaction.purge)
    if hidden == "chat":
        assert [row.conversation for row in await owner.vault.chats()] == ["other"]
    else:
        assert await owner.vault.newest("chat", count=10) == []
    found = await owner.vault.verify(Depth.quick())
    assert (found.unlisted, found.damaged, found.rows_lost) == (1, {}, 0)
    await keep_all_daily(owner.session)
    found = await owner.vault.verify()
    assert (found.unlisted, found.damaged) == (0, {})
    assert {row.conversation: row.title for row in await owner.vault.chats()} == {"chat": "A chat", "other": ""}
    assert len(await owner.vault.newest("chat", count=1000)) == 700
