"""The index follows the vault: every change is found or gone, whatever way it came; damage and crashes lose nothing."""

from __future__ import annotations

import asyncio
import io
import os
import random
import signal
import sqlite3
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adversary.hostile import Hostile
from strongroom import InvalidArgument, NotFound, StrongroomError, member, message, title
from strongroom.commit import commit
from strongroom.engine import compaction
from strongroom.engine.change import Change
from strongroom.importing import write_rows
from strongroom.search import store
from strongroom.search import work as search_work
from strongroom.search.index import forget
from strongroom.search.records import SearchPage
from strongroom.vault import Vault
from strongroom_protocol.errors import RelayUnreachable
from strongroom_protocol.rows.ids import conversation_key
from strongroom_protocol.rows.model import DeleteKind, ForgetKind, Op, Row
from strongroom_protocol.rows.table import unstamped
from vaults import Bench, Device, create_at, opener, talk, titled

T = 1_700_000_000_000


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[Bench]:
    made = Bench(tmp_path)
    yield made
    for device in made.devices:
        if device.vault._searching is not None:
            await device.vault._searching.stop()
    made.close()


async def found(vault: Vault, query: str, **more: Any) -> list[str]:
    """The ids of what is found once the index is complete."""
    page = await vault.search(query, patience=30, **more)
    assert page.complete, page
    return [hit.id for hit in page.hits]


def raw(folder: Path) -> bytes:
    """Every byte of the index on disk."""
    return b"".join(path.read_bytes() for name in store.FILES if (path := folder / name).exists())


def filed(folder: Path) -> list[Any]:
    """What an index holds, without numbers that depend on the order of filing."""
    with sqlite3.connect(folder / store.NAME) as database:
        return database.execute(
            "SELECT conversation, title, time, place, id, sender, name, labels, text "
            "FROM message JOIN chat USING(chat) JOIN person USING(person) ORDER BY 1, 3, 4, 5"
        ).fetchall()


def lists(folder: Path) -> list[Any]:
    """How many messages each word of texts is filed for."""
    with sqlite3.connect(folder / store.NAME) as database:
        query = "SELECT term, sum(length(docs)) FROM post WHERE term NOT LIKE ' %' GROUP BY term ORDER BY term"
        return database.execute(query).fetchall()


async def test_there_is_no_index_before_the_first_search_and_only_the_owner_reads_it(bench: Bench) -> None:
    device = await bench.create()
    await device.add(talk("family", 20))
    await device.vault.newest("family")
    folder = device.session.state.folder
    assert not (folder / store.NAME).exists()
    assert await found(device.vault, "says 7") == [f"m{T}-7"]
    for name in store.FILES:
        if (folder / name).exists():
            assert stat.S_IMODE((folder / name).stat().st_mode) == 0o600
    assert await device.vault.forget_index()
    assert not any((folder / name).exists() for name in store.FILES)
    with pytest.raises(StrongroomError, match="switched off"):
        await device.vault.search("says")
    assert not (folder / store.NAME).exists()
    assert (await device.vault.index()).messages == 20
    assert len(await found(device.vault, "says")) == 20


async def test_edits_deletions_and_what_waits_are_seen_at_once(bench: Bench) -> None:
    device = await bench.create()
    vault = device.vault
    (first, second) = await vault.append("family", [message("the harbour", id="1"), message("the station", id="2")])
    assert await found(vault, "harbour") == ["1"]  # before or after the commit, it does not matter
    await vault.flush()
    await vault.edit(first, "the airport")
    assert await found(vault, "harbour") == []
    assert await found(vault, "airport has:edited") == ["1"]
    await vault.delete(second)
    await vault.flush()
    assert await found(vault, "the") == ["1"]
    await vault.react(first, "👍", sender="anna")
    assert await found(vault, "has:reaction") == ["1"]
    await device.add([("family", Row(Op.DELETE, first.time, id=first.id, kind=DeleteKind.BY_SENDER))])
    assert (await vault.message("family", "1")).text == "the airport"  # the platform kept it
    assert await found(vault, "in:family") == []
    await vault.flush()
    assert await found(vault, "in:family") == []


