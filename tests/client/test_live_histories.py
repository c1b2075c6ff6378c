"""What is told of histories: against an oracle, through undo and forks, to many at once (spec 18.3)."""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from forks import fork, move
from strongroom import ChatMessage, Update, message, title
from strongroom.commit import commit
from strongroom.engine import compaction, cutting, fold, grouping, run_writer
from strongroom.news import news
from strongroom_protocol.errors import RelayConflict, UntrustedDataError
from strongroom_protocol.limits import LIMITS
from vaults import Bench, Device, talk

PATIENCE_S = 60.0
START = 1_700_000_000_000
SMALL = replace(LIMITS, head_frame_rows=3, frame_rows=8, segment_bytes=2048)


@pytest.fixture(autouse=True)
def _small_engine(monkeypatch: pytest.MonkeyPatch) -> None:
    """Sizes at which a few rows are folded and merged over and over."""
    for module in (run_writer, grouping, cutting):
        monkeypatch.setattr(module, "LIMITS", SMALL)
    monkeypatch.setattr(fold, "FAN_IN", 2)
    monkeypatch.setattr(fold, "LEVEL_ROWS", 16)


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[Bench]:
    made = Bench(tmp_path)
    yield made
    for device in made.devices:
        await device.vault.close()
    made.close_relay()


@dataclass(slots=True)
class View:
    """What an app shows that follows as docs/sdk.md says: it keeps what is told, and reads again what is not."""

    device: Device
    shown: dict[str, dict[str, ChatMessage]] = field(default_factory=dict)
    told: Counter[str] = field(default_factory=Counter)
    chats: set[str] = field(default_factory=set)
    versions: list[int] = field(default_factory=list)
    again: int = 0

    async def take(self, update: Update) -> None:
        self.versions.append(update.version)
        self.chats |= set(update.chats)
        for item in update.messages:
            self.shown.setdefault(item.chat, {})[item.id] = item
            self.told[item.id] += 1
        if not update.complete:
            self.again += 1
            for chat in self.chats | {row.conversation for row in await self.device.vault.chats()}:
                self.shown[chat] = {item.id: item for item in await history(self.device, chat)}


async def history(device: Device, chat: str) -> list[ChatMessage]:
    """All of a chat; empty when it is not there."""
    known = {row.conversation for row in await device.vault.chats()}
    return await device.vault.newest(chat, count=100_000) if chat in known else []


@contextlib.asynccontextmanager
async def following(view: View) -> AsyncIterator[asyncio.Task[None]]:
    """The view's device watches; what ended it is raised by the task."""

    async def follow() -> None:
        async for update in view.device.vault.watch():
            await view.take(update)

    task = asyncio.create_task(follow())
    async with asyncio.timeout(PATIENCE_S):
        while view.device.vault._live is None or not view.device.vault._live.telling:  # noqa: ASYNC110
            await asyncio.sleep(0.001)
    try:
        yield task
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def reached(view: View, task: asyncio.Task[None], last: str, chat: str = "last") -> None:
    """Wait until a message has been told; a watch that ends first raises."""
    async with asyncio.timeout(PATIENCE_S):
        while last not in view.shown.get(chat, {}):
            if task.done():
                task.result()
            await asyncio.sleep(0.001)


async def say(device: Device, text: str, chat: str, ident: str, time: int = START) -> None:
    await device.vault.append(chat, message(text, sender="ann", id=ident, time=time))


