"""Attacks on the outbox, media, imports and compaction: 044, 045, 051, 068, 069, 082, 090, 094, 096, 098, 100.

What was tried, and what became of it: docs/reviews/0002-the-vault.md.
"""

from __future__ import annotations

import asyncio
import contextlib
import io
import json
import os
import zipfile
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from adversary.hostile import Hostile
from strongroom import commit as commit_module
from strongroom import journal as journal_module
from strongroom import message, sending
from strongroom.commit import commit
from strongroom.engine.change import Change
from strongroom.engine.compaction import fold_tail
from strongroom.engine.run_writer import RunWriter
from strongroom.formats import ImportOptions, ImportReport, importer_named
from strongroom.formats.archive import open_archive
from strongroom.formats.native_json import canonical
from strongroom.importing import import_rows
from strongroom.sending import send
from strongroom_protocol.engine.index import Entry
from strongroom_protocol.engine.refs import ChunkRef, Mirrored, ObjectRef
from strongroom_protocol.errors import (
    Failure,
    ImportRefused,
    IncompleteError,
    InvalidArgument,
    RelayConflict,
    RelayUnreachable,
    UntrustedDataError,
)
from strongroom_protocol.limits import LIMITS
from strongroom_protocol.rows.ids import conversation_key
from strongroom_protocol.rows.media_refs import MEDIA, descriptors
from strongroom_protocol.rows.model import DeleteKind, Op, Row
from strongroom_protocol.seal.media import Media, part_count
from strongroom_protocol.seal.objects import HEADER_BYTES, Header, ObjectType, object_name
from strongroom_protocol.wire import cbor
from vaults import Bench, Device, messages_of, rows_of, talk, texts

NEWER = cbor.encode({1: 2})


@pytest.fixture
async def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Bench]:
    monkeypatch.setattr(sending.Sender, "start", lambda self: None)  # commits where a test says so
    made = Bench(tmp_path)
    yield made
    made.close()


def _behind(device: Device) -> Hostile:
    hostile = Hostile(device.session.transport)
    device.session.transport = hostile
    return hostile


def _unanswered(*_: Any) -> None:
    raise RelayUnreachable("no answer")


def _descriptor(*names: bytes, size: int = 100) -> bytes:
    """A well-formed descriptor of a file whose parts have these names."""
    return Media.of(size, bytes(32), [(name, bytes(32)) for name in names]).encode()


def _staged(device: Device) -> list[Path]:
    folder = device.session.state.folder / "outbox"
    return sorted(folder.iterdir()) if folder.exists() else []


async def _attach(device: Device, content: bytes, *, chat: str = "c", name: str = "a.jpg") -> None:
    await device.vault.attach(chat, (name, io.BytesIO(content)), text="see")


async def _saved(device: Device, chat: str = "c") -> list[bytes | str]:
    """What the attachments of a chat hold, or their state."""
    found: list[bytes | str] = []
    for shown in await device.vault.newest(chat):
        for item in shown.attachments:
            present = item.state == "present"
            found.append(b"".join([piece async for piece in device.vault.media(item)]) if present else item.state)
    return found


def _lines(path: Path, *lines: dict[str, Any]) -> Path:
    path.write_text("".join(canonical(line) + "\n" for line in lines))
    return path


# A hostile export ----------------------------------------------------------------------------------------------------


@pytest.mark.spec("IMP-17")
@pytest.mark.parametrize("where", ["field", "nested", "span", "attachment"])
async def test_attack_082_a_descriptor_in_an_export_cannot_stop_all_writing(bench: Bench, where: str) -> None:
    """One line of an export names a file in a "newer format" in a field that nobody knows; every fold follows it."""
    places: dict[str, dict[str, Any]] = {
        "field": {"#99": cbor.encode({MEDIA: NEWER}).hex()},
        "nested": {"#99": cbor.encode([[{7: {MEDIA: NEWER}}]]).hex()},
        "span": {"spans": [{"start": 0, "#22": cbor.encode(NEWER).hex()}]},
        "attachment": {"attachments": [{"name": "a", "media": NEWER.hex()}]},
    }
    device = await bench.create()
    line = {"type": "message", "conversation": "c", "id": "1", "time": 1000, "text": "hi", **places[where]}
    done = await device.vault.import_([_lines(bench.folder / "hostile.jsonl", line)], options=ImportOptions("c"))
    assert done.written == {"put": 1}
    for n in range(LIMITS.tail_batches + 2):
        await device.add(talk("x", 1, start=1_800_000_000_000 + n * 1000))
    await device.vault.compact()
    assert not (await device.vault.verify()).damaged
    (row,) = (await rows_of(await device.snapshot()))["c"]
    assert not list(descriptors(row.detail))


