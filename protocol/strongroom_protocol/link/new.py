"""The new device's side of a link, as a state that can be stored between any two steps (spec chapter 15).

    WAITING ──answer──► ANSWERED ──judged──► CONFIRMED ──welcomed──► (what the old device said)
       ▲                   │ the old device has another secret
       └── next run ───────┴───────────────► SPENT (after the last try)

The answer is stored before it is sent, with the try that it costs; after a crash the same bytes are sent again, and
whatever else the relay offers then is not answered.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import IntEnum

from strongroom_protocol.keys.table import Key
from strongroom_protocol.limits import LIMITS
from strongroom_protocol.link import spake2
from strongroom_protocol.link.code import NUMBER_MAX, RELAY_BYTES, LinkSecret
from strongroom_protocol.link.exchange import (
    NEWCOMER_FLOOR,
    WELCOME_FLOOR,
    Mailbox,
    broken,
    make_answer,
    over,
    seal,
    unseal,
)
from strongroom_protocol.link.messages import Newcomer, Verdict, Welcome, parse_welcome
from strongroom_protocol.wire import cbor
from strongroom_protocol.wire.parse import Fields

ANSWER_RANDOMNESS = 64 + 32
"""Bytes of randomness for one answer: a scalar, and the secret that is wrapped."""


class Step(IntEnum):
    WAITING = 1
    ANSWERED = 2
    CONFIRMED = 3
    SPENT = 4


@dataclass(frozen=True, slots=True, repr=False)
class New:
    """A link that was entered. `expires` in milliseconds by this device's clock; `tries` are answers that were made."""

    mailbox: Mailbox
    expires: int
    run: int = 1
    tries: int = 0
    step: Step = Step.WAITING
    reply: bytes = b""
    expected: bytes = b""
    key: bytes = b""
    introduction: bytes = b""

    def answer(self, secret: LinkSecret, run: int, offer: bytes, randomness: bytes, now: int) -> New:
        """Answer the offer of `run` with `reply`; stored before it is sent, it is the try that is counted."""
        self.require_live(now)
        self._require(Step.WAITING)
        if self.tries >= LIMITS.link_tries:  # spec: LINK-12
            raise over("the code was entered wrongly three times")
        reply, found = make_answer(
            self.mailbox, run, secret, offer, scalar=spake2.scalar_of(randomness[:64]), shared=randomness[64:]
        )
        return replace(
            self, run=run, tries=self.tries + 1, step=Step.ANSWERED, reply=reply, expected=found.of_old, key=found.key
        )

    def judged(self, verdict: bytes, newcomer: Newcomer, now: int) -> New:
        """Check the old device's proof; only then this device says who it is (`introduction`).

        Back to WAITING when the old device has another secret. Raises UntrustedDataError(LINK) for a wrong proof:
        whoever sent it does not know the code.
        """
        self.require_live(now)
        self._require(Step.ANSWERED)
        given = Verdict.parse(verdict).confirmation
        if given is None:
            return self.refused()
        if not spake2.confirms(given, self.expected):  # spec: LINK-13
            raise broken("who answered does not know the code")
        sealed = seal(Key.LINK_NEW, self.key, newcomer.encode(), floor=NEWCOMER_FLOOR)
        return replace(self, step=Step.CONFIRMED, introduction=sealed)

    def refused(self) -> New:
        """The answer came to nothing; the try that it cost stays counted."""
        step = Step.SPENT if self.tries >= LIMITS.link_tries else Step.WAITING
        return replace(self, step=step, reply=b"", expected=b"", key=b"")

    def welcomed(self, sealed: bytes, now: int) -> Welcome | None:
        """What the old device says at the end; None when the person there said no. Raises UntrustedDataError(LINK)."""
        self.require_live(now)
        self._require(Step.CONFIRMED)
        return parse_welcome(unseal(Key.LINK_OLD, self.key, sealed, floor=WELCOME_FLOOR))

    @property
    def left(self) -> int:
        """Tries that are left."""
        return LIMITS.link_tries - self.tries

    def require_live(self, now: int) -> None:
        """Raises NotFound when the time of the code is over."""
        if now >= self.expires:  # spec: LINK-14
            raise over()

    def _require(self, step: Step) -> None:
        if self.step is not step:  # spec: LINK-9
            raise broken("a message out of turn")

    def encode(self) -> bytes:
        """The state as it is kept on this device; it holds secrets."""
        return cbor.encode(
            {
                1: 1, 2: self.mailbox.origin, 3: self.mailbox.number, 4: self.expires, 5: self.run, 6: self.tries,
                7: int(self.step), 8: self.reply, 9: self.expected, 10: self.key, 11: self.introduction,
            }
        )  # fmt: skip

    @classmethod
    def parse(cls, data: bytes) -> New:
        fields = Fields(cbor.decode(data, subject="link state"), "link state")
        fields.format()
        longest = LIMITS.link_message_bytes
        found = cls(
            Mailbox(fields.text(2, RELAY_BYTES, 1), fields.uint(3, NUMBER_MAX)), fields.time(4),
            fields.uint(5, LIMITS.link_tries, 1), fields.uint(6, LIMITS.link_tries), Step(fields.uint(7, len(Step), 1)),
            fields.blob(8, longest), fields.blob(9, 32), fields.blob(10, 48), fields.blob(11, longest),
        )  # fmt: skip
        fields.done()
        return found
