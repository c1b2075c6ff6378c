"""Frames: what is written comes back, in one form only, and nothing else is accepted (chapter 07)."""

from __future__ import annotations

import random
import tracemalloc
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from strongroom_protocol.errors import Failure, InvalidArgument, UntrustedDataError
from strongroom_protocol.limits import LIMITS
from strongroom_protocol.rows import compression
from strongroom_protocol.rows.columns import decode_ints, encode_ints
from strongroom_protocol.rows.frame import Codec, Frame, decode_frame, encode_frame
from strongroom_protocol.rows.layout import decode_plain, encode_plain
from strongroom_protocol.rows.model import Kind, Op, Origin, Row
from strongroom_protocol.rows.store import Col
from strongroom_protocol.rows.zstd import ZstdCompressor
from strongroom_protocol.wire import cbor

CHAT = "chat-1"
DEVICES = (b"a" * 16, b"b" * 16)


def sample(count: int = 40, seed: int = 1) -> list[Row]:
    """Rows with every column in use."""
    rng = random.Random(seed)
    rows = []
    for place in range(count):
        text = rng.choice((None, "", "hello", "你好世界", "🐶 " * 9))
        body = None if text is None else f"[{place}] ".encode() + text.encode() + b"\n"
        row = Row(
            Op.PUT,
            1_700_000_000_000 + place // 3 * 977,
            place,
            rng.choice((None, str(place * 7), f"id-{place}")),
            rng.choice((None, "ann", "bob", "徐")),
            rng.choice((Kind.TEXT, Kind.MEDIA)),
            text,
            rng.choice((None, body, b"\xff\xfe")),
            rng.choice((0, 5)),
            rng.choice((0, 0, 3)),
            rng.choice((None, None, {4: [{1: b"x" * 32, 2: 5}], 77: ["kept"]})),
            Origin((1_700_000_000_000 << 16) + place, DEVICES[place % 2], 3, place),
        )
        rows.append(row)
    edit = rows[3]._replace(op=Op.EDIT, id="id-3", detail={1: 5}, origin=Origin(2**62, DEVICES[0], 4, 0))
    return [*rows, edit]


def tampered(change: Callable[[dict[int, Any]], None], rows: list[Row] | None = None) -> bytes:
    """A frame's plaintext after `change`; the columns are at key 4."""
    frame = Frame.from_rows(CHAT, rows or sample()).sorted()
    fields = cbor.decode(encode_plain(frame))
    change(fields)
    return cbor.encode(fields)


def refusal(plain: bytes, **limits: int) -> Failure:
    with pytest.raises(UntrustedDataError) as caught:
        decode_plain(plain, limits=replace(LIMITS, **limits))
    return caught.value.failure


def set_column(column: Col, data: bytes) -> Callable[[dict[int, Any]], None]:
    return lambda fields: fields[4].update({int(column): data})


@pytest.mark.parametrize("codec", list(Codec))
def test_rows_come_back(codec: Codec) -> None:
    rows = sample()
    frame = decode_frame(encode_frame(CHAT, rows, codec=codec))
    assert list(frame.rows()) == sorted(rows, key=lambda row: (row.time, row.seq, row.origin))
    assert frame.conversation == CHAT
    assert frame.row(2) == list(frame.rows())[2]


def test_one_row_with_nothing_in_it() -> None:
    rows = [Row(Op.PUT, 0)]
    assert list(decode_frame(encode_frame(CHAT, rows)).rows()) == rows
    assert len(encode_frame(CHAT, rows)) < 50


def test_the_order_of_the_rows_given_does_not_matter() -> None:
    rows = sample()
    shuffled = random.Random(2).sample(rows, len(rows))
    assert encode_frame(CHAT, rows) == encode_frame(CHAT, shuffled)


def test_the_plaintext_of_decoded_rows_is_the_one_they_came_from() -> None:
    plain = encode_plain(Frame.from_rows(CHAT, sample()).sorted())
    assert encode_plain(decode_plain(plain)) == plain


def test_no_rows_and_two_rows_of_one_origin_are_no_frame() -> None:
    with pytest.raises(InvalidArgument):
        encode_frame(CHAT, [])
    with pytest.raises(InvalidArgument):
        encode_frame(CHAT, [Row(Op.PUT, 5), Row(Op.PUT, 5)])
    with pytest.raises(InvalidArgument):
        encode_frame(CHAT, [Row(Op.PUT, 5, text="\ud800")])
    with pytest.raises(InvalidArgument):
        encode_frame("other", Frame.from_rows(CHAT, sample()))


