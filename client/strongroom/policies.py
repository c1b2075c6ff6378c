"""How long a person wants what kept: policies of this device, for all chats and for single ones (ADR 0017).

A policy by itself does nothing. It says what `strongroom keep --apply` on this device is to take out.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from strongroom_protocol.errors import InvalidArgument, UntrustedDataError
from strongroom_protocol.wire import cbor
from strongroom_protocol.wire.parse import array

if TYPE_CHECKING:
    from strongroom.state import State

DAYS_MAX = 1_000_000
BYTES_MAX = 2**53 - 1

_NAME = "policies"
_ALL = b""


@dataclass(frozen=True, slots=True)
class Policy:
    """What is kept; None: no limit. `days`: messages up to that age. `bytes`: so much of texts and files, oldest files
    going first, then oldest messages. `media_days`: files up to that age (0: none), of messages that stay."""

    days: int | None = None
    bytes: int | None = None
    media_days: int | None = None

    def __post_init__(self) -> None:
        _check("days", self.days, 1, DAYS_MAX)
        _check("bytes", self.bytes, 1, BYTES_MAX)
        _check("days for media", self.media_days, 0, DAYS_MAX)

    @property
    def forever(self) -> bool:
        """Whether it takes out nothing."""
        return self == FOREVER


def _check(what: str, value: int | None, least: int, most: int) -> None:
    if value is None or (type(value) is int and least <= value <= most):
        return
    if value == 0:
        raise InvalidArgument(f"0 {what} would keep nothing", hint="to take out a whole chat: strongroom erase CHAT")
    raise InvalidArgument(
        f"{value} {what} is not possible", hint=f"from {least} to {most:,}; strongroom keep --forever ends a policy"
    )


FOREVER = Policy()


@dataclass(frozen=True, slots=True)
class Policies:
    """The policy of all chats, and those of chats that have one of their own (by conversation key).

    A chat with a policy of its own, be it FOREVER, is none of the general one's business: neither are its messages
    touched by it, nor do its bytes count there.
    """

    general: Policy = FOREVER
    own: Mapping[bytes, Policy] = field(default_factory=dict)

    def of(self, key: bytes) -> Policy:
        """The policy that holds for a chat."""
        return self.own.get(key, self.general)

    @classmethod
    def load(cls, state: State) -> Policies:
        """Those of this device. What cannot be read is refused, never taken for less or more."""
        stored = state.get(_NAME)
        if stored is None:
            return cls()
        try:
            pairs = array(cbor.decode(stored, subject="policies"), "policies", minimum=1, maximum=2**32 - 1)
            found = {bytes(key): Policy(*limits) for key, limits in pairs}
        except (UntrustedDataError, TypeError, ValueError) as error:
            raise InvalidArgument("the policies of this device are damaged", hint="set them anew") from error
        return cls(found.pop(_ALL, FOREVER), found)

    def changed(self, key: bytes | None, policy: Policy | None) -> Policies:
        """With another policy for a chat, or for all (None). No policy for a chat: the general one holds again."""
        if key is None:
            return Policies(policy or FOREVER, self.own)
        own = {known: found for known, found in self.own.items() if known != key}
        return Policies(self.general, own if policy is None else own | {key: policy})

    def save(self, state: State) -> None:
        """Keep them, durably. Chats are named by their keys: their names are nowhere on this device in clear."""
        every = {_ALL: self.general} if not self.general.forever else {}
        every |= self.own
        encoded = [[key, [one.days, one.bytes, one.media_days]] for key, one in sorted(every.items())]
        state.put({_NAME: cbor.encode(encoded) if encoded else None})
