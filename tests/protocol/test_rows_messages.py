"""Rows and what they may hold (chapter 06)."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path
from typing import Any

import cbor2
import pycddl
import pytest

from strongroom_protocol.errors import Failure, UntrustedDataError
from strongroom_protocol.rows import detail as tables
from strongroom_protocol.rows.columns import encode_ints
from strongroom_protocol.rows.detail import check_row, struct_of
from strongroom_protocol.rows.frame import decode_frame, encode_frame
from strongroom_protocol.rows.ids import content_id, conversation_key, message_id
from strongroom_protocol.rows.layout import decode_plain, encode_plain
from strongroom_protocol.rows.model import Op, Row
from strongroom_protocol.rows.schema import Many, Scalar, Struct
from strongroom_protocol.rows.store import Col
from strongroom_protocol.rows.table import Frame
from strongroom_protocol.wire import cbor

SPEC = Path(__file__).resolve().parents[2] / "spec"


def refusal(row: Row) -> Failure:
    """How a frame that holds this row is refused."""
    framed = encode_frame("chat", [row])
    with pytest.raises(UntrustedDataError) as caught:
        decode_frame(framed)
    return caught.value.failure


@pytest.mark.spec("MSG-1")
def test_a_conversation_key_is_sixteen_bytes_of_a_labelled_hash() -> None:
    expected = hashlib.sha256(b"strongroom/v1/conversation\0" + "家".encode()).digest()[:16]
    assert conversation_key("家") == expected


@pytest.mark.spec("MSG-2")
def test_a_derived_id_is_a_hash_of_what_makes_the_message() -> None:
    parts = ["strongroom/v1/message-id", "chat", None, 5, 0, "hi", 2]
    assert content_id("chat", None, 5, 0, "hi", 2) == "sha256:" + hashlib.sha256(cbor2.dumps(parts)).hexdigest()
    row = Row(Op.PUT, 5, text="hi", ordinal=2)
    assert message_id("chat", row) == content_id("chat", None, 5, 0, "hi", 2)
    assert message_id("chat", row._replace(id="7")) == "7"
    others = [row._replace(time=6), row._replace(sender="a"), row._replace(kind=1), row._replace(text=None)]
    assert len({message_id("chat", other) for other in (row, *others, row._replace(ordinal=0))}) == 6


@pytest.mark.spec("MSG-3")
@pytest.mark.parametrize("value", [[1], "text", {4: [{}]}, {5: "x"}])
def test_a_detail_that_is_no_map_with_fields(value: Any) -> None:
    assert refusal(Row(Op.PUT, 1, detail=value)) is Failure.SCHEMA


@pytest.mark.spec("MSG-3")
def test_an_empty_detail() -> None:
    fields = cbor.decode(encode_plain(Frame.from_rows("chat", [Row(Op.PUT, 1)])))
    fields[4] |= {int(Col.HAS_DETAIL): encode_ints([1], delta=False), int(Col.DETAIL): cbor.encode([{}])}
    with pytest.raises(UntrustedDataError) as caught:
        decode_plain(cbor.encode(fields))
    assert caught.value.failure is Failure.SCHEMA


@pytest.mark.spec("MSG-4")
@pytest.mark.parametrize("key", ["name", -1, 2**32, b"1"])
def test_a_field_whose_key_is_no_small_number(key: Any) -> None:
    assert refusal(Row(Op.PUT, 1, detail={key: 1})) is Failure.SCHEMA
    assert refusal(Row(Op.PUT, 1, detail={5: {key: 1}})) is Failure.SCHEMA


@pytest.mark.spec("MSG-5")
@pytest.mark.parametrize("value", [[], {1: "x"}, "x", None])
def test_a_list_that_is_none(value: Any) -> None:
    assert refusal(Row(Op.PUT, 1, detail={10: value})) is Failure.SCHEMA


@pytest.mark.spec("MSG-6")
@pytest.mark.parametrize(
    "detail",
    [{2: 5}, {1: -1}, {1: True}, {1: 2**63}, {16: 1}, {10: [5]}, {4: [{1: "x"}]}, {28: {4: {"a": 1}}}, {12: {5: "x"}}],
)
def test_a_field_of_the_wrong_type(detail: dict[int, Any]) -> None:
    assert refusal(Row(Op.PUT, 1, detail=detail)) is Failure.SCHEMA
    assert refusal(Row(Op.SOURCE, 1, detail={10: {"a": "b"}})) is Failure.SCHEMA


def test_fields_of_a_newer_version_are_kept() -> None:
    row = Row(Op.PUT, 1, detail={0: '{"x":1.50}', 999: {"any": [b"thing", -5]}, 5: {1: "7", 60: "new"}})
    assert list(decode_frame(encode_frame("chat", [row])).rows()) == [row]


@pytest.mark.spec("OP-1")
@pytest.mark.parametrize("op", [Op.EDIT, Op.DELETE, Op.REACT])
def test_an_operation_names_its_message(op: Op) -> None:
    assert refusal(Row(op, 1, kind=1, text="x", detail={1: 0})) is Failure.SCHEMA


@pytest.mark.spec("OP-2")
def test_an_edit_says_when() -> None:
    assert refusal(Row(Op.EDIT, 1, id="7", text="x")) is Failure.SCHEMA
    check_row(Row(Op.EDIT, 1, id="7", text="x", detail={1: 0}))


@pytest.mark.spec("OP-3")
@pytest.mark.parametrize(("kind", "emoji"), [(2, "👍"), (1, None), (0, "")])
def test_a_reaction_adds_or_removes_something(kind: int, emoji: str | None) -> None:
    assert refusal(Row(Op.REACT, 1, id="7", kind=kind, text=emoji)) is Failure.SCHEMA


def cddl_of(struct: Struct) -> str:
    """The rule of a table, as the specification prints it."""

    def kind(of: Scalar | Many | Struct) -> str:
        if isinstance(of, Struct):
            return of.name
        return f"[1* {kind(of.of)}]" if isinstance(of, Many) else of.value

    entries = "".join(f"\n  ? {key}: {kind(field.type)}, ; {field.name}" for key, field in struct.by_key.items())
    return f"{struct.name} = {{{entries}\n  * uint => any\n}}"


def test_the_tables_are_those_of_the_schema() -> None:
    schema = (SPEC / "strongroom.cddl").read_text()
    every = [value for value in vars(tables).values() if isinstance(value, Struct)]
    assert len(every) == 27
    for struct in every:
        assert cddl_of(struct) in schema
    assert re.findall(r"^detail = (.*?) +;", schema, re.MULTILINE) == [
        "message-detail / conversation-detail / member-detail / source-detail"
    ]


@pytest.mark.parametrize(
    ("rule", "value", "valid"),
    [
        ("message-detail", {2: "x", 4: [{1: b"x", 2: 5, 21: {3: "image/png"}}], 999: [1]}, True),
        ("message-detail", {2: 5}, False),
        ("message-detail", {4: [{1: "x"}]}, False),
        ("source-detail", {10: {"text": 5}, 8: {"zone": "unknown"}}, True),
        ("packed-details", [{7: [{1: 5, 8: [{6: "nested"}]}]}], True),
    ],
)
def test_the_schema_says_the_same_as_the_tables(rule: str, value: Any, valid: bool) -> None:
    schema = pycddl.Schema(f"root = {rule}\n" + (SPEC / "strongroom.cddl").read_text())
    if valid:
        schema.validate_cbor(cbor.encode(value))
    else:
        with pytest.raises(pycddl.ValidationError):
            schema.validate_cbor(cbor.encode(value))


def test_a_frame_is_valid_under_the_schema() -> None:
    rows = [Row(Op.PUT, 1, id="7", sender="ann", text="hi", detail={2: "Ann"}), Row(Op.SOURCE, 5, detail={4: "x"})]
    schema = pycddl.Schema("root = frame\n" + (SPEC / "strongroom.cddl").read_text())
    schema.validate_cbor(encode_plain(Frame.from_rows("chat", rows)))
    schema.validate_cbor(encode_plain(Frame.from_rows("chat", rows), bare=True))


def test_every_operation_has_a_table() -> None:
    assert {struct_of(op).name for op in Op} == {
        "message-detail",
        "conversation-detail",
        "member-detail",
        "source-detail",
    }
