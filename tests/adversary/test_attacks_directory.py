"""A relay that withholds part of the chat list and one chat's frames while somebody saves, to hide that chat.

For a moment it can hide what it likes: what it does not return is named as damaged. What it must not get is an honest
device that writes the shortened list down, signed, so that the chat stays gone when the relay behaves again.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from adversary.hostile import Hostile
from strongroom.commit import commit
from strongroom.engine import compaction, directory
from strongroom.engine.snapshot import Snapshot
from strongroom_protocol.errors import IncompleteError
from strongroom_protocol.rows.ids import conversation_key
from vaults import Bench, Device, talk, titled

START = 1_700_000_000_000
SECRET = "secret"


@dataclass(slots=True)
class Scene:
    """A device behind a relay that withholds the objects in `hidden`, and another behind an honest one."""

    device: Device
    honest: Device
    hidden: set[bytes]

    @contextmanager
    def withheld(self, names: set[bytes]) -> Iterator[None]:
        self.hidden |= names
        try:
            yield
        finally:
            self.hidden.clear()

    async def cold_start(self) -> Snapshot:
        """The state, and nothing in the device's memory of it: a list that is still there needs not be read."""
        snapshot = await self.device.snapshot()
        self.device.session.base = None
        return snapshot

    async def nothing_was_written(self, before: Snapshot) -> None:
        """The head is the one from before, and with the relay honest again everything is listed and can be read."""
        assert (await self.honest.snapshot()).head.hash == before.head.hash
        for device in (self.device, self.honest):
            listed = {row.conversation: row for row in await device.vault.chats()}
            assert listed[SECRET].title == "The title"
            assert listed[SECRET].rows == 601
            assert len(await device.vault.newest(SECRET, count=5)) == 5
            assert (await device.vault.verify()).damaged == {}


@pytest.fixture
async def scene(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Scene]:
    """Thirty chats and the one to hide, which is not among the six of the hot page; two runs."""
    monkeypatch.setattr(directory, "HOT_ROWS", 6)
    monkeypatch.setattr(directory, "COLD_PAGE_BYTES", 2500)
    bench = Bench(tmp_path)
    hidden: set[bytes] = set()

    def wrap(transport: Any) -> Any:
        def answer(found: list[bytes | None], account: bytes, ranges: Any) -> list[bytes | None]:
            return [None if item[0] in hidden else piece for item, piece in zip(ranges, found, strict=True)]

        relay = Hostile(transport)
        relay.replace("read", answer)
        return relay

    device = await bench.create(wrap=wrap)
    await device.add([titled(SECRET, "The title"), *talk(SECRET, 600, start=START - 10**9)])
    await device.add([item for n in range(30) for item in talk(f"chat {n}", 30, start=START + n * 10**6)])
    honest = await bench.login("b")
    yield Scene(device, honest, hidden)
    bench.close()


async def pages_of_secret(snapshot: Snapshot) -> set[bytes]:
    hot = await snapshot.hot()
    assert hot is not None
    assert SECRET not in {row.conversation for row in hot.rows}
    return {hot.cold[number].ref.name for number in hot.pages_of(conversation_key(SECRET))}


async def segments_of_secret(snapshot: Snapshot) -> set[bytes]:
    return {ref.segment for ref in await snapshot.refs(conversation_key(SECRET))}


async def index_of_secret(snapshot: Snapshot) -> set[bytes]:
    """Both copies of the pages of the run that holds it; the tops stay."""
    (run,) = [run for run in snapshot.root.runs if await snapshot.entries(run, conversation_key(SECRET))]
    return {top.pages.name for top in await snapshot.both_tops(run)}


@pytest.mark.spec("ENG-14")
@pytest.mark.parametrize("what", ["segment", "index"])
async def test_the_hot_page_and_one_chat_withheld_during_an_import(scene: Scene, what: str) -> None:
    before = await scene.cold_start()
    assert before.root.directory is not None
    others = await (segments_of_secret if what == "segment" else index_of_secret)(before)
    with scene.withheld({before.root.directory.name} | others), pytest.raises(IncompleteError):
        await scene.device.add(talk("new", 600))
    await scene.nothing_was_written(before)
    assert sum((await scene.device.add(talk("new", 600))).written.values()) == 600
    assert {row.conversation for row in await scene.honest.vault.chats()} >= {SECRET, "new"}


@pytest.mark.spec("ENG-14")
async def test_the_hot_page_and_one_chat_withheld_during_a_fold(scene: Scene) -> None:
    await scene.device.add(talk("chat 3", 4, start=START + 10**9))
    before = await scene.cold_start()
    assert before.root.directory is not None
    names = {before.root.directory.name} | await segments_of_secret(before)
    with scene.withheld(names), pytest.raises(IncompleteError):
        await commit(scene.device.session, compaction.fold_tail)
    await scene.nothing_was_written(before)


@pytest.mark.spec("ENG-14")
@pytest.mark.parametrize("what", ["segment", "index"])
async def test_a_cold_page_and_one_chat_withheld_while_the_chat_is_written(scene: Scene, what: str) -> None:
    """Its row is needed to be changed: what is not known is not replaced by what little is."""
    before = await scene.cold_start()
    others = await (segments_of_secret if what == "segment" else index_of_secret)(before)
    with scene.withheld(await pages_of_secret(before) | others), pytest.raises(IncompleteError):
        await scene.device.add(talk(SECRET, 600, start=START + 10**9))
    await scene.nothing_was_written(before)


@pytest.mark.spec("ENG-14")
async def test_a_cold_page_and_one_chat_withheld_while_the_log_is_written_anew(scene: Scene) -> None:
    before = await scene.cold_start()
    names = await pages_of_secret(before) | await segments_of_secret(before)
    with scene.withheld(names), pytest.raises(IncompleteError):
        await commit(scene.device.session, _rewrite)
    await scene.nothing_was_written(before)
    await commit(scene.device.session, _rewrite)
    assert SECRET in {row.conversation for row in await scene.honest.vault.chats()}


async def _rewrite(change: Any) -> bool:
    change.rewrite_directory()
    return True


async def test_a_cold_page_that_is_not_needed_may_be_missing(scene: Scene) -> None:
    """Saving to other chats goes on: the page is taken over as it is, by name, and nothing on it changes."""
    before = await scene.cold_start()
    pages = await pages_of_secret(before)
    with scene.withheld(pages | await segments_of_secret(before)):
        await scene.device.add(talk("chat 29", 600, start=START + 10**9))
        listed = {row.conversation for row in await scene.device.vault.chats()}
        assert SECRET not in listed  # what it does not return cannot be shown, and is named as damaged
        assert pages <= {bytes.fromhex(name) for name in scene.device.vault.damage()}
    assert {row.conversation for row in await scene.honest.vault.chats()} >= {SECRET, "chat 29"}
    assert len(await scene.honest.vault.newest(SECRET, count=5)) == 5
    assert pages <= {ref.name async for ref, _ in (await scene.honest.snapshot()).objects()}


async def test_a_page_withheld_alone_hides_nothing(scene: Scene) -> None:
    """The rows are made again from the frames, in a list that is read and in one that is written."""
    before = await scene.cold_start()
    assert before.root.directory is not None
    with scene.withheld({before.root.directory.name}):
        assert SECRET in {row.conversation for row in await scene.device.vault.chats()}
        await scene.device.add(talk("new", 600))
        assert SECRET in {row.conversation for row in await scene.device.vault.chats()}
    listed = {row.conversation: row for row in await scene.honest.vault.chats()}
    assert (listed[SECRET].title, listed[SECRET].rows, len(listed)) == ("The title", 601, 32)
