"""Following an account: what is told, to whom, and what a relay that lies in its events can do (chapter 18)."""

from __future__ import annotations

import asyncio
import contextlib
import io
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from adversary.hostile import Hostile
from strongroom import InvalidArgument, NotFound, ReadOnly, Settings, Update, message, sending, title
from strongroom import live as live_module
from strongroom.commit import commit
from strongroom.engine import compaction
from strongroom_protocol.errors import RelayRefused, RelayUnreachable, StrongroomError
from strongroom_protocol.relay_api.live import Versions
from vaults import Bench, Device, talk

PATIENCE_S = 20.0
NEVER_S = 3_600.0


async def until(holds: Callable[[], bool]) -> None:
    """Wait until something holds that nobody announces."""
    async with asyncio.timeout(PATIENCE_S):
        while not holds():  # noqa: ASYNC110
            await asyncio.sleep(0.001)


def noted(calls: list[int], seconds: float) -> Callable[[int], float]:
    """A wait that notes how often it was in vain, and is short."""

    def wait(failures: int) -> float:
        calls.append(failures)
        return seconds

    return wait


@dataclass(slots=True)
class Scene:
    """A phone that writes, and a desk that follows it through a relay that can be told to lie."""

    bench: Bench
    phone: Device
    desk: Device
    relay: Hostile
    told: asyncio.Queue[Update] = field(default_factory=asyncio.Queue)

    @contextlib.asynccontextmanager
    async def following(self, *, poll: float | None = None) -> AsyncIterator[asyncio.Task[None]]:
        """The desk watches; yields when it has begun. What ended it is raised."""

        async def follow() -> None:
            async for update in self.desk.vault.watch(poll=poll):
                self.told.put_nowait(update)

        before = self.relay.calls.count("head")
        task = asyncio.create_task(follow())
        await until(lambda: self.relay.calls.count("head") > before and not self.desk.session.lock.locked())
        try:
            yield task
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def say(self, text: str, chat: str = "family", **more: Any) -> None:
        """The phone writes, and it is at the relay."""
        await self.phone.vault.append(chat, message(text, sender="ann", **more))
        await self.phone.vault.flush()

    async def next(self) -> Update:
        async with asyncio.timeout(PATIENCE_S):
            return await self.told.get()

    async def texts(self) -> list[str | None]:
        return [item.text for item in (await self.next()).messages]

    def events(self, *lies: Versions | None, ends: StrongroomError | None = None) -> None:
        """What the relay's stream says from now on; then it ends, or is silent."""

        async def stream(_: bytes) -> AsyncGenerator[Versions | None, None]:
            for lie in lies:
                yield lie
            if ends is not None:
                raise ends
            await asyncio.Event().wait()

        self.relay.instead("events", stream)


@pytest.fixture
async def scene(tmp_path: Path) -> AsyncIterator[Scene]:
    bench = Bench(tmp_path)
    held: list[Hostile] = []

    def wrap(transport: Any) -> Hostile:
        held.append(Hostile(transport))
        return held[-1]

    phone = await bench.create()
    desk = await bench.login(wrap=wrap, confirm=True)
    yield Scene(bench, phone, desk, held[-1])
    for device in bench.devices:
        await device.vault.close()
    if bench.relay is not None:
        bench.close_relay()


async def test_what_others_write_is_told_and_what_this_device_writes_is_not(scene: Scene) -> None:
    async with scene.following():
        await scene.phone.vault.append("family", title("Family"))
        (first,) = await scene.phone.vault.append("family", message("one", sender="ann"))
        await scene.phone.vault.flush()
        update = await scene.next()
        assert (update.version, update.chats, update.complete) == (
            scene.phone.session.pin.head_version,
            ("family",),
            True,
        )
        assert [(item.text, item.sender, item.pending) for item in update.messages] == [("one", "ann", False)]

        await scene.desk.vault.append("family", message("mine", sender="ben"))
        await scene.desk.vault.flush()
        await scene.say("two", "work")
        update = await scene.next()
        assert (update.chats, [item.text for item in update.messages]) == (("work",), ["two"])

        await scene.phone.vault.edit(first, "one, edited", sender="ann")
        await scene.phone.vault.react(first, "👍", sender="ann")
        await scene.phone.vault.flush()
        (item,) = (await scene.next()).messages
        assert (item.text, item.edited, item.reactions) == ("one, edited", True, (("ann", "👍"),))
        await scene.phone.vault.delete(first)
        await scene.phone.vault.flush()
        assert [item.deleted for item in (await scene.next()).messages] == [True]
        await scene.phone.vault.append("family", title("The family"))
        await scene.phone.vault.flush()
        update = await scene.next()
        assert (update.chats, update.messages) == (("family",), ())
    assert scene.told.empty()