@pytest.mark.spec("MEDIA-7")
@pytest.mark.parametrize("many", [False, True])
async def test_attack_082_an_app_that_passes_on_hostile_details_is_refused(bench: Bench, many: bool) -> None:
    """What no merge could go past is refused with its row: at append, and in an import of columns."""
    count = part_count(LIMITS.media_parts * 2**23 - 2**23)
    full = Media.of(LIMITS.media_parts * 2**23 - 2**23, bytes(32), [(bytes(32), bytes(32))] * count).encode()
    detail = {99: [{MEDIA: full}] * 5} if many else {99: {MEDIA: NEWER}}
    device = await bench.create()
    with pytest.raises(InvalidArgument):
        await device.vault.append("c", Row(Op.PUT, 5, id="a", text="x", detail=detail))
    with pytest.raises(InvalidArgument):
        await device.add([("c", Row(Op.PUT, 5, id="a", text="x", detail=detail))])
    assert device.vault.damage() == {}
    assert (await device.vault.status()).waiting == 0


async def test_attack_096_an_attachment_path_leaves_the_export_nowhere(bench: Bench) -> None:
    """Up, absolute, through a link, a pipe, half a name: only what lies in the folder is read, and nothing waits."""
    (bench.folder / "secret").write_text("secret")
    folder = bench.folder / "export"
    (folder / "in").mkdir(parents=True)
    (folder / "link").symlink_to(bench.folder)
    (folder / "in" / "direct").symlink_to(bench.folder / "secret")
    os.mkfifo(folder / "pipe")
    (folder / "in" / "good").write_bytes(b"good")
    paths = [
        "../secret", str(bench.folder / "secret"), "link/secret", "in/direct", "pipe", "in/../../secret", "in//good",
        "in", "\0", "x" * 5000, "in/good",
    ]  # fmt: skip
    _lines(
        folder / "chat.jsonl",
        {"type": "message", "conversation": "c", "id": "1", "time": 1, "attachments": [{"path": p} for p in paths]},
    )
    device = await bench.create()
    async with asyncio.timeout(20):
        await device.vault.import_([folder / "chat.jsonl"])
    assert await _saved(device) == ["unavailable"] * (len(paths) - 1) + [b"good"]


@pytest.mark.spec("IMP-10")
@pytest.mark.parametrize("trick", ["pipe", "link", "folder"])
def test_attack_098_an_export_of_pipes_and_links_is_refused_at_once(tmp_path: Path, trick: str) -> None:
    export = tmp_path / "export"
    (tmp_path / "else").mkdir()
    (tmp_path / "else" / "a.jsonl").write_text("{}\n")
    export.mkdir()
    if trick == "folder":
        (export / "chats").symlink_to(tmp_path / "else")
    else:
        (export / "chats").mkdir()
    if trick == "pipe":
        os.mkfifo(export / "chats" / "a.jsonl")
    if trick == "link":
        (export / "chats" / "a.jsonl").symlink_to(tmp_path / "else" / "a.jsonl")
    index = {"format": "strongroom-export", "version": 1, "chats": [{"file": "chats/a.jsonl", "sha256": "0" * 64}]}
    (export / "strongroom.json").write_text(json.dumps(index))
    with pytest.raises(ImportRefused, match="outside"):
        list(importer_named("native").read(export, ImportOptions(), ImportReport()))


