"""Slack exports, by the facts of the format: ids, times, subtypes, reactions, threads, files, people."""

from __future__ import annotations

import json
import runpy
import unicodedata
import zipfile
from pathlib import Path
from typing import Any

import pytest

from slack_exports import CHANNEL, CHAT, SAMPLE, folder, of, read, tree, zipped
from strongroom.formats import ImportOptions, ImportReport, detect, files_of, importer_named
from strongroom_protocol.errors import ImportRefused
from strongroom_protocol.rows.model import ConversationKind, DeleteKind, Flag, Kind, Op, Row
from vaults import Bench

GENERAL = "slack:C0GENERAL1"
WORKSPACE = "slack:T0ROOM001"


def one(path: Path, **fields: Any) -> list[Row]:
    """The rows of a message in its conversation, the message first."""
    record = {"type": "message", "user": "U1", "text": "hi", "ts": "1700000000.123456", **fields}
    rows, report = read(folder(path, tree({name: value for name, value in record.items() if value is not None})))
    assert report.records == 3
    return [row for chat, row in rows if chat == CHAT and row.op <= Op.REACT]


def test_the_sample_is_what_its_script_makes(tmp_path: Path) -> None:
    made = runpy.run_path(str(SAMPLE.parent / "make.py"))
    assert made["write"](tmp_path / "again.zip").read_bytes() == SAMPLE.read_bytes()


def test_the_sample_comes_whole() -> None:
    assert detect(SAMPLE).name == "slack"
    rows, report = read(SAMPLE)
    assert {chat for chat, _ in rows} == {
        GENERAL,
        WORKSPACE,
        "slack:G0PLANS001",
        "slack:D0ANNBOB01",
        "slack:G0MPIM0001",
    }
    # users 4, lists 4, log 1, canvas 1, messages 11 + 5 + 1 + 1 + 1
    assert report.records == 29
    assert report.rows == {
        "conversation": 5,
        "member": 4 + 3 + 2 + 2 + 3,
        "put": 20,
        "react": 3,
        "delete": 1,
        "source": 5,
    }
    assert report.kinds == {
        "system": 4, "text": 9, "action": 1, "bot": 1, "media": 2, "call": 1, "unsupported": 2,
    }  # fmt: skip
    assert report.not_understood == 2
    assert report.warnings == [
        "fields that are only in the verbatim record: hologram (1)",
        "messages not understood, by subtype: hologram (1)",
    ]
    assert [file.name for file in report.sources] == ["slack-export.zip"]


def test_every_record_is_kept_byte_for_byte() -> None:
    rows, _ = read(SAMPLE)
    kept = [row.raw for _, row in rows if row.op <= Op.DELETE or row.raw]
    with zipfile.ZipFile(SAMPLE) as archive:
        names = [name for name in archive.namelist() if name.endswith(".json")]
        for name in names:
            content = archive.read(name)
            for record in json.loads(content):
                (raw,) = [raw for raw in kept if raw is not None and json.loads(raw) == record]
                assert raw in content
    assert len(kept) == 29


def test_people_and_conversations_of_the_sample() -> None:
    rows, _ = read(SAMPLE)
    opening = {chat: row for chat, row in rows if row.op == Op.CONVERSATION}
    assert {chat: (row.kind, row.text) for chat, row in opening.items()} == {
        WORKSPACE: (ConversationKind.COMMUNITY, WORKSPACE),
        GENERAL: (ConversationKind.CHANNEL, "général"),
        "slack:G0PLANS001": (ConversationKind.GROUP, "plans"),
        "slack:D0ANNBOB01": (ConversationKind.DIRECT, "Ann, Bob"),
        "slack:G0MPIM0001": (ConversationKind.GROUP, "Ann, Bob, Ève"),
    }
    detail = opening[GENERAL].detail or {}
    assert (detail[1], detail[3], detail[4]) == ("News & notes", "C0GENERAL1", WORKSPACE)
    assert opening[GENERAL].time == 1_700_006_403_000  # the topic was the last to be set
    assert (opening["slack:G0PLANS001"].detail or {})[8] is True
    people = {row.sender: row for row in of(rows, Op.MEMBER, WORKSPACE)}
    ann = people["U0ANN0001"]
    assert (ann.text, ann.time) == ("Ann", (1_700_006_400 - 86_400) * 1000)
    assert {1: ["U0ANN0001"], 2: "ann", 3: ["Ann Example"], 6: "ann@example.org", 10: ["owner", "admin"]}.items() <= (
        ann.detail or {}
    ).items()
    assert (people["U0BOT0001"].detail or {})[9] is True
    assert (people["U0EVE0001"].detail or {})[10] == ["deactivated"]
    assert {row.sender for row in of(rows, Op.MEMBER, GENERAL)} == {"U0ANN0001", "U0BOB0001", "U0EVE0001"}


