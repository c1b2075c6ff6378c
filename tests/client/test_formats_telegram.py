"""The importer of Telegram Desktop's exports: by the format's facts, trap by trap (docs/formats.md)."""

from __future__ import annotations

import json
import tracemalloc
import zipfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from strongroom.formats import ImportOptions, ImportReport, detect, importer_named
from strongroom_protocol.errors import ImportRefused
from strongroom_protocol.rows.detail import check_row
from strongroom_protocol.rows.model import ConversationKind, Flag, Kind, Op, Row
from telegram_exports import START, Piece, chat, everything, said, served, written
from vaults import Bench


def read(path: Path, **options: Any) -> tuple[list[tuple[str, Row]], ImportReport]:
    report = ImportReport()
    rows = list(importer_named("telegram").read(path, ImportOptions(**options), report))
    for _, row in rows:
        check_row(row)
    return rows, report


def one(tmp_path: Path, *messages: Any, **options: Any) -> list[Row]:
    """The rows of messages in one chat."""
    path = tmp_path / "result.json"
    path.write_text(written(chat(list(messages))), encoding="utf-8")
    assert detect(path).name == "telegram"
    return [row for _, row in read(path, **options)[0] if row.op in (Op.PUT, Op.REACT)]


def test_one_chat(tmp_path: Path) -> None:
    path = tmp_path / "result.json"
    path.write_text(written(chat([said(1, "hello"), said(2, "again", edited_unixtime=str(START + 500))])))
    rows, report = read(path)
    assert {conversation for conversation, _ in rows} == {"telegram:chat42"}
    opening, member, first, second, source = (row for _, row in rows)
    assert (opening.op, opening.kind, opening.text) == (Op.CONVERSATION, ConversationKind.GROUP, "Family")
    assert (member.op, member.sender, member.text) == (Op.MEMBER, "user1", "Anna Ω")
    assert (first.id, first.time, first.sender, first.text) == ("1", (START + 60) * 1000, "user1", "hello")
    assert first.flags == Flag.SECONDS
    assert first.raw is not None
    assert json.loads(first.raw)["id"] == 1
    assert second.flags == Flag.SECONDS | Flag.EDITED
    assert second.detail is not None
    assert second.detail[1] == (START + 500) * 1000
    assert (source.op, source.detail and source.detail[4]) == (Op.SOURCE, "telegram-json")
    assert (report.records, report.not_understood, report.warnings) == (2, 0, [])


@pytest.mark.parametrize(("kind", "ident", "expected"), [
    ("personal_chat", "user7", ConversationKind.DIRECT), ("bot_chat", "user7", ConversationKind.BOT),
    ("saved_messages", "saved7", ConversationKind.SAVED), ("private_group", "chat7", ConversationKind.GROUP),
    ("private_supergroup", "channel7", ConversationKind.SUPERGROUP),
    ("public_channel", "channel7", ConversationKind.BROADCAST),
    ("something_new", "chat7", ConversationKind.UNKNOWN),
])  # fmt: skip
def test_kinds_of_chats(tmp_path: Path, kind: str, ident: str, expected: ConversationKind) -> None:
    (tmp_path / "result.json").write_text(written(chat([said(1)], kind=kind, ident=7)))
    (conversation, opening), *_ = read(tmp_path / "result.json")[0]
    assert (conversation, opening.kind) == (f"telegram:{ident}", expected)


def test_a_full_export_loses_nothing(tmp_path: Path) -> None:
    data = everything(
        [chat([said(1, "a")], ident=1), chat([said(1, "b")], name="Work", ident=2)], [chat([said(1, "c")], ident=3)]
    )
    (tmp_path / "result.json").write_text(written(data))
    rows, report = read(tmp_path)
    texts = {conversation: row.text for conversation, row in rows if row.op == Op.PUT and row.kind == Kind.TEXT}
    assert texts == {"telegram:chat1": "a", "telegram:chat2": "b", "telegram:chat3": "c"}
    account = [row for name, row in rows if name == "telegram:account"]
    kept = {(row.id or "").split("-")[0]: json.loads(row.raw or b"") for row in account}
    assert kept == {key: data[key] for key in ("personal_information", "contacts")}
    assert report.not_understood == 2
    only, _ = read(tmp_path, chat="mine", extra={"chat": "Work"})
    assert {conversation for conversation, _ in only} == {"mine"}


pieces = st.lists(
    st.builds(
        Piece,
        st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=12),
        st.sampled_from(["plain", "bold", "italic", "code", "link", "spoiler", "mention"]),
    ),
    max_size=6,
)