@pytest.mark.spec("IMP-18")
def test_attack_098_many_small_bombs_in_a_zip(tmp_path: Path) -> None:
    """Each member inflates to less than what any member may, all together to a thousand times the zip."""
    path = tmp_path / "export.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as made:
        for n in range(8):
            made.writestr(f"__uploads/F{n}/a.bin", bytes(15 * 2**20) + b"%d" % n)
    with pytest.raises(ImportRefused, match="inflates"), open_archive(path):
        pass


async def test_attack_098_rows_whose_details_are_large_together(bench: Bench) -> None:
    """Each detail is allowed, 20 MiB of them are more than one encoded item: they take several portions."""
    device = await bench.create()
    rows = [("c", Row(Op.PUT, n, id=str(n), text="x", detail={99: bytes(2**20)})) for n in range(20)]
    assert (await import_rows(device.session, rows)).written[Op.PUT] == 20
    assert len(await device.vault.newest("c")) == 20


async def test_attack_100_an_old_export_does_not_bring_a_message_back(bench: Bench) -> None:
    """Erased, folded, compacted; then the export it came from, an edit, a reaction, a later time of the same id."""
    device = await bench.create()
    line = {"type": "message", "conversation": "c", "id": "1", "time": 1000, "text": "gone"}
    old = _lines(bench.folder / "old.jsonl", line, line | {"id": "2", "text": "stays"})
    await device.vault.import_([old])
    first = (await device.vault.newest("c"))[0]
    await device.vault.delete(first)
    await device.vault.flush()
    await device.vault.compact()
    await device.vault.import_([old])
    await device.vault.append("c", Row(Op.EDIT, 1000, id="1", text="gone again", detail={1: 9_000_000_000_000}))
    await device.vault.append("c", Row(Op.REACT, 1000, id="1", sender="s", kind=1, text="+"))
    await device.vault.flush()
    (merged,) = (await messages_of(await device.snapshot())).values()
    assert list(texts(merged)) == [None, "stays"]
    await device.vault.compact()
    assert {row.text for row in (await rows_of(await device.snapshot()))["c"]} == {None, "stays"}


async def test_attack_100_a_tombstone_reaches_no_other_message(bench: Bench) -> None:
    """The same id in another chat, or at another time, is another message; so it is for merges."""
    device = await bench.create()
    for chat in ("a", "b"):
        await device.vault.append(chat, [Row(Op.PUT, time, id="1", text=f"{chat}{time}") for time in (1000, 2000)])
    await device.vault.append("a", Row(Op.DELETE, 1000, id="1", kind=DeleteKind.ERASE))
    await device.vault.append("a", Row(Op.DELETE, 3000, id="1", kind=DeleteKind.ERASE))
    await device.vault.append("A", Row(Op.DELETE, 2000, id="1", kind=DeleteKind.ERASE))
    await device.vault.flush()
    await device.vault.compact()
    found = await messages_of(await device.snapshot())
    assert [text for text in texts(found["a"]) if text] == ["a2000"]
    assert list(texts(found["b"])) == ["b1000", "b2000"]


# The outbox ----------------------------------------------------------------------------------------------------------


@pytest.mark.spec("CLIENT-34")
@pytest.mark.parametrize("damage", ["flipped", "cut", "gone"])
async def test_attack_094_a_damaged_staged_file_stops_no_message(bench: Bench, damage: str) -> None:
    """Its message is sent with the file as unavailable; the one after it is sent, too."""
    device = await bench.create()
    await _attach(device, os.urandom(5000))
    (path,) = _staged(device)
    data = bytearray(path.read_bytes())
    data[400] ^= 1
    if damage == "gone":
        path.unlink()
    else:
        path.write_bytes(data if damage == "flipped" else data[:-1])
    await device.vault.append("c", message("after"))
    await device.vault.flush()
    assert (await device.vault.status()).waiting == 0
    assert [shown.text for shown in await device.vault.newest("c")] == ["see", "after"]
    assert await _saved(device) == ["unavailable"]
    assert not (await device.vault.verify()).damaged