@pytest.mark.spec("IMP-16")
def test_the_id_is_the_time(tmp_path: Path) -> None:
    (row,) = one(tmp_path, client_msg_id="c-1")
    assert (row.id, row.time, row.flags) == ("1700000000.123456", 1_700_000_000_123, 0)
    assert row.detail == {12: {6: 456_000}, 20: ["c-1"]}


@pytest.mark.spec("IMP-16")
def test_records_that_stand_twice(tmp_path: Path) -> None:
    """In the same file and the next: what is equal is one message, what differs a version of it."""
    first = {"type": "message", "user": "U1", "text": "hi", "ts": "1700000000.000001"}
    given = tree(first, first, **{"test/2023-11-16.json": [first, {**first, "text": "hi!"}]})
    rows, report = read(folder(tmp_path, given))
    assert [row.text for row in of(rows, Op.PUT)] == ["hi"]
    (edit,) = of(rows, Op.EDIT)
    assert (edit.text, edit.id, (edit.detail or {})[1]) == ("hi!", "1700000000.000001", 0)
    assert report.warnings == ["records that the export repeats, imported once: messages (2)"]


@pytest.mark.parametrize(
    ("fields", "action", "actor", "targets", "params"),
    [
        ({"subtype": "channel_join"}, "join", "U1", ["U1"], None),
        ({"subtype": "group_join", "inviter": "U2"}, "join", "U2", ["U1"], None),
        ({"subtype": "channel_leave"}, "leave", "U1", ["U1"], None),
        ({"subtype": "channel_topic", "topic": "t"}, "topic", "U1", None, {"topic": "t"}),
        ({"subtype": "channel_purpose", "purpose": "p"}, "purpose", "U1", None, {"purpose": "p"}),
        (
            {"subtype": "channel_name", "old_name": "a", "name": "b"},
            "rename",
            "U1",
            None,
            {"old_name": "a", "name": "b"},
        ),
        ({"subtype": "channel_archive"}, "archive", "U1", None, None),
        ({"subtype": "pinned_item"}, "pinned_item", "U1", None, None),
        ({"subtype": "bot_add", "bot_id": "B1"}, "bot_add", "U1", None, {"bot_id": "B1"}),
    ],
)
def test_events(
    tmp_path: Path, fields: dict[str, Any], action: str, actor: str, targets: list[str] | None, params: Any
) -> None:
    (row,) = one(tmp_path, **fields)
    assert row.kind == Kind.SYSTEM
    expected = {1: action, 2: actor, 3: targets, 4: params}
    assert (row.detail or {})[28] == {key: value for key, value in expected.items() if value}


def test_kinds(tmp_path: Path) -> None:
    for number, (subtype, kind) in enumerate(
        {
            "me_message": Kind.ACTION,
            "bot_message": Kind.BOT,
            "thread_broadcast": Kind.TEXT,
            "unheard_of": Kind.UNSUPPORTED,
        }.items()
    ):
        (row,) = one(tmp_path / str(number), subtype=subtype)
        assert (row.kind, row.text, row.sender) == (kind, "hi", "U1")


def test_a_bot_speaks_under_its_name(tmp_path: Path) -> None:
    profile = {"id": "B1", "name": "Builder", "icons": {"image_72": "https://x.example/b.png"}}
    (row,) = one(tmp_path, user=None, bot_id="B1", bot_profile=profile)
    assert (row.sender, row.kind, (row.detail or {})[2]) == ("B1", Kind.BOT, "Builder")
    rows, _ = read(tmp_path)
    (_, bot) = of(rows, Op.MEMBER)
    assert (bot.sender, bot.text, (bot.detail or {})[9]) == ("B1", "Builder", True)


