"""WhatsApp exports in a vault: the same chat again, newer, cut off, with and without media; and out again, whole."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest

from strongroom.formats import ImportOptions
from strongroom.records import ChatMessage, ImportResult
from strongroom_protocol.rows.model import Op
from vaults import Bench, Device, messages_of
from whatsapp_exports import LRM, PHONES, Said, chat, file, read, when, zipped

ANDROID = PHONES[0]
CHAT = "whatsapp:Ann"
PHOTO, VIDEO = b"\xff\xd8\xff" + b"photo" * 100, b"video" * 1000


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[Bench]:
    made = Bench(tmp_path)
    yield made
    made.close()


def _talk(count: int) -> list[Said]:
    """Several messages a minute, of which every third is the same word."""
    start = when(2024, 1, 13, 9)
    return [
        Said(start + timedelta(seconds=20 * n), "Ann" if n % 2 else "Bob", f"message {n}\nof many" if n % 3 else "ok")
        for n in range(count)
    ]


async def _import(device: Device, path: Path, **options: str) -> ImportResult:
    return await device.vault.import_([path], options=ImportOptions(extra=options))


def _written(result: ImportResult) -> dict[str, int]:
    """What was added, apart from where it came from."""
    return {name: count for name, count in result.written.items() if name != "source"}


async def _shown(device: Device) -> list[ChatMessage]:
    return await device.vault.newest(CHAT, count=1000)


async def test_the_same_again_a_newer_one_and_one_that_is_cut_off(bench: Bench) -> None:
    device = await bench.create()
    talk = _talk(120)
    old = file(bench.folder / "old", chat(ANDROID, talk[:80]))
    assert _written(await _import(device, old)) == {"put": 80, "conversation": 1, "member": 2}
    again = await _import(device, old)
    assert (again.written, again.commits) == ({}, 0)
    newer = file(bench.folder / "newer", chat(ANDROID, talk[:100]))
    assert _written(await _import(device, newer)) == {"put": 20}
    for cut in (1, 2, 3, 50, 51, 99):
        path = file(bench.folder / f"cut{cut}", chat(ANDROID, talk[cut:]))
        assert _written(await _import(device, path)) == ({"put": 20} if cut == 1 else {}), cut
    assert [message.text for message in await _shown(device)] == [said.text for said in talk]


@pytest.mark.spec("IMP-32")
async def test_an_export_with_media_completes_one_without(bench: Bench) -> None:
    device = await bench.create()
    at = "15/01/2024, 10:30 - "
    bare = f"{at}Ann: hi\n{at}Ann: <Media omitted>\nlook\n{at}Ann: <Media omitted>\n{at}Bob: <Media omitted>\n"
    full = (
        f"{at}Ann: hi\n{at}Ann: IMG-20240115-WA0001.jpg (file attached)\nlook\n"
        f"{at}Ann: STK-20240115-WA0002.webp (file attached)\n"
        f"{at}Bob: Ann Lee.vcf (file attached)\n"
    )
    files: dict[str, bytes | str] = {
        "IMG-20240115-WA0001.jpg": PHOTO, "STK-20240115-WA0002.webp": VIDEO, "Ann Lee.vcf": b"BEGIN:VCARD",
    }  # fmt: skip
    await _import(device, file(bench.folder / "bare", bare))
    states = [[item.state for item in message.attachments] for message in await _shown(device)]
    assert states == [[], ["omitted"], ["omitted"], ["omitted"]]
    path = zipped(bench.folder / "full", {"WhatsApp Chat with Ann.txt": full, **files}, "WhatsApp Chat with Ann.zip")
    assert _written(await _import(device, path)) == {"edit": 3}
    for _ in range(2):
        shown = await _shown(device)
        assert [message.text for message in shown] == ["hi", "look", None, None]
        assert [[item.name for item in message.attachments] for message in shown[1:]] == [[name] for name in files]
        held = [
            b"".join([piece async for piece in device.vault.media(message.attachments[0])]) for message in shown[1:]
        ]
        assert held == list(files.values())
        # Neither the one nor the other changes anything any more.
        assert (await _import(device, path)).written == {}
        assert (await _import(device, bench.folder / "bare" / "WhatsApp Chat with Ann.txt")).written == {}
    other = await bench.create("ben", folder="ben")
    await _import(other, path)
    assert (await _import(other, bench.folder / "bare" / "WhatsApp Chat with Ann.txt")).written.get("edit") is None
    assert [[item.state for item in message.attachments] for message in await _shown(other)][1:] == [["present"]] * 3


async def test_numbers_of_ios_change_from_export_to_export(bench: Bench) -> None:
    device = await bench.create()
    head, name = f"{LRM}[15/01/2024, 10:30:45] ", "PHOTO-2024-01-15-10-30-45.jpg"
    for number, before in ((12, f"{head}Ann: hi\n"), (11, "")):
        content = f"{before}[15/01/2024, 10:30:46] Ann: {LRM}<attached: {number:08}-{name}>\n"
        path = zipped(bench.folder / str(number), {"_chat.txt": content, f"{number:08}-{name}": PHOTO})
        written = _written(await _import(device, path))
    assert written == {}
    (photo,) = (await _shown(device))[-1].attachments
    assert (photo.name, photo.state, photo.mime) == (name, "present", "image/jpeg")


async def test_deletions_and_edits_overwrite_nothing(bench: Bench) -> None:
    device = await bench.create()
    at = "15/01/2024, 10:30 - "
    old = f"{at}Ann: one\n{at}Ann: two\n{at}Ann: IMG-20240115-WA0001.jpg (file attached)\n"
    new = (
        f"{at}Ann: This message was deleted\n{at}Ann: too <This message was edited>\n"
        f"{at}Ann: IMG-20240115-WA0001.jpg (file attached)\n"
    )
    await _import(device, zipped(bench.folder / "old", {"_chat.txt": old, "IMG-20240115-WA0001.jpg": PHOTO}))
    added = await _import(device, zipped(bench.folder / "new", {"_chat.txt": new, "IMG-20240115-WA0001.jpg": PHOTO}))
    assert _written(added) == {"put": 2, "delete": 1}
    shown = await _shown(device)
    assert sorted(message.text or "" for message in shown) == ["", "", "one", "too", "two"]
    assert sum(message.deleted for message in shown) == 1


async def test_what_was_imported_comes_out_whole_on_another_device(bench: Bench) -> None:
    device = await bench.create()
    talk = [*_talk(60), Said(when(2024, 2, 1), None, 'Ann changed the subject to "Rome: 2024"')]
    content = chat(ANDROID, talk, newline="\r\n", bom=True) + b"01/02/2024, 08:00 - Ann: IMG-1.jpg (file attached)\n"
    path = zipped(
        bench.folder / "in", {"WhatsApp Chat with Ann.txt": content, "IMG-1.jpg": PHOTO}, "WhatsApp Chat with Ann.zip"
    )
    await _import(device, path)
    fresh = await bench.login("fresh")
    out = bench.folder / "out"
    await fresh.vault.export(out)
    other = await bench.create("ben", folder="ben")
    await other.vault.import_([out], options=ImportOptions())
    histories = [await messages_of(await which.snapshot()) for which in (device, fresh, other)]
    expected = [row for _, row in read(path)[0] if row.op == Op.PUT]
    for history in histories:
        assert list(history) == [CHAT]
        found = [message.versions[-1] for message in history[CHAT]]
        assert [(row.time, row.sender, row.kind, row.text, row.flags) for row in found] == [
            (row.time, row.sender, row.kind, row.text, row.flags) for row in expected
        ]
        assert b"".join(row.raw or b"" for row in found) == content
    assert (await _import(other, path)).written.get("put") is None
    await other.vault.export(bench.folder / "again")
    assert _files(bench.folder / "again") == _files(out)


def _files(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