@pytest.mark.parametrize("delta", [False, True])
@pytest.mark.parametrize(
    "values",
    [[0], [2**63 - 1], [5, 5, 5], [1, 2, 3], [9, 1, 2**62, 0], [2**63 - 1, 0, 2**63 - 1], list(range(0, 70_000, 7))],
)
def test_columns_of_integers_come_back(values: list[int], delta: bool) -> None:
    data = encode_ints(values, delta=delta)
    assert decode_ints(data, len(values), delta=delta, low=0, high=2**63 - 1, subject="") == values
    if len(set(values)) == 1:
        assert len(data) <= 13


@pytest.mark.spec("FRAME-1")
def test_more_rows_than_the_limit() -> None:
    assert refusal(tampered(lambda _: None), frame_rows=40) is Failure.LIMIT


@pytest.mark.spec("FRAME-2")
@pytest.mark.parametrize("columns", [[], {2: 5}, {2: None}])
def test_columns_that_are_no_byte_strings(columns: Any) -> None:
    assert refusal(tampered(lambda fields: fields.update({4: columns}))) is Failure.FRAME
    assert refusal(tampered(lambda fields: fields.update({4: columns}), [Row(Op.PUT, 0)])) is Failure.FRAME


@pytest.mark.spec("FRAME-3")
def test_a_column_of_zeros_is_not_written() -> None:
    zeros = encode_ints([0] * 2, delta=False)
    rows = [Row(Op.PUT, 1), Row(Op.PUT, 2)]
    assert refusal(tampered(set_column(Col.FLAGS, zeros), rows)) is Failure.FRAME


@pytest.mark.spec("FRAME-4")
def test_a_column_cut_short() -> None:
    for column in (Col.TIME, Col.SENDER, Col.TEXT_LENGTH):

        def cut(fields: dict[int, Any], column: Col = column) -> None:
            fields[4][int(column)] = fields[4][int(column)][:-1]

        assert refusal(tampered(cut)) is Failure.FRAME
    assert refusal(tampered(set_column(Col.FLAGS, b"\x01"))) is Failure.FRAME


@pytest.mark.spec("FRAME-5")
def test_a_width_over_eight_bytes() -> None:
    assert refusal(tampered(set_column(Col.KIND, b"\x09\x00" + bytes(41 * 9)))) is Failure.FRAME


@pytest.mark.spec("FRAME-6")
@pytest.mark.parametrize("data", [b"\x02\x00" + b"\x00\x01" + b"\x00\x00", b"\x01\x00" + b"\x01\x02"])
def test_a_column_not_in_its_shortest_form(data: bytes) -> None:
    rows = [Row(Op.PUT, 1), Row(Op.PUT, 2)]
    assert refusal(tampered(set_column(Col.KIND, data), rows)) is Failure.FRAME


@pytest.mark.spec("FRAME-7")
def test_bytes_after_a_column() -> None:
    def extend(fields: dict[int, Any]) -> None:
        fields[4][int(Col.TIME)] += b"\0"

    assert refusal(tampered(extend)) is Failure.FRAME


@pytest.mark.spec("FRAME-8")
@pytest.mark.parametrize(
    ("column", "value"), [(Col.OP, 8), (Col.KIND, 256), (Col.TIME, 2**48), (Col.FLAGS, -1), (Col.SENDER, 9)]
)
def test_a_value_outside_its_range(column: Col, value: int) -> None:
    rows = [Row(Op.PUT, 1, sender="ann")]
    data = encode_ints([value], delta=column is Col.TIME)
    assert refusal(tampered(set_column(column, data), rows)) is Failure.FRAME


@pytest.mark.spec("FRAME-9")
@pytest.mark.parametrize("number", [b"\x82\x00", b"\x80" * 9 + b"\x02", b"\xff" * 10 + b"\x01"])
def test_a_number_not_in_its_shortest_form(number: bytes) -> None:
    rows = [Row(Op.PUT, 1)]
    for data in (b"\x00" + number,):
        with pytest.raises(UntrustedDataError) as caught:
            decode_ints(data, 1, delta=False, low=-(2**70), high=2**70, subject="")
        assert caught.value.failure is Failure.FRAME
    assert refusal(tampered(set_column(Col.TIME, number), rows)) is Failure.FRAME


@pytest.mark.spec("FRAME-10")
def test_a_text_over_the_limit() -> None:
    assert refusal(tampered(lambda _: None), text_bytes=8) is Failure.LIMIT
    assert refusal(tampered(lambda _: None), raw_bytes=1) is Failure.LIMIT


@pytest.mark.spec("FRAME-11")
@pytest.mark.parametrize("change", [b"x", None])
def test_lengths_that_do_not_add_up(change: bytes | None) -> None:
    def alter(fields: dict[int, Any]) -> None:
        data = fields[4][int(Col.TEXT_BYTES)]
        fields[4][int(Col.TEXT_BYTES)] = data + change if change else data[:-1]

    assert refusal(tampered(alter)) is Failure.FRAME
    ascii_rows = [Row(Op.PUT, 1, text="abc"), Row(Op.PUT, 2, text="de")]
    assert refusal(tampered(alter, ascii_rows)) is Failure.FRAME