def test_a_tombstone_deletes_and_takes_nothing(tmp_path: Path) -> None:
    (row,) = one(tmp_path, subtype="tombstone", user="USLACKBOT", text="This message was deleted.")
    assert (row.op, row.kind, row.id, row.time) == (
        Op.DELETE, DeleteKind.BY_SENDER, "1700000000.123456", 1_700_000_000_123,
    )  # fmt: skip
    assert json.loads(row.raw or b"")["subtype"] == "tombstone"


def test_an_edited_message(tmp_path: Path) -> None:
    (row,) = one(tmp_path, edited={"user": "U1", "ts": "1700000060.000000"})
    assert row.flags == Flag.EDITED
    assert (row.detail or {})[12] == {3: 1_700_000_060_000, 6: 456_000}


def test_an_answer_names_its_thread_and_the_first_message_of_one_does_not(tmp_path: Path) -> None:
    """A message that gets an answer after it was imported is not a new version."""
    (row,) = one(tmp_path / "a", thread_ts="1699999999.000100", parent_user_id="U2")
    assert {9: "1699999999.000100", 5: {1: "1699999999.000100", 2: 1_699_999_999_000, 3: "U2"}}.items() <= (
        row.detail or {}
    ).items()
    (alone,), (root,) = (
        one(tmp_path / "b"),
        one(tmp_path / "c", thread_ts="1700000000.123456", reply_count=3, latest_reply="1700000009.000000"),
    )
    assert (alone.detail, alone.text) == (root.detail, root.text)


def test_reactions(tmp_path: Path) -> None:
    reactions = [
        {"name": "+1::skin-tone-3", "users": ["U1", "U2"], "count": 2},
        {"name": "our-logo", "users": ["U2"], "count": 5},
    ]
    message, *found = one(tmp_path, reactions=reactions)
    thumb = "".join(unicodedata.lookup(name) for name in ("THUMBS UP SIGN", "EMOJI MODIFIER FITZPATRICK TYPE-3"))
    assert [(row.op, row.id, row.time, row.sender, row.kind, row.text, row.detail) for row in found] == [
        (Op.REACT, "1700000000.123456", 1_700_000_000_123, "U1", 1, thumb, None),
        (Op.REACT, "1700000000.123456", 1_700_000_000_123, "U2", 1, thumb, None),
        (Op.REACT, "1700000000.123456", 1_700_000_000_123, "U2", 1, ":our-logo:", {31: "our-logo"}),
    ]
    assert (message.detail or {})[8] == [{1: ":our-logo:", 2: 4, 3: "our-logo"}]


def test_pins_calls_and_stars(tmp_path: Path) -> None:
    (row,) = one(tmp_path / "a", pinned_to=["C1"], is_starred=True)
    assert ((row.detail or {})[15], (row.detail or {})[16]) == ({0: '{"pinned_to":["C1"]}'}, True)
    (row,) = one(tmp_path / "b", pinned_to=["C1"], pinned_info={"pinned_by": "U2", "pinned_ts": 1_700_000_001})
    assert (row.detail or {})[15] == {1: "U2", 2: 1_700_000_001_000}
    room = {"date_start": 1_700_000_000, "date_end": 1_700_000_090, "participant_history": ["U1", "U2"]}
    (row,) = one(tmp_path / "c", subtype="huddle_thread", room=room)
    assert (row.kind, (row.detail or {})[22]) == (Kind.CALL, {1: "group", 2: 90_000, 4: ["U1", "U2"]})


def test_cards_and_shared_messages(tmp_path: Path) -> None:
    part = {
        "title": "T", "title_link": "https://x.example", "text": "a &lt;b&gt;", "service_name": "X",
        "image_url": "https://x.example/i.png", "is_share": True, "author_id": "U2", "author_name": "Bob",
        "channel_id": "C9", "ts": "1699999999.000100",
    }  # fmt: skip
    (row,) = one(tmp_path, text="", attachments=[part])
    picture = {6: "preview", 7: "not_downloaded", 18: "https://x.example/i.png"}
    assert row.text == "a <b>"
    assert (row.detail or {})[25] == [{1: "https://x.example", 2: "T", 3: "a <b>", 4: "X", 5: "Bob", 6: picture}]
    assert (row.detail or {})[6] == {1: "U2", 2: "Bob", 3: "slack:C9", 4: "1699999999.000100"}


