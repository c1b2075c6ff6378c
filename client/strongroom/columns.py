"""Rows as columns: how many messages enter at once without an object for each (spec chapter 13.7).

`Columns` is what an app hands in. `portions` checks a stretch of it in bulk and cuts it by conversation into packed
portions: byte strings that wait in little memory and can be sent to another process as they are.
"""

from __future__ import annotations

import marshal
from array import array
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from operator import itemgetter
from typing import Any, NamedTuple, cast

from strongroom.column_checks import check_columns, check_integers, has_surrogates, refuse_surrogates
from strongroom_protocol.limits import LIMITS
from strongroom_protocol.rows.model import INDEX_MAX, SEQ_MAX, TIME_MAX, Detail, Op, Row
from strongroom_protocol.wire import cbor

STRETCH_ROWS = 16_384
"""Rows that are checked and grouped together: enough that the work per column dwarfs that per call."""

DETAILS_BYTES = LIMITS.cbor_bytes // 2
"""Encoded details of one portion, or of its only row: they are one item, which is read again before it is stored."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Columns:
    """Rows of one conversation or of many, as parallel sequences; entry n of each belongs to row n.

    `conversation` is one id for all rows or a sequence. An absent column has its default in every row: null, or 0
    (operation PUT, kind TEXT). The others are as in `strongroom_protocol.rows.model.Row`; an id may be an integer,
    which stands for its decimal digits. Rows of a conversation should come in order of time: any order is stored,
    but only that one is read back at full speed.
    """

    conversation: str | Sequence[str]
    time: Sequence[int]
    id: Sequence[str | int | None] | None = None
    sender: Sequence[str | None] | None = None
    kind: Sequence[int] | None = None
    text: Sequence[str | None] | None = None
    raw: Sequence[bytes | None] | None = None
    flags: Sequence[int] | None = None
    seq: Sequence[int] | None = None
    ordinal: Sequence[int] | None = None
    op: Sequence[int] | None = None
    detail: Sequence[Detail | None] | None = None

    def __len__(self) -> int:
        return len(self.time)

    @classmethod
    def from_rows(cls, rows: Sequence[tuple[str, Row]]) -> Columns:
        """The columns of (conversation, row) pairs; origins are left out, columns of defaults too."""
        conversations, records = zip(*rows, strict=True)
        taken: dict[str, Any] = dict(zip(Row._fields, zip(*records, strict=True), strict=True))
        defaults: Mapping[str, Any] = Row._field_defaults
        present: dict[str, Any] = {
            name: values
            for name, values in taken.items()
            if name != "origin" and (name not in defaults or values.count(defaults[name]) != len(values))
        }
        return cls(conversation=conversations, **present)

    def stretch(self, start: int, stop: int) -> Columns:
        """The rows from `start` up to `stop`."""
        if not start and stop >= len(self):
            return self
        return Columns(**{name: _stretch(getattr(self, name), start, stop) for name in NAMES})


def _stretch(column: Any, start: int, stop: int) -> Any:
    return column if column is None or isinstance(column, str) else column[start:stop]


NAMES = tuple(column.name for column in fields(Columns))
_AS_BYTES = ("kind", "flags", "op")  # 0…255
_AS_LONGS = ("time", "seq", "ordinal")
_BOUNDS = {"seq": SEQ_MAX, "ordinal": INDEX_MAX, "op": Op.SOURCE}  # beyond what packing bounds by itself


class _TooLong(Exception):
    """Rows whose details together are more than can be unpacked again."""


class Portion(NamedTuple):
    """Packed rows of one conversation, in the order given; `first` and `last` are the bounds of their times."""

    rows: int
    first: int
    last: int
    data: bytes


def portions(columns: Columns, number: int, waiting: Mapping[str, int]) -> Iterator[tuple[str, Portion]]:
    """Check the rows and pack them by conversation. `number` is that of the first row, for messages.

    `waiting` tells how many rows of a conversation wait already, so that no portion spans the end of a full frame.
    Raises InvalidArgument for the first row that no reader would accept; what is packed can be stored.
    """
    counts = dict(waiting)
    for start in range(0, len(columns), STRETCH_ROWS):
        part = columns.stretch(start, start + STRETCH_ROWS)
        check_columns(part, number + start)
        for conversation, taken in _grouped(part):
            at, rows = 0, len(taken["time"])
            most = rows
            while at < rows:
                stop = min(rows, at + most, at + LIMITS.frame_rows - counts.get(conversation, 0) % LIMITS.frame_rows)
                try:
                    portion, texts = _packed({name: values[at:stop] for name, values in taken.items()})
                except _TooLong:
                    most = (stop - at) // 2
                    continue
                except (TypeError, ValueError, OverflowError):
                    check_integers(part, number + start)
                    raise
                if has_surrogates(texts) or has_surrogates(conversation.encode(errors="surrogatepass")):
                    refuse_surrogates(part, number + start)
                counts[conversation] = counts.get(conversation, 0) + portion.rows
                yield conversation, portion
                at = stop


def unpack(data: bytes) -> dict[str, Any]:
    """The columns of a portion that are there, by name: lists, and integers as arrays or bytes."""
    start = 8 + int.from_bytes(data[:8], "big")
    view = memoryview(data)
    found: dict[str, Any] = marshal.loads(view[start:])  # noqa: S302 - only what this program has packed itself
    found |= marshal.loads(view[8:start])  # noqa: S302
    for name in (*_AS_LONGS, "id"):
        if type(found.get(name)) is bytes:
            found[name] = array("q", found[name]).tolist()
    if "detail" in found:
        found["detail"] = cbor.decode(found["detail"], subject="details")
    return found


def _grouped(part: Columns) -> Iterator[tuple[str, dict[str, Any]]]:
    columns = {name: values for name in NAMES[1:] if (values := getattr(part, name)) is not None}
    if isinstance(part.conversation, str):
        yield part.conversation, columns
        return
    places: dict[str, list[int]] = {}
    for place, conversation in enumerate(part.conversation):
        if conversation in places:
            places[conversation].append(place)
        else:
            places[conversation] = [place]
    if len(places) == 1:
        yield part.conversation[0], columns
        return
    for conversation, chosen in places.items():
        # A getter of one place gives the item alone, not a tuple.
        pick = itemgetter(*chosen) if len(chosen) > 1 else lambda values, only=chosen[0]: (values[only],)
        yield conversation, {name: pick(values) for name, values in columns.items()}


def _packed(columns: dict[str, Any]) -> tuple[Portion, bytes]:
    """The portion, and its part that holds texts. Raises TypeError, ValueError, OverflowError for a wrong integer."""
    times = columns["time"]
    bounds = len(times), min(times), max(times)
    if bounds[1] < 0 or bounds[2] > TIME_MAX:
        raise ValueError
    plain: dict[str, Any] = {}
    texts: dict[str, Any] = {}
    for name, values in columns.items():
        if name in _AS_BYTES:
            plain[name] = bytes(values)
        elif name in _AS_LONGS:
            plain[name] = array("q", values).tobytes()
        elif name == "id":
            ids = _plain_ids(values)
            (plain if type(ids) is bytes else texts)[name] = ids
        elif name == "detail":
            plain[name] = cbor.encode(list(values))
            if len(plain[name]) > DETAILS_BYTES and len(times) > 1:
                raise _TooLong
        else:
            texts[name] = values
    for name, high in _BOUNDS.items():
        if name in columns and not 0 <= min(columns[name]) <= max(columns[name]) <= high:
            raise ValueError
    packed = marshal.dumps(texts)
    # Joined, not packed once more: that would copy the texts into a buffer that grows.
    return Portion(*bounds, b"".join((len(packed).to_bytes(8, "big"), packed, marshal.dumps(plain)))), packed


def _plain_ids(ids: Sequence[str | int | None]) -> list[str | None] | bytes:
    """Ids as texts, or all of them as numbers."""
    if set(map(type, ids)) == {int}:
        return array("q", cast("Sequence[int]", ids)).tobytes()
    return [str(value) if type(value) is int else cast("str | None", value) for value in ids]
