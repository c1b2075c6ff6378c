"""Telegram exports that are hostile or merely odd: each odd thing costs itself and nothing else (review 0007)."""

from __future__ import annotations

import json
import tracemalloc
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from strongroom.columns import Columns, portions
from strongroom.formats import ImportOptions, ImportReport, detect, importer_named
from strongroom.formats.json_stream import records
from strongroom_protocol.errors import ImportRefused
from strongroom_protocol.limits import MIB
from strongroom_protocol.rows.detail import check_row
from strongroom_protocol.rows.model import ConversationKind, Flag, Kind, Op, Row
from telegram_exports import START, chat, everything, said, served, written

Rows = list[tuple[str, Row]]


def read(path: Path, document: str | bytes, **options: Any) -> tuple[Rows, ImportReport]:
    report = ImportReport()
    path.write_bytes(document if isinstance(document, bytes) else document.encode())
    rows = list(importer_named("telegram").read(path, ImportOptions(**options), report))
    for conversation, row in rows:
        assert len(conversation.encode()) <= 512
        check_row(row)
    return rows, report


def texts(rows: Rows) -> list[str]:
    return [row.text or "" for _, row in rows if row.op == Op.PUT and row.kind == Kind.TEXT]


def kept(rows: Rows) -> bytes:
    return b"".join(row.raw or b"" for _, row in rows if row.kind == Kind.UNSUPPORTED)


def details(rows: Rows) -> list[Any]:
    return [row.detail or {} for _, row in rows if row.op == Op.PUT]


THREE = [said(1, "before"), said(2, "odd"), said(3, "after")]
ODD = [
    '"n": ' + "9" * 5000,
    '"n": ' + "[" * 5000 + "]" * 5000,
    '"n": "\\x07", "m": ' + "[" * 950 + '"\\ud800"' + "]" * 950,
    '"n" "m"',
    '"n": nope',
    '"n": [1, 2',
    '"n": "' + "y" * (5 * MIB) + '"',
]


@pytest.mark.spec("IMP-42")
@pytest.mark.parametrize("odd", ODD, ids=["digits", "deep", "deep and mended", "no colon", "no word", "no end", "long"])
def test_a_record_that_nobody_can_read_costs_itself(tmp_path: Path, odd: str) -> None:
    document = written(chat(THREE)).replace('"text": "odd"', f'"text": "odd", {odd}')
    rows, report = read(tmp_path / "result.json", document)
    found = texts(rows)
    assert found[0] == "before"
    assert found[1:] == (["after"] if odd != '"n": [1, 2' else [])  # without an end it reaches to that of the document
    assert odd.encode() in kept(rows)
    assert report.not_understood > 0


@pytest.mark.spec("IMP-42")
def test_lists_that_are_longer_than_a_record_do_not_end_the_export(tmp_path: Path) -> None:
    contacts = [{"user_id": number, "first_name": "x" * 100} for number in range(40_000)]
    data = everything([chat(THREE), None, {"name": "none", "type": "personal_chat", "id": 9, "draft": "kept"}], [])
    document = written(data | {"contacts": {"list": contacts}})
    rows, report = read(tmp_path / "result.json", document)
    assert texts(rows) == ["before", "odd", "after"]
    assert report.warnings == []
    for piece in (json.dumps(contacts[39_999], indent=1)[2:20], '"kept"', "null"):
        assert piece.encode() in kept(rows)
    assert max(len(row.raw or b"") for _, row in rows) <= 4 * MIB


@pytest.mark.spec("IMP-42")
def test_where_nothing_is_a_value_the_rest_is_kept(tmp_path: Path) -> None:
    document = json.dumps(chat(THREE)).replace('"text": "odd"}', '"text": "odd"}, nope')
    rows, report = read(tmp_path / "result.json", document)
    assert texts(rows) == ["before", "odd"]
    assert kept(rows) == document[document.index("nope") :].encode()
    assert "kept as it is" in report.warnings[0]