async def test_nothing_is_lost_or_told_twice_while_histories_are_packed_and_both_write(scene: Scene) -> None:
    seen: list[str | None] = []
    async with scene.following():
        for n in range(60):
            await scene.phone.vault.append("family", message(f"{n}", sender="ann", time=1_700_000_000_000 + n))
            if n % 3 == 0:
                await scene.desk.vault.append("family", message(f"mine {n}", sender="ben"))
            if n % 4 == 0:
                await scene.phone.vault.flush()
            if n % 7 == 0:
                await scene.desk.vault.flush()
                await scene.desk.vault.chats()
            if n % 20 == 10:
                await commit(scene.phone.session, compaction.fold_tail)
            if n == 45:
                await scene.desk.vault.compact()
        await scene.phone.vault.flush()
        async with asyncio.timeout(PATIENCE_S):
            while "59" not in seen:
                seen += await scene.texts()
    assert seen == [f"{n}" for n in range(60)]
    assert scene.told.empty()


async def test_an_import_is_told_by_chats(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("strongroom.news.MESSAGES", 100)
    async with scene.following():
        await scene.phone.add(talk("old", 300))
        update = await scene.next()
        assert (update.chats, update.messages, update.complete) == (("old",), (), False)
        await scene.say("and on")
        assert await scene.texts() == ["and on"]


async def test_an_event_that_comes_after_other_reads_have_seen_the_news(scene: Scene) -> None:
    """The pin is moved by every read: what was told counts, not what is pinned."""
    said = asyncio.Event()

    async def late(account: bytes) -> AsyncGenerator[Versions | None, None]:
        yield Versions(1, 1)
        await said.wait()
        yield Versions(scene.phone.session.pin.head_version, 1)
        await asyncio.Event().wait()

    scene.relay.instead("events", late)
    async with scene.following():
        await scene.say("seen by another read first")
        assert len(await scene.desk.vault.newest("family")) == 1
        said.set()
        assert await scene.texts() == ["seen by another read first"]


async def test_all_who_watch_share_one_stream(scene: Scene) -> None:
    async with scene.following(), scene.following() as second:
        await scene.say("to both")
        assert await scene.texts() == await scene.texts() == ["to both"]
        second.cancel()
        await asyncio.gather(second, return_exceptions=True)
        await scene.say("to one")
        assert await scene.texts() == ["to one"]
        assert scene.relay.calls.count("events") == 1
    tasks = [task for task in asyncio.all_tasks() if task.get_name() == "live"]
    assert (tasks, scene.told.empty()) == ([], True)


async def test_closing_the_vault_ends_it(scene: Scene) -> None:
    async with scene.following() as task, scene.following(poll=0.01) as polling:
        await scene.say("the last")
        assert await scene.texts() == await scene.texts() == ["the last"]
        await scene.desk.vault.close()
        async with asyncio.timeout(PATIENCE_S):
            await asyncio.gather(task, polling)


async def test_a_removed_device_is_told_so(scene: Scene) -> None:
    async with scene.following() as task:
        async with await scene.bench.owner(scene.phone) as owner:
            await owner.revoke(scene.desk.session.device.id)
        with pytest.raises((NotFound, ReadOnly)):
            async with asyncio.timeout(PATIENCE_S):
                await task


# A relay that lies ---------------------------------------------------------------------------------------------------


@pytest.mark.spec("LIVE-9")
async def test_attack_052_a_flood_of_hints_is_answered_ever_more_seldom(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    pauses: list[int] = []
    monkeypatch.setattr(live_module, "_wait", noted(pauses, 0.001))
    sent = 0

    async def flood(_: bytes) -> AsyncGenerator[Versions | None, None]:
        nonlocal sent
        while True:
            sent += 1
            yield Versions(10**15 + sent, 10**15)
            await asyncio.sleep(0)

    scene.relay.instead("events", flood)
    async with scene.following():
        before = scene.relay.calls.count("head")
        await until(lambda: len(pauses) >= 12)
        assert pauses[:12] == list(range(12))
        assert scene.relay.calls.count("head") - before <= 12 + 3
        assert sent > 100
        await scene.say("something new after all")
        assert await scene.texts() == ["something new after all"]


@pytest.mark.spec("LIVE-9")
def test_the_waits_double_up_to_a_minute() -> None:
    for failures, longest in ((0, 0.5), (1, 1), (5, 16), (7, 60), (10**9, 60)):
        waits = [live_module._wait(failures) for _ in range(50)]
        assert longest / 2 <= min(waits) < max(waits) <= longest


async def test_old_versions_are_no_hint(scene: Scene) -> None:
    await scene.say("before")
    scene.events(*(Versions(head, keyring) for head in (1, 2) for keyring in (1, 2)), None, None)
    async with scene.following():
        asked = scene.relay.calls.count("head")
        await asyncio.sleep(0.1)
        assert scene.relay.calls.count("head") == asked
    assert scene.told.empty()


@pytest.mark.spec("LIVE-10")
async def test_silence_is_bounded(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    """A stream that tells the present, keeps itself alive and never tells anything again."""
    monkeypatch.setattr(live_module, "POLL_S", 0.05)
    monkeypatch.setattr(live_module, "SAFETY_S", 0.05)
    scene.events(Versions(1, 1), None, None)
    async with scene.following():
        await until(lambda: scene.desk.vault._live is not None and scene.desk.vault._live.telling)
        monkeypatch.setattr(live_module, "POLL_S", NEVER_S)
        for n in range(3):
            await scene.say(f"held back {n}")
            assert await scene.texts() == [f"held back {n}"]


@pytest.mark.parametrize(
    "stream",
    [(), (None, None), (NotFound("none"),), (RelayRefused("rate", "too many"),), (RelayUnreachable("gone"),)],
    ids=repr,
)
async def test_without_a_stream_that_tells_anything_it_asks(
    scene: Scene, monkeypatch: pytest.MonkeyPatch, stream: tuple[Any, ...]
) -> None:
    """No route, a proxy that swallows events, a relay that is full."""
    monkeypatch.setattr(live_module, "POLL_S", 0.02)
    monkeypatch.setattr(live_module, "SAFETY_S", NEVER_S)
    ends = stream[-1] if stream and isinstance(stream[-1], StrongroomError) else None
    scene.events(*(item for item in stream if item is None), ends=ends)
    async with scene.following():
        for n in range(3):
            await scene.say(f"asked for {n}")
            assert await scene.texts() == [f"asked for {n}"]


async def test_streams_that_end_at_once_are_opened_ever_more_seldom(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    waits: list[int] = []
    monkeypatch.setattr(live_module, "_wait", noted(waits, 0.0))
    scene.events(Versions(10**15, 1), ends=RelayUnreachable("ended"))
    device = scene.desk
    for steady, expected in ((20.0, [1, 2, 3, 4, 5]), (0.0, [0, 0, 0, 0, 0])):
        monkeypatch.setattr(live_module, "STEADY_S", steady)
        waits.clear()
        live = live_module.Live(device.session)
        follower = live_module.Follower(device.session, device.vault._reader, live)
        live.join(follower)
        await until(lambda: len(waits) >= 5)
        await live.leave(follower)
        assert waits[:5] == expected


async def test_what_is_withheld_is_not_passed_over_in_silence(scene: Scene) -> None:
    async with scene.following():
        await scene.say("all is well")
        assert await scene.texts() == ["all is well"]
        known = {entry.ref.name for entry in (await scene.phone.snapshot()).body.tail}

        async def without_new_batches(honest: list[bytes | None], _: bytes, ranges: Any) -> list[bytes | None]:
            new = {entry.ref.name for entry in (await scene.phone.snapshot()).body.tail} - known
            return [None if item[0] in new else piece for piece, item in zip(honest, ranges, strict=True)]

        scene.relay.replace("read", without_new_batches)
        await scene.say("withheld")
        update = await scene.next()
        assert (update.messages, update.complete) == ((), False)
        scene.relay.behave()
        assert [item.text for item in await scene.desk.vault.newest("family")] == ["all is well", "withheld"]


async def test_polling_holds_no_stream_and_does_not_tire(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live_module, "_wait", lambda failures: NEVER_S)
    async with scene.following(poll=0.01):
        await asyncio.sleep(0.2)
        await scene.say("polled")
        assert await scene.texts() == ["polled"]
    assert "events" not in scene.relay.calls


async def test_a_relay_that_is_away_costs_nothing_but_time(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live_module, "BACKOFF_S", (0.01, 0.02))

    def unreachable(*_: Any) -> Any:
        raise RelayUnreachable("away")

    async with scene.following():
        await scene.say("one")
        assert await scene.texts() == ["one"]
        scene.relay.instead("head", unreachable)
        scene.events(ends=RelayUnreachable("away"))
        assert scene.bench.relay is not None
        scene.bench.relay.streams.end()
        await scene.say("two")
        await scene.say("three")
        await asyncio.sleep(0.1)
        assert scene.told.empty()
        scene.relay.behave()
        assert await scene.texts() == ["two", "three"]


# Settings ------------------------------------------------------------------------------------------------------------


async def test_settings_are_kept_and_followed(scene: Scene) -> None:
    vault = scene.desk.vault
    assert vault.settings() == Settings("push", 60, "now", None)
    vault.set_settings(Settings(live="off", media="later", commit_delay=1.5))
    assert vault.settings() == Settings("off", 60, "later", 1.5)
    with pytest.raises(InvalidArgument, match="off"):
        await anext(vault.watch())
    vault.set_settings(Settings(live="poll", poll=1))
    async with scene.following():
        await scene.say("asked for")
        assert await scene.texts() == ["asked for"]
    assert "events" not in scene.relay.calls
    assert scene.phone.vault.settings() == Settings()
    scene.desk.session.state.put({"settings": b"\x84\x01\x02"})
    assert vault.settings() == Settings()


@pytest.mark.parametrize(
    "wrong",
    [{"live": "on"}, {"media": "no"}, {"poll": 0}, {"poll": 1.5}, {"poll": 86_401}, {"poll": True},
     {"commit_delay": -1}, {"commit_delay": float("nan")}, {"commit_delay": 3_601}, {"commit_delay": True}],
)  # fmt: skip
def test_settings_that_make_no_sense_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(InvalidArgument):
        Settings(**wrong)


async def test_the_commit_delay_is_how_long_a_commit_waits(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sending, "GATHER_S", 0.0)
    version = scene.phone.session.pin.head_version
    scene.phone.vault.set_settings(Settings(commit_delay=3_600))
    await scene.phone.vault.append("family", message("waits"))
    await asyncio.sleep(0.3)
    assert scene.phone.session.pin.head_version == version
    assert scene.phone.vault.waiting()[0] == 1
    scene.desk.vault.set_settings(Settings(commit_delay=0))
    await scene.desk.vault.append("family", message("does not"))
    await until(lambda: not scene.desk.vault.waiting()[0])


@pytest.mark.parametrize("media", ["now", "later", "on-demand"])
async def test_restore_fetches_files_when_the_settings_say(scene: Scene, media: Any) -> None:
    await scene.phone.vault.attach("family", ("photo.jpg", io.BytesIO(bytes(50_000))), text="look")
    await scene.phone.add(talk("family", 400))
    await scene.phone.vault.flush()
    await commit(scene.phone.session, compaction.fold_tail)
    scene.desk.vault.set_settings(Settings(media=media))
    snapshot = await scene.desk.snapshot()
    parts = set(await snapshot.media())
    segments = {ref.name for run in snapshot.root.runs for top in await snapshot.tops(run) for ref in top.segments}
    scene.relay.trace.clear()
    assert (await scene.desk.vault.restore()).audit.damaged == {}
    order = [item[0] for entry in scene.relay.trace if entry[0] == "read" for item in entry[2]]
    came = {name: place for place, name in enumerate(order) if name in parts | segments}
    assert bool(parts & came.keys()) == (media != "on-demand")
    if media == "later":
        assert max(came[name] for name in segments) < min(came[name] for name in parts)
    scene.relay.trace.clear()
    assert (await scene.desk.vault.restore(media=True)).audit.damaged == {}
    order = [item[0] for entry in scene.relay.trace if entry[0] == "read" for item in entry[2]]
    assert bool(parts & set(order)) == (media == "on-demand")