def test_text_that_is_not_utf8() -> None:
    rows = [Row(Op.PUT, 1, text="ab")]
    assert refusal(tampered(set_column(Col.TEXT_BYTES, b"\xc3("), rows)) is Failure.FRAME


@pytest.mark.spec("FRAME-12")
def test_rows_out_of_order() -> None:
    rows = [Row(Op.PUT, 1), Row(Op.PUT, 2)]
    falling = encode_ints([2, 1], delta=True)
    assert refusal(tampered(set_column(Col.TIME, falling), rows)) is Failure.FRAME
    same = encode_ints([2, 2], delta=True)
    assert refusal(tampered(set_column(Col.TIME, same), rows)) is Failure.FRAME


@pytest.mark.spec("FRAME-13")
def test_an_empty_column_is_not_written() -> None:
    rows = [Row(Op.PUT, 1)]
    assert refusal(tampered(set_column(Col.TEXT_BYTES, b""), rows)) is Failure.FRAME


@pytest.mark.spec("FRAME-14")
def test_an_unknown_column() -> None:
    assert refusal(tampered(lambda fields: fields[4].update({24: b"\0"}))) is Failure.FRAME


@pytest.mark.spec("FRAME-15")
@pytest.mark.parametrize("name", ["12", "0", "123456789012345678"])
def test_a_number_as_text(name: str) -> None:
    rows = [Row(Op.PUT, 1, id="x" * len(name))]
    assert refusal(tampered(set_column(Col.ID_BYTES, name.encode()), rows)) is Failure.FRAME


@pytest.mark.parametrize("name", ["007", "", "²", "٣", "1234567890123456789", "-1", "1.0"])
def test_ids_that_look_like_numbers_come_back(name: str) -> None:
    rows = [Row(Op.PUT, 1, id=name), Row(Op.PUT, 2, id="42"), Row(Op.PUT, 3)]
    assert list(decode_frame(encode_frame(CHAT, rows)).rows()) == rows


@pytest.mark.spec("FRAME-16")
@pytest.mark.parametrize("names", [["ann", "bob", "eve"], ["ann", "ann"], ["ann"]])
def test_a_dictionary_with_more_less_or_twice(names: list[str]) -> None:
    rows = [Row(Op.PUT, 1, sender="ann"), Row(Op.PUT, 2, sender="bob")]
    assert refusal(tampered(lambda fields: fields.update({5: names[:2]}) or fields.update({5: names}), rows)) in (
        Failure.FRAME,
        Failure.SCHEMA,
    )
    unused = [Row(Op.PUT, 1, sender="ann"), Row(Op.PUT, 2)]
    assert refusal(tampered(lambda fields: fields.update({5: ["ann", "bob"]}), unused)) is Failure.FRAME


@pytest.mark.spec("FRAME-27")
@pytest.mark.parametrize("name", ["0123abcd", "12345678", b"abc", b"x" * 257])
def test_a_sender_in_another_form(name: str | bytes) -> None:
    rows = [Row(Op.PUT, 1, sender="ann")]
    assert refusal(tampered(lambda fields: fields.update({5: [name]}), rows)) is Failure.FRAME


@pytest.mark.parametrize("name", ["", "0123abcd", "0123abc", "0123ABCD", "abcdef", "ff" * 256, "12345678\n"])
def test_senders_that_look_hexadecimal_come_back(name: str) -> None:
    rows = [Row(Op.PUT, 1, sender=name)]
    assert list(decode_frame(encode_frame(CHAT, rows)).rows()) == rows


@pytest.mark.spec("FRAME-17")
def test_a_record_split_in_another_place() -> None:
    rows = [Row(Op.PUT, 1, text="aa", raw=b"-aaa")]

    def shift(fields: dict[int, Any]) -> None:
        fields[4] |= {
            int(Col.BEFORE_LENGTH): encode_ints([3], delta=False),
            int(Col.BEFORE_BYTES): b"-a",
            int(Col.AFTER_LENGTH): encode_ints([1], delta=False),
        }
        del fields[4][int(Col.AFTER_BYTES)]

    assert refusal(tampered(shift, rows)) is Failure.FRAME


@pytest.mark.spec("FRAME-18")
def test_a_record_over_the_limit_once_joined() -> None:
    rows = [Row(Op.PUT, 1, text="aaaa", raw=b"--aaaa--")]
    assert refusal(tampered(lambda _: None, rows), raw_bytes=7) is Failure.LIMIT


