"""Readers of decoded values: every field by type and range, no field unread (chapter 02)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from protocol.builders import refused
from strongroom_protocol.errors import Failure, UpgradeRequired
from strongroom_protocol.wire import parse
from strongroom_protocol.wire.parse import Fields


@pytest.mark.spec("ENC-6")
@pytest.mark.parametrize("value", [-1, 4, 11, 2**64, True, 5.0, "5", b"5", None, [5]])
def test_integers_have_a_type_and_a_range(value: Any) -> None:
    assert refused(parse.uint, value, 10, "x", 5) is Failure.SCHEMA


def test_the_ends_of_a_range_belong_to_it() -> None:
    assert [parse.uint(value, 10, "x", 5) for value in (5, 10)] == [5, 10]
    assert parse.fixed(b"ab", 2, "x") == b"ab"
    assert [parse.blob(value, 2, "x", 1) for value in (b"a", b"ab")] == [b"a", b"ab"]
    assert [parse.text(value, 2, "x", 1) for value in ("a", "ü")] == ["a", "ü"]
    assert [parse.array(value, "x", minimum=1, maximum=2) for value in ([1], [1, 2])] == [[1], [1, 2]]


@pytest.mark.spec("ENC-7")
@pytest.mark.parametrize("value", [b"", b"abc", b"abcde", "abcd", bytearray(4), [1, 2, 3, 4], None, 4])
def test_fixed_byte_strings(value: Any) -> None:
    assert refused(parse.fixed, value, 4, "x") is Failure.SCHEMA


@pytest.mark.spec("ENC-8")
@pytest.mark.parametrize("value", [b"", b"a", b"abcde", "abc", bytearray(3), None])
def test_bounded_byte_strings(value: Any) -> None:
    assert refused(parse.blob, value, 4, "x", 2) is Failure.SCHEMA


@pytest.mark.parametrize("value", ["", "a", "aüüü", b"abc", None])
def test_bounded_texts_are_measured_in_bytes(value: Any) -> None:
    assert refused(parse.text, value, 4, "x", 2) is Failure.SCHEMA


@pytest.mark.spec("ENC-9")
@pytest.mark.parametrize("value", [[], [1], [1, 2, 3, 4], (1, 2), {1: 2}, b"ab", None])
def test_bounded_arrays(value: Any) -> None:
    assert refused(parse.array, value, "x", minimum=2, maximum=3) is Failure.SCHEMA


@pytest.mark.parametrize("value", [[], None, b"", 1, [[1, 2]]])
def test_a_map_is_a_map(value: Any) -> None:
    assert refused(Fields, value, "x") is Failure.SCHEMA


@pytest.mark.spec("ENC-10")
@pytest.mark.parametrize("version", [2, 3, 2**32 - 1])
def test_a_newer_format_asks_for_an_upgrade(version: int) -> None:
    with pytest.raises(UpgradeRequired) as caught:
        Fields({1: version}, "x").format()
    assert caught.value.failure is Failure.NEWER_FORMAT
    Fields({1: version}, "x").format(known=version)


@pytest.mark.spec("ENC-11")
def test_an_older_format_is_unknown() -> None:
    assert refused(Fields({1: 0}, "x").format) is Failure.SCHEMA
    assert refused(Fields({1: 1}, "x").format, known=2) is Failure.SCHEMA
    for value in (None, "1", -1, True, 2**32):
        assert refused(Fields({1: value}, "x").format) is Failure.SCHEMA


@pytest.mark.spec("ENC-12")
@pytest.mark.parametrize("unknown", [{2: 0}, {0: 0}, {-1: 0}, {"1": 0}, {b"1": 0}, {None: 0}])
def test_a_field_that_nobody_asked_for_is_refused(unknown: dict[Any, Any]) -> None:
    fields = Fields({1: 1, **unknown}, "x")
    fields.format()
    assert refused(fields.done) is Failure.SCHEMA


_READERS: list[Callable[[Fields], object]] = [
    lambda fields: fields.take(2),
    lambda fields: fields.uint(2, 5),
    lambda fields: fields.version(2),
    lambda fields: fields.time(2),
    lambda fields: fields.fixed(2),
    lambda fields: fields.blob(2, 5),
    lambda fields: fields.text(2, 5),
    lambda fields: fields.array(2, maximum=5),
    lambda fields: fields.optional(2, lambda value: value),
]


@pytest.mark.parametrize("read", _READERS)
def test_a_missing_field_is_refused_and_so_is_one_read_twice(read: Callable[[Fields], object]) -> None:
    assert refused(read, Fields({1: 1}, "x")) is Failure.SCHEMA
    fields = Fields({2: None}, "x")
    fields.take(2)
    assert refused(read, fields) is Failure.SCHEMA


def test_ranges_of_versions_and_times() -> None:
    assert Fields({1: 2**53 - 1}, "x").version(1) == 2**53 - 1
    assert refused(Fields({1: 2**53}, "x").version, 1) is Failure.SCHEMA
    assert refused(Fields({1: 0}, "x").version, 1) is Failure.SCHEMA
    assert Fields({1: 2**48 - 1}, "x").time(1) == 2**48 - 1
    assert refused(Fields({1: 2**48}, "x").time, 1) is Failure.SCHEMA


def test_null_stands_for_an_absent_value_only_where_it_may() -> None:
    assert Fields({1: None}, "x").optional(1, bytes) is None
    assert refused(Fields({1: None}, "x").fixed, 1) is Failure.SCHEMA
    assert refused(Fields({1: 1}, "x").optional, 1, lambda value: parse.fixed(value, 32, "x")) is Failure.SCHEMA


def test_the_map_given_is_left_as_it_was() -> None:
    given = {1: 1, 2: b""}
    fields = Fields(given, "x")
    fields.format()
    assert given == {1: 1, 2: b""}