@given(st.lists(st.sampled_from(['{"a": "', "\\", "\\\\", '"', "{", "}", "[", "]", "é", "😀", "x" * 30, "\n", ","])))
def test_whatever_stands_between_is_kept_byte_for_byte(
    tmp_path_factory: pytest.TempPathFactory, odd: list[str]
) -> None:
    """Small blocks and limits, so that everything is cut everywhere."""
    path = tmp_path_factory.mktemp("t") / "result.json"
    document = written(chat(THREE)).replace('"text": "odd"', f'"text": "odd", "n": {"".join(odd)}')
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("strongroom.formats.json_stream._BLOCK", 7)
        patch.setattr("strongroom.formats.telegram.walking.Walker.__init__.__kwdefaults__", {"limit": 400})
        rows, _ = read(path, document)
    assert texts(rows)[:1] == ["before"]
    # What is not understood is a part of the document, whole; blanks and commas between two parts aside.
    for row in (row for _, row in rows if row.kind == Kind.UNSUPPORTED):
        assert (row.raw or b"") in document.encode()


@pytest.mark.parametrize("block", [1, 2, 7, 64])
def test_escapes_that_a_block_cuts_in_two_end_no_text(tmp_path: Path, block: int) -> None:
    odd = '\\"}' * 300  # over the limit, so that it is passed over by its quotes
    document = json.dumps(chat(THREE)).replace('"text": "odd"', f'"text": "odd{odd}"')
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("strongroom.formats.json_stream._BLOCK", block)
        patch.setattr("strongroom.formats.telegram.walking.Walker.__init__.__kwdefaults__", {"limit": 400})
        rows, _ = read(tmp_path / "result.json", document)
    assert texts(rows) == ["before", "after"]
    assert f"odd{odd}".encode() in kept(rows)


@pytest.mark.parametrize("answers", [5, True, 1.5, "many", {"a": 1}, [1, None], None])
def test_a_poll_of_another_shape(tmp_path: Path, answers: Any) -> None:
    poll = {"question": "q", "answers": answers}
    rows, _ = read(tmp_path / "result.json", written(chat([said(1, poll=poll), said(2, "after")])))
    assert texts(rows) == ["after"]
    assert details(rows)[0][21] == {1: "q"}


def test_a_number_without_end_is_not_read_again_and_again() -> None:
    class Digits:
        asked = 0

        def read(self, size: int) -> bytes:
            self.asked += 1
            return b"[0." if self.asked == 1 else b"0" * size if self.asked < 100 else b""

    file: Any = Digits()
    assert next(records(file, limit=4 * MIB))[0][:3] == b"0.0"
    assert file.asked < 10


def test_what_belongs_to_no_chat_is_not_held_in_memory(tmp_path: Path) -> None:
    def peak(count: int) -> int:
        path = tmp_path / "result.json"
        path.write_text(written({f"k{n}": ["x" * 20] * 20_000 for n in range(count)} | chat(THREE)))
        tracemalloc.start()
        for _ in importer_named("telegram").read(path, ImportOptions(), ImportReport()):
            pass
        _, most = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        return most

    assert peak(16) < peak(4) * 1.5


@pytest.mark.spec("IMP-43")
def test_fields_of_a_chat_in_any_order(tmp_path: Path) -> None:
    """Two chats, their fields sorted: the name and the type come after the messages."""
    data = everything([chat([said(1, "a")], kind="private_supergroup", ident=1), chat([said(1, "b")], ident=2)], [])
    rows, _ = read(tmp_path / "result.json", json.dumps(data, sort_keys=True, indent=1))
    facts = [(name, row.text, row.kind) for name, row in rows if row.op == Op.CONVERSATION]
    assert facts == [
        ("telegram:channel1", "Family", ConversationKind.SUPERGROUP),
        ("telegram:chat2", "Family", ConversationKind.GROUP),
    ]
    alone = {"messages": [said(1, "a")], "id": 7, "type": "personal_chat", "name": "Ann"}
    assert {name for name, _ in read(tmp_path / "result.json", json.dumps(alone))[0]} == {"telegram:user7"}


