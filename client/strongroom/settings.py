"""What a device may spend on data and battery: how it hears of news, when it fetches files, when it saves.

Settings are of this device alone, in its vault folder; no relay and no other device sees them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, get_args

from strongroom_protocol.errors import InvalidArgument, UntrustedDataError
from strongroom_protocol.wire import cbor

if TYPE_CHECKING:
    from strongroom.state import State

LiveMode = Literal["push", "poll", "off"]
MediaMode = Literal["now", "later", "on-demand"]

POLL_MAX = 86_400
DELAY_MAX = 3_600

_NAME = "settings"
_HINT = "strongroom settings --help lists what there is"


@dataclass(frozen=True, slots=True)
class Settings:
    """`live`: how `watch` hears of news: "push" (the relay says when), "poll" (every `poll` seconds), "off" (not).

    `media`: when a restore fetches files: "now" (beside messages), "later" (after all messages), "on-demand" (when
    somebody looks). `commit_delay`: seconds that what was appended waits on this device for more, to be sent together;
    None: 0.2, so that other devices show it within a second. Raises InvalidArgument.
    """

    live: LiveMode = "push"
    poll: int = 60
    media: MediaMode = "now"
    commit_delay: float | None = None

    def __post_init__(self) -> None:
        for what, value, choices in (
            ("live", self.live, get_args(LiveMode)),
            ("media", self.media, get_args(MediaMode)),
        ):
            if value not in choices:
                raise InvalidArgument(f"{what} is one of {', '.join(choices)}", hint=_HINT)
        if type(self.poll) is not int or not 1 <= self.poll <= POLL_MAX:
            raise InvalidArgument(f"poll is a number of seconds, 1 to {POLL_MAX:,}", hint=_HINT)
        if self.commit_delay is not None and not _within(self.commit_delay, DELAY_MAX):
            raise InvalidArgument(f"the commit delay is a number of seconds, 0 to {DELAY_MAX:,}", hint=_HINT)

    @classmethod
    def load(cls, state: State) -> Settings:
        """Those of this device. What cannot be read is as never set: none of it is anybody's safety."""
        stored = state.get(_NAME)
        if stored is None:
            return cls()
        try:
            live, poll, media, delay_ms = cbor.decode(stored, subject="settings")
            return cls(live, poll, media, None if delay_ms is None else delay_ms / 1000)
        except (UntrustedDataError, InvalidArgument, TypeError, ValueError):
            return cls()

    def save(self, state: State) -> None:
        """Keep them, durably."""
        delay_ms = None if self.commit_delay is None else round(self.commit_delay * 1000)
        state.put({_NAME: cbor.encode([self.live, self.poll, self.media, delay_ms])})


def _within(seconds: object, most: int) -> bool:
    return isinstance(seconds, (int, float)) and not isinstance(seconds, bool) and 0 <= seconds <= most
