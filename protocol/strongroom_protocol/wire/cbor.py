"""Deterministic CBOR (RFC 8949 section 4.2.1), the only codec of the project (spec chapter 02).

`cbor2` accepts more than the standard allows and orders map keys by RFC 7049, so decoding is: bound the size,
decode, keep only the allowed types, encode again, compare. Whatever differs by one bit is refused; two byte
strings can therefore never mean the same structure.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import cbor2

from strongroom_protocol.errors import Failure, UntrustedDataError
from strongroom_protocol.limits import LIMITS, Limits

_INT_MAX = 2**64 - 1
_INT_MIN = -(2**64)
_PLAIN = frozenset((bytes, str, bool, type(None)))
_KEYS = frozenset((int, bytes, str))


def encode(value: Any) -> bytes:
    """Encode ints, bytes, str, bool, None, list, tuple and dict to deterministic CBOR.

    Raises TypeError for any other type (a programming error: floats, sets, objects) and for ints over 64 bits.
    """
    return cbor2.dumps(_ordered(value))


def decode(data: bytes | memoryview, *, limits: Limits = LIMITS, subject: str = "") -> Any:
    """Decode exactly one deterministic CBOR item that fills `data`.

    Raises UntrustedDataError: LIMIT before any decoding when `data` is too long, ENCODING otherwise.
    """
    if len(data) > limits.cbor_bytes:  # spec: ENC-4
        raise UntrustedDataError(Failure.LIMIT, "encoded item is longer than the limit", subject=subject)
    raw = bytes(data)
    try:
        value = cbor2.loads(
            raw,
            max_depth=limits.cbor_depth,  # spec: ENC-5
            allow_indefinite=False,
            allow_duplicate_keys=False,
            tag_hook=_refuse_tag,
            semantic_decoders={},
        )
        again = encode(value)
    except (cbor2.CBORError, ValueError, TypeError, OverflowError, RecursionError, MemoryError) as error:
        raise UntrustedDataError(Failure.ENCODING, "not deterministic CBOR", subject=subject) from error
    if again != raw:  # spec: ENC-1 ENC-2 ENC-3
        raise UntrustedDataError(Failure.ENCODING, "not deterministic CBOR", subject=subject)
    return value


def _refuse_tag(tag: cbor2.CBORTag, immutable: bool = False) -> Any:
    raise ValueError("tags are not used")


def _ordered(value: Any) -> Any:
    kind = type(value)
    if kind in _PLAIN:
        return value
    if kind is int:
        if not _INT_MIN <= value <= _INT_MAX:
            raise TypeError("integer over 64 bits")
        return value
    if kind is list or kind is tuple:
        return [item if type(item) in _PLAIN else _ordered(item) for item in value]
    if kind is dict:
        keys: Iterable[Any] = value
        # Most maps have a few small integers in order already, and those sort by value as they do by encoded bytes.
        if not _rising(value):
            if not _KEYS.issuperset(map(type, value)):  # spec: ENC-13
                raise TypeError("map keys are integers, byte strings or text")
            # The standard orders keys by their encoded bytes, not by length first as cbor2's canonical mode does.
            keys = sorted(value, key=lambda key: cbor2.dumps(_ordered(key)))
        return {key: item if type(item := value[key]) in _PLAIN else _ordered(item) for key in keys}
    raise TypeError(f"{kind.__name__} has no place in the protocol")


def _rising(keys: Iterable[Any]) -> bool:
    """Whether all are integers from 0 on, each above the one before it."""
    last = -1
    for key in keys:
        if type(key) is not int or not last < key <= _INT_MAX:
            return False
        last = key
    return True