@pytest.mark.spec("IMP-44")
def test_a_chat_that_is_named_is_looked_for_before_anything_is_imported(tmp_path: Path) -> None:
    path = tmp_path / "result.json"
    document = written(everything([chat([said(1, "a")], ident=1), chat([said(1, "b")], ident=2)], []))
    for options in ({"chat": "mine"}, {"chat": "mine", "extra": {"chat": "Family"}}, {"extra": {"chat": "Zed"}}):
        path.write_text(document)
        stream = importer_named("telegram").read(path, ImportOptions(**options), ImportReport())
        with pytest.raises(ImportRefused):
            next(stream)
    rows, report = read(path, document, chat="mine", extra={"chat": "chat2"})
    assert ({name for name, _ in rows}, texts(rows)) == ({"mine"}, ["b"])
    assert any("2 parts of the export belong to no chat" in warning for warning in report.warnings)


def test_ids_of_chats_that_are_too_long_for_one(tmp_path: Path) -> None:
    rows, _ = read(tmp_path / "result.json", written(chat(THREE, ident="😀" * 128)))  # type: ignore[arg-type]
    assert {name for name, _ in rows} == {"telegram:named:Family"}


def test_a_separator_that_telegram_escapes_by_a_third(tmp_path: Path) -> None:
    """Its writer puts an escape for the first byte and lets the other two stand, which are then no UTF-8."""
    document = written(chat([said(1, "a|b"), said(2, "plain \u2028")])).encode()
    broken = document.replace(b"a|b", b"a\\u2028\x80\xa8b\\u2029\x80\xa9\\x07")
    rows, _ = read(tmp_path / "result.json", broken)
    assert texts(rows) == ["a\u2028b\u2029\x07", "plain \u2028"]
    assert b"\\u2028\x80\xa8" in (rows[2][1].raw or b"")


def test_what_old_exports_write(tmp_path: Path) -> None:
    """Of before 2021: local times, of edits too, and people as numbers that have the kind of peer above 32 bits."""
    old = [
        {**said(1, "a", edited="2023-11-14T23:00:00"), "from_id": 7},
        {**said(2, "b", edited="1970-01-01T01:00:00"), "from_id": (1 << 32) + 8},
        {**said(3, "c"), "from_id": (2 << 32) + 9},
    ]
    for record in old:
        del record["date_unixtime"]
    rows, report = read(tmp_path / "result.json", written(chat(old)))
    assert [row.sender for _, row in rows if row.op == Op.PUT] == ["user7", "chat8", "channel9"]
    assert [bool(row.flags & Flag.EDITED) for _, row in rows if row.op == Op.PUT] == [True, False, False]
    assert any("3 messages have local times without a zone" in warning for warning in report.warnings)
    rows, report = read(tmp_path / "result.json", written(chat(old)), extra={"zone": "Europe/Berlin"})
    assert details(rows)[0][1] == (START + 2800 - 3600) * 1000
    assert report.warnings == []


def test_what_was_read_as_nothing_before(tmp_path: Path) -> None:
    rows, _ = read(tmp_path / "result.json", written(chat([
        said(1, invoice_information=json.dumps({"title": "T", "amount": 100, "currency": "EUR"})),
        said(2, invoice_information="{no json"),
        said(3, place_name="Café", address="Street 1"),
        served(4, "edit_group_photo", photo="photos/photo_1@15-11-2023_00-13-20.jpg", width=1, height=2),
        said(5, location_information={"latitude": 1e-7, "longitude": True}),
        said(6, "x", reactions=[
            {"type": "paid", "count": 3},
            {"type": "custom_emoji", "count": 2, "document_id": "(File not included. Change data …)"},
        ]),
        said(7, poll={"question": ["a ", {"type": "bold", "text": "b"}], "answers": []}),
    ])))  # fmt: skip
    found = details(rows)
    assert [row.kind for _, row in rows if row.op == Op.PUT][:4] == [
        Kind.PAYMENT,
        Kind.TEXT,
        Kind.LOCATION,
        Kind.SYSTEM,
    ]
    assert found[0][26] == {1: "invoice", 2: "100", 3: "EUR", 4: "T"}
    assert found[2][24] == {3: "Café", 4: "Street 1"}
    assert found[3][4] == [{4: "photo.jpg", 5: "photos/photo_1@15-11-2023_00-13-20.jpg", 6: "avatar", 9: 1, 10: 2}]
    assert 4 not in found[3][28]
    assert found[4][24] == {1: "0.0000001"}
    assert found[5][8] == [{1: "⭐", 2: 3}, {1: ":custom emoji:", 2: 2}]
    assert found[6][21][1] == "a b"