async def test_a_deleted_message_leaves_nothing_in_the_file(bench: Bench) -> None:
    device = await bench.create()
    vault, folder = device.vault, device.session.state.folder
    dice = random.Random(5)
    secrets = [f"zq{dice.getrandbits(64):016x}" for _ in range(1500)]
    refs = await vault.append("family", [message(f"{word} and more" + 40 * " long", id=word) for word in secrets])
    await vault.flush()
    assert len(await found(vault, "more", limit=1000)) == 1000
    assert secrets[0].encode() in raw(folder)
    gone = dice.sample(range(1500), 400)
    for place in gone:
        await vault.delete(refs[place])
    await vault.append("family", [message(f"later {n}", id=f"later{n}") for n in range(200)])
    await vault.flush()
    assert await found(vault, secrets[gone[0]]) == []
    assert vault._searching is not None
    await vault._searching.stop()  # as closing the vault does
    with sqlite3.connect(folder / store.NAME) as database:
        assert database.execute("PRAGMA freelist_count").fetchone() == (0,)  # it was written anew
    left = raw(folder)
    assert [secrets[place] for place in gone if secrets[place].encode() in left] == []
    assert sum(word.encode() in left for word in secrets) == 1100


async def test_forgetting_a_conversation_leaves_nothing_of_it(bench: Bench) -> None:
    device = await bench.create()
    vault, folder = device.vault, device.session.state.folder
    await device.add([titled("lawyer-7", "Kanzlei Quitzow"), ("lawyer-7", member("qx-sender", "Quirin", time=T))])
    await device.add([("lawyer-7", message(f"vergleich{n}x", sender="qx-sender", time=T + n)) for n in range(3000)])
    await device.add(talk("family", 3000))
    assert len(await found(vault, "from:quirin", limit=50)) == 50
    assert b"Quirin" in raw(folder)
    assert forget(folder, "lawyer-7")
    for word in (b"lawyer-7", b"Quitzow", b"quitzow", b"qx-sender", b"Quirin", b"vergleich"):
        assert word not in raw(folder)
    assert not forget(folder, "lawyer-7")
    page = await vault.search("says")
    assert len(page.hits) == 20
    await vault.append("family", [message("written after that", id="after")])
    assert await found(vault, "written after") == ["after"]


async def test_forgetting_up_to_a_time_leaves_what_is_later(bench: Bench) -> None:
    device = await bench.create()
    await device.add([("family", message(f"quitzow{n}x", time=T + n)) for n in range(500)])
    assert len(await found(device.vault, "quitzow", limit=1000)) == 500
    assert forget(device.session.state.folder, "family", until=T + 299)
    left = raw(device.session.state.folder)
    assert [n for n in range(500) if f"quitzow{n}x".encode() in left] == list(range(300, 500))
    assert len(await found(device.vault, "quitzow", limit=1000)) == 200


async def _forgetting(device: Device, chat: str, time: int, kind: ForgetKind) -> None:
    """Commit a row by which messages of a chat up to a time are gone, as `Vault.forget` does."""

    async def build(change: Change) -> bool:
        rows = unstamped(chat, [Row(Op.FORGET, time, kind=kind)])
        await write_rows(device.session, change, {conversation_key(chat): rows})
        return True

    assert await commit(device.session, build)


async def test_an_erased_chat_is_not_found_and_not_in_the_file(bench: Bench) -> None:
    device = await bench.create()
    vault = device.vault
    await device.add([titled("lawyer", "Kanzlei Quitzow"), *talk("lawyer", 50), *talk("family", 50)])
    assert len(await found(vault, "says", limit=1000)) == 100
    await vault.forget(await vault.erasure("lawyer"))
    assert b"lawyer" not in raw(device.session.state.folder)
    assert b"Quitzow" not in raw(device.session.state.folder)
    assert len(await found(vault, "says", limit=1000)) == 50
    assert b"lawyer" not in raw(device.session.state.folder)


async def test_what_rows_say_is_forgotten_goes_whoever_says_it(bench: Bench) -> None:
    device, other = await bench.create(), await bench.login("b", confirm=True)
    await device.add([titled("family", "Quitzow"), ("family", member("u1", "Quirin", time=T))])
    await device.add([("family", message(f"quitzow{n}x", sender="u1", time=T + n)) for n in range(300)])
    assert len(await found(device.vault, "from:quirin", limit=1000)) == 300
    await _forgetting(other, "family", T + 199, ForgetKind.MESSAGES)
    assert len(await found(device.vault, "from:quirin in:quitzow", limit=1000)) == 100
    await _forgetting(other, "family", T + 250, ForgetKind.ALL)
    await other.add([("family", message("late", time=T + 100))])
    await commit(device.session, compaction.fold_tail)
    await commit(device.session, compaction.compact)
    assert len(await found(device.vault, "quitzow from:u1", limit=1000)) == 49
    assert await found(device.vault, "late") == []
    assert device.vault._searching is not None
    await device.vault._searching.stop()
    left = raw(device.session.state.folder)
    assert [n for n in range(300) if f"quitzow{n}x".encode() in left] == list(range(251, 300))
    assert b"Quirin" not in left