@pytest.mark.spec("CLIENT-34")
async def test_attack_044_an_answer_without_sense_costs_no_file(bench: Bench) -> None:
    """A relay that answers nonsense about a staged file is asked again; the file is not given up for it."""
    device = await bench.create()
    content = os.urandom(5000)
    await _attach(device, content)
    hostile = _behind(device)

    def nonsense(*_: Any) -> None:
        raise UntrustedDataError(Failure.SCHEMA, "names other than those asked for", subject="missing")

    hostile.instead("missing", nonsense)
    with pytest.raises(UntrustedDataError):
        await device.vault.flush()
    hostile.behave()
    hostile.instead("commit", _unanswered)
    hostile.replace("read", lambda honest, *_: [None] * len(honest))
    hostile.replace("missing", lambda _, account, names: list(names))
    with pytest.raises((RelayUnreachable, UntrustedDataError)):
        await device.vault.flush()
    hostile.behave()
    await device.vault.flush()
    assert await _saved(device) == [content]


async def test_attack_090_a_file_attached_again_while_it_is_sent(bench: Bench) -> None:
    """What is staged for the second message stays when the first one has been sent."""
    device = await bench.create()
    content = os.urandom(5000)
    hostile = _behind(device)
    await _attach(device, content)

    async def meanwhile(honest: Any, *_: Any) -> Any:
        hostile.behave()
        await _attach(device, content)
        return honest

    hostile.replace("commit", meanwhile)
    assert await send(device.session, device.vault._outbox) == 1
    assert len(_staged(device)) == 1
    hostile.replace("missing", lambda _, account, names: list(names))  # it has been dropped, say
    await device.vault.flush()
    assert _staged(device) == []
    assert await _saved(device) == [content, content]


async def test_attack_090_a_forwarded_file_whose_message_is_erased_before(bench: Bench) -> None:
    """The parts are dropped by the time the forwarding message is sent: its head takes them back."""
    device = await bench.create()
    other = await bench.login("b", confirm=True)
    content = os.urandom(5000)
    await _attach(device, content)
    await device.vault.flush()
    (shown,) = await device.vault.newest("c")
    names = Media.decode(shown.attachments[0].raw[MEDIA]).names
    await device.vault.append("other", message("forwarded", attachments=[shown.attachments[0].raw]))
    await other.vault.delete((await other.vault.newest("c"))[0])
    await other.vault.flush()
    await other.vault.compact()
    assert set(await device.session.transport.missing(device.session.account, [*names])) == names
    await device.vault.flush()
    assert await _saved(other, "other") == [content]
    assert await device.session.transport.missing(device.session.account, [*names]) == []


async def test_attack_061_no_part_goes_up_in_the_epoch_before(bench: Bench) -> None:
    """Of two files that begin equally the first has gone up; the rest of the second is sealed anew all the same."""
    device = await bench.create()
    beginning = os.urandom(8 * 2**20)
    await _attach(device, beginning + b"one")
    await device.vault.flush()
    await _attach(device, beginning + b"two")
    shared = [path for path in _staged(device) if path.stat().st_size > 2**20]
    for path in shared:  # as a process that ended before it removed it, and one that began
        path.unlink()
    assert len(shared) == 1
    fresh = await bench.login("b")
    await bench.confirm(fresh)
    await device.session.sync()
    hostile = _behind(device)
    await device.vault.flush()
    sent = [bytes(entry[3]) for entry in hostile.trace if entry[0] == "put" and entry[3][1] == ObjectType.MEDIA]
    epochs = {Header.parse(data[:HEADER_BYTES], "part").epoch for data in sent}
    assert epochs == {device.session.keyring.epoch}
    assert (await _saved(device))[1] == beginning + b"two"