def test_a_full_export_is_known_by_what_comes_before_its_chats(tmp_path: Path) -> None:
    data = everything([chat(THREE)], [])
    data["contacts"] = {"list": [{"user_id": number, "first_name": "x" * 50} for number in range(2_000)]}
    (tmp_path / "result.json").write_text(written(data))
    assert detect(tmp_path / "result.json").name == "telegram"


def test_options_that_are_none_are_named(tmp_path: Path) -> None:
    _, report = read(tmp_path / "result.json", written(chat(THREE)), extra={"order": "dmy"})
    assert report.warnings == ["Telegram has no option order"]


FIELDS = (
    "id", "type", "date", "date_unixtime", "edited", "edited_unixtime", "from", "from_id", "author", "text", "photo",
    "text_entities", "width", "file", "file_name", "thumbnail", "media_type", "duration_seconds", "contact_vcard",
    "contact_information", "location_information", "place_name", "invoice_information", "poll", "actor_id", "action",
    "members", "reactions", "inline_bot_buttons", "forwarded_from", "reply_to_message_id", "game_title", "via_bot",
)  # fmt: skip
INNER = (
    "first_name",
    "latitude",
    "question",
    "answers",
    "text",
    "voters",
    "type",
    "emoji",
    "count",
    "recent",
    "from_id",
)
atoms = st.one_of(
    st.none(), st.booleans(), st.integers(-(2**70), 2**70), st.floats(), st.text(max_size=5),
    st.sampled_from(["1700000000", "service", "phone_call", "9999-12-31T23:59:59", "(File not included.)", '{"a":1}']),
)  # fmt: skip
values = st.recursive(
    atoms, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(INNER), inner, max_size=3),
    max_leaves=6,
)  # fmt: skip


@given(st.lists(st.dictionaries(st.sampled_from(FIELDS), values, max_size=6), max_size=4), values, values)
def test_anything_in_any_field(
    tmp_path_factory: pytest.TempPathFactory, odd: list[dict[str, Any]], kind: Any, ident: Any
) -> None:
    """Whatever Telegram, or somebody else, writes there: it can be stored, and what stands beside it is imported."""
    records = [
        said(1, "before"),
        *(said(number, "odd") | more for number, more in enumerate(odd, 2)),
        said(99, "after"),
    ]
    document = json.dumps({"name": "x", "type": kind, "id": ident, "messages": records})
    rows, report = read(tmp_path_factory.mktemp("t") / "result.json", document)
    assert (texts(rows)[0], texts(rows)[-1]) == ("before", "after")
    assert report.records == len(records)
    packed = [portion.rows for _, portion in portions(Columns.from_rows(rows), 0, {})]  # what is not storable raises
    assert sum(packed) == len(rows)


def test_a_contact_that_says_nothing(tmp_path: Path) -> None:
    nobody = {"first_name": "", "last_name": "", "phone_number": ""}
    rows, _ = read(tmp_path / "result.json", written(chat([said(1, contact_information=nobody), said(2, "after")])))
    assert [row.kind for _, row in rows if row.op == Op.PUT] == [Kind.CONTACT, Kind.TEXT]