def test_forgetting_without_an_index_or_with_a_broken_one(tmp_path: Path) -> None:
    assert not forget(tmp_path, "chat")
    assert not list(tmp_path.iterdir())
    (tmp_path / store.NAME).write_bytes(b"secret word " * 1000)
    assert forget(tmp_path, "chat")
    assert not list(tmp_path.iterdir())


STEPS = st.lists(
    st.tuples(
        st.sampled_from(("append", "import", "edit", "delete", "react", "old", "fold", "compact", "search", "other")),
        st.integers(0, 5),
    ),
    min_size=3, max_size=14,
)  # fmt: skip


@settings(max_examples=25, deadline=None)
@given(STEPS)
def test_an_index_that_followed_is_one_that_is_made_anew(steps: list[tuple[str, int]]) -> None:
    asyncio.run(_follow(steps))


async def _follow(steps: list[tuple[str, int]]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        bench = Bench(Path(folder))
        device = await bench.create()
        other = await bench.login("b", confirm=True)
        refs = await device.vault.append("chat 0", [message("the first of all", time=T)])
        for number, (step, choice) in enumerate(steps, 1):
            writer = other.vault if choice % 2 else device.vault
            ref = refs[choice % len(refs)]
            if step == "append":
                words = [message(f"word{number} 你好{n}", time=T + number, seq=n) for n in range(choice + 1)]
                refs += await writer.append(f"chat {choice % 3}", words)
            elif step == "import":
                await device.add([titled("chat 9", f"Title {number}"), *talk("chat 9", 40, start=T + choice)])
            elif step == "old":
                refs += await writer.append("chat 0", [message(f"old{number}", time=T - 10**10 * choice)])
            elif step == "search":
                await device.vault.search("word", patience=30)
            elif step in ("fold", "compact"):
                await device.vault.flush()
                await commit(device.session, compaction.fold_tail if step == "fold" else compaction.compact)
            elif step != "other":
                await device.vault.flush()
                await other.vault.flush()
                try:
                    if step == "edit":
                        await writer.edit(ref, f"edited{number} 再见")
                    elif step == "delete":
                        await writer.delete(ref)
                    else:
                        await writer.react(ref, "👍", sender="anna")
                except NotFound:
                    pass  # it was deleted before
            if step == "other":
                await other.vault.flush()
        await device.vault.flush()
        await other.vault.flush()
        page = await device.vault.search("word", patience=30)
        assert page.complete
        where = device.session.state.folder
        followed = filed(where), lists(where)
        await device.vault.forget_index()
        await device.vault.index()
        assert (filed(where), lists(where)) == followed
        for each in (device, other):
            if each.vault._searching is not None:
                await each.vault._searching.stop()
            await each.vault._sender.stop()
        bench.close()


async def test_it_is_usable_while_it_is_made_newest_first(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(search_work, "SLICE_ROWS", 50)
    device = await bench.create()
    vault = device.vault
    for n in range(5):
        await device.add(talk(f"chat {n}", 100, start=T + n * 10**9))
    page = await vault.search("says", patience=0)
    assert not page.complete
    seen = [page.back_to]
    while not page.complete:
        await asyncio.sleep(0.001)
        page = await vault.search("says", limit=600, patience=0)
        assert all(earlier >= page.back_to for earlier in seen)
        seen.append(page.back_to)
        whole = [chat for n in range(5) if T + n * 10**9 > page.back_to for chat in [f"chat {n}"]]
        for chat in whole:  # what it says is there is there
            assert sum(hit.chat == chat for hit in page.hits) == 100
    assert len(page.hits) == 500
    assert len(set(seen)) > 2


async def test_appending_does_not_wait_for_the_index(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(search_work, "SLICE_ROWS", 10)
    device = await bench.create()
    for n in range(5):
        await device.add(talk(f"chat {n}", 100, start=T + n * 10**9))
    page = await device.vault.search("says", patience=0)
    assert not page.complete
    await device.vault.append("chat 0", [message("meanwhile", id="new")])
    await device.vault.flush()
    task = device.vault._searching._task if device.vault._searching else None
    assert task is not None
    await task
    assert await found(device.vault, "meanwhile") == ["new"]


async def test_pages_go_on_where_they_ended_whatever_comes(bench: Bench) -> None:
    device = await bench.create()
    await device.add([(f"c{n % 3}", message(f"same time {n}", id=f"{n:03}", time=T)) for n in range(70)])
    await device.add(talk("d", 30, start=T - 10**6))
    whole = await found(device.vault, "in:c0 in:c1 in:c2 in:d", limit=1000)
    assert len(whole) == 100
    pages: list[str] = []
    cursor = None
    while True:
        page = await device.vault.search("in:c0 in:c1 in:c2 in:d", limit=9, before=cursor, patience=30)
        pages += [hit.id for hit in page.hits]
        await device.add([("c1", message("newer", time=T + len(pages)))])
        cursor = page.following
        if cursor is None:
            break
    assert pages == whole
    for bad in ("", "x", "bnVsbA", "WzEsMiwzXQ", "\u2603"):
        with pytest.raises(InvalidArgument):
            await device.vault.search("same", before=bad)


async def test_filters_know_names_titles_and_files(bench: Bench) -> None:
    device = await bench.create()
    vault = device.vault
    await vault.append("c1", [title("Weekend Plans", time=T), member("u1", "Ada Lovelace", time=T)])
    await vault.append("c1", [message("by id", sender="u1", id="1", time=T + 1)])
    await vault.append("c1", [message("by shown name", sender="u2", sender_name="Ben", id="2", time=T + 2)])
    await vault.attach("c1", ("sunset beach.jpg", io.BytesIO(b"\xff\xd8\xff" + bytes(100))), text="look")
    await vault.append("c2", [message("see https://example.org/x", sender="u1", id="4", time=T + 4)])
    assert await found(vault, "from:lovelace") == ["1"]  # u1 is somebody else in c2
    assert await found(vault, "from:u1") == ["4", "1"]
    assert await found(vault, "from:ben from:ada") == ["2", "1"]
    assert len(await found(vault, "in:plans")) == 3
    assert len(await found(vault, "has:photo sunset")) == 1
    assert await found(vault, "has:link") == ["4"]
    with pytest.raises(NotFound, match="no chat"):
        await vault.search("in:nowhere")
    page = await vault.search("by id")
    assert (page.hits[0].title, page.hits[0].sender_name) == ("Weekend Plans", "Ada Lovelace")
    assert (await vault.message("c1", page.hits[0].id, time=page.hits[0].time)).text == "by id"


class Lossy:
    """A device behind a relay that can lose objects."""

    def __init__(self) -> None:
        self.lost: set[bytes] = set()
        self.down = False

    def wrap(self, transport: Any) -> Any:
        hostile = Hostile(transport)
        hostile.replace("read", self._read)
        hostile.replace("head", self._head)
        return hostile

    def _read(self, honest: list[bytes | None], _: bytes, ranges: Any) -> list[bytes | None]:
        return [None if item[0] in self.lost else piece for piece, item in zip(honest, ranges, strict=True)]

    def _head(self, honest: Any, *_: Any) -> Any:
        if self.down:
            raise RelayUnreachable("no network")
        return honest


async def _lossy(bench: Bench) -> tuple[Device, Lossy]:
    relay = Lossy()
    device = await bench.create(wrap=relay.wrap)
    for n in range(3):
        await device.add(talk(f"chat {n}", 300, start=T + n * 10**9))
    await commit(device.session, compaction.fold_tail)
    return device, relay


async def test_what_cannot_be_read_is_said_and_not_taken_for_nothing(bench: Bench) -> None:
    device, relay = await _lossy(bench)
    snapshot = await device.snapshot()
    segment = (await snapshot.refs((await snapshot.keys())[0]))[0].segment
    relay.lost = {segment}
    page = await device.vault.search("zzz", patience=30)
    assert (page.hits, page.complete) == ((), False)
    assert segment.hex() in page.damaged
    relay.lost = set()
    assert len(await found(device.vault, "says", limit=1000)) == 900


async def test_without_the_relay_what_is_indexed_is_found(bench: Bench) -> None:
    device, relay = await _lossy(bench)
    assert len(await found(device.vault, "says", limit=1000)) == 900
    relay.down = True
    bench.drop(device)
    again = await bench.reopen("a", wrap=relay.wrap)
    page = await again.vault.search("says", limit=1000)
    assert (len(page.hits), page.complete) == (900, False)
    relay.down = False
    assert len(await found(again.vault, "says", limit=1000)) == 900


@pytest.mark.parametrize("how", ["rubbish", "short", "other version", "holes", "empty"])
async def test_a_damaged_index_is_made_anew_and_the_vault_is_untouched(bench: Bench, how: str) -> None:
    device = await bench.create()
    await device.add(talk("family", 2000))
    assert len(await found(device.vault, "says", limit=1000)) == 1000
    folder = device.session.state.folder
    before = device.session.state.get("pin")
    bench.drop(device)
    if device.vault._searching is not None:
        await device.vault._searching.stop()
    path = folder / store.NAME
    whole = path.read_bytes()
    for name in store.FILES[1:]:
        (folder / name).unlink(missing_ok=True)
    if how == "rubbish":
        path.write_bytes(os.urandom(len(whole)))
    elif how == "short":
        path.write_bytes(whole[: len(whole) // 2])
    elif how == "empty":
        path.write_bytes(b"")
    elif how == "other version":
        with sqlite3.connect(path) as database:
            database.execute("PRAGMA user_version = 99")
    else:
        path.write_bytes(whole[:8192] + b"\xee" * (len(whole) - 8192))
    again = await bench.reopen("a")
    page: SearchPage = await again.vault.search("says", limit=1000, patience=30)
    assert len(page.hits) == 1000
    assert page.complete
    assert how == "empty" or page.rebuilt
    assert again.session.state.get("pin") == before
    assert (await again.vault.search("says")).rebuilt == ""


async def test_after_an_undo_the_index_is_made_anew(bench: Bench) -> None:
    device, thief = await bench.create(), await bench.login("b", confirm=True)
    await device.add(talk("family", 50))
    to = (await device.session.sync()).version
    await thief.add([("family", message("planted by somebody", time=T + 5))])
    assert len(await found(device.vault, "planted")) == 1
    async with await bench.owner(device) as owner:
        await owner.undo(to, thief.session.device.id)
    page = await device.vault.search("planted", patience=30)
    assert (page.hits, page.complete) == ((), True)
    assert "undo" in page.rebuilt
    assert b"planted" not in raw(device.session.state.folder)
    assert len(await found(device.vault, "says", limit=100)) == 50


VICTIM = """
import asyncio, sys
from pathlib import Path
from strongroom.search import work
from strongroom.vault import Vault
work.SLICE_ROWS = 13

async def main():
    vault = await Vault.open(Path(sys.argv[1]))
    print("open", flush=True)
    await vault.index(lambda rows, waiting, back_to: print(rows, flush=True))

asyncio.run(main())
"""


def _killed_after(lines: int, folder: Path) -> int:
    """Kill a process that makes the index a moment after so many slices; the rows it said it had filed."""
    with subprocess.Popen([sys.executable, "-c", VICTIM, str(folder)], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        said = [process.stdout.readline() for _ in range(lines + 1)]
        time.sleep(0.002 * lines)
        process.send_signal(signal.SIGKILL)
        assert process.wait() == -signal.SIGKILL
    return int(said[-1])


async def test_killed_while_it_is_made_it_goes_on_where_it_was(tmp_path: Path) -> None:
    vault = await create_at(f"file://{tmp_path / 'store'}", tmp_path / "vault", opener())
    for n in range(30):
        await vault.append(f"chat {n}", [message(f"chat {n} says {m}", time=T + n * 10**7 + m) for m in range(150)])
    await vault.flush()
    await vault.close()
    kept = 0
    for lines in (2, 9, 17):
        rows = await asyncio.to_thread(_killed_after, lines, tmp_path / "vault")
        with sqlite3.connect(tmp_path / "vault" / store.NAME) as database:
            (now,) = database.execute("SELECT count(*) FROM message").fetchone()
            assert database.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        assert now >= kept + rows > kept
        kept = now
    again = await Vault.open(tmp_path / "vault")
    steps: list[int] = []
    state = await again.index(lambda rows, waiting, _: steps.append(rows + waiting))
    assert state.messages == 30 * 150
    assert set(steps) == {30 * 150 - kept}  # what was filed was not filed again
    followed = filed(tmp_path / "vault"), lists(tmp_path / "vault")
    await again.forget_index()
    await again.index()
    assert (filed(tmp_path / "vault"), lists(tmp_path / "vault")) == followed
    await again.close()