# Against an oracle ---------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class Script:
    """What two other devices do at random, with the history packed under the one that looks."""

    source: random.Random
    others: list[Device]
    desk: Device
    view: View
    plain: set[str] = field(default_factory=set)  # appended by others, and never touched again
    mine: set[str] = field(default_factory=set)
    titled: set[str] = field(default_factory=set)
    written: int = 0

    async def step(self) -> None:
        chat = self.source.choice(["family", "work", "club"])
        device = self.source.choice(self.others)
        match self.source.choices(
            ["say", "mine", "touch", "title", "flush", "fold", "compact", "look", "many", "breathe"],
            [24, 6, 8, 2, 14, 4, 2, 4, 2, 6],
        )[0]:
            case "say":
                await say(device, f"says {self.written}", chat, self._ident(self.plain), self._time())
            case "mine":
                await say(self.desk, "mine", chat, self._ident(self.mine), self._time())
            case "touch":
                await self._touch(device, chat)
            case "title":
                self.titled.add(chat)
                await device.vault.append(chat, title(f"{chat} {self.written}"))
            case "flush":
                await self.source.choice([*self.others, self.desk]).vault.flush()
            case "fold":
                await commit(self.source.choice([*self.others, self.desk]).session, compaction.fold_tail)
            case "compact":
                await self.source.choice([*self.others, self.desk]).vault.compact()
            case "look":
                await self.desk.vault.newest(chat) if chat in self.view.chats else await self.desk.vault.chats()
            case "many":
                await device.add(talk(f"import {self.written}", self.source.randint(5, 60), ids=f"i{self.written}-"))
                self.written += 1
            case "breathe":
                await asyncio.sleep(self.source.choice([0, 0.002, 0.02]))

    async def _touch(self, device: Device, chat: str) -> None:
        """Edit, delete or react to a message that this device can see."""
        known = await history(device, chat)
        if not known:
            return
        item = self.source.choice(known)
        self.plain.discard(item.id)
        self.mine.discard(item.id)
        how = self.source.choice(["edit", "delete", "react"])
        if how == "edit":
            await device.vault.edit(item, f"edited {self.written}", sender="ann")
        elif how == "delete":
            await device.vault.delete(item)
        else:
            await device.vault.react(item, self.source.choice("👍🎉"), sender="ann")

    def _ident(self, kept: set[str]) -> str:
        self.written += 1
        kept.add(ident := f"n{self.written}")
        return ident

    def _time(self) -> int:
        """Anywhere, and often at the same instant: other messages of a time are not the news."""
        return START + self.source.randrange(40) * 1000