@given(pieces, st.booleans())
def test_texts_of_pieces_and_where_they_stand(
    tmp_path_factory: pytest.TempPathFactory, parts: list[Piece], both: bool
) -> None:
    """Offsets are code points, whatever the characters are; a newer export says the same by `text_entities`."""
    plain = "".join(part.text for part in parts)
    record = said(1, [part.written() for part in parts])
    if both:
        record = said(1, plain, text_entities=[{"type": part.kind, "text": part.text} for part in parts])
    (row,) = one(tmp_path_factory.mktemp("t"), record)
    assert row.text == (plain or None)
    spans = [(span[1], span[2], span[3]) for span in (row.detail or {}).get(3, [])]
    place, expected = 0, []
    for part in parts:
        if part.kind != "plain":
            expected.append((place, len(part.text), part.kind))
        place += len(part.text)
    assert spans == expected
    assert all(plain[start : start + length] == part.text for (start, length, _), part in
               zip(spans, (part for part in parts if part.kind != "plain"), strict=True))  # fmt: skip


def test_spans_lead_somewhere(tmp_path: Path) -> None:
    (row,) = one(tmp_path, said(1, [
        {"type": "text_link", "text": "here", "href": "https://example.org"},
        {"type": "mention_name", "text": "B", "user_id": 5},
        {"type": "pre", "text": "x", "language": "python"}, {"type": "custom_emoji", "text": "e", "document_id": "99"},
    ]))  # fmt: skip
    assert [span.get(4) for span in (row.detail or {})[3]] == ["https://example.org", "5", "python", "99"]


def test_control_characters_that_are_no_json(tmp_path: Path) -> None:
    """`\\x1f` is mended, an escaped backslash before an x is none, and the record keeps its bytes."""
    text = "bell\x07 unit\x1f path C:\\x41 end\\"
    assert "\\x07" in written(text)
    first, second = one(tmp_path, said(1, text), said(2, "plain"))
    assert (first.text, second.text) == (text, "plain")
    assert b"\\x07" in (first.raw or b"")


