"""Files of an export stored with the rows that name them; what is not there leaves its message (section 5.6)."""

from __future__ import annotations

import copy
import hashlib
import io
import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, BinaryIO

import pytest

from adversary.hostile import Hostile
from strongroom.attachments import store_attachments
from strongroom.media_reading import read
from strongroom.session import Session
from strongroom.sniffing import media_type
from strongroom_protocol.errors import ImportRefused, InvalidArgument, ReadOnly
from strongroom_protocol.rows.detail import check_row
from strongroom_protocol.rows.model import Op, Row
from strongroom_protocol.seal.media import Media
from vaults import Bench

PICTURE = b"\x89PNG\r\n\x1a\n" + os.urandom(300_000)
NOTE = b"only text"


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[Bench]:
    made = Bench(tmp_path)
    yield made
    made.close()


@pytest.fixture
async def session(bench: Bench) -> Session:
    device = await bench.create()
    device.session.transport = Hostile(device.session.transport)
    return device.session


class Export:
    """Files by path; remembers what was opened and that it was closed."""

    def __init__(self, **files: Any) -> None:
        self.files = files
        self.opened: list[str] = []
        self.streams: list[BinaryIO] = []

    def open(self, path: str) -> BinaryIO | None:
        self.opened.append(path)
        found = self.files.get(path)
        if isinstance(found, Exception):
            raise found
        if found is None:
            return None
        self.streams.append(found if isinstance(found, io.BytesIO) else io.BytesIO(found))
        return self.streams[-1]


class Breaking(io.BytesIO):
    """Fails in the middle."""

    def __init__(self, error: Exception) -> None:
        super().__init__(PICTURE)
        self.error = error

    def read(self, size: int | None = -1) -> bytes:
        if self.tell():
            raise self.error
        return super().read(1000)


def put(*attachments: dict[int, Any]) -> Row:
    return Row(Op.PUT, 1_700_000_000_000, id="1", text="see", detail={4: list(attachments)})


async def bytes_of(session: Session, attachment: dict[int, Any]) -> bytes:
    media = Media.decode(attachment[22])
    return b"".join([piece async for piece in read(session.source(), media)])


async def test_what_is_there_is_stored_with_its_facts(session: Session) -> None:
    export = Export(picture=PICTURE, note=NOTE, avatar=PICTURE[:500])
    rows = {
        "chat": [
            put({5: "picture", 3: "image/x-own", 2: 1}, {5: "note", 21: {5: "avatar"}}),
            Row(Op.MEMBER, 0, sender="anna", detail={7: {5: "avatar"}}),
            Row(Op.PUT, 1, text="nothing"),
        ],
        "other": [put({5: "picture"})],
    }
    before = copy.deepcopy(rows)
    details = [row.detail for some in rows.values() for row in some]
    names = await store_attachments(session, rows, export.open)
    assert [row.detail for some in before.values() for row in some] == details  # not changed in place
    picture, note = (rows["chat"][0].detail or {})[4]
    assert (picture[1], picture[2]) == (hashlib.sha256(PICTURE).digest(), len(PICTURE))
    assert (picture[3], picture[17]) == ("image/x-own", "image/png")  # what the source says stays
    assert (note[2], note.get(3), note.get(17)) == (len(NOTE), None, None)
    (other,) = (rows["other"][0].detail or {})[4]
    assert (other[3], other[17]) == ("image/png", "image/png")
    assert other[22] != picture[22]  # the same file in another conversation
    avatar = (rows["chat"][1].detail or {})[7]
    assert avatar[22] == note[21][22]
    assert await bytes_of(session, picture) == await bytes_of(session, other) == PICTURE
    assert await bytes_of(session, note) == NOTE
    assert await bytes_of(session, avatar) == PICTURE[:500]
    media = [Media.decode(attachment[22]) for attachment in (picture, note, other, avatar)]
    assert names == {name for one in media for name in one.names}
    assert sorted(export.opened) == ["avatar", "note", "picture", "picture"]  # once a conversation
    assert all(stream.closed for stream in export.streams)
    for some in rows.values():
        for row in some:
            check_row(row)
    assert rows["chat"][2] == before["chat"][2]


async def test_what_cannot_be_had_is_said_and_its_message_kept(session: Session) -> None:
    export = Export(
        locked=PermissionError(13, "Permission denied"), broken=Breaking(OSError("CRC")), note=NOTE,
        huge=Breaking(InvalidArgument("a file of 64 GiB or more cannot be stored")),
    )  # fmt: skip
    rows = {"chat": [put(*({5: path} for path in ("gone", "locked", "broken", "huge", "note")))]}
    names = await store_attachments(session, rows, export.open)
    *bad, good = (rows["chat"][0].detail or {})[4]
    assert bad == [
        {5: "gone", 7: "unavailable", 8: "not in the export"},
        {5: "locked", 7: "unavailable", 8: "cannot be read: Permission denied"},
        {5: "broken", 7: "unavailable", 8: "cannot be read: damaged"},
        {5: "huge", 7: "too_large", 8: "a file of 64 GiB or more cannot be stored"},
    ]
    assert names == Media.decode(good[22]).names


async def test_only_what_names_a_file_and_has_no_state_is_opened(session: Session) -> None:
    export = Export()
    done = {5: "x", 22: b"\x00"}
    rows = {"chat": [put({4: "name"}, {5: "x", 7: "expired"}, done, {18: "https://x"}), Row(Op.PUT, 1, text="t")]}
    before = copy.deepcopy(rows)
    assert await store_attachments(session, rows, export.open) == set()
    assert rows == before
    assert export.opened == []
    transport = session.transport
    assert isinstance(transport, Hostile)
    assert transport.calls == []


async def test_an_import_of_the_same_export_again_uploads_nothing(session: Session) -> None:
    first, again = {"chat": [put({5: "picture"})]}, {"chat": [put({5: "picture"})]}
    names = await store_attachments(session, first, Export(picture=PICTURE).open)
    transport = session.transport
    assert isinstance(transport, Hostile)
    transport.behave()
    assert await store_attachments(session, again, Export(picture=PICTURE).open) == names
    assert again == first
    assert transport.calls == ["missing"]


async def test_an_export_that_changes_is_refused_and_a_read_only_device_too(bench: Bench, session: Session) -> None:
    with pytest.raises(ImportRefused):
        await store_attachments(session, {"chat": [put({5: "x"})]}, Export(x=Breaking(ImportRefused("changed"))).open)
    guest = (await bench.login()).session
    with pytest.raises(ReadOnly):
        await store_attachments(guest, {"chat": [put({5: "x"})]}, Export(x=NOTE).open)


@pytest.mark.parametrize(
    ("head", "kind"),
    [
        (b"\xff\xd8\xff\xe0", "image/jpeg"), (b"RIFF\0\0\0\0WEBPVP8 ", "image/webp"), (b"XXXX\0\0\0\0WEBPVP8 ", None),
        (b"RIFF\0\0\0\0WAVEfmt ", "audio/wav"), (b"\0\0\0\x18ftypisom", "video/mp4"), (b"OggS\0", "audio/ogg"),
        (b"\0\0\0\x18ftypheic", "image/heic"), (b"\0\0\0\x18ftypM4A ", "audio/mp4"), (b"%PDF-1.7", "application/pdf"),
        (b"", None), (b"hello", None), (b"ftyp", None),
    ],
)  # fmt: skip
def test_kinds_by_their_first_bytes(head: bytes, kind: str | None) -> None:
    assert media_type(head) == kind
