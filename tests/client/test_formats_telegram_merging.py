"""Telegram exports in a vault: a newer one of the same chat, as it comes after months (review 0007).

People take other names, counts grow, files are left out or numbered anew, the machine stands in another zone. None of
that is another version of a message, and none of it takes anything away.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from strongroom.records import ChatMessage
from telegram_exports import START, chat, everything, said, served, written
from vaults import Bench, Device

CHAT = "telegram:chat42"
PHOTO = b"\xff\xd8\xff" + bytes(3000)
PATH = "photos/photo_1@15-11-2023_00-13-20.jpg"
LEFT_OUT = "(File not included. Change data exporting settings to download.)"
TOO_LARGE = "(File exceeds maximum size. Change data exporting settings to download.)"
AWAY = "(File unavailable, please try again later)"
EDITED = {"edited_unixtime": str(START + 999)}


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[Bench]:
    made = Bench(tmp_path)
    yield made
    made.close()


async def _import(device: Device, messages: list[Any], *, photo: str | None = None) -> dict[str, int]:
    """What an export of these messages adds, apart from where it came from."""
    folder = device.vault.folder.parent / f"export-{len(list(device.vault.folder.parent.iterdir()))}"
    folder.mkdir()
    if photo is not None:
        (folder / photo).parent.mkdir()
        (folder / photo).write_bytes(PHOTO)
    (folder / "result.json").write_text(written(chat(messages)), encoding="utf-8")
    added = (await device.vault.import_([folder])).written
    return {name: count for name, count in added.items() if name != "source"}


async def _shown(device: Device) -> list[ChatMessage]:
    return await device.vault.newest(CHAT, count=100)


@pytest.mark.spec("IMP-45")
async def test_names_counts_and_zones_make_no_versions(bench: Bench) -> None:
    device = await bench.create()
    poll = {"question": "q", "closed": False, "total_voters": 1, "answers": [{"text": "x", "voters": 1}]}
    more = {**poll, "total_voters": 4, "answers": [{"text": "x", "voters": 4}]}
    faces = [{"type": "emoji", "emoji": "👍", "count": 2, "recent": [
        {"from": "Ben", "from_id": "user2", "date": "2023-11-15T00:00:00"}]}]  # fmt: skip
    later = [{"type": "emoji", "emoji": "👍", "count": 9, "recent": [
        {"from": "Benjamin", "from_id": "user2", "date": "2023-11-15T05:00:00"}]}]  # fmt: skip
    old = [said(1, "a"), said(2, poll=poll), said(3, "c", reactions=faces), said(4, "d", forwarded_from="News")]
    new = [said(1, "a"), said(2, poll=more), said(3, "c", reactions=later), said(4, "d", forwarded_from="The News")]
    renamed = [record | {"from": "Anna Maria", "date": "2023-11-15T07:13:20"} for record in new]
    await _import(device, old)
    assert await _import(device, renamed) == {"member": 1}
    assert [len(message.versions) for message in await _shown(device)] == [1, 1, 1, 1]
    # What was said anew still is a version; and once, whatever the names are in the export after that.
    changed = [renamed[0] | {"text": "b", **EDITED}, *renamed[1:]]
    assert await _import(device, changed) == {"edit": 1}
    assert await _import(device, [record | {"from": "A. M."} for record in changed]) == {"member": 1}
    assert [message.text for message in await _shown(device)] == ["b", None, "c", "d"]


@pytest.mark.spec("IMP-45")
@pytest.mark.parametrize("sentence", [LEFT_OUT, TOO_LARGE, AWAY])
async def test_a_file_that_an_export_lacks_takes_none_away(bench: Bench, sentence: str) -> None:
    device = await bench.create()
    await _import(device, [said(1, "a", photo=PATH, width=3, height=4)], photo=PATH)
    assert await _import(device, [said(1, "a", photo=sentence, width=3, height=4)]) == {}
    # A caption that was edited since, in an export with files and in one without.
    assert await _import(device, [said(1, "b", photo=PATH, width=3, height=4, **EDITED)], photo=PATH) == {"edit": 1}
    assert await _import(device, [said(1, "b", photo=sentence, width=3, height=4, **EDITED)]) == {}
    (message,) = await _shown(device)
    assert (message.text, [item.state for item in message.attachments]) == ("b", ["present"])
    assert b"".join([piece async for piece in device.vault.media(message.attachments[0])]) == PHOTO


@pytest.mark.spec("IMP-46")
async def test_an_old_export_that_comes_late_does_not_show_old_texts(bench: Bench) -> None:
    device = await bench.create()
    old, new = said(1, "old", photo=PATH), said(1, "new", photo=PATH, **EDITED)
    newest = said(1, "newest", photo=PATH, edited_unixtime=str(START + 2000))
    never = said(2, "as ever")
    assert (await _import(device, [new, never], photo=PATH))["put"] == 2
    assert await _import(device, [old, never], photo=PATH) == {"edit": 2}
    for again in (old, new):
        assert await _import(device, [again, never], photo=PATH) == {}
    first, second = await _shown(device)
    assert [row.text for row in first.versions] == ["new", "old", "new"]
    assert (first.text, second.text, len(second.versions)) == ("new", "as ever", 1)
    assert b"".join([piece async for piece in device.vault.media(first.attachments[0])]) == PHOTO
    # What is newer comes as ever, and what lies between is no news either.
    assert await _import(device, [newest], photo=PATH) == {"edit": 1}
    assert await _import(device, [said(1, "between", photo=PATH, edited_unixtime=str(START + 1500))], photo=PATH) == {
        "edit": 2
    }
    assert [message.text for message in await _shown(device)] == ["newest", "as ever"]
    fresh = await bench.login("fresh")
    assert [message.text for message in await fresh.vault.newest(CHAT, count=9)] == ["newest", "as ever"]


async def test_files_that_are_numbered_anew(bench: Bench) -> None:
    device = await bench.create()
    await _import(device, [said(1, "a", photo=PATH)], photo=PATH)
    other = "photos/photo_7@14-11-2023_18-13-20.jpg"
    assert await _import(device, [said(1, "a", photo=other)], photo=other) == {}
    assert [item.name for item in (await _shown(device))[0].attachments] == ["photo.jpg"]


async def test_what_nobody_understands_is_there_once_wherever_it_stands(bench: Bench) -> None:
    device = await bench.create()
    odd = [said(1, "a"), {"id": 2, "type": "unsupported"}, "neither", "neither"]
    await _import(device, odd)
    assert await _import(device, [said(0, "before"), *odd]) == {"put": 1}
    assert (await device.vault.message(CHAT, "2")).text is None  # under its own id, though it has no time of its own


async def test_what_belongs_to_no_chat_is_kept_anew_when_it_changed(bench: Bench) -> None:
    device = await bench.create()
    path = bench.folder / "result.json"
    data = everything([chat([said(1, "a")])], [])
    for first_name, expected in (("Anna", 2), ("Anna", 0), ("Anne", 1)):
        data["personal_information"] = {"user_id": 1, "first_name": first_name}
        path.write_text(written(data))
        added = (await device.vault.import_([path])).written
        assert added.get("put", 0) == expected + (first_name == "Anna" and expected > 0)


async def test_the_picture_of_a_group_is_stored(bench: Bench) -> None:
    device = await bench.create()
    await _import(device, [served(1, "edit_group_photo", photo=PATH, width=1, height=2)], photo=PATH)
    (message,) = await _shown(device)
    assert [(item.role, item.state) for item in message.attachments] == [("avatar", "present")]


async def test_names_of_files_that_are_no_utf8(bench: Bench) -> None:
    device = await bench.create()
    contents = {
        b"WhatsApp Chat with Jos\xe9.txt": b"15/01/2024, 10:30 - Ann: hi\n",
        b"r\xe9sult.json": written(chat([said(1, "a")])).encode(),
    }
    for name, content in contents.items():
        path = bench.folder / os.fsdecode(name)
        await asyncio.to_thread(path.write_bytes, content)
        await device.vault.import_([path])
    assert {row.conversation for row in await device.vault.chats()} == {"whatsapp:José", CHAT}
