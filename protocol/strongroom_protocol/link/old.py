"""The old device's side of a link, as a state that can be stored between any two steps (spec chapter 15).

    OFFERED ──take──► ANSWERED ──judge──► CONFIRMED ──meet──► MET ──agree──► AGREED ──welcome──► CLOSING
       ▲                  │ wrong secret                       └──decline───────────────────────► DECLINED
       └── next run ──────┴─────────────► SPENT (after the last run)

Every step gives a new state; the caller stores it durably before it sends anything that comes from it. A run takes one
answer for ever: what is judged after a crash is the stored one, whatever the relay shows then.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import IntEnum

from strongroom_protocol.errors import UntrustedDataError
from strongroom_protocol.keys.hpke import KemKey
from strongroom_protocol.keys.secrets import KemSeed
from strongroom_protocol.keys.table import Key
from strongroom_protocol.limits import LIMITS
from strongroom_protocol.link import spake2
from strongroom_protocol.link.code import LONG_BYTES, NUMBER_MAX, RELAY_BYTES, SHORT_CHARS, Kind, LinkSecret
from strongroom_protocol.link.exchange import (
    NEWCOMER_FLOOR,
    WELCOME_FLOOR,
    Joint,
    Mailbox,
    bound,
    broken,
    joint,
    over,
    seal,
    unseal,
    wrap_info,
)
from strongroom_protocol.link.messages import DECLINED, Answer, Newcomer, Offer, Verdict, Welcome
from strongroom_protocol.wire import cbor
from strongroom_protocol.wire.parse import Fields

RUN_RANDOMNESS = 64 + 64 + 96
"""Bytes of randomness for one run: two scalars and the seed of a KEM key."""


class Phase(IntEnum):
    OFFERED = 1
    ANSWERED = 2
    CONFIRMED = 3
    MET = 4
    AGREED = 5
    CLOSING = 6
    DECLINED = 7
    SPENT = 8


@dataclass(frozen=True, slots=True, repr=False)
class Old:
    """An open link. `expires` in milliseconds by this device's clock; `randomness` is this run's and no other's."""

    mailbox: Mailbox
    short: LinkSecret
    long: LinkSecret
    expires: int
    randomness: bytes
    run: int = 1
    phase: Phase = Phase.OFFERED
    answer: bytes = b""
    confirmation: bytes = b""
    key: bytes = b""
    newcomer: Newcomer | None = None
    closing: bytes = b""

    def offer(self) -> bytes:
        """The message that begins this run."""
        return Offer(self._share(Kind.SHORT), self._share(Kind.LONG), self._kem().public).encode()

    def take(self, answer: bytes, now: int) -> Old:
        """Take the run's one answer. Stored before it is judged, it is the try that is counted."""
        self.require_live(now)
        self._require(Phase.OFFERED)
        return replace(self, phase=Phase.ANSWERED, answer=answer[: LIMITS.link_message_bytes + 1])

    def judge(self, randomness: bytes) -> Old:
        """CONFIRMED when the answer was made with this link's secret, else the next run (`randomness` is for it)."""
        self._require(Phase.ANSWERED)
        try:
            found = self._agree()
        except UntrustedDataError:  # not an answer at all: a try like any other, so that it costs what a guess costs
            found = None
        if found is not None:
            return replace(self, phase=Phase.CONFIRMED, confirmation=found.of_old, key=found.key)
        if self.run >= LIMITS.link_tries:  # spec: LINK-8
            return replace(self, phase=Phase.SPENT)
        return replace(self, phase=Phase.OFFERED, run=self.run + 1, answer=b"", randomness=randomness)

    def verdict(self) -> bytes:
        """The old device's own proof that it has the secret."""
        return Verdict(self.confirmation).encode()

    def meet(self, sealed: bytes, now: int) -> Old:
        """Open what the new device says of itself. Raises UntrustedDataError(LINK)."""
        self.require_live(now)
        self._require(Phase.CONFIRMED)
        content = unseal(Key.LINK_NEW, self.key, sealed, floor=NEWCOMER_FLOOR)
        return replace(self, phase=Phase.MET, newcomer=Newcomer.parse(content))

    def agree(self, now: int) -> Old:
        """The person has looked at the new device's name and fingerprint and said yes."""
        self.require_live(now)
        self._require(Phase.MET)
        return replace(self, phase=Phase.AGREED)

    def decline(self) -> Old:
        """The person has said no."""
        self._require(Phase.MET)
        return self._closing(Phase.DECLINED, DECLINED)

    def welcome(self, welcome: Welcome) -> Old:
        """The device is in the keyring; its seal is stored with the state, so that it is made once."""
        self._require(Phase.AGREED)
        return self._closing(Phase.CLOSING, welcome.encode())

    def require_live(self, now: int) -> None:
        """Raises NotFound when the time of the code is over."""
        if now >= self.expires:  # spec: LINK-10
            raise over()

    def _closing(self, phase: Phase, content: bytes) -> Old:
        return replace(self, phase=phase, closing=seal(Key.LINK_OLD, self.key, content, floor=WELCOME_FLOOR))

    def _agree(self) -> Joint | None:
        answer, offer = Answer.parse(self.answer), self.offer()
        kind = Kind(answer.kind)
        password = self._password(kind)
        agreed = spake2.agree_as_a(
            self._scalar(kind), password, share_a=self._share(kind), share_b=answer.share,
            identities=self.mailbox.identities(self.run), bound=bound(offer, answer.share, answer.wrap),
        )  # fmt: skip
        if not spake2.confirms(answer.confirmation, agreed.of_b):  # spec: LINK-11
            return None
        return joint(agreed, self._kem().open(answer.wrap, info=wrap_info(offer), subject="link"))

    def _password(self, kind: Kind) -> bytes:
        return self.mailbox.password(self.short if kind is Kind.SHORT else self.long)

    def _scalar(self, kind: Kind) -> bytes:
        # One for each secret: with the same one, the difference of the two shares would say something about both.
        return spake2.scalar_of(self.randomness[:64] if kind is Kind.SHORT else self.randomness[64:128])

    def _share(self, kind: Kind) -> bytes:
        return spake2.share_of_a(self._scalar(kind), self._password(kind))

    def _kem(self) -> KemKey:
        return KemKey(KemSeed(self.randomness[128:]))

    def _require(self, phase: Phase) -> None:
        if self.phase is not phase:  # spec: LINK-9
            raise broken("a message out of turn")

    def encode(self) -> bytes:
        """The state as it is kept on this device; it holds secrets."""
        newcomer = None if self.newcomer is None else self.newcomer.encode()
        return cbor.encode(
            {
                1: 1, 2: self.mailbox.origin, 3: self.mailbox.number, 4: self.short.reveal(), 5: self.long.reveal(),
                6: self.expires, 7: self.randomness, 8: self.run, 9: int(self.phase), 10: self.answer,
                11: self.confirmation, 12: self.key, 13: newcomer, 14: self.closing,
            }
        )  # fmt: skip

    @classmethod
    def parse(cls, data: bytes) -> Old:
        fields = Fields(cbor.decode(data, subject="link state"), "link state")
        fields.format()
        longest = LIMITS.link_message_bytes + 1
        found = cls(
            Mailbox(fields.text(2, RELAY_BYTES, 1), fields.uint(3, NUMBER_MAX)),
            LinkSecret(fields.fixed(4, SHORT_CHARS)), LinkSecret(fields.fixed(5, LONG_BYTES)), fields.time(6),
            fields.fixed(7, RUN_RANDOMNESS), fields.uint(8, LIMITS.link_tries, 1), Phase(fields.uint(9, len(Phase), 1)),
            fields.blob(10, longest), fields.blob(11, 32), fields.blob(12, 48), fields.optional(13, Newcomer.parse),
            fields.blob(14, longest),
        )  # fmt: skip
        fields.done()
        return found