@pytest.mark.spec("FRAME-19")
def test_more_details_than_marks() -> None:
    rows = [Row(Op.PUT, 1, detail={2: "Ann"}), Row(Op.PUT, 2)]
    two = cbor.encode([{2: "Ann"}, {2: "Bob"}])
    assert refusal(tampered(set_column(Col.DETAIL, two), rows)) is Failure.FRAME


def refused(framed: bytes, **limits: int) -> Failure:
    with pytest.raises(UntrustedDataError) as caught:
        decode_frame(framed, limits=replace(LIMITS, **limits))
    return caught.value.failure


@pytest.mark.spec("FRAME-20")
@pytest.mark.parametrize("length", range(6))
def test_a_frame_cut_short(length: int) -> None:
    assert refused(encode_frame(CHAT, sample())[:length]) is Failure.FRAME


@pytest.mark.spec("FRAME-21")
def test_attack_033_a_bomb_is_refused_by_what_it_declares() -> None:
    framed = encode_frame(CHAT, sample())
    assert refused(framed, frame_ratio_bytes=100) is Failure.LIMIT


def test_attack_033_a_bomb_that_declares_little_inflates_little() -> None:
    bomb = ZstdCompressor(19).compress(bytes(200_000_000), ZstdCompressor.FLUSH_FRAME)[4:]
    framed = bytes((Codec.ZSTD,)) + (1000).to_bytes(4, "big") + bomb
    tracemalloc.start()
    try:
        assert refused(framed) is Failure.COMPRESSION
        assert tracemalloc.get_traced_memory()[1] < 20_000_000
    finally:
        tracemalloc.stop()


@pytest.mark.spec("FRAME-22")
def test_an_unknown_codec() -> None:
    assert refused(b"\x03" + encode_frame(CHAT, sample())[1:]) is Failure.FRAME


@pytest.mark.spec("FRAME-23")
@pytest.mark.parametrize("codec", list(Codec))
def test_a_length_that_is_not_the_declared_one(codec: Codec) -> None:
    framed = encode_frame(CHAT, sample(), codec=codec)
    length = int.from_bytes(framed[1:5], "big")
    longer = framed[:1] + (length + 1).to_bytes(4, "big") + framed[5:]
    assert refused(longer) is Failure.COMPRESSION
    shorter = framed[:1] + (length - 1).to_bytes(4, "big") + framed[5:]
    assert refused(shorter) is Failure.COMPRESSION


@pytest.mark.spec("FRAME-24")
def test_anything_after_the_compressed_frame() -> None:
    framed = encode_frame(CHAT, sample(), codec=Codec.ZSTD)
    for tail in (b"\0", b"\x28\xb5\x2f\xfd" + framed[5:], b"\x50\x2a\x4d\x18\0\0\0\0"):
        assert refused(framed + tail) is Failure.COMPRESSION
    assert refused(framed[:-1]) is Failure.COMPRESSION


@pytest.mark.spec("FRAME-25")
def test_a_dictionary_that_is_not_the_specifications(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compression, "DICTIONARY_SHA256", "00" * 32)
    compression.static_dictionary.cache_clear()
    with pytest.raises(UntrustedDataError) as caught:
        encode_frame(CHAT, sample())
    assert caught.value.failure is Failure.DIGEST
    compression.static_dictionary.cache_clear()


@pytest.mark.spec("FRAME-26")
def test_a_frame_of_a_batch_takes_its_origins_from_the_batch() -> None:
    base = Origin(77 << 16, DEVICES[1], 9, 100)
    frame = Frame.from_rows(CHAT, sample()).sorted()
    frame.stamp(*base)
    bare = encode_frame(CHAT, frame, bare=True)
    whole = encode_frame(CHAT, frame)
    assert list(decode_frame(bare, base=base).rows()) == list(frame.rows())
    assert len(bare) < len(whole)
    with pytest.raises(UntrustedDataError) as caught:
        decode_frame(whole, base=base)
    assert caught.value.failure is Failure.FRAME
    assert refused(bare) is Failure.FRAME
    with pytest.raises(UntrustedDataError) as caught:
        decode_frame(encode_frame(CHAT, [Row(Op.PUT, 5)]), base=base)  # an origin of zeros has no columns
    assert caught.value.failure is Failure.FRAME


def test_any_flipped_byte_of_a_plaintext_is_refused_or_read_back_as_written() -> None:
    plain = encode_plain(Frame.from_rows(CHAT, sample(12)).sorted())
    for place in range(len(plain)):
        for bit in (1, 16, 128):
            changed = bytearray(plain)
            changed[place] ^= bit
            try:
                frame = decode_plain(bytes(changed))
            except UntrustedDataError:
                continue
            assert encode_plain(frame) == bytes(changed)