def test_text_that_is_only_in_blocks(tmp_path: Path) -> None:
    elements = [{"type": "rich_text_section", "elements": [{"type": "text", "text": "from a block"}]}]
    (row,) = one(tmp_path, text="", blocks=[{"type": "rich_text", "elements": elements}])
    assert row.text == "from a block"


@pytest.mark.parametrize(
    ("stored", "file"),
    [
        ("__uploads/F1/a b.png", "a b.png"),
        ("test/attachments/F1-a b.png", "a b.png"),
        ("files/F1/a b.png", "a b.png"),
        ("files/F1-a b.png", "a b.png"),
    ],
)
@pytest.mark.parametrize("make", [folder, zipped])
def test_attachments_that_are_in_the_export(tmp_path: Path, make: Any, stored: str, file: str) -> None:
    name = stored.replace("F1", "F0001")
    record = {"id": "F0001", "name": file, "mimetype": "image/png", "size": 3, "original_w": 4, "original_h": 5}
    message = {"user": "U1", "text": "", "ts": "1700000000.000000", "files": [record]}
    path = make(tmp_path, tree(message, **{name: b"png"}))
    rows, report = read(path)
    (row,) = of(rows, Op.PUT)
    assert row.kind == Kind.MEDIA
    assert (row.detail or {})[4] == [{2: 3, 3: "image/png", 4: file, 5: name, 6: "photo", 9: 4, 10: 5}]
    assert report.warnings == []
    with files_of(importer_named("slack"), path) as opener:
        assert opener is not None
        assert opener("test/attachments/F0002-b.png") is None
        opened = opener(name)
        assert opened is not None
        with opened:
            assert opened.read() == b"png"


def test_a_format_without_files_opens_none(tmp_path: Path) -> None:
    with files_of(importer_named("irc"), tmp_path) as opener:
        assert opener is None


@pytest.mark.parametrize(
    ("file", "state", "reason"),
    [
        ({"mode": "hosted"}, "not_downloaded", "hosted by Slack"),
        ({"mode": "external", "external_type": "gdrive"}, "not_downloaded", "hosted by gdrive"),
        ({"mode": "tombstone"}, "deleted", "deleted in Slack"),
        ({"mode": "hidden_by_limit"}, "unavailable", "hidden by the limit of the workspace's plan"),
        ({"file_access": "file_not_found"}, "unavailable", "Slack did not find it"),
    ],
)
def test_attachments_that_are_not_there_say_why(tmp_path: Path, file: dict[str, str], state: str, reason: str) -> None:
    (row,) = one(tmp_path, files=[{"id": "F1", **file}])
    (found,) = (row.detail or {})[4]
    assert (found[7], found[8], found[4]) == (state, reason, "F1")


def test_an_address_loses_the_token_of_the_export(tmp_path: Path) -> None:
    """It is another one in every export, and would make a new version of every message with a file."""
    for number, query in enumerate(("?t=xoxe-1-2-ab", "?pub=1&t=xoxe-1-2-ab")):
        (row,) = one(tmp_path / str(number), files=[{"id": "F1", "url_private": f"https://files.example/a.png{query}"}])
        (found,) = (row.detail or {})[4]
        assert "xox" not in found[18]
        assert found[18].startswith("https://files.example/a.png")


def test_a_file_from_before_there_were_several(tmp_path: Path) -> None:
    comment = {"id": "Fc1", "user": "U2", "comment": "nice"}
    (row,) = one(tmp_path, user=None, subtype="file_comment", file={"id": "F1", "name": "a.js"}, comment=comment)
    assert (row.kind, row.sender, (row.detail or {})[19]) == (Kind.MEDIA, "U2", ["file_comment"])


def test_folders_in_no_list_and_folders_by_another_form_of_the_name(tmp_path: Path) -> None:
    message = {"user": "U1", "text": "hi", "ts": "1700000000.000000"}
    name = "caf\N{LATIN SMALL LETTER E WITH ACUTE}"
    given = tree(message)
    given["channels.json"] = [CHANNEL, {"id": "C0CAFE0001", "name": name}]
    given |= {f"{unicodedata.normalize('NFD', name)}/2023-11-15.json": [message]}
    given |= {"old/2023-11-15.json": [message], "D012345678/2023-11-15.json": [message]}
    rows, report = read(folder(tmp_path, given))
    assert {chat for chat, row in rows if row.op == Op.PUT} == {
        CHAT, "slack:C0CAFE0001", "slack:T01:old", "slack:D012345678",
    }  # fmt: skip
    assert [line.partition(":")[0] for line in report.warnings] == ["D012345678", "old"]