@pytest.mark.parametrize("seed", range(8))
async def test_what_is_told_and_read_again_is_the_history(
    bench: Bench, seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = random.Random(seed)
    if seed % 2:  # else everything is told one by one
        monkeypatch.setattr("strongroom.news.RUN_ROWS", 30)
        monkeypatch.setattr("strongroom.news.MESSAGES", 12)
    phone = await bench.create()
    tab, desk = await bench.login("b", confirm=True), await bench.login("c", confirm=True)
    await phone.add(talk("family", 20, ids="before"))
    view = View(desk)
    script = Script(source, [phone, tab], desk, view)
    async with following(view) as task:
        before = {item.id: item for item in await history(desk, "family")}
        for _ in range(150):
            with contextlib.suppress(RelayConflict):  # of two that pack at once one loses
                await script.step()
        await desk.vault.flush()
        await tab.vault.flush()
        await say(phone, "the end", "last", "end")
        await phone.vault.flush()
        await reached(view, task, "end")
        chats = {row.conversation for row in await desk.vault.chats()}
        full = {chat: {item.id: item for item in await history(phone, chat)} for chat in chats}
    assert len(full) > 2
    for chat, messages in full.items():
        for ident, item in messages.items():
            shown = view.shown.get(chat, {}).get(ident)
            if shown is None:  # nobody else has touched it since the view began
                assert ident in script.mine or before.get(ident) == item, (chat, ident)
            elif ident not in script.mine:
                assert (shown.text, shown.deleted, shown.reactions) == (item.text, item.deleted, item.reactions)
    for chat, shown_there in view.shown.items():
        assert {ident for ident, item in shown_there.items() if not item.deleted} <= full[chat].keys()
    assert {view.told[ident] for ident in script.plain} <= ({0, 1} if view.again else {1})
    assert {view.told[ident] for ident in script.mine} <= {0}
    assert script.titled <= view.chats
    assert view.versions == sorted(set(view.versions))
    assert bool(view.again) == bool(seed % 2)


async def test_old_messages_that_were_packed_away_unseen_are_not_passed_over(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Deleted and packed between two looks: no line of the chat list is another, and the run is too large to read."""
    monkeypatch.setattr("strongroom.news.RUN_ROWS", 50)
    phone = await bench.create()
    desk = await bench.login("b", confirm=True)
    await phone.add(talk("family", 300))
    before = await desk.vault._reader.committed()
    (old, *_) = await history(phone, "family")
    await phone.vault.delete(old)
    await phone.vault.flush()
    await phone.vault.compact()
    await say(phone, "and this, in the tail", "work", "new")
    await phone.vault.flush()
    after = await desk.vault._reader.committed()
    update = await news(before, after, desk.session.device.id, set())
    assert update is not None
    assert (update.chats, [item.text for item in update.messages], update.complete) == (
        ("work",), ["and this, in the tail"], False,
    )  # fmt: skip
    assert await news(after, after, desk.session.device.id, set()) is None


# Undo, forks, many at once -------------------------------------------------------------------------------------------


async def test_an_undo_is_told_by_the_chats_that_it_changed(bench: Bench) -> None:
    phone = await bench.create()
    thief, desk = await bench.login("b", confirm=True), await bench.login("c", confirm=True)
    for chat in ("family", "work"):
        await say(phone, "good", chat, f"good {chat}")
    await phone.vault.flush()
    to = phone.session.pin.head_version
    view = View(desk)
    async with following(view) as task:
        await say(thief, "spam", "family", "spam")
        await thief.vault.flush()
        await reached(view, task, "spam", "family")
        async with await bench.owner(phone) as owner:
            await owner.undo(to, thief.session.device.id)
        async with asyncio.timeout(PATIENCE_S):
            while not view.again:  # noqa: ASYNC110
                await asyncio.sleep(0.001)
        await say(phone, "and on", "last", "end")
        await phone.vault.flush()
        await reached(view, task, "end")
    assert set(view.shown["family"]) == {"good family"}
    assert "work" not in view.chats
    assert view.told == {"spam": 1, "end": 1}


async def test_attack_039_a_fork_is_raised_to_who_watches(tmp_path: Path) -> None:
    main = Bench(tmp_path / "main")
    phone = await main.create()
    main.drop(await main.login("b", confirm=True))
    await phone.session.sync()
    other = fork(main, tmp_path / "fork", "b")
    desk = await other.reopen("b")
    view = View(desk)
    await say(phone, "of one story", "family", "1")
    await phone.vault.flush()
    async with following(view) as task:
        writer = await other.login("w", confirm=True)
        await say(writer, "of the other", "family", "2")
        await writer.vault.flush()
        await reached(view, task, "2", "family")
        await say(phone, "more", "family", "3")
        await phone.vault.flush()
        await move(desk, main)
        assert other.relay is not None
        other.relay.streams.end()
        with pytest.raises(UntrustedDataError):
            async with asyncio.timeout(PATIENCE_S):
                await task
    assert [task for task in asyncio.all_tasks() if task.get_name() == "live"] == []
    assert set(view.shown["family"]) == {"2"}
    for bench in (main, other):
        for device in bench.devices:
            await device.vault.close()
        bench.close_relay()


async def test_many_devices_hear_each_other_and_nobody_itself(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("strongroom.sending.GATHER_S", 0.0)
    monkeypatch.setattr("strongroom.sending.BACKOFF_S", (0.01, 0.1))
    devices = [await bench.create(), *[await bench.login(f"d{n}", confirm=True) for n in range(3)]]
    views = [View(device) for device in devices]
    async with contextlib.AsyncExitStack() as held:
        tasks = [await held.enter_async_context(following(view)) for view in views]

        async def chatter(number: int) -> None:
            for n in range(8):
                await say(devices[number], f"{n}", "family", f"{number}-{n}", START + n)
                await asyncio.sleep(0.01)  # each sends by itself, and tries again when another was quicker

        await asyncio.gather(*(chatter(number) for number in range(4)))
        for number, view in enumerate(views):
            expected = {f"{other}-{n}": 1 for other in range(4) for n in range(8) if other != number}
            async with asyncio.timeout(PATIENCE_S):
                while len(view.told) < len(expected):
                    assert not any(task.done() for task in tasks)
                    await asyncio.sleep(0.001)
            assert view.told == expected
