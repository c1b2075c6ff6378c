"""What a row's detail needs of stored files: its parts, at any depth, and its attachments (chapters 05 and 06)."""

from __future__ import annotations

from typing import Any

import pytest

from strongroom_protocol.engine.refs import ObjectRef
from strongroom_protocol.errors import UpgradeRequired
from strongroom_protocol.rows.detail import check_row
from strongroom_protocol.rows.media_refs import attachments, part_refs, with_attachments
from strongroom_protocol.rows.model import Op, Row
from strongroom_protocol.seal.media import Media, part_bytes
from strongroom_protocol.wire import cbor


def media(label: int, parts: int = 1) -> Media:
    names = [(bytes((label, number)) * 16, bytes(32)) for number in range(parts)]
    return Media.of((parts - 1) * part_bytes() + 1000, bytes(32), names)


def file(label: int, parts: int = 1, **fields: Any) -> dict[int, Any]:
    return {4: f"file {label}", 22: media(label, parts).encode()}


DEEP: dict[int, Any] = {
    4: [file(1, 3), {5: "not stored"} | {21: file(2)}],
    5: {1: "7", 5: file(3)},
    7: [{1: 5, 7: [file(4)], 8: [{8: [{7: [file(5)]}]}]}],
    22: {1: "voice"},
    25: [{1: "https://x", 6: file(6)}],
}


def test_every_part_at_every_depth() -> None:
    check_row(Row(Op.PUT, 0, detail=DEEP))
    refs = list(part_refs(DEEP))
    wanted = [part for label in range(1, 7) for part in media(label, 3 if label == 1 else 1).parts]
    assert sorted(refs, key=lambda ref: ref.name) == sorted(wanted, key=lambda ref: ref.name)
    assert all(isinstance(ref, ObjectRef) and ref.size > 94 for ref in refs)
    assert list(part_refs(None)) == list(part_refs({})) == list(part_refs({1: 5})) == []
    assert [ref.name for ref in part_refs({2: file(9)})] == [bytes((9, 0)) * 16]  # an avatar


def test_fields_of_a_later_version_are_gone_through() -> None:
    later = {99: [{98: file(1)}], 4: [{4: "x", 77: {22: media(2).encode()}}]}
    assert len(list(part_refs(later))) == 2


def test_what_is_no_descriptor_names_nothing_and_a_newer_one_stops() -> None:
    good = file(1)
    for bad in (b"", b"\xff", cbor.encode({1: 1}), cbor.encode({**media(1).to_cbor(), 2: 2**40})):
        assert len(list(part_refs({4: [{22: bad}, good]}))) == 1
    with pytest.raises(UpgradeRequired):
        list(part_refs({4: [good, {22: cbor.encode({1: 2, 9: b"?"})}]}))


def test_attachments_are_found_by_the_tables_and_replaced_without_change_in_place() -> None:
    before = cbor.encode(DEEP)
    names = [attachment.get(4) for attachment in attachments(Op.PUT, DEEP)]
    assert sorted(name for name in names if name) == [f"file {label}" for label in range(1, 7)]
    assert len(names) == 7
    changed = with_attachments(Op.PUT, DEEP, lambda attachment: {**attachment, 13: "title"})
    assert cbor.encode(DEEP) == before
    assert all(attachment[13] == "title" for attachment in attachments(Op.PUT, changed))
    assert changed[4][1][21][13] == "title"
    assert with_attachments(Op.PUT, DEEP, lambda attachment: attachment) is DEEP
    assert list(attachments(Op.CONVERSATION, {1: "topic", 2: file(1)})) == [file(1)]
    assert list(attachments(Op.MEMBER, {7: file(1)})) == [file(1)]
    assert list(attachments(Op.SOURCE, {1: "x"})) == list(attachments(Op.PUT, None)) == []
    assert list(attachments(Op.PUT, {4: "no list", 5: 3, 25: [7]})) == []