def test_other_files_of_an_export(tmp_path: Path) -> None:
    given = tree(
        **{"lists.json": [{"a": 1}, 2], "notes.txt": b"x", "test/canvas_in_the_conversation.json": [{"id": "F1"}]}
    )
    rows, report = read(folder(tmp_path, given))
    assert [row.raw for row in of(rows, Op.PUT, "slack:T01")] == [b'{"a": 1}', b"2"]
    (row,) = of(rows, Op.PUT)
    assert (row.kind, row.raw) == (Kind.UNSUPPORTED, b'{"id": "F1"}')
    assert report.not_understood == 3
    assert report.warnings == ["files that are no JSON, left out: txt (1)"]


def test_options(tmp_path: Path) -> None:
    message = {"user": "U1", "text": "hi", "ts": "1700000000.000000"}
    given = tree(message, **{"other/2023-11-15.json": [message]})
    given["channels.json"] = [CHANNEL, {"id": "C0OTHER001", "name": "other"}]
    path = folder(tmp_path, given)
    for channel in ("other", "C0OTHER001"):
        rows, _ = read(path, channel=channel)
        assert {chat for chat, _ in rows} == {"slack:C0OTHER001"}
    rows, _ = read(path, channel="other", chat="mine", title="Mine")
    assert {chat for chat, _ in rows} == {"mine"}
    assert rows[0][1].text == "Mine"
    for options in ({"chat": "mine"}, {"channel": "none"}):
        with pytest.raises(ImportRefused):
            read(path, **options)


@pytest.mark.spec("IMP-15")
@pytest.mark.parametrize("make", [folder, zipped])
def test_what_is_no_slack_export(tmp_path: Path, make: Any) -> None:
    path = make(tmp_path, {"users.json": [], "notes/2023-11-15.json": []})
    with pytest.raises(ImportRefused):
        detect(path)
    with pytest.raises(ImportRefused):
        next(importer_named("slack").read(path, ImportOptions(), ImportReport()))


def test_an_export_in_one_more_folder(tmp_path: Path) -> None:
    message = {"user": "U1", "text": "hi", "ts": "1700000000.000000"}
    given = {f"My export/{name}": value for name, value in tree(message).items()}
    given["__MACOSX/My export/._users.json"] = b"\0"
    path = zipped(tmp_path, given)
    assert detect(path).name == "slack"
    assert len(of(read(path)[0], Op.PUT)) == 1


async def test_a_newer_export_adds_only_what_is_new(tmp_path: Path) -> None:
    """Counts, tokens and answers that have changed since make no new version of a message."""

    def message(second: int, **more: Any) -> dict[str, Any]:
        return {"user": "U1", "text": "hi", "ts": f"170000000{second}.000000", **more}

    old_file, new_file = ({"id": "F1", "url_private": f"https://f.example/a?t=xoxe-{n}"} for n in (1, 2))
    kept, reaction = {"text": "no time"}, {"name": "tada", "users": ["U1"], "count": 1}
    old = [message(1), message(2, files=[old_file], reactions=[reaction]), kept]
    new = [
        message(1, thread_ts="1700000001.000000", reply_count=1, subscribed=False),
        message(2, files=[new_file], reactions=[{**reaction, "users": ["U1", "U2"], "count": 2}]),
        message(3),
        kept,
    ]
    bench = Bench(tmp_path)
    try:
        device = await bench.create()
        first, again, newer = [
            await device.add(read(folder(tmp_path / name, tree(*messages)))[0])
            for name, messages in (("old", old), ("old", old), ("new", new))
        ]
    finally:
        bench.close()
    assert first.written[Op.PUT] == 3
    assert sum(again.written.values()) == 0
    assert {op: count for op, count in newer.written.items() if op != Op.SOURCE} == {Op.PUT: 1, Op.REACT: 1}
