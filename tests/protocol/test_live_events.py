"""Cutting a live stream into events: whatever comes in whatever pieces, in bounded memory (chapter 18)."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from strongroom_protocol.relay_api.live import LINE_BYTES, STREAM_BYTES, Reader, Versions

NUMBERS = st.integers(min_value=1, max_value=10**16 - 1)


@given(st.lists(st.tuples(NUMBERS, NUMBERS), max_size=20), st.lists(st.integers(1, 40)), st.booleans())
def test_events_are_found_wherever_the_stream_is_cut(
    numbers: list[tuple[int, int]], cuts: list[int], beat: bool
) -> None:
    sent = [Versions(*pair) for pair in numbers]
    data = b"".join((b":\n\n" if beat else b"") + item.encode() for item in sent)
    reader, found = Reader(), list[Versions]()
    for cut in cuts:
        found += reader.feed(data[:cut])
        data = data[cut:]
    assert found + reader.feed(data) == sent


@given(st.lists(st.binary(max_size=400) | st.sampled_from([b"data: 1 1\n\n", b":\n\n", b"data: 9", b"\r\n", b"\x00"])))
def test_whatever_comes_is_refused_or_an_event_in_bounded_memory(pieces: list[bytes]) -> None:
    reader, sent = Reader(), b""
    for piece in pieces:
        sent += piece
        try:
            found = reader.feed(piece)
        except ValueError:
            wrong = [line for line in sent.split(b"\n")[:-1] if line not in (b"", b":") and not _is_event(line)]
            assert wrong or any(len(line) > LINE_BYTES for line in sent.split(b"\n"))
            return
        assert len(reader._line) <= LINE_BYTES
        assert all(1 <= number < 10**16 for versions in found for number in versions)
    assert all(line in (b"", b":") or _is_event(line) for line in sent.split(b"\n")[:-1])


def _is_event(line: bytes) -> bool:
    """By the text of 18.1, without a regular expression."""
    word, _, numbers = line.partition(b" ")
    parts = numbers.split(b" ")
    return word == b"data:" and len(parts) == 2 and all(
        part.isdigit() and len(part) <= 16 and not part.startswith(b"0") for part in parts
    )  # fmt: skip


@pytest.mark.spec("LIVE-7")
def test_a_line_without_end_is_given_up() -> None:
    reader = Reader()
    for _ in range(LINE_BYTES):
        assert reader.feed(b"x") == []
    with pytest.raises(ValueError, match="longer"):
        reader.feed(b"x")
    with pytest.raises(ValueError, match="longer"):
        Reader().feed(b"x" * (LINE_BYTES + 1) + b"\n")
    with pytest.raises(ValueError, match="longer"):
        Reader().feed(b":\n\ndata: 1 1" + b"1" * LINE_BYTES)


@pytest.mark.spec("LIVE-8")
@pytest.mark.parametrize(
    "line",
    [b"data: 0 1", b"data: 1 0", b"data: 01 1", b"data: 1 1 ", b"data:1 1", b"data: -1 1", b"data: 1", b"data: 1 1\r",
     b"data: " + b"1" * 17 + b" 1", b"event: x", b"id: 1", b"retry: 1", b": hello", b"<html>", b"\x00",
     b"data: 1 \xd9\xa1"],
)  # fmt: skip
def test_nothing_but_events_and_heartbeats(line: bytes) -> None:
    assert Reader().feed(line) == []
    with pytest.raises(ValueError, match="no event"):
        Reader().feed(line + b"\n")


@pytest.mark.spec("LIVE-11")
def test_a_stream_has_so_many_bytes_and_no_more() -> None:
    reader, beats = Reader(), STREAM_BYTES // 3
    for _ in range(beats):
        reader.feed(b":\n\n")
    with pytest.raises(ValueError, match="more than"):
        reader.feed(b":\n\n")
    with pytest.raises(ValueError, match="more than"):
        Reader().feed(b"data: 1 1\n\n" * STREAM_BYTES)