async def test_attack_094_an_error_that_nobody_foresaw_does_not_end_sending(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The task goes on, tells what is wrong, and the vault closes."""
    monkeypatch.setattr(sending, "GATHER_S", 0.0)
    monkeypatch.setattr(sending, "BACKOFF_S", (0.01, 0.01))
    bench = Bench(tmp_path)
    device = await bench.create()
    hostile = _behind(device)

    def broken(*_: Any) -> None:
        raise PermissionError("a folder changed hands")

    hostile.instead("commit", broken)
    await device.vault.append("c", message("first"))
    async with asyncio.timeout(20):
        while device.vault._sender.error is None:  # noqa: ASYNC110 - the task under test tells nobody
            await asyncio.sleep(0.01)
        hostile.behave()
        while device.vault._outbox.waiting()[0]:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
    assert [shown.text for shown in await device.vault.newest("c")] == ["first"]
    await device.vault.close()
    bench.devices.clear()
    bench.close()


async def test_attack_045_lying_conflicts_and_lost_answers_never_lose_or_double(bench: Bench) -> None:
    """Each commit lands or not, and the relay says the opposite, or nothing; between, heads of another device."""
    device = await bench.create()
    other = await bench.login("b", confirm=True)
    hostile = _behind(device)
    honest = hostile.honest

    async def landed(error: Exception, account: bytes, request: Any) -> None:
        await honest.commit(account, request)
        raise error

    def failed(error: Exception, *_: Any) -> None:
        raise error

    plans: list[Callable[..., Any]] = [
        lambda *a: landed(RelayConflict("lie"), *a), lambda *a: failed(RelayConflict("lie")),
        lambda *a: landed(RelayUnreachable("lost"), *a), lambda *a: failed(RelayUnreachable("lost")),
    ]  # fmt: skip
    said = []
    for n in range(16):
        said.append(f"m{n}")
        await device.vault.append("c", message(said[-1]))
        first, second = divmod(n, 4)
        for plan in (plans[first], plans[second]):
            hostile.instead("commit", plan)
            with contextlib.suppress(RelayConflict, RelayUnreachable):
                await device.vault.flush()
            if n % 3 == 0:
                await other.add(talk("x", 1, start=1_800_000_000_000 + n * 1000))
        hostile.behave()
        await device.vault.flush()
        assert device.vault._outbox.waiting()[0] == 0
    rows = [str(row.text) for row in (await rows_of(await other.snapshot()))["c"]]
    assert sorted(rows) == sorted(said)
    assert len(set(rows)) == len(rows)


async def test_attack_052_attempts_do_not_grow_for_ever(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """A relay that takes no commit for months: the list stays short, and what waits is sent when it does again."""
    monkeypatch.setattr(journal_module, "KEPT", 5)
    device = await bench.create()
    hostile = _behind(device)
    hostile.instead("commit", _unanswered)
    await device.vault.append("c", message("waits"))
    for _ in range(12):
        with pytest.raises(RelayUnreachable):
            await device.vault.flush()
    assert len(device.session.journal._attempts()) == 5
    hostile.behave()
    await device.vault.flush()
    assert [shown.text for shown in await device.vault.newest("c")] == ["waits"]


# Heads that name too much, objects that are still needed -------------------------------------------------------------


async def _limited(device: Device, monkeypatch: pytest.MonkeyPatch, names: int) -> list[tuple[int, int]]:
    """What heads add and drop from here on, when a head may name `names`."""
    monkeypatch.setattr(commit_module, "NAMES", names)
    found: list[tuple[int, int]] = []
    hostile = _behind(device)

    def seen(honest: Any, account: bytes, request: Any) -> Any:
        found.append((len(request.delta.adds), len(request.delta.drops)))
        return honest

    hostile.replace("commit", seen)
    return found


def test_attack_082_a_head_has_room_for_what_a_commit_names() -> None:
    """The names of a long commit, and as many objects of its own."""
    assert LIMITS.delta_names >= commit_module.NAMES * 2


async def test_attack_082_more_files_than_a_head_can_add(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """Files that one head cannot name are pinned by several, before the one that refers to them."""
    device = await bench.create()
    contents = [os.urandom(100) for _ in range(11)]
    for content in contents:
        await _attach(device, content)
    heads = await _limited(device, monkeypatch, 4)
    await device.vault.flush()
    assert len(heads) == 3
    assert max(adds for adds, _ in heads) <= 4 + 4  # and the body, and the batch
    assert await _saved(device) == contents
    assert not (await device.vault.verify()).damaged


async def test_attack_082_more_files_than_a_head_can_drop(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """A whole album is erased: its files leave with several heads, none stays."""
    device = await bench.create()
    for _ in range(11):
        await _attach(device, os.urandom(100))
    await device.vault.flush()
    media = set(await (await device.snapshot()).media())
    for shown in await device.vault.newest("c"):
        await device.vault.delete(shown)
    await device.vault.flush()
    heads = await _limited(device, monkeypatch, 4)
    await device.vault.compact()
    assert max(drops for _, drops in heads) <= 4 + 1
    assert set(await device.session.transport.missing(device.session.account, [*media])) == media
    assert not (await device.vault.verify()).damaged


def test_attack_082_a_page_of_pictures_can_be_read() -> None:
    """Frames whose rows name many files: a page of an index ends before it is longer than what a reader parses."""
    parts = sorted((ObjectRef(os.urandom(32), 1400) for _ in range(4096)), key=lambda part: part.name)
    pages: list[list[bytes]] = []

    class Seals:
        def chunks(self, kind: ObjectType, contents: list[bytes]) -> tuple[ObjectRef, tuple[Any, ...]]:
            if kind is ObjectType.INDEX_PAGES:
                pages.append(contents)
            return ObjectRef(os.urandom(32), 9), tuple(ChunkRef(n, 94, 100, bytes(32)) for n in range(len(contents)))

        def object(self, kind: ObjectType, content: bytes) -> ObjectRef:
            return ObjectRef(os.urandom(32), 9)

    writer = RunWriter(Seals(), 1, 0)  # type: ignore[arg-type]
    for n in range(128):
        writer.add_encoded(bytes(16), n, n, 1, b"frame", parts)
    assert writer.finish().frames == 128
    assert max(map(len, pages[0])) <= LIMITS.cbor_bytes // 16
    read = sum(len(entry[1]) for page in pages[0] for entry in cbor.decode(page))
    assert read == 128


@pytest.mark.spec("ENG-15")
@pytest.mark.parametrize("kind", ["segment", "index", "pages", "cold", "batch"])
async def test_attack_065_a_row_that_calls_an_object_in_use_a_file(bench: Bench, kind: str) -> None:
    """A device plants a message whose "file" is part of the engine; when it is erased, nothing else goes with it."""
    device = await bench.create()
    await device.add([row for n in range(300) for row in talk(f"old {n}", 2)])  # cold pages; one run
    assert len((await device.snapshot()).root.runs) == 1
    await device.vault.append("tail", message("stays in the tail"))
    await device.vault.flush()
    snapshot = await device.snapshot()
    (run,) = snapshot.root.runs
    (top,) = await snapshot.tops(run)
    hot = await snapshot.hot()
    assert hot is not None
    target = {
        "segment": top.segments[0].name, "index": run.index.primary.name, "pages": top.pages.name,
        "cold": hot.cold[0].ref.name, "batch": snapshot.body.tail[0].ref.name,
    }[kind]  # fmt: skip
    keys = device.session.epochs()[device.session.keyring.epoch]
    change = await Change.begin(snapshot, commit_module.sealer_for(device.session, keys, lambda *_: None))
    frame = (await snapshot.entries(run))[0][1]
    planted: Entry = (bytes(16), replace(frame, media=(ObjectRef(target, 100), ObjectRef(b"x" * 32, 100))))
    change.drop_media([planted], [])
    await change.finish(acknowledged=1)
    assert target not in change.drops
    assert b"x" * 32 in change.drops


async def test_attack_043_a_withheld_index_makes_a_compaction_drop_nothing(bench: Bench) -> None:
    """Two runs name a file; the relay hides one of them, and the other's message is erased."""
    device = await bench.create()
    content = os.urandom(3000)
    await _attach(device, content)
    await device.vault.flush()
    (shown,) = await device.vault.newest("c")
    name = next(iter(Media.decode(shown.attachments[0].raw[MEDIA]).names))
    await device.add(talk("c", 600, start=1_800_000_000_000))
    await commit(device.session, fold_tail)
    await device.vault.append("d", message("again", attachments=[shown.attachments[0].raw]))
    await device.vault.flush()
    await device.vault.delete(shown)
    await device.vault.flush()
    await commit(device.session, fold_tail)
    snapshot = await device.snapshot()
    holding = [run for run in snapshot.root.runs if any(entry[1].media for entry in await snapshot.entries(run))]
    hidden = {ref.name for ref in holding[0].index.refs}
    hostile = _behind(device)

    def withheld(honest: list[bytes | None], _: bytes, ranges: Any) -> list[bytes | None]:
        return [None if item[0] in hidden else piece for piece, item in zip(honest, ranges, strict=True)]

    hostile.replace("read", withheld)
    for path in (device.session.state.folder / "objects").rglob("*"):
        if path.is_file():
            path.unlink()
    device.session.base = None
    with contextlib.suppress(IncompleteError, UntrustedDataError):  # refusing is as good as dropping nothing
        await device.vault.compact()
    dropped = [name for entry in hostile.trace if entry[0] == "commit" for name in entry[2].delta.drops]
    assert name not in dropped
    hostile.behave()
    device.session.base = None
    await device.vault.compact()
    assert await _saved(device, "d") == [content]


async def test_attack_061_an_index_that_is_none_hides_only_itself(bench: Bench) -> None:
    """A device of the account seals an index of nonsense: others read, export, verify and write on, and are told."""
    device = await bench.create()
    other = await bench.login("b", confirm=True)
    await device.add(talk("good", 600))

    async def build(change: Change) -> bool:
        await change.directory.load([])
        tops = [change.sealer.object(ObjectType.INDEX, b"\x80") for _ in range(2)]
        (run,) = change.runs
        change.add_run(replace(run, number=run.number + 1, index=Mirrored(*tops)))
        return True

    other.session.base = None
    await commit(other.session, build)
    assert len(await device.vault.newest("good", count=5)) == 5
    counts = await device.vault.export(bench.folder / "out")
    assert counts["message"] == 600
    assert set(device.vault.damage().values()) == {Failure.SCHEMA}
    assert len((await device.vault.verify()).damaged) == 2
    await device.add(talk("more", 3))
    await device.vault.compact()
    assert len((await rows_of(await device.snapshot()))["good"]) == 600


# Files that are read and written -------------------------------------------------------------------------------------


async def test_attack_096_saving_a_file_touches_nobody_elses(bench: Bench) -> None:
    """A file, and a link to one, of the name under which a download used to grow."""
    device = await bench.create()
    content = os.urandom(3000)
    await _attach(device, content, name="photo.jpg")
    await device.vault.flush()
    (shown,) = await device.vault.newest("c")
    folder = bench.folder / "downloads"
    folder.mkdir()
    mine, victim = folder / "photo.jpg.part", bench.folder / "keys"
    mine.write_bytes(b"mine")
    victim.write_bytes(b"victim")
    await device.vault.save(shown.attachments[0], folder / "photo.jpg")
    assert (folder / "photo.jpg").read_bytes() == content
    assert mine.read_bytes() == b"mine"
    media = Media.decode(shown.attachments[0].raw[MEDIA])
    for name, make in (("link", lambda path: path.symlink_to(victim)), ("pipe", os.mkfifo), ("folder", os.mkdir)):
        make(folder / f"{name}.{media.sha256[:8].hex()}.part")
        with pytest.raises(OSError, match=r"\.part"):
            await device.vault.save(shown.attachments[0], folder / name)
        assert not (folder / name).exists()
    assert victim.read_bytes() == b"victim"


async def test_attack_096_a_second_export_removes_no_files_of_the_user(bench: Bench) -> None:
    device = await bench.create()
    await device.add(talk("c", 3))
    await _attach(device, b"content", name="a.jpg")
    await device.vault.flush()
    target = bench.folder / "out"
    await device.vault.export(target)
    await device.vault.export(target)  # over its own
    for name in ("notes.txt", "chats/notes.txt", "files/mine.jpg", "own/x"):
        (target / name).parent.mkdir(exist_ok=True)
        (target / name).write_text("mine")
        with pytest.raises(InvalidArgument):
            await device.vault.export(target)
        assert (target / name).read_text() == "mine"
        (target / name).unlink()
        if name == "own/x":
            (target / "own").rmdir()


async def test_attack_043_a_file_that_is_damaged_in_one_chat_is_exported_from_another(bench: Bench) -> None:
    """And a descriptor that is none costs its own attachment, not the export."""
    device = await bench.create()
    content = os.urandom(3000)
    for chat in ("c", "d"):
        await _attach(device, content, chat=chat)
    await device.vault.append("e", Row(Op.PUT, 5, id="q", text="x", detail={4: [{4: "n", MEDIA: b"nonsense"}]}))
    await device.vault.flush()
    chosen = min(("c", "d"), key=conversation_key)  # the one that is exported first
    (shown,) = await device.vault.newest(chosen)
    hidden = Media.decode(shown.attachments[0].raw[MEDIA]).names
    hostile = _behind(device)
    for path in (device.session.state.folder / "objects").rglob("*"):
        if path.is_file() and path.name in {name.hex() for name in hidden}:
            path.unlink()
    hostile.replace(
        "read",
        lambda honest, _, ranges: [None if r[0] in hidden else p for p, r in zip(honest, ranges, strict=True)],
    )
    counts = await device.vault.export(bench.folder / "out")
    assert (counts["conversations"], counts["files"]) == (3, 1)
    (written,) = (bench.folder / "out" / "files").iterdir()
    assert written.read_bytes() == content


async def _collect(pieces: AsyncIterator[bytes], found: list[bytes]) -> None:
    async for piece in pieces:
        found.append(piece)


async def test_attack_020_ranges_of_a_file_are_never_unverified_bytes(bench: Bench) -> None:
    """Every piece that comes back of a swapped, cut, repeated or changed answer is the file's own, or an error."""
    device = await bench.create()
    content = os.urandom(900_000)
    await _attach(device, content)
    await device.vault.flush()
    (shown,) = await device.vault.newest("c")
    hostile = _behind(device)
    lies: list[Callable[[list[bytes]], list[bytes | None]]] = [
        lambda pieces: [*pieces[:2], *reversed(pieces[2:])],
        lambda pieces: [piece[:-1] for piece in pieces],
        lambda pieces: [*pieces[:2], *[pieces[2]] * (len(pieces) - 2)],
        lambda pieces: [piece[:-1] + bytes([piece[-1] ^ 1]) for piece in pieces],
        lambda pieces: [pieces[1], pieces[0], *pieces[2:]],
        lambda pieces: [pieces[0], pieces[2], pieces[1], *pieces[3:]],
        lambda pieces: [*pieces[:-1], None],
    ]
    for lie in lies:
        hostile.replace("read", lambda honest, _account, _ranges, lie=lie: lie(honest) if len(honest) > 3 else honest)
        found: list[bytes] = []
        with pytest.raises(UntrustedDataError):
            await _collect(device.vault.media(shown.attachments[0]), found)
        assert content.startswith(b"".join(found))
    hostile.behave()
    for bad in ({"offset": -1}, {"offset": 0, "length": -1}):
        with pytest.raises(InvalidArgument):
            device.vault.media(shown.attachments[0], **bad)


async def test_attack_069_equal_files_are_linked_in_their_chat_only(bench: Bench) -> None:
    """One file in one chat twice, in another, in another account: only the first two share an object."""
    device = await bench.create()
    stranger = await bench.create("bert", folder="z")
    content = os.urandom(3000)
    for who, chat in ((device, "c"), (device, "c"), (device, "d"), (stranger, "c")):
        await _attach(who, content, chat=chat)
        await who.vault.flush()

    async def names(who: Device, chat: str) -> list[bytes]:
        shown = await who.vault.newest(chat)
        return [next(iter(Media.decode(item.attachments[0].raw[MEDIA]).names)) for item in shown]

    here, there, other = await names(device, "c"), await names(device, "d"), await names(stranger, "c")
    assert here[0] == here[1]
    assert len({*here, *there, *other}) == 3
    assert object_name(content) not in {*here, *there, *other}