@given(
    st.lists(st.text(st.characters(exclude_categories=["Cs"]), max_size=20), min_size=1, max_size=4), st.integers(1, 64)
)
def test_any_text_in_blocks_of_any_size(tmp_path_factory: pytest.TempPathFactory, texts: list[str], block: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("strongroom.formats.json_stream._BLOCK", block)
        rows = one(tmp_path_factory.mktemp("t"), *(said(number, text) for number, text in enumerate(texts, 1)))
    assert [row.text for row in rows] == [text or None for text in texts]


def test_files_and_what_stands_in_their_place(tmp_path: Path) -> None:
    rows = one(
        tmp_path,
        said(1, "look", photo="photos/p.jpg", width=10, height=20, photo_file_size=5),
        said(2, file="(File not included. Change data exporting settings to download.)", media_type="video_file"),
        said(3, file="(File exceeds maximum size. Change data exporting settings to download.)", mime_type="a/b"),
        said(4, file="(File unavailable, please try again later)"),
        said(5, file="stickers/s.webp", media_type="sticker", sticker_emoji="😀", thumbnail="stickers/s_thumb.jpg"),
        said(6, file="voice/v.ogg", media_type="voice_message", duration_seconds=3),
        said(7, file="files/x.pdf", file_name="Report.pdf", file_size=9),
    )
    found = [(row.kind, (row.detail or {})[4][0]) for row in rows]
    assert found[0] == (Kind.MEDIA, {2: 5, 4: "p.jpg", 5: "photos/p.jpg", 6: "photo", 9: 10, 10: 20})
    assert [item.get(7) for _, item in found] == [None, "omitted", "too_large", "unavailable", None, None, None]
    assert found[4] == (Kind.STICKER, {4: "s.webp", 5: "stickers/s.webp", 6: "sticker", 20: {2: "😀"},
                                       21: {5: "stickers/s_thumb.jpg", 6: "preview"}})  # fmt: skip
    assert found[5][1][11] == 3000
    assert found[6][1][4] == "Report.pdf"


def test_the_rest_of_what_a_message_can_be(tmp_path: Path) -> None:
    rows = one(
        tmp_path,
        said(1, "yes", reply_to_message_id=0, forwarded_from="News", author="Ed", via_bot="@gif"),
        said(2, location_information={"latitude": 1.5, "longitude": -2.25}, place_name="Café",
             live_location_period_seconds=60),
        said(3, contact_information={"first_name": "Max", "last_name": "M", "phone_number": "+1"}),
        said(4, poll={"question": "When?", "closed": False, "total_voters": 2, "answers": [
            {"text": "now", "voters": 2, "chosen": True}, {"text": "later", "voters": 0, "chosen": False}]}),
        said(5, invoice_information={"title": "T", "amount": 100, "currency": "EUR"}),
        said(6, game_title="Chess"),
        served(7, "phone_call", duration_seconds=61, discard_reason="hangup"),
        served(8, "invite_members", members=["Cem", "Dea"], inviter="Ben"),
        served(9, "an_action_of_next_year", count=3),
        said(10) | {"type": "unsupported"},
        said(11, reactions=[{"type": "emoji", "count": 3, "emoji": "👍", "recent": [
            {"from": "Ben", "from_id": "user2", "date": "2023-11-15T00:00:00"}]}]),
    )  # fmt: skip
    details = [row.detail or {} for row in rows]
    assert (details[0][5], details[0][6], details[0][18], details[0][30]) == ({1: "0"}, {2: "News"}, "Ed", {2: "@gif"})
    assert (rows[1].kind, details[1][24]) == (Kind.LOCATION, {1: "1.5", 2: "-2.25", 3: "Café", 5: 60_000})
    assert (rows[2].kind, details[2][23]) == (Kind.CONTACT, [{1: "Max M", 2: "+1"}])
    assert details[3][21] == {1: "When?", 2: [{1: "now", 2: 2, 4: True}, {1: "later", 2: 0}], 6: 2}
    assert (rows[4].kind, rows[5].kind) == (Kind.PAYMENT, Kind.GAME)
    assert (rows[6].kind, details[6][22]) == (Kind.CALL, {1: "voice", 2: 61_000, 3: "hangup"})
    assert details[7][28] == {1: "invite_members", 2: "user2", 3: ["Cem", "Dea"], 4: {"inviter": "Ben"}}
    assert (rows[8].kind, details[8][28][1], details[8][28][4]) == (
        Kind.SYSTEM,
        "an_action_of_next_year",
        {"count": "3"},
    )
    assert rows[9].kind == Kind.UNSUPPORTED
    assert (rows[11].op, rows[11].sender, rows[11].text) == (Op.REACT, "user2", "👍")
    assert details[10][8] == [{1: "👍", 2: 2}]


def test_old_exports_have_a_local_time(tmp_path: Path) -> None:
    record = said(1, "x")
    del record["date_unixtime"]
    (row,) = one(tmp_path, record)
    assert (row.time, row.flags) == (START * 1000, Flag.SECONDS | Flag.ZONE_UNKNOWN)
    (row,) = one(tmp_path, record, extra={"zone": "Europe/Berlin"})
    assert (row.time, row.flags) == ((START - 3600) * 1000, Flag.SECONDS)


@pytest.mark.parametrize("odd", [
    {"id": None}, {"date_unixtime": "soon", "date": 5}, {"from_id": {}}, {"text": {"a": 1}}, {"text": [1, 2]},
    {"photo": 7},
    {"reactions": "many"}, {"poll": []}, {"members": 4}, {"location_information": {"latitude": "x"}}, {"width": -1},
    {"date_unixtime": "9" * 30}, {"edited_unixtime": -4}, {"file": ""}, {"text_entities": [{"type": "bold"}]},
    {"reply_to_message_id": [1]}, {"inline_bot_buttons": [[{"text": 3}], 4]}, {"contact_information": "no"},
    {"id": 2**80},
])  # fmt: skip
def test_odd_fields_cost_nothing_but_themselves(tmp_path: Path, odd: dict[str, Any]) -> None:
    rows = one(tmp_path, said(1, "before"), said(2, "odd") | odd, said(3, "after"))
    assert (rows[0].text, rows[-1].text) == ("before", "after")
    assert len(rows) == 3
    assert rows[1].raw is not None


@pytest.mark.spec("IMP-42")
@pytest.mark.parametrize("cut", [0.35, 0.6, 0.9])
def test_a_document_that_breaks_off_keeps_what_came_before_and_the_rest(tmp_path: Path, cut: float) -> None:
    text = written(chat([said(number, f"message {number}") for number in range(1, 40)]))
    path = tmp_path / "result.json"
    path.write_text(text[: int(len(text) * cut)])
    rows, report = read(path)
    good = [row for _, row in rows if row.kind == Kind.TEXT and row.op == Op.PUT]
    assert [row.text for row in good] == [f"message {number}" for number in range(1, len(good) + 1)]
    assert len(good) > 5
    kept = [row for _, row in rows if row.kind == Kind.UNSUPPORTED]
    assert kept
    assert b"".join(row.raw or b"" for row in kept) in path.read_bytes()
    assert "kept as it is" in report.warnings[0]


def test_what_is_not_telegrams(tmp_path: Path) -> None:
    for name, text in (("a.json", "{}"), ("b.json", '{"messages": [1]}'), ("c.json", "[]"), ("d.txt", "messages")):
        (tmp_path / name).write_text(text)
        assert not importer_named("telegram").sniff(tmp_path / name, text.encode())


@pytest.mark.spec("IMP-40")
@pytest.mark.spec("IMP-41")
def test_what_is_refused(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(ImportRefused):
        read(tmp_path / "empty")
    (tmp_path / "list.json").write_text("[1]")
    with pytest.raises(ImportRefused):
        read(tmp_path / "list.json")
    with pytest.raises(ImportRefused):
        one(tmp_path, said(1), extra={"zone": "Moon"})


def test_hostile_depth_numbers_and_paths(tmp_path: Path) -> None:
    deep = "[" * 100_000 + "]" * 100_000
    text = written(chat([said(1, "a"), said(2, "b", photo="../../../etc/passwd"), said(3, file="/etc/passwd")]))
    path = tmp_path / "result.json"
    path.write_text(text.replace('"text": "a"', '"text": "a", "id": 1, "odd": NaN, "huge": 1e999'))
    rows, _ = read(path)
    assert [row.id for _, row in rows if row.op == Op.PUT] == ["1", "2", "3"]
    with importer_named("telegram").files(path) as opened:  # type: ignore[attr-defined]
        for name in ("../../../etc/passwd", "/etc/passwd", "a/../../b"):
            with pytest.raises(OSError):  # noqa: PT011 - any: it is not opened
                opened(name)
        assert opened("photos/none.jpg") is None
    path.write_text(text.replace('"text": "a"', f'"text": {deep}'))
    rows, report = read(path)
    assert report.not_understood == 1
    assert [row.kind for _, row in rows if row.op == Op.PUT] == [Kind.UNSUPPORTED, Kind.MEDIA, Kind.MEDIA]


def test_memory_does_not_grow_with_the_export(tmp_path: Path) -> None:
    def peak(count: int) -> int:
        path = tmp_path / "result.json"
        path.write_text(written(chat([said(number, "some words " * 5) for number in range(1, count)])))
        tracemalloc.start()
        for _ in importer_named("telegram").read(path, ImportOptions(), ImportReport()):
            pass
        _, most = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        return most

    small, large = peak(16_000), peak(48_000)  # of several blocks each
    assert large < small * 1.3


async def test_in_and_out_again_with_files(tmp_path: Path) -> None:
    """Import, commit, a fresh device, export: texts, files, edits of a newer export; importing again adds nothing."""
    folder = tmp_path / "ChatExport"
    (folder / "photos").mkdir(parents=True)
    (folder / "photos" / "p.jpg").write_bytes(b"\xff\xd8\xff" + bytes(5000))
    messages = [said(1, "שלום עולם 👋"), said(2, "你好", photo="photos/p.jpg"), served(3, "pin_message", message_id=1)]
    (folder / "result.json").write_text(written(chat(messages)), encoding="utf-8")
    with zipfile.ZipFile(tmp_path / "export.zip", "w") as archive:
        for path in sorted(folder.rglob("*")):
            archive.write(path, f"ChatExport/{path.relative_to(folder)}")
    bench = Bench(tmp_path)
    device = await bench.create()
    added = await device.vault.import_(tmp_path / "export.zip")
    assert added.report.kinds == {"text": 1, "media": 1, "system": 1}
    again = await device.vault.import_(folder)
    assert (again.written.get("put", 0), again.commits) == (0, 1)  # the folder is another source, of the same messages
    newer = [said(1, "שלום!", edited_unixtime=str(START + 999)), *messages[1:], said(4, "new")]
    (folder / "result.json").write_text(written(chat(newer)), encoding="utf-8")
    await device.vault.import_(folder)
    fresh = (await bench.login("b")).vault
    shown = await fresh.newest("telegram:chat42", count=10)
    assert [item.text for item in shown] == ["שלום!", "你好", None, "new"]
    assert [row.text for row in shown[0].versions] == ["שלום עולם 👋", "שלום!"]
    photo = b"".join([piece async for piece in fresh.media(shown[1].attachments[0])])
    assert photo == (folder / "photos" / "p.jpg").read_bytes()
    await fresh.export(tmp_path / "out")
    lines = next((tmp_path / "out" / "chats").glob("*.jsonl")).read_text()
    assert "שלום עולם 👋" in lines
    assert "你好" in lines
    bench.close()
