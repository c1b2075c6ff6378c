"""Checking rows column by column: what passes is what every reader accepts (spec chapters 06 and 07).

A commit holds nothing that cannot be read again, so each bound here is one that the parser of frames has. A column
is judged by a few passes in C; only when one of them fails is the row looked for that is to blame.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, NoReturn

from strongroom_protocol.errors import InvalidArgument, UntrustedDataError
from strongroom_protocol.limits import LIMITS, MIB
from strongroom_protocol.rows.detail import check_values
from strongroom_protocol.rows.media_refs import check_writable
from strongroom_protocol.rows.model import BYTE_MAX, INDEX_MAX, SEQ_MAX, TIME_MAX, Op
from strongroom_protocol.wire import cbor

if TYPE_CHECKING:
    from strongroom.columns import Columns

DETAIL_BYTES = 8 * MIB
"""One row's details: with the longest text and raw beside them, a frame stays within what a reader inflates."""

_SURROGATE = re.compile(rb"\xed[\xa0-\xbf]")
_INTEGERS = (("time", TIME_MAX), ("kind", BYTE_MAX), ("flags", BYTE_MAX), ("seq", SEQ_MAX), ("ordinal", INDEX_MAX))
_ID_NUMBER_MAX = 10**18 - 1


def check_columns(part: Columns, number: int) -> None:
    """Raises InvalidArgument, naming the row, for all but integers and lone surrogates: packing finds those."""
    rows = len(part)
    for name in part.__slots__:
        column = getattr(part, name)
        if column is not None and not (name == "conversation" and isinstance(column, str)) and len(column) != rows:
            raise InvalidArgument(f"column {name} has {len(column):,} entries, time has {rows:,}")
    # A conversation stands in many rows: only its distinct ids are looked at.
    conversations = [part.conversation] if isinstance(part.conversation, str) else part.conversation
    if not {str}.issuperset(map(type, conversations)):
        _each(conversations, number, "conversation is not a text", lambda value: type(value) is str)
    for conversation in set(conversations):
        if not 0 < len(conversation.encode(errors="surrogatepass")) <= LIMITS.id_bytes:
            place = list(conversations).index(conversation)
            _refuse(number + place, f"conversation is not a text of 1 to {LIMITS.id_bytes} bytes")
    _check_texts("sender", part.sender, number, LIMITS.id_bytes)
    _check_texts("text", part.text, number, LIMITS.text_bytes)
    _check_ids(part.id, number)
    _check_raw(part.raw, number)
    if part.detail is not None or (part.op is not None and any(part.op)):
        check_integers(part, number)
        _check_special(part, number)


def check_integers(part: Columns, number: int) -> None:
    """Raises InvalidArgument, naming the row, for an integer that is none or out of its range."""
    for name, high in (*_INTEGERS, ("op", Op.SOURCE)):
        for place, value in enumerate(getattr(part, name) or ()):
            if not isinstance(value, int) or not 0 <= value <= high:
                _refuse(number + place, f"{name} is not an integer from 0 to {high}")


def has_surrogates(packed: bytes) -> bool:
    """Whether packed texts may hold half a surrogate pair: never no when they do, seldom yes when they do not."""
    return b"\xed" in packed and _SURROGATE.search(packed) is not None


def refuse_surrogates(part: Columns, number: int) -> None:
    """Raises InvalidArgument for the first text that no UTF-8 can carry."""
    single = [part.conversation] if isinstance(part.conversation, str) else part.conversation
    for name, column in (("conversation", single), ("sender", part.sender), ("id", part.id), ("text", part.text)):
        for place, value in enumerate(column or ()):
            if isinstance(value, str):
                try:
                    value.encode()
                except UnicodeEncodeError:
                    _refuse(number + place, f"{name} holds half of a surrogate pair")


def _check_texts(name: str, column: Sequence[Any] | None, number: int, maximum: int) -> None:
    if not column:
        return
    # Four bytes a character at most: what is short enough in characters is short enough in bytes.
    if {str, type(None)}.issuperset(map(type, column)) and max(
        map(len, filter(None, column)), default=0
    ) * 4 <= maximum:
        return
    _each(column, number, f"{name} is not a text of up to {maximum:,} bytes", lambda value: (
        value is None or (type(value) is str and len(value.encode(errors="surrogatepass")) <= maximum)
    ))  # fmt: skip


def _check_ids(column: Sequence[str | int | None] | None, number: int) -> None:
    if not column:
        return
    if set(map(type, column)) == {int} and min(column) >= 0 and max(column) <= _ID_NUMBER_MAX:  # type: ignore[type-var,operator]
        return
    texts = [None if type(value) is int and 0 <= value <= _ID_NUMBER_MAX else value for value in column]
    _check_texts("id", texts, number, LIMITS.id_bytes)


def _check_raw(column: Sequence[bytes | None] | None, number: int) -> None:
    if not column:
        return
    _each(column, number, f"raw is not a byte string of up to {LIMITS.raw_bytes:,} bytes", lambda value: (
        value is None or (type(value) is bytes and len(value) <= LIMITS.raw_bytes)
    ))  # fmt: skip


def _check_special(part: Columns, number: int) -> None:
    """Rows that are more than a plain message: what `check_row` asks for, and details that can be encoded."""
    together = part.detail is None or _can_be_encoded(part.detail)
    for place in range(len(part)):
        detail = None if part.detail is None else part.detail[place]
        op = 0 if part.op is None else part.op[place]
        if detail is None and not op:
            continue
        id_ = None if part.id is None else part.id[place]
        kind, text = 0 if part.kind is None else part.kind[place], None if part.text is None else part.text[place]
        try:
            check_values(op, None if id_ is None else str(id_), kind, text, detail)
            if detail is not None:
                check_writable(detail)
        except (UntrustedDataError, TypeError, ValueError, RecursionError) as error:
            raise _refused(number + place, str(error)) from error
        if not together and detail is not None:
            _check_encoding(detail, number + place)


def _can_be_encoded(details: Sequence[Any]) -> bool:
    """Whether all of them are well-formed and together short: then each is, and none is looked at by itself."""
    try:
        encoded = cbor.encode(list(details))
        return len(encoded) <= DETAIL_BYTES and bool(cbor.decode(encoded, subject="details"))
    except (UntrustedDataError, TypeError, ValueError, RecursionError):
        return False


def _check_encoding(detail: Any, number: int) -> None:
    try:
        encoded = cbor.encode([detail])
        cbor.decode(encoded, subject="detail")
    except (UntrustedDataError, TypeError, ValueError, RecursionError) as error:
        raise _refused(number, str(error)) from error
    if len(encoded) > DETAIL_BYTES:
        _refuse(number, f"detail is longer than {DETAIL_BYTES:,} bytes")


def _each(column: Sequence[Any], number: int, what: str, good: Callable[[Any], bool]) -> None:
    for place, value in enumerate(column):
        if not good(value):
            _refuse(number + place, what)


def _refuse(number: int, what: str) -> NoReturn:
    raise _refused(number, what)


def _refused(number: int, what: str) -> InvalidArgument:
    return InvalidArgument(f"row {number + 1:,} cannot be stored: {what}", hint="correct it and import again")
